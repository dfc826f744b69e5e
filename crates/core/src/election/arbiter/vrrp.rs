//! What keepalived said of the instance that a group follows, and whether that has been acted on.

use crate::model::event::{VrrpReport, VrrpSource};
use crate::model::time::Instant;
use crate::model::vrrp::State;

/// What keepalived said last of the instance that a group follows.
#[derive(Debug)]
pub(crate) struct Vrrp {
    said: Option<Said>,
    /// Its MASTER gives no leadership against a node that is active.
    spent: bool,
}

/// The state, and where it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    pub(crate) report: VrrpReport,
    /// Since when it is the same.
    pub(crate) since: Instant,
}

impl Default for Vrrp {
    /// What an earlier run knew was an earlier decision.
    fn default() -> Self {
        Self { said: None, spent: true }
    }
}

impl Vrrp {
    pub(crate) fn said(&self) -> Option<Said> {
        self.said
    }

    pub(super) fn state(&self) -> Option<State> {
        self.said.map(|s| s.report.state)
    }

    /// Whether its MASTER gives no leadership against a node that is active.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Leadership that came with it is lost.
    pub(crate) fn spend(&mut self) {
        self.spent = true;
    }

    /// Whether this is a decision that nobody has acted on yet.
    pub(super) fn take(&mut self, now: Instant, report: VrrpReport) -> bool {
        let before = self.state();
        let since = self.said.filter(|s| s.report.state == report.state).map_or(now, |s| s.since);
        self.said = Some(Said { report, since });
        // Its own MASTER got lost on the way.
        let missed = matches!(before, Some(State::Backup | State::Fault)) && report.source != VrrpSource::Kept;
        let decision = report.state == State::Master && (report.decided || missed);
        self.spent &= !decision;
        decision
    }
}
