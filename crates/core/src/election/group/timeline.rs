//! The steps of the move that is under way, and of the one that has just ended.

use crate::model::action::Step;
use crate::model::ids::Epoch;
use crate::model::role::Role;
use crate::model::time::Instant;
use std::time::Duration;

/// Steps kept of one timeline.
const LONGEST: usize = 64;
/// Steps of a move that come in after its role was decided are its own for so long.
const LATE: Duration = Duration::from_secs(10);

/// A move whose role is decided already.
#[derive(Debug, Clone, Copy)]
struct Late {
    /// When its timeline began.
    start: Instant,
    until: Instant,
}

/// The steps of one group's moves.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    steps: Vec<Step>,
    /// The move that ended with the present term: its steps may come in late.
    late: Option<Late>,
    /// The term in which the addresses were announced first.
    announced: Option<Epoch>,
}

impl Timeline {
    /// Begins anew, with what has come about already.
    pub(crate) fn begin(&mut self, past: Vec<Step>) {
        self.steps = past;
    }

    /// Adds a step, as long as there is room.
    pub(crate) fn add(&mut self, step: Step) {
        if self.steps.len() < LONGEST {
            self.steps.push(step);
        }
    }

    /// All of them so far.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The last write that was queued or sent.
    pub(crate) fn last_write(&self) -> Option<&str> {
        let mut words = self.steps.iter().rev().map(|s| s.what.as_str());
        words.find(|what| what.ends_with(" queued") || what.ends_with(" sent"))
    }

    /// A role was decided at `now`: what led to it. A move that is only half done by then keeps its steps.
    pub(crate) fn decided(&mut self, to: Role, now: Instant) -> Vec<Step> {
        let steps = match to {
            Role::Claiming | Role::Releasing => self.steps.clone(),
            Role::Backup | Role::Active | Role::Fault => std::mem::take(&mut self.steps),
        };
        let start = steps.first().map_or(now, |s| s.at);
        self.late = (to == Role::Active).then_some(Late { start, until: now + LATE });
        steps
    }

    /// When the timeline of the move began that ended with the present term.
    pub(crate) fn of_this_term(&self) -> Option<Instant> {
        self.late.map(|late| late.start)
    }

    /// The same, while steps that come in are still its own.
    pub(crate) fn late(&self, now: Instant) -> Option<Instant> {
        self.late.filter(|late| now < late.until).map(|late| late.start)
    }

    /// Whether the addresses were announced in this term.
    pub(crate) fn is_announced(&self, term: Epoch) -> bool {
        self.announced == Some(term)
    }

    /// They were.
    pub(crate) fn note_announced(&mut self, term: Epoch) {
        self.announced = Some(term);
    }
}
