//! The datagrams: their words. [`heartbeat`] has the layout, [`auth`] the tag, and [`session`] decides
//! which of them count.

pub mod auth;
mod cursor;
mod entry;
pub mod heartbeat;
pub mod next_release;
pub mod session;

use crate::health::CheckNotes;
use crate::model::digest::Digest;
use crate::model::ids::{BootId, Epoch, KeyId, Target};
use crate::model::tag::Tag;
use std::sync::Arc;
use std::time::Duration;

/// Anything that havipd sends over UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram {
    /// Part of a session.
    Heartbeat(Heartbeat),
    /// A question to the node that has a HAVIP's address.
    Probe(Probe),
    /// The answer to it.
    ProbeAnswer(Probe),
    /// A command that an operator gave on another node.
    Command(Forwarded),
    /// A part of the answer to one.
    Answer(Forwarded),
}

/// A command that is forwarded to the node that it concerns, or a part of the answer to it.
///
/// Both belong to a session: they name the boots of both ends, and a number that the receiver has sent lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// Key that the tag was made with.
    pub key: KeyId,
    /// Who sent this datagram.
    pub sender: Tag,
    /// Who it is for.
    pub receiver: Tag,
    /// The sender's boot.
    pub boot: BootId,
    /// The receiver's boot, and the highest number heard of it. Never empty.
    pub echo: Echo,
    /// Number of the command among those of the boot that forwards it, from 1.
    pub id: u64,
    /// Which part of the answer this is; in a command, which one is wanted.
    pub part: u8,
    /// How many there are. In an answer, zero: the command is being carried out. In a command always zero.
    pub parts: u8,
    /// The command; or this part of the answer.
    pub body: Vec<u8>,
}

/// The fabric probe: "who gets the packets of this HAVIP?" It touches no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Key that the tag was made with.
    pub key: KeyId,
    /// Who sent this datagram.
    pub sender: Tag,
    /// Who it is for; [`Tag::NONE`] in a question: the one that has the address.
    pub receiver: Tag,
    /// Chosen at random by who asks, repeated in the answer.
    pub nonce: [u8; 16],
    /// The HAVIP whose address it was sent to.
    pub havip: Tag,
    /// In an answer, who received the question; [`Tag::NONE`] in a question.
    pub node: Tag,
}

/// What was heard from the receiver: its boot and the highest sequence number of that boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Echo {
    /// [`BootId::NONE`] when nothing was heard.
    pub boot: BootId,
    /// Zero when nothing was heard.
    pub seq: u64,
}

/// One heartbeat, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// How many versions of the format beyond this datagram's own the sender reads, too.
    pub newer: u8,
    /// Key that the tag was made with.
    pub key: KeyId,
    /// Keys that the sender accepts, preferred first; at most eight.
    pub accepts: Vec<KeyId>,
    /// Index of the receiver's address that this copy was sent to.
    pub path: u8,
    /// Who sent it.
    pub sender: Tag,
    /// Who it is for.
    pub receiver: Tag,
    /// The sender's start.
    pub boot: BootId,
    /// Strictly rising within a boot; the copies that go over several paths share one number.
    pub seq: u64,
    /// What the sender heard from the receiver.
    pub echo: Echo,
    /// The sender's heartbeat interval, to the microsecond.
    pub interval: Duration,
    /// Time since the sender's daemon started, to the millisecond.
    pub uptime: Duration,
    /// The sender's configuration digest.
    pub digest: Digest,
    /// Whether the sender is going away.
    pub leaving: Leaving,
    /// What the sender is to the cloud, once it knows.
    pub target: Option<Target>,
    /// What it says of each group.
    pub entries: Vec<Entry>,
}

/// Whether a node is going away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leaving {
    /// It stays.
    #[default]
    No,
    /// It comes back: take its silence as life for this long.
    Restarting(Duration),
    /// Its last datagram: it is gone.
    Gone,
}

/// What a node says of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The group.
    pub group: Tag,
    /// Role of the sender.
    pub role: crate::model::role::Role,
    /// Single facts.
    pub flags: Flags,
    /// Configured priority in this group.
    pub priority: u8,
    /// Configured priority plus check weights.
    pub effective: i16,
    /// Epoch of the term that the sender has, asks for or gives away; else the last one it had.
    pub epoch: Epoch,
    /// Highest epoch that the sender has seen.
    pub seen: Epoch,
    /// `Releasing`: who is to be active.
    pub successor: Option<Tag>,
    /// Asks for, or renews, leadership for `epoch` and this long.
    pub lease_request: Option<Duration>,
    /// Leadership that the sender, as a voter, has given.
    pub grant: Option<Grant>,
    /// Number of the last change of maintenance that the sender knows: odd is on, zero is never.
    pub maintenance: u32,
    /// The sender's checks in this group that do not simply pass; `None` if all do.
    pub checks: Option<Arc<CheckNotes>>,
}

impl Entry {
    /// Whether it says what `newer` says, but for the number of the datagram that a grant answers: each heartbeat renews that.
    #[must_use]
    pub fn says_as_much_as(&self, newer: &Self) -> bool {
        let answers = newer.grant.map(|g| g.seq);
        let grant = self.grant.map(|g| Grant { seq: answers.unwrap_or(g.seq), ..g });
        Self { grant, ..self.clone() } == *newer
    }
}

/// Leadership, as given by one voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Who has it.
    pub node: Tag,
    /// In which start.
    pub boot: BootId,
    /// For which term.
    pub epoch: Epoch,
    /// The asker's datagram that it answers: the grant counts from when that one was sent.
    pub seq: u64,
}

/// Single facts of an [`Entry`], a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// Could be active: no fault, able, not drained.
    pub const ELIGIBLE: Self = Self(1);
    /// No peer up and no cloud.
    pub const ISOLATED: Self = Self(1 << 1);
    /// A claim failed a while ago and may not be tried yet.
    pub const UNABLE: Self = Self(1 << 2);
    /// An operator drained it.
    pub const DRAINED: Self = Self(1 << 3);
    /// Asks the active node to hand over to it.
    pub const WANTS: Self = Self(1 << 4);
    /// Declines the handover that is offered.
    pub const DECLINES: Self = Self(1 << 5);
    /// A check without weight fails.
    pub const FAILING: Self = Self(1 << 6);
    /// Group-wide maintenance is on.
    pub const MAINTENANCE: Self = Self(1 << 7);
    /// Announced and, where needed, read back: the address is served.
    pub const SERVING: Self = Self(1 << 8);
    /// Can see the cloud.
    pub const CLOUD: Self = Self(1 << 9);
    /// Preemption is suspended after a switchover.
    pub const SETTLED: Self = Self(1 << 10);
    // Bit 11 is reserved: releases before commands went between nodes asked with it for a planned move.
    /// Hears a node that is active, and is heard by it.
    pub const HEARS_ACTIVE: Self = Self(1 << 12);
    /// Its last claim failed by its gate; said with [`Flags::UNABLE`].
    pub const GATE_FAILED: Self = Self(1 << 13);
    /// A check has not decided yet.
    pub const UNDECIDED: Self = Self(1 << 14);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With `other` set if `on`.
    #[must_use]
    pub const fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { Self(self.0 & !other.0) }
    }
}
