//! A short text by which two nodes compare their configuration file and their heartbeat keys.
//!
//! The half of the keys is made by HMAC with each of them, so it tells nothing about a key, and two files with the
//! same keys under the same ids give the same text.

use havipd_core::model::settings::HeartbeatKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Differs from what a datagram's tag begins with, so no tag is ever such a text.
const CONTEXT: &[u8] = b"havipd fingerprint 1\0";
/// Bytes of each half that are shown.
const SHOWN: usize = 6;

/// Of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    file: String,
    keys: String,
}

impl Fingerprint {
    /// Of a file's bytes, and of the keys that it names.
    pub(super) fn of(file: &[u8], keys: &[HeartbeatKey]) -> Self {
        let mut sorted: Vec<&HeartbeatKey> = keys.iter().collect();
        sorted.sort_by_key(|key| key.id);
        let mut all = Sha256::new();
        for key in sorted {
            let mac = Hmac::<Sha256>::new_from_slice(key.secret.expose()).expect("HMAC takes a key of any length");
            all.update([key.id.0]);
            all.update(mac.chain_update(CONTEXT).finalize().into_bytes());
        }
        Self { file: hex::encode(&Sha256::digest(file)[..SHOWN]), keys: hex::encode(&all.finalize()[..SHOWN]) }
    }

    /// What of the two is another than `other` has, in words; nothing if they are equal.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        match (self.file == other.file, self.keys == other.keys) {
            (true, true) => None,
            (false, true) => Some("the configuration file is another one, the keys are the same"),
            (true, false) => Some("the heartbeat keys are other ones, the file is the same"),
            (false, false) => Some("the configuration file and the heartbeat keys are other ones"),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.file, self.keys)
    }
}

impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let half = |half: &str| half.len() == 2 * SHOWN && half.bytes().all(|b| b.is_ascii_hexdigit());
        match text.trim().split_once('-') {
            Some((file, keys)) if half(file) && half(keys) => {
                Ok(Self { file: file.to_ascii_lowercase(), keys: keys.to_ascii_lowercase() })
            }
            _ => Err("expected what havipctl init or join prints, as in 7d3a91c211aa-9f3e2210b7c1".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::model::ids::KeyId;
    use havipd_core::model::secret::Secret;

    fn key(id: u8, byte: u8) -> HeartbeatKey {
        HeartbeatKey { id: KeyId(id), secret: Secret::new(vec![byte; 32]) }
    }

    #[test]
    fn it_tells_file_and_keys_apart() {
        let ours = Fingerprint::of(b"a", &[key(1, 1), key(2, 2)]);
        assert_eq!(
            ours.difference(&Fingerprint::of(b"a", &[key(2, 2), key(1, 1)])),
            None,
            "the order is no difference"
        );
        for (file, keys, said) in [
            (b"b", [key(1, 1), key(2, 2)], "the configuration file is another one, the keys are the same"),
            (b"a", [key(1, 2), key(2, 1)], "the heartbeat keys are other ones, the file is the same"),
            (b"b", [key(1, 1), key(3, 2)], "the configuration file and the heartbeat keys are other ones"),
        ] {
            assert_eq!(ours.difference(&Fingerprint::of(file, &keys)), Some(said));
        }
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let ours = Fingerprint::of(b"a", &[key(1, 1)]);
        let text = ours.to_string();
        assert_eq!(format!(" {}\n", text.to_uppercase()).parse(), Ok(ours));
        assert!(!text.contains(&hex::encode([1; 6])));
        for bad in ["", "x", "7d3a91c211aa", "7d3a91c211aa-9f3e2210b7cg", "7d3a91c211aa-9f3e2210b7"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
