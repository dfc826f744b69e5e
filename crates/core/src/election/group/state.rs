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
}

/// A period of leadership: it begins with the claim, and ends with the role.
#[derive(Debug, Default)]
pub(crate) struct Term {
    /// Leadership came by a handover: the old holder still serves.
    pub(crate) planned: bool,
    /// The holders that the claim displaces, where the cloud's record counts.
    pub(crate) displaces: Vec<String>,
    /// Neither peers nor cloud answer, since then.
    pub(crate) isolated_since: Option<Instant>,
    /// Since when there is a higher epoch without an owner.
    pub(crate) outnumbered: Option<Instant>,
    /// Such an epoch is no reason to take another number before.
    pub(crate) renumbers_from: Instant,
    /// No planned move before: the last one failed.
    pub(crate) retry_at: Instant,
    /// An operator ordered a switchover to this node; a write of ours is waited for.
    pub(crate) ordered: Option<NodeIndex>,
    alarmed: Option<Instant>,
}

impl Term {
    pub(crate) fn new(planned: bool, displaces: Vec<String>) -> Self {
        Self { planned, displaces, ..Self::default() }
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
    pub(crate) began: Instant,
    /// Leadership goes back at the latest then; and if it goes back, it has to be here by then.
    pub(crate) until: Instant,
    pub(crate) stage: Stage,
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
    /// Who is to have leadership, unless it comes back.
    pub(crate) fn successor(&self) -> Option<NodeIndex> {
        match self.stage {
            Stage::Offered { to, .. } => Some(to),
            Stage::TakingBack { .. } => None,
        }
    }
}
