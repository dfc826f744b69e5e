//! The number of maintenance, and when it ends by itself.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The highest number that a state directory is believed: somebody would have had to switch it once a minute for 30
/// years.
pub const CREDIBLE: u32 = 1 << 24;
/// The highest number that there is; none above it is encoded or decoded.
pub const LAST: u32 = u32::MAX / 2;
/// Longest maintenance that ends by itself; more than that is meant to have no end.
pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// When a maintenance ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MaintenanceEnd {
    /// The number that it ends.
    pub(crate) number: u32,
    /// When, on the boot-time clock, nanoseconds. After a reboot of the host the clock begins again: then the
    /// whole span is waited for once more.
    pub(crate) at: u64,
    /// How long it was to last.
    pub(crate) span: Duration,
}
