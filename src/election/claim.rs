//! Backup and Claiming: when the right may be asked for, and what becomes of it.

use super::group::Group;
use super::rank;
use super::role::{Cause, Role};
use super::turn::Turn;
use crate::config::model::{Arbiter, Strangers};
use crate::ids::{NodeIndex, Target};
use crate::ownership::{Failure, HavipLoop, LastRead, Outcome};
use crate::time::Instant;
use crate::wire::Flags;
use std::sync::Arc;
use std::time::Duration;

/// Under arbiter `cloud` a claim rests on a read that is at most this old.
const READ_AGE: Duration = Duration::from_secs(2);

/// The wait between asks that are refused is doubled so often: eight leases at most.
const REFUSALS_MAX: u32 = 3;

/// Why nothing is claimed just now. It is for people: the state is evaluated again each turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// In words; empty where nothing is waited for.
    pub(crate) text: String,
    /// When it is over at the latest, where that is known.
    pub(crate) until: Option<Instant>,
}

impl Waiting {
    pub(crate) fn until(at: Instant, text: impl Into<String>) -> Self {
        Self { text: text.into(), until: Some(at) }
    }
}

impl<T: Into<String>> From<T> for Waiting {
    fn from(text: T) -> Self {
        Self { text: text.into(), until: None }
    }
}

/// Whether a claim may be made now.
pub(super) enum Verdict {
    /// Not now.
    Wait(Waiting),
    /// Yes, and why.
    Claim(Cause, String, Option<NodeIndex>),
}

impl Group {
    pub(crate) fn step_backup(&mut self, turn: &mut Turn<'_>) {
        if self.role == Role::Fault || self.membership(turn).is_none_or(|m| m.witness) {
            self.asker.stop();
            let again = self.damping.unable_until(turn.now).filter(|_| self.role == Role::Fault);
            self.waiting = again.map(|at| Waiting::until(at, "the next claim waits")).unwrap_or_default();
            return;
        }
        if let Some(news) = self.new_evidence(turn) {
            let text = format!("holds back no longer: {news}");
            turn.out.push(super::action::Action::Warn { group: Some(self.index), text: text.clone() });
            self.step_done(turn, text);
        }
        if self.settings(turn).arbiter != Arbiter::Majority {
            self.note_reach(turn);
        }
        match self.may_claim(turn) {
            Verdict::Wait(why) => {
                self.stop_asking(turn);
                if std::mem::take(&mut self.refusals) > 0 {
                    // Whatever it was that we did not hear, we know better now.
                    self.ask_again_at = turn.now;
                }
                self.waiting = why;
            }
            Verdict::Claim(cause, why, peer) => self.ask(turn, cause, why, peer),
        }
    }

    fn stop_asking(&mut self, turn: &mut Turn<'_>) {
        if self.asker.asking_since().is_some() {
            self.asker.stop();
            self.voter.gave_up(turn.config.local, turn.boot, u64::MAX, None);
            *turn.changed = true;
        }
    }

    fn may_claim(&mut self, turn: &mut Turn<'_>) -> Verdict {
        if let Some(reason) = self.barred(turn) {
            self.vacant_since = None;
            return Verdict::Wait(reason);
        }
        if self.maintained() && !self.resumes(turn) {
            return Verdict::Wait("cluster-wide maintenance is on".into());
        }
        if self.by_keepalived(turn) {
            return self.may_claim_by_keepalived(turn);
        }
        if let Some((node, text)) = self.offered(turn) {
            let planned = Cause::HandedOver;
            return Verdict::Claim(planned, text, Some(node));
        }
        if let Some(reason) = self.somebody_else(turn) {
            self.vacant_since = None;
            return Verdict::Wait(reason);
        }
        if self.resumes(turn) {
            return Verdict::Claim(Cause::Resumed, "the cloud still names us as holder".into(), None);
        }
        if let Some(reason) = self.cold_start(turn) {
            return Verdict::Wait(reason);
        }
        // The turns by rank are counted from when a claim could first have succeeded.
        let since = (*self.vacant_since.get_or_insert(turn.now)).max(self.first_vote(turn));
        if let Some(reason) = self.outranked(turn, since).or_else(|| self.may_resume(turn, since)) {
            return Verdict::Wait(reason);
        }
        match self.settings(turn).arbiter {
            Arbiter::Cloud => self.ask_cloud(turn),
            Arbiter::None | Arbiter::Majority | Arbiter::Keepalived => self.reason_for_vacancy(turn),
        }
    }

    /// What keeps this node from claiming whatever the others do.
    fn barred(&self, turn: &mut Turn<'_>) -> Option<Waiting> {
        if turn.stopping || self.left {
            return Some("this daemon is stopping".into());
        }
        if self.kept.drained {
            return Some("drained by an operator; havipctl undrain ends it".into());
        }
        if self.health.undecided {
            return Some("a check has not decided yet".into());
        }
        if turn.alive_until <= turn.now {
            return Some("the part of this daemon that carries things out stands still".into());
        }
        if !turn.due(turn.claims_from) {
            let text = "this host was paused, or its link was down; nothing is claimed for one dead time";
            return Some(Waiting::until(turn.claims_from, text));
        }
        let held = self.superseded.held.as_ref()?;
        let node = held.node.map(|n| format!(" (node {})", turn.config.node(n).name)).unwrap_or_default();
        let text =
            format!("the cloud gave the address to {}{node}; waiting for new evidence, or for reclaim-wait", held.by);
        Some(Waiting::until(held.until, text))
    }

    /// What this node still waits for while a worse-ranked one is active: to have been well for `preempt-delay`.
    fn until_it_preempts(&self, turn: &Turn<'_>) -> Option<Instant> {
        let settings = self.settings(turn);
        let since = self.eligible_since.filter(|_| settings.preempt && !self.by_keepalived(turn))?;
        self.goes_before_active(turn).then_some(since + settings.preempt_delay).filter(|at| *at > turn.now)
    }

    /// A node that has the right offers it to us.
    pub(crate) fn offered(&self, turn: &Turn<'_>) -> Option<(NodeIndex, String)> {
        let me = turn.peers.me();
        turn.peers.iter().find_map(|p| {
            let entry = p.releases(self.tag, turn.now).filter(|e| e.successor == Some(me))?;
            p.up(turn.now).then(|| {
                let name = &turn.config.node(p.node).name;
                (p.node, format!("{name} hands over epoch {}", entry.epoch))
            })
        })
    }

    /// Somebody has the right, or it is reserved for somebody.
    pub(super) fn somebody_else(&self, turn: &mut Turn<'_>) -> Option<Waiting> {
        for peer in turn.peers.iter() {
            let name = turn.config.node(peer.node).name.as_str();
            if peer.owns(self.tag, turn.now).is_some() {
                let preempts = self.until_it_preempts(turn);
                return Some(match preempts {
                    Some(at) => {
                        let text =
                            format!("{name} is active; this node goes first in rank, and waits for preempt-delay");
                        Waiting::until(at, text)
                    }
                    None => format!("{name} is active").into(),
                });
            }
            if peer.releases(self.tag, turn.now).is_some() {
                return Some(format!("{name} is handing over").into());
            }
        }
        None
    }

    /// The cloud names us, and no peer has had a newer reign since our start: go on where the last run ended.
    pub(super) fn resumes(&self, turn: &Turn<'_>) -> bool {
        self.cause == Cause::Started
            && self.damping.owner().is_none()
            && !self.loops.is_empty()
            && self.loops.iter().all(|l| l.holder().is_some() && l.holder() == turn.identity.map(Target::id))
    }

    /// A peer that was not heard since our start counts as live until the cold-start wait is over.
    pub(super) fn cold_start(&self, turn: &mut Turn<'_>) -> Option<Waiting> {
        let until = turn.started + turn.config.heartbeat.cold_start_wait;
        let members = &self.settings(turn).members;
        let unmet = members.iter().find(|m| turn.peers.of(m.node).is_some_and(|p| !p.met && !p.gone) && !m.witness)?;
        let name = turn.config.node(unmet.node).name.as_str();
        let text = format!("{name} was not heard since the start; waiting for it, or for cold-start-wait");
        (!turn.due(until)).then(|| Waiting::until(until, text))
    }

    /// A live eligible member that the cloud names goes before the rank for one dead time: it may have restarted.
    /// So does the last holder, whatever we read last, while it is expected back from a restart that it announced.
    fn may_resume(&self, turn: &mut Turn<'_>, since: Instant) -> Option<Waiting> {
        let back = |n: &NodeIndex| turn.peers.of(*n).and_then(|p| p.expected_by).is_some_and(|at| at > turn.now);
        let named = self.loops.iter().find_map(HavipLoop::holder).and_then(|h| self.member_with(turn, h));
        // The look may be an audit interval old: where the heartbeats told of another reign since, they are right.
        let named = named.filter(|n| self.damping.owner().is_none_or(|owner| owner == *n));
        let node = self.damping.owner().filter(back).or(named).filter(|n| *n != turn.config.local)?;
        let peer = turn.peers.of(node)?;
        let able = peer.says(self.tag, turn.now)?.flags.has(Flags::ELIGIBLE);
        // Just back from a restart it may still be learning who it is.
        let until = match peer.expected_by {
            Some(at) if at > turn.now => at,
            _ if able => since + turn.dead_time(),
            _ => return None,
        };
        let name = &turn.config.node(node).name;
        let up = peer.up(turn.now);
        (up && !turn.due(until)).then(|| Waiting::until(until, format!("{name} was the holder and may resume")))
    }

    /// When voters that start together with us may give their first vote.
    fn first_vote(&self, turn: &Turn<'_>) -> Instant {
        if self.by_majority(turn) { self.voter.quarantine_ends() } else { Instant::default() }
    }

    fn by_majority(&self, turn: &Turn<'_>) -> bool {
        self.settings(turn).arbiter == Arbiter::Majority
    }

    /// Others go first; the k-th in rank has its turn after k dead times without a claim.
    fn outranked(&self, turn: &mut Turn<'_>, since: Instant) -> Option<Waiting> {
        let first = rank::before(turn, self.settings(turn), self.tag, self.effective(turn));
        let place = first.len();
        let wait = turn.dead_time() * u32::try_from(place).unwrap_or(u32::MAX);
        let turn_comes = since + wait;
        (!turn.due(turn_comes)).then(|| {
            let names: Vec<&str> = first.iter().map(|n| turn.config.node(*n).name.as_str()).collect();
            let goes = if place == 1 { "goes" } else { "go" };
            Waiting::until(turn_comes, format!("{} {goes} first in rank", names.join(", ")))
        })
    }

    fn reason_for_vacancy(&self, turn: &Turn<'_>) -> Verdict {
        let last = self.settings(turn).members.iter().find_map(|m| {
            let peer = turn.peers.of(m.node)?;
            let entry = peer.entries.get(&self.tag)?;
            (entry.role.has_right() || entry.role == Role::Releasing).then_some((peer, entry))
        });
        match last {
            Some((peer, entry)) => {
                let name = &turn.config.node(peer.node).name;
                let (cause, how) = match () {
                    () if peer.gone => (Cause::PeerLeft, "said that it leaves"),
                    () if entry.flags.has(Flags::ISOLATED) => (Cause::PeerIsolated, "has neither peers nor cloud"),
                    () => (Cause::PeerDead, "is silent for its dead time"),
                };
                Verdict::Claim(cause, format!("{name} was active and {how}"), Some(peer.node))
            }
            None if self.by_keepalived(turn) => Verdict::Claim(Cause::NoActive, "nobody is active".into(), None),
            None => Verdict::Claim(Cause::NoActive, "nobody is active and we are first in rank".into(), None),
        }
    }

    /// The cloud's record is the third opinion: without a fresh one there is no claim.
    pub(super) fn ask_cloud(&mut self, turn: &mut Turn<'_>) -> Verdict {
        let reads: Vec<Option<Arc<LastRead>>> = self.loops.iter().map(|l| l.read.clone()).collect();
        let (mut displaces, mut silent) = (Vec::new(), Vec::new());
        for (i, read) in reads.iter().enumerate() {
            if self.loops[i].missing() {
                // What the cloud does not know nobody has; the others are claimed without it.
                continue;
            }
            let id = &self.settings(turn).havips[i].id;
            let fresh = read.as_ref().filter(|r| r.at + READ_AGE >= turn.now && !self.left_after(turn, r));
            let Some(read) = fresh else {
                return Verdict::Wait(format!("waiting for the cloud's word on {id}").into());
            };
            let Some(holder) = read.havip.holder().filter(|h| Some(*h) != turn.identity.map(Target::id)) else {
                continue;
            };
            let node = self.member_with(turn, holder);
            let met = node.and_then(|n| turn.peers.of(n)).is_some_and(|p| p.met);
            if node.is_some() && !met && !self.superseded.released(holder) {
                // Never heard since our start: it may be serving on the other side of a partition.
                let settings = self.settings(turn);
                self.superseded.hold_back(turn, settings, i, holder, node);
                let name = node.map(|n| format!(" (node {})", turn.config.node(n).name)).unwrap_or_default();
                let text =
                    format!("{holder}{name} has {id} and was never heard; waiting for evidence, or for reclaim-wait");
                let until = self.superseded.held.as_ref().map(|h| h.until);
                return Verdict::Wait(Waiting { text, until });
            }
            let guarded = match self.settings(turn).havips[i].strangers {
                Strangers::Detach => false,
                Strangers::Guard => !self.kept.once_held.contains(id),
                Strangers::Refuse => true,
            };
            if node.is_none() && guarded {
                let text = format!("{holder} has {id} and is no member; detach it by hand, or set strangers");
                let failure = Failure { cause: Cause::StrangerBound, text: text.clone(), retry_after: None };
                self.damping.set_unable(turn, &failure);
                return Verdict::Wait(text.into());
            }
            displaces.push(holder.to_owned());
            silent.extend(node);
        }
        let verdict = self.reason_for_vacancy(turn);
        if let Verdict::Claim(_, _, Some(last)) = &verdict {
            silent.push(*last);
        }
        for node in silent {
            let counts = self.silence_counts(turn, node);
            if !counts.is_some_and(|at| turn.due(at)) {
                let name = &turn.config.node(node).name;
                let text = format!("{name} may be silent only for us: listening while the cloud answers");
                return Verdict::Wait(Waiting { text, until: counts });
            }
        }
        if let Verdict::Claim(_, _, Some(last)) = &verdict
            && let Some(target) = turn.target_of(*last)
            && self.may_lag_behind(turn, *last, &reads)
        {
            displaces.push(target.id().to_owned());
        }
        self.displaces = displaces;
        verdict
    }

    /// Whether these reads may be of before the reign that we heard last from `node`. The cloud names it once
    /// it has caught up: that is the holder whom we replace, not a later rival.
    fn may_lag_behind(&self, turn: &Turn<'_>, node: NodeIndex, reads: &[Option<Arc<LastRead>>]) -> bool {
        let heard = turn.peers.of(node).and_then(|p| p.session.last_heard());
        heard.is_some_and(|heard| reads.iter().flatten().any(|read| read.issued < heard + READ_AGE))
    }

    /// A read issued before the active node was so much as suspected says nothing of today.
    fn left_after(&self, turn: &Turn<'_>, read: &LastRead) -> bool {
        turn.peers.iter().any(|p| {
            p.gone
                && p.entries.get(&self.tag).is_some_and(|e| e.role.has_right())
                && p.session.last_heard().is_some_and(|at| read.issued < at)
        })
    }

    /// The member whose target that is.
    pub(crate) fn member_with(&self, turn: &Turn<'_>, target: &str) -> Option<NodeIndex> {
        let members = self.settings(turn).members.iter();
        members.map(|m| m.node).find(|n| turn.target_of(*n).is_some_and(|t| t.id() == target))
    }

    /// Whether a claim may come soon, so that the cloud's word should be at hand by then.
    pub(crate) fn claim_may_follow(&self, turn: &Turn<'_>) -> bool {
        if self.superseded.held.is_some() {
            return true;
        }
        let owner = turn.peers.iter().find(|p| p.owns(self.tag, turn.now).is_some());
        match owner {
            Some(peer) => peer.suspected(turn.now),
            None => !self.kept.drained && self.role == Role::Backup,
        }
    }

    /// Whether the active node has been silent for a suspicious time, but is not dead yet.
    pub(crate) fn owner_suspected(&self, turn: &Turn<'_>) -> bool {
        turn.peers.iter().any(|p| p.owns(self.tag, turn.now).is_some() && p.suspected(turn.now))
    }

    /// Asks the arbiter; `none` and `cloud` answer at once, a majority answers by its grants.
    fn ask(&mut self, turn: &mut Turn<'_>, cause: Cause, why: String, peer: Option<NodeIndex>) {
        if !self.by_majority(turn) {
            self.epoch = self.seen.next();
            self.begin_claim(turn, cause, why, peer);
            return;
        }
        match self.asker.asking_since() {
            None if !turn.due(self.ask_again_at) => {}
            None => {
                self.epoch = self.seen.next();
                self.asker.begin(turn.now, self.epoch);
                self.note_silence(turn, cause, peer);
                self.step_done(turn, format!("asks a majority for epoch {} ({cause})", self.epoch));
                *turn.changed = true;
            }
            Some(since) => {
                let voters = self.settings(turn).members.len();
                if self.asker.right_until(turn.now, voters).is_some() {
                    self.begin_claim(turn, cause, why, peer);
                    return;
                }
                let refused = self.seen >= self.epoch.next();
                if refused || turn.due(since + turn.dead_time()) {
                    self.stop_asking(turn);
                    self.ask_again_at = turn.now + self.wait_to_ask(turn, refused);
                    turn.wake(self.ask_again_at);
                }
            }
        }
        let votes = self.asker.votes(turn.now);
        let (epoch, needed) = (self.epoch, self.settings(turn).members.len() / 2 + 1);
        self.waiting = format!("asking for epoch {epoch}: {votes} of the {needed} votes of a majority").into();
    }

    /// How long until the next ask after one that found no majority. The first refusal says only that our number was
    /// old, so the next ask follows at once. Another one means that somebody whom we do not hear has the right: each ask
    /// costs an epoch there as well as here, so they become rare.
    fn wait_to_ask(&mut self, turn: &mut Turn<'_>, refused: bool) -> Duration {
        let leases = match self.refusals {
            _ if !refused => 1,
            0 => 0,
            n => 1 << n.min(REFUSALS_MAX),
        };
        self.refusals += u32::from(refused);
        turn.part_of(turn.dead_time() * leases)
    }

    fn begin_claim(&mut self, turn: &mut Turn<'_>, cause: Cause, why: String, peer: Option<NodeIndex>) {
        self.seen = self.seen.max(self.epoch);
        self.reserve_epochs(turn);
        self.refusals = 0;
        self.planned = cause == Cause::HandedOver;
        let settled = self.planned && peer.is_some_and(|p| self.peer_settled(turn, p));
        if self.kept.preemption_suspended != settled {
            self.kept.preemption_suspended = settled;
            *turn.persist = true;
        }
        self.waiting = Waiting::default();
        self.reach = super::reach::Reach::default();
        self.note_silence(turn, cause, peer);
        let (epoch, stored) = (self.epoch, self.kept.epoch_reserved);
        self.step_done(turn, format!("epoch {epoch} begins, of those stored ahead up to {stored}"));
        self.become_role(turn, Role::Claiming, cause, why, peer);
    }

    /// After a switchover the suspension of preemption goes with the right; an unplanned move ends it.
    fn peer_settled(&self, turn: &Turn<'_>, node: NodeIndex) -> bool {
        let entry = turn.peers.of(node).and_then(|p| p.entries.get(&self.tag));
        entry.is_some_and(|e| e.flags.has(Flags::SETTLED))
    }

    pub(crate) fn step_claiming(&mut self, turn: &mut Turn<'_>) {
        match self.outcome(turn) {
            Outcome::Pending => {}
            Outcome::Confirmed => {
                self.damping.proven_able(self.lacking().is_none());
                self.superseded.settle();
                self.vacant_since = None;
                let detail = match self.settings(turn).observe {
                    true => "elected; only observing, so nothing was touched",
                    false => "the cloud was read back to name this node",
                };
                let detail = detail.to_owned();
                self.become_role(turn, Role::Active, Cause::Confirmed, detail, None);
            }
            Outcome::Rival(by) => {
                let node = self.member_with(turn, &by);
                let settings = self.settings(turn);
                let lost = |l: &HavipLoop| matches!(l.outcome(), Outcome::Rival(rival) if *rival == by);
                let over = self.loops.iter().position(lost).unwrap_or_default();
                self.superseded.hold_back(turn, settings, over, &by, node);
                self.lose(turn, Role::Backup, Cause::LostRace, format!("{by} claimed too and goes first"), node);
            }
            Outcome::Failed(failure) => self.give_up(turn, &failure),
        }
    }

    /// The claim, or a repair, failed: unable for a while, so that somebody else may try.
    pub(crate) fn give_up(&mut self, turn: &mut Turn<'_>, failure: &Failure) {
        self.damping.set_unable(turn, failure);
        if self.loops.iter().any(|l| *l.outcome() == Outcome::Confirmed) {
            self.damping.pass_on();
        }
        self.lose(turn, Role::Fault, failure.cause, failure.text.clone(), None);
    }
}
