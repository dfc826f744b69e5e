//! Scenarios with a name, under every arbiter, binding and semantics of the cloud.

use super::must_hold;
use havipd_core::model::settings::{Arbiter, Binding, HoldOrRelease, OnRestart, OnStop};
use havipd_lab::simulation::cloud::{Announcements, Fault, FaultRule, MasterFlag, Profile, Scope};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::{Report, Scenario, StepKind};
use std::time::Duration;

/// By then every cluster has a holder, voters' quarantine included.
pub(crate) const SETTLED: u64 = 45_000;
/// Never within the scenario.
pub(crate) const NEVER: u64 = 1_000_000_000;

/// Every cluster of so many nodes that can be won.
pub(crate) fn clusters(nodes: usize) -> Vec<Cluster> {
    let mut all = vec![];
    let arbiters: &[Arbiter] = if nodes < 3 { &[Arbiter::Cloud] } else { &[Arbiter::Cloud, Arbiter::Majority] };
    for profile in Profile::all().into_iter().filter(Profile::winnable) {
        let flags = !matches!(profile.master_flag, MasterFlag::Absent | MasterFlag::Null);
        let shareable = profile.announcements != Announcements::Ignored && flags;
        let bindings: &[Binding] =
            if shareable { &[Binding::Exclusive, Binding::Shared] } else { &[Binding::Exclusive] };
        for &arbiter in arbiters {
            for &binding in bindings {
                let profile = profile.name.clone();
                all.push(Cluster { binding, profile, ..Cluster::of(nodes, 0, arbiter) });
            }
        }
    }
    all
}

pub(crate) fn node(name: &str) -> String {
    name.to_owned()
}

pub(crate) fn crash(name: &str) -> StepKind {
    StepKind::Crash { node: node(name), back_ms: None, forgets: false, sweep: false }
}

pub(crate) fn apart(sides: &[&[&str]]) -> StepKind {
    StepKind::Partition { sides: sides.iter().map(|s| s.iter().map(|n| node(n)).collect()).collect() }
}

pub(crate) fn switchover(to: Option<&str>) -> StepKind {
    StepKind::Switchover { group: 0, to: to.map(node) }
}

/// Plays `steps` in a cluster until `end` and expects who is active then, after how many moves.
pub(crate) fn play(
    name: &str,
    cluster: Cluster,
    steps: &[(u64, StepKind)],
    end: u64,
    active: &str,
    moves: usize,
) -> Report {
    let name = format!("{name}: {:?} {} {:?}", cluster.arbiter, cluster.profile, cluster.binding);
    let mut scenario = Scenario::new(&name, cluster).times(NEVER, end);
    for (at, kind) in steps {
        scenario = scenario.step(*at, kind.clone());
    }
    scenario.expect.active = Some(active.to_owned());
    scenario.expect.moves = Some(moves);
    must_hold(&scenario)
}

#[test]
fn a_cluster_boots() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        play("boot", cluster, &[], SETTLED, "a", 0);
    }
}

#[test]
fn the_active_node_dies_and_comes_back() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        play("crash", cluster.clone(), &[(SETTLED, crash("a"))], 65_000, "b", 1);
        let back = [(SETTLED, crash("a")), (70_000, StepKind::Start { node: node("a") })];
        play("crash and return", cluster.clone(), &back, 130_000, "a", 2);
        let stays = Cluster { preempt: false, ..cluster };
        play("crash and return without preemption", stays, &back, 130_000, "b", 1);
    }
}

#[test]
fn the_hosts_power_fails() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        for told in [false, true] {
            let off = StepKind::PowerOff { node: node("a"), back_ms: None, forgets: false, told };
            play("power off", cluster.clone(), &[(SETTLED, off)], 65_000, "b", 1);
        }
    }
}

#[test]
fn a_drained_node_whose_disk_does_not_answer_stays_drained() {
    for cluster in clusters(3) {
        let steps = [
            (SETTLED, StepKind::Drain { node: node("b"), on: true }),
            (SETTLED + 5_000, crash("b")),
            (SETTLED + 5_001, StepKind::DiskStuck { node: node("b"), for_ms: 30_000 }),
            (SETTLED + 5_002, StepKind::Start { node: node("b") }),
            (SETTLED + 15_000, crash("a")),
        ];
        // Next in rank would be b; after 80 s it is known that it was drained.
        play("drained, and slow to say so", cluster.clone(), &steps, SETTLED + 30_000, "c", 1);
        play("drained, and known to be", cluster, &steps, SETTLED + 60_000, "c", 1);
    }
}

#[test]
fn a_backup_dies_and_nothing_moves() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        let steps = [(SETTLED, crash("b")), (90_000, StepKind::Start { node: node("b") })];
        play("backup crash", cluster, &steps, 120_000, "a", 0);
    }
}

#[test]
fn the_active_daemon_stands_still() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        let short = StepKind::Pause { node: node("a"), for_ms: 3_000 };
        play("short pause", cluster.clone(), &[(SETTLED, short)], 80_000, "a", 0);
        let long = StepKind::Pause { node: node("a"), for_ms: 20_000 };
        play("long pause", Cluster { preempt: false, ..cluster.clone() }, &[(SETTLED, long)], 120_000, "b", 1);
        let frozen = StepKind::Freeze { node: node("a"), for_ms: 20_000 };
        play("long freeze", Cluster { preempt: false, ..cluster }, &[(SETTLED, frozen)], 120_000, "b", 1);
    }
}

#[test]
fn a_majority_elects_on_its_side_of_a_partition() {
    for cluster in clusters(3).into_iter().filter(|c| c.arbiter == Arbiter::Majority) {
        let steps = [(SETTLED, apart(&[&["a"], &["b", "c"]]))];
        play("holder cut off", cluster.clone(), &steps, 80_000, "b", 1);
        let steps = [(SETTLED, apart(&[&["a", "b"], &["c"]]))];
        play("backup cut off", cluster.clone(), &steps, 80_000, "a", 0);
        let steps = [(SETTLED, apart(&[&["a"], &["b"], &["c"]]))];
        play("all apart", cluster.clone(), &steps, 80_000, "", 0);
        let steps = [(SETTLED, apart(&[&["a"], &["b"]]))];
        play("only c sees both", cluster, &steps, 80_000, "a", 0);
    }
}

#[test]
fn a_partition_costs_at_most_one_move_under_arbiter_cloud() {
    for cluster in clusters(2).into_iter().filter(|c| c.arbiter == Arbiter::Cloud) {
        let cluster = Cluster { preempt: false, ..cluster };
        let mut scenario = Scenario::new("partition", cluster).times(NEVER, 300_000);
        scenario = scenario.step(SETTLED, apart(&[&["a"], &["b"]])).step(240_000, StepKind::HealNetwork);
        scenario.expect.moves_max = Some(1);
        must_hold(&scenario);
    }
}

#[test]
fn a_one_way_link_moves_nothing() {
    let dead = havipd_lab::simulation::network::Link { cut: true, ..Default::default() };
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        for (from, to) in [("a", "b"), ("b", "a")] {
            // Who does not hear the holder claims by the rules of `cloud`.
            if from == "b" || cluster.arbiter == Arbiter::Majority {
                let link = StepKind::Link { from: node(from), to: node(to), path: None, link: dead };
                play("one way", cluster.clone(), &[(SETTLED, link)], 80_000, "a", 0);
            }
        }
    }
}

#[test]
fn a_switchover_moves_once_and_stays() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        let last = if cluster.machines.len() == 2 { "b" } else { "c" };
        play("switchover", cluster.clone(), &[(SETTLED, switchover(None))], 120_000, "b", 1);
        play("switchover to", cluster.clone(), &[(SETTLED, switchover(Some(last)))], 120_000, last, 1);
        let twice = [(SETTLED, switchover(Some(last))), (80_000, switchover(Some("a")))];
        play("there and back", cluster, &twice, 120_000, "a", 2);
    }
}

#[test]
fn a_drained_node_hands_over_and_stays_ineligible() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        let drain = |on| StepKind::Drain { node: node("a"), on };
        play("drain", cluster.clone(), &[(SETTLED, drain(true))], 120_000, "b", 1);
        let both = [(SETTLED, drain(true)), (90_000, drain(false))];
        play("drain and undrain", cluster, &both, 180_000, "a", 2);
    }
}

#[test]
fn a_restart_moves_nothing() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        for name in ["a", "b"] {
            let stop = StepKind::Stop { node: node(name), restart: true, back_ms: Some(1_500) };
            play("restart", cluster.clone(), &[(SETTLED, stop)], 120_000, "a", 0);
        }
    }
}

#[test]
fn a_rolling_upgrade_moves_nothing() {
    for cluster in clusters(3) {
        let stop = |name: &str| StepKind::Stop { node: node(name), restart: true, back_ms: Some(2_000) };
        let steps = [(SETTLED, stop("c")), (65_000, stop("b")), (85_000, stop("a"))];
        play("rolling upgrade", cluster, &steps, 140_000, "a", 0);
    }
}

#[test]
fn a_stop_hands_over_or_lets_go() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        for on_stop in [OnStop::Handover, OnStop::Keep, OnStop::Release] {
            let stop = StepKind::Stop { node: node("a"), restart: false, back_ms: None };
            let report = play("stop", Cluster { on_stop, ..cluster.clone() }, &[(SETTLED, stop)], 100_000, "b", 1);
            if on_stop == OnStop::Handover {
                let (at, _) = report.moves[0][0].clone();
                assert!(at < Duration::from_millis(SETTLED + 5_000), "{at:?} {report}");
            }
        }
        let stop = StepKind::Stop { node: node("a"), restart: true, back_ms: None };
        let cluster = Cluster { on_restart: OnRestart::Handover, ..cluster };
        play("restart with handover", cluster, &[(SETTLED, stop)], 100_000, "b", 1);
    }
}

#[test]
fn the_api_fails_while_all_is_well() {
    let errors = [Fault::Hang, Fault::Reset, Fault::Throttle, Fault::BadJson];
    for cluster in clusters(2) {
        for fault in errors.clone() {
            let rule = FaultRule::new(Scope::Any, fault);
            let steps = [(SETTLED, StepKind::CloudFault { rule }), (150_000, StepKind::CloudClear)];
            play("api fails", cluster.clone(), &steps, 200_000, "a", 0);
        }
    }
}

#[test]
fn neither_peers_nor_cloud() {
    for cluster in clusters(2).into_iter().filter(|c| c.arbiter == Arbiter::Cloud) {
        let alone = [
            (SETTLED, apart(&[&["a"], &["b"]])),
            (SETTLED, StepKind::CloudCut { node: node("a"), answers_only: false }),
        ];
        let held = Cluster { when_isolated: HoldOrRelease::Hold, preempt: false, ..cluster.clone() };
        let mut scenario = Scenario::new("isolated holder", held).times(150_000, 500_000);
        for (at, kind) in alone {
            scenario = scenario.step(at, kind);
        }
        must_hold(&scenario);
    }
}

#[test]
fn what_others_do_to_the_havip_is_repaired() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        let theft = StepKind::ForceMaster { havip: 0, target: node("i-b") };
        let unbind = StepKind::Unbind { havip: 0, target: node("i-a") };
        let removed = StepKind::AddressRemoved { node: node("a"), havip: 0 };
        for (name, kind) in [("theft", theft), ("unbind", unbind), ("address removed", removed)] {
            let report = play(name, cluster.clone(), &[(SETTLED, kind)], 130_000, "a", 0);
            assert_eq!(report.violation, None);
        }
    }
}

#[test]
fn a_deleted_havip_is_taken_up_again() {
    for cluster in clusters(2) {
        let steps = [(SETTLED, StepKind::DeleteHavip { havip: 0 }), (80_000, StepKind::CreateHavip { havip: 0 })];
        let mut scenario = Scenario::new("deleted havip", Cluster { preempt: false, ..cluster }).times(85_000, 400_000);
        for (at, kind) in steps {
            scenario = scenario.step(at, kind);
        }
        must_hold(&scenario);
    }
}

#[test]
fn a_write_that_lands_late_is_found() {
    for cluster in clusters(2).into_iter().chain(clusters(3)) {
        for answered in [false, true] {
            let fault = Fault::Late { delay: Duration::from_secs(8), answered };
            let rule = FaultRule::new(Scope::Attach, fault).times(1);
            let mut scenario = Scenario::new("late write", cluster.clone()).times(120_000, 420_000);
            scenario = scenario.step(SETTLED - 1_000, StepKind::CloudFault { rule }).step(SETTLED, crash("a"));
            scenario = scenario.step(SETTLED + 6_000, StepKind::Start { node: node("a") });
            must_hold(&scenario);
        }
    }
}

#[test]
fn the_cloud_that_cannot_be_won_is_said_to_be() {
    let cluster = Cluster { profile: "unwinnable".into(), ..Cluster::of(2, 0, Arbiter::Cloud) };
    let mut scenario = Scenario::new("unwinnable", cluster).times(NEVER, 400_000);
    scenario = scenario.step(SETTLED, crash("a"));
    let report = must_hold(&scenario);
    assert!(report.stats.calls < 700, "it loops: {report}");
}

#[test]
fn a_crash_sweeps_and_a_forgetful_disk_does_no_harm() {
    for cluster in clusters(3) {
        let kind = StepKind::Crash { node: node("a"), back_ms: Some(300), forgets: true, sweep: true };
        let mut scenario = Scenario::new("forgets", cluster).times(90_000, 400_000);
        scenario = scenario.step(SETTLED, kind);
        must_hold(&scenario);
    }
}
