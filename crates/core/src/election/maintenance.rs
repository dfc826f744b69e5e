//! Maintenance that ends by itself: the node that was told keeps its end, on disk as well, and switches it off.
//!
//! The end belongs to one number of maintenance. The latest switch counts, on whichever node it was made.
//!
//! Numbers only rise, so one that is near the end of its range would leave none for the next switch, on every node
//! that hears it. What a file says is believed up to [`CREDIBLE`](crate::model::maintenance::CREDIBLE), what a datagram says up to [`LAST`](crate::model::maintenance::LAST); `reset` is the
//! way back from what lies between.

use super::group::Group;
use super::step_context::StepContext;
use crate::model::action::Action;
use crate::model::event::Reply;
use crate::model::ids::Epoch;
use crate::model::time::Instant;

impl Group {
    /// Ends maintenance whose time is over.
    pub(super) fn end_maintenance(&mut self, step: &mut StepContext<'_>) {
        self.maintenance.end_reset();
        let Some(end) = self.maintenance.end() else { return };
        if self.maintenance.ends_by(end) {
            if !step.due(Instant::from_nanos(end.at)) {
                return;
            }
            if let Some(why) = self.differs(step) {
                if self.maintenance.postpone() {
                    let text = format!("the time of maintenance is over, and it stays on: {why}");
                    step.out.push(Action::Warn { group: Some(self.index), text });
                }
                return;
            }
            self.maintenance.end_by_itself();
            *step.changed = true;
            let text = format!("maintenance has ended by itself, after {} s", end.span.as_secs());
            step.out.push(Action::Warn { group: Some(self.index), text });
        }
        self.maintenance.forget_end();
        *step.persist = true;
    }

    /// Begins the numbers of the group again here, if they are too high to be right.
    ///
    /// Every node is told, one after the other, in maintenance: nobody claims meanwhile. Until maintenance ends, what
    /// those that were not told yet say of the numbers of before is left aside; so the order does not matter. Who is
    /// active stays it, under a number that begins again; voters renew it (see [`super::arbiter::lease::Voter`]).
    pub(super) fn reset_numbers(&mut self, step: &mut StepContext<'_>) -> Reply {
        let name = &self.settings(step).name;
        let high = self.epochs.seen().max(self.epochs.ours());
        let incredible = high > Epoch::CREDIBLE || self.maintenance.is_incredible();
        if !incredible && self.maintenance.is_reset() {
            return Reply::Done("reset here already; do the same on every node, then end maintenance".into());
        }
        if !incredible {
            let number = self.maintenance.number();
            let text =
                format!("the numbers of {name} are in order: epoch {high}, maintenance {number}; nothing to reset");
            return Reply::Refused(text);
        }
        if !self.maintenance.is_incredible() && !self.maintained() {
            let text =
                format!("{name} is not in maintenance; havipctl maintenance {name} on, then the same on every node");
            return Reply::Refused(text);
        }
        self.maintenance.reset();
        if high > Epoch::CREDIBLE {
            let epoch = self.epochs.begin_again(self.role().has_leadership());
            self.lease.begin_again(epoch);
            self.voter.forget_numbers();
            self.reserve_epochs(step);
        }
        *step.persist = true;
        *step.changed = true;
        let text = format!("the numbers begin again here, after epoch {high}, by an operator's word");
        step.out.push(Action::Warn { group: Some(self.index), text });
        Reply::Done("the numbers begin again here; do the same on every node, then end maintenance".into())
    }
}
