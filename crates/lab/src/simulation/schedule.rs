//! What is to happen in a world, and in which order.

use super::cloud::Call;
use super::etcd::Ask;
use super::facts::hearing::{Arrival, Stamp};
use havipd_core::model::action::Write;
use havipd_core::model::cloud::{CallClass, CallError, HaVip};
use havipd_core::model::etcd::{EtcdAnswer, KeyState};
use havipd_core::model::event::{Event, OperationResult};
use havipd_core::model::ids::{HavipId, OperationId};
use havipd_core::model::persisted::Persisted;
use havipd_core::model::time::Instant;
use havipd_core::queue::CallId;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// After a reload that was refused somebody tries again.
pub(super) const TRIES_AGAIN: Duration = Duration::from_secs(5);

/// Something that is to happen.
#[derive(Debug)]
pub(super) enum Scheduled {
    /// A step of the scenario.
    Step(usize),
    /// A core's deadline.
    Wake {
        host: usize,
        incarnation: u64,
    },
    /// A datagram arrives.
    Deliver {
        to: usize,
        path: Option<usize>,
        from: usize,
        bytes: Vec<u8>,
        /// What is known of it where it was sent; none: it is forged.
        stamp: Option<Arc<Stamp>>,
    },
    /// A daemon that is behind reads what arrived before.
    Read {
        to: usize,
        incarnation: u64,
        event: Box<Event>,
        arrival: Option<Arrival>,
    },
    /// The shell tells its core something.
    Tell {
        host: usize,
        incarnation: u64,
        event: Box<Event>,
    },
    /// A call that the core asks for reaches the queue of those that wait.
    Wanted {
        host: usize,
        incarnation: u64,
        wish: Box<Wish>,
    },
    /// The queue may have something to decide.
    Decide {
        host: usize,
        incarnation: u64,
    },
    /// A call reaches the cloud.
    Arrive {
        flight: Flight,
        call: Box<Call>,
        back: Option<Duration>,
    },
    /// Its answer reaches the node.
    Answer {
        flight: Flight,
        end: Box<CallEnd>,
    },
    /// The next step of the calls whose order is given.
    CallsGoOn,
    /// The client gives up on a call.
    Deadline {
        host: usize,
        incarnation: u64,
        op: OperationId,
    },
    /// The kernel looks for addresses whose lifetime is over.
    Kernel {
        host: usize,
    },
    /// A delayed effect of the cloud.
    Cloud,
    /// The effects side comes to a request to etcd.
    EtcdAsk {
        ask: Box<Ask>,
    },
    /// It reaches etcd.
    EtcdArrive {
        ask: Box<Ask>,
    },
    /// Its answer, or the end of the wait for one, reaches the daemon.
    EtcdAnswer {
        ask: Box<Ask>,
        answer: Box<Result<(KeyState, Option<EtcdAnswer>), String>>,
    },
    /// A daemon reads its keys in etcd in turn.
    EtcdTurn {
        host: usize,
        incarnation: u64,
    },
    /// It reads one, which has changed.
    EtcdRead {
        host: usize,
        incarnation: u64,
        group: usize,
    },
    /// A lease in etcd may have ended.
    EtcdEnds,
    /// The state file is on the disk.
    Stored {
        host: usize,
        incarnation: u64,
        state: Box<Persisted>,
    },
    /// The effects side did a step.
    Progress {
        host: usize,
        incarnation: u64,
        round: u64,
    },
    /// systemd starts the daemon.
    Start {
        host: usize,
    },
    /// A halt ends.
    GoOn {
        host: usize,
        halt: u64,
    },
    /// systemd gives up waiting for a daemon to leave.
    StopTimeout {
        host: usize,
        incarnation: u64,
    },
    /// Addresses that a dead daemon left are swept.
    Sweep {
        host: usize,
    },
    /// The power is back.
    PowerOn {
        host: usize,
    },
    /// Somebody tries a refused reload again.
    Reload {
        host: usize,
    },
    /// Something that was stuck is not any more.
    Unstick {
        host: usize,
        disk: bool,
    },
    FreeAddress {
        host: usize,
    },
    /// A gate begins.
    GateBegins {
        host: usize,
        incarnation: u64,
        group: usize,
        op: OperationId,
    },
    /// It ends by itself.
    GateDone {
        host: usize,
        incarnation: u64,
        group: usize,
        op: OperationId,
        passed: bool,
    },
    /// It is ended on the core's word.
    GateStops {
        host: usize,
        incarnation: u64,
        group: usize,
        op: OperationId,
    },
    /// Its runner looks at the clock.
    GateLook {
        host: usize,
        incarnation: u64,
        group: usize,
    },
    /// A second of every keepalived.
    Advertise,
    /// keepalived is started.
    KeepalivedStarts {
        host: usize,
    },
    /// A daemon that was told an old state of keepalived learns the right one.
    VrrpState {
        host: usize,
    },
    /// The invariants are checked.
    Tick,
    /// The faults end.
    Quiet,
    /// Operators end what they began.
    OperatorsDone,
}

/// A call that the core asks for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) op: OperationId,
    pub(super) class: CallClass,
    pub(super) deadline: Instant,
    pub(super) what: Asked,
}

/// What is asked of the cloud.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Havip(HavipId),
    Instance(String),
    Write(Write),
}

/// A call under way, and for which operations of the core it was made.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) host: usize,
    pub(super) incarnation: u64,
    pub(super) call: CallId,
    pub(super) wishes: Vec<(OperationId, Option<HavipId>)>,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub(super) enum CallEnd {
    /// Of one operation.
    One(OperationResult),
    /// A list of HAVIPs, for all who read one.
    Listed(Result<Vec<HaVip>, CallError>),
}

/// When something is to happen.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: Instant,
    /// Of two at one instant the first that was planned comes first.
    pub(super) order: u64,
    pub(super) what: Scheduled,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, so that a heap gives it first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
