//! Heartbeats: when they go out, and what they say.

use super::Core;
use super::arbiter::lease::LeaseRequest;
use super::group::Group;
use super::group::state::Handover;
use super::peer::Peer;
use super::step_context::StepContext;
use crate::model::action::{Action, Actions};
use crate::model::ids::NodeIndex;
use crate::model::persisted::KeptGrant;
use crate::model::role::Role;
use crate::model::settings::Config;
use crate::model::time::Instant;
use crate::model::timer::Timer;
use crate::reconcile::HavipReconciler;
use crate::wire::heartbeat::{encode, entries_that_fit};
use crate::wire::{Entry, Flags, Heartbeat, Leaving};
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams sent ahead of time, for news, between two regular heartbeats: no more than this.
const EXTRA_MAX: u32 = 16;

/// Groups that are not in every heartbeat: so many are in the next one.
const TURN: usize = crate::wire::heartbeat::MAX_ENTRIES / 2;

/// State of the sending side.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Next number, per peer.
    seqs: Vec<u64>,
    /// Number of our own turns, for the vote that we give ourselves.
    own_seq: u64,
    next: Instant,
    /// The interval in use.
    interval: Duration,
    extra: u32,
    rotate: usize,
    leaving: Leaving,
}

impl Sender {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            seqs: vec![0; config.nodes.len()],
            own_seq: 0,
            next: now,
            interval: config.heartbeat.interval,
            extra: EXTRA_MAX,
            rotate: 0,
            leaving: Leaving::No,
        }
    }

    /// Whether the next regular heartbeat is due.
    pub(super) fn due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// The interval that is in use, and stated.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Numbers begin again under another boot id.
    pub(crate) fn renumber(&mut self) {
        self.seqs.fill(0);
    }

    pub(crate) fn leave(&mut self, leaving: Leaving) {
        self.leaving = leaving;
    }
}

/// Per address of a node: which of ours reaches it, its own index, and the address.
pub(super) fn ways(config: &Config, node: NodeIndex) -> Vec<(usize, u8, SocketAddr)> {
    let own = &config.local_node().addresses;
    let way = |(i, to): (usize, &SocketAddr)| Some((opposite(own, i, *to)?, u8::try_from(i).ok()?, *to));
    config.node(node).addresses.iter().enumerate().filter_map(way).collect()
}

impl Core {
    /// Sends the regular heartbeat when it is due, and news at once.
    pub(super) fn emit_due(&mut self, now: Instant, actions: &mut Actions) {
        if self.stall.stuck(now, self.config.heartbeat.dead_time()) {
            // Turns go on: a silence of our own making must not be taken for a pause of the host.
            self.timers.begin(Timer::Heartbeat);
            self.timers.wake(now + self.sender.interval);
            return;
        }
        self.choose_interval(now);
        let regular = self.sender.due(now);
        let news = self.changed && self.sender.extra > 0;
        if regular || news {
            self.vote_for_ourselves(now);
            let to: Vec<NodeIndex> = self.peers.iter().map(|p| p.node).collect();
            for node in to {
                self.emit_to(now, node, actions);
            }
            self.changed = false;
            self.sender.rotate = self.sender.rotate.wrapping_add(1);
        }
        if regular {
            self.sender.extra = EXTRA_MAX;
            let next = self.sender.next + self.sender.interval;
            self.sender.next = if next > now { next } else { now + self.sender.interval };
        } else if news {
            self.sender.extra -= 1;
        }
        self.timers.begin(Timer::Heartbeat);
        self.timers.wake(self.sender.next);
    }

    /// That of the file, or while one is changed under maintenance the shorter one of the file before: leases are still
    /// of that length.
    fn choose_interval(&mut self, now: Instant) {
        let of_groups = self.groups.iter().map(|g| g.pace(&self.config, self.digest).interval);
        let interval = of_groups.fold(self.config.heartbeat.interval, Duration::min);
        if std::mem::replace(&mut self.sender.interval, interval) != interval {
            self.sender.next = self.sender.next.min(now + interval);
        }
    }

    /// Our own vote counts like any other, under the same rules.
    fn vote_for_ourselves(&mut self, now: Instant) {
        self.sender.own_seq += 1;
        for i in 0..self.groups.len() {
            if !self.config.groups[i].arbiter.grants_leases() {
                continue;
            }
            let Some(lease) = self.states_lease(i, now) else { continue };
            let node = self.config.local;
            let group = &mut self.groups[i];
            let epoch = group.lease.epoch();
            let ask = LeaseRequest { node, boot: self.boot, epoch, seq: self.sender.own_seq, lease };
            if group.grants_afresh(group.role().has_leadership()) || group.voter.renews(now, &ask) {
                group.voter.judge(now, ask);
            }
            // Only what answers this very ask: an older grant runs out when it did before.
            let given = group.voter.granted(now).filter(|g| g.node == node && g.boot == self.boot);
            if given.is_some_and(|g| g.epoch == epoch && g.seq == self.sender.own_seq && g.kept_for.is_none()) {
                group.lease.count(node, epoch, now, lease);
            }
        }
    }

    /// What our entry asks for, in a datagram that goes out now: our dead time, or longer while we leave for a restart.
    fn states_lease(&mut self, i: usize, now: Instant) -> Option<Duration> {
        let group = &mut self.groups[i];
        group.lease.requested_since()?;
        let usual = group.pace(&self.config, self.digest).lease;
        let lease = group.leave.keeps_for().map_or(usual, |long| long.max(usual));
        group.lease.state(now, lease);
        Some(lease)
    }

    /// One heartbeat to one peer: as many datagrams as its entries need, each over every path.
    pub(super) fn emit_to(&mut self, now: Instant, node: NodeIndex, actions: &mut Actions) {
        if self.stall.stuck(now, self.config.heartbeat.dead_time()) {
            return;
        }
        let mut entries = self.entries(now, node, actions);
        loop {
            let fit = entries_that_fit(self.identity.as_ref(), &entries)
                .clamp(usize::from(!entries.is_empty()), entries.len());
            let rest = entries.split_off(fit);
            self.emit_one(now, node, entries, actions);
            entries = rest;
            if entries.is_empty() {
                return;
            }
        }
    }

    fn emit_one(&mut self, now: Instant, node: NodeIndex, entries: Vec<Entry>, actions: &mut Actions) {
        self.sender.seqs[node.0] += 1;
        let seq = self.sender.seqs[node.0];
        let me = self.peers.me();
        let Some(peer) = self.peers.of_mut(node) else { return };
        let accepted = peer.session.peer_accepts();
        let key = if accepted.is_empty() { self.keys.in_turn(seq) } else { self.keys.choose(accepted) };
        let mut heartbeat = Heartbeat {
            newer: 0,
            key,
            accepts: self.keys.accepts(),
            path: 0,
            sender: me,
            receiver: peer.tag,
            boot: self.boot,
            seq,
            echo: peer.session.echo(now),
            interval: self.sender.interval(),
            uptime: now.since(self.started),
            digest: self.digest,
            leaving: self.sender.leaving,
            target: self.identity.clone(),
            entries,
        };
        peer.session.record_sent(now, seq);
        // A host that stood still between this step and the sending would claim what others have had since.
        let until = now + self.config.heartbeat.dead_time();
        for (path, index, to) in self.paths_to(node) {
            heartbeat.path = index;
            match encode(&heartbeat, &self.keys, &self.config.cluster) {
                Ok(bytes) => actions.push(Action::SendDatagram { path, to, bytes, until }),
                Err(_) => self.counters.unsendable += 1,
            }
        }
    }

    /// The [`ways`] of the configuration in force.
    pub(super) fn paths_to(&self, node: NodeIndex) -> Vec<(usize, u8, SocketAddr)> {
        ways(&self.config, node)
    }

    /// Where the heartbeats to each of our own addresses come from, as its index and an address of a peer: the other end
    /// of the ways to each peer.
    #[must_use]
    pub fn sources(&self) -> Vec<(usize, SocketAddr)> {
        let own = &self.config.local_node().addresses;
        let of_peer = |peer: &Peer| {
            let theirs = &self.config.node(peer.node).addresses;
            let way = move |(i, to): (usize, &SocketAddr)| Some((i, *theirs.get(opposite(theirs, i, *to)?)?));
            own.iter().enumerate().filter_map(way)
        };
        self.peers.iter().flat_map(of_peer).collect()
    }

    /// What we say of each group: those with leadership, a grant or an ask in every heartbeat, the others in rotation.
    fn entries(&mut self, now: Instant, to: NodeIndex, actions: &mut Actions) -> Vec<Entry> {
        let mut must = Vec::new();
        let mut may = Vec::new();
        let rotate = self.sender.rotate;
        let leases: Vec<Option<Duration>> = (0..self.groups.len()).map(|i| self.states_lease(i, now)).collect();
        let own = self.config.local;
        self.each_group(now, actions, |group, step| {
            let settings = group.settings(step);
            if settings.member(own).is_none() || settings.member(to).is_none() {
                return;
            }
            let entry = group.entry(step, leases[group.index.0]);
            let fixed = entry.role != Role::Backup && entry.role != Role::Fault
                || entry.grant.is_some()
                || entry.lease_request.is_some();
            let fresh = step.now.since(group.since.max(group.hears_since)) < step.config.heartbeat.interval * 3;
            if fixed || fresh { must.push(entry) } else { may.push(entry) }
        });
        if !may.is_empty() {
            let shift = rotate.wrapping_mul(TURN) % may.len();
            may.rotate_left(shift);
            let (first, mut all) = (must.len(), must);
            all.append(&mut may);
            // ⚠ However many come first: a peer that has started anew waits until it has heard of each group.
            let fit = entries_that_fit(self.identity.as_ref(), &all).max(first + TURN);
            all.truncate(fit);
            return all;
        }
        must
    }

    /// What we gave as a voter, for the next start.
    fn keep_grants(&mut self, now: Instant) {
        let grant = |g: &Group| {
            let given = g.voter.granted(now)?;
            Some(KeptGrant {
                group: self.config.groups[g.index.0].name.to_string(),
                node: self.config.node(given.node).name.to_string(),
                boot: hex::encode(given.boot.0),
            })
        };
        self.persisted.grants = self.groups.iter().filter_map(grant).collect();
    }

    /// Says good-bye once every group has left: for good, or until the next start.
    pub(super) fn exit_when_left(&mut self, now: Instant, actions: &mut Actions) {
        if !self.stopping || self.exited || !self.groups.iter().all(|g| g.leave.is_done()) {
            return;
        }
        let kept = self.groups.iter().filter_map(|g| g.leave.keeps_for()).max();
        self.sender.leave(kept.map_or(Leaving::Gone, Leaving::Restarting));
        let peers: Vec<NodeIndex> = self.peers.iter().map(|p| p.node).collect();
        for node in peers {
            self.emit_to(now, node, actions);
        }
        self.keep_grants(now);
        self.persist = true;
        self.exited = true;
        actions.push(Action::Exit);
    }
}

/// Which of `addresses` sends to the `i`-th address of a node: the one of the same index, or the first of that family.
fn opposite(addresses: &[SocketAddr], i: usize, to: SocketAddr) -> Option<usize> {
    let same_family = |a: &SocketAddr| a.is_ipv4() == to.is_ipv4();
    addresses.get(i).filter(|a| same_family(a)).map(|_| i).or_else(|| addresses.iter().position(same_family))
}

impl Group {
    /// What this node says of the group.
    fn entry(&self, step: &mut StepContext<'_>, lease: Option<Duration>) -> Entry {
        let settings = self.settings(step);
        let offered = self.offered(step).is_some();
        let able = self.may_be_active(step);
        let serving = self.role() == Role::Active && self.reconcilers.iter().all(|l: &HavipReconciler| l.address.on());
        let cloud = self.reconcilers.iter().all(|l| l.read_errors.is_none() && l.read.is_some());
        let flags = Flags::default()
            .with(Flags::ELIGIBLE, able)
            .with(Flags::ISOLATED, self.isolated())
            .with(Flags::UNABLE, self.backoff.claim_until(step.now).is_some())
            .with(Flags::DRAINED, self.is_drained())
            .with(Flags::WANTS, self.wants(step))
            .with(Flags::DECLINES, offered && (!able || self.role() == Role::Fault))
            .with(Flags::FAILING, self.health.failed)
            .with(Flags::MAINTENANCE, self.maintained())
            .with(Flags::SERVING, serving || (settings.observe && self.role() == Role::Active))
            .with(Flags::CLOUD, cloud)
            .with(Flags::SETTLED, self.preemption.is_suspended())
            .with(Flags::HEARS_ACTIVE, self.hears_active)
            .with(Flags::GATE_FAILED, self.backoff.waits_for_gate(step.now))
            .with(Flags::UNDECIDED, self.health.undecided);
        let effective = self.effective(step);
        Entry {
            group: self.tag,
            role: self.role(),
            flags,
            priority: self.membership(step).map_or(0, |m| m.priority),
            effective: i16::try_from(effective).unwrap_or(i16::MAX),
            epoch: self.epochs.ours(),
            seen: self.epochs.seen(),
            successor: self.state.handover().and_then(Handover::successor).map(|n| step.peers.tag(n)),
            lease_request: lease,
            grant: self.voter.stated(step),
            maintenance: self.maintenance_said(),
            checks: self.check_notes_told(),
        }
    }
}
