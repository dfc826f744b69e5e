//! `daemon.realtime-priority` and `daemon.lock-memory`, with exactly what the drop-in gives and without it.
//!
//! These tests change resource limits and drop capabilities, so they need root.

use crate::lab::script::script;
use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;
use serde_json::json;
use std::fs::OpenOptions;
use std::process::{Command, Stdio};

const KEYS: &str = "[daemon]\nrealtime-priority = 20\nlock-memory = true\n";
/// `SCHED_OTHER` and `SCHED_FIFO` (sched(7)).
const OTHER: u64 = 0;
const FIFO: u64 = 1;

/// What the drop-in sets.
const DROP_IN: [&str; 2] = ["--rtprio=50:50", "--memlock=unlimited:unlimited"];

/// The daemon of node `a`, without the capabilities that would do, under these limits.
fn start_with_limits(lab: &Lab, limits: [&str; 2]) -> Daemon {
    lab.start_with(0, |command| {
        let mut limited = Command::new("prlimit");
        limited.args(limits).args(["setpriv", "--bounding-set", "-sys_nice,-ipc_lock"]);
        limited.arg(command.get_program()).args(command.get_args());
        limited.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = OpenOptions::new().create(true).append(true).open(lab.home(0).join("log")).unwrap();
        *command = limited;
        command.stdout(Stdio::null()).stderr(log);
    })
}

/// With exactly what the drop-in gives; where not even root may raise limits (a container), with root's capabilities.
fn start_with_the_right(lab: &Lab) -> Daemon {
    let tried = Command::new("prlimit").args(DROP_IN).arg("true").stderr(Stdio::null()).status().unwrap();
    if tried.success() { start_with_limits(lab, DROP_IN) } else { lab.start(0) }
}

#[test]
fn the_program_of_a_check_has_neither_the_daemons_limits_nor_its_capabilities() {
    let mut lab = Lab::new(Options { group: "checks = [\"plain\"]".to_owned(), ..Options::default() });
    let program = lab.dir.path().join("plain");
    // Its limits are those of the daemon for a moment: the next run has them right.
    script(
        &program,
        "#!/bin/sh\ngrep -Eq '^Max core file size +4096 +4096 ' /proc/self/limits &&\n\
         grep -Eq '^CapAmb:\t0+$' /proc/self/status && echo plain || grep -E 'core|Amb' /proc/self/limits /proc/self/status\n",
    );
    lab.options.tables = format!("[[check]]\nname = \"plain\"\nscript = [{program:?}]\ninterval = \"500ms\"\n");
    lab.write_config();
    let a = lab.start_with(0, |command| {
        let mut more = Command::new("prlimit");
        more.args(["--core=4096:4096", "setpriv", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]);
        more.arg(command.get_program()).args(command.get_args());
        more.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = OpenOptions::new().create(true).append(true).open(lab.home(0).join("log")).unwrap();
        *command = more;
        command.stdout(Stdio::null()).stderr(log);
    });
    let of_daemon = |what: &str| std::fs::read_to_string(format!("/proc/{}/{what}", a.pid())).unwrap();
    a.wait_for("it has run", |s| s["effects"]["checks"][0]["last"].is_object());
    assert!(of_daemon("status").contains("CapAmb:\t0000000000002000"), "{}", of_daemon("status"));
    let core = of_daemon("limits").lines().find(|l| l.starts_with("Max core")).unwrap().to_owned();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "4096"], "the daemon dumps nothing");
    a.wait_for("it has none of that", |s| s["effects"]["checks"][0]["last"]["text"] == "exit code 0: plain");
}

/// Real-time priority and policy of a thread, as `/proc/.../stat` has them (proc(5), fields 40 and 41).
fn scheduling(stat: &str) -> (u64, u64) {
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[37].parse().unwrap(), fields[38].parse().unwrap())
}

/// Every thread: its name, priority and policy.
fn threads(daemon: &Daemon) -> Vec<(String, u64, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread may end meanwhile.
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        let name = stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
        let (priority, policy) = scheduling(&stat);
        Some((name, priority, policy))
    };
    tasks.filter_map(of).collect()
}

fn locked_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|l| l.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn locked(daemon: &Daemon) -> u64 {
    locked_kib(&std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap())
}

fn doctor(lab: &Lab) -> String {
    String::from_utf8(lab.ctl(0, &["doctor"]).stdout).unwrap()
}

#[test]
fn the_heartbeat_thread_and_no_other_is_real_time() {
    let mut lab = Lab::new(Options::default());
    let (hook, seen) = (lab.dir.path().join("hook"), lab.dir.path().join("seen"));
    // Its own child, too: that is what hooks are made of. Renamed when it is whole; each node has its own file, for
    // both have the hook.
    let facts = "cat /proc/$$/stat /proc/self/stat; grep VmLck: /proc/$$/status";
    script(
        &hook,
        &format!(
            "#!/bin/sh\n{{ {facts}; }} >{0}.$HAVIPD_NODE.new; mv {0}.$HAVIPD_NODE.new {0}.$HAVIPD_NODE\n",
            seen.display()
        ),
    );
    lab.options.tables = format!("{KEYS}[hooks]\nnotify = {hook:?}\n");
    lab.write_config();
    let _b = lab.start(1);
    let a = start_with_the_right(&lab);
    a.wait_for("has a role and a session", |s| s["peers"][0]["state"] == "up" && s["groups"][0]["role"] != "claiming");

    let all = threads(&a);
    let special: Vec<_> = all.iter().filter(|(_, priority, policy)| (*priority, *policy) != (0, OTHER)).collect();
    assert_eq!(special, [&("havipd-core".to_owned(), 20, FIFO)], "{all:?}");
    assert!(all.len() > 3, "{all:?}");
    assert!(locked(&a) > 1024, "{} KiB", locked(&a));

    let hook = wait_for("a hook has run", || std::fs::read_to_string(seen.with_extension("a")).ok());
    let stats: Vec<&str> = hook.lines().filter(|l| !l.starts_with("VmLck")).collect();
    assert_eq!(stats.iter().map(|l| scheduling(l)).collect::<Vec<_>>(), [(0, OTHER); 2], "{hook}");
    assert_eq!(locked_kib(&hook), 0, "{hook}");

    let text = doctor(&lab);
    for line in ["has real-time priority 20", "the daemon's memory is locked"] {
        assert!(text.lines().any(|l| l.starts_with("ok") && l.contains(line)), "{line}: {text}");
    }
    for (from, to) in
        [("realtime-priority = 20", "realtime-priority = 21"), ("lock-memory = true", "lock-memory = false")]
    {
        std::fs::write(lab.config_path(), lab.text().replace(from, to)).unwrap();
        let reply = a.ask(&json!({"command": "reload"})).unwrap();
        assert_eq!(reply["code"], 78, "{reply}");
        assert!(reply["message"].as_str().unwrap().contains("restart"), "{reply}");
    }
}

#[test]
fn without_the_right_it_says_so_and_runs() {
    let mut lab = Lab::new(Options::default());
    lab.options.tables = KEYS.to_owned();
    lab.write_config();
    let a = start_with_limits(&lab, ["--rtprio=0:0", "--memlock=1048576:1048576"]);
    a.wait_role("active");
    for text in [
        "daemon.realtime-priority = 20 is not in force: it needs RLIMIT_RTPRIO of at least 20, which is 0, or CAP_SYS_NICE; \
         install the drop-in realtime.conf and restart, or remove the key",
        "daemon.lock-memory is not in force: it needs RLIMIT_MEMLOCK to be unlimited, and it is 1024 KiB, or CAP_IPC_LOCK; \
         install the drop-in realtime.conf",
    ] {
        a.wait_log(text);
    }
    assert!(threads(&a).iter().all(|(_, priority, policy)| (*priority, *policy) == (0, OTHER)), "{:?}", threads(&a));
    assert_eq!(locked(&a), 0);
    let text = doctor(&lab);
    for key in ["daemon.realtime-priority", "daemon.lock-memory"] {
        let line = format!("{key} is not in force: it needs RLIMIT_");
        assert!(text.lines().any(|l| l.starts_with("warning") && l.contains(&line)), "{line}: {text}");
    }
    assert!(text.contains("install the drop-in realtime.conf"), "{text}");
    let status = String::from_utf8(lab.ctl(0, &["status"]).stdout).unwrap();
    for line in ["real-time priority: it needs RLIMIT_RTPRIO", "locked memory: it needs RLIMIT_MEMLOCK"] {
        assert!(status.contains(line), "{line}: {status}");
    }
}

#[test]
fn without_the_keys_nothing_is_taken_whatever_is_allowed() {
    let lab = Lab::new(Options::default());
    let a = start_with_the_right(&lab);
    a.wait_role("active");
    assert!(threads(&a).iter().all(|(_, priority, policy)| (*priority, *policy) == (0, OTHER)), "{:?}", threads(&a));
    assert_eq!(locked(&a), 0);
    assert!(!doctor(&lab).contains("real-time"));
}
