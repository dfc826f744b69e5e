//! The one description of the core's state: status, JSON, metrics and `STATUS=` are all made from it.

use super::Core;
use super::succession::MemberSnapshot;
use crate::model::event::VrrpSource;
use crate::model::ids::Target;
use crate::model::role::{Cause, Role};
use crate::model::settings::Arbiter;
use crate::model::time::Instant;
use crate::model::vrrp::State;
use crate::wire::Flags;
use crate::wire::session::{SessionState, SessionStats};
use serde::Serialize;

/// Everything there is to know of one node, at one instant. Ages are in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// `cluster.name`.
    pub cluster: String,
    /// The node that speaks.
    pub node: String,
    /// What it is to the cloud.
    pub target: Option<Target>,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// Every other node.
    pub peers: Vec<PeerSnapshot>,
    /// Every group.
    pub groups: Vec<GroupSnapshot>,
    /// Datagrams that were not even a peer's, and other counts.
    pub counters: Counters,
    /// Pauses of this host that were longer than the dead time.
    pub pauses: u64,
    /// Longest pause ever measured, in milliseconds.
    pub longest_pause_ms: u64,
    /// The process is leaving.
    pub stopping: bool,
}

/// One other node.
#[derive(Debug, Clone, Serialize)]
pub struct PeerSnapshot {
    /// Its name.
    pub node: String,
    /// Its session with us.
    pub state: SessionState,
    /// Milliseconds since a datagram of it counted.
    pub heard_ms: Option<u64>,
    /// Silence after which it is dead.
    pub dead_time_ms: u64,
    /// Connected, but a heartbeat is missing.
    pub suspected: bool,
    /// Whether it runs the same timing, voters, arbiter, HAVIPs and bindings; not known of one that is not connected.
    pub same_digest: Option<bool>,
    /// What it is to the cloud.
    pub target: Option<Target>,
    /// Counters of the session.
    pub stats: SessionStats,
}

/// One group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupSnapshot {
    /// Its name.
    pub name: String,
    /// Our role.
    pub role: Role,
    /// Why we have it.
    pub cause: Cause,
    /// The same in words.
    pub detail: String,
    /// Milliseconds since it changed.
    pub since_ms: u64,
    /// The term that this node knows: of whoever is active, or its own last one.
    pub epoch: u64,
    /// Configured priority plus check weights.
    pub priority: i32,
    /// Who is active, as far as we know.
    pub active: Option<String>,
    /// Why this node does not claim now, in words; empty while it is active.
    pub waiting: String,
    /// Milliseconds until what `waiting` says is over at the latest, where that is known.
    pub waiting_ms: Option<u64>,
    /// Whether this node is a member, a witness included. Where it is none it knows nothing of the group.
    pub member: bool,
    /// The members, those that go first in rank first.
    pub members: Vec<MemberSnapshot>,
    /// Who goes first among those that could take over from the active node now, or have the group if there is none.
    pub successor: Option<String>,
    /// Why nobody would take over if the active node failed now, in words. `None` also where there is no second node,
    /// and where keepalived elects.
    pub no_failover: Option<String>,
    /// After a switchover: no preemption until an unplanned move.
    pub preemption_suspended: bool,
    /// The last claim of this node, if it failed and none has worked since.
    pub failed_claim: Option<FailedClaimSnapshot>,
    /// The last planned move away from this node, if it failed.
    pub failed_move: Option<FailedMoveSnapshot>,
    /// `arbiter`, resolved.
    pub arbiter: Arbiter,
    /// Milliseconds of right left, for a node that has it.
    pub right_ms: Option<u64>,
    /// Arbiter `majority`: milliseconds until this node may vote for anybody again after its start.
    pub votes_in_ms: Option<u64>,
    /// Arbiter `keepalived`: what keepalived said last.
    pub vrrp: Option<VrrpSnapshot>,
    /// Only observing (`observe`): nothing is touched.
    pub observe: bool,
    /// Where the cloud has it otherwise than this election, while only observing.
    pub differs: Option<DifferenceSnapshot>,
    /// `drain` is on.
    pub drained: bool,
    /// Cluster-wide maintenance is on.
    pub maintenance: bool,
    /// Milliseconds until this node ends it, if it was told to.
    pub maintenance_ends_ms: Option<u64>,
    /// Neither peers nor cloud.
    pub isolated: bool,
    /// Moves within `max-moves-window`.
    pub moves: usize,
    /// Moves allowed in that time; 0 is any number.
    pub max_moves: u32,
    /// Milliseconds until another unforced move is allowed, while none is.
    pub budget_ms: Option<u64>,
    /// Where packets went since a drill began to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<super::drill::TraceSnapshot>,
    /// Who answered the fabric probe last.
    pub fabric: Option<String>,
    /// Milliseconds since then.
    pub fabric_ms: Option<u64>,
    /// The HAVIPs.
    pub havips: Vec<HavipSnapshot>,
}

/// A claim, or a repair, that failed.
#[derive(Debug, Clone, Serialize)]
pub struct FailedClaimSnapshot {
    /// Why.
    pub cause: Cause,
    /// What was answered, in words.
    pub text: String,
    /// Milliseconds since then.
    pub ago_ms: u64,
}

/// A planned move that did not happen.
#[derive(Debug, Clone, Serialize)]
pub struct FailedMoveSnapshot {
    /// The node that was to be active.
    pub to: String,
    /// What it did, or did not do, in words.
    pub reason: String,
    /// Milliseconds since the right came back.
    pub ago_ms: u64,
}

/// A disagreement between an election that only observes and the cloud.
#[derive(Debug, Clone, Serialize)]
pub struct DifferenceSnapshot {
    /// The HAVIP.
    pub havip: String,
    /// The node that this election has active.
    pub elected: Option<String>,
    /// The target that the cloud names.
    pub holder: Option<String>,
    /// Milliseconds since it was seen.
    pub for_ms: u64,
}

/// What keepalived says of the instance that a group follows.
#[derive(Debug, Clone, Serialize)]
pub struct VrrpSnapshot {
    /// The vrrp_instance, or `GROUP:` and the sync group.
    pub name: String,
    /// Its state; `None` until it is known.
    pub state: Option<State>,
    /// Milliseconds since then.
    pub since_ms: Option<u64>,
    /// How it is known.
    pub source: Option<VrrpSource>,
}

/// One HAVIP.
#[derive(Debug, Clone, Serialize)]
pub struct HavipSnapshot {
    /// Its id.
    pub id: String,
    /// Its address, once known.
    pub address: Option<std::net::Ipv4Addr>,
    /// Whether the address is on this host.
    pub present: Option<bool>,
    /// Who the cloud says has it.
    pub holder: Option<String>,
    /// Who is bound.
    pub bound: Vec<String>,
    /// Milliseconds since that was read.
    pub read_ms: Option<u64>,
    /// Why it is not to be had although others of the group are, or the last error of reading it, while it lasts.
    pub error: Option<String>,
    /// Wrong answers that were repaired while active.
    pub repairs: u64,
}

/// What the network and the effects side did that needed no action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes that are no datagram of ours.
    pub foreign: u64,
    /// Another version of the protocol.
    pub wrong_version: u64,
    /// A key that we do not have.
    pub unknown_key: u64,
    /// A tag that does not verify.
    pub bad_tag: u64,
    /// Verified, but not to the layout.
    pub malformed: u64,
    /// Says to be from nobody in the file (our own, reflected, among them); its tag was not looked at.
    pub unknown_sender: u64,
    /// Results of operations that nobody waited for any more.
    pub late_results: u64,
    /// Heartbeats that could not be encoded.
    pub unsendable: u64,
    /// Evaluations of every group.
    pub steps: u64,
}

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
        let owner = owner.filter(|_| !g.role.has_right());
        let active = if g.role.has_right() { Some(self.config.local) } else { owner.map(|(node, _)| node) }.map(name);
        let members = self.members_snapshot(g, now);
        let able = |m: &&MemberSnapshot| m.unfit.is_none() && active.as_ref() != Some(&m.node);
        let waiting = Some(&g.waiting).filter(|_| g.role != Role::Active);
        let member = settings.member(self.config.local).is_some();
        let configured = settings.member(self.config.local).map_or(0, |m| i32::from(m.priority));
        let right = self.right_of(g, now).filter(|_| g.role.has_right());
        GroupSnapshot {
            name: settings.name.to_string(),
            role: g.role,
            cause: g.cause,
            detail: g.detail.clone(),
            since_ms: ms(now, g.since),
            epoch: owner.map_or(g.epoch, |(_, entry)| entry.epoch).0,
            priority: configured + i32::from(g.health.weight),
            waiting: waiting.map(|w| w.text.clone()).unwrap_or_default(),
            waiting_ms: waiting.and_then(|w| w.until).filter(|until| *until > now).map(|until| ms(until, now)),
            member,
            successor: members.iter().find(able).map(|m| m.node.clone()),
            no_failover: active.as_ref().and_then(|active| self.no_failover(g, &members, active, now)),
            preemption_suspended: owner.map_or(g.kept.preemption_suspended, |(_, e)| e.flags.has(Flags::SETTLED)),
            failed_claim: g.damping.failed_claim().map(|(at, cause, text)| FailedClaimSnapshot {
                cause,
                text: text.to_owned(),
                ago_ms: ms(now, at),
            }),
            failed_move: g.failed_move.as_ref().filter(|_| g.role.has_right()).map(|f| FailedMoveSnapshot {
                to: name(f.to),
                reason: f.why.clone(),
                ago_ms: ms(now, f.at),
            }),
            members,
            active,
            arbiter: settings.arbiter,
            right_ms: right.map(|until| ms(until, now)),
            votes_in_ms: (settings.arbiter.grants_leases() && g.voter.quarantined(now))
                .then(|| ms(g.voter.quarantine_ends(), now)),
            vrrp: (settings.arbiter.is_external()).then(|| {
                let said = g.vrrp.said();
                VrrpSnapshot {
                    name: settings.vrrp.to_string(),
                    state: said.map(|s| s.report.state),
                    since_ms: said.map(|s| ms(now, s.since)),
                    source: said.map(|s| s.report.source),
                }
            }),
            observe: settings.observe,
            differs: g.shadow.differs.as_ref().map(|(d, since)| DifferenceSnapshot {
                havip: settings.havips[d.havip].id.to_string(),
                elected: d.elected.map(name),
                holder: d.holder.clone(),
                for_ms: ms(now, *since),
            }),
            drained: g.is_drained(),
            maintenance: g.maintained() && member,
            maintenance_ends_ms: g
                .kept
                .maintenance_left(now)
                .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            isolated: g.isolated(),
            moves: g.damping.moves_in(now, settings.max_moves_window),
            max_moves: settings.max_moves,
            budget_ms: g.damping.budget_back(now, settings).map(|at| ms(at, now)),
            trace: self.trace_snapshot(g, now),
            fabric: g.fabric.answered.map(|(n, _)| name(n)),
            fabric_ms: g.fabric.answered.map(|(_, at)| ms(now, at)),
            havips: settings.havips.iter().zip(&g.reconcilers).map(|(h, l)| havip_snapshot(h, l, now)).collect(),
        }
    }

    /// Until when a group's right lasts.
    fn right_of(&self, g: &super::group::Group, now: Instant) -> Option<Instant> {
        let alive = self.stall.alive_until(now, self.config.heartbeat.dead_time());
        g.granted_until(&self.config, now, alive)
    }

    /// The instant until which this node has the right in group `index`; `None` without it.
    ///
    /// For invariant checkers: everything the core does follows from the actions alone.
    #[must_use]
    pub fn right_until(&self, index: crate::model::ids::GroupIndex, now: Instant) -> Option<Instant> {
        let group = self.groups.get(index.0).filter(|g| g.role.has_right())?;
        self.right_of(group, now).filter(|until| *until > now)
    }

    /// The epoch that this node has, asks for or had last in group `index`.
    ///
    /// For invariant checkers, like [`Self::right_until`].
    #[must_use]
    pub fn epoch(&self, index: crate::model::ids::GroupIndex) -> Option<crate::model::ids::Epoch> {
        self.groups.get(index.0).map(|g| g.epoch)
    }

    /// Whether cluster-wide maintenance of group `index` is on, as far as this node has heard.
    ///
    /// For invariant checkers, like [`Self::right_until`].
    #[must_use]
    pub fn maintained(&self, index: crate::model::ids::GroupIndex) -> bool {
        self.groups.get(index.0).is_some_and(super::group::Group::maintained)
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
        repairs: l.repairs,
    }
}
