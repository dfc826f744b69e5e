//! The checked configuration: what the rest of the program sees.
//!
//! Every value here has passed `config::check`; nothing downstream validates again. Where the
//! reference gives a default that depends on other keys (priorities per group, `arbiter = "auto"`,
//! the address lifetime), the field holds the outcome, not the request.

mod check;
mod group;

pub use check::{Check, CheckState, ClientCertificate, Http, Probe, Rule};
pub use group::{
    AbortOrContinue, Arbiter, Binding, Group, Havip, HoldOrRelease, Hooks, Interface, Member, OnRestart, OnStop,
    Strangers,
};

use crate::model::ids::{CheckName, ClusterName, GroupIndex, KeyId, NodeIndex, NodeName, Target};
use crate::model::secret::Secret;
use std::net::SocketAddr;
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
    /// Every `[[check]]`, in file order.
    pub checks: Vec<Check>,
    /// `[local-address]`.
    pub local_address: LocalAddress,
    /// `metrics.listen`; `None` is `"off"`.
    pub metrics: Option<SocketAddr>,
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[keepalived]`.
    pub keepalived: Keepalived,
    /// `[etcd]`, if the file has it.
    pub etcd: Option<Etcd>,
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

    /// The check of that name.
    #[must_use]
    pub fn check_named(&self, name: &CheckName) -> Option<&Check> {
        self.checks.iter().find(|c| c.name == *name)
    }

    /// The group of that name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<GroupIndex> {
        self.groups.iter().position(|g| g.name.as_str() == name).map(GroupIndex)
    }

    /// The key in etcd by which a group elects, if it does.
    #[must_use]
    pub fn election_key(&self, group: GroupIndex) -> Option<String> {
        let settings = self.groups.get(group.0).filter(|g| g.arbiter == Arbiter::EtcdLease)?;
        Some(format!("{}/{}/{}", self.etcd.as_ref()?.prefix, self.cluster, settings.name))
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

/// The least `dead-multiplier` with arbiter `majority`: an ask and its answer take two intervals, and a lost one as much again.
pub const MAJORITY_MULTIPLIER: u32 = 4;

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
    /// Time between two reads of the cloud while active and all is quiet.
    pub audit_interval: Duration,
    /// The most calls per second that are no claim's; `None` is `"adaptive"`: as many as the cloud takes.
    pub requests_per_second: Option<f64>,
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

/// `[etcd]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// `endpoints`: URLs of its members, without a path.
    pub endpoints: Vec<String>,
    /// `prefix`: what the keys of our own elections begin with.
    pub prefix: String,
    /// How long what a read gave counts, from when it was sent; of our own elections the lease.
    pub lease: Duration,
    /// One request to one endpoint, to the last byte of its answer.
    pub request_timeout: Duration,
    /// Certificates (PEM) that replace the system's.
    pub ca_file: Option<PathBuf>,
    /// What this node shows etcd.
    pub client: Option<ClientCertificate>,
    /// `user`, and where its password is.
    pub user: Option<(String, PathBuf)>,
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

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// `level`.
    pub level: LogLevel,
    /// `format`.
    pub format: LogFormat,
}

/// `log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl LogLevel {
    /// The words of the file, the quietest first.
    pub const NAMES: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

    /// The level of that word, in capitals or not.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];
        all.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word))
    }

    /// The word of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object an event.
    Json,
}

impl LogFormat {
    /// The words of the file.
    pub const NAMES: [&str; 2] = ["text", "json"];

    /// The format of that word, in capitals or not.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| format.as_str().eq_ignore_ascii_case(word))
    }

    /// The word of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}
