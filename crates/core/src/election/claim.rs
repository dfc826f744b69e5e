//! Backup and Claiming: when leadership may be asked for, and what becomes of it.

use super::group::Group;
use super::group::state::{State, Term};
use super::group::waiting::{Claim, Verdict, Waiting};
use super::peer::Peer;
use super::rank;
use super::serving::holder_or_alone;
use super::step_context::StepContext;
use crate::health::in_the_way;
use crate::model::ids::{NodeIndex, Target};
use crate::model::role::{Cause, Role};
use crate::model::time::Instant;
use crate::reconcile::{Failure, HavipReconciler, Outcome};
use crate::wire::{Entry, Flags};

impl Group {
    pub(crate) fn step_backup(&mut self, step: &mut StepContext<'_>) {
        if self.role() == Role::Fault || self.membership(step).is_none_or(|m| m.witness) {
            self.lease.stop();
            self.key.give_up(step.now);
            let again = self.backoff.claim_until(step.now).filter(|_| self.role() == Role::Fault);
            let why = again.map(|at| Waiting::until(at, "the next claim waits"));
            self.candidacy.wait_for(why.unwrap_or_default());
            return;
        }
        if let Some(news) = self.new_evidence(step) {
            let text = format!("holds back no longer: {news}");
            step.out.push(crate::model::action::Action::Warn { group: Some(self.index), text: text.clone() });
            self.step_done(step, text);
        }
        if !self.arbiter(step).is_leased() {
            self.note_reach(step);
        }
        match self.may_claim(step) {
            Verdict::Wait(why) => {
                self.stop_asking(step);
                self.candidacy.may_not_claim(step.now, why);
            }
            Verdict::Claim(claim) => self.request(step, claim),
        }
    }

    fn may_claim(&mut self, step: &mut StepContext<'_>) -> Verdict {
        if let Some(reason) = self.barred(step) {
            self.candidacy.not_vacant();
            return Verdict::Wait(reason);
        }
        if self.maintained() && !self.resumes(step) {
            return Verdict::Wait("cluster-wide maintenance is on".into());
        }
        if self.arbiter(step).is_external() {
            return self.may_claim_by_external_leader(step);
        }
        if let Some((node, text)) = self.offered(step) {
            return Claim::new(Cause::HandedOver, text, Some(node)).into();
        }
        if let Some(reason) = self.somebody_else(step) {
            self.candidacy.not_vacant();
            return Verdict::Wait(reason);
        }
        if self.resumes(step) {
            return Claim::new(Cause::Resumed, "the cloud still names us as holder", None).into();
        }
        if let Some(reason) = self.cold_start(step) {
            return Verdict::Wait(reason);
        }
        // The turns by rank are counted from when a claim could first have succeeded.
        let since = self.candidacy.vacant(step.now).max(self.first_answer(step));
        if let Some(reason) = self.outranked(step, since).or_else(|| self.may_resume(step, since)) {
            return Verdict::Wait(reason);
        }
        let verdict = self.consult(step);
        self.still_listening(step, &verdict).map_or(verdict, Verdict::Wait)
    }

    /// A node that could not hear a peer, and can again, listens before it takes that silence for death: the votes of others
    /// may be here before the peer's next heartbeat. (I12, `peer-dead`; seed 81124)
    fn still_listening(&self, step: &mut StepContext<'_>, verdict: &Verdict) -> Option<Waiting> {
        let Verdict::Claim(Claim { cause: Cause::PeerDead, peer: Some(node), .. }) = verdict else { return None };
        let until = step.peers.of(*node)?.listened_from();
        if step.due(until) {
            return None;
        }
        let name = &step.config.node(*node).name;
        let text =
            format!("{name} may be silent only for us: this node could not hear it, and listens for a dead time");
        Some(Waiting::until(until, text))
    }

    /// What keeps this node from claiming whatever the others do.
    fn barred(&self, step: &mut StepContext<'_>) -> Option<Waiting> {
        if step.stopping || self.leave.is_done() {
            return Some("this daemon is stopping".into());
        }
        if !self.drain.is_known() {
            let text = "the state directory has not said whether this node is drained, so it counts as drained; \
                        havipctl undrain ends that";
            return Some(text.into());
        }
        if self.drain.is_on() {
            return Some("drained by an operator; havipctl undrain ends it".into());
        }
        if self.health.undecided {
            let text = in_the_way(&self.check_notes);
            return Some(if text.is_empty() { "a check has not decided yet".into() } else { text.into() });
        }
        // ⚠ Who has none of the addresses that the others know this node by hears nobody, and may be a copy of it.
        if step.unbound {
            return Some("none of this node's heartbeat addresses is on this host: nobody could hear it".into());
        }
        if step.alive_until <= step.now {
            return Some("the part of this daemon that carries things out stands still".into());
        }
        let from = self.claims_from(step);
        if !step.due(from) {
            let text =
                "this host was paused, or a part of this daemon stood still; nothing is claimed for one dead time";
            return Some(Waiting::until(from, text));
        }
        let held = self.superseded.held()?;
        if let Some((_, why)) = held.node.and_then(|n| step.peers.of(n)).and_then(|p| p.unheard(step.now)) {
            let text = format!("{why}; its silence proves nothing: waiting for evidence, or for reclaim-wait");
            return Some(Waiting::until(held.until, text));
        }
        let node = held.node.map(|n| format!(" (node {})", step.config.node(n).name)).unwrap_or_default();
        let text =
            format!("the cloud gave the address to {}{node}; waiting for new evidence, or for reclaim-wait", held.by);
        Some(Waiting::until(held.until, text))
    }

    /// What this node still waits for while a worse-ranked one is active: to have been well for `preempt-delay`, or that its
    /// gate may succeed by now.
    fn until_it_preempts(&self, step: &StepContext<'_>) -> Option<(Instant, &'static str)> {
        let settings = self.settings(step);
        let since = self.eligibility.since().filter(|_| settings.preempt && !self.arbiter(step).is_external())?;
        let delay = (since + settings.preempt_delay, "waits for preempt-delay");
        let gate = self.backoff.preempts_from(step.now);
        let gate = gate.map(|at| (at, "waits, since its gate failed; a switchover does not"));
        let wait = gate.into_iter().chain([delay]).max_by_key(|(at, _)| *at)?;
        (self.goes_before_active(step) && wait.0 > step.now).then_some(wait)
    }

    /// A node that has leadership offers it to us.
    pub(crate) fn offered(&self, step: &StepContext<'_>) -> Option<(NodeIndex, String)> {
        let me = step.peers.me();
        step.peers.iter().find_map(|p| {
            // ⚠ An offer of a term that another one has followed is of the past: taken up, it would end the later one. (I5, seed 44730)
            let of_now = |e: &&Entry| e.successor == Some(me) && !self.moves.is_past(e.epoch);
            let entry = p.releases(self.tag, step.now).filter(of_now)?;
            p.up(step.now).then(|| {
                let name = &step.config.node(p.node).name;
                (p.node, format!("{name} hands over epoch {}", entry.epoch))
            })
        })
    }

    /// Somebody has leadership, or it is reserved for somebody.
    pub(super) fn somebody_else(&self, step: &mut StepContext<'_>) -> Option<Waiting> {
        for peer in step.peers.iter() {
            let name = step.config.node(peer.node).name.as_str();
            if peer.owns(self.tag, step.now).is_some() {
                let preempts = self.until_it_preempts(step);
                return Some(match preempts {
                    Some((at, waits)) => {
                        Waiting::until(at, format!("{name} is active; this node goes first in rank, and {waits}"))
                    }
                    None => format!("{name} is active").into(),
                });
            }
            if peer.releases(self.tag, step.now).is_some() {
                return Some(format!("{name} is handing over").into());
            }
        }
        self.heard_by_another(step).or_else(|| self.unheard_of(step))
    }

    /// ⚠ A live member that has started anew and has not spoken of this group yet, since not all of them fit one datagram, may be
    /// active in it: that nobody is known to be active is no evidence then. (I12, `no-active`; seed 76)
    fn unheard_of(&self, step: &StepContext<'_>) -> Option<Waiting> {
        let silent =
            |p: &&Peer| p.alive(step.now) && p.digest == Some(step.digest) && !p.entries.contains_key(&self.tag);
        let members = self.settings(step).members.iter().filter(|m| !m.witness);
        let peer = members.filter_map(|m| step.peers.of(m.node)).find(silent)?;
        Some(format!("{} has not said anything of this group yet", step.config.node(peer.node).name).into())
    }

    /// Whether this start may turn out to go on where the last run ended, as far as is known yet.
    pub(super) fn may_yet_resume(&self, step: &StepContext<'_>) -> bool {
        let me = step.identity.map(Target::id);
        self.cause == Cause::Started
            && self.moves.owner().is_none()
            && step.now < step.started + self.settings(step).keep_for
            && self.reconcilers.iter().all(|l| l.holder().is_none_or(|h| Some(h) == me))
    }

    /// The cloud names us, and no peer has had a newer term since our start: go on where the last run ended.
    pub(super) fn resumes(&self, step: &StepContext<'_>) -> bool {
        self.cause == Cause::Started
            && self.moves.owner().is_none()
            && !self.reconcilers.is_empty()
            && self.reconcilers.iter().all(|l| l.holder().is_some() && l.holder() == step.identity.map(Target::id))
    }

    /// A peer that was not heard since our start counts as live until the cold-start wait is over.
    pub(super) fn cold_start(&self, step: &mut StepContext<'_>) -> Option<Waiting> {
        let until = step.started + step.config.heartbeat.cold_start_wait;
        let members = &self.settings(step).members;
        let unmet = members.iter().find(|m| step.peers.of(m.node).is_some_and(|p| !p.met && !p.gone) && !m.witness)?;
        let name = step.config.node(unmet.node).name.as_str();
        let text = format!("{name} was not heard since the start; waiting for it, or for cold-start-wait");
        (!step.due(until)).then(|| Waiting::until(until, text))
    }

    /// A live eligible member that the cloud names goes before the rank for one dead time: it may have restarted.
    /// So does the last holder, whatever we read last, while it is expected back from a restart that it announced.
    fn may_resume(&self, step: &mut StepContext<'_>, since: Instant) -> Option<Waiting> {
        let back = |n: &NodeIndex| step.peers.of(*n).and_then(|p| p.expected_by).is_some_and(|at| at > step.now);
        let named = self.reconcilers.iter().find_map(HavipReconciler::holder).and_then(|h| self.member_with(step, h));
        // The read may be an audit interval old: where the heartbeats told of another term since, they are right.
        let named = named.filter(|n| self.moves.owner().is_none_or(|owner| owner == *n));
        let node = self.moves.owner().filter(back).or(named).filter(|n| *n != step.config.local)?;
        let peer = step.peers.of(node)?;
        let flags = peer.says(self.tag, step.now)?.flags;
        let able = flags.has(Flags::ELIGIBLE);
        if flags.has(Flags::UNABLE) {
            // It has tried, and could not.
            return None;
        }
        // Just back from a restart it may still be learning who it is.
        let until = match peer.expected_by {
            Some(at) if at > step.now => at,
            _ if able => since + step.dead_time(),
            _ => return None,
        };
        let name = &step.config.node(node).name;
        let up = peer.up(step.now);
        (up && !step.due(until)).then(|| Waiting::until(until, format!("{name} was the holder and may resume")))
    }

    /// Nothing is claimed before this instant.
    pub(super) fn claims_from(&self, step: &StepContext<'_>) -> Instant {
        if self.settings(step).arbiter.is_leased() { step.leases_from } else { step.claims_from }
    }

    /// Others go first; the k-th in rank has its turn after k dead times without a claim.
    fn outranked(&self, step: &mut StepContext<'_>, since: Instant) -> Option<Waiting> {
        let first = rank::before(step, self.settings(step), self.tag, self.effective(step));
        let place = first.len();
        let wait = step.dead_time() * u32::try_from(place).unwrap_or(u32::MAX);
        let turn_comes = since + wait;
        (!step.due(turn_comes)).then(|| {
            let names: Vec<&str> = first.iter().map(|n| step.config.node(*n).name.as_str()).collect();
            let goes = if place == 1 { "goes" } else { "go" };
            Waiting::until(turn_comes, format!("{} {goes} first in rank", names.join(", ")))
        })
    }

    pub(super) fn reason_for_vacancy(&self, step: &StepContext<'_>) -> Claim {
        let last = self.settings(step).members.iter().find_map(|m| {
            let peer = step.peers.of(m.node)?;
            let entry = peer.entries.get(&self.tag)?;
            (entry.role.has_leadership() || entry.role == Role::Releasing).then_some((peer, entry))
        });
        match last {
            Some((peer, entry)) => {
                let name = &step.config.node(peer.node).name;
                let (cause, how) = match () {
                    () if peer.gone => (Cause::PeerLeft, "said that it leaves"),
                    () if entry.flags.has(Flags::ISOLATED) => (Cause::PeerIsolated, "has neither peers nor cloud"),
                    () => (Cause::PeerDead, "is silent for its dead time"),
                };
                Claim::new(cause, format!("{name} was active and {how}"), Some(peer.node))
            }
            None if self.arbiter(step).is_external() => Claim::new(Cause::NoActive, "nobody is active", None),
            None => Claim::new(Cause::NoActive, "nobody is active and we are first in rank", None),
        }
    }

    /// Leadership was granted: the term begins.
    pub(super) fn begin_claim(&mut self, step: &mut StepContext<'_>, claim: Claim) {
        let Claim { cause, why, peer, displaces } = claim;
        self.epochs.begin_term();
        self.reserve_epochs(step);
        let planned = cause == Cause::HandedOver;
        let settled = planned && peer.is_some_and(|p| self.peer_settled(step, p));
        *step.persist |= self.preemption.begin_term(settled);
        self.candidacy.begin_term();
        self.reach = super::group::reach::Reach::default();
        self.note_silence(step, cause, peer);
        let (epoch, stored) = (self.epochs.ours(), self.epochs.reserved());
        self.step_done(step, format!("epoch {epoch} begins, of those stored ahead up to {stored}"));
        let me = step.identity.map(Target::id);
        let ours = |r: &HavipReconciler| r.read.as_ref().is_some_and(|read| holder_or_alone(read, me));
        let term = Term::new(planned, displaces).resumes_some(self.reconcilers.iter().any(ours));
        self.become_role(step, State::Claiming(term), cause, why, peer);
    }

    /// After a switchover the suspension of preemption goes with leadership; an unplanned move ends it.
    fn peer_settled(&self, step: &StepContext<'_>, node: NodeIndex) -> bool {
        let entry = step.peers.of(node).and_then(|p| p.entries.get(&self.tag));
        entry.is_some_and(|e| e.flags.has(Flags::SETTLED))
    }

    pub(crate) fn step_claiming(&mut self, step: &mut StepContext<'_>) {
        let outcome = self.outcome(step);
        let ended = matches!(outcome, Outcome::Rival(_) | Outcome::Failed(_));
        if !ended && !self.pass_gate(step) {
            return;
        }
        match outcome {
            Outcome::Pending => {}
            Outcome::Confirmed if self.gated_record_is_lost(step) => {}
            Outcome::Confirmed => {
                self.backoff.claim_worked(self.lacking().is_none());
                self.superseded.settle();
                self.candidacy.not_vacant();
                let detail = match self.settings(step).observe {
                    true => "elected; only observing, so nothing was touched",
                    false => "the cloud was read back to name this node",
                };
                let detail = detail.to_owned();
                let term = self.state.take_term();
                self.become_role(step, State::Active(term), Cause::Confirmed, detail, None);
            }
            Outcome::Rival(by) => {
                let node = self.member_with(step, &by);
                let settings = self.settings(step);
                let lost = |l: &HavipReconciler| matches!(l.outcome(), Outcome::Rival(rival) if *rival == by);
                let over = self.reconcilers.iter().position(lost).unwrap_or_default();
                self.superseded.hold_down(step, settings, over, &by, node);
                self.lose(step, Role::Backup, Cause::LostRace, format!("{by} claimed too and goes first"), node);
            }
            Outcome::Failed(failure) => self.give_up(step, &failure),
        }
    }

    /// The claim, or a repair, failed: a backoff begins, so that somebody else may try.
    pub(crate) fn give_up(&mut self, step: &mut StepContext<'_>, failure: &Failure) {
        self.backoff.claim_failed(step, failure, self.settings(step).reclaim_wait);
        if self.reconcilers.iter().any(|l| *l.outcome() == Outcome::Confirmed) {
            self.backoff.pass_on();
        }
        self.lose(step, Role::Fault, failure.cause, failure.text.clone(), None);
    }
}
