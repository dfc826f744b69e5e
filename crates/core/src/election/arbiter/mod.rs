//! Who decides whether this node may lead: one arbiter a group, each in a file of its own.
//!
//! The rest of the election asks here, and never which arbiter it is. What differs is said once, in [`Arbiter`]'s
//! properties (does it grant leases, does the cloud's record count, is the leader elected elsewhere) and in the answers
//! below.

pub(super) mod adoption;
pub(super) mod cloud;
pub(super) mod etcd;
pub(super) mod external;
pub(super) mod leader;
pub(super) mod lease;
mod majority;
pub(super) mod superseded;

use super::group::Group;
use super::group::waiting::{Claim, Verdict};
use super::step_context::StepContext;
use crate::model::role::{Cause, Role};
use crate::model::settings::{Arbiter, Config};
use crate::model::time::Instant;

impl Group {
    pub(super) fn arbiter(&self, step: &StepContext<'_>) -> Arbiter {
        self.settings(step).arbiter
    }

    /// What the arbiter says to a claim against which neither heartbeats nor rank have anything left to say.
    pub(super) fn consult(&mut self, step: &mut StepContext<'_>) -> Verdict {
        match self.arbiter(step) {
            Arbiter::Cloud => self.ask_cloud(step),
            Arbiter::Majority | Arbiter::Keepalived | Arbiter::Etcd | Arbiter::EtcdLease => {
                self.reason_for_vacancy(step).into()
            }
        }
    }

    /// Asks for leadership: voters answer by their grants, etcd by its key, the others have answered already.
    pub(super) fn request(&mut self, step: &mut StepContext<'_>, claim: Claim) {
        match self.arbiter(step) {
            Arbiter::Majority => self.request_leases(step, claim),
            Arbiter::EtcdLease => self.request_key(step, claim),
            Arbiter::Cloud | Arbiter::Keepalived | Arbiter::Etcd => {
                self.note_unheard_term(step);
                self.epochs.ask();
                self.begin_claim(step, claim);
            }
        }
    }

    /// Until when leadership lasts if nothing renews it. ⚠ Never past `alive_until`, whatever the arbiter is: a node that
    /// cannot carry anything out is no leader.
    pub(super) fn granted_until(&self, config: &Config, now: Instant, alive_until: Instant) -> Option<Instant> {
        let settings = &config.groups[self.index.0];
        match settings.arbiter {
            Arbiter::Majority => self.lease.until(now, settings.members.len()).map(|lease| lease.min(alive_until)),
            Arbiter::EtcdLease => self.key.until().map(|until| until.min(alive_until)),
            Arbiter::Cloud | Arbiter::Keepalived => Some(alive_until),
            // ⚠ What etcd said has an end, whatever becomes of the task that reads it.
            Arbiter::Etcd => Some(self.elected_until().map_or(alive_until, |until| until.min(alive_until))),
        }
    }

    /// What leadership that has run out leaves this node, why in a word, and in words.
    pub(super) fn why_it_ran_out(&self, step: &StepContext<'_>) -> (Role, Cause, String) {
        // A lease that is renewed is worth nothing where nothing is carried out.
        let alive = step.alive_until > step.now;
        match self.arbiter(step) {
            Arbiter::Majority if alive => {
                (Role::Backup, Cause::LeaseLost, "no majority renewed the lease in time".to_owned())
            }
            Arbiter::EtcdLease if alive => (Role::Backup, Cause::LeaseLost, self.why_the_key_is_lost(step)),
            Arbiter::Etcd if alive => (Role::Fault, Cause::VrrpFault, self.outvoted(step).unwrap_or_default()),
            _ => {
                let text =
                    "this host, or the part of the daemon that carries things out, stood still for the dead time";
                (Role::Backup, Cause::Away, text.to_owned())
            }
        }
    }

    /// Leadership is lost: nothing that the arbiter gave may be used again.
    pub(super) fn relinquish(&mut self, step: &StepContext<'_>) {
        self.lease.stop();
        self.voter.relinquished(step.config.local, step.boot, u64::MAX, None);
        self.leader.spend();
        self.key.give_up(step.now);
    }

    /// When the arbiter can first say yes: voters that start together with us wait before they vote.
    pub(super) fn first_answer(&self, step: &StepContext<'_>) -> Instant {
        if self.arbiter(step).grants_leases() { self.voter.quarantine_ends() } else { Instant::default() }
    }
}
