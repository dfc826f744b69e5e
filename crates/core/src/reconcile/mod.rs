//! The reconciler: makes kernel and cloud agree with the role, level-triggered and for ever.
//!
//! The election says what is wanted ([`Desired`]); this module compares it with what was last
//! observed and emits the next effect that brings the two closer. Nothing here depends on an edge
//! being seen: every step starts from the whole state, so a lost result, a lie of the cloud or an
//! address removed behind our back is only one more difference to remove. A 200 proves nothing and
//! an error proves nothing; the read decides.

mod act;
mod address;
mod calls;
mod contest;
mod decide;
mod havip;
mod repairs;
mod token;
mod under_way;

pub use decide::{Facts, Next, next};
pub(crate) use havip::Scope;
pub use havip::{HavipReconciler, LastRead};

use crate::model::ids::{Epoch, GroupIndex};
use crate::model::role::Cause;
use crate::model::time::Instant;
use std::time::Duration;

/// What the election wants of one group's HAVIPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Desired {
    /// Have them: address on, announced, bound, and the cloud agreeing.
    Serve(Serve),
    /// Keep the address as it is, without announcing and without a write: somebody else is taking over.
    Keep {
        /// Lifetime to renew it with.
        until: Instant,
    },
    /// Keep the address if it is there, as `Keep` does, and put it nowhere: the gate of a term has not been passed.
    KeepIfThere {
        /// Lifetime to renew it with.
        until: Instant,
    },
    /// Leave whatever a previous run of this daemon left on the interface: it may be about to resume.
    Undecided,
    /// Not have them.
    Nothing,
}

/// How to have the HAVIPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// The term.
    pub epoch: Epoch,
    /// No effect may start after this instant.
    pub leadership_until: Instant,
    /// What becomes of the address meanwhile.
    pub local: Local,
    /// Whether gratuitous ARP may be sent.
    pub announce: bool,
    /// Only on a read of the HAVIP whose answer came at most so long ago; `None`: on any.
    pub announce_within: Option<Duration>,
    /// The old holder still serves: prefer a way that never leaves the HAVIP without one.
    pub planned: bool,
    /// A claim gives way when it reads one of these targets as holder: members that go before us.
    pub yield_to: Vec<String>,
    /// While one of these targets is read as holder nothing is written: the election decides first.
    pub hands_off: Vec<String>,
    /// These targets may stay bound: members who may be claiming unheard.
    pub leave_bound: Vec<String>,
    /// Time between audits while all is well.
    pub audit: Duration,
    /// The audits decide whether this node must stop: a member is not heard.
    pub alone: bool,
}

/// What becomes of the address on this host while the cloud's record is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// It is put and announced.
    Serve,
    /// It stays where the last term of this node left it, and is not announced: the gate has not been passed.
    KeepIfThere,
    /// It is not here: the same, in a term that goes on from nothing of this node's.
    Nothing,
}

/// What became of the desired so far, for a whole group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// On the way.
    Pending,
    /// Every HAVIP was read back to be ours.
    Confirmed,
    /// A member that goes before us was read as holder.
    Rival(String),
    /// Not to be had now.
    Failed(Failure),
}

/// Why a claim, or a repair, did not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// From the closed list.
    pub cause: Cause,
    /// What happened, to what, and what to do.
    pub text: String,
    /// How long the cloud asked us to wait.
    pub retry_after: Option<Duration>,
}

/// The ids that every effect of a group carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) group: GroupIndex,
    pub(crate) havip: crate::model::ids::HavipIndex,
}
