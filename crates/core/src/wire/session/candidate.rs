//! Boots of a peer that were heard of and have not proven to be alive.
//!
//! Anybody who recorded datagrams can make us hear of old boots, so there is a fixed number of
//! places. Who echoes a number that we sent a moment ago cannot be a recording: such a candidate keeps
//! its place when others come.

use crate::model::ids::{BootId, KeyId};
use crate::model::time::Instant;
use crate::wire::{Echo, Heartbeat};
use std::time::Duration;

const PLACES: usize = 32;
/// Answers per heartbeat interval to candidates that may be recordings.
const ANSWERS: u32 = 4;
/// A candidate with a longer interval than ours is kept for so many of its intervals.
const INTERVALS: u32 = 4;

/// A boot on trial.
#[derive(Debug, Clone)]
struct Candidate {
    boot: BootId,
    /// Highest number heard of it.
    seq: u64,
    /// The last number that we had sent when it was first heard of: it proves itself by echoing a later one.
    marker: u64,
    heard: Instant,
    /// When it last echoed a number that we had sent a moment before.
    fresh: Option<Instant>,
    /// Turn in which an echo last named it.
    named: u64,
    interval: Duration,
    accepts: Vec<KeyId>,
}

impl Candidate {
    fn lately(&self, now: Instant, patience: Duration) -> bool {
        now.since(self.heard) < patience.max(self.interval.saturating_mul(INTERVALS))
    }
}

/// All boots on trial of one peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    /// Heard just now: to be answered before the rotation goes on.
    pending: Option<BootId>,
    /// The last datagram was such an answer; the next one is the rotation's.
    answered: bool,
    turn: u64,
    window: Option<Instant>,
    answers: u32,
}

impl Candidates {
    /// Takes note of a datagram of an unknown boot. Returns the number above which an echo proves that
    /// this boot is alive, or `None` if the datagram was heard before.
    pub(super) fn hear(&mut self, now: Instant, hb: &Heartbeat, highest_sent: u64, fresh: bool) -> Option<u64> {
        let index = match self.list.iter().position(|c| c.boot == hb.boot) {
            Some(index) if hb.seq <= self.list[index].seq => return None,
            Some(index) => index,
            None => self.admit(now, hb, highest_sent),
        };
        let candidate = &mut self.list[index];
        candidate.seq = hb.seq;
        candidate.heard = now;
        candidate.interval = hb.interval;
        candidate.accepts.clone_from(&hb.accepts);
        if fresh {
            candidate.fresh = Some(now);
        }
        Some(candidate.marker)
    }

    fn admit(&mut self, now: Instant, hb: &Heartbeat, highest_sent: u64) -> usize {
        if self.list.len() == PLACES {
            let least = self.list.iter().enumerate().min_by_key(|(_, c)| (c.fresh, c.heard)).map(|(i, _)| i);
            self.list.remove(least.unwrap_or(0));
        }
        self.list.push(Candidate {
            boot: hb.boot,
            seq: 0,
            marker: highest_sent,
            heard: now,
            fresh: None,
            named: 0,
            interval: hb.interval,
            accepts: Vec::new(),
        });
        self.list.len() - 1
    }

    /// Whether `boot`, heard just now, is to be answered at once: always if it cannot be a recording, else
    /// a few times per `interval`, so that replays do not make us send as much as they do.
    pub(super) fn answer(&mut self, now: Instant, boot: BootId, fresh: bool, interval: Duration) -> bool {
        if self.window.is_none_or(|since| now.since(since) >= interval) {
            (self.window, self.answers) = (Some(now), 0);
        }
        if !fresh {
            if self.answers == ANSWERS {
                return false;
            }
            self.answers += 1;
        }
        self.pending = Some(boot);
        true
    }

    /// The one that waits for an answer, every other time at most.
    fn waiting(&self) -> Option<&Candidate> {
        self.list.iter().find(|c| Some(c.boot) == self.pending && !self.answered)
    }

    /// The one that the next datagram is for: the one that waits for an answer, else each in turn.
    fn next(&self) -> Option<&Candidate> {
        self.waiting().or_else(|| self.list.iter().min_by_key(|c| c.named))
    }

    /// The echo that names it, unless it fell silent; see [`Self::expire`].
    pub(super) fn echo(&self, now: Instant, patience: Duration) -> Option<Echo> {
        self.next().filter(|c| c.lately(now, patience)).map(|c| Echo { boot: c.boot, seq: c.seq })
    }

    /// The keys that it accepts.
    pub(super) fn accepts(&self) -> Option<&[KeyId]> {
        self.next().map(|c| c.accepts.as_slice())
    }

    /// The keys accepted by the one that waits for an answer.
    pub(super) fn pending_accepts(&self) -> Option<&[KeyId]> {
        self.waiting().map(|c| c.accepts.as_slice())
    }

    /// When one was last heard.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.list.iter().map(|c| c.heard).max()
    }

    /// A datagram left: the next one is for another. Several of one turn, `same_turn`, are all for the same
    /// one, but none takes away the turn of those who wait for the rotation.
    pub(super) fn sent(&mut self, same_turn: bool) {
        if self.pending.is_none() && same_turn {
            return;
        }
        self.turn += 1;
        let (turn, next) = (self.turn, self.next().map(|c| c.boot));
        self.answered = self.waiting().is_some();
        if let Some(named) = self.list.iter_mut().find(|c| Some(c.boot) == next) {
            named.named = turn;
        }
        self.pending = None;
    }

    /// Drops those that were silent for `patience`, or for some intervals of theirs.
    pub(super) fn expire(&mut self, now: Instant, patience: Duration) {
        self.list.retain(|c| c.lately(now, patience));
    }

    /// Forgets them all. Done whenever one has proven itself, since what the others echo from before that
    /// moment proves nothing after it.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        (self.pending, self.answered) = (None, false);
    }
}
