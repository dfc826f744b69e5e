//! How long things took, counted by fixed bounds: what Prometheus calls a histogram.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds, inclusive; what took longer is only in the total.
pub const BOUNDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Durations, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Per bound of [`BOUNDS`]: those up to it and above the one before.
    counts: [u64; BOUNDS.len()],
    /// All of them.
    count: u64,
    /// Their sum, in nanoseconds.
    sum_ns: u64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum_ns = self.sum_ns.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// Per bound, how many were not above it: each includes those before.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut so_far = 0;
        BOUNDS.iter().zip(&self.counts).map(move |(bound, count)| {
            so_far += count;
            (*bound, so_far)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_includes_what_is_on_it_and_all_below() {
        let mut histogram = Histogram::default();
        for ms in [1, 2, 250, 251, 60_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, n)| n).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4, 4]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_millis(60_504)));
    }
}
