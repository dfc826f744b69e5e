//! What is wrong with account, HAVIP or identity: said with its remedy, and over without a restart.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use havipd_lab::emulator::{Command, Permission};
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use serde_json::json;

fn permit(lab: &Lab, permission: Permission) {
    for access_key in ["ak-a", "ak-b"] {
        lab.cloud.apply(Command::Permission { access_key: access_key.to_owned(), permission }).unwrap();
    }
}

#[test]
fn an_unknown_havip_is_a_fault_with_a_remedy_and_a_reload_ends_it() {
    let mut lab = Lab::new(Options { havip_id: Some("havip-nosuch".to_owned()), ..Options::default() });
    let (a, b) = (lab.start(0), lab.start(1));
    for node in [&a, &b] {
        let status = node.wait_role("fault");
        let group = &status["groups"][0];
        assert_eq!(group["cause"], "havip-missing");
        let detail = group["detail"].as_str().unwrap();
        assert!(detail.contains("havip-nosuch") && detail.contains("correct group.havip.id"), "{detail}");
        node.wait_for("peers are up all the same", |s| s["peers"][0]["state"] == "up");
    }
    lab.options.havip_id = None;
    lab.write_config();
    // The id is part of what all nodes must agree on, so it takes maintenance.
    for request in [
        json!({"command": "maintenance", "on": true}),
        json!({"command": "reload"}),
        json!({"command": "maintenance", "on": false}),
    ] {
        for node in [&a, &b] {
            node.wait_for("maintenance, or the other's new file, is known", |s| match &request {
                r if r["command"] == "reload" => s["groups"][0]["maintenance"] == true,
                r if r["on"] == false => s["peers"][0]["same_digest"] == true,
                _ => true,
            });
            let reply = node.ask(&request).unwrap();
            assert_eq!(reply["code"], 0, "{request}: {reply}");
        }
    }
    a.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
}

#[test]
fn the_state_of_another_node_is_named_and_not_used() {
    let lab = Lab::new(Options::default());
    let (mut a, b) = lab.pair();
    let reply = b.ask(&json!({"command": "drain", "group": "web"})).unwrap();
    assert_eq!(reply["code"], 0, "{reply}");
    b.wait_for("its state is on the disk", |s| {
        s["groups"][0]["drained"] == true && s["effects"]["state"]["unsaved"] == false
    });
    a.signal(9);
    a.ended();
    // A cold standby, or a host that was set up anew from the wrong backup.
    std::fs::copy(lab.home(1).join("state/state.json"), lab.home(0).join("state/state.json")).unwrap();
    let a = lab.start(0);
    a.wait_log(
        "has the state of node \"b\" of cluster \"lab\": it is not used here, and will be that of a from now on",
    );
    a.wait_role("active");
    assert_eq!(a.group()["drained"], false);
}

/// A monitoring that waits a minute for each answer is one that says nothing of that night.
#[test]
fn a_daemon_that_is_stopped_costs_a_reader_seconds_and_is_named() {
    let lab = Lab::new(Options::default());
    let (a, _b) = lab.pair();
    wait_for("its move is on the disk", || {
        let text = std::fs::read_to_string(lab.home(0).join("state/history.jsonl")).unwrap_or_default();
        (text.contains("\"active\"") && text.ends_with('\n')).then_some(())
    });
    a.signal(19);
    let commands: [&[&str]; 7] = [
        &["status"],
        &["status", "--check"],
        &["status", "--watch"],
        &["why", "web"],
        &["doctor"],
        &["history"],
        &["switchover", "web", "--dry-run"],
    ];
    let asked: Vec<_> = commands
        .iter()
        .map(|words| {
            let mut command = std::process::Command::new("timeout");
            command.arg("30").arg(env!("CARGO_BIN_EXE_havipctl")).args(*words);
            command.arg("--socket").arg(a.socket()).env_remove("STATE_DIRECTORY");
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let known = format!("its process {} is stopped by a signal (SIGSTOP)", a.pid());
    for (asked, words) in asked.into_iter().zip(commands) {
        let answer = asked.wait_with_output().unwrap();
        let text = String::from_utf8(answer.stderr).unwrap();
        // The history is on the disk, too, in the directory that the process was given.
        let code = if words[0] == "history" { 0 } else { 69 };
        assert_eq!(answer.status.code(), Some(code), "{words:?}: {text}");
        assert!(text.contains("havipd does not answer; its socket") && text.contains(&known), "{words:?}: {text}");
    }
    a.signal(18);
    a.wait_for("goes on", |s| s["groups"][0]["name"] == "web");
}

#[test]
fn refused_permission_is_a_fault_with_a_remedy_until_it_is_given() {
    let lab = Lab::new(Options::default());
    permit(&lab, Permission::Nothing);
    let (a, b) = (lab.start(0), lab.start(1));
    for node in [&a, &b] {
        let status = node.wait_role("fault");
        assert_eq!(status["groups"][0]["cause"], "denied");
        let detail = status["groups"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("check the credentials and their permission"), "{detail}");
        node.wait_for("peers are up all the same", |s| s["peers"][0]["state"] == "up");
    }
    permit(&lab, Permission::Full);
    a.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
}

#[test]
fn a_node_that_may_not_write_leaves_the_address_to_one_that_may() {
    let lab = Lab::new(Options::default());
    lab.cloud.apply(Command::Permission { access_key: "ak-a".to_owned(), permission: Permission::ReadOnly }).unwrap();
    let (_a, b) = (lab.start(0), lab.start(1));
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
}

#[test]
fn a_node_finds_its_eni_by_the_hardware_address_where_the_others_bind_enis() {
    let lab = Lab::new(Options { discover_a: true, eni: true, ..Options::default() });
    let a = lab.start(0);
    let status = a.wait_role("active");
    assert_eq!(status["target"]["id"], "eni-a");
    assert_eq!(lab.holder().as_deref(), Some("eni-a"));
    let b = lab.start(1);
    b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a");
    assert!(lab.ctl(0, &["switchover", "web", "--to", "b"]).status.success());
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("eni-b"));
}

#[test]
fn a_node_asks_the_metadata_service_what_it_is_until_it_answers() {
    let lab = Lab::new(Options { discover_a: true, ..Options::default() });
    lab.cloud.add_fault(FaultRule::new(Scope::Metadata, Fault::Reset));
    let a = lab.start(0);
    let status = a.wait_role("fault");
    assert_eq!(status["groups"][0]["cause"], "no-identity");
    a.wait_for("says why", |s| s["effects"]["identity_error"].as_str().is_some_and(|e| e.contains("instance-shortid")));
    lab.cloud.clear_faults();
    let status = a.wait_role("active");
    assert_eq!(status["target"]["id"], "i-a");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
}
