//! The timer table: what the core waits for, keyed, so that nothing can wait twice or stale.
//!
//! A deadline is entered while a step evaluates the state it belongs to, and begins with forgetting the deadlines
//! of the same state before: a timer whose reason is gone cannot fire.

use super::time::Instant;
use std::collections::BTreeMap;

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The next regular heartbeat.
    Heartbeat,
    /// A peer's silence changes what it is.
    Session(usize),
    /// The next fabric probe.
    Probe,
    /// Something in a group.
    Group(usize),
}

/// The table.
#[derive(Debug)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Instant>,
    current: Timer,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { at: BTreeMap::new(), current: Timer::Heartbeat }
    }

    /// Forgets what `timer` waited for; deadlines entered from now on are its own.
    pub(crate) fn begin(&mut self, timer: Timer) {
        self.at.remove(&timer);
        self.current = timer;
    }

    /// Enters a deadline; of several the earliest counts.
    pub(crate) fn wake(&mut self, at: Instant) {
        self.at.entry(self.current).and_modify(|old| *old = (*old).min(at)).or_insert(at);
    }

    /// Whether `at` has come; if not, enters it.
    pub(crate) fn due(&mut self, now: Instant, at: Instant) -> bool {
        if at > now {
            self.wake(at);
        }
        at <= now
    }

    /// Whether what `timer` waits for has come.
    pub(crate) fn fires(&self, timer: Timer, now: Instant) -> bool {
        self.at.get(&timer).is_some_and(|at| *at <= now)
    }

    /// Whether any peer's silence changes what it is.
    pub(crate) fn a_session_fires(&self, now: Instant) -> bool {
        self.at.range(Timer::Session(0)..Timer::Probe).any(|(_, at)| *at <= now)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.at.values().min().copied()
    }
}
