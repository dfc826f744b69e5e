//! keepalived of one node: what it is, and since when.

use havipd_core::model::time::Instant;
use havipd_core::model::vrrp::State;
use std::time::Duration;

/// Time between advertisements.
pub(super) const ADVERT: Duration = Duration::from_secs(1);

/// keepalived of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Router {
    pub(super) runs: bool,
    pub(super) state: State,
    /// Without a better advertisement it is master then.
    pub(super) down_at: Instant,
    /// Its last decision was said while no daemon ran.
    pub(super) untold: bool,
    /// What it says arrives in its order, as the newest counts: not before this.
    pub(super) told_by: Instant,
}

impl Router {
    /// One that has just been started.
    pub(super) fn new(now: Instant) -> Self {
        Self { runs: true, state: State::Backup, down_at: now + ADVERT * 3, untold: false, told_by: now }
    }
}
