//! Which machine a node runs on: copies of a node, and metadata that contradicts the file.

use crate::lab::{Lab, Options, ask};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What the doctor of a running daemon says of the machine.
fn of_machine(socket: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    let output = command.arg("--socket").arg(socket).args(["doctor", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = answer["data"]["findings"].as_array().unwrap();
    findings.iter().find(|f| f["id"] == "machine").map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_machine_that_is_another_instance_than_the_file_says_is_in_fault() {
    let lab = Lab::new(Options { metadata_of_a: true, ..Options::default() });
    let (a, b) = (lab.start(0), lab.start(1));
    a.wait_role("active");
    let status = b.wait_for("is in fault", |s| s["groups"][0]["cause"] == "wrong-host");
    let detail = status["groups"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("this machine is i-a, and node b is i-b"), "{detail}");
    let why = String::from_utf8(lab.ctl(1, &["why", "web"]).stdout).unwrap();
    assert!(why.contains("stop havipd here"), "{why}");
    let found = of_machine(&b.socket());
    assert!(found.contains("not the one that the file means by node b"), "{found}");
    assert_eq!(of_machine(&a.socket()), "");
    assert_eq!(a.group()["role"], "active");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
}

/// The copy has everything of node a but its address: here that is taken, by node a itself.
#[test]
fn a_copy_of_the_active_node_neither_resumes_nor_claims() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    a.wait_for("has it on disk", |s| s["effects"]["state"]["unsaved"] == false);
    let copy = lab.dir.path().join("copy");
    std::fs::create_dir_all(copy.join("run")).unwrap();
    std::fs::create_dir_all(copy.join("state")).unwrap();
    std::fs::copy(lab.home(0).join("state/state.json"), copy.join("state/state.json")).unwrap();
    let writes = lab.writes();
    let _clone = lab.start_with(0, |command| {
        command.env("RUNTIME_DIRECTORY", copy.join("run")).env("STATE_DIRECTORY", copy.join("state"));
    });
    let status = || ask(&copy.join("run/control.sock"), &json!({"command": "status"}));
    let waits = |text: &str| text.contains("none of this node's heartbeat addresses is on this host");
    let of_copy = wait_for("the copy waits, and has read the record", || {
        let status = status()?;
        let web = &status["data"]["groups"][0];
        let read = web["havips"][0]["holder"] == "i-a";
        (web["waiting"].as_str().is_some_and(waits) && read).then(|| web.clone())
    });
    assert_eq!(of_copy["role"], "backup");
    let found = of_machine(&copy.join("run/control.sock"));
    assert!(found.contains("stop havipd here if this is a copy of a"), "{found}");
    assert_eq!((a.group()["role"].clone(), b.group()["role"].clone()), (json!("active"), json!("backup")));
    assert_eq!(lab.writes(), writes);
}
