//! The simulator: named scenarios, seeds, small cases exhaustively, and the ledger of long runs.
//!
//! `HAVIPD_SIM_SEEDS=1000 cargo test --test simulation seeds` runs so many seeds, from `HAVIPD_SIM_FROM`;
//! `HAVIPD_SIM_REPLAY=17 cargo test --test simulation replay -- --nocapture` plays one with its account.

mod named;
mod seeds;

use havipd::simulation::{Report, Scenario, run};

/// Runs a scenario that must keep every promise.
fn must_hold(scenario: &Scenario) -> Report {
    scenario.check().expect("a scenario that can be run");
    let report = run(scenario);
    assert!(report.violation.is_none(), "{}\n{report}{}", report.trace, scenario.text());
    report
}
