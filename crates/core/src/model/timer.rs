//! The timer table: what the core waits for, keyed, so that nothing can wait twice or stale.
//!
//! A deadline is entered while a step evaluates the state it belongs to, and begins with forgetting the deadlines
//! of the same state before: a timer whose reason is gone cannot fire.

use super::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The next regular heartbeat.
    Heartbeat,
    /// A peer's silence changes what it is.
    Session(usize),
    /// The next fabric probe.
    Probe,
    /// A command that waits for another node's answer.
    Forward,
    /// Something in a group.
    Group(usize),
}

/// The table. Deadlines are kept in their order as well, so that what is due, and what comes next, is found without a look at
/// those that wait.
#[derive(Debug)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Instant>,
    order: BTreeSet<(Instant, Timer)>,
    current: Timer,
    /// What `current` waits for; the tables have what it waited for before.
    pending: Option<Instant>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { at: BTreeMap::new(), order: BTreeSet::new(), current: Timer::Heartbeat, pending: None }
    }

    /// Forgets what `timer` waited for; deadlines entered from now on are its own.
    pub(crate) fn begin(&mut self, timer: Timer) {
        if self.current != timer {
            self.enter();
            self.current = timer;
        }
        self.pending = None;
    }

    /// Puts into the tables what `current` waits for: most of the time what they have already.
    fn enter(&mut self) {
        let before = self.at.get(&self.current).copied();
        if before == self.pending {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, self.current));
            self.at.remove(&self.current);
        }
        if let Some(at) = self.pending {
            self.order.insert((at, self.current));
            self.at.insert(self.current, at);
        }
    }

    /// Enters a deadline; of several the earliest counts.
    pub(crate) fn wake(&mut self, at: Instant) {
        self.pending = Some(self.pending.map_or(at, |old| old.min(at)));
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
        let at = if timer == self.current { self.pending } else { self.at.get(&timer).copied() };
        at.is_some_and(|at| at <= now)
    }

    /// Whose deadlines have come, the earliest first.
    pub(crate) fn fired(&self, now: Instant) -> impl Iterator<Item = Timer> + '_ {
        let due = self.order.iter().take_while(move |(at, _)| *at <= now).map(|(_, timer)| *timer);
        let current = self.pending.filter(|at| *at <= now).map(|_| self.current);
        due.filter(|timer| *timer != self.current).chain(current)
    }

    /// Whether any peer's silence changes what it is.
    pub(crate) fn a_session_fires(&self, now: Instant) -> bool {
        self.fired(now).any(|timer| matches!(timer, Timer::Session(_)))
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let others = self.order.iter().find(|(_, timer)| *timer != self.current).map(|(at, _)| *at);
        others.into_iter().chain(self.pending).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn what_was_waited_for_before_is_forgotten_and_the_earliest_counts() {
        let mut timers = Timers::new();
        timers.wake(at(50));
        timers.begin(Timer::Group(0));
        timers.wake(at(30));
        timers.wake(at(20));
        assert!(!timers.due(at(10), at(40)));
        timers.begin(Timer::Group(1));
        timers.wake(at(25));
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.fired(at(30)).collect::<Vec<_>>(), [Timer::Group(0), Timer::Group(1)]);
        assert!(timers.fires(Timer::Group(0), at(20)) && !timers.fires(Timer::Group(1), at(20)));

        timers.begin(Timer::Group(0));
        assert_eq!(timers.next(), Some(at(25)), "nothing is left of its deadline");
        timers.begin(Timer::Session(2));
        assert_eq!(timers.fired(at(30)).collect::<Vec<_>>(), [Timer::Group(1)]);
        timers.wake(at(5));
        assert!(timers.a_session_fires(at(5)) && !timers.a_session_fires(at(4)));
        timers.begin(Timer::Heartbeat);
        assert!(timers.a_session_fires(at(5)), "it waits until it is begun again");
        assert_eq!(
            timers.fired(at(60)).collect::<Vec<_>>(),
            [Timer::Session(2), Timer::Group(1)],
            "nor of the first one"
        );
    }
}
