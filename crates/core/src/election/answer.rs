//! Answers to asks that cannot wait for the next regular heartbeat: those of a lease of few intervals of ours.
//!
//! They go to the asker alone, and have a budget of their own: news must not use it up. An answer is a datagram with our own
//! asks in it, so that two nodes that both ask would answer each other for ever; hence how often, in parts of the lease.

use super::Core;
use super::peer::Peer;
use crate::model::ids::{GroupIndex, NodeIndex};
use crate::model::time::Instant;
use std::time::Duration;

/// A lease of fewer intervals than this cannot miss one heartbeat unless each ask is answered at once.
const INTERVALS: u32 = 4;
/// An ask is not answered at once if one of less than this part of the lease before it was.
const ENOUGH: u32 = 8;
/// Time between two answers to one node, as a part of the lease: with many groups their asks come in several datagrams.
const APART: u32 = 16;

/// When asks of one group came.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Asks {
    latest: Instant,
    /// The latest that was answered.
    answered: Instant,
}

impl Asks {
    /// Another one came; `sent` is when the asker was sent a datagram last. Whether it is to be answered at once.
    fn come(&mut self, now: Instant, sent: Option<Instant>, lease: Duration) -> bool {
        if sent.is_some_and(|at| at >= self.latest) {
            self.answered = self.latest;
        }
        self.latest = now;
        now >= self.answered + lease / ENOUGH
    }
}

impl Peer {
    /// Whether it is to be answered now.
    pub(super) fn answer_due(&self, now: Instant) -> bool {
        self.answer_at.is_some_and(|at| now >= at)
    }
}

impl Core {
    /// Sees to it that an ask of `node` for `lease` is answered early enough.
    pub(super) fn answer_in_time(&mut self, now: Instant, node: NodeIndex, index: GroupIndex, lease: Duration) {
        if lease >= self.config.heartbeat.interval * INTERVALS {
            return;
        }
        let Some(peer) = self.peers.of_mut(node) else { return };
        let sent = peer.session.last_sent();
        if self.groups[index.0].voter.asks.come(now, sent, lease) {
            let at = sent.map_or(now, |sent| sent + lease / APART).max(now);
            peer.answer_at = Some(peer.answer_at.map_or(at, |before| before.min(at)));
        }
    }

    /// When the next answer is due.
    pub(super) fn next_answer(&self) -> Option<Instant> {
        self.peers.iter().filter_map(|p| p.answer_at).min()
    }
}
