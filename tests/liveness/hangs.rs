//! Something around the daemon hangs: heartbeats keep their cadence, and the role stays.

use crate::Case;
use crate::cadence::{keeps_sending, keeps_time, lab, lab_of};
use crate::lab::script::script;
use crate::lab::{Daemon, Lab, Options};
use crate::obstacles::{FileServer, FullDisk, SilentNames};
use crate::wait::wait_for;
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    ("a log pipe that nobody reads", log_pipe),
    ("a state directory on a full disk", full_disk),
    ("a state directory on a stopped file server", stopped_file_server),
    ("a state directory that answers after the start", late_state),
    ("a hook that ignores SIGTERM", stubborn_hook),
    ("an API that accepts and never answers", silent_api),
    ("a credentials file on a stopped file server", stopped_credentials),
    ("names and metadata that are never answered", silent_names),
    ("everything hangs at once", everything),
];

/// Something that is worth a state file, and moves nothing.
fn change_state(node: &Daemon) {
    for on in [true, false] {
        let reply = node.ask(&json!({"command": "maintenance", "on": on})).unwrap();
        // It is in force, and a restart would forget it: the operator is told so.
        let told = reply["message"].as_str().unwrap_or_default();
        assert!(reply["code"] == 75 && told.contains("a restart forgets it, as it cannot be stored"), "{reply}");
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
    assert_eq!(a.ended().code(), Some(0), "in order, whatever reads the log");
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

/// Who was drained before its restart stays so, however late its disk says it; and the disk goes on saying it.
fn late_state() {
    let lab = lab(String::new());
    let backing = lab.dir.path().join("backing");
    let server = FileServer::mount(&backing, &lab.home(1).join("state"));
    let (a, mut b) = lab.pair();
    let on_disk = || {
        let text = fs::read(backing.join("state.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["state"]["groups"]["web"]["drained"].clone()
    };
    let drained = |s: &Value| s["groups"][0]["drained"] == true;
    let stored = |s: &Value| s["effects"]["state"]["unsaved"] == false;
    assert_eq!(b.ask(&json!({"command": "drain"})).unwrap()["code"], 0);
    b.wait_for("is drained, and has said so to the disk", |s| drained(s) && stored(s));
    assert_eq!(on_disk(), true);
    b.signal(9);
    b.ended();
    server.stop();
    let b = lab.start(1);
    let status = b.wait_for("runs without its state", |s| s["peers"][0]["state"] == "up");
    assert!(drained(&status), "{status}");
    let found = status["effects"]["state"]["found"].as_str().unwrap();
    assert!(found.ends_with("has not answered yet: this node counts as drained until it does"), "{found}");
    assert_eq!(lab.ctl(1, &["status", "--check"]).status.code(), Some(1));
    keeps_time("of its peer, which has no state yet", &a, &b);

    server.go_on();
    let status = b.wait_for("knows its state, and keeps it", |s| s["effects"]["state"]["found"].is_null() && stored(s));
    assert!(drained(&status), "{status}");
    assert_eq!(on_disk(), true);
    drop(a);
    b.wait_for("a is dead", |s| s["peers"][0]["state"] == "down");
    assert_eq!(b.group()["role"], "backup");
    assert_eq!(b.ask(&json!({"command": "undrain"})).unwrap()["code"], 0);
    b.wait_role("active");
    b.wait_for("has said so to the disk", stored);
    assert_eq!(on_disk(), false);
    drop(b);
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
    let tables = format!("[hooks]\nnotify-master = {stubborn:?}\nnotify-backup = {quick:?}\ntimeout = \"5s\"\n");
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
    // The shell, and the `sleep` that it waits for, unless that had just ended.
    let ended = outcome["processes"].as_u64().unwrap_or_default();
    assert!(outcome["result"] == "timed-out" && outcome["killed"] == true && matches!(ended, 1 | 2), "{outcome}");
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

/// What `[cloud.credentials]` says where each node has a directory of its own.
const CREDENTIALS: &str = "[cloud.credentials]\nsource = \"file\"\nfile = \"credential:cloud.toml\"\n";

/// Puts a node's key into `at`, where it finds it.
fn with_credentials(at: &Path, node: &str) -> impl FnOnce(&mut Command) {
    fs::create_dir_all(at).unwrap();
    let (file, at) = (at.join("cloud.toml"), at.to_owned());
    fs::write(&file, format!("access-key-id = \"ak-{node}\"\nsecret-access-key = \"sk-{node}\"\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    move |command| {
        command.env("CREDENTIALS_DIRECTORY", at).env_remove("BCE_ACCESS_KEY_ID").env_remove("BCE_SECRET_ACCESS_KEY");
    }
}

/// Two daemons of which the first has its key on that file server, and has used it.
fn pair_with_credentials(lab: &Lab, served: &Path, change: impl FnOnce(&mut Command)) -> (Daemon, Daemon) {
    let own = with_credentials(served, "a");
    let a = lab.start_with(0, |command| {
        own(command);
        change(command);
    });
    let b = lab.start_with(1, with_credentials(&lab.home(1).join("credentials"), "b"));
    a.wait_role("active");
    b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a" && s["groups"][0]["role"] == "backup");
    a.wait_for("b is up", |s| s["peers"][0]["state"] == "up");
    (a, b)
}

fn stopped_credentials() {
    let lab = lab(CREDENTIALS.to_owned());
    let served = lab.dir.path().join("served");
    let server = FileServer::mount(&lab.dir.path().join("backing"), &served);
    let (mut a, b) = pair_with_credentials(&lab, &served, |_| {});
    server.stop();
    keeps_time("with a credentials file that hangs", &a, &b);
    assert!(a.log().contains("cloud.toml does not answer"), "it was read meanwhile");
    // The key in hand still does: the audits go on.
    let before = lab.cloud.calls(0).len();
    wait_for("calls go on", || (lab.cloud.calls(0).len() > before + 2).then_some(()));
    assert_eq!(a.status().unwrap()["groups"][0]["havips"][0]["error"], Value::Null);
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0), "nor does its end wait for the file");
    b.wait_role("active");
    drop((a, b));
    drop(server);
}

fn silent_names() {
    let lab = lab_of(Options { discover_a: true, ..Options::default() });
    let names = SilentNames::mount(lab.dir.path());
    lab.cloud.add_fault(FaultRule::new(Scope::Metadata, Fault::Hang));
    let text = lab.text();
    // It is the service of a's machine: what b learnt of it would be that it runs on a copy of that.
    let asks = text.lines().find(|l| l.starts_with("metadata-endpoint")).unwrap();
    fs::write(lab.config_path(), text.replace(asks, "metadata-endpoint = \"http://127.0.0.1:9\"")).unwrap();
    let b = lab.start(1);
    b.wait_role("active");
    let named = text.replace("\nendpoint = \"http://127.0.0.1:", "\nendpoint = \"http://cloud.lab:");
    assert_ne!(named, text);
    fs::write(lab.config_path(), named).unwrap();
    let a = lab.start(0);
    wait_for("the name server was asked", || names.was_asked());
    a.wait_for("the metadata service was waited for", |s| s["effects"]["identity_error"].is_string());
    b.wait_for("a is up", |s| s["peers"][0]["state"] == "up");
    keeps_sending("of a node that knows neither the cloud nor itself", &b, 2, |_| {});
    keeps_time("of its peer", &b, &a);
    names.know("cloud.lab");
    lab.cloud.clear_faults();
    a.wait_role("backup");
    a.wait_for("has read the cloud", |s| s["groups"][0]["havips"][0]["holder"] == "i-b");
    drop((a, b));
    drop(names);
}

fn everything() {
    let mut lab = lab(String::new());
    let (stubborn, pid_file) = (lab.dir.path().join("stubborn"), lab.dir.path().join("pid.a"));
    let notes = lab.dir.path().display();
    script(
        &stubborn,
        &format!("#!/bin/sh\ntrap '' TERM\necho $$ > {notes}/pid.$HAVIPD_NODE\nwhile :; do sleep 1; done\n"),
    );
    lab.options.tables = format!("{CREDENTIALS}[hooks]\nnotify-master = {stubborn:?}\ntimeout = \"60s\"\n");
    lab.write_config();
    let (state, served) = (lab.home(0).join("state"), lab.dir.path().join("served"));
    let full = FullDisk::mount(&lab.home(1).join("state"));
    let servers = [
        FileServer::mount(&lab.dir.path().join("backing-state"), &state),
        FileServer::mount(&lab.dir.path().join("backing-credentials"), &served),
    ];
    let (unread, pipe) = std::io::pipe().unwrap();
    let (a, b) = pair_with_credentials(&lab, &served, |command| {
        command.stderr(pipe);
    });
    wait_for("the hook runs", || pid_file.exists().then_some(()));
    a.wait_for("its state is stored", |s| s["effects"]["state"]["unsaved"] == false);
    wait_for("pipe and queue are full", || {
        (0..100).for_each(|_| drop(a.ask(&json!({"command": "undrain"}))));
        (a.status()?["effects"]["log_lines_lost"].as_u64()? > 0).then_some(())
    });
    servers.iter().for_each(FileServer::stop);
    change_state(&a);
    a.wait_for("waits for the file server", |s| s["effects"]["state"]["unsaved"] == true);
    lab.cloud.add_fault(FaultRule::new(Scope::Any, Fault::Hang));
    a.wait_for("reads fail", |s| s["groups"][0]["havips"][0]["error"].is_string());
    b.wait_for("says that the disk is full", |s| s["effects"]["state"]["error"].is_string());
    keeps_time("while everything hangs", &a, &b);
    keeps_sending("of its peer, whose disk is full", &a, 2, |_| {});

    lab.cloud.clear_faults();
    servers.iter().for_each(FileServer::go_on);
    full.clear();
    drop(unread);
    for node in [&a, &b] {
        node.wait_for("all is well", |s| {
            s["effects"]["state"]["unsaved"] == false && s["groups"][0]["havips"][0]["error"].is_null()
        });
    }
    drop((a, b));
    drop((servers, full));
}
