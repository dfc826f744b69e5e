//! Who was active last, and how often that changed: the budget of unforced moves.

use crate::model::ids::{Epoch, NodeIndex};
use crate::model::settings::Group;
use crate::model::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Moves remembered; `max-moves` is at most this.
const REMEMBERED: usize = 1000;

/// The moves of one group that this node has seen.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    owner: Option<NodeIndex>,
    /// The epoch of its term.
    term: Epoch,
    seen: VecDeque<Instant>,
}

impl Moves {
    /// Somebody is active, or was; a change of who is a move.
    pub(crate) fn note_owner(&mut self, now: Instant, owner: NodeIndex, term: Epoch) -> bool {
        self.term = term;
        let moved = self.owner.replace(owner).is_some_and(|old| old != owner);
        if moved {
            self.count_move(now);
        }
        moved
    }

    /// The HAVIP was taken by somebody outside the cluster, and is taken back.
    pub(crate) fn note_contest(&mut self, now: Instant) {
        self.count_move(now);
    }

    fn count_move(&mut self, now: Instant) {
        self.seen.push_back(now);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
    }

    /// Whether a node that gives `epoch` away was active unseen, be it only for an instant.
    pub(crate) fn missed(&self, epoch: Epoch) -> bool {
        epoch > self.term
    }

    /// Whether a later term than `epoch` is known.
    pub(crate) fn is_past(&self, epoch: Epoch) -> bool {
        epoch < self.term
    }

    /// Who was active last, as far as this node knows.
    pub(crate) fn owner(&self) -> Option<NodeIndex> {
        self.owner
    }

    /// Moves within the window.
    pub(crate) fn within(&self, now: Instant, window: Duration) -> usize {
        self.seen.iter().filter(|at| now.since(**at) < window).count()
    }

    /// Whether another unforced move would exceed `max-moves`.
    pub(crate) fn over_budget(&self, now: Instant, settings: &Group) -> bool {
        settings.max_moves > 0 && self.within(now, settings.max_moves_window) >= settings.max_moves as usize
    }

    /// Until when another unforced move would exceed `max-moves`, if it would now.
    pub(crate) fn budget_back(&self, now: Instant, settings: &Group) -> Option<Instant> {
        let window = settings.max_moves_window;
        let spent: Vec<Instant> = self.seen.iter().copied().filter(|at| now.since(*at) < window).collect();
        // So many of them have to leave the window, oldest first.
        let leave = (spent.len() + 1).checked_sub(settings.max_moves as usize).filter(|_| settings.max_moves > 0)?;
        spent.get(leave.checked_sub(1)?).map(|at| *at + window)
    }
}
