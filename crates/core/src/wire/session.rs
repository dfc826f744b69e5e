//! One peer, as seen through its datagrams: which of them count, and what its silence means.
//!
//! A datagram *counts* only if its boot has proven itself to our boot, and its number is above the last
//! one of it. A boot that is new to us is a *candidate*: it takes the place of the one before only when it
//! echoes a number that we sent after first hearing of it, which no recording can do. So replayed,
//! reflected and copied datagrams change nothing, and no clock is compared with another's.
//! (election.md §1; the caller has verified the tag and looked sender and receiver up.)
//!
//! ```text
//!                a boot echoes what we                       heard, and what we sent
//!                sent since hearing of it                    lately is echoed
//!   Unproven ───────────────────────────► Up ◄───────────────────────────────┐
//!                                         │ ▲                                │
//!            what we send is not echoed   │ │ counting datagram              │
//!            for a dead time              ▼ │                                │
//!                                    OneWay ─┴─ silent for a dead time ──► Down
//!                                             or it said that it is gone
//! ```
//!
//! An established boot is always the one that our echo names, however long it is silent: naming a
//! candidate instead would be of no use (it learns our boot from any datagram), and a peer that hears
//! us but is not heard would take it for deafness. Candidates are named, in turn, while there is none.

mod candidate;
mod path;
mod peer;
mod report;
mod sent;
mod uptime;

#[cfg(test)]
mod tests;

pub use path::PathStats;
pub use report::{Reason, SessionState, SessionStats, Verdict};

use super::{Echo, Heartbeat, Leaving};
use crate::model::ids::{BootId, KeyId};
use crate::model::time::Instant;
use candidate::Candidates;
use peer::Peer;
use sent::SentLog;
use std::time::Duration;

/// The session with one peer.
#[derive(Debug, Clone)]
pub struct Session {
    since: Instant,
    our_boot: BootId,
    multiplier: u32,
    own_interval: Duration,
    sent: SentLog,
    peer: Option<Peer>,
    candidates: Candidates,
    stats: SessionStats,
}

/// What a peer is suspected after: one interval, and half of one for delay.
pub(crate) fn suspicion(interval: Duration) -> Duration {
    interval.saturating_mul(3) / 2
}

impl Session {
    /// A session of our start `our_boot`, in which nothing was heard yet.
    ///
    /// `multiplier` is `dead-multiplier`, `own_interval` our heartbeat interval. A session lasts as long
    /// as the boot: made anew in between, it would take echoes of earlier numbers for a clone's.
    #[must_use]
    pub fn new(now: Instant, our_boot: BootId, multiplier: u32, own_interval: Duration) -> Self {
        Self {
            since: now,
            our_boot,
            multiplier,
            own_interval,
            sent: SentLog::default(),
            peer: None,
            candidates: Candidates::default(),
            stats: SessionStats::default(),
        }
    }

    /// A reload changed `dead-multiplier`.
    pub fn set_multiplier(&mut self, multiplier: u32) {
        self.multiplier = multiplier;
    }

    /// Our heartbeats now go out every `interval`.
    pub fn set_own_interval(&mut self, interval: Duration) {
        self.own_interval = interval;
    }

    /// We took another boot id: nothing that was proven holds any more, on either side.
    pub fn rebooted(&mut self, now: Instant, our_boot: BootId) {
        self.since = now;
        self.our_boot = our_boot;
        self.sent = SentLog::default();
        self.peer = None;
        self.candidates.clear();
        path::renumber(&mut self.stats.paths);
    }

    /// Datagram `seq`, with the echo that [`Self::echo`] gave, was sent to this peer.
    ///
    /// Numbers must rise within a boot; losses per path are told right only if each peer has numbers
    /// of its own, without gaps.
    pub fn record_sent(&mut self, now: Instant, seq: u64) {
        let same_turn = self.sent.last() == Some(now);
        if self.sent.record(now, seq) {
            self.candidates.sent(same_turn);
            self.candidates.expire(now, self.own_dead_time());
        }
    }

    /// When our datagram `seq` left, or an instant before that; `None` if it did not, or too long ago to
    /// know.
    #[must_use]
    pub fn sent_at(&self, seq: u64) -> Option<Instant> {
        self.sent.at(seq)
    }

    /// Takes a heartbeat of this peer, for this node, whose tag verified; `path` is the address of ours
    /// that it came in on, `at` when it arrived there: what was read late is no newer for that.
    pub fn receive(&mut self, at: Instant, path: u8, heartbeat: &Heartbeat) -> Verdict {
        let verdict = self.judge(at, path, heartbeat);
        self.stats.count(verdict);
        verdict
    }

    /// Counts a datagram that was dropped; for the reasons that the caller finds.
    pub fn dropped(&mut self, reason: Reason) {
        self.stats.count(Verdict::Dropped(reason));
    }

    fn judge(&mut self, now: Instant, path: u8, hb: &Heartbeat) -> Verdict {
        let known = self.peer.as_ref().filter(|peer| peer.boot == hb.boot).map(|peer| peer.seq);
        let names_us = hb.echo.boot == self.our_boot;
        if let Some(last) = known {
            // The number of a last datagram says nothing of how many came before it.
            let follows = hb.path == path && hb.leaving != Leaving::Gone;
            let new_here = follows && path::record(&mut self.stats.paths, now, path, hb.seq);
            if hb.seq <= last {
                return match new_here {
                    true if names_us && hb.echo.seq <= self.sent.highest() => Verdict::Late,
                    true => Verdict::Dropped(Reason::Overtaken),
                    false => Verdict::Dropped(Reason::Replayed),
                };
            }
        }
        if names_us && hb.echo.seq > self.sent.highest() {
            return Verdict::Dropped(Reason::ImpossibleEcho);
        }
        let Some(peer) = self.peer.as_mut().filter(|_| known.is_some()) else {
            return self.meet(now, path, hb, names_us);
        };
        if names_us
            && hb.echo.seq > peer.echoed
            && let Some(at) = self.sent.at(hb.echo.seq)
        {
            self.stats.echo.observe(now.since(at));
        }
        // ⚠ A boot that proved itself to this start is alive, whomever it names: that it names nobody, or an earlier start of
        // ours, says that it does not hear us. (I12, `peer-dead`; seed 70100)
        peer.take(now, hb, names_us, &self.sent, self.multiplier);
        Verdict::Counts { proven: false }
    }

    /// A datagram of a boot that is not established.
    fn meet(&mut self, now: Instant, path: u8, hb: &Heartbeat, names_us: bool) -> Verdict {
        let sent = self.sent.at(hb.echo.seq).filter(|_| names_us);
        let fresh = sent.is_some_and(|at| now.since(at) < self.echo_time());
        let Some(marker) = self.candidates.hear(now, hb, self.sent.highest(), fresh) else {
            return Verdict::Dropped(Reason::Replayed);
        };
        if names_us && hb.echo.seq > marker {
            self.establish(now, path, hb);
            return Verdict::Counts { proven: true };
        }
        if self.candidates.answer(now, hb.boot, fresh, self.own_interval) {
            Verdict::Candidate
        } else {
            Verdict::Dropped(Reason::StaleEcho)
        }
    }

    fn establish(&mut self, now: Instant, path: u8, hb: &Heartbeat) {
        self.candidates.clear();
        path::renumber(&mut self.stats.paths);
        if hb.path == path && hb.leaving != Leaving::Gone {
            path::record(&mut self.stats.paths, now, path, hb.seq);
        }
        let mut peer = Peer::new(now, hb, &self.sent);
        peer.take(now, hb, true, &self.sent, self.multiplier);
        self.peer = Some(peer);
    }

    /// What the next datagram to this peer says of what was heard from it.
    #[must_use]
    pub fn echo(&self, now: Instant) -> Echo {
        let established = self.peer.as_ref().map(|peer| Echo { boot: peer.boot, seq: peer.seq });
        established.or_else(|| self.candidates.echo(now, self.own_dead_time())).unwrap_or_default()
    }

    /// Whether what names `boot` as its sender's, and `echo` as what it heard of us, was made in this session, and lately: a
    /// number that it echoes was sent within a dead time.
    #[must_use]
    pub fn vouches_for(&self, now: Instant, boot: BootId, echo: Echo) -> bool {
        let sent = self.sent.at(echo.seq).filter(|_| echo.boot == self.our_boot);
        self.peer_boot() == Some(boot) && sent.is_some_and(|at| now.since(at) < self.echo_time())
    }

    /// The keys accepted by the boot that the next datagram is for; empty if none was heard.
    #[must_use]
    pub fn peer_accepts(&self) -> &[KeyId] {
        let established = self.peer.as_ref().map(|peer| peer.accepts.as_slice());
        let pending = self.candidates.pending_accepts();
        pending.or(established).or_else(|| self.candidates.accepts()).unwrap_or_default()
    }

    /// The key that the last datagram that counted was made with.
    #[must_use]
    pub fn peer_sends_with(&self) -> Option<KeyId> {
        self.peer.as_ref().map(|peer| peer.key)
    }

    /// What is known of the peer.
    ///
    /// That it does not hear us is judged by what it says: its silence is no sign of deafness, so a peer
    /// that dies goes from up to down.
    #[must_use]
    pub fn state(&self, now: Instant) -> SessionState {
        match &self.peer {
            None => SessionState::Unproven,
            Some(_) if now >= self.dead_at() => SessionState::Down,
            Some(peer) if peer.silent_since.since(peer.deaf_since) >= self.echo_time() => SessionState::OneWay,
            Some(_) => SessionState::Up,
        }
    }

    /// When a datagram last counted.
    #[must_use]
    pub fn last_heard(&self) -> Option<Instant> {
        self.peer.as_ref().map(|peer| peer.heard)
    }

    /// When a datagram was last sent to it, answered or not.
    #[must_use]
    pub fn last_sent(&self) -> Option<Instant> {
        self.sent.last()
    }

    /// When the latest datagram of ours that it echoed was sent.
    #[must_use]
    pub fn last_echoed(&self) -> Option<Instant> {
        self.peer.as_ref().and_then(|peer| peer.echoed_at)
    }

    /// Nobody read here between `last_turn` and `now`: who was not dead by then is not dead before there was time
    /// for its next datagram. Once in a silence, or a host that stops and goes would wait for a dead peer for ever. Says whether
    /// this is that once: then the silence of one who was dead by then is to be listened to again, too.
    pub fn hear_out(&mut self, last_turn: Instant, now: Instant) -> bool {
        let alive = last_turn < self.dead_at();
        let (dead_time, interval) = (self.dead_time(), self.peer_interval());
        let Some(peer) = self.peer.as_mut().filter(|peer| !peer.heard_out) else { return false };
        let heard_out = (now + suspicion(interval)).before(dead_time);
        peer.heard_out = heard_out > peer.silent_since;
        if alive {
            peer.silent_since = peer.silent_since.max(heard_out);
        }
        peer.heard_out
    }

    /// The boot that proved itself.
    #[must_use]
    pub fn peer_boot(&self) -> Option<BootId> {
        self.peer.as_ref().map(|peer| peer.boot)
    }

    /// When that boot proved itself.
    #[must_use]
    pub fn proven_at(&self) -> Option<Instant> {
        self.peer.as_ref().map(|peer| peer.proven_at)
    }

    /// When a boot was last heard that has not proven itself. Anybody can cause it: for people only.
    #[must_use]
    pub fn candidate_heard(&self) -> Option<Instant> {
        self.candidates.heard()
    }

    /// The interval to expect of the peer: ours, which nodes of one file agree on, or a longer one that it states.
    #[must_use]
    pub fn peer_interval(&self) -> Duration {
        self.peer.as_ref().map_or(self.own_interval, |peer| peer.interval.max(self.own_interval))
    }

    /// Silence after which the peer is dead: its interval times our multiplier, or what it announced
    /// for its restart.
    #[must_use]
    pub fn dead_time(&self) -> Duration {
        match &self.peer {
            Some(Peer { leaving: Leaving::Restarting(keep_for), .. }) => *keep_for,
            Some(Peer { leaving: Leaving::Gone, .. }) => Duration::ZERO,
            _ => self.peer_interval().saturating_mul(self.multiplier),
        }
    }

    /// When the peer is dead if nothing more is heard; before it is proven, when one dead time of
    /// ours has passed.
    #[must_use]
    pub fn dead_at(&self) -> Instant {
        self.peer.as_ref().map_or(self.since, |peer| peer.silent_since) + self.dead_time()
    }

    /// When the peer is suspected if nothing more is heard: 1.5 intervals after it was, and after an
    /// announced restart as long before [`Self::dead_at`] as usual. `None` if it is unproven or gone.
    #[must_use]
    pub fn suspected_at(&self) -> Option<Instant> {
        let peer = self.peer.as_ref().filter(|peer| peer.leaving != Leaving::Gone)?;
        let (interval, suspicion) = (self.peer_interval(), suspicion(self.peer_interval()));
        let notice = interval.saturating_mul(self.multiplier).saturating_sub(suspicion);
        Some(peer.silent_since + self.dead_time().saturating_sub(notice).max(suspicion))
    }

    /// The next instant at which silence alone changes [`Self::state`] or suspicion;
    /// [`Instant::FAR_FUTURE`] if none does.
    #[must_use]
    pub fn next_deadline(&self, now: Instant) -> Instant {
        if self.peer.is_none() {
            return Instant::FAR_FUTURE;
        }
        let dead_at = self.dead_at();
        let ahead = [self.suspected_at(), Some(dead_at)].into_iter().flatten();
        ahead.filter(|at| *at > now && now < dead_at).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// This host was away until `now`: silence, and missing echoes, count from here. A peer that was dead
    /// before we left stays dead.
    pub fn silence_restarts(&mut self, now: Instant) {
        let last_turn = self.sent.last().unwrap_or(self.since);
        let was_dead = self.peer.is_some() && self.dead_at() <= last_turn;
        if let Some(peer) = self.peer.as_mut().filter(|_| !was_dead) {
            peer.silent_since = peer.silent_since.max(now);
            peer.deaf_since = peer.deaf_since.max(now);
            peer.uptime.reset(now);
        }
    }

    /// Forgets what the peer's datagrams said of our clock.
    pub fn measure_clock_anew(&mut self, now: Instant) {
        if let Some(peer) = self.peer.as_mut() {
            peer.uptime.reset(now);
        }
    }

    /// The peer is gone for good: dead at once, until it counts again. [`Self::receive`] does this by
    /// itself for [`Leaving::Gone`].
    pub fn gone(&mut self) {
        if let Some(peer) = self.peer.as_mut() {
            peer.leaving = Leaving::Gone;
        }
    }

    /// Whether the peer has said that it leaves, and nothing since.
    #[must_use]
    pub fn leaving(&self) -> Leaving {
        self.peer.as_ref().map_or(Leaving::No, |peer| peer.leaving)
    }

    /// Whether the peer's datagrams prove that our clock stood still for about half a `lease`.
    ///
    /// What a datagram echoes may have been heard up to an interval before it was written, so that much of a standstill
    /// cannot be told from waiting.
    #[must_use]
    pub fn clock_stood_still(&self, lease: Duration) -> bool {
        let span = |peer: &Peer| (lease / 2).saturating_sub(peer.interval).max(lease / 4);
        self.peer.as_ref().is_some_and(|peer| peer.uptime.stood_still(span(peer)))
    }

    /// Whether they prove that our clock runs slow beside the peer's, by over 1 %.
    #[must_use]
    pub fn clock_runs_slow(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.uptime.runs_slow())
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &SessionStats {
        &self.stats
    }

    /// Time within which what we send must be echoed: the longer of the two dead times, since an echo
    /// takes an interval of either side.
    fn echo_time(&self) -> Duration {
        self.dead_time().max(self.own_dead_time())
    }

    fn own_dead_time(&self) -> Duration {
        self.own_interval.saturating_mul(self.multiplier)
    }
}
