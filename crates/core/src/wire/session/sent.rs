//! When our own datagrams left, by number.

use crate::model::time::Instant;
use std::collections::VecDeque;

/// Turns remembered. Two dead times are at most 200 intervals (`dead-multiplier` is at most 100); the
/// rest is room for the extra datagrams that changes of state cause.
const CAPACITY: usize = 512;

/// The numbers sent so far. One turn sends several datagrams at one instant: only its first number is
/// kept.
#[derive(Debug, Clone, Default)]
pub(super) struct SentLog {
    turns: VecDeque<(u64, Instant)>,
    highest: u64,
}

impl SentLog {
    /// Notes that number `seq` left at `now`; false if it does not rise.
    pub(super) fn record(&mut self, now: Instant, seq: u64) -> bool {
        if seq <= self.highest {
            return false;
        }
        self.highest = seq;
        if self.last() != Some(now) {
            if self.turns.len() == CAPACITY {
                self.turns.pop_front();
            }
            self.turns.push_back((seq, now));
        }
        true
    }

    /// When number `seq` left, or an instant before that; `None` if it did not, or too long ago to know.
    pub(super) fn at(&self, seq: u64) -> Option<Instant> {
        if seq > self.highest {
            return None;
        }
        let later = self.turns.partition_point(|(first, _)| *first <= seq);
        self.turns.get(later.checked_sub(1)?).map(|(_, at)| *at)
    }

    /// When the last datagram left.
    pub(super) fn last(&self) -> Option<Instant> {
        self.turns.back().map(|(_, at)| *at)
    }

    /// The highest number sent; zero if none was.
    pub(super) const fn highest(&self) -> u64 {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_time_is_never_later_than_the_true_one() {
        let mut log = SentLog::default();
        for (seq, at) in [(1, 10), (2, 10), (5, 30)] {
            assert!(log.record(Instant::from_millis(at), seq));
        }
        assert!(!log.record(Instant::from_millis(40), 5));
        let at = |seq| log.at(seq).map(Instant::as_millis);
        assert_eq!([0, 1, 2, 3, 5, 6].map(at), [None, Some(10), Some(10), Some(10), Some(30), None]);
    }

    #[test]
    fn it_is_bounded_and_covers_two_dead_times_of_the_largest_multiplier() {
        let mut log = SentLog::default();
        for seq in 1..=10_000 {
            log.record(Instant::from_millis(seq * 10), seq);
        }
        assert!(log.turns.len() <= CAPACITY);
        assert_eq!(log.at(1), None);
        assert_eq!(log.at(10_000 - 2 * 100), Some(Instant::from_millis((10_000 - 200) * 10)));
    }
}
