//! The lease that our datagrams state, across reloads that change it.
//!
//! A voter grants none of a lease that is longer than any it has on record, until its disk has that record. So a
//! longer lease is asked for in every second interval only, and the one before it in the others, until a majority
//! has granted it: a reload must not cost the right. What a datagram stated is computed again when its answer is
//! here, so all of this is a function of when it was sent.

use crate::time::Instant;
use std::time::Duration;

/// The lease of now, and how the last change of it went.
#[derive(Debug)]
pub(crate) struct StatedLease {
    lease: Duration,
    change: Option<Change>,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    at: Instant,
    before: Duration,
    /// The interval in use then.
    interval: Duration,
    /// When a majority had granted the new one.
    settled: Option<Instant>,
}

impl StatedLease {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, change: None }
    }

    /// A reload changed it.
    pub(crate) fn change(&mut self, now: Instant, lease: Duration, interval: Duration) {
        let before = match self.change {
            Some(open) if open.settled.is_none() => open.before.min(self.lease),
            _ => self.lease,
        };
        self.lease = lease;
        let settled = (lease <= before).then_some(now);
        self.change = Some(Change { at: now, before, interval, settled });
    }

    /// What is to be granted before a change is over, if one is under way.
    pub(crate) fn pending(&self) -> Option<Duration> {
        self.change.filter(|c| c.settled.is_none()).map(|_| self.lease)
    }

    /// It was granted, or nobody asks for anything.
    pub(crate) fn settle(&mut self, now: Instant) {
        if let Some(open) = self.change.as_mut().filter(|c| c.settled.is_none()) {
            open.settled = Some(now);
        }
    }

    /// What datagrams stated that were sent at `sent`; at a change itself the shorter one.
    pub(crate) fn at(&self, sent: Instant) -> Duration {
        let Some(change) = self.change else { return self.lease };
        let shorter = change.before.min(self.lease);
        if sent <= change.at {
            return shorter;
        }
        if change.settled.is_some_and(|settled| sent > settled) {
            return self.lease;
        }
        let intervals = sent.since(change.at).as_nanos() / change.interval.as_nanos().max(1);
        if intervals.is_multiple_of(2) { self.lease } else { shorter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_longer_lease_takes_turns_until_it_is_granted_and_a_shorter_one_holds_at_once() {
        let mut lease = StatedLease::new(ms(500));
        lease.change(at(1_000), ms(2_500), ms(100));
        let stated =
            |lease: &StatedLease| [900, 1_000, 1_050, 1_150, 1_250, 1_350].map(|t| lease.at(at(t)).as_millis());
        assert_eq!(stated(&lease), [500, 500, 2_500, 500, 2_500, 500]);
        assert_eq!(lease.pending(), Some(ms(2_500)));
        lease.settle(at(1_250));
        assert_eq!(stated(&lease), [500, 500, 2_500, 500, 2_500, 2_500]);
        lease.settle(at(1_400));
        assert_eq!((lease.pending(), lease.at(at(1_350))), (None, ms(2_500)), "once");
        lease.change(at(2_000), ms(300), ms(500));
        assert_eq!([2_000, 2_001].map(|t| lease.at(at(t))), [ms(300); 2]);
        assert_eq!(lease.pending(), None);
    }

    #[test]
    fn a_change_before_the_last_is_granted_goes_on_from_what_is() {
        let mut lease = StatedLease::new(ms(500));
        lease.change(at(1_000), ms(2_500), ms(100));
        lease.change(at(1_100), ms(9_000), ms(100));
        assert_eq!([1_050, 1_150, 1_250].map(|t| lease.at(at(t)).as_millis()), [500, 9_000, 500]);
    }
}
