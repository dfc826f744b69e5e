//! Maintenance: its end by itself, across a restart of the node that was told, and a file of another digest meanwhile.

use crate::lab::script::script;
use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;

#[test]
fn maintenance_ends_by_itself_on_every_node_across_a_restart() {
    let lab = Lab::new(Options::default());
    let (mut a, b) = lab.pair();
    for wrong in [&["maintenance", "web", "off", "--for", "2h"][..], &["maintenance", "web", "on", "--for", "500ms"]] {
        assert_eq!(lab.ctl(0, wrong).status.code(), Some(64), "{wrong:?}");
    }
    let told = lab.ctl(0, &["maintenance", "web", "on", "--for", "10s"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("this node ends it after 10 s"), "{text}");
    b.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
    let ends = a.group()["maintenance_ends_ms"].as_u64().expect("a knows when");
    assert!(ends <= 10_000, "{ends}");
    let shown = String::from_utf8(lab.ctl(0, &["status"]).stdout).unwrap();
    assert!(shown.contains("maintenance ends by itself in"), "{shown}");
    a.wait_for("has it on disk", |s| s["effects"]["state"]["unsaved"] == false);
    a.signal(9);
    a.ended();
    drop(a);
    let a = lab.start(0);
    a.wait_for("still knows", |s| {
        s["groups"][0]["maintenance"] == true
            && s["groups"][0]["maintenance_ends_ms"].as_u64().is_some_and(|ms| ms <= 10_000)
    });
    b.wait_for("hears that it is over", |s| s["groups"][0]["maintenance"] == false);
    a.wait_log("maintenance has ended by itself, after 10 s");
}

/// Stops a node as `systemctl restart` does, and starts it again.
fn restart(lab: &Lab, node: usize, mut daemon: Daemon) -> Daemon {
    daemon.signal(15);
    assert_eq!(daemon.ended().code(), Some(0));
    drop(daemon);
    start(lab, node)
}

fn start(lab: &Lab, node: usize) -> Daemon {
    let path = format!("{}:{}", lab.dir.path().join("bin").display(), std::env::var("PATH").unwrap());
    lab.start_with(node, |command| {
        command.env("PATH", path);
    })
}

#[test]
fn the_active_node_may_be_the_first_to_restart_with_another_file() {
    let mut lab = Lab::new(Options { nodes: 3, ..Options::default() });
    std::fs::create_dir(lab.dir.path().join("bin")).unwrap();
    let unit = "#!/bin/sh\nfor unit; do :; done\necho \"7 $unit restart running\"\n";
    script(&lab.dir.path().join("bin/systemctl"), unit);
    let mut nodes: Vec<Option<Daemon>> = (0..3).map(|i| Some(start(&lab, i))).collect();
    nodes[0].as_ref().unwrap().wait_role("active");
    let hears_all = |s: &serde_json::Value| s["peers"].as_array().unwrap().iter().all(|p| p["state"] == "up");
    for node in nodes.iter().flatten() {
        node.wait_for("sees a active", |s| s["groups"][0]["active"] == "a" && hears_all(s));
    }
    let writes = lab.writes();
    assert!(lab.ctl(1, &["maintenance", "web", "on"]).status.success());
    for node in nodes.iter().flatten() {
        node.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
    }

    lab.havip = "binding = \"shared\"\n".to_owned();
    lab.write_config();
    for (i, place) in nodes.iter_mut().enumerate() {
        let node = restart(&lab, i, place.take().unwrap());
        if i == 0 {
            node.wait_role("active");
            let refused = lab.ctl(1, &["maintenance", "web", "off"]);
            assert_eq!(refused.status.code(), Some(1));
            let text = String::from_utf8(refused.stderr).unwrap();
            assert!(text.contains("make the files equal"), "{text}");
        }
        node.wait_for("hears all", hears_all);
        *place = Some(node);
    }
    wait_for("maintenance ends", || lab.ctl(1, &["maintenance", "web", "off"]).status.success().then_some(()));
    for node in nodes.iter().flatten() {
        node.wait_for("a serves on", |s| {
            let web = &s["groups"][0];
            web["active"] == "a" && web["maintenance"] == false && web["role"] != "fault"
        });
    }
    assert_eq!(lab.writes(), writes, "nobody attached or detached anything");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
}

#[test]
fn a_state_file_with_numbers_that_cannot_be_right_poisons_nobody() {
    let lab = Lab::new(Options::default());
    let (a, mut b) = lab.pair();
    b.wait_for("has it on disk", |s| s["effects"]["state"]["unsaved"] == false);
    b.signal(9);
    b.ended();
    drop(b);
    let path = lab.home(1).join("state/state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let web = &mut state["state"]["groups"]["web"];
    web["epoch-reserved"] = u64::MAX.into();
    web["maintenance"] = u32::MAX.into();
    std::fs::write(&path, state.to_string()).unwrap();
    let b = lab.start(1);
    b.wait_for("hears a", |s| s["peers"][0]["state"] == "up" && s["groups"][0]["active"] == "a");

    // It is named, and kept.
    let check = lab.ctl(1, &["status", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    let text = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
    assert!(text.contains("epoch 18446744073709551615 of group web cannot be right"), "{text}");
    assert!(text.contains("maintenance number 4294967295 of group web cannot be right"), "{text}");
    b.wait_log("the file as it was is kept as");
    let kept = std::fs::read_to_string(lab.home(1).join("state/state.json.corrupt")).unwrap();
    assert_eq!(kept, state.to_string());

    // Neither number has spread: epochs go on, maintenance goes on and off.
    for node in [1, 0] {
        assert!(lab.ctl(node, &["maintenance", "web", "on"]).status.success());
        a.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
        b.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
        assert!(lab.ctl(1, &["maintenance", "web", "off"]).status.success());
        a.wait_for("hears of the end", |s| s["groups"][0]["maintenance"] == false);
    }
    assert!(lab.ctl(0, &["switchover", "web", "--wait"]).status.success());
    let epoch = b.wait_role("active")["groups"][0]["epoch"].as_u64().unwrap();
    assert!(epoch < 100, "{epoch}");
    a.wait_role("backup");
    assert!(lab.ctl(1, &["switchover", "web", "--wait"]).status.success());
    a.wait_role("active");
    let refused = lab.ctl(0, &["maintenance", "web", "reset"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("are in order"));
}
