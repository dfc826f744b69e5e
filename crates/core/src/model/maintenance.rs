//! The number of maintenance, and when it ends by itself.

use super::action::PersistedGroup;
use super::ids::Epoch;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The highest number that a state directory is believed: somebody would have had to switch it once a minute for 30
/// years.
pub const CREDIBLE: u32 = 1 << 24;
/// The highest number that there is; none above it is encoded or decoded.
pub const LAST: u32 = u32::MAX / 2;
/// Longest maintenance that ends by itself; whoever wants more wants no end.
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

impl PersistedGroup {
    /// Forgets what cannot be right, so that no number comes to its end, and names it; `group` is whose state this is.
    pub(crate) fn forget_incredible(&mut self, group: &str, found: &mut Vec<String>) {
        if self.epoch_reserved > Epoch::CREDIBLE.0 {
            found.push(format!("epoch {} of group {group} cannot be right", self.epoch_reserved));
            self.epoch_reserved = 0;
        }
        if self.maintenance > CREDIBLE {
            found.push(format!("maintenance number {} of group {group} cannot be right", self.maintenance));
            (self.maintenance, self.maintenance_end) = (0, None);
        }
        if let Some(end) = self.maintenance_end.take_if(|end| end.span > LONGEST || end.number > CREDIBLE) {
            found
                .push(format!("an end of maintenance after {} s of group {group} cannot be right", end.span.as_secs()));
        }
    }
}
