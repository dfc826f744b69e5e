//! I2: no effect is started without the right, and none is retried after losing it.
//!
//! Judged at the instant at which the executor starts it: the core that ordered it must have the right
//! then, as far as the actions before it in the same turn go. A node that hands over or leaves for a
//! restart may renew an address, and do nothing else.
//!
//! Three things do not rest on the core's word. A host that stood still for longer than its dead time
//! has lost what it had before, and claims nothing for one dead time. Under arbiter `cloud` a node that
//! does not reach another announces only while the cloud's record names it (election.md §5).

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use crate::election::role::Role;
use crate::time::Instant;
use std::time::Duration;

/// The age at which an audit counts no more, and the time that a call may take.
const RECORD_AGE: Duration = Duration::from_millis(5_000 + 3_500);

#[derive(Debug)]
pub(super) struct EffectsNeedRight {
    /// Whom the cloud names for each HAVIP, and since when.
    named: Vec<(Option<String>, Instant)>,
}

impl EffectsNeedRight {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self { named: vec![(None, Instant::default()); cluster.groups * cluster.havips] }
    }

    fn note_record(&mut self, world: &World) {
        for (number, (target, since)) in self.named.iter_mut().enumerate() {
            let master = world.cloud.havip(world.now, &Cluster::havip_id(number)).and_then(|v| v.master);
            if master != *target {
                (*target, *since) = (master, world.now);
            }
        }
    }

    /// Alone, without the record on its side, an active node is silent.
    fn judge_announcement(&self, world: &World, host: usize, group: usize) -> Result<(), String> {
        let cluster = &world.scenario.cluster;
        let lone = (0..world.nodes()).any(|p| {
            p != host
                && !cluster.machines[p].witness
                && (world.network.cut(host, p) || world.network.cut(p, host))
                && world.now.since(world.hosts[host].touched) > world.dead_time() * 2
        });
        if !cluster.arbiter.by_record() || !lone || world.role_so_far(host, group) != Some(Role::Active) {
            return Ok(());
        }
        let lag = world.cloud.profile().read_delay + world.cloud_delay * 2;
        let me = cluster.target(host);
        let named = |n: usize| {
            let (target, since) = &self.named[n];
            target.clone().filter(|t| *t != me && world.now.since(*since) > RECORD_AGE + lag)
        };
        match world.havips_of(group).find_map(named) {
            Some(other) if world.cloud.faults().is_empty() => {
                Err(format!("{} announces alone though the cloud has named {other} for long", world.name(host)))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a reign began before its host stood still for longer than the dead time.
fn judge_absence(world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
    let h = &world.hosts[host];
    let Some(((went_on, _), p)) = h.away.zip(h.process.as_ref()) else { return Ok(()) };
    if p.done[group].has_right() && p.reign_since[group] < went_on {
        return Err(format!("{} starts {what} for group {group} by a right from before it was away", world.name(host)));
    }
    Ok(())
}

fn judge(world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
    judge_absence(world, host, group, what)?;
    let (done, after) = (world.role_so_far(host, group), world.role(host, group));
    let lost_later = after.is_some_and(|r| !r.has_right());
    if done.is_some_and(Role::has_right) && (lost_later || world.right_until(host, group).is_some()) {
        return Ok(());
    }
    let role = done.map_or("nothing", Role::as_str);
    Err(format!("{} starts {what} for group {group} as {role}, without the right", world.name(host)))
}

impl Invariant for EffectsNeedRight {
    fn name(&self) -> &'static str {
        "I2"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Wrote { host, write } => judge(world, *host, write.group.0, "a write"),
            Seen::Announced { host, group } => {
                self.note_record(world);
                judge(world, *host, group.0, "an announcement")?;
                self.judge_announcement(world, *host, group.0)
            }
            Seen::Put { host, group, .. } => {
                let releasing = world.role_so_far(*host, group.0) == Some(Role::Releasing);
                let leaving = world.hosts[*host].process.as_ref().is_some_and(|p| p.stopping);
                if releasing || leaving { Ok(()) } else { judge(world, *host, group.0, "putting an address") }
            }
            Seen::Became { host, transition: t } if t.to == Role::Claiming && !t.from.has_right() => {
                let h = &world.hosts[*host];
                let dead_time = h.config.heartbeat.dead_time();
                match h.away {
                    // Decided before it stood still, in a turn that is only now carried out to its end: no claim by then.
                    Some((_, back)) if t.at >= back && t.at.since(back) + Duration::from_millis(1) < dead_time => {
                        Err(format!(
                            "{} claims {:?} after it was away; it must listen for {dead_time:?}",
                            world.name(*host),
                            t.at.since(back)
                        ))
                    }
                    _ => Ok(()),
                }
            }
            Seen::Tick => {
                self.note_record(world);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
