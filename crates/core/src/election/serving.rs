//! What the role wants of the ownership loops, and what they made of it.

use super::active::AUDIT_AGE;
use super::group::Group;
use super::peer::Peer;
use super::rank;
use super::turn::Turn;
use crate::model::action::Action;
use crate::model::cloud::{CallClass, CallError};
use crate::model::ids::{Epoch, HavipIndex, NodeIndex, Target};
use crate::model::role::{Cause, Role};
use crate::model::time::Instant;
use crate::reconcile::{Desire, Failure, HavipLoop, LastRead, Outcome, Place, Scope, Serve};
use std::time::Duration;

/// Time between two looks while a claim may depend on them.
const LOOK_WAITING: Duration = Duration::from_secs(1);
/// Time between two looks while the cloud's answers are what stands in the way.
const LOOK_IN_FAULT: Duration = Duration::from_secs(5);
/// The least time between two looks, however short the dead time is.
const SOON: Duration = Duration::from_millis(100);
/// The record of a reign that has begun is looked at this long afterwards: whoever reigns has read it to be so.
const BEGUN: Duration = Duration::from_secs(1);
/// Of one that has ended without another: by then whoever claims has done so, and needs its looks for that no more.
const ENDED: Duration = Duration::from_secs(5);

/// Whoever misses a member announces right after a look only.
const JUST_READ: Duration = Duration::from_millis(100);

/// The longest wait that is taken from the cloud's `Retry-After` while a member is not heard: the right of a holder rests
/// on its audits then.
const PATIENCE_ALONE: Duration = Duration::from_secs(2);
/// And while all are.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose reign is known, and the look that a change of that is worth.
#[derive(Debug, Default)]
pub(crate) struct Reign {
    of: Option<(NodeIndex, Epoch)>,
    look_at: Option<Instant>,
}

impl Group {
    /// What became of the claim so far, over all HAVIPs.
    ///
    /// One that is not to be had does not take the others along: it goes on being tried, beside those that are ours.
    /// Only a claim that somebody else could make whole passes on, and only once: the next may fare no better.
    pub(crate) fn outcome(&self, turn: &Turn<'_>) -> Outcome {
        if self.settings(turn).observe {
            return Outcome::Confirmed;
        }
        let (mut failed, mut ours, mut pending) = (None, false, false);
        for outcome in self.loops.iter().map(HavipLoop::outcome) {
            match outcome {
                Outcome::Rival(_) => return outcome.clone(),
                Outcome::Failed(failure) => failed = failed.or(Some(failure)),
                Outcome::Confirmed => ours = true,
                Outcome::Pending => pending = true,
            }
        }
        match failed {
            _ if pending => Outcome::Pending,
            Some(failure) if !ours || self.passes_on(turn, failure) => Outcome::Failed(failure.clone()),
            _ => Outcome::Confirmed,
        }
    }

    /// Whether a claim that got only some of the HAVIPs is given up for somebody who may get all of them.
    fn passes_on(&self, turn: &Turn<'_>, failure: &Failure) -> bool {
        self.role == Role::Claiming
            && failure.cause != Cause::HavipMissing
            && !self.damping.passed_on()
            && rank::successor(turn, self.settings(turn), self.tag).is_some()
    }

    /// A HAVIP of ours that is not to be had, or that the cloud does not know any more: how, and what to do.
    pub(crate) fn lacking(&self) -> Option<String> {
        self.loops.iter().find_map(HavipLoop::trouble)
    }

    /// Runs the ownership loop of every HAVIP with what the role wants now.
    pub(crate) fn serve(&mut self, turn: &mut Turn<'_>) {
        let nothing = self.membership(turn).is_none_or(|m| m.witness);
        if nothing || self.left || self.plan.leaves_address(self.cause) {
            return;
        }
        let settings = self.settings(turn);
        let desire = if settings.observe { Desire::Undecided } else { self.desire(turn) };
        let members: Vec<&str> =
            settings.members.iter().filter_map(|m| turn.target_of(m.node)).map(Target::id).collect();
        self.note_reign(turn);
        let (look_every, look_class) = self.look_rate(turn);
        let patience = self.patience(turn);
        let mut loops = std::mem::take(&mut self.loops);
        for (i, l) in loops.iter_mut().enumerate() {
            let havip = &settings.havips[i];
            let scope = Scope {
                place: Place { group: self.index, havip: HavipIndex(i) },
                havip,
                members: &members,
                once_held: self.kept.once_held.contains(&havip.id),
                look_every,
                look_once: self.reign.look_at,
                look_class,
                patience,
            };
            l.step(&mut turn.context(), scope, &desire);
        }
        self.loops = loops;
        self.remember(turn, &members);
    }

    /// Keeps addresses and the fact that a member was once holder.
    fn remember(&mut self, turn: &mut Turn<'_>, members: &[&str]) {
        let settings = self.settings(turn);
        for (havip, l) in settings.havips.iter().zip(&self.loops) {
            if let Some(ip) = l.address.ip.filter(|ip| self.kept.addresses.get(havip.id.as_str()) != Some(ip)) {
                self.kept.addresses.insert(havip.id.as_str().to_owned(), ip);
                *turn.persist = true;
            }
            let ours = l.holder().is_some_and(|h| members.contains(&h));
            if ours && !self.kept.once_held.contains(&havip.id) {
                self.kept.once_held.push(havip.id.clone());
                *turn.persist = true;
            }
        }
    }

    /// The longest wait that is taken from the cloud's `Retry-After`: whoever does not hear a member goes by the record. ⚠ So does a claim,
    /// which would run out of its time over a pause that a look before it was told of.
    pub(crate) fn patience(&self, turn: &Turn<'_>) -> Duration {
        let others = self.settings(turn).members.iter().filter(|m| !m.witness).filter_map(|m| turn.peers.of(m.node));
        let silent = others.into_iter().any(|p| !p.up(turn.now) || p.suspected(turn.now));
        if silent || self.role == Role::Claiming { PATIENCE_ALONE } else { PATIENCE }
    }

    /// Says, now and then, that the cloud asks for a longer pause than this node takes.
    pub(crate) fn note_wait(&mut self, turn: &mut Turn<'_>, error: &CallError) {
        let patience = self.patience(turn);
        let Some(asked) = error.retry_after.filter(|asked| *asked > patience) else { return };
        if self.wait_told.is_some_and(|at| turn.now.since(at) < PATIENCE) {
            return;
        }
        self.wait_told = Some(turn.now);
        let (what, asked, patience) = (&error.what, asked.as_secs(), patience.as_secs());
        let text = format!("{what}: the cloud asks for a pause of {asked} s; it is asked again after {patience} s");
        turn.out.push(Action::Warn { group: Some(self.index), text });
    }

    /// How often to look at the cloud without having the right, and what depends on it.
    fn look_rate(&self, turn: &mut Turn<'_>) -> (Duration, CallClass) {
        if matches!(self.ineligible, Some((Cause::HavipMissing | Cause::Denied, _))) {
            // Nobody may be able to take over until the cloud's answer is another one.
            return (LOOK_IN_FAULT.min(turn.config.cloud.audit_interval), CallClass::Background);
        }
        let waiting_for_cloud = self.settings(turn).arbiter.by_record() && self.claim_may_follow(turn);
        if waiting_for_cloud && self.owner_suspected(turn) {
            // The answer must be here, and one suspicion old, before the dead time is over.
            ((turn.dead_time() / 4).clamp(SOON, LOOK_WAITING), CallClass::Standby)
        } else if self.settings(turn).observe {
            (LOOK_WAITING, CallClass::Background)
        } else if waiting_for_cloud || self.role == Role::Releasing || self.waits_to_resume(turn) {
            (LOOK_WAITING, CallClass::Standby)
        } else {
            (turn.config.cloud.audit_interval, CallClass::Background)
        }
    }

    /// A start that goes on as holder if the cloud says so, and has not heard it yet: the first look may be lost.
    fn waits_to_resume(&self, turn: &Turn<'_>) -> bool {
        self.may_yet_resume(turn) && self.loops.iter().any(|l| l.read.is_none())
    }

    /// What was read of the record before a reign began, or ended, is of the past: one look is due, soon and without
    /// haste. What anybody may claim by does not depend on it.
    fn note_reign(&mut self, turn: &Turn<'_>) {
        let reigns = |p: &&Peer| p.owns(self.tag, turn.now).is_some_and(|e| e.role == Role::Active);
        let of = match turn.peers.iter().find(reigns) {
            _ if self.role == Role::Active => Some((turn.config.local, self.epoch)),
            Some(peer) => peer.owns(self.tag, turn.now).map(|e| (peer.node, e.epoch)),
            None => None,
        };
        if of != self.reign.of {
            let after = if of.is_some() { BEGUN } else { ENDED.max(turn.dead_time() * 2) };
            self.reign = Reign { of, look_at: Some(turn.now + after) };
        }
    }

    fn desire(&self, turn: &mut Turn<'_>) -> Desire {
        match self.role {
            Role::Claiming | Role::Active => Desire::Serve(self.serve_how(turn)),
            Role::Releasing => Desire::Keep { until: self.plan.keep_until() },
            Role::Backup | Role::Fault if self.may_resume_address(turn) => Desire::Undecided,
            Role::Backup | Role::Fault => Desire::Nothing,
        }
    }

    /// After a start: an address that the last run left is not touched while we may be about to resume.
    fn may_resume_address(&self, turn: &mut Turn<'_>) -> bool {
        let settings = self.settings(turn);
        let fresh =
            self.cause == Cause::Started || self.ineligible.as_ref().is_some_and(|(c, _)| *c == Cause::NoIdentity);
        let owned = turn.peers.iter().any(|p| p.owns(self.tag, turn.now).is_some());
        fresh && !owned && self.vrrp_open(turn) && !turn.due(turn.started + settings.keep_for)
    }

    /// How the HAVIPs are to be had now.
    pub(crate) fn serve_how(&self, turn: &mut Turn<'_>) -> Serve {
        let settings = self.settings(turn);
        let by_cloud = settings.arbiter.by_record();
        // keepalived may be quicker than our dead time: whoever misses a heartbeat may just have been elected.
        let doubted = |p: &Peer| if self.by_keepalived(turn) { p.suspected(turn.now) } else { !p.up(turn.now) };
        let unseen = |n: NodeIndex| turn.peers.of(n).is_some_and(doubted);
        let others = || settings.members.iter().filter(|m| !m.witness && m.node != turn.config.local);
        let target = |n: NodeIndex| turn.target_of(n).map(|t| t.id().to_owned());
        // Once active, whoever is read as holder is a wrong answer to be repaired, or the election's to judge.
        let yield_to = if by_cloud && !self.planned && !self.decided(turn) && self.role == Role::Claiming {
            let before = |n| rank::configured_before(turn, settings, n, turn.config.local);
            let ids = others().filter(|m| before(m.node)).filter_map(|m| target(m.node));
            ids.filter(|id| !self.displaces.contains(id)).collect()
        } else {
            vec![]
        };
        let alone = by_cloud && others().any(|m| unseen(m.node));
        let hands_off = if by_cloud && self.role == Role::Active {
            others().filter(|m| unseen(m.node)).filter_map(|m| target(m.node)).collect()
        } else {
            vec![]
        };
        // Bound without being master may be the first we see of a claim by somebody whom we do not hear.
        let silent = |n: NodeIndex| turn.peers.of(n).is_some_and(|p| !p.up(turn.now) && !p.gone);
        let mut leave_bound: Vec<String> = if by_cloud && self.role == Role::Active {
            others().filter(|m| silent(m.node)).filter_map(|m| target(m.node)).collect()
        } else {
            vec![]
        };
        leave_bound.retain(|id| !self.displaces.contains(id));
        let audit = if alone { Duration::from_secs(1) } else { turn.config.cloud.audit_interval };
        Serve {
            epoch: self.epoch,
            right_until: self.right_until(turn),
            announce: !alone || self.role == Role::Claiming || self.holds_by_record(turn),
            announce_within: self.announces_alone(turn, alone).then_some(JUST_READ),
            planned: self.planned,
            yield_to,
            hands_off,
            leave_bound,
            audit,
            alone: alone && self.role == Role::Active,
        }
    }

    /// The slow refresh of a holder that misses a member: whoever takes over unheard is not to lose the packets again by
    /// an announcement that our last look does not forbid yet. What follows a claim of ours is no such.
    fn announces_alone(&self, turn: &Turn<'_>, alone: bool) -> bool {
        alone && self.role == Role::Active && turn.now.since(self.since) > AUDIT_AGE
    }

    /// The last audit is recent and says that we are the holder.
    fn holds_by_record(&self, turn: &Turn<'_>) -> bool {
        let me = turn.identity.map(Target::id);
        let recent = |r: &LastRead| r.at + AUDIT_AGE >= turn.now;
        self.loops.iter().all(|l: &HavipLoop| l.read.as_ref().is_some_and(|r| recent(r) && holder_or_alone(r, me)))
    }
}

/// Named as holder, or bound alone.
pub(crate) fn holder_or_alone(read: &LastRead, me: Option<&str>) -> bool {
    let alone = matches!(read.havip.binded_instances.as_slice(), [one] if Some(one.instance_id.as_str()) == me);
    me.is_some() && (read.havip.holder() == me || alone)
}
