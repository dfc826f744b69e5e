//! How the process leaves a group, and what a planned move left behind.

use crate::model::ids::NodeIndex;
use crate::model::time::Instant;
use std::time::Duration;

/// A planned move after which leadership came back.
#[derive(Debug, Clone)]
pub(crate) struct FailedMove {
    pub(crate) to: NodeIndex,
    /// What that node did, in words: `declined: is drained`.
    pub(crate) why: String,
    pub(crate) at: Instant,
}

/// How a group is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Nothing here to be left; or left already.
    Done,
    /// Waiting for a handover.
    HandingOver,
    /// Waiting until voters granted the long lease for the restart.
    Keeping { since: Instant },
}

/// The end of this daemon's part in a group.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    /// Once it was told to leave.
    how: Option<Leaving>,
    /// Leaving with the address kept for so long.
    keep_for: Option<Duration>,
    /// Nothing is left to wait for.
    done: bool,
}

impl Leave {
    /// Another node is to take over first.
    pub(crate) fn hand_over(&mut self) {
        self.how = Some(Leaving::HandingOver);
    }

    /// The address stays for `keep_for`, under a lease that is to last as long.
    pub(crate) fn keep(&mut self, now: Instant, keep_for: Duration) {
        self.how = Some(Leaving::Keeping { since: now });
        self.keep_for = Some(keep_for);
    }

    /// What was to be kept is lost: there is nothing to leave for the next start.
    pub(crate) fn keep_nothing(&mut self) {
        self.keep_for = None;
    }

    /// There is nothing to leave.
    pub(crate) fn at_once(&mut self) {
        self.how = Some(Leaving::Done);
    }

    /// Nothing is left to wait for.
    pub(crate) fn finish(&mut self) {
        self.done = true;
    }

    /// How it is left, while something is waited for.
    pub(crate) fn under_way(&self) -> Option<Leaving> {
        self.how.filter(|_| !self.done)
    }

    /// Whether another node was to take over first.
    pub(crate) fn hands_over(&self) -> bool {
        self.how == Some(Leaving::HandingOver)
    }

    /// How long the address is kept, if it is.
    pub(crate) fn keeps_for(&self) -> Option<Duration> {
        self.keep_for
    }

    /// It is kept after all, for `usual` unless it was already.
    pub(crate) fn keep_anyway(&mut self, usual: Duration) -> Duration {
        *self.keep_for.get_or_insert(usual)
    }

    /// Whether the group is left.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }
}
