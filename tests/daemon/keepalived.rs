//! Who may tell keepalived's states, and which of them count.

use crate::lab::{Daemon, Lab, Options, ask};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

/// `nobody` on every distribution.
const SOMEBODY: u32 = 65534;
/// What a client may write where the first daemons read when keepalived spoke.
const FUTURE: u64 = u64::MAX;

/// A process that calls itself keepalived; killed when dropped.
struct Keepalived(Child);

impl Keepalived {
    fn start(directory: &Path) -> Self {
        let program = directory.join("keepalived");
        if !program.exists() {
            // By a process of its own: a program that another thread's child inherited open for writing is "busy".
            assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
        }
        let child = Command::new(program).arg("3600").spawn().unwrap();
        std::fs::write(directory.join("keepalived.pid"), format!("{}\n", child.id())).unwrap();
        Self(child)
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two daemons whose group follows a keepalived that runs.
fn lab() -> (Lab, Keepalived) {
    let options = Options { group: "arbiter = \"keepalived\"\nvrrp = \"VI_1\"\n".to_owned(), ..Options::default() };
    let mut lab = Lab::new(options);
    lab.options.tables = format!("[keepalived]\npid-file = \"{}\"\n", lab.dir.path().join("keepalived.pid").display());
    lab.write_config();
    let keepalived = Keepalived::start(lab.dir.path());
    (lab, keepalived)
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn notify(lab: &Lab, node: usize, state: &str) -> (Option<i32>, String) {
    let output = lab.ctl(node, &["notify", "INSTANCE", "VI_1", state, "100"]);
    (output.status.code(), words(&output))
}

/// A client that says of itself when keepalived spoke.
fn claim(daemon: &Daemon, state: &str) -> Value {
    let request =
        json!({"command": "notify", "kind": "INSTANCE", "name": "VI_1", "state": state, "stamp": [FUTURE, 1]});
    ask(&daemon.socket(), &request).expect("an answer")
}

fn record(lab: &Lab, node: usize) -> PathBuf {
    let directory = lab.home(node).join("state/keepalived");
    wait_for("a state is kept", || {
        let entries = std::fs::read_dir(&directory).ok()?;
        entries.filter_map(|e| Some(e.ok()?.path())).find(|p| p.extension().is_some_and(|e| e == "json"))
    })
}

fn stamp(path: &Path) -> Option<u64> {
    serde_json::from_slice::<Value>(&std::fs::read(path).ok()?).ok()?["stamp"]["ticks"].as_u64()
}

#[test]
fn a_stamp_of_the_clients_own_counts_for_nothing() {
    let (lab, _keepalived) = lab();
    let (a, b) = (lab.start(0), lab.start(1));
    for daemon in [&a, &b] {
        daemon.wait_log("keepalived runs");
    }
    assert_eq!(notify(&lab, 0, "MASTER").0, Some(0));
    assert_eq!(notify(&lab, 1, "BACKUP").0, Some(0));
    a.wait_role("active");
    let changes = || b.log_until_now().lines().filter(|l| l.contains("cause=\"")).count();
    let (before, writes) = (changes(), lab.writes());
    // This process began before those that keepalived's words came from.
    let refused = claim(&b, "MASTER");
    assert_eq!((&refused["code"], &refused["data"]["taken"]), (&json!(1), &json!(false)), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("keepalived has said BACKUP since"), "{refused}");
    // What it says next counts as it would have before.
    assert_eq!(notify(&lab, 1, "FAULT").0, Some(0));
    b.wait_for("knows it", |s| s["groups"][0]["vrrp"]["state"] == "FAULT");
    assert_eq!(notify(&lab, 1, "BACKUP").0, Some(0));
    b.wait_for("knows it", |s| s["groups"][0]["vrrp"]["state"] == "BACKUP");
    assert_eq!(a.group()["role"], "active");
    assert!(changes() <= before + 2, "FAULT and back, at the most");
    assert_eq!(lab.writes(), writes, "and nobody took the HAVIP");
}

#[test]
fn a_kept_stamp_of_the_future_is_healed() {
    let (lab, _keepalived) = lab();
    let mut b = lab.start(1);
    b.wait_log("keepalived runs");
    assert_eq!(notify(&lab, 1, "BACKUP").0, Some(0));
    let path = record(&lab, 1);
    b.signal(15);
    b.ended();
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    kept["notice"]["word"] = json!({"is": "MASTER"});
    kept["stamp"]["ticks"] = json!(FUTURE);
    std::fs::write(&path, kept.to_string()).unwrap();
    let b = lab.start(1);
    b.wait_for("answers", |s| !s["groups"][0].is_null());
    assert_eq!(notify(&lab, 1, "BACKUP").0, Some(0));
    b.wait_for("knows it", |s| s["groups"][0]["vrrp"]["state"] == "BACKUP");
    wait_for("the record is replaced", || stamp(&path).filter(|ticks| *ticks < FUTURE));
}

#[test]
fn what_is_told_while_keepalived_is_dead_is_answered_as_such() {
    let (lab, mut keepalived) = lab();
    let a = lab.start(0);
    a.wait_log("keepalived runs");
    assert_eq!(notify(&lab, 0, "BACKUP").0, Some(0));
    keepalived.end();
    a.wait_for("sees its end", |s| s["groups"][0]["vrrp"]["source"] == "process");
    let (code, words) = notify(&lab, 0, "MASTER");
    assert_eq!(code, Some(75), "{words}");
    assert!(words.contains("VI_1 is MASTER does not count now: keepalived does not run"), "{words}");
    assert_eq!(notify(&lab, 0, "STOP").0, Some(0), "which it is");
    assert_ne!(a.group()["role"], "active");
}

/// Needs root, as tests/control/rights.rs does.
#[test]
fn only_keepalived_and_its_own_may_tell() {
    let (lab, _keepalived) = lab();
    let b = lab.start(1);
    b.wait_log("keepalived runs");
    // A member of the socket's group, who may look. The program itself lies where only we may look.
    let program = lab.dir.path().join("havipctl");
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_havipctl")).arg(&program).status().unwrap().success());
    for path in [lab.dir.path(), &program, &lab.home(1), &lab.home(1).join("run")] {
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let as_somebody = |arguments: &[&str]| {
        let group = rustix::process::getegid().as_raw();
        let mut command = Command::new(&program);
        command.arg("--socket").arg(b.socket()).args(arguments).uid(SOMEBODY).gid(group);
        command.output().expect("becoming another user takes root: run the tests with sudo -E")
    };
    assert_eq!(as_somebody(&["why", "web"]).status.code(), Some(0));
    let refused = as_somebody(&["notify", "INSTANCE", "VI_1", "MASTER", "100"]);
    assert_eq!(refused.status.code(), Some(77), "{}", words(&refused));
    assert!(words(&refused).contains("may tell a state of keepalived"), "{}", words(&refused));
    assert!(b.group()["vrrp"]["state"].is_null(), "it knows of none");
}
