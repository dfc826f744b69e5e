//! Planned moves: make before break, one at a time per group, and leaving for good or for a restart.

use super::group::Group;
use super::group::gate::Gate;
use super::group::leave::{FailedMove, Leaving};
use super::group::state::{Handover, Stage, State, Term};
use super::rank;
use super::step_context::StepContext;
use super::succession;
use crate::model::action::Action;
use crate::model::event::Reply;
use crate::model::ids::NodeIndex;
use crate::model::plural::are;
use crate::model::role::{Cause, Role};
use crate::model::settings::{Arbiter, OnRestart, OnStop};
use crate::model::time::Instant;
use crate::wire::Flags;
use std::time::Duration;

/// After a handover that failed, the next one is not begun before this.
const RETRY: Duration = Duration::from_secs(10);

impl Group {
    /// Hands over to the best successor, if there is one.
    pub(crate) fn hand_over_if_possible(&mut self, step: &mut StepContext<'_>, cause: Cause, why: &str) -> bool {
        match rank::successor(step, self.settings(step), self.tag) {
            Some(node) => {
                self.hand_over(step, node, cause, why);
                true
            }
            None => {
                self.alarm(step, &format!("{why}: nobody can take over; staying active"));
                false
            }
        }
    }

    /// Gives leadership to `to`, once `before-release` has agreed.
    pub(crate) fn hand_over(&mut self, step: &mut StepContext<'_>, to: NodeIndex, cause: Cause, why: &str) {
        if !self.release_first(step, to, cause, why) {
            self.begin_handover(step, to, cause, why);
        }
    }

    /// Gives leadership to `to`: from the first datagram that says so we have it no more.
    pub(super) fn begin_handover(&mut self, step: &mut StepContext<'_>, to: NodeIndex, cause: Cause, why: &str) {
        let settings = self.settings(step);
        if self.reconcilers.iter().any(crate::reconcile::HavipReconciler::is_writing) {
            step.out.push(Action::CancelWrites { group: self.index });
        }
        let claim_by = step.now + (step.dead_time() * 2).min(settings.handover_timeout);
        let until = step.now + settings.handover_timeout + Gate::patience(settings);
        let handover = Handover::offer(step.now, to, claim_by, until);
        self.failed_move = None;
        self.lease.stop();
        self.voter.relinquished(step.config.local, step.boot, u64::MAX, Some(to));
        self.pass_key(step, to);
        self.timeline.begin(Vec::new());
        let name = &step.config.node(to).name;
        self.become_role(step, State::Releasing(handover), cause, format!("{why}; to {name}"), Some(to));
    }

    pub(crate) fn step_releasing(&mut self, step: &mut StepContext<'_>) {
        let Some(handover) = self.state.handover() else { return };
        let (began, until, stage) = (handover.began(), handover.until(), handover.stage().clone());
        let owner = step.peers.iter().find(|p| {
            p.owns(self.tag, step.now).is_some_and(|e| e.epoch > self.epochs.ours() && e.flags.has(Flags::SERVING))
        });
        if let Some(owner) = owner {
            let (node, name) = (owner.node, &step.config.node(owner.node).name);
            let text = format!("{name} took over in {} ms", step.now.since(began).as_millis());
            self.end_handover(step, Cause::HandoverComplete, text, Some(node));
            return;
        }
        let (to, claim_by) = match stage {
            Stage::Offered { to, claim_by } => (to, claim_by),
            Stage::TakingBack { why, displaces } => return self.step_taking_back(step, until, why, displaces),
        };
        let peer = step.peers.of(to);
        let entry = peer.and_then(|p| p.says(self.tag, step.now));
        let up = peer.is_some_and(|p| p.up(step.now));
        let claiming = entry.is_some_and(|e| e.role.has_leadership() && e.epoch > self.epochs.ours());
        let declines = entry.is_some_and(|e| e.flags.has(Flags::DECLINES));
        let reason = match () {
            () if declines => {
                match succession::unfit(step.peers, step.now, step.digest, self.settings(step), self.tag, to) {
                    Some(unfit) => format!("declined: it {unfit}"),
                    None => "declined".to_owned(),
                }
            }
            () if !up && !claiming => "is not heard any more".to_owned(),
            () if !claiming && step.due(claim_by) => "did not claim in time".to_owned(),
            () if step.due(until) => "did not serve within handover-timeout".to_owned(),
            () => return,
        };
        if !up && !claiming {
            // ⚠ It may have claimed unheard, and has the next number then: with the same one it would end this term by its rank once it
            // is heard again. (I5, seed 63691)
            self.epochs.note_unheard();
        }
        let why = format!("{} {reason}", step.config.node(to).name);
        self.failed_move = Some(FailedMove { to, why: reason, at: step.now });
        self.take_back(step, to, why);
    }

    /// Leadership goes back to us, as a new claim: at once, or when a majority has granted it.
    fn take_back(&mut self, step: &mut StepContext<'_>, to: NodeIndex, why: String) {
        if step.stopping {
            self.end_handover(step, Cause::HandoverFailed, why, Some(to));
            return;
        }
        // There and back, whether or not we heard of it: for a flapping link it would be tried without end.
        self.moves.note_owner(step.now, to, self.epochs.seen());
        // The key that comes back has a number of its own.
        let by_key = self.arbiter(step) == Arbiter::EtcdLease;
        let epoch = if by_key { self.epochs.ours() } else { self.epochs.take_next() };
        let displaces: Vec<String> = step.target_of(to).map(|t| t.id().to_owned()).into_iter().collect();
        let until = step.now + step.dead_time() * 2;
        if let Some(handover) = self.state.handover_mut() {
            handover.take_back(until, why.clone(), displaces.clone());
        }
        if self.arbiter(step).grants_leases() {
            self.lease.begin(step.now, epoch);
            *step.changed = true;
        } else if by_key {
            self.key.take_back();
        }
        self.step_taking_back(step, until, why, displaces);
    }

    /// Keeps the address until leadership is back; without it, two leases at most.
    fn step_taking_back(&mut self, step: &mut StepContext<'_>, until: Instant, why: String, displaces: Vec<String>) {
        let settings = self.settings(step);
        let granted = match settings.arbiter {
            Arbiter::Majority => self.lease.until(step.now, settings.members.len()).is_some(),
            Arbiter::EtcdLease => self.has_key_back(step),
            Arbiter::Cloud | Arbiter::Keepalived | Arbiter::Etcd => true,
        };
        if granted {
            let mut term = Term::new(false, displaces);
            term.no_move_before(step.now + RETRY.max(step.dead_time()));
            self.become_role(step, State::Claiming(term), Cause::HandoverFailed, why, None);
        } else if step.due(until) {
            self.lease.stop();
            self.end_handover(step, Cause::HandoverFailed, why, None);
        }
    }

    fn end_handover(&mut self, step: &mut StepContext<'_>, cause: Cause, text: String, peer: Option<NodeIndex>) {
        self.key.give_up(step.now);
        self.candidacy.not_vacant();
        self.become_role(step, State::Backup, cause, text, peer);
    }

    /// An operator's switchover.
    pub(crate) fn switchover(&mut self, step: &mut StepContext<'_>, to: Option<NodeIndex>) -> Reply {
        let candidate = match self.switchover_to(step, to) {
            Ok(candidate) => candidate,
            Err(reply) => return reply,
        };
        self.preemption.suspend();
        *step.persist = true;
        let waits = self.write_on_its_way(step);
        match self.state.term_mut() {
            Some(term) if waits => term.order(candidate),
            _ => self.hand_over(step, candidate, Cause::Switchover, "an operator asked for it"),
        }
        let (name, to) = (&self.settings(step).name, &step.config.node(candidate).name);
        Reply::Done(format!("{name} is being handed over to {to}"))
    }

    /// A switchover that an operator ordered while a write of ours was on its way.
    pub(crate) fn switch_over_to(&mut self, step: &mut StepContext<'_>, to: NodeIndex) {
        match self.switchover_to(step, Some(to)) {
            Ok(node) => self.hand_over(step, node, Cause::Switchover, "an operator asked for it"),
            Err(Reply::Done(text) | Reply::Refused(text) | Reply::Elsewhere { text, .. }) => {
                let text = format!("the switchover that an operator asked for is given up: {text}");
                step.out.push(Action::Warn { group: Some(self.index), text });
            }
        }
    }

    /// What a switchover would do.
    pub(crate) fn rehearse_switchover(&self, step: &StepContext<'_>, to: Option<NodeIndex>) -> Reply {
        self.switchover_to(step, to).map_or_else(
            |reply| reply,
            |candidate| {
                let (name, to) = (&self.settings(step).name, &step.config.node(candidate).name);
                Reply::Done(format!("{name} would be handed over to {to}"))
            },
        )
    }

    /// Who would have leadership after a switchover, or what there is to say instead.
    fn switchover_to(&self, step: &StepContext<'_>, to: Option<NodeIndex>) -> Result<NodeIndex, Reply> {
        let settings = self.settings(step);
        let name = &settings.name;
        if self.arbiter(step).is_external() {
            return Err(Reply::Refused(self.no_switchover(step)));
        }
        if self.role() != Role::Active {
            let owner = step.peers.iter().find(|p| p.owns(self.tag, step.now).is_some());
            let Some(node) = owner.map(|p| p.node).or_else(|| self.member_for_us(step)) else {
                return Err(Reply::Refused(format!("{name} is active on no node that is heard")));
            };
            let who = &step.config.node(node).name;
            let text = match owner {
                Some(_) => format!("{name} is active on {who}, not here: run it there"),
                None => format!("this node is no member of {name}: run it on one that is, such as {who}"),
            };
            return Err(Reply::Elsewhere { node, known: owner.is_some(), text });
        }
        if self.maintained() {
            let text = format!("{name} is in maintenance; havipctl maintenance {name} off ends it");
            return Err(Reply::Refused(text));
        }
        let Some(node) = to else {
            return rank::successor(step, settings, self.tag).ok_or_else(|| Reply::Refused(self.nobody_else(step)));
        };
        if node == step.config.local {
            return Err(Reply::Done(format!("{name} is active here already")));
        }
        match succession::unfit_in_words(step.peers, step.now, step.digest, settings, self.tag, node) {
            None => Ok(node),
            Some(unfit) => {
                let node = &step.config.node(node).name;
                Err(Reply::Refused(format!("{node} cannot take {name} over: it {unfit}")))
            }
        }
    }

    /// Where this node knows nothing of the group, because it is no member: one that is, and is heard.
    pub(crate) fn member_for_us(&self, step: &StepContext<'_>) -> Option<NodeIndex> {
        let members = self.settings(step).members.iter().filter(|_| self.membership(step).is_none());
        members.map(|m| m.node).find(|node| step.peers.of(*node).is_some_and(|p| p.up(step.now)))
    }

    /// Why no other node could have the group, in words.
    pub(crate) fn nobody_else(&self, step: &StepContext<'_>) -> String {
        let settings = self.settings(step);
        let others = settings.members.iter().filter(|m| m.node != step.config.local).filter_map(|m| {
            let unfit = succession::unfit_in_words(step.peers, step.now, step.digest, settings, self.tag, m.node)?;
            Some((step.config.node(m.node).name.as_str(), unfit))
        });
        succession::nobody(settings.name.as_str(), others)
    }

    /// What an end of this node does to a group whose voters have to be a majority, in words; nothing where enough are left.
    pub(crate) fn no_majority_without_us(&self, step: &StepContext<'_>) -> Option<String> {
        let settings = self.settings(step);
        let others = settings.members.iter().filter(|m| m.node != step.config.local);
        let left = others.filter(|m| step.peers.of(m.node).is_some_and(|p| p.up(step.now))).count();
        let (name, voters) = (&settings.name, settings.members.len());
        let fatal = self.arbiter(step).grants_leases() && self.membership(step).is_some() && left * 2 <= voters;
        fatal.then(|| {
            format!(
                "without this node only {left} of {voters} voters of {name} {} left, which is no majority: {name} is then \
                 active nowhere until another one is back",
                are(left)
            )
        })
    }

    /// The process was told to leave: what that means for this group.
    pub(crate) fn begin_leaving(&mut self, step: &mut StepContext<'_>, restart: bool) {
        if let Some(text) = self.no_majority_without_us(step).filter(|_| !restart) {
            step.out.push(Action::Warn { group: Some(self.index), text });
        }
        let settings = self.settings(step);
        let hand_over = match (restart, settings.on_restart, settings.on_stop) {
            (true, OnRestart::Handover, _) | (false, _, OnStop::Handover) => true,
            (true, OnRestart::Keep, _) | (false, _, OnStop::Keep | OnStop::Release) => false,
        };
        // Somebody else elects: nobody else can take over because this node leaves.
        let hand_over = hand_over && !self.arbiter(step).is_external();
        let keep = restart || settings.on_stop != OnStop::Release;
        if self.role() == Role::Releasing {
            self.leave.hand_over();
            return;
        }
        if self.role() == Role::Active && hand_over && self.hand_over_if_possible(step, Cause::Stopping, "stopping") {
            self.leave.hand_over();
            return;
        }
        if self.role() == Role::Active && keep {
            self.close_gate(step);
            self.leave.keep(step.now, self.pace(step.config, step.digest).keep_for);
            *step.changed = true;
            return;
        }
        if self.role().has_leadership() {
            self.lose(step, Role::Backup, Cause::Stopping, "stopping".into(), None);
        }
        self.leave.at_once();
    }

    /// `before-release` forbids the handover of a daemon that leaves: as if nobody could take over.
    pub(super) fn stay_and_leave(&mut self, step: &mut StepContext<'_>) {
        self.leave.keep(step.now, self.pace(step.config, step.digest).keep_for);
        *step.changed = true;
    }

    /// No planned move before so long after this one, which failed.
    pub(super) fn move_failed(&mut self, step: &StepContext<'_>, to: NodeIndex, why: String) {
        self.failed_move = Some(FailedMove { to, why, at: step.now });
        if let Some(term) = self.state.term_mut() {
            term.no_move_before(step.now + RETRY.max(step.dead_time()));
        }
    }

    /// Whether a planned move may be made again, after one that failed.
    pub(super) fn may_retry(&self, step: &mut StepContext<'_>) -> bool {
        self.state.term().is_none_or(|term| step.due(term.moves_from()))
    }

    /// Says, now and then, that something is amiss though this node stays active.
    pub(super) fn alarm(&mut self, step: &mut StepContext<'_>, text: &str) {
        let group = self.index;
        if let Some(term) = self.state.term_mut() {
            term.alarm(step, group, text);
        }
    }

    /// Whether the addresses stay where they are although the role would not keep them: this node is leaving.
    pub(super) fn leaves_address(&self) -> bool {
        self.leave.hands_over() && self.cause == Cause::HandoverFailed
    }

    /// Ends the group's part once nothing is left to wait for.
    pub(crate) fn leave_when_told(&mut self, step: &mut StepContext<'_>) {
        let Some(leaving) = self.leave.under_way() else { return };
        match leaving {
            // ⚠ What keeps its lease until its gate has ended has not left yet.
            Leaving::Done if self.role().has_leadership() => return,
            Leaving::Done if self.key_is_being_left(step, false) => return,
            Leaving::Done => {}
            Leaving::HandingOver if self.role() == Role::Releasing || self.gate.runs() => return,
            Leaving::HandingOver if self.role().has_leadership() => return self.begin_leaving(step, false),
            Leaving::HandingOver if self.cause == Cause::HandoverFailed => self.leave_address(step),
            Leaving::HandingOver if self.key_is_being_left(step, false) => return,
            Leaving::HandingOver => {}
            Leaving::Keeping { .. } if !self.role().has_leadership() => self.leave.keep_nothing(),
            Leaving::Keeping { since } => {
                let long = step.now + self.leave.keeps_for().unwrap_or_default() / 2;
                let settings = self.settings(step);
                let lease = self.lease.until(step.now, settings.members.len());
                let granted = !settings.arbiter.grants_leases() || lease.is_some_and(|until| until >= long);
                let granted = granted && !self.key_is_being_left(step, true);
                if !granted && !step.due(since + step.dead_time() * 2) {
                    return;
                }
                self.leave_address(step);
            }
        }
        self.leave.finish();
        self.notify(step);
        *step.changed = true;
    }

    /// Leaves the addresses under their kernel lifetime of `keep-for`.
    fn leave_address(&mut self, step: &mut StepContext<'_>) {
        let settings = self.settings(step);
        let keep_for = self.leave.keep_anyway(self.pace(step.config, step.digest).keep_for);
        if settings.observe {
            return;
        }
        // ⚠ Not longer than the lease of the key that is kept: nobody renews that, and another node may have it afterwards.
        let keep_for = match self.key.until().filter(|_| settings.arbiter == Arbiter::EtcdLease) {
            Some(until) => keep_for.min(Duration::from_secs(until.since(step.now).as_secs().max(1))),
            None => keep_for,
        };
        for (i, l) in self.reconcilers.each().enumerate() {
            let place = crate::reconcile::Place { group: self.index, havip: crate::model::ids::HavipIndex(i) };
            l.address.leave(&mut step.context(), place, keep_for);
        }
    }
}
