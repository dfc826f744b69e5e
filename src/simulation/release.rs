//! Nodes of two releases in one cluster, as during a rolling upgrade. There is one version of the datagrams so far, so the
//! other release is the next one as docs/wire-format.md binds it.

use super::world::World;
use crate::config::model::Config;
use crate::wire::Datagram;
use crate::wire::auth::KeyRing;
use crate::wire::heartbeat::{decode, encode};

/// What a later release says, and this one does not know.
const FLAGS: u16 = 0xf000;

/// A datagram as a node of a later release, with that configuration, sends it: with flags that are not known yet, and the
/// word that it reads a newer version, too.
pub(crate) fn of_a_later_release(bytes: Vec<u8>, config: &Config) -> Vec<u8> {
    let keys = KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key);
    let Ok(Datagram::Heartbeat(mut heartbeat)) = decode(&bytes, &keys, &config.cluster) else { return bytes };
    heartbeat.newer = 1;
    heartbeat.entries.iter_mut().for_each(|entry| entry.flags.0 |= FLAGS);
    encode(&heartbeat, &keys, &config.cluster).unwrap_or(bytes)
}

impl World {
    /// A datagram as the daemon that runs there writes it.
    pub(super) fn as_released(&self, host: usize, bytes: Vec<u8>) -> Vec<u8> {
        let h = &self.hosts[host];
        let later = h.process.as_ref().is_some_and(|p| p.later);
        if later { of_a_later_release(bytes, &h.config) } else { bytes }
    }
}
