//! What a datagram changes: sessions, what peers said, and grants.

use super::arbiter::lease::{LeaseRequest, relinquishes};
use super::peer::Standing;
use super::{Concerns, Core};
use crate::model::action::{Action, Actions};
use crate::model::ids::{GroupIndex, NodeIndex};
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::wire::heartbeat::{DecodeError, Header, encode_probe};
use crate::wire::session::{Reason, Verdict};
use crate::wire::{Datagram, Entry, Flags, Heartbeat, Leaving, Probe};
use std::net::SocketAddr;

impl Core {
    /// Whether a datagram is worth an event: of this cluster, from a peer, for this node, and untouched. What is not is
    /// counted here, and costs neither an allocation nor a step.
    ///
    /// [`Self::handle`] checks all of it again: it takes nobody's word for a datagram.
    pub fn admits(&mut self, bytes: &[u8]) -> bool {
        let header = self.screen(bytes);
        let verified = header.and_then(|h| self.note(h.verify(bytes, &self.keys, &self.config.cluster)));
        verified.is_some()
    }

    /// One datagram. ⚠ What does not authenticate reaches neither a session nor a step: a flood of it would otherwise cost an
    /// evaluation of every group each, and the heartbeats that wait behind it. (I7; `sensitivity::i07_forgeries_change_nothing`)
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        arrived: Instant,
        path: Option<usize>,
        from: SocketAddr,
        bytes: &[u8],
        actions: &mut Actions,
    ) {
        let Some(header) = self.screen(bytes) else { return };
        let Some(datagram) = self.note(header.open(bytes, &self.keys, &self.config.cluster)) else { return };
        let away = self.judge_pause(now, actions);
        let counts = match datagram {
            Datagram::Heartbeat(heartbeat) => {
                let path = path.and_then(|p| u8::try_from(p).ok());
                path.is_some_and(|path| self.heartbeat(now, arrived, path, heartbeat, actions))
            }
            // What probes tell is looked at in the next step, whenever that comes.
            Datagram::Probe(probe) => {
                self.answer_probe(now, path, from, &probe, actions);
                false
            }
            Datagram::ProbeAnswer(probe) => {
                self.probe_answered(now, &probe, actions);
                false
            }
            Datagram::Command(command) => {
                self.command_forwarded(now, command, actions);
                false
            }
            Datagram::Answer(answer) => {
                self.forwarded_answered(now, &answer, actions);
                false
            }
        };
        // A recording authenticates, too, and so does the copy that came over another path, or the first word of a new start:
        // none is worth a step.
        // A step that an earlier event is still owed is not widened by it.
        if counts || away || self.changed || self.persist {
            let concerns = if away || self.peers_told { Concerns::All } else { Concerns::WhoWaits };
            self.peers_told = false;
            self.settle(now, concerns, actions);
        }
    }

    /// What can be refused before a tag is computed, the cheapest first.
    fn screen(&mut self, bytes: &[u8]) -> Option<Header> {
        let header = self.note(Header::read(bytes))?;
        let Some(node) = self.peers.by_tag(header.sender) else {
            // Our own datagram, or one of a node that this file does not have.
            self.counters.unknown_sender += 1;
            return None;
        };
        let for_anybody = header.is_probe() && header.receiver == Tag::NONE;
        if header.receiver != self.peers.me() && !for_anybody {
            if let Some(peer) = self.peers.of_mut(node) {
                peer.session.dropped(Reason::WrongReceiver);
            }
            return None;
        }
        Some(header)
    }

    /// Counts what was refused.
    fn note<T>(&mut self, result: Result<T, DecodeError>) -> Option<T> {
        result.inspect_err(|error| self.count_undecodable(error)).ok()
    }

    fn count_undecodable(&mut self, error: &DecodeError) {
        let counter = match error {
            DecodeError::Foreign(_) => &mut self.counters.foreign,
            DecodeError::Version(_) => &mut self.counters.wrong_version,
            DecodeError::UnknownKey(_) => &mut self.counters.unknown_key,
            DecodeError::BadTag(_) => &mut self.counters.bad_tag,
            DecodeError::Malformed(_) => &mut self.counters.malformed,
        };
        *counter += 1;
    }

    /// Whether anything followed from it.
    fn heartbeat(
        &mut self,
        now: Instant,
        arrived: Instant,
        path: u8,
        heartbeat: Heartbeat,
        actions: &mut Actions,
    ) -> bool {
        let Some(node) = self.peers.by_tag(heartbeat.sender) else { return false };
        let Some(peer) = self.peers.of_mut(node) else { return false };
        let before = peer.standing(now);
        match peer.session.receive(arrived, path, &heartbeat) {
            Verdict::Counts { proven } => self.take_over(now, arrived, node, heartbeat, proven, before),
            Verdict::Late => return self.take_entries(now, node, &heartbeat),
            // ⚠ Anybody who has a recording of an earlier start can make us hear of it again and again. It is answered, which costs
            // one heartbeat, and is worth no step before it has proven itself. (I7, seed 43101)
            Verdict::Candidate => {
                self.emit_to(now, node, actions);
                return false;
            }
            Verdict::Dropped(Reason::ImpossibleEcho) => {
                self.peers_told = true;
                self.impossible_echo(now, actions);
            }
            Verdict::Dropped(_) => return false,
        }
        true
    }

    /// A datagram that counts: what it says replaces what was known. What every group goes by is what the peer was `before` it,
    /// and is now; most datagrams leave that as it was.
    fn take_over(
        &mut self,
        now: Instant,
        arrived: Instant,
        node: NodeIndex,
        heartbeat: Heartbeat,
        proven: bool,
        before: Standing,
    ) {
        self.clocks_told = true;
        let Some(peer) = self.peers.of_mut(node) else { return };
        if proven {
            peer.entries.clear();
            peer.said.clear();
            self.changed = true;
        }
        peer.met = true;
        if proven || peer.digest != Some(heartbeat.digest) {
            peer.digest_since = now;
        }
        peer.digest = Some(heartbeat.digest);
        peer.gone = heartbeat.leaving == Leaving::Gone;
        peer.returns_by = match heartbeat.leaving {
            Leaving::Restarting(keep_for) => Some(arrived + keep_for),
            Leaving::No | Leaving::Gone => None,
        };
        peer.expected_by = peer.returns_by.or(peer.expected_by.filter(|_| !peer.gone));
        let moved = heartbeat.target.is_some() && peer.target != heartbeat.target;
        if moved {
            peer.target.clone_from(&heartbeat.target);
        }
        self.peers_told |= proven || moved || heartbeat.leaving != Leaving::No || peer.standing(now) != before;
        self.take_entries(now, node, &heartbeat);
    }

    /// What a datagram says of groups, where no later one has spoken of them. ⚠ With many groups a heartbeat takes several datagrams:
    /// of those that overtake each other only the last would count, and the leases of the groups in the others would run out. A
    /// recording says nothing that is newer. True if anything was. (`s1_held_entries_in_every_heartbeat`)
    fn take_entries(&mut self, now: Instant, node: NodeIndex, heartbeat: &Heartbeat) -> bool {
        let mut news = false;
        for entry in &heartbeat.entries {
            let Some(index) = self.by_tag.get(&entry.group).copied() else { continue };
            if self.config.groups[index.0].member(node).is_none() {
                continue;
            }
            let Some(peer) = self.peers.of_mut(node) else { continue };
            if peer.said.get(&entry.group).is_some_and(|said| *said >= heartbeat.seq) {
                continue;
            }
            peer.said.insert(entry.group, heartbeat.seq);
            let known = peer.entries.get_mut(&entry.group);
            let mut differs = known.as_ref().is_none_or(|known| !known.says_as_much_as(entry));
            match known {
                Some(known) => known.clone_from(entry),
                None => drop(peer.entries.insert(entry.group, entry.clone())),
            }
            news = true;
            if self.config.groups[index.0].arbiter.grants_leases() {
                differs |= self.vote(now, node, index, entry, heartbeat);
                self.count_vote(now, node, index, entry);
            }
            differs |= self.note_maintenance(index, entry, heartbeat.digest == self.digest);
            if differs && self.concerned.last() != Some(&index) {
                self.concerned.push(index);
            }
        }
        news
    }

    /// As a voter: gives, renews, keeps or frees the grant of this group. Says whether that is news.
    fn vote(&mut self, now: Instant, node: NodeIndex, index: GroupIndex, entry: &Entry, heartbeat: &Heartbeat) -> bool {
        let same_digest = heartbeat.digest == self.digest;
        let successor = entry.successor.and_then(|tag| self.node_by_tag(tag));
        let group = &mut self.groups[index.0];
        let own = self.config.groups[index.0].member(self.config.local).is_some();
        // ⚠ A machine that is not the one of its file knows nothing of what that voter granted. (I1)
        if !own || self.wrong_host.is_some() {
            return false;
        }
        let mut news = false;
        if entry.flags.has(Flags::DECLINES) {
            news |= group.voter.declined(node);
        }
        let asked = entry.lease_request.map(|lease| LeaseRequest {
            node,
            boot: heartbeat.boot,
            epoch: entry.epoch,
            seq: heartbeat.seq,
            lease,
        });
        // In maintenance a node that has leadership keeps it, with another file as well: the files differ meanwhile.
        let renews = same_digest || group.maintained();
        let grants = same_digest && group.grants_afresh(entry.role.has_leadership());
        let longest = group.longest_lease(&self.config, self.digest);
        let may = |ask: &LeaseRequest| ask.lease <= longest && (grants || renews && group.voter.renews(now, ask));
        if let Some(ask) = asked.filter(may) {
            // ⚠ Two nodes that do not hear each other may take one number, and one of them lead in it. This voter would refuse
            // that leader for ever, and nobody would know before another voter is lost. So it names a number above, which
            // nobody owns: the leader takes the next one. (I5, seed 81015)
            if group.voter.refuses_number(now, &ask) {
                news |= group.epochs.tell_above(ask.epoch);
            }
            news |= group.voter.judge(now, ask);
        } else if asked.is_none() && relinquishes(entry) {
            let successor = match heartbeat.leaving {
                Leaving::Restarting(_) => Some(node),
                Leaving::No | Leaving::Gone => successor,
            };
            news |= group.voter.relinquished(node, heartbeat.boot, heartbeat.seq, successor);
        }
        if let (Leaving::Restarting(_), Some(_)) = (heartbeat.leaving, entry.lease_request) {
            group.voter.expect_next_start(node, heartbeat.boot);
        }
        self.changed |= news;
        news
    }

    /// As a candidate: counts the grant that the peer says it gave us. Who leads has its lease renewed by it, and is evaluated when
    /// the one before would have ended.
    fn count_vote(&mut self, now: Instant, node: NodeIndex, index: GroupIndex, entry: &Entry) {
        let me = self.peers.me();
        let Some(grant) = entry.grant.filter(|g| g.node == me && g.boot == self.boot) else { return };
        let Some(sent) = self.peers.of(node).and_then(|p| p.session.sent_at(grant.seq)) else { return };
        if sent > now {
            return;
        }
        let ours = &mut self.groups[index.0].lease;
        if let Some(lease) = ours.stated_at(sent) {
            ours.count(node, grant.epoch, sent, lease);
        }
    }

    /// Maintenance carries a number that only rises, odd for on: the highest that any member knows holds for all.
    /// ⚠ But nobody leaves maintenance by the word of a node with another digest: who still has the file of before
    /// would no longer renew what the holder has, or elect another one by it.
    fn note_maintenance(&mut self, index: GroupIndex, entry: &Entry, same_digest: bool) -> bool {
        let ours = self.config.groups[index.0].member(self.config.local).is_some();
        let group = &mut self.groups[index.0];
        let ends = group.maintained() && entry.maintenance.is_multiple_of(2);
        let number = entry.maintenance;
        let news = group.maintenance.is_news(number);
        if ours && news && (same_digest || !ends) {
            group.maintenance.follow(number);
            self.persist = true;
            self.changed = true;
            return true;
        }
        false
    }

    pub(super) fn node_by_tag(&self, tag: Tag) -> Option<NodeIndex> {
        let own = self.peers.me() == tag;
        if own { Some(self.config.local) } else { self.peers.by_tag(tag) }
    }

    /// Somebody asks who has a HAVIP's address: the one that received the question on that address says so.
    /// On our own address it is for us: for no HAVIP, whether we are there; for one, to be passed on (see `drill`).
    fn answer_probe(
        &mut self,
        now: Instant,
        path: Option<usize>,
        from: SocketAddr,
        probe: &Probe,
        actions: &mut Actions,
    ) {
        let known = self.peers.by_tag(probe.sender).is_some();
        let me = self.peers.me();
        if let Some(path) = path.filter(|_| known && probe.receiver == me) {
            return match probe.havip {
                Tag::NONE => self.send_answer(path, from, probe, actions),
                _ => self.pass_on(path, from, probe, actions),
            };
        }
        let Some((group, _)) = self.havips_by_tag.get(&probe.havip).copied() else { return };
        if path.is_some() || !known {
            return;
        }
        self.send_answer(0, from, probe, actions);
        self.note_arrival(now, group, probe, actions);
    }

    /// A probe that arrives on a HAVIP's address dates the first packet on this node.
    fn note_arrival(&mut self, now: Instant, index: GroupIndex, probe: &Probe, actions: &mut Actions) {
        let from = self.node_by_tag(probe.sender);
        self.one_group(now, index, actions, |group, step| {
            if group.role().has_leadership() && group.fabric.note_arrival(group.epochs.ours()) {
                let from = from.map(|n| step.config.node(n).name.to_string()).unwrap_or_default();
                group.step_done(step, format!("first packet here: the fabric probe of {from}"));
            }
        });
    }

    fn send_answer(&self, path: usize, to: SocketAddr, probe: &Probe, actions: &mut Actions) {
        let me = self.peers.me();
        let answer = Probe { sender: me, receiver: probe.sender, node: me, ..*probe };
        if let Ok(bytes) = encode_probe(&answer, true, &self.keys, &self.config.cluster) {
            actions.push(Action::SendDatagram { path, to, bytes, until: Instant::FAR_FUTURE });
        }
    }
}
