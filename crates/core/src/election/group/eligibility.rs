//! Whether this node could lead at all, and since when.

use crate::model::role::Cause;
use crate::model::time::Instant;

/// What was judged of that in the last step.
#[derive(Debug, Default)]
pub(crate) struct Eligibility {
    /// Cause and text of what stands in the way.
    fault: Option<(Cause, String)>,
    /// Since when nothing at all has: `preempt-delay` counts from then.
    since: Option<Instant>,
}

impl Eligibility {
    /// Notes what stands in the way, if anything does.
    pub(crate) fn judge(&mut self, fault: Option<(Cause, String)>) {
        self.fault = fault;
    }

    /// Notes whether this node could lead, whatever may stand in the way beside a fault.
    pub(crate) fn note(&mut self, now: Instant, able: bool) {
        self.since = if able { self.since.or(Some(now)) } else { None };
    }

    /// It was lost: this node must prove itself for `preempt-delay` again.
    pub(crate) fn begin_again(&mut self) {
        self.since = None;
    }

    /// Cause and text of what stands in the way.
    pub(crate) fn fault(&self) -> Option<&(Cause, String)> {
        self.fault.as_ref()
    }

    /// Since when nothing at all has.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }
}
