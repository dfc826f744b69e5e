//! What a node that waits for leadership counts: since when it could have it, when it asks again, what it waits for.

use super::waiting::Waiting;
use crate::model::time::Instant;

/// The wait between asks that are refused is doubled so often: eight leases at most.
const REFUSALS_MAX: u32 = 3;

/// Of a node that could lead, and does not.
#[derive(Debug)]
pub(crate) struct Candidacy {
    /// Since when nobody is active and this node could be.
    vacant_since: Option<Instant>,
    /// Why nothing is claimed just now.
    waiting: Waiting,
    /// A lease request that found no majority is not repeated before.
    ask_from: Instant,
    /// Lease requests in a row that were refused for a higher epoch.
    refusals: u32,
}

impl Candidacy {
    /// A start.
    pub(crate) fn new(now: Instant) -> Self {
        Self { vacant_since: None, waiting: Waiting::default(), ask_from: now, refusals: 0 }
    }

    /// Why nothing is claimed just now.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// It waits for this.
    pub(crate) fn wait_for(&mut self, why: impl Into<Waiting>) {
        self.waiting = why.into();
    }

    /// It may not claim, for this reason. Whatever it was that a refused ask had not heard, it knows better now.
    pub(crate) fn may_not_claim(&mut self, now: Instant, why: Waiting) {
        if std::mem::take(&mut self.refusals) > 0 {
            self.ask_from = now;
        }
        self.waiting = why;
    }

    /// Nobody is active, and this node could be. Since when that is so.
    pub(crate) fn vacant(&mut self, now: Instant) -> Instant {
        *self.vacant_since.get_or_insert(now)
    }

    /// Somebody is active, or this node could not be.
    pub(crate) fn not_vacant(&mut self) {
        self.vacant_since = None;
    }

    /// From when leases may be asked for.
    pub(crate) fn asks_from(&self) -> Instant {
        self.ask_from
    }

    /// An ask found no majority: so many leases the next one waits at most. The first refusal says only that our number
    /// was old, so the next ask follows at once. Another one means that somebody whom we do not hear has leadership: each
    /// ask costs an epoch there as well as here, so they become rare.
    pub(crate) fn ask_failed(&mut self, refused: bool) -> u32 {
        let leases = match self.refusals {
            _ if !refused => 1,
            0 => 0,
            n => 1 << n.min(REFUSALS_MAX),
        };
        self.refusals += u32::from(refused);
        leases
    }

    /// The next ask is not made before `at`.
    pub(crate) fn ask_again(&mut self, at: Instant) {
        self.ask_from = at;
    }

    /// Leadership was granted.
    pub(crate) fn begin_term(&mut self) {
        self.refusals = 0;
        self.waiting = Waiting::default();
    }

    #[cfg(test)]
    pub(crate) fn refusals(&self) -> u32 {
        self.refusals
    }
}
