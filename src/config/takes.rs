//! What a key takes, with its type: the words that errors and the man page use, how it is read, how it is shown.

use super::diagnostic::quote;
use super::document::{At, Table, Wrong, found, text_of};
use super::schema::{Kind, show, show_size};
use super::settings::HeartbeatKey;
use super::shown::{Value, span_text, text};
use super::value::{
    Address, CheckUrl, DoctorInterval, Endpoint, HostName, InterfaceName, KeyPrefix, Listen, NodeInterface, Region,
    Statuses, TcpTarget, VirtualAddress, Word, header_name, parse_duration, parse_size,
};
use havipd_core::model::settings::Interface;
use havipd_core::model::vrrp::Vrrp;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A program as the file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A path, resolved like every path of the file.
    Path(String),
    /// A program and its arguments, as they are.
    Argv(Vec<String>),
}

/// `group.nodes`.
#[derive(Debug, Clone)]
pub(super) enum Membership {
    /// Every node.
    All,
    /// These.
    Listed(Vec<At<String>>),
}

/// What a key takes: its kind for texts and ranges, and the reader that belongs to the kind.
pub(super) struct Takes<T> {
    pub(super) kind: Kind,
    pub(super) read: fn(&Table<'_>, &str) -> Option<At<T>>,
    show: Option<fn(&T) -> Value>,
}

impl<T> Takes<T> {
    /// How a value is shown where it changes. Asked for by the compiler: a key that has no way to be shown does not
    /// build, it says in its row what is shown.
    pub(super) const fn shower(&self) -> fn(&T) -> Value {
        self.show.expect("this key says with \"shown\" how it is shown")
    }

    const fn unshown(kind: Kind, read: fn(&Table<'_>, &str) -> Option<At<T>>) -> Self {
        Self { kind, read, show: None }
    }

    const fn shown(kind: Kind, read: fn(&Table<'_>, &str) -> Option<At<T>>, show: fn(&T) -> Value) -> Self {
        Self { kind, read, show: Some(show) }
    }
}

/// Words of earlier versions: the key, the word, and what to use instead.
const GONE: &[(&str, &str, &str)] = &[(
    "arbiter",
    "none",
    "\"none\" is gone, since nodes that cannot hear each other would all claim; use \"auto\", \"cloud\", \"majority\" or \
     \"keepalived\"",
)];

pub(super) const fn boolean() -> Takes<bool> {
    Takes::shown(Kind::Bool, |table, name| table.bool(name), |it| text(it))
}

/// A whole number, both ends included.
pub(super) const fn integer<T: TryFrom<i64> + Display>(min: i64, max: i64) -> Takes<T> {
    Takes::shown(Kind::Integer(min, max), |table, name| table.integer(name), |it| text(it))
}

/// A number, both ends included, or `"adaptive"`, which is `None`.
pub(super) const fn number_or_adaptive(min: f64, max: f64) -> Takes<Option<f64>> {
    Takes::shown(
        Kind::NumberOrAdaptive(min, max),
        |table, name| table.number_or_adaptive(name),
        |it| it.map_or_else(|| text("adaptive"), text),
    )
}

/// A duration, both ends included.
pub(super) const fn span(min: Duration, max: Duration) -> Takes<Duration> {
    Takes::shown(Kind::Duration(min, max), |table, name| table.duration(name), |it| span_text(*it))
}

/// A duration in whole seconds.
pub(super) const fn seconds(min: Duration, max: Duration) -> Takes<Duration> {
    Takes::shown(Kind::Seconds(min, max), |table, name| table.duration(name), |it| span_text(*it))
}

/// A duration in whole seconds, or `"forever"`, which is `None`.
pub(super) const fn seconds_or_forever(min: Duration, max: Duration) -> Takes<Option<Duration>> {
    Takes::shown(
        Kind::SecondsOrForever(min, max),
        |table, name| table.span_or_forever(name),
        |it| it.map_or_else(|| text("forever"), span_text),
    )
}

/// `"0s"`, which is `None`, or a duration from 1m to 24h.
pub(super) const fn span_or_off() -> Takes<Option<Duration>> {
    Takes::shown(
        Kind::Text("\"0s\" (off), or a duration from 1m to 24h"),
        |table, name| Some(table.text::<DoctorInterval>(name)?.map(|it| it.0)),
        |it| text(show(it.unwrap_or_default())),
    )
}

/// A size in bytes, both ends included.
pub(super) const fn size(min: u64, max: u64) -> Takes<u64> {
    Takes::shown(Kind::Size(min, max), |table, name| table.size(name), |it| text(show_size(*it)))
}

/// A name of a cluster, node or group.
pub(super) const fn name<T: FromStr<Err: Display> + Display>() -> Takes<T> {
    id("a name of 1 to 63 of a-z A-Z 0-9 - _ .")
}

/// What its own type reads; `what` says it in words.
pub(super) const fn id<T: FromStr<Err: Display> + Display>(what: &'static str) -> Takes<T> {
    Takes::shown(Kind::Text(what), |table, name| table.text(name), |it| text(it))
}

pub(super) const fn region() -> Takes<String> {
    let read = |table: &Table<'_>, name: &str| Some(table.text::<Region>(name)?.map(|it| it.0));
    Takes::shown(Kind::Text("a region like \"bj\""), read, |it| text(it))
}

pub(super) const fn endpoint() -> Takes<Endpoint> {
    Takes::unshown(Kind::Text("a URL like \"https://host:port\", without path, query or user"), |table, name| {
        table.text(name)
    })
}

pub(super) const fn node_interface() -> Takes<String> {
    let read = |table: &Table<'_>, name: &str| Some(table.text::<NodeInterface>(name)?.map(|it| it.0));
    Takes::shown(Kind::Text("the name of a network interface"), read, |it| text(it))
}

pub(super) const fn interface_or_none() -> Takes<Interface> {
    Takes::unshown(Kind::Text("the name of a network interface, or \"none\""), |table, name| {
        let name_or_none = table.text::<InterfaceName>(name)?.map(|it| it.0);
        Some(name_or_none.map(|it| if it == "none" { Interface::None } else { Interface::Named(it) }))
    })
}

pub(super) const fn virtual_address() -> Takes<Ipv4Addr> {
    let read = |table: &Table<'_>, name: &str| Some(table.text::<VirtualAddress>(name)?.map(|it| it.0));
    Takes::shown(Kind::Text("an IPv4 address"), read, |it| text(it))
}

/// An address with a port, or `"off"`, which is `None`.
pub(super) const fn socket_or_off() -> Takes<Option<SocketAddr>> {
    Takes::shown(
        Kind::Text("an IP address with a port like \"127.0.0.1:11201\", or \"off\""),
        |table, name| Some(table.text::<Listen>(name)?.map(|it| it.0)),
        |it| it.map_or_else(|| text("off"), text),
    )
}

/// What keepalived calls what a group follows.
pub(super) const fn followed() -> Takes<Vrrp> {
    Takes::unshown(
        Kind::Text("the name of a vrrp_instance, or \"GROUP:\" and that of a vrrp_sync_group"),
        |table, name| table.text(name),
    )
}

/// One of these words.
pub(super) const fn word(words: &'static [&'static str]) -> Takes<&'static str> {
    Takes::shown(Kind::Choice(words), |table, name| table.choice(name), |it| text(it))
}

/// The words of a choice and what each means.
pub(super) trait Words {
    /// What they mean.
    type Value: Copy + PartialEq + 'static;
    /// The words, in the order of the reference.
    const WORDS: &'static [&'static str];
    /// The meaning of each.
    const VALUES: &'static [Self::Value];
}

/// One of the words of `W`.
pub(super) const fn one_of<W: Words>() -> Takes<W::Value> {
    Takes::shown(
        Kind::Choice(W::WORDS),
        |table, name| {
            let word = table.choice(name)?;
            let place = W::WORDS.iter().position(|known| *known == word.value)?;
            Some(word.map(|_| W::VALUES[place]))
        },
        |it| {
            let place = W::VALUES.iter().position(|known| known == it);
            place.map_or(Value::NOTHING, |place| text(W::WORDS[place]))
        },
    )
}

/// `choice!(Type: "word" = Variant, ...)`: one of these words, each with the variant that it means.
macro_rules! choice {
    ($type:ident: $($word:literal = $variant:ident),+) => {{
        struct Choice;
        impl $crate::config::takes::Words for Choice {
            type Value = $type;
            const WORDS: &'static [&'static str] = &[$($word),+];
            const VALUES: &'static [$type] = &[$($type::$variant),+];
        }
        $crate::config::takes::one_of::<Choice>()
    }};
}
pub(super) use choice;

/// A file: absolute, relative to the configuration file, or `credential:NAME`; not yet resolved.
pub(super) const fn path() -> Takes<String> {
    Takes::unshown(Kind::Path, |table, name| table.path(name))
}

/// A program with its arguments, or its path.
pub(super) const fn command() -> Takes<Command> {
    Takes::unshown(Kind::Command, |table, name| table.command(name))
}

/// A program with its arguments; no shell, and no path alone.
pub(super) const fn program() -> Takes<Vec<String>> {
    Takes::unshown(Kind::Argv, |table, name| table.argv(name))
}

/// Names of checks.
pub(super) const fn checks() -> Takes<Vec<At<String>>> {
    Takes::unshown(Kind::Checks, |table, name| table.names(name))
}

/// An IP address with a port.
pub(super) const fn socket() -> Takes<SocketAddr> {
    Takes::unshown(Kind::Text("an IP address with a port like \"127.0.0.1:5432\""), |table, name| {
        Some(table.text::<TcpTarget>(name)?.map(|it| it.0))
    })
}

/// What a check asks for.
pub(super) const fn url() -> Takes<String> {
    Takes::unshown(Kind::Text("a URL like \"https://127.0.0.1/healthz\""), |table, name| {
        Some(table.text::<CheckUrl>(name)?.map(|it| it.0))
    })
}

/// A range of HTTP statuses.
pub(super) const fn statuses() -> Takes<(u16, u16)> {
    Takes::unshown(Kind::Text("a status like \"200\", or a range like \"200-399\""), |table, name| {
        Some(table.text::<Statuses>(name)?.map(|it| (it.0, it.1)))
    })
}

/// Words of any kind; `what` says which.
pub(super) const fn phrase(what: &'static str) -> Takes<String> {
    Takes::unshown(Kind::Text(what), |table, name| Some(table.text::<Word>(name)?.map(|it| it.0)))
}

/// The name of a host.
pub(super) const fn host_name() -> Takes<String> {
    Takes::unshown(Kind::Text("a host name like \"www.example.com\""), |table, name| {
        Some(table.text::<HostName>(name)?.map(|it| it.0))
    })
}

/// What keys in etcd begin with.
pub(super) const fn key_prefix() -> Takes<String> {
    let read = |table: &Table<'_>, name: &str| Some(table.text::<KeyPrefix>(name)?.map(|it| it.0));
    Takes::shown(Kind::Text("a path like \"/havipd\", which does not end with /"), read, |it| text(it))
}

/// IP addresses.
pub(super) const fn hosts() -> Takes<Vec<IpAddr>> {
    Takes::unshown(Kind::Hosts, |table, name| table.hosts(name))
}

/// Headers of a request.
pub(super) const fn headers() -> Takes<BTreeMap<String, String>> {
    Takes::unshown(Kind::Headers, |table, name| table.headers(name))
}

/// Heartbeat addresses of one node.
pub(super) const fn addresses() -> Takes<Vec<At<Address>>> {
    Takes::unshown(Kind::Addresses, |table, name| table.addresses(name))
}

/// Names of nodes; all of them if the key is absent.
pub(super) const fn membership() -> Takes<Membership> {
    Takes::unshown(Kind::Nodes, |table, name| match table.key_span(name) {
        None => Some(table.at(Membership::All)),
        Some(_) => Some(table.names(name)?.map(Membership::Listed)),
    })
}

/// Priorities by names of nodes.
/// Names of nodes with the priority of each, in the order of the file.
pub(super) type Priorities = Vec<(At<String>, u8)>;

pub(super) const fn priorities() -> Takes<Priorities> {
    Takes::unshown(Kind::Priorities, |table, name| table.priorities(name))
}

/// Names of nodes with the value of the leader key that names each, in the order of the file.
pub(super) type LeaderValues = Vec<(At<String>, At<String>)>;

pub(super) const fn leader_values() -> Takes<LeaderValues> {
    Takes::unshown(Kind::LeaderValues, |table, name| table.leader_values(name))
}

/// URLs of the members of one service.
pub(super) const fn endpoints() -> Takes<Vec<At<Endpoint>>> {
    Takes::unshown(Kind::Endpoints, |table, name| table.endpoints(name))
}

/// The list of heartbeat keys.
pub(super) const fn heartbeat_keys() -> Takes<Vec<At<HeartbeatKey>>> {
    Takes::unshown(Kind::Keys, |table, name| {
        let keys = table.tables(name).iter().map(|key| key.at(HeartbeatKey::read(key))).collect();
        Some(table.at(keys))
    })
}

/// Who decides.
pub(super) const fn arbiter() -> Takes<&'static str> {
    const WORDS: &[&str] = &["auto", "cloud", "majority", "etcd", "keepalived"];
    Takes::unshown(Kind::Choice(WORDS), |table, name| table.choice(name))
}

impl Table<'_> {
    /// A string that its own type reads.
    fn text<T: FromStr<Err: Display>>(&self, name: &str) -> Option<At<T>> {
        self.read(name, |_, value| {
            let text = text_of(value.get_ref()).ok_or_else(|| not(value))?;
            text.parse().map_err(|e: T::Err| Wrong::Because(e.to_string()))
        })
    }

    /// A path, not yet resolved.
    fn path(&self, name: &str) -> Option<At<String>> {
        self.read(name, |_, value| match text_of(value.get_ref()) {
            None => Err(not(value)),
            Some(text) if text.is_empty() || text.contains('\0') => Err(not(value)),
            Some(text) => Ok(text.to_owned()),
        })
    }

    fn bool(&self, name: &str) -> Option<At<bool>> {
        self.read(name, |_, value| match value.get_ref() {
            DeValue::Boolean(b) => Ok(*b),
            _ => Err(not(value)),
        })
    }

    fn integer<T: TryFrom<i64>>(&self, name: &str) -> Option<At<T>> {
        self.read(name, |kind, value| {
            let Kind::Integer(min, max) = kind else { unreachable!("{name} is a whole number") };
            match integer_of(value.get_ref()) {
                Some(n) if (*min..=*max).contains(&n) => T::try_from(n).map_err(|_| not(value)),
                _ => Err(not(value)),
            }
        })
    }

    /// A number; `None` inside is `"adaptive"`.
    fn number_or_adaptive(&self, name: &str) -> Option<At<Option<f64>>> {
        self.read(name, |kind, value| {
            let Kind::NumberOrAdaptive(min, max) = kind else { unreachable!("{name} is a number") };
            if text_of(value.get_ref()) == Some("adaptive") {
                return Ok(None);
            }
            let number = match value.get_ref() {
                DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
                DeValue::Integer(n) => n.as_str().parse::<f64>().ok().filter(|_| n.radix() == 10),
                _ => None,
            };
            number.filter(|n| (*min..=*max).contains(n)).map(Some).ok_or_else(|| not(value))
        })
    }

    /// A duration; `None` inside is `"forever"`, where the key takes it.
    fn span_or_forever(&self, name: &str) -> Option<At<Option<Duration>>> {
        self.read(name, |kind, value| {
            let text = text_of(value.get_ref()).ok_or_else(|| not(value))?;
            let (min, max, whole) = match kind {
                Kind::Duration(min, max) => (min, max, false),
                Kind::Seconds(min, max) => (min, max, true),
                Kind::SecondsOrForever(..) if text == "forever" => return Ok(None),
                Kind::SecondsOrForever(min, max) => (min, max, true),
                _ => unreachable!("{name} is a duration"),
            };
            let Some(span) = parse_duration(text) else {
                let how = "write a whole number and one of ms, s, m, h, as in \"500ms\"";
                return Err(Wrong::Because(format!("{} is not a duration: {how}", quote(text))));
            };
            let fits = (min..=max).contains(&&span) && !(whole && span.subsec_nanos() != 0);
            if fits { Ok(Some(span)) } else { Err(not(value)) }
        })
    }

    fn duration(&self, name: &str) -> Option<At<Duration>> {
        let at = self.span_or_forever(name)?;
        let span = at.value.expect("only a lifetime takes \"forever\"");
        Some(at.map(|_| span))
    }

    /// A size, in bytes.
    fn size(&self, name: &str) -> Option<At<u64>> {
        self.read(name, |kind, value| {
            let Kind::Size(min, max) = kind else { unreachable!("{name} is a size") };
            let text = text_of(value.get_ref()).ok_or_else(|| not(value))?;
            let Some(bytes) = parse_size(text) else {
                let how = "write a whole number and one of KiB, MiB, GiB, as in \"16MiB\"";
                return Err(Wrong::Because(format!("{} is not a size: {how}", quote(text))));
            };
            if (*min..=*max).contains(&bytes) { Ok(bytes) } else { Err(not(value)) }
        })
    }

    /// One of the words that the table of keys lists.
    fn choice(&self, name: &str) -> Option<At<&'static str>> {
        self.read(name, |kind, value| {
            let Kind::Choice(words) = kind else { unreachable!("{name} is a choice") };
            let text = text_of(value.get_ref());
            if let Some((.., why)) = GONE.iter().find(|(key, word, _)| *key == name && Some(*word) == text) {
                return Err(Wrong::Because((*why).to_owned()));
            }
            words.iter().find(|w| Some(**w) == text).copied().ok_or_else(|| not(value))
        })
    }

    fn command(&self, name: &str) -> Option<At<Command>> {
        self.read(name, |_, value| {
            let usable = |text: &str| !text.contains('\0');
            match value.get_ref() {
                DeValue::String(path) if !path.is_empty() && usable(path) => Ok(Command::Path(path.to_string())),
                DeValue::Array(items) => {
                    let argv: Option<Vec<String>> =
                        items.iter().map(|i| text_of(i.get_ref()).filter(|t| usable(t)).map(str::to_owned)).collect();
                    match argv {
                        Some(argv) if argv.first().is_some_and(|program| !program.is_empty()) => {
                            Ok(Command::Argv(argv))
                        }
                        _ => Err(not(value)),
                    }
                }
                _ => Err(not(value)),
            }
        })
    }

    /// A program and its arguments; the program is resolved by nobody.
    fn argv(&self, name: &str) -> Option<At<Vec<String>>> {
        self.read(name, |_, value| {
            let DeValue::Array(items) = value.get_ref() else { return Err(not(value)) };
            let argv: Option<Vec<String>> =
                items.iter().map(|i| text_of(i.get_ref()).filter(|t| !t.contains('\0')).map(str::to_owned)).collect();
            argv.filter(|argv| argv.first().is_some_and(|program| !program.is_empty())).ok_or_else(|| not(value))
        })
    }

    /// A list of IP addresses.
    fn hosts(&self, name: &str) -> Option<At<Vec<IpAddr>>> {
        self.read(name, |_, value| {
            let DeValue::Array(items) = value.get_ref() else { return Err(not(value)) };
            if !(1..=16).contains(&items.len()) {
                return Err(not(value));
            }
            let parse = |text: &str| text.parse().map_err(|_| format!("{} is not an IP address", quote(text)));
            let all = self.each(name, &items.iter().collect::<Vec<_>>(), parse)?;
            Ok(all.into_iter().map(|at| at.value).collect())
        })
    }

    /// A table of texts. What is wrong with one is said without its value, which may be a secret.
    fn headers(&self, name: &str) -> Option<At<BTreeMap<String, String>>> {
        self.read(name, |_, value| {
            let DeValue::Table(table) = value.get_ref() else { return Err(not(value)) };
            let mut all = BTreeMap::<String, String>::new();
            for (header, text) in table {
                let header: &str = header.get_ref();
                header_name(header).map_err(Wrong::Because)?;
                if let Some(other) = all.keys().find(|other| other.eq_ignore_ascii_case(header)) {
                    let why = format!("{} and {} are the same header", quote(other), quote(header));
                    return Err(Wrong::Because(why));
                }
                let Some(text) = text_of(text.get_ref()).filter(|t| t.bytes().all(|b| (b' '..=b'~').contains(&b)))
                else {
                    let why = format!("the value of {} must be a string of printable ASCII", quote(header));
                    return Err(Wrong::Because(why));
                };
                all.insert(header.to_owned(), text.to_owned());
            }
            Ok(all)
        })
    }

    /// One address or a list of them, each with its place.
    fn addresses(&self, name: &str) -> Option<At<Vec<At<Address>>>> {
        self.read(name, |_, value| {
            let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
                DeValue::Array(items) if (1..=4).contains(&items.len()) => items.iter().collect(),
                DeValue::String(_) => vec![value],
                _ => return Err(not(value)),
            };
            self.each(name, &items, |text| text.parse::<Address>())
        })
    }

    /// A list of names, each with its place.
    fn names(&self, name: &str) -> Option<At<Vec<At<String>>>> {
        self.read(name, |_, value| {
            let DeValue::Array(items) = value.get_ref() else { return Err(not(value)) };
            self.each(name, &items.iter().collect::<Vec<_>>(), |text| Ok(text.to_owned()))
        })
    }

    fn each<T>(
        &self,
        name: &str,
        items: &[&Spanned<DeValue<'_>>],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<At<T>>, Wrong> {
        let mut good = Vec::with_capacity(items.len());
        for item in items {
            let parsed = match text_of(item.get_ref()) {
                Some(text) => parse(text),
                None => Err(format!("every item must be a string, not {}", found(item.get_ref()))),
            };
            match parsed {
                Ok(value) => good.push(At::written(value, item.span())),
                Err(why) => self.report.error(&item.span(), format!("{name}: {why}", name = quote(name))),
            }
        }
        if good.len() == items.len() { Ok(good) } else { Err(Wrong::Reported) }
    }

    /// A table from names of nodes to texts, in the order of the file. One text for all would name every node at once.
    fn leader_values(&self, name: &str) -> Option<At<LeaderValues>> {
        self.read(name, |_, value| {
            let table = match value.get_ref() {
                DeValue::Table(table) => table,
                DeValue::String(_) => {
                    let why = "one value would name every node at once: write { a = \"...\", b = \"...\" }, or leave it \
                               out where the key has the nodes' own names";
                    return Err(Wrong::Because(why.to_owned()));
                }
                _ => return Err(not(value)),
            };
            let mut all = Vec::with_capacity(table.len());
            for (node, text) in table {
                match text_of(text.get_ref()).map(str::parse::<Word>) {
                    Some(Ok(word)) => {
                        let node = At::written(node.get_ref().to_string(), node.span());
                        all.push((node, At::written(word.0, text.span())));
                    }
                    Some(Err(why)) => self.report.error(&text.span(), format!("{name}: {why}", name = quote(name))),
                    None => {
                        let found = found(text.get_ref());
                        self.report.error(&text.span(), format!("{name}: a value must be a string, not {found}", name = quote(name)));
                    }
                }
            }
            if all.len() < table.len() {
                return Err(Wrong::Reported);
            }
            all.sort_by_key(|(node, _)| node.span.start);
            Ok(all)
        })
    }

    /// A list of URLs, each with its place.
    fn endpoints(&self, name: &str) -> Option<At<Vec<At<Endpoint>>>> {
        self.read(name, |_, value| {
            let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
                DeValue::Array(items) if (1..=9).contains(&items.len()) => items.iter().collect(),
                _ => return Err(not(value)),
            };
            self.each(name, &items, |text| text.parse::<Endpoint>())
        })
    }

    /// A table from names to priorities, in the order of the file.
    fn priorities(&self, name: &str) -> Option<At<Priorities>> {
        self.read(name, |_, value| {
            let DeValue::Table(table) = value.get_ref() else { return Err(not(value)) };
            let mut all = Vec::with_capacity(table.len());
            for (node, priority) in table {
                let number = integer_of(priority.get_ref()).and_then(|n| u8::try_from(n).ok());
                match number.filter(|n| (1..=254).contains(n)) {
                    Some(n) => all.push((At::written(node.get_ref().to_string(), node.span()), n)),
                    None => {
                        let found = found(priority.get_ref());
                        let text = format!("a priority must be a whole number from 1 to 254, not {found}");
                        self.report.error(&priority.span(), text);
                    }
                }
            }
            all.sort_by_key(|(node, _)| node.span.start);
            Ok(all)
        })
    }
}

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    if let DeValue::Integer(n) = value { i64::from_str_radix(n.as_str(), n.radix()).ok() } else { None }
}

fn not(value: &Spanned<DeValue<'_>>) -> Wrong {
    Wrong::Not(found(value.get_ref()))
}
