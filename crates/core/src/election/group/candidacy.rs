//! What a node that waits for leadership counts: since when it could have it, when it asks again, what it waits for.

use super::waiting::Waiting;
use crate::model::time::Instant;

/// Of a node that could lead, and does not.
#[derive(Debug, Default)]
pub(crate) struct Candidacy {
    /// Since when nobody is active and this node could be.
    pub(crate) vacant_since: Option<Instant>,
    /// Why nothing is claimed just now.
    pub(crate) waiting: Waiting,
    /// A lease request that found no majority is not repeated before.
    pub(crate) again_at: Instant,
    /// Lease requests in a row that were refused for a higher epoch.
    pub(crate) refusals: u32,
    /// An operator here wants leadership, until then.
    pub(crate) fetch_until: Option<Instant>,
}

/// Whether this node could lead at all.
#[derive(Debug, Default)]
pub(crate) struct Eligibility {
    /// Since when nothing at all has stood in the way.
    pub(crate) since: Option<Instant>,
    /// Cause and text of what does.
    pub(crate) fault: Option<(crate::model::role::Cause, String)>,
}
