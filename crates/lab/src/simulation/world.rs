//! The world of one run: virtual time, the queue of what is to happen, and everything that it happens to.

use super::clock::BEGINNING;
use super::cloud::{CloudModel, HavipSpec, InstanceSpec, Profile};
use super::cluster::Cluster;
use super::etcd::Etcd;
use super::facts::Facts;
use super::host::{Host, host};
use super::network::Network;
use super::order::Ordered;
use super::report::{Stats, Trace};
use super::scenario::Scenario;
use super::schedule::{Entry, Scheduled, TRIES_AGAIN};
use super::step_kind::StepKind;
use super::watch::{Seen, Watch};
use havipd_core::model::time::Instant;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

/// Starts of a copy, and boots of its machine, are counted from here: none of its node has such a number.
const FIRST: u64 = 1_000_000;
/// How often the invariants that look at lasting states are asked.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) now: Instant,
    queue: BinaryHeap<Entry>,
    order: u64,
    pub(super) scenario: Arc<Scenario>,
    pub(super) rng: fastrand::Rng,
    pub(super) hosts: Vec<Host>,
    pub(super) network: Network,
    pub(super) cloud: CloudModel,
    pub(super) cloud_wake: Option<Instant>,
    pub(super) cloud_delay: Duration,
    pub(super) etcd: Etcd,
    pub(super) ordered: Option<Ordered>,
    /// Since when all HAVIPs are where the cloud's callers put them, and it answers truly.
    pub(super) attack_permille: u32,
    /// The keepaliveds do not hear each other, whatever the links do.
    pub(super) vrrp_split: bool,
    /// Who gets the packets of each HAVIP and has its address.
    pub(super) served: Vec<Option<usize>>,
    pub(super) halts: u64,
    pub(super) requests: u64,
    pub(super) quiet: bool,
    /// What physically happened.
    pub(super) facts: Facts,
    pub(super) watch: Watch,
    pub(super) trace: Option<Trace>,
    pub(super) stats: Stats,
}

impl World {
    /// The world as the scenario begins; with `lines` it keeps so much of a readable account.
    ///
    /// # Panics
    /// If the scenario was not checked.
    #[must_use]
    pub(crate) fn new(scenario: &Scenario, lines: Option<usize>) -> Self {
        let scenario = Arc::new(scenario.clone());
        let cluster = &scenario.cluster;
        let rng = fastrand::Rng::with_seed(scenario.seed);
        let mut hosts: Vec<Host> = (0..cluster.machines.len()).map(|i| host(cluster, i)).collect();
        hosts.extend(copies(&scenario));
        let machines = hosts.len();
        let mut world = Self {
            now: BEGINNING,
            queue: BinaryHeap::new(),
            order: 0,
            cloud: cloud(cluster, scenario.seed),
            hosts,
            network: Network::new(cluster.machines.len(), cluster.paths),
            cloud_wake: None,
            cloud_delay: Duration::ZERO,
            etcd: Etcd::new(scenario.seed, cluster.etcd_ppm),
            ordered: scenario.order.as_ref().map(Ordered::new),
            attack_permille: 0,
            vrrp_split: false,
            served: vec![None; cluster.groups * cluster.havips],
            halts: 0,
            requests: 0,
            quiet: false,
            facts: Facts::new(machines, cluster.groups, cluster.groups * cluster.havips),
            watch: Watch::new(cluster),
            trace: lines.map(Trace::new),
            stats: Stats::default(),
            rng,
            scenario: Arc::clone(&scenario),
        };
        // What is so from the beginning is so before the first start.
        for (i, step) in scenario.steps.iter().enumerate() {
            world.at(BEGINNING + Duration::from_millis(step.at_ms), Scheduled::Step(i));
        }
        for i in 0..world.nodes() {
            let after = Duration::from_millis(world.rng.u64(0..50));
            world.after(after, Scheduled::Start { host: i });
        }
        world.at(BEGINNING + Duration::from_millis(scenario.quiet_ms), Scheduled::Quiet);
        world.after(TICK, Scheduled::Tick);
        if world.beside_keepalived() {
            world.after(TICK, Scheduled::Advertise);
        }
        world
    }

    pub(super) fn at(&mut self, at: Instant, what: Scheduled) {
        self.order += 1;
        self.queue.push(Entry { at: at.max(self.now), order: self.order, what });
    }

    pub(super) fn after(&mut self, span: Duration, what: Scheduled) {
        self.at(self.now + span, what);
    }

    /// A step of a call that takes so long, or as long as its turn takes to come.
    pub(super) fn call_step(&mut self, span: Duration, what: Scheduled) {
        let now = self.now;
        match self.ordered.as_mut().filter(|ordered| ordered.applies(now)) {
            Some(ordered) => {
                if let Some(every) = ordered.wait(what) {
                    self.after(every, Scheduled::CallsGoOn);
                }
            }
            None => self.after(span, what),
        }
    }

    /// The next step that waits goes on.
    fn calls_go_on(&mut self) {
        if let Some((what, every)) = self.ordered.as_mut().and_then(Ordered::next) {
            self.after(every, Scheduled::CallsGoOn);
            self.happen(what);
        }
    }

    /// Runs to the end, or to the first violation.
    pub(crate) fn run(&mut self) {
        let end = BEGINNING + Duration::from_millis(self.scenario.end_ms);
        while let Some(entry) = self.queue.pop() {
            if entry.at > end || self.watch.violation.is_some() {
                break;
            }
            self.now = entry.at;
            self.stats.events += 1;
            self.happen(entry.what);
        }
        if self.watch.violation.is_none() {
            self.now = end;
            self.see(&Seen::End);
        }
    }

    pub(super) fn happen(&mut self, what: Scheduled) {
        match what {
            Scheduled::Step(i) => {
                let scenario = Arc::clone(&self.scenario);
                let kind = &scenario.steps[i].kind;
                if self.better_not_yet(kind) {
                    self.after(TRIES_AGAIN, Scheduled::Step(i));
                } else {
                    self.carry_out_step(kind);
                }
            }
            Scheduled::Wake { host, incarnation } => self.wake(host, incarnation),
            Scheduled::Deliver { to, path, from, bytes, stamp } => self.deliver(to, path, from, bytes, stamp),
            Scheduled::Read { to, incarnation, event, arrival } => {
                if self.runs(to, incarnation) {
                    self.read(to, *event, arrival);
                }
            }
            Scheduled::Tell { host, incarnation, event } => {
                if self.runs(host, incarnation) {
                    self.step(host, *event);
                }
            }
            Scheduled::Wanted { host, incarnation, wish } => self.call_wanted(host, incarnation, *wish),
            Scheduled::Decide { host, incarnation } => self.decide_calls(host, incarnation),
            Scheduled::Arrive { flight, call, back } => self.call_arrived(flight, &call, back),
            Scheduled::Answer { flight, end } => self.call_answered(&flight, *end),
            Scheduled::Deadline { host, incarnation, op } => self.call_deadline(host, incarnation, op),
            Scheduled::CallsGoOn => self.calls_go_on(),
            Scheduled::Kernel { host } => self.expire_addresses(host),
            Scheduled::Cloud => {
                self.cloud_wake = None;
                self.cloud_changed();
            }
            Scheduled::EtcdAsk { ask } => self.etcd_ask(*ask),
            Scheduled::EtcdArrive { ask } => self.etcd_arrive(*ask),
            Scheduled::EtcdAnswer { ask, answer } => self.etcd_answer(&ask, *answer),
            Scheduled::EtcdTurn { host, incarnation } => self.etcd_turn(host, incarnation),
            Scheduled::EtcdRead { host, incarnation, group } => self.etcd_read(host, incarnation, group),
            Scheduled::EtcdEnds => self.etcd_ends(),
            Scheduled::Stored { host, incarnation, state } => self.stored(host, incarnation, *state),
            Scheduled::Progress { host, incarnation, round } => self.progress(host, incarnation, round),
            Scheduled::Start { host } => self.start(host),
            Scheduled::GoOn { host, halt } => self.go_on(host, halt),
            Scheduled::StopTimeout { host, incarnation } => self.stop_timed_out(host, incarnation),
            Scheduled::Sweep { host } => self.sweep(host),
            Scheduled::PowerOn { host } => self.power_on(host),
            Scheduled::Reload { host } => self.bring_reload(host),
            Scheduled::Unstick { host, disk } => self.unstick(host, disk),
            Scheduled::FreeAddress { host } => self.free_address(host),
            Scheduled::GateBegins { host, incarnation, group, op } => self.gate_begins(host, incarnation, group, op),
            Scheduled::GateDone { host, incarnation, group, op, passed } => {
                self.gate_done(host, incarnation, group, op, passed);
            }
            Scheduled::GateStops { host, incarnation, group, op } => self.gate_stops(host, incarnation, group, op),
            Scheduled::GateLook { host, incarnation, group } => self.look_at_gate(host, incarnation, group),
            Scheduled::Advertise => self.advertise(),
            Scheduled::KeepalivedStarts { host } => self.start_keepalived(host),
            Scheduled::VrrpState { host } => self.right_state(host),
            Scheduled::Tick => {
                self.see(&Seen::Tick);
                self.after(TICK, Scheduled::Tick);
            }
            Scheduled::Quiet => self.fall_quiet(),
            Scheduled::OperatorsDone => self.operators_done(),
        }
    }

    pub(super) fn runs(&self, host: usize, incarnation: u64) -> bool {
        self.hosts[host].process.as_ref().is_some_and(|p| p.incarnation == incarnation)
    }

    /// Shows something to the invariants.
    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let mut watch = std::mem::take(&mut self.watch);
        match seen.host().filter(|host| *host >= self.nodes()) {
            Some(copy) => watch.see_copy(self, copy, seen),
            None => watch.see(self, seen),
        }
        self.watch = watch;
    }

    /// Writes a line of the account; the text is only made when somebody reads it.
    pub(super) fn note(&mut self, host: Option<usize>, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let name = host.map_or("", |h| self.hosts[h].name.as_str());
            trace.add(self.now.since(BEGINNING), name, text());
        }
    }

    /// Something outside the daemon went wrong, or right again, for a host.
    pub(super) fn touch(&mut self, host: usize) {
        self.hosts[host].touched = self.now;
    }

    /// The same for all of them.
    pub(super) fn touch_all(&mut self) {
        (0..self.hosts.len()).for_each(|h| self.touch(h));
    }
}

/// The machines that the steps of a scenario copy, one copy of each.
fn copies(scenario: &Scenario) -> Vec<Host> {
    let cluster = &scenario.cluster;
    let copied = |node: &usize| {
        let name = &cluster.machines[*node].name;
        scenario.steps.iter().any(|s| matches!(&s.kind, StepKind::Clone { node, .. } if node == name))
    };
    let copy = |node: usize| {
        let original = host(cluster, node);
        Host {
            name: format!("{}-copy", original.name),
            target: format!("{}-copy", original.target),
            copy_of: Some(node),
            paths_lost: (0..cluster.paths).collect(),
            starts: FIRST,
            boots: FIRST,
            ..original
        }
    };
    (0..cluster.machines.len()).filter(copied).map(copy).collect()
}

fn cloud(cluster: &Cluster, seed: u64) -> CloudModel {
    let profile: Profile = cluster.profile.parse().expect("checked with the scenario");
    let mut model = CloudModel::new(profile, fastrand::Rng::with_seed(seed ^ 0x00c1_00d5));
    for number in 0..cluster.groups * cluster.havips {
        model.add_havip(BEGINNING, HavipSpec::new(&Cluster::havip_id(number), Cluster::havip_address(number)));
    }
    for i in 0..cluster.machines.len() {
        model.add_instance(InstanceSpec::new(&cluster.target(i), Cluster::node_address(i)));
    }
    model
}
