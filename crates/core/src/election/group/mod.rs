//! One group: its role, what it is based on, and the step that brings it up to date.
//!
//! What a group keeps is in parts, a file each below this one, and none of them knows the group. What it does about it is in
//! `claim`, `active`, `handover`, `gating`, `serving` and the arbiters.

pub(crate) mod adoption;
pub(crate) mod backoff;
pub(crate) mod candidacy;
pub(crate) mod difference;
pub(crate) mod drain;
pub(crate) mod eligibility;
pub(crate) mod epochs;
pub(crate) mod fabric;
pub(crate) mod gate;
pub(crate) mod known;
pub(crate) mod leave;
pub(crate) mod maintenance;
pub(crate) mod moves;
pub(crate) mod preemption;
pub(crate) mod reach;
pub(crate) mod reads;
pub(crate) mod reconcilers;
pub(crate) mod state;
pub(crate) mod timeline;
pub(crate) mod waiting;

use super::arbiter::etcd::KeyElection;
use super::arbiter::leader::ExternalLeader;
use super::arbiter::lease::{Lease, Voter};
use super::arbiter::superseded::Superseded;
use super::rank;
use super::step_context::StepContext;
use crate::health::{CheckNote, CheckNotes, Health};
use crate::model::action::{Action, Notification, NotifyState, Transition};
use crate::model::ids::{Epoch, GroupIndex, NodeIndex};
use crate::model::persisted::PersistedGroup;
use crate::model::role::{Cause, Role};
use crate::model::settings::{Arbiter, Group as Settings, Member};
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::reconcile::{HavipReconciler, Outcome};
use adoption::Adoption;
use backoff::Backoff;
use candidacy::Candidacy;
use difference::Observed;
use drain::Drain;
use eligibility::Eligibility;
use epochs::Epochs;
use fabric::Fabric;
use gate::{Gate, Loss};
use known::KnownHavips;
use leave::{FailedMove, Leave};
use maintenance::Maintenance;
use moves::Moves;
use preemption::Preemption;
use reach::Reach;
use reads::Reads;
use reconcilers::Reconcilers;
use state::State;
use std::sync::Arc;
use timeline::Timeline;

/// One election, and the HAVIPs that follow it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) index: GroupIndex,
    pub(crate) tag: Tag,
    pub(crate) state: State,
    pub(crate) cause: Cause,
    pub(crate) detail: String,
    pub(crate) since: Instant,
    /// Whether a node that is active is heard here, and hears this one; and since when that is so.
    pub(crate) hears_active: bool,
    pub(crate) hears_since: Instant,
    pub(crate) epochs: Epochs,
    pub(crate) drain: Drain,
    pub(crate) maintenance: Maintenance,
    pub(crate) preemption: Preemption,
    pub(crate) known: KnownHavips,
    pub(crate) health: Health,
    /// The checks that do not simply pass here, what matters most first.
    pub(crate) check_notes: Arc<[CheckNote]>,
    /// The same as heartbeats tell it.
    check_notes_told: Option<Arc<CheckNotes>>,
    pub(crate) reconcilers: Reconcilers,
    pub(crate) voter: Voter,
    pub(crate) lease: Lease,
    pub(crate) superseded: Superseded,
    pub(crate) reach: Reach,
    pub(crate) moves: Moves,
    pub(crate) backoff: Backoff,
    pub(crate) leader: ExternalLeader,
    pub(crate) key: KeyElection,
    pub(crate) observed: Observed,
    pub(crate) leave: Leave,
    pub(crate) gate: Gate,
    pub(crate) reads: Reads,
    pub(crate) eligibility: Eligibility,
    pub(crate) candidacy: Candidacy,
    /// The last planned move away from here, if it failed.
    pub(crate) failed_move: Option<FailedMove>,
    pub(crate) adoption: Adoption,
    pub(crate) timeline: Timeline,
    pub(crate) fabric: Fabric,
    /// When the active node changed last.
    pub(crate) moved_at: Instant,
    notified: Option<NotifyState>,
}

impl Group {
    pub(crate) fn new(
        settings: &Settings,
        index: GroupIndex,
        kept: PersistedGroup,
        now: Instant,
        voter: Voter,
    ) -> Self {
        let known = KnownHavips::read(kept.once_held, kept.addresses);
        Self {
            index,
            tag: Tag::group(&settings.name),
            state: State::Backup,
            cause: Cause::Started,
            detail: String::new(),
            since: now,
            hears_active: false,
            hears_since: now,
            epochs: Epochs::after(kept.epoch_reserved),
            reconcilers: Reconcilers::new(&settings.havips, &known),
            drain: Drain::read(kept.drained),
            maintenance: Maintenance::read(now, kept.maintenance, kept.maintenance_end),
            preemption: Preemption::read(kept.preemption_suspended),
            known,
            health: Health::default(),
            check_notes: Arc::default(),
            check_notes_told: None,
            voter,
            lease: Lease::default(),
            superseded: Superseded::default(),
            reach: Reach::default(),
            moves: Moves::default(),
            backoff: Backoff::default(),
            leader: ExternalLeader::default(),
            key: KeyElection::default(),
            observed: Observed::default(),
            leave: Leave::default(),
            gate: Gate::default(),
            reads: Reads::default(),
            eligibility: Eligibility::default(),
            candidacy: Candidacy::new(now),
            failed_move: None,
            adoption: Adoption::read(kept.adopted),
            timeline: Timeline::default(),
            fabric: Fabric::default(),
            moved_at: now,
            notified: None,
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.state.role()
    }

    pub(crate) fn settings<'a>(&self, step: &StepContext<'a>) -> &'a Settings {
        &step.config.groups[self.index.0]
    }

    pub(crate) fn membership(&self, step: &StepContext<'_>) -> Option<Member> {
        self.settings(step).member(step.config.local).copied()
    }

    /// Configured priority plus check weights.
    pub(crate) fn effective(&self, step: &StepContext<'_>) -> i32 {
        let configured = self.membership(step).map_or(0, |m| i32::from(m.priority));
        (configured + i32::from(self.health.weight)).clamp(1, 254)
    }

    /// Brings the group up to date. The order matters: first what takes leadership away, then what
    /// gives it, then the effects that follow from the outcome.
    pub(crate) fn step(&mut self, step: &mut StepContext<'_>) {
        self.note_peers(step);
        self.adopt_digest(step);
        self.end_maintenance(step);
        self.judge_eligibility(step);
        if self.role().has_leadership() {
            self.yield_to_peers(step);
        }
        if self.role().has_leadership() {
            self.check_leadership(step);
        }
        match self.role() {
            Role::Backup | Role::Fault => self.step_backup(step),
            Role::Claiming => self.step_claiming(step),
            Role::Active => self.step_active(step),
            Role::Releasing => self.step_releasing(step),
        }
        self.tend_key(step);
        let from = step.out.len();
        self.serve(step);
        if self.reconcilers.take_contested() {
            // Taken away and back is as much of a move as one between members.
            self.moves.note_contest(step.now);
        }
        self.note_effects(step, from);
        if self.role() == Role::Claiming && self.outcome(step) != Outcome::Pending {
            // The read that just came in decided: the role must not wait for the next event to say so.
            self.step_claiming(step);
        }
        self.compare_with_cloud(step);
        self.notify_start(step);
        self.leave_when_told(step);
    }

    /// Learns epochs, moves and the end of offers from what the peers say.
    fn note_peers(&mut self, step: &mut StepContext<'_>) {
        let (mut owner, mut before) = (None, None);
        for peer in step.peers.iter() {
            if let Some(entry) = peer.says(self.tag, step.now) {
                let seen = entry.seen.max(entry.epoch);
                if !self.maintenance.leaves_aside(seen) {
                    self.epochs.note(seen);
                }
                let term = Some((peer.node, entry.epoch));
                if entry.role == Role::Active && peer.owns(self.tag, step.now).is_some() {
                    owner = term;
                } else if entry.role == Role::Releasing && self.moves.missed(entry.epoch) {
                    before = term;
                }
            }
        }
        let ours = Some((step.config.local, self.epochs.ours()));
        if self.role() == Role::Active {
            owner = ours;
        } else if self.role() == Role::Releasing && self.moves.missed(self.epochs.ours()) {
            before = ours;
        }
        let hears = step.peers.iter().any(|p| p.up(step.now) && p.owns(self.tag, step.now).is_some());
        if std::mem::replace(&mut self.hears_active, hears) != hears {
            (self.hears_since, *step.changed) = (step.now, true);
        }
        if owner.or(before).is_some_and(|(owner, term)| self.moves.note_owner(step.now, owner, term)) {
            self.moved_at = step.now;
        }
        self.reserve_epochs(step);
    }

    /// Keeps the block on disk ahead of the highest epoch seen.
    pub(crate) fn reserve_epochs(&mut self, step: &mut StepContext<'_>) {
        *step.persist |= match self.arbiter(step) {
            Arbiter::EtcdLease => self.epochs.reserve_seen(),
            _ => self.epochs.reserve(),
        };
    }

    /// Gives way to a higher epoch, and within one epoch to the member that the file puts first. Who hands over has no leadership
    /// to give up: `step_releasing` waits until somebody serves.
    ///
    /// ⚠ Not to what may have been held up on its way: who said it may have lost its leadership since. Where it has not, the
    /// record or the lease takes ours. (I5, seed 72911)
    fn yield_to_peers(&mut self, step: &mut StepContext<'_>) {
        let settings = self.settings(step);
        let mut to = None;
        for peer in step.peers.iter().filter(|p| !p.may_be_of_the_past(step.now)) {
            let Some(entry) = peer.owns(self.tag, step.now) else { continue };
            let before = rank::configured_before(step, settings, peer.node, step.config.local);
            if entry.epoch > self.epochs.ours() {
                to = Some((peer.node, Cause::HigherEpoch, entry.epoch));
            } else if entry.epoch == self.epochs.ours() && before {
                to = Some((peer.node, Cause::LowerRank, entry.epoch));
            }
        }
        let Some((node, cause, epoch)) = to else { return };
        let name = &step.config.node(node).name;
        self.lose(
            step,
            Role::Backup,
            cause,
            format!("{name} has epoch {epoch}, ours is {}", self.epochs.ours()),
            Some(node),
        );
    }

    /// Takes leadership away when what it stands on is gone.
    fn check_leadership(&mut self, step: &mut StepContext<'_>) {
        if self.leadership_until(step) <= step.now {
            let (to, cause, text) = self.why_it_ran_out(step);
            self.lose(step, to, cause, text, None);
            return;
        }
        step.wake(self.leadership_until(step));
        if let Some((cause, text)) = self.eligibility.fault().cloned()
            && !matches!(cause, Cause::CheckFailed | Cause::AddressFailed)
        {
            self.lose(step, Role::Fault, cause, text, None);
        } else if let Some(text) = self.outvoted(step) {
            self.lose(step, Role::Backup, Cause::VrrpBackup, text, None);
        }
    }

    /// Until when effects of this node's leadership may start.
    pub(crate) fn leadership_until(&self, step: &StepContext<'_>) -> Instant {
        self.granted_until(step.config, step.now, step.alive_until).unwrap_or_default()
    }

    /// Whether cluster-wide maintenance is on.
    pub(crate) fn maintained(&self) -> bool {
        self.maintenance.is_on()
    }

    /// Leaves a role that has leadership.
    pub(crate) fn lose(
        &mut self,
        step: &mut StepContext<'_>,
        to: Role,
        cause: Cause,
        text: String,
        peer: Option<NodeIndex>,
    ) {
        let loss = Loss { to, cause, text, peer };
        let Some(Loss { to, cause, text, peer }) = self.lose_after_gate(step, loss) else { return };
        if self.reconcilers.iter().any(HavipReconciler::is_writing) {
            step.out.push(Action::CancelWrites { group: self.index });
        }
        // A claim that follows at once begins with nothing of this one, least of all its end.
        self.reconcilers.close();
        self.relinquish(step);
        self.candidacy.not_vacant();
        self.eligibility.begin_again();
        let to = if to == Role::Fault { State::Fault } else { State::Backup };
        self.become_role(step, to, cause, text, peer);
    }

    /// The one way to change the role.
    pub(crate) fn become_role(
        &mut self,
        step: &mut StepContext<'_>,
        to: State,
        cause: Cause,
        detail: String,
        peer: Option<NodeIndex>,
    ) {
        self.close_gate(step);
        let from = std::mem::replace(&mut self.state, to).role();
        let to = self.role();
        self.cause = cause;
        self.since = step.now;
        self.detail.clone_from(&detail);
        *step.changed = true;
        self.step_done(step, format!("{to} ({cause})"));
        let timeline = self.timeline.decided(to, step.now);
        let (group, epoch, at) = (self.index, self.epochs.ours(), step.now);
        step.out.push(Action::Record(Transition { at, group, from, to, epoch, cause, detail, peer, timeline }));
        self.notify(step);
    }

    /// A node that starts as backup, and stays it, tells its hooks so: before a crash it may have been active.
    fn notify_start(&mut self, step: &mut StepContext<'_>) {
        if self.role() != Role::Backup || self.notified.is_some() || step.stopping {
            return;
        }
        // Until then it may go on as what it was.
        let until = step.started + step.config.heartbeat.cold_start_wait;
        if step.due(until) || self.somebody_else(step).is_some() {
            self.notify(step);
        }
    }

    /// Takes over which checks do not simply pass here.
    pub(crate) fn take_notes(&mut self, notes: Arc<[CheckNote]>) {
        self.check_notes_told = CheckNotes::of(&notes);
        self.check_notes = notes;
    }

    /// What a heartbeat says of these checks.
    pub(crate) fn check_notes_told(&self) -> Option<Arc<CheckNotes>> {
        self.check_notes_told.clone()
    }

    /// Runs the hooks if the state that they know has changed.
    pub(crate) fn notify(&mut self, step: &mut StepContext<'_>) {
        let state = match self.role() {
            _ if self.leave.is_done() => NotifyState::Stop,
            Role::Active => NotifyState::Master,
            Role::Fault => NotifyState::Fault,
            Role::Backup | Role::Claiming | Role::Releasing => NotifyState::Backup,
        };
        // keepalived's MASTER lasts until the other one serves.
        let between =
            matches!(self.role(), Role::Claiming | Role::Releasing) && self.notified.is_some() && !self.leave.is_done();
        let nothing = self.settings(step).observe || self.membership(step).is_none_or(|m| m.witness);
        if between || nothing || self.notified == Some(state) {
            return;
        }
        self.notified = Some(state);
        let holder = self.reconcilers.first().and_then(HavipReconciler::holder).map(str::to_owned);
        let (group, epoch, cause) = (self.index, self.epochs.ours(), self.cause);
        let priority = self.effective(step);
        // A notification that waits while leadership ends, as in a suspended guest, must not be acted on late.
        let leadership_until =
            if state == NotifyState::Master { self.leadership_until(step) } else { Instant::FAR_FUTURE };
        step.out.push(Action::Notify(Notification { group, state, priority, epoch, cause, holder, leadership_until }));
    }

    /// Hooks were not told of the term `epoch` in time: they are told again if it still lasts.
    pub(crate) fn notify_again(&mut self, step: &mut StepContext<'_>, epoch: Epoch) {
        if self.role() == Role::Active && self.epochs.ours() == epoch {
            self.notified = None;
            self.notify(step);
        }
    }
}
