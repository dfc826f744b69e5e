//! The core: who has leadership, and what follows from it. Sans-IO.
//!
//! One event goes in, a list of actions comes out, and the caller carries all of them out before
//! the next event. The core reads no clock, opens no socket and rolls no dice: time comes with
//! each event, randomness from a seeded generator. Every step evaluates the whole state again
//! (level-triggered), so no decision depends on having seen an edge. The protocol is described in
//! `docs/protocol.md`.

pub mod snapshot;

mod active;
mod arbiter;
mod claim;
mod command;
pub mod drill;
mod eligibility;
mod forward;
mod gating;
mod goodbye;
mod group;
mod handover;
pub mod maintenance;
mod observe;
mod paths;
pub(crate) mod peer;
mod probe;
mod rank;
mod reach;
mod receive;
mod reload;
mod send;
mod serving;
mod stall;
mod state;
pub(crate) mod step_context;
pub mod succession;
mod timeline;

use crate::model::action::{Action, Actions};
use crate::model::event::{Event, OperationResult};
use crate::model::ids::{BootId, GroupIndex, HavipIndex, Target};
use crate::model::persisted::Persisted;
use crate::model::settings::Config;
use crate::model::step::{Jitter, Operations};
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::model::timer::{Timer, Timers};
use crate::status::Counters;
use crate::wire::auth::KeyRing;
use arbiter::lease::Voter;
pub use eligibility::NO_INTERFACE;
pub use goodbye::Goodbye;
use group::Group;
use group::drain::Drain;
use peer::Peers;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use step_context::StepContext;

/// How often a group is evaluated at most while its role still changes.
const SETTLE_MAX: usize = 4;

/// Which groups an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concerns {
    /// Peers, this host, the file or an operator: what every group goes by.
    All,
    /// One group, and whichever has a deadline now.
    One(GroupIndex),
    /// Only the groups that have a deadline now.
    WhoWaits,
}

/// The whole election of one node: its sessions, its groups, and their ownership reconcilers.
#[derive(Debug)]
pub struct Core {
    config: Arc<Config>,
    digest: crate::model::digest::Digest,
    keys: KeyRing,
    boot: BootId,
    started: Instant,
    jitter: Jitter,
    peers: Peers,
    groups: Vec<Group>,
    by_tag: BTreeMap<Tag, GroupIndex>,
    havips_by_tag: BTreeMap<Tag, (GroupIndex, HavipIndex)>,
    /// Groups that are to be evaluated in the next step, whatever else it is for.
    concerned: Vec<GroupIndex>,
    /// A datagram said of its sender what every group goes by.
    peers_told: bool,
    /// A datagram counted since the peers' clocks were last compared with ours.
    clocks_told: bool,
    identity: Option<Target>,
    /// How this machine is another one than this node is to the cloud.
    wrong_host: Option<String>,
    persisted: Persisted,
    /// What the last run left is known. ⚠ Until then nothing is stored: it would replace what nobody has read.
    state_known: bool,
    timers: Timers,
    ops: Operations,
    sender: send::Sender,
    stall: stall::Stall,
    forwarding: forward::Forwarding,
    paths: paths::Paths,
    counters: Counters,
    stopping: bool,
    exited: bool,
    changed: bool,
    persist: bool,
}

/// What a new core starts from.
#[derive(Debug)]
pub struct Start {
    /// The configuration, seen from the local node.
    pub config: Arc<Config>,
    /// 128 bits that no other start has.
    pub boot: BootId,
    /// Seed of the jitter.
    pub seed: u64,
    /// What the last run left in the state directory. `None`: the disk has not said yet; [`Event::StateFound`] tells.
    pub persisted: Option<Persisted>,
    /// Names this boot of the machine, as no other does.
    pub machine_boot: String,
}

/// Where the groups of a configuration are, by the tag that datagrams name them with.
fn by_tag(config: &Config) -> BTreeMap<Tag, GroupIndex> {
    config.groups.iter().enumerate().map(|(i, g)| (Tag::group(&g.name), GroupIndex(i))).collect()
}

/// The same of its HAVIPs: a tag is a hash, and every probe names one.
fn havips_by_tag(config: &Config) -> BTreeMap<Tag, (GroupIndex, HavipIndex)> {
    let of_group = |(i, g): (usize, &crate::model::settings::Group)| {
        let of_havip =
            |(j, h): (usize, &crate::model::settings::Havip)| (Tag::havip(&h.id), (GroupIndex(i), HavipIndex(j)));
        g.havips.iter().enumerate().map(of_havip).collect::<Vec<_>>()
    };
    config.groups.iter().enumerate().flat_map(of_group).collect()
}

impl Core {
    /// A core that starts at `now` and has heard nothing yet.
    #[must_use]
    pub fn new(start: Start, now: Instant) -> Self {
        let Start { config, boot, seed, persisted, machine_boot } = start;
        let state_known = persisted.is_some();
        let mut persisted = persisted.unwrap_or_default();
        if persisted.of_another(&config).is_some() {
            persisted = Persisted::default();
        }
        persisted.cluster = config.cluster.to_string();
        persisted.node = config.local_node().name.to_string();
        let own = config.local_node();
        // ⚠ A run that ended by a crash may have granted to its end, and left no word of it. In an earlier boot of the
        // machine that was before the clock began; else it may have been just now.
        let before = std::mem::replace(&mut persisted.machine_boot, machine_boot);
        let known = !before.is_empty() && !persisted.machine_boot.is_empty();
        let earlier_boot = known && before != persisted.machine_boot;
        let granted_until = if earlier_boot { Instant::default() } else { now };
        let inherited = std::mem::take(&mut persisted.grants);
        let mut core = Self {
            digest: crate::model::digest::digest(&config),
            keys: KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key),
            boot,
            started: now,
            jitter: Jitter::new(seed),
            peers: Peers::new(&config, now, boot),
            groups: Vec::new(),
            by_tag: by_tag(&config),
            havips_by_tag: havips_by_tag(&config),
            concerned: Vec::new(),
            peers_told: false,
            clocks_told: false,
            identity: own.target.clone(),
            wrong_host: None,
            timers: Timers::new(),
            ops: Operations::default(),
            sender: send::Sender::new(&config, now),
            stall: stall::Stall::new(now, persisted.longest_pause),
            forwarding: forward::Forwarding::default(),
            paths: paths::Paths::default(),
            counters: Counters::default(),
            stopping: false,
            exited: false,
            changed: true,
            persist: true,
            persisted,
            state_known,
            config,
        };
        for (i, settings) in core.config.groups.iter().enumerate() {
            let kept = core.persisted.groups.get(settings.name.as_str()).cloned().unwrap_or_default();
            let grant = inherited.iter().find(|g| g.group == settings.name.as_str());
            // A grant to ourselves ended with that process, so the vote is this start's from the first step on.
            let holder = grant
                .and_then(|g| g.holder(&core.config))
                .map(|(node, start)| if node == core.config.local { (node, boot) } else { (node, start) });
            let mut group = Group::new(settings, GroupIndex(i), kept, now, Voter::new(holder));
            group.health = crate::health::at_start(&core.config, settings, now);
            group.voter.hold_back(granted_until + group.longest_lease(&core.config, core.digest));
            if !state_known && !settings.arbiter.is_external() {
                group.drain = Drain::unread();
            }
            core.groups.push(group);
        }
        core.forget_maintenance_elsewhere();
        core
    }

    /// Takes one event and appends what is to be done.
    pub fn handle(&mut self, now: Instant, event: Event, actions: &mut Actions) {
        if self.exited {
            return;
        }
        if let Event::DatagramReceived { path, from, arrived, bytes } = event {
            return self.datagram(now, arrived.min(now), path, from, &bytes, actions);
        }
        let mut concerns = if self.judge_pause(now, actions) { Concerns::All } else { event.concerns() };
        match event {
            Event::TimerExpired | Event::DatagramReceived { .. } => {}
            Event::IdentityLearned { target } => {
                if self.identity.as_ref() != Some(&target) {
                    self.identity = Some(target);
                    self.changed = true;
                }
            }
            Event::PathsObserved(own) => self.paths_observed(now, own),
            Event::SendingChanged { to, refused } => self.sending_changed(now, to, refused),
            Event::LinkChanged { group, havip, up, missing } => {
                if let Some(l) = self.reconciler_mut(group, havip) {
                    l.link_changed(up, missing);
                }
            }
            Event::HostChecked { differs } => {
                self.changed |= self.wrong_host != differs;
                self.wrong_host = differs;
            }
            Event::AddressObserved { group, havip, present } => {
                self.address_observed(now, group, havip, present, actions);
            }
            Event::AddressAnswered { group, havip, error } => {
                let quiet = self.reconciler_mut(group, havip).is_none_or(|l| l.address.answered(error));
                // One a HAVIP and interval: they must not cost a step of every group each.
                if quiet && !self.changed && !self.persist {
                    return;
                }
            }
            Event::Announced { group, address } => {
                let quiet = self.groups.get(group.0).is_none_or(|g| !g.announces_first());
                // As above: only the first one of a term has something to say.
                if quiet && !self.changed && !self.persist {
                    return;
                }
                self.one_group(now, group, actions, |g, step| g.note_announced(step, address));
            }
            Event::NotifyLapsed { group, epoch } => {
                self.one_group(now, group, actions, |g, step| g.notify_again(step, epoch));
            }
            Event::GateEnded { group, op, passed, text } => {
                if !self.groups.get_mut(group.0).is_some_and(|g| g.gate.ended(op, passed, text)) {
                    self.counters.late_results += 1;
                }
            }
            Event::AnnounceFailed { group, havip } => {
                let interval = self.config.local_address.announce_interval;
                if let Some(l) = self.reconciler_mut(group, havip) {
                    l.address.announce_failed(now, interval);
                }
            }
            Event::OperationEnded { op, result } => {
                let whose = self.operation_ended(now, op, result, actions);
                concerns = concerns.or_of(whose);
            }
            Event::OperationSent { op, at } => {
                let mut whose = None;
                self.each_group(now, actions, |group, step| {
                    if group.note_sent(step, op, at) {
                        whose = Some(group.index);
                    }
                });
                concerns = concerns.or_of(whose);
            }
            Event::Commanded { command, request } => self.command(now, command, request, actions),
            Event::CommandForOther { node, command, request } => self.forward(now, node, command, request, actions),
            Event::CarriedOut { ticket, answer } => self.carried_out(now, ticket, answer, actions),
            Event::ConfigReloaded(config) => self.reload(now, config, actions),
            Event::HealthChanged { group, weight, failed, undecided, notes } => {
                if let Some(g) = self.groups.get_mut(group.0) {
                    g.health = crate::health::Health { weight, failed, undecided };
                    g.take_notes(notes);
                    self.changed = true;
                }
            }
            Event::LeaderReported { group, report } => self.leader_reported(now, group, report, actions),
            Event::EtcdAnswered { group, op, sent, answer } => {
                self.etcd_answered(now, group, (op, sent, answer), actions);
            }
            Event::EtcdKeyRead { group, read } => self.etcd_key_read(now, group, read, actions),
            Event::EffectsProgressed => {
                let dead_time = self.config.heartbeat.dead_time();
                if self.stall.stuck(now, dead_time) {
                    concerns = Concerns::All;
                }
                self.stall.effects_progressed(now, dead_time);
            }
            Event::BootIdDrawn(boot) => self.reboot(now, boot, actions),
            Event::StateFound(found) => self.state_found(now, *found),
        }
        self.settle(now, concerns, actions);
    }

    fn address_observed(
        &mut self,
        now: Instant,
        group: GroupIndex,
        havip: HavipIndex,
        present: bool,
        actions: &mut Actions,
    ) {
        let mut added = None;
        if let Some(l) = self.reconciler_mut(group, havip) {
            let came = l.address.observed(present);
            added = l.address.ip.filter(|_| came);
        }
        self.one_group(now, group, actions, |g, step| g.note_address(step, added));
    }

    /// When the core wants to be called again, at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.timers.next().unwrap_or(Instant::FAR_FUTURE)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Every HAVIP's address, as soon as the file, the state directory or the cloud told it.
    pub fn addresses(&self) -> impl Iterator<Item = (GroupIndex, HavipIndex, Option<Ipv4Addr>)> + '_ {
        self.groups.iter().flat_map(|g| {
            let of_havip = move |(i, ip)| (g.index, HavipIndex(i), ip);
            g.reconcilers.iter().map(|l| l.address.ip).enumerate().map(of_havip)
        })
    }

    fn reconciler_mut(
        &mut self,
        group: GroupIndex,
        havip: HavipIndex,
    ) -> Option<&mut crate::reconcile::HavipReconciler> {
        self.groups.get_mut(group.0)?.reconcilers.each().nth(havip.0)
    }

    /// Evaluates the groups that are concerned until nothing changes, then tells the peers what did.
    ///
    /// Groups are independent: none reads what another is or does, so one that is not concerned would come to what it came to
    /// before. (`concerns::`) With a heartbeat that is due, and with each silence that changes what a peer is, all are evaluated: whatever
    /// a group reads of the time without a deadline of its own is so read once in an interval. What a datagram says of
    /// groups concerns those of which it says something else than before.
    fn settle(&mut self, now: Instant, concerns: Concerns, actions: &mut Actions) {
        self.counters.steps += 1;
        let all = concerns == Concerns::All || self.sender.due(now) || self.timers.a_session_fires(now);
        let mut these = std::mem::take(&mut self.concerned);
        if all {
            these.clear();
            these.extend((0..self.groups.len()).map(GroupIndex));
        } else {
            if let Concerns::One(group) = concerns {
                these.push(group);
            }
            let of_group = |timer| if let Timer::Group(i) = timer { Some(GroupIndex(i)) } else { None };
            these.extend(self.timers.fired(now).filter_map(of_group));
            // In one order, however they came to be concerned.
            these.sort_unstable();
            these.dedup();
        }
        self.counters.group_steps += these.len() as u64;
        let mut groups = std::mem::take(&mut self.groups);
        let mut step = self.step_context(now, actions);
        for index in these.drain(..) {
            let Some(group) = groups.get_mut(index.0) else { continue };
            for _ in 0..SETTLE_MAX {
                let before = (group.role(), group.epochs.ours());
                step.timers.begin(Timer::Group(index.0));
                group.step(&mut step);
                if before == (group.role(), group.epochs.ours()) {
                    break;
                }
            }
        }
        self.groups = groups;
        self.concerned = these;
        for peer in self.peers.iter() {
            self.timers.begin(Timer::Session(peer.node.0));
            let silence = Some(peer.session.next_deadline(now));
            for at in [silence, peer.returns_by].into_iter().flatten().filter(|at| *at > now) {
                self.timers.wake(at);
            }
        }
        if all || self.changed || self.timers.fires(Timer::Probe, now) {
            self.timers.begin(Timer::Probe);
            self.probe_due(now, actions);
            self.trace_due(now, actions);
        }
        self.emit_due(now, actions);
        if self.timers.fires(Timer::Forward, now) {
            self.forward_due(now, actions);
        }
        self.exit_when_left(now, actions);
        if self.state_known && std::mem::take(&mut self.persist) {
            for (group, settings) in self.groups.iter().zip(&self.config.groups) {
                self.persisted.groups.insert(settings.name.to_string(), group.persisted());
            }
            // So the part that answers an operator can tell what is on the disk already from what is not.
            let answer = actions.iter().position(|action| matches!(action, Action::Reply { .. }));
            actions.insert(answer.unwrap_or(actions.len()), Action::Persist(self.persisted.clone()));
        }
    }

    /// Runs `f` for one group with a step that sees all the rest.
    fn one_group(
        &mut self,
        now: Instant,
        index: GroupIndex,
        out: &mut Actions,
        f: impl FnOnce(&mut Group, &mut StepContext<'_>),
    ) {
        let mut groups = std::mem::take(&mut self.groups);
        if let Some(group) = groups.get_mut(index.0) {
            f(group, &mut self.step_context(now, out));
        }
        self.groups = groups;
    }

    /// Runs `f` for every group with a step that sees all the rest.
    fn each_group(&mut self, now: Instant, out: &mut Actions, mut f: impl FnMut(&mut Group, &mut StepContext<'_>)) {
        let mut groups = std::mem::take(&mut self.groups);
        let mut step = self.step_context(now, out);
        for group in &mut groups {
            f(group, &mut step);
        }
        self.groups = groups;
    }

    fn step_context<'a>(&'a mut self, now: Instant, out: &'a mut Actions) -> StepContext<'a> {
        let alive_until = self.stall.alive_until(now, self.config.heartbeat.dead_time());
        StepContext {
            now,
            config: &self.config,
            digest: self.digest,
            boot: self.boot,
            started: self.started,
            claims_from: self.stall.claims_from(),
            leases_from: self.stall.leases_from(),
            alive_until,
            peers: &self.peers,
            identity: self.identity.as_ref(),
            wrong_host: self.wrong_host.as_deref(),
            unbound: self.paths.unbound(),
            stopping: self.stopping,
            cloned_until: self.stall.cloned_until(),
            ops: &mut self.ops,
            jitter: &mut self.jitter,
            out,
            timers: &mut self.timers,
            changed: &mut self.changed,
            persist: &mut self.persist,
        }
    }

    fn operation_ended(
        &mut self,
        now: Instant,
        op: crate::model::ids::OperationId,
        result: OperationResult,
        actions: &mut Actions,
    ) -> Option<GroupIndex> {
        let mut whose = None;
        self.each_group(now, actions, |group, step| {
            if whose.is_some() {
                return;
            }
            let expected = match &result {
                OperationResult::Havip(r) => {
                    let cx = &mut step.context();
                    group.reconcilers.each().any(|l| l.read_ended(cx, op, r.clone()))
                }
                OperationResult::Written(r) => {
                    let patience = group.patience(step);
                    let cx = &mut step.context();
                    group.reconcilers.each().any(|l| l.written(cx, op, r.clone(), patience))
                }
                OperationResult::Instance(r) => group.instance_read(op, r.as_ref().ok().copied()),
            };
            if expected {
                whose = Some(group.index);
                group.note_operation(step, &result);
            }
        });
        self.counters.late_results += u64::from(whose.is_none());
        whose
    }
}

impl Event {
    /// Which groups it concerns, as far as it says so itself.
    fn concerns(&self) -> Concerns {
        match self {
            Self::AddressObserved { group, .. }
            | Self::AddressAnswered { group, .. }
            | Self::Announced { group, .. }
            | Self::AnnounceFailed { group, .. }
            | Self::NotifyLapsed { group, .. }
            | Self::GateEnded { group, .. }
            | Self::LinkChanged { group, .. }
            | Self::HealthChanged { group, .. }
            | Self::LeaderReported { group, .. }
            | Self::EtcdAnswered { group, .. }
            | Self::EtcdKeyRead { group, .. } => Concerns::One(*group),
            Self::TimerExpired
            | Self::OperationEnded { .. }
            | Self::OperationSent { .. }
            | Self::EffectsProgressed
            | Self::CommandForOther { .. }
            | Self::CarriedOut { .. } => Concerns::WhoWaits,
            Self::DatagramReceived { .. }
            | Self::IdentityLearned { .. }
            | Self::PathsObserved(_)
            | Self::SendingChanged { .. }
            | Self::HostChecked { .. }
            | Self::Commanded { .. }
            | Self::ConfigReloaded(_)
            | Self::BootIdDrawn(_)
            | Self::StateFound(_) => Concerns::All,
        }
    }
}

impl Concerns {
    /// The same, and the group whose operation it was.
    fn or_of(self, group: Option<GroupIndex>) -> Self {
        match (self, group) {
            (Self::All, _) | (_, None) => self,
            (_, Some(group)) => Self::One(group),
        }
    }
}

#[cfg(test)]
mod tests;
