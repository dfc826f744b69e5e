//! Whether our clock and a peer's run alike: the sign of a host whose clocks were stopped.
//!
//! Each counting datagram gives a pair: our instant and the peer's uptime. Their difference is an
//! unknown constant plus the delay, so the smallest difference of a while is nearly free of delay
//! (as in NTP's clock filter, RFC 5905 §10). Two comparisons are made of the pairs with the smallest
//! difference in a bucket of time each:
//!
//! - a *jump*: the last one to two buckets with the best of all before, so that one slow bucket, or one
//!   slow datagram, is none;
//! - a *rate*: the last two buckets with those in the middle, and these with the first two, over ten buckets at
//!   least. A change of delay, which may be long against the time that passed, is in one of these halves.
//!
//! Only sixteen buckets are kept: honest clocks, which differ by some parts in a million, never add up
//! to much.

use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

const BUCKETS: usize = 16;
const SHORTEST_BUCKET: Duration = Duration::from_secs(1);
/// Buckets that a rate is measured over, at least, and the time.
const RATE_BUCKETS: usize = 10;
const RATE_SPAN: Duration = Duration::from_secs(10);
/// Below this, scheduling and the unit of the uptime are as likely a reason as a clock.
const NOISE: Duration = Duration::from_millis(20);

/// Time that passed between two datagrams, here and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed {
    /// On our clock.
    pub local: Duration,
    /// On the peer's.
    pub peer: Duration,
}

impl Elapsed {
    fn between(old: Sample, new: Sample) -> Self {
        Self { local: new.local.since(old.local), peer: new.uptime.saturating_sub(old.uptime) }
    }

    fn off(&self) -> Duration {
        self.local.abs_diff(self.peer)
    }

    /// Whether the peer's clock ran ahead of ours.
    fn ahead(&self) -> bool {
        self.peer > self.local
    }
}

/// How our clock and a peer's moved apart lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UptimeDrift {
    /// Since the best pair of a few minutes at most.
    pub jump: Elapsed,
    /// Over both halves of the longest time known; `None` until that is long enough to tell a rate from a delay.
    pub rate: Option<[Elapsed; 2]>,
}

impl UptimeDrift {
    /// Nanoseconds by which the peer's clock advanced more than ours; negative if ours did.
    #[must_use]
    pub fn nanos(&self) -> i64 {
        let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        nanos(self.jump.peer).saturating_sub(nanos(self.jump.local))
    }

    /// Whether the two differ by over half a `lease`, or by over 1 % (election.md §2). After a long silence half a
    /// short lease may be less than what clocks within that 1 % come to: then it is no jump.
    #[must_use]
    pub fn diverges(&self, lease: Duration) -> bool {
        let honest = |passed: Elapsed| (passed.local.max(passed.peer) / 100).max(NOISE);
        let rate_off = self.rate.is_some_and(|halves| {
            let [first, last] = halves.map(|half| half.ahead());
            halves.iter().all(|half| half.off() > honest(*half)) && first == last
        });
        self.jump.off() > (lease / 2).max(honest(self.jump)) || rate_off
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    local: Instant,
    uptime: Duration,
    /// Ours minus theirs, in nanoseconds; the smaller, the shorter the delay.
    offset: i128,
}

impl Sample {
    fn new(local: Instant, uptime: Duration) -> Self {
        let theirs = i128::try_from(uptime.as_nanos()).unwrap_or(i128::MAX);
        Self { local, uptime, offset: i128::from(local.as_nanos()) - theirs }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    since: Instant,
    best: Sample,
}

/// The pairs of one boot of a peer.
#[derive(Debug, Clone, Default)]
pub(super) struct UptimeTracker {
    buckets: VecDeque<Bucket>,
}

impl UptimeTracker {
    /// Notes that a datagram sent at `uptime` of the peer came at `now`; buckets last `width`, or a second.
    pub(super) fn record(&mut self, now: Instant, uptime: Duration, width: Duration) {
        let sample = Sample::new(now, uptime);
        match self.buckets.back_mut() {
            Some(bucket) if now.since(bucket.since) < width.max(SHORTEST_BUCKET) => {
                if sample.offset < bucket.best.offset {
                    bucket.best = sample;
                }
            }
            _ => {
                if self.buckets.len() == BUCKETS {
                    self.buckets.pop_front();
                }
                self.buckets.push_back(Bucket { since: now, best: sample });
            }
        }
    }

    /// How far the clocks moved apart; `None` until there are three buckets.
    pub(super) fn drift(&self) -> Option<UptimeDrift> {
        let len = self.buckets.len();
        let recent = len.checked_sub(2)?;
        let best = |range: std::ops::Range<usize>| {
            self.buckets.range(range).map(|b| b.best).min_by_key(|sample| sample.offset)
        };
        let new = best(recent..len)?;
        let jump = Elapsed::between(best(0..recent)?, new);
        // A clock that runs at another rate does so in both halves of the time; a delay that ended, in one of them.
        let halves = || {
            let (first, middle) = (best(0..2)?, best(len / 2 - 1..len / 2 + 1)?);
            Some([Elapsed::between(first, middle), Elapsed::between(middle, new)])
        };
        let rate = (len >= RATE_BUCKETS).then(halves).flatten().filter(|[a, b]| a.local + b.local >= RATE_SPAN);
        Some(UptimeDrift { jump, rate })
    }

    /// Starts over, after a divergence was acted on.
    pub(super) fn reset(&mut self) {
        self.buckets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    /// Ten datagrams a second over `secs`, the peer's clock at `rate` per mille of ours, with delays to 400 ms.
    fn run(tracker: &mut UptimeTracker, from: u64, secs: u64, uptime_at: impl Fn(u64) -> u64) {
        for i in 0..secs * 10 {
            let sent = from + i * 100;
            let delay = if i % 7 == 0 { 1 } else { i * 37 % 400 };
            tracker.record(Instant::from_millis(sent + delay), Duration::from_millis(uptime_at(sent)), LEASE);
        }
    }

    #[test]
    fn honest_clocks_do_not_jump_in_a_long_silence() {
        let lease = Duration::from_millis(300);
        for (rate, diverges) in [(1_002, false), (1_030, true)] {
            let mut tracker = UptimeTracker::default();
            run(&mut tracker, 0, 20, |t| t * rate / 1_000);
            run(&mut tracker, 120_000, 1, |t| t * rate / 1_000);
            let drift = tracker.drift().expect("known");
            assert_eq!(drift.diverges(lease), diverges, "{rate}: {drift:?}");
        }
    }

    #[test]
    fn delays_alone_are_no_drift() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 50_000, 4, |t| t - 40_000);
        assert_eq!(tracker.drift(), None);
        run(&mut tracker, 54_000, 300, |t| t - 40_000);
        let drift = tracker.drift().expect("three buckets");
        assert!(drift.nanos().abs() < 2_000_000 && !drift.diverges(LEASE), "{drift:?}");
    }

    /// A route became shorter by 60 ms: no clock was stopped, whatever the dead time.
    #[test]
    fn a_change_of_delay_is_no_drift() {
        let lease = Duration::from_millis(500);
        for step in [-60_i64, 60] {
            let mut tracker = UptimeTracker::default();
            for i in 0..600_u64 {
                let delay = if i < 60 { 100 } else { 100_u64.saturating_add_signed(step) };
                tracker.record(Instant::from_millis(i * 100 + delay), Duration::from_millis(i * 100), lease);
                let drift = tracker.drift();
                assert!(!drift.is_some_and(|d| d.diverges(lease)), "{i}: {drift:?}");
            }
        }
    }

    /// A link was slow by up to a second for half of what is remembered, some buckets without one quick datagram.
    #[test]
    fn delays_that_ended_are_no_drift() {
        let lease = Duration::from_secs(3);
        let mut tracker = UptimeTracker::default();
        for i in 0..70_u64 {
            let delay = if i < 20 { 900 - i % 3 * 100 } else { 70 - i };
            tracker.record(Instant::from_millis(i * 1_000 + delay), Duration::from_millis(i * 1_000), lease);
            let drift = tracker.drift();
            assert!(!drift.is_some_and(|d| d.diverges(lease)), "{i}: {drift:?}");
        }
    }

    #[test]
    fn honest_clocks_never_add_up() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 200_000, |t| t + t / 20_000);
        let drift = tracker.drift().expect("three buckets");
        assert!(!drift.diverges(LEASE), "{drift:?}");
    }

    #[test]
    fn a_rate_two_percent_off_diverges_in_both_directions() {
        for rate in [980, 1020] {
            let mut tracker = UptimeTracker::default();
            run(&mut tracker, 0, 60, |t| t * rate / 1000);
            let drift = tracker.drift().expect("three buckets");
            assert!(drift.diverges(Duration::from_secs(60)), "{drift:?}");
            assert_eq!(drift.nanos() > 0, rate > 1000);
        }
    }

    #[test]
    fn a_stopped_clock_of_ours_shows_with_the_first_datagram_after_it() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 60, |t| t);
        tracker.record(Instant::from_millis(60_100), Duration::from_millis(64_000), LEASE);
        let drift = tracker.drift().expect("three buckets");
        assert!(drift.diverges(LEASE) && drift.nanos() > 2_500_000_000, "{drift:?}");
        tracker.reset();
        assert_eq!(tracker.drift(), None);
    }

    #[test]
    fn a_stopped_clock_of_the_peer_shows_within_two_buckets() {
        let mut tracker = UptimeTracker::default();
        run(&mut tracker, 0, 60, |t| t);
        run(&mut tracker, 64_000, 10, |t| t - 4_000);
        let drift = tracker.drift().expect("three buckets");
        assert!(drift.diverges(LEASE) && drift.nanos() < -2_500_000_000, "{drift:?}");
    }
}
