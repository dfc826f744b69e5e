//! Roles and the closed list of causes.

use serde::{Deserialize, Serialize};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Waits, without leadership.
    Backup,
    /// Has leadership and is making kernel and cloud agree with it.
    Claiming,
    /// Has leadership, and the cloud was read to agree.
    Active,
    /// Gave leadership to another and keeps the address, silently, until that one serves.
    Releasing,
    /// Not eligible.
    Fault,
}

impl Role {
    /// Whether this role comes with leadership: acts on the address and on the cloud.
    #[must_use]
    pub const fn has_leadership(self) -> bool {
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

/// Each cause with the word that logs, hooks and JSON have for it, and that a status is read by.
macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident = $word:literal,)*) => {
        /// Why a role changed. The list is closed: a move without one of these cannot happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Cause {
            $($(#[$doc])* #[serde(rename = $word)] $cause,)*
        }

        impl Cause {
            /// The word used in logs, hooks and JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$cause => $word,)*
                }
            }
        }
    };
}

causes! {
    /// The daemon started.
    Started = "started",
    /// The active node fell silent.
    PeerDead = "peer-dead",
    /// The active node said that it is leaving.
    PeerLeft = "peer-left",
    /// Nobody is active and we are first in rank.
    NoActive = "no-active",
    /// Those before us in rank had their time and did not claim.
    RankPassed = "rank-passed",
    /// The active node has neither peers nor cloud.
    PeerIsolated = "peer-isolated",
    /// An election outside, keepalived's or the leader key's in etcd, names this node.
    VrrpMaster = "vrrp-master",
    /// It names another node, or nobody.
    VrrpBackup = "vrrp-backup",
    /// keepalived is in FAULT, has stopped, or does not have the instance any more; or etcd cannot be read.
    VrrpFault = "vrrp-fault",
    /// The cloud still named us as holder after a restart.
    Resumed = "resumed",
    /// The cloud read back that we have it.
    Confirmed = "confirmed",
    /// The active node handed over to us.
    HandedOver = "handed-over",
    /// An operator asked for it.
    Switchover = "switchover",
    /// A better-ranked node came back.
    Preempted = "preempted",
    /// An operator drained this node.
    Drained = "drained",
    /// The daemon is stopping.
    Stopping = "stopping",
    /// The other node serves now.
    HandoverComplete = "handover-complete",
    /// The other node declined, or time ran out: leadership is ours again.
    HandoverFailed = "handover-failed",
    /// A node with a higher epoch is active.
    HigherEpoch = "higher-epoch",
    /// A node before us in rank claims in the same epoch.
    LowerRank = "lower-rank",
    /// The cloud gave the address to another member.
    Superseded = "superseded",
    /// The lease was not renewed, by a majority or by etcd, or its key is another node's.
    LeaseLost = "lease-lost",
    /// Neither peers nor cloud answer, and the configuration says to let go.
    Isolated = "isolated",
    /// This host, or the part of the daemon that carries things out, stood still for the dead time.
    Away = "away",
    /// The claim did not get through in its budget.
    ClaimTimedOut = "claim-timed-out",
    /// The cloud refused.
    ClaimRefused = "claim-refused",
    /// `before-active` failed, or did not end in time.
    GateFailed = "gate-failed",
    /// A rival got there first.
    LostRace = "lost-race",
    /// The cloud does not know the HAVIP.
    HavipMissing = "havip-missing",
    /// The cloud refuses our credentials or permissions.
    Denied = "denied",
    /// Targets that are no member's are bound, and the configuration says not to touch them.
    StrangerBound = "stranger-bound",
    /// The first bound stays master and its detach is refused: cannot be won by software.
    DetachRefused = "detach-refused",
    /// The interface for the address is down or gone.
    LinkDown = "link-down",
    /// The address cannot be put on the interface: the kernel refuses, or what puts it hangs.
    AddressFailed = "address-failed",
    /// A check fails.
    CheckFailed = "check-failed",
    /// This node's own identity in the cloud is not known yet.
    NoIdentity = "no-identity",
    /// This machine is another one in the cloud than the file says that this node is.
    WrongHost = "wrong-host",
    /// Our datagrams were echoed with numbers that we never sent: a clone or a rolled-back snapshot.
    Cloned = "cloned",
    /// Peers run a configuration with other timing, voters, arbiter, HAVIPs or bindings.
    ConfigMismatch = "config-mismatch",
    /// The reason for the fault is gone.
    Recovered = "recovered",
    /// Only observing: the cloud names another than this election does.
    CloudDiffers = "cloud-differs",
    /// Only observing: it does no more.
    CloudAgrees = "cloud-agrees",
    /// Maintenance was switched on or off.
    Maintenance = "maintenance",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
