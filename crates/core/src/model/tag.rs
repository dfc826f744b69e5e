//! Names as they travel in datagrams.

use super::ids::{GroupName, HavipId, NodeName};
use sha2::{Digest as _, Sha256};

/// A node, group or HAVIP on the wire: the first eight bytes of SHA-256 over kind and name.
///
/// Configuration checking refuses a file in which two of them collide. Zero stands for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tag(pub u64);

impl Tag {
    /// The value that stands for nobody in particular.
    pub const NONE: Self = Self(0);

    /// The tag of a node.
    #[must_use]
    pub fn node(name: &NodeName) -> Self {
        Self::of("havipd node", name.as_str())
    }

    /// The tag of a group.
    #[must_use]
    pub fn group(name: &GroupName) -> Self {
        Self::of("havipd group", name.as_str())
    }

    /// The tag of a HAVIP.
    #[must_use]
    pub fn havip(id: &HavipId) -> Self {
        Self::of("havipd havip", id.as_str())
    }

    /// The NUL between the two cannot occur in either, so no two pairs hash the same bytes.
    fn of(kind: &str, name: &str) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
        Self(hash.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte)))
    }
}
