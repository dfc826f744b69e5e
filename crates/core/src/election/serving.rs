//! What the role wants of the ownership reconcilers, and what they made of it.

use super::arbiter::superseded::AUDIT_AGE;
use super::group::Group;
use super::group::state::{State, Term};
use super::peer::Peer;
use super::rank;
use super::step_context::StepContext;
use crate::model::action::Action;
use crate::model::cloud::{CallClass, CallError};
use crate::model::ids::{HavipIndex, NodeIndex, Target};
use crate::model::role::{Cause, Role};
use crate::reconcile::{Desired, Failure, HavipReconciler, LastRead, Local, Outcome, Place, Scope, Serve};
use std::time::Duration;

/// Time between two reads while a claim may depend on them.
const READ_WAITING: Duration = Duration::from_secs(1);
/// Time between two reads while the cloud's answers are what stands in the way.
const READ_IN_FAULT: Duration = Duration::from_secs(5);
/// The least time between two reads, however short the dead time is.
const SOON: Duration = Duration::from_millis(100);
/// The record of a term that has begun is read this long afterwards: the active node has read it to be so.
const BEGUN: Duration = Duration::from_secs(1);
/// Of one that has ended without another: by then a node that claims has done so, and needs its reads for that no more.
const ENDED: Duration = Duration::from_secs(5);

/// A node that misses a member announces right after a read only.
const JUST_READ: Duration = Duration::from_millis(100);

/// The longest wait that is taken from the cloud's `Retry-After` while a member is not heard: leadership of a holder rests
/// on its audits then.
const PATIENCE_ALONE: Duration = Duration::from_secs(2);
/// And while all are.
const PATIENCE: Duration = Duration::from_secs(60);

impl Group {
    /// What became of the claim so far, over all HAVIPs.
    ///
    /// One that is not to be had does not take the others along: it goes on being tried, beside those that are ours.
    /// Only a claim that somebody else could make whole passes on, and only once: the next may fare no better.
    pub(crate) fn outcome(&self, step: &StepContext<'_>) -> Outcome {
        if self.settings(step).observe {
            return Outcome::Confirmed;
        }
        let claiming = self.role() == Role::Claiming;
        let (mut failed, mut ours, mut pending) = (None, false, false);
        for reconciler in self.reconcilers.iter() {
            let outcome = reconciler.outcome();
            match outcome {
                Outcome::Rival(_) => return outcome.clone(),
                Outcome::Failed(failure) => failed = failed.or(Some(failure)),
                // ⚠ A claim has what it was read to have last, not what it had for a while. (I12, seed 56804)
                Outcome::Confirmed if claiming && !reconciler.is_confirmed() => pending = true,
                Outcome::Confirmed => ours = true,
                Outcome::Pending => pending = true,
            }
        }
        match failed {
            _ if pending => Outcome::Pending,
            Some(failure) if !ours || self.passes_on(step, failure) => Outcome::Failed(failure.clone()),
            _ => Outcome::Confirmed,
        }
    }

    /// Whether a claim that got only some of the HAVIPs is given up for somebody who may get all of them.
    fn passes_on(&self, step: &StepContext<'_>, failure: &Failure) -> bool {
        self.role() == Role::Claiming
            && failure.cause != Cause::HavipMissing
            && !self.backoff.passed_on()
            // ⚠ Who restarts keeps what it has: with the rest of its HAVIPs it was active before, too. (I6, seed 65750)
            && !self.state.term().is_some_and(Term::had_some)
            && rank::successor(step, self.settings(step), self.tag).is_some()
    }

    /// A HAVIP of ours that is not to be had, or that the cloud does not know any more: how, and what to do.
    pub(crate) fn lacking(&self) -> Option<String> {
        self.reconcilers.iter().find_map(HavipReconciler::trouble)
    }

    /// Runs the reconciler of every HAVIP with what the role wants now.
    pub(crate) fn serve(&mut self, step: &mut StepContext<'_>) {
        let nothing = self.membership(step).is_none_or(|m| m.witness);
        if nothing || self.leave.is_done() || self.leaves_address() {
            return;
        }
        let settings = self.settings(step);
        let desired = if settings.observe { Desired::Undecided } else { self.desired(step) };
        let members: Vec<&str> =
            settings.members.iter().filter_map(|m| step.target_of(m.node)).map(Target::id).collect();
        self.note_term(step);
        let (read_every, read_class) = self.read_rate(step);
        let patience = self.patience(step);
        for (i, l) in self.reconcilers.each().enumerate() {
            let havip = &settings.havips[i];
            let scope = Scope {
                place: Place { group: self.index, havip: HavipIndex(i) },
                havip,
                members: &members,
                once_held: self.known.once_held(&havip.id),
                read_every,
                read_once: self.reads.once(),
                read_class,
                patience,
            };
            l.step(&mut step.context(), scope, &desired);
        }
        self.remember(step, &members);
    }

    /// Keeps addresses and the fact that a member was once holder.
    fn remember(&mut self, step: &mut StepContext<'_>, members: &[&str]) {
        let settings = self.settings(step);
        for (havip, l) in settings.havips.iter().zip(self.reconcilers.iter()) {
            *step.persist |= l.address.ip.is_some_and(|ip| self.known.note_address(&havip.id, ip));
            let ours = l.holder().is_some_and(|h| members.contains(&h));
            *step.persist |= ours && self.known.note_held(&havip.id);
        }
    }

    /// The longest wait that is taken from the cloud's `Retry-After`: a node that does not hear a member goes by the record. ⚠ So does a claim,
    /// which would run out of its time over a pause that a read before it was told of.
    pub(crate) fn patience(&self, step: &StepContext<'_>) -> Duration {
        let others = self.settings(step).members.iter().filter(|m| !m.witness).filter_map(|m| step.peers.of(m.node));
        let silent = others.into_iter().any(|p| !p.up(step.now) || p.suspected(step.now));
        if silent || self.role() == Role::Claiming { PATIENCE_ALONE } else { PATIENCE }
    }

    /// Says, now and then, that the cloud asks for a longer pause than this node takes.
    pub(crate) fn note_wait(&mut self, step: &mut StepContext<'_>, error: &CallError) {
        let patience = self.patience(step);
        let Some(asked) = error.retry_after.filter(|asked| *asked > patience) else { return };
        if !self.reads.tells(step.now, PATIENCE) {
            return;
        }
        let (what, asked, patience) = (&error.what, asked.as_secs(), patience.as_secs());
        let text = format!("{what}: the cloud asks for a pause of {asked} s; it is asked again after {patience} s");
        step.out.push(Action::Warn { group: Some(self.index), text });
    }

    /// How often to read the record without having leadership, and what depends on it.
    fn read_rate(&self, step: &mut StepContext<'_>) -> (Duration, CallClass) {
        if matches!(self.eligibility.fault(), Some((Cause::HavipMissing | Cause::Denied, _))) {
            // Nobody may be able to take over until the cloud's answer is another one.
            return (READ_IN_FAULT.min(step.config.cloud.audit_interval), CallClass::Background);
        }
        let waiting_for_cloud = self.arbiter(step).follows_record() && self.claim_may_follow(step);
        if waiting_for_cloud && self.owner_suspected(step) {
            // The answer must be here, and one suspicion old, before the dead time is over.
            ((step.dead_time() / 4).clamp(SOON, READ_WAITING), CallClass::Standby)
        } else if self.settings(step).observe {
            (READ_WAITING, CallClass::Background)
        } else if waiting_for_cloud || self.role() == Role::Releasing || self.waits_to_resume(step) {
            (READ_WAITING, CallClass::Standby)
        } else {
            (step.config.cloud.audit_interval, CallClass::Background)
        }
    }

    /// A start that goes on as holder if the cloud says so, and has not heard it yet: the first read may be lost.
    fn waits_to_resume(&self, step: &StepContext<'_>) -> bool {
        self.may_yet_resume(step) && self.reconcilers.iter().any(|l| l.read.is_none())
    }

    /// What was read of the record before a term began, or ended, is of the past: one read is due, soon and without
    /// haste. What anybody may claim by does not depend on it.
    fn note_term(&mut self, step: &StepContext<'_>) {
        let is_active = |p: &&Peer| p.owns(self.tag, step.now).is_some_and(|e| e.role == Role::Active);
        let of = match step.peers.iter().find(is_active) {
            _ if self.role() == Role::Active => Some((step.config.local, self.epochs.ours())),
            Some(peer) => peer.owns(self.tag, step.now).map(|e| (peer.node, e.epoch)),
            None => None,
        };
        let after = if of.is_some() { BEGUN } else { ENDED.max(step.dead_time() * 2) };
        self.reads.note_term(of, step.now + after);
    }

    fn desired(&self, step: &mut StepContext<'_>) -> Desired {
        match &self.state {
            // Leases keep everybody else away, so nothing at all is done before the gate; a record has to be moved for that.
            State::Claiming(_) if self.gate_closed(step) && self.arbiter(step).is_leased() => match self.local(step) {
                Local::Nothing => Desired::Nothing,
                Local::KeepIfThere | Local::Serve => Desired::KeepIfThere { until: self.leadership_until(step) },
            },
            State::Claiming(term) | State::Active(term) => Desired::Serve(self.serve_how(step, term)),
            State::Releasing(handover) => Desired::Keep { until: handover.until() },
            State::Backup | State::Fault if self.may_resume_address(step) => Desired::Undecided,
            State::Backup | State::Fault => Desired::Nothing,
        }
    }

    /// After a start: an address that the last run left is not touched while we may be about to resume.
    fn may_resume_address(&self, step: &mut StepContext<'_>) -> bool {
        let settings = self.settings(step);
        let fresh =
            self.cause == Cause::Started || self.eligibility.fault().is_some_and(|(c, _)| *c == Cause::NoIdentity);
        let owned = step.peers.iter().any(|p| p.owns(self.tag, step.now).is_some());
        fresh && !owned && self.external_open(step) && !step.due(step.started + settings.keep_for)
    }

    /// How the HAVIPs are to be had now.
    fn serve_how(&self, step: &mut StepContext<'_>, term: &Term) -> Serve {
        let settings = self.settings(step);
        let by_cloud = settings.arbiter.follows_record();
        // An election outside may be quicker than our dead time: a peer whose heartbeat is missing may just have been elected.
        let doubted = |p: &Peer| if self.arbiter(step).is_external() { p.suspected(step.now) } else { !p.up(step.now) };
        let unseen = |n: NodeIndex| step.peers.of(n).is_some_and(doubted);
        let others = || settings.members.iter().filter(|m| !m.witness && m.node != step.config.local);
        let target = |n: NodeIndex| step.target_of(n).map(|t| t.id().to_owned());
        // Once active, another holder that is read is a wrong answer to be repaired, or the election's to judge.
        let yield_to = if by_cloud && !term.is_planned() && !self.decided(step) && self.role() == Role::Claiming {
            let before = |n| rank::configured_before(step, settings, n, step.config.local);
            let ids = others().filter(|m| before(m.node)).filter_map(|m| target(m.node));
            ids.filter(|id| !term.displaces().contains(id)).collect()
        } else {
            vec![]
        };
        let alone = by_cloud && others().any(|m| unseen(m.node));
        // ⚠ Nor is that one to be fought who may have taken over from us, and whose word of it comes late. (I5, seed 54083)
        let taken_over = |n: NodeIndex| step.peers.of(n).is_some_and(|p| p.may_have_given_us_up(step.now));
        let hands_off = if by_cloud && self.role() == Role::Active {
            others().filter(|m| unseen(m.node) || taken_over(m.node)).filter_map(|m| target(m.node)).collect()
        } else {
            vec![]
        };
        // Bound without being master may be the first we see of a claim by somebody whom we do not hear.
        let silent = |n: NodeIndex| step.peers.of(n).is_some_and(|p| !p.up(step.now) && !p.gone);
        let mut leave_bound: Vec<String> = if by_cloud && self.role() == Role::Active {
            others().filter(|m| silent(m.node)).filter_map(|m| target(m.node)).collect()
        } else {
            vec![]
        };
        leave_bound.retain(|id| !term.displaces().contains(id));
        let audit = if alone { Duration::from_secs(1) } else { step.config.cloud.audit_interval };
        Serve {
            epoch: self.epochs.ours(),
            leadership_until: self.leadership_until(step),
            local: self.local(step),
            announce: !alone || self.role() == Role::Claiming || self.holds_by_record(step),
            announce_within: self.announces_alone(step, alone).then_some(JUST_READ),
            // Without an announcement no patience moves the master.
            planned: term.is_planned() && self.local(step) == Local::Serve,
            yield_to,
            hands_off,
            leave_bound,
            audit,
            alone: alone && self.role() == Role::Active,
        }
    }

    /// The slow refresh of a holder that misses a member: a node that takes over unheard is not to lose the packets again by
    /// an announcement that our last read does not forbid yet. What follows a claim of ours is no such.
    fn announces_alone(&self, step: &StepContext<'_>, alone: bool) -> bool {
        alone && self.role() == Role::Active && step.now.since(self.since) > AUDIT_AGE
    }

    /// The last audit is recent and says that we are the holder.
    fn holds_by_record(&self, step: &StepContext<'_>) -> bool {
        let me = step.identity.map(Target::id);
        let recent = |r: &LastRead| r.at + AUDIT_AGE >= step.now;
        self.reconcilers
            .iter()
            .all(|l: &HavipReconciler| l.read.as_ref().is_some_and(|r| recent(r) && holder_or_alone(r, me)))
    }
}

/// Named as holder, or bound alone.
pub(crate) fn holder_or_alone(read: &LastRead, me: Option<&str>) -> bool {
    let alone = matches!(read.havip.binded_instances.as_slice(), [one] if Some(one.instance_id.as_str()) == me);
    me.is_some() && (read.havip.holder() == me || alone)
}
