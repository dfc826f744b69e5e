//! What silence proves: nothing to who cannot hear, and no less to who was disturbed by something else.

use super::named::{SETTLED, clusters, crash, node, play};
use havipd_core::model::settings::Arbiter;
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::network::Link;
use havipd_lab::simulation::{Report, StepKind};

/// What a claim takes beyond the dead time, and a look at the cloud before it.
const CLAIM: u64 = 2_000;

/// Two nodes that take silence for death.
fn pairs() -> impl Iterator<Item = Cluster> {
    clusters(2).into_iter().filter(|c| c.profile == "attach-moves")
}

fn dead_ms(cluster: &Cluster) -> u64 {
    u64::try_from(cluster.dead_time().as_millis()).expect("milliseconds")
}

/// When the first group moved, of which it is expected that it did once.
fn moved_at(report: &Report) -> u64 {
    let [(at, _)] = &report.moves[0][..] else { panic!("moves: {:?}\n{}", report.moves, report.trace) };
    u64::try_from(at.as_millis()).expect("milliseconds")
}

fn address(path_here: bool) -> StepKind {
    StepKind::HeartbeatAddress { node: node("b"), path: 0, here: path_here }
}

fn cut(from: &str, to: &str) -> StepKind {
    StepKind::Link { from: node(from), to: node(to), path: None, link: Link { cut: true, ..Link::default() } }
}

/// `what` and its contrary, in turn, so many milliseconds each.
fn flapping(from: u64, until: u64, each: u64, what: impl Fn(bool) -> StepKind) -> Vec<(u64, StepKind)> {
    (from..until)
        .step_by(usize::try_from(each).expect("small"))
        .enumerate()
        .map(|(i, at)| (at, what(i % 2 == 1)))
        .collect()
}

#[test]
fn a_backup_that_lost_its_heartbeat_address_takes_nothing() {
    for cluster in pairs() {
        let gone = [(SETTLED, address(false))];
        play("deaf by address", cluster.clone(), &gone, SETTLED + 60_000, "a", 0);
        let back = [(SETTLED, address(false)), (SETTLED + 30_000, address(true))];
        play("deaf for a while", cluster.clone(), &back, SETTLED + 60_000, "a", 0);
        let again = [(SETTLED + 300_000, address(false)), (SETTLED + 360_000, address(true))];
        play("deaf a second time", cluster, &[back, again].concat(), SETTLED + 420_000, "a", 0);
    }
}

#[test]
fn a_backup_whose_own_rules_refuse_its_heartbeats_takes_nothing() {
    for cluster in pairs() {
        let refused = [(SETTLED, StepKind::SendRefused { node: node("b"), on: true }), (SETTLED, cut("a", "b"))];
        play("refused here", cluster.clone(), &refused, SETTLED + 60_000, "a", 0);
        let over = [
            (SETTLED + 30_000, StepKind::SendRefused { node: node("b"), on: false }),
            (SETTLED + 30_000, StepKind::HealNetwork),
        ];
        play("refused for a while", cluster, &[refused, over].concat(), SETTLED + 60_000, "a", 0);
    }
}

/// The cloud tells what this node cannot hear.
#[test]
fn a_deaf_backup_takes_over_from_a_host_that_is_known_not_to_run() {
    for cluster in pairs().filter(|c| c.arbiter == Arbiter::Cloud) {
        let off = StepKind::PowerOff { node: node("a"), back_ms: None, forgets: false, told: true };
        // Without any heartbeat address of its own on the host it would not claim at all.
        let refused = StepKind::SendRefused { node: node("b"), on: true };
        let steps = [(SETTLED, refused), (SETTLED, cut("a", "b")), (SETTLED + 20_000, off)];
        let report = play("the host is off", cluster, &steps, SETTLED + 90_000, "b", 1);
        assert!(moved_at(&report) < SETTLED + 20_000 + 30_000, "{}", report.trace);
    }
}

#[test]
fn silence_counts_again_after_a_dead_time_of_listening() {
    for cluster in pairs() {
        let dead = dead_ms(&cluster);
        let back = SETTLED + 20_000;
        let steps = [(SETTLED, address(false)), (SETTLED + 10_000, crash("a")), (back, address(true))];
        let report = play("hears again", cluster, &steps, SETTLED + 60_000, "b", 1);
        assert!((back + dead..back + dead + CLAIM).contains(&moved_at(&report)), "{}", report.trace);
    }
}

/// Each return would begin the silence anew, and a dead holder would never be replaced.
#[test]
fn a_heartbeat_address_that_comes_and_goes_delays_a_claim_once() {
    for cluster in pairs() {
        let (dead, died) = (dead_ms(&cluster), SETTLED + 3_000);
        let mut steps = flapping(SETTLED, SETTLED + 120_000, dead * 3 / 8, address);
        steps.push((died, crash("a")));
        steps.sort_by_key(|(at, _)| *at);
        let report = play("its own path flaps", cluster, &steps, SETTLED + 119_000, "b", 1);
        assert!(moved_at(&report) < died + dead * 3 + CLAIM, "{}", report.trace);
    }
}

#[test]
fn an_interface_of_another_group_that_flaps_delays_no_claim() {
    for cluster in pairs().map(|c| Cluster { groups: 2, ..c }) {
        let (dead, died) = (dead_ms(&cluster), SETTLED + 3_000);
        let link = |up| StepKind::HavipLink { node: node("b"), group: 1, up };
        let mut steps = flapping(SETTLED, SETTLED + 30_000, 750, link);
        steps.extend([(SETTLED + 30_000, link(true)), (died, crash("a"))]);
        steps.sort_by_key(|(at, _)| *at);
        let report = play("another interface flaps", cluster, &steps, SETTLED + 90_000, "b", 1);
        assert!(moved_at(&report) < died + dead + CLAIM, "{}", report.trace);
    }
}

#[test]
fn a_process_that_stops_and_goes_delays_a_claim_once() {
    for cluster in pairs() {
        let (dead, died) = (dead_ms(&cluster), SETTLED + 3_000);
        let stop = StepKind::Pause { node: node("b"), for_ms: dead * 3 / 10 };
        let every = usize::try_from(dead * 3 / 10 + 20).expect("small");
        let mut steps: Vec<_> = (SETTLED..SETTLED + 60_000).step_by(every).map(|at| (at, stop.clone())).collect();
        steps.push((died, crash("a")));
        steps.sort_by_key(|(at, _)| *at);
        let report = play("stop and go", cluster, &steps, SETTLED + 59_000, "b", 1);
        // A claim goes on only while the process does.
        assert!(moved_at(&report) < died + dead * 4, "{}", report.trace);
    }
}

/// What waited in the socket tells of when it came, not of when it was read.
#[test]
fn a_backlog_of_a_dead_holder_makes_it_live_no_longer() {
    for cluster in pairs() {
        let (dead, died) = (dead_ms(&cluster), SETTLED + 3_000);
        let stop = StepKind::Pause { node: node("b"), for_ms: dead * 7 / 10 };
        let steps = [(died - dead * 3 / 10, stop), (died, crash("a"))];
        let report = play("a late backlog", cluster, &steps, SETTLED + 30_000, "b", 1);
        assert!(moved_at(&report) < died + dead * 5 / 4 + 200, "{}", report.trace);
    }
}

/// A daemon that is behind with its reading hears of everything later, and of nothing too late.
#[test]
fn reading_late_moves_nothing() {
    for cluster in clusters(2).into_iter().chain(clusters(3)).filter(|c| c.profile == "attach-moves") {
        let by_ms = dead_ms(&cluster) * 3 / 10;
        for name in ["a", "b"] {
            let late = |at, by_ms| (at, StepKind::ReadLate { node: node(name), by_ms });
            let steps = [late(SETTLED, by_ms), late(SETTLED + 60_000, 0), late(SETTLED + 90_000, by_ms)];
            play("reads late", cluster.clone(), &steps, SETTLED + 120_000, "a", 0);
        }
    }
}

/// One direction after the other becomes slow and quick again, by more than half a dead time: no clock was stopped.
#[test]
fn delays_that_end_move_nothing() {
    for cluster in clusters(2).into_iter().chain(clusters(3)).filter(|c| c.profile == "attach-moves") {
        // A lease lasts as long as the dead time: with `majority` the way there and back must be within it.
        let share = if cluster.arbiter == Arbiter::Majority { 3 } else { 6 };
        let slow = Link { delay_us: dead_ms(&cluster) * share * 100, jitter_us: 0, ..Link::default() };
        let mut steps = vec![];
        for (i, (from, to)) in [("b", "a"), ("a", "b"), ("b", "a")].into_iter().enumerate() {
            let at = SETTLED + 100_000 * i as u64;
            steps.push((at, StepKind::Link { from: node(from), to: node(to), path: None, link: slow }));
            steps.push((at + 50_000, StepKind::HealNetwork));
        }
        play("a delay ends", cluster, &steps, SETTLED + 350_000, "a", 0);
    }
}
