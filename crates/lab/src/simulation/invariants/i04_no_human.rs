//! I4: no fault needs a human. Long after the last fault every daemon runs, and none is in Fault.
//!
//! Under a cloud that cannot be made to agree, the promise is another one: it says so, and does not loop.

use super::super::bound::bound;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::role::Role;
use havipd_core::model::time::Instant;

#[derive(Debug, Default)]
pub(super) struct NoHuman {
    quiet: Option<Instant>,
}

impl Invariant for NoHuman {
    fn name(&self) -> &'static str {
        "I4"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if matches!(seen, Seen::Quiet) {
            self.quiet = Some(world.now);
        }
        if !matches!(seen, Seen::End) {
            return Ok(());
        }
        let cluster = &world.scenario.cluster;
        let long = bound(cluster, world.dead_time());
        let over = self.quiet.is_some_and(|q| world.now.since(q) >= long);
        let winnable = cluster.profile.parse::<super::super::cloud::Profile>().is_ok_and(|p| p.winnable());
        if !over || !winnable {
            return Ok(());
        }
        for host in 0..world.nodes() {
            for group in 0..world.groups() {
                let name = world.name(host);
                match world.role(host, group) {
                    None => return Err(format!("{name} does not run any more")),
                    Some(Role::Fault) => return Err(format!("{name} is still in fault for group {group}")),
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}
