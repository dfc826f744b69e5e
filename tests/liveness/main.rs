//! What hangs around a daemon must not hang the daemon, and a daemon that hangs must be noticed.
//!
//! Real processes on loopback and the real obstacle each time: a pipe that nobody reads, a full
//! disk, a file server that is stopped, a hook that ignores SIGTERM, an API that never answers, hundreds
//! of clients, a thread that stands still, a processor that others take. Judged by what the peer counts,
//! against the interval of the heartbeats.
//!
//! `cargo test --test liveness [-- WORD...]` as root, with `unshare`, `mount`, `bindfs` and
//! `python3`; a WORD picks the cases whose names contain it. Mounts and network are this run's own
//! and go with it.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

mod cadence;
mod clients;
#[path = "../support/frozen.rs"]
mod frozen;
mod hangs;
#[path = "../daemon/lab.rs"]
#[expect(dead_code, reason = "not every helper of the daemon's tests is needed here")]
mod lab;
mod obstacles;
#[path = "../metrics/scrape.rs"]
#[expect(dead_code, reason = "what looks into a page is for the tests of the metrics")]
mod scrape;
mod stands_still;
mod starved;
#[path = "../support/wait.rs"]
mod wait;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};

/// A case: its name, and what it does.
type Case = (&'static str, fn());

const CASES: [&[Case]; 4] = [hangs::CASES, clients::CASES, stands_still::CASES, starved::CASES];

/// Says that this process has mounts and a network of its own.
const INSIDE: &str = "HAVIPD_LIVENESS_INSIDE";

fn say(text: &str) {
    // A reader that closed the output does not want it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A case as the usual test harness would name it, for those who read its output.
fn test_name(words: &str) -> String {
    words.replace(' ', "_")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Options of the usual test harness are let pass, since `cargo test` hands them to every test.
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| test_name(name).contains(&test_name(word)));
    let cases: Vec<Case> = CASES.concat().into_iter().filter(|(name, _)| wanted(name)).collect();
    if arguments.iter().any(|a| a == "--list") {
        cases.iter().for_each(|(name, _)| say(&format!("{}: test", test_name(name))));
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(INSIDE).is_none() {
        return go_inside();
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let mut failed = Vec::new();
    for (name, case) in cases {
        let passed = catch_unwind(case).is_ok();
        say(&format!("test {} ... {}", test_name(name), if passed { "ok" } else { "FAILED" }));
        if !passed {
            failed.push(name);
        }
    }
    say(&format!("test result: {} failed", failed.len()));
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("FAILED: {}", failed.join(", ")));
    ExitCode::FAILURE
}

/// Goes on as the same program where nobody else sees its mounts and packets.
fn go_inside() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        say("liveness: mounts file systems and therefore needs root: use sudo -E");
        return ExitCode::FAILURE;
    }
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net", "--"])
        .args(std::env::args_os())
        .env(INSIDE, "1")
        .exec();
    say(&format!("liveness: unshare (util-linux) cannot be run: {error}"));
    ExitCode::FAILURE
}
