//! Causes that rest on what the cloud answered to this node.

use super::super::super::facts::{OfHavip, Streak};
use super::{Case, Untrue};
use havipd_core::model::role::Role;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// Two reads must be this far apart, by a clock that may be quick by one per cent.
const APART: Duration = Duration::from_millis(930);
/// How long one read that nothing contradicts counts before it supersedes.
const LAST_WORD: Duration = Duration::from_secs(5);
/// An answer of this age is none.
const SILENT: Duration = Duration::from_millis(4_900);

impl Case<'_> {
    fn havips(&self) -> impl Iterator<Item = &OfHavip> + '_ {
        self.world.havips_of(self.group).map(|n| self.world.facts.answers(self.host).of(n))
    }

    fn me(&self) -> &str {
        &self.world.hosts[self.host].target
    }

    fn names_me(&self, streak: &Streak) -> bool {
        streak.holder.target.as_deref() == Some(self.me()) || streak.holder.bound == [self.me()]
    }

    fn member(&self, target: &str) -> bool {
        self.world.scenario.cluster.member_with(self.group, target).is_some()
    }

    /// Whether some HAVIP's last reads are like that.
    fn any_read(&self, is: impl Fn(&Streak) -> bool) -> bool {
        self.havips().filter_map(|of| of.streak.as_ref()).any(is)
    }

    /// Every HAVIP was read to be this node's since its start.
    pub(super) fn resumed(&self) -> Result<(), Untrue> {
        let named = |of: &OfHavip| of.streak.as_ref().is_some_and(|s| self.names_me(s));
        self.only(self.havips().all(named), "the cloud did not answer so")
    }

    /// A read that was asked for in this claim names this node, or binds it alone.
    pub(super) fn confirmed(&self) -> Result<(), Untrue> {
        let read = |s: &Streak| s.last >= self.claimed && self.names_me(s);
        self.only(self.any_read(read), "the cloud did not answer so in this claim")
    }

    /// Two reads named another member whom this node does not hear; or one did, and none was answered since.
    pub(super) fn superseded(&self) -> Result<(), Untrue> {
        let other = |t: &str| t != self.me() && self.member(t);
        // A read between them that names this node is no way out: two that are active take the record from each other.
        let twice = |(target, first, last): &(String, Instant, Instant)| other(target) && last.since(*first) >= APART;
        let stands = |s: &Streak| {
            s.holder.target.as_deref().is_some_and(other) && self.world.now.since(s.at) * 102 / 100 >= LAST_WORD
        };
        let holds = self.havips().any(|of| of.named.iter().any(twice)) || self.any_read(stands);
        self.only(holds, "neither two reads, nor one that stood for long, named the same other member")
    }

    /// No read was answered for long, though one was asked for, and nobody is heard who hears this node.
    pub(super) fn isolated(&self) -> Result<(), Untrue> {
        let now = self.world.now;
        let silent = |of: &OfHavip| {
            let answered = of.streak.as_ref().is_some_and(|s| now.since(s.at) < SILENT);
            !answered && of.read_failed.is_some()
        };
        if !self.havips().all(silent) {
            return Err("the cloud answered it".to_owned());
        }
        let up = (0..self.world.nodes()).find(|p| *p != self.host && self.surely_up(*p));
        up.map_or(Ok(()), |p| Err(format!("{} is heard, and hears it", self.world.name(p))))
    }

    /// Whether a peer was heard within half a dead time, had heard this node within that, and has not said goodbye since. (seed 52518)
    fn surely_up(&self, peer: usize) -> bool {
        let last = self.world.facts.heard(self.host, peer).last.as_ref();
        let (half, left) = (self.dead_time() / 2, self.world.facts.host(peer).left);
        last.is_some_and(|l| {
            self.t.at.since(l.guest) < half && l.at.since(l.echoed) < half && left.is_none_or(|left| left < l.sent)
        })
    }

    /// A read named another member.
    pub(super) fn lost_race(&self) -> Result<(), Untrue> {
        let other = |s: &Streak| s.holder.target.as_deref().is_some_and(|t| t != self.me() && self.member(t));
        self.only(self.any_read(other), "no read named another member")
    }

    /// Not won for as long as an operation may take: the last answers do not name this node, or calls failed.
    pub(super) fn claim_timed_out(&self) -> Result<(), Untrue> {
        let tries = self.world.hosts[self.host].config.cloud.operation_timeout;
        if !self.t.from.has_leadership() {
            return self.lost_before();
        }
        if self.t.from == Role::Claiming && self.world.now.since(self.claimed) * 101 / 100 < tries {
            return Err("it has not claimed for as long as an operation may take".to_owned());
        }
        let lacking = |of: &OfHavip| {
            let failed = of.failed.is_some_and(|at| self.world.now.since(at) < tries);
            failed || of.streak.as_ref().is_none_or(|s| !self.names_me(s) || s.holder.bound.len() > 1)
        };
        self.only(self.havips().any(lacking), "the cloud names this node for every HAVIP, and no call failed")
    }

    /// A call failed lately. What this node was unable for stays its fault for a while.
    pub(super) fn refused(&self) -> Result<(), Untrue> {
        if !self.t.from.has_leadership() {
            return self.lost_before();
        }
        self.only(self.havips().any(|of| of.write_failed.is_some()), "no write of it was refused")
    }

    pub(super) fn missing(&self) -> Result<(), Untrue> {
        self.only(self.havips().any(|of| of.missing.is_some()), "the cloud knows every HAVIP")
    }

    pub(super) fn denied(&self) -> Result<(), Untrue> {
        self.only(self.havips().any(|of| of.denied.is_some()), "the cloud denied it nothing")
    }

    /// A target that is no member's was read to be bound.
    pub(super) fn stranger_bound(&self) -> Result<(), Untrue> {
        if !self.t.from.has_leadership() && self.lost_for == Some(self.t.cause) {
            return Ok(());
        }
        let stranger = |of: &OfHavip| of.stranger.is_some();
        // What a member is to the cloud its datagrams tell, where the file does not.
        let named = self.world.hosts[self.host].config.nodes.iter().all(|n| n.target.is_some() || n.witness);
        let unheard = |p: usize| p != self.host && self.world.facts.heard(self.host, p).last.is_none();
        let unknown = !named && (0..self.world.nodes()).any(unheard);
        self.only(unknown || self.havips().any(stranger), "every target that was read is a member's")
    }

    /// It lost leadership for that reason.
    fn lost_before(&self) -> Result<(), Untrue> {
        self.only(self.lost_for == Some(self.t.cause), "it did not lose leadership for that")
    }
}
