//! The timeline of a move: which steps it has, and to which move a step that comes in late belongs.
//!
//! A step that comes after the role was decided is told apart as [`Action::RecordLate`]; `journal::Late` puts it
//! where it belongs.

use super::group::Group;
use super::step_context::StepContext;
use crate::model::action::{Action, Step, WriteKind};
use crate::model::event::OperationResult;
use crate::model::ids::{NodeIndex, OperationId, Target};
use crate::model::role::{Cause, Role};
use crate::model::time::Instant;

impl Group {
    /// Adds a step to the running timeline, or to that of the move that has just ended.
    pub(crate) fn step_done(&mut self, step: &mut StepContext<'_>, what: String) {
        self.step_done_at(step, step.now, what);
    }

    fn step_done_at(&mut self, step: &mut StepContext<'_>, at: Instant, what: String) {
        let entry = Step { at, what };
        match self.timeline.late(step.now).filter(|_| self.role() == Role::Active) {
            Some(start) => {
                let (group, epoch) = (self.index, self.epochs.ours());
                step.out.push(Action::RecordLate { group, epoch, start, step: entry });
            }
            None => self.timeline.add(entry),
        }
    }

    /// The beginning of an unplanned move's timeline: how its cause came about.
    pub(crate) fn note_silence(&mut self, step: &StepContext<'_>, cause: Cause, peer: Option<NodeIndex>) {
        let Some(peer) = peer.and_then(|n| step.peers.of(n)).filter(|_| cause == Cause::PeerDead) else { return };
        let Some(heard) = peer.session.last_heard() else { return };
        if self.timeline.steps().first().is_some_and(|s| s.at == heard) {
            return;
        }
        let name = &step.config.node(peer.node).name;
        let dead = heard + peer.session.dead_time();
        let suspected = peer.session.suspected_at().unwrap_or(heard).clamp(heard, dead);
        let past = [
            (heard, format!("last heartbeat of {name} heard")),
            (suspected, format!("{name} suspected: a heartbeat is missing")),
            (dead.min(step.now), format!("{name} dead")),
        ];
        self.timeline.begin(past.map(|(at, what)| Step { at, what }).into());
    }

    /// Effects of a claim that were begun in this step, each once.
    pub(super) fn note_effects(&mut self, step: &mut StepContext<'_>, from: usize) {
        if !self.role().has_leadership() {
            return;
        }
        let writes = step.out.iter().skip(from).filter_map(|action| match action {
            Action::Write(write) => Some(format!("{} queued", write_of(write.kind, &write.targets))),
            _ => None,
        });
        let steps: Vec<String> = writes.collect();
        for what in steps {
            // One that waits is asked for again and again.
            if self.timeline.last_write() != Some(what.as_str()) {
                self.step_done(step, what);
            }
        }
    }

    /// A write of ours has left this host. False when it is not ours.
    pub(crate) fn note_sent(&mut self, step: &mut StepContext<'_>, op: OperationId, at: Instant) -> bool {
        let Some((kind, targets)) = self.reconcilers.each().find_map(|l| l.write_sent(op)) else { return false };
        if self.role().has_leadership() {
            self.step_done_at(step, at, format!("{} sent", write_of(kind, &targets)));
        }
        true
    }

    /// Whether an announcement would be the first one of this term.
    pub(crate) fn announces_first(&self) -> bool {
        self.role().has_leadership() && !self.timeline.is_announced(self.epochs.ours())
    }

    /// The kernel has sent an announcement of ours: the first one of a term is a step.
    pub(crate) fn note_announced(&mut self, step: &mut StepContext<'_>, address: std::net::Ipv4Addr) {
        if self.announces_first() {
            self.timeline.note_announced(self.epochs.ours());
            self.step_done(step, format!("{address} announced"));
        }
    }

    /// The kernel has an address of ours.
    pub(crate) fn note_address(&mut self, step: &mut StepContext<'_>, address: Option<std::net::Ipv4Addr>) {
        if let Some(address) =
            address.filter(|_| self.role() == Role::Claiming || self.timeline.of_this_term().is_some())
        {
            self.step_done(step, format!("{address} added"));
        }
    }

    /// An operation ended: a step of the timeline.
    pub(crate) fn note_operation(&mut self, step: &mut StepContext<'_>, result: &OperationResult) {
        if let OperationResult::Havip(Err(error)) = result {
            self.note_wait(step, error);
        }
        let what = match result {
            OperationResult::Written(Err(e)) | OperationResult::Havip(Err(e)) if e.is_not_sent() => return,
            OperationResult::Written(Ok(())) => "write answered".to_owned(),
            OperationResult::Written(Err(e)) => format!("write failed: {e}"),
            OperationResult::Havip(Ok(h)) => format!("read back: holder {}", h.holder().unwrap_or("nobody")),
            OperationResult::Havip(Err(e)) => format!("read failed: {e}"),
            OperationResult::Instance(_) => return,
        };
        let written = matches!(result, OperationResult::Written(_));
        let late = self.timeline.late(step.now).is_some() && written;
        if late || matches!(self.role(), Role::Claiming | Role::Releasing) {
            self.step_done(step, what);
        }
    }
}

fn write_of(kind: WriteKind, targets: &[Target]) -> String {
    let targets = targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("{} of {targets}", if kind == WriteKind::Attach { "attach" } else { "detach" })
}
