//! What keepalived means by its keywords, as far as havipd has a use for it. Whatever is not used is noted.

mod instance;
mod keywords;

use super::Input;
use super::note::{Kind, Notes};
use super::parse::Statement;
use super::words;
use std::net::IpAddr;

/// A virtual address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vip {
    pub(super) ip: IpAddr,
    /// The interface that it goes on.
    pub(super) dev: Option<String>,
    pub(super) place: String,
}

/// A program of a hook, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    /// havipd's key.
    pub(super) key: &'static str,
    pub(super) argv: Vec<String>,
    pub(super) place: String,
}

/// A `vrrp_instance`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) starts_as_master: bool,
    pub(super) interface: Option<String>,
    pub(super) router_id: Option<u8>,
    pub(super) priority: Option<u8>,
    /// Milliseconds.
    pub(super) interval: Option<u64>,
    pub(super) down_timer: Option<u32>,
    pub(super) no_preempt: bool,
    /// Milliseconds.
    pub(super) preempt_delay: Option<u64>,
    pub(super) source: Option<IpAddr>,
    pub(super) peers: Vec<IpAddr>,
    pub(super) vips: Vec<Vip>,
    pub(super) hooks: Vec<Hook>,
}

/// A `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sync {
    pub(super) name: String,
    pub(super) members: Vec<String>,
    pub(super) hooks: Vec<Hook>,
}

/// Everything of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    /// As it was told.
    pub(super) name: Option<String>,
    pub(super) path: String,
    pub(super) router_id: Option<String>,
    /// Milliseconds.
    pub(super) startup_delay: Option<u64>,
    pub(super) instances: Vec<Instance>,
    pub(super) syncs: Vec<Sync>,
}

/// A check of keepalived, in words.
struct Check {
    name: String,
    does: String,
}

/// Reads one node.
pub(super) fn node(input: &Input, all: &[Statement], notes: &mut Notes) -> Node {
    let mut node = Node { name: input.node.clone(), path: input.path.clone(), ..Node::default() };
    let checks: Vec<Check> = all.iter().filter_map(check).collect();
    let mut default_interface = None;
    for statement in all.iter().filter(|s| s.key() == "global_defs").flat_map(Statement::inside) {
        match (statement.key(), statement.value()) {
            ("router_id", Some(id)) => node.router_id = Some(id.to_owned()),
            ("default_interface", Some(name)) => default_interface = Some(name.to_owned()),
            ("vrrp_startup_delay", Some(text)) => node.startup_delay = words::seconds(text),
            _ => keywords::global(statement, notes),
        }
    }
    for statement in all {
        match statement.key() {
            "global_defs" => {}
            "vrrp_instance" => {
                node.instances.push(instance::read(statement, &checks, default_interface.as_deref(), notes));
            }
            "vrrp_sync_group" => {}
            _ => keywords::top(statement, notes),
        }
    }
    let vips = node.instances.iter().flat_map(|i| &i.vips);
    let own: Vec<String> = vips.filter_map(|v| v.dev.clone()).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    for statement in all.iter().filter(|s| s.key() == "vrrp_sync_group") {
        node.syncs.push(sync(statement, &checks, &own, notes));
    }
    node
}

fn sync(statement: &Statement, checks: &[Check], own: &[&str], notes: &mut Notes) -> Sync {
    let mut sync = Sync { name: statement.value().unwrap_or_default().to_owned(), ..Sync::default() };
    for inside in statement.inside() {
        match inside.key() {
            "group" => {
                let members = inside.inside().iter().flat_map(|s| &s.words).map(|w| w.text.clone());
                sync.members.extend(members);
            }
            _ if hook(inside, &mut sync.hooks, notes) || tracked(inside, checks, own, notes) => {}
            _ => keywords::sync(inside, notes),
        }
    }
    sync
}

/// Takes a hook; `false` if it is none.
fn hook(statement: &Statement, hooks: &mut Vec<Hook>, notes: &mut Notes) -> bool {
    let key = match statement.key() {
        "notify" => "notify",
        "notify_master" => "notify-master",
        "notify_backup" => "notify-backup",
        "notify_fault" => "notify-fault",
        "notify_stop" => "notify-stop",
        _ => return false,
    };
    let Some(word) = statement.words.get(1) else { return true };
    // Without quotes the program is one word, and a user and a group may follow in both cases.
    let argv = if word.quoted { words::command(&word.text) } else { vec![word.text.clone()] };
    if let Some(user) = statement.words.get(2) {
        let why = "hooks run as the user havipd; the drop-in privileged-hooks.conf runs them as root";
        notes.add(Kind::OwnWay, Some(statement.place.clone()), format!("{} user {}", statement.key(), user.text), why);
    }
    if !argv.is_empty() {
        hooks.push(Hook { key, argv, place: statement.place.clone() });
    }
    true
}

/// Notes what is tracked; `false` if it is nothing of the kind. A link that havipd watches anyway is one of `own`.
fn tracked(statement: &Statement, checks: &[Check], own: &[&str], notes: &mut Notes) -> bool {
    let what = statement.key();
    if !matches!(what, "track_script" | "track_process" | "track_file" | "track_interface" | "track_bfd") {
        return false;
    }
    for entry in statement.inside().iter().filter(|s| !s.words.is_empty()) {
        let (name, place) = (entry.key(), Some(entry.place.clone()));
        let weight = match entry.words.get(1..) {
            Some([word, weight, ..]) if word.text == "weight" => format!(", with weight {}", weight.text),
            _ => String::new(),
        };
        if what == "track_interface" && own.contains(&name) {
            let why = "havipd watches the link of the interface that the HAVIP goes on: down is Fault";
            notes.add(Kind::OwnWay, place, format!("track_interface {name}"), why);
            continue;
        }
        let does = match (what, checks.iter().find(|c| c.name == name)) {
            ("track_interface", _) => format!("the link of {name}"),
            ("track_bfd", _) => "the BFD session".to_owned(),
            (_, Some(check)) => check.does.clone(),
            (_, None) => "it is not defined in these files".to_owned(),
        };
        let why = format!(
            "{does}{weight}: this version of havipd has no checks ([[check]]); until it has, whatever notices the \
             failure has to run havipctl drain, and havipctl undrain when it is over"
        );
        notes.add(Kind::Lost, place, format!("{what} {name}"), why);
    }
    true
}

/// What a check does, if the statement defines one.
fn check(statement: &Statement) -> Option<Check> {
    let key = match statement.key() {
        "vrrp_script" => "script",
        "vrrp_track_process" | "track_process" => "process",
        "vrrp_track_file" | "track_file" => "file",
        _ => return None,
    };
    let of = |key: &str| {
        let found = statement.inside().iter().find(|s| s.key() == key)?;
        Some(found.words[1..].iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" "))
    };
    let what = of(key).unwrap_or_default();
    let mut does = match key {
        "script" => format!("runs {what:?} every {} s", of("interval").unwrap_or_else(|| "1".to_owned())),
        "process" => format!("looks for the process {what:?}"),
        _ => format!("reads {what:?}"),
    };
    for key in ["timeout", "fall", "rise", "weight"] {
        if let Some(value) = of(key) {
            does.push_str(&format!(", {key} {value}"));
        }
    }
    Some(Check { name: statement.value()?.to_owned(), does })
}
