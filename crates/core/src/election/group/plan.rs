//! The planned move of one group, and how the process leaves it.

use crate::election::step_context::StepContext;
use crate::model::action::Action;
use crate::model::ids::{GroupIndex, NodeIndex};
use crate::model::role::Cause;
use crate::model::time::Instant;
use std::time::Duration;

/// The same alarm is not repeated sooner.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// A planned move after which leadership came back.
#[derive(Debug, Clone)]
pub(crate) struct FailedMove {
    pub(crate) to: NodeIndex,
    /// What that node did, in words: `declined: is drained`.
    pub(crate) why: String,
    pub(crate) at: Instant,
}

/// The planned move of one group.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(in crate::election) to: Option<NodeIndex>,
    /// An operator ordered a switchover to this node; a write of ours is waited for.
    pub(in crate::election) ordered: Option<NodeIndex>,
    pub(in crate::election) began: Instant,
    /// Leadership goes back at the latest then.
    pub(in crate::election) until: Instant,
    /// Without a claim of the successor by then it goes back.
    pub(in crate::election) claim_by: Instant,
    pub(in crate::election) retry_at: Instant,
    /// Why leadership comes back.
    pub(in crate::election) failed: String,
    pub(in crate::election) alarmed: Option<Instant>,
    /// How the process leaves, once told to.
    pub(in crate::election) leaving: Option<Leaving>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::election) enum Leaving {
    /// Nothing here to be left; or left already.
    Done,
    /// Waiting for a handover.
    HandingOver,
    /// Waiting until voters granted the long lease for the restart.
    Keeping { since: Instant },
}

impl Plan {
    pub(crate) fn successor(&self) -> Option<NodeIndex> {
        self.to
    }

    /// Until when the address may stay in `Releasing`.
    pub(crate) fn keep_until(&self) -> Instant {
        self.until
    }

    /// Whether the addresses stay where they are although the role would not keep them: we are leaving.
    pub(crate) fn leaves_address(&self, cause: Cause) -> bool {
        self.leaving == Some(Leaving::HandingOver) && cause == Cause::HandoverFailed
    }

    /// No move is planned any more; how the process leaves stays.
    pub(crate) fn after(&self) -> Self {
        Self { leaving: self.leaving, ..Self::default() }
    }

    pub(crate) fn take_order(&mut self) -> Option<NodeIndex> {
        self.ordered.take()
    }

    pub(crate) fn retry_at(&self) -> Instant {
        self.retry_at
    }

    pub(crate) fn alarm(&mut self, step: &mut StepContext<'_>, group: GroupIndex, text: &str) {
        if self.alarmed.is_none_or(|at| step.now.since(at) >= ALARM_EVERY) {
            self.alarmed = Some(step.now);
            step.out.push(Action::Warn { group: Some(group), text: text.to_owned() });
        }
    }
}
