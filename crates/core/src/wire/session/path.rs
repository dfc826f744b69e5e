//! What each path to us delivers: counts, losses and age. Reported, never a reason for anything.

use crate::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far behind the newest a datagram may be and still be told from one seen before.
const WINDOW: u64 = 64;
/// A node has at most four addresses; whatever lies beyond is not tracked.
const MAX_PATHS: usize = 4;

/// One of our addresses, as this peer reaches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStats {
    /// Datagrams that came over this path, each once.
    pub received: u64,
    /// Numbers that did not come over this path, while later ones did.
    pub lost: u64,
    /// When the last one came.
    #[serde(skip)]
    pub last: Option<Instant>,
    #[serde(skip)]
    highest: u64,
    #[serde(skip)]
    seen: u64,
}

impl PathStats {
    /// Time since the last datagram over this path.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.last.map(|last| now.since(last))
    }

    /// Forgets the numbers, not the counts: another boot of the peer counts from elsewhere.
    fn renumber(&mut self) {
        (self.highest, self.seen) = (0, 0);
    }

    /// Notes number `seq`; false if it came over this path before, or is too old to tell.
    fn record(&mut self, now: Instant, seq: u64) -> bool {
        if seq > self.highest {
            let gap = seq - self.highest;
            if self.highest > 0 {
                self.lost = self.lost.saturating_add(gap - 1);
            }
            self.seen = if gap < WINDOW { self.seen << gap | 1 } else { 1 };
            self.highest = seq;
        } else {
            let behind = self.highest - seq;
            let bit = if behind < WINDOW { 1 << behind } else { 0 };
            if bit == 0 || self.seen & bit != 0 {
                return false;
            }
            self.seen |= bit;
            self.lost = self.lost.saturating_sub(1);
        }
        self.received = self.received.saturating_add(1);
        self.last = Some(now);
        true
    }
}

/// Notes that number `seq` came over `path`; false if that is nothing new.
pub(super) fn record(paths: &mut Vec<PathStats>, now: Instant, path: u8, seq: u64) -> bool {
    let index = usize::from(path);
    if index >= MAX_PATHS {
        return false;
    }
    if paths.len() <= index {
        paths.resize_with(index + 1, PathStats::default);
    }
    paths.get_mut(index).is_some_and(|stats| stats.record(now, seq))
}

/// The peer has another boot, and numbers of its own.
pub(super) fn renumber(paths: &mut [PathStats]) {
    paths.iter_mut().for_each(PathStats::renumber);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_losses_until_they_are_filled() {
        let (mut paths, now) = (Vec::new(), Instant::from_millis(7));
        for seq in [10, 11, 15] {
            assert!(record(&mut paths, now, 1, seq));
        }
        assert_eq!((paths[1].received, paths[1].lost), (3, 3));
        assert!(record(&mut paths, now, 1, 13), "overtaken");
        assert!(!record(&mut paths, now, 1, 13), "twice");
        assert!(!record(&mut paths, now, 9, 1), "no such path");
        assert_eq!((paths[1].received, paths[1].lost), (4, 2));
        assert_eq!(paths[1].age(Instant::from_millis(9)), Some(Duration::from_millis(2)));
        assert_eq!(paths[0], PathStats::default());
        renumber(&mut paths);
        assert!(record(&mut paths, now, 1, 1000));
        assert_eq!((paths[1].received, paths[1].lost), (5, 2));
    }

    #[test]
    fn a_long_gap_empties_the_window() {
        let (mut paths, now) = (Vec::new(), Instant::default());
        for seq in [1, 64, 65, 200] {
            assert!(record(&mut paths, now, 0, seq), "{seq}");
        }
        assert!(!record(&mut paths, now, 0, 65), "too old to tell");
        assert!(record(&mut paths, now, 0, 137));
    }
}
