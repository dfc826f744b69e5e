//! `unit`: a systemd unit that is active, as systemctl says.

use super::blocking::Gate;
use super::{Context, Outcome, script};
use crate::program::Ended;
use std::time::Duration;

/// systemctl is waited for a little longer than it may take.
const MORE: Duration = Duration::from_millis(500);
/// All that is asked for is shorter.
const MOST_LINES: usize = 8;

pub(super) async fn watch(context: Context, unit: String, gate: Gate) {
    let timeout = context.check.timeout;
    let environment = script::environment(&context);
    let argv = ["systemctl", "show", "--property=LoadState,ActiveState,SubState", "--", &unit].map(str::to_owned);
    let mut cadence = context.cadence();
    loop {
        let (argv, environment, own) = (argv.clone(), environment.clone(), gate.clone());
        let done = gate.run(timeout + MORE, move || {
            let mut lines = Vec::new();
            let mut keep = |line: &str| {
                if lines.len() < MOST_LINES {
                    lines.push(line.to_owned());
                }
            };
            let report = script::run(&argv, &environment, timeout, &own, &mut keep);
            (report.ended, lines)
        });
        let outcome = match done.await {
            None => script::not_back(&gate, "systemctl"),
            Some((Ended::Exited { code: 0 }, lines)) => judge(&unit, &lines),
            Some((ended @ (Ended::TimedOut { .. } | Ended::Stuck), _)) => {
                Outcome::timed_out(format!("systemctl: {}", script::in_words(&ended)))
            }
            Some((ended, lines)) => Outcome::not_run(format!("systemctl: {ended}: {}", lines.join(" "))),
        };
        cadence.ended(outcome).await;
    }
}

fn judge(unit: &str, lines: &[String]) -> Outcome {
    let of = |key: &str| lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or("unknown");
    let (active, sub) = (of("ActiveState"), of("SubState"));
    match (of("LoadState"), active) {
        ("loaded", "active" | "reloading") => Outcome::passed(format!("{unit} is {active} ({sub})")),
        ("loaded", _) => Outcome::failed(format!("{unit} is {active} ({sub})")),
        ("not-found", _) => Outcome::not_run(format!("there is no unit {unit}")),
        (load, _) => Outcome::not_run(format!("{unit} is {load}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::status::RunResult;

    #[test]
    fn only_an_active_unit_is_well() {
        for (load, active, result) in [
            ("loaded", "active", RunResult::Passed),
            ("loaded", "reloading", RunResult::Passed),
            ("loaded", "activating", RunResult::Failed),
            ("loaded", "failed", RunResult::Failed),
            ("not-found", "inactive", RunResult::NotRun),
            ("masked", "inactive", RunResult::NotRun),
        ] {
            let lines = [format!("LoadState={load}"), format!("ActiveState={active}"), "SubState=x".to_owned()];
            assert_eq!(judge("nginx.service", &lines).result, result, "{load} {active}");
        }
        assert_eq!(judge("nginx.service", &[]).result, RunResult::NotRun);
    }
}
