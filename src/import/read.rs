//! What keepalived means by its keywords, as far as havipd has a use for it. Whatever is not used is noted.
//!
//! Values are as keepalived takes them, which is not always as they are written: what it refuses has its default, or
//! keeps what was said before.

mod instance;
mod keywords;
mod tracks;

use tracks::Tracks;
pub(super) use tracks::{Script, Track, Watch, Weight};

use super::Input;
use super::note::{Kind, Notes};
use super::parse::Statement;
use super::{lex, words};
use std::collections::HashSet;
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
    /// The HAVIPs that it names, each with where: among its arguments, or in the script that it runs.
    pub(super) havips: Vec<(String, String)>,
    /// The script that it runs has to do with HAVIPs.
    pub(super) moves: bool,
    /// What else was seen where an id was looked for: who has to find it begins there.
    pub(super) seen: Vec<String>,
}

/// A `vrrp_instance`, with keepalived's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) place: String,
    /// Its state is MASTER before it hears of anybody.
    pub(super) starts_as_master: bool,
    pub(super) interface: Option<String>,
    pub(super) router_id: Option<u8>,
    /// 1 to 255.
    pub(super) priority: u8,
    /// Milliseconds.
    pub(super) interval: u64,
    pub(super) down_timer: u32,
    pub(super) no_preempt: bool,
    /// nopreempt was written, but is not in force.
    pub(super) no_preempt_ignored: bool,
    /// Milliseconds.
    pub(super) preempt_delay: u64,
    pub(super) source: Option<IpAddr>,
    pub(super) peers: Vec<IpAddr>,
    pub(super) vips: Vec<Vip>,
    pub(super) hooks: Vec<Hook>,
    pub(super) tracks: Vec<Track>,
}

/// A `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sync {
    pub(super) name: String,
    pub(super) place: String,
    /// As they are written; each is defined and in no group before.
    pub(super) members: Vec<String>,
    pub(super) hooks: Vec<Hook>,
    pub(super) tracks: Vec<Track>,
    /// Weights of what its members track count.
    pub(super) weighs: bool,
}

impl Node {
    /// The hooks that may have to do with instances without an address: their own, and those of sync groups.
    pub(super) fn hooks_without_address(&mut self) -> impl Iterator<Item = &mut Hook> {
        let without: Vec<&mut Instance> = self.instances.iter_mut().filter(|i| i.vips.is_empty()).collect();
        let syncs: &mut [Sync] = if without.is_empty() { &mut [] } else { self.syncs.as_mut_slice() };
        without.into_iter().flat_map(|i| &mut i.hooks).chain(syncs.iter_mut().flat_map(|s| &mut s.hooks))
    }
}

/// What `global_defs` says for all instances.
#[derive(Debug, Clone, Copy)]
struct Global {
    version: u32,
    strict: bool,
    /// For the instances that follow.
    down_timer: u32,
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

/// Most instances of a node: VRRP tells 255 apart on an interface.
const MOST_INSTANCES: usize = 1000;

/// Reads one node.
pub(super) fn node(input: &Input, all: &[Statement], notes: &mut Notes) -> Node {
    let mut node = Node { name: input.node.clone(), path: input.path.clone(), ..Node::default() };
    let mut global = Global { version: 2, strict: false, down_timer: 3 };
    // keepalived's main process has read all of `global_defs` before its VRRP process reads everything in order: an
    // instance begins with what was said before it, else with what is said last.
    for inside in all.iter().filter(|s| s.key() == "global_defs").flat_map(Statement::inside) {
        globals(inside, &mut Node::default(), &mut global, &mut Notes::default());
    }
    let mut read = Vec::new();
    let mut definitions = tracks::Definitions::default();
    // Sync groups are read last, and track what was defined before them.
    let mut of_syncs: Vec<(Vec<Track>, bool)> = Vec::new();
    for statement in all {
        definitions.add(statement, notes);
        match statement.key() {
            "global_defs" => {
                for inside in statement.inside() {
                    globals(inside, &mut node, &mut global, notes);
                }
            }
            "vrrp_instance" if read.len() == MOST_INSTANCES => {
                let why = format!("more than {MOST_INSTANCES} instances of one node");
                notes.add(Kind::Lost, statement.at(), "vrrp_instance", why);
            }
            "vrrp_instance" => read.push(instance::Reader::read(statement, global.down_timer, &definitions, notes)),
            "vrrp_sync_group" => {
                let (mut tracks, mut weighs) = (Tracks::default(), false);
                for inside in statement.inside() {
                    definitions.tracked(inside, &mut tracks, notes);
                    weighs |= inside.key() == "sync_group_tracking_weight";
                }
                of_syncs.push((tracks.all, weighs));
            }
            _ => keywords::top(statement, notes),
        }
    }
    // What `global_defs` says of versions counts wherever it stands.
    node.instances = read.into_iter().map(|reader| reader.complete(global.version, global.strict, notes)).collect();
    let defined: HashSet<&str> = node.instances.iter().map(|i| i.name.as_str()).collect();
    let mut members = HashSet::new();
    for (statement, (tracks, weighs)) in all.iter().filter(|s| s.key() == "vrrp_sync_group").zip(of_syncs) {
        let sync = sync(statement, &defined, &mut members, notes);
        node.syncs.push(Sync { tracks, weighs, ..sync });
    }
    node
}

/// What stands in `global_defs`.
fn globals(statement: &Statement, node: &mut Node, global: &mut Global, notes: &mut Notes) {
    let value = statement.value().unwrap_or_default();
    let taken = match statement.key() {
        "router_id" => {
            node.router_id = statement.value().map(str::to_owned).or(node.router_id.take());
            Ok(())
        }
        "vrrp_startup_delay" => match words::micros(value, 1000, u64::from(u32::MAX)) {
            Some(micros) => {
                node.startup_delay = Some(micros / 1000);
                Ok(())
            }
            None => Err("it is not a number of seconds from 0.001 to 4294"),
        },
        "vrrp_down_timer_adverts" => match words::number(value, 1, 100, true) {
            Some(number) => {
                global.down_timer = number;
                Ok(())
            }
            None => Err("it is not a number from 1 to 100"),
        },
        "vrrp_version" => {
            keywords::global(statement, notes);
            match words::number(value, 2, 3, true) {
                Some(version) => {
                    global.version = version;
                    Ok(())
                }
                None => Err("it is neither 2 nor 3"),
            }
        }
        "vrrp_strict" => {
            keywords::global(statement, notes);
            global.strict = true;
            if words::boolean(statement.value()) != Some(true) {
                let why = "keepalived takes vrrp_strict for true, whatever stands behind it";
                notes.add(Kind::Assumed, statement.at(), format!("vrrp_strict {value}"), why);
            }
            Ok(())
        }
        _ => {
            keywords::global(statement, notes);
            Ok(())
        }
    };
    if let Err(why) = taken {
        let why = format!("{why}: keepalived refuses it and goes on without it");
        notes.add(Kind::Lost, statement.at(), format!("{} {value}", statement.key()).trim_end(), why);
    }
}

fn sync(statement: &Statement, defined: &HashSet<&str>, taken: &mut HashSet<String>, notes: &mut Notes) -> Sync {
    let name = statement.value().unwrap_or_default().to_owned();
    let mut sync = Sync { name, place: statement.place.to_string(), ..Sync::default() };
    let mut listed = false;
    for inside in statement.inside() {
        match inside.key() {
            "group" if listed => {
                let why = "the group has a list of members already: keepalived takes the first";
                notes.add(Kind::Lost, inside.at(), "group", why);
            }
            "group" => {
                listed = true;
                for member in inside.inside().iter().flat_map(|line| line.words.iter().map(move |word| (line, word))) {
                    let (line, member) = member;
                    let why = if !defined.contains(member.as_str()) {
                        format!(
                            "{} has a member {member} that is not defined: keepalived goes on without it",
                            sync.name
                        )
                    } else if !taken.insert(member.clone()) {
                        format!("{member} is in a sync group already: keepalived leaves it in the first")
                    } else {
                        sync.members.push(member.clone());
                        continue;
                    };
                    notes.add(Kind::Lost, line.at(), format!("vrrp_sync_group {}", sync.name), why);
                }
            }
            // Taken already, where they stand.
            "track_script" | "track_process" | "track_file" | "track_interface" | "track_bfd" => {}
            _ if hook(inside, &mut sync.hooks, notes) => {}
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
    let mut leave = |why: String| {
        notes.add(Kind::Lost, statement.at(), statement.line.as_str(), why);
    };
    if let Some(first) = hooks.iter().find(|hook| hook.key == key) {
        leave(format!("there is one already: keepalived takes the first, of {}", first.place));
        return true;
    }
    // The line is read as a command, and so is its second word: a program with arguments is one word, in quotes.
    let Some(line) = lex::command(&statement.line) else {
        leave("a quote is not closed: keepalived cannot read it, and goes on without it".to_owned());
        return true;
    };
    let Some(argv) = line.get(1).map(|word| lex::command(word)) else {
        leave("it names no program".to_owned());
        return true;
    };
    let Some(argv) = argv.filter(|argv| !argv.is_empty()) else {
        leave("it is no command that keepalived can read, so it goes on without it".to_owned());
        return true;
    };
    if let Some(word) = argv.first().filter(|word| words::is_assignment(word)) {
        leave(words::no_shell(word));
        return true;
    }
    if let Some(user) = line.get(2) {
        let why = "hooks run as the user havipd; the drop-in privileged-hooks.conf runs them as root";
        notes.add(Kind::OwnWay, statement.at(), format!("{} user {user}", statement.key()), why);
    }
    let named = words::havip_ids(&argv).into_iter().map(|id| (id, statement.key().to_owned())).collect();
    hooks.push(Hook { key, argv, place: statement.place.to_string(), havips: named, moves: false, seen: Vec::new() });
    true
}
