//! I2: no effect is started without leadership, and none is retried after losing it.
//!
//! Judged at the instant at which the executor starts it: the core that ordered it must have leadership
//! then, as far as the actions before it in the same turn go. A node that hands over or leaves for a
//! restart may renew an address, and do nothing else.
//!
//! The rest does not go by the core's word. Under `majority` nothing is started in a term once another node has begun
//! a later one, guests with stopped clocks apart (I1); what is announced is in the kernel; who hands over or stops only
//! renews what the kernel has. A host that stood still for longer than its dead time
//! has lost what it had before, and claims nothing for one dead time. Under arbiter `cloud` a node that
//! does not reach another announces only while the cloud's record names it (election.md §5).

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::ids::Epoch;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::Role;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// The age at which an audit counts no more, and the time that a call may take.
const RECORD_AGE: Duration = Duration::from_millis(5_000 + 3_500);

#[derive(Debug)]
pub(super) struct EffectsNeedLeadership {
    /// Whom the cloud names for each HAVIP, and since when.
    named: Vec<(Option<String>, Instant)>,
    /// Under `majority`, per group: the last term that anybody began, and whose it is.
    terms: Option<Vec<(Epoch, usize)>>,
    /// Per node: when its clocks were last seen to stand still.
    frozen: Vec<Option<Instant>>,
}

impl EffectsNeedLeadership {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let majority = cluster.arbiter.is_leased();
        Self {
            named: vec![(None, Instant::default()); cluster.groups * cluster.havips],
            terms: majority.then(|| vec![(Epoch(0), usize::MAX); cluster.groups]),
            frozen: vec![None; cluster.machines.len()],
        }
    }

    /// Whether another node has begun a later term meanwhile.
    fn judge_term(&self, world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
        let Some((epoch, owner)) = self.terms.as_ref().map(|t| t[group]) else { return Ok(()) };
        let frozen = |h: usize| self.frozen[h].is_some_and(|at| world.now.since(at) < world.longest_lease() * 2);
        if owner == host || owner == usize::MAX || frozen(host) || frozen(owner) || world.etcd_touched_by_hand(group) {
            return Ok(());
        }
        let ours = world.epoch(host, group).unwrap_or_default();
        if ours < epoch {
            return Err(format!(
                "{} starts {what} for group {group} in term {ours}, and {} has begun term {epoch}",
                world.name(host),
                world.name(owner)
            ));
        }
        Ok(())
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
                && cluster.member(group, p)
                && (world.network.cut(host, p) || world.network.cut(p, host))
                && world.now.since(world.hosts[host].touched) > world.dead_time() * 2
        });
        if !cluster.arbiter.follows_record() || !lone || world.role_so_far(host, group) != Some(Role::Active) {
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

/// Whether a term began before its host stood still for longer than the dead time.
fn judge_absence(world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
    let h = &world.hosts[host];
    let Some(((went_on, _), p)) = h.away.zip(h.process.as_ref()) else { return Ok(()) };
    if p.done[group].has_leadership() && p.term_since[group] < went_on {
        return Err(format!(
            "{} starts {what} for group {group} by leadership from before it was away",
            world.name(host)
        ));
    }
    Ok(())
}

fn judge(world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
    judge_absence(world, host, group, what)?;
    let (done, after) = (world.role_so_far(host, group), world.role(host, group));
    let lost_later = after.is_some_and(|r| !r.has_leadership());
    if done.is_some_and(Role::has_leadership) && (lost_later || world.leadership_until(host, group).is_some()) {
        return Ok(());
    }
    let role = done.map_or("nothing", Role::as_str);
    Err(format!("{} starts {what} for group {group} as {role}, without leadership", world.name(host)))
}

impl Invariant for EffectsNeedLeadership {
    fn name(&self) -> &'static str {
        "I2"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Wrote { host, write } => {
                judge(world, *host, write.group.0, "a write")?;
                self.judge_term(world, *host, write.group.0, "a write")
            }
            Seen::Announced { host, group } => {
                self.note_record(world);
                judge(world, *host, group.0, "an announcement")?;
                self.judge_term(world, *host, group.0, "an announcement")?;
                if !world.havips_of(group.0).any(|n| world.has_address(*host, n)) {
                    return Err(format!("{} announces what is not on it", world.name(*host)));
                }
                self.judge_announcement(world, *host, group.0)
            }
            Seen::Put { host, group, .. } => {
                let releasing = world.role_so_far(*host, group.0) == Some(Role::Releasing);
                let leaving = world.hosts[*host].process.as_ref().is_some_and(|p| p.stopping);
                if !releasing && !leaving {
                    judge(world, *host, group.0, "putting an address")?;
                    return self.judge_term(world, *host, group.0, "putting an address");
                }
                let there = world.havips_of(group.0).any(|n| world.has_address(*host, n));
                let right = world.role_so_far(*host, group.0).is_some_and(Role::has_leadership);
                if there || right {
                    return Ok(());
                }
                Err(format!("{} puts an address that it does not have on its way out", world.name(*host)))
            }
            Seen::Became { host, transition: t } if t.to == Role::Claiming && !t.from.has_leadership() => {
                if let Some(terms) = &mut self.terms {
                    terms[t.group.0] = (t.epoch, *host);
                }
                let h = &world.hosts[*host];
                let dead_time = h.config.heartbeat.dead_time();
                match h.away {
                    // Decided before it stood still, in a step that is only now carried out to its end: no claim by then.
                    Some((_, back)) if t.at >= back && t.at.since(back) + Duration::from_millis(1) < dead_time => {
                        Err(format!(
                            "{} claims {} after it was away; it must listen for {}",
                            world.name(*host),
                            lasting(t.at.since(back)),
                            lasting(dead_time)
                        ))
                    }
                    _ => Ok(()),
                }
            }
            Seen::Tick => {
                for host in (0..world.nodes()).filter(|h| world.frozen(*h)) {
                    self.frozen[host] = Some(world.now);
                }
                self.note_record(world);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
