//! What operators change in a running cluster: keys, and files of another digest, one node after the other.

use super::must_hold;
use super::named::{NEVER, SETTLED, apart, clusters, crash, node, play};
use havipd_core::model::settings::{Arbiter, Binding};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::{Scenario, StepKind};

/// Nothing before it matters any more: what follows must not touch anybody.
const CALM: u64 = 250_000;
/// Between two nodes of a rotation.
const GAP: u64 = 700;

/// The three stages of a rotation, each with the nodes in the order of its own.
fn rotation(from: u64, orders: [&[&str]; 3]) -> Vec<(u64, StepKind)> {
    let stages = [vec![1, 2], vec![2, 1], vec![2]];
    let reload = |name: &str, keys: &[u8]| StepKind::Reload {
        node: node(name),
        interval_ms: None,
        dead_multiplier: None,
        priorities: vec![],
        keys: keys.to_vec(),
        patient: false,
    };
    let steps = stages.iter().zip(orders).flat_map(|(keys, order)| order.iter().map(|n| reload(n, keys)));
    (from..).step_by(GAP as usize).zip(steps).collect()
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
            let with = |more: &[(u64, StepKind)]| [steps.as_slice(), more].concat();
            let restart = |name: &str| StepKind::Stop { node: node(name), restart: true, back_ms: Some(1_500) };
            let pause = |name: &str| StepKind::Pause { node: node(name), for_ms: 3_000 };
            for kind in [restart("a"), restart("b"), pause("a"), pause("c")] {
                play("rotation and a short absence", cluster.clone(), &with(&[(at, kind)]), SETTLED + 60_000, "a", 0);
            }
            let long = StepKind::Pause { node: node("b"), for_ms: 20_000 };
            play("rotation without b", cluster.clone(), &with(&[(at, long)]), SETTLED + 60_000, "a", 0);
            play("rotation without a", cluster.clone(), &with(&[(at, crash("a"))]), SETTLED + 30_000, "b", 1);
            let back = [(at, crash("c")), (at + 12_000, StepKind::Start { node: node("c") })];
            play("c comes back with new keys", cluster.clone(), &with(&back), SETTLED + 60_000, "a", 0);
        }
    }
}

/// The old key is gone before a node learns the new one: refused as long as that node lives, and done in the end.
#[test]
fn a_reload_that_would_make_a_peer_deaf_waits() {
    let keys = |name: &str, keys: &[u8]| StepKind::Reload {
        node: node(name),
        interval_ms: None,
        dead_multiplier: None,
        priorities: vec![],
        keys: keys.to_vec(),
        patient: false,
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

fn maintenance(name: &str, on: bool) -> StepKind {
    StepKind::Maintenance { node: node(name), on }
}

/// A node's file is about these nodes from now on.
fn nodes(name: &str, nodes: &[&str]) -> StepKind {
    StepKind::File { node: node(name), binding: None, nodes: nodes.iter().map(|n| node(n)).collect() }
}

fn restart(name: &str, back_ms: u64) -> StepKind {
    StepKind::Stop { node: node(name), restart: true, back_ms: Some(back_ms) }
}

/// Each node gets its file and is started with it, under maintenance.
fn one_by_one(files: &[(&str, StepKind)]) -> Vec<(u64, StepKind)> {
    let mut steps = vec![(SETTLED, maintenance("a", true))];
    for (i, (name, file)) in files.iter().enumerate() {
        let at = SETTLED + 5_000 + 10_000 * i as u64;
        steps.extend([(at, file.clone()), (at, restart(name, 1_000))]);
    }
    steps.push((SETTLED + 40_000, maintenance("b", false)));
    steps
}

/// Plays it in a cluster whose `a` is active: it stays so to the end, and clients notice nothing.
fn stays(name: &str, cluster: Cluster, steps: &[(u64, StepKind)]) {
    let report = play(name, cluster, steps, SETTLED + 80_000, "a", 0);
    assert_eq!(report.stats.lapses, 0, "{report}{}", report.scenario.text());
}

#[test]
fn another_binding_on_one_node_after_the_other_moves_nothing() {
    for shared in clusters(3).into_iter().chain(clusters(2)).filter(|c| c.binding == Binding::Shared) {
        let exclusive = Cluster { binding: Binding::Exclusive, ..shared.clone() };
        for (cluster, binding) in [(shared, Binding::Exclusive), (exclusive, Binding::Shared)] {
            let names: Vec<String> = cluster.machines.iter().map(|m| m.name.clone()).collect();
            for first in 0..names.len() {
                let order = names.iter().cycle().skip(first).take(names.len());
                let file = |n: &String| StepKind::File { node: n.clone(), binding: Some(binding), nodes: vec![] };
                let files: Vec<(&str, StepKind)> = order.map(|n| (n.as_str(), file(n))).collect();
                stays("another binding", cluster.clone(), &one_by_one(&files));
            }
        }
    }
}

/// A reload brings it as well, in maintenance; without, it is refused until there is one.
#[test]
fn another_binding_comes_by_a_reload_in_maintenance() {
    for cluster in clusters(3).into_iter().filter(|c| c.binding == Binding::Shared) {
        let mut steps = vec![];
        for (name, at) in ["c", "a", "b"].into_iter().zip((SETTLED..).step_by(1_000)) {
            steps.push((at, StepKind::File { node: node(name), binding: Some(Binding::Exclusive), nodes: vec![] }));
            let (node, priorities, keys) = (node(name), vec![], vec![]);
            steps.push((
                at,
                StepKind::Reload { node, interval_ms: None, dead_multiplier: None, priorities, keys, patient: false },
            ));
        }
        steps.extend([(SETTLED + 30_000, maintenance("c", true)), (SETTLED + 50_000, maintenance("c", false))]);
        stays("another binding by reload", cluster, &steps);
    }
}

#[test]
fn a_voter_more_and_a_voter_less_move_nothing() {
    let (three, four) = (["a", "b", "c"], ["a", "b", "c", "d"]);
    for cluster in clusters(4) {
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]] {
            let files = |names: &[&str]| order.map(|n| (n, nodes(n, names)));
            let mut more: Vec<(u64, StepKind)> = three.iter().map(|n| (0, nodes(n, &three))).collect();
            let back_ms = Some(SETTLED + 32_000);
            more.push((0, StepKind::PowerOff { node: node("d"), back_ms, forgets: false, told: false }));
            more.extend(one_by_one(&files(&four)));
            stays("a voter more", cluster.clone(), &more);
            let mut less = one_by_one(&files(&three));
            less.push((SETTLED + 2_000, StepKind::Stop { node: node("d"), restart: false, back_ms: None }));
            less.sort_by_key(|(at, _)| *at);
            stays("a voter less", cluster.clone(), &less);
        }
    }
}

/// The file of three and the file of five at once, in every division of the five: both sides may have a majority of
/// their own voters, and never do two have leadership. In the end all have the one of five, and one is active.
/// Meanwhile somebody tries to end maintenance on one side.
#[test]
fn two_files_at_once_never_make_two() {
    let (old, all) = (["a", "b", "c"], ["a", "b", "c", "d", "e"]);
    let cluster = Cluster {
        preempt: false,
        interval_ms: 100,
        cold_start_wait_ms: 5_000,
        keep_for_ms: 6_000,
        handover_timeout_ms: 5_000,
        ..Cluster::of(5, 0, Arbiter::Majority)
    };
    for changed in 1..8_usize {
        for division in 1..16_usize {
            let name = format!("two files, {changed:03b} changed, division {division:04b}");
            let mut scenario = Scenario::new(&name, cluster.clone()).times(NEVER, 110_000);
            for n in old {
                scenario = scenario.step(0, nodes(n, &old));
            }
            for n in &all[3..] {
                let off = StepKind::PowerOff { node: node(n), back_ms: Some(21_000), forgets: false, told: false };
                scenario = scenario.step(0, off);
            }
            let maintained = (changed + division) % 2 == 0;
            if maintained {
                scenario = scenario.step(18_000, maintenance("a", true));
                scenario = scenario.step(30_000, maintenance(all[division % 5], false));
            }
            // Apart before the restarts, between them, or after them.
            let (one, other): (Vec<_>, Vec<_>) = (0..5).partition(|i| division >> i & 1 == 1);
            let sides = [&one, &other].map(|side| side.iter().map(|i| all[*i]).collect::<Vec<_>>());
            scenario = scenario.step([19_000, 21_100, 24_000][division % 3], apart(&[&sides[0], &sides[1]]));
            for i in (0..3).filter(|i| changed >> i & 1 == 1) {
                let at = 20_000 + 1_000 * i as u64;
                scenario = scenario.step(at, nodes(old[i], &all)).step(at, restart(old[i], 200));
            }
            scenario = scenario.step(50_000, StepKind::HealNetwork);
            for i in (0..3).filter(|i| changed >> i & 1 == 0) {
                scenario = scenario.step(55_000, nodes(old[i], &all)).step(55_000, restart(old[i], 200));
            }
            scenario = scenario.step(70_000, maintenance("e", false));
            scenario.steps.sort_by_key(|s| s.at_ms);
            let report = must_hold(&scenario);
            assert!(report.active[0].is_some(), "{name}: {report}");
        }
    }
}
