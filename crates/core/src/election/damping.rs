//! What keeps a group from flapping: the budget of unforced moves, and the back-off of a node whose claims fail.

use super::step_context::StepContext;
use crate::model::ids::{Epoch, NodeIndex};
use crate::model::role::Cause;
use crate::model::settings::Group;
use crate::model::time::Instant;
use crate::reconcile::Failure;
use std::collections::VecDeque;
use std::time::Duration;

/// Longest back-off after failed claims.
const LONGEST: Duration = Duration::from_secs(60);
/// Moves remembered; `max-moves` is at most this.
const REMEMBERED: usize = 1000;

#[derive(Debug, Clone)]
struct Unable {
    since: Instant,
    until: Instant,
    cause: Cause,
    text: String,
}

/// Moves seen and claims failed, of one group.
#[derive(Debug, Default)]
pub(crate) struct Damping {
    owner: Option<NodeIndex>,
    /// The epoch of its term.
    term: Epoch,
    moves: VecDeque<Instant>,
    unable: Option<Unable>,
    failures: u32,
    /// The last claim got only some of the HAVIPs and was given up for somebody who might get all.
    passed_on: bool,
    /// An address could not be put here.
    address: Option<Unable>,
    address_failures: u32,
}

impl Damping {
    /// Somebody is active, or was; a change of who is a move.
    pub(crate) fn note_owner(&mut self, now: Instant, owner: NodeIndex, term: Epoch) -> bool {
        self.term = term;
        let moved = self.owner.replace(owner).is_some_and(|old| old != owner);
        if moved {
            self.count_move(now);
        }
        moved
    }

    /// The HAVIP was taken by somebody outside the cluster, and is taken back.
    pub(crate) fn note_contest(&mut self, now: Instant) {
        self.count_move(now);
    }

    fn count_move(&mut self, now: Instant) {
        self.moves.push_back(now);
        if self.moves.len() > REMEMBERED {
            self.moves.pop_front();
        }
    }

    /// Whether a node that gives `epoch` away was active unseen, be it only for an instant.
    pub(crate) fn missed(&self, epoch: Epoch) -> bool {
        epoch > self.term
    }

    /// Whether a later term than `epoch` is known.
    pub(crate) fn is_past(&self, epoch: Epoch) -> bool {
        epoch < self.term
    }

    /// Who was active last, as far as this node knows.
    pub(crate) fn owner(&self) -> Option<NodeIndex> {
        self.owner
    }

    /// Moves within the window.
    pub(crate) fn moves_in(&self, now: Instant, window: Duration) -> usize {
        self.moves.iter().filter(|at| now.since(**at) < window).count()
    }

    /// Whether another unforced move would exceed `max-moves`.
    pub(crate) fn over_budget(&self, now: Instant, settings: &Group) -> bool {
        settings.max_moves > 0 && self.moves_in(now, settings.max_moves_window) >= settings.max_moves as usize
    }

    /// Until when another unforced move would exceed `max-moves`, if it would now.
    pub(crate) fn budget_back(&self, now: Instant, settings: &Group) -> Option<Instant> {
        let window = settings.max_moves_window;
        let spent: Vec<Instant> = self.moves.iter().copied().filter(|at| now.since(*at) < window).collect();
        // So many of them have to leave the window, oldest first.
        let leave = (spent.len() + 1).checked_sub(settings.max_moves as usize).filter(|_| settings.max_moves > 0)?;
        spent.get(leave.checked_sub(1)?).map(|at| *at + window)
    }

    /// A claim failed: no other for a while, longer each time.
    pub(crate) fn set_unable(&mut self, step: &mut StepContext<'_>, failure: &Failure) {
        let lease = step.dead_time();
        let base = lease.saturating_mul(1 << self.failures.min(6)).min(LONGEST.max(lease));
        let wait = step.jittered(base) + step.part_of(lease);
        let until = step.now + wait.max(failure.retry_after.unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        self.unable = Some(Unable { since: step.now, until, cause: failure.cause, text: failure.text.clone() });
    }

    /// Claims work again; `whole`: for every HAVIP.
    pub(crate) fn proven_able(&mut self, whole: bool) {
        self.unable = None;
        self.failures = 0;
        self.passed_on &= !whole;
    }

    /// A claim that got only some of the HAVIPs is given up.
    pub(crate) fn pass_on(&mut self) {
        self.passed_on = true;
    }

    /// Whether such a claim was given up since the last one that got them all.
    pub(crate) fn passed_on(&self) -> bool {
        self.passed_on
    }

    /// Until when no other claim may be tried, if that is after `now`.
    pub(crate) fn unable_until(&self, now: Instant) -> Option<Instant> {
        self.unable.as_ref().map(|u| u.until).filter(|until| *until > now)
    }

    /// The last claim that failed, if none has worked since: when, the cause, and what was answered.
    pub(crate) fn failed_claim(&self) -> Option<(Instant, Cause, &str)> {
        self.unable.as_ref().map(|u| (u.since, u.cause, u.text.as_str()))
    }

    /// An address of ours cannot be put: others go first for a while, longer each time. Says whether that is news.
    pub(crate) fn address_failed(&mut self, step: &mut StepContext<'_>, text: &str, longest: Duration) -> bool {
        if !self.address_able(step.now) {
            return false;
        }
        let lease = step.dead_time();
        let wait = lease.saturating_mul(1 << self.address_failures.min(16)).min(longest.max(lease));
        self.address_failures = self.address_failures.saturating_add(1);
        let until = step.now + step.jittered(wait) + step.part_of(lease);
        self.address = Some(Unable { since: step.now, until, cause: Cause::AddressFailed, text: text.to_owned() });
        true
    }

    /// All addresses of ours are there.
    pub(crate) fn address_works(&mut self) {
        self.address = None;
        self.address_failures = 0;
    }

    /// Why others go first, while they do.
    pub(crate) fn address_fault(&self, step: &mut StepContext<'_>) -> Option<String> {
        let unable = self.address.as_ref()?;
        (!step.due(unable.until)).then(|| unable.text.clone())
    }

    /// Whether an address that could not be put here keeps nobody waiting for us any more.
    pub(crate) fn address_able(&self, now: Instant) -> bool {
        self.address.as_ref().is_none_or(|unable| now >= unable.until)
    }

    /// The failure, while no other claim may be tried.
    pub(crate) fn fault(&self, step: &mut StepContext<'_>) -> Option<(Cause, String)> {
        let unable = self.unable.as_ref()?;
        (!step.due(unable.until)).then(|| (unable.cause, unable.text.clone()))
    }
}
