//! The cloud's record as the third opinion: what it lets this node claim under the arbiters `cloud` and `keepalived`.
//!
//! `claim.rs` asks here once everything else speaks for a claim. A read that is too old, or that was issued before
//! the holder was so much as suspected, is no opinion.

use crate::election::group::Group;
use crate::election::group::waiting::{Claim, Verdict, Waiting};
use crate::election::peer::Peer;
use crate::election::step_context::StepContext;
use crate::model::ids::{NodeIndex, Target};
use crate::model::role::{Cause, Role};
use crate::model::settings::{Arbiter, Strangers};
use crate::reconcile::{Failure, LastRead};
use crate::wire::Flags;
use std::sync::Arc;
use std::time::Duration;

/// Under arbiter `cloud` a claim rests on a read that is at most this old.
const READ_AGE: Duration = Duration::from_secs(2);

impl Group {
    /// The cloud's record is the third opinion: without a fresh one there is no claim.
    pub(in crate::election) fn ask_cloud(&mut self, step: &mut StepContext<'_>) -> Verdict {
        let reads: Vec<Option<Arc<LastRead>>> = self.reconcilers.iter().map(|l| l.read.clone()).collect();
        let (mut displaces, mut silent) = (Vec::new(), Vec::new());
        for (i, read) in reads.iter().enumerate() {
            if self.reconcilers[i].missing() {
                // What the cloud does not know nobody has; the others are claimed without it.
                continue;
            }
            let id = &self.settings(step).havips[i].id;
            let fresh = read.as_ref().filter(|r| r.at + READ_AGE >= step.now && !self.left_after(step, r));
            let Some(read) = fresh else {
                return Verdict::Wait(format!("waiting for the cloud's word on {id}").into());
            };
            let Some(holder) = read.havip.holder().filter(|h| Some(*h) != step.identity.map(Target::id)) else {
                continue;
            };
            let node = self.member_with(step, holder);
            let met = node.and_then(|n| step.peers.of(n)).is_some_and(|p| p.met);
            let unheard = node.filter(|_| met).and_then(|n| step.peers.of(n)?.unheard(step.now));
            if let Some((_, why)) = unheard.filter(|(since, _)| !self.superseded.released_since(holder, *since)) {
                let settings = self.settings(step);
                self.superseded.hold_down(step, settings, i, holder, node);
                self.superseded.until_heard_out();
                let text = format!("{why}; its silence proves nothing: waiting for evidence, or for reclaim-wait");
                let until = self.superseded.held().map(|h| h.until);
                return Verdict::Wait(Waiting { text, until });
            }
            // ⚠ A member whose instance only it itself can tell, and that has not told it, may be any holder that is not known: its
            // first words after a start may come before it knows that itself. (I5, seed 84187; I12, seed 47220)
            let unheard_of = if node.is_some() { !met } else { self.member_without_instance(step) };
            if unheard_of && !self.superseded.released(holder) {
                // Never heard since our start: it may be serving on the other side of a partition.
                let settings = self.settings(step);
                self.superseded.hold_down(step, settings, i, holder, node);
                let who = match node.map(|n| &step.config.node(n).name) {
                    Some(name) => format!("{holder} (node {name}) has {id} and was never heard"),
                    None => format!("{holder} has {id} and may be a node that has not said which instance it is"),
                };
                let text = format!("{who}; waiting for evidence, or for reclaim-wait");
                let until = self.superseded.held().map(|h| h.until);
                return Verdict::Wait(Waiting { text, until });
            }
            let guarded = match self.settings(step).havips[i].strangers {
                Strangers::Detach => false,
                Strangers::Guard => !self.known.once_held(id),
                Strangers::Refuse => true,
            };
            if node.is_none() && guarded {
                let text = format!("{holder} has {id} and is no member; detach it by hand, or set strangers");
                let failure = Failure { cause: Cause::StrangerBound, text: text.clone(), retry_after: None };
                self.backoff.claim_failed(step, &failure, self.settings(step).reclaim_wait);
                return Verdict::Wait(text.into());
            }
            displaces.push(holder.to_owned());
            silent.extend(node);
        }
        let claim = self.reason_for_vacancy(step);
        silent.extend(claim.peer);
        if let Some(why) = silent.into_iter().find_map(|node| self.silent_only_for_us(step, node)) {
            return Verdict::Wait(why);
        }
        if let Some(last) = claim.peer
            && let Some(target) = step.target_of(last)
            && self.may_lag_behind(step, last, &reads)
        {
            displaces.push(target.id().to_owned());
        }
        Claim { displaces, ..claim }.into()
    }

    /// Whether neither the file nor a datagram since this start told what some other member is to the cloud.
    fn member_without_instance(&self, step: &StepContext<'_>) -> bool {
        let mut others = self.settings(step).members.iter().filter(|m| !m.witness && m.node != step.config.local);
        others.any(|m| step.target_of(m.node).is_none())
    }

    /// ⚠ Arbiter `cloud`: a member that is heard hears the active node, and is heard there. So that node is alive, and only the way
    /// from there to here is broken: a claim would move the address for nothing. It says no more by then if that node died.
    pub(in crate::election) fn heard_by_another(&self, step: &StepContext<'_>) -> Option<Waiting> {
        if self.arbiter(step) != Arbiter::Cloud {
            return None;
        }
        let hears = |p: &&Peer| p.says(self.tag, step.now).is_some_and(|e| e.flags.has(Flags::HEARS_ACTIVE));
        let name = &step.config.node(step.peers.iter().filter(|p| p.up(step.now)).find(hears)?.node).name;
        Some(format!("{name} hears the active node, which this node does not hear").into())
    }

    /// A silence counts once this node has listened for long enough while the cloud answered.
    fn silent_only_for_us(&self, step: &mut StepContext<'_>, node: NodeIndex) -> Option<Waiting> {
        let counts = self.silence_counts(step, node);
        if !counts.is_some_and(|at| step.due(at)) {
            let name = &step.config.node(node).name;
            let text = format!("{name} may be silent only for us: listening while the cloud answers");
            return Some(Waiting { text, until: counts });
        }
        None
    }

    /// Whether these reads may be of before the term that we heard last from `node`. The cloud names it once
    /// it has caught up: that is the holder whom we replace, not a later rival.
    fn may_lag_behind(&self, step: &StepContext<'_>, node: NodeIndex, reads: &[Option<Arc<LastRead>>]) -> bool {
        let heard = step.peers.of(node).and_then(|p| p.session.last_heard());
        heard.is_some_and(|heard| reads.iter().flatten().any(|read| read.issued < heard + READ_AGE))
    }

    /// A read issued before the active node was so much as suspected says nothing of today.
    fn left_after(&self, step: &StepContext<'_>, read: &LastRead) -> bool {
        step.peers.iter().any(|p| {
            p.gone
                && p.entries.get(&self.tag).is_some_and(|e| e.role.has_leadership())
                && p.session.last_heard().is_some_and(|at| read.issued < at)
        })
    }

    /// ⚠ A member that the record names, and whose term was not heard, has taken a number all the same, and the address has moved to it.
    /// A claim over it with the same number would be no later one: what that node says, or what of it arrives late, would end
    /// the term of this one. And of the moves this node would see every second one only. (I5, seeds 44647 and 47187)
    pub(super) fn note_unheard_term(&mut self, step: &StepContext<'_>) {
        // A read that may be of before the last term that was heard tells of no other one.
        let newer = |read: &&Arc<LastRead>| read.issued >= self.moved_at + READ_AGE;
        let holders = self.reconcilers.iter().filter_map(|r| r.read.as_ref().filter(newer)?.havip.holder());
        let Some(node) = holders.filter_map(|holder| self.member_with(step, holder)).next() else { return };
        if node != step.config.local && self.moves.owner() != Some(node) {
            let term = self.epochs.note_unheard();
            self.moves.note_owner(step.now, node, term);
        }
    }

    /// The member whose target that is.
    pub(crate) fn member_with(&self, step: &StepContext<'_>, target: &str) -> Option<NodeIndex> {
        let members = self.settings(step).members.iter();
        members.map(|m| m.node).find(|n| step.target_of(*n).is_some_and(|t| t.id() == target))
    }

    /// Whether a claim may come soon, so that the cloud's word should be at hand by then.
    pub(crate) fn claim_may_follow(&self, step: &StepContext<'_>) -> bool {
        if self.superseded.held().is_some() {
            return true;
        }
        let owner = step.peers.iter().find(|p| p.owns(self.tag, step.now).is_some());
        match owner {
            Some(peer) => peer.suspected(step.now),
            None => !self.is_drained() && self.role() == Role::Backup,
        }
    }

    /// Whether the active node has been silent for a suspicious time, but is not dead yet.
    pub(crate) fn owner_suspected(&self, step: &StepContext<'_>) -> bool {
        step.peers.iter().any(|p| p.owns(self.tag, step.now).is_some() && p.suspected(step.now))
    }
}
