//! One HAVIP: what was last read of it, what is under way, and the next effect.

use super::address::Address;
use super::contest::Contest;
use super::repairs::Repairs;
use super::under_way::{Attempt, Reading, Writing};
use super::{Desired, Failure, Local, Outcome, Place, Serve};
use crate::model::action::WriteKind;
use crate::model::cloud::{CallClass, CallError, HaVip};
use crate::model::ids::Target;
use crate::model::role::Cause;
use crate::model::settings::{Binding, Havip};
use crate::model::step::ReconcileContext;
use crate::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// A read this old may still open a claim.
const FRESH: Duration = Duration::from_secs(2);
/// Time between reads of a master that does not move.
pub(super) const READ_AGAIN: Duration = Duration::from_millis(100);
/// One that was refused is not tried again for this long; it may have been refused because a write that lands late
/// had not bound the target yet.
pub(super) const DETACH_LATER: Duration = Duration::from_secs(15);
/// One that is not to be had, beside others that are, is tried again after this long.
const TRY_AGAIN: Duration = Duration::from_secs(15);
/// The longest wait that is taken from the cloud's `Retry-After` after a failed claim.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What to do about a HAVIP that the cloud does not know.
const CREATE_IT: &str = "create it, or correct group.havip.id";

/// One good read of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRead {
    /// When the call was issued: what it says is at least this new.
    pub issued: Instant,
    /// When the answer came.
    pub at: Instant,
    /// The answer.
    pub havip: HaVip,
}

/// The reconciler of one HAVIP.
#[derive(Debug, Default)]
pub struct HavipReconciler {
    pub(crate) address: Address,
    /// The interface can be used.
    pub(crate) link_up: bool,
    /// Why there is no interface, where that is known.
    pub(crate) link_missing: Option<String>,
    /// Last good read.
    pub(crate) read: Option<Arc<LastRead>>,
    /// When the last read was answered, be it with a no; `None` if nothing came back.
    pub(crate) answered_at: Option<Instant>,
    /// Errors since the last good read: how many, since when, the last one. A read that was not sent is none.
    pub(crate) read_errors: Option<(u32, Instant, CallError)>,
    /// Reads in a row that were sent and that nothing answered: how many, since when.
    pub(crate) silence: Option<(u32, Instant)>,
    /// Wrong answers of the cloud that were repaired while active.
    pub(crate) repairs: Repairs,
    /// A repair against a target that is no member's has begun, and the group has not counted it yet.
    pub(super) contested: bool,
    pub(super) contest: Contest,
    pub(super) reading: Option<Reading>,
    /// After a read that failed: when it did, and how long the next one is to wait.
    pub(super) pause: Option<(Instant, Duration)>,
    pub(super) asked_at: Option<Instant>,
    pub(super) read_at: Option<Instant>,
    pub(super) writing: Option<Writing>,
    pub(super) wrote: Option<Instant>,
    pub(super) attempt: Option<Attempt>,
    /// The last write that was answered with 200, and when.
    pub(super) done: Option<(WriteKind, Vec<Target>, Instant)>,
    pub(super) attempts: u64,
    pub(super) retry_at: Instant,
    pub(super) retries: u32,
    /// Since when the cloud refuses our writes because another task runs on the HAVIP.
    pub(super) busy_since: Option<Instant>,
    pub(super) last_error: Option<(WriteKind, CallError)>,
    pub(super) reads: u32,
    pub(super) acted_on: Option<Instant>,
    pub(super) opened: Option<Instant>,
    /// There was a claim before the one that is open, in this run of the daemon.
    pub(super) had_term: bool,
    pub(super) confirmed_at: Option<Instant>,
    pub(super) unconfirmed_since: Option<Instant>,
    pub(super) detach_from: Instant,
    /// When the outcome became `Failed`, beside others that did not.
    failed_at: Option<Instant>,
    /// This claim has not touched the address so far.
    pub(super) withheld: bool,
    /// Bound, and only an announcement can move the master, which is withheld.
    pub(super) unmoved: bool,
    /// This claim has announced the address without knowing who is master.
    announced: bool,
    pub(super) outcome: Option<Outcome>,
}

/// What of a group's state one HAVIP needs to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) place: Place,
    pub(crate) havip: &'a Havip,
    pub(crate) members: &'a [&'a str],
    pub(crate) once_held: bool,
    /// Without a claim: time between two reads.
    pub(crate) read_every: Duration,
    /// Without a claim: one read is due then, unless one was begun since.
    pub(crate) read_once: Option<Instant>,
    /// Without a claim: what depends on the read.
    pub(crate) read_class: CallClass,
    /// The longest wait that is taken from the cloud's `Retry-After`.
    pub(crate) patience: Duration,
}

impl HavipReconciler {
    /// A reconciler that knows nothing yet but, perhaps, the address.
    pub(crate) fn new(address: Option<std::net::Ipv4Addr>, wanted: bool) -> Self {
        Self { address: Address::new(address, wanted), link_up: true, ..Self::default() }
    }

    /// Whether the interface can be used, and why there is none, where that is known.
    pub(crate) fn link_changed(&mut self, up: bool, missing: Option<String>) {
        (self.link_up, self.link_missing) = (up, missing);
    }

    /// Whether a repair against a target that is no member's has begun. It is told once.
    pub(crate) fn take_contested(&mut self) -> bool {
        std::mem::take(&mut self.contested)
    }

    /// What became of the desired so far.
    pub(crate) fn outcome(&self) -> &Outcome {
        self.outcome.as_ref().unwrap_or(&Outcome::Pending)
    }

    /// Who the cloud said has the address.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.read.as_ref().and_then(|r| r.havip.holder())
    }

    /// When a write of ours was last under way. One that waits for its turn is not.
    pub(crate) fn last_write(&self, now: Instant) -> Option<Instant> {
        if self.writing.as_ref().is_some_and(|w| w.sent) { Some(now) } else { self.wrote }
    }

    /// Whether the cloud said, and not only once, that there is no such HAVIP.
    pub(crate) fn missing(&self) -> bool {
        self.read_errors.as_ref().is_some_and(|(count, _, error)| *count >= 2 && error.missing)
    }

    /// Why it is not to be had, and what to do about it.
    pub(crate) fn trouble(&self) -> Option<String> {
        match (&self.outcome, &self.read_errors) {
            (Some(Outcome::Failed(failure)), _) => Some(failure.text.clone()),
            (_, Some((_, _, error))) if self.missing() => Some(format!("{error}; {CREATE_IT}")),
            _ => self.contested_by(),
        }
    }

    /// Who else takes it again and again, and what that may be.
    pub(crate) fn contested_by(&self) -> Option<String> {
        let id = self.read.as_ref().map_or("this HAVIP", |r| r.havip.ha_vip_id.as_str());
        self.contest.alarm(id)
    }

    /// Whether a write is under way.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Since when.
    pub(crate) fn writing_since(&self) -> Option<Instant> {
        self.writing.as_ref().map(|w| w.issued)
    }

    /// One step towards `desired`.
    pub(crate) fn step(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, desired: &Desired) {
        match desired {
            Desired::Serve(serve) => self.serve(cx, scope, serve),
            other => {
                self.close();
                match other {
                    Desired::Keep { until } => self.address.keep(cx, scope.place, *until),
                    Desired::KeepIfThere { until } => self.keep_if_there(cx, scope, *until),
                    Desired::Nothing => self.address.drop(cx, scope.place),
                    Desired::Serve(_) | Desired::Undecided => {}
                }
                self.poll(cx, scope);
            }
        }
    }

    fn keep_if_there(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, until: Instant) {
        if self.address.there() {
            self.address.put(cx, scope.place, until);
        }
    }

    /// The address may be announced: what was read before that is read again.
    fn announce_at_last(&mut self, cx: &ReconcileContext<'_>) {
        self.begin_burst(cx);
        if std::mem::take(&mut self.unmoved) {
            self.reads = 0;
            self.read_at = Some(cx.now);
        }
    }

    /// Whether the record is moved as far as it can be without an announcement.
    pub(crate) fn is_moved(&self) -> bool {
        self.is_confirmed() || self.unmoved
    }

    /// Whether the cloud was read to agree, and no later read says otherwise.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }

    /// Ends whatever was under way: leadership is gone.
    pub(crate) fn close(&mut self) {
        self.writing = None;
        self.attempt = None;
        self.had_term |= self.opened.is_some();
        self.opened = None;
        self.confirmed_at = None;
        self.unconfirmed_since = None;
        self.outcome = None;
        (self.withheld, self.unmoved) = (false, false);
    }

    fn open(&mut self, cx: &mut ReconcileContext<'_>) {
        self.opened = Some(cx.now);
        self.unconfirmed_since = Some(cx.now);
        self.retry_at = cx.now;
        self.retries = 0;
        self.busy_since = None;
        self.reads = 0;
        self.last_error = None;
        self.acted_on = None;
        self.done = None;
        self.detach_from = cx.now;
        self.announced = false;
        self.failed_at = None;
    }

    fn serve(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, serve: &Serve) {
        if self.opened.is_none() {
            self.open(cx);
        }
        self.give_up_lost_calls(cx);
        if let Some(Outcome::Failed(failure)) = &self.outcome {
            let wait = TRY_AGAIN.max(failure.retry_after.unwrap_or_default());
            if cx.due(*self.failed_at.get_or_insert(cx.now) + wait) {
                self.close();
                self.open(cx);
            }
        }
        if cx.now >= serve.leadership_until || matches!(self.outcome, Some(Outcome::Rival(_))) {
            return;
        }
        if let Some(Outcome::Failed(failure)) = &self.outcome {
            // ⚠ No other member serves it while this node leads, and a record may be wrong: packets that come are answered. (I5,
            // seed 63861) A stranger that is bound may serve it.
            if serve.local != Local::Nothing && failure.cause != Cause::StrangerBound {
                self.keep_if_there(cx, scope, serve.leadership_until);
            }
            return;
        }
        match serve.local {
            Local::Serve => {
                if std::mem::take(&mut self.withheld) {
                    self.announce_at_last(cx);
                }
                self.address.put(cx, scope.place, serve.leadership_until);
            }
            Local::KeepIfThere => self.keep_if_there(cx, scope, serve.leadership_until),
            Local::Nothing => self.address.drop(cx, scope.place),
        }
        if serve.local != Local::Serve {
            self.withheld = true;
            // Its time begins when everything may be done for it.
            self.unconfirmed_since = self.unconfirmed_since.map(|since| if self.unmoved { cx.now } else { since });
        }
        if self.writing.is_none() {
            self.read_or_act(cx, scope, serve);
        }
        let just_read = |age| self.read.as_ref().is_some_and(|r| r.at + age >= cx.now);
        if serve.local == Local::Serve
            && serve.announce_within.is_none_or(just_read)
            && self.contest.waits(cx.now).is_none()
        {
            self.address.announce(cx, scope.place, serve);
        }
        if let Some(since) = self.unconfirmed_since
            && cx.due(since + cx.config.cloud.operation_timeout)
        {
            let last = self.last_error.as_ref().map_or_else(|| self.describe_read(), |(_, e)| e.to_string());
            let text = format!("{} is not ours after the operation timeout; last: {last}", scope.havip.id);
            self.fail(Cause::ClaimTimedOut, text, None);
        }
    }

    fn read_or_act(&mut self, cx: &mut ReconcileContext<'_>, scope: Scope<'_>, serve: &Serve) {
        let trusted = self.trusted_read(cx).filter(|read| !self.is_history(cx, scope, serve, read));
        let Some(read) = trusted else {
            // Nothing recent is known: attach is the move that is right under every semantics.
            if self.wrote.is_none_or(|w| self.opened.is_some_and(|o| w < o)) && self.reading.is_none() {
                if self.known_bound(cx, scope) {
                    self.read_record(cx, scope, self.class(serve));
                    // With every read that begins, not in every step in which none may.
                    if self.reading.is_some() || !std::mem::replace(&mut self.announced, true) {
                        self.begin_burst(cx);
                    }
                } else if cx.due(self.retry_at) {
                    self.attach(cx, scope, serve);
                }
            } else {
                self.read_record(cx, scope, self.class(serve));
            }
            return;
        };
        if self.acted_on != Some(read.issued) {
            self.act(cx, scope, serve, &read);
        } else if self.read_at.is_some_and(|at| cx.due(at)) {
            self.read_record(cx, scope, self.class(serve));
        } else if self.confirmed_at.is_some() {
            let every = self.audit_every(cx, serve);
            if cx.due(read.at + every) {
                self.read_record(cx, scope, self.class(serve));
            }
        }
    }

    /// What depends on a read of a node that claims or holds.
    pub(super) fn class(&self, serve: &Serve) -> CallClass {
        match () {
            () if serve.alone => CallClass::Holding,
            () if self.confirmed_at.is_none() => CallClass::Claim,
            () => CallClass::Background,
        }
    }

    /// A read that decides: newer than our last write, and new enough to open a claim with.
    fn trusted_read(&self, cx: &ReconcileContext<'_>) -> Option<Arc<LastRead>> {
        let read = self.read.as_ref()?;
        let opened = self.opened.unwrap_or(cx.now);
        let after_write = self.wrote.is_none_or(|w| read.issued >= w);
        let recent = read.issued + FRESH >= opened;
        (after_write && recent).then(|| Arc::clone(read))
    }

    /// A read from before this claim, after an earlier term, that names or binds us may be of that term: the
    /// holder in between may have detached us since. The next read may lag as much, so it is no remedy: attaching is.
    fn is_history(&self, cx: &ReconcileContext<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead) -> bool {
        let Some(me) = cx.identity.map(Target::id) else { return false };
        let holder = read.havip.holder();
        // Whom a claim gives way to, or leaves to the election, counts in any read.
        let judged = holder.is_some_and(|h| serve.yield_to.iter().chain(&serve.hands_off).any(|id| id == h));
        let bound = scope.havip.binding == Binding::Exclusive && read.havip.binds(me) && !judged;
        let before = self.had_term && self.opened.is_some_and(|opened| read.issued < opened);
        before && (holder == Some(me) || bound)
    }

    /// Shared binding: an older read that says we are bound spares the attach.
    fn known_bound(&self, cx: &ReconcileContext<'_>, scope: Scope<'_>) -> bool {
        let me = cx.identity.map_or("", Target::id);
        scope.havip.binding == Binding::Shared && self.read.as_ref().is_some_and(|r| r.havip.binds(me))
    }

    pub(super) fn begin_burst(&mut self, cx: &ReconcileContext<'_>) {
        self.address.burst(cx);
    }

    pub(super) fn fail_by(&mut self, error: &CallError) {
        let (cause, remedy) = if error.missing {
            (Cause::HavipMissing, CREATE_IT)
        } else if error.denied {
            (Cause::Denied, "check the credentials and their permission for HAVIP attach and detach")
        } else {
            (Cause::ClaimRefused, "see the cloud's reason")
        };
        self.fail(cause, format!("{error}; {remedy}"), error.retry_after);
    }

    pub(super) fn fail(&mut self, cause: Cause, text: String, retry_after: Option<Duration>) {
        let retry_after = retry_after.map(|wait| wait.min(LONGEST_WAIT));
        self.outcome = Some(Outcome::Failed(Failure { cause, text, retry_after }));
    }

    pub(super) fn describe_read(&self) -> String {
        match &self.read {
            None => "the cloud never answered".to_owned(),
            Some(r) => format!("the cloud names {} as holder", r.havip.holder().unwrap_or("nobody")),
        }
    }
}
