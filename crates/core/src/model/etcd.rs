//! havipd's own election in etcd: what the core asks of it for a group's key, and what it hears.

use super::ids::NodeName;
use super::plain;
use super::time::Instant;
use std::fmt;
use std::time::Duration;

/// What stands between the node that gives the key up and the one that may take it.
const TO: &str = " -> ";
/// As much of a foreign value is shown, in characters.
const SHOWN: usize = 100;

/// etcd's number of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// One request about a group's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdRequest {
    /// Grant a lease of this length.
    Grant(Duration),
    /// Renew a lease.
    KeepAlive(LeaseId),
    /// Write the key, in a transaction: nothing is written unless the key is as it was seen.
    Write {
        /// The revision at which the key was written last; 0: there is no key.
        after: u64,
        /// What it is to say.
        value: KeyValue,
        /// The lease that it is bound to.
        lease: LeaseId,
    },
    /// End a lease, and with it the key if that is bound to it.
    Revoke(LeaseId),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdAnswer {
    /// The lease, and how long it lasts without a renewal.
    Granted(LeaseId, Duration),
    /// How long the lease lasts from now on; zero: there is no such lease any more.
    KeptAlive(Duration),
    /// The key after the transaction, whether or not that wrote it.
    Key(KeyState),
    /// The lease is gone.
    Revoked,
}

/// What a linearizable read, or a transaction, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// etcd's revision then.
    pub revision: u64,
    /// The key, if there is one.
    pub found: Option<KeyFound>,
}

/// A group's key that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFound {
    /// What it says.
    pub says: Says,
    /// The revision at which it was written last.
    pub modified: u64,
    /// The lease that it is bound to; `None`: it lasts until somebody deletes it.
    pub lease: Option<LeaseId>,
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// What a havipd writes.
    Value(KeyValue),
    /// Something else, fit to be shown.
    Foreign(String),
}

/// What a havipd writes into a key: `a`, or `a -> b` where a has given it up and b may take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Who wrote it.
    pub node: NodeName,
    /// Who may take the key next. The node that wrote it does not lead any more, or is that one and restarts.
    pub to: Option<NodeName>,
}

/// A read of a key in turn, or because a watch said that it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRead {
    /// What was found.
    pub state: KeyState,
    /// When the read was sent.
    pub sent: Instant,
    /// Who answered.
    pub endpoint: String,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {:x}", self.0)
    }
}

impl fmt::Display for EtcdRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(length) => write!(f, "grant {} s", length.as_secs()),
            Self::KeepAlive(lease) => write!(f, "renew {lease}"),
            Self::Write { after: 0, value, lease } => write!(f, "write {value} with {lease} if there is no key"),
            Self::Write { after, value, lease } => write!(f, "write {value} with {lease} after revision {after}"),
            Self::Revoke(lease) => write!(f, "revoke {lease}"),
        }
    }
}

impl fmt::Display for EtcdAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(lease, length) => write!(f, "{lease} for {} s", length.as_secs()),
            Self::KeptAlive(left) => write!(f, "{} s left", left.as_secs()),
            Self::Key(KeyState { revision, found: None }) => write!(f, "no key at revision {revision}"),
            Self::Key(KeyState { found: Some(found), .. }) => {
                write!(f, "{} since revision {}", found.says, found.modified)
            }
            Self::Revoked => f.write_str("gone"),
        }
    }
}

impl Says {
    /// Reads a value.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let (node, to) = text.split_once(TO).map_or((&*text, None), |(node, to)| (node, Some(to)));
        match (node.parse(), to.map(str::parse).transpose()) {
            (Ok(node), Ok(to)) => Self::Value(KeyValue { node, to }),
            _ => Self::Foreign(plain::line(&text.chars().take(SHOWN).collect::<String>())),
        }
    }
}

impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(to) => write!(f, "{}{TO}{to}", self.node),
            None => write!(f, "{}", self.node),
        }
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Foreign(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let name = |name: &str| name.parse::<NodeName>().expect("valid");
        for value in [KeyValue { node: name("a"), to: None }, KeyValue { node: name("a-1.x"), to: Some(name("b_2")) }] {
            assert_eq!(Says::read(value.to_string().as_bytes()), Says::Value(value));
        }
        for odd in ["", "a b", "a ->", "a -> ", " -> b", "a -> b -> c", "a\n", "a\u{202e}", "a->b"] {
            assert!(matches!(Says::read(odd.as_bytes()), Says::Foreign(_)), "{odd:?}");
        }
        let long = "x y".repeat(1000);
        assert!(matches!(Says::read(long.as_bytes()), Says::Foreign(text) if text.len() == SHOWN));
    }
}
