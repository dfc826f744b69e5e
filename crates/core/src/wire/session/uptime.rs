//! Whether our clock stood still, or runs slow, beside a peer's: the sign of a guest that its hypervisor stopped.
//!
//! Each counting datagram encloses one instant: the peer wrote its uptime into it after it had heard what it echoes, which
//! we sent before, and before it arrived here. So what our clock showed at that uptime lies between two instants of ours,
//! however long the datagram was on its way, waited in a socket, or was held back for the peer's next heartbeat. While both
//! clocks run alike, the difference of the two is one number, and every datagram encloses it.
//!
//! - A *standstill*: a later datagram encloses only smaller differences than an earlier one. No delay can do that; our
//!   clock lost at least what lies between.
//! - A *rate*: both bounds sank, from the first two buckets of time to those in the middle, and from these to the last two,
//!   over ten buckets at least. A change of delay moves one of the two bounds, and a single standstill is in one half.
//!
//! Only sixteen buckets are kept: honest clocks, which differ by some parts in a million, never add up to much.

use crate::model::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

const BUCKETS: usize = 16;
const SHORTEST_BUCKET: Duration = Duration::from_secs(1);
/// Buckets that a rate is measured over, at least, and the time.
const RATE_BUCKETS: usize = 10;
const RATE_SPAN: Duration = Duration::from_secs(10);
/// Below this, scheduling and the unit of the uptime are as likely a reason as a clock.
const NOISE: Duration = Duration::from_millis(20);

/// What our clock lost at once is more than this part of the time in which it lost it.
const STANDSTILL: u32 = 10;

/// A bound of our clock's lead over the peer's uptime, in nanoseconds, and the instant of ours that it comes from.
#[derive(Debug, Clone, Copy)]
struct Bound {
    at: Instant,
    nanos: i128,
}

impl Bound {
    fn new(at: Instant, ours: Instant, uptime: Duration) -> Self {
        let theirs = i128::try_from(uptime.as_nanos()).unwrap_or(i128::MAX);
        Self { at, nanos: i128::from(ours.as_nanos()) - theirs }
    }

    /// By how much `later` lies below this one.
    fn above(self, later: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos - later.nanos).unwrap_or(0))
    }

    /// What clocks within one per cent of each other may come to until `later`.
    fn honest(self, later: Self) -> Duration {
        (later.at.since(self.at) / 100).max(NOISE)
    }
}

/// The tightest bounds of a while.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    since: Instant,
    /// The lead is no less than this: what the peer had heard was sent before.
    least: Bound,
    /// Nor more than this: it arrived after.
    most: Bound,
}

/// What the datagrams of one boot of a peer enclose.
#[derive(Debug, Clone, Default)]
pub(super) struct UptimeTracker {
    buckets: VecDeque<Bucket>,
    /// Echoes of what was sent before say nothing of the time since.
    from: Instant,
    /// What the buckets prove, found when they change: it is asked for at every step, and most datagrams change no bound.
    lost: Duration,
    slow: bool,
}

impl UptimeTracker {
    /// Notes that a datagram written at `uptime` of the peer arrived at `at` and echoes what was sent at `sent`; buckets
    /// last `width`, or a second.
    pub(super) fn record(&mut self, sent: Instant, at: Instant, uptime: Duration, width: Duration) {
        if sent < self.from {
            return;
        }
        // ⚠ What the network held back may be old when it arrives: this bound is as old as what the datagram echoes. (I12, seed 83140)
        let (least, most) = (Bound::new(sent, sent, uptime), Bound::new(at, at, uptime));
        match self.buckets.back_mut() {
            Some(bucket) if at.since(bucket.since) < width.max(SHORTEST_BUCKET) => {
                let (higher, lower) = (least.nanos > bucket.least.nanos, most.nanos < bucket.most.nanos);
                if !higher && !lower {
                    return;
                }
                if higher {
                    bucket.least = least;
                }
                if lower {
                    bucket.most = most;
                }
            }
            _ => {
                if self.buckets.len() == BUCKETS {
                    self.buckets.pop_front();
                }
                self.buckets.push_back(Bucket { since: at, least, most });
            }
        }
        (self.lost, self.slow) = (self.lost_at_once(), self.sank());
    }

    /// Whether our clock is proven to have lost more than `span` at once.
    pub(super) fn stood_still(&self, span: Duration) -> bool {
        self.lost > span
    }

    /// Whether our clock is proven to run slow by more than one per cent.
    pub(super) const fn runs_slow(&self) -> bool {
        self.slow
    }

    /// The most that our clock is proven to have lost at once.
    fn lost_at_once(&self) -> Duration {
        let recent = self.buckets.len().saturating_sub(2);
        let Some(now) = self.most(recent..self.buckets.len()) else { return Duration::ZERO };
        let before = self.buckets.iter().map(|b| b.least).filter(|least| least.at <= now.at);
        // ⚠ After a while a short span is less than what a bad clock, be it the peer's, comes to by its rate.
        let at_once = |least: &Bound| least.above(now) > now.at.since(least.at) / STANDSTILL;
        before.filter(at_once).map(|least| least.above(now)).max().unwrap_or_default()
    }

    fn sank(&self) -> bool {
        let len = self.buckets.len();
        if len < RATE_BUCKETS {
            return false;
        }
        let bounds = |range: std::ops::Range<usize>| Some((self.least(range.clone())?, self.most(range)?));
        let (first, middle, last) = (bounds(0..2), bounds(len / 2 - 1..len / 2 + 1), bounds(len - 2..len));
        let (Some(first), Some(middle), Some(last)) = (first, middle, last) else { return false };
        let halves = [(first, middle), (middle, last)];
        let sank = |((least, most), (later_least, later_most)): &((Bound, Bound), (Bound, Bound))| {
            least.above(*later_least).min(most.above(*later_most)) > most.honest(*later_most)
        };
        last.1.at.since(first.1.at) >= RATE_SPAN && halves.iter().all(sank)
    }

    fn least(&self, range: std::ops::Range<usize>) -> Option<Bound> {
        self.buckets.range(range).map(|b| b.least).max_by_key(|bound| bound.nanos)
    }

    fn most(&self, range: std::ops::Range<usize>) -> Option<Bound> {
        self.buckets.range(range).map(|b| b.most).min_by_key(|bound| bound.nanos)
    }

    /// Starts over at `now`, after a standstill was acted on: what was sent before it belongs to the time before it.
    pub(super) fn reset(&mut self, now: Instant) {
        *self = Self { from: now, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl UptimeTracker {
        fn lags(&self, span: Duration) -> bool {
            self.stood_still(span) || self.runs_slow()
        }
    }

    const LEASE: Duration = Duration::from_secs(5);
    const SPAN: Duration = Duration::from_secs(2);

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// A datagram written at `sent` of ours, which shows `uptime`, echoes what we sent `held` before, and takes `delay`.
    fn hear(tracker: &mut UptimeTracker, sent: u64, uptime: u64, held: u64, delay: u64) {
        tracker.record(ms(sent.saturating_sub(held)), ms(sent + delay), Duration::from_millis(uptime), LEASE);
    }

    /// Ten datagrams a second over `secs`, with delays to 400 ms; `uptime_at` is the peer's clock by ours.
    fn run(tracker: &mut UptimeTracker, from: u64, secs: u64, uptime_at: impl Fn(u64) -> u64) {
        for i in 0..secs * 10 {
            let sent = from + i * 100;
            hear(tracker, sent, uptime_at(sent), i % 7 * 30, if i % 7 == 0 { 1 } else { i * 37 % 400 });
        }
    }

    #[test]
    fn a_rate_is_no_jump_after_a_long_silence() {
        for (rate, lags) in [(1_002, false), (1_030, false), (1_130, true)] {
            let mut tracker = UptimeTracker::default();
            run(&mut tracker, 0, 20, |t| t * rate / 1_000);
            run(&mut tracker, 120_000, 1, |t| t * rate / 1_000);
            assert_eq!(tracker.lags(Duration::from_millis(150)), lags, "{rate}: {tracker:?}");
        }
    }

    /// A datagram that is slow, held back, or read late encloses more, and nothing else.
    #[test]
    fn no_change_of_delay_is_a_standstill() {
        for (before, after) in [(3_000, 0), (0, 3_000), (100, 40), (40, 100)] {
            for out in [true, false] {
                let mut tracker = UptimeTracker::default();
                for i in 0..900_u64 {
                    let delay = if i < 300 { before } else { after };
                    let (held, delay) = if out { (delay + 60, 1) } else { (60, delay) };
                    hear(&mut tracker, i * 100, i * 100, held, delay);
                    assert!(!tracker.lags(Duration::from_millis(30)), "{i}: {before} {after} {out} {tracker:?}");
                }
            }
        }
    }

    /// All of it arrives at once, and tells of a minute and a half in which the clocks went apart as honest ones may.
    #[test]
    fn what_the_network_held_back_is_no_standstill() {
        let mut tracker = UptimeTracker::default();
        let uptime = |t: u64| t * 1_006 / 1_000;
        run(&mut tracker, 0, 60, uptime);
        for sent in (60_000..150_000).step_by(100) {
            hear(&mut tracker, sent, uptime(sent), 60, 150_000 - sent);
        }
        assert!(!tracker.lags(Duration::from_millis(75)), "{tracker:?}");
    }

    /// Each minute a little quicker: one bound sinks all the time, and the other one stays.
    #[test]
    fn a_path_that_gets_quicker_and_quicker_is_no_rate() {
        for out in [true, false] {
            let mut tracker = UptimeTracker::default();
            for i in 0..600_u64 {
                let delay = 3_000 - i * 4;
                let (held, delay) = if out { (delay + 60, 1) } else { (60, delay) };
                hear(&mut tracker, i * 100, i * 100, held, delay);
            }
            assert!(!tracker.lags(SPAN), "{out} {tracker:?}");
        }
    }

    /// What waited in the socket while the process stood still, dated by when it was read, and what comes an hour later.
    #[test]
    fn a_backlog_read_late_is_no_standstill() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 60, |t| t);
        for i in 0..25 {
            hear(&mut tracker, 60_000 + i * 100, 60_000 + i * 100, 60 + i * 100, 27_000 - i * 100);
        }
        assert!(!tracker.lags(SPAN), "{tracker:?}");
        run(&mut tracker, 150_000, 1, |t| t);
        assert!(!tracker.lags(SPAN), "{tracker:?}");
    }

    #[test]
    fn honest_clocks_never_add_up() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 20_000, |t| t + t / 20_000);
        assert!(!tracker.lags(SPAN), "{tracker:?}");
    }

    #[test]
    fn a_rate_within_a_percent_is_honest() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 60, |t| t * 1_005 / 1_000);
        assert!(!tracker.lags(SPAN), "{tracker:?}");
    }

    #[test]
    fn a_clock_that_runs_two_percent_slow_is_told_from_one_that_runs_fast() {
        for rate in [980, 1020] {
            let mut tracker = UptimeTracker::default();
            run(&mut tracker, 0, 60, |t| t * rate / 1000);
            assert_eq!(tracker.lags(Duration::from_secs(60)), rate > 1000, "{tracker:?}");
        }
    }

    /// Live migration stops a guest for a moment: that is no reason to move anything.
    #[test]
    fn a_short_standstill_is_no_rate() {
        for at in [15, 30, 45] {
            let mut tracker = UptimeTracker::default();
            run(&mut tracker, 0, at, |t| t);
            run(&mut tracker, at * 1_000, 60 - at, |t| t + 1_500);
            assert!(!tracker.lags(SPAN), "{at}: {tracker:?}");
        }
    }

    #[test]
    fn a_standstill_shows_with_the_first_datagram_after_it_and_is_told_once() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 3, |t| t);
        // Sent while our clock stood at 3 s: it arrived as soon as that went on.
        tracker.record(ms(2_900), ms(3_000), Duration::from_secs(7), LEASE);
        assert!(tracker.lags(SPAN), "{tracker:?}");
        tracker.reset(ms(3_001));
        assert!(!tracker.lags(SPAN));
        // Written before the standstill, and long on its way; then what answers us again.
        tracker.record(ms(2_950), ms(3_050), Duration::from_millis(2_990), LEASE);
        tracker.record(ms(3_040), ms(3_080), Duration::from_millis(7_050), LEASE);
        assert!(!tracker.lags(SPAN), "{tracker:?}");
    }
}
