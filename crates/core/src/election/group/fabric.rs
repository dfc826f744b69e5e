//! Who gets the packets of a group's HAVIPs, as its probes told, and what a drill watches.

use crate::model::ids::{Epoch, NodeIndex};
use crate::model::tag::Tag;
use crate::model::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Time between two questions while something has just changed, or while holding back.
pub(in crate::election) const OFTEN: Duration = Duration::from_secs(1);
/// Between two questions of a trace.
const EVERY: Duration = Duration::from_millis(20);
/// A trace ends by itself.
const LONGEST: Duration = Duration::from_secs(60);

/// What one group's probes told.
#[derive(Debug, Default)]
pub(crate) struct Fabric {
    /// Of the last question.
    nonce: [u8; 16],
    /// When the next one is due.
    next: Instant,
    /// Watched closely, for a drill.
    trace: Option<Trace>,
    /// The last question that was passed on for a peer.
    relay: Option<Relay>,
    /// The term in which the first packet arrived here.
    arrived: Option<Epoch>,
    /// Who answered last, and when.
    answered: Option<(NodeIndex, Instant)>,
}

impl Fabric {
    /// Nothing is to be asked here; as soon as it is, the first question is due.
    pub(in crate::election) fn rest(&mut self, now: Instant) {
        self.next = now;
    }

    /// Until when no question is due. What was settled before something changed counts no more after it: who is watchful
    /// asks at once, instead of waiting for longer than [`OFTEN`].
    pub(in crate::election) fn rests_until(&self, now: Instant, watchful: bool) -> Option<Instant> {
        let soon = !watchful || self.next <= now + OFTEN;
        Some(self.next).filter(|next| now < *next && soon)
    }

    /// A question is asked, with `nonce`; the one after it is due at `next`.
    pub(in crate::election) fn ask(&mut self, nonce: [u8; 16], next: Instant) {
        (self.nonce, self.next) = (nonce, next);
    }

    /// Somebody answered. False if it is not the last question that was answered.
    pub(in crate::election) fn note_answer(&mut self, nonce: [u8; 16], by: NodeIndex, now: Instant) -> bool {
        let ours = self.nonce == nonce;
        if ours {
            self.answered = Some((by, now));
        }
        ours
    }

    /// Who answered last, and when.
    pub(in crate::election) fn answered(&self) -> Option<(NodeIndex, Instant)> {
        self.answered
    }

    /// A packet arrived here in the term `epoch`. Says whether it is the first one.
    pub(in crate::election) fn note_arrival(&mut self, epoch: Epoch) -> bool {
        self.arrived.replace(epoch) != Some(epoch)
    }

    /// A question is passed on for a peer.
    pub(in crate::election) fn pass_on(&mut self, question: Relay) {
        self.relay = Some(question);
    }

    /// The question that was passed on with `nonce`.
    pub(in crate::election) fn passed_on(&self, nonce: [u8; 16]) -> Option<Relay> {
        self.relay.filter(|relay| relay.nonce == nonce)
    }

    /// A drill begins to watch where packets go; its questions have this nonce.
    pub(in crate::election) fn begin_trace(&mut self, now: Instant, nonce: [u8; 16]) {
        self.trace = Some(Trace { began: now, until: now + LONGEST, next: now, nonce, seen: BTreeMap::new() });
    }

    /// What a drill watches, or watched last.
    pub(in crate::election) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// What a drill watches now.
    pub(in crate::election) fn running_trace(&mut self, now: Instant) -> Option<&mut Trace> {
        self.trace.as_mut().filter(|trace| now < trace.until)
    }
}

/// Where packets went, as each node saw it.
#[derive(Debug)]
pub(in crate::election) struct Trace {
    began: Instant,
    until: Instant,
    next: Instant,
    nonce: [u8; 16],
    /// By who asked and who answered.
    seen: BTreeMap<(NodeIndex, NodeIndex), Seen>,
}

impl Trace {
    pub(in crate::election) fn began(&self) -> Instant {
        self.began
    }

    /// The nonce to ask with, if a question is due now.
    pub(in crate::election) fn ask(&mut self, now: Instant) -> Option<[u8; 16]> {
        let due = now >= self.next;
        if due {
            self.next = now + EVERY;
        }
        due.then_some(self.nonce)
    }

    /// When the next question is due.
    pub(in crate::election) fn next(&self) -> Instant {
        self.next
    }

    /// `at` answered a question of `from`, if it was one of these.
    pub(in crate::election) fn note(&mut self, now: Instant, nonce: [u8; 16], from: NodeIndex, at: NodeIndex) {
        if nonce == self.nonce {
            let seen = self.seen.entry((from, at)).or_insert(Seen { first: now, last: now, answers: 0 });
            seen.last = now;
            seen.answers += 1;
        }
    }

    /// By who asked and who answered.
    pub(in crate::election) fn seen(&self) -> &BTreeMap<(NodeIndex, NodeIndex), Seen> {
        &self.seen
    }
}

#[derive(Debug, Clone, Copy)]
pub(in crate::election) struct Seen {
    pub(in crate::election) first: Instant,
    pub(in crate::election) last: Instant,
    pub(in crate::election) answers: u64,
}

/// A question that a peer had us pass on.
#[derive(Debug, Clone, Copy)]
pub(in crate::election) struct Relay {
    pub(in crate::election) asker: Tag,
    pub(in crate::election) back: SocketAddr,
    pub(in crate::election) path: usize,
    pub(in crate::election) nonce: [u8; 16],
}
