//! Arbiter `majority`: asking the voters for a lease once a claim may be made; then the term begins.

use crate::election::group::Group;
use crate::election::group::waiting::Claim;
use crate::election::step_context::StepContext;
use std::time::Duration;

/// The wait between asks that are refused is doubled so often: eight leases at most.
const REFUSALS_MAX: u32 = 3;

impl Group {
    /// Asks the voters until enough of them grant the lease, or one refuses.
    pub(super) fn request_leases(&mut self, step: &mut StepContext<'_>, claim: Claim) {
        match self.lease.requested_since() {
            None if !step.due(self.candidacy.again_at) => {}
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
                    self.candidacy.again_at = step.now + self.wait_to_ask(step, refused);
                    step.wake(self.candidacy.again_at);
                }
            }
        }
        let votes = self.lease.votes(step.now);
        let (epoch, needed) = (self.epochs.ours(), self.settings(step).members.len() / 2 + 1);
        self.candidacy.waiting =
            format!("asking for epoch {epoch}: {votes} of the {needed} votes of a majority").into();
    }

    /// How long until the next ask after one that found no majority. The first refusal says only that our number was
    /// old, so the next ask follows at once. Another one means that somebody whom we do not hear has leadership: each ask
    /// costs an epoch there as well as here, so they become rare.
    fn wait_to_ask(&mut self, step: &mut StepContext<'_>, refused: bool) -> Duration {
        let leases = match self.candidacy.refusals {
            _ if !refused => 1,
            0 => 0,
            n => 1 << n.min(REFUSALS_MAX),
        };
        self.candidacy.refusals += u32::from(refused);
        step.part_of(step.dead_time() * leases)
    }

    pub(in crate::election) fn stop_asking(&mut self, step: &mut StepContext<'_>) {
        if self.lease.requested_since().is_some() {
            self.lease.stop();
            self.voter.relinquished(step.config.local, step.boot, u64::MAX, None);
            *step.changed = true;
        }
    }
}
