//! Pauses of this host, a stuck effects side, and clones: when our own word is worth nothing.

use super::Core;
use crate::model::action::{Action, Actions};
use crate::model::ids::BootId;
use crate::model::role::{Cause, Role};
use crate::model::settings::Arbiter;

use crate::model::time::Instant;
use crate::wire::session::{Session, suspicion};
use std::time::Duration;

/// An impossible echo of another boot id within this time means that another machine runs with our state; so long after the
/// last one it is gone.
const CLONE_WINDOW: Duration = Duration::from_secs(60);
/// A boot id that was asked for is here much sooner, or was not drawn.
const DRAWING: Duration = Duration::from_secs(1);

/// What is known of the host's own gaps.
#[derive(Debug)]
pub(crate) struct Stall {
    last_turn: Instant,
    claims_from: Instant,
    leases_from: Instant,
    effects_seen: Instant,
    rebooted_at: Option<Instant>,
    /// Another boot id is asked for since then, and not here yet.
    drawing: Option<Instant>,
    cloned_until: Instant,
    pub(crate) longest_pause: Duration,
    pub(crate) pauses: u64,
}

impl Stall {
    pub(crate) fn new(now: Instant, longest_pause: Duration) -> Self {
        Self {
            last_turn: now,
            claims_from: Instant::default(),
            leases_from: Instant::default(),
            effects_seen: now,
            rebooted_at: None,
            drawing: None,
            cloned_until: Instant::default(),
            longest_pause,
            pauses: 0,
        }
    }

    /// The effects side has done a step, which alone renews the trust in it. If it had stood still, what was meant for it
    /// meanwhile comes only now, a reload with other keys among it: first listen.
    pub(crate) fn effects_progressed(&mut self, now: Instant, dead_time: Duration) {
        if self.stuck(now, dead_time) {
            self.listen(now, dead_time);
        }
        self.effects_seen = now;
    }

    /// Whether the effects side has not moved for a dead time: then nothing is sent and nothing is owned.
    pub(crate) fn stuck(&self, now: Instant, dead_time: Duration) -> bool {
        now >= self.effects_seen + dead_time
    }

    /// Until when effects may start on the word of this step.
    pub(crate) fn alive_until(&self, now: Instant, dead_time: Duration) -> Instant {
        now.min(self.effects_seen) + dead_time
    }

    /// Nothing is claimed for one dead time.
    pub(crate) fn listen(&mut self, now: Instant, dead_time: Duration) {
        self.claims_from = self.claims_from.max(now + dead_time);
    }

    pub(crate) fn claims_from(&self) -> Instant {
        self.claims_from
    }

    /// From when leases may be asked for.
    pub(crate) fn leases_from(&self) -> Instant {
        self.claims_from.max(self.leases_from)
    }

    /// Until when another machine counts as running with our state.
    pub(crate) fn cloned_until(&self) -> Instant {
        self.cloned_until
    }
}

impl Core {
    /// Measures the gap since the last step; one longer than the dead time voids what we had, and after one in which
    /// heartbeats were missed nobody is dead before there was time to hear it.
    /// Says whether that changed what every group goes by.
    pub(super) fn judge_pause(&mut self, now: Instant, actions: &mut Actions) -> bool {
        let dead_time = self.config.heartbeat.dead_time();
        let (interval, before) = (self.config.heartbeat.interval, self.stall.last_turn);
        let gap = now.since(std::mem::replace(&mut self.stall.last_turn, now));
        if gap > interval * 2 && gap > self.stall.longest_pause {
            self.stall.longest_pause = gap;
            self.persisted.longest_pause = gap;
            self.persist = true;
        }
        if gap > dead_time {
            self.was_away(now, &format!("this host did not run for {} ms", gap.as_millis()), actions);
            return true;
        }
        // What the peers' clocks say changes with a datagram of theirs, and with who of them counts.
        let told = std::mem::take(&mut self.clocks_told) || self.timers.a_session_fires(now);
        if told && self.behind_most(now, |s| s.clock_stood_still(dead_time)) {
            self.was_away(now, "the clocks of most peers went on while ours stood still", actions);
            return true;
        }
        let leases = told && self.config.groups.iter().any(|g| g.arbiter.is_leased());
        let slow = leases && self.behind_most(now, |s| s.clock_stood_still(dead_time) || s.clock_runs_slow());
        if slow {
            self.distrust_leases(now, actions);
        }
        let missed = gap > suspicion(interval);
        if missed {
            // What was sent to us meanwhile may still wait to be read, or was dropped: the next heartbeat tells.
            for peer in self.peers.iter_mut() {
                peer.hear_out(before, now);
            }
        }
        slow || missed
    }

    /// Whether the datagrams of most peers prove it of our clock.
    fn behind_most(&self, now: Instant, proves: impl Fn(&Session) -> bool) -> bool {
        let up: Vec<_> = self.peers.iter().filter(|p| p.up(now)).collect();
        let ahead = up.iter().filter(|p| proves(&p.session)).count();
        ahead > 0 && ahead * 2 > up.len()
    }

    /// Our clock runs slow beside the peers'. ⚠ That matters to leases alone, which are as long by those clocks. Under the other
    /// arbiters, where one peer may be most of them, it is as likely that peer's clock, and takes nothing from a holder, in
    /// a file with groups of both kinds neither. (`stood_still::a_slow_clock_takes_leases_alone`)
    fn distrust_leases(&mut self, now: Instant, actions: &mut Actions) {
        self.stall.leases_from = now + self.config.heartbeat.dead_time();
        for peer in self.peers.iter_mut() {
            peer.session.measure_clock_anew(now);
        }
        let text = "the clocks of most peers run faster than ours, by which leases would last too long";
        self.drop_leadership_where(now, Arbiter::is_leased, Cause::Away, text, actions);
    }

    /// Our right has run out unseen; others may have it. Silence counts from now, and for one dead time we only listen.
    fn was_away(&mut self, now: Instant, text: &str, actions: &mut Actions) {
        self.stall.pauses += 1;
        self.stall.claims_from = now + self.config.heartbeat.dead_time();
        for peer in self.peers.iter_mut() {
            peer.session.silence_restarts(now);
        }
        self.drop_leadership(now, Cause::Away, text, actions);
    }

    fn drop_leadership(&mut self, now: Instant, cause: Cause, text: &str, actions: &mut Actions) {
        self.drop_leadership_where(now, |_| true, cause, text, actions);
    }

    fn drop_leadership_where(
        &mut self,
        now: Instant,
        by: impl Fn(Arbiter) -> bool,
        cause: Cause,
        text: &str,
        actions: &mut Actions,
    ) {
        self.each_group(now, actions, |group, step| {
            let concerned = by(group.settings(step).arbiter);
            if concerned && (group.role().has_leadership() || group.role() == Role::Releasing) {
                group.lose(step, Role::Backup, cause, text.to_owned(), None);
            }
        });
    }

    /// A peer echoed a number that we never sent: a clone, or a snapshot that was rolled back.
    pub(super) fn impossible_echo(&mut self, now: Instant, actions: &mut Actions) {
        match self.stall.drawing {
            // Until the other boot id is here every peer, and every datagram on its way, says the same once more.
            Some(since) if now.since(since) < DRAWING => return,
            Some(_) => {}
            None => {
                if self.stall.rebooted_at.is_some_and(|at| now.since(at) < CLONE_WINDOW) {
                    self.stall.cloned_until = now + CLONE_WINDOW;
                }
                self.stall.rebooted_at = Some(now);
            }
        }
        self.stall.drawing = Some(now);
        actions.push(Action::DrawBootId);
    }

    /// Goes on under another boot id: what was granted to the old one is not ours.
    pub(super) fn reboot(&mut self, now: Instant, boot: BootId, actions: &mut Actions) {
        self.boot = boot;
        self.stall.drawing = None;
        for peer in self.peers.iter_mut() {
            peer.session.rebooted(now, boot);
            peer.entries.clear();
            peer.said.clear();
        }
        self.sender.renumber();
        self.drop_leadership(now, Cause::Cloned, "a peer echoed a number that we never sent", actions);
        self.changed = true;
    }
}
