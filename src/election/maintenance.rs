//! Maintenance that ends by itself: the node that was told keeps its end, on disk as well, and switches it off.
//!
//! The end belongs to one number of maintenance. Whoever switches it again, anywhere, has the last word.

use super::action::{Action, PersistedGroup};
use super::group::Group;
use super::turn::Turn;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a maintenance ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MaintenanceEnd {
    /// The number that it ends.
    number: u32,
    /// When, on the boot-time clock, nanoseconds. After a reboot of the host the clock begins again: then the
    /// whole span is waited for once more.
    at: u64,
    /// How long it was to last.
    span: Duration,
}

impl PersistedGroup {
    /// Switches maintenance; on, it ends by itself after `lasts`. `heard` is the highest number that any peer says.
    pub(super) fn switch_maintenance(&mut self, now: Instant, on: bool, lasts: Option<Duration>, heard: u32) {
        let is_on = self.maintenance % 2 == 1;
        // Odd is on: the next number of that parity is newer than anything known. Said again while it is on, it is
        // another number, too, so that an end which another node keeps does not come.
        self.maintenance += match (is_on, on) {
            (true, true) => 2,
            (false, false) => 0,
            _ => 1,
        };
        // A higher one was left aside if it was of nodes with another digest; they must hear of this one all the same.
        if self.maintenance < heard {
            self.maintenance = heard + (heard ^ self.maintenance) % 2;
        }
        let end = |span| MaintenanceEnd { number: self.maintenance, at: (now + span).as_nanos(), span };
        self.maintenance_end = lasts.filter(|_| on).map(end);
    }

    /// The group is none of ours any more: nobody would tell when it ends.
    pub(super) fn forget_maintenance(&mut self) -> bool {
        self.maintenance_end = None;
        std::mem::take(&mut self.maintenance) != 0
    }

    /// What is left of it, if it ends by itself and this node sees to that.
    pub(super) fn maintenance_left(&self, now: Instant) -> Option<Duration> {
        let end = self.maintenance_end.filter(|end| end.number == self.maintenance)?;
        Some(Instant::from_nanos(end.at).since(now))
    }

    /// After a start: no more is left than it was to last.
    pub(super) fn bound_maintenance(&mut self, now: Instant) {
        if let Some(end) = &mut self.maintenance_end {
            end.at = end.at.min((now + end.span).as_nanos());
        }
    }
}

impl Group {
    /// Ends maintenance whose time is over.
    pub(super) fn end_maintenance(&mut self, turn: &mut Turn<'_>) {
        let Some(end) = self.kept.maintenance_end else { return };
        if end.number == self.kept.maintenance {
            if !turn.due(Instant::from_nanos(end.at)) {
                return;
            }
            if let Some(why) = self.differs(turn) {
                if !std::mem::replace(&mut self.postponed, true) {
                    let text = format!("the time of maintenance is over, and it stays on: {why}");
                    turn.out.push(Action::Warn { group: Some(self.index), text });
                }
                return;
            }
            self.kept.maintenance += 1;
            *turn.changed = true;
            let text = format!("maintenance has ended by itself, after {} s", end.span.as_secs());
            turn.out.push(Action::Warn { group: Some(self.index), text });
        }
        self.postponed = false;
        self.kept.maintenance_end = None;
        *turn.persist = true;
    }
}
