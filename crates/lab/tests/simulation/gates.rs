//! Gates: programs that have to succeed before an address goes live, or before it is handed over.

use super::must_hold;
use super::named::{NEVER, SETTLED, apart, clusters, crash, node, play, switchover};
use havipd_core::model::settings::{AbortOrContinue, Arbiter};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::{GateEnd, Scenario, StepKind};

/// Every cluster, with gates that have so long.
fn gated(nodes: usize, timeout_ms: u64) -> impl Iterator<Item = Cluster> {
    clusters(nodes).into_iter().map(move |c| Cluster { gate_timeout_ms: timeout_ms, ..c })
}

fn gate(name: &str, ends: GateEnd, takes_ms: u64) -> StepKind {
    StepKind::Gate { node: node(name), ends, takes_ms, release: false }
}

fn release(name: &str, ends: GateEnd, takes_ms: u64) -> StepKind {
    StepKind::Gate { node: node(name), ends, takes_ms, release: true }
}

#[test]
fn a_gate_that_succeeds_is_passed_by_the_node_that_takes_over() {
    for cluster in gated(2, 10_000).chain(gated(3, 10_000)) {
        let steps = [(0, gate("a", GateEnd::Succeeds, 2_000)), (0, gate("b", GateEnd::Succeeds, 8_000))];
        play("gates", cluster.clone(), &steps, SETTLED + 5_000, "a", 0);
        let steps = [steps.as_slice(), &[(SETTLED, crash("a"))]].concat();
        play("gate of a successor", cluster, &steps, SETTLED + 25_000, "b", 1);
    }
}

#[test]
fn a_gate_that_fails_or_hangs_passes_the_turn_on() {
    for cluster in gated(3, 5_000) {
        for ends in [GateEnd::Fails, GateEnd::Hangs] {
            let steps = [(0, gate("b", ends, 100)), (SETTLED, crash("a"))];
            play("the next but one", cluster.clone(), &steps, SETTLED + 40_000, "c", 1);
        }
    }
}

#[test]
fn where_every_gate_fails_the_first_that_succeeds_again_serves() {
    for cluster in gated(2, 2_000).chain(gated(3, 2_000)) {
        let names = ["a", "b", "c"];
        let all = |ends| names[..cluster.machines.len()].iter().map(move |n| (0, gate(n, ends, 100)));
        let mut steps: Vec<(u64, StepKind)> = all(GateEnd::Fails).collect();
        play("nobody", cluster.clone(), &steps, SETTLED, "", 0);
        steps.push((SETTLED, gate("a", GateEnd::Succeeds, 100)));
        play("a tries on", cluster.clone(), &steps, SETTLED + 80_000, "a", 0);
    }
}

#[test]
fn a_lease_is_kept_while_a_gate_runs_that_is_longer() {
    // Twelve dead times.
    for cluster in gated(3, 60_000).filter(|c| c.arbiter == Arbiter::Majority) {
        let steps = [(0, gate("b", GateEnd::Succeeds, 60_000 - 500)), (SETTLED, crash("a"))];
        play("a long gate", cluster, &steps, SETTLED + 70_000, "b", 1);
    }
}

#[test]
fn a_gate_that_outlasts_its_lease_is_killed() {
    for cluster in gated(3, 60_000).filter(|c| c.arbiter == Arbiter::Majority) {
        let steps = [
            (0, gate("b", GateEnd::Succeeds, 30_000)),
            (SETTLED, crash("a")),
            (SETTLED + 15_000, apart(&[&["b"], &["c"], &["a"]])),
            (SETTLED + 25_000, StepKind::HealNetwork),
            (SETTLED + 25_000, gate("b", GateEnd::Succeeds, 100)),
        ];
        play("a lost lease", cluster, &steps, SETTLED + 60_000, "b", 1);
    }
}

#[test]
fn a_restarted_daemon_resumes_through_its_gate_beside_the_address() {
    for cluster in gated(2, 30_000).chain(gated(3, 30_000)) {
        // Longer than an address lives without its daemon.
        let restart = StepKind::Stop { node: node("a"), restart: true, back_ms: Some(2_000) };
        let steps = [(SETTLED, gate("a", GateEnd::Succeeds, 25_000)), (SETTLED, restart.clone())];
        let report = play("resumed", cluster.clone(), &steps, SETTLED + 60_000, "a", 0);
        assert_eq!(report.stats.lapses, 0, "{report}");
        let steps = [(SETTLED, gate("a", GateEnd::Fails, 100)), (SETTLED, restart)];
        play("not resumed", cluster, &steps, SETTLED + 25_000, "b", 1);
    }
}

#[test]
fn a_planned_move_goes_through_both_gates() {
    for cluster in gated(2, 20_000).chain(gated(3, 20_000)) {
        let cluster = Cluster { release_timeout_ms: 10_000, ..cluster };
        let takes = [(0, release("a", GateEnd::Succeeds, 5_000)), (0, gate("b", GateEnd::Succeeds, 15_000))];
        let steps = [takes.as_slice(), &[(SETTLED, switchover(Some("b")))]].concat();
        play("planned", cluster.clone(), &steps, SETTLED + 4_000, "a", 0);
        play("planned", cluster, &steps, SETTLED + 40_000, "b", 1);
    }
}

#[test]
fn before_release_that_fails_aborts_the_move_or_does_not() {
    for cluster in gated(2, 5_000).chain(gated(3, 5_000)) {
        for ends in [GateEnd::Fails, GateEnd::Hangs] {
            for (release_failed, active, moves) in
                [(AbortOrContinue::Abort, "a", 0), (AbortOrContinue::Continue, "b", 1)]
            {
                let cluster = Cluster { release_timeout_ms: 5_000, release_failed, ..cluster.clone() };
                let steps = [(0, release("a", ends, 100)), (SETTLED, switchover(Some("b")))];
                play("release", cluster, &steps, SETTLED + 25_000, active, moves);
            }
        }
    }
}

#[test]
fn a_handover_whose_gate_fails_comes_back_through_the_gate_of_the_old_node() {
    for cluster in gated(2, 5_000).chain(gated(3, 5_000)) {
        for ends in [GateEnd::Fails, GateEnd::Hangs] {
            let steps = [(0, gate("b", ends, 500)), (SETTLED, switchover(Some("b")))];
            play("back", cluster.clone(), &steps, SETTLED + 40_000, "a", 0);
        }
    }
}

#[test]
fn a_daemon_that_is_told_to_end_in_its_gate_ends_and_its_gate_with_it() {
    for cluster in gated(5, 60_000) {
        let stop = StepKind::Stop { node: node("b"), restart: false, back_ms: None };
        let steps = [(0, gate("b", GateEnd::Hangs, 0)), (SETTLED, crash("a")), (SETTLED + 15_000, stop)];
        play("stopped", cluster, &steps, SETTLED + 40_000, "c", 1);
    }
}

#[test]
fn a_stop_waits_for_before_release_and_keeps_the_address_where_that_forbids_the_move() {
    for cluster in gated(3, 5_000) {
        let cluster = Cluster { release_timeout_ms: 5_000, ..cluster };
        let stop = StepKind::Stop { node: node("a"), restart: false, back_ms: None };
        let steps = [(0, release("a", GateEnd::Succeeds, 2_000)), (SETTLED, stop.clone())];
        play("stop", cluster.clone(), &steps, SETTLED + 15_000, "b", 1);
        // Kept for keep-for, then somebody claims.
        let steps = [(0, release("a", GateEnd::Fails, 100)), (SETTLED, stop)];
        play("stop, forbidden", cluster, &steps, SETTLED + 60_000, "b", 1);
    }
}

#[test]
fn without_gates_nothing_of_them_is_in_a_scenario() {
    let scenario = Scenario::new("plain", Cluster::of(3, 0, Arbiter::Majority)).times(NEVER, SETTLED);
    assert!(!scenario.text().contains("gate") && !scenario.text().contains("release"), "{}", scenario.text());
    let report = must_hold(&scenario);
    assert_eq!(report.active, [Some("a".to_owned())]);
}
