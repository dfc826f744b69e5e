//! The cloud's calls in an order that is given, one step of one call at a time: so that every order can be played.
//!
//! A call has two steps, that it is carried out and that its answer is back. From a given instant on these wait, and
//! every so often one of them goes on: which, the scenario says by its place among those that wait.

use super::schedule::Scheduled;
use super::world::{BEGINNING, World};
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
}

impl World {
    /// A step of a call that takes so long, or as long as its turn takes to come.
    pub(super) fn call_step(&mut self, span: Duration, what: Scheduled) {
        let now = self.now;
        match &mut self.ordered {
            Some(ordered) if now >= ordered.from => {
                ordered.waiting.push(what);
                if !std::mem::replace(&mut ordered.goes_on, true) {
                    let every = ordered.every;
                    self.after(every, Scheduled::CallsGoOn);
                }
            }
            _ => self.after(span, what),
        }
    }

    /// The next step that waits.
    pub(super) fn calls_go_on(&mut self) {
        let Some(ordered) = &mut self.ordered else { return };
        let waiting = ordered.waiting.len();
        if waiting == 0 {
            ordered.goes_on = false;
            return;
        }
        let choice = ordered.choices.get(ordered.widths.len()).map_or(0, |choice| usize::from(*choice));
        let what = ordered.waiting.remove(choice.min(waiting - 1));
        ordered.widths.push(u8::try_from(waiting).unwrap_or(u8::MAX));
        let every = ordered.every;
        self.after(every, Scheduled::CallsGoOn);
        self.happen(what);
    }
}
