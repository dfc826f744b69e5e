//! Active: what the cloud says against us, isolation, and the reasons to hand over.

use super::arbiter::superseded::AUDIT_AGE;
use super::group::Group;
use super::group::state::Term;
use super::rank;
use super::serving::holder_or_alone;
use super::step_context::StepContext;
use crate::model::action::Action;
use crate::model::event::InstanceState;
use crate::model::ids::{NodeIndex, OperationId, Target};
use crate::model::role::{Cause, Role};
use crate::model::settings::HoldOrRelease;
use crate::reconcile::{HavipReconciler, Outcome};
use crate::wire::Flags;
use crate::wire::session::suspicion;
use std::time::Duration;

/// Nothing is handed over sooner after a write that is not answered.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

impl Group {
    pub(crate) fn step_active(&mut self, step: &mut StepContext<'_>) {
        self.renumber(step);
        self.forget_displaced(step);
        if self.superseded_now(step) {
            return;
        }
        self.judge_isolation(step);
        if !self.role().has_leadership() {
            return;
        }
        if let Outcome::Failed(failure) = self.outcome(step) {
            self.give_up(step, &failure);
            return;
        }
        if let Some(trouble) = self.lacking() {
            self.alarm(step, &format!("{trouble}; staying active"));
        }
        self.consider_handover(step);
    }

    /// A higher number that nobody is active with: take the next one, so that our datagrams stay the newest.
    ///
    /// Who is active with it has the time of a heartbeat to say so: a guest that was frozen hears of its successor's number
    /// from others first. Voters renew by the newest number only, so where a lease runs short there is no waiting. With
    /// the other arbiters once in a dead time is enough: of two that are active and do not hear each other, each hears
    /// through others what the other took.
    fn renumber(&mut self, step: &mut StepContext<'_>) {
        let (seen, epoch) = (self.epochs.seen(), self.epochs.ours());
        let Some(term) = self.state.term_mut() else { return };
        if seen <= epoch {
            term.not_outnumbered();
            return;
        }
        let heard = term.outnumbered(step.now) + suspicion(step.config.heartbeat.interval);
        let again = heard.max(term.renumbers_from());
        let majority = self.arbiter(step).grants_leases();
        let short = majority && self.leadership_until(step) < step.now + step.dead_time() / 2;
        let from = if majority { heard } else { again };
        if self.granted_to_another(step) || !(short || step.due(from)) {
            return;
        }
        if let Some(term) = self.state.term_mut() {
            term.renumbered(step.now + step.dead_time());
        }
        let epoch = self.epochs.take_next();
        self.lease.renumber(epoch);
        *step.changed = true;
    }

    /// Whether a voter says that it gave another node a higher number than ours.
    fn granted_to_another(&self, step: &StepContext<'_>) -> bool {
        let grants = step.peers.iter().filter_map(|p| p.says(self.tag, step.now)?.grant);
        grants.into_iter().any(|grant| grant.node != step.peers.me() && grant.epoch > self.epochs.ours())
    }

    /// Whom we replaced is back: should it fall silent again, it may be claiming.
    fn forget_displaced(&mut self, step: &StepContext<'_>) {
        let Some(term) = self.state.term() else { return };
        let up = |id: &&String| {
            let node = self.member_with(step, id);
            node.and_then(|n| step.peers.of(n)).is_some_and(|p| p.up(step.now))
        };
        let back: Vec<String> = term.displaces().iter().filter(up).cloned().collect();
        if let Some(term) = self.state.term_mut() {
            term.no_longer_displaces(&back);
        }
    }

    /// Arbiters that go by the record: two reads that name a member whom we do not hear, or one that nothing contradicts
    /// for as long as an audit is good.
    fn superseded_now(&mut self, step: &mut StepContext<'_>) -> bool {
        let settings = self.settings(step);
        if !settings.arbiter.follows_record() || self.maintained() {
            return false;
        }
        let me = step.identity.map(Target::id);
        for i in 0..self.reconcilers.len() {
            // What was not ours in this term was not taken from us; nothing ever is to who only observes.
            if *self.reconcilers[i].outcome() != Outcome::Confirmed {
                continue;
            }
            let wrote = self.reconcilers[i].last_write(step.now);
            let Some(read) = self.reconcilers[i].read.clone() else { continue };
            if holder_or_alone(&read, me) {
                continue;
            }
            let other = read.havip.holder().and_then(|h| Some((h, self.member_with(step, h)?)));
            let Some(by) = self.superseded.watch(step, i, other, &read, wrote) else { continue };
            let node = self.member_with(step, &by);
            let settings = self.settings(step);
            self.superseded.hold_down(step, settings, i, &by, node);
            let text = format!("the cloud names {by} as holder, and its node is not heard");
            self.lose(step, Role::Backup, Cause::Superseded, text, node);
            return true;
        }
        false
    }

    /// Neither peers nor cloud answer.
    fn judge_isolation(&mut self, step: &mut StepContext<'_>) {
        let settings = self.settings(step);
        let was = self.isolated();
        let no_peer = step.peers.iter().all(|p| !p.up(step.now)) && settings.members.len() > 1;
        // More than once: what was not sent meanwhile, for reasons of our own, adds nothing to one silence.
        let silent = |l: &HavipReconciler| l.silence.filter(|(reads, _)| *reads > 1).map(|(_, since)| since);
        let no_cloud =
            self.reconcilers.iter().map(silent).collect::<Option<Vec<_>>>().and_then(|s| s.into_iter().max());
        let isolated = match no_cloud {
            Some(since) if no_peer && !settings.arbiter.is_leased() => step.due(since + AUDIT_AGE),
            _ => false,
        };
        if let Some(term) = self.state.term_mut() {
            term.note_isolation(step.now, isolated);
        }
        if was != self.isolated() {
            *step.changed = true;
            let text = if was { "isolated no longer" } else { "isolated: neither peers nor cloud answer" };
            self.step_done(step, text.into());
            step.out.push(Action::Warn { group: Some(self.index), text: text.into() });
        }
        // The election outside would have us active all the same.
        let may_release = !self.arbiter(step).is_external();
        if self.isolated() && may_release && settings.when_isolated == HoldOrRelease::Release {
            let text = "neither peers nor cloud answer, and when-isolated is release";
            self.lose(step, Role::Backup, Cause::Isolated, text.into(), None);
        }
    }

    pub(crate) fn isolated(&self) -> bool {
        self.state.term().is_some_and(Term::is_isolated)
    }

    /// Whether a write of ours may not have been carried out yet: it would undo what a successor does. One that is not
    /// answered soon is not waited for.
    pub(crate) fn write_on_its_way(&self, step: &mut StepContext<'_>) -> bool {
        self.reconcilers.iter().filter_map(HavipReconciler::writing_since).any(|since| !step.due(since + ON_ITS_WAY))
    }

    /// Reasons of our own, and of better-ranked peers, to hand over.
    fn consider_handover(&mut self, step: &mut StepContext<'_>) {
        if self.releases(step) || self.write_on_its_way(step) {
            return;
        }
        if let Some(node) = self.state.term_mut().and_then(Term::take_order) {
            return self.switch_over_to(step, node);
        }
        // An election outside has reasons of its own.
        if self.maintained() || step.stopping || self.arbiter(step).is_external() || !self.may_retry(step) {
            return;
        }
        let settings = self.settings(step);
        let over = self.moves.over_budget(step.now, settings);
        if self.is_drained() {
            self.hand_over_if_possible(step, Cause::Drained, "drained by an operator");
        } else if let Some((cause, text)) = self.eligibility.fault().cloned() {
            if cause == Cause::AddressFailed {
                // Who has no address serves nobody: like a dead holder it is replaced whatever the budget says.
                self.hand_over_if_possible(step, cause, &text);
            } else if over {
                self.alarm(step, "a check fails, but max-moves is reached: staying");
            } else if rank::successor(step, settings, self.tag).is_some() {
                self.hand_over_if_possible(step, cause, &text);
            } else if settings.when_all_fail == HoldOrRelease::Release {
                self.lose(step, Role::Fault, cause, text, None);
            }
        } else if let Some(node) = self.preemptor(step) {
            if over {
                self.alarm(step, "a better-ranked node is back, but max-moves is reached: staying");
            } else {
                let name = &step.config.node(node).name;
                let text = format!("{name} goes first in rank");
                self.hand_over(step, node, Cause::Preempted, &text);
            }
        }
    }

    /// A better-ranked peer that asks for leadership and may have it.
    ///
    /// Where a third could be active that goes before it, that one has the time of a heartbeat to ask as well: when the ranks
    /// change both do, and each would move the address.
    fn preemptor(&mut self, step: &mut StepContext<'_>) -> Option<NodeIndex> {
        let asks = self.best_that_asks(step);
        let since = self.state.term_mut()?.note_wanted(step.now, asks.is_some())?;
        let first = rank::successor(step, self.settings(step), self.tag) == asks;
        (first || step.due(since + suspicion(step.config.heartbeat.interval))).then_some(asks).flatten()
    }

    fn best_that_asks(&self, step: &StepContext<'_>) -> Option<NodeIndex> {
        if self.preemption.is_suspended() {
            return None;
        }
        let ours = rank::key(step, step.config.local, self.effective(step));
        let wants = step.peers.iter().filter(|p| p.up(step.now) && !p.returning(step.now));
        wants
            .filter_map(|p| Some((p.node, p.says(self.tag, step.now)?)))
            .filter(|(_, e)| e.flags.has(Flags::WANTS) && e.flags.has(Flags::ELIGIBLE))
            .map(|(n, e)| (rank::key(step, n, i32::from(e.effective)), n))
            .filter(|(key, _)| *key < ours)
            .min()
            .map(|(_, n)| n)
    }

    /// Whether our entry asks the active node to hand over to us.
    pub(crate) fn wants(&self, step: &mut StepContext<'_>) -> bool {
        let settings = self.settings(step);
        let (Role::Backup, true, Some(since)) = (self.role(), settings.preempt, self.eligibility.since()) else {
            return false;
        };
        let from = self.backoff.preempts_from(step.now).unwrap_or(step.now).max(since + settings.preempt_delay);
        self.goes_before_active(step) && self.may_be_active(step) && step.due(from)
    }

    /// Whether a peer is active that we go before, and no switchover put it there.
    pub(crate) fn goes_before_active(&self, step: &StepContext<'_>) -> bool {
        let ours = rank::key(step, step.config.local, self.effective(step));
        step.peers.iter().any(|p| {
            p.owns(self.tag, step.now).is_some_and(|e| {
                e.role == Role::Active
                    && !e.flags.has(Flags::SETTLED)
                    && ours < rank::key(step, p.node, i32::from(e.effective))
            })
        })
    }

    /// Whether our entry says that this node could be active.
    pub(crate) fn may_be_active(&self, step: &StepContext<'_>) -> bool {
        self.eligibility.fault().is_none()
            && self.membership(step).is_some_and(|m| !m.witness)
            && !self.is_drained()
            && !self.health.undecided
            && !step.stopping
            && !self.leave.is_done()
            && self.superseded.held().is_none()
            && (self.role().has_leadership() || self.backoff.address_is_over(step.now))
            && self.claims_from(step) <= step.now
            && self.external_allows(step)
            && self.etcd_allows(step)
    }

    /// Held down: whether there is new evidence; asks for some.
    pub(crate) fn new_evidence(&mut self, step: &mut StepContext<'_>) -> Option<String> {
        if let Some((op, target)) = self.superseded.question(step)
            && let Target::Instance(instance) = target
        {
            let deadline = step.now + step.config.cloud.request_timeout;
            step.out.push(Action::ReadInstance { op, instance, deadline });
        }
        let unknown = self.superseded.held().filter(|held| held.node.is_none()).map(|held| held.by.clone());
        if let Some(by) = unknown {
            // Its own word may have told since whose instance that is.
            let node = self.member_with(step, &by);
            self.superseded.held_by(node);
        }
        let read = self.superseded.over().and_then(|i| self.reconcilers.get(i)).and_then(|l| l.read.clone());
        self.superseded.evidence(step, read.as_deref())
    }

    /// The cloud told whether an instance runs. False when nobody asked.
    pub(crate) fn instance_read(&mut self, op: OperationId, state: Option<InstanceState>) -> bool {
        self.superseded.answered(op, state.map(|s| s == InstanceState::Running))
    }
}
