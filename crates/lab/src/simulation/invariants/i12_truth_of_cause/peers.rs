//! Causes that rest on what peers did, or stated in a datagram that counted.

use super::super::super::facts::Last;
use super::{Case, Untrue};
use havipd_core::model::ids::{Epoch, GroupIndex};
use havipd_core::model::plural::lasting;
use havipd_core::model::role::Role;
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// The share of a lease that its holder counts, less a little for the way there: docs/protocol.md, `majority`.
const LEASE_SHARE: u32 = 90;

/// Groups that one datagram has room for, whatever else is in it.
const FIT: usize = 8;

impl Case<'_> {
    /// The last datagram of a peer that counted here, if one did within its dead time: as far as this daemon has read. After
    /// it stood still it may come to a timer, or to the kernel's word, before it comes to what waits in its socket.
    fn heard(&self, peer: usize) -> Option<&Last> {
        self.lately(&self.world.facts.heard(self.host, peer).last)
    }

    fn lately<'l>(&self, last: &'l Option<Last>) -> Option<&'l Last> {
        let multiplier = self.world.hosts[self.host].config.heartbeat.dead_multiplier;
        last.as_ref().filter(|last| self.t.at.since(last.guest) < last.stated.interval * multiplier)
    }

    fn stated(&self, last: &Last) -> Option<(Role, Epoch)> {
        last.stated.groups.get(self.group).copied()
    }

    fn name(&self, host: usize) -> &str {
        self.world.name(host)
    }

    fn others(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.world.nodes()).filter(|p| *p != self.host)
    }

    /// Nothing of it was there to be read for its dead time, and this host could hear. What waits in the socket is there: a
    /// silence is to be heard out.
    pub(super) fn peer_dead(&self) -> Result<(), Untrue> {
        let Some(peer) = self.peer() else { return Err("it names no peer".to_owned()) };
        let there = self.world.facts.there(self.host, peer);
        if let Some(last) = self.lately(&there.last) {
            return Err(format!(
                "{} was heard {} before, and its dead time is {}",
                self.name(peer),
                lasting(self.t.at.since(last.guest)),
                lasting(last.stated.interval * self.world.hosts[self.host].config.heartbeat.dead_multiplier)
            ));
        }
        let dead_time = self.dead_time();
        let deaf = self.facts().hears_since(dead_time * 102 / 100);
        let listened = deaf.is_none_or(|since| self.world.now.since(since) * 102 / 100 >= dead_time);
        // One that was silent for a dead time before this host's link went is not alive for that.
        let last = there.last.as_ref().map_or(Instant::default(), |l| l.at);
        let listened = listened || self.facts().link_lost.is_some_and(|lost| lost.since(last) * 102 / 100 >= dead_time);
        self.only(
            self.world.hosts[self.host].link_up && listened,
            "this host has not been able to hear for a dead time",
        )
    }

    /// It said so with its last datagram.
    pub(super) fn peer_left(&self) -> Result<(), Untrue> {
        let Some(peer) = self.peer() else { return Err("it names no peer".to_owned()) };
        let last = self.world.facts.heard(self.host, peer).last.as_ref();
        let sent = last.map_or(Instant::default(), |l| l.sent);
        match self.world.facts.host(peer).left {
            Some(at) if at >= sent => Ok(()),
            _ => Err(format!("{} did not leave, or was heard since", self.name(peer))),
        }
    }

    /// No node that is heard states that it is claiming, active or releasing.
    pub(super) fn nobody_active(&self) -> Result<(), Untrue> {
        let owner = self.others().find(|p| {
            let Some(last) = self.heard(*p) else { return false };
            let right = self.stated(last).is_some_and(|(role, _)| role.has_leadership());
            // What does not fit into one datagram comes with the next.
            let split = if self.world.groups() > FIT { last.stated.interval * 3 / 2 } else { Duration::ZERO };
            let began = self.world.hosts[*p].process.as_ref().map(|p| p.term_since[self.group]);
            right && began.is_none_or(|began| last.sent.since(began) >= split)
        });
        owner.map_or(Ok(()), |p| Err(format!("{} is heard to have leadership", self.name(p))))
    }

    /// It is heard, and when it sent that the cloud had not answered it for long.
    pub(super) fn peer_isolated(&self) -> Result<(), Untrue> {
        let Some(peer) = self.peer() else { return Err("it names no peer".to_owned()) };
        let Some(last) = self.heard(peer) else { return Ok(()) };
        let answers = self.world.facts.answers(peer);
        let answered = |n: usize| {
            let at = answers.of(n).streak.as_ref().map(|s| s.at);
            at.is_some_and(|at| at <= last.sent && last.sent.since(at) < Duration::from_secs(4))
        };
        match self.world.havips_of(self.group).all(answered) {
            false => Ok(()),
            true => Err(format!("the cloud answered {} shortly before", self.name(peer))),
        }
    }

    /// It is heard to be releasing.
    pub(super) fn handed_over(&self) -> Result<(), Untrue> {
        let Some(peer) = self.peer() else { return Err("it names no peer".to_owned()) };
        match self.heard(peer).and_then(|last| self.stated(last)) {
            Some((Role::Releasing, _)) => Ok(()),
            stated => Err(format!("{} states {}", self.name(peer), in_words(stated))),
        }
    }

    /// The peer is heard to have leadership, with such an epoch.
    pub(super) fn owner_heard(&self, epochs: impl Fn(Epoch, Epoch) -> bool) -> Result<(), Untrue> {
        let Some(peer) = self.peer() else { return Err("it names no peer".to_owned()) };
        match self.heard(peer).and_then(|last| self.stated(last)) {
            Some((role, epoch)) if role.has_leadership() && epochs(epoch, self.t.epoch) => Ok(()),
            stated => {
                Err(format!("{} states {}, and the epoch here is {}", self.name(peer), in_words(stated), self.t.epoch))
            }
        }
    }

    /// Nobody is heard to be active with a higher epoch.
    pub(super) fn handover_failed(&self) -> Result<(), Untrue> {
        let owner = self.others().find(|p| {
            let stated = self.heard(*p).and_then(|last| self.stated(last));
            stated.is_some_and(|(role, epoch)| role == Role::Active && epoch.next() > self.t.epoch.next())
        });
        match owner {
            Some(p) if self.t.to == Role::Claiming => Err(format!("{} is heard to be active", self.name(p))),
            _ => Ok(()),
        }
    }

    /// The one that is to have it is heard and goes first, or did a moment ago.
    pub(super) fn preempted(&self) -> Result<(), Untrue> {
        let Some(peer) = self.peer() else { return Err("it names no peer".to_owned()) };
        if self.heard(peer).is_none() {
            return Err(format!("{} is not heard", self.name(peer)));
        }
        let moved = self.world.now.since(self.world.facts.ranks_set) < self.dead_time() * 2;
        let key = |h: usize| {
            let host = &self.world.hosts[h];
            let weight = host.health.map_or(0, |(weight, _, _)| weight);
            let priority = i16::from(host.config.local_node().priority) + weight;
            (priority.clamp(1, 254), std::cmp::Reverse(h))
        };
        let preempts = self.world.scenario.cluster.preempt;
        if preempts && (moved || key(peer) > key(self.host)) {
            return Ok(());
        }
        Err(format!("{} does not go before {}", self.name(peer), self.name(self.host)))
    }

    /// Voters that were heard to answer within the lease, and have granted to nobody else, are no majority.
    pub(super) fn lease_lost(&self) -> Result<(), Untrue> {
        let cluster = &self.world.scenario.cluster;
        if cluster.arbiter == Arbiter::EtcdLease {
            return self.only(self.world.etcd_lost(self.host, self.group), "etcd has just said that it lasts");
        }
        if cluster.arbiter != Arbiter::Majority {
            return Err("no lease is needed here".to_owned());
        }
        if let Some(at) = self.facts().reloaded
            && self.world.now.since(at) < self.dead_time() * 4
        {
            return Ok(());
        }
        // Its own vote counts like any other: not soon after a start.
        let own = usize::from(self.votes(self.host));
        let member = |v: &usize| cluster.member(self.group, *v);
        let renewed = own + self.others().filter(member).filter(|v| self.renewed_by(*v)).count();
        let voters = self.world.hosts[self.host].config.groups[self.group].members.len();
        if renewed * 2 > voters {
            return Err(format!("{renewed} of {voters} voters answered in time, and have granted to nobody else"));
        }
        Ok(())
    }

    /// Whether a voter is past what it waits for after its start, and does not leave.
    fn votes(&self, voter: usize) -> bool {
        let cluster = &self.world.scenario.cluster;
        let waits = Duration::from_millis(cluster.cold_start_wait_ms.max(cluster.keep_for_ms)) + self.dead_time() * 2;
        let Some(p) = &self.world.hosts[voter].process else { return false };
        // It waits by its own clocks, which stand while its guest is frozen.
        let (now, facts) = (self.world.now, &self.world.facts);
        let waits = waits + facts.host(voter).frozen_for(now, now.since(p.started));
        // Where the files change one by one, a voter renews what it granted by the one before, and grants nothing fresh; nor
        // does it after that, for as long as what others granted by that file may last. Its own vote a leader has from its claim.
        let from = facts.maintained_from;
        let changed = facts.host(voter).digest_set.is_some_and(|at| at >= from);
        let group = GroupIndex(self.group);
        let adopts = self.world.maintains(voter, self.group) || (p.core.adopts(group) && self.may_adopt(voter));
        let granted = !(changed && adopts) || {
            let last = facts.heard(voter, self.host).last.as_ref();
            let ours = voter == self.host && p.term_since[self.group] < from;
            from > p.started + waits && (ours || last.is_some_and(|l| l.unbroken < from))
        };
        !p.stopping && granted && now > p.started + waits
    }

    /// How long the leases of this node are: until maintenance is over no longer than by the file before.
    fn lease(&self) -> Duration {
        let before = self.facts().dead_time_before.filter(|_| self.maintained());
        self.dead_time().min(before.unwrap_or(Duration::MAX))
    }

    /// Whether a voter must have renewed the lease lately.
    fn renewed_by(&self, voter: usize) -> bool {
        let host = &self.world.hosts[voter];
        let Some(last) = self.heard(voter) else { return false };
        let lease = self.lease() * LEASE_SHARE / 100;
        // One of several datagrams may be lost, and the groups in it are renewed with the next; or it is overtaken by one that
        // says nothing of this group, and still on its way. (seed 68075)
        let split = match self.world.groups() > FIT {
            true => last.stated.interval + self.world.network.slowest(voter, self.host),
            false => Duration::ZERO,
        };
        let answered = self.world.now.since(last.echoed) + split < lease;
        let same = last.stated.digest == Some(self.world.hosts[self.host].digest) && last.run == host.starts;
        let records = !host.disk_stuck && !host.effects_stuck;
        let other = |p: usize| {
            let epoch = self.world.epoch(p, self.group).unwrap_or_default();
            p != self.host && epoch >= self.t.epoch
        };
        answered
            && self.votes(voter)
            && same
            && records
            && !self.refused_by(voter)
            && !(0..self.world.nodes()).any(other)
    }

    /// Whether a voter may have refused the latest datagram of this node that it echoed, as it has taken that number itself, or a
    /// higher one. It says so, and is asked again with a number above. (seed 58767)
    fn refused_by(&self, voter: usize) -> bool {
        let Some(last) = self.heard(voter) else { return false };
        let (before, since) = self.facts().numbers[self.group];
        let asked = if last.echoed < since { before } else { self.t.epoch };
        self.world.facts.host(voter).highest[self.group] >= asked
    }

    /// Another node states another digest, or this one's file was another before.
    pub(super) fn config_mismatch(&self) -> Result<(), Untrue> {
        let digest = Some(self.world.hosts[self.host].digest);
        let differs = self.others().any(|p| {
            let last = self.world.facts.heard(self.host, p).last.as_ref();
            last.is_some_and(|l| l.stated.digest != digest)
        });
        self.only(differs || self.facts().digest_set.is_some(), "every node heard has the same digest")
    }
}

/// What a node was heard to say of its role.
fn in_words(stated: Option<(Role, Epoch)>) -> String {
    stated.map_or_else(|| "nothing".to_owned(), |(role, epoch)| format!("{role} of epoch {epoch}"))
}
