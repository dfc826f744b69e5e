//! The state of the core, as [`crate::status`] describes it.

use super::Core;
use super::arbiter::etcd::{KeyElection, key_in_words};
use super::arbiter::leader::Said;
use crate::model::leader::{LeaderKey, LeaderReport, Standing, nothing_said};
use crate::model::role::Role;
use crate::model::settings::{Arbiter, Group as Settings};
use crate::model::time::Instant;
use crate::status::{
    DifferenceSnapshot, ElectionKeySnapshot, FailedClaimSnapshot, FailedMoveSnapshot, GateSnapshot, GroupSnapshot,
    HavipSnapshot, LeaderKeySnapshot, MemberSnapshot, PeerSnapshot, Snapshot, VrrpSnapshot,
};
use crate::wire::Flags;

fn ms(now: Instant, at: Instant) -> u64 {
    u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX)
}

impl Core {
    /// The state as it is at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let config = &self.config;
        Snapshot {
            cluster: config.cluster.to_string(),
            node: config.local_node().name.to_string(),
            target: self.identity.clone(),
            uptime_ms: ms(now, self.started),
            peers: self.peers.iter().map(|p| self.peer_snapshot(p, now)).collect(),
            groups: self.groups.iter().map(|g| self.group_snapshot(g, now)).collect(),
            counters: self.counters,
            pauses: self.stall.pauses,
            longest_pause_ms: u64::try_from(self.stall.longest_pause.as_millis()).unwrap_or(u64::MAX),
            stopping: self.stopping,
        }
    }

    fn peer_snapshot(&self, peer: &super::peer::Peer, now: Instant) -> PeerSnapshot {
        PeerSnapshot {
            node: self.config.node(peer.node).name.to_string(),
            state: peer.session.state(now),
            heard_ms: peer.session.last_heard().map(|at| ms(now, at)),
            dead_time_ms: u64::try_from(peer.session.dead_time().as_millis()).unwrap_or(u64::MAX),
            suspected: peer.up(now) && peer.suspected(now),
            same_digest: peer.digest.filter(|_| peer.up(now)).map(|d| d == self.digest),
            target: peer.target.clone(),
            stats: peer.session.stats().clone(),
        }
    }

    fn group_snapshot(&self, g: &super::group::Group, now: Instant) -> GroupSnapshot {
        let settings = &self.config.groups[g.index.0];
        let name = |n: crate::model::ids::NodeIndex| self.config.node(n).name.to_string();
        let owner = self.peers.iter().find_map(|p| Some((p.node, p.owns(g.tag, now)?)));
        let owner = owner.filter(|_| !g.role().has_leadership());
        let active =
            if g.role().has_leadership() { Some(self.config.local) } else { owner.map(|(node, _)| node) }.map(name);
        let members = self.members_snapshot(g, now);
        let able = |m: &&MemberSnapshot| m.unfit.is_none() && active.as_ref() != Some(&m.node);
        let waiting = Some(g.candidacy.waiting()).filter(|_| g.role() != Role::Active);
        let member = settings.member(self.config.local).is_some();
        let configured = settings.member(self.config.local).map_or(0, |m| i32::from(m.priority));
        let right = self.leadership_of(g, now).filter(|_| g.role().has_leadership());
        GroupSnapshot {
            name: settings.name.to_string(),
            role: g.role(),
            cause: g.cause.into(),
            detail: g.detail.clone(),
            since_ms: ms(now, g.since),
            epoch: owner.map_or(g.epochs.ours(), |(_, entry)| entry.epoch).0,
            priority: configured + i32::from(g.health.weight),
            waiting: waiting.map(|w| w.text.clone()).unwrap_or_default(),
            waiting_ms: waiting.and_then(|w| w.until).filter(|until| *until > now).map(|until| ms(until, now)),
            member,
            successor: members.iter().find(able).map(|m| m.node.clone()),
            no_failover: active.as_ref().and_then(|active| self.no_failover(g, &members, active, now)),
            preemption_suspended: owner.map_or(g.preemption.is_suspended(), |(_, e)| e.flags.has(Flags::SETTLED)),
            gate: g.gate.now().map(|gate| GateSnapshot {
                kind: gate.kind,
                for_ms: ms(now, gate.since),
                left_ms: ms(gate.deadline, now),
            }),
            failed_claim: g.backoff.failed_claim().map(|(at, cause, text)| FailedClaimSnapshot {
                cause: cause.into(),
                text: text.to_owned(),
                ago_ms: ms(now, at),
            }),
            failed_move: g.failed_move.as_ref().filter(|_| g.role().has_leadership()).map(|f| FailedMoveSnapshot {
                to: name(f.to),
                reason: f.why.clone(),
                ago_ms: ms(now, f.at),
            }),
            members,
            active,
            arbiter: settings.arbiter.into(),
            right_ms: right.map(|until| ms(until, now)),
            votes_in_ms: (settings.arbiter.grants_leases() && g.voter.quarantined(now))
                .then(|| ms(g.voter.quarantine_ends(), now)),
            vrrp: (settings.arbiter == Arbiter::Keepalived).then(|| vrrp_snapshot(settings, g.leader.said(), now)),
            leader_key: settings
                .followed_key()
                .map(|leader| leader_key_snapshot(settings, leader, g.leader.said(), now)),
            election_key: self.config.election_key(g.index).map(|key| election_key_snapshot(key, &g.key, now)),
            observe: settings.observe,
            differs: g.observed.differs().map(|(d, since)| DifferenceSnapshot {
                havip: settings.havips[d.havip].id.to_string(),
                elected: d.elected.map(name),
                holder: d.holder.clone(),
                for_ms: ms(now, *since),
            }),
            drained: g.is_drained(),
            maintenance: g.maintained() && member,
            maintenance_ends_ms: g
                .maintenance
                .left(now)
                .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            isolated: g.isolated(),
            moves: g.moves.within(now, settings.max_moves_window),
            max_moves: settings.max_moves,
            budget_ms: g.moves.budget_back(now, settings).map(|at| ms(at, now)),
            trace: self.trace_snapshot(g, now),
            fabric: g.fabric.answered().map(|(n, _)| name(n)),
            fabric_ms: g.fabric.answered().map(|(_, at)| ms(now, at)),
            havips: settings.havips.iter().zip(g.reconcilers.iter()).map(|(h, l)| havip_snapshot(h, l, now)).collect(),
        }
    }

    /// Until when a group's right lasts.
    fn leadership_of(&self, g: &super::group::Group, now: Instant) -> Option<Instant> {
        let alive = self.stall.alive_until(now, self.config.heartbeat.dead_time());
        g.granted_until(&self.config, now, alive)
    }

    /// The instant until which this node has leadership in group `index`; `None` without it.
    ///
    /// For invariant checkers: everything the core does follows from the actions alone.
    #[must_use]
    pub fn leadership_until(&self, index: crate::model::ids::GroupIndex, now: Instant) -> Option<Instant> {
        let group = self.groups.get(index.0).filter(|g| g.role().has_leadership())?;
        self.leadership_of(group, now).filter(|until| *until > now)
    }

    /// The epoch that this node has, asks for or had last in group `index`.
    ///
    /// For invariant checkers, like [`Self::leadership_until`].
    #[must_use]
    pub fn epoch(&self, index: crate::model::ids::GroupIndex) -> Option<crate::model::ids::Epoch> {
        self.groups.get(index.0).map(|g| g.epochs.ours())
    }

    /// Whether cluster-wide maintenance of group `index` is on, as far as this node has heard.
    ///
    /// For invariant checkers, like [`Self::leadership_until`].
    #[must_use]
    pub fn maintained(&self, index: crate::model::ids::GroupIndex) -> bool {
        self.groups.get(index.0).is_some_and(super::group::Group::maintained)
    }

    /// Whether this node is still taking over the file that it runs with, and so grants nothing fresh in group `index`.
    ///
    /// For invariant checkers, like [`Self::leadership_until`].
    #[must_use]
    pub fn adopts(&self, index: crate::model::ids::GroupIndex) -> bool {
        self.groups.get(index.0).is_some_and(|g| g.adopted_before(self.digest).is_some())
    }
}

fn vrrp_snapshot(settings: &Settings, said: Option<&Said>, now: Instant) -> VrrpSnapshot {
    let said = said.and_then(|said| match &said.report {
        LeaderReport::Keepalived(report) => Some((*report, said.since)),
        LeaderReport::Etcd(_) => None,
    });
    VrrpSnapshot {
        name: settings.vrrp.shown(),
        state: said.map(|(report, _)| report.state),
        since_ms: said.map(|(_, since)| ms(now, since)),
        source: said.map(|(report, _)| report.source.into()),
    }
}

fn leader_key_snapshot(
    settings: &Settings,
    leader: &LeaderKey,
    said: Option<&Said>,
    now: Instant,
) -> LeaderKeySnapshot {
    let report = said.and_then(|said| match &said.report {
        LeaderReport::Etcd(report) => Some(report),
        LeaderReport::Keepalived(_) => None,
    });
    let record = report.and_then(|report| report.record.as_ref());
    let text = said.map_or_else(|| nothing_said(settings), |said| said.report.words(settings, now));
    LeaderKeySnapshot {
        key: leader.shown(),
        own_value: leader.value.clone(),
        known: record.is_some(),
        value: record.and_then(|record| record.value.clone()),
        elected: said.is_some_and(|said| said.report.standing(now) == Some(Standing::Elected)),
        created: record.map(|record| record.created),
        revision: record.map(|record| record.revision),
        since_ms: record.and(said).map(|said| ms(now, said.since)),
        read_ms: report.and_then(|report| report.read).map(|at| ms(now, at)),
        left_ms: record.and(report).map(|report| ms(report.until, now)),
        endpoint: report.and_then(|report| report.endpoint.clone()),
        trouble: report.and_then(|report| report.trouble.clone()),
        text,
    }
}

fn election_key_snapshot(key: String, election: &KeyElection, now: Instant) -> ElectionKeySnapshot {
    let seen = election.now();
    let found = seen.as_ref().and_then(|seen| seen.state.found.as_ref());
    ElectionKeySnapshot {
        text: key_in_words(election, &format!("etcd's {key}")),
        key,
        value: found.map(|found| found.says.to_string()),
        ours: election.until().is_some_and(|until| until > now),
        revision: found.map(|found| found.modified),
        read_ms: seen.as_ref().map(|seen| ms(now, seen.sent)),
        lease_ms: election.lease_until().map(|until| ms(until, now)),
        endpoint: seen.as_ref().and_then(|seen| seen.endpoint.map(str::to_owned)),
        trouble: election.trouble().map(str::to_owned),
    }
}

fn havip_snapshot(
    havip: &crate::model::settings::Havip,
    l: &crate::reconcile::HavipReconciler,
    now: Instant,
) -> HavipSnapshot {
    let read = l.read.as_ref();
    HavipSnapshot {
        id: havip.id.to_string(),
        address: l.address.ip,
        present: l.address.present,
        holder: l.holder().map(str::to_owned),
        bound: read
            .map(|r| r.havip.binded_instances.iter().map(|b| b.instance_id.clone()).collect())
            .unwrap_or_default(),
        read_ms: read.map(|r| ms(now, r.at)),
        error: l.trouble().or_else(|| l.read_errors.as_ref().map(|(_, _, e)| e.to_string())),
        repairs: l.repairs.total,
        repaired: l.repairs.snapshot(now),
        contested: l.contested_by(),
    }
}
