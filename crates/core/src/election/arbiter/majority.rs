//! Arbiter `majority`: asking the voters for a lease once a claim may be made; then the term begins.

use crate::election::group::Group;
use crate::election::group::waiting::Claim;
use crate::election::step_context::StepContext;

impl Group {
    /// Asks the voters until enough of them grant the lease, or one refuses.
    pub(super) fn request_leases(&mut self, step: &mut StepContext<'_>, claim: Claim) {
        match self.lease.requested_since() {
            None if !step.due(self.candidacy.asks_from()) => {}
            None => {
                let epoch = self.epochs.ask();
                self.lease.begin(step.now, epoch);
                self.note_silence(step, claim.cause, claim.peer);
                self.step_done(step, format!("asks a majority for epoch {epoch} ({})", claim.cause));
                *step.changed = true;
            }
            Some(since) => {
                let voters = self.settings(step).members.len();
                if self.lease.until(step.now, voters).is_some() {
                    self.begin_claim(step, claim);
                    return;
                }
                let refused = self.epochs.is_refused();
                if refused || step.due(since + step.dead_time()) {
                    self.stop_asking(step);
                    let leases = self.candidacy.ask_failed(refused);
                    let again = step.now + step.part_of(step.dead_time() * leases);
                    self.candidacy.ask_again(again);
                    step.wake(again);
                }
            }
        }
        let votes = self.lease.votes(step.now);
        let (epoch, needed) = (self.epochs.ours(), self.settings(step).members.len() / 2 + 1);
        self.candidacy.wait_for(format!("asking for epoch {epoch}: {votes} of the {needed} votes of a majority"));
    }

    pub(in crate::election) fn stop_asking(&mut self, step: &mut StepContext<'_>) {
        self.key.give_up(step.now);
        if self.lease.requested_since().is_some() {
            self.lease.stop();
            self.voter.relinquished(step.config.local, step.boot, u64::MAX, None);
            *step.changed = true;
        }
    }
}
