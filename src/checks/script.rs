//! `script`: a program of the operator's; 0 is well.
//!
//! It runs in a process group of its own, which is killed at the timeout and at its end. It finds a clean environment,
//! and has neither the daemon's capabilities nor its protection from the OOM killer.

use super::blocking::Gate;
use super::{Context, Outcome};
use crate::program::{self, Ended, Leftovers, Program, Start};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A program that SIGKILL does not end at once is waited for this long before the run counts as timed out.
const MORE: Duration = Duration::from_millis(500);

pub(super) async fn watch(context: Context, argv: Vec<String>, gate: Gate) {
    let timeout = context.check.timeout;
    let environment = environment(&context);
    let mut cadence = context.cadence();
    loop {
        let (argv, environment, own) = (argv.clone(), environment.clone(), gate.clone());
        let done = gate.run(timeout + MORE, move || run(&argv, &environment, timeout, &own, &mut |_| {})).await;
        cadence.ended(done.map_or_else(|| not_back(&gate, "the last run"), outcome)).await;
    }
}

/// A run that did not come back: its program hangs, or has not even been started.
pub(super) fn not_back(gate: &Gate, what: &str) -> Outcome {
    match gate.begun().load(Ordering::Relaxed) {
        true => Outcome::timed_out(format!("{what} hangs, and cannot be ended")),
        false => Outcome::not_run(format!("{what} was not started in time: this host is too busy, or its disk hangs")),
    }
}

/// Everything that a check's program finds in its environment.
pub(super) fn environment(context: &Context) -> Vec<(&'static str, String)> {
    let mut environment = program::base_environment();
    environment.extend([("HAVIPD_NODE", context.node.to_string()), ("HAVIPD_CHECK", context.check.name.to_string())]);
    environment
}

/// Runs a program to its end, at the latest at its timeout.
pub(super) fn run(
    argv: &[String],
    environment: &[(&'static str, String)],
    timeout: Duration,
    gate: &Gate,
    line: &mut dyn FnMut(&str),
) -> program::Report {
    // A check has nothing to tidy up: SIGKILL at once, so that a run never lasts into the next one.
    let (grace, leftovers) = (Duration::ZERO, Leftovers::Killed);
    let program = Program {
        argv,
        environment,
        timeout,
        grace,
        start: Start::Often,
        leftovers,
        leash: None,
        begun: Some(gate.begun()),
    };
    program::run(&program, line)
}

/// How a program of a check ended.
pub(super) fn in_words(ended: &Ended) -> String {
    match ended {
        Ended::TimedOut { .. } => "timed out, ended by SIGKILL".to_owned(),
        Ended::Stuck => "timed out, and not even SIGKILL ended it: it hangs inside the kernel".to_owned(),
        other => other.to_string(),
    }
}

fn outcome(report: program::Report) -> Outcome {
    let said = report.last_line.map(|line| format!(": {line}")).unwrap_or_default();
    let outcome = match report.ended {
        Ended::Exited { code: 0 } => Outcome::passed(format!("exit code 0{said}")),
        // What a shell says of a program that it does not find, or may not run.
        Ended::Exited { code: code @ (126 | 127) } => Outcome::not_run(format!("exit code {code}{said}")),
        Ended::NotStarted { .. } => Outcome::not_run(report.ended.to_string()),
        Ended::TimedOut { .. } | Ended::Stuck => Outcome::timed_out(format!("{}{said}", in_words(&report.ended))),
        Ended::Exited { .. } | Ended::Signalled { .. } | Ended::Cut => {
            Outcome::failed(format!("{}{said}", report.ended))
        }
    };
    Outcome { left_behind: report.left_behind, ..outcome }
}
