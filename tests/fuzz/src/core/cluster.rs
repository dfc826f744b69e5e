//! The cluster of one input: a few bytes choose among shapes that a right file can have.

use super::super::cursor::Cursor;
use super::super::datagram::{KEY, cluster};
use havipd_core::model::ids::{KeyId, NodeIndex};
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::*;
use havipd_core::wire::auth::KeyRing;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Heartbeats, probes and answers go to and from this port.
pub const PORT: u16 = 11200;
/// No dead time of any variant is longer, and nobody keeps an address for longer.
const COLD_START: Duration = Duration::from_secs(2);

/// What stays the same through every reload.
#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    /// 2 or 3.
    pub nodes: usize,
    /// Who decides.
    pub arbiter: Arbiter,
    /// The last of three only votes.
    pub witness: bool,
    /// Addresses of a node, 1 or 2.
    pub paths: usize,
    /// Groups, 1 or 2, and HAVIPs of each.
    pub groups: usize,
    /// Who stays bound.
    pub binding: Binding,
    /// Ask the HAVIP's address who has it.
    pub probe: bool,
    /// Bound to interfaces, not to instances.
    pub eni: bool,
    /// Nodes do not know what they are to the cloud until they are told.
    pub unknown: bool,
    /// Somebody with the key says what is not so.
    pub lies: bool,
}

impl Cluster {
    /// Two bytes of it.
    pub fn read(bytes: &mut Cursor<'_>) -> Self {
        let (shape, more) = (bytes.byte(), bytes.byte());
        let bit = |of: u8, n: u8| of >> n & 1 == 1;
        Self {
            nodes: if bit(shape, 0) { 2 } else { 3 },
            arbiter: if bit(shape, 1) { Arbiter::Cloud } else { Arbiter::Majority },
            witness: bit(shape, 3),
            paths: 1 + usize::from(bit(shape, 4)),
            groups: 1 + usize::from(bit(shape, 5)),
            binding: if bit(shape, 6) { Binding::Shared } else { Binding::Exclusive },
            probe: bit(shape, 7),
            eni: bit(more, 0),
            unknown: bit(more, 1),
            lies: bit(more, 2),
        }
    }

    /// What node `i` is to the cloud.
    #[must_use]
    pub fn target(&self, i: usize) -> String {
        format!("{}-{}", if self.eni { "eni" } else { "i" }, ["a", "b", "c"][i])
    }

    /// Address of a path of a node.
    #[must_use]
    pub fn address(node: usize, path: usize) -> SocketAddr {
        SocketAddr::from(([10, path as u8, 0, 10 + node as u8], PORT))
    }

    /// Which node and path an address is.
    #[must_use]
    pub fn at(&self, to: SocketAddr) -> Option<(usize, usize)> {
        let all = (0..self.nodes).flat_map(|n| (0..self.paths).map(move |p| (n, p)));
        all.into_iter().find(|(n, p)| Self::address(*n, *p) == to)
    }

    /// Address of the HAVIP of a group.
    #[must_use]
    pub fn havip(group: usize) -> Ipv4Addr {
        [10, 0, 0, 100 + group as u8].into()
    }

    /// The keys that any variant has.
    #[must_use]
    pub fn ring() -> KeyRing {
        KeyRing::new(&keys(true), KeyId(1))
    }

    /// The file as node `local` sees it, with what a reload may change chosen by the bits of `variant`.
    ///
    /// # Panics
    /// Never: every name in it is a right one.
    #[must_use]
    pub fn config(&self, local: usize, variant: u8) -> Config {
        let bit = |n: u8| variant >> n & 1 == 1;
        let priority =
            |i: usize| if self.votes_only(i) { 0 } else { (150 - 10 * i + 25 * (i * usize::from(bit(2)))) as u8 };
        let node = |i: usize| Node {
            name: ["a", "b", "c"][i].parse().expect("a right name"),
            addresses: (0..self.paths).map(|p| Self::address(i, p)).collect(),
            target: (!self.unknown && !self.votes_only(i)).then(|| self.target(i).parse().expect("a right id")),
            interface: None,
            priority: priority(i),
            witness: self.votes_only(i),
        };
        let groups = if self.lies && bit(7) { 1 } else { self.groups };
        Config {
            cluster: cluster(),
            local: NodeIndex(local),
            nodes: (0..self.nodes).map(node).collect(),
            heartbeat: Heartbeat {
                port: PORT,
                interval: Duration::from_millis(200),
                dead_multiplier: 5,
                keys: keys(bit(5)),
                send_key: KeyId(if bit(5) { 2 } else { 1 }),
                cold_start_wait: COLD_START,
                fabric_probe: self.probe,
            },
            cloud: cloud(),
            groups: (0..groups).map(|g| self.group(g, &priority, &bit)).collect(),
            local_address: LocalAddress {
                lifetime: Some(COLD_START),
                announce_count: 3,
                announce_interval: Duration::from_millis(200),
                announce_refresh: Duration::from_secs(5),
            },
            metrics: None,
            daemon: Daemon::default(),
            keepalived: Keepalived::default(),
            etcd: None,
            checks: Vec::new(),
            log: Log { level: LogLevel::Info, format: LogFormat::Text },
        }
    }

    fn votes_only(&self, i: usize) -> bool {
        self.witness && self.nodes == 3 && i == 2
    }

    fn group(&self, g: usize, priority: &dyn Fn(usize) -> u8, bit: &dyn Fn(u8) -> bool) -> Group {
        let member = |i| Member { node: NodeIndex(i), priority: priority(i), witness: self.votes_only(i) };
        Group {
            name: ["web", "db"][g].parse().expect("a right name"),
            members: (0..self.nodes).map(member).collect(),
            arbiter: self.arbiter,
            preempt: !bit(3),
            preempt_delay: Duration::from_secs(1),
            on_stop: if bit(4) { OnStop::Release } else { OnStop::Handover },
            on_restart: if bit(6) { OnRestart::Handover } else { OnRestart::Keep },
            keep_for: COLD_START,
            handover_timeout: Duration::from_secs(3),
            when_isolated: if bit(4) { HoldOrRelease::Release } else { HoldOrRelease::Hold },
            when_all_fail: if bit(6) { HoldOrRelease::Release } else { HoldOrRelease::Hold },
            max_moves: if bit(7) { 1 } else { 6 },
            max_moves_window: Duration::from_secs(20),
            reclaim_wait: Duration::from_secs(5),
            vrrp: "web".parse().expect("a name"),
            leader: None,
            before_active: None,
            before_active_timeout: Duration::from_secs(30),
            before_release: None,
            before_release_timeout: Duration::from_secs(30),
            before_release_failed: AbortOrContinue::Abort,
            observe: false,
            checks: Vec::new(),
            havips: vec![Havip {
                id: format!("havip-{g}").parse().expect("a right id"),
                binding: self.binding,
                address: (!self.unknown).then(|| Self::havip(g)),
                interface: Interface::Discover,
                strangers: [Strangers::Guard, Strangers::Detach][g],
            }],
            hooks: Hooks::default(),
        }
    }
}

fn keys(both: bool) -> Vec<HeartbeatKey> {
    let first = HeartbeatKey { id: KeyId(1), secret: Secret::new(KEY.to_vec()) };
    let second = HeartbeatKey { id: KeyId(2), secret: Secret::new(vec![9; 32]) };
    if both { vec![first, second] } else { vec![first] }
}

fn cloud() -> Cloud {
    Cloud {
        region: None,
        endpoint: Some("http://127.0.0.1:1".into()),
        metadata_endpoint: "http://127.0.0.1:1".into(),
        ca_file: None,
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_secs(1),
        operation_timeout: Duration::from_secs(4),
        audit_interval: Duration::from_secs(3),
        requests_per_second: None,
        credentials: CredentialSource::Env,
    }
}
