//! Where the cloud has it otherwise than this election (`observe`).

use crate::model::ids::NodeIndex;
use crate::model::time::Instant;

/// Where the cloud has it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Whom this election has active.
    pub(crate) elected: Option<NodeIndex>,
    /// Position of the HAVIP.
    pub(crate) havip: usize,
    /// Whom the cloud names.
    pub(crate) holder: Option<String>,
}

/// The difference that lasts, if one does, and since when.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    differs: Option<(Difference, Instant)>,
}

impl Observed {
    /// The difference that lasts, and since when.
    pub(crate) fn differs(&self) -> Option<&(Difference, Instant)> {
        self.differs.as_ref()
    }

    /// What differs now, if anything does.
    pub(crate) fn note(&mut self, now: Instant, difference: Option<Difference>) {
        self.differs = difference.map(|difference| (difference, now));
    }
}
