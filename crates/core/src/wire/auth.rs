//! Who may speak: the keys, and the tag that ends every datagram.
//!
//! The tag is `HMAC-SHA256(key, "havipd v1" NUL cluster NUL bytes-before-the-tag)`. The cluster's name
//! is not in the datagram, so one copied from another cluster with the same key does not verify;
//! names hold no NUL, so no two pairs of name and datagram give the same input.
//!
//! Every heartbeat lists the keys that its sender accepts. Who answers uses the key that it prefers
//! among those, so the order in which nodes learn, switch to and forget keys does not matter as long
//! as each two of them share one.

use crate::model::ids::{ClusterName, KeyId};
use crate::model::secret::Secret;
use crate::model::settings::HeartbeatKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of the tag in bytes.
pub const TAG_LEN: usize = 32;

const CONTEXT: &[u8] = b"havipd v1\0";

/// The keys of this node, preferred first. Never empty in practice: the configuration demands a key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRing {
    keys: Vec<Key>,
    send: KeyId,
}

/// One key, and HMAC made ready with it: two of the blocks that every datagram would have to hash.
#[derive(Clone)]
struct Key {
    id: KeyId,
    secret: Secret,
    mac: Hmac<Sha256>,
}

impl Key {
    fn new(key: &HeartbeatKey) -> Self {
        let mac = Hmac::new_from_slice(key.secret.expose()).expect("HMAC takes a key of any length");
        Self { id: key.id, secret: key.secret.clone(), mac: mac.chain_update(CONTEXT) }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.secret == other.secret
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id.0)
    }
}

impl KeyRing {
    /// The `keys` of the configuration, of which `send` is preferred for sending.
    #[must_use]
    pub fn new(keys: &[HeartbeatKey], send: KeyId) -> Self {
        let mut keys: Vec<Key> = keys.iter().map(Key::new).collect();
        keys.sort_by_key(|key| key.id != send);
        Self { keys, send }
    }

    /// The keys that this node accepts, preferred first: what it says in its heartbeats.
    #[must_use]
    pub fn accepts(&self) -> Vec<KeyId> {
        self.keys.iter().map(|key| key.id).collect()
    }

    /// The key to send with to a peer that accepts `peer`: our send key if it is among them, else the
    /// first of our others that is, else our send key.
    #[must_use]
    pub fn choose(&self, peer: &[KeyId]) -> KeyId {
        self.keys.iter().map(|key| key.id).find(|id| peer.contains(id)).unwrap_or(self.send)
    }

    /// The key for the `turn`-th heartbeat to a peer of which nothing was heard yet: each in turn.
    ///
    /// Two nodes that start in the middle of a rotation may each prefer a key that the other lacks;
    /// by trying all they find the one they share, after which [`Self::choose`] applies.
    #[must_use]
    pub fn in_turn(&self, turn: u64) -> KeyId {
        match self.keys.len() as u64 {
            0 => self.send,
            n => self.keys.iter().map(|key| key.id).nth((turn % n) as usize).unwrap_or(self.send),
        }
    }

    /// Whether a peer that accepts `peer` can still be talked to.
    #[must_use]
    pub fn shares(&self, peer: &[KeyId]) -> bool {
        self.keys.iter().any(|key| peer.contains(&key.id))
    }

    /// Appends the tag over all of `bytes`; false if there is no such key.
    pub(super) fn seal(&self, key: KeyId, cluster: &ClusterName, bytes: &mut Vec<u8>) -> bool {
        let Some(mac) = self.mac(key, cluster, bytes) else { return false };
        bytes.extend_from_slice(&mac.finalize().into_bytes());
        true
    }

    /// Whether `tag` is the one over `bytes`, compared in constant time; `None` if there is no such key.
    pub(super) fn verify(&self, key: KeyId, cluster: &ClusterName, bytes: &[u8], tag: &[u8]) -> Option<bool> {
        self.mac(key, cluster, bytes).map(|mac| mac.verify_slice(tag).is_ok())
    }

    fn mac(&self, key: KeyId, cluster: &ClusterName, bytes: &[u8]) -> Option<Hmac<Sha256>> {
        let mac = self.keys.iter().find(|k| k.id == key)?.mac.clone();
        Some(mac.chain_update(cluster.as_str()).chain_update([0]).chain_update(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[u8], send: u8) -> KeyRing {
        let key = |id: &u8| HeartbeatKey { id: KeyId(*id), secret: Secret::new(vec![*id; 32]) };
        KeyRing::new(&ids.iter().map(key).collect::<Vec<_>>(), KeyId(send))
    }

    fn ids(ids: &[u8]) -> Vec<KeyId> {
        ids.iter().copied().map(KeyId).collect()
    }

    #[test]
    fn the_preferred_key_that_the_peer_accepts_is_used() {
        let ring = ring(&[1, 2, 3], 2);
        assert_eq!(ring.accepts(), ids(&[2, 1, 3]));
        assert_eq!(ring.choose(&ids(&[1, 2])), KeyId(2));
        assert_eq!(ring.choose(&ids(&[3, 1])), KeyId(1), "file order decides, not the peer's");
        assert_eq!(ring.choose(&ids(&[9])), KeyId(2));
        assert_eq!(ring.choose(&[]), KeyId(2));
        assert!(ring.shares(&ids(&[9, 3])) && !ring.shares(&ids(&[9])));
    }

    /// Add everywhere, switch, remove: in any order of nodes, both directions always share a key.
    #[test]
    fn a_rotation_in_any_order_keeps_both_directions_readable() {
        let stages = [ring(&[1], 1), ring(&[1, 2], 1), ring(&[1, 2], 2), ring(&[2], 2)];
        for (i, a) in stages.iter().enumerate() {
            for b in &stages[i.saturating_sub(2)..=(i + 2).min(3)] {
                if !a.shares(&b.accepts()) {
                    continue;
                }
                assert!(b.accepts().contains(&a.choose(&b.accepts())));
                assert!(a.accepts().contains(&b.choose(&a.accepts())));
            }
        }
    }

    #[test]
    fn nodes_that_prefer_keys_unknown_to_each_other_find_the_one_they_share() {
        let (a, b) = (ring(&[1, 3], 3), ring(&[1, 2], 2));
        assert!((0..2).any(|turn| b.accepts().contains(&a.in_turn(turn))));
        assert!((0..2).any(|turn| a.accepts().contains(&b.in_turn(turn))));
    }

    #[test]
    fn the_tag_covers_key_cluster_and_bytes() {
        let ring = ring(&[1, 2], 1);
        let (prod, test) = ("prod".parse().expect("a name"), "test".parse().expect("a name"));
        let mut bytes = b"body".to_vec();
        assert!(ring.seal(KeyId(1), &prod, &mut bytes));
        let tag = bytes.split_off(4);
        assert_eq!(ring.verify(KeyId(1), &prod, &bytes, &tag), Some(true));
        assert_eq!(ring.verify(KeyId(2), &prod, &bytes, &tag), Some(false));
        assert_eq!(ring.verify(KeyId(1), &test, &bytes, &tag), Some(false));
        assert_eq!(ring.verify(KeyId(1), &prod, b"bodz", &tag), Some(false));
        assert_eq!(ring.verify(KeyId(1), &prod, &bytes, &tag[..31]), Some(false));
        assert_eq!(ring.verify(KeyId(9), &prod, &bytes, &tag), None);
    }
}
