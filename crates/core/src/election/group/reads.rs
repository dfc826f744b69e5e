//! When the record is to be read again, and what was said of it.

use crate::model::ids::{Epoch, NodeIndex};
use crate::model::time::Instant;
use std::time::Duration;

/// The reads that the terms of a group are worth.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Whose term is known.
    term: Option<(NodeIndex, Epoch)>,
    once: Option<Instant>,
    /// When it was last said that the cloud asks for too long a pause.
    told: Option<Instant>,
}

impl Reads {
    /// The term that is known now. Another one than before is worth a read at `read_at`.
    pub(crate) fn note_term(&mut self, term: Option<(NodeIndex, Epoch)>, read_at: Instant) {
        if term != self.term {
            (self.term, self.once) = (term, Some(read_at));
        }
    }

    /// One read that is due then.
    pub(crate) fn once(&self) -> Option<Instant> {
        self.once
    }

    /// Whether it is to be said now, at most once in `every`, that the cloud asks for too long a pause.
    pub(crate) fn tells(&mut self, now: Instant, every: Duration) -> bool {
        let tells = self.told.is_none_or(|at| now.since(at) >= every);
        if tells {
            self.told = Some(now);
        }
        tells
    }
}
