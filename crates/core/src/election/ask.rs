//! Asking for the right once a claim may be made: a majority is asked until it grants or refuses, the other
//! arbiters have answered already; then the term begins.

use super::claim::Waiting;
use super::group::Group;
use super::step_context::StepContext;
use crate::model::ids::NodeIndex;
use crate::model::role::{Cause, Role};
use crate::wire::Flags;
use std::time::Duration;

/// The wait between asks that are refused is doubled so often: eight leases at most.
const REFUSALS_MAX: u32 = 3;

impl Group {
    /// Asks the arbiter; a majority answers by its grants, the others at once.
    pub(super) fn ask(&mut self, step: &mut StepContext<'_>, cause: Cause, why: String, peer: Option<NodeIndex>) {
        if !self.by_majority(step) {
            self.epoch = self.seen.next();
            self.begin_claim(step, cause, why, peer);
            return;
        }
        match self.asker.asking_since() {
            None if !step.due(self.ask_again_at) => {}
            None => {
                self.epoch = self.seen.next();
                self.asker.begin(step.now, self.epoch);
                self.note_silence(step, cause, peer);
                self.step_done(step, format!("asks a majority for epoch {} ({cause})", self.epoch));
                *step.changed = true;
            }
            Some(since) => {
                let voters = self.settings(step).members.len();
                if self.asker.right_until(step.now, voters).is_some() {
                    self.begin_claim(step, cause, why, peer);
                    return;
                }
                let refused = self.seen >= self.epoch.next();
                if refused || step.due(since + step.dead_time()) {
                    self.stop_asking(step);
                    self.ask_again_at = step.now + self.wait_to_ask(step, refused);
                    step.wake(self.ask_again_at);
                }
            }
        }
        let votes = self.asker.votes(step.now);
        let (epoch, needed) = (self.epoch, self.settings(step).members.len() / 2 + 1);
        self.waiting = format!("asking for epoch {epoch}: {votes} of the {needed} votes of a majority").into();
    }

    /// How long until the next ask after one that found no majority. The first refusal says only that our number was
    /// old, so the next ask follows at once. Another one means that somebody whom we do not hear has the right: each ask
    /// costs an epoch there as well as here, so they become rare.
    fn wait_to_ask(&mut self, step: &mut StepContext<'_>, refused: bool) -> Duration {
        let leases = match self.refusals {
            _ if !refused => 1,
            0 => 0,
            n => 1 << n.min(REFUSALS_MAX),
        };
        self.refusals += u32::from(refused);
        step.part_of(step.dead_time() * leases)
    }

    pub(super) fn stop_asking(&mut self, step: &mut StepContext<'_>) {
        if self.asker.asking_since().is_some() {
            self.asker.stop();
            self.voter.gave_up(step.config.local, step.boot, u64::MAX, None);
            *step.changed = true;
        }
    }

    fn begin_claim(&mut self, step: &mut StepContext<'_>, cause: Cause, why: String, peer: Option<NodeIndex>) {
        self.seen = self.seen.max(self.epoch);
        self.reserve_epochs(step);
        self.refusals = 0;
        self.planned = cause == Cause::HandedOver;
        let settled = self.planned && peer.is_some_and(|p| self.peer_settled(step, p));
        if self.kept.preemption_suspended != settled {
            self.kept.preemption_suspended = settled;
            *step.persist = true;
        }
        self.waiting = Waiting::default();
        self.reach = super::reach::Reach::default();
        self.note_silence(step, cause, peer);
        let (epoch, stored) = (self.epoch, self.kept.epoch_reserved);
        self.step_done(step, format!("epoch {epoch} begins, of those stored ahead up to {stored}"));
        self.become_role(step, Role::Claiming, cause, why, peer);
    }

    /// After a switchover the suspension of preemption goes with the right; an unplanned move ends it.
    fn peer_settled(&self, step: &StepContext<'_>, node: NodeIndex) -> bool {
        let entry = step.peers.of(node).and_then(|p| p.entries.get(&self.tag));
        entry.is_some_and(|e| e.flags.has(Flags::SETTLED))
    }
}
