//! An election of havipd's own in a real etcd: one key with a lease, whatever becomes of its holder, of etcd and of the key.

use crate::etcd::{Etcd, encode, says};
use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};

const KEY: &str = "/havipd/lab/web";
/// Short, so that a test need not wait long until it ends.
const FAST: &str = "lease = \"4s\"\nrequest-timeout = \"1s\"\n";

fn lab(more: &str) -> (Lab, Etcd) {
    let group = "arbiter = \"etcd\"\npreempt = false\n".to_owned();
    let mut lab = Lab::new(Options { group, ..Options::default() });
    let etcd = Etcd::start(&lab, None);
    // The first endpoint is one where nobody answers.
    let nobody = format!("http://{}:2379", lab.address(21));
    lab.options.tables = format!("[etcd]\nendpoints = [{nobody:?}, {:?}]\n{FAST}{more}", etcd.endpoint());
    lab.write_config();
    (lab, etcd)
}

fn key(daemon: &Daemon) -> Value {
    daemon.group()["election_key"].take()
}

/// What etcd has: the value and its lease.
fn held(etcd: &Etcd) -> Option<(String, String)> {
    let answer = etcd.must("/v3/kv/range", json!({"key": encode(KEY)}));
    let kv = answer["kvs"].get(0)?;
    let text = |name: &str| kv[name].as_str().unwrap_or_default().to_owned();
    Some((text("value"), text("lease")))
}

fn is_held_by(etcd: &Etcd, node: &str) -> Option<()> {
    held(etcd).filter(|(value, lease)| *value == encode(node) && !lease.is_empty()).map(drop)
}

fn cause(daemon: &Daemon) -> String {
    daemon.group()["cause"].as_str().unwrap_or_default().to_owned()
}

fn active(lab: &Lab, etcd: &Etcd, daemon: &Daemon, node: &str) {
    daemon.wait_role("active");
    wait_for("the key is its own", || is_held_by(etcd, node));
    wait_for("the cloud names it", || lab.holder().filter(|holder| *holder == format!("i-{node}")));
}

#[test]
fn two_nodes_elect_and_a_holder_that_dies_is_replaced_when_its_lease_ends() {
    let (lab, etcd) = lab("");
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    let shown = key(&a);
    assert_eq!((&shown["ours"], &shown["value"]), (&json!(true), &json!("a")), "{shown}");
    assert_eq!(a.group()["epoch"], shown["revision"], "the revision is the epoch");
    b.wait_for("knows whose it is", |s| s["groups"][0]["election_key"]["value"] == "a");
    assert_eq!(key(&b)["ours"], false);
    let status = says(&lab, &["status"]);
    assert!(status.contains(&format!("etcd's {KEY} names a, written at revision ")), "{status}");
    assert!(status.contains("lease of this node for another"), "{status}");
    let why = says(&lab, &["why", "web"]);
    assert!(why.contains("this node's lease lasts for another"), "{why}");
    let doctor = says(&lab, &["doctor"]);
    assert!(doctor.contains(&format!("{KEY} names a")), "{doctor}");

    // A planned move passes the key on.
    let output = says(&lab, &["switchover", "web", "--to", "b"]);
    active(&lab, &etcd, &b, "b");
    a.wait_role("backup");
    assert_eq!((cause(&a), cause(&b)), ("handover-complete".to_owned(), "confirmed".to_owned()), "{output}");
    assert_eq!(b.group()["epoch"], key(&b)["revision"]);

    // b dies, and says nothing.
    b.signal(9);
    active(&lab, &etcd, &a, "a");
    let journal = says(&lab, &["history", "web"]);
    assert!(journal.contains("peer-dead"), "{journal}");
}

#[test]
fn a_stop_gives_the_key_back_and_a_restart_keeps_it() {
    let (lab, etcd) = lab("");
    let (a, mut b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    drop(says(&lab, &["switchover", "web", "--to", "b"]));
    active(&lab, &etcd, &b, "b");
    // In order, with nobody to hand over to but a: at once, and not when a lease ends.
    b.signal(15);
    active(&lab, &etcd, &a, "a");
    assert!(b.ended().success());
    let log = a.log();
    assert!(log.contains("handed-over") || log.contains("hands over"), "{log}");
}

#[test]
fn a_holder_lets_go_when_etcd_is_silent_and_recovers_by_itself() {
    let (lab, mut etcd) = lab("");
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    etcd.signal(rustix::process::Signal::STOP);
    // A lease after the last renewal that was sent.
    let status = a.wait_role("backup");
    assert_eq!(status["groups"][0]["cause"], "lease-lost", "{status}");
    let why = says(&lab, &["why", "web"]);
    assert!(why.contains("etcd cannot be asked"), "{why}");
    assert_ne!(b.group()["role"], "active");
    etcd.signal(rustix::process::Signal::CONT);
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));

    etcd.kill();
    a.wait_for("nobody leads", |s| s["groups"][0]["role"] == "backup");
    b.wait_for("nobody leads", |s| s["groups"][0]["role"] == "backup");
    etcd.restart();
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));
    wait_for("by the key", || held(&etcd).filter(|(_, lease)| !lease.is_empty()).map(drop));
}

#[test]
fn what_somebody_does_by_hand_is_noticed_said_and_overcome() {
    let (lab, etcd) = lab("");
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    let lost = |daemon: &Daemon, text: &str| {
        wait_for(text, || daemon.log().contains(text).then_some(()));
    };

    // Deleted: the first in rank is elected again.
    etcd.must("/v3/kv/deleterange", json!({"key": encode(KEY)}));
    lost(&a, &format!("there is no etcd's {KEY}, and this node did not give it up"));
    active(&lab, &etcd, &a, "a");

    // The lease revoked.
    let (_, lease) = held(&etcd).expect("held");
    etcd.must("/v3/lease/revoke", json!({"ID": lease}));
    wait_for("another lease", || held(&etcd).filter(|(value, now)| *value == encode("a") && *now != lease).map(drop));
    active(&lab, &etcd, &a, "a");

    // Overwritten: nobody leads until that is deleted, and it is said why.
    etcd.must("/v3/kv/put", json!({"key": encode(KEY), "value": encode("mine")}));
    a.wait_role("backup");
    assert_eq!(cause(&a), "lease-lost");
    let why = says(&lab, &["why", "web"]);
    assert!(why.contains("names mine for good: it has no lease"), "{why}");
    assert_ne!(b.group()["role"], "active");
    etcd.must("/v3/kv/deleterange", json!({"key": encode(KEY)}));
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));
}

#[test]
fn who_may_not_write_the_key_is_told_so() {
    let (lab, mut etcd) = lab("user = \"havipd\"\npassword-file = \"password\"\n");
    let password = lab.dir.path().join("password");
    std::fs::write(&password, "right\n").unwrap();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    etcd.enable_auth();
    let grant = |kind: &str| json!({"permType": kind, "key": encode("/havipd/"), "range_end": encode("/havipd0")});
    etcd.must("/v3/auth/role/grant", json!({"name": "havipd", "perm": grant("READ")}));
    let a = lab.start(0);
    a.wait_for("is told", |s| {
        s["groups"][0]["election_key"]["trouble"]
            .as_str()
            .is_some_and(|t| t.contains("does not permit \"havipd\" to read and write"))
            || s["groups"][0]["waiting"].as_str().is_some_and(|t| t.contains("was not heard since the start"))
    });
    wait_for("the doctor says so", || {
        says(&lab, &["doctor"])
            .contains(&format!("etcd does not permit \"havipd\" to read and write {KEY}"))
            .then_some(())
    });
    etcd.must("/v3/auth/role/grant", json!({"name": "havipd", "perm": grant("READWRITE")}));
    active(&lab, &etcd, &a, "a");
}
