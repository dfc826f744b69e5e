//! Arbiters `keepalived` and `etcd`: somebody else elects, this daemon owns the HAVIP.
//!
//! A decision for this node that was just made, keepalived's MASTER or this node's name in the leader key, gives leadership
//! against everybody, also against a node that is active: that one has just lost the election outside, or its part of the
//! election does not hear ours. ⚠ Such a decision is used up when leadership is lost: in a split of VRRP both sides stay
//! MASTER for as long as it lasts, and would take the HAVIP from each other for ever. From then on being elected is no more
//! than the wish to be active: it waits for every node that is active and goes by the cloud's record, as with arbiter `cloud`.
//! A new decision ends that, be it another MASTER, the word that a router of lower priority was heard, or a leader key that
//! was written again; so does the other side when it is not elected any more. So the HAVIP follows whom keepalived keeps when
//! the split ends, although that node hears of no change of its own state.
//!
//! The two sources differ in their words ([`LeaderReport`]) and in one rule: what etcd said counts until its `lease` has
//! passed, then this node is out of the election.

use crate::election::Core;
use crate::election::group::Group;
use crate::election::group::waiting::{Claim, Verdict};
use crate::election::step_context::StepContext;
use crate::model::action::Actions;
use crate::model::ids::GroupIndex;
use crate::model::leader::{self, LeaderReport, Standing};
use crate::model::role::Cause;
use crate::model::time::Instant;
use crate::reconcile::HavipReconciler;

impl Core {
    pub(in crate::election) fn leader_reported(
        &mut self,
        now: Instant,
        to: GroupIndex,
        report: LeaderReport,
        actions: &mut Actions,
    ) {
        let mut report = Some(report);
        self.each_group(now, actions, |group, step| {
            if group.index == to
                && group.arbiter(step).is_external()
                && let Some(report) = report.take()
                && group.leader.take(now, report)
            {
                group.superseded.forgive();
                let text = group.decision(step);
                group.step_done(step, text);
            }
        });
    }
}

impl Group {
    /// A decision for this node, in words.
    fn decision(&self, step: &StepContext<'_>) -> String {
        match self.leader.report() {
            Some(LeaderReport::Keepalived(vrrp)) => format!("keepalived decides: {} ({})", vrrp.state, vrrp.source),
            Some(report @ LeaderReport::Etcd(_)) => report.words(self.settings(step), step.now),
            None => String::new(),
        }
    }

    /// Whether somebody else is elected, or nobody: a reason to let go, unless everything is frozen.
    pub(crate) fn outvoted(&self, step: &StepContext<'_>) -> Option<String> {
        let report = self.leader.report().filter(|_| self.arbiter(step).is_external() && !self.maintained())?;
        let standing = report.standing(step.now)?;
        (standing != Standing::Elected).then(|| report.words(self.settings(step), step.now))
    }

    /// What the election outside could not have this node active with either.
    pub(crate) fn external_fault(&self, step: &mut StepContext<'_>) -> Option<(Cause, String)> {
        if let Some(until) = self.leader.report().and_then(LeaderReport::until) {
            step.wake(until);
        }
        let text = self.outvoted(step)?;
        let report = self.leader.report().filter(|report| report.standing(step.now) == Some(Standing::Out))?;
        let remedy = report.remedy()?;
        Some((Cause::VrrpFault, format!("{text}; {remedy}")))
    }

    /// Whether the election outside would have this node active, as far as it has said.
    pub(crate) fn external_allows(&self, step: &StepContext<'_>) -> bool {
        !self.arbiter(step).is_external() || self.leader.standing(step.now) == Some(Standing::Elected)
    }

    /// Whether an address of the last run may still be resumed with.
    pub(crate) fn external_open(&self, step: &StepContext<'_>) -> bool {
        self.external_allows(step) || self.leader.standing(step.now).is_none()
    }

    /// Until when it counts that this node is elected. ⚠ In maintenance nothing ends leadership that rests on it: nobody
    /// may take over meanwhile.
    pub(crate) fn elected_until(&self) -> Option<Instant> {
        self.leader.report().and_then(LeaderReport::until).filter(|_| !self.maintained())
    }

    /// Why there is no switchover here, and how it is done.
    pub(crate) fn no_switchover(&self, step: &StepContext<'_>) -> String {
        let settings = self.settings(step);
        let (name, vrrp) = (&settings.name, settings.vrrp.shown());
        match settings.followed_key() {
            Some(leader) => {
                format!("the program that writes etcd's {} elects for {name}: move the leader there", leader.shown())
            }
            None => format!("keepalived elects for {name}: change its priority of {vrrp} there"),
        }
    }

    /// Why this node cannot be drained, and how the same is done.
    pub(crate) fn no_drain(&self, step: &StepContext<'_>) -> String {
        match self.settings(step).followed_key() {
            Some(leader) => {
                format!("the program that writes etcd's {} elects: have another node lead there", leader.shown())
            }
            None => "keepalived elects: lower its priority on this node, or stop it".to_owned(),
        }
    }

    /// Whether to claim on the word of the election outside.
    pub(crate) fn may_claim_by_external_leader(&mut self, step: &mut StepContext<'_>) -> Verdict {
        let settings = self.settings(step);
        let elected = match self.leader.report() {
            None => return Verdict::Wait(leader::nothing_said(settings).into()),
            Some(report) if report.standing(step.now) != Some(Standing::Elected) => {
                return Verdict::Wait(report.words(settings, step.now).into());
            }
            Some(report) => report.words(settings, step.now),
        };
        if !self.leader.is_spent() {
            let displaces = self.displaced_by_external_leader(step);
            let owner = step.peers.iter().find(|p| p.owns(self.tag, step.now).is_some()).map(|p| p.node);
            return Claim { displaces, ..Claim::new(Cause::VrrpMaster, elected, owner) }.into();
        }
        if let Some(reason) = self.somebody_else(step) {
            let text = format!("{}, and before that: {elected}", reason.text);
            return Verdict::Wait(text.into());
        }
        if self.resumes(step) {
            let text = format!("the cloud still names us, and {elected}");
            return Claim::new(Cause::Resumed, text, None).into();
        }
        if let Some(reason) = self.cold_start(step) {
            return Verdict::Wait(reason);
        }
        match self.ask_cloud(step) {
            Verdict::Claim(claim) => {
                let why = format!("{elected}, and {}", claim.why);
                Claim { cause: Cause::VrrpMaster, why, ..claim }.into()
            }
            wait => wait,
        }
    }

    /// Whether leadership rests on a decision that is not used up: it goes before everybody.
    pub(crate) fn decided(&self, step: &StepContext<'_>) -> bool {
        self.arbiter(step).is_external() && !self.leader.is_spent()
    }

    /// The holders that this claim replaces: the one that the cloud named last, and the node that was active last.
    fn displaced_by_external_leader(&self, step: &StepContext<'_>) -> Vec<String> {
        let owner = self.moves.owner().filter(|n| *n != step.config.local);
        let owner = owner.and_then(|n| step.target_of(n)).map(|t| t.id().to_owned());
        self.reconcilers.iter().filter_map(HavipReconciler::holder).map(str::to_owned).chain(owner).collect()
    }
}
