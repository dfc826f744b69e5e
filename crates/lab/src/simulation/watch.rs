//! What the invariants get to see, and who asks them.

use super::cluster::Cluster;
use super::host::Halt;
use super::invariants::{self, Invariant};
use super::report::Violation;
use super::step_kind::StepKind;
use super::world::World;
use havipd_core::model::action::{GateRun, Notification, Transition, Write};
use havipd_core::model::ids::{Epoch, GroupIndex};
use havipd_core::model::role::Role;
use havipd_core::model::settings::{Binding, Strangers};
use havipd_core::model::time::Instant;
use std::time::Duration;

/// One thing that an invariant may judge.
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    /// A node's core did a step, and all its actions were carried out.
    Turned { host: usize },
    /// A role is to change: the facts are those of the decision.
    Decided { host: usize, transition: &'a Transition },
    /// A role changed.
    Became { host: usize, transition: &'a Transition },
    /// A write is about to go out.
    Wrote { host: usize, write: &'a Write },
    /// An address is about to be put or renewed.
    Put { host: usize, group: GroupIndex, lifetime: Option<Duration> },
    /// An announcement is about to go out.
    Announced { host: usize, group: GroupIndex },
    /// Hooks are about to run.
    Notified { host: usize, notification: &'a Notification },
    /// A core asks for the run of a gate: the facts are those of the decision.
    GateAsked { host: usize, run: &'a GateRun },
    /// A gate has begun to run.
    GateBegan { host: usize },
    /// One has ended.
    GateEnded { host: usize, run: &'a GateRun, passed: bool },
    /// Somebody else, or nobody, serves a HAVIP now; [`World::served`] says who.
    Served { havip: usize },
    /// A node calls the cloud.
    CallBegan { host: usize },
    /// A heartbeat left.
    Sent { from: usize, to: usize },
    /// A daemon was started.
    Started { host: usize },
    /// A step of the scenario is about to be carried out.
    Did { kind: &'a StepKind },
    /// A forged datagram was taken; `changed` says what it changed, if it did.
    Forged { host: usize, changed: &'a str },
    /// All faults have ended.
    Quiet,
    /// Time has passed.
    Tick,
    /// The scenario is over.
    End,
}

/// All invariants of one run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    pub(super) violation: Option<Violation>,
    pub(super) settled: super::invariants::i03_convergence::Settling,
    pub(super) ledger: super::invariants::moves::Moves,
}

impl Watch {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self { invariants: invariants::all(cluster), ..Self::default() }
    }

    pub(super) fn see(&mut self, world: &World, seen: &Seen<'_>) {
        self.ledger.see(world, seen);
        let mut broken: Vec<(&'static str, String)> = vec![];
        for invariant in &mut self.invariants {
            if let Err(text) = invariant.see(world, seen) {
                broken.push((invariant.name(), text));
            }
        }
        if let Err(text) = self.settled.see(world, seen) {
            broken.push(("I3", text));
        }
        self.broke(world, broken);
    }

    /// Keeps the first promise that was broken, and what was broken in the same instant.
    pub(super) fn broke(&mut self, world: &World, mut broken: Vec<(&'static str, String)>) {
        if broken.is_empty() {
            return;
        }
        let at = world.elapsed();
        match &mut self.violation {
            Some(first) if first.at == at => first.besides.append(&mut broken),
            Some(_) => {}
            None => {
                let (invariant, text) = broken.remove(0);
                self.violation = Some(Violation { invariant, at, text, besides: broken });
            }
        }
    }
}

/// Questions that invariants ask.
impl World {
    /// Number of nodes. The hosts after them are copies of their machines.
    pub(super) fn nodes(&self) -> usize {
        self.scenario.cluster.machines.len()
    }

    /// The hosts of the nodes.
    pub(super) fn node_hosts(&self) -> &[super::host::Host] {
        &self.hosts[..self.nodes()]
    }

    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        self.scenario.cluster.groups
    }

    /// A node's name.
    pub(super) fn name(&self, host: usize) -> &str {
        &self.scenario.cluster.machines[host].name
    }

    /// The instant on a node's own clock.
    pub(super) fn guest_now(&self, host: usize) -> Instant {
        self.hosts[host].clock.read(self.now)
    }

    /// Role of a node; `None` while no daemon runs there.
    pub(super) fn role(&self, host: usize, group: usize) -> Option<Role> {
        self.hosts[host].role(group)
    }

    /// The same as far as the actions of its last turn are carried out.
    pub(super) fn role_so_far(&self, host: usize, group: usize) -> Option<Role> {
        self.hosts[host].process.as_ref().and_then(|p| p.done.get(group).copied())
    }

    /// The epoch that a node has, asks for or had last in a group.
    pub(super) fn epoch(&self, host: usize, group: usize) -> Option<Epoch> {
        self.hosts[host].process.as_ref()?.core.epoch(GroupIndex(group))
    }

    /// Until when a node has leadership, on its own clock.
    pub(super) fn leadership_until(&self, host: usize, group: usize) -> Option<Instant> {
        let p = self.hosts[host].process.as_ref()?;
        p.core.leadership_until(GroupIndex(group), self.guest_now(host))
    }

    /// The one node that is Active in a group.
    pub(super) fn active(&self, group: usize) -> Option<usize> {
        (0..self.nodes()).find(|h| self.role(*h, group) == Some(Role::Active))
    }

    /// The HAVIPs of a group, numbered over all groups.
    pub(super) fn havips_of(&self, group: usize) -> std::ops::Range<usize> {
        let per = self.scenario.cluster.havips;
        group * per..(group + 1) * per
    }

    /// Who gets a HAVIP's packets and has its address.
    #[must_use]
    pub(crate) fn served(&self, havip: usize) -> Option<usize> {
        self.served[havip]
    }

    /// Whether a node has a HAVIP's address.
    pub(super) fn has_address(&self, host: usize, havip: usize) -> bool {
        self.hosts[host].addresses.contains_key(&Cluster::havip_address(havip))
    }

    /// How long nothing has gone wrong for a node, nor does now: its host, its links, its cloud. `None`: something does.
    pub(super) fn calm(&self, host: usize) -> Option<Duration> {
        let well = self.sound(host) && !self.cloud_errs_for(host) && self.cloud_delay.is_zero();
        well.then(|| self.now.since(self.hosts[host].touched))
    }

    /// Whether nothing is wrong with a node, its links and its way to the cloud, and nobody runs with another digest.
    pub(super) fn sound(&self, host: usize) -> bool {
        let (h, cluster) = (&self.hosts[host], &self.scenario.cluster);
        let [before_active, before_release] =
            [cluster.gate_timeout_ms, cluster.release_timeout_ms].map(Duration::from_millis);
        let peers = (0..self.nodes()).filter(|p| *p != host);
        let links = peers.clone().any(|p| {
            let bad =
                |from, to| self.network.impaired(from, to) || !self.network.kept_for(self.now, from, to).is_zero();
            bad(host, p) || bad(p, host) || !self.hosts[p].link_up
        });
        let ill = !h.awake()
            || !h.link_up
            || !h.havip_links_down.is_empty()
            || h.refuses
            || self.node_hosts().iter().any(|h| !h.paths_lost.is_empty())
            || !h.reads_late.is_zero()
            || h.effects_stuck
            || h.disk_stuck
            || h.address_stuck.is_some()
            || h.reach != super::host::Reach::Both
            || !self.etcd_is_sound(host)
            || h.interrupt.is_some()
            || h.gates.ill(before_active, before_release)
            || h.health.is_some_and(|(weight, failed, undecided)| weight != 0 || failed || undecided)
            || links
            || self.node_hosts().iter().any(|p| p.process.is_some() && p.digest != h.digest);
        !ill
    }

    /// The least calm of all nodes.
    pub(super) fn all_calm(&self) -> Option<Duration> {
        (0..self.nodes()).map(|h| self.calm(h)).min_by_key(|c| c.unwrap_or_default()).flatten()
    }

    /// How the HAVIPs of a group are bound, as a node's file says.
    pub(super) fn binding(&self, host: usize, group: usize) -> Binding {
        self.hosts[host].config.groups[group].havips.first().map_or(Binding::Exclusive, |h| h.binding)
    }

    /// Whether the hypervisor holds a node.
    pub(super) fn frozen(&self, host: usize) -> bool {
        matches!(self.hosts[host].halted, Some((Halt::Frozen, _)))
    }

    /// The longest of all dead times that a node may use by now, reloads included.
    pub(super) fn dead_time(&self) -> Duration {
        let of = |h: &super::host::Host| h.config.heartbeat.dead_time();
        self.node_hosts().iter().map(of).max().unwrap_or_default().max(self.scenario.cluster.dead_time())
    }

    /// Whether a fault of the cloud hits calls of a node.
    pub(super) fn cloud_errs_for(&self, host: usize) -> bool {
        self.cloud.faults().iter().any(|(_, rule)| self.hit_by(rule).is_none_or(|hit| hit == host))
    }

    /// Whose calls a fault of the cloud hits; `None` is everybody's.
    pub(super) fn hit_by(&self, rule: &super::cloud::FaultRule) -> Option<usize> {
        let caller = rule.caller.as_deref()?;
        let cluster = &self.scenario.cluster;
        cluster.position(caller).or_else(|| cluster.node_with(caller))
    }

    /// What a fault of this host, of its links or of its cloud may still lead to for a holder once it is over: the
    /// silences that began during it, and one operation on the cloud. Waits of others do not touch a holder.
    pub(super) fn aftermath(&self) -> Duration {
        self.dead_time() * 3
            + super::bound::lease(&self.scenario.cluster) * 2
            + self.hosts[0].config.cloud.operation_timeout
            + Duration::from_secs(10)
    }

    /// How long leadership can outlast what it stands on.
    pub(super) fn longest_lease(&self) -> Duration {
        self.dead_time().max(super::bound::lease(&self.scenario.cluster))
    }

    /// Longer than anything that a past fault can still run into: waits, budgets, leases.
    pub(super) fn calm_enough(&self) -> Duration {
        super::bound::bound(&self.scenario.cluster, self.dead_time())
    }

    /// Whether any node that runs says that maintenance is on.
    pub(super) fn maintained(&self) -> bool {
        (0..self.nodes()).any(|h| (0..self.groups()).any(|g| self.maintains(h, g)))
    }

    /// Whether a node says that maintenance of a group is on. That excuses only where an operator has ordered it at all.
    pub(super) fn maintains(&self, host: usize, group: usize) -> bool {
        let process = self.hosts[host].process.as_ref();
        self.facts.maintenance_ordered && process.is_some_and(|p| p.core.maintained(GroupIndex(group)))
    }

    /// Whether any node has taken a file since its machine began in which something is another that all must agree on.
    pub(super) fn files_changed(&self) -> bool {
        (0..self.nodes()).any(|h| self.facts.host(h).digest_set.is_some())
    }

    /// Whether strangers are bound to a HAVIP whom only an operator may take off.
    pub(super) fn kept_by_strangers(&self, havip: usize) -> bool {
        let cluster = &self.scenario.cluster;
        let view = self.cloud.havip(self.now, &Cluster::havip_id(havip));
        cluster.strangers == Strangers::Refuse
            && view.is_some_and(|v| v.bound.iter().any(|t| cluster.node_with(&t.id).is_none()))
    }

    /// Whether the cloud can be made to agree at all.
    pub(super) fn winnable(&self) -> bool {
        self.cloud.profile().winnable()
    }
}
