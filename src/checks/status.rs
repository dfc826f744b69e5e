//! What status shows of the checks.

use havipd_core::model::ids::{CheckName, GroupName};
use havipd_core::model::settings::CheckState;
use havipd_core::status::Reported;
use serde::{Deserialize, Serialize};

/// How one run of a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// The service is well.
    Passed,
    /// It is not.
    Failed,
    /// It did not answer in time, which is a failure, too.
    TimedOut,
    /// The run could not be made.
    NotRun,
}

/// How often runs ended how, since the check began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Runs {
    /// The service was well.
    pub passed: u64,
    /// It was not.
    pub failed: u64,
    /// It did not answer in time.
    pub timed_out: u64,
    /// The run could not be made.
    pub not_run: u64,
    /// Milliseconds that all of them took.
    pub milliseconds: u64,
}

impl Runs {
    pub(super) const fn count(&mut self, result: RunResult) {
        match result {
            RunResult::Passed => self.passed += 1,
            RunResult::Failed => self.failed += 1,
            RunResult::TimedOut => self.timed_out += 1,
            RunResult::NotRun => self.not_run += 1,
        }
    }

    /// Each with its word, for the metrics.
    #[must_use]
    pub const fn by_result(&self) -> [(&'static str, u64); 4] {
        [("passed", self.passed), ("failed", self.failed), ("timed-out", self.timed_out), ("not-run", self.not_run)]
    }
}

/// The last run of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// How it ended.
    pub result: Reported<RunResult>,
    /// What was seen, in words.
    pub text: String,
    /// How long it took.
    pub milliseconds: u64,
    /// How long ago it ended.
    pub ago_ms: u64,
}

/// What status shows of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: CheckName,
    /// What it looks at: the key that says so.
    pub kind: String,
    /// The groups that it decides in.
    pub groups: Vec<GroupName>,
    /// It runs here; elsewhere it counts as passing. The first versions ran all of them.
    #[serde(default = "on_every_node")]
    pub here: bool,
    /// What it says.
    pub state: CheckState,
    /// For how long.
    pub since_ms: u64,
    /// Results in a row that speak against its state.
    pub streak: u32,
    /// While it fails this node is in fault.
    pub fault: bool,
    /// What it adds to the priority now.
    pub weight: i16,
    /// It changes its state all the time.
    pub flapping: bool,
    /// Its last run.
    pub last: Option<LastRun>,
    /// Its runs.
    pub runs: Runs,
    /// Runs that left a process behind which could not be ended, because it left its process group.
    pub left_behind: u64,
}

const fn on_every_node() -> bool {
    true
}
