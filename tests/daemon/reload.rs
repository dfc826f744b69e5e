//! SIGHUP and `reload`: what is taken over, what is refused, and that no role changes by it.

use crate::lab::{Lab, Options};
use serde_json::json;

#[test]
fn a_reload_takes_over_what_it_may_and_nothing_moves() {
    let mut lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    let writes = lab.writes();
    lab.options.group = "preempt-delay = \"7s\"".to_owned();
    lab.write_config();
    a.signal(1);
    a.wait_log("preempt-delay");
    let reply = b.ask(&json!({"command": "reload"})).unwrap();
    assert_eq!(reply["code"], 0, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("1 key taken over"), "{reply}");
    let reply = b.ask(&json!({"command": "reload"})).unwrap();
    assert_eq!(reply["message"], "nothing changed");
    assert_eq!((a.group()["role"].clone(), b.group()["role"].clone()), (json!("active"), json!("backup")));
    assert_eq!(lab.writes(), writes);
}

#[test]
fn a_refused_reload_changes_nothing_and_says_why() {
    let lab = Lab::new(Options::default());
    let (a, _b) = lab.pair();
    let good = lab.text();
    let refused = |text: String, why: &str| {
        std::fs::write(lab.config_path(), text).unwrap();
        let reply = a.ask(&json!({"command": "reload"})).unwrap();
        assert_eq!(reply["code"], 78, "{reply}");
        assert!(reply["message"].as_str().unwrap().contains(why), "{why} is not in {reply}");
        let status = a.status().unwrap();
        assert!(status["effects"]["reload_error"].as_str().unwrap().contains(why));
        assert_eq!(status["groups"][0]["role"], "active");
        assert_eq!(status["peers"][0]["state"], "up");
    };
    refused(good.replace("name = \"lab\"", "name = \"other\""), "\"name\" in [cluster] changes from lab to other");
    refused(good.replace("name = \"web\"", "name = \"db\""), "the list of [[group]] changes from web to db");
    refused(good.replace("interval = \"50ms\"", "intervall = \"50ms\""), "intervall");
    refused(good.replace("instance = \"i-a\"", "instance = \"i-z\""), "maintenance");
    lab.write_key("second.key", 9);
    refused(good.replace("id = 1, file = \"heartbeat.key\"", "id = 2, file = \"second.key\""), "no key in common");
    std::fs::write(lab.config_path(), &good).unwrap();
    a.signal(1);
    a.wait_for("the next one is fine", |s| s["effects"]["reload_error"].is_null());
}

#[test]
fn keys_are_rotated_without_a_break() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    lab.write_key("second.key", 9);
    let old = "keys = [{ id = 1, file = \"heartbeat.key\" }]";
    let both = "keys = [{ id = 1, file = \"heartbeat.key\" }, { id = 2, file = \"second.key\" }]";
    let new = "keys = [{ id = 2, file = \"second.key\" }]";
    for step in [both.to_owned(), format!("{both}\nsend-key = 2"), new.to_owned()] {
        std::fs::write(lab.config_path(), lab.text().replace(old, &step)).unwrap();
        for node in [&a, &b] {
            let reply = node.ask(&json!({"command": "reload"})).unwrap();
            assert_eq!(reply["code"], 0, "{step}: {reply}");
        }
        for node in [&a, &b] {
            let counted = node.status().unwrap()["peers"][0]["stats"]["counted"].as_u64().unwrap();
            node.wait_for("still hears its peer", |s| {
                s["peers"][0]["stats"]["counted"].as_u64() > Some(counted + 5) && s["peers"][0]["state"] == "up"
            });
        }
    }
    assert_eq!(a.group()["epoch"], 1);
    assert_eq!(a.group()["role"], "active");
}
