//! keepalived as the judge: each file of `tests/data/keepalived/corpus` is loaded by keepalived itself, in a network
//! namespace of its own, and what it says that it loaded is compared with what `havipctl import` makes of the file. What
//! differs has to be told in a note. Each file says in its first line which construct it shows.
//!
//! The table is docs/import-results.md; `WRITE=1 cargo test --test import` writes it.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The node that the files are read for, and keepalived's config-id.
const NODE: &str = "n1";

/// What keepalived says of an instance.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Loaded {
    interface: Option<String>,
    priority: u32,
    /// Milliseconds.
    interval: u64,
    down_timer: u64,
    preempt: bool,
    /// Milliseconds.
    delay: u64,
    /// Addresses with their interfaces.
    addresses: BTreeMap<String, String>,
    /// What it tracks: kind and name, and the weight, `reverse` included.
    tracks: BTreeMap<(String, String), String>,
}

/// What keepalived says of a file; `None` if it does not start with it.
#[derive(Debug, Default)]
struct Dump {
    instances: BTreeMap<String, Loaded>,
    syncs: BTreeMap<String, BTreeSet<String>>,
    /// What sync groups track.
    sync_tracks: BTreeMap<String, BTreeMap<(String, String), String>>,
    /// What is tracked: kind and name, and what is said of it.
    tracked: BTreeMap<(String, String), BTreeMap<String, String>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keepalived/corpus")
}

/// What keepalived loads: it tells it on its standard error once it has started.
fn dump(file: &Path) -> Option<Dump> {
    // The interfaces that the files name. keepalived ends with the pipe's reader, and its runtime files with the mount.
    let script = "mount -t tmpfs none /run && ip link add eth0 type veth peer name eth1 && ip link set lo up && \
                  ip link set eth0 up && ip link set eth1 up && ip addr add 10.0.0.1/24 dev eth0 && \
                  ip addr add 10.0.1.1/24 dev eth1 && \
                  exec keepalived -n -l -d -D -i \"$1\" -f \"$2\" 2>&1";
    let mut child = Command::new("unshare")
        .args(["-n", "-m", "sh", "-c", script, "sh", NODE])
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    let (mut begun, mut complete) = (false, false);
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        // "Sun Nov 29 17:00:00 2026: text"
        let text = line.get(26..).unwrap_or_default().to_owned();
        begun |= text.contains("------< VRRP Topology >------");
        if begun && text.contains("------< Interfaces >------") {
            complete = true;
            break;
        }
        if begun {
            lines.push(text);
        }
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap();
    complete.then(|| parsed(&lines))
}

/// What can be tracked: havipd's key, the title of a list of it, and that of one.
const TRACKED: [(&str, &str, &str); 5] = [
    ("link", "Tracked interfaces :", ""),
    ("script", "Tracked scripts :", "VRRP Script"),
    ("file", "Tracked files :", "Track file"),
    ("process", "Tracked processes :", "VRRP Track process"),
    ("bfd", "Tracked BFDs :", "VRRP Track BFD"),
];

fn parsed(lines: &[String]) -> Dump {
    let mut dump = Dump::default();
    let (mut instance, mut sync) = (None::<String>, None::<String>);
    // The list of what is tracked that is being told; the thing that is tracked.
    let (mut list, mut thing) = (None::<&str>, None::<(String, String)>);
    for line in lines {
        let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
        let key = key.trim_start_matches(' ');
        let defines = TRACKED.iter().find(|(_, _, title)| *title == key);
        if let Some((kind, _, _)) = defines {
            thing = Some(((*kind).to_owned(), value.to_owned()));
            (instance, sync) = (None, None);
        } else if let Some(of) = thing.as_ref().and_then(|thing| dump.tracked.get_mut(thing)) {
            of.insert(key.to_owned(), value.to_owned());
        }
        if let Some(thing) = thing.clone() {
            dump.tracked.entry(thing).or_default();
            continue;
        }
        if key == "VRRP member instances :" {
            list = Some("member");
            continue;
        }
        if let (Some("member"), Some(sync)) = (list, sync.as_ref().filter(|_| line.starts_with("    "))) {
            dump.syncs.entry(sync.clone()).or_default().insert(key.to_owned());
            continue;
        }
        if let Some((kind, _, _)) = TRACKED.iter().find(|(_, title, _)| *title == key) {
            list = Some(kind);
            continue;
        }
        if let (Some(kind), Some((name, weight))) =
            (list, key.split_once("weight ").filter(|_| line.starts_with("    ")))
        {
            let entry = ((*kind).to_owned(), name.trim_end_matches([' ', ',', ':']).to_owned());
            let of = match &instance {
                Some(instance) => &mut dump.instances.get_mut(instance).unwrap().tracks,
                None => dump.sync_tracks.entry(sync.clone().unwrap()).or_default(),
            };
            of.insert(entry, weight.to_owned());
            continue;
        }
        list = None;
        match (line.starts_with("  "), key) {
            (false, "VRRP Instance") => {
                instance = Some(value.to_owned());
                dump.instances.insert(value.to_owned(), Loaded::default());
            }
            (false, "VRRP Sync Group") => {
                // "G, BACKUP"
                sync = Some(value.rsplit_once(", ").map_or(value, |(name, _)| name).to_owned());
                instance = None;
            }
            _ => {
                let Some(loaded) = instance.as_ref().and_then(|name| dump.instances.get_mut(name)) else { continue };
                let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
                match key {
                    "Interface" => loaded.interface = Some(value.to_owned()),
                    "Priority" => loaded.priority = value.parse().unwrap(),
                    "Advert interval" => {
                        let unit = if value.ends_with("milli-sec") { 1 } else { 1000 };
                        loaded.interval = first(value).parse::<u64>().unwrap() * unit;
                    }
                    "Down timer adverts" => loaded.down_timer = value.parse().unwrap(),
                    "Preempt" => loaded.preempt = value == "enabled",
                    "Preempt delay" => {
                        let delay = Duration::from_secs_f64(first(value).parse().unwrap());
                        loaded.delay = u64::try_from(delay.as_millis()).unwrap();
                    }
                    address => {
                        let words: Vec<&str> = address.split(' ').collect();
                        let ip = words[0].split('/').next().unwrap_or_default();
                        let dev = words.iter().position(|w| *w == "dev").and_then(|at| words.get(at + 1));
                        if let (true, Some(dev)) = (ip.parse::<std::net::IpAddr>().is_ok(), dev) {
                            loaded.addresses.entry(ip.to_owned()).or_insert_with(|| (*dev).to_owned());
                        }
                    }
                }
            }
        }
    }
    dump
}

/// What came of a file.
struct Import {
    toml: Option<toml::Table>,
    notes: Vec<(String, String)>,
    message: String,
}

fn import(file: &Path) -> Import {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    let name = file.file_name().unwrap().to_str().unwrap();
    let output = command
        .args(["import", &format!("{NODE}={name}"), "--json"])
        .current_dir(file.parent().unwrap())
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes = answer["data"]["notes"].as_array().cloned().unwrap_or_default();
    let text = |note: &Value, key: &str| note[key].as_str().unwrap_or_default().to_owned();
    Import {
        toml: answer["data"]["toml"].as_str().map(|toml| toml.parse().unwrap()),
        notes: notes.iter().map(|n| (text(n, "what"), text(n, "why"))).collect(),
        message: answer["message"].as_str().unwrap_or_default().to_owned(),
    }
}

impl Import {
    fn says(&self, words: &str) -> bool {
        self.notes.iter().any(|(what, why)| what.contains(words) || why.contains(words))
    }

    fn groups(&self) -> Vec<&toml::Table> {
        let groups = self.toml.as_ref().and_then(|t| t["group"].as_array());
        groups.into_iter().flatten().filter_map(toml::Value::as_table).collect()
    }
}

/// `30s`, `500ms`, `1m`.
fn millis(text: &str) -> u64 {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let unit = match &text[end..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => panic!("{other}"),
    };
    text[..end].parse::<u64>().unwrap() * unit
}

/// What differs: each thing with the words that a note about it has to have.
fn differences(dump: &Dump, import: &Import) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    let mut differ = |text: String, words: &[&str]| {
        all.push((text, words.iter().map(|w| (*w).to_owned()).collect()));
    };
    let empty = toml::Table::new();
    let node = import.toml.as_ref().map_or(&empty, |t| t["node"][0].as_table().unwrap());
    let heartbeat = import.toml.as_ref().map_or(&empty, |t| t["heartbeat"].as_table().unwrap());
    let havips = |group: &toml::Table| -> Vec<toml::Table> {
        group["havip"].as_array().unwrap().iter().filter_map(toml::Value::as_table).cloned().collect()
    };
    let text = |table: &toml::Table, key: &str| table.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let group_of = |ip: &str| import.groups().into_iter().find(|g| havips(g).iter().any(|h| text(h, "address") == ip));
    for (name, loaded) in &dump.instances {
        let mut of_it = None;
        for (ip, dev) in &loaded.addresses {
            let Some(group) = group_of(ip) else {
                differ(format!("{name}: {ip} is missing"), &[&format!("address {ip}")]);
                continue;
            };
            of_it = Some(group);
            let havip = havips(group).into_iter().find(|h| text(h, "address") == *ip).unwrap();
            let interface = text(&havip, "interface");
            if interface != *dev {
                differ(format!("{name}: {ip} on {interface}, not {dev}"), &[&format!("interface of {ip}")]);
            }
        }
        let by_hook = import.groups().into_iter().find(|g| text(g, "name") == *name);
        let Some(group) = of_it.or(by_hook) else {
            differ(format!("{name} is missing"), &[&format!("vrrp_instance {name}"), "no address that a HAVIP"]);
            continue;
        };
        let priorities = group.get("priorities").and_then(|p| p.as_table());
        let priority = priorities.map_or(&node["priority"], |p| &p[NODE]).as_integer().unwrap();
        if priority != i64::from(loaded.priority) {
            differ(format!("{name}: priority {priority}, not {}", loaded.priority), &["priority"]);
        }
        let interval = millis(&text(heartbeat, "interval"));
        if interval != loaded.interval {
            differ(format!("{name}: interval {interval} ms, not {}", loaded.interval), &["advert_int"]);
        }
        let multiplier = heartbeat["dead-multiplier"].as_integer().unwrap();
        if multiplier != i64::try_from(loaded.down_timer + 1).unwrap() {
            differ(format!("{name}: dead after {multiplier}, not {} + 1", loaded.down_timer), &["down_timer_adverts"]);
        }
        let preempt = group.get("preempt").and_then(|p| p.as_bool()).unwrap_or(true);
        if preempt != loaded.preempt {
            differ(format!("{name}: preempt {preempt}"), &["preempt"]);
        } else if preempt && millis(&text(group, "preempt-delay")) != loaded.delay {
            differ(
                format!("{name}: preempt-delay {}, not {} ms", text(group, "preempt-delay"), loaded.delay),
                &["preempt_delay"],
            );
        }
    }
    tracks(dump, import, &mut all);
    let mut differ = |text: String, words: &[&str]| {
        all.push((text, words.iter().map(|w| (*w).to_owned()).collect()));
    };
    for group in import.groups() {
        for ip in havips(group).iter().map(|h| text(h, "address")).filter(|ip| !ip.is_empty()) {
            if !dump.instances.values().any(|i| i.addresses.contains_key(&ip)) {
                differ(format!("{ip} is no address of keepalived's"), &["(a note does not help here)"]);
            }
        }
    }
    for (name, members) in &dump.syncs {
        let addresses = |member: &String| dump.instances[member].addresses.keys().cloned().collect::<Vec<_>>();
        let groups: BTreeSet<String> =
            members.iter().flat_map(addresses).filter_map(|ip| group_of(&ip)).map(|g| text(g, "name")).collect();
        if groups.len() > 1 {
            differ(format!("{name} is {} groups", groups.len()), &[&format!("vrrp_sync_group {name}")]);
        }
    }
    all
}

/// The checks of each group are held against what keepalived tracks for its instances, and each of them against what
/// keepalived says of it.
fn tracks(dump: &Dump, import: &Import, all: &mut Vec<(String, Vec<String>)>) {
    let checks =
        import.toml.as_ref().and_then(|t| t.get("check")).and_then(|c| c.as_array()).cloned().unwrap_or_default();
    for group in import.groups() {
        let mut wanted: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let havips: Vec<&str> =
            group["havip"].as_array().unwrap().iter().filter_map(|h| h.get("address")?.as_str()).collect();
        let inside = dump.instances.iter().filter(|(_, i)| i.addresses.keys().any(|ip| havips.contains(&ip.as_str())));
        let inside: BTreeMap<&String, &Loaded> = inside.collect();
        let syncs = dump.syncs.iter().filter(|(_, members)| members.iter().any(|m| inside.contains_key(m)));
        let of_syncs = syncs.filter_map(|(name, _)| dump.sync_tracks.get(name)).flatten();
        for ((kind, name), weight) in inside.values().flat_map(|i| &i.tracks).chain(of_syncs) {
            let said = dump.tracked.get(&(kind.clone(), name.clone()));
            wanted.insert(format!("{kind} {name}"), expected(kind, name, weight, said));
        }
        let named = group.get("checks").and_then(|c| c.as_array()).cloned().unwrap_or_default();
        for check in checks.iter().filter(|check| named.contains(&check["name"])) {
            let (kind, has) = carried(check.as_table().unwrap());
            // The interface that VRRP is spoken on keepalived watches without saying so.
            if kind == "link" && inside.values().any(|i| i.interface.as_ref() == Some(&has["what"])) {
                continue;
            }
            let name = check["name"].as_str().unwrap().trim_start_matches("link-");
            // Of several checks of one name all but the first have a number.
            let plain = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
            match wanted.remove(&format!("{kind} {name}")).or_else(|| wanted.remove(&format!("{kind} {plain}"))) {
                None => {
                    all.push((format!("{kind} {name} is not tracked"), vec!["(a note does not help here)".to_owned()]))
                }
                Some(wanted) => {
                    for (key, value) in wanted.iter().filter(|(key, value)| has.get(*key) != Some(value)) {
                        let has = has.get(key).map_or("none", String::as_str);
                        let text = format!("{kind} {name}: {key} {has}, not {value}");
                        all.push((text, vec![format!("{key} ")]));
                    }
                }
            }
        }
        for left in wanted.into_keys() {
            let (_, name) = left.split_once(' ').unwrap();
            all.push((
                format!("{left} is missing"),
                vec![format!("track_{left}"), format!("check {name}"), format!("track_interface {name}")],
            ));
        }
    }
}

/// What a check has to say, of what keepalived says.
fn expected(kind: &str, name: &str, weight: &str, said: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let of = |key: &str| said.and_then(|said| said.get(key)).cloned().unwrap_or_default();
    let (number, reverse) = weight.split_once(' ').unwrap_or((weight, ""));
    let mut number: i32 = number.parse().unwrap();
    if !reverse.is_empty() {
        number = -number;
    }
    let mut all = BTreeMap::from([("weight".to_owned(), number.to_string())]);
    match kind {
        "script" => {
            let turned = |key: &'static str, other: &'static str| if reverse.is_empty() { key } else { other };
            let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
            let timeout = first(of("Timeout"));
            let timeout = if timeout == "0" { first(of("Interval")) } else { timeout };
            let program = of("Command");
            all.insert("what".to_owned(), program.trim_matches('\'').rsplit('/').next().unwrap_or_default().to_owned());
            all.extend([
                ("interval".to_owned(), first(of("Interval"))),
                ("timeout".to_owned(), timeout),
                (turned("rise", "fall").to_owned(), of("Rise")),
                (turned("fall", "rise").to_owned(), of("Fall")),
            ]);
        }
        "process" => {
            drop(all.insert("what".to_owned(), of("Process").rsplit('/').next().unwrap().chars().take(15).collect()))
        }
        "file" => drop(all.insert("what".to_owned(), of("File"))),
        _ => drop(all.insert("what".to_owned(), name.to_owned())),
    }
    all
}

/// The same of what was written.
fn carried(check: &toml::Table) -> (&'static str, BTreeMap<String, String>) {
    let (kind, _, _) = TRACKED.iter().find(|(kind, _, _)| check.contains_key(*kind)).unwrap();
    let number = |key: &str, default: i64| check.get(key).map_or(default, |v| v.as_integer().unwrap()).to_string();
    let seconds = |key: &str| check.get(key).map(|v| (millis(v.as_str().unwrap()) / 1000).to_string());
    let mut all = BTreeMap::from([("weight".to_owned(), number("weight", 0))]);
    let what = match &check[*kind] {
        toml::Value::Array(argv) => {
            let interval = seconds("interval").unwrap();
            all.extend([
                ("timeout".to_owned(), seconds("timeout").unwrap_or_else(|| interval.clone())),
                ("interval".to_owned(), interval),
                ("rise".to_owned(), number("rise", -1)),
                ("fall".to_owned(), number("fall", -1)),
            ]);
            let program = argv.iter().skip(if argv[0].as_str() == Some("/bin/sh") { 3 } else { 0 });
            let words: Vec<&str> = program.map(|word| word.as_str().unwrap()).collect();
            // keepalived says every word in quotes, and where it found the program.
            words.join("' '").rsplit('/').next().unwrap().to_owned()
        }
        value => value.as_str().unwrap().to_owned(),
    };
    all.insert("what".to_owned(), what);
    (kind, all)
}

/// Keywords that have no counterpart, each to be told of where a file has it.
fn untold(file: &Path, import: &Import) -> Vec<String> {
    let carried = [
        "vrrp_instance",
        "vrrp_sync_group",
        "global_defs",
        "interface",
        "priority",
        "advert_int",
        "nopreempt",
        "preempt",
        "preempt_delay",
        "virtual_ipaddress",
        "virtual_ipaddress_excluded",
        "unicast_peer",
        "unicast_src_ip",
        "mcast_src_ip",
        "group",
        "down_timer_adverts",
        "vrrp_down_timer_adverts",
        "vrrp_startup_delay",
        "router_id",
        "notify",
        "notify_master",
        "notify_backup",
        "notify_fault",
        "notify_stop",
        "include",
        "includer",
        // Told where they are tracked.
        "vrrp_script",
        "vrrp_track_process",
        "track_file",
        "track_script",
        "track_process",
        "track_interface",
    ];
    let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    let mut depth = 0_usize;
    let mut all = Vec::new();
    let mut inner = false;
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split([' ', '\t', '{']).filter(|word| !word.is_empty()).collect();
        let Some(key) = words.first() else { continue };
        let keyword = key.starts_with(|c: char| c.is_ascii_lowercase()) && key.contains('_');
        if keyword && depth <= 1 && !inner && !carried.contains(key) && !import.says(key) {
            all.push((*key).to_owned());
        }
        if line.ends_with('{') {
            depth += 1;
            inner |= depth == 1
                && [
                    "vrrp_script",
                    "vrrp_track_process",
                    "track_file",
                    "bfd_instance",
                    "virtual_server",
                    "virtual_server_group",
                    "track_group",
                    "garp_group",
                ]
                .contains(key);
        } else if *key == "}" {
            depth = depth.saturating_sub(1);
            inner &= depth > 0;
        }
    }
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Agreed,
    Noted,
    Refused,
    Silent,
}

fn judged(file: &Path) -> (Verdict, Vec<String>) {
    let import = import(file);
    let untold: Vec<String> = untold(file, &import).into_iter().map(|key| format!("{key}: not a word")).collect();
    if !untold.is_empty() {
        return (Verdict::Silent, untold);
    }
    let Some(dump) = dump(file) else {
        let said = import.says("keepalived does not start with this file") || import.toml.is_none();
        let reason = import
            .notes
            .iter()
            .find(|(_, why)| why.starts_with("keepalived does not start"))
            .map(|(_, why)| why.clone());
        let reason = reason.unwrap_or(import.message);
        return (if said { Verdict::Refused } else { Verdict::Silent }, vec![reason]);
    };
    let differences = differences(&dump, &import);
    let silent: Vec<String> = differences
        .iter()
        .filter(|(_, words)| !words.iter().any(|w| import.says(w)))
        .map(|(text, _)| text.clone())
        .collect();
    if !silent.is_empty() {
        return (Verdict::Silent, silent);
    }
    let verdict = if differences.is_empty() { Verdict::Agreed } else { Verdict::Noted };
    (verdict, differences.into_iter().map(|(text, _)| text).collect())
}

#[test]
fn nothing_differs_from_keepalived_in_silence() {
    assert!(rustix::process::geteuid().is_root(), "it makes network namespaces and therefore needs root: use sudo -E");
    let mut files: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "conf"));
    files.sort();
    assert!(files.len() >= 60, "files are missing");
    let mut rows = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut silent = Vec::new();
    // Eight at a time: each waits for its keepalived most of the time.
    let at_once = |files: &[PathBuf]| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| judged(file))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    };
    for (file, (verdict, what)) in files.iter().zip(files.chunks(8).flat_map(at_once)) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let word = match verdict {
            Verdict::Agreed => "agreed",
            Verdict::Noted => "differs, with a note",
            Verdict::Refused => "refused, with the reason",
            Verdict::Silent => "SILENT",
        };
        *counts.entry(word).or_default() += 1;
        if verdict == Verdict::Silent {
            silent.push(format!("{name}: {}", what.join("; ")));
        }
        let first = fs::read(file).unwrap();
        let first =
            String::from_utf8_lossy(&first).lines().next().unwrap_or_default().trim_start_matches("# ").to_owned();
        let what = what.join("; ").replace('|', "\\|");
        rows += &format!("| `{name}` | {} | {word} | {what} |\n", first.replace('|', "\\|"));
    }
    let of = |word: &str| counts.get(word).copied().unwrap_or_default();
    let text = format!(
        "# Import, judged by keepalived\n\nMade by `WRITE=1 cargo test --test import`, as root. keepalived 2.2.7 loads each file of \
         tests/data/keepalived/corpus and\ntells what it loaded; addresses, their interfaces, priority, interval, dead time, \
         preemption, sync groups, and what is tracked with\nprogram, interval, timeout, rise, fall and weight are compared with what \
         `havipctl import` makes of the file. A difference has to be\ntold in a note, and so has each keyword that has no counterpart.\n\n| files | agreed | differ, with a note | refused, with the \
         reason | differ in silence |\n|---|---|---|---|---|\n| {} | {} | {} | {} | {} |\n\n\"Refused\" is a file that keepalived \
         does not start with; the import says so.\n\n| file | construct | verdict | what |\n|---|---|---|---|\n{rows}",
        files.len(),
        of("agreed"),
        of("differs, with a note"),
        of("refused, with the reason"),
        of("SILENT"),
    );
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    assert!(silent.is_empty(), "differences that no note tells of:\n{}", silent.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import-results.md");
    if std::env::var_os("WRITE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "WRITE=1 cargo test --test import takes it over");
}

/// The comparison itself can fail.
#[test]
fn a_wrong_import_is_found_out() {
    let lines: Vec<String> = [
        " VRRP Instance = V",
        "   Interface = eth0",
        "   Down timer adverts = 3",
        "   Priority = 100",
        "   Advert interval = 1 sec",
        "   Preempt = enabled",
        "     10.0.0.100 dev eth1 scope global",
    ]
    .map(str::to_owned)
    .to_vec();
    let right = import(&root().join("plain.conf"));
    let found = differences(&parsed(&lines), &right);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.contains("10.0.0.100 on eth0, not eth1") && !right.says("interface of 10.0.0.100"));
}
