//! The address follows the elected node.

use crate::lab::{HAVIP, Lab, Options};
use crate::wait::wait_for;
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use std::net::UdpSocket;

#[test]
fn the_survivor_takes_over_when_the_active_node_is_killed() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
    assert_eq!(b.group()["role"], "backup");
    a.signal(9);
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    b.wait_for("is bound alone", |s| s["groups"][0]["havips"][0]["bound"] == serde_json::json!(["i-b"]));
    b.wait_log("cause=\"peer-dead\"");
    let line = b.wait_log("web is active");
    for part in
        ["epoch=2", "timeline=\"+0.0ms last heartbeat of a heard", "claiming (peer-dead)", "read back: holder i-b"]
    {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[test]
fn three_nodes_elect_by_majority_and_a_minority_holds_nothing() {
    // Voters that start give no vote for so long.
    let lab = Lab::new(Options { nodes: 3, group: "keep-for = \"2s\"".to_owned(), ..Options::default() });
    let (a, b, c) = (lab.start(0), lab.start(1), lab.start(2));
    let status = a.wait_role("active");
    assert_eq!(status["groups"][0]["arbiter"], "majority");
    for node in [&b, &c] {
        node.wait_for("sees a active", |s| s["groups"][0]["active"] == "a");
    }
    a.signal(9);
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    c.signal(9);
    b.wait_for("has lost leadership", |s| s["groups"][0]["cause"] == "lease-lost");
}

#[test]
fn a_node_that_was_stopped_for_longer_than_the_dead_time_wakes_up_without_leadership() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    a.signal(19);
    b.wait_role("active");
    // Its silence began with its last heartbeat, and its pause only after that.
    b.wait_for("a is silent for two dead times", |s| s["peers"][0]["heard_ms"].as_u64() >= Some(4_000));
    a.signal(18);
    a.wait_for("is backup, and knows why", |s| {
        s["groups"][0]["role"] == "backup" && s["groups"][0]["active"] == "b" && s["pauses"].as_u64() >= Some(1)
    });
    assert_eq!(b.group()["role"], "active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
}

#[test]
fn what_no_peer_sent_is_counted_and_changes_nothing() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    let (writes, lines) = (lab.writes(), a.log_until_now().lines().count());
    let socket = UdpSocket::bind((lab.address(2), 0)).unwrap();
    let to = (lab.address(0), 11200);
    for size in [0, 1, 40, 1200] {
        for _ in 0..500 {
            socket.send_to(&vec![0xa5; size], to).unwrap();
        }
    }
    let status = a.wait_for("has counted them", |s| {
        // The flood may have left no room for the first of these.
        socket.send_to(&[0; 1201], to).unwrap();
        s["counters"]["foreign"].as_u64() >= Some(100) && s["network"]["datagrams"]["oversized"].as_u64() >= Some(1)
    });
    assert_eq!(status["groups"][0]["role"], "active");
    assert_eq!(status["peers"][0]["state"], "up");
    assert_eq!(b.group()["role"], "backup");
    assert_eq!(lab.writes(), writes);
    let more: Vec<String> =
        a.log().lines().skip(lines).filter(|l| !l.contains("answered")).map(str::to_owned).collect();
    assert!(more.len() < 5, "{more:?}");
}

#[test]
fn a_cloud_that_never_answers_does_not_stop_heartbeats() {
    let lab = Lab::new(Options {
        cloud: "connect-timeout = \"300ms\"\nrequest-timeout = \"1s\"".to_owned(),
        ..Options::default()
    });
    let (a, b) = lab.pair();
    lab.cloud.add_fault(FaultRule::new(Scope::Any, Fault::Hang));
    a.wait_for("reads fail", |s| !s["groups"][0]["havips"][0]["error"].is_null());
    let heard = |s: &serde_json::Value| s["peers"][0]["stats"]["counted"].as_u64().unwrap();
    let first = heard(&b.status().unwrap());
    // Two dead times' worth of heartbeats.
    wait_for("b hears 80 more, a being up all the time", || {
        let status = b.status()?;
        assert_eq!(status["peers"][0]["state"], "up");
        (heard(&status) > first + 80).then_some(())
    });
    assert_eq!(a.group()["role"], "active", "the peer is there: no reason to let go");
    assert_eq!(b.group()["role"], "backup");
    lab.cloud.clear_faults();
    a.wait_for("reads work again", |s| s["groups"][0]["havips"][0]["error"].is_null());
}

#[test]
fn a_member_that_takes_the_havip_by_hand_is_given_way_to_or_repaired() {
    let lab = Lab::new(Options::default());
    let (a, _b) = lab.pair();
    lab.cloud
        .apply(havipd_lab::emulator::Command::Unbind { havip: HAVIP.to_owned(), target: "i-a".to_owned() })
        .unwrap();
    a.wait_for("repaired it", |s| s["groups"][0]["havips"][0]["repairs"].as_u64() >= Some(1));
    wait_for("the cloud names a again", || (lab.holder().as_deref() == Some("i-a")).then_some(()));
}
