//! I1: under arbiter `majority` two nodes never have the right at one instant of guest time.
//!
//! A right begins or grows only in a turn, so every turn is compared with all other nodes. A guest whose clocks the
//! hypervisor stopped does not count while they stand. Afterwards only the lease that it had by then is excused, in
//! the term of then and until that lease ends by its own clock, in which it is not over yet (election.md §2). What is
//! renewed after the halt, or won in a new term, counts.

use super::super::cluster::Cluster;
use super::super::deed::Deed;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::ids::Epoch;
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// The lease of one term when the guest's clocks stopped.
#[derive(Debug, Clone, Copy)]
struct Kept {
    epoch: Option<Epoch>,
    /// When it ends at the latest, by the guest's clock: an ask that was on its way may still be granted.
    until: Instant,
}

#[derive(Debug)]
pub(super) struct OneRight {
    majority: bool,
    /// Per node and group.
    kept: Vec<Vec<Option<Kept>>>,
}

impl OneRight {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let majority = cluster.arbiter == Arbiter::Majority;
        Self { majority, kept: vec![vec![None; cluster.groups]; cluster.machines.len()] }
    }

    /// A guest is about to be stopped with its clocks.
    fn freeze(&mut self, world: &World, node: &str) {
        let Some(host) = world.scenario.cluster.position(node) else { return };
        let h = &world.hosts[host];
        if h.halted.is_some() {
            return;
        }
        // One lease of a node that leaves for a restart may be as long as `keep-for`.
        let leaves = h.process.as_ref().is_some_and(|p| p.stopping);
        let keep = Duration::from_millis(if leaves { world.scenario.cluster.keep_for_ms } else { 0 });
        let asked = world.guest_now(host) + h.config.heartbeat.dead_time().max(keep);
        for group in 0..world.groups() {
            let until = world.right_until(host, group).unwrap_or_default().max(asked);
            self.kept[host][group] = Some(Kept { epoch: world.epoch(host, group), until });
        }
    }

    fn excused(&self, world: &World, host: usize, group: usize) -> bool {
        let kept = self.kept[host][group].filter(|k| k.epoch == world.epoch(host, group));
        world.frozen(host) || kept.is_some_and(|k| world.guest_now(host) < k.until)
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
        let host = match *seen {
            Seen::Did { deed: Deed::Freeze { node, .. } } => {
                self.freeze(world, node);
                return Ok(());
            }
            Seen::Started { host } => {
                self.kept[host].fill(None);
                return Ok(());
            }
            Seen::Turned { host } => host,
            _ => return Ok(()),
        };
        for group in 0..world.groups() {
            let Some(ours) = world.right_until(host, group) else { continue };
            for other in (0..world.nodes()).filter(|o| *o != host) {
                let Some(theirs) = world.right_until(other, group) else { continue };
                if !self.excused(world, host, group) && !self.excused(world, other, group) {
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
