//! What our own network showed of itself while a peer counted for nothing.

use crate::model::ids::NodeIndex;
use crate::model::time::Instant;
use std::collections::BTreeMap;

/// Per peer.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// That is silent, or isolated by its own word: when the cloud first answered during that.
    answered: BTreeMap<NodeIndex, Instant>,
    /// That is heard and says that it is isolated: since when we hear that.
    isolated: BTreeMap<NodeIndex, Instant>,
}

impl Reach {
    /// It is heard to be isolated. Since when it is.
    pub(crate) fn heard_isolated(&mut self, node: NodeIndex, now: Instant) -> Instant {
        *self.isolated.entry(node).or_insert(now)
    }

    /// It is silent, or not isolated.
    pub(crate) fn not_isolated(&mut self, node: NodeIndex) {
        self.isolated.remove(&node);
    }

    /// It counts for nothing since `since`; the cloud has answered at `answers`, and not all that was asked if `cut_off`.
    pub(crate) fn note(&mut self, node: NodeIndex, since: Instant, answers: &[Instant], cut_off: bool) {
        let known = self.answered.get(&node).into_iter().chain(answers).copied();
        match known.filter(|at| *at >= since).min() {
            Some(at) if !cut_off => self.answered.insert(node, at),
            // An older answer is no answer during this silence; one that failed ends what it showed.
            _ => self.answered.remove(&node),
        };
    }

    /// When the cloud first answered while it counted for nothing.
    pub(crate) fn answered(&self, node: NodeIndex) -> Option<Instant> {
        self.answered.get(&node).copied()
    }
}
