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
    /// Yes, and why.
    Claim(Cause, String, Option<NodeIndex>),
}
