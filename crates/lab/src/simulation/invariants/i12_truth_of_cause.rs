//! I12: the cause of every transition is true: it is held against what physically happened, without any calm.
//!
//! The table of docs/invariants.md, "Truth of causes", is [`judge`], a line for each cause. It is looked up when a
//! transition is decided, so the facts are those that the decision could rest on. What was heard, answered, said and broken is
//! in [`Facts`](super::super::facts::Facts): no line asks a core for more than whether it has heard of maintenance, or
//! whether what the world allows it is what it does.

mod adoption;
mod cloud;
mod host;
mod peers;

use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::action::{GateKind, Transition};
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::time::Instant;
use havipd_core::model::vrrp::State;
use std::collections::BTreeMap;
use std::time::Duration;

/// A transition, and what is known of the decision.
struct Case<'a> {
    world: &'a World,
    host: usize,
    group: usize,
    t: &'a Transition,
    /// When this host last began to claim in the group.
    claimed: Instant,
    /// What it lost leadership for since its start, if it did.
    lost_for: Option<Cause>,
    /// What its last fault was.
    fault: Option<Cause>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Past {
    claimed: Instant,
    lost_for: Option<Cause>,
    fault: Option<Cause>,
    /// The cause of a planned move that was true when `before-release` was asked for.
    released_for: Option<Cause>,
}

#[derive(Debug, Default)]
pub(super) struct TruthOfCause {
    /// Per node and group.
    past: BTreeMap<(usize, usize), Past>,
}

impl Past {
    fn case<'a>(self, world: &'a World, host: usize, t: &'a Transition) -> Case<'a> {
        let Self { claimed, lost_for, fault, .. } = self;
        Case { world, host, group: t.group.0, t, claimed, lost_for, fault }
    }
}

impl Case<'_> {
    fn dead_time(&self) -> Duration {
        self.world.hosts[self.host].config.heartbeat.dead_time()
    }

    /// The node that the transition names.
    fn peer(&self) -> Option<usize> {
        let config = &self.world.hosts[self.host].config;
        self.world.scenario.cluster.position(config.node(self.t.peer?).name.as_str())
    }

    fn facts(&self) -> &super::super::facts::HostFacts {
        self.world.facts.host(self.host)
    }
}

/// Why a cause is not true.
type Untrue = String;

/// The table: a line for each cause of the closed list. `Err` says what was the case instead.
fn judge(case: &Case<'_>) -> Result<(), Untrue> {
    match case.t.cause {
        Cause::Started => case.only(case.t.from == Role::Fault, "it was not in fault"),
        // What peers did or said.
        Cause::PeerDead => case.peer_dead(),
        Cause::PeerLeft => case.peer_left(),
        Cause::NoActive => case.nobody_active(),
        Cause::PeerIsolated => case.peer_isolated(),
        Cause::HandedOver => case.handed_over(),
        Cause::HigherEpoch => case.owner_heard(|theirs, ours| theirs > ours),
        Cause::LowerRank => case.owner_heard(|theirs, ours| theirs == ours),
        Cause::HandoverComplete => case.owner_heard(|theirs, ours| theirs > ours),
        Cause::HandoverFailed => case.handover_failed(),
        Cause::Preempted => case.preempted(),
        Cause::LeaseLost => case.lease_lost(),
        Cause::ConfigMismatch => case.config_mismatch(),
        // What the cloud answered.
        Cause::Resumed => case.resumed(),
        Cause::Confirmed => case.confirmed(),
        Cause::Superseded => case.superseded(),
        Cause::Isolated => case.isolated(),
        Cause::LostRace => case.lost_race(),
        Cause::ClaimTimedOut => case.claim_timed_out(),
        Cause::ClaimRefused | Cause::DetachRefused => case.refused(),
        Cause::GateFailed => {
            let failed = case.world.hosts[case.host].gates.failed.get(&case.group);
            // Or nothing was heard of it until long after its deadline.
            let long = Duration::from_millis(case.world.scenario.cluster.gate_timeout_ms);
            let unheard = case.world.now.since(case.claimed) > long;
            case.only(failed.is_some_and(|at| *at >= case.claimed) || unheard, "no gate of it failed")
        }
        Cause::HavipMissing => case.missing(),
        Cause::Denied => case.denied(),
        Cause::StrangerBound => case.stranger_bound(),
        // What happened to the host.
        Cause::Away => case.away(),
        Cause::Cloned => case.only(false, "no other machine ran with its state"),
        Cause::WrongHost => case.only(case.facts().wrong_host, "it is the machine that the cloud knows"),
        Cause::LinkDown => case.only(case.link_down(), "its interface is up"),
        Cause::AddressFailed => case.address_failed(),
        Cause::NoIdentity => case.no_identity(),
        Cause::CheckFailed => case.only(case.facts().check_failed, "no check of it fails"),
        Cause::Recovered => case.recovered(),
        // What keepalived and operators said.
        Cause::VrrpMaster => case.vrrp(|s| s == State::Master),
        Cause::VrrpBackup => case.vrrp(|s| s != State::Master),
        Cause::VrrpFault => case.vrrp(|s| !matches!(s, State::Master | State::Backup)),
        Cause::Switchover => case.switchover(),
        Cause::Drained => case.only(case.facts().drained, "no operator drained it"),
        Cause::Stopping => {
            let stopping = case.world.hosts[case.host].process.as_ref().is_some_and(|p| p.stopping);
            case.only(stopping, "nobody stops it")
        }
        // Only observing, which no simulated node does.
        Cause::CloudDiffers | Cause::CloudAgrees => case.only(false, "it does not only observe"),
        Cause::Maintenance | Cause::RankPassed => case.only(false, "no role changes for that"),
    }
}

impl Case<'_> {
    fn only(&self, holds: bool, otherwise: &str) -> Result<(), Untrue> {
        if holds { Ok(()) } else { Err(otherwise.to_owned()) }
    }
}

impl Invariant for TruthOfCause {
    fn name(&self) -> &'static str {
        "I12"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Started { host } => {
                self.past.retain(|(h, _), _| h != host);
                Ok(())
            }
            // A planned move goes on once `before-release` has begun, whatever becomes of its reason: that has to be true by then.
            Seen::GateAsked { host, run } if run.kind == GateKind::BeforeRelease => {
                let (group, epoch, cause, peer) = (run.group, run.epoch, run.cause, run.other);
                let (at, detail) = (world.guest_now(*host), String::new());
                let (from, to) = (Role::Active, Role::Releasing);
                let t = Transition { at, group, from, to, epoch, cause, detail, peer, timeline: vec![] };
                let past = self.past.entry((*host, group.0)).or_default();
                past.released_for = None;
                if judge(&past.case(world, *host, &t)).is_ok() {
                    past.released_for = Some(cause);
                }
                Ok(())
            }
            Seen::Decided { host, transition: t } => {
                let past = self.past.entry((*host, t.group.0)).or_default();
                if t.to == Role::Claiming && t.from != Role::Claiming {
                    past.claimed = world.now;
                }
                let before = *past;
                if t.from.has_leadership() && !t.to.has_leadership() {
                    past.lost_for = Some(t.cause);
                }
                if t.to == Role::Fault {
                    past.fault = Some(t.cause);
                }
                past.released_for = None;
                if t.to == Role::Releasing && before.released_for == Some(t.cause) {
                    return Ok(());
                }
                judge(&before.case(world, *host, t)).map_err(|instead| {
                    let name = world.name(*host);
                    format!("{name} became {} ({}: {}), and that is not true: {instead}", t.to, t.cause, t.detail)
                })
            }
            _ => Ok(()),
        }
    }
}
