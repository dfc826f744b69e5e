//! Datagrams of the next release, for tests of a rolling upgrade: there is one version of them so far, so the other release
//! is as docs/wire-format.md binds it.

use super::Datagram;
use super::auth::KeyRing;
use super::heartbeat::{decode, encode};
use crate::model::settings::Config;

/// What a later release says, and this one does not know.
const FLAGS: u16 = 0xe000;

/// A datagram as a node of a later release, with that configuration, sends it: with flags that are not known yet, and the
/// word that it reads a newer version, too.
#[must_use]
pub fn of_next_release(bytes: Vec<u8>, config: &Config) -> Vec<u8> {
    let keys = KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key);
    let Ok(Datagram::Heartbeat(mut heartbeat)) = decode(&bytes, &keys, &config.cluster) else { return bytes };
    heartbeat.newer = 1;
    heartbeat.entries.iter_mut().for_each(|entry| entry.flags.0 |= FLAGS);
    encode(&heartbeat, &keys, &config.cluster).unwrap_or(bytes)
}
