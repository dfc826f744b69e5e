//! What the core thread leaves to the effects side: handed over without waiting, kept until there is room, or answered as failed.

use super::{Driver, ToEffects};
use havipd_core::model::action::{Action, Transition};
use havipd_core::model::cloud::{CallError, ErrorClass};
use havipd_core::model::event::{Event, OperationResult};
use havipd_core::model::ids::OperationId;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// An operation that found no room is reported as failed this much later, so that asking again at
/// once cannot make the core spin.
const FAIL_AFTER: Duration = Duration::from_millis(50);

impl Driver {
    /// Hands one action to the effects side.
    pub(super) fn hand_over(&mut self, now: Instant, action: Action) {
        let Some(message) = self.message(action) else { return };
        self.notable |= !matches!(
            message,
            ToEffects::ReadHavip { .. }
                | ToEffects::ReadInstance { .. }
                | ToEffects::AskEtcd { .. }
                | ToEffects::CarryOut { .. }
                | ToEffects::Forwarded { .. }
        );
        let Some(message) = self.outbox.send(message) else { return };
        if let Some((op, result)) = failure(&message) {
            self.follow_ups.push_back((now + FAIL_AFTER, Event::OperationEnded { op, result }));
        } else if let ToEffects::AskEtcd { op, group, .. } = message {
            let answer = Err("too much waits for the effects side".to_owned());
            self.follow_ups.push_back((now + FAIL_AFTER, Event::EtcdAnswered { group, op, sent: now, answer }));
        }
    }

    fn message(&mut self, action: Action) -> Option<ToEffects> {
        Some(match action {
            Action::ReadHavip { op, havip, class, deadline } => ToEffects::ReadHavip { op, havip, class, deadline },
            Action::ReadInstance { op, instance, deadline } => ToEffects::ReadInstance { op, instance, deadline },
            Action::Write(write) => {
                let group = self.group_name(write.group).clone();
                ToEffects::Write { ticket: self.cancellations.ticket(&group), group, write }
            }
            Action::AskEtcd { op, group, request } => ToEffects::AskEtcd { op, group, request },
            Action::RunGate(run) => {
                let other = run.other.map(|node| self.core.config().node(node).name.clone());
                ToEffects::RunGate { group: self.group_name(run.group).clone(), other, run }
            }
            Action::StopGate { group: index, op } => {
                ToEffects::StopGate { group: self.group_name(index).clone(), index, op }
            }
            Action::Notify(notification) => {
                ToEffects::Notify(self.group_name(notification.group).clone(), notification)
            }
            Action::Persist(state) => ToEffects::Persist(state),
            Action::Record(transition) => self.record(transition),
            Action::RecordLate { group, epoch, start, step } => {
                let ms = step.at.since(start).as_secs_f64() * 1e3;
                ToEffects::RecordLate { group: self.group_name(group).clone(), epoch, ms, what: step.what }
            }
            Action::Warn { group, text } => ToEffects::Warn { group: group.map(|g| self.group_name(g).clone()), text },
            Action::Reply { request, reply } => ToEffects::Reply { request, reply },
            Action::CarryOut { ticket, command, until } => ToEffects::CarryOut { ticket, command, until },
            Action::Forwarded { request, result } => ToEffects::Forwarded { request, result },
            // Said at the very end, when nothing else is to be said.
            Action::Exit => {
                (self.ended, self.left) = (true, true);
                return None;
            }
            // Carried out by the driver itself.
            Action::SendDatagram { .. }
            | Action::PutAddress { .. }
            | Action::DropAddress { .. }
            | Action::Announce { .. }
            | Action::CancelWrites { .. }
            | Action::DrawBootId => return None,
        })
    }

    fn record(&self, transition: Transition) -> ToEffects {
        let peer = transition.peer.map(|n| self.core.config().node(n).name.to_string());
        ToEffects::Record { group: self.group_name(transition.group).clone(), peer, transition }
    }
}

/// What the core hears of an operation that was never begun.
fn failure(message: &ToEffects) -> Option<(OperationId, OperationResult)> {
    let error = |what: String| CallError::new(ErrorClass::NotSent, what, "too much waits for the effects side");
    match message {
        ToEffects::ReadHavip { op, havip, .. } => {
            Some((*op, OperationResult::Havip(Err(error(format!("read {havip}"))))))
        }
        ToEffects::ReadInstance { op, instance, .. } => {
            Some((*op, OperationResult::Instance(Err(error(format!("read {instance}"))))))
        }
        ToEffects::Write { write, .. } => {
            Some((write.op, OperationResult::Written(Err(error(format!("write {}", write.havip))))))
        }
        _ => None,
    }
}
