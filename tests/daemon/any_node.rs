//! Commands on any node: carried to the one that they concern, done there once, and told in its history by whom.

use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::process::Output;

fn parts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn said(lab: &Lab, node: usize, arguments: &[&str]) -> String {
    let (code, out, err) = parts(lab.ctl(node, arguments));
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

/// What a node's history has of one kind, as detail and the node of the operator.
fn noted(lab: &Lab, node: usize, cause: &str) -> Vec<(String, Option<String>)> {
    let answer: Value = serde_json::from_str(&said(lab, node, &["history", "web", "--json"])).unwrap();
    let entries = answer["data"]["entries"].as_array().unwrap();
    let of = |e: &Value| (e["detail"].as_str().unwrap().to_owned(), e["peer"].as_str().map(str::to_owned));
    entries.iter().filter(|e| e["cause"] == cause).map(of).collect()
}

/// Three daemons that hear each other, of which a is active.
fn trio(lab: &Lab) -> [Daemon; 3] {
    let (a, b) = lab.pair();
    let trio = [a, b, lab.start(2)];
    for daemon in &trio {
        daemon.wait_for("hears both", |s| {
            s["peers"].as_array().is_some_and(|peers| peers.iter().all(|p| p["state"] == "up"))
                && s["groups"][0]["active"] == "a"
        });
    }
    trio
}

#[test]
fn a_switchover_is_made_from_any_node_and_the_history_says_who_asked() {
    let lab = Lab::new(Options { nodes: 3, group: "max-moves = 0".into(), ..Options::default() });
    let [a, _b, c] = trio(&lab);
    let rehearsed = said(&lab, 2, &["switchover", "web", "--to", "b", "--dry-run"]);
    assert_eq!(rehearsed, "a: web would be handed over to b\n");
    assert_eq!(a.group()["role"], "active", "nothing moved");
    assert_eq!(said(&lab, 2, &["switchover", "web", "--to", "b", "--wait"]), "web is active on b\n");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    let told = wait_for("the command is written down", || Some(noted(&lab, 0, "command")).filter(|t| !t.is_empty()));
    assert_eq!(told.len(), 1, "{told:?}");
    let (detail, peer) = &told[0];
    assert!(detail.ends_with(" on c, with havipctl from a script: switchover to b"), "{detail}");
    assert_eq!(peer.as_deref(), Some("c"));
    // The node that is to have it may ask, too, and one that has it is not moved.
    assert_eq!(said(&lab, 0, &["switchover", "web", "--to", "a", "--wait"]), "web is active on a\n");
    assert_eq!(said(&lab, 1, &["switchover", "web", "--to", "a"]), "a: web is active here already\n");
    let (code, _, err) = parts(lab.ctl(1, &["switchover", "web", "--to", "nosuch"]));
    assert_eq!(code, Some(64), "{err}");
    // What the active node refuses comes back as its own no.
    said(&lab, 2, &["drain", "web"]);
    c.wait_for("is drained", |s| s["groups"][0]["drained"] == true);
    wait_for("a hears of it", || {
        (lab.ctl(0, &["switchover", "web", "--to", "c"]).status.code() == Some(1)).then_some(())
    });
    let (code, _, err) = parts(lab.ctl(1, &["switchover", "web", "--to", "c"]));
    assert!(code == Some(1) && err.contains("a: c cannot take web over: "), "{err}");
    wait_for("the refusal is written down", || {
        noted(&lab, 0, "refused")
            .iter()
            .any(|(why, peer)| why.contains("c cannot") && peer.as_deref() == Some("b"))
            .then_some(())
    });
}

#[test]
fn a_node_is_drained_from_another_one() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    assert_eq!(said(&lab, 1, &["drain", "--on", "a", "--wait"]), "web is active on b\n");
    a.wait_for("is drained", |s| s["groups"][0]["drained"] == true);
    assert_eq!((b.group()["role"].as_str(), b.group()["drained"].as_bool()), (Some("active"), Some(false)));
    assert_eq!(said(&lab, 1, &["undrain", "web", "--on", "a"]), "a: eligible again\n");
    a.wait_for("takes part again", |s| s["groups"][0]["drained"] == false);
    let told = wait_for("both are written down", || Some(noted(&lab, 0, "command")).filter(|t| t.len() == 2));
    assert!(told[0].0.ends_with("from a script: drain") && told[1].0.ends_with("from a script: undrain"), "{told:?}");
    assert!(told.iter().all(|(_, peer)| peer.as_deref() == Some("b")), "{told:?}");
    // Given here, and by a program: neither goes anywhere.
    assert_eq!(said(&lab, 0, &["drain", "--on", "a"]), "drained: stays ineligible\n");
    let answer = a.ask(&json!({"command": "undrain"})).unwrap();
    assert_eq!(answer["code"], 0);
    let told = wait_for("these are, too", || Some(noted(&lab, 0, "command")).filter(|t| t.len() == 4));
    assert!(told[3].0.ends_with(", over the control socket: undrain") && told[3].1.is_none(), "{told:?}");
    let (code, _, err) = parts(lab.ctl(1, &["drain", "--on", "nosuch"]));
    assert!(code == Some(64) && err.contains("there is no node \"nosuch\""), "{err}");
}

#[test]
fn a_node_tells_what_another_one_knows() {
    let lab = Lab::new(Options::default());
    // More than nodes carry to each other.
    std::fs::create_dir_all(lab.home(0).join("run")).unwrap();
    std::fs::create_dir_all(lab.home(0).join("state")).unwrap();
    let line = |n: usize| {
        let detail = format!("entry {n} {}", "x".repeat(400));
        let entry =
            json!({"time": "2026-11-23T00:00:00Z", "group": "web", "epoch": n, "cause": "moved", "detail": detail});
        format!("{entry}\n")
    };
    std::fs::write(lab.home(0).join("state/history.jsonl"), (0..400).map(line).collect::<String>()).unwrap();
    let (_a, mut b) = lab.pair();
    assert!(said(&lab, 1, &["why", "web"]).starts_with("b is not active for web"));
    assert!(said(&lab, 1, &["why", "web", "--on", "a"]).starts_with("a is active for web: "));
    assert!(said(&lab, 1, &["why", "--on", "a"]).starts_with("a is active for web: "), "the only group");
    assert!(said(&lab, 1, &["status", "--on", "a"]).starts_with("cluster lab, node a (i-a), up "));
    let cluster = said(&lab, 1, &["status", "--cluster"]);
    let rows: Vec<Vec<&str>> = cluster.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows[1][0], rows[2][0], rows.len()), ("b", "a", 3), "{cluster}");
    assert!(cluster.contains("web backup") && cluster.contains("web active"), "{cluster}");
    let answer = wait_for("the newest are there", || {
        let told: Value = serde_json::from_str(&said(&lab, 1, &["history", "web", "--on", "a", "--json"])).unwrap();
        told["data"]["entries"].as_array()?.iter().any(|e| e["to"] == "active").then_some(told)
    });
    assert_eq!((&answer["data"]["source"], &answer["data"]["node"]), (&json!("node"), &json!("a")));
    let entries = answer["data"]["entries"].as_array().unwrap();
    assert_eq!(entries[0]["cause"], "left-out", "{}", entries[0]);
    assert!(entries.len() > 80 && entries.len() < 400, "{}", entries.len());
    let (code, _, err) = parts(lab.ctl(1, &["why", "wed", "--on", "a"]));
    assert!(code == Some(64) && err.contains("there is only web"), "{err}");
    b.signal(15);
    b.ended();
    let (code, _, err) = parts(lab.ctl(0, &["why", "web", "--on", "b"]));
    assert!(code == Some(69) && err.contains("b and this node do not hear each other"), "{err}");
    let (code, out, _) = parts(lab.ctl(0, &["status", "--cluster"]));
    assert!(code == Some(1) && out.contains("b and this node do not hear each other"), "{out}");
}

/// It stands still, with the command in its socket: the operator hears it, and nothing is done when it goes on.
#[test]
fn a_node_that_dies_on_the_way_is_not_waited_for_and_does_nothing_later() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    a.signal(19);
    let (code, _, err) = parts(lab.ctl(1, &["drain", "web", "--on", "a"]));
    assert_eq!(code, Some(75), "{err}");
    assert!(err.contains("a fell silent before it answered: it may have carried the command out"), "{err}");
    b.wait_role("active");
    a.signal(18);
    a.wait_role("backup");
    assert_eq!((a.group()["drained"].as_bool(), noted(&lab, 0, "command").len()), (Some(false), 0));
}

#[test]
fn two_operators_at_once_move_it_once() {
    let lab = Lab::new(Options { nodes: 3, group: "max-moves = 0".into(), ..Options::default() });
    let [a, b, _c] = trio(&lab);
    let epoch = a.group()["epoch"].as_u64().unwrap();
    let codes = std::thread::scope(|scope| {
        let one = |node: usize| {
            scope.spawn({
                let lab = &lab;
                move || parts(lab.ctl(node, &["switchover", "web", "--to", "b"]))
            })
        };
        [one(1), one(2)].map(|thread| thread.join().unwrap())
    });
    let done = codes.iter().filter(|(code, ..)| *code == Some(0)).count();
    assert!(done >= 1, "{codes:?}");
    b.wait_role("active");
    a.wait_role("backup");
    assert_eq!(b.group()["epoch"].as_u64(), Some(epoch + 1), "one move: {codes:?}");
    for (code, _, err) in codes.iter().filter(|(code, ..)| *code != Some(0)) {
        assert!(*code == Some(1) && err.contains("web is active on "), "{err}");
    }
}

/// It knows nothing of the group: a member is asked, and sends it on to the one that has the group.
#[test]
fn a_node_that_is_no_member_has_it_carried_out_all_the_same() {
    let lab =
        Lab::new(Options { nodes: 3, group: "nodes = [\"a\", \"b\"]\nmax-moves = 0".into(), ..Options::default() });
    let (a, b) = lab.pair();
    let c = lab.start(2);
    c.wait_for("hears both", |s| s["peers"].as_array().is_some_and(|peers| peers.iter().all(|p| p["state"] == "up")));
    for to in ["b", "a"] {
        let active = format!("web is active on {to}\n");
        assert_eq!(said(&lab, 2, &["switchover", "web", "--to", to, "--wait"]), active);
    }
    let told = wait_for("b was asked by way of a", || Some(noted(&lab, 1, "command")).filter(|t| !t.is_empty()));
    assert!(told[0].0.contains(" on c, ") && told[0].1.as_deref() == Some("c"), "{told:?}");
    said(&lab, 2, &["maintenance", "web", "on"]);
    b.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
    a.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
}
