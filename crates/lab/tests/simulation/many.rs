//! Hundreds of groups on two nodes and a witness: as fast as one, whatever the cloud says meanwhile.
//!
//! Time is the simulator's own, so these are no measurements: without delay on the hosts every group moves within what
//! the dead time and the calls take.

use super::must_hold;
use super::named::{NEVER, SETTLED, node};
use havipd_core::model::settings::Arbiter;
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::{Report, Scenario, StepKind};
use std::time::Duration;

/// As many as one file may have.
const MOST: usize = 250;
/// Fewer, where each is tried many times.
const MANY: usize = 50;
/// The cloud answers so late.
const AWAY: StepKind = StepKind::CloudDelay { ms: 20 };
/// How long a cloud with a fault has it.
const TROUBLE: u64 = 60_000;
/// After that calls are few at first, and become more with each answer.
const RECOVERS: u64 = 30_000;

/// With the intervals that a file has that says nothing of them.
fn clusters(groups: usize) -> [Cluster; 2] {
    [(2, 0, Arbiter::Cloud), (3, 1, Arbiter::Majority)].map(|(nodes, witnesses, arbiter)| Cluster {
        interval_ms: 300,
        dead_multiplier: 10,
        groups,
        preempt: false,
        ..Cluster::of(nodes, witnesses, arbiter)
    })
}

fn played(name: &str, cluster: &Cluster, steps: Vec<(u64, StepKind)>, end: u64, active: &str) -> Report {
    let mut scenario = Scenario::new(name, cluster.clone()).times(NEVER, end).step(0, AWAY);
    for (at, kind) in steps {
        scenario = scenario.step(at, kind);
    }
    scenario.expect.active = Some(active.to_owned());
    must_hold(&scenario)
}

fn power_fails() -> StepKind {
    StepKind::PowerOff { node: node("a"), back_ms: None, forgets: false, told: false }
}

/// When the last group had moved.
fn last_move(report: &Report) -> Duration {
    let moved = |moves: &Vec<(Duration, String)>| moves.last().map(|(at, _)| *at);
    report.moves.iter().map(|m| moved(m).expect("each group has moved")).max().expect("there are groups")
}

#[test]
fn all_of_them_are_active_two_seconds_after_the_waits_of_a_cold_start() {
    for cluster in clusters(MOST) {
        // A voter that knows nothing of the time before grants nothing for so long.
        let waits = if cluster.arbiter == Arbiter::Majority { cluster.keep_for_ms } else { 0 };
        played("many start", &cluster, vec![], waits + 2_000, "a");
    }
}

#[test]
fn all_of_them_move_within_a_second_of_the_dead_time() {
    for cluster in clusters(MOST) {
        let report = played("many move", &cluster, vec![(SETTLED, power_fails())], SETTLED + 20_000, "b");
        let took = last_move(&report).saturating_sub(Duration::from_millis(SETTLED));
        assert!(took <= cluster.dead_time() + Duration::from_secs(1), "{:?}: {took:?}", cluster.arbiter);
    }
}

/// Answers that push back, and answers that take longer and longer. No claim is lost, and nobody has to help.
#[test]
fn a_cloud_that_pushes_back_delays_them_and_no_more() {
    let refused = |retry_after| Fault::Status {
        status: 429,
        code: "RequestLimitExceeded".into(),
        message: "simulated".into(),
        retry_after,
        applied: false,
    };
    let faults = [
        (Scope::Any, refused(None)),
        (Scope::Any, refused(Some(0))),
        (Scope::Any, refused(Some(1_000_000_000))),
        (Scope::Read, refused(Some(1))),
        (Scope::Attach, refused(Some(1))),
        (Scope::Any, Fault::Slower { delay: Duration::from_millis(20), by: Duration::from_millis(5) }),
    ];
    for cluster in clusters(MANY) {
        for (scope, fault) in &faults {
            let rule = FaultRule::new(*scope, fault.clone());
            let steps = vec![
                (SETTLED, StepKind::CloudFault { rule }),
                (SETTLED, power_fails()),
                (SETTLED + TROUBLE, StepKind::CloudClear),
            ];
            let name = format!("many move, {scope:?} {fault:?}");
            played(&name, &cluster, steps, SETTLED + TROUBLE + RECOVERS, "b");
        }
    }
}
