//! Gates of real daemons: programs that succeed, fail, hang and misbehave, before an address goes live and before it is handed over.

use crate::lab::script::script;
use crate::lab::{Daemon, Lab, Options};
use crate::leftovers::{alive, children, descriptors};
use crate::wait::wait_for;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Every gate writes down what it was told, and then does what is written for its kind and node.
const GATE: &str = r#"#!/bin/sh
cd "$DIR" || exit 99
echo "$HAVIPD_GATE $HAVIPD_NODE $HAVIPD_EPOCH $HAVIPD_CAUSE ${HAVIPD_PREVIOUS:--} ${HAVIPD_SUCCESSOR:--} $HAVIPD_PLANNED" >> calls
if test -e "do-$HAVIPD_GATE-$HAVIPD_NODE"
then
  . "./do-$HAVIPD_GATE-$HAVIPD_NODE"
fi
"#;

/// A run, as its program was told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    gate: String,
    node: String,
    epoch: u64,
    cause: String,
    previous: String,
    successor: String,
    planned: bool,
}

struct Gated {
    lab: Lab,
    dir: PathBuf,
}

impl Gated {
    /// Nodes with gates of these keys, which succeed until something else is written for them.
    fn new(nodes: usize, keys: &[&str], group: &str) -> Self {
        let mut lab = Lab::new(Options { nodes, ..Options::default() });
        let dir = lab.dir.path().to_path_buf();
        let program = dir.join("gate");
        script(&program, &GATE.replace("$DIR", &dir.display().to_string()));
        for key in keys {
            let _ = writeln!(lab.options.group, "{key} = [{program:?}]");
        }
        lab.options.group.push_str(group);
        lab.write_config();
        Self { lab, dir }
    }

    /// What the gate of a node does from now on.
    fn does(&self, gate: &str, node: &str, text: &str) {
        // Never half of it.
        let new = self.dir.join(format!("new-{gate}-{node}"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.join(format!("do-{gate}-{node}"))).unwrap();
    }

    fn calls(&self) -> Vec<Call> {
        let text = fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let word = |n: usize| words[n].to_owned();
                Call {
                    gate: word(0),
                    node: word(1),
                    epoch: words[2].parse().unwrap(),
                    cause: word(3),
                    previous: word(4),
                    successor: word(5),
                    planned: words[6] == "yes",
                }
            })
            .collect()
    }

    fn said(&self, node: usize, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.lab.ctl(node, arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// The numbers of processes that a gate wrote down, once it has written so many. It may have run more than once.
    fn pids(&self, name: &str, count: usize) -> Vec<u32> {
        wait_for(&format!("{name} holds {count} numbers"), || {
            pids(&self.dir.join(name)).filter(|all| all.len() >= count)
        })
    }

    /// The active node, seen by the other one.
    fn pair(&self) -> (Daemon, Daemon) {
        self.lab.pair()
    }
}

fn pids(path: &Path) -> Option<Vec<u32>> {
    let text = fs::read_to_string(path).ok()?;
    text.ends_with('\n').then(|| text.lines().map(|line| line.parse().unwrap()).collect())
}

/// What was killed is gone once the kernel has got to it.
fn gone(pids: &[u32]) {
    for pid in pids {
        wait_for(&format!("{pid} has ended"), || (!alive(*pid)).then_some(()));
    }
}

fn in_gate(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |s| s["groups"][0]["gate"]["kind"] == kind
}

fn runs(status: &Value) -> (u64, u64) {
    let gates = &status["effects"]["gates"]["web"];
    (gates["runs"].as_u64().unwrap_or_default(), gates["failures"].as_u64().unwrap_or_default())
}

const UNTIL_GO: &str = "while test ! -e go\ndo sleep 0.05\ndone\n";

#[test]
fn nothing_is_attached_before_the_gate_has_succeeded_and_its_epochs_only_rise() {
    let keys = ["before-active", "before-release"];
    let gated = Gated::new(3, &keys, "keep-for = \"2s\"\n");
    gated.does("before-active", "a", UNTIL_GO);
    let (a, b, c) = (gated.lab.start(0), gated.lab.start(1), gated.lab.start(2));
    let runs = |s: &Value| in_gate("before-active")(s) && s["effects"]["gates"]["web"]["running"] == "before-active";
    let status = a.wait_for("is in its gate", runs);
    assert_eq!(status["groups"][0]["role"], "claiming");
    assert_eq!(status["groups"][0]["arbiter"], "majority");
    let (_, why) = gated.said(0, &["why", "web"]);
    assert!(why.contains("before-active has been running for"), "{why}");
    let (_, shown) = gated.said(0, &["status"]);
    assert!(shown.contains("web: before-active has been running for"), "{shown}");
    for node in [&b, &c] {
        node.wait_role("backup");
    }
    assert_eq!((gated.lab.writes(), gated.lab.holder()), (0, None), "the cloud was not asked for anything");
    fs::write(gated.dir.join("go"), "").unwrap();
    a.wait_role("active");
    assert_eq!(gated.lab.holder().as_deref(), Some("i-a"));
    for node in [&b, &c] {
        node.wait_for("sees a active", |s| s["groups"][0]["active"] == "a");
    }

    a.signal(9);
    b.wait_role("active");
    b.wait_for("c hears it", |s| s["peers"].as_array().unwrap().iter().any(|p| p["node"] == "c" && p["state"] == "up"));
    c.wait_for("sees b active", |s| s["groups"][0]["active"] == "b");
    let (code, text) = gated.said(1, &["switchover", "web", "--to", "c", "--wait"]);
    assert_eq!(code, Some(0), "{text}");
    c.wait_role("active");

    let calls = gated.calls();
    let about = |call: &Call| (call.gate.clone(), call.node.clone(), call.previous.clone(), call.successor.clone());
    let said = |gate: &str, node: &str, previous: &str, successor: &str| {
        (gate.to_owned(), node.to_owned(), previous.to_owned(), successor.to_owned())
    };
    let told: Vec<_> = calls.iter().map(about).collect();
    let expected = [
        said("before-active", "a", "-", "-"),
        said("before-active", "b", "a", "-"),
        said("before-release", "b", "b", "c"),
        said("before-active", "c", "b", "-"),
    ];
    assert_eq!(told, expected, "{calls:?}");
    let causes: Vec<&str> = calls.iter().map(|call| call.cause.as_str()).collect();
    assert_eq!(causes[1..], ["peer-dead", "switchover", "handed-over"], "{calls:?}");
    assert_eq!(calls.iter().map(|call| call.planned).collect::<Vec<_>>(), [false, false, true, true], "{calls:?}");
    let terms: Vec<u64> = calls.iter().filter(|call| call.gate == "before-active").map(|call| call.epoch).collect();
    assert!(terms.is_sorted_by(|one, next| one < next), "{calls:?}");
    assert_eq!(calls[2].epoch, calls[1].epoch, "what is released is the term that began with b's gate");
}

#[test]
fn a_gate_that_fails_passes_the_turn_and_its_output_is_told() {
    let gated = Gated::new(2, &["before-active"], "");
    gated.does("before-active", "a", "echo cannot promote: no space left\nexit 3\n");
    let (a, b) = (gated.lab.start(0), gated.lab.start(1));
    b.wait_role("active");
    assert_eq!(gated.lab.holder().as_deref(), Some("i-b"));
    let status = a.wait_for("is backup, and knows why", |s| {
        s["groups"][0]["role"] == "backup" && s["groups"][0]["failed_claim"]["cause"] == "gate-failed"
    });
    let text = status["groups"][0]["failed_claim"]["text"].as_str().unwrap();
    assert!(text.contains("before-active: exit code 3") && text.contains("cannot promote"), "{text}");
    let last = &status["effects"]["gates"]["web"]["last"];
    assert_eq!(
        (&last["kind"], &last["result"]),
        (&"before-active".into(), &serde_json::json!({"result": "exited", "code": 3}))
    );
    a.wait_log("before-active says: cannot promote: no space left");
    a.wait_log("before-active has failed: exit code 3");
    let (_, why) = gated.said(0, &["why", "web"]);
    assert!(why.contains("cannot promote") && why.contains("exit code 3"), "{why}");
    let told = wait_for("it is in the history", || {
        let (_, text) = gated.said(0, &["history", "web"]);
        text.contains("gate-failed").then_some(text)
    });
    assert!(told.contains("cannot promote"), "{told}");
    let (_, shown) = gated.said(0, &["status"]);
    assert!(shown.contains("! web: before-active (") && shown.contains("cannot promote"), "{shown}");
}

#[test]
fn where_every_gate_fails_the_first_in_rank_tries_on_until_its_own_succeeds() {
    let gated = Gated::new(2, &["before-active"], "");
    for node in ["a", "b"] {
        gated.does("before-active", node, "exit 1\n");
    }
    let (a, b) = (gated.lab.start(0), gated.lab.start(1));
    let tried = |node: &str| gated.calls().iter().filter(|call| call.node == node).count();
    wait_for("a has tried three times, and b had its turn", || (tried("a") >= 3 && tried("b") >= 1).then_some(()));
    assert_ne!((&a.group()["role"], &b.group()["role"]), (&"active".into(), &"active".into()));
    gated.does("before-active", "a", "");
    a.wait_role("active");
    assert_eq!(gated.lab.holder().as_deref(), Some("i-a"));
    let mine: Vec<u64> = gated.calls().iter().filter(|call| call.node == "a").map(|call| call.epoch).collect();
    assert!(mine.is_sorted_by(|one, next| one < next), "a fencing token only rises: {mine:?}");
}

#[test]
fn a_gate_that_hangs_is_killed_with_its_process_group_at_its_deadline() {
    let gated = Gated::new(2, &["before-active"], "before-active-timeout = \"3s\"\n");
    gated.does(
        "before-active",
        "a",
        "trap '' TERM\necho $$ >> pids\nsh -c 'trap \"\" TERM; echo $$ >> pids; while :; do sleep 0.1; done' &\n\
         while :; do sleep 0.1; done\n",
    );
    let (a, b) = (gated.lab.start(0), gated.lab.start(1));
    a.wait_for("is in its gate", in_gate("before-active"));
    let hung = gated.pids("pids", 2);
    b.wait_role("active");
    let status = a.wait_for("has given up", |s| s["groups"][0]["failed_claim"]["cause"] == "gate-failed");
    let text = status["groups"][0]["failed_claim"]["text"].as_str().unwrap();
    assert!(text.contains("ran into its timeout") && text.contains("SIGKILL"), "{text}");
    gone(&hung);
    // The last one may still be under way, where its turn came again.
    gated.does("before-active", "a", "exit 1\n");
    wait_for("nothing is left of it", || (children(&a) == 0 && descriptors(&a) == descriptors(&b)).then_some(()));
}

/// A group that all of these programs are gates of, on node `a`; node `b` has none.
const MISBEHAVING: [(&str, &str, bool); 9] = [
    ("signal", "#!/bin/sh\nkill -SEGV $$\n", false),
    ("garbage", "\u{1}\u{2}\u{3} no program at all\n", false),
    ("interpreter", "#!/nonexistent/interpreter\n", false),
    (
        "forks",
        "#!/bin/sh\nfor i in 1 2 3 4; do sh -c 'echo $$ >> DIR/forks.pids; echo >> DIR/forks.'$$'; sleep 1000' & done\n\
         until test \"$(cat DIR/forks.$$ 2>/dev/null | wc -l)\" = 4; do sleep 0.05; done\nexit 1\n",
        false,
    ),
    ("flood", "#!/bin/sh\nyes flooding | head -c 3000000\nexit 7\n", false),
    (
        "daemonises",
        "#!/bin/sh\nsetsid sh -c 'echo $$ >> DIR/left.pids; while test -e DIR/stay; do sleep 0.1; done' &\nuntil test -s DIR/left.pids; do sleep 0.05; done\nexit 1\n",
        false,
    ),
    (
        "changes",
        "#!/bin/sh\nprintf '#!/bin/sh\\nexit 1\\n' > DIR/changes.new\nchmod 755 DIR/changes.new\nmv DIR/changes.new DIR/changes\nexit 0\n",
        true,
    ),
    ("floodsandpasses", "#!/bin/sh\nyes flooding | head -c 3000000\n", true),
    (
        "background",
        "#!/bin/sh\nsh -c 'echo $$ >> DIR/background.pids; while test -e DIR/stay; do sleep 0.1; done' &\nuntil test -s DIR/background.pids; do sleep 0.05; done\n",
        true,
    ),
];

#[test]
fn whatever_a_gate_does_the_group_is_served_somewhere_and_nothing_leaks() {
    let count = MISBEHAVING.len() + 3;
    let mut lab = Lab::new(Options { more_groups: count as u16, ..Options::default() });
    let dir = lab.dir.path().to_path_buf();
    lab.options.more_groups = 0;
    fs::write(dir.join("stay"), "").unwrap();
    let mut groups: Vec<(&str, bool)> = vec![("missing", false), ("notexecutable", false), ("directory", false)];
    fs::write(dir.join("notexecutable"), "#!/bin/sh\n").unwrap();
    fs::create_dir(dir.join("directory")).unwrap();
    for (name, text, passes) in MISBEHAVING {
        script(&dir.join(name), &text.replace("DIR", &dir.display().to_string()));
        groups.push((name, passes));
    }
    let table = |n: usize, name: &str, gate: &str| {
        format!("[[group]]\nname = {name:?}\n{gate}[[group.havip]]\nid = \"havip-more{n}\"\ninterface = \"none\"\n")
    };
    let all = |gate: &dyn Fn(&str) -> String| {
        groups.iter().enumerate().map(|(n, (name, _))| table(n, name, &gate(name))).collect::<String>()
    };
    lab.options.tables = all(&|_| String::new());
    lab.write_config();
    let b = lab.start(1);
    b.wait_for("has read its file", |s| !s["groups"].is_null());
    lab.options.tables =
        all(&|name| format!("before-active = [{:?}]\nbefore-active-timeout = \"20s\"\n", dir.join(name)));
    lab.write_config();
    let a = lab.start(0);

    let of = |s: &Value, name: &str| s["groups"].as_array().unwrap().iter().find(|g| g["name"] == name).cloned();
    for (name, passes) in &groups {
        // b may have had it before a was there: then a is given it, and its gate runs.
        let ran = |s: &Value| s["effects"]["gates"][name]["runs"].as_u64() >= Some(1);
        let asked = |s: &Value| ran(s) || of(s, name).is_some_and(|g| g["active"] == "b");
        let status = a.wait_for(&format!("{name} has run, or is served by b"), asked);
        if !ran(&status) {
            lab.ctl(1, &["switchover", name, "--to", "a"]);
            a.wait_for(&format!("{name} has run"), ran);
        }
        let (node, active) = if *passes { (&a, "a") } else { (&b, "b") };
        node.wait_for(&format!("{name} is served by {active}"), |s| {
            of(s, name).is_some_and(|g| g["role"] == "active" && g["active"] == active)
        });
    }
    let status = a.status().unwrap();
    let last = |name: &str| &status["effects"]["gates"][name]["last"];
    for (name, result) in [
        ("missing", "not-started"),
        ("notexecutable", "not-started"),
        ("directory", "not-started"),
        ("garbage", "exited"),
        ("interpreter", "not-started"),
        ("signal", "signalled"),
        ("forks", "exited"),
        ("flood", "exited"),
        ("daemonises", "exited"),
    ] {
        assert_eq!(last(name)["result"]["result"], result, "{name}: {}", last(name));
    }
    for name in ["flood", "floodsandpasses"] {
        assert!(last(name)["lines_suppressed"].as_u64() >= Some(1), "{}", last(name));
    }
    assert!(a.log().len() < 2_000_000, "{} bytes of log", a.log().len());
    assert_eq!(last("daemonises")["left_behind"], true);
    a.wait_log("a process of it left its process group");
    assert!(last("background")["left_running"].as_u64() >= Some(1), "{}", last("background"));

    gone(&pids(&dir.join("forks.pids")).unwrap());
    let background = pids(&dir.join("background.pids")).unwrap();
    assert!(background.iter().all(|pid| alive(*pid)), "what a gate that passed left running runs on");
    fs::remove_file(dir.join("stay")).unwrap();
    gone(&background);
    gone(&pids(&dir.join("left.pids")).unwrap());
    // b never ran a program: what a has open beyond that is a leak.
    wait_for("nothing is left open", || (children(&a) == 0 && descriptors(&a) == descriptors(&b)).then_some(()));
}

#[test]
fn a_gate_whose_lease_is_lost_is_killed_and_nothing_is_attached() {
    let gated = Gated::new(3, &["before-active"], "keep-for = \"2s\"\n");
    gated.does("before-active", "a", &format!("trap '' TERM\necho $$ >> pids\n{UNTIL_GO}"));
    let (a, b, c) = (gated.lab.start(0), gated.lab.start(1), gated.lab.start(2));
    a.wait_for("is in its gate", in_gate("before-active"));
    let pid = gated.pids("pids", 1)[0];
    b.signal(19);
    c.signal(19);
    a.wait_for("its lease has ended", |s| s["groups"][0]["role"] != "claiming");
    gone(&[pid]);
    a.wait_for("the end is counted", |s| s["effects"]["gates"]["web"]["last"]["result"]["result"] == "cut");
    assert_eq!((gated.lab.writes(), gated.lab.holder()), (0, None));
}

#[test]
fn a_daemon_that_ends_takes_its_gate_with_it() {
    for signal in [9, 15] {
        let gated = Gated::new(2, &["before-active"], "before-active-timeout = \"10m\"\n");
        gated.does("before-active", "a", &format!("echo $$ >> pids\n{UNTIL_GO}"));
        let (mut a, b) = (gated.lab.start(0), gated.lab.start(1));
        a.wait_for("is in its gate", in_gate("before-active"));
        let pid = gated.pids("pids", 1)[0];
        a.signal(signal);
        a.ended();
        gone(&[pid]);
        b.wait_role("active");
    }
}

#[test]
fn before_release_stands_in_the_way_of_a_planned_move_or_is_passed_over() {
    for word in ["abort", "continue"] {
        let gated = Gated::new(2, &["before-release"], &format!("before-release-failed = {word:?}\n"));
        let (a, b) = gated.pair();
        let (epoch, writes) = (a.group()["epoch"].clone(), gated.lab.writes());
        gated.does("before-release", "a", &format!("{UNTIL_GO}echo replicas lag behind\nexit 4\n"));
        let asked = gated.said(0, &["switchover", "web", "--to", "b"]);
        assert_eq!(asked.0, Some(0), "{}", asked.1);
        let status = a.wait_for("is in its gate", in_gate("before-release"));
        assert_eq!(status["groups"][0]["role"], "active", "it serves while it runs");
        assert_eq!(gated.lab.holder().as_deref(), Some("i-a"));
        fs::write(gated.dir.join("go"), "").unwrap();
        if word == "continue" {
            b.wait_role("active");
            assert_eq!(gated.lab.holder().as_deref(), Some("i-b"));
            assert_eq!(runs(&a.status().unwrap()), (1, 1));
            continue;
        }
        let status = a.wait_for("stays active", |s| !s["groups"][0]["failed_move"].is_null());
        assert_eq!((&status["groups"][0]["role"], &status["groups"][0]["epoch"]), (&"active".into(), &epoch));
        let reason = status["groups"][0]["failed_move"]["reason"].as_str().unwrap();
        assert!(reason.contains("exit code 4") && reason.contains("replicas lag behind"), "{reason}");
        assert_eq!(b.group()["role"], "backup");
        assert_eq!(gated.lab.writes(), writes, "nothing moved");
        gated.does("before-release", "a", "");
        let (code, text) = gated.said(0, &["switchover", "web", "--to", "b", "--wait"]);
        assert_eq!(code, Some(0), "{text}");
        b.wait_role("active");
        assert!(
            gated.calls().iter().all(|call| call.gate == "before-release" && call.successor == "b" && call.planned)
        );
    }
}

#[test]
fn a_move_that_is_waited_for_lasts_as_long_as_its_gates_and_their_failure_is_told() {
    let gated = Gated::new(2, &["before-active", "before-release"], "handover-timeout = \"2s\"\n");
    let (_a, b) = gated.pair();
    gated.does("before-release", "a", "echo draining\nsleep 0.5\nexit 5\n");
    let (code, text) = gated.said(0, &["switchover", "web", "--to", "b", "--wait"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("before-release: exit code 5") && text.contains("draining"), "{text}");

    gated.does("before-release", "a", "sleep 0.5\n");
    gated.does("before-active", "b", "echo promoting\nsleep 3\nexit 6\n");
    let (code, text) = gated.said(0, &["switchover", "web", "--to", "b", "--wait"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("b declined: it has just failed to pass its gate; havipctl why web --on b"), "{text}");
    let (_, why) = gated.said(1, &["why", "web"]);
    assert!(why.contains("before-active: exit code 6") && why.contains("promoting"), "{why}");
    let calls = gated.calls();
    let last = calls.last().unwrap();
    assert_eq!(
        (last.node.as_str(), last.cause.as_str(), last.previous.as_str()),
        ("a", "handover-failed", "a"),
        "{calls:?}"
    );

    gated.does("before-active", "b", "sleep 3\n");
    wait_for("b is no longer kept from it", || {
        let (code, text) = gated.said(0, &["drain", "web", "--wait"]);
        assert!(text.contains("web"), "{text}");
        (code == Some(0)).then_some(())
    });
    b.wait_role("active");
}

#[test]
fn a_restarted_daemon_passes_its_gate_beside_what_it_serves_or_releases_it() {
    let gated = Gated::new(2, &["before-active"], "");
    let bin = gated.dir.join("bin");
    fs::create_dir(&bin).unwrap();
    script(&bin.join("systemctl"), "#!/bin/sh\nfor unit; do :; done\necho \"7 $unit restart running\"\n");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let start = || {
        gated.lab.start_with(0, |command| {
            command.env("PATH", &path);
        })
    };
    let mut a = start();
    a.wait_role("active");
    let b = gated.lab.start(1);
    b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a");
    a.wait_for("b is up", |s| s["peers"][0]["state"] == "up");
    let writes = gated.lab.writes();
    let restart = |mut a: Daemon| {
        a.signal(15);
        a.ended();
        start()
    };
    gated.does("before-active", "a", UNTIL_GO);
    a.signal(15);
    assert_eq!(a.ended().code(), Some(0));
    let a = start();
    a.wait_for("is in its gate", in_gate("before-active"));
    assert_eq!(gated.lab.holder().as_deref(), Some("i-a"));
    let last = wait_for("its second run", || gated.calls().get(1).cloned());
    assert_eq!((last.cause.as_str(), last.previous.as_str()), ("resumed", "a"));
    fs::write(gated.dir.join("go"), "").unwrap();
    a.wait_role("active");
    assert_eq!(gated.lab.writes(), writes, "nobody attached or detached anything");
    b.wait_for("hears the new start", |s| s["peers"][0]["state"] == "up" && s["groups"][0]["active"] == "a");
    a.wait_for("b is up", |s| s["peers"][0]["state"] == "up");

    gated.does("before-active", "a", "exit 1\n");
    let a = restart(a);
    b.wait_role("active");
    assert_eq!(gated.lab.holder().as_deref(), Some("i-b"));
    a.wait_for("knows why", |s| s["groups"][0]["failed_claim"]["cause"] == "gate-failed");
}
