//! I3: from a quiet network on, cloud holder = elected node = the one node with the address, within a bound.
//!
//! The bound is the sum of what one recovery may wait for, each once: the cold-start wait, a kept
//! address or a voter's quarantine, the longest back-off after refused claims with its jitter, a
//! claim's own budget, some dead times, and the last planned move to the first in rank.

use super::super::bound::{OPERATION, bound};
use super::super::cloud::Profile;
use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::Binding;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// Watches for the state in which all is as it should be.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    quiet: Option<Instant>,
    since: Option<Instant>,
    why_not: String,
    /// Groups in which a planned move is under way, and since when: it may follow once all was settled.
    planned: Vec<Option<Instant>>,
}

impl Settling {
    pub(crate) fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Quiet => self.quiet = Some(world.now),
            Seen::Became { transition: t, .. } => {
                self.planned.resize(world.groups(), None);
                let begins = t.to == Role::Releasing || (t.to == Role::Claiming && t.cause == Cause::HandedOver);
                // Once active, the others are still to be detached: it ends when all is settled.
                let ends = t.to == Role::Claiming && t.cause != Cause::HandedOver;
                let planned = &mut self.planned[t.group.0];
                *planned = if begins { planned.or(Some(world.now)) } else { planned.filter(|_| !ends) };
            }
            Seen::Tick | Seen::End if self.quiet.is_some() => match not_converged(world) {
                None => {
                    self.since.get_or_insert(world.now);
                    self.planned.fill(None);
                }
                Some(_) if self.moving(world) => {}
                Some(why) => {
                    self.since = None;
                    self.why_not = why;
                }
            },
            _ => {}
        }
        if matches!(seen, Seen::End) && winnable(&world.scenario.cluster) { self.judge(world) } else { Ok(()) }
    }

    /// Whether a planned move is under way, and not for too long.
    fn moving(&self, world: &World) -> bool {
        let long = world.scenario.cluster.gates()
            + OPERATION
            + Duration::from_millis(world.scenario.cluster.handover_timeout_ms)
            + world.dead_time() * 2;
        self.planned.iter().flatten().any(|since| world.now.since(*since) < long)
    }

    fn judge(&self, world: &World) -> Result<(), String> {
        let bound = bound(&world.scenario.cluster, world.dead_time());
        match self.converged() {
            Some(after) if after <= bound => Ok(()),
            Some(after) => {
                let (after, bound) = (lasting(after), lasting(bound));
                Err(format!("settled {after} after the faults ended, not within {bound}; before: {}", self.why_not))
            }
            None if self.quiet.is_none_or(|q| world.now.since(q) < bound) => Ok(()),
            None => Err(format!("not settled {} after the faults ended: {}", lasting(bound), self.why_not)),
        }
    }

    /// What was last seen not to be as it should, if something is not.
    pub(crate) fn why_not(&self) -> Option<&str> {
        (self.since.is_none() && !self.why_not.is_empty()).then_some(self.why_not.as_str())
    }

    /// How long after the faults ended all was as it should be, for good.
    pub(crate) fn converged(&self) -> Option<Duration> {
        Some(self.since?.since(self.quiet?))
    }
}

/// Whether the cloud can be made to agree at all.
fn winnable(cluster: &Cluster) -> bool {
    cluster.profile.parse::<Profile>().is_ok_and(|p| p.winnable())
}

/// Why all is not as it should be, if so.
pub(super) fn not_converged(world: &World) -> Option<String> {
    (0..world.groups()).find_map(|group| group_not_converged(world, group))
}

/// The same for one group.
pub(super) fn group_not_converged(world: &World, group: usize) -> Option<String> {
    let is = |role: Role| (0..world.nodes()).filter(move |h| world.role(*h, group) == Some(role));
    let active: Vec<usize> = is(Role::Active).collect();
    let [holder] = active[..] else {
        let roles: Vec<String> = (0..world.nodes())
            .map(|h| format!("{} {}", world.name(h), world.role(h, group).map_or("down", Role::as_str)))
            .collect();
        return Some(format!("group {group}: {} nodes are active ({})", active.len(), roles.join(", ")));
    };
    if let Some(h) = is(Role::Claiming).chain(is(Role::Releasing)).next() {
        return Some(format!("group {group}: {} is on the move", world.name(h)));
    }
    if world.beside_keepalived() && !world.vrrp_master(holder) {
        return Some(format!("group {group}: {} is active, and its keepalived is not master", world.name(holder)));
    }
    world.havips_of(group).find_map(|havip| {
        let with: Vec<&str> =
            (0..world.nodes()).filter(|h| world.has_address(*h, havip)).map(|h| world.name(h)).collect();
        let name = world.name(holder);
        if with != [name] {
            return Some(format!(
                "HAVIP {havip}: {name} is active, its address is on {}",
                or_nobody(Some(&*with.join(", ")))
            ));
        }
        let target = world.scenario.cluster.target(holder);
        let view = world.cloud.havip(world.now, &Cluster::havip_id(havip))?;
        let alone = world.binding(holder, group) == Binding::Shared || view.bound.len() == 1;
        if view.traffic.as_ref() != Some(&target) {
            return Some(format!(
                "HAVIP {havip}: {name} is active, packets go to {}",
                or_nobody(view.traffic.as_deref())
            ));
        }
        if view.master.as_ref() != Some(&target) {
            return Some(format!(
                "HAVIP {havip}: {name} is active, the cloud names {}",
                or_nobody(view.master.as_deref())
            ));
        }
        (!alone).then(|| format!("HAVIP {havip}: {name} is active and not bound alone"))
    })
}

fn or_nobody(name: Option<&str>) -> &str {
    name.filter(|name| !name.is_empty()).unwrap_or("nobody")
}
