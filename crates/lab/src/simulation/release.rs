//! Nodes of two releases in one cluster, as during a rolling upgrade. The other one is the
//! next release, as [`havipd_core::wire::next_release`] has it.

use super::world::World;
use havipd_core::wire::next_release::of_next_release;

impl World {
    /// A datagram as the daemon that runs there writes it.
    pub(super) fn as_released(&self, host: usize, bytes: Vec<u8>) -> Vec<u8> {
        let h = &self.hosts[host];
        let later = h.process.as_ref().is_some_and(|p| p.later);
        if later { of_next_release(bytes, &h.config) } else { bytes }
    }
}
