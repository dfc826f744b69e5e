//! The checked configuration: what the rest of the program sees.
//!
//! Every value here has passed `config::check`; nothing downstream validates again. Where the
//! reference gives a default that depends on other keys (priorities per group, `arbiter = "auto"`,
//! the address lifetime), the field holds the outcome, not the request.

use crate::ids::{ClusterName, GroupIndex, GroupName, HavipId, KeyId, NodeIndex, NodeName, Target};
use crate::keepalived::parse::Vrrp;
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A whole `havipd.toml`, seen from one of its nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `cluster.name`.
    pub cluster: ClusterName,
    /// The node this daemon is.
    pub local: NodeIndex,
    /// Every `[[node]]`, in file order; [`NodeIndex`] points here.
    pub nodes: Vec<Node>,
    /// `[heartbeat]`.
    pub heartbeat: Heartbeat,
    /// `[cloud]`.
    pub cloud: Cloud,
    /// Every `[[group]]`, in file order; [`GroupIndex`] points here.
    pub groups: Vec<Group>,
    /// `[local-address]`.
    pub local_address: LocalAddress,
    /// `metrics.listen`; `None` is `"off"`.
    pub metrics: Option<SocketAddr>,
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[keepalived]`.
    pub keepalived: Keepalived,
    /// `[log]`.
    pub log: Log,
}

impl Config {
    /// The node at `index`.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// The node this daemon is.
    #[must_use]
    pub fn local_node(&self) -> &Node {
        self.node(self.local)
    }

    /// The node of that name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeIndex> {
        self.nodes.iter().position(|n| n.name.as_str() == name).map(NodeIndex)
    }

    /// The group of that name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<GroupIndex> {
        self.groups.iter().position(|g| g.name.as_str() == name).map(GroupIndex)
    }

    /// Every node but this one.
    pub fn peers(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        (0..self.nodes.len()).map(NodeIndex).filter(|&n| n != self.local)
    }
}

/// One `[[node]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// `name`.
    pub name: NodeName,
    /// `address`, ports filled in: heartbeats are sent from and to these, one path each.
    pub addresses: Vec<SocketAddr>,
    /// `instance` or `eni`; `None` means that the node asks its metadata service.
    pub target: Option<Target>,
    /// `interface`: this node's interface for every HAVIP.
    pub interface: Option<String>,
    /// `priority`, 1 to 254; zero for a witness.
    pub priority: u8,
    /// `witness`: votes, never holds.
    pub witness: bool,
}

/// `[heartbeat]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Default port of the nodes' addresses; the fabric probe uses it.
    pub port: u16,
    /// Time between heartbeats.
    pub interval: Duration,
    /// Intervals of silence until a peer is dead.
    pub dead_multiplier: u32,
    /// Keys that are accepted.
    pub keys: Vec<HeartbeatKey>,
    /// Key used to send while a peer accepts it.
    pub send_key: KeyId,
    /// Time without any peer after a start before anything is claimed.
    pub cold_start_wait: Duration,
    /// Ask the HAVIP's own address who receives it.
    pub fabric_probe: bool,
}

impl Heartbeat {
    /// Our own silence after which peers with our settings call us dead.
    #[must_use]
    pub fn dead_time(&self) -> Duration {
        self.interval.saturating_mul(self.dead_multiplier)
    }
}

/// One entry of `heartbeat.keys`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatKey {
    /// Number of the key, which travels in each datagram.
    pub id: KeyId,
    /// The key.
    pub secret: Secret,
}

/// `[cloud]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// `region`; `None` means that the metadata service is asked.
    pub region: Option<String>,
    /// `endpoint`, if it does not follow from the region: scheme, host and port, no trailing slash.
    pub endpoint: Option<String>,
    /// Where instance metadata is read, no trailing slash.
    pub metadata_endpoint: String,
    /// PEM file that replaces the system's roots.
    pub ca_file: Option<PathBuf>,
    /// TCP and TLS.
    pub connect_timeout: Duration,
    /// One attempt, to the last byte of the body.
    pub request_timeout: Duration,
    /// One claim or release with all its retries.
    pub operation_timeout: Duration,
    /// Time between two looks at the cloud while active and all is quiet.
    pub audit_interval: Duration,
    /// Budget for all calls of this daemon; half is kept free for claims.
    pub requests_per_second: f64,
    /// `[cloud.credentials]`.
    pub credentials: CredentialSource,
}

/// `[cloud.credentials]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Environment if set, else the file if one is given, else the instance role.
    Auto {
        /// `file`, if given.
        file: Option<PathBuf>,
    },
    /// Environment variables only.
    Env,
    /// A TOML file, read again when it changes.
    File(PathBuf),
    /// Temporary credentials from the metadata service.
    InstanceRole,
}

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
    /// Elect and report, touch nothing.
    pub observe: bool,
    /// The HAVIPs, which move together.
    pub havips: Vec<Havip>,
    /// What is called on a change of state.
    pub hooks: Hooks,
}

impl Group {
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
    /// Silence is enough.
    None,
    /// The cloud's record is the third opinion.
    Cloud,
    /// Leases from a majority of voters.
    Majority,
    /// keepalived elects; the cloud's record is the third opinion while it says nothing new.
    Keepalived,
}

impl Arbiter {
    /// The word of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cloud => "cloud",
            Self::Majority => "majority",
            Self::Keepalived => "keepalived",
        }
    }

    /// Whether the cloud's record counts where nodes cannot see each other.
    #[must_use]
    pub const fn by_record(self) -> bool {
        matches!(self, Self::Cloud | Self::Keepalived)
    }
}

/// `[daemon]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// `history-size`: most that the history takes on the disk, bytes.
    pub history_size: u64,
    /// `doctor-interval`; `None` is `"0s"`, off.
    pub doctor_interval: Option<Duration>,
    /// `realtime-priority` of the heartbeat thread, 1 to 50; zero: none.
    pub realtime_priority: u8,
    /// `lock-memory`: nothing of this process is ever swapped out.
    pub lock_memory: bool,
}

impl Default for Daemon {
    /// As the file is without `[daemon]`, but the doctor looks only when asked.
    fn default() -> Self {
        Self { history_size: 16 << 20, doctor_interval: None, realtime_priority: 0, lock_memory: false }
    }
}

/// `[keepalived]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keepalived {
    /// `fifo`: keepalived's `vrrp_notify_fifo`; without it states come by `havipctl notify`.
    pub fifo: Option<PathBuf>,
    /// `pid-file`: tells which process must live for a state to count.
    pub pid_file: PathBuf,
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

/// `[local-address]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// Kernel lifetime, whole seconds; `None` is `"forever"`.
    pub lifetime: Option<Duration>,
    /// Gratuitous ARPs in the burst.
    pub announce_count: u32,
    /// Time between them.
    pub announce_interval: Duration,
    /// Time between refreshes while active; zero is off.
    pub announce_refresh: Duration,
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

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// `level`.
    pub level: LogLevel,
    /// `format`.
    pub format: LogFormat,
}

/// `log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Only what needs a human.
    Error,
    /// And what may soon.
    Warn,
    /// And every change of role.
    Info,
    /// And every call.
    Debug,
    /// Everything.
    Trace,
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object an event.
    Json,
}
