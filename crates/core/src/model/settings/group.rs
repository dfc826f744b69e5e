//! One `[[group]]` and what is in it: the members, the HAVIPs, and what each of its words stands for.

use crate::model::ids::{CheckName, GroupName, HavipId, NodeIndex};
use crate::model::leader::LeaderKey;
use crate::model::vrrp::Vrrp;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::time::Duration;

/// One `[[group]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// `name`.
    pub name: GroupName,
    /// Members and voters with their configured priority, in file order of the nodes.
    pub members: Vec<Member>,
    /// Who may claim when nodes cannot see each other; `auto` is resolved.
    pub arbiter: Arbiter,
    /// A better-ranked node that comes back takes over.
    pub preempt: bool,
    /// How long it must have been eligible first.
    pub preempt_delay: Duration,
    /// `checks`: what decides whether this node is well, by name.
    pub checks: Vec<CheckName>,
    /// What SIGTERM does.
    pub on_stop: OnStop,
    /// What a restart does.
    pub on_restart: OnRestart,
    /// Lifetime left on a kept address.
    pub keep_for: Duration,
    /// A planned move that is not confirmed by then is taken back.
    pub handover_timeout: Duration,
    /// What a holder does when neither peers nor cloud answer.
    pub when_isolated: HoldOrRelease,
    /// What a holder does when every member fails its checks.
    pub when_all_fail: HoldOrRelease,
    /// Unforced moves allowed per window; zero means no limit.
    pub max_moves: u32,
    /// The window of `max_moves`.
    pub max_moves_window: Duration,
    /// How long a superseded node waits without new evidence.
    pub reclaim_wait: Duration,
    /// The vrrp_instance or sync group that `arbiter = "keepalived"` follows.
    pub vrrp: Vrrp,
    /// `leader-key` and this node's value in it: what `arbiter = "etcd"` follows.
    pub leader: Option<LeaderKey>,
    /// `before-active`: the program that has to succeed before the address of a term goes live.
    pub before_active: Option<Vec<String>>,
    /// How long it may take.
    pub before_active_timeout: Duration,
    /// `before-release`: the program that runs on the active node before a planned move away from it.
    pub before_release: Option<Vec<String>>,
    /// How long it may take.
    pub before_release_timeout: Duration,
    /// What becomes of the planned move if it fails.
    pub before_release_failed: AbortOrContinue,
    /// Elect and report, touch nothing.
    pub observe: bool,
    /// The HAVIPs, which move together.
    pub havips: Vec<Havip>,
    /// What is called on a change of state.
    pub hooks: Hooks,
}

impl Group {
    /// The leader key in etcd that the group follows, if it does.
    #[must_use]
    pub fn followed_key(&self) -> Option<&LeaderKey> {
        self.leader.as_ref().filter(|_| self.arbiter == Arbiter::Etcd)
    }

    /// The member that `node` is, if it is one.
    #[must_use]
    pub fn member(&self, node: NodeIndex) -> Option<&Member> {
        self.members.iter().find(|m| m.node == node)
    }
}

/// A node's part in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which node.
    pub node: NodeIndex,
    /// Its priority here; zero for a witness.
    pub priority: u8,
    /// Votes, never holds.
    pub witness: bool,
}

/// Who may claim when nodes cannot see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arbiter {
    /// The cloud's record is the third opinion.
    Cloud,
    /// Leases from a majority of voters.
    Majority,
    /// keepalived elects; the cloud's record is the third opinion while it says nothing new.
    Keepalived,
    /// Who writes the leader key in etcd elects; the cloud's record is as with `Keepalived`.
    Etcd,
    /// A key in etcd that is bound to a lease, of the group's own.
    EtcdLease,
}

impl Arbiter {
    /// The word of the file; but an election of our own in etcd, which is `etcd` there as well, has a word of its own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Majority => "majority",
            Self::Keepalived => "keepalived",
            Self::Etcd => "etcd",
            Self::EtcdLease => "etcd-lease",
        }
    }

    /// Whether the cloud's record counts where nodes cannot see each other.
    #[must_use]
    pub const fn follows_record(self) -> bool {
        matches!(self, Self::Cloud | Self::Keepalived | Self::Etcd)
    }

    /// Whether voters grant leadership for a time, and so end it.
    #[must_use]
    pub const fn grants_leases(self) -> bool {
        matches!(self, Self::Majority)
    }

    /// Whether leadership is a lease: nobody else has it before it has ended, whatever the cloud's record says.
    #[must_use]
    pub const fn is_leased(self) -> bool {
        matches!(self, Self::Majority | Self::EtcdLease)
    }

    /// Whether somebody else elects, and this daemon only carries the HAVIP after the leader.
    #[must_use]
    pub const fn is_external(self) -> bool {
        matches!(self, Self::Keepalived | Self::Etcd)
    }
}

/// `on-stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStop {
    /// Hand over; nobody can: keep.
    Handover,
    /// Leave the address for `keep-for`.
    Keep,
    /// Drop it.
    Release,
}

/// `on-restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRestart {
    /// Leave the address for `keep-for` and resume.
    Keep,
    /// Hand over first.
    Handover,
}

/// `when-isolated` and `when-all-fail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldOrRelease {
    /// Stay.
    Hold,
    /// Let go.
    Release,
}

/// `before-release-failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbortOrContinue {
    /// The active node stays active.
    Abort,
    /// The move goes on.
    Continue,
}

/// One `[[group.havip]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Havip {
    /// `id`.
    pub id: HavipId,
    /// Who stays bound.
    pub binding: Binding,
    /// `address`; `None` means the HAVIP's own `privateIpAddress`.
    pub address: Option<Ipv4Addr>,
    /// Where the address goes.
    pub interface: Interface,
    /// What happens to bound targets that are no member's.
    pub strangers: Strangers,
}

/// `binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// Only the active node stays bound.
    Exclusive,
    /// All members stay bound.
    Shared,
}

impl Binding {
    /// The word of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// `group.havip.interface`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Interface {
    /// The one that has the node's heartbeat address (ENI: the one with its MAC).
    Discover,
    /// A given one.
    Named(String),
    /// No local address, no announcements.
    None,
}

/// `strangers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// Never detached before this cluster first held the HAVIP; repaired afterwards.
    Guard,
    /// Always detached.
    Detach,
    /// Never detached.
    Refuse,
}

/// `[hooks]` with the group's replacements applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Called for every state, with four arguments appended.
    pub notify: Option<Vec<String>>,
    /// Called for MASTER, before `notify`.
    pub notify_master: Option<Vec<String>>,
    /// Called for BACKUP, before `notify`.
    pub notify_backup: Option<Vec<String>>,
    /// Called for FAULT, before `notify`.
    pub notify_fault: Option<Vec<String>>,
    /// Called for STOP, before `notify`.
    pub notify_stop: Option<Vec<String>>,
    /// How long one call may take.
    pub timeout: Duration,
}
