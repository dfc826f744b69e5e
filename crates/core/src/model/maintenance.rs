//! The number of maintenance, and when it ends by itself.

use super::action::PersistedGroup;
use super::ids::Epoch;
use super::time::Instant;
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
    /// Switches maintenance; on, it ends by itself after `lasts`. `heard` is the highest number that any peer says.
    /// False when no number is left for it: then nothing has changed.
    pub(crate) fn switch_maintenance(&mut self, now: Instant, on: bool, lasts: Option<Duration>, heard: u32) -> bool {
        let is_on = self.maintenance % 2 == 1;
        // Odd is on: the next number of that parity is newer than anything known. Said again while it is on, it is
        // another number, too, so that an end which another node keeps does not come.
        let step = match (is_on, on) {
            (true, true) => 2,
            (false, false) => 0,
            _ => 1,
        };
        let mut next = self.maintenance.saturating_add(step);
        // A higher one was left aside if it was of nodes with another digest; they must hear of this one all the same.
        if next < heard {
            next = heard.saturating_add((heard ^ next) % 2);
        }
        if next > LAST {
            return false;
        }
        self.maintenance = next;
        let end = |span| MaintenanceEnd { number: self.maintenance, at: (now + span).as_nanos(), span };
        self.maintenance_end = lasts.filter(|_| on).map(end);
        true
    }

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

    /// The group is none of ours any more: nobody would tell when it ends.
    pub(crate) fn forget_maintenance(&mut self) -> bool {
        self.maintenance_end = None;
        std::mem::take(&mut self.maintenance) != 0
    }

    /// What is left of it, if it ends by itself and this node sees to that.
    pub(crate) fn maintenance_left(&self, now: Instant) -> Option<Duration> {
        let end = self.maintenance_end.filter(|end| end.number == self.maintenance)?;
        Some(Instant::from_nanos(end.at).since(now))
    }

    /// After a start: no more is left than it was to last.
    pub(crate) fn bound_maintenance(&mut self, now: Instant) {
        if let Some(end) = &mut self.maintenance_end {
            end.at = end.at.min((now + end.span).as_nanos());
        }
    }
}
