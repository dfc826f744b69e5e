//! The cloud's half: reads and writes, one of each at a time, and what their ends mean.

use super::Serve;
use super::havip::{DETACH_LATER, HavipReconciler, LastRead, READ_AGAIN, Scope};
use super::token::client_token;
use super::under_way::{Attempt, Reading, Writing};
use crate::model::action::{Action, Write, WriteKind};
use crate::model::cloud::{Bound, CallClass, CallError, ErrorClass, HaVip};
use crate::model::ids::{OperationId, Target};
use crate::model::step::ReconcileContext;
use crate::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// How long after its deadline a call that never ended is given up.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// First wait after a write that did not help; doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A call that was not sent is asked for again after this long, however often: nothing has failed. It keeps its place
/// among those that wait.
const UNSENT_AGAIN: Duration = Duration::from_millis(100);
/// A write that was refused since another task ran on the HAVIP is tried again after about this long, however often.
const BUSY_AGAIN: Duration = Duration::from_millis(200);
/// For so long such refusals cost a claim none of its time: another node would be refused as well. What lasts longer is
/// no task that ends.
const BUSY_MOST: Duration = Duration::from_secs(60);
/// A detach that nothing waits for gives way to everything else for so long, and is then tried again at the next audit.
const DETACH_WAITS: Duration = Duration::from_secs(1);

/// The record may lag this far behind a write that was answered with 200.
const READ_LAG: Duration = Duration::from_secs(2);

impl HavipReconciler {
    /// A call whose end was never reported must not stop the reconciler: it counts as having ended unknown.
    pub(super) fn give_up_lost_calls(&mut self, cx: &mut ReconcileContext<'_>) {
        let limit = cx.config.cloud.request_timeout + LOST_AFTER;
        if self.writing.as_ref().is_some_and(|w| cx.due(w.issued + limit)) {
            self.writing = None;
            self.wrote = Some(cx.now);
        }
        if self.reading.is_some_and(|r| cx.due(r.issued + limit)) {
            self.reading = None;
        }
    }

    pub(super) fn attach(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, serve: &Serve) {
        if let Some(me) = cx.identity.cloned() {
            self.write(cx, scope, serve, (WriteKind::Attach, CallClass::Claim), vec![me]);
        }
    }

    /// `class`: a claim waits for it, or nothing does.
    pub(super) fn detach(
        &mut self,
        cx: &mut ReconcileContext<'_>,
        scope: Scope<'_>,
        serve: &Serve,
        others: &[Bound],
        class: CallClass,
    ) {
        let mut targets: Vec<Target> = others.iter().filter_map(|b| b.instance_id.parse().ok()).collect();
        // One call carries one type.
        if let Some(kind) = targets.first().map(Target::api_type) {
            targets.retain(|t| t.api_type() == kind);
            self.write(cx, scope, serve, (WriteKind::Detach, class), targets);
        }
    }

    pub(super) fn write(
        &mut self,
        cx: &mut ReconcileContext<'_>,
        scope: Scope<'_>,
        serve: &Serve,
        (kind, class): (WriteKind, CallClass),
        targets: Vec<Target>,
    ) {
        // A record that lags shows the state from before a write that was carried out: read again, do not repeat it.
        let same = |(k, t, _): &(WriteKind, Vec<Target>, Instant)| *k == kind && *t == targets;
        if let Some((_, _, at)) = self.done.as_ref().filter(|d| same(d))
            && !cx.due(*at + READ_LAG)
        {
            self.read_at = Some(cx.now + READ_AGAIN);
            cx.wake(cx.now + READ_AGAIN);
            return;
        }
        if !self.attempt.as_ref().is_some_and(|a| a.kind == kind && a.targets == targets) {
            self.attempts += 1;
            self.attempt = Some(Attempt { kind, targets: targets.clone(), number: self.attempts });
        }
        let number = self.attempt.as_ref().map_or(0, |a| a.number);
        let op = cx.ops.next();
        let token = client_token(cx.boot, serve.epoch, number, &scope.havip.id, kind, &targets);
        self.writing = Some(Writing { op, kind, issued: cx.now, sent: false });
        self.reading = None;
        let patience = if class == CallClass::Claim { Duration::MAX } else { DETACH_WAITS };
        cx.out.push(Action::Write(Write {
            op,
            group: scope.place.group,
            epoch: serve.epoch,
            havip: scope.havip.id.clone(),
            kind,
            class,
            targets,
            token,
            leadership_until: serve.leadership_until.min(cx.now + patience),
            deadline: cx.now + cx.config.cloud.request_timeout,
        }));
    }

    /// A write has left this host. Gives its kind and targets when it is ours.
    pub(crate) fn write_sent(&mut self, op: OperationId) -> Option<(WriteKind, Vec<Target>)> {
        let writing = self.writing.as_mut().filter(|w| w.op == op)?;
        writing.sent = true;
        self.attempt.as_ref().map(|a| (a.kind, a.targets.clone()))
    }

    /// A write ended; what it really did is for the next read to say. False when it is not ours.
    ///
    /// `patience` bounds what is taken from `Retry-After`.
    pub(crate) fn written(
        &mut self,
        cx: &mut ReconcileContext<'_>,
        op: OperationId,
        result: Result<(), CallError>,
        patience: Duration,
    ) -> bool {
        if self.writing.as_ref().is_none_or(|w| w.op != op) {
            return false;
        }
        let Some(Writing { kind, issued, .. }) = self.writing.take() else { return false };
        if result.as_ref().is_err_and(CallError::is_not_sent) {
            self.write_not_sent(cx, kind, issued);
            return true;
        }
        self.wrote = Some(cx.now);
        if kind == WriteKind::Attach {
            self.begin_burst(cx);
        }
        let wait = match result {
            Ok(()) => {
                self.done = self.attempt.take().map(|a| (a.kind, a.targets, cx.now));
                self.last_error = None;
                None
            }
            Err(error) => {
                let (busy, wait) = (error.busy, error.retry_after.map(|wait| wait.min(patience)));
                if error.class == ErrorClass::Refused {
                    self.attempt = None;
                    if kind == WriteKind::Detach {
                        self.detach_from = cx.now + DETACH_LATER;
                    }
                }
                self.last_error = Some((kind, error));
                if busy {
                    self.busy_again(cx, kind, issued, wait.unwrap_or_default());
                    return true;
                }
                wait
            }
        };
        self.busy_since = None;
        let backoff = BACKOFF.saturating_mul(1 << self.retries.min(6)).min(BACKOFF_MAX);
        self.retries += 1;
        // The first repetition may follow at once: the read that precedes it shows that it is needed.
        let backoff = if self.retries == 1 { Duration::ZERO } else { cx.jitter.around(backoff) };
        self.retry_at = cx.now + wait.unwrap_or(backoff).max(backoff);
        true
    }

    /// ⚠ Another task runs on the HAVIP: no delay grows, and the claim does not fail by it. The next try has a token of its
    /// own, since this one may bring the same refusal.
    fn busy_again(&mut self, cx: &mut ReconcileContext<'_>, kind: WriteKind, issued: Instant, wait: Duration) {
        self.attempt = None;
        self.retry_at = cx.now + cx.jitter.around(BUSY_AGAIN).max(wait);
        if kind == WriteKind::Detach {
            self.detach_from = self.retry_at;
        }
        if cx.now.since(*self.busy_since.get_or_insert(cx.now)) < BUSY_MOST {
            self.waited_in_vain(issued, self.retry_at);
        }
        cx.wake(self.retry_at);
    }

    /// It has done nothing, and nothing has failed: no delay grows, and what it was to do is asked for again.
    fn write_not_sent(&mut self, cx: &mut ReconcileContext<'_>, kind: WriteKind, issued: Instant) {
        if kind == WriteKind::Detach {
            self.detach_from = cx.now;
        }
        self.retry_at = cx.now + UNSENT_AGAIN;
        self.read_at = self.confirmed_at.is_none().then_some(self.retry_at);
        self.waited_in_vain(issued, self.retry_at);
        cx.wake(self.retry_at);
    }

    /// No claim fails by the time from when a call that could do nothing was issued until it is tried `again`.
    fn waited_in_vain(&mut self, issued: Instant, again: Instant) {
        self.unconfirmed_since =
            self.unconfirmed_since.map(|since| (since + again.since(issued.max(since))).min(again));
    }

    /// A read ended. False when it is not ours.
    pub(crate) fn read_ended(
        &mut self,
        cx: &mut ReconcileContext<'_>,
        op: OperationId,
        result: Result<HaVip, CallError>,
    ) -> bool {
        let Some(Reading { issued, .. }) = self.reading.filter(|r| r.op == op) else { return false };
        self.reading = None;
        self.read_at = None;
        if result.as_ref().is_err_and(CallError::is_not_sent) {
            // The cloud was not asked. What it said last is as true as before, and its silence is not this.
            self.pause = Some((cx.now, UNSENT_AGAIN));
            self.read_at = Some(cx.now);
            self.waited_in_vain(issued, cx.now + UNSENT_AGAIN);
            cx.wake(cx.now + UNSENT_AGAIN);
            return true;
        }
        // An answer with a status came over the network, whatever it says.
        let answered = result.as_ref().map_or_else(|e| e.status.is_some(), |_| true);
        self.answered_at = answered.then_some(cx.now);
        let (unanswered, since) = self.silence.unwrap_or((0, cx.now));
        self.silence = (!answered).then_some((unanswered + 1, since));
        match result {
            Ok(havip) => {
                if self.address.ip.is_none() {
                    self.address.ip = havip.private_ip_address;
                    *cx.persist = true;
                }
                self.read_errors = None;
                self.pause = None;
                self.read = Some(Arc::new(LastRead { issued, at: cx.now, havip }));
            }
            Err(error) => {
                let (count, since) = self.read_errors.as_ref().map_or((0, cx.now), |(n, at, _)| (*n, *at));
                let least = READ_AGAIN * (count + 1).min(10);
                self.pause = Some((cx.now, error.retry_after.map_or(least, |asked| asked.max(READ_AGAIN))));
                self.read_at = Some(cx.now);
                let hopeless = (error.missing || error.denied) && self.confirmed_at.is_none();
                if self.opened.is_some() && hopeless && count > 0 {
                    self.fail_by(&error);
                }
                self.read_errors = Some((count + 1, since, error));
            }
        }
        true
    }

    /// Begins a read, unless one is under way on which as much depends, or the last one asks for a pause.
    pub(super) fn read_record(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, class: CallClass) {
        let fresh = |r: &Reading| self.wrote.is_none_or(|w| r.issued >= w);
        if self.reading.as_ref().is_some_and(|r| fresh(r) && r.class <= class) || self.pauses(cx, scope) {
            return;
        }
        let op = cx.ops.next();
        self.reading = Some(Reading { op, issued: cx.now, class });
        self.asked_at = Some(cx.now);
        cx.out.push(Action::ReadHavip {
            op,
            havip: scope.havip.id.clone(),
            class,
            deadline: cx.now + cx.config.cloud.request_timeout,
        });
    }

    /// Whether the next read is to wait after one that failed. The cloud's wish is followed no longer than a node may
    /// go without a read; that is judged again in each step, since a peer may fall silent meanwhile.
    fn pauses(&self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>) -> bool {
        self.pause.is_some_and(|(from, wait)| !cx.due(from + wait.min(scope.patience)))
    }

    /// Reads without a claim: slowly while all is well, once a second while a claim may follow.
    pub(super) fn poll(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>) {
        self.give_up_lost_calls(cx);
        if self.reading.is_some_and(|r| r.class <= scope.read_class) {
            return;
        }
        let at = self.asked_at.map_or(cx.now, |asked| {
            let next = asked + scope.read_every;
            scope.read_once.filter(|once| asked < *once).map_or(next, |once| next.min(once))
        });
        if cx.due(at) {
            self.read_at = None;
            if scope.read_class != CallClass::Background {
                // What a claim may rest on keeps its own pace.
                self.pause = None;
            }
            self.read_record(cx, scope, scope.read_class);
        }
    }

    /// The refusal that ended the last write of that kind, unless the refusal was of our token only.
    pub(super) fn refused(&self, kind: WriteKind) -> Option<CallError> {
        let (of, error) = self.last_error.as_ref()?;
        let token_only = error.code.as_deref() == Some("IdempotentParameterMismatch");
        (*of == kind && error.class == ErrorClass::Refused && !token_only).then(|| error.clone())
    }
}
