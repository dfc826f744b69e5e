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
    pub(crate) how: Option<Leaving>,
    /// Leaving with the address kept for so long.
    pub(crate) keep_for: Option<Duration>,
    /// Nothing is left to wait for.
    pub(crate) done: bool,
}
