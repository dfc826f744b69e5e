//! Leaving: for good, for a restart, in a hurry, and by a crash.

use crate::lab::script::script;
use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use havipd_core::model::ids::KeyId;
use havipd_core::model::role::Role;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::HeartbeatKey;
use havipd_core::wire::Datagram;
use havipd_core::wire::auth::KeyRing;
use havipd_core::wire::heartbeat::decode;
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use std::process::Command;

#[test]
fn sigterm_hands_over_and_then_ends() {
    let lab = Lab::new(Options::default());
    let (mut a, b) = lab.pair();
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0));
    let status = b.wait_role("active");
    assert_eq!(status["groups"][0]["epoch"], 2);
    // Not for want of heartbeats.
    b.wait_log("cause=\"handed-over\"");
    assert!(a.log().contains("cause=\"handover-complete\""), "a waited until b served");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    assert!(!lab.home(0).join("run/control.sock").exists());
    assert!(!lab.home(0).join("run/last-word.json").exists(), "nothing is left to be said");
}

#[test]
fn a_restart_keeps_the_address_where_it_is() {
    let lab = Lab::new(Options::default());
    let bin = lab.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin.join("systemctl"), "#!/bin/sh\nfor unit; do :; done\necho \"7 $unit restart running\"\n");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut a = lab.start_with(0, |command| {
        command.env("PATH", path);
    });
    a.wait_role("active");
    let b = lab.start(1);
    b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a");
    a.wait_for("b is up", |s| s["peers"][0]["state"] == "up");
    let writes = lab.writes();
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0));
    assert!(a.log().contains("restart=true"));
    let a = lab.start(0);
    let status = a.wait_role("active");
    assert_eq!(status["groups"][0]["active"], "a");
    b.wait_for("hears the new start", |s| {
        s["peers"][0]["stats"]["proven"].as_u64() >= Some(2) && s["peers"][0]["state"] == "up"
    });
    let status = b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a");
    assert_eq!(status["groups"][0]["role"], "backup");
    assert_eq!(lab.writes(), writes, "nobody attached or detached anything");
    assert!(!b.log_until_now().contains("is claiming"));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let lab = Lab::new(Options::default());
    let (mut a, _b) = lab.pair();
    // b accepts, and never gets to serve: a would wait for handover-timeout.
    lab.cloud.add_fault(FaultRule::new(Scope::Any, Fault::Hang).for_caller("b"));
    a.signal(15);
    a.wait_log("web is releasing");
    a.signal(15);
    assert_eq!(a.ended().code(), Some(1), "not in order: ExecStopPost has work to do");
}

/// In a container it is the first process: what loses its parent becomes its child, and would stay as a zombie.
#[test]
fn as_the_first_process_it_reaps_what_others_leave_behind() {
    let mut lab = Lab::new(Options::default());
    let hook = lab.dir.path().join("notify.sh");
    let stay = lab.dir.path().join("stay");
    std::fs::write(&stay, "").unwrap();
    // The inner shell ends, and what it has started loses its parent.
    let orphan = format!("while test -e {}; do sleep 0.05; done", stay.display());
    script(&hook, &format!("#!/bin/sh\n(setsid sh -c '{orphan}' >/dev/null 2>&1 &)\n"));
    lab.options.tables = format!("[hooks]\nnotify = {hook:?}\n");
    lab.write_config();
    let inside = lab.dir.path().join("inside");
    let program = env!("CARGO_BIN_EXE_havipd");
    let text = format!("#!/bin/sh\nexec unshare --pid --fork --kill-child --mount-proc {program} \"$@\"\n");
    script(&inside, &text);
    let command = lab.command(0);
    let mut outer = Command::new(&inside);
    outer.args(command.get_args());
    command.get_envs().for_each(|(name, value)| match value {
        Some(value) => drop(outer.env(name, value)),
        None => drop(outer.env_remove(name)),
    });
    outer.stderr(std::process::Stdio::from(std::fs::File::create(lab.dir.path().join("log")).unwrap()));
    let mut outer = outer.spawn().expect("a PID namespace takes root: run the tests with sudo -E");
    let said = || std::fs::read_to_string(lab.dir.path().join("log")).unwrap_or_default();
    wait_for("the hook has run", || said().contains("hook done").then_some(()));
    let children = |pid: u32| {
        let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        listed.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    let first = wait_for("the first process", || children(outer.id()).first().copied());
    let daemon = wait_for("the daemon", || children(first).first().copied());
    wait_for("the orphan is its child", || (children(first).len() > 1).then_some(()));
    std::fs::remove_file(&stay).unwrap();
    wait_for("the orphan has ended and is reaped", || (children(first) == [daemon]).then_some(()));
    assert!(children(daemon).is_empty(), "{}", said());
    assert!(Command::new("kill").arg(first.to_string()).status().unwrap().success());
    assert!(outer.wait().unwrap().success(), "SIGTERM was handed on, and the daemon left in order: {}", said());
}

#[test]
fn hooks_are_called_as_keepalived_calls_them() {
    let mut lab = Lab::new(Options::default());
    let calls = lab.dir.path().join("calls");
    let hook = lab.dir.path().join("notify.sh");
    let text = "#!/bin/sh\necho \"$@ $HAVIPD_NODE $HAVIPD_EPOCH $HAVIPD_CAUSE\" >> ";
    script(&hook, &format!("{text}{}.$HAVIPD_NODE\n", calls.display()));
    lab.options.tables = format!("[hooks]\nnotify = \"{}\"\n", hook.display());
    lab.write_config();
    let (mut a, b) = lab.pair();
    let read = |node: &str| std::fs::read_to_string(format!("{}.{node}", calls.display())).unwrap_or_default();
    wait_for("b, which has only started, tells its hook", || {
        (read("b") == "INSTANCE web BACKUP 140 b 0 started\n").then_some(())
    });
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0), "only after the hooks of STOP have run");
    let of_a = read("a");
    let lines: Vec<&str> = of_a.lines().collect();
    assert!(lines.contains(&"INSTANCE web MASTER 150 a 1 confirmed"), "{of_a}");
    assert!(lines.last().is_some_and(|l| l.starts_with("INSTANCE web STOP 150 a 1 ")), "{of_a}");
    b.wait_role("active");
    wait_for("b's hook", || read("b").contains("INSTANCE web MASTER 140 b 2 confirmed").then_some(()));
}

/// Whether a last word gives leadership away. One that was sealed before there was any does not.
fn gives_away(word: &str) -> bool {
    let word: serde_json::Value = serde_json::from_str(word).unwrap();
    let bytes = hex::decode(word["datagrams"][0]["hex"].as_str().unwrap()).unwrap();
    let ring = KeyRing::new(&[HeartbeatKey { id: KeyId(1), secret: Secret::new(vec![7; 32]) }], KeyId(1));
    let Ok(Datagram::Heartbeat(heartbeat)) = decode(&bytes, &ring, &"lab".parse().unwrap()) else {
        panic!("{word} is no heartbeat of the lab")
    };
    heartbeat.entries.iter().all(|entry| entry.role == Role::Releasing)
}

/// The cause tells that it was the last word, and not twenty seconds of silence, that ended the session.
#[test]
fn after_a_crash_the_last_word_spares_the_peers_the_dead_time() {
    let lab = Lab::new(Options { dead_multiplier: Some(100), cold_start_wait: Some("20s"), ..Options::default() });
    std::fs::write(lab.config_path(), lab.text().replace("interval = \"50ms\"", "interval = \"200ms\"")).unwrap();
    let (mut a, b) = lab.pair();
    let word = lab.home(0).join("run/last-word.json");
    wait_for("the last word is kept", || {
        let text = std::fs::read_to_string(&word).ok()?;
        (text.contains(&format!("\"to\":\"{}:11200\"", lab.address(1))) && gives_away(&text)).then_some(())
    });
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&word).unwrap());
    assert_eq!(mode & 0o777, 0o600);

    let release = |result: &str| {
        let mut command: Command = lab.command(0);
        let output = command.arg("--release-stale").env("SERVICE_RESULT", result).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = release("signal");
    assert_eq!(code, Some(1), "it runs: {text}");
    a.signal(9);
    a.ended();
    assert_eq!(release("success").0, Some(0));
    assert_eq!(b.status().unwrap()["peers"][0]["state"], "up", "nothing was said after an end in order");
    let (code, text) = release("signal");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("datagrams=1"), "{text}");
    b.wait_role("active");
    b.wait_log("cause=\"peer-left\"");
    assert!(!word.exists(), "it is said once");
}
