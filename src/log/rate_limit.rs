//! A limit for messages that the network, or another program, can cause at will.

use havipd_core::model::time::Instant;
use std::time::Duration;

/// Lets a burst of messages through, then one per interval, and counts the rest.
///
/// Pure: the time is an argument, so it can be used and tested anywhere.
///
/// ```
/// # use havipd::{log::RateLimit, time::Instant};
/// # use std::time::Duration;
/// let mut limit = RateLimit::new(1, Duration::from_secs(1));
/// assert_eq!(limit.allow(Instant::from_millis(0)), Some(0));
/// assert_eq!(limit.allow(Instant::from_millis(1)), None);
/// assert_eq!(limit.allow(Instant::from_millis(1000)), Some(1)); // "1 more suppressed"
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit {
    burst: u64,
    interval: u64,
    /// Unused time that has been saved up, in nanoseconds, at most `burst` intervals.
    saved: u64,
    last: Option<Instant>,
    suppressed: u64,
}

impl RateLimit {
    /// At most `burst` messages at once, and one per `interval` in the long run.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let burst = u64::from(burst.max(1));
        Self { burst, interval, saved: burst.saturating_mul(interval), last: None, suppressed: 0 }
    }

    /// Asks for one message at `now`. `Some(n)`: go ahead, and say that `n` were suppressed before
    /// it; `None`: suppressed.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        let passed = self.last.map_or(0, |last| u64::try_from(now.since(last).as_nanos()).unwrap_or(u64::MAX));
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
        self.saved = self.saved.saturating_add(passed).min(self.burst.saturating_mul(self.interval));
        if self.saved < self.interval {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.saved -= self.interval;
        Some(std::mem::take(&mut self.suppressed))
    }

    /// How many were suppressed since the last one that went through.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_costs_one_message_per_interval() {
        let mut limit = RateLimit::new(5, Duration::from_secs(1));
        let mut allowed = 0;
        let mut reported = 0;
        for ms in 0..10_000 {
            if let Some(before) = limit.allow(Instant::from_millis(ms)) {
                allowed += 1;
                reported += before;
            }
        }
        assert_eq!(allowed, 5 + 9);
        assert_eq!(allowed + reported + limit.suppressed(), 10_000);
    }

    #[test]
    fn silence_refills_the_burst_and_no_more() {
        let mut limit = RateLimit::new(3, Duration::from_millis(100));
        let later = Instant::from_millis(60_000);
        assert!(limit.allow(Instant::from_millis(0)).is_some());
        assert_eq!((0..10).filter(|_| limit.allow(later).is_some()).count(), 3);
    }

    #[test]
    fn an_instant_in_the_past_gains_nothing() {
        let mut limit = RateLimit::new(1, Duration::from_secs(1));
        assert!(limit.allow(Instant::from_millis(5_000)).is_some());
        assert!(limit.allow(Instant::from_millis(1_000)).is_none());
        assert!(limit.allow(Instant::from_millis(5_500)).is_none());
        assert!(limit.allow(Instant::from_millis(6_000)).is_some());
    }
}
