//! I8: the address of a dead, hung or frozen holder is gone within its lifetime + 2 s of guest time,
//! and that of a live daemon that has lost leadership at once.
//!
//! Judged from the kernel's addresses and the roles that were recorded. What a start finds on its host may stay for
//! `keep-for`, a start that keeps its place on a stop keeps it, and so does one whose handover failed in a stop; none of these
//! outlives its lifetime.

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::{OnRestart, OnStop};
use havipd_core::model::time::Instant;
use std::time::Duration;

/// The kernel's own slack.
const SLACK: Duration = Duration::from_secs(2);
/// A live daemon takes it off within its next step, which a netlink reply may precede.
const AT_ONCE: Duration = Duration::from_millis(1500);

#[derive(Debug)]
pub(super) struct AddressLifetime {
    havips: usize,
    /// Per node and HAVIP: the latest instant of guest time until which the address may be there.
    may_until: Vec<Vec<Instant>>,
    /// Per node and group: when it was last seen entitled, in guest time.
    entitled: Vec<Vec<Instant>>,
    /// Per node: when its daemon was started, in guest time: it may have been while the guest stood still.
    started: Vec<Instant>,
    /// Per node and HAVIP: that start found the address on the host.
    found: Vec<Vec<bool>>,
    /// Per node and group: its handover failed in a stop, so nobody serves. The daemon may run on for other groups.
    kept: Vec<Vec<bool>>,
}

impl AddressLifetime {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let nodes = cluster.machines.len();
        let havips = cluster.groups * cluster.havips;
        Self {
            havips,
            may_until: vec![vec![Instant::default(); havips]; nodes],
            entitled: vec![vec![Instant::default(); cluster.groups]; nodes],
            started: vec![Instant::default(); nodes],
            found: vec![vec![false; havips]; nodes],
            kept: vec![vec![false; cluster.groups]; nodes],
        }
    }

    fn judge(&mut self, world: &World, host: usize) -> Result<(), String> {
        let now = world.guest_now(host);
        let h = &world.hosts[host];
        let live = h.awake() && !h.effects_stuck && h.address_stuck.is_none();
        for group in 0..world.groups() {
            // After a start an address that the last run left may be about to be resumed with.
            let keep = Duration::from_millis(world.scenario.cluster.keep_for_ms);
            let found = world.havips_of(group).any(|n| self.found[host][n]);
            let starting = found && now.since(self.started[host]) < keep + AT_ONCE;
            let cluster = &world.scenario.cluster;
            let keeps = cluster.on_restart == OnRestart::Keep || cluster.on_stop == OnStop::Keep;
            let leaving = self.kept[host][group] || keeps && h.process.as_ref().is_some_and(|p| p.stopping);
            let role = world.role(host, group);
            let entitled = role.is_some_and(|r| r.has_leadership() || r == Role::Releasing) || leaving || starting;
            if entitled || !live {
                self.entitled[host][group] = now;
            }
            for havip in world.havips_of(group).filter(|n| world.has_address(host, *n)) {
                let may = self.may_until[host][havip];
                if now > may {
                    return Err(format!(
                        "{} still has HAVIP {havip} {} after its lifetime",
                        world.name(host),
                        lasting(now.since(may))
                    ));
                }
                let idle = now.since(self.entitled[host][group]);
                if live && idle > AT_ONCE {
                    return Err(format!(
                        "{} runs without leadership and has HAVIP {havip} for {}",
                        world.name(host),
                        lasting(idle)
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Invariant for AddressLifetime {
    fn name(&self) -> &'static str {
        "I8"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Put { host, group, lifetime } => {
                let allowed = world.hosts[*host].config.local_address.lifetime.unwrap_or_default();
                let keep = Duration::from_millis(world.scenario.cluster.keep_for_ms);
                let Some(lifetime) = lifetime.filter(|l| *l <= allowed.max(keep)) else {
                    let long = lifetime.map_or_else(|| "ever".to_owned(), lasting);
                    return Err(format!("{} puts an address for {long}", world.name(*host)));
                };
                let until = world.guest_now(*host) + lifetime + SLACK;
                for havip in world.havips_of(group.0) {
                    self.may_until[*host][havip] = self.may_until[*host][havip].max(until);
                }
            }
            Seen::Became { host, transition: t } => {
                let stopping = world.hosts[*host].process.as_ref().is_some_and(|p| p.stopping);
                let kept = &mut self.kept[*host][t.group.0];
                if stopping && t.to == Role::Backup && t.cause == Cause::HandoverFailed {
                    *kept = true;
                } else if !stopping || t.to.has_leadership() {
                    // A fault that it goes to after that takes nothing. (seed 68621)
                    *kept = false;
                }
            }
            // Nothing is left of the last run, as after a boot, which begins the clock again.
            Seen::Started { host } => {
                self.kept[*host].fill(false);
                self.started[*host] = world.guest_now(*host);
                for havip in 0..self.havips {
                    self.found[*host][havip] = world.has_address(*host, havip);
                }
                if world.hosts[*host].addresses.is_empty() {
                    self.may_until[*host] = vec![Instant::default(); self.havips];
                    self.entitled[*host].fill(Instant::default());
                }
            }
            Seen::Tick => return (0..world.nodes()).try_for_each(|h| self.judge(world, h)),
            _ => {}
        }
        Ok(())
    }
}
