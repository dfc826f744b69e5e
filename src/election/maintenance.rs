//! Maintenance that ends by itself: the node that was told keeps its end, on disk as well, and switches it off.
//!
//! The end belongs to one number of maintenance. Whoever switches it again, anywhere, has the last word.
//!
//! Numbers only rise, so one that is near the end of its range would leave none for the next switch, on every node
//! that hears it. What a file says is believed up to [`CREDIBLE`], what a datagram says up to [`LAST`]; `reset` is the
//! way back from what lies between.

use super::action::{Action, PersistedGroup};
use super::event::Reply;
use super::group::Group;
use super::turn::Turn;
use crate::ids::Epoch;
use crate::time::Instant;
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
    number: u32,
    /// When, on the boot-time clock, nanoseconds. After a reboot of the host the clock begins again: then the
    /// whole span is waited for once more.
    at: u64,
    /// How long it was to last.
    span: Duration,
}

impl PersistedGroup {
    /// Switches maintenance; on, it ends by itself after `lasts`. `heard` is the highest number that any peer says.
    /// False when no number is left for it: then nothing has changed.
    pub(super) fn switch_maintenance(&mut self, now: Instant, on: bool, lasts: Option<Duration>, heard: u32) -> bool {
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
    pub(super) fn forget_incredible(&mut self, group: &str, found: &mut Vec<String>) {
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
        self.resets &= self.maintained();
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
            // The highest one is odd, and for an odd one there is always the next.
            self.kept.maintenance = self.kept.maintenance.saturating_add(1);
            *turn.changed = true;
            let text = format!("maintenance has ended by itself, after {} s", end.span.as_secs());
            turn.out.push(Action::Warn { group: Some(self.index), text });
        }
        self.postponed = false;
        self.kept.maintenance_end = None;
        *turn.persist = true;
    }

    /// Whether a number that a peer says is not taken over: the numbers are being reset, and it is one of before.
    pub(super) fn leaves_aside(&self, epoch: Epoch) -> bool {
        self.resets && epoch > Epoch::CREDIBLE
    }

    /// The same of a maintenance number.
    pub(super) fn leaves_maintenance_aside(&self, number: u32) -> bool {
        self.resets && number > CREDIBLE
    }

    /// Begins the numbers of the group again here, if they are too high to be right.
    ///
    /// Every node is told, one after the other, in maintenance: nobody claims meanwhile. Until maintenance ends, what
    /// those that were not told yet say of the numbers of before is left aside; so the order does not matter. Who is
    /// active stays it, under a number that begins again; voters renew it (see [`super::lease::Voter`]).
    pub(super) fn reset_numbers(&mut self, turn: &mut Turn<'_>) -> Reply {
        let name = &self.settings(turn).name;
        let high = self.seen.max(self.epoch);
        let incredible = high > Epoch::CREDIBLE || self.kept.maintenance > CREDIBLE;
        if !incredible && self.resets {
            return Reply::Done("reset here already; do the same on every node, then end maintenance".into());
        }
        if !incredible {
            let number = self.kept.maintenance;
            let text =
                format!("the numbers of {name} are in order: epoch {high}, maintenance {number}; nothing to reset");
            return Reply::Refused(text);
        }
        if self.kept.maintenance > CREDIBLE {
            // Whatever it said, the numbers are reset in maintenance.
            (self.kept.maintenance, self.kept.maintenance_end) = (1, None);
        } else if !self.maintained() {
            let text =
                format!("{name} is not in maintenance; havipctl maintenance {name} on, then the same on every node");
            return Reply::Refused(text);
        }
        self.resets = true;
        if high > Epoch::CREDIBLE {
            self.epoch = Epoch(u64::from(self.role.has_right()));
            self.seen = self.epoch;
            self.kept.epoch_reserved = 0;
            self.asker.begin_again(self.epoch);
            self.voter.forget_numbers();
            self.reserve_epochs(turn);
        }
        *turn.persist = true;
        *turn.changed = true;
        let text = format!("the numbers begin again here, after epoch {high}, by an operator's word");
        turn.out.push(Action::Warn { group: Some(self.index), text });
        Reply::Done("the numbers begin again here; do the same on every node, then end maintenance".into())
    }
}
