//! I3 in windows of a run: wherever nothing has gone wrong for as long as a recovery may take, all is as it should be.
//!
//! The state in which a run must end is thus asked for in every calm of it. A planned move may be under way; while
//! somebody is drained or in maintenance, or the cloud of a HAVIP errs, its group has no window. Under `keepalived` the
//! keepaliveds have faults of their own, and the end of the run alone is judged.

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use super::calm::Calm;
use super::i03_convergence::group_not_converged;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// A planned move, and a repair after it, take no longer.
const MOVE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Windows {
    judged: bool,
    calm: Calm,
    /// Per group: when a planned move last began or ended.
    planned: Vec<Option<Instant>>,
}

impl Windows {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let judged = cluster.arbiter != Arbiter::Keepalived;
        Self { judged, calm: Calm::new(cluster), planned: vec![None; cluster.groups] }
    }

    fn judge(&self, world: &World, group: usize) -> Result<(), String> {
        let moving = self.planned[group]
            .is_some_and(|at| world.now.since(at) < MOVE + world.scenario.cluster.gates() + world.dead_time() * 2);
        let strange = |n: usize| {
            let view = world.cloud.havip(world.now, &Cluster::havip_id(n));
            view.is_none_or(|v| v.bound.iter().any(|t| world.scenario.cluster.node_with(&t.id).is_none()))
        };
        let calm = |n: usize| self.calm.havip(world, n) && !strange(n);
        if moving || world.cloud.has_late_writes() || !world.havips_of(group).all(calm) {
            return Ok(());
        }
        let long = world.calm_enough();
        group_not_converged(world, group)
            .map_or(Ok(()), |why| Err(format!("nothing went wrong for {}, and {why}", lasting(long))))
    }
}

impl Invariant for Windows {
    fn name(&self) -> &'static str {
        "I3"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !self.judged {
            return Ok(());
        }
        match seen {
            Seen::Became { transition: t, .. } => {
                let planned = t.to == Role::Releasing || t.from == Role::Releasing || t.cause == Cause::HandedOver;
                if planned || (t.to == Role::Active && t.from == Role::Claiming) {
                    self.planned[t.group.0] = Some(world.now);
                }
            }
            Seen::Tick if self.calm.nodes(world) && self.calm.daemons(world) && world.winnable() => {
                (0..world.groups()).try_for_each(|g| self.judge(world, g))?;
            }
            _ => {}
        }
        self.calm.see(world, seen);
        Ok(())
    }
}
