//! Heartbeats: when they go out, and what they say.

use super::Core;
use super::action::{Action, Actions, KeptGrant};
use super::group::Group;
use super::lease::Ask;
use super::peer::Peer;
use super::role::Role;
use super::stated::StatedLease;
use super::timer::Timer;
use super::turn::Turn;
use crate::config::model::{Arbiter, Config};
use crate::ids::{Epoch, NodeIndex};
use crate::ownership::HavipLoop;
use crate::time::Instant;
use crate::wire::heartbeat::{encode, entries_that_fit};
use crate::wire::{Entry, Flags, Heartbeat, Leaving};
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams sent ahead of time, for news, between two regular heartbeats: no more than this.
const EXTRA_MAX: u32 = 16;

/// State of the sending side.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Next number, per peer.
    seqs: Vec<u64>,
    /// Number of our own turns, for the vote that we give ourselves.
    own_seq: u64,
    next: Instant,
    /// The interval in use; a longer one waits until every peer that is up knows it.
    interval: Duration,
    /// Numbers from which on a longer interval was stated.
    stated_from: Option<Vec<u64>>,
    pub(crate) lease: StatedLease,
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
            stated_from: None,
            lease: StatedLease::new(config.heartbeat.dead_time()),
            extra: EXTRA_MAX,
            rotate: 0,
            leaving: Leaving::No,
        }
    }

    /// A reload changed the interval or the multiplier.
    pub(crate) fn reconfigure(&mut self, now: Instant, config: &Config) {
        self.lease.change(now, config.heartbeat.dead_time(), self.interval);
        if config.heartbeat.interval > self.interval {
            self.stated_from = Some(self.seqs.iter().map(|s| s + 1).collect());
        } else {
            self.interval = config.heartbeat.interval;
            self.stated_from = None;
            self.next = self.next.min(now + self.interval);
        }
        self.seqs.resize(config.nodes.len(), 0);
    }

    /// The interval that is stated now.
    pub(crate) fn interval(&self, config: &Config) -> Duration {
        config.heartbeat.interval.max(self.interval)
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
        self.settle_lease(now);
        self.adopt_longer_interval(now);
        let regular = now >= self.sender.next;
        let news = self.changed && self.sender.extra > 0;
        let all = regular || news;
        let to: Vec<NodeIndex> = self.peers.iter().filter(|p| all || p.answer_due(now)).map(|p| p.node).collect();
        if all || !to.is_empty() {
            self.vote_for_ourselves(now);
            for node in to {
                self.emit_to(now, node, actions);
            }
        }
        if all {
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
        self.timers.wake(self.sender.next.min(self.next_answer().unwrap_or(self.sender.next)));
    }

    /// ⚠ A longer interval is used only after every peer that is up has echoed a datagram that states it:
    /// until then it would call our longer silence death. Nor before the longer lease that goes with it is granted:
    /// the one before it would run out between two heartbeats. Nor while a lease that we gave is too short for it:
    /// its owner, who has yet to reload, would hear of our grants too late.
    fn adopt_longer_interval(&mut self, now: Instant) {
        let Some(from) = &self.sender.stated_from else { return };
        let least = self.config.heartbeat.interval * 2;
        let outlives = |g: &Group| g.voter.given(now).is_none_or(|given| given.lease >= least);
        if self.sender.lease.pending().is_some() || !self.groups.iter().all(outlives) {
            return;
        }
        let known = self.peers.iter().filter(|p| p.up(now)).all(|p| p.session.echoed_since(from[p.node.0]));
        if known {
            self.sender.interval = self.config.heartbeat.interval;
            self.sender.stated_from = None;
        }
    }

    /// A longer lease holds from when a majority has granted it in every group that asks for anything.
    fn settle_lease(&mut self, now: Instant) {
        let Some(lease) = self.sender.lease.pending() else { return };
        let granted = self.groups.iter().all(|g| {
            let settings = &self.config.groups[g.index.0];
            let asks = settings.arbiter == Arbiter::Majority && g.asker.asking_since().is_some();
            !asks || g.asker.granted(lease) > settings.members.len() / 2
        });
        if granted {
            self.sender.lease.settle(now);
        }
    }

    /// Our own vote counts like any other, under the same rules.
    fn vote_for_ourselves(&mut self, now: Instant) {
        self.sender.own_seq += 1;
        for i in 0..self.groups.len() {
            if self.config.groups[i].arbiter != Arbiter::Majority {
                continue;
            }
            let Some(lease) = self.asked_lease(i, now) else { continue };
            let node = self.config.local;
            let group = &mut self.groups[i];
            let epoch = group.asker.epoch();
            let ask = Ask { node, boot: self.boot, epoch, seq: self.sender.own_seq, lease };
            if group.voter.needs_record(lease) && self.persisted.longest_lease.is_none_or(|l| l < lease) {
                self.persisted.longest_lease = Some(lease);
                self.persist = true;
            }
            if !group.only_renews() || group.voter.renews(now, &ask) {
                group.voter.ask(now, ask);
            }
            // Only what answers this very ask: an older grant runs out when it did before.
            let given = group.voter.given(now).filter(|g| g.node == node && g.boot == self.boot);
            if given.is_some_and(|g| g.epoch == epoch && g.seq == self.sender.own_seq && g.kept_for.is_none()) {
                group.asker.count(node, epoch, now, lease);
            }
        }
    }

    /// What our entry asks for: our dead time, or longer while we leave for a restart.
    fn asked_lease(&self, i: usize, now: Instant) -> Option<Duration> {
        self.groups[i].asker.asking_since()?;
        Some(self.lease_at(self.groups[i].index, now))
    }

    /// The lease for a restart is asked for in every second interval: a voter that has yet to put so long a one on
    /// record grants none of it, and goes on renewing the usual one meanwhile.
    pub(super) fn long_lease(&self, i: usize, at: Instant) -> Option<Duration> {
        // Not at `since` itself: a heartbeat of that very instant may have gone out before.
        let keep = self.groups[i].keep_for.filter(|k| at > k.since)?;
        // A reload changes nothing of it: what was asked for in a datagram is computed again when the answer is here.
        let intervals = at.since(keep.since).as_nanos() / keep.interval.as_nanos().max(1);
        intervals.is_multiple_of(2).then_some(keep.lease)
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
        peer.answer_at = None;
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
            interval: self.sender.interval(&self.config),
            uptime: now.since(self.started),
            digest: self.digest,
            leaving: self.sender.leaving,
            target: self.identity.clone(),
            entries,
        };
        peer.session.record_sent(now, seq);
        // A host that stood still between this turn and the sending would claim what others have had since.
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
    /// of what [`Self::paths_to`] tells each peer.
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

    /// What we say of each group: those with a right, a grant or an ask in every heartbeat, the others in rotation.
    fn entries(&mut self, now: Instant, to: NodeIndex, actions: &mut Actions) -> Vec<Entry> {
        let mut must = Vec::new();
        let mut may = Vec::new();
        let rotate = self.sender.rotate;
        let leases: Vec<Option<Duration>> = (0..self.groups.len()).map(|i| self.asked_lease(i, now)).collect();
        let own = self.config.local;
        self.each_group(now, actions, |group, turn| {
            let settings = group.settings(turn);
            if settings.member(own).is_none() || settings.member(to).is_none() {
                return;
            }
            let entry = group.entry(turn, leases[group.index.0]);
            let fixed =
                entry.role != Role::Backup && entry.role != Role::Fault || entry.grant.is_some() || entry.ask.is_some();
            let fresh = turn.now.since(group.since) < turn.config.heartbeat.interval * 3;
            if fixed || fresh { must.push(entry) } else { may.push(entry) }
        });
        if !may.is_empty() {
            let shift = rotate.wrapping_mul(crate::wire::heartbeat::MAX_ENTRIES / 2) % may.len();
            may.rotate_left(shift);
            let mut all = must.clone();
            all.extend(may.iter().cloned());
            let fit = entries_that_fit(self.identity.as_ref(), &all).max(must.len());
            all.truncate(fit);
            return all;
        }
        must
    }

    /// What we gave as a voter, for the next start.
    fn keep_grants(&mut self, now: Instant) {
        let grant = |g: &Group| {
            let given = g.voter.given(now)?;
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
        if !self.stopping || self.exited || !self.groups.iter().all(|g| g.left) {
            return;
        }
        let kept = self.groups.iter().filter_map(|g| g.keep_for).map(|k| k.lease).max();
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
    fn entry(&self, turn: &mut Turn<'_>, lease: Option<Duration>) -> Entry {
        let settings = self.settings(turn);
        let offered = self.offered(turn).is_some();
        let able = self.may_be_active(turn);
        let serving = self.role == Role::Active && self.loops.iter().all(|l: &HavipLoop| l.address.on());
        let cloud = self.loops.iter().all(|l| l.read_errors.is_none() && l.read.is_some());
        let flags = Flags::default()
            .with(Flags::ELIGIBLE, able)
            .with(Flags::ISOLATED, self.isolated())
            .with(Flags::UNABLE, self.damping.unable_until(turn.now).is_some())
            .with(Flags::DRAINED, self.kept.drained)
            .with(Flags::WANTS, self.wants(turn))
            .with(Flags::DECLINES, offered && (!able || self.role == Role::Fault))
            .with(Flags::FAILING, self.health.failed)
            .with(Flags::MAINTENANCE, self.maintained())
            .with(Flags::SERVING, serving || (settings.observe && self.role == Role::Active))
            .with(Flags::CLOUD, cloud)
            .with(Flags::SETTLED, self.kept.preemption_suspended)
            .with(Flags::FETCHES, self.fetches(turn));
        let effective = self.effective(turn);
        Entry {
            group: self.tag,
            role: self.role,
            flags,
            priority: self.membership(turn).map_or(0, |m| m.priority),
            effective: i16::try_from(effective).unwrap_or(i16::MAX),
            epoch: self.epoch,
            seen: self.seen.max(Epoch(0)),
            successor: self.plan.successor().map(|n| turn.peers.tag(n)),
            ask: lease,
            grant: self.voter.word(turn),
            maintenance: self.maintenance_said(),
        }
    }
}
