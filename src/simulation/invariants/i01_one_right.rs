//! I1: under arbiter `majority` two nodes never have the right at one instant of guest time.
//!
//! A right begins or grows only in a turn, so every turn is compared with all other nodes. A guest
//! whose clocks the hypervisor stopped counts neither while they stand nor for one lease after they
//! went on: in its own time that lease is not over yet (election.md §2).

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use crate::config::model::Arbiter;
use crate::time::Instant;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct OneRight {
    majority: bool,
    /// Per node: when its clocks were last seen to stand still.
    frozen: Vec<Option<Instant>>,
}

impl OneRight {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self { majority: cluster.arbiter == Arbiter::Majority, frozen: vec![None; cluster.machines.len()] }
    }

    /// One lease of a node that leaves for a restart may be as long as `keep-for`.
    fn excused(&self, world: &World, host: usize) -> bool {
        let lease = world.dead_time().max(Duration::from_millis(world.scenario.cluster.keep_for_ms));
        world.frozen(host) || self.frozen[host].is_some_and(|at| world.now.since(at) < lease + lease / 50)
    }
}

impl Invariant for OneRight {
    fn name(&self) -> &'static str {
        "I1"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !self.majority {
            return Ok(());
        }
        for host in (0..world.nodes()).filter(|h| world.frozen(*h)) {
            self.frozen[host] = Some(world.now);
        }
        let Seen::Turned { host } = *seen else { return Ok(()) };
        for group in 0..world.groups() {
            let Some(ours) = world.right_until(host, group) else { continue };
            for other in (0..world.nodes()).filter(|o| *o != host) {
                let Some(theirs) = world.right_until(other, group) else { continue };
                if !self.excused(world, host) && !self.excused(world, other) {
                    let ours = ours.since(world.guest_now(host));
                    let theirs = theirs.since(world.guest_now(other));
                    return Err(format!(
                        "group {group}: {} has the right for {ours:?} and {} for {theirs:?}",
                        world.name(host),
                        world.name(other),
                    ));
                }
            }
        }
        Ok(())
    }
}
