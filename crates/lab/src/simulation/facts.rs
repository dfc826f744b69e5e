//! What physically happened in a world, as the invariants hold it against what the nodes say.
//!
//! Nothing here is asked of a core: what arrived at whom and what it stated, what the cloud answered to whom, when a
//! host stood still, what keepalived and operators said. Each fact keeps the last of its kind or a few, so a run of
//! any length takes the same memory.

mod answers;
pub(super) mod hearing;
mod stated;

pub(super) use answers::{Answers, OfHavip, Streak};
pub(super) use hearing::{Arrival, Hearing, Last, Stamp};
pub(super) use stated::Stated;

use super::host::{Halt, Host};
use super::world::World;
use havipd_core::model::digest::digest;
use havipd_core::model::event::{Command, Event};
use havipd_core::model::ids::{Epoch, GroupIndex};
use havipd_core::model::leader::LeaderReport;
use havipd_core::model::role::Role;
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use havipd_core::model::vrrp::State;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Halts of one host that are remembered.
const HALTS: usize = 32;

/// One time that a host stood still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stood {
    /// When it went on.
    pub(super) until: Instant,
    /// For how long it stood, in the world's time.
    pub(super) span: Duration,
    /// What stood still.
    pub(super) halt: Halt,
}

/// What happened to one host and its daemon.
#[derive(Debug, Default)]
pub(super) struct HostFacts {
    pub(super) stood: VecDeque<Stood>,
    halted: Option<Instant>,
    /// Effects side stuck: since when, and until when the last time was.
    stuck_since: Option<Instant>,
    pub(super) stuck: Option<(Instant, Instant)>,
    /// When a goodbye of it last left.
    pub(super) left: Option<Instant>,
    /// Per group: what keepalived told this run last.
    pub(super) vrrp: Vec<Option<State>>,
    /// Per group: when an operator last asked this run for a planned move.
    pub(super) switchover: Vec<Option<Instant>>,
    /// Per group: the number before the one that it leads with, or led with last, and since when it states this one.
    pub(super) numbers: Vec<(Epoch, Instant)>,
    /// Per group: the highest number that this run has stated as its own.
    pub(super) highest: Vec<Epoch>,
    pub(super) drained: bool,
    pub(super) check_failed: bool,
    pub(super) address_stuck: Option<Instant>,
    /// The groups with an interface that its daemon was told is down. (seed 55450)
    pub(super) links_down: BTreeSet<usize>,
    /// When its interface last came up again.
    pub(super) link_back: Option<Instant>,
    /// When it last went.
    pub(super) link_lost: Option<Instant>,
    pub(super) identity: bool,
    /// The metadata service said that it is another machine.
    pub(super) wrong_host: bool,
    /// It took a file with other values.
    pub(super) reloaded: Option<Instant>,
    /// It took a file with another digest.
    pub(super) digest_set: Option<Instant>,
    /// The shortest dead time of the files that it had before in the present maintenance.
    pub(super) dead_time_before: Option<Duration>,
    /// The files that it had before, one of each digest.
    pub(super) files_before: Vec<Arc<Config>>,
    /// The daemon that runs has read its state later than at its start.
    pub(super) state_read: Option<Instant>,
}

/// All facts.
#[derive(Debug)]
pub(super) struct Facts {
    /// By receiver, then by sender: what was there to be read, and what a daemon has come to.
    there: Vec<Vec<Hearing>>,
    heard: Vec<Vec<Hearing>>,
    stated: Vec<Arc<Stated>>,
    hosts: Vec<HostFacts>,
    answers: Vec<Answers>,
    /// Per group: when the order of ranks last changed.
    pub(super) ranks_set: Instant,
    /// When an operator last switched maintenance on while no node was in it.
    pub(super) maintained_from: Instant,
    /// When a daemon last took the order to begin maintenance: one that stood still takes it when it goes on.
    pub(super) maintenance_taken: Instant,
    /// An operator has ordered maintenance, or put a state with its number on a disk: else no node can be in it.
    pub(super) maintenance_ordered: bool,
}

impl Facts {
    pub(super) fn new(nodes: usize, groups: usize, havips: usize) -> Self {
        let host = || HostFacts {
            vrrp: vec![None; groups],
            switchover: vec![None; groups],
            numbers: vec![Default::default(); groups],
            highest: vec![Default::default(); groups],
            ..HostFacts::default()
        };
        Self {
            there: (0..nodes).map(|_| (0..nodes).map(|_| Hearing::default()).collect()).collect(),
            heard: (0..nodes).map(|_| (0..nodes).map(|_| Hearing::default()).collect()).collect(),
            stated: (0..nodes).map(|_| Arc::default()).collect(),
            hosts: (0..nodes).map(|_| host()).collect(),
            answers: (0..nodes).map(|_| Answers::new(havips)).collect(),
            ranks_set: Instant::default(),
            maintained_from: Instant::default(),
            maintenance_taken: Instant::default(),
            maintenance_ordered: false,
        }
    }

    /// What there was of `from` for `to` to read, whether or not its daemon has come to it.
    pub(super) fn there(&self, to: usize, from: usize) -> &Hearing {
        &self.there[to][from]
    }

    /// What `to` has heard of `from`: as far as its daemon has read.
    pub(super) fn heard(&self, to: usize, from: usize) -> &Hearing {
        &self.heard[to][from]
    }

    pub(super) fn host(&self, host: usize) -> &HostFacts {
        &self.hosts[host]
    }

    pub(super) fn host_mut(&mut self, host: usize) -> &mut HostFacts {
        &mut self.hosts[host]
    }

    pub(super) fn answers(&self, host: usize) -> &Answers {
        &self.answers[host]
    }

    pub(super) fn answers_mut(&mut self, host: usize) -> &mut Answers {
        &mut self.answers[host]
    }

    /// A daemon starts: it has heard nothing, and nobody has told it anything.
    pub(super) fn started(&mut self, host: usize) {
        self.there[host].fill_with(Hearing::default);
        self.heard[host].fill_with(Hearing::default);
        self.answers[host].clear();
        let h = &mut self.hosts[host];
        h.vrrp.fill(None);
        h.switchover.fill(None);
        h.highest.fill(Epoch::default());
        (h.check_failed, h.identity, h.wrong_host) = (false, false, false);
        h.links_down.clear();
    }

    /// A heartbeat leaves `from`, whose dead time is given, for `to`.
    pub(super) fn stamp(
        &self,
        sent: Instant,
        number: u64,
        (from, run): (usize, u64),
        to: usize,
        dead_time: Duration,
    ) -> Arc<Stamp> {
        let echo = self.heard[from][to].echo(sent, dead_time);
        Arc::new(Stamp { run, sent, number, echo, stated: Arc::clone(&self.stated[from]) })
    }

    /// A heartbeat is in the socket of a daemon of `to` that runs.
    pub(super) fn arrived(&mut self, run: u64, to: usize, now: Instant, arrival: &Arrival) {
        self.there[to][arrival.from].take(run, now, arrival);
    }

    /// That daemon has come to it.
    pub(super) fn read(&mut self, run: u64, to: usize, now: Instant, arrival: &Arrival) {
        self.heard[to][arrival.from].take(run, now, arrival);
    }

    /// A host begins to stand still.
    pub(super) fn halted(&mut self, now: Instant, host: usize) {
        self.hosts[host].halted = Some(now);
    }

    /// It goes on.
    pub(super) fn went_on(&mut self, now: Instant, host: usize, halt: Halt) {
        let h = &mut self.hosts[host];
        let Some(since) = h.halted.take() else { return };
        if h.stood.len() == HALTS {
            h.stood.pop_front();
        }
        h.stood.push_back(Stood { until: now, span: now.since(since), halt });
    }

    /// It takes a file with another digest than the one before.
    pub(super) fn took_file(&mut self, now: Instant, host: usize, before: Arc<Config>) {
        let h = &mut self.hosts[host];
        h.digest_set = Some(now);
        let dead_time = before.heartbeat.dead_time();
        h.dead_time_before = Some(h.dead_time_before.map_or(dead_time, |shortest| shortest.min(dead_time)));
        if h.files_before.iter().all(|known| digest(known) != digest(&before)) {
            h.files_before.push(before);
        }
    }

    /// Its effects side sticks, or goes on.
    pub(super) fn stuck(&mut self, now: Instant, host: usize, sticks: bool) {
        let h = &mut self.hosts[host];
        if sticks {
            h.stuck_since.get_or_insert(now);
        } else if let Some(since) = h.stuck_since.take() {
            h.stuck = Some((since, now));
        }
    }
}

impl HostFacts {
    /// For how long its effects side was stuck: now, or the last time within `recent`.
    pub(super) fn stuck_for(&self, now: Instant, recent: Duration) -> Duration {
        let lasts = self.stuck_since.map(|since| now.since(since));
        let ended = self.stuck.filter(|(_, until)| now.since(*until) < recent).map(|(since, until)| until.since(since));
        lasts.max(ended).unwrap_or_default()
    }

    /// For how long it stood still in all, of the halts that ended within `recent`.
    pub(super) fn stood_for(&self, now: Instant, recent: Duration) -> Duration {
        self.stood.iter().filter(|s| now.since(s.until) < recent).map(|s| s.span).sum()
    }

    /// When it was last able to hear again, after its interface was down or its daemon stopped for longer than that.
    pub(super) fn hears_since(&self, longer: Duration) -> Option<Instant> {
        let long = |s: &&Stood| s.halt == Halt::Stopped && s.span > longer;
        self.stood.iter().filter(long).map(|s| s.until).max().max(self.link_back)
    }

    /// For how long the hypervisor held it in all, of the halts that ended within `recent`.
    pub(super) fn frozen_for(&self, now: Instant, recent: Duration) -> Duration {
        let frozen = self.stood.iter().filter(|s| s.halt == Halt::Frozen && now.since(s.until) < recent);
        frozen.map(|s| s.span).sum()
    }
}

impl World {
    /// Keeps what an event tells a core that runs.
    pub(super) fn note_event(&mut self, host: usize, event: &Event) {
        let now = self.now;
        let maintains = matches!(event, Event::Commanded { command: Command::Maintenance { on: true, .. }, .. });
        if maintains && !self.maintained() {
            self.facts.maintained_from = now;
            self.facts.hosts.iter_mut().for_each(|h| h.dead_time_before = None);
        }
        if maintains {
            self.facts.maintenance_taken = now;
            self.facts.maintenance_ordered = true;
        }
        let facts = self.facts.host_mut(host);
        match event {
            Event::LeaderReported { group, report: LeaderReport::Keepalived(report) } => {
                facts.vrrp[group.0] = Some(report.state);
            }
            Event::HealthChanged { failed, .. } => {
                facts.check_failed = *failed;
                self.facts.ranks_set = now;
            }
            Event::LinkChanged { group, up: true, .. } => drop(facts.links_down.remove(&group.0)),
            Event::LinkChanged { group, .. } => drop(facts.links_down.insert(group.0)),
            Event::IdentityLearned { .. } => facts.identity = true,
            Event::HostChecked { differs } => facts.wrong_host = differs.is_some(),
            Event::Commanded { command: Command::Switchover { group, .. }, .. } => {
                facts.switchover[group.0] = Some(now);
            }
            Event::Commanded { command: Command::Drain { on, .. }, .. } => facts.drained = *on,
            Event::ConfigReloaded(_) => {
                facts.reloaded = Some(now);
                self.facts.ranks_set = now;
            }
            Event::OperationEnded { op, result } => {
                let scenario = Arc::clone(&self.scenario);
                let cluster = &scenario.cluster;
                let member = |havip: usize, id: &str| cluster.member_with(havip / cluster.havips, id).is_some();
                self.facts.answers_mut(host).ended(now, *op, result, member);
            }
            _ => {}
        }
    }

    /// Keeps what the datagrams of a host state from here on.
    pub(super) fn note_stated(&mut self, host: usize) {
        let h = &self.hosts[host];
        let Some(p) = &h.process else { return };
        let same = |stated: &Stated| {
            stated.interval == h.config.heartbeat.interval
                && stated.digest == Some(h.digest)
                && stated.groups.len() == p.roles.len()
                && stated
                    .groups
                    .iter()
                    .zip(&p.roles)
                    .enumerate()
                    .all(|(g, ((role, epoch), now))| role == now && Some(*epoch) == p.core.epoch(GroupIndex(g)))
        };
        if same(&self.facts.stated[host]) {
            return;
        }
        let epoch = |g: usize| p.core.epoch(GroupIndex(g)).unwrap_or_default();
        let stated = Stated {
            interval: h.config.heartbeat.interval,
            digest: Some(h.digest),
            groups: p.roles.iter().enumerate().map(|(g, role)| (*role, epoch(g))).collect(),
        };
        let numbers = stated.groups.clone();
        let before = std::mem::replace(&mut self.facts.stated[host], Arc::new(stated));
        let (now, facts) = (self.now, &mut self.facts.hosts[host]);
        for (g, (role, number)) in numbers.into_iter().enumerate() {
            let another = |(_, last): &&(Role, Epoch)| role.has_leadership() && *last != number;
            if let Some((_, last)) = before.groups.get(g).filter(another) {
                facts.numbers[g] = (*last, now);
            }
            facts.highest[g] = facts.highest[g].max(number);
        }
    }

    /// Whether what `from` sends can be read at `to`: it is named there, and they share a key.
    pub(super) fn readable(&self, to: &Host, from: &Host) -> bool {
        let keys = &to.config.heartbeat.keys;
        to.config.node_named(&from.name).is_some()
            && from.config.heartbeat.keys.iter().any(|k| keys.iter().any(|own| own.id == k.id))
    }
}
