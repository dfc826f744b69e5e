//! Why a node is what it is, and what it was before.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};

fn said(lab: &Lab, node: usize, arguments: &[&str]) -> String {
    let output = lab.ctl(node, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_node_says_why_it_is_not_active_and_what_would_change_that() {
    let lab = Lab::new(Options::default());
    let (_a, b) = lab.pair();
    let text = said(&lab, 1, &["why", "web"]);
    for part in ["b is not active for web: a is active", "a is connected; heard ", "switchover web --to b"] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(said(&lab, 0, &["why", "web"]).starts_with("a is active for web: "));
    said(&lab, 1, &["drain", "web"]);
    b.wait_for("is drained", |s| s["groups"][0]["drained"] == true);
    assert!(said(&lab, 1, &["why", "web"]).contains("havipctl undrain web"));
    let parts: Value = serde_json::from_str(&said(&lab, 1, &["--json", "why", "web"])).unwrap();
    assert!(parts["data"]["change"][0].as_str().unwrap().contains("undrain"), "{parts}");
    let unknown = lab.ctl(1, &["why", "wed"]);
    assert_eq!(unknown.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are web"));
}

#[test]
fn the_history_survives_a_crash_and_a_torn_line() {
    let lab = Lab::new(Options::default());
    let (a, mut b) = lab.pair();
    a.signal(9);
    b.wait_role("active");
    let moves = |text: &str| -> Vec<Value> { serde_json::from_str(text).unwrap() };
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
