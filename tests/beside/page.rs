//! The commands of docs/migration.md, from the page itself: those of `havipctl` and `havipd --check-config` are run
//! against an emulated cloud, in the order of the page, with `/etc` in a directory of the test. What needs systemd,
//! another node or a running daemon is only written down; the packages' tests and the labs play that.

use crate::examples::{HAVIP, cloud, host, shipped};
use crate::script::script;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const PAGE: &str = include_str!("../../docs/migration.md");

/// What stands in fences marked `sh`.
fn commands() -> Vec<&'static str> {
    let mut inside = false;
    let lines = PAGE.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside = if fence { *line == "```sh" } else { inside };
        inside && !fence
    });
    lines.collect()
}

/// Programs that stand in for what is not here; each writes down how it was called.
fn stand_ins(root: &Path) {
    let bin = root.join("bin");
    fs::create_dir(&bin).unwrap();
    let (ctl, daemon) = (env!("CARGO_BIN_EXE_havipctl"), env!("CARGO_BIN_EXE_havipd"));
    let asks = "status|why|history";
    for (name, text) in [
        ("systemctl", String::new()),
        ("keepalived", String::new()),
        ("chgrp", String::new()),
        // What the other node has, as its own tar would say it.
        ("ssh", "exec tar -C \"$ROOT/b\" -c etc/keepalived".to_owned()),
        // Somebody fills in what is open: the nodes are to ask their metadata service.
        ("editor", "sed -i '/^instance = \"i-\\.\\.\\.\"/d' \"$1\"".to_owned()),
        ("havipctl", format!("case $1 in {asks}) exit 0 ;; esac; echo ran >>\"$ROOT/ran\"; exec {ctl} \"$@\"")),
        (
            "havipd",
            format!(
                "echo ran >>\"$ROOT/ran\"; exec {daemon} --config \"$ROOT/etc/havipd/havipd.toml\" --node a \"$@\""
            ),
        ),
    ] {
        script(&bin.join(name), &format!("#!/bin/sh\necho \"{name} $*\" >>\"$ROOT/called\"\n{text}\n"));
    }
}

#[test]
fn the_commands_of_the_migration_page_work() {
    let (host, dir) = (host(), TempDir::new().unwrap());
    let root = dir.path();
    let (cloud, endpoint, metadata, _stop) = cloud(&host);
    stand_ins(root);
    for made in ["etc/keepalived", "etc/havipd", "b/etc/keepalived", "state", "run"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    let a = shipped("daemonless/keepalived.conf");
    let b = a.replace("10.0.0.12", "OTHER").replace("10.0.0.11", "10.0.0.12").replace("OTHER", "10.0.0.11");
    fs::write(root.join("etc/keepalived/keepalived.conf"), &a).unwrap();
    let at_b = root.join("b/etc/keepalived/keepalived.conf");
    fs::write(at_b, b.replace("priority 150", "priority 100").replace("router_id a", "router_id b")).unwrap();
    fs::write(root.join("etc/havipd/havipd.toml"), "# as the package has it\n").unwrap();
    let key = root.join("etc/keepalived/bce.toml");
    fs::write(&key, "access-key-id = \"ak-a\"\nsecret-access-key = \"sk-a\"\n").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let there = format!("--endpoint {endpoint} --metadata-endpoint {metadata}");
    let script =
        commands().join("\n").replace("/etc/", &format!("{}/etc/", root.display())).replace("--region bj", &there);
    let output = host.inside(|| {
        let path = format!("{}:{}", root.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-eu", "-c", &script]).env("PATH", path).env("ROOT", root).env("EDITOR", "editor");
        command.env("STATE_DIRECTORY", root.join("state")).env("RUNTIME_DIRECTORY", root.join("run"));
        command.current_dir(root).stdin(Stdio::null()).output().unwrap()
    });
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n--\n{out}\n--\n{err}");
    assert!(out.contains(&format!("{HAVIP}, held by nobody: would attach i-a")), "step 1 looks: {out}");
    assert!(out.contains("this node is a"), "step 3 is a right configuration: {out}");
    assert!(out.contains("group VI_1: arbiter keepalived"), "step 4 follows: {out}");
    assert!(out.contains("group VI_1: arbiter cloud, chosen by auto"), "step 5 elects: {out}");
    assert!(err.contains("virtual_ipaddress"), "step 4 says what has to go from keepalived's file: {err}");
    assert!(cloud.calls(0).iter().all(|call| call.method == "GET"), "the page's commands move nothing by themselves");

    // The script of step 1 told which HAVIP it is: nothing but the instances was open.
    let made = |name: &str| fs::read_to_string(root.join("etc/havipd/import").join(name)).unwrap();
    for (name, says) in [
        ("instead.toml", "id = \"havip-w2d4kgc3x0y1\""),
        ("shadow.toml", "observe = true"),
        ("beside.toml", "arbiter = \"keepalived\""),
    ] {
        assert!(made(name).contains(says), "{name}");
    }
    assert_eq!(
        fs::read_to_string(root.join("etc/keepalived/keepalived.conf")).unwrap(),
        a,
        "every way back leads back"
    );

    let ours = commands().iter().filter(|l| l.starts_with("havip") && !l.starts_with("havipctl status")).count();
    let ran = fs::read_to_string(root.join("ran")).unwrap().lines().count();
    assert_eq!(ran, ours, "each command of ours was run: {script}");
}

#[test]
fn what_the_page_shows_is_what_is_shipped() {
    let line = PAGE.lines().find(|l| l.starts_with("notify_master ")).unwrap();
    assert!(shipped("daemonless/keepalived.conf").lines().any(|l| l.trim() == line), "{line}");
}
