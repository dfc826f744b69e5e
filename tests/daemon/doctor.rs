//! `havipctl doctor`: each thing that can go wrong is found, told with its remedy, and nothing is changed.

use crate::lab::script::script;
use crate::lab::{HAVIP, Lab, Options};
use crate::wait::wait_for;
use havipd::doctor::{Finding, Level};
use havipd_lab::emulator::{Command as Cloud, Permission};
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use serde_json::Value;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

/// The doctor of node `node` over its file, without its daemon.
fn examine_with(lab: &Lab, node: usize, change: impl FnOnce(&mut Command)) -> Output {
    let daemon = lab.command(node);
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.env_clear().envs(daemon.get_envs().filter_map(|(k, v)| Some((k, v?))));
    command.args(["doctor", "--json", "--node", ["a", "b", "c"][node], "--config"]).arg(lab.config_path());
    change(&mut command);
    command.output().unwrap()
}

fn examine(lab: &Lab, node: usize) -> (Option<i32>, Vec<Finding>) {
    findings(examine_with(lab, node, |_| {}))
}

fn findings(output: Output) -> (Option<i32>, Vec<Finding>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let parsed = serde_json::from_str::<Value>(&text).and_then(|mut answer| {
        assert_eq!(answer["code"].as_i64(), output.status.code().map(i64::from), "{text}");
        serde_json::from_value(answer["data"]["findings"].take())
    });
    (output.status.code(), parsed.unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr))))
}

fn ask(lab: &Lab, node: usize) -> (Option<i32>, Vec<Finding>) {
    findings(lab.ctl(node, &["doctor", "--json"]))
}

fn find<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("no {id} in {findings:#?}"))
}

#[track_caller]
fn fails((code, findings): &(Option<i32>, Vec<Finding>), id: &str, text: &str) {
    let found = find(findings, id);
    assert!(found.level == Level::Failed && found.text.contains(text) && !found.remedy.is_empty(), "{found:?}");
    assert_eq!(*code, Some(1), "{findings:#?}");
    assert!(findings.is_sorted_by_key(|f| f.level), "what is wrong comes first");
}

#[test]
fn it_works_before_a_daemon_ever_ran_and_changes_nothing() {
    let lab = Lab::new(Options::default());
    let (code, found) = examine(&lab, 0);
    assert_eq!(code, Some(0), "{found:#?}");
    let peer = find(&found, "peer.b");
    assert!(peer.level == Level::Warning && peer.text.contains("does not answer"), "{peer:?}");
    for id in
        ["cloud.endpoint", "cloud.credentials", "cloud.permissions", "clock", "identity", "target.a", "target.b", "udp"]
    {
        assert_eq!(find(&found, id).level, Level::Ok, "{id}: {found:#?}");
    }
    assert_eq!(lab.writes(), 0);
    assert!(std::fs::read_dir(lab.home(0).join("state")).unwrap().next().is_none(), "nothing is stored");

    let b = lab.start(1);
    b.wait_for("is active alone", |s| s["groups"][0]["role"] == "active");
    let writes = lab.writes();
    let (code, found) = examine(&lab, 0);
    assert_eq!(code, Some(0), "{found:#?}");
    let peer = find(&found, "peer.b");
    assert!(peer.level == Level::Ok && peer.text.contains("answers with our key"), "{peer:?}");
    assert_eq!(lab.writes(), writes);

    // Text for people, and a file that is no good.
    let output = examine_with(&lab, 0, |c| {
        let mut plain = Command::new(c.get_program());
        plain.env_clear().envs(c.get_envs().filter_map(|(k, v)| Some((k, v?))));
        plain.args(c.get_args().filter(|a| *a != "--json"));
        plain.env("BCE_ACCESS_KEY_ID", "ak-nobody").env("BCE_SECRET_ACCESS_KEY", "not-so-secret");
        *c = plain;
    });
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("failed   cloud.credentials"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("1 failed, "), "{text}");
    std::fs::write(lab.config_path(), "[cluster]\nnam = \"x\"\n").unwrap();
    let (code, found) = examine(&lab, 0);
    assert_eq!((code, found[0].id.as_str()), (Some(78), "config.file"));
}

#[test]
fn a_running_pair_is_well_and_the_daemon_looks_for_itself() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    a.wait_for("bound alone", |s| s["groups"][0]["havips"][0]["bound"] == serde_json::json!(["i-a"]));
    let writes = lab.writes();
    {
        let (code, found) = ask(&lab, 0);
        assert_eq!(code, Some(0), "{found:#?}");
        for id in [
            "keys",
            "daemon",
            "config.running",
            "cloud.credentials",
            "group.web",
            "failover.web",
            &format!("havip.{HAVIP}.bound"),
        ] {
            assert_eq!(find(&found, id).level, Level::Ok, "{id}: {found:#?}");
        }
    }
    let (_, found) = ask(&lab, 0);
    assert!(find(&found, "cloud.permissions.write").text.contains("proven by the move of"), "{found:#?}");
    assert_eq!(lab.writes(), writes, "nothing was changed");

    // The file changes under the daemon.
    let text = lab.text().replace("audit-interval = \"1s\"", "audit-interval = \"2s\"");
    std::fs::write(lab.config_path(), text).unwrap();
    let (code, found) = ask(&lab, 0);
    let running = find(&found, "config.running");
    assert_eq!((code, running.level), (Some(0), Level::Warning));
    assert!(running.text.contains("audit-interval") && running.remedy.contains("havipctl reload"), "{running:?}");

    // A peer that falls silent, and a group that stands still.
    assert_eq!(lab.ctl(0, &["maintenance", "web", "on"]).status.code(), Some(0));
    b.signal(9);
    a.wait_for("b is dead", |s| s["peers"][0]["state"] == "down");
    let report = ask(&lab, 0);
    fails(&report, "peer.b", "b is not heard");
    assert_eq!(find(&report.1, "group.web").level, Level::Warning);
    fails(&report, "failover.web", "if a failed now, web would stay down: nobody can take web over: b is not heard");
}

#[test]
fn two_keys_that_differ_are_told_from_silence() {
    let lab = Lab::new(Options::default());
    let b = lab.start(1);
    b.wait_role("active");
    lab.write_key("heartbeat.key", 9);
    let a = lab.start(0);
    a.wait_for("runs", |s| s["counters"]["bad_tag"].as_u64() > Some(0));
    let report = ask(&lab, 0);
    fails(&report, "keys", "no key here verifies");
    fails(&report, "peer.b", "datagrams arrive that no key here verifies");
    drop(a);
    fails(&examine(&lab, 0), "peer.b", "no key here verifies");
}

#[test]
fn a_peer_that_runs_another_configuration_fails() {
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    let text = lab
        .text()
        .replace("[[group.havip]]", "[[group.havip]]\nid = \"havip-more\"\ninterface = \"none\"\n[[group.havip]]");
    std::fs::write(lab.config_path(), text).unwrap();
    let _b = lab.start(1);
    a.wait_for("hears another digest", |s| s["peers"][0]["same_digest"] == false);
    fails(&ask(&lab, 0), "config.b", "b runs other timing, voters, arbiters, HAVIPs or bindings");
}

#[test]
fn what_the_cloud_refuses_has_its_own_line() {
    let lab = Lab::new(Options {
        cloud: "request-timeout = \"1s\"\nconnect-timeout = \"500ms\"".into(),
        ..Options::default()
    });
    let apply = |command| drop(lab.cloud.apply(command).unwrap());
    let permission = |permission| Cloud::Permission { access_key: "ak-a".into(), permission };

    let wrong = findings(examine_with(&lab, 0, |c| {
        c.env("BCE_SECRET_ACCESS_KEY", "wrong");
    }));
    fails(&wrong, "cloud.credentials", "SignatureDoesNotMatch");
    let none = examine_with(&lab, 0, |c| {
        c.env_remove("BCE_ACCESS_KEY_ID").env_remove("BCE_SECRET_ACCESS_KEY");
    });
    fails(&findings(none), "cloud.credentials", "instance role");

    apply(permission(Permission::Nothing));
    fails(&examine(&lab, 0), "cloud.permissions", "AccessDenied");
    apply(permission(Permission::Full));

    apply(Cloud::Clock { offset_ms: -20 * 60 * 1000 });
    fails(&examine(&lab, 0), "clock", "ahead of the cloud's");
    apply(Cloud::Clock { offset_ms: 5 * 60 * 1000 });
    let (code, found) = examine(&lab, 0);
    assert_eq!((code, find(&found, "clock").level), (Some(0), Level::Warning));
    apply(Cloud::Clock { offset_ms: 0 });
    let expired = Fault::Status {
        status: 400,
        code: "RequestExpired".into(),
        message: "expired".into(),
        retry_after: None,
        applied: false,
    };
    lab.cloud.add_fault(FaultRule::new(Scope::Any, expired));
    fails(&examine(&lab, 0), "clock", "refuses the time of our signatures");
    lab.cloud.clear_faults();

    lab.cloud.add_fault(FaultRule::new(Scope::Any, Fault::Hang));
    fails(&examine(&lab, 0), "cloud.endpoint", "read havip-test1");
    lab.cloud.clear_faults();

    apply(Cloud::Stop { instance: "i-b".into() });
    fails(&examine(&lab, 0), "target.b", "does not run");
    apply(Cloud::Start { instance: "i-b".into() });

    apply(Cloud::Fill { havip: HAVIP.into() });
    fails(&examine(&lab, 0), &format!("havip.{HAVIP}.bound"), "which is no member of web");
    apply(Cloud::Revoke { access_key: "ak-a".into() });
    fails(&examine(&lab, 0), "cloud.credentials", "InvalidAccessKeyId");
    assert_eq!(lab.writes(), 0);
}

#[test]
fn a_havip_that_is_gone_or_elsewhere_fails() {
    let lab = Lab::new(Options { metadata_of_a: true, ..Options::default() });
    let text = lab.text();
    let with = |from: &str, to: &str| {
        std::fs::write(lab.config_path(), text.replace(from, to)).unwrap();
        examine(&lab, 0)
    };
    let havip = format!("havip.{HAVIP}");
    fails(&with(HAVIP, "havip-elsewhere"), "havip.havip-elsewhere", "is in vpc-other, this machine in");
    fails(
        &with("interface = \"none\"", "interface = \"none\"\naddress = \"10.1.1.1\""),
        &havip,
        "the file says 10.1.1.1",
    );
    fails(&with("instance = \"i-a\"", "instance = \"i-c\""), "identity", "this machine is i-a");
    fails(&with("instance = \"i-a\"", "instance = \"i-nosuch\""), "target.a", "does not run, or does not exist");
    fails(&with("region = \"bj\"\nendpoint", "region = \"gz\"\n# endpoint"), "region", "this machine is in bj");
    fails(&with("interface = \"none\"", "interface = \"nosuch0\""), &format!("interface.{HAVIP}"), "nosuch0");
    lab.cloud.apply(Cloud::Delete { havip: HAVIP.into() }).unwrap();
    fails(&with("", ""), &havip, "does not know");
    assert_eq!(lab.writes(), 0);
}

#[test]
fn an_interface_of_another_machine_fails() {
    let lab = Lab::new(Options { eni: true, metadata_of_a: true, ..Options::default() });
    let (code, found) = examine(&lab, 0);
    assert_eq!(code, Some(0), "{found:#?}");
    assert!(find(&found, "identity").text.contains("eni-a"), "{found:#?}");
    std::fs::write(lab.config_path(), lab.text().replace("eni-a", "eni-c")).unwrap();
    fails(&examine(&lab, 0), "identity", "is not on this machine (i-a) but on i-c");
    std::fs::write(lab.config_path(), lab.text().replace("eni-a", "eni-nosuch")).unwrap();
    fails(&examine(&lab, 0), "target.a", "does not know eni-nosuch");
}

#[test]
fn hooks_secrets_ports_and_directories_are_looked_at() {
    let lab = Lab::new(Options::default());
    let text = lab.text();
    let with = |group: &str| std::fs::write(lab.config_path(), text.replace("[[group.havip]]", group)).unwrap();
    with("[group.hooks]\nnotify = [\"/nonexistent/hook\"]\n[[group.havip]]");
    fails(&examine(&lab, 0), "hook.web.notify", "cannot be run");
    let hook = lab.dir.path().join("hook");
    script(&hook, "#!/bin/sh\n");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o777)).unwrap();
    with(&format!("[group.hooks]\nnotify = [\"{}\"]\n[[group.havip]]", hook.display()));
    let (code, found) = examine(&lab, 0);
    assert_eq!((code, find(&found, "hook.web.notify").level), (Some(0), Level::Warning), "{found:#?}");
    assert_eq!(found.iter().filter(|f| f.text.contains(hook.to_str().unwrap())).count(), 1, "told once: {found:#?}");

    std::fs::write(lab.config_path(), &text).unwrap();
    let taken = UdpSocket::bind((lab.address(0), 11200)).unwrap();
    fails(&examine(&lab, 0), "udp", "in use");
    drop(taken);
    let nowhere = examine_with(&lab, 0, |c| {
        c.env("STATE_DIRECTORY", "/nonexistent/state");
    });
    fails(&findings(nowhere), "state", "cannot be written");

    let key = lab.dir.path().join("heartbeat.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, found) = examine(&lab, 0);
    assert_eq!(code, Some(78));
    let errors: Vec<&Finding> = found.iter().filter(|f| f.level == Level::Failed).collect();
    assert!(errors.len() == 1 && errors[0].text.contains("0644"), "{found:?}");
}

#[test]
fn a_daemon_that_cannot_be_asked_is_not_replaced_by_a_guess() {
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    // Two at a time: the second is told to come back. The first takes as long as a call that nobody answers.
    lab.cloud.add_fault(FaultRule::new(Scope::Any, Fault::Hang));
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(|| lab.ctl(0, &["doctor", "--json"]).status.code());
        let second = wait_for("the doctor is busy", || {
            let code = lab.ctl(0, &["doctor"]).status.code();
            (code == Some(75) || first.is_finished()).then_some(code)
        });
        (first.join().unwrap(), second)
    });
    // The peer does not run, which is a failure.
    assert!(matches!(first, (Some(1), Some(75)) | (Some(75), Some(1))), "{first:?}");
    assert_eq!(lab.ctl(0, &["doctor", "--node", "a"]).status.code(), Some(64), "--node goes with --config");
}

#[test]
fn a_war_over_a_havip_has_a_line_of_its_own() {
    let lab = Lab::new(Options::default());
    let (a, _b) = lab.pair();
    let thief = "i-stranger1";
    // Three times may be anybody's slip.
    for times in 1..=4 {
        wait_for("a has it", || (lab.holder().as_deref() == Some("i-a")).then_some(()));
        a.wait_for("a knows", |s| s["groups"][0]["havips"][0]["holder"] == "i-a");
        // It was detached each time that it was found.
        lab.cloud.apply(Cloud::Fill { havip: HAVIP.to_owned() }).unwrap();
        lab.cloud.apply(Cloud::Master { havip: HAVIP.to_owned(), target: thief.to_owned() }).unwrap();
        a.wait_for("it is seen", |s| s["groups"][0]["havips"][0]["repairs"].as_u64() >= Some(times));
        if times == 2 {
            let check = lab.ctl(0, &["status", "--check"]);
            let (code, said) = (check.status.code(), String::from_utf8(check.stdout).unwrap());
            let line = format!("web: {HAVIP}: repaired 2 times in 1 minute, last bound: {thief}\n");
            assert!(code == Some(1) && said.contains(&line), "{code:?} {said}");
            wait_for("the history has it", || {
                let history = lab.ctl(0, &["history", "web", "-n", "all"]).stdout;
                let line = format!("holder of {HAVIP}; last bound: {thief}; put right");
                String::from_utf8(history).unwrap().contains(&line).then_some(())
            });
        }
    }
    fails(&ask(&lab, 0), &format!("havip.{HAVIP}.contested"), &format!("taken by {thief} 4 times"));
}
