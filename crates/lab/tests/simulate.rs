//! `havipd-lab simulate`, as an operator uses it: exit codes, accounts, JSON, and a cluster of one's own.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

use serde_json::Value;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

/// a dies; b takes over.
const CRASH: &str = r#"
name = "crash"
quiet-ms = 90000
end-ms = 80000

[[step]]
at-ms = 45000
do = { crash = { node = "a" } }

[expect]
active = "b"
moves = 1
"#;

const CLUSTER: &str = r#"
[cluster]
machines = [{ name = "a", priority = 150 }, { name = "b" }]
"#;

const OWN: &str = r#"
[cluster]
name = "own"

[[node]]
name = "a"
address = "10.0.0.11"
instance = "i-a1"
priority = 150

[[node]]
name = "b"
address = "10.0.0.12"
instance = "i-b1"

[heartbeat]
interval = "200ms"
dead-multiplier = 5
keys = [{ id = 1, file = "heartbeat.key" }]

[cloud]
region = "bj"

[[group]]
name = "web"
preempt = false
[[group.havip]]
id = "havip-w2d4kgc3x0y1"
address = "10.0.0.100"
"#;

fn simulate(arguments: &[&str]) -> Output {
    with_input(arguments, "")
}

fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipd-lab"));
    command.arg("simulate").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that complains about its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What programs are answered; its code is the exit code.
fn answer(output: &Output) -> Value {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["code"].as_i64(), output.status.code().map(i64::from), "{answer}");
    answer
}

fn data(output: &Output) -> Value {
    answer(output)["data"].take()
}

fn message(output: &Output) -> String {
    answer(output)["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_script_is_played_with_its_account() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("crash.toml");
    std::fs::write(&file, format!("{CRASH}{CLUSTER}")).unwrap();
    let out = simulate(&[file.to_str().unwrap()]);
    let shown = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{shown}{}", text(&out.stderr));
    for part in
        ["STEP { crash = ", "b backup -> claiming", "b claiming -> active", "crash (seed 0)", "1 move, active b"]
    {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let short = simulate(&["--trace", "0", file.to_str().unwrap()]);
    assert_eq!(text(&short.stdout).lines().count(), 2, "figures alone: {}", text(&short.stdout));
}

#[test]
fn an_end_says_what_was_played_and_whether_anything_was_broken() {
    let last = |arguments: &[&str], scenario: &str, code: i32| {
        let out = with_input(&[&["-", "--trace", "0"], arguments].concat(), scenario);
        assert_eq!(out.status.code(), Some(code), "{}", text(&out.stdout));
        text(&out.stdout).lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    let early = format!("{CRASH}{CLUSTER}");
    assert_eq!(
        last(&[], &early, 0),
        "ended at 80.0 s (end-ms), before the faults end at 90.0 s (quiet-ms): whether all settles again was not played; \
         no promise was broken until then"
    );
    // The machine is switched on again, and boots.
    let dark = early.replace("quiet-ms = 90000\nend-ms = 80000", "quiet-ms = 46000\nend-ms = 46300");
    let dark = dark.replace("crash", "power-off").replace("active = \"b\"\nmoves = 1", "");
    let dark = last(&[], &dark, 0);
    assert!(
        dark.starts_with("ended at 46.3 s (end-ms), 0.3 s after the faults, before all has to be settled ("),
        "{dark}"
    );
    assert!(dark.contains("no promise was broken until then; last: group 0: 0 nodes are active (a down, b "), "{dark}");
    let whole = early.replace("quiet-ms = 90000\nend-ms = 80000", "");
    let whole = last(&[], &whole.replace("active = \"b\"\nmoves = 1", ""), 0);
    assert!(whole.starts_with("settled ") && whole.ends_with(" s after the faults ended"), "{whole}");
    // Here the outcome differs, and is told besides.
    let wrong = last(&[], &early.replace("moves = 1", "moves = 7"), 1);
    assert!(!wrong.contains("no promise was broken") && wrong.contains("\nVIOLATED expect at 80.0"), "{wrong}");
    let json = data(&with_input(&["-", "--json"], &early));
    assert!(json["settled_s"].is_null() && json["ending"].as_str().unwrap().starts_with("ended at 80.0 s"), "{json}");
}

#[test]
fn what_is_not_as_expected_exits_with_1() {
    let wrong = format!("{CRASH}{CLUSTER}").replace("moves = 1", "moves = 7");
    let out = with_input(&["-", "--json"], &wrong);
    assert_eq!(out.status.code(), Some(1));
    let json = data(&out);
    assert_eq!(json["violation"]["invariant"], "expect");
    assert!(json["violation"]["text"].as_str().unwrap().contains("expected"), "{json}");
    assert!(json["trace"].as_array().unwrap().len() > 10);
    assert_eq!(json["active"][0], "b");
}

#[test]
fn a_script_is_played_on_ones_own_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("havipd.toml"), OWN).unwrap();
    let key = Command::new(env!("CARGO_BIN_EXE_havipd-lab"))
        .arg0("havipctl")
        .args(["keygen", "--out", &path("heartbeat.key")])
        .status();
    assert!(key.unwrap().success());
    std::fs::write(path("crash.toml"), CRASH).unwrap();
    let config = path("havipd.toml");
    let environment = [("BCE_ACCESS_KEY_ID", "x"), ("BCE_SECRET_ACCESS_KEY", "y")];
    let run = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipd-lab"));
        command.args(["simulate", &path("crash.toml"), "--config", &config, "--node", "a", "--json"]);
        command.args(extra).envs(environment).output().unwrap()
    };
    let out = run(&[]);
    assert_eq!(out.status.code(), Some(0), "{}{}", text(&out.stdout), text(&out.stderr));
    let json = data(&out);
    let moved = json["moves"][0][0]["at_s"].as_f64().unwrap();
    assert!((45.7..46.5).contains(&moved), "a dead time of one second, as this file says, not {moved}");
    let out = run(&["--group", "db"]);
    assert_eq!(out.status.code(), Some(78));
    assert!(message(&out).contains("no group \"db\""), "{out:?}");
    let other = CRASH.replace("\"a\"", "\"z\"");
    std::fs::write(path("crash.toml"), other).unwrap();
    let out = run(&[]);
    assert_eq!(out.status.code(), Some(78));
    assert!(message(&out).contains("there is no node \"z\""), "{out:?}");
}

#[test]
fn a_number_is_a_scenario_and_can_be_kept() {
    let out = simulate(&["--seed", "4075", "--trace", "20"]);
    assert_eq!(out.status.code(), Some(0));
    let shown = text(&out.stdout);
    assert!(shown.contains("(seed 4075)") && shown.lines().count() <= 22, "{shown}");
    let printed = simulate(&["--seed", "4075", "--print"]);
    let again = with_input(&["-", "--trace", "20"], text(&printed.stdout));
    assert_eq!(text(&again.stdout), shown, "the text form is the whole scenario");
}

#[test]
fn numbers_are_played_one_after_the_other() {
    let out = simulate(&["--seeds", "0..2", "--json"]);
    assert_eq!(out.status.code(), Some(0));
    let json = data(&out);
    assert_eq!((&json["from"], &json["to"], &json["seeds"]), (&0.into(), &2.into(), &2.into()));
    assert!(json["simulated_s"].as_f64().unwrap() > 600.0);
    let out = simulate(&["--seeds", "0..1"]);
    assert!(text(&out.stdout).starts_with("seeds 0..1: 0."), "{}", text(&out.stdout));
}

#[test]
fn what_is_promised_is_listed() {
    let out = simulate(&["--invariants"]);
    let numbers: Vec<&str> = text(&out.stdout).lines().filter_map(|l| l.split(' ').next()).collect();
    assert_eq!(numbers, ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14"]);
    let json = data(&simulate(&["--invariants", "--json"]));
    assert_eq!(json["promises"][6]["name"], "I7");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [&[][..], &["--seed", "x"], &["--seeds", "9..3"], &["--seed", "1", "--seeds", "1..2"]] {
        assert_eq!(simulate(arguments).status.code(), Some(64), "{arguments:?}");
    }
    for (input, part) in [
        ("at-ms = 5", "line 1, column 1: unknown key"),
        (
            "[[step]]\nat-ms = 9223372036854775807\ndo = { crash = { node = \"a\" } }\n[cluster]\nmachines = [{ name = \"a\" }, { name = \"b\" }]",
            "at-ms is beyond 31 days",
        ),
        ("[cluster]\nmachines = [{ name = \"a\" }]", "1 nodes"),
        ("[cluster]\nprofile = \"x\"\nmachines = [{ name = \"a\" }, { name = \"b\" }]", "\"x\""),
        ("[cluster]\nmachines = [{ name = \"a\" }, { name = \"a\" }]", "two nodes"),
        ("[cluster]\nmachines = [{ name = \"a b\" }, { name = \"c\" }]", "is no name"),
        (
            "[[step]]\nat-ms = 1\ndo = { unbind = { havip = 3, target = \"i-a\" } }\n[cluster]\nmachines = [{ name = \"a\" }, { name = \"b\" }]",
            "the cluster has 1 group, 1 HAVIP and 1 path",
        ),
    ] {
        let out = with_input(&["-"], input);
        assert_eq!(out.status.code(), Some(78), "{input}");
        assert!(text(&out.stderr).contains(part), "{part:?} is not in {}", text(&out.stderr));
    }
    for path in ["/nonexistent/x.toml", "/dev/zero"] {
        assert_eq!(simulate(&[path]).status.code(), Some(78), "{path}");
    }
}
