//! What a node reports of itself, as plain data: status, JSON, metrics and `STATUS=` are all made from it, and those who ask a
//! daemon read the same types.
//!
//! Daemon and reader may be of different versions. A reader
//! - overlooks members that it does not know;
//! - takes the default of a member that the first version did not have: what `serde(default)` says at the member, else `None`;
//! - shows a value that it does not know of a list that grows as it is: [`Reported`].

use crate::health::CheckNote;
use crate::model::action::GateKind;
use crate::model::ids::Target;
use crate::model::leader::VrrpSource;
use crate::model::plural::plural;
use crate::model::role::{Cause, Role};
use crate::model::settings::Arbiter;
use crate::model::vrrp::State;
use crate::wire::session::{SessionState, SessionStats};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value of a list that grows from version to version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reported<T> {
    /// One that this version knows.
    Known(T),
    /// One of a later version, as it was written.
    Other(String),
}

impl<T: Copy> Reported<T> {
    /// The value, if this version knows it.
    #[must_use]
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T> From<T> for Reported<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: PartialEq> PartialEq<T> for Reported<T> {
    fn eq(&self, value: &T) -> bool {
        matches!(self, Self::Known(known) if known == value)
    }
}

impl<T: fmt::Display> fmt::Display for Reported<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Everything there is to know of one node, at one instant. Ages are in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// `cluster.name`.
    pub cluster: String,
    /// The node that speaks.
    pub node: String,
    /// What it is to the cloud.
    pub target: Option<Target>,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// Every other node.
    pub peers: Vec<PeerSnapshot>,
    /// Every group.
    pub groups: Vec<GroupSnapshot>,
    /// Datagrams that were not even a peer's, and other counts.
    pub counters: Counters,
    /// Pauses of this host that were longer than the dead time.
    pub pauses: u64,
    /// Longest pause ever measured, in milliseconds.
    pub longest_pause_ms: u64,
    /// The process is leaving.
    pub stopping: bool,
}

/// One other node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerSnapshot {
    /// Its name.
    pub node: String,
    /// Its session with us.
    pub state: SessionState,
    /// Milliseconds since a datagram of it counted.
    pub heard_ms: Option<u64>,
    /// Silence after which it is dead.
    pub dead_time_ms: u64,
    /// Connected, but a heartbeat is missing.
    #[serde(default)]
    pub suspected: bool,
    /// Whether it runs the same timing, voters, arbiter, HAVIPs and bindings; not known of one that is not connected.
    pub same_digest: Option<bool>,
    /// What it is to the cloud.
    pub target: Option<Target>,
    /// Counters of the session.
    pub stats: SessionStats,
}

/// One group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupSnapshot {
    /// Its name.
    pub name: String,
    /// Our role.
    pub role: Role,
    /// Why we have it.
    pub cause: Reported<Cause>,
    /// The same in words.
    pub detail: String,
    /// Milliseconds since it changed.
    pub since_ms: u64,
    /// The term that this node knows: of the active node, or its own last one.
    pub epoch: u64,
    /// Configured priority plus check weights.
    pub priority: i32,
    /// Who is active or claims, as far as we know.
    pub active: Option<String>,
    /// Why this node does not claim now, in words; empty while it is active.
    pub waiting: String,
    /// Milliseconds until what `waiting` says is over at the latest, where that is known.
    pub waiting_ms: Option<u64>,
    /// Whether this node is a member, a witness included. Where it is none it knows nothing of the group.
    /// The first versions did not say; there is a group of theirs for members.
    #[serde(default = "is_member")]
    pub member: bool,
    /// The members, those that go first in rank first.
    #[serde(default)]
    pub members: Vec<MemberSnapshot>,
    /// Who goes first among those that could take over from the active node now, or have the group if there is none.
    pub successor: Option<String>,
    /// Why nobody would take over if the active node failed now, in words. `None` also where there is no second node,
    /// and where an election outside decides.
    pub no_failover: Option<String>,
    /// After a switchover: no preemption until an unplanned move.
    #[serde(default)]
    pub preemption_suspended: bool,
    /// The last claim of this node, if it failed and none has worked since.
    pub failed_claim: Option<FailedClaimSnapshot>,
    /// A gate that runs here now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSnapshot>,
    /// The last planned move away from this node, if it failed.
    pub failed_move: Option<FailedMoveSnapshot>,
    /// `arbiter`, resolved.
    pub arbiter: Reported<Arbiter>,
    /// Milliseconds of leadership left, for a node that has it.
    pub right_ms: Option<u64>,
    /// Arbiter `majority`: milliseconds until this node may vote for anybody again after its start.
    pub votes_in_ms: Option<u64>,
    /// Arbiter `keepalived`: what keepalived said last.
    pub vrrp: Option<VrrpSnapshot>,
    /// Arbiter `etcd`: the leader key that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_key: Option<LeaderKeySnapshot>,
    /// Arbiter `etcd` without a leader key: the key of this group's own election.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub election_key: Option<ElectionKeySnapshot>,
    /// Only observing (`observe`): nothing is touched.
    #[serde(default)]
    pub observe: bool,
    /// Where the cloud has it otherwise than this election, while only observing.
    pub differs: Option<DifferenceSnapshot>,
    /// `drain` is on.
    pub drained: bool,
    /// Cluster-wide maintenance is on.
    #[serde(default)]
    pub maintenance: bool,
    /// Milliseconds until this node ends it, if it was told to.
    pub maintenance_ends_ms: Option<u64>,
    /// Neither peers nor cloud.
    pub isolated: bool,
    /// Moves within `max-moves-window`.
    pub moves: usize,
    /// Moves allowed in that time; 0 is any number.
    #[serde(default)]
    pub max_moves: u32,
    /// Milliseconds until another unforced move is allowed, while none is.
    pub budget_ms: Option<u64>,
    /// Where packets went since a drill began to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSnapshot>,
    /// Who answered the fabric probe last.
    pub fabric: Option<String>,
    /// Milliseconds since then.
    pub fabric_ms: Option<u64>,
    /// The HAVIPs.
    pub havips: Vec<HavipSnapshot>,
}

/// A claim, or a repair, that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedClaimSnapshot {
    /// Why.
    pub cause: Reported<Cause>,
    /// What was answered, in words.
    pub text: String,
    /// Milliseconds since then.
    pub ago_ms: u64,
}

/// A gate that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateSnapshot {
    /// Which.
    pub kind: GateKind,
    /// Milliseconds since it began.
    pub for_ms: u64,
    /// Milliseconds until it is ended.
    pub left_ms: u64,
}

/// A planned move that did not happen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedMoveSnapshot {
    /// The node that was to be active.
    pub to: String,
    /// What it did, or did not do, in words.
    pub reason: String,
    /// Milliseconds since leadership came back.
    pub ago_ms: u64,
}

/// A disagreement between an election that only observes and the cloud.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DifferenceSnapshot {
    /// The HAVIP.
    pub havip: String,
    /// The node that this election has active.
    pub elected: Option<String>,
    /// The target that the cloud names.
    pub holder: Option<String>,
    /// Milliseconds since it was seen.
    pub for_ms: u64,
}

/// What keepalived says of the instance that a group follows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VrrpSnapshot {
    /// The vrrp_instance, or `GROUP:` and the sync group.
    pub name: String,
    /// Its state; `None` until it is known.
    pub state: Option<State>,
    /// Milliseconds since then.
    pub since_ms: Option<u64>,
    /// How it is known.
    pub source: Option<Reported<VrrpSource>>,
}

/// The leader key in etcd that a group follows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaderKeySnapshot {
    /// The key.
    pub key: String,
    /// The value in it that is this node.
    pub own_value: String,
    /// Whether a read has ever been answered.
    pub known: bool,
    /// The value that the last read found; `None`: there was no key, or no read yet.
    pub value: Option<String>,
    /// Whether the key names this node, and that still counts.
    pub elected: bool,
    /// etcd's revision at which the key was created, and the one of the last read.
    pub created: Option<u64>,
    /// See `created`.
    pub revision: Option<u64>,
    /// Milliseconds since it says so.
    pub since_ms: Option<u64>,
    /// Milliseconds since the last read that was answered was sent.
    pub read_ms: Option<u64>,
    /// Milliseconds for which that read still counts.
    pub left_ms: Option<u64>,
    /// The endpoint that answered last.
    pub endpoint: Option<String>,
    /// Why etcd could not be read since.
    pub trouble: Option<String>,
    /// All that in one sentence.
    pub text: String,
}

/// The key in etcd by which a group elects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ElectionKeySnapshot {
    /// The key.
    pub key: String,
    /// What it says: a node, or one that has given it up and the one that may take it. `None`: there is no key, or it was not
    /// read yet.
    pub value: Option<String>,
    /// Whether this node leads by it.
    pub ours: bool,
    /// etcd's revision at which the key was written last.
    pub revision: Option<u64>,
    /// Milliseconds since the last answer about it was asked for.
    pub read_ms: Option<u64>,
    /// Milliseconds for which this node's lease lasts for certain, if it has one.
    pub lease_ms: Option<u64>,
    /// The endpoint that answered the last read.
    pub endpoint: Option<String>,
    /// Why etcd has not answered since.
    pub trouble: Option<String>,
    /// All that in one sentence.
    pub text: String,
}

/// One HAVIP.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HavipSnapshot {
    /// Its id.
    pub id: String,
    /// Its address, once known.
    pub address: Option<std::net::Ipv4Addr>,
    /// Whether the address is on this host.
    pub present: Option<bool>,
    /// Who the cloud says has it.
    pub holder: Option<String>,
    /// Who is bound.
    pub bound: Vec<String>,
    /// Milliseconds since that was read.
    pub read_ms: Option<u64>,
    /// Why it is not to be had although others of the group are, or the last error of reading it, while it lasts.
    pub error: Option<String>,
    /// Wrong answers that were repaired while active.
    pub repairs: u64,
    /// Those of late that followed each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<RepairsSnapshot>,
    /// Who, no node of this cluster, takes it again and again, in words; `None` once nobody did for a while.
    pub contested: Option<String>,
}

/// The cloud named another than the active node, and that was put right, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairsSnapshot {
    /// How often.
    pub times: u64,
    /// Milliseconds from the first time to the last.
    pub over_ms: u64,
    /// Milliseconds since the last time.
    pub ago_ms: u64,
    /// Who was bound instead the last time, as the cloud names it; `None`: nobody was.
    pub by: Option<String>,
}

impl fmt::Display for RepairsSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => f.write_str("repaired once")?,
            times => {
                let minutes = plural(self.over_ms.div_ceil(60_000).max(1), "minute");
                write!(f, "repaired {times} times in {minutes}")?;
            }
        }
        write!(f, ", last bound: {}", self.by.as_deref().unwrap_or("nobody"))
    }
}

/// What the network and the effects side did that needed no action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes that are no datagram of ours.
    pub foreign: u64,
    /// Another version of the protocol.
    pub wrong_version: u64,
    /// A key that we do not have.
    pub unknown_key: u64,
    /// A tag that does not verify.
    pub bad_tag: u64,
    /// Verified, but not to the layout.
    pub malformed: u64,
    /// Says to be from nobody in the file (our own, reflected, among them); its tag was not looked at.
    pub unknown_sender: u64,
    /// Results of operations that nobody waited for any more.
    pub late_results: u64,
    /// Heartbeats that could not be encoded.
    pub unsendable: u64,
    /// Steps: events after which some group, or none, was evaluated.
    #[serde(default)]
    pub steps: u64,
    /// Evaluations of one group in them.
    #[serde(default)]
    pub group_steps: u64,
}

/// Why a member could not take a group over now. The words are part of `status --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// The group is none of its.
    NotMember,
    /// It only votes.
    Witness,
    /// It said that it leaves.
    Leaving,
    /// It restarts.
    Restarting,
    /// It is silent.
    Silent,
    /// It is heard, and does not hear us.
    OneWay,
    /// It has not spoken of the group yet.
    Unknown,
    /// An operator drained it.
    Drained,
    /// Its configuration has other timing, voters, arbiter, HAVIPs or bindings.
    OtherConfiguration,
    /// A check of it fails.
    CheckFailed,
    /// Its last claim failed, and it waits before the next one.
    ClaimFailed,
    /// The gate of its last claim failed, and it waits before the next one.
    GateFailed,
    /// It is in fault for another reason.
    Fault,
    /// Neither peers nor cloud answer it.
    Isolated,
    /// A check of it has not decided yet.
    CheckUndecided,
    /// Nothing of these, and it says that it could not: it starts, is held down or listens.
    NotYet,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotMember => "is no member",
            Self::Witness => "is a witness",
            Self::Leaving => "has left",
            Self::Restarting => "restarts",
            Self::Silent => "is not heard",
            Self::OneWay => "does not hear us",
            Self::Unknown => "has not spoken of it yet",
            Self::Drained => "is drained",
            Self::OtherConfiguration => "runs another configuration",
            Self::CheckFailed => "fails a check",
            Self::ClaimFailed => "has just failed to claim it",
            Self::GateFailed => "has just failed to pass its gate",
            Self::CheckUndecided => "has a check that has not decided yet",
            Self::Fault => "is in fault",
            Self::Isolated => "hears neither peers nor cloud",
            Self::NotYet => "is not eligible yet",
        })
    }
}

/// One member of a group, as a candidate for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberSnapshot {
    /// The node.
    pub node: String,
    /// Only votes.
    pub witness: bool,
    /// Its role, as it says itself.
    pub role: Option<Role>,
    /// Priority plus check weights, as it says itself; the configured one while it says nothing.
    pub priority: i32,
    /// Why it could not take the group over now; `None`: it could. Of the node that is active: why it could not go
    /// on.
    pub unfit: Option<Reported<Unfit>>,
    /// Its checks in this group that fail, have not decided, or flap, what matters most first, as it says itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckNote>,
    /// How many more of them there are, which it did not name: a heartbeat has room for a few. 255: that many or more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_checks: u8,
}

impl MemberSnapshot {
    /// Its checks that do not simply pass, in words: `nginx fails, disk has not decided yet, and 2 more`. Empty if all pass.
    #[must_use]
    pub fn checks_in_words(&self) -> String {
        checks_in_words(&self.checks, self.more_checks)
    }

    /// Why it could not take the group over, in words, with the checks that say so. `None`: it could.
    #[must_use]
    pub fn unfit_in_words(&self) -> Option<String> {
        Some(self.unfit.as_ref()?.in_words(&self.checks, self.more_checks))
    }
}

impl Reported<Unfit> {
    /// The same, with the checks that say so, as far as they were named.
    #[must_use]
    pub fn in_words(&self, checks: &[CheckNote], more: u8) -> String {
        match self {
            Self::Known(Unfit::CheckFailed | Unfit::CheckUndecided) if !checks.is_empty() => {
                format!("{self} ({})", checks_in_words(checks, more))
            }
            _ => self.to_string(),
        }
    }
}

fn checks_in_words(checks: &[CheckNote], more: u8) -> String {
    let mut named: Vec<String> = checks.iter().map(ToString::to_string).collect();
    match more {
        0 => {}
        u8::MAX => named.push("and 255 or more others".to_owned()),
        more => named.push(format!("and {more} more")),
    }
    named.join(", ")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// A trace as status shows it; milliseconds count from its beginning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceSnapshot {
    /// Milliseconds since it began.
    pub age_ms: f64,
    /// What each node saw.
    pub seen: Vec<SeenSnapshot>,
}

/// Packets of one node that arrived at one other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenSnapshot {
    /// Who asked.
    pub from: String,
    /// Who received the question.
    pub at: String,
    /// When the first answer came back.
    pub first_ms: f64,
    /// When the last one did.
    pub last_ms: f64,
    /// How many.
    pub answers: u64,
}

impl GroupSnapshot {
    /// [`Self::active`], unless that node only claims, which may yet fail.
    #[must_use]
    pub fn confirmed(&self) -> Option<&str> {
        let active = self.active.as_deref()?;
        let its_member = || self.members.iter().find(|m| m.node == active).and_then(|m| m.role);
        let role = if self.role.has_leadership() { Some(self.role) } else { its_member() };
        role.is_none_or(|role| matches!(role, Role::Active | Role::Releasing)).then_some(active)
    }
}

const fn is_member() -> bool {
    true
}
