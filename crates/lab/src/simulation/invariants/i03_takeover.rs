//! I3: a HAVIP whose active node dies in calm is served again within a bound, and stays served.
//!
//! Calm: nothing went wrong for longer than anything that could still run into the takeover, and every other
//! node runs past its start-up waits. One who may claim lives, and with it a majority where one decides. Then
//! nothing is to be waited for but the dead time, some intervals, the calls of one claim, and the packets'
//! following; where only a read-back leads on to what moves them, the age of the record as well. What goes
//! wrong with one HAVIP of a group is no reason why another should come later.

use super::super::cloud::{Announcements, OnAttach};
use super::super::cluster::Cluster;
use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use super::calm::Calm;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::Role;
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// Three calls, and a burst of announcements of which the first may come before the attach.
const CLAIM: Duration = Duration::from_millis(600);
/// It must stay served for so long at least.
const STAYS: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Takeover {
    havip: usize,
    victim: usize,
    began: Instant,
    due: Instant,
    served: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Takeovers {
    calm: Calm,
    /// Nobody decides but the nodes and the cloud, and they can.
    judged: bool,
    open: Vec<Takeover>,
}

impl Takeovers {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self { calm: Calm::new(cluster), judged: cluster.arbiter != Arbiter::Keepalived, open: vec![] }
    }

    /// Within which time another one serves.
    fn bound(world: &World) -> Duration {
        let cluster = &world.scenario.cluster;
        let profile = world.cloud.profile();
        let moves = profile.on_attach == OnAttach::LastTakesOver || profile.announcements != Announcements::Ignored;
        let looks = if moves { Duration::ZERO } else { profile.read_delay * 2 + profile.busy * 2 };
        // One message to its runner, and one back.
        let takes = |h: &super::super::host::Host| h.gates.before_active.takes + Duration::from_millis(60);
        let gate = world.hosts.iter().map(takes).max().filter(|_| cluster.gate_timeout_ms > 0).unwrap_or_default();
        let interval = world.dead_time() / cluster.dead_multiplier.max(1);
        let lease = super::super::bound::lease(cluster) * 105 / 100;
        (world.dead_time() * 102 / 100).max(lease) + interval * 3 + CLAIM + profile.data_delay + looks + gate
    }

    /// A node is about to die.
    fn begin(&mut self, world: &World, victim: &str) {
        let cluster = &world.scenario.cluster;
        let Some(victim) = cluster.position(victim) else { return };
        let waits = Duration::from_millis(cluster.cold_start_wait_ms.max(cluster.keep_for_ms)) + world.dead_time() * 2;
        let others = || (0..world.nodes()).filter(|h| *h != victim);
        let past_start = |h: usize| {
            world.hosts[h].process.as_ref().is_some_and(|p| !p.stopping && world.now.since(p.started) > waits)
        };
        if !self.calm.nodes(world) || !world.winnable() || !others().all(past_start) {
            return;
        }
        for group in 0..world.groups() {
            let active: Vec<usize> =
                (0..world.nodes()).filter(|h| world.role(*h, group) == Some(Role::Active)).collect();
            let able = |h: usize| {
                !world.hosts[h].witness
                    && cluster.member(group, h)
                    && matches!(world.role(h, group), Some(Role::Backup | Role::Releasing))
            };
            let voters = others().filter(|h| cluster.member(group, *h)).count();
            let majority = cluster.arbiter != Arbiter::Majority || voters * 2 > cluster.voters(group);
            if active != [victim] || !majority || !others().any(able) {
                continue;
            }
            for havip in world.havips_of(group).filter(|n| self.calm.havip(world, *n)) {
                if world.served(havip) == Some(victim) {
                    let due = world.now + Self::bound(world);
                    self.open.push(Takeover { havip, victim, began: world.now, due, served: None });
                }
            }
        }
    }

    fn served(&mut self, world: &World, havip: usize) {
        let by = world.served(havip);
        for t in self.open.iter_mut().filter(|t| t.havip == havip && by.is_some_and(|h| h != t.victim)) {
            t.served.get_or_insert(world.now);
        }
    }

    fn judge(&mut self, world: &World) -> Result<(), String> {
        for t in self.open.iter().filter(|t| world.now > t.due) {
            let bound = t.due.since(t.began);
            match t.served {
                Some(at) if at > t.due => {
                    let (after, bound) = (lasting(at.since(t.began)), lasting(bound));
                    return Err(format!("HAVIP {} is served {after} after its node died, not within {bound}", t.havip));
                }
                Some(_) if world.served(t.havip).is_some() => {}
                Some(_) => {
                    let after = lasting(world.now.since(t.began));
                    return Err(format!("HAVIP {} is not served any more {after} after its node died", t.havip));
                }
                // Judged when it comes, so that the account says when that was.
                None if world.now < t.due + STAYS => {}
                None => {
                    let after = lasting(world.now.since(t.began));
                    return Err(format!("HAVIP {} is served by nobody {after} after its node died", t.havip));
                }
            }
        }
        self.open.retain(|t| world.now < t.due + STAYS);
        Ok(())
    }
}

impl Invariant for Takeovers {
    fn name(&self) -> &'static str {
        "I3"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !self.judged {
            return Ok(());
        }
        match seen {
            Seen::Did { kind } => {
                self.open.clear();
                if let StepKind::Crash { node, .. } | StepKind::PowerOff { node, .. } = kind {
                    self.begin(world, node);
                }
            }
            // Whatever else begins has waits of its own.
            Seen::Started { .. } | Seen::Quiet => self.open.clear(),
            Seen::Became { transition: t, .. } if t.to == Role::Releasing => {
                let of_group = world.havips_of(t.group.0);
                self.open.retain(|o| !of_group.contains(&o.havip));
            }
            Seen::Served { havip } => self.served(world, *havip),
            Seen::Tick => self.judge(world)?,
            _ => {}
        }
        self.calm.see(world, seen);
        Ok(())
    }
}
