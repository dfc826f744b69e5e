//! Whether this node could be active at all, and if not, why and what to do about it.

use super::group::Group;
use super::group::state::State;
use super::step_context::StepContext;
use crate::health::in_the_way;
use crate::model::action::Action;
use crate::model::ids::Epoch;
use crate::model::role::{Cause, Role};
use crate::reconcile::HavipReconciler;
use crate::wire::Flags;

/// How the detail of [`Cause::LinkDown`] begins where the host has no interface for the address, whatever its links do.
pub const NO_INTERFACE: &str = "no interface for";

impl Group {
    pub(crate) fn judge_eligibility(&mut self, step: &mut StepContext<'_>) {
        self.judge_addresses(step);
        let fault = self.fault(step);
        self.eligibility.judge(fault);
        let able = self.may_be_active(step);
        self.eligibility.note(step.now, able);
        match (self.eligibility.fault(), self.role()) {
            (Some((cause, text)), Role::Backup) => {
                let (cause, text) = (*cause, text.clone());
                self.become_role(step, State::Fault, cause, text, None);
            }
            (None, Role::Fault) => {
                // A start goes on where it was: an address of the last run may still be resumed with.
                let starting = self.cause == Cause::NoIdentity && self.epochs.ours() == Epoch(0);
                let cause = if starting { Cause::Started } else { Cause::Recovered };
                self.become_role(step, State::Backup, cause, "the reason is gone".into(), None);
            }
            _ => {}
        }
    }

    /// Notes whether the addresses that leadership gives us can be put on this host.
    fn judge_addresses(&mut self, step: &mut StepContext<'_>) {
        if !self.role().has_leadership() {
            return;
        }
        let settings = self.settings(step);
        let failing = self
            .reconcilers
            .iter()
            .zip(&settings.havips)
            .find_map(|(l, h)| Some((&h.id, l.address.failing(&mut step.context())?)));
        if let Some((id, why)) = failing {
            let text = format!("the address of {id} cannot be put on this host: {why}");
            if self.backoff.address_failed(step, &text, settings.reclaim_wait) {
                step.out.push(Action::Warn { group: Some(self.index), text });
            }
        } else if self.reconcilers.iter().all(|l| !l.address.wanted || l.address.there()) {
            self.backoff.address_works();
        }
    }

    /// An address that cannot be put bars this node while somebody else could serve. Where nobody can it goes on
    /// trying; and an election outside decides by itself.
    fn address_fault(&self, step: &mut StepContext<'_>) -> Option<(Cause, String)> {
        let text = self.backoff.address_fault(step)?;
        let able = |p: &super::peer::Peer| {
            p.owns(self.tag, step.now).is_some()
                || p.releases(self.tag, step.now).is_some()
                || p.says(self.tag, step.now).is_some_and(|e| e.flags.has(Flags::ELIGIBLE))
        };
        let bars = self.role().has_leadership() || step.peers.iter().any(able);
        (bars && !self.arbiter(step).is_external()).then_some((Cause::AddressFailed, text))
    }

    /// Why this node could not be active, if so. A witness never could and is no fault.
    fn fault(&self, step: &mut StepContext<'_>) -> Option<(Cause, String)> {
        if self.membership(step).is_none_or(|m| m.witness) {
            return None;
        }
        if !step.due(step.cloned_until) {
            let text = "another machine runs with this node's state; stop it: a minute after its last sign this ends";
            return Some((Cause::Cloned, text.into()));
        }
        // ⚠ A copy of a member's machine has its file, its keys and its state, and the record names the member.
        if let Some(differs) = step.wrong_host {
            let text = format!("{differs}; stop havipd here, or correct this node's entry in the file");
            return Some((Cause::WrongHost, text));
        }
        if step.identity.is_none() && !self.settings(step).observe {
            let text =
                "this node's instance id is not known; set node.instance, or make the metadata service reachable";
            return Some((Cause::NoIdentity, text.into()));
        }
        for (i, l) in self.reconcilers.iter().enumerate() {
            if l.address.wanted && !l.link_up {
                let id = &self.settings(step).havips[i].id;
                let text = match &l.link_missing {
                    Some(why) => format!("{NO_INTERFACE} {id}: {why}"),
                    None => format!("the interface for {id} is down or missing"),
                };
                return Some((Cause::LinkDown, text));
            }
        }
        if let Some(fault) = self.address_fault(step).or_else(|| self.external_fault(step)) {
            return Some(fault);
        }
        if self.health.failed {
            let text = in_the_way(&self.check_notes);
            let text = if text.is_empty() { "a check fails".to_owned() } else { text };
            return Some((Cause::CheckFailed, text));
        }
        if let Some((cause, text)) = self.backoff.claim_fault(step) {
            return Some((cause, text));
        }
        // A holder that restarts with the new file goes on as one: in maintenance the files differ for a while.
        let goes_on = self.role().has_leadership() || (self.maintained() && self.may_yet_resume(step));
        if !goes_on
            && let Some(text) =
                self.mismatch(step).or_else(|| self.adoption.waits().cloned().filter(|_| !self.maintained()))
        {
            return Some((Cause::ConfigMismatch, text));
        }
        self.cloud_fault()
    }

    /// A peer that is up runs with another digest.
    pub(super) fn mismatch(&self, step: &StepContext<'_>) -> Option<String> {
        let ours = step.digest;
        let other = step.peers.iter().find(|p| {
            p.up(step.now) && p.digest.is_some_and(|d| d != ours) && self.settings(step).member(p.node).is_some()
        })?;
        let name = &step.config.node(other.node).name;
        Some(format!("{name} runs with other timing, voters, arbiter, HAVIPs or bindings; make the files equal"))
    }

    /// What reading the record without a claim showed: every HAVIP is gone, or no permission to see one.
    ///
    /// With leadership it is an alarm: an error proves nothing, and an address that nobody else can have does no harm.
    fn cloud_fault(&self) -> Option<(Cause, String)> {
        if self.role().has_leadership() {
            return None;
        }
        let gone = self.reconcilers.iter().all(HavipReconciler::missing);
        self.reconcilers.iter().find_map(|l| {
            let (count, _, error) = l.read_errors.as_ref()?;
            let cause = match () {
                () if *count < 2 => return None,
                () if error.missing && gone => Cause::HavipMissing,
                () if error.denied => Cause::Denied,
                () => return None,
            };
            let text = match cause {
                Cause::HavipMissing => l.trouble().unwrap_or_default(),
                _ => format!("{error}; check the credentials and their permission for HAVIP"),
            };
            Some((cause, text))
        })
    }
}
