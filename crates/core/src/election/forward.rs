//! Commands that an operator gave on another node than the one that they concern.
//!
//! The node that was asked sends the command, again and again until it hears; the node that it concerns carries it out once,
//! keeps the answer, and gives one part of it for each datagram that wants one.
//!
//! ```text
//!   a, where the operator is                          b, which it concerns
//!        │  4: command 7, wants part 0                       │
//!        ├──────────────────────────────────────────────────►│  carried out; its answer is kept
//!        │                        5: answer 7, part 0 of 2   │
//!        │                     lost ◄────────────────────────┤
//!        │  4: command 7, wants part 0                       │
//!        ├──────────────────────────────────────────────────►│  known: not carried out again
//!        │                        5: answer 7, part 0 of 2   │
//!        │◄──────────────────────────────────────────────────┤
//!        │  4: command 7, wants part 1                       │
//!        ├──────────────────────────────────────────────────►│
//!        │                        5: answer 7, part 1 of 2   │
//!        │◄──────────────────────────────────────────────────┤
//! ```
//!
//! ⚠ A command counts only in the session in which it was given: it names the boots of both ends, and a number that the
//! receiver has sent within a dead time. So a recording is of no use after a restart of either end, nor a dead time later; and
//! within that its number is known, or is not above those whose answers are kept no more. (`forward::a_recording_*`)
//!
//! What it asks for goes through the same code as a command that is given here; nothing of it touches sessions or roles.

use super::Core;
use crate::model::action::{Action, Actions};
use crate::model::forward::{ForwardError, LONGEST, LONGEST_ANSWER, LONGEST_COMMAND, PATIENCE, Ticket};
use crate::model::ids::{BootId, NodeIndex};
use crate::model::time::Instant;
use crate::model::timer::Timer;
use crate::wire::Forwarded;
use crate::wire::heartbeat::{MAX_BODY, encode_forwarded};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Between two datagrams of a command that is not answered.
const RETRY: Duration = Duration::from_millis(200);
/// Commands that wait for one peer's answer.
const OUTSTANDING: usize = 4;
/// Commands of one peer that are carried out at a time: one more is not looked at, and comes again.
const RUNNING: usize = 4;
/// Commands of one peer whose answers are kept. ⚠ More than it may wait for, or a repeated one would find none.
const KEPT: usize = 16;
/// Commands of one peer that are answered within a second: recordings of the session must cost no more than this.
const PER_SECOND: u32 = 256;

/// What goes to others, and what was done for them.
#[derive(Debug, Default)]
pub(super) struct Forwarding {
    last: u64,
    going: Vec<Going>,
    served: BTreeMap<NodeIndex, Served>,
}

/// A command that waits for another node's answer.
#[derive(Debug)]
struct Going {
    /// Who here waits for it.
    request: u64,
    node: NodeIndex,
    /// The start of that node that it was given to.
    boot: BootId,
    id: u64,
    command: Vec<u8>,
    /// As much of the answer as there is, and how many parts that is, of how many.
    answer: Vec<u8>,
    part: u8,
    parts: u8,
    /// The other node has said that it is at it.
    taken: bool,
    begun: Instant,
    until: Instant,
    again: Instant,
}

/// What was done for one start of a peer.
#[derive(Debug)]
struct Served {
    boot: BootId,
    kept: VecDeque<Kept>,
    /// No command with this number or a lower one is begun any more.
    floor: u64,
    second: Instant,
    answered: u32,
}

#[derive(Debug)]
struct Kept {
    id: u64,
    began: Instant,
    /// `None`: it is being carried out.
    answer: Option<Vec<u8>>,
}

impl Kept {
    /// Carrying out that never ends does not hold a place for ever.
    fn runs(&self, now: Instant) -> bool {
        self.answer.is_none() && now.since(self.began) < LONGEST
    }
}

impl Served {
    const fn new(boot: BootId, now: Instant) -> Self {
        Self { boot, kept: VecDeque::new(), floor: 0, second: now, answered: 0 }
    }

    /// Whether one more datagram is worth an answer.
    fn admits(&mut self, now: Instant) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.answered) = (now, 0);
        }
        self.answered += 1;
        self.answered <= PER_SECOND
    }

    /// Whether a command that is not known is to be carried out; it is known from then on.
    fn begins(&mut self, now: Instant, id: u64) -> bool {
        if id <= self.floor || self.kept.iter().filter(|k| k.runs(now)).count() >= RUNNING {
            return false;
        }
        if self.kept.len() >= KEPT
            && let Some(oldest) = self.kept.iter().position(|k| !k.runs(now))
            && let Some(gone) = self.kept.remove(oldest)
        {
            self.floor = self.floor.max(gone.id);
        }
        self.kept.push_back(Kept { id, began: now, answer: None });
        true
    }
}

/// One part of an answer, and of how many; `None`: it has no such part.
fn part_of(answer: &[u8], part: u8) -> Option<(u8, &[u8])> {
    let parts = u8::try_from(answer.len().div_ceil(MAX_BODY)).ok()?;
    answer.chunks(MAX_BODY).nth(part.into()).map(|chunk| (parts, chunk))
}

impl Core {
    /// An operator here gave a command that concerns another node.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        node: NodeIndex,
        command: Vec<u8>,
        request: u64,
        actions: &mut Actions,
    ) {
        if let Err(error) = self.begin_forwarding(now, node, command, request) {
            actions.push(Action::Forwarded { request, result: Err(error) });
        }
        self.forward_due(now, actions);
    }

    fn begin_forwarding(
        &mut self,
        now: Instant,
        node: NodeIndex,
        command: Vec<u8>,
        request: u64,
    ) -> Result<(), ForwardError> {
        let peer = self.peers.of(node).filter(|peer| peer.up(now));
        let boot = peer.and_then(|peer| peer.session.peer_boot()).ok_or(ForwardError::Unheard)?;
        if command.is_empty() || command.len() > LONGEST_COMMAND {
            return Err(ForwardError::TooLong);
        }
        let forwarding = &mut self.forwarding;
        if forwarding.going.iter().filter(|g| g.node == node).count() >= OUTSTANDING {
            return Err(ForwardError::Busy);
        }
        forwarding.last += 1;
        forwarding.going.push(Going {
            request,
            node,
            boot,
            id: forwarding.last,
            command,
            answer: Vec::new(),
            part: 0,
            parts: 0,
            taken: false,
            begun: now,
            until: now + PATIENCE,
            again: now,
        });
        Ok(())
    }

    /// Sends what is due again, and gives up what has no answer.
    pub(super) fn forward_due(&mut self, now: Instant, actions: &mut Actions) {
        let mut going = std::mem::take(&mut self.forwarding.going);
        going.retain_mut(|g| {
            if let Some(error) = self.no_answer(now, g) {
                actions.push(Action::Forwarded { request: g.request, result: Err(error) });
                return false;
            }
            if g.again <= now {
                g.again = now + RETRY;
                self.send_forwarded(now, g.node, false, (g.id, g.part, 0), &g.command, actions);
            }
            true
        });
        self.timers.begin(Timer::Forward);
        going.iter().for_each(|g| self.timers.wake(g.again.min(g.until)));
        self.forwarding.going = going;
    }

    /// Why one is not waited for any more.
    fn no_answer(&self, now: Instant, going: &Going) -> Option<ForwardError> {
        let peer = self.peers.of(going.node)?;
        match peer.session.peer_boot() {
            Some(boot) if boot != going.boot => Some(ForwardError::Restarted),
            _ if !peer.up(now) => Some(ForwardError::Silenced),
            _ if now >= going.until && going.taken => Some(ForwardError::Unfinished),
            _ if now >= going.until => Some(ForwardError::NoAnswer),
            _ => None,
        }
    }

    /// A part of an answer.
    pub(super) fn forwarded_answered(&mut self, now: Instant, answer: &Forwarded, actions: &mut Actions) {
        let Some(node) = self.in_session(now, answer) else { return };
        let going = &mut self.forwarding.going;
        let ours = |g: &Going| g.node == node && g.boot == answer.boot && g.id == answer.id;
        let Some(at) = going.iter().position(ours) else { return };
        let g = &mut going[at];
        g.taken = true;
        g.until = (now + PATIENCE).min(g.begun + LONGEST);
        if answer.parts == 0 || answer.part != g.part || (g.part > 0 && answer.parts != g.parts) {
            return;
        }
        g.answer.extend_from_slice(&answer.body);
        (g.part, g.parts, g.again) = (g.part + 1, answer.parts, now);
        if g.part == g.parts {
            let done = going.swap_remove(at);
            actions.push(Action::Forwarded { request: done.request, result: Ok(done.answer) });
        }
        self.forward_due(now, actions);
    }

    /// A command of another node's operator, or a question for a part of its answer.
    pub(super) fn command_forwarded(&mut self, now: Instant, command: Forwarded, actions: &mut Actions) {
        let Some(node) = self.in_session(now, &command) else { return };
        let Forwarded { boot, id, part, body, .. } = command;
        let served = self.forwarding.served.entry(node).or_insert_with(|| Served::new(boot, now));
        if served.boot != boot {
            *served = Served::new(boot, now);
        }
        if !served.admits(now) {
            return;
        }
        let known = served.kept.iter().find(|k| k.id == id).map(|kept| match &kept.answer {
            Some(answer) => part_of(answer, part).map(|(parts, chunk)| (part, parts, chunk.to_vec())),
            None => Some((0, 0, Vec::new())),
        });
        match known {
            Some(Some((part, parts, chunk))) => {
                self.send_forwarded(now, node, true, (id, part, parts), &chunk, actions);
            }
            // It has no such part.
            Some(None) => {}
            None if part == 0 && served.begins(now, id) => {
                let ticket = Ticket { node, boot, id };
                actions.push(Action::CarryOut { ticket, command: body, until: now + PATIENCE });
            }
            None => {}
        }
    }

    /// A command of another node's operator was carried out.
    pub(super) fn carried_out(&mut self, now: Instant, ticket: Ticket, answer: Vec<u8>, actions: &mut Actions) {
        let Ticket { node, boot, id } = ticket;
        let served = self.forwarding.served.get_mut(&node).filter(|s| s.boot == boot);
        let kept = served.and_then(|s| s.kept.iter_mut().find(|k| k.id == id));
        let Some(kept) = kept.filter(|_| !answer.is_empty() && answer.len() <= LONGEST_ANSWER) else { return };
        let first = part_of(&answer, 0).map(|(parts, chunk)| (parts, chunk.to_vec()));
        kept.answer = Some(answer);
        let still = self.peers.of(node).is_some_and(|peer| peer.session.peer_boot() == Some(boot));
        if let Some((parts, chunk)) = first.filter(|_| still) {
            self.send_forwarded(now, node, true, (id, 0, parts), &chunk, actions);
        }
    }

    /// Who sent it, if it belongs to the session that there is now.
    fn in_session(&self, now: Instant, forwarded: &Forwarded) -> Option<NodeIndex> {
        let node = self.peers.by_tag(forwarded.sender)?;
        let session = &self.peers.of(node)?.session;
        session.vouches_for(now, forwarded.boot, forwarded.echo).then_some(node)
    }

    /// Over every path, as a heartbeat. `what` is the number, the part, and of how many.
    fn send_forwarded(
        &mut self,
        now: Instant,
        node: NodeIndex,
        answer: bool,
        what: (u64, u8, u8),
        body: &[u8],
        actions: &mut Actions,
    ) {
        let Some(peer) = self.peers.of(node) else { return };
        let (id, part, parts) = what;
        let forwarded = Forwarded {
            key: self.keys.choose(peer.session.peer_accepts()),
            sender: self.peers.me(),
            receiver: peer.tag,
            boot: self.boot,
            echo: peer.session.echo(now),
            id,
            part,
            parts,
            body: body.to_vec(),
        };
        let until = now + self.config.heartbeat.dead_time();
        match encode_forwarded(&forwarded, answer, &self.keys, &self.config.cluster) {
            Ok(bytes) => {
                for (path, _, to) in self.paths_to(node) {
                    actions.push(Action::SendDatagram { path, to, bytes: bytes.clone(), until });
                }
            }
            Err(_) => self.counters.unsendable += 1,
        }
    }
}
