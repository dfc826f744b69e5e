//! Arbiter `majority`: explicit grants, renewed by every heartbeat, counted from when they were asked for.
//!
//! A voter gives leadership for one group to one node at a time, for as long as the candidate's
//! datagram says; its grant names that datagram. The candidate counts the grant from the moment that it
//! *sent* it, less a margin for the rate at which clocks may differ, so a late answer is worth
//! less, and an echo alone is worth nothing.

use crate::election::step_context::StepContext;
use crate::model::ids::{BootId, Epoch, NodeIndex};
use crate::model::time::Instant;
use crate::wire::{Entry, Grant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Share of the lease that the candidate counts: clock rates may differ by less than one per cent.
const COUNTED_SHARE: f64 = 0.98;

/// Leadership as this node, as a voter, gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) node: NodeIndex,
    pub(crate) boot: BootId,
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
    pub(crate) until: Instant,
    /// What the datagram asked for.
    lease: Duration,
    /// The node it is kept for: its owner has declared to have it no more.
    pub(crate) kept_for: Option<NodeIndex>,
}

/// One lease request, with who sends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseRequest {
    pub(crate) node: NodeIndex,
    pub(crate) boot: BootId,
    pub(crate) epoch: Epoch,
    pub(crate) seq: u64,
    pub(crate) lease: Duration,
}

/// The voter's side of one group.
#[derive(Debug, Default)]
pub(crate) struct Voter {
    granted: Option<Granted>,
    /// Highest epoch ever granted, and to which start: a term is granted to one start of one node.
    highest: Epoch,
    highest_to: Option<(NodeIndex, BootId)>,
    /// Until then only what was granted before the start is renewed.
    quarantine: Instant,
    inherited: Option<(NodeIndex, BootId)>,
}

impl Voter {
    /// `inherited` is what the run before left when it was stopped in order.
    pub(crate) fn new(inherited: Option<(NodeIndex, BootId)>) -> Self {
        Self { inherited, ..Self::default() }
    }

    /// Others may have granted what we know nothing of, until then: nothing fresh before.
    pub(crate) fn hold_back(&mut self, until: Instant) {
        self.quarantine = self.quarantine.max(until);
    }

    /// The numbers of the group begin again.
    pub(crate) fn forget_numbers(&mut self) {
        self.highest = Epoch(0);
        if let Some(granted) = self.granted.as_mut() {
            granted.epoch = Epoch(0);
        }
    }

    /// The owner restarts: its next start may have the grant before it runs out.
    pub(crate) fn expect_next_start(&mut self, node: NodeIndex, boot: BootId) {
        if let Some(granted) = self.granted.as_mut().filter(|g| g.node == node && g.boot == boot) {
            granted.kept_for = Some(node);
        }
    }

    /// The grant in force.
    pub(crate) fn granted(&self, now: Instant) -> Option<&Granted> {
        self.granted.as_ref().filter(|g| now < g.until)
    }

    /// Whom this voter goes on voting for, if asked: who has the grant in force, or had it when the last run stopped.
    pub(crate) fn votes_for(&self, now: Instant) -> Option<NodeIndex> {
        let inherited = || self.inherited.filter(|_| self.quarantined(now)).map(|(node, _)| node);
        self.granted(now).map(|g| g.node).or_else(inherited)
    }

    /// Whether fresh grants are still held back after a start.
    pub(crate) fn quarantined(&self, now: Instant) -> bool {
        now < self.quarantine
    }

    /// When that ends.
    pub(crate) fn quarantine_ends(&self) -> Instant {
        self.quarantine
    }

    /// Whether a request only renews the grant in force, or takes it over for the owner's announced next start.
    pub(crate) fn renews(&self, now: Instant, request: &LeaseRequest) -> bool {
        self.inherited == Some((request.node, request.boot)) && self.granted(now).is_none()
            || self.granted(now).is_some_and(|g| {
                let same_start = g.boot == request.boot && g.kept_for.is_none();
                g.node == request.node && (same_start || g.kept_for == Some(request.node))
            })
    }

    /// Judges a request. True when the grant in force changed hands, began or became another length: the candidate waits for it.
    pub(crate) fn judge(&mut self, now: Instant, request: LeaseRequest) -> bool {
        let same = |g: &Granted| g.node == request.node && g.boot == request.boot;
        // What was granted before the start runs out unseen, unless its owner was heard since: then it is in `granted`.
        let unknown = self.quarantined(now) && self.granted(now).is_none();
        if unknown && self.inherited != Some((request.node, request.boot)) {
            return false;
        }
        let fresh = match self.granted(now) {
            Some(g) if same(g) && g.kept_for.is_none() => {
                // Its owner may begin its numbers again; it is the same term of the same start all the same.
                if (request.epoch < g.epoch && g.epoch <= Epoch::CREDIBLE) || request.seq <= g.seq {
                    return false;
                }
                request.lease != g.lease
            }
            // Its owner gave it up in favour of this one, or of its own next start.
            Some(g) if g.kept_for == Some(request.node) && !same(g) => true,
            Some(_) => return false,
            None => true,
        };
        // ⚠ A start that gave up asking may ask for the same epoch again: else its own vote, which it gave up with that, would be
        // missing, and the loss of one voter more would cost the lease.
        let mine = self.highest_to == Some((request.node, request.boot));
        let begins_again = !fresh && self.highest > Epoch::CREDIBLE;
        if (request.epoch < self.highest && !begins_again) || (request.epoch == self.highest && !mine) {
            return false;
        }
        // A shorter lease must not cut short what was granted: the candidate may still count on it.
        let before = self.granted(now).filter(|g| same(g)).map_or(now, |g| g.until);
        let until = (now + request.lease).max(before);
        self.highest = request.epoch;
        self.highest_to = Some((request.node, request.boot));
        let LeaseRequest { node, boot, epoch, seq, lease } = request;
        self.granted = Some(Granted { node, boot, epoch, seq, until, lease, kept_for: None });
        fresh
    }

    /// Whether nothing but its number stands in the way of a request: that number was granted to another start.
    pub(crate) fn refuses_number(&self, now: Instant, request: &LeaseRequest) -> bool {
        let owner = (request.node, request.boot);
        let free = self.granted(now).is_none_or(|g| (g.node, g.boot) == owner);
        free && request.epoch == self.highest && self.highest_to.is_some_and(|to| to != owner)
    }

    /// The owner of the grant spoke without asking: it has no leadership any more. True when that frees or turns the grant.
    pub(crate) fn relinquished(
        &mut self,
        node: NodeIndex,
        boot: BootId,
        seq: u64,
        successor: Option<NodeIndex>,
    ) -> bool {
        let Some(granted) = self.granted.as_mut().filter(|g| g.node == node && g.boot == boot && seq > g.seq) else {
            return false;
        };
        if successor.is_some() {
            let turned = granted.kept_for != successor;
            granted.kept_for = successor;
            return turned;
        }
        self.granted = None;
        true
    }

    /// The one that the grant is kept for does not want it.
    pub(crate) fn declined(&mut self, node: NodeIndex) -> bool {
        let kept = self.granted.as_ref().is_some_and(|g| g.kept_for == Some(node));
        if kept {
            self.granted = None;
        }
        kept
    }

    /// What our entry says of it.
    pub(crate) fn stated(&self, step: &StepContext<'_>) -> Option<Grant> {
        let g = self.granted(step.now).filter(|g| g.kept_for.is_none())?;
        let node = step.peers.tag(g.node);
        Some(Grant { node, boot: g.boot, epoch: g.epoch, seq: g.seq })
    }
}

/// The candidate's side of one group.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    epoch: Epoch,
    /// The epoch that the asking began with: grants for earlier ones were asked for by an earlier attempt.
    first: Epoch,
    requested_at: Option<Instant>,
    votes: BTreeMap<NodeIndex, Instant>,
    stated: Option<Stated>,
}

/// The lease that our datagrams state.
#[derive(Debug, Clone, Copy)]
struct Stated {
    lease: Duration,
    since: Instant,
    /// When the last one did.
    last: Instant,
}

impl Lease {
    /// Begins to ask for `epoch`; what was granted before counts no more.
    pub(crate) fn begin(&mut self, now: Instant, epoch: Epoch) {
        *self = Self { epoch, first: epoch, requested_at: Some(now), ..Self::default() };
    }

    /// Asks for a higher epoch of the same term; grants that still run go on counting.
    pub(crate) fn renumber(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// The numbers begin again with `epoch`; grants that still run go on counting.
    pub(crate) fn begin_again(&mut self, epoch: Epoch) {
        (self.epoch, self.first) = (epoch, epoch);
    }

    /// Stops asking.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn requested_since(&self) -> Option<Instant> {
        self.requested_at
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A datagram that goes out now states `lease`.
    pub(crate) fn state(&mut self, now: Instant, lease: Duration) {
        let since = match self.stated {
            None => now,
            Some(before) if before.lease == lease => before.since,
            // One that stated another lease may have gone out at this very instant.
            Some(before) => now.max(before.last + Duration::from_nanos(1)),
        };
        self.stated = Some(Stated { lease, since, last: now });
    }

    /// The lease that a datagram sent at `sent` stated. `None` if that was another one than now: what was granted then is
    /// counted already, or asked for again.
    pub(crate) fn stated_at(&self, sent: Instant) -> Option<Duration> {
        self.stated.filter(|stated| sent >= stated.since).map(|stated| stated.lease)
    }

    /// Counts a grant that answers the datagram sent at `sent`.
    pub(crate) fn count(&mut self, voter: NodeIndex, epoch: Epoch, sent: Instant, lease: Duration) {
        if self.requested_at.is_some() && (self.first..=self.epoch).contains(&epoch) {
            let until = sent + lease.mul_f64(COUNTED_SHARE);
            let best = self.votes.entry(voter).or_insert(until);
            *best = (*best).max(until);
        }
    }

    /// Until when a majority of `voters` has granted the lease; `None` without one.
    pub(crate) fn until(&self, now: Instant, voters: usize) -> Option<Instant> {
        let mut best: Vec<Instant> = self.votes.values().copied().filter(|t| *t > now).collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        best.get(voters / 2).copied()
    }

    /// How many voters have granted it.
    pub(crate) fn votes(&self, now: Instant) -> usize {
        self.votes.values().filter(|t| **t > now).count()
    }
}

/// Whether an entry says that its sender has no leadership and asks for none.
pub(crate) fn relinquishes(entry: &Entry) -> bool {
    entry.lease_request.is_none() && !entry.role.has_leadership()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeIndex = NodeIndex(0);
    const B: NodeIndex = NodeIndex(1);
    const LEASE: Duration = Duration::from_secs(5);

    fn ask(node: NodeIndex, boot: u8, epoch: u64, seq: u64) -> LeaseRequest {
        LeaseRequest { node, boot: BootId([boot; 16]), epoch: Epoch(epoch), seq, lease: LEASE }
    }

    fn fresh() -> Voter {
        Voter::default()
    }

    fn restarted() -> Voter {
        let mut voter = Voter::new(Some((A, BootId([1; 16]))));
        voter.hold_back(at(30));
        voter
    }

    #[test]
    fn a_lease_of_another_length_is_news_and_cuts_nothing_short() {
        let mut voter = fresh();
        assert!(voter.judge(at(1), LeaseRequest { lease: LEASE * 3, ..ask(A, 1, 1, 10) }));
        assert!(voter.judge(at(2), ask(A, 1, 1, 11)), "the candidate may need it before the next heartbeat");
        assert!(voter.granted(at(15)).is_some() && !voter.judge(at(15), ask(B, 2, 2, 20)), "it counts on 16");
        assert!(!voter.judge(at(3), ask(A, 1, 1, 12)));
    }

    #[test]
    fn what_was_asked_for_before_a_change_of_length_counts_no_more() {
        let mut lease = Lease::default();
        lease.begin(at(1), Epoch(1));
        lease.state(at(1), LEASE);
        assert_eq!(lease.stated_at(at(1)), Some(LEASE));
        lease.state(at(4), LEASE * 3);
        assert_eq!([3, 4].map(|t| lease.stated_at(at(t))), [None, Some(LEASE * 3)]);
        lease.state(at(4), LEASE);
        assert_eq!([4, 5].map(|t| lease.stated_at(at(t))), [None, Some(LEASE)], "one of these went out at 4");
    }

    fn at(s: u64) -> Instant {
        Instant::from_millis(s * 1000)
    }

    #[test]
    fn one_node_at_a_time() {
        let mut voter = fresh();
        assert!(voter.judge(at(1), ask(A, 1, 1, 10)));
        assert!(!voter.judge(at(2), ask(B, 2, 2, 10)), "A's grant runs to 6");
        assert!(!voter.judge(at(2), ask(A, 1, 1, 11)), "a renewal is no news");
        assert_eq!(voter.granted(at(6)).map(|g| g.node), Some(A));
        assert!(voter.judge(at(7), ask(B, 2, 2, 20)));
    }

    #[test]
    fn an_epoch_is_granted_to_one_node_only() {
        let mut voter = fresh();
        assert!(voter.judge(at(1), ask(A, 1, 4, 1)));
        assert!(!voter.judge(at(10), ask(B, 2, 4, 1)), "free again, but epoch 4 was A's");
        assert!(!voter.judge(at(10), ask(A, 9, 4, 1)), "and only of that start");
        assert!(voter.judge(at(10), ask(B, 2, 5, 2)));
    }

    #[test]
    fn a_start_that_gave_up_asking_asks_for_its_epoch_again() {
        let mut voter = fresh();
        assert!(voter.judge(at(1), ask(A, 1, 4, 1)));
        assert!(voter.relinquished(A, BootId([1; 16]), 2, None));
        assert!(!voter.judge(at(2), ask(B, 2, 4, 1)), "it is A's");
        assert!(voter.judge(at(2), ask(A, 1, 4, 3)));
    }

    #[test]
    fn a_released_grant_is_kept_for_the_successor() {
        let mut voter = fresh();
        voter.judge(at(1), ask(A, 1, 1, 10));
        assert!(voter.relinquished(A, BootId([1; 16]), 11, Some(B)));
        assert!(!voter.judge(at(2), ask(A, 1, 3, 12)), "not back to A before it ran out");
        assert!(voter.judge(at(2), ask(B, 2, 2, 5)));
    }

    #[test]
    fn an_old_datagram_gives_nothing_up() {
        let mut voter = fresh();
        voter.judge(at(1), ask(A, 1, 1, 10));
        assert!(!voter.relinquished(A, BootId([1; 16]), 9, None));
        assert!(voter.granted(at(2)).is_some());
    }

    #[test]
    fn a_fresh_voter_grants_nothing_but_what_it_gave_before() {
        let mut voter = restarted();
        assert!(!voter.judge(at(1), ask(B, 2, 9, 1)));
        assert!(voter.judge(at(1), ask(A, 1, 3, 1)));
        assert!(!voter.judge(at(29), ask(B, 2, 9, 1)));
        assert!(voter.judge(at(31), ask(B, 2, 9, 1)), "A's ran out and the quarantine is over");
    }

    #[test]
    fn a_fresh_voter_follows_the_handover_of_what_it_gave_before() {
        let mut voter = restarted();
        assert!(
            !voter.relinquished(A, BootId([1; 16]), 9, Some(B)) && !voter.judge(at(1), ask(B, 2, 4, 1)),
            "A is unheard"
        );
        assert!(voter.judge(at(1), ask(A, 1, 3, 10)));
        assert!(voter.relinquished(A, BootId([1; 16]), 11, Some(B)));
        assert!(voter.judge(at(2), ask(B, 2, 4, 5)));
        assert!(!voter.judge(at(3), ask(B, 2, 4, 6)) && voter.granted(at(7)).is_some(), "and renews it");
        assert!(!voter.judge(at(3), ask(A, 1, 5, 12)), "it is B's");
        assert!(!voter.judge(at(9), ask(B, 9, 6, 1)), "it ran out: what else was given is not known");
    }

    #[test]
    fn leadership_lasts_to_the_majority_th_best_grant_and_counts_from_sending() {
        let mut lease = Lease::default();
        lease.begin(at(0), Epoch(4));
        lease.count(A, Epoch(4), at(0), LEASE);
        lease.count(B, Epoch(3), at(1), LEASE);
        assert_eq!(lease.until(at(0), 3), None, "epoch 3 was asked for by an earlier attempt");
        lease.count(B, Epoch(4), at(1), LEASE);
        assert_eq!(lease.until(at(1), 3), Some(Instant::from_millis(4900)));
        assert_eq!(lease.until(at(5), 3), None);
    }
}
