//! Arbiter `cloud`: what the cloud's record says against us, and what must be seen before we try again.
//!
//! A node that cannot see its peers asks the cloud. While active it gives way when two reads a
//! second apart name another member; afterwards a hold-down lasts until something new is known, so
//! that a lasting partition costs one move per wait and never a tug of war.

use crate::election::step_context::StepContext;
use crate::model::ids::{NodeIndex, OperationId, Target};
use crate::model::settings::Group;
use crate::model::time::Instant;
use crate::reconcile::LastRead;
use std::collections::BTreeMap;
use std::time::Duration;

/// A read of the record counts for so long: without a peer the active node announces only on one this recent.
pub(in crate::election) const AUDIT_AGE: Duration = Duration::from_secs(5);
/// A read this soon after a write of ours proves nothing about others.
const OWN_WRITE: Duration = Duration::from_secs(5);
/// Two reads must be this far apart.
const APART: Duration = Duration::from_millis(950);
/// Longest wait without new evidence.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Time between two questions whether the holder's instance runs.
const ASK_INSTANCE: Duration = Duration::from_secs(10);

/// First of the two reads.
#[derive(Debug, Clone)]
struct Seen {
    holder: String,
    issued: Instant,
    at: Instant,
}

/// What was read of one HAVIP against us.
#[derive(Debug, Default)]
struct Against {
    seen: Option<Seen>,
    judged: Option<Instant>,
}

/// A hold-down.
#[derive(Debug, Clone)]
pub(crate) struct HoldDown {
    /// The target that the cloud names.
    pub(crate) by: String,
    /// For this HAVIP of the group: what it says of another is no evidence.
    havip: usize,
    pub(crate) node: Option<NodeIndex>,
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    /// Only since this node could not hear the holder's node.
    deaf: bool,
    nobody: Option<Instant>,
    asked: Option<OperationId>,
    ask_at: Instant,
}

/// Evidence of one group.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    against: BTreeMap<usize, Against>,
    held: Option<HoldDown>,
    /// How often the wait ran out without new evidence.
    waits: u32,
    /// The target of the last hold-down, and since when that one had lasted: what it has may be claimed.
    released: Option<(String, Instant)>,
}

impl Superseded {
    /// The hold-down, while one lasts.
    pub(crate) fn held(&self) -> Option<&HoldDown> {
        self.held.as_ref()
    }

    /// Active: whether this read of a HAVIP, with an earlier one of it, takes leadership away. Gives the holder.
    pub(crate) fn watch(
        &mut self,
        step: &mut StepContext<'_>,
        havip: usize,
        other: Option<(&str, NodeIndex)>,
        read: &LastRead,
        wrote: Option<Instant>,
    ) -> Option<String> {
        let against = self.against.entry(havip).or_default();
        let unseen = other.filter(|(_, n)| step.peers.of(*n).is_none_or(|p| !p.up(step.now)));
        if against.judged.replace(read.issued) == Some(read.issued) {
            // Whatever keeps the second read away, be it our own allowance, must not keep a superseded node active.
            let seen = against.seen.as_ref().filter(|_| unseen.is_some())?;
            return step.due(seen.at + AUDIT_AGE).then(|| seen.holder.clone());
        }
        let too_soon = wrote.is_some_and(|w| read.issued < w + OWN_WRITE);
        let Some((holder, _)) = unseen.filter(|_| !too_soon) else {
            against.seen = None;
            return None;
        };
        match &against.seen {
            Some(first) if first.holder == holder => (read.issued >= first.issued + APART).then(|| holder.to_owned()),
            _ => {
                against.seen = Some(Seen { holder: holder.to_owned(), issued: read.issued, at: read.at });
                step.wake(read.at + AUDIT_AGE);
                None
            }
        }
    }

    /// A claim succeeded: what was seen before is over. How often we waited counts on.
    pub(crate) fn settle(&mut self) {
        self.against.clear();
        self.held = None;
        self.released = None;
    }

    /// There was a hold-down for `by` already, and new evidence or the wait ended that.
    pub(crate) fn released(&self, by: &str) -> bool {
        self.released_since(by, Instant::default())
    }

    /// The same, if that holding back began at `since` or later.
    pub(crate) fn released_since(&self, by: &str, since: Instant) -> bool {
        self.released.as_ref().is_some_and(|(target, held)| target == by && *held >= since)
    }

    fn release(&mut self) {
        self.released = self.held.take().map(|h| (h.by, h.since));
    }

    /// The hold-down is for want of hearing the holder's node: that we can again, and listened, is new evidence.
    pub(crate) fn until_heard_out(&mut self) {
        if let Some(held) = &mut self.held {
            held.deaf = true;
        }
    }

    /// Whose instance the hold-down is for.
    pub(crate) fn held_by(&mut self, node: Option<NodeIndex>) {
        if let Some(held) = &mut self.held {
            held.node = node;
        }
    }

    /// keepalived has decided for us: what the cloud said before is history.
    pub(crate) fn forgive(&mut self) {
        self.against.clear();
        self.waits = 0;
        if self.held.is_some() {
            self.release();
        }
    }

    /// Begins a hold-down, over what the cloud says of the HAVIP at this place in the group.
    pub(crate) fn hold_down(
        &mut self,
        step: &StepContext<'_>,
        group: &Group,
        havip: usize,
        by: &str,
        node: Option<NodeIndex>,
    ) {
        if self.held.as_ref().is_some_and(|h| h.by == by) {
            return;
        }
        let wait = group.reclaim_wait.saturating_mul(4_u32.saturating_pow(self.waits)).min(LONGEST_WAIT);
        self.held = Some(HoldDown {
            by: by.to_owned(),
            havip,
            node,
            since: step.now,
            until: step.now + wait,
            deaf: false,
            nobody: None,
            asked: None,
            ask_at: step.now,
        });
        self.against.clear();
    }

    /// The HAVIP that the hold-down is over.
    pub(crate) fn over(&self) -> Option<usize> {
        self.held.as_ref().map(|h| h.havip)
    }

    /// Holding back: whether there is new evidence, in words. Clears the hold if so.
    pub(crate) fn evidence(&mut self, step: &mut StepContext<'_>, read: Option<&LastRead>) -> Option<String> {
        let me = step.identity.map(Target::id);
        let held = self.held.as_mut()?;
        let read = read.filter(|r| r.issued > held.since);
        let holder = read.map(|r| r.havip.holder());
        let met = held.node.is_some_and(|n| step.peers.of(n).is_some_and(|p| p.up(step.now)));
        let holder_node = held.node.and_then(|n| step.peers.of(n));
        let deaf = held.deaf && holder_node.is_some_and(|p| p.unheard(step.now).is_none());
        let listened = deaf && holder_node.is_some_and(|p| step.due(p.listened_from()));
        let new = if met {
            Some("a two-way session with the holder".to_owned())
        } else if listened {
            Some("this node could hear its peer again, and heard nothing for a dead time".to_owned())
        } else if holder.is_some_and(|h| h.is_some() && h == me) {
            Some("the cloud names us".to_owned())
        } else if holder == Some(None) {
            let issued = read.map_or(step.now, |r| r.issued);
            let first = *held.nobody.get_or_insert(issued);
            (issued >= first + APART).then(|| "no holder in two reads".to_owned())
        } else {
            held.nobody = None;
            None
        };
        if new.is_some() {
            self.release();
            self.waits = 0;
            return new;
        }
        if step.due(held.until) {
            self.release();
            self.waits = self.waits.saturating_add(1);
            return Some("the reclaim wait is over".to_owned());
        }
        None
    }

    /// The question whether the holder's instance runs, when it is time to ask it.
    pub(crate) fn question(&mut self, step: &mut StepContext<'_>) -> Option<(OperationId, Target)> {
        let held = self.held.as_mut()?;
        let at = held.ask_at;
        if !step.due(at) {
            return None;
        }
        let target: Target = held.by.parse().ok()?;
        held.ask_at = step.now + ASK_INSTANCE;
        step.wake(held.ask_at);
        let op = step.operation();
        held.asked = Some(op);
        Some((op, target))
    }

    /// The answer; false when nobody waits for it.
    pub(crate) fn answered(&mut self, op: OperationId, runs: Option<bool>) -> bool {
        let expected = self.held.as_ref().is_some_and(|h| h.asked == Some(op));
        if expected && runs == Some(false) {
            self.release();
            self.waits = 0;
        }
        expected
    }

    /// The HAVIP answered a fabric probe through somebody else: it is served, the wait starts again.
    pub(crate) fn still_served(&mut self, step: &StepContext<'_>, group: &Group) {
        if let Some(held) = &mut self.held {
            let wait = group.reclaim_wait.saturating_mul(4_u32.saturating_pow(self.waits)).min(LONGEST_WAIT);
            held.until = step.now + wait;
        }
    }
}
