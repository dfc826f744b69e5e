//! I2: no effect is started without the right, and none is retried after losing it.
//!
//! Judged at the instant at which the executor starts it: the core that ordered it must have the right
//! then, as far as the actions before it in the same turn go. A node that hands over or leaves for a restart may renew an address, and do nothing else.

use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use crate::election::role::Role;

#[derive(Debug)]
pub(super) struct EffectsNeedRight;

fn judge(world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
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
            Seen::Announced { host, group } => judge(world, *host, group.0, "an announcement"),
            Seen::Put { host, group, .. } => {
                let releasing = world.role_so_far(*host, group.0) == Some(Role::Releasing);
                let leaving = world.hosts[*host].process.as_ref().is_some_and(|p| p.stopping);
                if releasing || leaving { Ok(()) } else { judge(world, *host, group.0, "putting an address") }
            }
            _ => Ok(()),
        }
    }
}
