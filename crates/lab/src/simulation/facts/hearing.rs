//! What one node has heard of another: which datagrams were there to be read, and which of them counted.
//!
//! A datagram counts by the rules of docs/protocol.md, "Sessions", told again here in a few lines, without numbers and
//! tags: the network itself says when it was sent, by which run of the daemon, and what had arrived there by then.

use super::Stated;
use havipd_core::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// A node forgets a run that has not proven itself after so many of its intervals, or a dead time of its own.
const FORGOTTEN_AFTER: u32 = 4;

/// So many intervals without a heartbeat are shorter than any lease, which is four at least.
const GAP: u32 = 3;

/// What is known of a heartbeat where it was sent.
#[derive(Debug)]
pub(in crate::simulation) struct Stamp {
    /// The run of the daemon that sent it.
    pub(in crate::simulation) run: u64,
    pub(in crate::simulation) sent: Instant,
    /// Rises with each step of any node: all copies of a datagram have the same.
    pub(in crate::simulation) number: u64,
    /// The receiver's run that it names, and when the datagram of it that it echoes was sent.
    pub(in crate::simulation) echo: Option<(u64, Instant)>,
    pub(in crate::simulation) stated: Arc<Stated>,
}

/// A heartbeat where it arrives.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Arrival {
    pub(in crate::simulation) from: usize,
    /// When it was there, in the world's time and in the receiver's.
    pub(in crate::simulation) at: Instant,
    pub(in crate::simulation) guest: Instant,
    pub(in crate::simulation) stamp: Arc<Stamp>,
}

/// The last datagram that counted.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Last {
    pub(in crate::simulation) run: u64,
    pub(in crate::simulation) sent: Instant,
    /// When it was there, in the world's time and in the receiver's.
    pub(in crate::simulation) at: Instant,
    pub(in crate::simulation) guest: Instant,
    /// Since when none of its heartbeats was missed for long.
    pub(in crate::simulation) unbroken: Instant,
    /// When the newest datagram of ours that it echoes was sent.
    pub(in crate::simulation) echoed: Instant,
    pub(in crate::simulation) stated: Arc<Stated>,
}

/// A run that has not proven itself, or the one that has.
#[derive(Debug, Clone, Copy)]
struct Run {
    run: u64,
    /// First and last heard.
    since: Instant,
    heard: Instant,
    interval: Duration,
    /// Sending time and number of the newest one heard.
    newest: Instant,
    number: u64,
}

/// What one node has heard of another since its start.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Hearing {
    established: Option<Run>,
    candidate: Option<Run>,
    /// The last datagram that counted.
    pub(in crate::simulation) last: Option<Last>,
}

impl Hearing {
    /// What a datagram names that is sent to that node now, by one with that dead time.
    pub(super) fn echo(&self, now: Instant, dead_time: Duration) -> Option<(u64, Instant)> {
        let lately = |r: &Run| now.since(r.heard) < dead_time.max(r.interval * FORGOTTEN_AFTER);
        self.established.or(self.candidate.filter(lately)).map(|r| (r.run, r.newest))
    }

    /// A datagram is there, and `read` when the receiver comes to it; `run` is the receiver's own.
    pub(super) fn take(&mut self, run: u64, read: Instant, arrival: &Arrival) {
        let Arrival { at: now, guest, stamp, .. } = arrival;
        let (now, guest) = (*now, *guest);
        let names_us = stamp.echo.filter(|(named, _)| *named == run).map(|(_, sent)| sent);
        match &mut self.established {
            Some(known) if known.run == stamp.run => {
                if stamp.number <= known.number {
                    return;
                }
                (known.newest, known.number) = (stamp.sent, stamp.number);
            }
            _ => {
                let candidate = match &mut self.candidate {
                    Some(c) if c.run == stamp.run => c,
                    other => {
                        let (heard, interval) = (now, stamp.stated.interval);
                        // What is to be echoed is what left after that, and who is behind with reading did not know of it before.
                        // (seed 60859)
                        other.insert(Run {
                            run: stamp.run,
                            since: read,
                            heard,
                            interval,
                            newest: stamp.sent,
                            number: 0,
                        })
                    }
                };
                (candidate.heard, candidate.interval) = (now, stamp.stated.interval);
                candidate.newest = candidate.newest.max(stamp.sent);
                candidate.number = candidate.number.max(stamp.number);
                if names_us.is_none_or(|sent| sent < candidate.since) {
                    return;
                }
                self.established = self.candidate.take();
            }
        }
        // Whomever it names: what it has not heard of us says nothing of whether it is alive.
        let before = self.last.as_ref().filter(|l| l.run == stamp.run).map(|l| l.echoed);
        let echoed = names_us.max(before).unwrap_or_default();
        let stated = Arc::clone(&stamp.stated);
        let unbroken = match &self.last {
            Some(l) if l.run == stamp.run && now.since(l.at) <= stated.interval * GAP => l.unbroken,
            _ => now,
        };
        self.last = Some(Last { run: stamp.run, sent: stamp.sent, at: now, guest, unbroken, echoed, stated });
    }
}
