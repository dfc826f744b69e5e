//! Gates with real programs: those that do as they should, and those that do not.

use super::*;
use havipd_core::model::ids::{Epoch, NodeIndex};
use havipd_core::model::role::Cause;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const LONG: Duration = Duration::from_secs(60);

struct Bench {
    dir: tempfile::TempDir,
    gates: Gates,
    core: mpsc::Receiver<ToCore>,
    group: GroupName,
}

impl Bench {
    fn new() -> Self {
        let (to_core, core) = mpsc::channel(64);
        let node = "a".parse().expect("a name");
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir, gates: Gates::new(node, to_core), core, group: "db".parse().expect("a name") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A run of a shell script, for so long at most.
    fn order(&self, op: u64, script: &str, timeout: Duration) -> GateRun {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let now = clock::now();
        GateRun {
            op: OperationId(op),
            group: GroupIndex(0),
            kind: GateKind::BeforeActive,
            argv,
            epoch: Epoch(7),
            cause: Cause::PeerDead,
            other: Some(NodeIndex(1)),
            planned: false,
            deadline: now + timeout,
            leadership_until: now + LONG,
        }
    }

    fn run(&mut self, run: GateRun) {
        let other = "b".parse().expect("a name");
        self.gates.run(&self.group, Some(&other), run);
    }

    /// What the core hears next.
    fn next(&mut self) -> (u64, bool, String) {
        match self.core.blocking_recv() {
            Some(ToCore::Event(Event::GateEnded { op, passed, text, .. })) => (op.0, passed, text),
            other => panic!("{other:?}"),
        }
    }

    /// Runs a script to its end.
    fn of(&mut self, script: &str, timeout: Duration) -> (bool, String) {
        let op = self.gates.status().get(&self.group).map_or(0, |s| s.runs) + 1;
        let order = self.order(op, script, timeout);
        self.run(order);
        let (of, passed, text) = self.next();
        assert_eq!(of, op);
        (passed, text)
    }

    fn status(&self) -> GateStatus {
        self.gates.status().remove(&self.group).expect("it has run")
    }

    /// The number that a script wrote to a file.
    fn pid(&self, name: &str) -> i32 {
        std::fs::read_to_string(self.path(name)).expect("it was written").trim().parse().expect("a number")
    }

    /// Waits until a script has written a file.
    fn wait_for(&self, name: &str) {
        let until = clock::now() + LONG;
        while std::fs::read_to_string(self.path(name)).map_or(true, |text| text.is_empty()) {
            assert!(clock::now() < until, "{name} is not written");
            std::thread::yield_now();
        }
    }
}

/// Waits until a process that got its last signal is gone.
fn ends(pid: i32) {
    let until = clock::now() + LONG;
    while alive(pid) {
        assert!(clock::now() < until, "{pid} still runs");
        std::thread::yield_now();
    }
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_gate_is_passed_by_exit_code_0_and_told_everything() {
    let mut bench = Bench::new();
    let file = bench.path("env");
    let (passed, text) = bench.of(&format!("env | sort > {}; echo promoted >&2", file.display()), LONG);
    assert!(passed && text.starts_with("exit code 0 after ") && text.ends_with("it said: promoted"), "{text}");
    let environment = std::fs::read_to_string(file).expect("it was written");
    for line in [
        "HAVIPD_CAUSE=peer-dead",
        "HAVIPD_EPOCH=7",
        "HAVIPD_GATE=before-active",
        "HAVIPD_GROUP=db",
        "HAVIPD_NODE=a",
        "HAVIPD_PLANNED=no",
        "HAVIPD_PREVIOUS=b",
        "HAVIPD_SUCCESSOR=",
    ] {
        assert!(environment.lines().any(|l| l == line), "{line} in {environment}");
    }
    assert!(!environment.contains("CARGO"), "{environment}");
    let release = GateRun { kind: GateKind::BeforeRelease, planned: true, ..bench.order(2, "env", LONG) };
    let script = "echo $HAVIPD_PREVIOUS-$HAVIPD_SUCCESSOR-$HAVIPD_PLANNED".to_owned();
    bench.run(GateRun { argv: vec!["/bin/sh".into(), "-c".into(), script], ..release });
    assert!(bench.next().2.ends_with("it said: a-b-yes"));
}

#[test]
fn whatever_else_a_program_does_the_gate_is_not_passed() {
    let mut bench = Bench::new();
    let second = Duration::from_secs(1);
    for (script, timeout, expected) in [
        ("echo first; echo no standby >&2; exit 3", LONG, "exit code 3 after "),
        ("kill -9 $$", LONG, "ended by signal 9"),
        ("sleep 60", second, "ran into its timeout; it and what it had started, 2 processes, were ended by SIGTERM"),
        ("trap '' TERM; sleep 60; sleep 60", second, "ended by SIGKILL, as SIGTERM was ignored"),
        ("trap 'exit 0' TERM; sleep 60", second, "ran into its timeout"),
    ] {
        let (passed, text) = bench.of(script, timeout);
        assert!(!passed && text.contains(expected), "{script}: {text}");
    }
    assert_eq!((bench.status().runs, bench.status().failures), (5, 5));
}

#[test]
fn a_program_that_cannot_be_run_is_a_gate_that_fails() {
    let mut bench = Bench::new();
    let plain = bench.path("plain");
    std::fs::write(&plain, "#!/bin/sh\n").expect("written");
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).expect("set");
    let paths =
        ["/nonexistent/promote".to_owned(), plain.display().to_string(), bench.dir.path().display().to_string()];
    for (op, (program, expected)) in
        (1..).zip(paths.into_iter().zip(["no such program", "permission denied", "permission"]))
    {
        let order = bench.order(op, "", LONG);
        bench.run(GateRun { argv: vec![program], ..order });
        let (_, passed, text) = bench.next();
        assert!(!passed && text.contains("not started") && text.contains(expected), "{text}");
    }
}

#[test]
fn a_flood_of_output_is_read_and_the_last_lines_are_told() {
    let mut bench = Bench::new();
    let (passed, text) =
        bench.of("yes promoting | head -n 200000; head -c 5000000 /dev/zero | tr '\\0' x; exit 1", LONG);
    assert!(!passed && text.len() < 2_000, "{}", text.len());
    let last = bench.status().last.expect("one ran");
    assert!(last.lines_suppressed > 100_000 && last.tail.len() <= TAIL, "{last:?}");
}

#[test]
fn what_a_gate_forked_runs_on_after_success_and_is_ended_after_failure() {
    let mut bench = Bench::new();
    let file = |name: &str| bench.path(name).display().to_string();
    let (kept, ended) = (file("kept"), file("ended"));
    assert!(bench.of(&format!("sleep 60 >/dev/null 2>&1 & echo $! > {kept}"), LONG).0);
    assert!(!bench.of(&format!("sleep 60 >/dev/null 2>&1 & echo $! > {ended}; exit 1"), LONG).0);
    let (kept, ended) = (bench.pid("kept"), bench.pid("ended"));
    assert!(alive(kept));
    ends(ended);
    let _ = std::process::Command::new("kill").arg(kept.to_string()).status();
}

#[test]
fn a_program_that_outlasts_its_leadership_is_killed_with_all_that_it_started() {
    let mut bench = Bench::new();
    let pid = bench.path("pid");
    let script = format!("trap '' TERM; sleep 60 & echo $! > {}; wait; sleep 60", pid.display());
    let order = bench.order(1, &script, LONG);
    let short = GateRun { leadership_until: clock::now() + Duration::from_secs(1), ..order.clone() };
    bench.run(short);
    bench.wait_for("pid");
    // Nobody tells it anything: the lease was renewed once, and then no more.
    bench.run(GateRun { leadership_until: clock::now() + Duration::from_millis(1_500), ..order });
    let (_, passed, text) = bench.next();
    assert!(!passed && text.contains("killed, as leadership has ended"), "{text}");
    ends(bench.pid("pid"));
}

#[test]
fn a_lease_that_is_renewed_lets_a_program_end() {
    let mut bench = Bench::new();
    let go = bench.path("go");
    let script = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
    let order = bench.order(1, &script, LONG);
    bench.run(GateRun { leadership_until: clock::now() + Duration::from_secs(20), ..order.clone() });
    bench.run(order);
    std::fs::write(go, "").expect("written");
    assert!(bench.next().1);
}

#[test]
fn each_run_is_answered_once_also_one_that_was_ended_before_it_began() {
    let mut bench = Bench::new();
    let pid = bench.path("pid");
    let order = bench.order(1, &format!("echo $$ > {}; sleep 60", pid.display()), LONG);
    bench.run(order.clone());
    bench.wait_for("pid");
    // One after it is ended while it waits, and one that nobody asked for.
    let (group, index) = (bench.group.clone(), GroupIndex(0));
    let stop = |bench: &Bench, op| bench.gates.stop(&group, index, OperationId(op));
    bench.gates.actors[&group].change(|slot| {
        let next = GateRun { op: OperationId(2), ..order.clone() };
        slot.run(Order { run: next, other: None });
        slot.stop(index, OperationId(2));
        slot.stop(index, OperationId(3));
    });
    let mut answers: Vec<_> = (0..3).map(|_| bench.next()).collect();
    answers.sort();
    assert!(answers[0].2.contains("killed"), "{answers:?}");
    assert_eq!(answers.iter().map(|a| (a.0, a.1)).collect::<Vec<_>>(), [(1, false), (2, false), (3, false)]);
    // What has ended is not begun again.
    bench.run(order);
    stop(&bench, 1);
    let again = bench.order(4, "exit 0", LONG);
    bench.run(again);
    assert_eq!(bench.next().0, 4);
}

#[tokio::test]
async fn a_group_without_an_actor_answers_too() {
    let mut bench = Bench::new();
    bench.gates.stop(&bench.group, GroupIndex(0), OperationId(1));
    let answer = bench.core.recv().await;
    assert!(matches!(answer, Some(ToCore::Event(Event::GateEnded { passed: false, .. }))), "{answer:?}");
}
