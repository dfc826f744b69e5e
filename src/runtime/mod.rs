//! What makes the decisions of the core happen: two threads, and what they say to each other.
//!
//! ```text
//!   core thread (driver)                          effects thread (executor)
//!   heartbeats, netlink, one timer,    ToEffects  HTTP, DNS, control socket, hooks,
//!   addresses, announcements        ─────────────►  state file, signals, systemd, log
//!   Core::handle, actions in order  ◄─────────────  results, commands, configuration
//!                                        ToCore
//! ```
//! Both queues are bounded. The core's side never waits for room: [`driver`] says what becomes of what does not fit.
//! The effects side waits for room in a task of each thing's own; what is only of the moment (that it moves, when a call
//! left the host) is said again, or not missed; an operator's command is refused with `try again`. Nothing that takes an
//! address off passes through a queue that can be full. The core sends heartbeats only while the
//! effects side reports that it moves, and systemd hears of both together.

mod commands;
pub mod driver;
mod election_keys;
mod executor;
pub(crate) mod identity;
mod leader_keys;
mod measure;
mod place;
mod record;
pub mod reload;
pub mod service;
pub mod signals;
pub mod stale;
mod vrrp;
pub mod why;
mod writes;

use crate::net::interface::Mac;
use crate::status::CoreStatus;
use havipd_core::election::Goodbye;
use havipd_core::model::action::{GateRun, Notification, Transition, Write};
use havipd_core::model::cloud::CallClass;
use havipd_core::model::etcd::EtcdRequest;
use havipd_core::model::event::{Event, Reply};
use havipd_core::model::forward::{ForwardError, Ticket};
use havipd_core::model::ids::{Epoch, GroupIndex, GroupName, HavipId, InstanceId, NodeName, OperationId};
use havipd_core::model::persisted::Persisted;
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Places in each of the two queues: a busy step of 250 groups fits.
const QUEUE: usize = 4096;

/// What the effects side says to the core's.
#[derive(Debug)]
pub(crate) enum ToCore {
    /// A fact for the core.
    Event(Event),
    /// Asks how things are now.
    Status(oneshot::Sender<CoreStatus>),
    /// A configuration that was found acceptable so far; the answer says why the core refuses it.
    Reload(Arc<Config>, oneshot::Sender<Result<Vec<String>, String>>),
    /// Hardware address of the ENI that this node binds.
    TargetMac(Mac),
    /// Take every address off and end at once.
    Abandon,
}

/// What the core's side has the effects side do, in order.
#[derive(Debug)]
pub(crate) enum ToEffects {
    /// Look at a HAVIP.
    ReadHavip { op: OperationId, havip: HavipId, class: CallClass, deadline: Instant },
    /// Ask whether an instance runs.
    ReadInstance { op: OperationId, instance: InstanceId, deadline: Instant },
    /// Ask etcd about the key of a group.
    AskEtcd { op: OperationId, group: GroupIndex, request: EtcdRequest },
    /// Attach or detach, unless the group's writes were cancelled after `ticket`.
    Write { group: GroupName, ticket: u64, write: Write },
    /// Run a gate, or have it run on. With the name of the other node.
    RunGate { group: GroupName, other: Option<NodeName>, run: GateRun },
    /// End a run of a gate.
    StopGate { group: GroupName, index: GroupIndex, op: OperationId },
    /// Run hooks.
    Notify(GroupName, Notification),
    /// Keep on disk.
    Persist(Persisted),
    /// A change of role, in names.
    Record { group: GroupName, peer: Option<String>, transition: Transition },
    /// A step of a move that is recorded already, in milliseconds since its first one.
    RecordLate { group: GroupName, epoch: Epoch, ms: f64, what: String },
    /// So many lines of a group's history and log, or of no group's, could not be kept.
    Missing { group: Option<GroupName>, lines: u64 },
    /// Something that an operator should read.
    Warn { group: Option<GroupName>, text: String },
    /// Answer to a command.
    Reply { request: u64, reply: Reply },
    /// Carry out a command of another node's operator, unless it is too late for that.
    CarryOut { ticket: Ticket, command: Vec<u8>, until: Instant },
    /// How a command ended that concerns another node.
    Forwarded { request: u64, result: Result<Vec<u8>, ForwardError> },
    /// What is to be done by others after a crash.
    Seal { goodbyes: Vec<Goodbye>, addresses: Vec<Ipv4Addr> },
    /// Every group has left.
    Left,
}
