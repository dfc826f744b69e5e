//! Datagrams: whatever is accepted has exactly one meaning and one encoding.
//!
//! The first byte chooses how far the rest is let in: as it stands (0), with a tag that verifies
//! (1), or behind a right header as well (2: heartbeat, 3: probe, 4: its answer, 5: command, 6: its answer). Without the seal no
//! fuzzer gets past the tag.

use havipd_core::model::ids::{ClusterName, KeyId};
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::HeartbeatKey;
use havipd_core::wire::Datagram;
use havipd_core::wire::auth::KeyRing;
use havipd_core::wire::heartbeat::{
    MAX_DATAGRAM, MAX_ENTRIES, decode, encode, encode_forwarded, encode_probe, entries_that_fit,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The cluster that all targets speak for.
pub const CLUSTER: &str = "test";
/// Its one key, number 1.
pub const KEY: [u8; 32] = [7; 32];

/// The keys of that cluster.
#[must_use]
pub fn ring() -> KeyRing {
    KeyRing::new(&[HeartbeatKey { id: KeyId(1), secret: Secret::new(KEY.to_vec()) }], KeyId(1))
}

/// The name of that cluster.
///
/// # Panics
/// Never: the name is a right one.
#[must_use]
pub fn cluster() -> ClusterName {
    CLUSTER.parse().expect("a right name")
}

/// `bytes` with the tag that `docs/` describes, made without the product's help.
///
/// # Panics
/// Never: HMAC takes any key.
#[must_use]
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("HMAC takes a key of any length");
    let mac = mac.chain_update(b"havipd v1\0").chain_update(CLUSTER).chain_update([0]).chain_update(&bytes);
    bytes.extend_from_slice(&mac.finalize().into_bytes());
    bytes
}

/// One input.
///
/// # Panics
/// When an accepted datagram is not the one encoding of what it was taken to mean.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let bytes = match mode % 7 {
        0 => rest.to_vec(),
        1 => sealed(rest.to_vec()),
        kind => sealed([&b"HVIP\x01"[..], &[kind - 1, 1, 0], rest].concat()),
    };
    let (keys, cluster) = (ring(), cluster());
    let Ok(datagram) = decode(&bytes, &keys, &cluster) else { return };
    assert!(bytes.len() <= MAX_DATAGRAM, "{} bytes were accepted", bytes.len());
    let again = match &datagram {
        Datagram::Heartbeat(heartbeat) => {
            assert!(heartbeat.entries.len() <= MAX_ENTRIES, "{} entries", heartbeat.entries.len());
            let fit = entries_that_fit(heartbeat.target.as_ref(), &heartbeat.entries);
            assert_eq!(fit, heartbeat.entries.len(), "entries that came in one datagram do not fit into one");
            encode(heartbeat, &keys, &cluster)
        }
        Datagram::Probe(probe) => encode_probe(probe, false, &keys, &cluster),
        Datagram::ProbeAnswer(probe) => encode_probe(probe, true, &keys, &cluster),
        Datagram::Command(command) => encode_forwarded(command, false, &keys, &cluster),
        Datagram::Answer(answer) => encode_forwarded(answer, true, &keys, &cluster),
    };
    assert_eq!(again.as_deref(), Ok(&bytes[..]), "accepted, but not how we say it: {datagram:?}");
}
