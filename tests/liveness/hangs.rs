//! Something around the daemon hangs: heartbeats keep their cadence, and the role stays.

use crate::Case;
use crate::cadence::{keeps_time, lab};
use crate::lab::{Daemon, script};
use crate::obstacles::{FileServer, FullDisk};
use crate::wait::wait_for;
use havipd::simulation::cloud::{Fault, FaultRule, Scope};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(crate) const CASES: &[Case] = &[
    ("a log pipe that nobody reads", log_pipe),
    ("a state directory on a full disk", full_disk),
    ("a state directory on a stopped file server", stopped_file_server),
    ("a hook that ignores SIGTERM", stubborn_hook),
    ("an API that accepts and never answers", silent_api),
];

/// Something that is worth a state file, and moves nothing.
fn change_state(node: &Daemon) {
    for on in [true, false] {
        let reply = node.ask(&json!({"command": "maintenance", "on": on})).unwrap();
        assert_eq!(reply["code"], 0, "{reply}");
        node.wait_for("maintenance is as told", |s| s["groups"][0]["maintenance"] == on);
    }
}

fn log_pipe() {
    let lab = lab(String::new());
    let (unread, pipe) = std::io::pipe().unwrap();
    let mut a = lab.start_with(0, |command| {
        command.stderr(pipe);
    });
    let b = lab.start(1);
    a.wait_role("active");
    wait_for("pipe and queue are full", || {
        (0..100).for_each(|_| drop(a.ask(&json!({"command": "undrain"}))));
        (a.status()?["effects"]["log_lines_lost"].as_u64()? > 0).then_some(())
    });
    keeps_time("with a full log pipe", &a, &b);
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0), "in order, whoever reads the log");
    b.wait_role("active");
    drop(unread);
}

fn full_disk() {
    let lab = lab(String::new());
    let disk = FullDisk::mount(&lab.home(0).join("state"));
    let (a, b) = lab.pair();
    change_state(&a);
    let status = a.wait_for("says that the disk is full", |s| s["effects"]["state"]["error"].is_string());
    let error = status["effects"]["state"]["error"].as_str().unwrap();
    assert!(error.contains("No space left on device"), "{error}");
    keeps_time("with a full disk", &a, &b);
    disk.clear();
    a.wait_for("has stored its state", |s| s["effects"]["state"]["unsaved"] == false);
    drop((a, b));
    drop(disk);
}

fn stopped_file_server() {
    let lab = lab(String::new());
    let server = FileServer::mount(&lab.dir.path().join("backing"), &lab.home(0).join("state"));
    let (mut a, b) = lab.pair();
    let stored = |s: &Value| s["effects"]["state"]["unsaved"] == false;
    a.wait_for("its state is stored", stored);
    server.stop();
    change_state(&a);
    a.wait_for("waits for the file server", |s| s["effects"]["state"]["unsaved"] == true);
    keeps_time("with a stopped file server", &a, &b);
    assert_eq!(a.status().unwrap()["effects"]["state"]["unsaved"], true);
    // Neither the end nor the start of a daemon waits for it.
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0));
    b.wait_role("active");
    drop(a);
    let a = lab.start(0);
    b.wait_for("a is back", |s| s["peers"][0]["state"] == "up");
    a.wait_role("backup");
    keeps_time("of its peer, after its start", &b, &a);
    server.go_on();
    a.wait_for("has stored its state", stored);
    drop((a, b));
    drop(server);
}

fn stubborn_hook() {
    let mut lab = lab(String::new());
    let (stubborn, quick) = (lab.dir.path().join("stubborn"), lab.dir.path().join("quick"));
    let wrote = |name: &str, node: &str| lab.dir.path().join(format!("{name}.{node}"));
    let notes = lab.dir.path().display();
    script(
        &stubborn,
        &format!("#!/bin/sh\ntrap '' TERM\necho $$ > {notes}/pid.$HAVIPD_NODE\nwhile :; do sleep 1; done\n"),
    );
    script(&quick, &format!("#!/bin/sh\n: > {notes}/backup.$HAVIPD_NODE\n"));
    let tables = format!("[hooks]\nnotify-master = {stubborn:?}\nnotify-backup = {quick:?}\ntimeout = \"1s\"\n");
    let (pid_file, next) = (wrote("pid", "a"), wrote("backup", "a"));
    lab.options.tables = tables;
    lab.write_config();
    let (a, b) = lab.pair();
    let read = |path: &Path| fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let pid = wait_for("the hook runs", || read(&pid_file));
    // At its start a was a backup, and its hook said so.
    let _ = fs::remove_file(&next);
    keeps_time("with a hook that hangs", &a, &b);
    let status =
        a.wait_for("the hook was killed", |s| s["effects"]["hooks"]["web"]["last"][0]["hook"] == "notify-master");
    let outcome = &status["effects"]["hooks"]["web"]["last"][0]["result"];
    assert_eq!(outcome, &json!({"result": "timed-out", "killed": true}));
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    let reply = a.ask(&json!({"command": "switchover", "group": "web", "to": "b"})).unwrap();
    assert_eq!(reply["code"], 0, "{reply}");
    b.wait_role("active");
    wait_for("the hook of the next state runs", || next.exists().then_some(()));
    keeps_time("of the next one, whose hook hangs, too", &b, &a);
}

fn silent_api() {
    let lab = lab(String::new());
    let (a, b) = lab.pair();
    lab.cloud.add_fault(FaultRule::new(Scope::Any, Fault::Hang));
    a.wait_for("reads fail", |s| s["groups"][0]["havips"][0]["error"].is_string());
    keeps_time("with a silent API", &a, &b);
    lab.cloud.clear_faults();
    a.wait_for("reads work again", |s| s["groups"][0]["havips"][0]["error"].is_null());
}
