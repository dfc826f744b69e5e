//! What each invariant is there for, played: tests/mutants/run sees to it that it can fail.
//!
//! Each test plays a few scenarios in which the shipped core keeps one promise, and a core with the fault that
//! tests/mutants/mutants.toml gives to that invariant does not.

use super::cloud::{Fault, FaultRule, Scope};
use super::cluster::Cluster;
use super::network::Link;
use super::programs::GateEnd;
use super::{Scenario, StepKind, run};
use havipd_core::model::settings::{Arbiter, HoldOrRelease};

/// Nothing before it matters any more.
const CALM: u64 = 130_000;
/// Never within the scenario.
const NEVER: u64 = 1_000_000_000;

/// A cluster of short waits that stays where it is.
fn cluster(nodes: usize, arbiter: Arbiter) -> Cluster {
    Cluster {
        preempt: false,
        interval_ms: 100,
        cold_start_wait_ms: 5_000,
        keep_for_ms: 6_000,
        handover_timeout_ms: 5_000,
        ..Cluster::of(nodes, 0, arbiter)
    }
}

fn node(name: &str) -> String {
    name.to_owned()
}

fn crash(name: &str, back_ms: Option<u64>) -> StepKind {
    StepKind::Crash { node: node(name), back_ms, forgets: false, sweep: false }
}

fn apart(one: &[&str], other: &[&str]) -> StepKind {
    let side = |names: &[&str]| names.iter().map(|n| node(n)).collect();
    StepKind::Partition { sides: vec![side(one), side(other)] }
}

fn switchover(to: &str) -> StepKind {
    StepKind::Switchover { group: 0, to: Some(node(to)) }
}

/// Plays `steps`; whatever promise is broken, the account says which.
fn holds(cluster: Cluster, steps: &[(u64, StepKind)], quiet: u64, end: u64) {
    let mut scenario = Scenario::new("bite", cluster).times(quiet, end);
    for (at, kind) in steps {
        scenario = scenario.step(*at, kind.clone());
    }
    scenario.check().expect("a scenario that can be run");
    let report = run(&scenario);
    assert!(report.violation.is_none(), "\n{report}{}", report.trace);
}

#[test]
fn i01_one_leader() {
    let three = cluster(3, Arbiter::Majority);
    holds(three.clone(), &[(20_000, apart(&["a"], &["b", "c"]))], NEVER, 40_000);
    holds(three, &[(20_000, StepKind::Pause { node: node("a"), for_ms: 5_000 })], NEVER, 40_000);
}

#[test]
fn i01_one_leader_by_leases_in_etcd() {
    // As far apart as clocks may be; a renewal is answered at once, and then etcd is out of reach.
    for cut_at in (0..12).map(|i| 60_000 + i * 1_300) {
        let mut two = Cluster { etcd_lease_ms: 60_000, etcd_ppm: 4_900, ..cluster(2, Arbiter::EtcdLease) };
        two.machines[0].clock_ppm = -4_900;
        let steps =
            [(50_000, apart(&["a"], &["b"])), (cut_at, StepKind::EtcdCut { node: node("a"), answers_only: false })];
        holds(two, &steps, NEVER, 180_000);
    }
}

#[test]
fn i02_effects_need_leadership() {
    // b is alone when it stands still.
    let steps = [(20_000, crash("a", None)), (40_000, StepKind::Pause { node: node("b"), for_ms: 5_000 })];
    holds(cluster(2, Arbiter::Cloud), &steps, NEVER, 60_000);
}

#[test]
fn i03_settles() {
    let steps = [(20_000, StepKind::Unbind { havip: 0, target: node("i-a") })];
    holds(cluster(2, Arbiter::Cloud), &steps, 25_000, 170_000);
}

#[test]
fn i03_takeovers() {
    let three = cluster(3, Arbiter::Majority);
    holds(three, &[(60_000, crash("a", None))], NEVER, 100_000);
    // The record that a looks at when c dies is from before the switchover.
    let longer = Cluster { preempt: false, interval_ms: 200, ..Cluster::of(3, 0, Arbiter::Majority) };
    let steps = [(45_000, crash("a", Some(20_000))), (150_000, switchover("c")), (151_000, crash("c", None))];
    holds(longer, &steps, NEVER, 200_000);
}

#[test]
fn i04_needs_nobody() {
    let refusal = Fault::Status {
        status: 409,
        code: "Refused".into(),
        message: "not now".into(),
        retry_after: None,
        applied: false,
    };
    let rule = FaultRule::new(Scope::Attach, refusal).for_caller("b");
    let steps = [(20_000, StepKind::CloudFault { rule }), (25_000, crash("a", None)), (60_000, StepKind::CloudClear)];
    holds(cluster(2, Arbiter::Cloud), &steps, 61_000, 220_000);
}

#[test]
fn i05_a_partition_is_no_tug_of_war() {
    holds(cluster(2, Arbiter::Cloud), &[(CALM, apart(&["a"], &["b"]))], NEVER, CALM + 60_000);
}

#[test]
fn i05_the_cloud_alone_takes_nothing() {
    let missing = Fault::Status {
        status: 404,
        code: "NoSuchObject".into(),
        message: "it is not there".into(),
        retry_after: None,
        applied: false,
    };
    // A lie that outlasts the holder's attempts to correct it is another matter.
    for (fault, until) in
        [(missing, 120_000), (Fault::Hang, 120_000), (Fault::LyingRead { master: node("i-b") }, 75_000)]
    {
        let rule = FaultRule::new(Scope::Read, fault).for_caller("a");
        let steps = [(60_000, StepKind::CloudFault { rule }), (until, StepKind::CloudClear)];
        holds(cluster(3, Arbiter::Majority), &steps, NEVER, 180_000);
    }
    let two = Cluster { havips: 2, ..cluster(3, Arbiter::Majority) };
    holds(two, &[(60_000, StepKind::DeleteHavip { havip: 1 })], NEVER, 150_000);
}

#[test]
fn i06_a_restart_moves_nothing() {
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        // Nine dead times, in which another one could claim.
        let stop = StepKind::Stop { node: node("a"), restart: true, back_ms: Some(9_000) };
        let cluster = Cluster { keep_for_ms: 20_000, ..cluster(3, arbiter) };
        holds(cluster, &[(CALM, stop)], NEVER, CALM + 40_000);
    }
}

#[test]
fn i06_an_upgrade_moves_nothing() {
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        let cluster = Cluster { keep_for_ms: 20_000, ..cluster(3, arbiter) };
        let mut steps = vec![];
        // Backups first, and the way back in another order: for most of the time the releases are mixed.
        for (i, (name, later)) in
            [("c", true), ("b", true), ("a", true), ("a", false), ("c", false), ("b", false)].into_iter().enumerate()
        {
            let at = CALM * (i as u64 + 1);
            steps.push((at, StepKind::Install { node: node(name), later }));
            steps.push((at, StepKind::Stop { node: node(name), restart: true, back_ms: Some(2_000) }));
        }
        holds(cluster, &steps, NEVER, CALM * 7);
    }
}

#[test]
fn i06_new_heartbeat_keys_move_nothing() {
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        let mut steps = vec![];
        for (i, keys) in [vec![1, 2], vec![2, 1], vec![2]].into_iter().enumerate() {
            for (n, name) in ["b", "a", "c"].into_iter().enumerate() {
                let reload = StepKind::Reload {
                    node: node(name),
                    interval_ms: None,
                    dead_multiplier: None,
                    priorities: vec![],
                    keys: keys.clone(),
                    patient: true,
                };
                steps.push((CALM + 30_000 * i as u64 + 5_000 * n as u64, reload));
            }
        }
        holds(cluster(3, arbiter), &steps, NEVER, CALM + 120_000);
    }
}

#[test]
fn i06_a_restart_and_a_reload_of_any_node_move_nothing() {
    // b is active by a switchover, and a goes before it: a would claim as soon as it may.
    let stop = StepKind::Stop { node: node("b"), restart: true, back_ms: Some(2_000) };
    let reload = StepKind::Reload {
        node: node("b"),
        interval_ms: None,
        dead_multiplier: None,
        priorities: vec![(node("c"), 90)],
        keys: vec![],
        patient: false,
    };
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        let cluster = Cluster { keep_for_ms: 20_000, ..cluster(3, arbiter) };
        for kind in [&stop, &reload] {
            let steps = [(20_000, switchover("b")), (20_000 + CALM, kind.clone())];
            holds(cluster.clone(), &steps, NEVER, 20_000 + CALM + 40_000);
        }
    }
}

#[test]
fn i07_forgeries_change_nothing() {
    for permille in [200, 400, 600, 800] {
        holds(cluster(3, Arbiter::Majority), &[(10_000, StepKind::Attack { permille })], NEVER, 120_000);
    }
    let flood = |name: &str| StepKind::Flood { node: node(name), datagrams: 2_000 };
    holds(cluster(3, Arbiter::Majority), &[(20_000, flood("a")), (21_000, flood("b"))], NEVER, 30_000);
}

#[test]
fn i08_the_address_goes() {
    let steps = [(20_000, apart(&["a"], &["b", "c"]))];
    holds(cluster(3, Arbiter::Majority), &steps, NEVER, 40_000);
    holds(cluster(3, Arbiter::Majority), &[(20_000, crash("a", None))], NEVER, 40_000);
}

#[test]
fn i09_who_is_stuck_falls_silent_and_nobody_asks_without_end() {
    let three = cluster(3, Arbiter::Majority);
    let stuck = StepKind::EffectsStuck { node: node("a"), for_ms: 20_000 };
    holds(three.clone(), &[(20_000, stuck)], NEVER, 45_000);
    // b does not hear the holder.
    let deaf =
        StepKind::Link { from: node("a"), to: node("b"), path: None, link: Link { cut: true, ..Link::default() } };
    holds(Cluster { interval_ms: 50, ..three }, &[(20_000, deaf)], NEVER, 100_000);
}

#[test]
fn i10_a_clocks_rate_decides_nothing() {
    let rate = |name: &str, ppm| StepKind::ClockRate { node: node(name), ppm };
    let steps = [(CALM, rate("a", -4_900)), (CALM + 130_000, rate("b", 4_900))];
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        holds(cluster(3, arbiter), &steps, NEVER, CALM + 250_000);
    }
    // With a long dead time so much is remembered that heartbeats of different rates pass each other several times meanwhile.
    let long = Cluster { dead_multiplier: 40, ..cluster(3, Arbiter::Majority) };
    holds(long, &[(CALM, rate("b", 4_900)), (CALM, rate("c", 4_900))], NEVER, CALM + 700_000);
}

#[test]
fn i11_a_planned_move_leaves_no_gap() {
    holds(cluster(3, Arbiter::Majority), &[(CALM, switchover("b"))], NEVER, CALM + 20_000);
}

// What only became visible when the checks no longer slept after a fault: each of these steps is within that sleep.

/// Nothing of what came before can still cost a holder its place: [`World::aftermath`](super::world::World::aftermath).
const SOON: u64 = 45_000;

#[test]
fn i01_a_halt_excuses_no_lease_that_was_won_after_it() {
    let steps = [(20_000, StepKind::Freeze { node: node("b"), for_ms: 300 }), (20_500, apart(&["a"], &["b", "c"]))];
    holds(cluster(3, Arbiter::Majority), &steps, NEVER, 40_000);
}

#[test]
fn i02_what_is_announced_is_in_the_kernel() {
    let stuck = StepKind::AddressStuck { node: node("b"), for_ms: 3_000, refuses: false };
    holds(cluster(2, Arbiter::Cloud), &[(19_000, stuck), (20_000, crash("a", None))], NEVER, 60_000);
}

#[test]
fn i03_settles_in_the_middle_of_a_run() {
    let steps = [(20_000, StepKind::Unbind { havip: 0, target: node("i-a") })];
    holds(cluster(2, Arbiter::Cloud), &steps, NEVER, 220_000);
}

#[test]
fn i05_who_is_told_of_another_holder_gives_way_though_the_cloud_errs() {
    let half = FaultRule { chance: Some(0.5), ..FaultRule::new(Scope::Read, Fault::Reset) };
    let steps = [(60_000, StepKind::CloudFault { rule: half }), (60_001, apart(&["a"], &["b"]))];
    holds(Cluster { reclaim_wait_ms: 300_000, ..cluster(2, Arbiter::Cloud) }, &steps, NEVER, 200_000);
}

#[test]
fn i06_a_holder_neither_loses_nor_wins_anew_by_a_reload() {
    let reload = |name: &str| StepKind::Reload {
        node: node(name),
        interval_ms: None,
        dead_multiplier: None,
        priorities: vec![(node("a"), 151)],
        keys: vec![],
        patient: false,
    };
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        let cluster = Cluster { cold_start_wait_ms: 20_000, ..cluster(3, arbiter) };
        let steps = [(5_000, crash("c", Some(1_000))), (SOON + 15_000, reload("b")), (SOON + 16_000, reload("a"))];
        holds(cluster, &steps, NEVER, SOON + 40_000);
    }
}

#[test]
fn i11_a_planned_move_soon_after_a_fault_leaves_no_gap() {
    let steps = [(5_000, crash("c", Some(1_000))), (SOON + 10_000, switchover("b"))];
    holds(cluster(3, Arbiter::Majority), &steps, NEVER, SOON + 30_000);
}

#[test]
fn i12_who_is_dead_did_not_leave() {
    holds(cluster(3, Arbiter::Cloud), &[(20_000, crash("a", None))], NEVER, 40_000);
}

#[test]
fn i12_one_read_supersedes_nobody() {
    let lie = FaultRule::new(Scope::Read, Fault::LyingRead { master: node("i-b") }).for_caller("a").times(1);
    // a does not hear b, so its audits are all that it has.
    let steps = [(20_000, crash("b", None)), (40_000, StepKind::CloudFault { rule: lie })];
    holds(cluster(2, Arbiter::Cloud), &steps, NEVER, 60_000);
}

#[test]
fn i12_a_cut_from_the_cloud_alone_isolates_nobody() {
    let cluster = Cluster { when_isolated: HoldOrRelease::Release, ..cluster(3, Arbiter::Cloud) };
    let cut = StepKind::CloudCut { node: node("a"), answers_only: false };
    holds(cluster, &[(20_000, crash("c", None)), (30_000, cut)], NEVER, 80_000);
}

#[test]
fn i12_a_worker_that_is_stuck_loses_no_lease() {
    let stuck = StepKind::EffectsStuck { node: node("a"), for_ms: 10_000 };
    holds(cluster(3, Arbiter::Majority), &[(20_000, stuck)], NEVER, 40_000);
}

#[test]
fn i12_a_file_is_taken_over_some_day() {
    // b misses the holder for a while, long after the files have changed, and then has to vote for it again: c is gone. Within
    // the aftermath of the partition no other promise looks at what the holder loses.
    let on = |on| StepKind::Maintenance { node: node("a"), on };
    let reload = |name: &str| StepKind::Reload {
        node: node(name),
        interval_ms: None,
        dead_multiplier: Some(12),
        priorities: vec![],
        keys: vec![],
        patient: false,
    };
    let steps = [
        (20_000, on(true)),
        (22_000, reload("a")),
        (22_500, reload("b")),
        (23_000, reload("c")),
        (30_000, on(false)),
        (50_000, apart(&["b"], &["a", "c"])),
        (55_000, StepKind::HealNetwork),
        (80_000, crash("c", None)),
    ];
    holds(cluster(3, Arbiter::Majority), &steps, NEVER, 100_000);
}

#[test]
fn i13_no_gate_runs_in_the_term_of_another() {
    let gated = Cluster { gate_timeout_ms: 60_000, ..cluster(3, Arbiter::Majority) };
    let gate = |name: &str| StepKind::Gate { node: node(name), ends: GateEnd::Hangs, takes_ms: 0, release: false };
    let died = [(0, gate("b")), (20_000, crash("a", None))];
    // b gives its lease back by itself, and c is there at once; or it loses it.
    let stop = StepKind::Stop { node: node("b"), restart: false, back_ms: None };
    let drops = StepKind::LinkState { node: node("b"), up: false };
    for step in [stop, drops, apart(&["b"], &["a", "c"])] {
        for at in [24_000, 24_050, 24_100] {
            let steps = [died.as_slice(), &[(at, step.clone())]].concat();
            holds(gated.clone(), &steps, NEVER, 60_000);
        }
    }
}

#[test]
fn i14_nothing_of_a_term_comes_before_its_gate() {
    for arbiter in [Arbiter::Majority, Arbiter::Cloud] {
        let gated = Cluster { gate_timeout_ms: 10_000, ..cluster(3, arbiter) };
        let gate = StepKind::Gate { node: node("b"), ends: GateEnd::Succeeds, takes_ms: 3_000, release: false };
        holds(gated, &[(0, gate), (20_000, crash("a", None))], NEVER, 40_000);
    }
}
