//! Command lines and exit codes of both programs.

use crate::lab::script::script;
use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output, Stdio};

fn check(lab: &Lab, text: &str, change: impl FnOnce(&mut Command)) -> (Option<i32>, String, String) {
    std::fs::write(lab.config_path(), text).unwrap();
    let mut command = lab.command(0);
    command.arg("--check-config");
    change(&mut command);
    parts(command.output().unwrap())
}

fn parts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Without `--node` nothing tells which node this host is: the lab's addresses are on no interface.
fn nowhere(lab: &Lab) -> Command {
    let with = lab.command(0);
    let mut command = Command::new(with.get_program());
    command.arg("--config").arg(lab.config_path()).env_clear();
    command.envs(with.get_envs().filter_map(|(k, v)| Some((k, v?))));
    command
}

#[test]
fn a_directory_that_depends_on_where_it_runs_is_refused() {
    for program in [env!("CARGO_BIN_EXE_havipd"), env!("CARGO_BIN_EXE_havipctl")] {
        for variable in ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"] {
            let mut command = Command::new(program);
            command.env(variable, "run/havipd").args(if program.ends_with("havipd") { vec![] } else { vec!["status"] });
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(78), "{text}");
            assert!(text.contains(&format!("{variable} is \"run/havipd\", which is not an absolute path")), "{text}");
        }
    }
}

#[test]
fn what_a_usage_error_repeats_does_nothing_to_a_terminal() {
    for program in [env!("CARGO_BIN_EXE_havipd"), env!("CARGO_BIN_EXE_havipctl")] {
        let (code, _, err) = parts(Command::new(program).arg("--\u{1b}[31mx\u{9b}2J\u{202e}y").output().unwrap());
        assert_eq!(code, Some(64), "{err}");
        let odd = |c: char| c != '\n' && havipd::plain::is_odd(c);
        assert!(err.contains("unexpected argument") && !err.contains(odd), "{err:?}");
    }
}

#[test]
fn check_config_tells_by_its_exit_code() {
    let lab = Lab::new(Options::default());
    let good = lab.text();
    let (code, out, err) = check(&lab, &good, |_| {});
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("this node is a, as --node says\ngroup web: arbiter cloud, chosen by auto"), "{out}");

    let bad = good.replace("dead-multiplier = 40", "dead-multiplier = 1\nintervall = \"1s\"");
    let (code, out, err) = check(&lab, &bad, |_| {});
    assert_eq!((code, out.as_str()), (Some(78), ""));
    for part in ["dead-multiplier", "intervall", "havipd.toml:"] {
        assert!(err.contains(part), "every error at once: {part} is not in {err}");
    }
    std::fs::write(lab.config_path(), &good).unwrap();
    let (code, _, err) = parts(nowhere(&lab).arg("--check-config").output().unwrap());
    assert_eq!(code, Some(78));
    assert!(err.contains("no [[node]] is this host"), "{err}");
    let (code, ..) = parts(lab.command(0).arg("--no-such-thing").output().unwrap());
    assert_eq!(code, Some(64));
    let (code, out, _) = parts(lab.command(0).arg("--version").output().unwrap());
    assert_eq!((code, out.as_str()), (Some(0), concat!("havipd ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn check_config_knows_the_units_limits_and_the_hosts_pauses() {
    let lab = Lab::new(Options::default());
    let bin = lab.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin.join("systemctl"), "#!/bin/sh\nprintf 'LoadState=loaded\\nTimeoutStopUSec=5s\\n'\n");
    let state = r#"{"version":1,"state":{"longest-pause":{"secs":7,"nanos":0}}}"#;
    std::fs::create_dir_all(lab.home(0).join("state")).unwrap();
    std::fs::write(lab.home(0).join("state/state.json"), state).unwrap();
    let (code, out, _) = check(&lab, &lab.text(), |command| {
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    });
    assert_eq!(code, Some(0));
    for part in ["more than the unit's TimeoutStopSec, 5s", "7s"] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
}

/// What systemd is told, as datagrams.
#[test]
fn systemd_hears_of_readiness_status_progress_and_the_end() {
    let lab = Lab::new(Options::default());
    let socket = UnixDatagram::bind(lab.dir.path().join("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut daemon = lab.start_with(0, |command| {
        command.env("NOTIFY_SOCKET", lab.dir.path().join("notify")).env("WATCHDOG_USEC", "400000");
    });
    let mut heard = String::new();
    let mut wait = |what: &str| {
        wait_for(what, || {
            let mut space = [0; 4096];
            while let Ok(size) = socket.recv(&mut space) {
                heard.push_str(std::str::from_utf8(&space[..size]).unwrap());
                heard.push('\n');
            }
            let at = heard.find(what)?;
            heard.drain(..at + what.len());
            Some(())
        });
    };
    wait("READY=1");
    wait("STATUS=web active");
    wait("WATCHDOG=1");
    wait("WATCHDOG=1");
    daemon.signal(1);
    wait("RELOADING=1");
    wait("READY=1");
    daemon.signal(15);
    wait("STOPPING=1");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_daemon_with_a_wrong_file_ends_with_78() {
    let lab = Lab::new(Options::default());
    std::fs::write(lab.config_path(), "[cluster]\nnam = \"x\"\n").unwrap();
    let (code, _, err) = parts(lab.command(0).output().unwrap());
    assert_eq!(code, Some(78));
    assert!(err.contains("ERROR") && err.contains("nam"), "{err}");
}

#[test]
fn a_daemon_without_an_address_waits_and_says_for_which() {
    let lab = Lab::new(Options::default());
    let mut daemon = lab.start_with(0, |command| {
        let old = std::mem::replace(command, nowhere(&lab));
        drop(old);
        let log = std::fs::OpenOptions::new().append(true).open(lab.home(0).join("log")).unwrap();
        command.stderr(log);
    });
    let why = format!("waiting for {} (a)", lab.address(0));
    daemon.wait_log(&why);
    let reply = wait_for("an answer", || daemon.ask(&json!({"command": "status"})));
    assert_eq!(reply["code"], 75);
    assert!(reply["message"].as_str().unwrap().contains(&why), "{reply}");
    daemon.signal(15);
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_second_daemon_in_the_same_place_is_refused() {
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    let (code, _, err) = parts(lab.command(0).output().unwrap());
    assert_eq!(code, Some(69));
    assert!(err.contains("another havipd runs"), "{err}");
    assert_eq!(a.group()["role"], "active");
}

/// What a voter had granted when it was stopped is good for one start, and nothing but a start may use it up.
#[test]
fn what_the_last_run_left_is_touched_by_nobody_but_a_daemon_that_begins() {
    let lab = Lab::new(Options::default());
    let mut a = lab.start(0);
    a.wait_role("active");
    a.wait_for("its state is on the disk", |s| s["effects"]["state"]["unsaved"] == false);
    let path = lab.home(0).join("state/state.json");
    let grants = r#"[{"group":"web","node":"b","boot":"00112233445566778899aabbccddeeff"}]"#;
    let left = format!(r#"{{"version":1,"state":{{"machine-boot":"an earlier one","grants":{grants}}}}}"#);
    // It stands still, for it may have more to store.
    a.signal(19);
    std::fs::write(&path, &left).unwrap();
    let untouched = |after: &str| assert_eq!(std::fs::read_to_string(&path).unwrap(), left, "{after}");

    let (code, _, err) = parts(lab.command(0).output().unwrap());
    assert_eq!(code, Some(69), "{err}");
    untouched("a second daemon");
    a.signal(9);
    a.ended();
    std::fs::write(&path, &left).unwrap();
    let config = lab.config_path();
    std::fs::write(&config, lab.text().replace("[cluster]", "[cluser]")).unwrap();
    let (code, _, err) = parts(lab.command(0).output().unwrap());
    assert_eq!(code, Some(78), "{err}");
    untouched("a typo in the file");
    let unusable = lab.text().replace("\nendpoint = \"http:", "\nca-file = \"/dev/null\"\nendpoint = \"https:");
    std::fs::write(&config, unusable).unwrap();
    let (code, _, err) = parts(lab.command(0).output().unwrap());
    assert_eq!(code, Some(78), "{err}");
    untouched("a file with which no daemon can begin");
    lab.write_config();
    let (code, ..) = parts(lab.command(0).arg("--check-config").output().unwrap());
    assert_eq!(code, Some(0));
    untouched("--check-config");
    let _ = lab.command(0).arg("--release-stale").output().unwrap();
    untouched("--release-stale");
    let mut doctor = std::process::Command::new(env!("CARGO_BIN_EXE_havipctl"));
    doctor.env("STATE_DIRECTORY", lab.home(0).join("state")).args(["doctor", "--node", "a", "--config"]);
    let _ = doctor.arg(lab.config_path()).output().unwrap();
    untouched("the doctor");

    let a = lab.start(0);
    a.wait_log("state of the last run found");
    a.wait_for("its state is on the disk", |s| s["effects"]["state"]["unsaved"] == false);
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(!now.contains("00112233445566778899aabbccddeeff"), "{now}");
}

#[test]
fn havipctl_shows_and_moves() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    let (code, out, _) = parts(lab.ctl(0, &["status"]));
    assert_eq!(code, Some(0));
    assert!(out.starts_with("cluster lab, node a (i-a), up ") && out.contains("held by i-a"), "{out}");
    let (_, out, _) = parts(lab.ctl(1, &["status", "--json"]));
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&status["code"], &status["data"]["groups"][0]["active"]), (&json!(0), &json!("a")));
    assert_eq!(status["data"]["groups"][0]["epoch"], a.group()["epoch"], "a bystander knows the term");

    let (code, _, err) = parts(lab.ctl(0, &["switchover", "nosuch"]));
    assert_eq!(code, Some(64));
    assert!(err.contains("there is no group \"nosuch\"; there is only web"), "{err}");
    assert_eq!(lab.ctl(0, &["switchover", "web", "--to", "b"]).status.code(), Some(0));
    b.wait_role("active");
    a.wait_role("backup");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));

    assert_eq!(lab.ctl(1, &["drain"]).status.code(), Some(0));
    a.wait_role("active");
    b.wait_for("is drained", |s| s["groups"][0]["drained"] == true);
    assert_eq!(lab.ctl(1, &["undrain", "web"]).status.code(), Some(0));
    assert_eq!(lab.ctl(1, &["maintenance", "web", "on"]).status.code(), Some(0));
    a.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
    assert_eq!(lab.ctl(0, &["maintenance", "--all", "off"]).status.code(), Some(0));
    b.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == false);
}

#[test]
fn havipctl_rehearses_moves_and_waits_for_them() {
    let lab = Lab::new(Options::default());
    let (a, mut b) = lab.pair();
    let epoch = a.group()["epoch"].clone();
    let (code, out, _) = parts(lab.ctl(0, &["switchover", "web", "--dry-run"]));
    assert_eq!((code, out.as_str()), (Some(0), "web would be handed over to b\n"));
    let (code, out, _) = parts(lab.ctl(1, &["switchover", "web", "--to", "b", "--dry-run"]));
    assert_eq!((code, out.as_str()), (Some(0), "a: web would be handed over to b\n"));
    let now = a.group();
    assert_eq!((now["role"].as_str(), &now["epoch"]), (Some("active"), &epoch), "nothing moved");

    let (code, out, err) = parts(lab.ctl(0, &["switchover", "web", "--wait"]));
    assert_eq!((code, out.as_str()), (Some(0), "web is active on b\n"), "{err}");
    assert_eq!(b.group()["role"], "active");
    let (code, out, _) = parts(lab.ctl(1, &["switchover", "web", "--to", "b", "--wait"]));
    assert_eq!((code, out.as_str()), (Some(0), "web is active on b already\n"));
    a.wait_role("backup");
    let (code, out, err) = parts(lab.ctl(1, &["drain", "--wait", "--json"]));
    assert_eq!(code, Some(0), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["code"], &answer["message"]), (&json!(0), &json!("web is active on a")));

    // A successor that is told of the move and then cannot attach: leadership comes back, and the wait says so.
    assert_eq!(lab.ctl(1, &["undrain"]).status.code(), Some(0));
    a.wait_for("b may take over", |_| lab.ctl(0, &["switchover", "web", "--dry-run"]).status.success());
    let denied = havipd_lab::emulator::Permission::ReadOnly;
    let command = havipd_lab::emulator::Command::Permission { access_key: "ak-b".to_owned(), permission: denied };
    lab.cloud.apply(command).unwrap();
    let (code, _, err) = parts(lab.ctl(0, &["switchover", "web", "--wait"]));
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("web is active here: "), "{err}");
    assert!(
        err.contains("web: b declined: it has just failed to claim it; havipctl why web --on b tells more"),
        "{err}"
    );
    let (_, out, _) = parts(lab.ctl(1, &["why", "web"]));
    assert!(out.contains("attach") && out.contains("denied"), "{out}");
    b.signal(15);
    b.ended();
    let (code, _, err) = parts(lab.ctl(0, &["switchover", "web", "--wait"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("nobody can take web over: "), "{err}");
}

#[test]
fn status_check_tells_by_its_exit_code() {
    let lab = Lab::new(Options::default());
    assert_eq!(lab.ctl(0, &["status", "--check"]).status.code(), Some(69), "nobody runs");
    let (a, mut b) = lab.pair();
    // Each node finds it out for itself.
    for node in [0, 1] {
        let well = || Some(parts(lab.ctl(node, &["status", "--check"]))).filter(|p| p.0 == Some(0));
        assert_eq!(wait_for("all is well", well).1, "ok\n");
    }
    let (_, out, _) = parts(lab.ctl(1, &["status", "--check", "--json"]));
    let answer: Value = serde_json::from_str(&out).unwrap();
    let expected = json!({"protocol": 1, "code": 0, "message": "ok", "data": {"ok": true, "problems": []}});
    assert_eq!(answer, expected);

    // Would tonight's failover work? Both nodes say that it would not.
    let (code, out, _) = parts(lab.ctl(1, &["drain"]));
    assert_eq!((code, out.as_str()), (Some(0), "drained: stays ineligible\n"));
    for node in [0, 1] {
        let nobody = "web: nobody can take web over: b is drained\n";
        wait_for("says that nobody could", || {
            let (code, out, _) = parts(lab.ctl(node, &["status", "--check"]));
            (code == Some(1) && out == nobody).then_some(())
        });
    }
    let (code, out, _) = parts(lab.ctl(0, &["drain"]));
    assert_eq!(code, Some(0));
    assert!(out.contains("stays active until somebody can take over: nobody can take web over: b is drained"), "{out}");
    for node in [0, 1] {
        assert_eq!(lab.ctl(node, &["undrain"]).status.code(), Some(0));
    }
    wait_for("b may take over again", || (parts(lab.ctl(0, &["status", "--check"])).0 == Some(0)).then_some(()));

    assert_eq!(lab.ctl(0, &["maintenance", "web", "on"]).status.code(), Some(0));
    let (code, out, _) = parts(lab.ctl(0, &["status", "--check"]));
    assert_eq!((code, out.as_str()), (Some(1), "web: is in maintenance\n"));
    assert_eq!(lab.ctl(0, &["maintenance", "web", "off"]).status.code(), Some(0));
    b.signal(9);
    b.ended();
    a.wait_for("b is dead", |s| s["peers"][0]["state"] == "down");
    let (code, out, _) = parts(lab.ctl(0, &["status", "--check"]));
    let text = "web: nobody can take web over: b is not heard\npeer b: the session is down\n";
    assert_eq!((code, out.as_str()), (Some(1), text));
}

#[test]
fn havipctl_changes_the_log_level() {
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    let (code, _, err) = parts(lab.ctl(0, &["log-level", "loud"]));
    assert_eq!(code, Some(64));
    assert!(err.contains("[possible values: error, warn, info, debug, trace]"), "{err}");
    assert_eq!(lab.ctl(0, &["log-level", "Error"]).status.code(), Some(0));
}

#[test]
fn havipctl_ends_with_69_where_no_daemon_is() {
    let lab = Lab::new(Options::default());
    let (code, _, err) = parts(lab.ctl(0, &["status"]));
    assert_eq!(code, Some(69));
    assert!(err.contains("havipd does not run"), "{err}");
    assert_eq!(lab.ctl(0, &["dance"]).status.code(), Some(64));
    assert_eq!(lab.ctl(0, &["maintenance"]).status.code(), Some(64), "on or off");
    assert_eq!(lab.ctl(0, &["maintenance", "on"]).status.code(), Some(69), "the daemon knows its only group");
}

/// A key or a file that a full disk did not take must not pass for one; a reader that went away had what it wanted.
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("keepalived.conf");
    let text = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n";
    std::fs::write(&conf, text).unwrap();
    let conf = conf.to_str().unwrap();
    for arguments in [&["keygen"][..], &["keygen", "--json"], &["import", conf], &["import", conf, "--json"]] {
        let run = |out: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
            let output = command.args(arguments).stdout(out).stderr(Stdio::piped()).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, said) = run(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into());
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(said.contains("the answer cannot be written to standard output: No space left"), "{said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(writer.into()).0, Some(0), "{arguments:?}");
    }
}

#[test]
fn keygen_makes_a_key_that_havipd_takes_and_never_replaces_one() {
    let lab = Lab::new(Options::default());
    let path = lab.dir.path().join("new.key");
    let file = path.to_str().unwrap();
    assert_eq!(lab.ctl(0, &["keygen", "--out", file]).status.code(), Some(0));
    let key = std::fs::read_to_string(&path).unwrap();
    let text = lab.text().replace("heartbeat.key", "new.key");
    assert_eq!(check(&lab, &text, |_| {}).0, Some(0));
    let (code, _, err) = parts(lab.ctl(0, &["keygen", "--out", file]));
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
    let (code, out, _) = parts(lab.ctl(0, &["keygen"]));
    assert_eq!((code, out.trim().len()), (Some(0), 64));
    assert_ne!(out, key);
}
