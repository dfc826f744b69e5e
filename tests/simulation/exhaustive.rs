//! Small cases, all of them: every shape of a partition, and every order of two competing claims.

use super::must_hold;
use havipd::config::model::{Arbiter, Binding};
use havipd::election::role::Role;
use havipd::simulation::cloud::{Announcements, Profile};
use havipd::simulation::cluster::Cluster;
use havipd::simulation::network::Link;
use havipd::simulation::{Deed, Scenario};

const CUT: Link = Link { cut: true, loss_permille: 0, duplicate_permille: 0, delay_us: 200, jitter_us: 300 };

/// A majority cluster with short times, so that a case takes little.
fn quick(nodes: usize, witnesses: usize) -> Cluster {
    Cluster {
        interval_ms: 200,
        dead_multiplier: 5,
        cold_start_wait_ms: 5_000,
        preempt_delay_ms: 2_000,
        ..Cluster::of(nodes, witnesses, Arbiter::Majority)
    }
}

/// Cuts the directions, waits for what follows, heals, and waits for what follows that.
fn survives(name: String, cluster: Cluster, cut: impl Iterator<Item = (usize, usize)>) {
    let names: Vec<String> = cluster.machines.iter().map(|m| m.name.clone()).collect();
    let mut scenario = Scenario::new(&name, cluster).times(25_000, 175_000);
    for (from, to) in cut {
        let deed = Deed::Link { from: names[from].clone(), to: names[to].clone(), path: None, link: CUT };
        scenario = scenario.step(10_000, deed);
    }
    let report = must_hold(&scenario);
    assert_eq!(report.active, [Some("a".to_owned())], "{report}");
}

fn directions(nodes: usize) -> Vec<(usize, usize)> {
    (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))).filter(|(from, to)| from != to).collect()
}

#[test]
fn every_directed_shape_of_three_nodes() {
    for witnesses in [0, 1] {
        for shape in 0..64_u32 {
            let all = directions(3);
            let cut = all.into_iter().enumerate().filter(|(i, _)| shape >> i & 1 == 1).map(|(_, pair)| pair);
            survives(format!("shape {shape:06b}, {witnesses} witness(es)"), quick(3, witnesses), cut);
        }
    }
}

/// Every way to divide five nodes: each list says which part a node is in, new parts numbered as they come.
fn divisions(nodes: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for _ in 0..nodes {
        let grown = |parts: &Vec<usize>| {
            let next = parts.iter().max().map_or(0, |m| m + 1);
            (0..=next).map(|p| [parts.as_slice(), &[p]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(grown).collect();
    }
    all
}

#[test]
fn every_division_of_five_nodes() {
    let all = divisions(5);
    assert_eq!(all.len(), 52, "Bell's number");
    for parts in all {
        let cut = directions(5).into_iter().filter(|(from, to)| parts[*from] != parts[*to]);
        survives(format!("parts {parts:?}"), quick(5, 1), cut);
    }
}

/// Every graph of five nodes, links cut both ways: long, so only on request.
#[test]
fn every_shape_of_five_nodes() {
    if std::env::var_os("HAVIPD_SIM_ALL").is_none() {
        return;
    }
    let pairs: Vec<(usize, usize)> = directions(5).into_iter().filter(|(a, b)| a < b).collect();
    for shape in 0..1_u32 << pairs.len() {
        let chosen = pairs.iter().enumerate().filter(|(i, _)| shape >> i & 1 == 1);
        let cut = chosen.flat_map(|(_, &(a, b))| [(a, b), (b, a)]);
        survives(format!("shape {shape:010b}"), quick(5, 1), cut);
    }
}

/// Two nodes that never met claim the HAVIP, the second so much later than the first. The calls of
/// both take a short or a long time there and back in every combination.
fn compete(cluster: &Cluster, later_ms: u64, bits: u32, count: u32) {
    let ms = |bit: u32| if bits >> bit & 1 == 1 { 400 } else { 5 };
    let sides = vec![vec!["a".to_owned()], vec!["b".to_owned()]];
    let mut scenario = Scenario::new(&format!("{later_ms} ms, {bits:b}"), cluster.clone()).times(1_000_000, 60_000);
    scenario = scenario.step(0, Deed::Partition { sides });
    // Both look at the cloud once before anything; those two calls are not worth telling apart.
    scenario.call_ms = [[5, 5]; 2].into_iter().chain((0..count).map(|i| [ms(2 * i), ms(2 * i + 1)])).collect();
    let node = "b".to_owned();
    scenario = scenario
        .step(100, Deed::Crash { node: node.clone(), back_ms: None, forgets: true, sweep: false })
        .step(100 + later_ms, Deed::Start { node });
    let report = must_hold(&scenario);
    let with_right = report.roles[0].iter().flatten().filter(|r| r.has_right()).count();
    assert_eq!(with_right, 1, "{report}{}", havipd::simulation::replay(&scenario, 400).trace);
    assert!(report.roles[0].contains(&Some(Role::Active)), "{report}");
}

#[test]
fn every_order_of_two_competing_claims() {
    let profiles = Profile::all().into_iter().filter(Profile::winnable);
    let all = std::env::var_os("HAVIPD_SIM_ALL").is_some();
    let count = if all { 5 } else { 3 };
    for profile in profiles {
        let shared = profile.announcements != Announcements::Ignored;
        let bindings: &[Binding] = if shared { &[Binding::Exclusive, Binding::Shared] } else { &[Binding::Exclusive] };
        for &binding in bindings {
            let cluster = Cluster {
                binding,
                profile: profile.name.clone(),
                cold_start_wait_ms: 5_000,
                ..Cluster::of(2, 0, Arbiter::Cloud)
            };
            for later_ms in [100, 150, 500, 1_500] {
                for bits in 0..1 << (2 * count) {
                    compete(&cluster, later_ms, bits, count);
                }
            }
        }
    }
}
