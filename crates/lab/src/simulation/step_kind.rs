//! What can happen in a scenario.

use super::cloud::FaultRule;
use super::cluster::Cluster;
use super::network::Link;
use super::programs::GateEnd;
use havipd_core::model::settings::{Arbiter, Binding};
use serde::{Deserialize, Serialize};

/// What can happen. Nodes go by name, HAVIPs by number over all groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are the words of the scenario files; each step says what it does with them"
)]
pub enum StepKind {
    /// The daemon is started, if it does not run.
    Start { node: String },
    /// The daemon dies (SIGKILL). `back_ms` later it is started again.
    Crash {
        node: String,
        #[serde(default)]
        back_ms: Option<u64>,
        /// The state directory is gone.
        #[serde(default)]
        forgets: bool,
        /// What systemd runs after an unclean exit takes the addresses off, and sends the presigned goodbye.
        #[serde(default)]
        sweep: bool,
    },
    /// The host loses its power; the kernel's addresses are gone.
    PowerOff {
        node: String,
        #[serde(default)]
        back_ms: Option<u64>,
        #[serde(default)]
        forgets: bool,
        /// The cloud knows that the instance does not run.
        #[serde(default)]
        told: bool,
    },
    /// SIGSTOP: the daemon stands still, clocks and kernel go on.
    Pause { node: String, for_ms: u64 },
    /// SIGSTOP in the middle of a step: after so many actions of the next step that has more.
    PauseWithin { node: String, actions: usize, for_ms: u64 },
    /// The hypervisor stops the whole guest with its clocks.
    Freeze { node: String, for_ms: u64 },
    /// A node's clock gains so many millionths from now on: what slews it does that.
    ClockRate { node: String, ppm: i64 },
    /// One direction between two nodes changes, on one path or on all.
    Link {
        from: String,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<usize>,
        link: Link,
    },
    /// Nodes of different lists do not reach each other; who is in none reaches all.
    Partition { sides: Vec<Vec<String>> },
    /// The network keeps what one node sends another, and delivers it all at once in the end.
    HoldDatagrams { from: String, to: String, for_ms: u64 },
    /// Somebody takes a copy of a node's disk.
    SaveDisk { node: String },
    /// The daemon dies, its disk is the copy again, and `back_ms` later it is started.
    RestoreDisk { node: String, back_ms: u64 },
    /// A copy of a node's machine is started beside it, disk included: with the instance that its file names, and with none of its
    /// addresses. So long after that its metadata service says which instance it is; absent: never.
    Clone {
        node: String,
        #[serde(default)]
        told_ms: Option<u64>,
    },
    /// A node's heartbeat addresses move to its copy, which knows by then that it is another machine; or back.
    MoveAddresses { node: String, back: bool },
    /// Everything between the nodes is sound again.
    HealNetwork,
    /// A node does not reach the cloud; `answers_only`: its calls arrive, the answers do not.
    CloudCut {
        node: String,
        #[serde(default)]
        answers_only: bool,
    },
    /// It does again.
    CloudHeal { node: String },
    /// Calls of the cloud take this long each way, in milliseconds.
    CloudDelay { ms: u64 },
    /// A node does not reach etcd; `answers_only`: its requests arrive, the answers do not.
    EtcdCut {
        node: String,
        #[serde(default)]
        answers_only: bool,
    },
    /// It does again.
    EtcdHeal { node: String },
    /// etcd has no leader for so long.
    EtcdDown { for_ms: u64 },
    /// The same while its members elect a leader: that one carries out whatever was asked meanwhile.
    EtcdElects { for_ms: u64 },
    /// Its past is compacted away, and every watch of it ends.
    EtcdCompacts,
    /// Somebody makes a backup of it.
    EtcdBackup,
    /// It is restored from that.
    EtcdRestore,
    /// Requests to etcd take up to so much longer each way.
    EtcdDelay { ms: u64 },
    /// Somebody writes a group's key in etcd by hand; absent: deletes it.
    EtcdKey {
        group: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        says: Option<String>,
    },
    /// Somebody revokes the lease of a group's key by hand.
    EtcdRevoke { group: usize },
    /// The cloud misbehaves.
    CloudFault { rule: FaultRule },
    /// It does no more.
    CloudClear,
    /// Somebody makes a bound target the master.
    ForceMaster { havip: usize, target: String },
    /// Somebody unbinds a target.
    Unbind { havip: usize, target: String },
    /// Somebody fills a HAVIP with strangers.
    FillQuota { havip: usize },
    /// Somebody deletes a HAVIP.
    DeleteHavip { havip: usize },
    /// Somebody creates it again, with nobody bound.
    CreateHavip { havip: usize },
    /// Somebody takes a HAVIP's address off a node.
    AddressRemoved { node: String, havip: usize },
    /// A node's interface loses its carrier, or gets it back.
    LinkState { node: String, up: bool },
    /// The interface of one group's HAVIPs on a node loses its carrier, or gets it back: no heartbeat goes over it.
    HavipLink { node: String, group: usize, up: bool },
    /// A node loses a heartbeat address, or has it again: nothing is sent or heard on that path.
    HeartbeatAddress {
        node: String,
        #[serde(default)]
        path: usize,
        here: bool,
    },
    /// A node's own output rules refuse its heartbeats, or do no more.
    SendRefused { node: String, on: bool },
    /// The checks of a node judge.
    Health {
        node: String,
        #[serde(default)]
        weight: i16,
        #[serde(default)]
        failed: bool,
        #[serde(default)]
        undecided: bool,
    },
    /// What the gates of a node do from now on: those before it becomes active, or those before it hands over.
    Gate {
        node: String,
        #[serde(default)]
        ends: GateEnd,
        #[serde(default)]
        takes_ms: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        release: bool,
    },
    /// An operator asks a node, or the active one, for a planned move of a group.
    Switchover {
        #[serde(default)]
        group: usize,
        #[serde(default)]
        to: Option<String>,
    },
    /// An operator drains a node, or ends that.
    Drain { node: String, on: bool },
    /// An operator switches maintenance of all groups at a node.
    Maintenance { node: String, on: bool },
    /// The numbers of every group in a node's state directory are these from its next start on; absent: as they were.
    StateNumbers {
        node: String,
        #[serde(default)]
        epoch: Option<u64>,
        #[serde(default)]
        maintenance: Option<u32>,
    },
    /// An operator has a node begin the numbers of all groups again.
    ResetNumbers { node: String },
    /// The package of a later release, or of this one again, is installed: the next start runs it.
    Install { node: String, later: bool },
    /// systemd stops the daemon, and starts it again `back_ms` after it left.
    Stop {
        node: String,
        #[serde(default)]
        restart: bool,
        #[serde(default)]
        back_ms: Option<u64>,
    },
    /// A node reloads a file with these values changed. If it is refused, somebody tries again until it is not.
    Reload {
        node: String,
        #[serde(default)]
        interval_ms: Option<u64>,
        #[serde(default)]
        dead_multiplier: Option<u32>,
        /// Priority of nodes, by name.
        #[serde(default)]
        priorities: Vec<(String, u8)>,
        /// Numbers of the heartbeat keys, the one to send with first; none: they stay.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        keys: Vec<u8>,
        /// The operator waits until each daemon that runs has one of these keys.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        patient: bool,
    },
    /// A node's file gets these values; its next start or reload brings them, which every node needs to agree on.
    File {
        node: String,
        /// Of every HAVIP.
        #[serde(default)]
        binding: Option<Binding>,
        /// The nodes that it names, which all vote; none: they stay.
        #[serde(default)]
        nodes: Vec<String>,
    },
    /// So many of a thousand datagrams come again later, come back, reach somebody else, or come changed.
    Attack { permille: u32 },
    /// So many datagrams that nobody with a key made arrive at a node, at once.
    Flood { node: String, datagrams: u32 },
    /// keepalived dies, and is started again if `back`.
    KeepalivedDies {
        node: String,
        #[serde(default)]
        back: bool,
    },
    /// The keepaliveds do not hear each other, or do again.
    VrrpSplit { on: bool },
    /// A daemon is told an old MASTER, and two seconds later what is true.
    StaleVrrp { node: String },
    /// A daemon reads each datagram so long after it arrived: it is behind with its work.
    ReadLate { node: String, by_ms: u64 },
    /// The effects side of a daemon makes no progress.
    EffectsStuck { node: String, for_ms: u64 },
    /// Nothing that a node writes to its disk is stored.
    DiskStuck { node: String, for_ms: u64 },
    /// A host puts no address on and takes none off: the kernel refuses, or its caller gets no answer.
    AddressStuck {
        node: String,
        for_ms: u64,
        #[serde(default)]
        refuses: bool,
    },
}

impl StepKind {
    /// Whether the HAVIP, the group or the path that it names is there.
    pub(super) fn fits(&self, cluster: &Cluster) -> bool {
        let (groups, havips) = (cluster.groups, cluster.groups * cluster.havips);
        match self {
            Self::Link { path, .. } => path.is_none_or(|p| p < cluster.paths),
            Self::ForceMaster { havip, .. }
            | Self::Unbind { havip, .. }
            | Self::FillQuota { havip }
            | Self::DeleteHavip { havip }
            | Self::CreateHavip { havip }
            | Self::AddressRemoved { havip, .. } => *havip < havips,
            Self::Switchover { group, .. } | Self::HavipLink { group, .. } => *group < groups,
            Self::EtcdKey { group, .. } | Self::EtcdRevoke { group } => {
                *group < groups && cluster.arbiter == Arbiter::EtcdLease
            }
            Self::EtcdCut { .. }
            | Self::EtcdHeal { .. }
            | Self::EtcdDown { .. }
            | Self::EtcdElects { .. }
            | Self::EtcdCompacts
            | Self::EtcdBackup
            | Self::EtcdRestore
            | Self::EtcdDelay { .. } => cluster.arbiter == Arbiter::EtcdLease,
            Self::HeartbeatAddress { path, .. } => *path < cluster.paths,
            Self::ClockRate { ppm, .. } => ppm.abs() <= 100_000,
            Self::File { node, nodes, .. } => {
                nodes.is_empty() || (nodes.len() > 1 && nodes.contains(node) && cluster.members.is_empty())
            }
            // The simulated keepalived has no copy.
            Self::Clone { .. } | Self::MoveAddresses { .. } => cluster.arbiter != Arbiter::Keepalived,
            Self::Reload { keys, .. } => (1..keys.len()).all(|i| !keys[..i].contains(&keys[i])),
            _ => true,
        }
    }

    /// Whether it is a step of a rotation of heartbeat keys, and nothing else.
    pub(super) fn rotates(&self) -> bool {
        match self {
            Self::Reload { interval_ms: None, dead_multiplier: None, priorities, keys, .. } => {
                priorities.is_empty() && !keys.is_empty()
            }
            _ => false,
        }
    }

    /// Whether it is a reload that changes what leases last.
    pub(super) fn changes_leases(&self) -> bool {
        let Self::Reload { interval_ms, dead_multiplier, .. } = self else { return false };
        interval_ms.is_some() || dead_multiplier.is_some()
    }

    /// The nodes that it names.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Start { node }
            | Self::Crash { node, .. }
            | Self::PowerOff { node, .. }
            | Self::Pause { node, .. }
            | Self::PauseWithin { node, .. }
            | Self::Freeze { node, .. }
            | Self::ClockRate { node, .. }
            | Self::CloudCut { node, .. }
            | Self::CloudHeal { node }
            | Self::EtcdCut { node, .. }
            | Self::EtcdHeal { node }
            | Self::AddressRemoved { node, .. }
            | Self::LinkState { node, .. }
            | Self::Health { node, .. }
            | Self::Gate { node, .. }
            | Self::Drain { node, .. }
            | Self::Maintenance { node, .. }
            | Self::StateNumbers { node, .. }
            | Self::ResetNumbers { node }
            | Self::Install { node, .. }
            | Self::Stop { node, .. }
            | Self::KeepalivedDies { node, .. }
            | Self::StaleVrrp { node }
            | Self::ReadLate { node, .. }
            | Self::HavipLink { node, .. }
            | Self::HeartbeatAddress { node, .. }
            | Self::SendRefused { node, .. }
            | Self::EffectsStuck { node, .. }
            | Self::DiskStuck { node, .. }
            | Self::Flood { node, .. }
            | Self::SaveDisk { node }
            | Self::RestoreDisk { node, .. }
            | Self::Clone { node, .. }
            | Self::MoveAddresses { node, .. }
            | Self::AddressStuck { node, .. } => vec![node],
            Self::Reload { node, priorities, .. } => {
                std::iter::once(node.as_str()).chain(priorities.iter().map(|(n, _)| n.as_str())).collect()
            }
            Self::File { node, nodes, .. } => {
                std::iter::once(node.as_str()).chain(nodes.iter().map(String::as_str)).collect()
            }
            Self::Link { from, to, .. } | Self::HoldDatagrams { from, to, .. } => vec![from, to],
            Self::Partition { sides } => sides.iter().flatten().map(String::as_str).collect(),
            Self::Switchover { to, .. } => to.iter().map(String::as_str).collect(),
            _ => vec![],
        }
    }
}

impl StepKind {
    /// As a scenario has it.
    pub(super) fn text(&self) -> String {
        toml::Value::try_from(self).map_or_else(|error| error.to_string(), |value| value.to_string())
    }
}
