//! I11: a planned move never leaves the HAVIP without a serving node.
//!
//! Watched from the first datagram that releases until one dead time after the next node is active, if
//! all was calm before and stays so, and if the cloud can move an address without a gap.

use super::super::cloud::{Announcements, OnAttach, Profile, Succession};
use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::Binding;

#[derive(Debug)]
pub(super) struct NoGap {
    /// With exclusive bindings, and with shared ones.
    atomic: [bool; 2],
    /// Per group: the cause of the planned move under way.
    moving: Vec<Option<Cause>>,
}

impl NoGap {
    pub(super) fn new(cluster: &Cluster) -> Self {
        // Where the record has to be moved before the gate runs, nobody serves meanwhile.
        let gated = cluster.gate_timeout_ms > 0 && cluster.arbiter.follows_record();
        let atomic = cluster.profile.parse::<Profile>().map_or([false; 2], |p| {
            let announced = p.announcements != Announcements::Ignored;
            let attached = p.on_attach == OnAttach::LastTakesOver || p.succession == Succession::FirstRemaining;
            [!gated && (announced || attached), !gated && announced]
        });
        Self { atomic, moving: vec![None; cluster.groups] }
    }

    /// Whether the cloud can move an address without a gap.
    fn atomic(&self, world: &World, host: usize, group: usize) -> bool {
        self.atomic[usize::from(world.binding(host, group) == Binding::Shared)]
    }

    fn judge(&self, world: &World, havip: usize) -> Result<(), String> {
        let group = havip / world.scenario.cluster.havips;
        let Some(cause) = self.moving[group] else { return Ok(()) };
        let calm = world.all_calm().is_some_and(|c| c > world.aftermath());
        if calm && world.served(havip).is_none() {
            return Err(format!("a planned move ({cause}) leaves HAVIP {havip} without a serving node"));
        }
        Ok(())
    }
}

impl Invariant for NoGap {
    fn name(&self) -> &'static str {
        "I11"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Became { host, transition } => {
                let group = transition.group.0;
                let served = world.havips_of(group).all(|n| world.served(n) == Some(*host));
                match transition.to {
                    Role::Releasing if served && self.atomic(world, *host, group) => {
                        self.moving[group] = Some(transition.cause)
                    }
                    Role::Releasing => self.moving[group] = None,
                    Role::Backup | Role::Fault if transition.from != Role::Releasing => self.moving[group] = None,
                    Role::Backup if transition.cause == Cause::HandoverComplete => {}
                    Role::Backup => self.moving[group] = None,
                    _ => {}
                }
                Ok(())
            }
            Seen::Served { havip } => {
                self.judge(world, *havip)?;
                let group = *havip / world.scenario.cluster.havips;
                // The new holder serves, and the old one has let go.
                let done = world.served(*havip).is_some() && world.active(group) == world.served(*havip);
                if done && (0..world.nodes()).all(|h| world.role(h, group) != Some(Role::Releasing)) {
                    self.moving[group] = None;
                }
                Ok(())
            }
            Seen::Tick => {
                for group in 0..world.groups() {
                    let releasing = (0..world.nodes()).any(|h| world.role(h, group) == Some(Role::Releasing));
                    let claiming = (0..world.nodes()).any(|h| world.role(h, group) == Some(Role::Claiming));
                    if !releasing && !claiming {
                        self.moving[group] = None;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
