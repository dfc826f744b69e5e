//! Cluster-wide maintenance: its number, its end, and whether the numbers of the group begin again.

use crate::model::ids::Epoch;
use crate::model::maintenance::{CREDIBLE, LAST, MaintenanceEnd};
use crate::model::time::Instant;
use std::time::Duration;

/// Maintenance of one group. The number only rises; odd is on.
#[derive(Debug)]
pub(crate) struct Maintenance {
    number: u32,
    /// When it ends by itself, if this node was told to end it.
    end: Option<MaintenanceEnd>,
    /// It is over by its time, but may not end yet.
    postponed: bool,
    /// The numbers begin again: those of before are left aside until maintenance ends.
    resets: bool,
}

impl Maintenance {
    /// As the last run left it; no more is left of it than it was to last.
    pub(crate) fn read(now: Instant, number: u32, end: Option<MaintenanceEnd>) -> Self {
        Self { number, end: end.map(|end| bounded(now, end)), postponed: false, resets: false }
    }

    /// The disk has answered at last.
    pub(crate) fn found(&mut self, now: Instant, number: u32, end: Option<MaintenanceEnd>) {
        if number > self.number {
            (self.number, self.end) = (number, end.map(|end| bounded(now, end)));
        }
    }

    /// Of the last change that was heard of.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn is_on(&self) -> bool {
        self.number % 2 == 1
    }

    /// Switches it; on, it ends by itself after `lasts`. `heard` is the highest number that any peer says.
    /// False when no number is left for it: then nothing has changed.
    pub(crate) fn switch(&mut self, now: Instant, on: bool, lasts: Option<Duration>, heard: u32) -> bool {
        // Odd is on: the next number of that parity is newer than anything known. Said again while it is on, it is
        // another number, too, so that an end which another node keeps does not come.
        let step = match (self.is_on(), on) {
            (true, true) => 2,
            (false, false) => 0,
            _ => 1,
        };
        let mut next = self.number.saturating_add(step);
        // A higher one was left aside if it was of nodes with another digest; they must hear of this one all the same.
        if next < heard {
            next = heard.saturating_add((heard ^ next) % 2);
        }
        if next > LAST {
            return false;
        }
        self.number = next;
        let end = |span| MaintenanceEnd { number: next, at: (now + span).as_nanos(), span };
        self.end = lasts.filter(|_| on).map(end);
        true
    }

    /// Whether a number that a peer says is a later one.
    pub(crate) fn is_news(&self, number: u32) -> bool {
        number > self.number && !self.leaves_number_aside(number)
    }

    /// The number of a peer holds here, too.
    pub(crate) fn follow(&mut self, number: u32) {
        self.number = number;
    }

    /// The end that this node was told to bring about, of whichever number.
    pub(crate) fn end(&self) -> Option<MaintenanceEnd> {
        self.end
    }

    /// Whether the end belongs to this maintenance; somebody may have switched it since.
    pub(crate) fn ends_by(&self, end: MaintenanceEnd) -> bool {
        end.number == self.number
    }

    /// Its time is over, but it may not end yet. Says whether that is news.
    pub(crate) fn postpone(&mut self) -> bool {
        !std::mem::replace(&mut self.postponed, true)
    }

    /// Its time is over: it ends.
    pub(crate) fn end_by_itself(&mut self) {
        // The highest one is odd, and for an odd one there is always the next.
        self.number = self.number.saturating_add(1);
    }

    /// Nothing is left for this node to end.
    pub(crate) fn forget_end(&mut self) {
        (self.end, self.postponed) = (None, false);
    }

    /// What is left of it, if it ends by itself and this node sees to that.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let end = self.end.filter(|end| self.ends_by(*end))?;
        Some(Instant::from_nanos(end.at).since(now))
    }

    /// The group is none of ours any more: nobody would tell when it ends. Says whether there was any.
    pub(crate) fn forget(&mut self) -> bool {
        self.end = None;
        std::mem::take(&mut self.number) != 0
    }

    /// Whether its number is too high to be right.
    pub(crate) fn is_incredible(&self) -> bool {
        self.number > CREDIBLE
    }

    /// The numbers of the group begin again, in maintenance, whatever a number says that cannot be right.
    pub(crate) fn reset(&mut self) {
        if self.is_incredible() {
            (self.number, self.end) = (1, None);
        }
        self.resets = true;
    }

    /// A reset ends with maintenance.
    pub(crate) fn end_reset(&mut self) {
        self.resets &= self.is_on();
    }

    /// Whether the numbers have begun again, in this maintenance.
    pub(crate) fn is_reset(&self) -> bool {
        self.resets
    }

    /// Whether an epoch that a peer says is not taken over: the numbers are being reset, and it is one of before.
    pub(crate) fn leaves_aside(&self, epoch: Epoch) -> bool {
        self.resets && epoch > Epoch::CREDIBLE
    }

    /// The same of a maintenance number.
    pub(crate) fn leaves_number_aside(&self, number: u32) -> bool {
        self.resets && number > CREDIBLE
    }
}

/// After a reboot the clock is another one: no more is left than it was to last.
fn bounded(now: Instant, end: MaintenanceEnd) -> MaintenanceEnd {
    MaintenanceEnd { at: end.at.min((now + end.span).as_nanos()), ..end }
}
