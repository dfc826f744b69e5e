//! The boot of a peer that has proven itself, and what it said last.

use super::sent::SentLog;
use super::uptime::UptimeTracker;
use crate::model::ids::{BootId, KeyId};
use crate::model::time::Instant;
use crate::wire::{Heartbeat, Leaving};
use std::time::Duration;

/// The boot of the peer that has proven itself.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) boot: BootId,
    /// The last number that counted: what our echo says.
    pub(super) seq: u64,
    pub(super) proven_at: Instant,
    pub(super) heard: Instant,
    /// From when on its silence counts: when it was heard, or when we came back.
    pub(super) silent_since: Instant,
    /// This silence was made longer already, since nobody had read here for a while.
    pub(super) heard_out: bool,
    pub(super) echoed: u64,
    pub(super) echoed_at: Option<Instant>,
    /// From when on missing echoes count: when what it echoed last was sent, or when we came back.
    pub(super) deaf_since: Instant,
    pub(super) interval: Duration,
    pub(super) accepts: Vec<KeyId>,
    /// The key that its last datagram was made with.
    pub(super) key: KeyId,
    pub(super) leaving: Leaving,
    pub(super) uptime: UptimeTracker,
}

impl Peer {
    /// The boot that `hb` proves; what it says is still to be taken.
    pub(super) fn new(now: Instant, hb: &Heartbeat, sent: &SentLog) -> Self {
        Self {
            boot: hb.boot,
            seq: hb.seq,
            proven_at: now,
            heard: now,
            silent_since: now,
            heard_out: false,
            echoed: 0,
            echoed_at: None,
            deaf_since: sent.at(hb.echo.seq).unwrap_or(now),
            interval: hb.interval,
            accepts: Vec::new(),
            key: hb.key,
            leaving: Leaving::No,
            uptime: UptimeTracker::default(),
        }
    }

    /// Takes what a datagram that counts, and arrived at `at`, says of the session itself; `names_us` if it echoes this boot.
    pub(super) fn take(&mut self, at: Instant, hb: &Heartbeat, names_us: bool, sent: &SentLog, multiplier: u32) {
        self.seq = hb.seq;
        self.heard = self.heard.max(at);
        self.silent_since = self.silent_since.max(at);
        self.heard_out = false;
        self.interval = hb.interval;
        self.accepts.clone_from(&hb.accepts);
        self.key = hb.key;
        self.leaving = hb.leaving;
        if !names_us {
            return;
        }
        if hb.leaving != Leaving::Gone
            && let Some(heard) = sent.at(hb.echo.seq)
        {
            self.uptime.record(heard, at, hb.uptime, hb.interval.saturating_mul(multiplier));
        }
        if hb.echo.seq > self.echoed {
            self.echoed = hb.echo.seq;
            if let Some(sent) = sent.at(hb.echo.seq) {
                self.echoed_at = Some(sent);
                self.deaf_since = self.deaf_since.max(sent);
            }
        }
    }
}
