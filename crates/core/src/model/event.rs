//! What can happen to the core, as data. Events are past participles: they state facts, and the
//! core decides what follows from them.

use crate::health::CheckNote;
use crate::model::cloud::{CallError, HaVip};
use crate::model::etcd::{EtcdAnswer, KeyRead};
use crate::model::forward::Ticket;
use crate::model::ids::{BootId, Epoch, GroupIndex, HavipIndex, NodeIndex, OperationId, Target};
use crate::model::leader::LeaderReport;
use crate::model::persisted::Persisted;
use crate::model::settings::Config;
use crate::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// One fact handed to `Core::handle`.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed; a deadline of the core may have been reached.
    TimerExpired,
    /// A UDP datagram arrived on one of our heartbeat addresses or on a HAVIP's own address.
    DatagramReceived {
        /// Which of our own heartbeat addresses it came in on; `None` for a HAVIP's address.
        path: Option<usize>,
        /// The sender's socket address, to answer probes; never trusted for anything else.
        from: std::net::SocketAddr,
        /// When the kernel took it from the network. It may have waited long for this process to read it.
        arrived: Instant,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The metadata service or the ENI list told what this node is to the cloud.
    IdentityLearned {
        /// Our own target.
        target: Target,
    },
    /// What this host shows of each of our own heartbeat addresses.
    PathsObserved(Vec<OwnPath>),
    /// This host itself began to refuse what is sent to a peer's address, or ceased to. What the network beyond it says
    /// does not belong here: that may be the peer's death.
    SendingChanged {
        /// The peer's address.
        to: std::net::SocketAddr,
        /// What it says, if it refuses.
        refused: Option<String>,
    },
    /// The metadata service was asked which machine this is.
    HostChecked {
        /// How it is another one than this node is to the cloud, in words; `None`: it is the one.
        differs: Option<String>,
    },
    /// Whether the interface that a HAVIP's address belongs on can be used.
    LinkChanged {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
        /// Interface exists, is administratively up and has carrier.
        up: bool,
        /// Why no interface is known, in words; `None`: there is one, or no more is known than that there is none.
        missing: Option<String>,
    },
    /// The kernel was seen to have, or not to have, a HAVIP's address on this host.
    AddressObserved {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
        /// It is there.
        present: bool,
    },
    /// The kernel carried out a put of a HAVIP's address, or a renewal, or refused it.
    AddressAnswered {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
        /// What it said, if that was no.
        error: Option<String>,
    },
    /// An announcement of a HAVIP's address has been sent.
    Announced {
        /// The group.
        group: GroupIndex,
        /// The address.
        address: std::net::Ipv4Addr,
    },
    /// The hooks of a state were not run: leadership had ended by then.
    NotifyLapsed {
        /// The group.
        group: GroupIndex,
        /// The epoch of that state.
        epoch: Epoch,
    },
    /// A run of a gate has ended: nothing of its process group is left.
    GateEnded {
        /// The group.
        group: GroupIndex,
        /// The number that the action carried.
        op: OperationId,
        /// Exit code 0, in time.
        passed: bool,
        /// How it ended, and the last that it said.
        text: String,
    },
    /// An announcement did not leave this host: it is sent again.
    AnnounceFailed {
        /// The group.
        group: GroupIndex,
        /// The HAVIP in it.
        havip: HavipIndex,
    },
    /// A long operation ended; one whose id is no longer expected is dropped and counted.
    OperationEnded {
        /// The id that the action carried.
        op: OperationId,
        /// How it ended.
        result: OperationResult,
    },
    /// A write has left this host, or is just leaving it.
    OperationSent {
        /// The id that the action carried.
        op: OperationId,
        /// When.
        at: Instant,
    },
    /// Somebody told us to do something.
    Commanded {
        /// What.
        command: Command,
        /// Number that the reply carries.
        request: u64,
    },
    /// An operator here gave a command that concerns another node.
    CommandForOther {
        /// That node.
        node: NodeIndex,
        /// The command, as that node is to read it.
        command: Vec<u8>,
        /// Number that [`Action::Forwarded`](crate::model::action::Action::Forwarded) carries.
        request: u64,
    },
    /// A command of another node's operator was carried out.
    CarriedOut {
        /// Which, as the action named it.
        ticket: Ticket,
        /// The answer, at most [`LONGEST_ANSWER`](crate::model::forward::LONGEST_ANSWER) bytes.
        answer: Vec<u8>,
    },
    /// A new configuration, already found acceptable by [`crate::election::Core::reload_refusal`]. Its lists of nodes and of
    /// groups are those of before: what changes them takes a restart.
    ConfigReloaded(Arc<Config>),
    /// What the election outside says that a group follows, as it arrived.
    LeaderReported {
        /// The group.
        group: GroupIndex,
        /// What it says.
        report: LeaderReport,
    },
    /// etcd has answered a request of the core, or did not.
    EtcdAnswered {
        /// The group.
        group: GroupIndex,
        /// The number that the action carried.
        op: OperationId,
        /// When the request that was answered was sent. ⚠ No later: what etcd granted counts from then.
        sent: Instant,
        /// The answer, or why there is none, in words.
        answer: Result<EtcdAnswer, String>,
    },
    /// The key of a group was read in etcd, in turn or because it has changed; or it could not be, in words.
    EtcdKeyRead {
        /// The group.
        group: GroupIndex,
        /// What was found.
        read: Result<KeyRead, String>,
    },
    /// The effects side of the daemon has completed a turn: what depends on it may go on.
    EffectsProgressed,
    /// A boot id, asked for by `DrawBootId`.
    BootIdDrawn(BootId),
    /// What the last run left, where it was not known at the start.
    StateFound(Box<Persisted>),
    /// A health judgement changed what this node is worth in a group.
    HealthChanged {
        /// The group.
        group: GroupIndex,
        /// Sum of the weights of its checks.
        weight: i16,
        /// A check without weight fails.
        failed: bool,
        /// A check has not decided yet.
        undecided: bool,
        /// The checks that do not simply pass, what matters most first.
        notes: Arc<[CheckNote]>,
    },
}

/// What this host shows of one of our own heartbeat addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnPath {
    /// A socket is bound to it, and its link is up.
    Open,
    /// A socket is bound to it, but its link is down.
    LinkDown,
    /// It has no socket: it is not on this host.
    Unbound,
}

/// How a long operation ended.
#[derive(Debug, Clone)]
pub enum OperationResult {
    /// `ReadHavip`.
    Havip(Result<HaVip, CallError>),
    /// `ReadInstance`: whether the instance runs.
    Instance(Result<InstanceState, CallError>),
    /// `Attach` or `Detach`.
    Written(Result<(), CallError>),
}

/// What the cloud says of another node's instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Running, or in a state that may run.
    Running,
    /// Stopped, deleted or unknown to the cloud.
    NotRunning,
}

/// What an operator, a signal or systemd asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Planned move of one group, to a node or to the one that is next in rank.
    Switchover {
        /// The group.
        group: GroupIndex,
        /// The node that is to be active.
        to: Option<NodeIndex>,
    },
    /// Only says what `Switchover` would do.
    RehearseSwitchover {
        /// The group.
        group: GroupIndex,
        /// The node that would be active.
        to: Option<NodeIndex>,
    },
    /// Watch closely where the packets of one group go.
    Trace {
        /// The group.
        group: GroupIndex,
    },
    /// Hand over and stay ineligible, until told otherwise, across restarts.
    Drain {
        /// The group; `None` is every group.
        group: Option<GroupIndex>,
        /// Drain (true) or undrain.
        on: bool,
    },
    /// Freeze a group on every node.
    Maintenance {
        /// The group; `None` is every group.
        group: Option<GroupIndex>,
        /// On or off.
        on: bool,
        /// Off again by itself after this long.
        lasts: Option<Duration>,
    },
    /// Begin the epochs and maintenance numbers of a group again, if they are too high to be right.
    ResetNumbers {
        /// The group; `None` is every group.
        group: Option<GroupIndex>,
    },
    /// Leave: SIGTERM, as `on-stop`; or for a restart, as `on-restart`.
    Stop {
        /// This is a restart.
        restart: bool,
    },
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Begun or done; the text says which.
    Done(String),
    /// Refused, with the reason and what would help.
    Refused(String),
    /// It is for another node to do.
    Elsewhere {
        /// Which.
        node: NodeIndex,
        /// It is known to be the one. Else this node knows nothing of the group, and that one will know who it is.
        known: bool,
        /// The same in words.
        text: String,
    },
}
