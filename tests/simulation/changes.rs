//! What operators change in a running cluster: keys.

use super::named::{SETTLED, clusters, crash, node, play};
use havipd::simulation::Deed;

/// Nothing before it matters any more: what follows must not touch anybody.
const CALM: u64 = 250_000;
/// Between two nodes of a rotation.
const GAP: u64 = 700;

/// The three stages of a rotation, each with the nodes in the order of its own.
fn rotation(from: u64, orders: [&[&str]; 3]) -> Vec<(u64, Deed)> {
    let stages = [vec![1, 2], vec![2, 1], vec![2]];
    let reload = |name: &str, keys: &[u8]| Deed::Reload {
        node: node(name),
        interval_ms: None,
        dead_multiplier: None,
        priorities: vec![],
        keys: keys.to_vec(),
    };
    let deeds = stages.iter().zip(orders).flat_map(|(keys, order)| order.iter().map(|n| reload(n, keys)));
    (from..).step_by(GAP as usize).zip(deeds).collect()
}

const ORDERS: [[&[&str]; 3]; 4] = [
    [&["a", "b", "c"], &["a", "b", "c"], &["a", "b", "c"]],
    [&["c", "b", "a"], &["a", "c", "b"], &["b", "a", "c"]],
    [&["b", "c", "a"], &["c", "a", "b"], &["c", "b", "a"]],
    [&["a", "c", "b"], &["b", "a", "c"], &["a", "b", "c"]],
];

#[test]
fn new_heartbeat_keys_change_no_role_in_any_order_of_nodes() {
    for cluster in clusters(3) {
        for orders in ORDERS {
            play("rotation", cluster.clone(), &rotation(CALM, orders), CALM + 60_000, "a", 0);
        }
    }
    for cluster in clusters(2) {
        let orders: [&[&str]; 3] = [&["a", "b"], &["b", "a"], &["a", "b"]];
        play("rotation of two", cluster, &rotation(CALM, orders), CALM + 60_000, "a", 0);
    }
}

/// Between two reloads of a rotation something happens, which has the outcome that it has without.
#[test]
fn a_rotation_meets_restarts_pauses_partitions_and_deaths() {
    for (i, cluster) in clusters(3).into_iter().enumerate() {
        let steps = rotation(SETTLED, ORDERS[i % ORDERS.len()]);
        for at in (i as u64 % 3..10).step_by(3).map(|n| SETTLED + n * GAP - GAP / 2) {
            let with = |more: &[(u64, Deed)]| [steps.as_slice(), more].concat();
            let restart = |name: &str| Deed::Stop { node: node(name), restart: true, back_ms: Some(1_500) };
            let pause = |name: &str| Deed::Pause { node: node(name), for_ms: 3_000 };
            for deed in [restart("a"), restart("b"), pause("a"), pause("c")] {
                play("rotation and a short absence", cluster.clone(), &with(&[(at, deed)]), SETTLED + 60_000, "a", 0);
            }
            let long = Deed::Pause { node: node("b"), for_ms: 20_000 };
            play("rotation without b", cluster.clone(), &with(&[(at, long)]), SETTLED + 60_000, "a", 0);
            play("rotation without a", cluster.clone(), &with(&[(at, crash("a"))]), SETTLED + 30_000, "b", 1);
            let back = [(at, crash("c")), (at + 12_000, Deed::Start { node: node("c") })];
            play("c comes back with new keys", cluster.clone(), &with(&back), SETTLED + 60_000, "a", 0);
        }
    }
}

/// The old key is gone before a node learns the new one: refused as long as that node lives, and done in the end.
#[test]
fn a_reload_that_would_make_a_peer_deaf_waits() {
    let keys = |name: &str, keys: &[u8]| Deed::Reload {
        node: node(name),
        interval_ms: None,
        dead_multiplier: None,
        priorities: vec![],
        keys: keys.to_vec(),
    };
    let steps = [
        (CALM, keys("a", &[2])),
        (CALM + 1_000, keys("b", &[2])),
        (CALM + 60_000, keys("c", &[1, 2])),
        (CALM + 61_000, keys("b", &[1, 2])),
        (CALM + 62_000, keys("c", &[2])),
    ];
    for cluster in clusters(3) {
        play("too early", cluster, &steps, CALM + 120_000, "a", 0);
    }
}
