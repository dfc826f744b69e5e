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
    pub(crate) differs: Option<(Difference, Instant)>,
}
