//! Somebody outside the cluster takes a HAVIP again and again, and each time it is taken back: two clusters that are
//! configured with one HAVIP, or a script. That is a war without an end unless somebody gives way.
//!
//! A few repairs are done at once. From then on each waits twice as long as the one before, in which this node neither
//! writes nor announces, and an alarm names who it is. Two clusters of this program both do that.

use crate::model::time::Instant;
use std::time::Duration;

/// So many repairs against one target are done at once.
const AT_ONCE: u32 = 3;
/// The wait before the next one, doubled with each.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest one.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Without another repair for this long it is over.
const OVER_AFTER: Duration = Duration::from_secs(3600);

/// The repairs against one target that is no member's.
#[derive(Debug, Default)]
pub(super) struct Contest {
    by: String,
    repairs: u32,
    first: Instant,
    last: Instant,
    until: Instant,
}

impl Contest {
    /// The target `by` was found in our place: the repair may begin when [`Self::waits`] says so.
    pub(super) fn begin(&mut self, now: Instant, by: &str) {
        if self.by != by || now.since(self.last) >= OVER_AFTER {
            *self = Self { by: by.to_owned(), first: now, ..Self::default() };
        }
        self.repairs = self.repairs.saturating_add(1);
        self.last = now;
        let doubled = self.repairs.checked_sub(AT_ONCE + 1).map(|n| FIRST_WAIT.saturating_mul(1 << n.min(16)));
        self.until = now + doubled.unwrap_or_default().min(LONGEST_WAIT);
    }

    /// The record names us: nothing waits.
    pub(super) fn end(&mut self, now: Instant) {
        self.until = Instant::default();
        if now.since(self.last) >= OVER_AFTER {
            self.repairs = 0;
        }
    }

    /// Until when nothing is done about it.
    pub(super) fn waits(&self, now: Instant) -> Option<Instant> {
        Some(self.until).filter(|until| *until > now)
    }

    /// What an operator has to know, once it is more than an accident.
    pub(super) fn alarm(&self, havip: &str) -> Option<String> {
        let minutes = self.last.since(self.first).as_secs().div_ceil(60).max(1);
        (self.repairs > AT_ONCE).then(|| {
            format!(
                "taken by {} {} times in {minutes} min and taken back, and it is no node of this cluster; is {havip} in \
                 the file of another cluster, or in a script? Each repair waits longer than the one before",
                self.by, self.repairs
            )
        })
    }
}
