//! I7: forged, replayed, reflected and cross-cluster datagrams change nothing: no role, no session, no
//! right, no effect. Each is compared with the same node just before it.

use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;

#[derive(Debug)]
pub(super) struct Forgeries;

impl Invariant for Forgeries {
    fn name(&self) -> &'static str {
        "I7"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Forged { host, changed } if !changed.is_empty() => {
                Err(format!("a forged datagram changed {}: {changed}", world.name(*host)))
            }
            _ => Ok(()),
        }
    }
}
