//! The reconciler's answer to a read: carries out what `decide.rs` says is to be done next.
//!
//! A claim that the cloud confirms goes on to audits; one that is bound but not master announces, reads again, and
//! detaches whom it must; after some patience it says what a person would have to do.

use super::decide::{Facts, Next, next};
use super::havip::{HavipReconciler, LastRead, READ_AGAIN, Scope};
use super::{Outcome, Serve};
use crate::model::action::WriteKind;
use crate::model::cloud::{Bound, CallClass};
use crate::model::role::Cause;
use crate::model::step::ReconcileContext;
use std::time::Duration;

/// Reads (with an announcement before each) of a master that does not move, before it is detached or given up.
const PATIENCE: u32 = 3;
/// After a claim the first audit comes this soon.
const FIRST_AUDIT: Duration = Duration::from_millis(200);
/// Then one a second for this long.
const WATCHFUL: Duration = Duration::from_secs(60);
/// Time between audits while watchful.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A detach off the critical path is not repeated before: by then the record shows what it did.
const DETACH_AGAIN: Duration = Duration::from_secs(5);
/// Time between reads while a repair waits.
const READ_WAITING: Duration = Duration::from_secs(5);

/// Who took the HAVIP from us, if that is nobody of this cluster.
fn taken_by<'a>(read: &'a LastRead, facts: &Facts<'_>) -> Option<&'a str> {
    let bound = || read.havip.binded_instances.iter().map(|b| b.instance_id.as_str()).find(|id| *id != facts.me);
    read.havip.holder().filter(|id| *id != facts.me).or_else(bound)
}

impl HavipReconciler {
    pub(super) fn act(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead) {
        let Some(me) = cx.identity.map(|t| t.id().to_owned()) else { return };
        let facts = Facts {
            me: &me,
            members: scope.members,
            binding: scope.havip.binding,
            strangers: scope.havip.strangers,
            once_held: scope.once_held,
            yield_to: &serve.yield_to,
            hands_off: &serve.hands_off,
            leave_bound: &serve.leave_bound,
        };
        let mut step = next(&read.havip, &facts);
        let named = read.havip.holder() == Some(&me) || matches!(read.havip.binded_instances.as_slice(), [_]);
        if self.withheld && !named && matches!(step, Next::Ours { .. }) {
            // A record without a master says nothing before somebody has announced.
            step = Next::Announce;
        }
        if read.havip.binds(&me) && self.last_error.as_ref().is_some_and(|(kind, _)| *kind == WriteKind::Attach) {
            // Refused because we are bound already: no later read may make a failure of that.
            self.last_error = None;
        }
        if !matches!(step, Next::Ours { .. } | Next::HandsOff) && self.confirmed_at.take().is_some() {
            let by = taken_by(read, &facts);
            self.repairs.note(cx.now, by);
            self.unconfirmed_since = Some(cx.now);
            self.reads = 0;
            if let Some(by) = by.filter(|by| !facts.members.contains(by)) {
                self.contest.begin(cx.now, by);
                self.contested = true;
            }
        }
        // ⚠ One that takes the HAVIP again and again is not fought without end.
        if let Some(until) = self.contest.waits(cx.now)
            && !matches!(step, Next::Ours { .. } | Next::Rival(_))
        {
            self.acted_on = Some(read.issued);
            self.unconfirmed_since = Some(until);
            self.read_at = Some(until.min(cx.now + READ_WAITING));
            cx.wake(until.min(cx.now + READ_WAITING));
            return;
        }
        match step {
            // From before the claim: it may say what to do first, not that it is done.
            Next::Ours { .. } if self.opened.is_some_and(|o| read.issued < o) => {
                // Once, and then again only for what the read shows.
                self.acted_on = Some(read.issued);
                self.read_at = Some(cx.now);
                self.begin_burst(cx);
                self.read_record(cx, scope, self.class(serve));
            }
            Next::Ours { detach } => self.confirm(cx, scope, serve, read, detach),
            Next::HandsOff => {
                self.acted_on = Some(read.issued);
                self.read_at = Some(cx.now + WATCH_EVERY);
                cx.wake(cx.now + WATCH_EVERY);
            }
            Next::Rival(id) => self.outcome = Some(Outcome::Rival(id)),
            Next::Stranger(id) => {
                let text = format!(
                    "{id} is bound to {} and belongs to no member; detach it by hand, or set strangers = \"detach\"",
                    scope.havip.id
                );
                self.fail(Cause::StrangerBound, text, None);
            }
            Next::Attach => self.again_attach(cx, scope, serve, read),
            Next::Announce => self.ask_again(cx, scope, read, &[]),
            Next::Detach(others) => self.push_aside(cx, scope, serve, read, &others),
        }
    }

    fn confirm(
        &mut self,
        cx: &mut ReconcileContext<'_>,
        scope: Scope<'_>,
        serve: &Serve,
        read: &LastRead,
        detach: Vec<Bound>,
    ) {
        if self.confirmed_at.is_none() {
            self.confirmed_at = Some(cx.now);
            self.unconfirmed_since = None;
            self.last_error = None;
            self.retries = 0;
            self.reads = 0;
            self.begin_burst(cx);
        }
        self.unmoved = false;
        self.contest.end(cx.now);
        self.acted_on = Some(read.issued);
        self.read_at = None;
        self.outcome = Some(Outcome::Confirmed);
        let every = self.audit_every(cx, serve);
        cx.wake(read.at + every);
        if !detach.is_empty() && cx.due(self.detach_from) {
            self.detach_from = cx.now + DETACH_AGAIN;
            self.detach(cx, scope, serve, &detach, CallClass::Background);
        }
    }

    pub(super) fn audit_every(&self, cx: &ReconcileContext<'_>, serve: &Serve) -> Duration {
        let since = self.confirmed_at.map_or(Duration::ZERO, |at| cx.now.since(at));
        if since < FIRST_AUDIT {
            FIRST_AUDIT
        } else if since < WATCHFUL {
            WATCH_EVERY.min(serve.audit)
        } else {
            serve.audit
        }
    }

    fn again_attach(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead) {
        if let Some(error) = self.refused(WriteKind::Attach) {
            self.fail_by(&error);
        } else if cx.due(self.retry_at) {
            self.acted_on = Some(read.issued);
            self.attach(cx, scope, serve);
        }
    }

    /// Bound but not master: announce, read again, and after some patience say so.
    fn ask_again(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, read: &LastRead, others: &[Bound]) {
        self.acted_on = Some(read.issued);
        self.reads += 1;
        self.begin_burst(cx);
        let pause = READ_AGAIN * self.reads.min(10);
        self.read_at = Some(cx.now + pause);
        cx.wake(cx.now + pause);
        if self.withheld {
            self.unmoved = true;
            return;
        }
        // ⚠ An answer that it is not bound contradicts the read, and proves as little. Who serves goes on (I5, seed 48005).
        let refused = self.refused(WriteKind::Detach).filter(|error| !error.nothing_bound);
        if let (Some(error), true, Some(master)) = (refused, self.reads > PATIENCE, others.first()) {
            let text = format!(
                "{} stays master of {} and its detach is refused ({error}); detach it by hand in the console, \
                 or release it on that instance",
                master.instance_id, scope.havip.id
            );
            self.fail(Cause::DetachRefused, text, error.retry_after);
        }
    }

    fn push_aside(
        &mut self,
        cx: &mut ReconcileContext<'_>,
        scope: Scope<'_>,
        serve: &Serve,
        read: &LastRead,
        others: &[Bound],
    ) {
        let refused = self.refused(WriteKind::Detach).is_some();
        // The old holder still serves in a planned move: ARP may bring the master over by itself.
        let patient = serve.planned && self.reads < PATIENCE;
        if refused || patient {
            self.ask_again(cx, scope, read, others);
        } else if cx.due(self.retry_at) {
            self.acted_on = Some(read.issued);
            self.detach(cx, scope, serve, others, CallClass::Claim);
        }
    }
}
