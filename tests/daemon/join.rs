//! `havipctl join`: file and key that were copied to another node, before havipd starts there.

use crate::lab::{Lab, Options};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// The answer for programs, and the code.
fn join(lab: &Lab, node: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.args(["--json", "join", "--node", node]).arg("--config").arg(lab.config_path()).args(arguments).env_clear();
    let output = command.output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}")))
}

fn finding<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let all = answer["data"]["findings"].as_array().unwrap();
    all.iter().find(|f| f["id"] == id).unwrap_or_else(|| panic!("no {id} in {all:#?}"))
}

#[test]
fn equal_files_and_keys_match_and_a_peer_that_runs_says_so() {
    let lab = Lab::new(Options::default());
    let (code, alone) = join(&lab, "b", &[]);
    assert_eq!(code, Some(0), "{alone:#}");
    assert_eq!(finding(&alone, "peer.a")["level"], "warning", "nobody runs yet: no fault");
    let fingerprint = alone["data"]["fingerprint"].as_str().unwrap().to_owned();

    let a = lab.start(0);
    a.wait_for("sends heartbeats", |s| s["groups"][0]["role"].is_string());
    let (code, joined) = join(&lab, "b", &["--expect", &fingerprint]);
    assert_eq!(code, Some(0), "{joined:#}");
    assert!(finding(&joined, "peer.a")["text"].as_str().unwrap().contains("answers with our key"), "{joined:#}");
    assert!(finding(&joined, "config.a")["text"].as_str().unwrap().contains("the same groups"), "{joined:#}");
    assert!(finding(&joined, "fingerprint")["text"].as_str().unwrap().contains("as expected"), "{joined:#}");
}

#[test]
fn what_does_not_match_is_named() {
    let lab = Lab::new(Options::default());
    let expected = join(&lab, "b", &[]).1["data"]["fingerprint"].as_str().unwrap().to_owned();
    let a = lab.start(0);
    a.wait_for("sends heartbeats", |s| s["groups"][0]["role"].is_string());

    let text = lab.text();
    fs::write(lab.config_path(), text.replace("dead-multiplier = 40", "dead-multiplier = 30")).unwrap();
    let (code, other) = join(&lab, "b", &["--expect", &expected]);
    assert_eq!(code, Some(1), "{other:#}");
    assert!(finding(&other, "config.a")["text"].as_str().unwrap().contains("runs other timing"), "{other:#}");
    assert!(finding(&other, "fingerprint")["text"].as_str().unwrap().contains("the keys are the same"), "{other:#}");

    fs::write(lab.config_path(), text).unwrap();
    lab.write_key("heartbeat.key", 8);
    let (code, other) = join(&lab, "b", &["--expect", &expected]);
    assert_eq!(code, Some(1), "{other:#}");
    assert!(finding(&other, "peer.a")["text"].as_str().unwrap().contains("no key here verifies"), "{other:#}");
    assert!(finding(&other, "fingerprint")["text"].as_str().unwrap().contains("the file is the same"), "{other:#}");
    assert!(!other.to_string().contains(&hex::encode([8; 32])), "a key is never shown");
}

#[test]
fn what_the_daemon_would_refuse_is_said_before_it_starts() {
    let lab = Lab::new(Options { metadata_of_a: true, ..Options::default() });
    // The machine is a, as its metadata service says.
    let (code, other) = join(&lab, "b", &[]);
    assert_eq!(code, Some(1), "{other:#}");
    assert!(finding(&other, "identity")["text"].as_str().unwrap().contains("but this machine is i-a"), "{other:#}");

    let key = lab.dir.path().join("heartbeat.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let (code, open) = join(&lab, "a", &[]);
    assert!(code == Some(78) && open["message"].as_str().unwrap().contains("everybody can read it"), "{open:#}");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let (code, nobody) = join(&lab, "z", &[]);
    assert!(code == Some(78) && nobody["message"].as_str().unwrap().contains("no [[node]] is named"), "{nobody:#}");
    let (code, wrong) = join(&lab, "a", &["--expect", "7d3a"]);
    assert!(
        code == Some(64) && wrong["message"].as_str().unwrap().contains("expected what havipctl init"),
        "{wrong:#}"
    );
}
