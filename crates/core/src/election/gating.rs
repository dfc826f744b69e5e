//! Gates: a program of the operator's that has to succeed before the address of a term goes live (`before-active`), and
//! one that runs on the active node before a planned move (`before-release`).
//!
//! A term begins with its gate closed. Under `majority` nothing of it is attached, put or announced before the gate is
//! passed; with the other arbiters the record is moved and read back first, since it is what keeps others away; where an
//! announcement alone moves it, this node is bound first. A gate that fails ends the claim, like a refusal of the cloud.
//!
//! ⚠ Under `majority` no `before-active` runs while another node has a term. The runner kills it when the lease ends,
//! without being told ([`GateRun::leadership_until`]); and a lease that could be given back earlier is kept until it is
//! known that the program has ended ([`Group::lose_after_gate`]). (I13; `lease-given-back-beside-its-gate`)

use super::group::Group;
use super::group::gate::Loss;
use super::group::state::Term;
use super::rank;
use super::step_context::StepContext;
use super::succession;
use crate::model::action::{Action, GateKind, GateRun};
use crate::model::ids::NodeIndex;
use crate::model::role::{Cause, Role};
use crate::model::settings::AbortOrContinue;
use crate::reconcile::{Failure, HavipReconciler, Local, Outcome};
use std::time::Duration;

impl Group {
    /// Whether this term's gate has still to be passed.
    pub(crate) fn gate_closed(&self, step: &StepContext<'_>) -> bool {
        let settings = self.settings(step);
        settings.before_active.is_some() && !settings.observe && !self.gate.is_passed()
    }

    /// What a claim does about the address.
    pub(crate) fn local(&self, step: &StepContext<'_>) -> Local {
        match self.cause {
            _ if self.role() != Role::Claiming || !self.gate_closed(step) => Local::Serve,
            // The address may still be served here: by the last run of this daemon, or by the term that was to be handed over.
            Cause::Resumed | Cause::HandoverFailed => Local::KeepIfThere,
            _ => Local::Nothing,
        }
    }

    /// Whether this term's gate is passed. Runs it, has it run on while leadership lasts, and gives the claim up if it fails.
    pub(super) fn pass_gate(&mut self, step: &mut StepContext<'_>) -> bool {
        if self.gate.puts_off() {
            self.lose_now(step);
            return false;
        }
        let settings = self.settings(step);
        let Some(argv) = settings.before_active.as_ref().filter(|_| self.gate_closed(step)) else { return true };
        if !self.gate.runs() {
            if settings.arbiter.follows_record() && !self.record_is_moved() {
                return false;
            }
            let here = matches!(self.cause, Cause::Resumed | Cause::HandoverFailed);
            let other = if here { Some(step.config.local) } else { self.moves.owner() };
            let (cause, planned) = (self.cause, self.state.term().is_some_and(Term::is_planned));
            let timeout = settings.before_active_timeout;
            self.begin_run(step, GateKind::BeforeActive, argv.clone(), (cause, other, planned, timeout), String::new());
            self.step_done(step, "before-active begins".to_owned());
        }
        let Some((passed, text)) = self.run_on(step) else { return false };
        if passed {
            self.gate.pass();
            self.step_done(step, format!("before-active: {text}"));
            return true;
        }
        let text = format!("before-active: {text}");
        self.give_up(step, &Failure { cause: Cause::GateFailed, text, retry_after: None });
        false
    }

    /// The record names this node, or is moved as far as it can be before an announcement: where only that moves it this
    /// node is bound. What is not to be had is not waited for.
    fn record_is_moved(&self) -> bool {
        let all = self.reconcilers.iter().all(|r| r.is_moved() || matches!(r.outcome(), Outcome::Failed(_)));
        all && self.reconcilers.iter().any(HavipReconciler::is_moved)
    }

    /// With a gate time has passed since the record was read to agree: it has to be so still.
    pub(super) fn gated_record_is_lost(&self, step: &StepContext<'_>) -> bool {
        let settings = self.settings(step);
        let gated = settings.before_active.is_some() && !settings.observe;
        gated && !self.reconcilers.iter().any(HavipReconciler::is_confirmed)
    }

    /// Begins `before-release` ahead of a handover. Says whether one is waited for.
    pub(super) fn release_first(&mut self, step: &mut StepContext<'_>, to: NodeIndex, cause: Cause, why: &str) -> bool {
        let settings = self.settings(step);
        let Some(argv) = settings.before_release.as_ref().filter(|_| !settings.observe) else { return false };
        if !self.gate.runs() {
            let timeout = settings.before_release_timeout;
            let about = (cause, Some(to), true, timeout);
            self.begin_run(step, GateKind::BeforeRelease, argv.clone(), about, why.to_owned());
            let _ = self.run_on(step);
        }
        true
    }

    /// Whether `before-release` runs. Once it has ended the move goes on, or does not.
    pub(super) fn releases(&mut self, step: &mut StepContext<'_>) -> bool {
        if !self.gate.runs() {
            return false;
        }
        let about = self.gate.about();
        let Some((passed, text)) = self.run_on(step) else { return true };
        let Some((Some(to), cause, why)) = about else { return false };
        self.close_gate(step);
        let settings = self.settings(step);
        if !passed && settings.before_release_failed == AbortOrContinue::Abort {
            let name = &step.config.node(to).name;
            let warning = format!("before-release: {text}; not handed over to {name}, staying active");
            step.out.push(Action::Warn { group: Some(self.index), text: warning });
            self.move_failed(step, to, format!("was not asked: before-release: {text}"));
            if step.stopping {
                self.stay_and_leave(step);
            }
            return true;
        }
        // What was released is not taken up again without its gate: if nobody can have it any more the handover fails.
        let unfit = succession::unfit(step.peers, step.now, step.digest, settings, self.tag, to).is_some();
        let to = rank::successor(step, settings, self.tag).filter(|_| unfit).unwrap_or(to);
        self.begin_handover(step, to, cause, &why);
        self.step_done(step, format!("before-release, before that: {text}"));
        true
    }

    /// A change of role ends whatever runs, and the next term begins with its gate closed.
    pub(super) fn close_gate(&mut self, step: &mut StepContext<'_>) {
        if let Some(op) = self.gate.close() {
            step.out.push(Action::StopGate { group: self.index, op });
        }
    }

    /// ⚠ A lease that this node would give back by itself is kept until the gate that it stands for has ended: from the
    /// datagram on that gives it back another node may have a term, and the program could run for a while yet. Returns
    /// the loss where it is not to be put off. One that has happened already is not: the lease has run out, or another
    /// node is heard with a later term.
    pub(super) fn lose_after_gate(&mut self, step: &mut StepContext<'_>, loss: Loss) -> Option<Loss> {
        let runs = self.gate.now().is_some_and(|gate| gate.kind == GateKind::BeforeActive);
        let lost =
            matches!(loss.cause, Cause::HigherEpoch | Cause::LowerRank) || self.leadership_until(step) <= step.now;
        if !runs || lost || !self.arbiter(step).is_leased() || self.gate.has_ended() {
            return Some(loss);
        }
        if let Some(op) = self.gate.put_off(loss) {
            step.out.push(Action::StopGate { group: self.index, op });
        }
        None
    }

    /// The loss that was put off happens once the program has ended.
    fn lose_now(&mut self, step: &mut StepContext<'_>) {
        if !self.gate.has_ended() {
            return self.stop_again(step);
        }
        if let Some(Loss { to, cause, text, peer }) = self.gate.take_loss() {
            self.lose(step, to, cause, text, peer);
        }
    }

    /// That it is to end is said again each interval: the first time may not have come through.
    fn stop_again(&mut self, step: &mut StepContext<'_>) {
        if !self.gate.runs() {
            return;
        }
        let interval = step.config.heartbeat.interval;
        if let Some(op) = self.gate.stop(step.now, interval) {
            step.out.push(Action::StopGate { group: self.index, op });
        }
        step.wake(step.now + interval);
    }

    fn begin_run(
        &mut self,
        step: &mut StepContext<'_>,
        kind: GateKind,
        argv: Vec<String>,
        about: (Cause, Option<NodeIndex>, bool, Duration),
        why: String,
    ) {
        let (cause, other, planned, timeout) = about;
        let run = GateRun {
            op: step.operation(),
            group: self.index,
            kind,
            argv,
            epoch: self.epochs.ours(),
            cause,
            other,
            planned,
            deadline: step.now + timeout,
            leadership_until: self.leadership_until(step),
        };
        self.gate.begin(step.now, run, why);
    }

    /// Has the program run on while leadership lasts: level-triggered, each interval. Returns how it ended, or that nothing
    /// was heard of it; then it is still there, and told to end by the change of role that follows.
    fn run_on(&mut self, step: &mut StepContext<'_>) -> Option<(bool, String)> {
        if let Some(result) = self.gate.take_result() {
            return Some(result);
        }
        let over = self.gate.over()?;
        if step.due(over) {
            return Some((false, "it did not end in time, and nothing was heard of it".to_owned()));
        }
        let interval = step.config.heartbeat.interval;
        if let Some(run) = self.gate.run_on(step.now, interval, self.leadership_until(step)) {
            step.out.push(Action::RunGate(run));
        }
        step.wake(step.now + interval);
        None
    }
}
