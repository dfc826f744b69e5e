//! The simulator: named scenarios, seeds, kept cases, small cases exhaustively, and the ledger of long runs.
//!
//! `HAVIPD_SIM_SEEDS=1000 cargo test --test simulation seeds` plays so many seeds, from `HAVIPD_SIM_FROM`, and
//! `HAVIPD_SIM_ALL=1` what is exhaustive and too long for every run. `havipd-lab simulate --seed 17` plays one with
//! its account; `tests/simulation-ledger` plays many and adds them to docs/simulation-ledger.md.
#![expect(clippy::print_stdout, reason = "figures and accounts are what these runs are for")]

mod changes;
mod etcd;
mod exhaustive;
mod gates;
mod keepalived;
mod ledger;
mod many;
mod matrix;
mod named;
mod paths;
mod seeds;
mod silence;

use havipd_lab::simulation::{Report, Scenario, run};

/// Runs a scenario that must keep every promise.
fn must_hold(scenario: &Scenario) -> Report {
    scenario.check().expect("a scenario that can be run");
    let report = run(scenario);
    assert!(report.violation.is_none(), "{}\n{report}{}", report.trace, scenario.text());
    report
}
