//! The cluster that a scenario runs: a few figures, from which every node's checked configuration follows.

use havipd_core::model::ids::{GroupIndex, KeyId, NodeIndex};
use havipd_core::model::plain::quote;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::*;
use havipd_core::model::vrrp::{Kind, Vrrp};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// One node of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// `node.name`.
    pub name: String,
    /// `node.priority`.
    #[serde(default = "hundred")]
    pub priority: u8,
    /// `node.witness`.
    #[serde(default)]
    pub witness: bool,
    /// How many millionths its clock gains.
    #[serde(default)]
    pub clock_ppm: i64,
    /// What its boot-time clock shows when the scenario begins, in milliseconds.
    #[serde(default = "hour")]
    pub clock_ms: u64,
}

const fn hundred() -> u8 {
    100
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn aborts(failed: &AbortOrContinue) -> bool {
    *failed == AbortOrContinue::Abort
}

/// `etcd.lease`, unless a scenario says otherwise.
const USUAL_LEASE_MS: u64 = 10_000;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_usual_lease(ms: &u64) -> bool {
    *ms == USUAL_LEASE_MS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_no_rate(ppm: &i64) -> bool {
    *ppm == 0
}

const fn hour() -> u64 {
    3_600_000
}

/// A whole cluster: what its `havipd.toml` says and which cloud it lives in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Cluster {
    /// `group.arbiter`.
    pub arbiter: Arbiter,
    /// `group.havip.binding`.
    pub binding: Binding,
    /// Name of a cloud profile.
    pub profile: String,
    /// `heartbeat.interval`.
    pub interval_ms: u64,
    /// `heartbeat.dead-multiplier`.
    pub dead_multiplier: u32,
    /// `heartbeat.cold-start-wait`.
    pub cold_start_wait_ms: u64,
    /// `group.preempt`.
    pub preempt: bool,
    /// `group.preempt-delay`.
    pub preempt_delay_ms: u64,
    /// `group.keep-for`.
    pub keep_for_ms: u64,
    /// `group.handover-timeout`.
    pub handover_timeout_ms: u64,
    /// `group.reclaim-wait`.
    pub reclaim_wait_ms: u64,
    /// `group.on-stop`.
    pub on_stop: OnStop,
    /// `group.on-restart`.
    pub on_restart: OnRestart,
    /// `group.when-isolated`.
    pub when_isolated: HoldOrRelease,
    /// `group.when-all-fail`.
    pub when_all_fail: HoldOrRelease,
    /// `group.havip.strangers`.
    pub strangers: Strangers,
    /// `group.max-moves`.
    pub max_moves: u32,
    /// `cloud.requests-per-second`; absent is "adaptive".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// How many groups there are.
    pub groups: usize,
    /// How many HAVIPs each has.
    pub havips: usize,
    /// Per group the nodes that are its members; none, or a group that is not listed: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Vec<String>>,
    /// How many heartbeat addresses each node has: a path each.
    pub paths: usize,
    /// `group.before-active-timeout`; 0: there is no `before-active`.
    #[serde(skip_serializing_if = "is_zero")]
    pub gate_timeout_ms: u64,
    /// `group.before-release-timeout`; 0: there is no `before-release`.
    #[serde(skip_serializing_if = "is_zero")]
    pub release_timeout_ms: u64,
    /// `group.before-release-failed`.
    #[serde(skip_serializing_if = "aborts")]
    pub release_failed: AbortOrContinue,
    /// `etcd.lease`, with arbiter `etcd-lease`: havipd's own election in etcd.
    #[serde(skip_serializing_if = "is_usual_lease")]
    pub etcd_lease_ms: u64,
    /// How many millionths etcd's clock gains.
    #[serde(skip_serializing_if = "is_no_rate")]
    pub etcd_ppm: i64,
    /// Nodes learn their own target only after they started.
    pub identity_late: bool,
    /// The HAVIPs' addresses come from the cloud, not from the file.
    pub address_late: bool,
    /// The nodes, in file order.
    pub machines: Vec<Machine>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            arbiter: Arbiter::Cloud,
            binding: Binding::Exclusive,
            profile: "attach-moves".to_owned(),
            interval_ms: 500,
            dead_multiplier: 10,
            cold_start_wait_ms: 30_000,
            preempt: true,
            preempt_delay_ms: 30_000,
            keep_for_ms: 15_000,
            handover_timeout_ms: 10_000,
            reclaim_wait_ms: 300_000,
            on_stop: OnStop::Handover,
            on_restart: OnRestart::Keep,
            when_isolated: HoldOrRelease::Hold,
            when_all_fail: HoldOrRelease::Hold,
            strangers: Strangers::Guard,
            max_moves: 6,
            requests_per_second: None,
            groups: 1,
            havips: 1,
            members: vec![],
            paths: 1,
            gate_timeout_ms: 0,
            release_timeout_ms: 0,
            release_failed: AbortOrContinue::Abort,
            etcd_lease_ms: USUAL_LEASE_MS,
            etcd_ppm: 0,
            identity_late: false,
            address_late: false,
            machines: vec![],
        }
    }
}

impl Cluster {
    /// A cluster of so many nodes, of which the last `witnesses` never hold; priorities fall in file order.
    #[must_use]
    pub fn of(nodes: usize, witnesses: usize, arbiter: Arbiter) -> Self {
        let machine = |i: usize| Machine {
            name: ["a", "b", "c", "d", "e"].get(i).map_or_else(|| format!("n{i}"), |n| (*n).to_owned()),
            priority: 150_u8.saturating_sub(10 * u8::try_from(i).unwrap_or(14)),
            witness: i + witnesses >= nodes,
            clock_ppm: 0,
            clock_ms: hour(),
        };
        Self { arbiter, machines: (0..nodes).map(machine).collect(), ..Self::default() }
    }

    /// The cluster that a real configuration describes, as far as one group goes.
    ///
    /// Taken over: the group's nodes with priorities and witnesses, its arbiter, its settings, how many HAVIPs it
    /// has, the binding and strangers of the first, and the times of the heartbeat. The cloud behaves as `profile` says.
    #[must_use]
    pub fn of_config(config: &Config, group: GroupIndex, profile: &str) -> Self {
        let settings = &config.groups[group.0];
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let machine = |m: &Member| Machine {
            name: config.node(m.node).name.to_string(),
            priority: m.priority,
            witness: m.witness,
            clock_ppm: 0,
            clock_ms: hour(),
        };
        let first = settings.havips.first();
        Self {
            arbiter: settings.arbiter,
            binding: first.map_or(Binding::Exclusive, |h| h.binding),
            profile: profile.to_owned(),
            interval_ms: ms(config.heartbeat.interval),
            dead_multiplier: config.heartbeat.dead_multiplier,
            cold_start_wait_ms: ms(config.heartbeat.cold_start_wait),
            preempt: settings.preempt,
            preempt_delay_ms: ms(settings.preempt_delay),
            keep_for_ms: ms(settings.keep_for),
            handover_timeout_ms: ms(settings.handover_timeout),
            reclaim_wait_ms: ms(settings.reclaim_wait),
            on_stop: settings.on_stop,
            on_restart: settings.on_restart,
            when_isolated: settings.when_isolated,
            when_all_fail: settings.when_all_fail,
            strangers: first.map_or(Strangers::Guard, |h| h.strangers),
            max_moves: settings.max_moves,
            requests_per_second: config.cloud.requests_per_second,
            groups: 1,
            havips: settings.havips.len(),
            members: vec![],
            paths: config.local_node().addresses.len(),
            gate_timeout_ms: settings.before_active.as_ref().map_or(0, |_| ms(settings.before_active_timeout)),
            release_timeout_ms: settings.before_release.as_ref().map_or(0, |_| ms(settings.before_release_timeout)),
            release_failed: settings.before_release_failed,
            etcd_lease_ms: config.etcd.as_ref().map_or(USUAL_LEASE_MS, |etcd| ms(etcd.lease)),
            etcd_ppm: 0,
            identity_late: settings.members.iter().any(|m| !m.witness && config.node(m.node).target.is_none()),
            address_late: first.is_some_and(|h| h.address.is_none()),
            machines: settings.members.iter().map(machine).collect(),
        }
    }

    /// Position of the node of that name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|m| m.name == name)
    }

    /// Whether the file says which instance a node is: a copy of its machine can know by that what it is.
    #[must_use]
    pub fn names_instance(&self, node: &str) -> bool {
        !self.identity_late && self.machines.iter().any(|m| m.name == node && !m.witness)
    }

    /// Whether a node is a member of a group.
    #[must_use]
    pub fn member(&self, group: usize, node: usize) -> bool {
        let members = self.members.get(group).filter(|m| !m.is_empty());
        members.is_none_or(|m| m.contains(&self.machines[node].name))
    }

    /// The member of a group with that target.
    #[must_use]
    pub fn member_with(&self, group: usize, target: &str) -> Option<usize> {
        self.node_with(target).filter(|node| self.member(group, *node))
    }

    /// How many voters a group has.
    #[must_use]
    pub fn voters(&self, group: usize) -> usize {
        (0..self.machines.len()).filter(|node| self.member(group, *node)).count()
    }

    /// Why the members of the groups cannot be.
    fn check_members(&self) -> Result<(), String> {
        if self.members.len() > self.groups {
            return Err(format!("members of {} groups, and there are {}", self.members.len(), self.groups));
        }
        if let Some(name) = self.members.iter().flatten().find(|name| self.position(name).is_none()) {
            return Err(format!("a group has the member {name}, and there is no such node", name = quote(name)));
        }
        let holds = |group: usize| (0..self.machines.len()).any(|i| self.member(group, i) && !self.machines[i].witness);
        match (0..self.groups).find(|group| self.voters(*group) < 2 || !holds(*group)) {
            Some(group) => Err(format!("group {group} has fewer than two members, or witnesses alone")),
            None if !self.members.is_empty() && self.arbiter == Arbiter::Keepalived => {
                Err("members of groups cannot be simulated with arbiter keepalived".to_owned())
            }
            None => Ok(()),
        }
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let counted = [
            ("nodes", self.machines.len(), 2, 16),
            ("groups", self.groups, 1, 250),
            ("HAVIPs", self.havips, 1, 8),
            ("HAVIPs of all groups", self.groups * self.havips, 1, 250),
            ("paths", self.paths, 1, 4),
        ];
        if let Some((what, n, least, most)) = counted.into_iter().find(|(_, n, least, most)| n < least || n > most) {
            return Err(format!("{n} {what}; {least} to {most} can be simulated"));
        }
        if self.machines.iter().all(|m| m.witness) {
            return Err("every node is a witness".to_owned());
        }
        if self.arbiter == Arbiter::Etcd {
            let text = "arbiter etcd with a leader key cannot be simulated, as nobody writes that here; what follows it is as with \
                        keepalived; etcd-lease is havipd's own election";
            return Err(text.to_owned());
        }
        if !(2_000..=300_000).contains(&self.etcd_lease_ms) || self.etcd_ppm.abs() > 100_000 {
            return Err("etcd-lease-ms is not 2000 to 300000, or etcd-ppm out of range".to_owned());
        }
        for (i, m) in self.machines.iter().enumerate() {
            if self.position(&m.name) != Some(i) {
                return Err(format!("two nodes are called {}", quote(&m.name)));
            }
            if m.name.parse::<havipd_core::model::ids::NodeName>().is_err()
                || self.target(i).parse::<havipd_core::model::ids::Target>().is_err()
            {
                return Err(format!("{} is no name for a node", quote(&m.name)));
            }
            if !(1_000..1_000_000_000_000).contains(&m.clock_ms) || m.clock_ppm.abs() > 100_000 {
                return Err(format!(
                    "node {}: clock-ms {} or clock-ppm {} is out of range",
                    m.name, m.clock_ms, m.clock_ppm
                ));
            }
        }
        self.check_members()?;
        if self.gate_timeout_ms > 600_000 || self.release_timeout_ms > 600_000 {
            return Err("gate-timeout-ms or release-timeout-ms is more than 600000".to_owned());
        }
        if self.requests_per_second.is_some_and(|rate| !(0.1..=1000.0).contains(&rate)) {
            return Err("requests-per-second is not 0.1 to 1000".to_owned());
        }
        if !(10..=60_000).contains(&self.interval_ms) || !(2..=100).contains(&self.dead_multiplier) {
            let (every, times) = (self.interval_ms, self.dead_multiplier);
            return Err(format!("interval-ms {every} is not 10 to 60000, or dead-multiplier {times} not 2 to 100"));
        }
        if self.arbiter == Arbiter::Majority && self.dead_multiplier < MAJORITY_MULTIPLIER {
            return Err(format!("dead-multiplier is not {MAJORITY_MULTIPLIER} or more, which arbiter majority needs"));
        }
        Ok(())
    }

    /// Our heartbeat's dead time.
    #[must_use]
    pub fn dead_time(&self) -> Duration {
        Duration::from_millis(self.interval_ms) * self.dead_multiplier
    }

    /// How much longer a claim, or a planned move, may take because of its gates.
    #[must_use]
    pub fn gates(&self) -> Duration {
        let one = |ms: u64| if ms > 0 { Duration::from_millis(ms + 3_000) } else { Duration::ZERO };
        one(self.gate_timeout_ms) + one(self.release_timeout_ms)
    }

    /// How long a node's address lives without its daemon.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.dead_time().as_millis().div_ceil(1000) as u64 + 1).max(Duration::from_secs(2))
    }

    /// What `node` is to the cloud.
    #[must_use]
    pub fn target(&self, node: usize) -> String {
        format!("i-{}", self.machines[node].name)
    }

    /// The node with that target.
    #[must_use]
    pub fn node_with(&self, target: &str) -> Option<usize> {
        self.position(target.strip_prefix("i-")?)
    }

    /// Id of HAVIP `number`, counted over all groups.
    #[must_use]
    pub fn havip_id(number: usize) -> String {
        format!("havip-{number}")
    }

    /// Address of HAVIP `number`.
    #[must_use]
    pub fn havip_address(number: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 1, u8::try_from(number + 1).unwrap_or(u8::MAX))
    }

    /// First heartbeat address of a node, the one of its instance.
    #[must_use]
    pub fn node_address(node: usize) -> Ipv4Addr {
        Self::path_address(node, 0)
    }

    /// Heartbeat address of a node on a path. The net 10.0.1.0 is the HAVIPs'.
    #[must_use]
    pub fn path_address(node: usize, path: usize) -> Ipv4Addr {
        let net = if path == 0 { 0 } else { u8::try_from(path + 1).unwrap_or(u8::MAX) };
        Ipv4Addr::new(10, 0, net, u8::try_from(node + 11).unwrap_or(u8::MAX))
    }

    /// Heartbeat key of that number; at first all nodes have number 1.
    #[must_use]
    pub fn key(id: u8) -> HeartbeatKey {
        HeartbeatKey { id: KeyId(id), secret: Secret::new(vec![id.wrapping_add(6); 32]) }
    }

    /// The checked configuration as `local` sees it.
    ///
    /// # Panics
    /// If a node's name is none.
    #[must_use]
    pub fn config(&self, local: usize) -> Config {
        let node = |(i, m): (usize, &Machine)| Node {
            name: m.name.parse().expect("a scenario names its nodes rightly"),
            addresses: (0..self.paths).map(|p| SocketAddr::from((Self::path_address(i, p), PORT))).collect(),
            target: (!m.witness && !self.identity_late)
                .then(|| self.target(i).parse().expect("made of a prefix and a name")),
            interface: None,
            priority: if m.witness { 0 } else { m.priority },
            witness: m.witness,
        };
        Config {
            cluster: "simulated".parse().expect("a name"),
            local: NodeIndex(local),
            nodes: self.machines.iter().enumerate().map(node).collect(),
            heartbeat: self.heartbeat(),
            cloud: Cloud { requests_per_second: self.requests_per_second, ..cloud() },
            groups: (0..self.groups).map(|g| self.group(g)).collect(),
            local_address: LocalAddress {
                lifetime: Some(self.lifetime()),
                announce_count: 5,
                announce_interval: Duration::from_millis(200),
                announce_refresh: Duration::from_secs(10),
            },
            metrics: None,
            daemon: Daemon::default(),
            keepalived: Keepalived::default(),
            etcd: (self.arbiter == Arbiter::EtcdLease).then(|| Etcd {
                endpoints: vec!["http://10.0.0.1:2379".to_owned()],
                prefix: "/havipd".to_owned(),
                lease: Duration::from_millis(self.etcd_lease_ms),
                request_timeout: super::etcd::TIMEOUT,
                ca_file: None,
                client: None,
                user: None,
            }),
            checks: Vec::new(),
            log: Log { level: LogLevel::Info, format: LogFormat::Text },
        }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            port: PORT,
            interval: Duration::from_millis(self.interval_ms),
            dead_multiplier: self.dead_multiplier,
            keys: vec![Self::key(1)],
            send_key: KeyId(1),
            cold_start_wait: Duration::from_millis(self.cold_start_wait_ms),
            fabric_probe: true,
        }
    }

    fn group(&self, number: usize) -> Group {
        let member = |(i, m): (usize, &Machine)| Member {
            node: NodeIndex(i),
            priority: if m.witness { 0 } else { m.priority },
            witness: m.witness,
        };
        let havip = |i: usize| Havip {
            id: Self::havip_id(number * self.havips + i).parse().expect("made of a prefix and a number"),
            binding: self.binding,
            address: (!self.address_late).then(|| Self::havip_address(number * self.havips + i)),
            interface: Interface::Discover,
            strangers: self.strangers,
        };
        Group {
            name: format!("group{number}").parse().expect("made of letters and a number"),
            members: (0..).zip(&self.machines).filter(|(i, _)| self.member(number, *i)).map(member).collect(),
            arbiter: self.arbiter,
            preempt: self.preempt,
            preempt_delay: Duration::from_millis(self.preempt_delay_ms),
            on_stop: self.on_stop,
            on_restart: self.on_restart,
            keep_for: Duration::from_millis(self.keep_for_ms),
            handover_timeout: Duration::from_millis(self.handover_timeout_ms),
            when_isolated: self.when_isolated,
            when_all_fail: self.when_all_fail,
            max_moves: self.max_moves,
            max_moves_window: Duration::from_secs(600),
            reclaim_wait: Duration::from_millis(self.reclaim_wait_ms),
            vrrp: Vrrp { kind: Kind::Instance, name: format!("group{number}") },
            leader: None,
            before_active: (self.gate_timeout_ms > 0).then(|| vec!["/gate".to_owned()]),
            before_active_timeout: Duration::from_millis(self.gate_timeout_ms),
            before_release: (self.release_timeout_ms > 0).then(|| vec!["/release".to_owned()]),
            before_release_timeout: Duration::from_millis(self.release_timeout_ms),
            before_release_failed: self.release_failed,
            observe: false,
            checks: Vec::new(),
            havips: (0..self.havips).map(havip).collect(),
            hooks: Hooks::default(),
        }
    }
}

/// `heartbeat.port` of every simulated node.
pub const PORT: u16 = 11200;

fn cloud() -> Cloud {
    Cloud {
        region: None,
        endpoint: Some("http://10.0.0.1".into()),
        metadata_endpoint: "http://169.254.169.254".into(),
        ca_file: None,
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(3),
        operation_timeout: Duration::from_secs(20),
        audit_interval: Duration::from_secs(30),
        requests_per_second: None,
        credentials: CredentialSource::Env,
    }
}
