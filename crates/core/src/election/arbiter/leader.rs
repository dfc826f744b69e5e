//! What an external leader election said of a group, and whether that has been acted on.

use crate::model::leader::{LeaderReport, Standing, VrrpReport, VrrpSource};
use crate::model::time::Instant;
use crate::model::vrrp::State;

/// What the election outside said last.
#[derive(Debug)]
pub(crate) struct ExternalLeader {
    said: Option<Said>,
    /// That this node is elected gives no leadership against a node that is active.
    spent: bool,
}

/// The report, and since when it says so.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) report: LeaderReport,
    /// Since when it is the same.
    pub(crate) since: Instant,
}

impl Default for ExternalLeader {
    /// What an earlier run knew was an earlier decision.
    fn default() -> Self {
        Self { said: None, spent: true }
    }
}

impl ExternalLeader {
    pub(crate) fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    pub(super) fn report(&self) -> Option<&LeaderReport> {
        self.said.as_ref().map(|said| &said.report)
    }

    pub(super) fn standing(&self, now: Instant) -> Option<Standing> {
        self.report()?.standing(now)
    }

    /// Whether its choice of this node gives no leadership against a node that is active.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Leadership that came with it is lost.
    pub(crate) fn spend(&mut self) {
        self.spent = true;
    }

    /// Whether this is a decision for this node that nobody has acted on yet.
    pub(super) fn take(&mut self, now: Instant, report: LeaderReport) -> bool {
        let since = self.said.as_ref().filter(|said| said.report.agrees(&report)).map_or(now, |said| said.since);
        let decided = match &report {
            LeaderReport::Keepalived(vrrp) => vrrp.decided || self.missed(*vrrp),
            LeaderReport::Etcd(key) => key.decided,
        };
        let decision = decided && report.standing(now) == Some(Standing::Elected);
        self.said = Some(Said { report, since });
        self.spent &= !decision;
        decision
    }

    /// Whether keepalived's own MASTER got lost on the way.
    fn missed(&self, report: VrrpReport) -> bool {
        let Some(LeaderReport::Keepalived(before)) = self.report() else { return false };
        matches!(before.state, State::Backup | State::Fault) && report.source != VrrpSource::Kept
    }
}
