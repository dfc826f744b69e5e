//! The core in virtual time: a few nodes joined by a perfect network, so that a test can speak of
//! whole action lists. Faults, loss and clocks are the simulator's business.

mod addresses;
mod claims;
mod concerns;
mod conformance;
mod conformance_etcd;
mod conformance_majority;
mod drill;
mod economy;
mod etcd;
mod faults;
mod forged;
mod forward;
mod gates;
mod hosts;
mod keepalived;
mod late_state;
mod maintenance;
mod observe;
mod outlook;
mod reads;
mod releases;
mod reload;
mod stood_still;
mod succession;

use super::{Core, Start};
use crate::model::action::{Action, Actions, Write};
use crate::model::cloud::{Bound, CallError, ErrorClass, HaVip};
use crate::model::event::{Event, OperationResult};
use crate::model::ids::{BootId, Epoch, GroupIndex, HavipIndex, KeyId, NodeIndex, Target};
use crate::model::persisted::{Persisted, PersistedGroup};
use crate::model::role::{Cause, Role};
use crate::model::secret::Secret;
use crate::model::settings::*;
use crate::model::time::Instant;
use crate::wire::next_release::of_next_release;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Heartbeat interval of every test cluster; the dead time is ten of them.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// One way over the network, and one call of the cloud.
const DELAY: Duration = Duration::from_millis(1);

pub(crate) fn config(nodes: usize, local: usize, arbiter: Arbiter) -> Config {
    let names = ["a", "b", "c", "d", "e"];
    let node = |i: usize| Node {
        name: names[i].parse().expect("valid"),
        addresses: vec![SocketAddr::from(([10, 0, 0, 10 + i as u8], 11200))],
        target: Some(format!("i-{}", names[i]).parse().expect("valid")),
        interface: None,
        priority: 150 - 10 * i as u8,
        witness: false,
    };
    let group = Group {
        name: "web".parse().expect("valid"),
        members: (0..nodes)
            .map(|i| Member { node: NodeIndex(i), priority: 150 - 10 * i as u8, witness: false })
            .collect(),
        arbiter,
        preempt: true,
        preempt_delay: Duration::from_secs(30),
        on_stop: OnStop::Handover,
        on_restart: OnRestart::Keep,
        keep_for: Duration::from_secs(15),
        handover_timeout: Duration::from_secs(10),
        when_isolated: HoldOrRelease::Hold,
        when_all_fail: HoldOrRelease::Hold,
        max_moves: 6,
        max_moves_window: Duration::from_secs(600),
        reclaim_wait: Duration::from_secs(300),
        vrrp: "web".parse().expect("valid"),
        leader: None,
        before_active: None,
        before_active_timeout: Duration::from_secs(30),
        before_release: None,
        before_release_timeout: Duration::from_secs(30),
        before_release_failed: AbortOrContinue::Abort,
        observe: false,
        checks: Vec::new(),
        havips: vec![Havip {
            id: "havip-1".parse().expect("valid"),
            binding: Binding::Exclusive,
            address: Some([10, 0, 0, 100].into()),
            interface: Interface::Discover,
            strangers: Strangers::Guard,
        }],
        hooks: Hooks::default(),
    };
    Config {
        cluster: "test".parse().expect("valid"),
        local: NodeIndex(local),
        nodes: (0..nodes).map(node).collect(),
        heartbeat: Heartbeat {
            port: 11200,
            interval: INTERVAL,
            dead_multiplier: 10,
            keys: vec![HeartbeatKey { id: KeyId(1), secret: Secret::new(vec![7; 32]) }],
            send_key: KeyId(1),
            cold_start_wait: Duration::from_secs(30),
            fabric_probe: false,
        },
        cloud: Cloud {
            region: None,
            endpoint: Some("http://127.0.0.1:1".into()),
            metadata_endpoint: "http://127.0.0.1:1".into(),
            ca_file: None,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(3),
            operation_timeout: Duration::from_secs(20),
            audit_interval: Duration::from_secs(30),
            requests_per_second: None,
            credentials: CredentialSource::Env,
        },
        groups: vec![group],
        local_address: LocalAddress {
            lifetime: Some(Duration::from_secs(2)),
            announce_count: 5,
            announce_interval: Duration::from_millis(200),
            announce_refresh: Duration::from_secs(10),
        },
        metrics: None,
        daemon: Daemon::default(),
        keepalived: Keepalived::default(),
        etcd: None,
        checks: Vec::new(),
        log: Log { level: LogLevel::Info, format: LogFormat::Text },
    }
}

/// A cluster joined by a network that loses nothing, and a cloud in which the last attached is master.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Option<Core>>,
    pub(crate) bound: Vec<String>,
    /// Everything each node wanted done, with the time.
    pub(crate) log: Vec<(Instant, usize, Action)>,
    queue: VecDeque<(Instant, usize, Event)>,
    /// Directed links that lose everything.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// What the cloud answers a node instead of doing anything.
    pub(crate) api: BTreeMap<usize, CallError>,
    /// The same of writes alone.
    pub(crate) writes: BTreeMap<usize, CallError>,
    /// Who is bound as a node's reads show it, where they lag behind.
    pub(crate) stale: BTreeMap<usize, Vec<String>>,
    /// What each node left on disk.
    pub(crate) disks: BTreeMap<usize, Persisted>,
    /// One way over the network.
    pub(crate) delay: Duration,
    /// How far each node's clock is behind, since its host was frozen.
    pub(crate) behind: BTreeMap<usize, Duration>,
    /// Nodes whose calls never end.
    pub(crate) unanswered: BTreeSet<usize>,
    /// Hosts that put no address: what their kernel says, or nothing.
    pub(crate) no_address: BTreeMap<usize, Option<String>>,
    /// Nodes whose announcements do not leave the host.
    pub(crate) mute: BTreeSet<usize>,
    /// Nodes of a later release: what they send says things that this one does not know.
    pub(crate) later: BTreeSet<usize>,
    /// Nodes whose effects side stands still; that of the others goes on, since then.
    pub(crate) stuck: BTreeSet<usize>,
    /// Nodes whose gates fail; those of the others succeed.
    pub(crate) failing_gates: BTreeSet<usize>,
    progress: BTreeMap<usize, Instant>,
}

impl Pair {
    pub(crate) fn new(nodes: usize, arbiter: Arbiter) -> Self {
        Self::with(nodes, Instant::from_millis(1_000_000), |local| config(nodes, local, arbiter))
    }

    /// Nodes that start at `now`, with the configuration that each is given.
    pub(crate) fn with(nodes: usize, now: Instant, config: impl Fn(usize) -> Config) -> Self {
        let mut pair = Self {
            now,
            nodes: vec![],
            bound: vec![],
            log: vec![],
            queue: VecDeque::new(),
            cut: BTreeSet::new(),
            api: BTreeMap::new(),
            writes: BTreeMap::new(),
            stale: BTreeMap::new(),
            disks: BTreeMap::new(),
            delay: DELAY,
            behind: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            no_address: BTreeMap::new(),
            mute: BTreeSet::new(),
            later: BTreeSet::new(),
            stuck: BTreeSet::new(),
            failing_gates: BTreeSet::new(),
            progress: BTreeMap::new(),
        };
        for i in 0..nodes {
            pair.nodes.push(None);
            pair.start(i, config(i));
        }
        pair
    }

    pub(crate) fn start(&mut self, i: usize, config: Config) {
        let mut boot = [i as u8 + 1; 16];
        boot[..8].copy_from_slice(&self.now.as_nanos().to_be_bytes());
        let boot = BootId(boot);
        let start = Start {
            config: Arc::new(config),
            boot,
            seed: i as u64,
            persisted: Some(self.disks.get(&i).cloned().unwrap_or_default()),
            machine_boot: "a boot".to_owned(),
        };
        self.nodes[i] = Some(Core::new(start, self.now));
        let absent = Event::AddressObserved { group: GroupIndex(0), havip: HavipIndex(0), present: false };
        self.give(i, absent);
    }

    pub(crate) fn core(&self, i: usize) -> &Core {
        self.nodes[i].as_ref().expect("it runs")
    }

    pub(crate) fn role(&self, i: usize) -> Role {
        self.core(i).groups[0].role()
    }

    /// Cuts, or heals, both directions between two nodes.
    pub(crate) fn partition(&mut self, a: usize, b: usize, cut: bool) {
        for link in [(a, b), (b, a)] {
            if cut {
                self.cut.insert(link)
            } else {
                self.cut.remove(&link)
            };
        }
    }

    /// Moves of leadership: how often a node other than the last one became active.
    pub(crate) fn moves(&self) -> usize {
        let mut active = self.log.iter().filter_map(|(_, i, a)| match a {
            Action::Record(t) if t.to == Role::Active => Some(*i),
            _ => None,
        });
        let mut last = active.next();
        active.filter(|i| last.replace(*i) != Some(*i)).count()
    }

    /// The causes that a node gave for its changes of role.
    pub(crate) fn causes(&self, node: usize) -> Vec<Cause> {
        let own = self.log.iter().filter(|(_, i, _)| *i == node);
        own.filter_map(|(_, _, a)| if let Action::Record(t) = a { Some(t.cause) } else { None }).collect()
    }

    /// Whether a node took a role since `from`.
    pub(crate) fn became(&self, from: Instant, node: usize, role: Role) -> bool {
        let since = self.log.iter().filter(|(at, i, _)| *at >= from && *i == node);
        since.into_iter().any(|(_, _, a)| matches!(a, Action::Record(t) if t.to == role))
    }

    pub(crate) fn kill(&mut self, i: usize) {
        self.nodes[i] = None;
    }

    /// Hands one event to a node and queues what follows from its actions.
    pub(crate) fn give(&mut self, i: usize, event: Event) -> Actions {
        let now = self.clock(i);
        let Some(core) = self.nodes[i].as_mut() else { return vec![] };
        let mut actions = Actions::new();
        let mut due = self.progress.get(&i).is_none_or(|at| now >= *at + core.config().heartbeat.dead_time() / 4);
        due &= !self.stuck.contains(&i);
        core.handle(now, event, &mut actions);
        if due {
            core.handle(now, Event::EffectsProgressed, &mut actions);
            self.progress.insert(i, now);
        }
        for action in &actions {
            self.carry_out(i, action);
        }
        self.log.extend(actions.iter().map(|a| (self.now, i, a.clone())));
        actions
    }

    /// What a node's clock shows.
    pub(crate) fn clock(&self, i: usize) -> Instant {
        let behind = self.behind.get(&i).copied().unwrap_or_default();
        Instant::default() + (self.now.since(Instant::default()) - behind)
    }

    /// When a node wants a step.
    fn deadline(&self, i: usize) -> Option<Instant> {
        Some(self.nodes[i].as_ref()?.next_deadline() + self.behind.get(&i).copied().unwrap_or_default())
    }

    fn carry_out(&mut self, i: usize, action: &Action) {
        let at = self.now + DELAY;
        match action {
            Action::ReadHavip { .. } | Action::Write(_) | Action::ReadInstance { .. }
                if self.unanswered.contains(&i) => {}
            Action::SendDatagram { to, bytes, .. } => {
                if to.ip() == std::net::IpAddr::from([10, 0, 0, 100]) {
                    // The fabric: the master gets it.
                    let master = self.bound.last().and_then(|id| id.bytes().last());
                    let from = SocketAddr::from(([10, 0, 0, 10 + i as u8], 11200));
                    if let Some(node) = master.map(|b| usize::from(b - b'a')) {
                        let event =
                            Event::DatagramReceived { path: None, from, arrived: self.now, bytes: bytes.clone() };
                        self.enqueue(self.now + self.delay, node, event);
                    }
                } else if let std::net::IpAddr::V4(ip) = to.ip() {
                    let node = usize::from(ip.octets()[3]).wrapping_sub(10);
                    let from = SocketAddr::from(([10, 0, 0, 10 + i as u8], 11200));
                    let bytes = if self.later.contains(&i) {
                        of_next_release(bytes.clone(), self.core(i).config())
                    } else {
                        bytes.clone()
                    };
                    let event = Event::DatagramReceived { path: Some(0), from, arrived: self.now, bytes };
                    if !self.cut.contains(&(i, node)) {
                        self.enqueue(self.now + self.delay, node, event);
                    }
                }
            }
            Action::ReadHavip { op, .. } => {
                let answer = self.api.get(&i).map_or_else(|| Ok(self.record(i)), |e| Err(e.clone()));
                let result = OperationResult::Havip(answer);
                self.enqueue(at, i, Event::OperationEnded { op: *op, result });
            }
            Action::Write(Write { op, .. }) if self.api.contains_key(&i) || self.writes.contains_key(&i) => {
                let error = self.api.get(&i).unwrap_or_else(|| &self.writes[&i]);
                let result = OperationResult::Written(Err(error.clone()));
                self.enqueue(at, i, Event::OperationEnded { op: *op, result });
            }
            Action::RunGate(run) => {
                let passed = !self.failing_gates.contains(&i);
                let text = "exit code".to_owned();
                self.enqueue(at, i, Event::GateEnded { group: run.group, op: run.op, passed, text });
            }
            Action::ReadInstance { op, .. } => {
                let result = OperationResult::Instance(Ok(crate::model::event::InstanceState::Running));
                self.enqueue(at, i, Event::OperationEnded { op: *op, result });
            }
            Action::Persist(persisted) => {
                self.disks.insert(i, persisted.clone());
            }
            Action::Exit => self.nodes[i] = None,
            Action::Write(Write { op, kind, targets, .. }) => {
                self.enqueue(self.now, i, Event::OperationSent { op: *op, at: self.now });
                let ids: Vec<String> = targets.iter().map(|t: &Target| t.id().to_owned()).collect();
                self.bound.retain(|b| !ids.contains(b));
                if *kind == crate::model::action::WriteKind::Attach {
                    self.bound.extend(ids);
                }
                let result = OperationResult::Written(Ok(()));
                self.enqueue(at, i, Event::OperationEnded { op: *op, result });
            }
            Action::PutAddress { group, havip, .. } if self.no_address.contains_key(&i) => {
                let (group, havip, error) = (*group, *havip, self.no_address[&i].clone());
                if error.is_some() {
                    self.enqueue(at, i, Event::AddressAnswered { group, havip, error });
                }
            }
            Action::PutAddress { group, havip, .. } | Action::DropAddress { group, havip, .. } => {
                let present = matches!(action, Action::PutAddress { .. });
                let event = Event::AddressObserved { group: *group, havip: *havip, present };
                self.enqueue(at, i, event);
            }
            Action::Announce { group, havip, .. } if self.mute.contains(&i) => {
                self.enqueue(at, i, Event::AnnounceFailed { group: *group, havip: *havip });
            }
            Action::Announce { group, address, .. } => {
                self.enqueue(at, i, Event::Announced { group: *group, address: *address });
            }
            _ => {}
        }
    }

    fn enqueue(&mut self, at: Instant, node: usize, event: Event) {
        let place = self.queue.partition_point(|(other, ..)| *other <= at);
        self.queue.insert(place, (at, node, event));
    }

    fn record(&self, reader: usize) -> HaVip {
        let shown = self.stale.get(&reader).unwrap_or(&self.bound);
        let last = shown.len().wrapping_sub(1);
        let bound = |(n, id): (usize, &String)| Bound {
            instance_id: id.clone(),
            instance_type: "SERVER".into(),
            master: Some(n == last),
        };
        HaVip {
            ha_vip_id: "havip-1".into(),
            name: String::new(),
            vpc_id: String::new(),
            subnet_id: String::new(),
            status: String::new(),
            private_ip_address: Some([10, 0, 0, 100].into()),
            public_ip_address: None,
            binded_instances: shown.iter().enumerate().map(bound).collect(),
        }
    }

    /// What each node recorded and did, without datagrams, for a failing test to show.
    pub(crate) fn story(&self) -> String {
        let told = self.log.iter().filter(|(_, _, a)| !matches!(a, Action::SendDatagram { .. } | Action::Persist(_)));
        let lines: Vec<String> = told.map(|(at, i, a)| format!("{at:?} {i} {a:?}")).collect();
        lines.join("\n")
    }

    /// Lets `span` pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let queued = self.queue.front().map(|(at, ..)| *at);
            let timer = (0..self.nodes.len()).filter_map(|i| self.deadline(i)).min();
            let next = queued.into_iter().chain(timer).min().unwrap_or(end).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if queued == Some(next) || queued.is_some_and(|at| at <= next) {
                if let Some((_, node, event)) = self.queue.pop_front() {
                    self.give(node, event);
                }
                continue;
            }
            let due = (0..self.nodes.len()).find(|i| self.deadline(*i).is_some_and(|at| at <= next));
            if let (Some(i), Some(before)) = (due, due.and_then(|i| self.deadline(i))) {
                self.give(i, Event::TimerExpired);
                if self.nodes[i].is_none() {
                    continue;
                }
                let after = self.deadline(i).expect("it runs");
                assert!(
                    after > before.max(Instant::default()) || after > self.now,
                    "a timer that does not go off: {before:?}"
                );
            }
        }
    }
}

/// An answer of the cloud that is a no.
pub(crate) fn call_error(class: ErrorClass, denied: bool) -> CallError {
    let status = Some(if denied { 403 } else { 500 });
    CallError { status, denied, ..CallError::new(class, "test havip-1", "made up") }
}
