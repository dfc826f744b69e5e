//! Small cases, all of them: every shape of a partition, and every order of two competing claims.

use super::must_hold;
use havipd_core::model::role::Role;
use havipd_core::model::settings::{Arbiter, Binding};
use havipd_lab::simulation::cloud::{Announcements, Profile};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::network::Link;
use havipd_lab::simulation::{Order, Report, Scenario, StepKind};

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
        let kind = StepKind::Link { from: names[from].clone(), to: names[to].clone(), path: None, link: CUT };
        scenario = scenario.step(10_000, kind);
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
    println!("all: 2 x 64 sets of directions cut between three nodes, with and without a witness");
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
    println!("all: 52 divisions of five nodes into parts");
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
    println!("all: 1024 sets of links cut both ways between five nodes");
}

/// Plays every order in which the steps of the calls can go on for the first `depth` choices, and gives how many there are.
fn every_order(scenario: &mut Scenario, depth: usize, check: impl Fn(&Scenario, &Report)) -> usize {
    let (mut orders, mut choices) = (0, Vec::<u8>::new());
    loop {
        let order = scenario.order.as_mut().expect("it gives an order");
        order.choices.clone_from(&choices);
        let report = must_hold(scenario);
        check(scenario, &report);
        orders += 1;
        let widths: Vec<u8> = report.choices.iter().take(depth).copied().collect();
        choices.resize(widths.len(), 0);
        while choices.last().is_some_and(|last| last + 1 >= widths[choices.len() - 1]) {
            choices.pop();
        }
        match choices.last_mut() {
            Some(last) => *last += 1,
            None => return orders,
        }
    }
}

/// Two nodes that do not hear each other claim the HAVIP, b so much later than a, from where nobody has it.
fn compete(cluster: &Cluster, later_ms: u64, every_ms: u64, depth: usize) -> usize {
    let sides = vec![vec!["a".to_owned()], vec!["b".to_owned()]];
    let name = format!("{} {:?}, {later_ms} ms, a step in {every_ms} ms", cluster.profile, cluster.binding);
    let node = || "b".to_owned();
    let mut scenario = Scenario::new(&name, cluster.clone())
        .times(1_000_000, 60_000)
        .step(0, StepKind::Partition { sides })
        .step(60, StepKind::Crash { node: node(), back_ms: None, forgets: true, sweep: false })
        .step(60 + later_ms, StepKind::Start { node: node() });
    // Both have waited for each other as long as a start does, and look at the cloud once more before they claim.
    scenario.order = Some(Order { from_ms: cluster.cold_start_wait_ms - 20, every_ms, choices: vec![] });
    every_order(&mut scenario, depth, |scenario, report| {
        let leaders = report.roles[0].iter().flatten().filter(|r| r.has_leadership()).count();
        assert_eq!(leaders, 1, "{report}{}", havipd_lab::simulation::replay(scenario, 400).trace);
        assert!(report.roles[0].contains(&Some(Role::Active)), "{report}");
    })
}

#[test]
fn every_order_of_two_competing_claims() {
    let depth = if std::env::var_os("HAVIPD_SIM_ALL").is_some() { 12 } else { 8 };
    let mut orders = 0;
    for profile in Profile::all().into_iter().filter(Profile::winnable) {
        let shared = profile.announcements != Announcements::Ignored;
        let bindings: &[Binding] = if shared { &[Binding::Exclusive, Binding::Shared] } else { &[Binding::Exclusive] };
        for &binding in bindings {
            let cluster = Cluster {
                binding,
                profile: profile.name.clone(),
                cold_start_wait_ms: 5_000,
                ..Cluster::of(2, 0, Arbiter::Cloud)
            };
            for (later_ms, every_ms) in [(0, 20), (0, 150), (40, 60), (200, 60), (500, 150)] {
                orders += compete(&cluster, later_ms, every_ms, depth);
            }
        }
    }
    println!("all: {orders} orders in which the calls of two competing claims go there and back, {depth} choices deep");
}
