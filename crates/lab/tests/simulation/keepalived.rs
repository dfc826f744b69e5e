//! Beside keepalived: its elections, splits and deaths, under every semantics of the cloud. The promises hold
//! besides: I3 also wants the active node to be the one whose keepalived is master once all is quiet.

use super::must_hold;
use super::named::{apart, crash, node, play};
use havipd_core::model::settings::Arbiter;
use havipd_lab::simulation::cloud::Profile;
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::{Scenario, StepKind};

/// By then keepalived has elected and the HAVIP is there.
const SETTLED: u64 = 20_000;

fn clusters(nodes: usize) -> impl Iterator<Item = Cluster> {
    let profiles = Profile::all().into_iter().filter(Profile::winnable);
    profiles.map(move |p| Cluster { profile: p.name, ..Cluster::of(nodes, 0, Arbiter::Keepalived) })
}

fn dies(name: &str, back: bool) -> StepKind {
    StepKind::KeepalivedDies { node: node(name), back }
}

#[test]
fn the_master_of_two_dies_and_the_other_follows() {
    for nodes in [2, 3] {
        for cluster in clusters(nodes) {
            let off = StepKind::PowerOff { node: node("a"), back_ms: None, forgets: false, told: false };
            play("failover", cluster, &[(SETTLED, off)], 60_000, "b", 1);
        }
    }
}

#[test]
fn a_preferred_keepalived_that_is_back_takes_over() {
    for cluster in clusters(2) {
        play("back", cluster, &[(SETTLED, dies("a", true))], 60_000, "a", 2);
    }
}

#[test]
fn a_keepalived_that_dies_takes_its_havip_along() {
    for cluster in clusters(2) {
        play("dies", cluster, &[(SETTLED, dies("a", false))], 60_000, "b", 1);
    }
}

#[test]
fn a_split_of_vrrp_alone_moves_once_and_its_end_follows_the_winner() {
    for cluster in clusters(2) {
        let steps = [(SETTLED, StepKind::VrrpSplit { on: true })];
        play("split", cluster.clone(), &steps, 200_000, "b", 1);
        let healed = [steps[0].clone(), (200_000, StepKind::VrrpSplit { on: false })];
        play("healed", cluster, &healed, 260_000, "a", 2);
    }
}

#[test]
fn a_partition_is_no_tug_of_war_and_its_end_follows_the_winner() {
    for cluster in clusters(2) {
        let cluster = Cluster { reclaim_wait_ms: 600_000, ..cluster };
        let steps = [(SETTLED, apart(&[&["a"], &["b"]]))];
        play("partition", cluster.clone(), &steps, 200_000, "b", 1);
        let healed = [steps[0].clone(), (200_000, StepKind::HealNetwork)];
        play("partition healed", cluster, &healed, 260_000, "a", 2);
    }
}

#[test]
fn a_restart_while_master_moves_nothing() {
    for cluster in clusters(2) {
        let stop = StepKind::Stop { node: node("a"), restart: true, back_ms: Some(1_000) };
        play("restart", cluster.clone(), &[(SETTLED, stop)], 90_000, "a", 0);
        let killed = StepKind::Crash { node: node("a"), back_ms: Some(1_000), forgets: false, sweep: false };
        play("killed", cluster, &[(SETTLED, killed)], 90_000, "a", 0);
    }
}

#[test]
fn a_daemon_that_was_down_finds_its_election_in_the_spool() {
    for cluster in clusters(2) {
        let back = StepKind::Start { node: node("b") };
        let steps = [(SETTLED, crash("b")), (SETTLED + 1_000, dies("a", false)), (SETTLED + 10_000, back)];
        play("spool", cluster, &steps, 90_000, "b", 1);
    }
}

#[test]
fn a_stale_master_takes_nothing_from_a_node_that_is_active() {
    for cluster in clusters(2) {
        play("stale", cluster, &[(SETTLED, StepKind::StaleVrrp { node: node("b") })], 60_000, "a", 0);
    }
}

/// Those of the seeds in which keepalived elects; `HAVIPD_SIM_SEEDS` says how many seeds are looked through.
#[test]
fn seeds_beside_keepalived_keep_every_promise() {
    let all = std::env::var("HAVIPD_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(160);
    let mut played = 0;
    for scenario in (0..all).map(Scenario::random).filter(|s| s.cluster.arbiter == Arbiter::Keepalived) {
        must_hold(&scenario);
        played += 1;
    }
    println!("{played} seeds beside keepalived");
    assert!(played > 0);
}
