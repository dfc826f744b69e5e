//! Arbiter `keepalived`: keepalived elects, this daemon owns the HAVIP.
//!
//! A MASTER that keepalived has just decided on gives leadership against everybody, also against a node that is active: that
//! one has just lost keepalived's election, or the routers do not hear each other. ⚠ Such a decision is used up when
//! leadership is lost: in a split of VRRP both sides stay MASTER for as long as it lasts, and would take the HAVIP from
//! each other for ever. From then on a MASTER is no more than the wish to be active: it waits for every node that
//! is active and goes by the cloud's record, as with arbiter `cloud`. A new decision ends that, be it another MASTER or
//! the word that a router of lower priority was heard; so does the other side when it becomes BACKUP. So the HAVIP
//! follows whom keepalived keeps when the split ends, although that node hears of no change of its own state.

use crate::election::Core;
use crate::election::group::Group;
use crate::election::group::waiting::{Claim, Verdict};
use crate::election::step_context::StepContext;
use crate::model::action::Actions;
use crate::model::event::VrrpReport;
use crate::model::ids::GroupIndex;
use crate::model::role::Cause;
use crate::model::time::Instant;
use crate::model::vrrp::State;
use crate::reconcile::HavipReconciler;

impl Core {
    pub(in crate::election) fn vrrp_reported(
        &mut self,
        now: Instant,
        to: GroupIndex,
        report: VrrpReport,
        actions: &mut Actions,
    ) {
        self.each_group(now, actions, |group, step| {
            if group.index == to && group.arbiter(step).is_external() && group.vrrp.take(now, report) {
                group.superseded.forgive();
                let text = format!("keepalived decides: {} ({})", report.state, report.source);
                group.step_done(step, text);
            }
        });
    }
}

impl Group {
    /// Whether keepalived has somebody else in mind, or nobody: a reason to let go, unless everything is frozen.
    pub(crate) fn outvoted(&self, step: &StepContext<'_>) -> Option<String> {
        let state = self.vrrp.state().filter(|_| self.arbiter(step).is_external() && !self.maintained())?;
        (state != State::Master).then(|| format!("keepalived is {state} for {}", self.settings(step).vrrp.shown()))
    }

    /// What keepalived could not be active with either.
    pub(crate) fn vrrp_fault(&self, step: &StepContext<'_>) -> Option<(Cause, String)> {
        let text = self.outvoted(step)?;
        let remedy = match self.vrrp.state()? {
            State::Fault => "see what it tracks",
            State::Stop => "start it, or see keepalived.pid-file",
            State::Deleted => "name another in group.vrrp",
            State::Master | State::Backup => return None,
        };
        Some((Cause::VrrpFault, format!("{text}; {remedy}")))
    }

    /// Whether keepalived would have this node active, as far as it has said.
    pub(crate) fn vrrp_allows(&self, step: &StepContext<'_>) -> bool {
        !self.arbiter(step).is_external() || self.vrrp.state() == Some(State::Master)
    }

    /// Whether an address of the last run may still be resumed with.
    pub(crate) fn vrrp_open(&self, step: &StepContext<'_>) -> bool {
        self.vrrp_allows(step) || self.vrrp.said().is_none()
    }

    /// Whether to claim on keepalived's word.
    pub(crate) fn may_claim_by_keepalived(&mut self, step: &mut StepContext<'_>) -> Verdict {
        let vrrp = self.settings(step).vrrp.shown();
        match self.vrrp.state() {
            None => return Verdict::Wait(format!("keepalived has not told its state of {vrrp} yet").into()),
            Some(State::Master) => {}
            Some(other) => return Verdict::Wait(format!("keepalived is {other} for {vrrp}").into()),
        }
        if !self.vrrp.is_spent() {
            let displaces = self.displaced_by_keepalived(step);
            let owner = step.peers.iter().find(|p| p.owns(self.tag, step.now).is_some()).map(|p| p.node);
            let claim = Claim::new(Cause::VrrpMaster, format!("keepalived became MASTER for {vrrp}"), owner);
            return Claim { displaces, ..claim }.into();
        }
        if let Some(reason) = self.somebody_else(step) {
            let text = format!("{}, and keepalived was MASTER here before that", reason.text);
            return Verdict::Wait(text.into());
        }
        if self.resumes(step) {
            return Claim::new(Cause::Resumed, "the cloud still names us, and keepalived is MASTER", None).into();
        }
        if let Some(reason) = self.cold_start(step) {
            return Verdict::Wait(reason);
        }
        match self.ask_cloud(step) {
            Verdict::Claim(claim) => {
                let why = format!("keepalived is MASTER for {vrrp}, and {}", claim.why);
                Claim { cause: Cause::VrrpMaster, why, ..claim }.into()
            }
            wait => wait,
        }
    }

    /// Whether leadership rests on a decision that is not used up: it goes before everybody.
    pub(crate) fn decided(&self, step: &StepContext<'_>) -> bool {
        self.arbiter(step).is_external() && !self.vrrp.is_spent()
    }

    /// The holders that this claim replaces: the one that the cloud named last, and the node that was active last.
    fn displaced_by_keepalived(&self, step: &StepContext<'_>) -> Vec<String> {
        let owner = self.moves.owner().filter(|n| *n != step.config.local);
        let owner = owner.and_then(|n| step.target_of(n)).map(|t| t.id().to_owned());
        self.reconcilers.iter().filter_map(HavipReconciler::holder).map(str::to_owned).chain(owner).collect()
    }
}
