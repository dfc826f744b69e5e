//! A havipd.toml from the configurations of vip-manager on one or more nodes of a cluster.
//!
//! vip-manager's file is YAML, of which it uses `key: value` and lists of strings alone. No crate that reads YAML is part
//! of this project, so a reader of exactly that is here; whatever else a file has is an error with its line. vip-manager
//! also takes environment variables and options, which go before its file: they are not seen here, and a note says so.
//!
//! Source: vip-manager's own list of configuration items, with the names that they had before 1.0.

use super::note::{Kind, Notes};
use super::render::{comment, line, list, quote};
use super::{ImportError, Imported, Input, Options};
use havipd_core::model::ids::{ClusterName, GroupName, NodeName};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What is not set in a file that vip-manager goes without, too.
const USUAL_ENDPOINT: &str = "http://127.0.0.1:2379";

/// One item of a file: where it stands, and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    line: usize,
    values: Vec<String>,
}

/// A file's items by their names of today.
type Items = BTreeMap<String, Item>;

/// Imports the files of a cluster, one for each node.
///
/// # Errors
/// [`ImportError`]. What is merely unknown or cannot be carried over is a note.
pub fn import(inputs: &[Input], options: &Options) -> Result<Imported, ImportError> {
    let cluster: ClusterName = options.cluster.parse().map_err(|_| ImportError::Name(options.cluster.clone()))?;
    let mut notes = Notes::default();
    let files = inputs.iter().map(|input| Ok((input, read(input)?))).collect::<Result<Vec<_>, ImportError>>()?;
    for (input, items) in &files {
        note(input, items, &mut notes);
    }
    let key = common(&files, "trigger-key").map_err(|why| nothing(why, &notes))?;
    let ip = common(&files, "ip").map_err(|why| nothing(why, &notes))?;
    let ip: Ipv4Addr = ip.parse().map_err(|_| {
        nothing(format!("the ip {} is no IPv4 address, as a HAVIP has", crate::plain::line(&ip)), &notes)
    })?;
    for (input, items) in &files {
        let kind = first(items, "dcs-type").unwrap_or("etcd");
        if !matches!(kind, "etcd" | "etcd3") {
            let why = format!(
                "{} has dcs-type {}, and havipd follows a leader in etcd alone",
                input.path,
                crate::plain::line(kind)
            );
            return Err(nothing(why, &notes));
        }
    }
    let nodes = nodes(&files, &mut notes)?;
    let toml = Out { cluster, key, ip, nodes, files: &files, options }.toml(&mut notes);
    Ok(Imported { toml, notes })
}

fn nothing(why: String, notes: &Notes) -> ImportError {
    let mut notes = notes.clone();
    // There is no file to fill anything into.
    notes.0.retain(|note| note.kind != Kind::FillIn);
    ImportError::Nothing { why, notes }
}

fn first<'a>(items: &'a Items, name: &str) -> Option<&'a str> {
    items.get(name).and_then(|item| item.values.first()).map(String::as_str).filter(|text| !text.is_empty())
}

/// What all files have to have, and the same.
fn common(files: &[(&Input, Items)], name: &str) -> Result<String, String> {
    let mut found: Option<(&str, &str)> = None;
    for (input, items) in files {
        let value = first(items, name).ok_or_else(|| format!("{} has no {name}", input.path))?;
        match found {
            Some((path, before)) if before != value => {
                return Err(format!(
                    "{path} and {} have another {name}: import those of one address together",
                    input.path
                ));
            }
            _ => found = Some((&input.path, value)),
        }
    }
    found.map(|(_, value)| value.to_owned()).ok_or_else(|| "there is no file".to_owned())
}

/// What becomes of the items that are not written into the result.
fn note(input: &Input, items: &Items, notes: &mut Notes) {
    for (name, item) in items {
        let place = Some(format!("{}:{}", input.path, item.line));
        let (kind, why) = match name.as_str() {
            "ip" | "interface" | "trigger-key" | "trigger-value" | "dcs-type" | "dcs-endpoints" | "etcd-user"
            | "etcd-ca-file" | "etcd-cert-file" | "etcd-key-file" => continue,
            "etcd-password" => (
                Kind::FillIn,
                "write the password alone into the file etcd-password beside havipd.toml, mode 0600, or 0640 and group havipd",
            ),
            "interval" | "retry-num" | "retry-after" => {
                (Kind::OwnWay, "a watch tells of a change at once; how long silence is borne says etcd.lease")
            }
            "netmask" => (Kind::OwnWay, "a HAVIP is put on the interface as /32"),
            "verbose" => (Kind::OwnWay, "log.level"),
            "manager-type" if first(items, name) == Some("basic") => (Kind::OwnWay, "the cloud moves the address, too"),
            "manager-type" => (Kind::Lost, "havipd moves HAVIPs of Baidu AI Cloud alone"),
            "consul-token" => (Kind::Lost, "havipd follows a leader in etcd alone"),
            _ => (Kind::Lost, "vip-manager has no such item, as far as is known here"),
        };
        notes.add(kind, place, name, why);
    }
}

/// A node: its name, and its value in the key.
struct Node {
    name: NodeName,
    value: String,
    interface: Option<String>,
}

fn nodes(files: &[(&Input, Items)], notes: &mut Notes) -> Result<Vec<Node>, ImportError> {
    let mut nodes: Vec<Node> = Vec::new();
    for (i, (input, items)) in files.iter().enumerate() {
        let value = first(items, "trigger-value");
        let name: NodeName = match &input.node {
            Some(name) => name.parse().map_err(|_| ImportError::Name(name.clone()))?,
            None => match value.and_then(|value| value.parse().ok()) {
                Some(name) => name,
                None => {
                    let name = format!("node{}", i + 1);
                    name.parse().map_err(|_| ImportError::Name(name))?
                }
            },
        };
        if nodes.iter().any(|node| node.name == name) {
            return Err(ImportError::SameName(name.to_string()));
        }
        if value.is_none() {
            let why =
                "vip-manager takes the host's name: call the node so (NAME=FILE), or write its name into leader-value";
            notes.add(Kind::FillIn, Some(input.path.clone()), "trigger-value", why);
        }
        let value = value.map_or_else(|| name.to_string(), str::to_owned);
        nodes.push(Node { name, value, interface: first(items, "interface").map(str::to_owned) });
    }
    Ok(nodes)
}

struct Out<'a> {
    cluster: ClusterName,
    key: String,
    ip: Ipv4Addr,
    nodes: Vec<Node>,
    files: &'a [(&'a Input, Items)],
    options: &'a Options,
}

impl Out<'_> {
    fn toml(&self, notes: &mut Notes) -> String {
        let mut text = String::from("# Made by havipctl import --from vip-manager.\n");
        for ((input, _), node) in self.files.iter().zip(&self.nodes) {
            line(&mut text, format_args!("# Node {}: {}", node.name, crate::plain::line(&input.path)));
        }
        text.push_str(
            "#\n# Fill in what is \"...\", \"i-...\" and \"havip-...\" (the file is refused with them), make the key, and check it:\n\
             #   havipctl keygen --out /etc/havipd/heartbeat.key    # on one node; copy the key to the others\n\
             #   havipd --check-config\n# Stop vip-manager before havipd runs: both would put the address on the host.\n\n",
        );
        line(&mut text, format_args!("[cluster]\nname = {}", quote(self.cluster.as_str())));
        self.of_nodes(&mut text);
        text.push_str("\n[heartbeat]\nkeys = [{ id = 1, file = \"heartbeat.key\" }]\n");
        text.push_str("\n[cloud]\n# Without it the metadata service is asked.\n#region = \"bj\"\n");
        self.of_etcd(&mut text);
        self.of_group(&mut text);
        let why =
            "vip-manager knows neither; nodes send each other heartbeats, and the cloud binds the HAVIP to an instance";
        notes.add(Kind::FillIn, None, "the nodes' addresses and instances, and the HAVIP's id", why);
        let why = "they go before the file, and are not seen here: see the unit and /etc/default/vip-manager";
        notes.add(Kind::Assumed, None, "no VIP_ variables and no options", why);
        if self.nodes.len() < 2 {
            let why = "one file is one node: name the other node here, or import a=FILE b=FILE";
            notes.add(Kind::FillIn, None, "a second node", why);
        }
        for kind in Kind::ALL {
            let all = notes.of(kind);
            if !all.is_empty() {
                line(&mut text, format_args!("\n# {}:", kind.heading()));
                all.iter().for_each(|note| comment(&mut text, note));
            }
        }
        text
    }

    fn of_nodes(&self, text: &mut String) {
        let one = |text: &mut String, name: &str, interface: Option<&str>| {
            line(text, format_args!("\n[[node]]\nname = {name}\naddress = \"...\"\ninstance = \"i-...\""));
            if let Some(interface) = interface {
                line(text, format_args!("interface = {}", quote(interface)));
            }
        };
        for node in &self.nodes {
            one(text, &quote(node.name.as_str()), node.interface.as_deref());
        }
        if self.nodes.len() < 2 {
            one(text, "\"...\"", None);
        }
    }

    fn of_etcd(&self, text: &mut String) {
        let mut endpoints: Vec<String> = Vec::new();
        for value in self.files.iter().filter_map(|(_, items)| items.get("dcs-endpoints")).flat_map(|item| &item.values)
        {
            // The old way was a list in one string.
            for endpoint in value.split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty()) {
                if !endpoints.iter().any(|known| known == endpoint) {
                    endpoints.push(endpoint.to_owned());
                }
            }
        }
        if endpoints.is_empty() {
            endpoints.push(USUAL_ENDPOINT.to_owned());
        }
        line(text, format_args!("\n[etcd]\nendpoints = {}", list(&endpoints)));
        let given = |name: &str| self.files.iter().find_map(|(_, items)| first(items, name));
        for (key, name) in [("ca-file", "etcd-ca-file"), ("cert-file", "etcd-cert-file"), ("key-file", "etcd-key-file")]
        {
            if let Some(value) = given(name) {
                line(text, format_args!("{key} = {}", quote(value)));
            }
        }
        if let Some(user) = given("etcd-user") {
            line(text, format_args!("user = {}\npassword-file = \"etcd-password\"", quote(user)));
        }
    }

    fn of_group(&self, text: &mut String) {
        // Of /service/SCOPE/leader the scope.
        let scope =
            self.key.trim_end_matches("/leader").rsplit('/').next().and_then(|scope| scope.parse::<GroupName>().ok());
        let name = scope.map_or_else(|| "vip".to_owned(), |scope| scope.to_string());
        line(text, format_args!("\n[[group]]\nname = {}\narbiter = \"etcd\"", quote(&name)));
        line(text, format_args!("leader-key = {}", quote(&self.key)));
        let other = self.nodes.iter().filter(|node| node.name.as_str() != node.value);
        let values: Vec<String> =
            other.map(|node| format!("{} = {}", quote(node.name.as_str()), quote(&node.value))).collect();
        if !values.is_empty() {
            line(text, format_args!("leader-value = {{ {} }}", values.join(", ")));
        }
        if self.options.observe {
            line(text, "observe = true");
        }
        line(text, format_args!("\n[[group.havip]]\nid = \"havip-...\"\naddress = \"{}\"", self.ip));
    }
}

/// The name of an item today.
fn today(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    match name.as_str() {
        "mask" => "netmask",
        "iface" => "interface",
        "key" => "trigger-key",
        "host" | "nodename" => "trigger-value",
        "type" => "dcs-type",
        "endpoint" | "endpoints" => "dcs-endpoints",
        "hosting-type" | "hostingtype" => "manager-type",
        other => other,
    }
    .to_owned()
}

/// Reads the items of one file.
fn read(input: &Input) -> Result<Items, ImportError> {
    let mut items = Items::new();
    let mut open: Option<String> = None;
    for (number, text) in (1..).zip(input.text.lines()) {
        let wrong = |why: &str| ImportError::Syntax { file: input.path.clone(), line: number, text: why.to_owned() };
        let content = without_comment(text).trim_end();
        if content.trim().is_empty() || content == "---" {
            continue;
        }
        if let Some(item) = content.trim_start().strip_prefix("- ").or_else(|| (content.trim() == "-").then_some("")) {
            let Some(item_of) = open.as_ref().and_then(|name| items.get_mut(name)) else {
                return Err(wrong("an entry of a list without a key before it"));
            };
            item_of.values.push(scalar(item.trim()).map_err(|why| wrong(&why))?);
            continue;
        }
        if content.starts_with([' ', '\t']) {
            return Err(wrong("vip-manager's file has keys at the beginning of a line, and lists below them"));
        }
        let (name, value) = match content.split_once(':') {
            Some((name, value)) if value.is_empty() || value.starts_with(' ') => (today(name.trim()), value.trim()),
            _ => return Err(wrong("not of the form key: value")),
        };
        let values = match value.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(inner)) => {
                let each = inner.split(',').map(str::trim).filter(|item| !item.is_empty());
                each.map(scalar).collect::<Result<Vec<_>, _>>().map_err(|why| wrong(&why))?
            }
            Some(None) => return Err(wrong("a list that is not closed in its line")),
            None if value.is_empty() => Vec::new(),
            None => vec![scalar(value).map_err(|why| wrong(&why))?],
        };
        open = value.is_empty().then(|| name.clone());
        let item = Item { line: number, values };
        match items.get(&name) {
            Some(before) if before.values != item.values => {
                return Err(wrong("a second value of one item, perhaps by its name before 1.0"));
            }
            Some(_) => {}
            None => drop(items.insert(name, item)),
        }
    }
    Ok(items)
}

/// A line up to its comment: what begins it, or what follows a blank, outside of quotes.
fn without_comment(line: &str) -> &str {
    let (mut quoted, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match quoted {
            Some(mark) if c == mark => quoted = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => {
                quoted = Some(c).filter(|_| before == ' ' || before == '[' || before == ',')
            }
            None if c == '#' && before.is_whitespace() => return &line[..at],
            None => {}
        }
        before = c;
    }
    line
}

/// A value, with or without quotes.
fn scalar(text: &str) -> Result<String, String> {
    for mark in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(mark) {
            return match rest.strip_suffix(mark) {
                Some(inner) if !inner.contains(['"', '\'', '\\']) => Ok(inner.to_owned()),
                _ => Err("a text in quotes that is not closed, or with quotes or backslashes in it".to_owned()),
            };
        }
    }
    // What YAML means by these is not what it looks like.
    if text.starts_with(['{', '&', '*', '|', '>', '!', '%', '@', '`']) {
        return Err("only texts, numbers and lists of them are read here".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "\
# config for vip-manager
interval: 1000
trigger-key: \"/service/pgcluster/leader\"
trigger-value: \"pgcluster_member1\"   # as in patroni.yml
ip: 192.168.0.123
netmask: 24
interface: enp0s3
dcs-type: etcd
dcs-endpoints:
  - http://127.0.0.1:2379
  - https://192.168.0.42:2379
etcd-user: \"patroni\"
etcd-password: \"snake#oil\"
retry-num: 2
verbose: false
";

    fn input(node: Option<&str>, text: &str) -> Input {
        Input {
            node: node.map(str::to_owned),
            path: "vip-manager.yml".to_owned(),
            text: text.to_owned(),
            ..Input::default()
        }
    }

    fn done(inputs: &[Input]) -> Imported {
        import(inputs, &Options::default()).expect("it has all that is needed")
    }

    #[test]
    fn a_pair_becomes_a_group_that_follows_the_key() {
        let other = FILE.replace("member1", "member2");
        let made = done(&[input(Some("a"), FILE), input(Some("b"), &other)]);
        for part in [
            "arbiter = \"etcd\"",
            "leader-key = \"/service/pgcluster/leader\"",
            "name = \"pgcluster\"",
            "leader-value = { \"a\" = \"pgcluster_member1\", \"b\" = \"pgcluster_member2\" }",
            "address = \"192.168.0.123\"",
            "interface = \"enp0s3\"",
            "endpoints = [\"http://127.0.0.1:2379\", \"https://192.168.0.42:2379\"]",
            "user = \"patroni\"\npassword-file = \"etcd-password\"",
        ] {
            assert!(made.toml.contains(part), "{part}\n{}", made.toml);
        }
        assert!(!made.toml.contains("snake"), "a password that anybody could read");
        assert!(toml::from_str::<toml::Table>(&made.toml).is_ok(), "{}", made.toml);
        assert!(made.notes.of(Kind::Lost).is_empty(), "{:?}", made.notes);
    }

    #[test]
    fn names_of_before_mean_the_same() {
        let old = "iface: eth0\nkey: /service/pg/leader\nnodename: pg1\nmask: 24\nip: 10.0.0.9\ntype: etcd\n\
                   endpoint: http://a:2379,http://b:2379\nhosting_type: basic\n";
        let made = done(&[input(None, old)]);
        assert!(made.toml.contains("endpoints = [\"http://a:2379\", \"http://b:2379\"]"), "{}", made.toml);
        assert!(made.toml.contains("name = \"pg1\"") && !made.toml.contains("leader-value ="), "{}", made.toml);
        assert!(made.notes.of(Kind::FillIn).iter().any(|note| note.contains("a second node")));
    }

    #[test]
    fn what_is_no_file_of_it_says_where() {
        for (text, line) in [
            ("ip: 10.0.0.9\n  nested: x\n", 2),
            ("ip\n", 1),
            ("- x\n", 1),
            ("ip: {a: b}\n", 1),
            ("ip: \"10.0.0.9\n", 1),
            ("ip: 10.0.0.9\nip: 10.0.0.8\n", 2),
            ("dcs-endpoints: [a\n", 1),
        ] {
            match import(&[input(None, text)], &Options::default()) {
                Err(ImportError::Syntax { line: at, .. }) => assert_eq!(at, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in
            ["", "ip: 10.0.0.9\n", &FILE.replace("etcd\n", "consul\n"), &FILE.replace("192.168.0.123", "fd00::1")]
        {
            let result = import(&[input(None, text)], &Options::default());
            assert!(matches!(result, Err(ImportError::Nothing { .. })), "{text}: {result:?}");
        }
        let two = [input(Some("a"), FILE), input(Some("b"), &FILE.replace(".123", ".124"))];
        assert!(matches!(import(&two, &Options::default()), Err(ImportError::Nothing { .. })));
        let same = [input(Some("a"), FILE), input(Some("a"), FILE)];
        assert!(matches!(import(&same, &Options::default()), Err(ImportError::SameName(_))));
    }

    proptest! {
        #[test]
        fn anything_at_all_is_a_file_of_toml_or_an_error(text in "([a-z\\-]{1,12}: ?[ -~]{0,12}\n|[ -~]{0,20}\n|ip: 10.0.0.9\n|trigger-key: /k\n){0,10}") {
            if let Ok(made) = import(&[input(None, &text)], &Options::default()) {
                prop_assert!(toml::from_str::<toml::Table>(&made.toml).is_ok(), "{}", made.toml);
            }
        }
    }
}
