//! Roles and the closed list of causes.

use serde::{Serialize, Serializer};
use std::fmt;

/// What a node is in one group.
///
/// ```text
///            right won              cloud confirms
///  Backup ──────────────► Claiming ───────────────► Active
///   ▲ ▲ ▲                  │    ▲                    │  │
///   │ │ └── yields, gives ─┘    │ right won again    │  │ planned move
///   │ │         up              │                    │  ▼
///   │ └─────────────────────────┼── loses ───────────┘ Releasing
///   └───────────────────────────┴──── other serves ──────┘
///  Fault: not eligible; from Backup, Claiming or Active, and back to Backup
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Waits, without the right.
    Backup,
    /// Has the right and is making kernel and cloud agree with it.
    Claiming,
    /// Has the right, and the cloud was read to agree.
    Active,
    /// Gave the right to another and keeps the address, silently, until that one serves.
    Releasing,
    /// Not eligible.
    Fault,
}

impl Role {
    /// Whether this role comes with the right to act on the address and on the cloud.
    #[must_use]
    pub const fn has_right(self) -> bool {
        matches!(self, Self::Claiming | Self::Active)
    }

    /// The word used in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Claiming => "claiming",
            Self::Active => "active",
            Self::Releasing => "releasing",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a role changed. The list is closed: a move without one of these cannot happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The daemon started.
    Started,
    /// The active node fell silent.
    PeerDead,
    /// The active node said that it is leaving.
    PeerLeft,
    /// Nobody is active and we are first in rank.
    NoActive,
    /// Those before us in rank had their time and did not claim.
    RankPassed,
    /// The active node has neither peers nor cloud.
    PeerIsolated,
    /// keepalived elected this node.
    VrrpMaster,
    /// keepalived elected another node.
    VrrpBackup,
    /// keepalived is in FAULT, has stopped, or does not have the instance any more.
    VrrpFault,
    /// The cloud still named us as holder after a restart.
    Resumed,
    /// The cloud read back that we have it.
    Confirmed,
    /// The active node handed over to us.
    HandedOver,
    /// An operator asked for it.
    Switchover,
    /// A better-ranked node came back.
    Preempted,
    /// An operator drained this node.
    Drained,
    /// The daemon is stopping.
    Stopping,
    /// The other node serves now.
    HandoverComplete,
    /// The other node declined, or time ran out: the right is ours again.
    HandoverFailed,
    /// A node with a higher epoch is active.
    HigherEpoch,
    /// A node before us in rank claims in the same epoch.
    LowerRank,
    /// The cloud gave the address to another member.
    Superseded,
    /// The lease was not renewed by a majority.
    LeaseLost,
    /// Neither peers nor cloud answer, and the configuration says to let go.
    Isolated,
    /// This host, or the part of the daemon that carries things out, stood still for the dead time.
    Away,
    /// The claim did not get through in its budget.
    ClaimTimedOut,
    /// The cloud refused.
    ClaimRefused,
    /// A rival got there first.
    LostRace,
    /// The cloud does not know the HAVIP.
    HavipMissing,
    /// The cloud refuses our credentials or permissions.
    Denied,
    /// Targets that are no member's are bound, and the configuration says not to touch them.
    StrangerBound,
    /// The first bound stays master and its detach is refused: cannot be won by software.
    DetachRefused,
    /// The interface for the address is down or gone.
    LinkDown,
    /// The address cannot be put on the interface: the kernel refuses, or what puts it hangs.
    AddressFailed,
    /// A check fails.
    CheckFailed,
    /// This node's own identity in the cloud is not known yet.
    NoIdentity,
    /// This machine is another one in the cloud than the file says that this node is.
    WrongHost,
    /// Our datagrams were echoed with numbers that we never sent: a clone or a rolled-back snapshot.
    Cloned,
    /// Peers run a configuration with other timing, voters, arbiter, HAVIPs or bindings.
    ConfigMismatch,
    /// The reason for the fault is gone.
    Recovered,
    /// Only observing: the cloud names another than this election does.
    CloudDiffers,
    /// Only observing: it does no more.
    CloudAgrees,
    /// Maintenance was switched on or off.
    Maintenance,
}

impl Cause {
    /// The word used in logs, hooks and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::PeerDead => "peer-dead",
            Self::PeerLeft => "peer-left",
            Self::NoActive => "no-active",
            Self::RankPassed => "rank-passed",
            Self::PeerIsolated => "peer-isolated",
            Self::VrrpMaster => "vrrp-master",
            Self::VrrpBackup => "vrrp-backup",
            Self::VrrpFault => "vrrp-fault",
            Self::Resumed => "resumed",
            Self::Confirmed => "confirmed",
            Self::HandedOver => "handed-over",
            Self::Switchover => "switchover",
            Self::Preempted => "preempted",
            Self::Drained => "drained",
            Self::Stopping => "stopping",
            Self::HandoverComplete => "handover-complete",
            Self::HandoverFailed => "handover-failed",
            Self::HigherEpoch => "higher-epoch",
            Self::LowerRank => "lower-rank",
            Self::Superseded => "superseded",
            Self::LeaseLost => "lease-lost",
            Self::Isolated => "isolated",
            Self::Away => "away",
            Self::ClaimTimedOut => "claim-timed-out",
            Self::ClaimRefused => "claim-refused",
            Self::LostRace => "lost-race",
            Self::HavipMissing => "havip-missing",
            Self::Denied => "denied",
            Self::StrangerBound => "stranger-bound",
            Self::DetachRefused => "detach-refused",
            Self::LinkDown => "link-down",
            Self::AddressFailed => "address-failed",
            Self::CheckFailed => "check-failed",
            Self::NoIdentity => "no-identity",
            Self::WrongHost => "wrong-host",
            Self::Cloned => "cloned",
            Self::ConfigMismatch => "config-mismatch",
            Self::Recovered => "recovered",
            Self::CloudDiffers => "cloud-differs",
            Self::CloudAgrees => "cloud-agrees",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
