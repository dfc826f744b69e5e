//! Names and numbers that must never be mistaken for each other, each a type of its own.

use super::plain::quote;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a string is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A name of the cluster's own (cluster, node, group).
    #[error("{} is not a name: use 1 to 63 of a-z A-Z 0-9 - _ .", quote(.0))]
    Name(String),
    /// An identifier that the cloud hands out.
    #[error("{} is not {what}: expected \"{prefix}\" followed by letters, digits or -", quote(value))]
    Cloud {
        /// What was expected, with its article ("a HAVIP id").
        what: &'static str,
        /// The prefix that the cloud gives such ids.
        prefix: &'static str,
        /// What was found.
        value: String,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(s: &str) -> Result<Self, IdError> {
                let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                if (1..=63).contains(&s.len()) && s.chars().all(ok) {
                    Ok(Self(s.to_owned()))
                } else {
                    Err(IdError::Name(s.to_owned()))
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(s: String) -> Result<Self, IdError> {
                s.parse()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! cloud_id {
    ($(#[$doc:meta])* $type:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(s: &str) -> Result<Self, IdError> {
                let ok = |c: char| c.is_ascii_alphanumeric() || c == '-';
                match s.strip_prefix($prefix) {
                    Some(rest) if (1..=64).contains(&rest.len()) && rest.chars().all(ok) => Ok(Self(s.to_owned())),
                    _ => Err(IdError::Cloud { what: $what, prefix: $prefix, value: s.to_owned() }),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(s: String) -> Result<Self, IdError> {
                s.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// `cluster.name`: goes into every datagram's tag.
    ClusterName
}
name! {
    /// Name of a `[[check]]`.
    CheckName
}

name! {
    /// `node.name`.
    NodeName
}
name! {
    /// `group.name`: one election; keepalived's `vrrp_instance`.
    GroupName
}

cloud_id! {
    /// The cloud's id of a HAVIP (`havip-...`).
    HavipId, "a HAVIP id", "havip-"
}
cloud_id! {
    /// The cloud's short id of a BCC, BBC or DCC instance (`i-...`).
    InstanceId, "an instance id", "i-"
}
cloud_id! {
    /// The cloud's id of an elastic network interface (`eni-...`).
    EniId, "an ENI id", "eni-"
}

/// What a HAVIP is bound to: the API's `instanceType` and the id that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id")]
pub enum Target {
    /// A BCC, BBC or DCC instance (API type `SERVER`).
    #[serde(rename = "SERVER")]
    Instance(InstanceId),
    /// An elastic network interface (API type `ENI`).
    #[serde(rename = "ENI")]
    Eni(EniId),
}

impl Target {
    /// The bare id, as it stands in `instanceIds`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Instance(id) => id.as_str(),
            Self::Eni(id) => id.as_str(),
        }
    }

    /// The API's `instanceType`.
    #[must_use]
    pub const fn api_type(&self) -> &'static str {
        match self {
            Self::Instance(_) => "SERVER",
            Self::Eni(_) => "ENI",
        }
    }
}

impl FromStr for Target {
    type Err = IdError;
    /// Reads either kind, told apart by the prefix.
    fn from_str(s: &str) -> Result<Self, IdError> {
        if s.starts_with("eni-") { s.parse().map(Self::Eni) } else { s.parse().map(Self::Instance) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Position of a `[[node]]` in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct NodeIndex(pub usize);

/// Position of a `[[group]]` in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct GroupIndex(pub usize);

/// Position of a `[[group.havip]]` within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HavipIndex(pub usize);

/// One start of one daemon: 128 random bits. Zero means "none heard".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// The value that stands for "no boot heard of".
    pub const NONE: Self = Self([0; 16]);
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(&self.0[..4]))
    }
}

/// Number of a term: one more than the highest seen when leadership was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The highest that a state directory is believed. A thousand terms a second would take 34 years to get there, so
    /// a higher one is a file that was damaged, or made by somebody.
    pub const CREDIBLE: Self = Self(1 << 40);
    /// The highest that there is; none above it is encoded or decoded. From [`Self::CREDIBLE`] on more numbers are left
    /// than any cluster uses, so what a file says can never bring a node to the last one.
    pub const LAST: Self = Self(1 << 48);

    /// The epoch after this one; after [`Self::LAST`] there is none.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < Self::LAST.0 { Self(self.0 + 1) } else { Self::LAST }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of one long operation; a result that carries an old one is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct OperationId(pub u64);

/// `heartbeat.keys.id`, 1 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(pub u8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!("prod-web_1.x".parse::<NodeName>().is_ok());
        for bad in ["", "a b", "ü", &"x".repeat(64)] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_target_is_told_by_its_prefix() {
        assert_eq!("i-syGfPUYO".parse::<Target>().map(|t| t.api_type()), Ok("SERVER"));
        assert_eq!("eni-w2d4kgc3x0y1".parse::<Target>().map(|t| t.api_type()), Ok("ENI"));
        assert!("x-1".parse::<Target>().is_err());
        assert!("i-".parse::<Target>().is_err());
    }
}
