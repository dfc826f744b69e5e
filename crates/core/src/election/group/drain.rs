//! Whether an operator keeps this node from being active.

/// `drain` of one group.
#[derive(Debug)]
pub(crate) struct Drain {
    on: bool,
    /// The disk or an operator said so.
    known: bool,
}

impl Drain {
    /// What the disk said.
    pub(crate) fn read(on: bool) -> Self {
        Self { on, known: true }
    }

    /// The disk has not said anything yet.
    pub(crate) fn unread() -> Self {
        Self { on: false, known: false }
    }

    /// An operator says so: that holds, whatever the disk says later.
    pub(crate) fn order(&mut self, on: bool) {
        *self = Self::read(on);
    }

    /// The disk has answered at last.
    pub(crate) fn found(&mut self, on: bool) {
        if !self.known {
            *self = Self::read(on);
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known
    }

    /// Whether it was ordered.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Whether this node counts as drained: it is, or may have been before the start.
    pub(crate) fn counts(&self) -> bool {
        self.on || !self.known
    }
}
