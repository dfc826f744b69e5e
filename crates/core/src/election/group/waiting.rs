//! What a claim waits for, and the answer to whether one may be made.

use crate::model::ids::NodeIndex;
use crate::model::role::Cause;
use crate::model::time::Instant;

/// Why nothing is claimed just now. It is for people: the state is evaluated again each step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// In words; empty where nothing is waited for.
    pub(crate) text: String,
    /// When it is over at the latest, where that is known.
    pub(crate) until: Option<Instant>,
}

impl Waiting {
    pub(crate) fn until(at: Instant, text: impl Into<String>) -> Self {
        Self { text: text.into(), until: Some(at) }
    }
}

impl<T: Into<String>> From<T> for Waiting {
    fn from(text: T) -> Self {
        Self { text: text.into(), until: None }
    }
}

/// Whether a claim may be made now.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Not now.
    Wait(Waiting),
    /// Yes.
    Claim(Claim),
}

/// Why a claim is made.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) cause: Cause,
    /// In words.
    pub(crate) why: String,
    /// Who led before.
    pub(crate) peer: Option<NodeIndex>,
    /// The holders that it displaces, where the cloud's record counts.
    pub(crate) displaces: Vec<String>,
}

impl Claim {
    pub(crate) fn new(cause: Cause, why: impl Into<String>, peer: Option<NodeIndex>) -> Self {
        Self { cause, why: why.into(), peer, displaces: Vec::new() }
    }
}

impl From<Claim> for Verdict {
    fn from(claim: Claim) -> Self {
        Self::Claim(claim)
    }
}
