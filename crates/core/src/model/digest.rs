//! The digest that every datagram carries: no grant crosses digests (docs/protocol.md, `majority`).

use super::ids::GroupIndex;
use super::settings::Config;
use sha2::{Digest as _, Sha256};

/// Hash over interval, dead multiplier, and keep-for, voters, arbiter, HAVIP ids and bindings of all groups, in file order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub [u8; 16]);

/// The first 16 bytes of SHA-256 over what all nodes must agree on, the same on every node.
///
/// Hashed, each string after its length as 8 bytes, big-endian, and each number likewise:
/// `"havipd digest 2"`, the heartbeat's interval in milliseconds, the dead multiplier, the number of groups; per group in
/// file order its name, its arbiter (`"cloud"`, `"majority"`, `"keepalived"`, `"etcd"`, and `"etcd-lease"`
/// with the key after it), its `keep-for` in seconds, the number of voters, per voter in file order its name and `"witness"` or `"member"`, the number of HAVIPs, per HAVIP in
/// file order its id and `"exclusive"` or `"shared"`.
#[must_use]
pub fn digest(config: &Config) -> Digest {
    let mut hash = Hash(Sha256::new());
    hash.text("havipd digest 2");
    hash.number(config.heartbeat.interval.as_millis());
    hash.number(config.heartbeat.dead_multiplier.into());
    hash.count(config.groups.len());
    for (i, group) in config.groups.iter().enumerate() {
        hash.text(group.name.as_str());
        hash.text(group.arbiter.as_str());
        // Who elects by another key, or follows somebody else's, elects without the others.
        if let Some(key) = config.election_key(GroupIndex(i)) {
            hash.text(&key);
        }
        hash.number(group.keep_for.as_secs().into());
        hash.count(group.members.len());
        for member in &group.members {
            hash.text(config.node(member.node).name.as_str());
            hash.text(if member.witness { "witness" } else { "member" });
        }
        hash.count(group.havips.len());
        for havip in &group.havips {
            hash.text(havip.id.as_str());
            hash.text(havip.binding.as_str());
        }
    }
    let full = hash.0.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&full[..16]);
    Digest(first)
}

struct Hash(Sha256);

impl Hash {
    fn number(&mut self, n: u128) {
        self.0.update(u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn count(&mut self, n: usize) {
        self.number(n as u128);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text);
    }
}
