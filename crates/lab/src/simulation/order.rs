//! The cloud's calls in an order that is given, one step of one call at a time: so that every order can be played.
//!
//! A call has two steps, that it is carried out and that its answer is back. From a given instant on these wait, and
//! every so often one of them goes on: which, the scenario says by its place among those that wait.

use super::clock::BEGINNING;
use super::schedule::Scheduled;
use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// In which order the cloud's calls go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Order {
    /// From then on, in milliseconds since the beginning.
    pub from_ms: u64,
    /// Milliseconds between two steps.
    pub every_ms: u64,
    /// Place of the step that goes on, among those that wait; the one that waits longest after the last of these.
    pub choices: Vec<u8>,
}

/// The steps that wait.
#[derive(Debug)]
pub(super) struct Ordered {
    from: Instant,
    every: Duration,
    choices: Vec<u8>,
    /// How many waited, at each choice.
    pub(super) widths: Vec<u8>,
    waiting: Vec<Scheduled>,
    goes_on: bool,
}

impl Ordered {
    pub(super) fn new(order: &Order) -> Self {
        Self {
            from: BEGINNING + Duration::from_millis(order.from_ms),
            every: Duration::from_millis(order.every_ms),
            choices: order.choices.clone(),
            widths: vec![],
            waiting: vec![],
            goes_on: false,
        }
    }

    /// Whether steps wait by now.
    pub(super) fn applies(&self, now: Instant) -> bool {
        now >= self.from
    }

    /// A step waits. Gives the time until one goes on, if none was to so far.
    pub(super) fn wait(&mut self, what: Scheduled) -> Option<Duration> {
        self.waiting.push(what);
        (!std::mem::replace(&mut self.goes_on, true)).then_some(self.every)
    }

    /// The step that goes on, and the time until the next one does.
    pub(super) fn next(&mut self) -> Option<(Scheduled, Duration)> {
        let waiting = self.waiting.len();
        if waiting == 0 {
            self.goes_on = false;
            return None;
        }
        let choice = self.choices.get(self.widths.len()).map_or(0, |choice| usize::from(*choice));
        let what = self.waiting.remove(choice.min(waiting - 1));
        self.widths.push(u8::try_from(waiting).unwrap_or(u8::MAX));
        Some((what, self.every))
    }
}
