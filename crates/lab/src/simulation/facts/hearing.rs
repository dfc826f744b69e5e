//! What one node has heard of another: which datagrams were there to be read, and which of them counted.
//!
//! A datagram counts by the rules of docs/protocol.md, "Sessions", told again here in a few lines, without numbers and
//! tags: the network itself says when it was sent, by which run of the daemon, and what had arrived there by then.

use super::Stated;
use havipd_core::model::time::Instant;
use std::sync::Arc;

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

/// The last datagram that counted.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Last {
    pub(in crate::simulation) run: u64,
    pub(in crate::simulation) sent: Instant,
    /// When it was there, in the world's time and in the receiver's.
    pub(in crate::simulation) at: Instant,
    pub(in crate::simulation) guest: Instant,
    /// When the newest datagram of ours that it echoes was sent.
    pub(in crate::simulation) echoed: Instant,
    pub(in crate::simulation) stated: Arc<Stated>,
}

/// A run that has not proven itself, or the one that has.
#[derive(Debug, Clone, Copy)]
struct Run {
    run: u64,
    /// First heard.
    since: Instant,
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
    /// What the next datagram to that node names.
    pub(super) fn echo(&self) -> Option<(u64, Instant)> {
        self.established.or(self.candidate).map(|r| (r.run, r.newest))
    }

    /// A datagram is there; `run` is the receiver's own.
    pub(super) fn take(&mut self, now: Instant, guest: Instant, run: u64, stamp: &Stamp) {
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
                    other => other.insert(Run { run: stamp.run, since: now, newest: stamp.sent, number: 0 }),
                };
                candidate.newest = candidate.newest.max(stamp.sent);
                candidate.number = candidate.number.max(stamp.number);
                if names_us.is_none_or(|sent| sent < candidate.since) {
                    return;
                }
                self.established = self.candidate.take();
            }
        }
        if let Some(echoed) = names_us {
            let echoed = self.last.as_ref().filter(|l| l.run == stamp.run).map_or(echoed, |l| l.echoed.max(echoed));
            let stated = Arc::clone(&stamp.stated);
            self.last = Some(Last { run: stamp.run, sent: stamp.sent, at: now, guest, echoed, stated });
        }
    }
}
