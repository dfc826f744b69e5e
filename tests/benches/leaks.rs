//! What bad checks and gates leave behind: a daemon runs with every kind of check that goes wrong, ten times a second each, and with groups
//! whose gates go wrong, as often as they are tried. What it has of descriptors, threads, memory and processes in the end is held
//! against what it had after a while.
//!
//! `cargo bench --bench leaks [-- [--minutes=N] [--write]]`, an hour without. A line is printed each minute, and with `--write` the end is put into
//! docs/benchmarks.md. Ends with 1 if the last fifth of the time had clearly more of anything than the second fifth.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../daemon/lab.rs"]
#[expect(dead_code, reason = "not every helper of the daemon's tests is needed here")]
mod lab;
#[path = "../support/wait.rs"]
mod wait;

use havipd::clock;
use lab::script::script;
use lab::{Daemon, Lab, Options};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Memory may grow by a twentieth and so many KiB: allocators keep some.
const KIB: u64 = 2048;
/// Of anything else there may be a fifth and so many more: what runs just now is not always the same. A leak of one check comes
/// to thousands in an hour.
const MORE: usize = 8;

/// Programs that neither a check nor a gate should be. No gate of these succeeds, so each is tried again.
const SCRIPTS: [(&str, &str); 7] = [
    ("hangs", "sleep 1000"),
    ("forks", "sleep 1000 & sleep 1000 & exit 1"),
    // It leaves its process group, and nobody can end it but itself.
    ("daemonises", "setsid sleep 1 >/dev/null 2>&1 & exit 1"),
    ("floods", "exec yes"),
    ("ignores-signals", "trap '' TERM HUP INT; while :; do sleep 1; done"),
    ("holds-its-output", "setsid sleep 1 & exit 1"),
    // It is another file each time.
    ("changes", "cp \"$0\" \"$0.$$\" && mv \"$0.$$\" \"$0\"; exit 1"),
];

/// Beginnings of answers that never come to their end, or are none.
const ANSWERS: [(&str, &str); 4] = [
    ("endless-header", "HTTP/1.1 200 OK\r\nX: "),
    ("endless-body", "HTTP/1.1 200 OK\r\n\r\n"),
    ("redirects", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
    ("resets", ""),
];

fn main() -> ExitCode {
    let minutes = std::env::args().find_map(|a| Some(a.strip_prefix("--minutes=")?.parse::<u32>().expect("a number")));
    let long = Duration::from_secs(60) * minutes.unwrap_or(60);
    let write = std::env::args().any(|argument| argument == "--write");
    let gates = gates();
    let mut lab = Lab::new(Options { more_groups: u16::try_from(gates.len()).unwrap(), ..Options::default() });
    // The cloud has their HAVIPs; the file gets them below, with their gates.
    lab.options.more_groups = 0;
    let tables = tables(lab.dir.path());
    let names: Vec<String> = tables.iter().map(|(name, _)| format!("{name:?}")).collect();
    lab.options.group = format!("checks = [{}]", names.join(", "));
    lab.options.tables = tables.iter().fold(String::new(), |mut all, (name, keys)| {
        let _ = write!(all, "[[check]]\nname = {name:?}\n{keys}\n");
        all
    });
    for (n, name) in gates.iter().enumerate() {
        let _ = write!(
            lab.options.tables,
            "[[group]]\nname = \"gate-{name}\"\nbefore-active = [{:?}]\nbefore-active-timeout = \"1s\"\n\
             [[group.havip]]\nid = \"havip-more{n}\"\ninterface = \"none\"\n",
            lab.dir.path().join(name)
        );
    }
    lab.write_config();
    let a = lab.start(0);
    let (begun, mut told) = (clock::now(), 0);
    let (mut first, mut last) = (Had::default(), Had::default());
    println!("{} checks, {} gates; descriptors, threads, memory in KiB, processes:", tables.len(), gates.len());
    loop {
        let passed = clock::now().since(begun);
        let had = Had::of(&a);
        match passed.as_secs_f64() / long.as_secs_f64() * 5.0 {
            1.0..2.0 => first = first.most(had),
            4.0.. => last = last.most(had),
            _ => {}
        }
        if passed.as_secs() / 60 >= told {
            println!("after {told} min: {had:?}");
            told += 1;
        }
        if passed >= long {
            break;
        }
        rest();
    }
    let status = a.status().unwrap();
    for check in status["effects"]["checks"].as_array().unwrap() {
        println!("{}: {} {}", check["name"], check["state"], check["runs"]);
    }
    let ran = |name: &str| status["effects"]["gates"][format!("gate-{name}")]["runs"].as_u64().unwrap_or(0);
    for name in &gates {
        println!("gate {name}: {} runs", ran(name));
    }
    println!("most in the second fifth: {first:?}\nmost in the last fifth:   {last:?}");
    if write {
        let runs: u64 = status["effects"]["checks"].as_array().unwrap().iter().map(runs).sum();
        let of_gates: u64 = gates.iter().map(|name| ran(name)).sum();
        put(&page(long, (tables.len(), runs), (gates.len(), of_gates), (first, last)));
    }
    if last.is_more_than(first) {
        println!("something leaks");
        return ExitCode::FAILURE;
    }
    println!("nothing leaks");
    ExitCode::SUCCESS
}

/// Every check, by name.
fn tables(dir: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let sampled = "interval = \"100ms\"\nweight = 1";
    for (name, text) in SCRIPTS {
        let path = dir.join(name);
        script(&path, &format!("#!/bin/sh\n{text}\n"));
        all.push((name.to_owned(), format!("script = [{path:?}]\n{sampled}")));
    }
    let text = dir.join("text");
    std::fs::write(&text, "no program\n").unwrap();
    let (pipe, number) = (dir.join("pipe"), dir.join("number"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    std::fs::write(&number, "99999999999999999999999\n").unwrap();
    let negative = dir.join("negative");
    std::fs::write(&negative, "-3\n").unwrap();
    let more = [
        ("missing", format!("script = [\"/nowhere/at/all\"]\n{sampled}")),
        ("not-executable", format!("script = [{text:?}]\n{sampled}")),
        ("no-unit", format!("unit = \"nowhere.service\"\n{sampled}")),
        ("closed-port", format!("tcp = \"127.0.0.1:9\"\n{sampled}")),
        ("a-pipe", format!("file = {pipe:?}\nweight = 1")),
        ("a-directory", format!("file = {dir:?}\nweight = 1")),
        ("no-number", format!("file = {number:?}\nweight = 1")),
        ("words", format!("file = {text:?}\nweight = 1")),
        ("negative", format!("file = {negative:?}\nweight = 1")),
        ("pidfile-is-a-pipe", format!("pidfile = {pipe:?}\nweight = 1")),
        ("no-pidfile", format!("pidfile = {:?}\nweight = 1", dir.join("none"))),
        ("no-process", "process = \"nobody\"\nweight = 1".to_owned()),
        ("no-link", "link = \"nowhere0\"\nweight = 1".to_owned()),
        ("pings", format!("ping = [\"127.0.0.1\"]\n{sampled}")),
    ];
    all.extend(more.map(|(name, keys)| (name.to_owned(), keys)));
    for (name, answer) in ANSWERS {
        let keys = format!("http = \"http://{}/\"\nbody = \"fine\"\n{sampled}", serve(answer));
        all.push((name.to_owned(), keys));
    }
    all
}

/// The programs that are gates as well, by the name of their files.
fn gates() -> Vec<&'static str> {
    SCRIPTS.iter().map(|(name, _)| *name).chain(["missing", "text"]).collect()
}

/// All runs of a check.
fn runs(check: &serde_json::Value) -> u64 {
    ["passed", "failed", "timed_out", "not_run"].iter().filter_map(|result| check["runs"][*result].as_u64()).sum()
}

/// What is said of it: how many checks and gates there were with how many runs, and what the daemon had in the second and the last fifth.
fn page(long: Duration, checks: (usize, u64), gates: (usize, u64), (first, last): (Had, Had)) -> String {
    let build = if cfg!(debug_assertions) { "an unoptimised build" } else { "an optimised build" };
    let row = |name: &str, had: Had| {
        let Had { descriptors, threads, memory, processes } = had;
        format!("| {name} | {descriptors} | {threads} | {memory} | {processes} |\n")
    };
    format!(
        "## Leaks\n\n\
         `cargo bench --bench leaks -- --write` runs a daemon with {} checks that go wrong in every way that is known, ten times a second each, and {} groups\n\
         whose gates do. What it has of descriptors, threads, memory and processes in the last fifth of the time is compared with the second fifth. {} minutes\n\
         of {build}, {} runs of checks and {} of gates; at most:\n\n\
         | | descriptors | threads | memory, KiB | processes |\n|---|---:|---:|---:|---:|\n{}{}",
        checks.0,
        gates.0,
        long.as_secs() / 60,
        checks.1,
        gates.1,
        row("second fifth", first),
        row("last fifth", last)
    )
}

/// Puts the section in the place of the one that was there, which ends where the next one begins.
fn put(section: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, old) = text.split_once("## Leaks\n").expect("the page has the section");
    let (_, rest) = old.split_once("\n## ").expect("there are sections behind it");
    std::fs::write(&path, format!("{head}{section}\n## {rest}")).unwrap();
}

/// A server that begins so, and goes on for as long as it is listened to; what begins with nothing is closed unread.
fn serve(begins: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten().filter(|_| !begins.is_empty()) {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let mut more = stream.write_all(begins.as_bytes());
                while more.is_ok() {
                    rest();
                    more = stream.write_all(b"x");
                }
            });
        }
    });
    address
}

/// What a daemon has.
#[derive(Debug, Clone, Copy, Default)]
struct Had {
    descriptors: usize,
    threads: usize,
    /// KiB.
    memory: u64,
    /// Programs of its checks and gates, wherever they are by now.
    processes: usize,
}

impl Had {
    fn of(daemon: &Daemon) -> Self {
        let place = format!("/proc/{}", daemon.pid());
        let count = |what: &str| std::fs::read_dir(format!("{place}/{what}")).unwrap().count();
        let status = std::fs::read_to_string(format!("{place}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let own = |variable: &[u8]| variable.starts_with(b"HAVIPD_CHECK=") || variable.starts_with(b"HAVIPD_GATE=");
        let is_of_a_check = |entry: std::io::Result<std::fs::DirEntry>| {
            // It may have ended meanwhile.
            let environment = std::fs::read(entry.ok()?.path().join("environ")).ok()?;
            environment.split(|byte| *byte == 0).any(own).then_some(())
        };
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            memory: memory.trim().trim_end_matches(" kB").parse().unwrap(),
            processes: std::fs::read_dir("/proc").unwrap().filter_map(is_of_a_check).count(),
        }
    }

    fn is_more_than(self, before: Self) -> bool {
        let more = |now: usize, before: usize| now > before + before / 5 + MORE;
        self.memory > before.memory + before.memory / 20 + KIB
            || more(self.descriptors, before.descriptors)
            || more(self.threads, before.threads)
            || more(self.processes, before.processes)
    }

    fn most(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            memory: self.memory.max(other.memory),
            processes: self.processes.max(other.processes),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a stretch of time is measured")]
fn rest() {
    std::thread::sleep(Duration::from_millis(250));
}
