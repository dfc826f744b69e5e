//! The cloud's half: looks and writes, one of each at a time, and what their ends mean.

use super::Serve;
use super::havip::{DETACH_LATER, HavipLoop, LOOK_AGAIN, LastRead, Scope};
use super::token::client_token;
use crate::cloud::api::{Bound, CallError, ErrorClass, HaVip};
use crate::election::action::{Action, Write, WriteKind};
use crate::election::turn::Turn;
use crate::ids::{OperationId, Target};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// How long after its deadline a call that never ended is given up.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// First wait after a write that did not help; doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) op: OperationId,
    pub(super) kind: WriteKind,
    pub(super) issued: Instant,
}

/// Identity of one attempt: it lives until a definite answer, so retries of it share the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) kind: WriteKind,
    pub(super) targets: Vec<Target>,
    pub(super) number: u64,
}

/// The record may lag this far behind a write that was answered with 200.
const READ_LAG: Duration = Duration::from_secs(2);

impl HavipLoop {
    /// A call whose end was never reported must not stop the loop: it counts as having ended unknown.
    pub(super) fn give_up_lost_calls(&mut self, turn: &mut Turn<'_>) {
        let limit = turn.config.cloud.request_timeout + LOST_AFTER;
        if self.writing.as_ref().is_some_and(|w| turn.due(w.issued + limit)) {
            self.writing = None;
            self.wrote = Some(turn.now);
        }
        if self.reading.is_some_and(|(_, issued)| turn.due(issued + limit)) {
            self.reading = None;
        }
    }

    pub(super) fn attach(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve) {
        if let Some(me) = turn.identity.cloned() {
            self.write(turn, scope, serve, WriteKind::Attach, vec![me]);
        }
    }

    pub(super) fn detach(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, others: &[Bound]) {
        let mut targets: Vec<Target> = others.iter().filter_map(|b| b.instance_id.parse().ok()).collect();
        // One call carries one type.
        if let Some(kind) = targets.first().map(Target::api_type) {
            targets.retain(|t| t.api_type() == kind);
            self.write(turn, scope, serve, WriteKind::Detach, targets);
        }
    }

    pub(super) fn write(
        &mut self,
        turn: &mut Turn<'_>,
        scope: Scope<'_>,
        serve: &Serve,
        kind: WriteKind,
        targets: Vec<Target>,
    ) {
        // A record that lags shows the state from before a write that was carried out: look on, do not repeat it.
        let same = |(k, t, _): &(WriteKind, Vec<Target>, Instant)| *k == kind && *t == targets;
        if let Some((_, _, at)) = self.done.as_ref().filter(|d| same(d))
            && !turn.due(*at + READ_LAG)
        {
            self.read_at = Some(turn.now + LOOK_AGAIN);
            turn.wake(turn.now + LOOK_AGAIN);
            return;
        }
        if !self.attempt.as_ref().is_some_and(|a| a.kind == kind && a.targets == targets) {
            self.attempts += 1;
            self.attempt = Some(Attempt { kind, targets: targets.clone(), number: self.attempts });
        }
        let number = self.attempt.as_ref().map_or(0, |a| a.number);
        let op = turn.operation();
        let token = client_token(turn.boot, serve.epoch, number, &scope.havip.id, kind, &targets);
        self.writing = Some(Writing { op, kind, issued: turn.now });
        self.reading = None;
        turn.out.push(Action::Write(Write {
            op,
            group: scope.place.group,
            epoch: serve.epoch,
            havip: scope.havip.id.clone(),
            kind,
            targets,
            token,
            right_until: serve.right_until,
            deadline: turn.now + turn.config.cloud.request_timeout,
        }));
    }

    /// A write ended; what it really did is for the next read to say. False when it is not ours.
    pub(crate) fn written(&mut self, turn: &mut Turn<'_>, op: OperationId, result: Result<(), CallError>) -> bool {
        if self.writing.as_ref().is_none_or(|w| w.op != op) {
            return false;
        }
        let Some(kind) = self.writing.take().map(|w| w.kind) else { return false };
        self.wrote = Some(turn.now);
        if kind == WriteKind::Attach {
            self.begin_burst(turn);
        }
        let wait = match result {
            Ok(()) => {
                self.done = self.attempt.take().map(|a| (a.kind, a.targets, turn.now));
                self.last_error = None;
                None
            }
            Err(error) => {
                if error.class == ErrorClass::Refused {
                    self.attempt = None;
                    if kind == WriteKind::Detach {
                        self.detach_from = turn.now + DETACH_LATER;
                    }
                }
                let wait = error.retry_after;
                self.last_error = Some((kind, error));
                wait
            }
        };
        let backoff = BACKOFF.saturating_mul(1 << self.retries.min(6)).min(BACKOFF_MAX);
        self.retries += 1;
        // The first repetition may follow at once: the read that precedes it shows that it is needed.
        let backoff = if self.retries == 1 { Duration::ZERO } else { turn.jittered(backoff) };
        self.retry_at = turn.now + wait.unwrap_or(backoff).max(backoff);
        true
    }

    /// A look ended. False when it is not ours.
    pub(crate) fn looked(&mut self, turn: &mut Turn<'_>, op: OperationId, result: Result<HaVip, CallError>) -> bool {
        let Some((_, issued)) = self.reading.filter(|(expected, _)| *expected == op) else { return false };
        self.reading = None;
        self.read_at = None;
        // An answer with a status came over the network, whatever it says.
        let answered = result.as_ref().map_or_else(|e| e.status.is_some(), |_| true);
        self.answered_at = answered.then_some(turn.now);
        match result {
            Ok(havip) => {
                if self.address.ip.is_none() {
                    self.address.ip = havip.private_ip_address;
                    *turn.persist = true;
                }
                self.read_errors = None;
                self.read = Some(Arc::new(LastRead { issued, at: turn.now, havip }));
            }
            Err(error) => {
                let (count, since) = self.read_errors.as_ref().map_or((0, turn.now), |(n, at, _)| (*n, *at));
                let pause = error.retry_after.unwrap_or_else(|| LOOK_AGAIN * (count + 1).min(10));
                self.read_at = Some(turn.now + pause);
                let hopeless = (error.missing || error.denied) && self.confirmed_at.is_none();
                if self.opened.is_some() && hopeless && count > 0 {
                    self.fail_by(&error);
                }
                self.read_errors = Some((count + 1, since, error));
            }
        }
        true
    }

    pub(super) fn look(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, urgent: bool) {
        if self.reading.is_some_and(|(_, issued)| self.wrote.is_none_or(|w| issued >= w)) {
            return;
        }
        if self.read_errors.is_some() && !self.read_at.is_none_or(|at| turn.due(at)) {
            return;
        }
        let op = turn.operation();
        self.reading = Some((op, turn.now));
        self.asked_at = Some(turn.now);
        turn.out.push(Action::ReadHavip {
            op,
            havip: scope.havip.id.clone(),
            urgent,
            deadline: turn.now + turn.config.cloud.request_timeout,
        });
    }

    /// Looks without a claim: slowly while all is well, once a second while a claim may follow.
    pub(super) fn look_around(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>) {
        self.give_up_lost_calls(turn);
        if self.reading.is_some() {
            return;
        }
        let at = self.asked_at.map_or(turn.now, |asked| {
            let next = asked + scope.look_every;
            scope.look_once.filter(|once| asked < *once).map_or(next, |once| next.min(once))
        });
        if turn.due(at) {
            self.read_at = None;
            self.look(turn, scope, scope.look_urgent);
        }
    }

    /// The refusal that ended the last write of that kind, unless the refusal was of our token only.
    pub(super) fn refused(&self, kind: WriteKind) -> Option<CallError> {
        let (of, error) = self.last_error.as_ref()?;
        let token_only = error.code.as_deref() == Some("IdempotentParameterMismatch");
        (*of == kind && error.class == ErrorClass::Refused && !token_only).then(|| error.clone())
    }
}
