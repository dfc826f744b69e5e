//! I1: under arbiter `majority`, and by leases in etcd, two nodes never have leadership at one instant of guest time.
//!
//! A right begins or grows only in a step, so every step is compared with all other nodes. A guest whose clocks the
//! hypervisor stopped does not count while they stand. Afterwards only the lease that it had by then is excused: until
//! that lease ends by its own clock, in which it is not over yet, and only while the node has not lost leadership since.
//! What is renewed after the halt, or won anew, counts. Another number is no other term: a leader takes the next one
//! without a move, and by a clock that stood still it may do so before it learns that it did.
//!
//! Who deletes or overwrites a key in etcd by hand takes it from a node that hears of it by a watch, or within a lease: that time
//! is excused, and no more.

use super::super::cluster::Cluster;
use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::plural::lasting;
use havipd_core::model::time::Instant;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct OneLeader {
    leased: bool,
    /// Per node and group: when the lease that it had when its clocks stopped ends at the latest, by the guest's clock. A
    /// request that was on its way may still be granted.
    kept: Vec<Vec<Option<Instant>>>,
}

impl OneLeader {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let leased = cluster.arbiter.is_leased();
        Self { leased, kept: vec![vec![None; cluster.groups]; cluster.machines.len()] }
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
        let lease = super::super::bound::lease(&world.scenario.cluster);
        let asked = world.guest_now(host) + h.config.heartbeat.dead_time().max(keep).max(lease);
        for group in 0..world.groups() {
            let until = world.leadership_until(host, group).unwrap_or_default().max(asked);
            self.kept[host][group] = Some(until);
        }
    }

    fn excused(&self, world: &World, host: usize, group: usize) -> bool {
        world.frozen(host) || self.kept[host][group].is_some_and(|until| world.guest_now(host) < until)
    }
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "I1"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !self.leased {
            return Ok(());
        }
        let host = match *seen {
            Seen::Did { kind: StepKind::Freeze { node, .. } } => {
                self.freeze(world, node);
                return Ok(());
            }
            Seen::Started { host } => {
                self.kept[host].fill(None);
                return Ok(());
            }
            Seen::Became { host, transition } if !transition.to.has_leadership() => {
                self.kept[host][transition.group.0] = None;
                return Ok(());
            }
            Seen::Turned { host } => host,
            _ => return Ok(()),
        };
        for group in 0..world.groups() {
            let Some(ours) = world.leadership_until(host, group) else { continue };
            for other in (0..world.nodes()).filter(|o| *o != host) {
                let Some(theirs) = world.leadership_until(other, group) else { continue };
                let by_hand = world.etcd_touched_by_hand(group);
                if !by_hand && !self.excused(world, host, group) && !self.excused(world, other, group) {
                    let ours = lasting(ours.since(world.guest_now(host)));
                    let theirs = lasting(theirs.since(world.guest_now(other)));
                    return Err(format!(
                        "group {group}: {} has leadership for {ours} and {} for {theirs}",
                        world.name(host),
                        world.name(other),
                    ));
                }
            }
        }
        Ok(())
    }
}
