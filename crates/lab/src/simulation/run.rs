//! One scenario from beginning to end.

use super::bound::bound;
use super::report::{Report, Violation};
use super::scenario::Scenario;
use super::world::World;
use std::time::Duration;

/// Lines of the account that a report shows.
const SHOWN: usize = 120;

/// Runs a scenario; after a violation once more, for a readable account.
///
/// # Panics
/// If the scenario was not checked.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    let report = play(scenario, None);
    if report.violation.is_some() { play(scenario, Some(SHOWN)) } else { report }
}

/// Runs a scenario with a readable account of its last `lines` lines.
///
/// # Panics
/// If the scenario was not checked.
#[must_use]
pub fn replay(scenario: &Scenario, lines: usize) -> Report {
    play(scenario, Some(lines))
}

fn play(scenario: &Scenario, lines: Option<usize>) -> Report {
    let mut world = World::new(scenario, lines);
    world.run();
    let name = |h: usize| scenario.cluster.machines[h].name.clone();
    let groups = 0..scenario.cluster.groups;
    let moves = |g: usize| world.watch.ledger.of(g).iter().map(|(at, h)| (*at, name(*h))).collect();
    let mut report = Report {
        scenario: scenario.clone(),
        simulated: world.elapsed(),
        stats: world.stats,
        active: groups.clone().map(|g| world.active(g).map(name)).collect(),
        roles: groups.clone().map(|g| (0..world.nodes()).map(|h| world.role(h, g)).collect()).collect(),
        moves: groups.map(moves).collect(),
        converged: world.watch.settled.converged(),
        bound: bound(&scenario.cluster, world.dead_time()),
        unsettled: world.watch.settled.why_not().map(str::to_owned),
        choices: world.ordered.take().map(|o| o.widths).unwrap_or_default(),
        violation: world.watch.violation.take(),
        trace: String::new(),
    };
    if report.violation.is_none() {
        report.violation = unexpected(&report).map(|text| Violation {
            invariant: "expect",
            at: report.simulated,
            text,
            besides: vec![],
        });
    }
    if let Some(trace) = &world.trace {
        report.trace = trace.text();
    }
    report
}

/// How the outcome differs from what the scenario expects.
fn unexpected(report: &Report) -> Option<String> {
    let expect = &report.scenario.expect;
    if let Some(wanted) = &expect.active
        && let Some(active) = report.active.iter().find(|a| a.as_deref().unwrap_or_default() != wanted)
    {
        let word = |node: Option<&str>| node.filter(|name| !name.is_empty()).unwrap_or("nobody").to_owned();
        return Some(format!("{} is active in the end, not {}", word(active.as_deref()), word(Some(wanted))));
    }
    report.moves.iter().find_map(|moves| {
        let wrong = expect.moves.is_some_and(|n| moves.len() != n) || expect.moves_max.is_some_and(|n| moves.len() > n);
        let told = |(at, to): &(Duration, String)| format!("to {to} at {:.1} s", at.as_secs_f64());
        wrong.then(|| {
            let most = expect.moves_max.map(|n| format!("at most {n}"));
            let wanted = expect.moves.map(|n| n.to_string()).or(most).unwrap_or_default();
            let moves: Vec<String> = moves.iter().map(told).collect();
            format!("the number of moves is {}, expected {wanted}: {}", moves.len(), moves.join(", "))
        })
    })
}
