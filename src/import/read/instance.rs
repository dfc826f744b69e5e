//! A `vrrp_instance`.

use super::tracks::{Definitions, Tracks};
use super::{Instance, Vip, hook, keywords};
use crate::import::note::{Kind, Notes};
use crate::import::parse::Statement;
use crate::import::words;
use std::net::IpAddr;

/// keepalived's priority where nothing says another, and where it refuses one.
const PRIORITY: u8 = 100;
/// The priority of an instance whose state is MASTER and that has none: VRRP's address owner.
const OWNER: u8 = 255;
/// keepalived's default of `down_timer_adverts`.
const DOWN_TIMER: u32 = 3;

/// What follows refusals.
const DEFAULT: &str = "keepalived refuses it, so its default counts";
const BEFORE: &str = "keepalived refuses it and goes on without it";

/// The state that an instance is to begin in, as far as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Master,
    Backup,
}

/// An instance that is being read: some of its values depend on others, whatever their order.
#[derive(Debug)]
pub(super) struct Reader {
    instance: Instance,
    state: Option<State>,
    priority: Option<u8>,
    version: Option<u32>,
    strict: Option<bool>,
    /// Microseconds.
    interval: Option<u64>,
    /// The first address says whether all are IPv6; others are refused.
    six: Option<bool>,
    nopreempt: bool,
    preempt_delay: Option<(u64, String)>,
    /// keepalived takes an address of `virtual_ipaddress`, of whichever family.
    announces: bool,
}

impl Reader {
    /// Reads it; `down_timer` is what `global_defs` said before it.
    pub(super) fn read(statement: &Statement, down_timer: u32, definitions: &Definitions, notes: &mut Notes) -> Self {
        let instance = Instance {
            name: statement.value().unwrap_or_default().to_owned(),
            place: statement.place.to_string(),
            down_timer,
            ..Instance::default()
        };
        let mut reader = Self {
            instance,
            state: None,
            priority: None,
            version: None,
            strict: None,
            interval: None,
            six: None,
            nopreempt: false,
            preempt_delay: None,
            announces: false,
        };
        let mut tracks = Vec::new();
        for inside in statement.inside() {
            let known = reader.values(inside, notes) || reader.addresses(inside, notes);
            if !known && !hook(inside, &mut reader.instance.hooks, notes) {
                tracks.push(inside);
            }
        }
        reader.interfaces(notes);
        let mut taken = Tracks::beside(reader.instance.interface.clone());
        for inside in tracks {
            if !definitions.tracked(inside, &mut taken, notes) {
                keywords::instance(inside, notes);
            }
        }
        reader.instance.tracks = taken.all;
        reader
    }

    /// What has one value; `false` if it is none of these.
    fn values(&mut self, statement: &Statement, notes: &mut Notes) -> bool {
        let (key, value) = (statement.key(), statement.value().unwrap_or_default());
        let mut refuse = |why: &str, then: &str| {
            notes.add(Kind::Lost, statement.at(), format!("{key} {value}").trim_end(), format!("{why}: {then}"));
        };
        match key {
            "interface" if value.len() > 15 => refuse("no interface has a name of more than 15 characters", BEFORE),
            "interface" => self.instance.interface = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "state" => {
                match (value, self.state) {
                    ("MASTER", _) => self.state = Some(State::Master),
                    ("BACKUP", Some(State::Master)) => refuse("state is MASTER already", BEFORE),
                    ("BACKUP", _) => self.state = Some(State::Backup),
                    _ => {
                        refuse("it is neither MASTER nor BACKUP", "keepalived takes it for BACKUP");
                        self.state = Some(State::Backup);
                    }
                }
                keywords::instance(statement, notes);
            }
            "virtual_router_id" => {
                match words::number(value, 1, 255, false) {
                    Some(id) => self.instance.router_id = u8::try_from(id).ok(),
                    None => refuse("it is not a number from 1 to 255", BEFORE),
                }
                keywords::instance(statement, notes);
            }
            "version" => {
                match words::number(value, 2, 3, true) {
                    Some(version) if self.version.is_some_and(|v| v != version) => {
                        refuse("another version is set already", BEFORE);
                    }
                    Some(2) if self.six == Some(true) => refuse("IPv6 needs version 3", BEFORE),
                    Some(version) => self.version = Some(version),
                    None => refuse("it is neither 2 nor 3", BEFORE),
                }
                keywords::instance(statement, notes);
            }
            "strict_mode" => {
                match words::boolean(statement.value()) {
                    Some(strict) => self.strict = Some(strict),
                    None => refuse("it is neither true nor false", BEFORE),
                }
                keywords::instance(statement, notes);
            }
            "native_ipv6" => {
                if self.six == Some(false) {
                    refuse("the instance has IPv4 addresses", BEFORE);
                } else {
                    (self.six, self.version) = (Some(true), Some(3));
                }
                keywords::instance(statement, notes);
            }
            "priority" => {
                let read = words::number(value, 1, 255, false).and_then(|n| u8::try_from(n).ok());
                if read.is_none() {
                    refuse("it is not a number from 1 to 255", "keepalived refuses it and takes its default, 100");
                }
                self.priority = Some(read.unwrap_or(PRIORITY));
            }
            "down_timer_adverts" => match words::number(value, 1, 100, true) {
                Some(number) => self.instance.down_timer = number,
                None => refuse("it is not a number from 1 to 100", BEFORE),
            },
            "advert_int" => match words::micros(value, 10_000, 255_000_000) {
                Some(micros) => self.interval = Some(micros),
                None if self.interval.is_some() => refuse("it is not a number of seconds from 0.01 to 255", BEFORE),
                None => refuse(
                    "it is not a number of seconds from 0.01 to 255",
                    "keepalived refuses it, so its default counts, 1s",
                ),
            },
            "preempt_delay" => match words::micros(value, 0, 1_000_000_000) {
                Some(micros) => self.preempt_delay = Some((micros / 1000, statement.place.to_string())),
                None => {
                    refuse("it is not a number of seconds from 0 to 1000", DEFAULT);
                    self.preempt_delay = None;
                }
            },
            "nopreempt" => self.nopreempt = true,
            "preempt" => self.nopreempt = false,
            _ => return false,
        }
        true
    }

    /// What has addresses; `false` if it has none.
    fn addresses(&mut self, statement: &Statement, notes: &mut Notes) -> bool {
        match statement.key() {
            "unicast_src_ip" | "mcast_src_ip" => {
                let value = statement.value().unwrap_or_default();
                if let Some(ip) = self.host(statement, value, notes) {
                    self.instance.source = reachable(statement, ip, notes).or(self.instance.source);
                }
            }
            "mcast_dst_ip" => {
                if let Some((ip, _)) = words::address(statement.value().unwrap_or_default()) {
                    self.six.get_or_insert(ip.is_ipv6());
                }
                keywords::instance(statement, notes);
            }
            "unicast_peer" => {
                for entry in statement.inside() {
                    let Some(ip) = self.host(entry, entry.key(), notes) else { continue };
                    self.instance.peers.extend(reachable(entry, ip, notes));
                    let options = entry.words[1..].iter().step_by(2).filter(|w| *w != "min_ttl" && *w != "max_ttl");
                    for word in options {
                        let why = "keepalived takes one address a line, and passes over the rest of it";
                        notes.add(Kind::Lost, entry.at(), format!("address {word}"), why);
                    }
                }
            }
            "virtual_ipaddress" => {
                for entry in statement.inside() {
                    self.vip(entry, true, notes);
                }
            }
            // These go on the interface without being announced, so they may be of the other family.
            "virtual_ipaddress_excluded" => {
                for entry in statement.inside() {
                    self.vip(entry, false, notes);
                }
            }
            _ => return false,
        }
        true
    }

    /// An address that a host is reached by, perhaps of a range or a network.
    fn host(&mut self, statement: &Statement, text: &str, notes: &mut Notes) -> Option<IpAddr> {
        let alone = text.split(['-', '/']).next().unwrap_or_default();
        let Ok(ip) = alone.parse::<IpAddr>() else {
            not_an_address(statement, text, notes);
            return None;
        };
        self.of_the_family(statement, ip, notes).then_some(ip)
    }

    /// Whether keepalived takes an address of that family.
    fn of_the_family(&mut self, statement: &Statement, ip: IpAddr, notes: &mut Notes) -> bool {
        let six = *self.six.get_or_insert(ip.is_ipv6());
        if six != ip.is_ipv6() {
            let (own, other) = if six { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
            let why = format!(
                "the instance is one for {own}, by its first address: keepalived takes no {other} address for it"
            );
            notes.add(Kind::Lost, statement.at(), format!("address {ip}"), why);
        }
        six == ip.is_ipv6()
    }

    /// `ADDRESS[/LENGTH] [dev IF] [label X] [scope ...] ...`, one a line.
    fn vip(&mut self, entry: &Statement, announced: bool, notes: &mut Notes) {
        let text = entry.key();
        let Some((ip, prefix)) = words::address(text) else {
            not_an_address(entry, text, notes);
            return;
        };
        let longest = if ip.is_ipv6() { 128 } else { 32 };
        // Nothing behind the slash is a zero for keepalived.
        let length = prefix.map(|p| if p.is_empty() { Some(0) } else { words::number(p, 0, longest, true) });
        if length == Some(None) {
            let why =
                format!("with that prefix it is not an IP address; keepalived reports it and takes {ip}/{longest}");
            notes.add(Kind::OwnWay, entry.at(), format!("address {text}"), why);
        } else if length.flatten().is_some_and(|p| p != 32) && ip.is_ipv4() {
            let why = "a HAVIP goes on its interface as /32; the subnet is reached by the instance's own address";
            notes.add(Kind::OwnWay, entry.at(), format!("{text}, its prefix"), why);
        }
        let dev = match options(entry, ip, notes) {
            Ok(dev) => dev,
            Err(why) => {
                notes.add(
                    Kind::Lost,
                    entry.at(),
                    format!("address {text}"),
                    format!("{why}: keepalived refuses the address"),
                );
                return;
            }
        };
        if announced && !self.of_the_family(entry, ip, notes) {
            return;
        }
        self.announces |= announced;
        match ip {
            IpAddr::V4(v4) if !v4.is_private() => {
                let why =
                    "it is not a private address, and a HAVIP has one: bind it to a HAVIP as its public address (EIP)";
                notes.add(Kind::Lost, entry.at(), format!("address {ip}"), why);
            }
            IpAddr::V4(_) => {
                let dev = dev.map(str::to_owned);
                self.instance.vips.push(Vip { ip, dev, place: entry.place.to_string() });
            }
            IpAddr::V6(_) => {
                let why = "HAVIPs of Baidu AI Cloud are IPv4";
                notes.add(Kind::Lost, entry.at(), format!("address {ip}"), why);
            }
        }
    }

    /// Addresses go on the instance's interface where they name no other; the last `interface` counts.
    fn interfaces(&mut self, notes: &mut Notes) {
        let usual = self.instance.interface.clone();
        for vip in &mut self.instance.vips {
            let Some(dev) = vip.dev.take().or_else(|| usual.clone()) else { continue };
            let place = || Some(vip.place.clone());
            let (link, alias) = words::interface(&dev);
            if !words::is_interface(link) {
                let why = "it cannot be the name of an interface: the one with the node's address is taken";
                notes.add(Kind::Lost, place(), format!("interface {dev}"), why);
                continue;
            }
            if alias {
                let why = format!("aliases are not interfaces: the address goes on {link}");
                notes.add(Kind::OwnWay, place(), format!("interface {dev}"), why);
            }
            vip.dev = Some(link.to_owned());
        }
    }

    /// The instance as it runs, with what follows from all of its values; `version` and `strict` are those of
    /// `global_defs`.
    pub(super) fn complete(self, version: u32, strict: bool, notes: &mut Notes) -> Instance {
        let mut instance = self.instance;
        let (name, place) = (instance.name.clone(), Some(instance.place.clone()));
        let strict = self.strict.unwrap_or(strict);
        let six = self.six == Some(true);
        let version = match self.version {
            Some(2) if six && strict => 3,
            Some(version) => version,
            None => {
                if six {
                    3
                } else {
                    version
                }
            }
        };
        instance.priority = self.priority.unwrap_or_else(|| {
            let owner = self.state == Some(State::Master);
            if owner {
                let why = "keepalived takes state MASTER without a priority for priority 255";
                notes.add(Kind::Assumed, place.clone(), format!("priority of {name}"), why);
            }
            if owner { OWNER } else { PRIORITY }
        });
        let owner = instance.priority == OWNER;
        instance.starts_as_master = match self.state {
            None => owner,
            Some(_) if strict => owner,
            Some(state) => state == State::Master,
        };
        instance.interval = interval(self.interval, version, &name, place.as_ref(), notes);
        if strict && instance.down_timer != DOWN_TIMER {
            let why = "strict mode allows no other: keepalived takes its default, 3";
            notes.add(Kind::Lost, place.clone(), format!("down_timer_adverts of {name}"), why);
            instance.down_timer = DOWN_TIMER;
        }
        let master = owner || instance.starts_as_master;
        instance.no_preempt = self.nopreempt && !master;
        instance.no_preempt_ignored = self.nopreempt && master;
        if let Some((delay, place)) = self.preempt_delay {
            let why = if delay == 0 {
                None
            } else if instance.starts_as_master {
                Some("keepalived ignores it where state is MASTER")
            } else if strict {
                Some("keepalived ignores it in strict mode")
            } else if instance.no_preempt {
                Some("keepalived ignores it beside nopreempt")
            } else {
                None
            };
            if let Some(why) = why {
                notes.add(
                    Kind::Assumed,
                    Some(place),
                    format!("preempt_delay of {name}"),
                    format!("{why}, so it is not in force here either"),
                );
            } else {
                instance.preempt_delay = delay;
            }
        }
        for why in stops(&instance, self.announces || (version == 2 && !strict)) {
            let why = format!("keepalived does not start with this file: {why}");
            notes.add(Kind::Assumed, place.clone(), format!("vrrp_instance {name}"), why);
        }
        instance
    }
}

/// What makes keepalived end at once. Here the instance is taken as it is written. `addressed` is whether it has an
/// address, or may be without.
fn stops(instance: &Instance, addressed: bool) -> Vec<&'static str> {
    let mut all = Vec::new();
    if instance.router_id.is_none() {
        all.push("virtual_router_id is missing");
    }
    if instance.interface.is_none() {
        all.push("interface is missing");
    }
    if !addressed {
        all.push("version 3 and strict mode need a virtual_ipaddress that it takes");
    }
    all
}

/// Milliseconds; version 2 has whole seconds, version 3 hundredths up to 40.95 s.
fn interval(micros: Option<u64>, version: u32, name: &str, place: Option<&String>, notes: &mut Notes) -> u64 {
    let Some(micros) = micros else { return 1000 };
    let (unit, longest) = if version == 2 { (1_000_000, 255_000_000) } else { (10_000, 40_950_000) };
    let rounded = ((micros + unit / 2) / unit * unit).clamp(unit, longest);
    let millis = rounded / 1000;
    if rounded != micros {
        let written = micros / 1000;
        let why = match version {
            2 => format!("VRRP version 2 has whole seconds: keepalived rounds {written} ms to {millis} ms"),
            _ => format!(
                "VRRP version 3 has hundredths of a second up to 40.95: keepalived rounds {written} ms to {millis} ms"
            ),
        };
        notes.add(Kind::Assumed, place.cloned(), format!("advert_int of {name}"), why);
    }
    millis
}

/// The address, if a node can be reached by it.
fn reachable(statement: &Statement, ip: IpAddr, notes: &mut Notes) -> Option<IpAddr> {
    if !words::is_reachable(ip) {
        let why = "it belongs to one link, or to no node: heartbeats need an address that the other nodes can reach";
        notes.add(Kind::Lost, statement.at(), format!("address {ip}"), why);
        return None;
    }
    Some(ip)
}

fn not_an_address(statement: &Statement, text: &str, notes: &mut Notes) {
    let why = "it is not an IP address: write it out";
    notes.add(Kind::Lost, statement.at(), format!("address {text}"), why);
}

/// What stands behind an address: the interface is the only thing that is used. The error is why keepalived refuses the
/// address.
fn options<'a>(entry: &'a Statement, ip: IpAddr, notes: &mut Notes) -> Result<Option<&'a str>, String> {
    let mut dev = None;
    let mut rest = entry.words[1..].iter().map(String::as_str);
    while let Some(word) = rest.next() {
        let takes_value = ["brd", "broadcast", "dev", "scope", "label", "peer", "preferred_lft"].contains(&word);
        let value = if takes_value { Some(rest.next().ok_or_else(|| format!("{word} has no value"))?) } else { None };
        match (word, value) {
            ("dev", _) if dev.is_some() => return Err("it has dev twice".to_owned()),
            ("dev", value) => dev = value,
            ("brd" | "broadcast", Some(_)) if ip.is_ipv6() => return Err("IPv6 has no broadcast".to_owned()),
            ("brd" | "broadcast", Some(value))
                if !matches!(value, "+" | "-") && value.parse::<std::net::Ipv4Addr>().is_err() =>
            {
                return Err(format!("{value} is not a broadcast address"));
            }
            ("label", Some(label)) if label.len() > 15 => {
                return Err("its label has more than 15 characters".to_owned());
            }
            ("label", Some(label)) => {
                let why = "havipd sets no labels: who looks for the alias has to look for the address";
                notes.add(Kind::Lost, entry.at(), format!("label {label}"), why);
            }
            ("peer", Some(peer)) => {
                let why = "a HAVIP is an address of its own, without a peer";
                notes.add(Kind::Lost, entry.at(), format!("{ip} peer {peer}"), why);
            }
            (word, value) => {
                let known = takes_value
                    || matches!(
                        word,
                        "home" | "-nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin" | "no_track" | "use_vmac"
                    );
                let what = format!("{word} {}", value.unwrap_or_default()).trim_end().to_owned();
                if known {
                    let why = "an address goes on its interface without further options";
                    notes.add(Kind::OwnWay, entry.at(), what, why);
                } else {
                    let why = "keepalived takes one address a line with its options, and passes over this word";
                    notes.add(Kind::Lost, entry.at(), what, why);
                }
            }
        }
    }
    Ok(dev)
}
