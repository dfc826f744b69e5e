//! What a group is, and what means something only while it is that.

use crate::election::step_context::StepContext;
use crate::model::action::Action;
use crate::model::ids::{GroupIndex, NodeIndex};
use crate::model::role::Role;
use crate::model::time::Instant;
use std::time::Duration;

/// The same alarm is not repeated sooner.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// The role of a group, with its state.
#[derive(Debug)]
pub(crate) enum State {
    /// Waits, without leadership.
    Backup,
    /// Has leadership, and makes kernel and cloud agree with it.
    Claiming(Term),
    /// Has leadership, and the cloud was read to agree.
    Active(Term),
    /// Gave leadership to another and keeps the address, silently, until that one serves.
    Releasing(Handover),
    /// Cannot lead.
    Fault,
}

impl State {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Backup => Role::Backup,
            Self::Claiming(_) => Role::Claiming,
            Self::Active(_) => Role::Active,
            Self::Releasing(_) => Role::Releasing,
            Self::Fault => Role::Fault,
        }
    }

    /// The term that it has.
    pub(crate) fn term(&self) -> Option<&Term> {
        match self {
            Self::Claiming(term) | Self::Active(term) => Some(term),
            Self::Backup | Self::Releasing(_) | Self::Fault => None,
        }
    }

    /// See [`Self::term`].
    pub(crate) fn term_mut(&mut self) -> Option<&mut Term> {
        match self {
            Self::Claiming(term) | Self::Active(term) => Some(term),
            Self::Backup | Self::Releasing(_) | Self::Fault => None,
        }
    }

    /// The same, to be carried into another role.
    pub(crate) fn take_term(&mut self) -> Term {
        self.term_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The handover that is under way.
    pub(crate) fn handover(&self) -> Option<&Handover> {
        if let Self::Releasing(handover) = self { Some(handover) } else { None }
    }

    /// See [`Self::handover`].
    pub(crate) fn handover_mut(&mut self) -> Option<&mut Handover> {
        if let Self::Releasing(handover) = self { Some(handover) } else { None }
    }
}

/// A period of leadership: it begins with the claim, and ends with the role.
#[derive(Debug, Default)]
pub(crate) struct Term {
    /// Leadership came by a handover: the old holder still serves.
    planned: bool,
    /// The holders that the claim displaces, where the cloud's record counts.
    displaces: Vec<String>,
    /// The record named this node in some of the HAVIPs when the term began.
    resumes_some: bool,
    /// Neither peers nor cloud answer, since then.
    isolated_since: Option<Instant>,
    /// Since when there is a higher epoch without an owner.
    outnumbered: Option<Instant>,
    /// Such an epoch is no reason to take another number before.
    renumbers_from: Instant,
    /// No planned move before: the last one failed.
    moves_from: Instant,
    /// An operator ordered a switchover to this node; a write of ours is waited for.
    ordered: Option<NodeIndex>,
    /// Since when a better-ranked node has asked for leadership.
    wanted: Option<Instant>,
    alarmed: Option<Instant>,
}

impl Term {
    pub(crate) fn new(planned: bool, displaces: Vec<String>) -> Self {
        Self { planned, displaces, ..Self::default() }
    }

    /// The record names this node in some of the HAVIPs already.
    pub(crate) fn resumes_some(self, some: bool) -> Self {
        Self { resumes_some: some, ..self }
    }

    /// Whether the record named this node in some of the HAVIPs when the term began.
    pub(crate) fn had_some(&self) -> bool {
        self.resumes_some
    }

    /// Whether leadership came by a handover: the old holder still serves.
    pub(crate) fn is_planned(&self) -> bool {
        self.planned
    }

    /// The holders that the claim displaces, where the cloud's record counts.
    pub(crate) fn displaces(&self) -> &[String] {
        &self.displaces
    }

    /// Of these holders nothing is displaced any more: they are back.
    pub(crate) fn no_longer_displaces(&mut self, back: &[String]) {
        self.displaces.retain(|id| !back.contains(id));
    }

    /// Whether neither peers nor cloud answer.
    pub(crate) fn is_isolated(&self) -> bool {
        self.isolated_since.is_some()
    }

    /// Notes whether neither peers nor cloud answer.
    pub(crate) fn note_isolation(&mut self, now: Instant, isolated: bool) {
        self.isolated_since = isolated.then_some(self.isolated_since.unwrap_or(now));
    }

    /// There is a higher epoch without an owner. Since when that is so.
    pub(crate) fn outnumbered(&mut self, now: Instant) -> Instant {
        *self.outnumbered.get_or_insert(now)
    }

    /// There is none.
    pub(crate) fn not_outnumbered(&mut self) {
        self.outnumbered = None;
    }

    /// Notes whether a better-ranked node asks for leadership. Since when one does.
    pub(crate) fn note_wanted(&mut self, now: Instant, wanted: bool) -> Option<Instant> {
        self.wanted = wanted.then_some(self.wanted.unwrap_or(now));
        self.wanted
    }

    /// Such an epoch is no reason to take another number before.
    pub(crate) fn renumbers_from(&self) -> Instant {
        self.renumbers_from
    }

    /// This term has another number, and takes no other before `from`.
    pub(crate) fn renumbered(&mut self, from: Instant) {
        (self.outnumbered, self.renumbers_from) = (None, from);
    }

    /// A planned move failed: no other before `at`.
    pub(crate) fn no_move_before(&mut self, at: Instant) {
        self.moves_from = at;
    }

    /// When a planned move may be made again, after one that failed.
    pub(crate) fn moves_from(&self) -> Instant {
        self.moves_from
    }

    /// An operator ordered a switchover, for which a write of ours is waited for.
    pub(crate) fn order(&mut self, to: NodeIndex) {
        self.ordered = Some(to);
    }

    /// The switchover that was ordered: it is carried out, or given up.
    pub(crate) fn take_order(&mut self) -> Option<NodeIndex> {
        self.ordered.take()
    }

    /// Says, now and then, that something is amiss though this node stays active.
    pub(crate) fn alarm(&mut self, step: &mut StepContext<'_>, group: GroupIndex, text: &str) {
        if self.alarmed.is_none_or(|at| step.now.since(at) >= ALARM_EVERY) {
            self.alarmed = Some(step.now);
            step.out.push(Action::Warn { group: Some(group), text: text.to_owned() });
        }
    }
}

/// A planned move away from here.
#[derive(Debug, Clone)]
pub(crate) struct Handover {
    began: Instant,
    /// Leadership goes back at the latest then; and if it goes back, it has to be here by then.
    until: Instant,
    stage: Stage,
}

/// How far a planned move is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Leadership is offered.
    Offered {
        /// To this node.
        to: NodeIndex,
        /// Without its claim by then it goes back.
        claim_by: Instant,
    },
    /// The move failed: leadership comes back.
    TakingBack {
        /// Why.
        why: String,
        /// What the successor may have bound.
        displaces: Vec<String>,
    },
}

impl Handover {
    /// Leadership is offered to `to`, which has to claim by `claim_by`, and to serve by `until`.
    pub(crate) fn offer(now: Instant, to: NodeIndex, claim_by: Instant, until: Instant) -> Self {
        Self { began: now, until, stage: Stage::Offered { to, claim_by } }
    }

    /// The move failed: leadership comes back, by `until`.
    pub(crate) fn take_back(&mut self, until: Instant, why: String, displaces: Vec<String>) {
        self.until = until;
        self.stage = Stage::TakingBack { why, displaces };
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Leadership goes back at the latest then; and if it goes back, it has to be here by then.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Who is to have leadership, unless it comes back.
    pub(crate) fn successor(&self) -> Option<NodeIndex> {
        match self.stage {
            Stage::Offered { to, .. } => Some(to),
            Stage::TakingBack { .. } => None,
        }
    }
}
