//! `havipctl drill`: real moves there and back, and nothing at the first doubt.

use crate::lab::{HAVIP, Lab, Options, ask};
use crate::wait::wait_for;
use havipd_lab::emulator::{Command as Cloud, Permission};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn drill(lab: &Lab, node: usize, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = lab.ctl(node, &[&["drill", "web", "--json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(answer["code"].as_i64(), output.status.code().map(i64::from), "{text}");
    (output.status.code(), answer["data"].clone(), err)
}

/// With `interface = "none"` nobody announces: this does, for the node that is claiming, until it is dropped.
struct Announcing {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Announcing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

fn announcing(lab: &Lab) -> Announcing {
    let (stop, cloud) = (Arc::new(AtomicBool::new(false)), lab.cloud.clone());
    let sockets = [0, 1].map(|n| lab.home(n).join("run/control.sock"));
    let told = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        while !told.load(Ordering::Relaxed) {
            for (socket, target) in sockets.iter().zip(["i-a", "i-b"]) {
                let status = ask(socket, &serde_json::json!({"command": "status"})).unwrap_or_default();
                if status["data"]["groups"][0]["role"] == "claiming" {
                    cloud.announce(target, HAVIP);
                }
            }
        }
    });
    Announcing { stop, thread: Some(thread) }
}

#[test]
fn it_moves_there_and_back_with_either_binding() {
    for binding in ["exclusive", "shared"] {
        let mut lab = Lab::new(Options::default());
        lab.options.group = "max-moves = 20".into();
        lab.havip = format!("binding = \"{binding}\"");
        lab.write_config();
        let shared = binding == "shared";
        if shared {
            // Where everybody stays bound, announcements decide.
            lab.cloud.set_profile("garp-moves".parse().unwrap());
        }
        let _fabric = shared.then(|| announcing(&lab));
        let (a, b) = lab.pair();
        wait_for("the cloud agrees", || (lab.holder().as_deref() == Some("i-a")).then_some(()));
        let (code, report, err) = drill(&lab, 0, &["--repeat", "2", "--yes"]);
        assert_eq!(code, Some(0), "{binding}: {report:#} {err}");
        let moves = report["moves"].as_array().unwrap();
        let ways: Vec<_> = moves.iter().map(|m| (m["from"].as_str().unwrap(), m["to"].as_str().unwrap())).collect();
        assert_eq!(ways, [("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")]);
        let move_ = &report["summary"][0];
        assert_eq!((move_["what"].as_str(), move_["count"].as_u64()), (Some("move"), Some(4)));
        let figures: Vec<f64> = ["min", "median", "p90", "max"].iter().map(|f| move_[f].as_f64().unwrap()).collect();
        assert!(figures[0] > 0.0 && figures.is_sorted(), "{figures:?}");
        let back = moves[1]["steps"].as_array().unwrap();
        assert!(back.iter().any(|s| s["what"].as_str().unwrap().contains("sent")) || shared, "{back:?}");
        assert!(report["not_watched"].as_str().unwrap().contains("fabric-probe is off"), "{report}");
        assert_eq!((&report["now"]["known"], &report["now"]["active"]), (&true.into(), &"a".into()), "{report}");
        assert_eq!((a.group()["role"].as_str(), lab.holder().as_deref()), (Some("active"), Some("i-a")));
        // From the other end, as people read it.
        b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a" && s["groups"][0]["role"] == "backup");
        let output = lab.ctl(1, &["drill", "web", "--yes"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        for part in [
            "move 1 of 2: a -> b in ",
            "move 2 of 2: b -> a in ",
            "packets were not watched",
            "median",
            "web is active on a",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}

#[test]
fn it_refuses_what_cannot_work_and_asks_first() {
    let lab = Lab::new(Options { group: "max-moves = 3".into(), ..Options::default() });
    assert_eq!(lab.ctl(0, &["drill", "web"]).status.code(), Some(69), "nobody runs");
    let (a, b) = lab.pair();
    let epoch = a.group()["epoch"].clone();
    let refused = |arguments: &[&str], code: i32, why: &str| {
        let output = lab.ctl(0, &[&["drill"], arguments].concat());
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(err.contains(why), "{why} is not in {err}");
    };
    refused(&["web"], 64, "say --yes");
    refused(&["db", "--yes"], 64, "there is only web");
    refused(&["web", "--repeat", "0", "--yes"], 64, "repeat");
    refused(&["web", "--repeat", "2", "--yes"], 1, "max-moves");
    assert_eq!(lab.ctl(1, &["maintenance", "web", "on"]).status.code(), Some(0));
    a.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
    refused(&["web", "--yes"], 1, "maintenance");
    assert_eq!(lab.ctl(1, &["maintenance", "web", "off"]).status.code(), Some(0));
    a.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == false);
    b.signal(9);
    a.wait_for("b is dead", |s| s["peers"][0]["state"] == "down");
    refused(&["web", "--yes"], 1, "b is not heard both ways");
    assert_eq!(a.group()["epoch"], epoch, "nothing moved");
}

#[test]
fn it_stops_at_the_first_doubt_and_says_where_the_address_is() {
    let lab = Lab::new(Options { group: "max-moves = 0".into(), ..Options::default() });
    let (a, _b) = lab.pair();
    // b may look and not take: leadership comes back.
    let command = Cloud::Permission { access_key: "ak-b".to_owned(), permission: Permission::ReadOnly };
    lab.cloud.apply(command).unwrap();
    let (code, report, _) = drill(&lab, 0, &["--repeat", "5", "--yes"]);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report["stopped"].as_str().unwrap().contains("the move failed"), "{report:#}");
    assert_eq!(report["moves"].as_array().unwrap().len(), 0);
    assert_eq!(report["now"]["active"], "a", "{report:#}");
    a.wait_role("active");
}

#[test]
fn an_interrupt_ends_it_after_the_move_under_way() {
    let lab = Lab::new(Options { group: "max-moves = 0".into(), ..Options::default() });
    let (_a, b) = lab.pair();
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.arg("--socket").arg(lab.home(0).join("run/control.sock"));
    command.args(["drill", "web", "--json", "--yes", "--repeat", "500"]).stdout(Stdio::piped());
    let child: Child = command.spawn().unwrap();
    b.wait_for("has been moved to", |s| s["groups"][0]["epoch"].as_u64() >= Some(2));
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["code"], 1);
    let report = &answer["data"];
    let moves = report["moves"].as_array().unwrap();
    assert!(!moves.is_empty() && moves.len() < 1000, "{report:#}");
    assert!(report["stopped"].as_str().unwrap().starts_with("interrupted"), "{report:#}");
    let last = moves.last().unwrap()["to"].as_str().unwrap();
    assert_eq!(report["now"]["active"], last, "{report:#}");
    wait_for("the cloud agrees", || (lab.holder() == Some(format!("i-{last}"))).then_some(()));
}
