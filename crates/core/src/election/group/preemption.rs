//! Whether a better-ranked node may have leadership back by its rank.

/// Off after a switchover, until the next unplanned move.
#[derive(Debug)]
pub(crate) struct Preemption {
    suspended: bool,
}

impl Preemption {
    /// As the last run left it.
    pub(crate) fn read(suspended: bool) -> Self {
        Self { suspended }
    }

    /// The disk has answered at last.
    pub(crate) fn found(&mut self, suspended: bool) {
        self.suspended |= suspended;
    }

    /// An operator has moved the active role.
    pub(crate) fn suspend(&mut self) {
        self.suspended = true;
    }

    /// A term begins; `settled`: by a handover from a node where it is suspended. Says whether anything has changed.
    pub(crate) fn begin_term(&mut self, settled: bool) -> bool {
        std::mem::replace(&mut self.suspended, settled) != settled
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended
    }
}
