//! One machine: its clock, its kernel's addresses, its disk, and the daemon that may run on it.

use super::clock::{BEGINNING, Clock};
use super::cluster::Cluster;
use super::facts::hearing::Arrival;
use super::programs::Gates;
use super::router::Router;
use super::schedule::Wish;
use havipd_core::election::Core;
use havipd_core::election::Goodbye;
use havipd_core::model::action::Action;
use havipd_core::model::digest::Digest;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, OperationId};
use havipd_core::model::persisted::Persisted;
use havipd_core::model::role::Role;
use havipd_core::model::time::Instant;
use havipd_core::queue::{CallId, Queue, Ticket};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// Datagrams that a socket keeps for a daemon that stands still.
pub(super) const SOCKET_BACKLOG: usize = 200;

/// Why a daemon stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// SIGSTOP: everything around it goes on.
    Stopped,
    /// The hypervisor stopped the whole guest.
    Frozen,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "SIGSTOP",
            Self::Frozen => "the whole guest",
        })
    }
}

/// Whether calls of a node reach the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Both,
    AnswersLost,
    Nothing,
}

/// Why no address is put on a host or taken off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressStuck {
    /// Nothing answers.
    Hangs,
    /// The kernel says no.
    Refuses,
}

impl fmt::Display for AddressStuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hangs => "nothing answers",
            Self::Refuses => "the kernel refuses",
        })
    }
}

/// A call that has not ended.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) deadline: Instant,
    /// The group, of a write.
    pub(super) write: Option<GroupIndex>,
    /// Its place among those that wait.
    pub(super) ticket: Option<Ticket>,
    /// The call that is made for it.
    pub(super) call: Option<CallId>,
}

/// One run of the daemon.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) core: Core,
    pub(super) incarnation: u64,
    /// The earliest wake-up under way.
    pub(super) wake: Option<Instant>,
    /// What is left of a step that was interrupted.
    pub(super) unfinished: VecDeque<Action>,
    pub(super) calls: BTreeMap<OperationId, Pending>,
    /// The queue of the real client.
    pub(super) queue: Queue<Wish>,
    /// When it is asked again.
    pub(super) decides_at: Option<Instant>,
    /// Timer turns in a row that left a deadline in the past.
    pub(super) hot: u32,
    pub(super) storing: bool,
    /// What the last run left was told to the core.
    pub(super) state_known: bool,
    /// The newest state that is not on the disk yet.
    pub(super) wanted: Option<Persisted>,
    pub(super) exited: bool,
    /// Role per group, after the last turn.
    pub(super) roles: Vec<Role>,
    /// The same as far as the actions of that turn are carried out.
    pub(super) done: Vec<Role>,
    /// Number of the running round of progress reports.
    pub(super) progress: u64,
    /// When each group's role changed last.
    pub(super) since: Vec<Instant>,
    /// When leadership in each group began, if it lasts.
    pub(super) term_since: Vec<Instant>,
    pub(super) started: Instant,
    pub(super) stopping: bool,
    /// It is of a later release than this one.
    pub(super) later: bool,
}

/// One machine.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// It is a copy of that node's machine, and no node.
    pub(super) copy_of: Option<usize>,
    pub(super) target: String,
    pub(super) witness: bool,
    pub(super) clock: Clock,
    pub(super) powered: bool,
    pub(super) halted: Option<(Halt, u64)>,
    pub(super) link_up: bool,
    /// Groups whose HAVIPs' interface, one of their own, is down.
    pub(super) havip_links_down: BTreeSet<usize>,
    /// Paths on which it has no address.
    pub(super) paths_lost: BTreeSet<usize>,
    /// Its output rules refuse heartbeats.
    pub(super) refuses: bool,
    /// Addresses of which its daemon was told that they do.
    pub(super) refused: BTreeSet<std::net::SocketAddr>,
    pub(super) reach: Reach,
    /// The same of etcd.
    pub(super) etcd_reach: Reach,
    /// What its file says now.
    pub(super) file: Arc<havipd_core::model::settings::Config>,
    /// What its daemon runs with.
    pub(super) config: Arc<havipd_core::model::settings::Config>,
    /// Its digest.
    pub(super) digest: Digest,
    /// The package of a later release is installed.
    pub(super) later_installed: bool,
    /// A reload was asked for and is not done yet.
    pub(super) reload_waits: bool,
    pub(super) disk: Persisted,
    /// The copy of it that somebody took.
    pub(super) saved: Option<Persisted>,
    pub(super) disk_stuck: bool,
    pub(super) effects_stuck: bool,
    pub(super) address_stuck: Option<AddressStuck>,
    /// Addresses and when the kernel removes them, in the guest's time.
    pub(super) addresses: BTreeMap<Ipv4Addr, Option<Instant>>,
    pub(super) health: Option<(i16, bool, bool)>,
    pub(super) process: Option<Process>,
    pub(super) backlog: VecDeque<(Event, Option<Arrival>)>,
    /// A datagram is read so long after it arrived.
    pub(super) reads_late: Duration,
    /// The next step with more actions than this is interrupted for so long.
    pub(super) interrupt: Option<(usize, Duration)>,
    /// When something outside the daemon last went wrong, or right again, for this host.
    pub(super) touched: Instant,
    /// The last halt that was longer than the dead time, by its own clock: when it ended, in both times.
    pub(super) away: Option<(Instant, Instant)>,
    /// When the halt that lasts began, by its own clock.
    pub(super) halted_at: Instant,
    /// When the last halt ended, by its own clock.
    pub(super) went_on: Instant,
    /// Whether that one was the hypervisor's.
    pub(super) went_on_frozen: bool,
    /// Since when the effects side makes no progress, by its own clock.
    pub(super) stuck_since: Option<Instant>,
    /// What its dead daemon had sealed, until it is sent.
    pub(super) last_word: Vec<Goodbye>,
    /// Starts so far.
    pub(super) starts: u64,
    /// Boots of the machine so far.
    pub(super) boots: u64,
    /// Started again so long after it left.
    pub(super) back_after_exit: Option<Duration>,
    /// The programs that its daemon runs before an address goes live.
    pub(super) gates: Gates,
    /// keepalived, where it elects.
    pub(super) vrrp: Router,
}

/// The machine of a node, as the scenario begins.
pub(super) fn host(cluster: &Cluster, index: usize) -> Host {
    let machine = &cluster.machines[index];
    let config = Arc::new(cluster.config(index));
    Host {
        name: machine.name.clone(),
        copy_of: None,
        target: cluster.target(index),
        witness: machine.witness,
        clock: Clock::new(BEGINNING, Instant::from_millis(machine.clock_ms), machine.clock_ppm),
        powered: true,
        halted: None,
        link_up: true,
        havip_links_down: BTreeSet::new(),
        paths_lost: BTreeSet::new(),
        refuses: false,
        refused: BTreeSet::new(),
        reach: Reach::Both,
        etcd_reach: Reach::Both,
        file: Arc::clone(&config),
        digest: havipd_core::model::digest::digest(&config),
        config,
        later_installed: false,
        reload_waits: false,
        disk: Persisted::default(),
        saved: None,
        disk_stuck: false,
        effects_stuck: false,
        address_stuck: None,
        addresses: BTreeMap::new(),
        health: None,
        process: None,
        backlog: VecDeque::new(),
        reads_late: Duration::ZERO,
        interrupt: None,
        touched: BEGINNING,
        away: None,
        halted_at: Instant::default(),
        went_on: Instant::default(),
        went_on_frozen: false,
        stuck_since: None,
        last_word: vec![],
        starts: 0,
        boots: 0,
        back_after_exit: None,
        gates: Gates::default(),
        vrrp: Router::new(BEGINNING),
    }
}

impl Host {
    /// Whether its daemon runs and is not standing still.
    pub(super) fn awake(&self) -> bool {
        self.process.is_some() && self.halted.is_none()
    }

    /// Whether the whole guest stands still.
    pub(super) fn frozen(&self) -> bool {
        matches!(self.halted, Some((Halt::Frozen, _)))
    }

    /// Keeps an event for a daemon that stands still; a full socket drops datagrams.
    pub(super) fn defer(&mut self, event: Event, arrival: Option<Arrival>) {
        let datagram = matches!(event, Event::DatagramReceived { .. });
        if datagram && self.backlog.len() >= SOCKET_BACKLOG {
            return;
        }
        self.backlog.push_back((event, arrival));
    }

    /// Role in a group; `None` while no daemon runs.
    pub(super) fn role(&self, group: usize) -> Option<Role> {
        self.process.as_ref().and_then(|p| p.roles.get(group).copied())
    }
}
