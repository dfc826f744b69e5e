//! Commands that go from the node where an operator gave them to the node that they concern.

use crate::model::ids::{BootId, NodeIndex};
use crate::wire::heartbeat::{MAX_BODY, MAX_PARTS};
use std::time::Duration;

/// A node that says nothing to a forwarded command for this long is not waited for any more.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The same of a node that says that it is carrying the command out.
pub const LONGEST: Duration = Duration::from_secs(20);
/// Longest command that can be forwarded, in bytes.
pub const LONGEST_COMMAND: usize = MAX_BODY;
/// Longest answer to one, in bytes.
pub const LONGEST_ANSWER: usize = MAX_BODY * MAX_PARTS as usize;

/// A forwarded command that is being carried out here: whose it is, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The node that forwarded it.
    pub node: NodeIndex,
    /// The start of that node that did.
    pub boot: BootId,
    /// Its number among those of that start.
    pub id: u64,
}

/// Why a command that was forwarded has no answer. Each reads on after the name of the node that it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// There is no session with it: nothing was sent.
    #[error("and this node do not hear each other, so no command reaches it from here: run it there")]
    Unheard,
    /// Enough of ours wait for it: nothing was sent.
    #[error("has not answered earlier commands from here yet: try again")]
    Busy,
    /// It fits no datagram: nothing was sent.
    #[error("is another node, and the command is too long to be forwarded: run it there")]
    TooLong,
    /// Another start of it answers now.
    #[error("restarted before it answered: it may have carried the command out")]
    Restarted,
    /// Its session ended.
    #[error("fell silent before it answered: it may have carried the command out")]
    Silenced,
    /// It is heard, and does not answer.
    #[error(
        "did not answer within {} s: its havipd may be older and take no commands from other nodes, or be overloaded; \
         the command may still take effect, so look with havipctl status before you run it there",
        PATIENCE.as_secs()
    )]
    NoAnswer,
    /// It has the command, and is not done with it.
    #[error("has begun the command and not ended it within {} s; it may still take effect", LONGEST.as_secs())]
    Unfinished,
}

impl ForwardError {
    /// Nothing has left this node.
    #[must_use]
    pub const fn is_before_sending(self) -> bool {
        matches!(self, Self::Unheard | Self::Busy | Self::TooLong)
    }
}
