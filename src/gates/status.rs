//! What status shows of the gates.

use crate::program::Ended;
use havipd_core::model::action::GateKind;
use havipd_core::model::ids::Epoch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What status shows of a group's gates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GateStatus {
    /// The one that runs now.
    pub running: Option<GateKind>,
    /// How the last run ended.
    pub last: Option<GateOutcome>,
    /// Programs run, or tried to, since the start.
    pub runs: u64,
    /// Those that did not end with exit code 0.
    pub failures: u64,
    /// How the runs of each ended. The first versions did not say.
    pub results: BTreeMap<GateKind, GateRuns>,
}

impl GateStatus {
    pub(super) fn record(&mut self, outcome: GateOutcome) {
        self.running = None;
        self.runs += 1;
        self.failures += u64::from(!outcome.result.success());
        self.results.entry(outcome.kind).or_default().count(&outcome);
        self.last = Some(outcome);
    }

    /// The last run, if it failed. One that was killed because leadership ended says nothing of its program.
    #[must_use]
    pub fn last_failure(&self) -> Option<&GateOutcome> {
        self.last.as_ref().filter(|last| !last.result.success() && last.result != Ended::Cut)
    }
}

/// How often runs of a gate ended how, since the daemon started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GateRuns {
    /// By itself with exit code 0.
    pub passed: u64,
    /// By itself with another one, or by a signal.
    pub failed: u64,
    /// By us, at its deadline.
    pub timed_out: u64,
    /// It could not be started.
    pub not_run: u64,
    /// By us, when leadership ended.
    pub cut: u64,
    /// Milliseconds that all of them took.
    pub milliseconds: u64,
}

impl GateRuns {
    pub(super) const fn count(&mut self, outcome: &GateOutcome) {
        match outcome.result {
            Ended::Exited { code: 0 } => self.passed += 1,
            Ended::Exited { .. } | Ended::Signalled { .. } => self.failed += 1,
            Ended::TimedOut { .. } | Ended::Stuck => self.timed_out += 1,
            Ended::NotStarted { .. } => self.not_run += 1,
            Ended::Cut => self.cut += 1,
        }
        self.milliseconds += outcome.milliseconds;
    }

    /// Each with its word, for the metrics.
    #[must_use]
    pub const fn by_result(&self) -> [(&'static str, u64); 5] {
        let Self { passed, failed, timed_out, not_run, cut, .. } = *self;
        [("passed", passed), ("failed", failed), ("timed-out", timed_out), ("not-run", not_run), ("cut", cut)]
    }
}

/// What became of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// Its key in the configuration.
    pub kind: GateKind,
    /// The program.
    pub program: String,
    /// The term.
    pub epoch: Epoch,
    /// How it ended.
    pub result: Ended,
    /// How long it ran.
    pub milliseconds: u64,
    /// Processes of it that run on.
    pub left_running: usize,
    /// Somebody still holds its output: a process that left its process group, which cannot be ended.
    pub left_behind: bool,
    /// Lines of its output that did not go to the log.
    pub lines_suppressed: u64,
    /// The last lines that did.
    pub tail: Vec<String>,
}

impl GateOutcome {
    /// How it ended and the last that it said, as log, `why` and history have it.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { result, milliseconds, tail, .. } = self;
        let said = if tail.is_empty() { String::new() } else { format!("; it said: {}", tail.join(" | ")) };
        format!("{result} after {milliseconds} ms{said}")
    }
}
