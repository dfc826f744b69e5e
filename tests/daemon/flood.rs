//! Floods of datagrams that no peer sent: they cost time, and nothing else.

use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;
use havipd_core::model::tag::Tag;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

/// With so many groups a step for each datagram of the flood would leave no time for the heartbeats.
const MORE_GROUPS: u16 = 60;

/// A datagram with a header as node `a` sends it to node `b`, and no tag that verifies: all but the most expensive check.
fn forged() -> Vec<u8> {
    let mut bytes = b"HVIP\x01\x01\x01\x00".to_vec();
    for node in ["a", "b"] {
        bytes.extend_from_slice(&Tag::node(&node.parse().unwrap()).0.to_be_bytes());
    }
    bytes.resize(1200, 0xa5);
    bytes
}

fn heard(daemon: &Daemon) -> u64 {
    daemon.status().map_or(0, |s| s["peers"][0]["stats"]["counted"].as_u64().unwrap())
}

fn all(status: &Value, fact: impl Fn(&Value) -> bool) -> bool {
    status["groups"].as_array().is_some_and(|groups| groups.iter().all(fact))
}

#[test]
fn a_flood_that_no_peer_sent_moves_nothing() {
    let lab = Lab::new(Options { more_groups: MORE_GROUPS, ..Options::default() });
    let (a, b) = lab.pair();
    a.wait_for("is active for every group", |s| all(s, |g| g["role"] == "active"));
    b.wait_for("sees it", |s| all(s, |g| g["role"] == "backup" && g["active"] == "a"));
    let changes = |daemon: &Daemon| daemon.log_until_now().lines().filter(|l| l.contains("cause=\"")).count();
    let (before, writes) = ((changes(&a), changes(&b)), lab.writes());
    let counters = |s: &Value| (s["counters"]["foreign"].as_u64().unwrap(), s["counters"]["bad_tag"].as_u64().unwrap());
    let over = AtomicBool::new(false);
    let (stranger, to) = (lab.address(2), SocketAddr::from((lab.address(1), 11200)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (socket, forged) = (UdpSocket::bind((stranger, 0)).unwrap(), forged());
            while !over.load(Ordering::Relaxed) {
                socket.send_to(&forged, to).unwrap();
                socket.send_to(&[0xa5; 100], to).unwrap();
            }
        });
        // As long as three dead times take.
        let first = heard(&b);
        wait_for("b hears a through the flood", || (heard(&b) > first + 120 * 7).then_some(()));
        over.store(true, Ordering::Relaxed);
    });
    let status = b.status().unwrap();
    let (foreign, bad_tag) = counters(&status);
    assert!(foreign > 1000 && bad_tag > 1000, "it was a flood: {foreign}, {bad_tag}");
    assert!(all(&status, |g| g["role"] == "backup" && g["active"] == "a"), "{status}");
    assert_eq!(((changes(&a), changes(&b)), lab.writes()), (before, writes), "nothing changed its role meanwhile");
}
