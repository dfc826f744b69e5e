//! What the core wants done, as data. Actions are imperatives; the part that drives the core
//! carries them out in the order given, before the next event.

use super::etcd::EtcdRequest;
use super::event::Reply;
use super::persisted::Persisted;
use super::role::{Cause, Role};
use crate::model::cloud::CallClass;
use crate::model::forward::{ForwardError, Ticket};
use crate::model::ids::{Epoch, GroupIndex, HavipId, HavipIndex, InstanceId, NodeIndex, OperationId, Target};
use crate::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The list that `Core::handle` appends to.
pub type Actions = Vec<Action>;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram at once, inline, never queued behind anything.
    SendDatagram {
        /// Which of our own heartbeat addresses to send from.
        path: usize,
        /// Where to.
        to: SocketAddr,
        /// The bytes.
        bytes: Vec<u8>,
        /// What it says is not true any more from then on; not sent then.
        until: Instant,
    },
    /// Read one HAVIP (`GET /v1/havip/{id}`).
    ReadHavip {
        /// Echoed in the result.
        op: OperationId,
        /// The HAVIP.
        havip: HavipId,
        /// What depends on it.
        class: CallClass,
        /// The call must have ended by then.
        deadline: Instant,
    },
    /// Ask whether an instance runs (`GET /v2/instance/{id}`).
    ReadInstance {
        /// Echoed in the result.
        op: OperationId,
        /// The instance.
        instance: InstanceId,
        /// The call must have ended by then.
        deadline: Instant,
    },
    /// Attach or detach.
    Write(Write),
    /// Give up every write of a group that has not ended: leadership is gone.
    CancelWrites {
        /// The group.
        group: GroupIndex,
    },
    /// Put a HAVIP's address on its interface, or renew its lifetime.
    PutAddress {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
        /// The address.
        address: Ipv4Addr,
        /// Kernel lifetime from now; `None` is for ever.
        lifetime: Option<Duration>,
        /// Not to be done any more after this instant.
        leadership_until: Instant,
    },
    /// Take a HAVIP's address off this host, wherever it is.
    DropAddress {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
        /// The address.
        address: Ipv4Addr,
    },
    /// Send one gratuitous ARP for a HAVIP's address.
    Announce {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
        /// The address.
        address: Ipv4Addr,
        /// Not to be done any more after this instant.
        leadership_until: Instant,
    },
    /// Run a gate; asked for again with the same number it only may run on until the new `leadership_until`.
    RunGate(GateRun),
    /// Ask etcd about a group's key.
    AskEtcd {
        /// Echoed in the answer.
        op: OperationId,
        /// The group.
        group: GroupIndex,
        /// What.
        request: EtcdRequest,
    },
    /// End a run of a gate at once, with everything that it started; `GateEnded` follows in any case.
    StopGate {
        /// The group.
        group: GroupIndex,
        /// The run's number.
        op: OperationId,
    },
    /// Run the hooks of a group.
    Notify(Notification),
    /// Keep this on disk, ahead of use; nothing waits for it. It comes before each [`Action::Reply`] of its step.
    Persist(Persisted),
    /// A transition, for the log and the journal.
    Record(Transition),
    /// A step of a move that came in after its role was recorded.
    RecordLate {
        /// The group.
        group: GroupIndex,
        /// The term that the move began.
        epoch: Epoch,
        /// When the move's timeline began.
        start: Instant,
        /// The step.
        step: Step,
    },
    /// Something that an operator should read, already rate-limited.
    Warn {
        /// The group it concerns.
        group: Option<GroupIndex>,
        /// What happened, to what, and what to do.
        text: String,
    },
    /// Answer a command.
    Reply {
        /// The number that the command carried.
        request: u64,
        /// The answer.
        reply: Reply,
    },
    /// Carry out a command of another node's operator; [`Event::CarriedOut`](crate::model::event::Event::CarriedOut) brings
    /// the answer.
    CarryOut {
        /// Echoed with the answer.
        ticket: Ticket,
        /// The command, as the other node wrote it.
        command: Vec<u8>,
        /// Not to be begun any more from then on.
        until: Instant,
    },
    /// How a command ended that concerns another node.
    Forwarded {
        /// The number that the event carried.
        request: u64,
        /// That node's answer.
        result: Result<Vec<u8>, ForwardError>,
    },
    /// Draw 128 random bits for another boot id.
    DrawBootId,
    /// Every group has left: the process may end.
    Exit,
}

/// One attempt at an attach or a detach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Echoed in the result.
    pub op: OperationId,
    /// The group.
    pub group: GroupIndex,
    /// The term it belongs to.
    pub epoch: Epoch,
    /// The HAVIP.
    pub havip: HavipId,
    /// Attach or detach.
    pub kind: WriteKind,
    /// What depends on it.
    pub class: CallClass,
    /// The targets, all of one type, at most five.
    pub targets: Vec<Target>,
    /// `clientToken`: the same for every retry of one attempt, at most 64 ASCII characters.
    pub token: String,
    /// Not to be started any more after this instant.
    pub leadership_until: Instant,
    /// The call must have ended by then.
    pub deadline: Instant,
}

/// Which write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteKind {
    /// `PUT /v1/havip/{id}?attach`.
    Attach,
    /// `PUT /v1/havip/{id}?detach`.
    Detach,
}

/// One run of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRun {
    /// Echoed in the result.
    pub op: OperationId,
    /// The group.
    pub group: GroupIndex,
    /// Which of its gates.
    pub kind: GateKind,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The term: a fencing token that only rises.
    pub epoch: Epoch,
    /// Why the term began, or why it is to end.
    pub cause: Cause,
    /// The node that was active before, as far as is known; of `before-release` the one that is to be.
    pub other: Option<NodeIndex>,
    /// The other node is alive and gives, or takes, the address by agreement.
    pub planned: bool,
    /// It is ended then.
    pub deadline: Instant,
    /// ⚠ It is killed at this instant, by the runner and without being told: leadership may be another's from then on.
    pub leadership_until: Instant,
}

impl GateRun {
    /// At its deadline it is asked to end, and is killed after this.
    pub const GRACE: Duration = Duration::from_secs(2);
}

/// Which gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateKind {
    /// Before the address of a term goes live.
    BeforeActive,
    /// Before a planned move away.
    BeforeRelease,
}

impl GateKind {
    /// Its key in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeActive => "before-active",
            Self::BeforeRelease => "before-release",
        }
    }
}

/// A call of the notify hooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The group.
    pub group: GroupIndex,
    /// keepalived's word for the new state.
    pub state: NotifyState,
    /// Effective priority of this node.
    pub priority: i32,
    /// The term.
    pub epoch: Epoch,
    /// Why.
    pub cause: Cause,
    /// Who the cloud said has the HAVIP, when last read.
    pub holder: Option<String>,
    /// No hook starts from this instant on: `NotifyLapsed` then asks the core whether the state still holds.
    #[serde(skip)]
    pub leadership_until: Instant,
}

/// keepalived's states, as its notify scripts get them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NotifyState {
    /// Active, confirmed by the cloud.
    Master,
    /// Any state that waits.
    Backup,
    /// Not eligible.
    Fault,
    /// The daemon is leaving.
    Stop,
}

impl NotifyState {
    /// The word as keepalived spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
        }
    }
}

/// A change of role, with everything needed to say why and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transition {
    /// When it was decided.
    #[serde(serialize_with = "as_millis")]
    pub at: Instant,
    /// The group.
    pub group: GroupIndex,
    /// Role before.
    pub from: Role,
    /// Role after.
    pub to: Role,
    /// The term it begins or ends.
    pub epoch: Epoch,
    /// Why.
    pub cause: Cause,
    /// In words, with the values that decided.
    pub detail: String,
    /// The peer concerned, if one is.
    pub peer: Option<NodeIndex>,
    /// The steps that led here, oldest first.
    pub timeline: Vec<Step>,
}

/// One dated step of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When.
    #[serde(serialize_with = "as_millis")]
    pub at: Instant,
    /// What.
    pub what: String,
}

fn as_millis<S: serde::Serializer>(at: &Instant, s: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds for people; 2^53 ns are 104 days of exact figures")]
    s.serialize_f64(at.as_nanos() as f64 / 1e6)
}
