//! I13: under arbiter `majority` no `before-active` runs while another node's term lasts.
//!
//! A term lasts while its node has leadership. A guest whose clocks the hypervisor stopped is excused as in I2; so is a
//! program whose daemon stands still: only the daemon could kill it, and it does so as soon as it goes on.

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::time::Instant;

#[derive(Debug)]
pub(super) struct GatesAlone {
    judged: bool,
    /// Per node: when its clocks were last seen to stand still.
    frozen: Vec<Option<Instant>>,
}

impl GatesAlone {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let judged = cluster.arbiter.is_leased() && cluster.gate_timeout_ms > 0;
        Self { judged, frozen: vec![None; cluster.machines.len()] }
    }

    fn excused(&self, world: &World, host: usize) -> bool {
        self.frozen[host].is_some_and(|at| world.now.since(at) < world.longest_lease() * 2)
    }
}

impl Invariant for GatesAlone {
    fn name(&self) -> &'static str {
        "I13"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !self.judged {
            return Ok(());
        }
        match seen {
            Seen::Turned { .. } | Seen::GateBegan { .. } => {}
            Seen::Tick => {
                for host in (0..world.nodes()).filter(|h| world.frozen(*h)) {
                    self.frozen[host] = Some(world.now);
                }
            }
            _ => return Ok(()),
        }
        for group in 0..world.groups() {
            for host in (0..world.nodes()).filter(|h| world.runs_gate(*h, group)) {
                if world.hosts[host].halted.is_some() || self.excused(world, host) || world.etcd_touched_by_hand(group)
                {
                    continue;
                }
                let other =
                    |o: &usize| *o != host && world.leadership_until(*o, group).is_some() && !self.excused(world, *o);
                if let Some(other) = (0..world.nodes()).find(other) {
                    return Err(format!(
                        "group {group}: a gate runs on {} in the term of {}",
                        world.name(host),
                        world.name(other)
                    ));
                }
            }
        }
        Ok(())
    }
}
