//! Why a node is what it is, and what it was before.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::process::Command;

fn said(lab: &Lab, node: usize, arguments: &[&str]) -> String {
    let output = lab.ctl(node, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_node_says_why_it_is_not_active_and_what_would_change_that() {
    let lab = Lab::new(Options::default());
    let (_a, b) = lab.pair();
    // On a busy machine one of a's heartbeats may just be late.
    for part in ["b is not active for web: a is active", "a is connected; heard ", "switchover web --to b"] {
        wait_for(&format!("it says {part:?}"), || said(&lab, 1, &["why", "web"]).contains(part).then_some(()));
    }
    assert!(said(&lab, 0, &["why", "web"]).starts_with("a is active for web: "));
    said(&lab, 1, &["drain", "web"]);
    b.wait_for("is drained", |s| s["groups"][0]["drained"] == true);
    assert!(said(&lab, 1, &["why", "web"]).contains("havipctl undrain web"));
    let parts: Value = serde_json::from_str(&said(&lab, 1, &["--json", "why", "web"])).unwrap();
    assert!(parts["data"]["change"][0].as_str().unwrap().contains("undrain"), "{parts}");
    let unknown = lab.ctl(1, &["why", "wed"]);
    assert_eq!(unknown.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is only web"));
}

#[test]
fn the_history_survives_a_crash_and_a_torn_line() {
    let lab = Lab::new(Options::default());
    let (a, mut b) = lab.pair();
    a.signal(9);
    b.wait_role("active");
    let moves = |text: &str| -> Vec<Value> {
        let answer: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&answer["code"], &answer["data"]["source"]), (&json!(0), &json!("daemon")));
        answer["data"]["entries"].as_array().unwrap().clone()
    };
    let entry = wait_for("the claim is written", || {
        let entries = moves(&said(&lab, 1, &["--json", "history", "web"]));
        entries.into_iter().find(|e| e["to"] == "active")
    });
    let steps: Vec<&str> = entry["steps"].as_array().unwrap().iter().map(|s| s["what"].as_str().unwrap()).collect();
    let begins = ["last heartbeat of a heard", "a suspected: a heartbeat is missing", "a dead"];
    assert_eq!(steps[..3], begins);
    assert!(steps.iter().any(|s| s.starts_with("read back: holder i-b")), "{steps:?}");

    b.signal(9);
    b.ended();
    let path = lab.home(1).join("state/history.jsonl");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{written}{{\"time\":\"2026-")).unwrap();
    let b = lab.start(1);
    b.wait_role("active");
    let again = wait_for("the next move is written, too", || {
        let entries = moves(&said(&lab, 1, &["--json", "history", "web"]));
        (entries.iter().filter(|e| e["to"] == "active").count() == 2).then_some(entries)
    });
    // Its last steps may have come in since it was read.
    assert!(again.iter().any(|e| e["time"] == entry["time"]), "{again:?}");
    let text = said(&lab, 1, &["history", "--since", "1h"]);
    assert!(text.contains("claiming -> active") && text.contains("ms |"), "{text}");
    assert_eq!(b.status().unwrap()["effects"]["history_lost"], json!(0));
}

#[test]
fn the_history_is_brought_within_a_lower_bound_and_loses_the_oldest_only() {
    const MIB: usize = 1 << 20;
    let mut lab = Lab::new(Options::default());
    let size = |size: &str| format!("[daemon]\nhistory-size = \"{size}\"\n");
    lab.options.tables = size("4MiB");
    lab.write_config();
    // Years of moves: two files, as a longer bound would have left them.
    let state = lab.home(0).join("state");
    lab.command(0);
    let line = |n: usize| {
        let entry = json!({
            "time": "2026-11-23T00:00:00Z", "group": "web", "from": "backup", "to": "claiming", "epoch": n,
            "cause": "peer-dead", "detail": "x".repeat(400),
        });
        format!("{entry}\n")
    };
    let file = |from: usize, to: usize| (from..to).map(line).collect::<String>();
    std::fs::write(state.join("history.old.jsonl"), file(0, 9_000)).unwrap();
    std::fs::write(state.join("history.jsonl"), file(9_000, 12_000)).unwrap();
    let epochs = || -> Vec<u64> {
        let all =
            ["history.old.jsonl", "history.jsonl"].map(|f| std::fs::read_to_string(state.join(f)).unwrap_or_default());
        assert!(all.iter().all(|text| text.is_empty() || text.ends_with('\n')), "torn");
        let parsed = |l: &str| serde_json::from_str::<Value>(l).unwrap_or_else(|e| panic!("{e}: {l}"));
        let entries = all.iter().flat_map(|text| text.lines()).map(parsed);
        entries.filter(|e| e["cause"] == "peer-dead").map(|e| e["epoch"].as_u64().unwrap()).collect()
    };
    let bytes = || -> usize {
        let length = |f| std::fs::metadata(state.join(f)).map_or(0, |m| m.len() as usize);
        length("history.old.jsonl") + length("history.jsonl")
    };
    let newest = |least: usize| {
        let kept = epochs();
        assert!(kept.len() >= least && kept.last() == Some(&11_999), "{} kept, {:?} last", kept.len(), kept.last());
        assert!(kept.windows(2).all(|w| w[1] == w[0] + 1), "a gap");
    };
    assert!(bytes() > 5 * MIB, "{} bytes", bytes());

    let a = lab.start(0);
    a.wait_role("active");
    let written = || said(&lab, 0, &["--json", "history"]).contains("\"active\"");
    wait_for("its own move is written", || written().then_some(()));
    wait_for("what was there is within the bound", || (bytes() <= 4 * MIB).then_some(()));
    newest(6_900);

    lab.options.tables = size("1MiB");
    lab.write_config();
    let reply = a.ask(&json!({"command": "reload"})).unwrap();
    assert!(reply["code"] == 0 && reply["message"].as_str().unwrap().contains("1 key taken over"), "{reply}");
    wait_for("what is there is within the lower one", || (bytes() <= MIB).then_some(()));
    newest(900);
    let shown: Value = serde_json::from_str(&said(&lab, 0, &["--json", "history", "web"])).unwrap();
    assert!(
        shown["data"]["entries"].as_array().unwrap().iter().any(|e| e["to"] == "active"),
        "its own move is still there"
    );
    assert_eq!(a.status().unwrap()["effects"]["history_lost"], json!(0));

    // And after that it goes on.
    drop(a);
    let _a = lab.start(0);
    wait_for("the next move is written", || {
        let output = lab.ctl(0, &["--json", "history", "web"]);
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        (shown["data"]["entries"].as_array()?.iter().filter(|e| e["to"] == "active").count() == 2).then_some(())
    });
    assert!(bytes() <= MIB);
    newest(900);
}

/// The journal is what is left of a daemon that was killed: nothing has to run to read it.
#[test]
fn the_history_of_a_dead_daemon_is_read_from_its_journal() {
    let lab = Lab::new(Options::default());
    let state = lab.home(0).join("state");
    let from = |arguments: &[&str], set: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        command.arg("--socket").arg(lab.home(0).join("run/control.sock")).arg("history").args(arguments);
        command.env_remove("STATE_DIRECTORY");
        if set {
            command.env("STATE_DIRECTORY", &state);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = from(&[], true);
    assert_eq!((code, out.as_str()), (Some(69), ""), "no daemon has ever been here");
    assert!(err.contains("havipd does not run") && err.contains("there is no journal in"), "{err}");

    let mut a = lab.start(0);
    a.wait_role("active");
    wait_for("the move is written", || from(&[], false).1.contains("claiming -> active").then_some(()));
    a.signal(9);
    a.ended();
    let (code, out, err) = from(&["web"], true);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("claiming -> active") && out.contains("ms |"), "{out}");
    let place = state.display().to_string();
    assert!(
        err.contains("havipd does not run") && err.contains("this is the journal in") && err.contains(&place),
        "{err}"
    );

    // A program is told so, too, and gets every entry.
    let (code, out, err) = from(&["--json"], true);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), &answer["code"]), (Some(0), "", &json!(0)));
    let data = &answer["data"];
    assert_eq!((&data["source"], &data["state_directory"]), (&json!("journal"), &json!(state)));
    assert!(data["daemon_error"].as_str().unwrap().contains("havipd does not run"), "{data}");
    assert!(data["entries"].as_array().unwrap().iter().any(|e| e["to"] == "active"), "{data}");

    // By name nobody is asked, and there is nothing to complain about.
    let (code, out, err) = from(&["--state", &place, "-n", "1"], false);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("older ones: -n all") && out.matches("  web  ").count() == 1, "{out}");
    // Without it, another daemon's state is not taken for that of this socket's.
    let (code, out, err) = from(&[], false);
    assert_eq!((code, out.as_str()), (Some(69), ""), "{err}");
    assert!(err.contains("--state DIR reads the journal"), "{err}");
    let (code, _, err) = from(&["--state", lab.dir.path().to_str().unwrap()], false);
    assert_eq!(code, Some(1), "{err}");
}

#[test]
fn a_move_is_drawn_once_and_what_explains_it_is_told() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    for (node, arguments) in
        [(1, &["maintenance", "web", "on", "--for", "1h"][..]), (1, &["maintenance", "web", "off"]), (0, &["drain"])]
    {
        said(&lab, node, arguments);
        // Seen from both ends before the next one.
        for daemon in [&a, &b] {
            let on = arguments.contains(&"on");
            daemon.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == json!(on));
        }
    }
    b.wait_role("active");
    let causes = |node: usize, all: &[&str]| {
        wait_for("every entry is written", || {
            let answer: Value = serde_json::from_str(&said(&lab, node, &["history", "web", "--json"])).unwrap();
            let entries = answer["data"]["entries"].as_array().unwrap().clone();
            all.iter().all(|cause| entries.iter().any(|e| e["cause"] == *cause && e["to"].is_null())).then_some(entries)
        })
    };
    causes(0, &["maintenance-on", "maintenance-off", "drained"]);
    let told = causes(1, &["maintenance-on", "maintenance-off"]);
    let on = told.iter().find(|e| e["cause"] == "maintenance-on").unwrap();
    assert!(on["detail"].as_str().unwrap().contains("this node ends it in"), "{on}");
    let text = said(&lab, 1, &["history", "web"]);
    assert_eq!(text.matches("| claiming (").count(), 1, "the steps of a move are drawn once:\n{text}");
    assert!(text.lines().any(|l| l.contains("  web  maintenance-on: nothing moves")), "{text}");
}
