//! `havipctl list`, `show`, `attach` and `detach`: the cloud's undocumented sides, and everything that goes wrong.

use crate::lab::{HAVIP, Lab, Options};
use crate::wait::wait_for;
use havipd_lab::emulator::{Command as Order, Permission};
use havipd_lab::simulation::cloud::{Announcements, Fault, FaultRule, OnAttach, Profile, Scope};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `havipctl` on node `a`, with the lab's file.
fn ctl(lab: &Lab, arguments: &[&str]) -> Command {
    let daemon = lab.command(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.arg("--socket").arg(lab.home(0).join("run/control.sock")).args(arguments);
    command.arg("--config").arg(lab.config_path()).args(["--node", "a"]).env_clear();
    command.envs(daemon.get_envs().filter_map(|(k, v)| Some((k, v?)))).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn parts(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn run(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String) {
    parts(&ctl(lab, arguments).output().unwrap())
}

/// The answer for programs.
fn asked(lab: &Lab, arguments: &[&str]) -> Value {
    let output = ctl(lab, arguments).arg("--json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn bound(lab: &Lab) -> Vec<String> {
    let view = lab.cloud.view();
    let havip = view.havips.iter().find(|h| h.id == HAVIP).unwrap();
    let mut ids: Vec<String> = havip.bound.iter().map(|b| b.id.clone()).collect();
    ids.sort();
    ids
}

/// A HAVIP that node `b` has.
fn held_by_b(profile: &Profile) -> Lab {
    let lab = Lab::new(Options::default());
    lab.cloud.set_profile(profile.clone());
    let (code, text) = run(&lab, &["attach", HAVIP, "--instance", "i-b"]);
    assert_eq!(code, Some(0), "{}: {text}", profile.name);
    lab.cloud.announce("i-b", HAVIP);
    wait_for("b has it", || (lab.holder().as_deref() == Some("i-b")).then_some(()));
    // What reads show lags behind.
    wait_for("it shows", || asked(&lab, &["show", HAVIP])["data"]["bindedInstances"][0].is_object().then_some(()));
    lab
}

/// Node `a` announces the address all the while, as keepalived does on a new master.
#[expect(clippy::disallowed_methods, reason = "a guest that announces itself at intervals")]
fn announcing<T>(lab: &Lab, act: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                lab.cloud.announce("i-a", HAVIP);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let result = act();
        over.store(true, Ordering::Relaxed);
        result
    })
}

/// Plays `case` under every profile, all at once: most of it is waiting.
fn under_every_profile(case: impl Fn(&Profile) + Sync) {
    std::thread::scope(|scope| {
        for profile in Profile::all() {
            let case = &case;
            scope.spawn(move || case(&profile));
        }
    });
}

#[test]
fn attach_exclusive_moves_under_every_profile_that_can_be_won() {
    under_every_profile(|profile| {
        let lab = held_by_b(profile);
        let name = &profile.name;
        let (code, text) = announcing(&lab, || run(&lab, &["attach", HAVIP, "--exclusive"]));
        if profile.winnable() {
            assert_eq!(code, Some(0), "{name}: {text}");
            assert!(text.starts_with(&format!("{HAVIP} is on i-a (was on i-b): attached i-a")), "{name}: {text}");
            assert_eq!((bound(&lab), lab.holder().as_deref()), (vec!["i-a".to_owned()], Some("i-a")), "{name}");
            let before = lab.writes();
            let (code, text) = announcing(&lab, || run(&lab, &["attach", HAVIP, "--exclusive", "--wait"]));
            assert_eq!((code, text), (Some(0), format!("{HAVIP} is on i-a already\n")), "{name}: once more");
            assert_eq!(lab.writes(), before, "{name}: what is so already takes no write");
        } else {
            assert_eq!(code, Some(1), "{name}: {text}");
            for part in ["i-b keeps havip-test1 and its detach is refused", "by hand: detach it in the console"] {
                assert!(text.contains(part), "{name}: {part} is not in {text}");
            }
            assert!(lab.writes() <= 4, "{name}: it does not loop, {} writes", lab.writes());
        }
        assert_eq!(text.lines().count(), 1, "{name}: one line: {text}");
    });
}

#[test]
fn attach_and_wait_leaves_the_others_bound_and_says_who_has_it() {
    under_every_profile(|profile| {
        let lab = held_by_b(profile);
        let name = &profile.name;
        let moves = profile.on_attach == OnAttach::LastTakesOver || profile.announcements != Announcements::Ignored;
        let (code, text) = announcing(&lab, || run(&lab, &["attach", HAVIP, "--wait", "--timeout", "8s"]));
        assert_eq!(code, Some(if moves { 0 } else { 1 }), "{name}: {text}");
        assert!(moves || text.contains("i-a is bound to havip-test1, but i-b keeps it"), "{name}: {text}");
        assert_eq!(bound(&lab), ["i-a", "i-b"], "{name}");
        assert_eq!(lab.holder().as_deref(), Some(if moves { "i-a" } else { "i-b" }), "{name}");
        // A cloud that is busy with the first one refuses the second for a while.
        let attaches = lab.cloud.calls(0).iter().filter(|c| c.method == "PUT").count();
        assert!(attaches == 2 || attaches > 2 && !profile.busy.is_zero(), "{name}: {attaches}, not one attach each");
    });
}

#[test]
fn detach_and_wait_ends_when_it_shows() {
    under_every_profile(|profile| {
        let lab = held_by_b(profile);
        let name = &profile.name;
        let (code, text) = run(&lab, &["detach", HAVIP, "--instance", "i-b", "--wait"]);
        if profile.detach_master_refused {
            assert_eq!(code, Some(1), "{name}: {text}");
            assert!(text.contains("move havip-test1 to another target first"), "{name}: {text}");
            assert_eq!(bound(&lab), ["i-b"], "{name}");
        } else {
            assert_eq!(code, Some(0), "{name}: {text}");
            assert!(text.starts_with("i-b is not bound to havip-test1: detached i-b in "), "{name}: {text}");
            assert!(bound(&lab).is_empty(), "{name}");
        }
        let (code, text) = run(&lab, &["detach", HAVIP, "--wait"]);
        assert_eq!((code, text), (Some(0), "i-a is not bound to havip-test1 already\n".to_owned()), "{name}");
    });
}

/// keepalived goes back and forth faster than the cloud's answers follow: a look may be of our last term.
#[test]
fn a_look_from_before_another_took_it_is_not_believed() {
    let lab = Lab::new(Options::default());
    lab.cloud.set_profile(Profile::eventual());
    assert_eq!(run(&lab, &["attach", HAVIP, "--exclusive"]).0, Some(0));
    assert_eq!(run(&lab, &["attach", HAVIP, "--instance", "i-b"]).0, Some(0));
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    assert_eq!(asked(&lab, &["show", HAVIP])["data"]["bindedInstances"][0]["instanceId"], "i-a", "what shows is old");
    let (code, text) = run(&lab, &["attach", HAVIP, "--exclusive"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((lab.holder().as_deref(), bound(&lab)), (Some("i-a"), vec!["i-a".to_owned()]), "{text}");
}

fn lab_with(rules: &[FaultRule]) -> Lab {
    let lab = Lab::new(Options::default());
    for rule in rules {
        lab.cloud.add_fault(rule.clone());
    }
    lab
}

#[test]
fn what_is_read_back_decides_and_not_the_answer() {
    let faults = [
        Fault::Lie,
        Fault::ApplyThenReset,
        Fault::ApplyThenHang,
        Fault::Hang,
        Fault::BadJson,
        Fault::Throttle,
        Fault::Status { status: 500, code: String::new(), message: String::new(), retry_after: None, applied: true },
        Fault::Status {
            status: 503,
            code: String::new(),
            message: String::new(),
            retry_after: Some(1),
            applied: false,
        },
        Fault::Late { delay: Duration::from_secs(1), answered: true },
    ];
    std::thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || {
                let lab = lab_with(&[FaultRule::new(Scope::Attach, fault.clone()).times(1)]);
                let (code, text) = run(&lab, &["attach", HAVIP, "--wait"]);
                assert_eq!(code, Some(0), "{fault:?}: {text}");
                assert_eq!(lab.holder().as_deref(), Some("i-a"), "{fault:?}");
            });
        }
    });
}

#[test]
fn a_cloud_that_never_answers_is_given_up_at_the_deadline() {
    let all = [
        (FaultRule::new(Scope::Any, Fault::Hang), 69, "nothing is known of havip-test1 after 2 s"),
        (FaultRule::new(Scope::Any, Fault::Reset), 69, "nothing is known of havip-test1 after 2 s"),
        (FaultRule::new(Scope::Any, Fault::Throttle), 75, "nothing is known of havip-test1 after 2 s"),
        (FaultRule::new(Scope::Attach, Fault::Throttle), 75, "havip-test1 is held by nobody after 2 s"),
        (FaultRule::new(Scope::Attach, Fault::Hang), 69, "havip-test1 is held by nobody after 2 s"),
        (FaultRule::new(Scope::Attach, Fault::Lie), 75, "havip-test1 is held by nobody after 2 s"),
    ];
    for (rule, code, says) in all {
        let lab = lab_with(std::slice::from_ref(&rule));
        let (ended, text) = run(&lab, &["attach", HAVIP, "--wait", "--timeout", "2s"]);
        assert_eq!(ended, Some(code), "{rule:?}: {text}");
        assert!(text.contains(says), "{rule:?}: {text}");
    }
    let lab = lab_with(&[FaultRule::new(Scope::Any, Fault::Hang)]);
    let (code, text) = run(&lab, &["show", HAVIP, "--timeout", "500ms"]);
    assert_eq!(code, Some(69), "{text}");
}

/// Starts a run that hangs in its attach, and waits until it does.
fn hanging(lab: &Lab, arguments: &[&str]) -> Child {
    let child = ctl(lab, arguments).spawn().unwrap();
    wait_for("the attach is under way", || (lab.writes() > 0).then_some(()));
    child
}

#[test]
fn sigterm_ends_it_at_once_and_frees_the_lock() {
    let lab = lab_with(&[FaultRule::new(Scope::Attach, Fault::Hang).times(1)]);
    let child = hanging(&lab, &["attach", HAVIP, "--wait", "--timeout", "10m"]);
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (code, text) = parts(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(75));
    assert_eq!(text, "havipctl: interrupted: what was sent may still be carried out; havipctl show tells\n");
    let (code, text) = run(&lab, &["attach", HAVIP, "--wait"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn of_runs_at_the_same_time_the_newest_has_its_way() {
    let lab = lab_with(&[FaultRule::new(Scope::Attach, Fault::Slow { delay: Duration::from_secs(3) }).times(1)]);
    // keepalived: MASTER, and before the script is done BACKUP.
    let first = hanging(&lab, &["attach", HAVIP, "--wait"]);
    let (code, text) = run(&lab, &["detach", HAVIP, "--wait"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = parts(&first.wait_with_output().unwrap());
    assert_eq!(code, Some(75), "{text}");
    assert_eq!(text, "havipctl: a newer run of havipctl for havip-test1 goes on with it\n");
    assert!(bound(&lab).is_empty());

    // A storm of transitions, all at once: one has its way, each of the others says why not.
    let all: Vec<Child> = (0..6).map(|_| ctl(&lab, &["attach", HAVIP, "--wait"]).spawn().unwrap()).collect();
    let ends: Vec<_> = all.into_iter().map(|child| parts(&child.wait_with_output().unwrap())).collect();
    assert!(ends.iter().all(|(code, _)| matches!(code, Some(0 | 75))), "{ends:?}");
    assert!(ends.iter().any(|(code, _)| *code == Some(0)), "{ends:?}");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
    let left: Vec<_> = std::fs::read_dir(lab.home(0).join("run")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the lock and the mark: {left:?}");
}

#[test]
fn a_run_that_stands_still_is_waited_for_no_longer_than_the_deadline() {
    let lab = lab_with(&[FaultRule::new(Scope::Attach, Fault::Hang).times(1)]);
    let mut first = hanging(&lab, &["attach", HAVIP, "--wait", "--timeout", "10m"]);
    let pid = rustix::process::Pid::from_raw(first.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let (code, text) = run(&lab, &["attach", HAVIP, "--wait", "--timeout", "500ms"]);
    assert_eq!(code, Some(75), "{text}");
    assert!(text.contains("an older run of havipctl for havip-test1 has not ended in time"), "{text}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(run(&lab, &["attach", HAVIP, "--wait"]).0, Some(0), "the lock of the dead is free");
}

#[test]
fn a_havip_in_the_care_of_a_daemon_is_left_to_it() {
    let lab = Lab::new(Options::default());
    let mut a = lab.start(0);
    a.wait_role("active");
    for arguments in [&["attach", HAVIP, "--wait"][..], &["detach", HAVIP]] {
        let (code, text) = run(&lab, arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("havipd runs here and has havip-test1 in its care (group web): use havipctl"), "{text}");
        assert!(text.contains("--force"), "{text}");
    }
    assert_eq!(run(&lab, &["attach", HAVIP, "--instance", "i-b", "--dry-run"]).0, Some(0));
    assert_eq!(run(&lab, &["attach", "havip-other"]).0, Some(1), "not its own, and not there");
    assert_eq!(run(&lab, &["attach", HAVIP, "--wait", "--force"]).0, Some(0));
    // One that hangs may still own it.
    a.signal(19);
    let (code, text) = run(&lab, &["attach", HAVIP]);
    assert_eq!(code, Some(69), "{text}");
    assert!(text.contains("cannot tell whether havipd has havip-test1 in its care"), "{text}");
    a.signal(9);
    a.ended();
    assert_eq!(run(&lab, &["attach", HAVIP, "--wait"]).0, Some(0));
}

/// Shadow mode: havipd watches what keepalived's script does, and does nothing itself.
#[test]
fn a_daemon_that_only_observes_is_nobodys_rival() {
    let lab = Lab::new(Options { group: "observe = true".to_owned(), ..Options::default() });
    let a = lab.start(0);
    a.wait_for("it observes", |s| s["groups"][0]["observe"] == true);
    let (code, text) = run(&lab, &["attach", HAVIP, "--wait"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!((lab.writes(), lab.holder().as_deref()), (1, Some("i-a")), "the script's attach, and nothing else");
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let lab = Lab::new(Options::default());
    let (code, text) = run(&lab, &["attach", "havip-nosuch"]);
    assert_eq!(code, Some(1), "{text}");
    for wrong in [
        &["attach", "havip_1"][..],
        &["attach"],
        &["attach", HAVIP, "--instance", "i-a", "--self"],
        &["attach", HAVIP, "--timeout", "5"],
    ] {
        assert_eq!(run(&lab, wrong).0, Some(64), "{wrong:?}");
    }
    lab.cloud.apply(Order::Permission { access_key: "ak-a".to_owned(), permission: Permission::ReadOnly }).unwrap();
    let (code, text) = run(&lab, &["attach", HAVIP, "--wait"]);
    assert_eq!(code, Some(77), "{text}");
    assert!(text.contains("AccessDenied"), "{text}");
    lab.cloud.apply(Order::Permission { access_key: "ak-a".to_owned(), permission: Permission::Nothing }).unwrap();
    assert_eq!(run(&lab, &["list"]).0, Some(77));
    let (code, text) = parts(&ctl(&lab, &["list"]).env_remove("BCE_SECRET_ACCESS_KEY").output().unwrap());
    assert_eq!(code, Some(77), "{text}");
    std::fs::write(lab.config_path(), "[cluster]\n").unwrap();
    let (code, text) = run(&lab, &["list"]);
    assert_eq!(code, Some(78), "{text}");
    let answer = asked(&lab, &["list"]);
    assert_eq!(answer["code"], 78, "a program is told too: {answer}");
}

#[test]
fn list_and_show_tell_people_and_programs() {
    let lab = held_by_b(&Profile::default());
    let (code, text) = run(&lab, &["list"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("HAVIP"), "{text}");
    let line = text.lines().find(|l| l.starts_with(HAVIP)).unwrap();
    assert!(line.contains("  127.0.0.100  binded  ") && line.ends_with("i-b     -"), "{text}");
    let all = asked(&lab, &["list"]);
    assert!(all["data"]["havips"].as_array().unwrap().iter().any(|h| h["haVipId"] == HAVIP), "{all}");
    assert_eq!(asked(&lab, &["list", "--vpc", "vpc-nosuch"])["data"], json!({"havips": []}));
    let (code, text) = run(&lab, &["show", HAVIP]);
    assert_eq!(code, Some(0));
    assert!(text.contains("\nholder   i-b\nbound    i-b (SERVER), master\n"), "{text}");
    assert_eq!(asked(&lab, &["show", HAVIP])["data"]["bindedInstances"][0]["instanceId"], "i-b");
    assert_eq!(run(&lab, &["show", "havip-nosuch"]).0, Some(1));
}

#[test]
fn a_rehearsal_says_what_would_be_done_and_does_nothing() {
    let lab = held_by_b(&Profile::default());
    let before = lab.writes();
    for (arguments, says) in [
        (&["attach", HAVIP, "--exclusive"][..], "havip-test1, held by i-b: would attach i-a and detach i-b\n"),
        (&["attach", HAVIP, "--wait"], "havip-test1, held by i-b: would attach i-a\n"),
        (&["attach", HAVIP, "--instance", "i-b"], "havip-test1, held by i-b: nothing would be done\n"),
        (&["detach", HAVIP], "havip-test1, held by i-b: nothing would be done\n"),
        (&["detach", HAVIP, "--instance", "i-b"], "havip-test1, held by i-b: would detach i-b\n"),
    ] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--dry-run"]).collect();
        assert_eq!(run(&lab, &arguments), (Some(0), says.to_owned()), "{arguments:?}");
    }
    assert_eq!(lab.writes(), before);
    let report = asked(&lab, &["attach", HAVIP, "--exclusive"]);
    let data = &report["data"];
    assert_eq!((&data["target"], &data["before"]["bindedInstances"][0]["instanceId"]), (&json!("i-a"), &json!("i-b")));
    let calls: Vec<&str> = data["writes"].as_array().unwrap().iter().filter_map(|w| w["call"].as_str()).collect();
    assert_eq!(calls, ["attach", "detach"], "{report}");
}

/// As keepalived runs it where nothing of havipd is set up: no file, no runtime directory, another user.
#[test]
fn it_needs_neither_a_file_nor_a_daemon_nor_root() {
    let lab = Lab::new(Options { metadata_of_a: true, ..Options::default() });
    let config = lab.text();
    let of =
        |key: &str| config.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim_matches([' ', '=', '"']).to_owned();
    let (endpoint, metadata) = (of("endpoint"), of("metadata-endpoint"));
    let runtime = lab.dir.path().join("user");
    std::fs::create_dir(&runtime).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.args(["attach", HAVIP, "--self", "--wait", "--endpoint", &endpoint, "--metadata-endpoint", &metadata]);
    command.env_clear().env("BCE_ACCESS_KEY_ID", "ak-a").env("BCE_SECRET_ACCESS_KEY", "sk-a");
    command.env("XDG_RUNTIME_DIR", &runtime).env("RUNTIME_DIRECTORY", "/proc/nowhere").stdin(Stdio::null());
    // The metadata service may be as late as anything else.
    let busy =
        Fault::Status { status: 503, code: String::new(), message: String::new(), retry_after: None, applied: false };
    lab.cloud.add_fault(FaultRule::new(Scope::Metadata, busy).times(2));
    let nobody = 65534;
    let as_nobody = rustix::process::getuid().is_root()
        && Command::new("test")
            .args(["-x", env!("CARGO_BIN_EXE_havipctl")])
            .uid(nobody)
            .status()
            .is_ok_and(|s| s.success());
    if as_nobody {
        std::os::unix::fs::chown(&runtime, Some(nobody), Some(nobody)).unwrap();
        std::fs::set_permissions(lab.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        command.uid(nobody).gid(nobody);
    }
    let (code, text) = parts(&command.output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("havip-test1 is on i-a: attached i-a in "), "{text}");
    let left: Vec<_> = std::fs::read_dir(runtime.join("havipd")).unwrap().collect();
    assert_eq!(left.len(), 2, "the lock and the mark");
}
