//! The notify hooks, with real programs.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

#[path = "support/wait.rs"]
mod wait;

use havipd::hooks::{HookStatus, Hooks};
use havipd::program::Ended;
use havipd_core::model::action::{Notification, NotifyState};
use havipd_core::model::ids::{Epoch, GroupIndex, GroupName};
use havipd_core::model::role::Cause;
use havipd_core::model::settings::Hooks as Config;
use havipd_core::model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wait::{PATIENCE, wait_for};

/// How long a hook may take that never ends; it has to get as far as that, on a machine that is busy with something else.
const BRIEF: Duration = Duration::from_secs(5);

/// A directory for one test, and one group's hooks.
struct Bench {
    dir: tempfile::TempDir,
    hooks: Hooks,
    config: Config,
}

impl Bench {
    fn new() -> Self {
        let config = Config { timeout: PATIENCE, ..Config::default() };
        Self { dir: tempfile::tempdir().unwrap(), hooks: Hooks::new("a".parse().unwrap()), config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a script; `$D` in it is the test's directory.
    fn script(&self, name: &str, body: &str) -> Option<Vec<String>> {
        let path = self.path(&format!("{name}.sh"));
        fs::write(&path, format!("export D={}\n{body}\n", self.dir.path().display())).unwrap();
        // Not run by itself: a test that forks at this moment holds it open for writing (ETXTBSY).
        Some(vec!["/bin/sh".to_owned(), path.to_str().unwrap().to_owned()])
    }

    fn fifo(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    fn apply(&mut self) {
        self.hooks.apply(&BTreeMap::from([(web(), self.config.clone())]));
    }

    fn notify(&self, state: NotifyState, epoch: u64) {
        self.hooks.notify(&web(), notification(state, epoch));
    }

    fn idle(&self) -> HookStatus {
        assert!(self.hooks.wait_idle(PATIENCE));
        self.hooks.status().remove(&web()).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn pid(&self, name: &str) -> u32 {
        wait_for(name, || self.read(name).strip_suffix('\n').and_then(|pid| pid.parse().ok()))
    }
}

fn web() -> GroupName {
    "web".parse().unwrap()
}

fn notification(state: NotifyState, epoch: u64) -> Notification {
    Notification {
        group: GroupIndex(0),
        state,
        priority: 150,
        epoch: Epoch(epoch),
        cause: Cause::PeerDead,
        holder: Some("i-holder".to_owned()),
        leadership_until: Instant::FAR_FUTURE,
    }
}

fn alive(pid: u32) -> bool {
    // The word after the program's name in parentheses is the state; a zombie is as good as gone.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn gone(pid: u32) {
    wait_for(&format!("process {pid} is gone"), || (!alive(pid)).then_some(()));
}

/// As in a guest that was suspended before the hook could begin.
#[test]
fn a_state_whose_leadership_has_run_out_is_not_told_and_that_is_said() {
    let mut bench = Bench::new();
    bench.config.notify = bench.script("any", r#"echo "$5" >> $D/seen"#);
    let (listener, mut ran) = tokio::sync::mpsc::channel(4);
    let mut hooks = Hooks::new("node-1".parse().unwrap()).telling(listener);
    hooks.apply(&[(web(), bench.config.clone())].into());
    let late = Notification { leadership_until: havipd::clock::now(), ..notification(NotifyState::Master, 7) };
    hooks.notify(&web(), late);
    let said = ran.blocking_recv().unwrap();
    assert_eq!((said.group, said.epoch, said.lapsed), (web(), Epoch(7), true));
    hooks.notify(&web(), notification(NotifyState::Backup, 7));
    assert!(!ran.blocking_recv().unwrap().lapsed);
    assert!(hooks.wait_idle(PATIENCE));
    assert_eq!(hooks.status()[&web()].runs, 1, "the second one alone");
}

#[test]
fn the_hook_of_the_state_runs_first_and_the_generic_one_gets_what_keepalived_gives() {
    let mut bench = Bench::new();
    bench.config.notify_master = bench.script("master", r#"echo "master $# $*" >> $D/seen"#);
    bench.config.notify_backup = bench.script("backup", r#"echo "backup $# $*" >> $D/seen"#);
    bench.config.notify =
        bench.script("notify", r#"printf 'notify %s:' $# >> $D/seen; printf ' [%s]' "$@" >> $D/seen"#);
    bench.config.notify.as_mut().unwrap().push("own arg".to_owned());
    bench.apply();
    bench.notify(NotifyState::Master, 7);
    let status = bench.idle();
    assert_eq!(bench.read("seen"), "master 0 \nnotify 5: [own arg] [INSTANCE] [web] [MASTER] [150]");
    let hooks: Vec<_> = status.last.iter().map(|o| (o.hook.as_str(), o.state, o.epoch, o.result.clone())).collect();
    let done = Ended::Exited { code: 0 };
    let expected = ["notify-master", "notify"].map(|hook| (hook, NotifyState::Master, Epoch(7), done.clone()));
    assert_eq!(hooks, expected);
    assert_eq!((status.runs, status.failures, status.replaced), (2, 0, 0));
}

#[test]
fn the_environment_is_ours_to_give_not_to_inherit() {
    let mut bench = Bench::new();
    bench.config.notify_fault = bench.script("fault", "cat /proc/$$/environ > $D/environment; pwd > $D/cwd");
    bench.apply();
    bench.notify(NotifyState::Fault, 42);
    bench.idle();
    let text = bench.read("environment");
    let found: BTreeMap<_, _> = text.split_terminator('\0').filter_map(|pair| pair.split_once('=')).collect();
    // The test process has many more, CARGO_MANIFEST_DIR for one: cloud credentials would be like it.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let names: BTreeSet<_> = found.keys().copied().collect();
    let expected =
        "HAVIPD_CAUSE HAVIPD_EPOCH HAVIPD_GROUP HAVIPD_HOLDER HAVIPD_NODE HAVIPD_PRIORITY HAVIPD_STATE LANG PATH";
    assert_eq!(names, expected.split(' ').collect());
    for (name, value) in [
        ("HAVIPD_GROUP", "web"),
        ("HAVIPD_STATE", "FAULT"),
        ("HAVIPD_EPOCH", "42"),
        ("HAVIPD_CAUSE", "peer-dead"),
        ("HAVIPD_HOLDER", "i-holder"),
        ("HAVIPD_PRIORITY", "150"),
        ("HAVIPD_NODE", "a"),
    ] {
        assert_eq!(found[name], value);
    }
    assert_eq!(bench.read("cwd"), "/\n");
}

#[test]
fn of_the_states_that_come_meanwhile_only_the_newest_counts_and_stop_is_last() {
    let mut bench = Bench::new();
    bench.fifo("go");
    bench.config.notify = bench.script("notify", r#"echo "begin $3" >> $D/seen; cat $D/go; echo "end $3" >> $D/seen"#);
    bench.apply();
    bench.notify(NotifyState::Backup, 1);
    wait_for("the first hook runs", || (bench.read("seen") == "begin BACKUP\n").then_some(()));
    bench.notify(NotifyState::Master, 2);
    bench.notify(NotifyState::Fault, 2);
    bench.notify(NotifyState::Master, 3);
    let status = bench.hooks.status().remove(&web()).unwrap();
    assert_eq!((status.running, status.waiting), (Some(NotifyState::Backup), Some(NotifyState::Master)));
    fs::write(bench.path("go"), "").unwrap();
    wait_for("the newest runs", || bench.read("seen").ends_with("begin MASTER\n").then_some(()));
    bench.notify(NotifyState::Backup, 4);
    bench.notify(NotifyState::Stop, 4);
    bench.notify(NotifyState::Master, 5);
    fs::write(bench.path("go"), "").unwrap();
    wait_for("STOP runs", || bench.read("seen").ends_with("begin STOP\n").then_some(()));
    fs::write(bench.path("go"), "").unwrap();
    let status = bench.idle();
    let order = "begin BACKUP\nend BACKUP\nbegin MASTER\nend MASTER\nbegin STOP\nend STOP\n";
    assert_eq!(bench.read("seen"), order);
    assert_eq!(status.replaced, 4);
    assert_eq!(status.last[0].epoch, Epoch(4));
}

#[test]
fn a_hook_that_ignores_sigterm_is_killed_with_all_its_children() {
    let mut bench = Bench::new();
    let body = "trap '' TERM\n(while :; do sleep 1; done) &\necho $! > $D/grandchild\necho $$ > $D/leader\nwhile :; do sleep 1; done";
    bench.config.notify_master = bench.script("stubborn", body);
    bench.config.notify = bench.script("notify", "echo next >> $D/seen");
    bench.config.timeout = BRIEF;
    bench.apply();
    bench.notify(NotifyState::Master, 1);
    let (leader, grandchild) = (bench.pid("leader"), bench.pid("grandchild"));
    assert_ne!(leader, grandchild);
    let status = bench.idle();
    // Both shells, and what they wait for at that moment.
    let result = &status.last[0].result;
    assert!(matches!(result, Ended::TimedOut { killed: true, processes: 2..=4 }), "{result:?}");
    assert_eq!(status.last[1].result, Ended::Exited { code: 0 });
    assert_eq!(status.failures, 1);
    assert!(status.last[0].milliseconds >= 7000, "five seconds, and two of grace");
    gone(leader);
    gone(grandchild);
    assert_eq!(bench.read("seen"), "next\n");
}

#[test]
fn a_hook_that_obeys_sigterm_is_not_killed_and_its_children_have_time_to_leave() {
    let mut bench = Bench::new();
    let body =
        "(trap 'sleep 0.3; echo tidy >> $D/seen; exit' TERM; touch $D/ready; while :; do sleep 0.05; done) &\nwait";
    bench.config.notify_master = bench.script("polite", body);
    bench.config.timeout = BRIEF;
    bench.apply();
    bench.notify(NotifyState::Master, 1);
    wait_for("the child is ready", || bench.path("ready").exists().then_some(()));
    let status = bench.idle();
    let result = &status.last[0].result;
    assert!(matches!(result, Ended::TimedOut { killed: false, processes: 2..=3 }), "{result:?}");
    assert_eq!(bench.read("seen"), "tidy\n");
}

/// As under keepalived: many notify scripts start something with `&` and end.
#[test]
fn what_a_finished_hook_leaves_running_runs_on_and_may_go_on_talking() {
    let mut bench = Bench::new();
    let body = "(until [ -e $D/go ]; do sleep 0.05; done; echo late; echo later >&2; touch $D/after; exec sleep 1000) &\n\
                echo $! > $D/left";
    bench.config.notify_backup = bench.script("leaves", body);
    bench.apply();
    bench.notify(NotifyState::Backup, 1);
    let status = bench.idle();
    assert_eq!(status.last[0].result, Ended::Exited { code: 0 });
    assert!(status.last[0].left_running >= 1, "{:?}", status.last[0]);
    let left = bench.pid("left");
    assert!(alive(left));
    fs::write(bench.path("go"), "").unwrap();
    wait_for("it has said something and goes on", || bench.path("after").exists().then_some(()));
    assert!(alive(left));
    assert!(Command::new("kill").arg(left.to_string()).status().unwrap().success());
}

/// The unit protects the daemon from being ended for want of memory, and may give it real-time priority.
#[test]
fn hooks_inherit_none_of_the_daemons_protection() {
    let mut bench = Bench::new();
    // Where this process may not raise itself (a container), the rest is tried all the same.
    let _ = fs::write("/proc/self/oom_score_adj", "-900");
    let own = std::process::id().to_string();
    for right in ["--rtprio=50", "--memlock=unlimited"] {
        let _ = Command::new("prlimit").args(["--pid", &own, right]).stderr(Stdio::null()).status();
    }
    let limit = "s/^Max \\(realtime priority\\|locked memory\\) *\\([^ ]*\\) *\\([^ ]*\\) .*/\\2 \\3/p";
    // The daemon takes the score from it a moment after its start; if it never does, the hook is out of time.
    let body = format!(
        "score() {{ cat /proc/self/oom_score_adj; }}\nuntil [ $(score) -ge 0 ]; do sleep 0.01; done\n\
         score > $D/seen\nsed -n '{limit}' /proc/self/limits >> $D/seen"
    );
    bench.config.notify_backup = bench.script("looks", &body);
    bench.apply();
    bench.notify(NotifyState::Backup, 1);
    assert_eq!(bench.idle().last[0].result, Ended::Exited { code: 0 });
    let seen = bench.read("seen");
    let numbers: Vec<i64> = seen.split_whitespace().map(|word| word.parse().expect(&seen)).collect();
    let [score, memory, most_memory, priority, most_priority] = numbers[..] else { panic!("{seen}") };
    assert!(score >= 0 && memory <= most_memory && most_memory <= 8 << 20, "{seen}");
    assert_eq!((priority, most_priority), (0, 0), "{seen}");
}

#[test]
fn a_service_that_a_hook_starts_properly_lives_on_and_holds_nothing_up() {
    let mut bench = Bench::new();
    bench.config.notify_backup = bench.script(
        "starts",
        "setsid sh -c 'echo $$ > $D/left; exec sleep 1000' &\nuntil [ -s $D/left ]; do sleep 0.01; done",
    );
    bench.apply();
    bench.notify(NotifyState::Backup, 1);
    let status = bench.idle();
    let left = bench.pid("left");
    assert!(alive(left), "it left the group, and holds the hook's output open");
    assert_eq!(status.last[0].result, Ended::Exited { code: 0 });
    assert!(Command::new("kill").arg(left.to_string()).status().unwrap().success());
}

#[test]
fn a_flood_of_output_is_read_cut_and_counted() {
    let mut bench = Bench::new();
    bench.config.notify_master = bench.script("lines", "yes 'all work and no play' | head -n 100000; echo done >&2");
    bench.config.notify = bench.script("no_lines", "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end");
    bench.apply();
    bench.notify(NotifyState::Master, 1);
    let status = bench.idle();
    let [lines, one_line] = &status.last[..] else { panic!("{status:?}") };
    assert_eq!(lines.result, Ended::Exited { code: 0 }, "the writer never had to wait for ever");
    assert!(lines.lines_suppressed > 90_000, "{lines:?}");
    assert_eq!(one_line.result, Ended::Exited { code: 0 });
    assert_eq!((one_line.lines_suppressed, one_line.last_line.as_deref()), (0, Some("the end")));
}

#[test]
fn how_a_hook_ended_is_kept() {
    let mut bench = Bench::new();
    let absent = Some(vec!["/nonexistent/hook".to_owned()]);
    let no_interpreter = bench.path("no_interpreter");
    let make = format!("echo '#!/nonexistent/sh' > {0} && chmod 755 {0}", no_interpreter.display());
    assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success());
    let not_executable = bench.path("not_executable");
    fs::write(&not_executable, "#!/bin/sh\n").unwrap();
    let argv = |path: &Path| Some(vec![path.to_str().unwrap().to_owned()]);
    let not_started = |error: &str| Ended::NotStarted { error: error.to_owned() };
    let missing = not_started("no such program (or the interpreter in its first line is missing)");
    let denied = not_started("permission denied: it must be executable, and readable, by the user that havipd runs as");
    for (hook, expected) in [
        (bench.script("seven", "exit 7"), Ended::Exited { code: 7 }),
        (bench.script("shot", "kill -USR1 $$"), Ended::Signalled { signal: 10 }),
        (absent, missing.clone()),
        (argv(&no_interpreter), missing),
        (argv(&not_executable), denied),
        (Some(vec![]), not_started("no program is named")),
    ] {
        bench.config.notify_fault = hook;
        bench.apply();
        bench.notify(NotifyState::Fault, 1);
        let status = bench.idle();
        assert_eq!(status.last[0].result, expected);
    }
    let json = serde_json::to_value(&bench.idle().last[0]).unwrap();
    assert_eq!(json["result"]["result"], "not-started");
}

#[test]
fn groups_do_not_wait_for_each_other_and_one_that_goes_finishes_first() {
    let mut bench = Bench::new();
    bench.fifo("go");
    bench.config.notify = bench.script("slow", "echo slow-$3 >> $D/seen; cat $D/go");
    let quick = Config { notify: bench.script("quick", "echo quick >> $D/quicks"), ..bench.config.clone() };
    let db: GroupName = "db".parse().unwrap();
    let both = BTreeMap::from([(web(), bench.config.clone()), (db.clone(), quick.clone())]);
    bench.hooks.apply(&both);
    bench.notify(NotifyState::Backup, 1);
    wait_for("the slow one runs", || (bench.read("seen") == "slow-BACKUP\n").then_some(()));
    bench.hooks.notify(&db, notification(NotifyState::Backup, 1));
    wait_for("the quick one ran meanwhile", || (bench.read("quicks") == "quick\n").then_some(()));

    bench.notify(NotifyState::Stop, 1);
    bench.hooks.apply(&BTreeMap::from([(db.clone(), quick.clone())]));
    bench.hooks.apply(&both);
    bench.notify(NotifyState::Master, 2);
    assert!(!bench.hooks.wait_idle(Duration::ZERO));
    fs::write(bench.path("go"), "").unwrap();
    wait_for("it came back without overlap", || (bench.read("seen") == "slow-BACKUP\nslow-MASTER\n").then_some(()));
    fs::write(bench.path("go"), "").unwrap();
    assert!(bench.hooks.wait_idle(PATIENCE));
    bench.hooks.apply(&BTreeMap::new());
    assert!(bench.hooks.status().is_empty());
}

/// Not a test: the process that [`hooks_die_with_the_daemon`] kills.
#[test]
#[ignore = "a helper that another test starts"]
fn helper_daemon_with_a_hook() {
    let Some(script) = std::env::var_os("HOOK_SCRIPT") else { return };
    let mut hooks = Hooks::new("a".parse().unwrap());
    let argv = Some(vec!["/bin/sh".to_owned(), script.into_string().unwrap()]);
    hooks.apply(&BTreeMap::from([(web(), Config { notify: argv, timeout: PATIENCE, ..Config::default() })]));
    hooks.notify(&web(), notification(NotifyState::Master, 1));
    assert!(hooks.wait_idle(PATIENCE));
}

#[test]
fn hooks_die_with_the_daemon() {
    let bench = Bench::new();
    let script = bench.script("notify", "echo $$ > $D/pid.new; mv $D/pid.new $D/pid; exec sleep 1000").unwrap();
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_daemon_with_a_hook", "--ignored"])
        .env("HOOK_SCRIPT", &script[1])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let hook = bench.pid("pid");
    assert!(alive(hook));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    gone(hook);
}
