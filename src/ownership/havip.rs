//! One HAVIP: what was last read of it, what is under way, and the next effect.

use super::address::Address;
use super::decide::{Context, Next, next};
use super::token::client_token;
use super::{Desire, Failure, Outcome, Place, Serve};
use crate::cloud::api::{Bound, CallError, ErrorClass, HaVip};
use crate::config::model::{Binding, Havip};
use crate::election::action::{Action, Write, WriteKind};
use crate::election::role::Cause;
use crate::election::turn::Turn;
use crate::ids::{OperationId, Target};
use crate::time::Instant;
use std::time::Duration;

/// A read this old may still open a claim.
const FRESH: Duration = Duration::from_secs(2);
/// Looks (with an announcement before each) at a master that does not move, before it is detached or given up.
const PATIENCE: u32 = 3;
/// Time between those looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// After a claim the first audit comes this soon.
const FIRST_AUDIT: Duration = Duration::from_millis(200);
/// Then one a second for this long.
const WATCHFUL: Duration = Duration::from_secs(60);
/// Time between audits while watchful.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// First wait after a write that did not help; doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How long after its deadline a call that never ended is given up.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// A detach off the critical path that was refused is not tried again for this long.
const DETACH_LATER: Duration = Duration::from_secs(60);

/// One good look at the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRead {
    /// When the call was issued: what it says is at least this new.
    pub issued: Instant,
    /// When the answer came.
    pub at: Instant,
    /// The answer.
    pub havip: HaVip,
}

#[derive(Debug)]
struct Writing {
    op: OperationId,
    kind: WriteKind,
    issued: Instant,
}

/// Identity of one attempt: it lives until a definite answer, so retries of it share the token.
#[derive(Debug, PartialEq, Eq)]
struct Attempt {
    kind: WriteKind,
    targets: Vec<Target>,
    number: u64,
}

/// The loop of one HAVIP.
#[derive(Debug, Default)]
pub struct HavipLoop {
    pub(crate) address: Address,
    /// The interface can be used.
    pub(crate) link_up: bool,
    /// Last good look.
    pub(crate) read: Option<LastRead>,
    /// Errors since the last good look: how many, since when, the last one.
    pub(crate) read_errors: Option<(u32, Instant, CallError)>,
    /// Wrong answers of the cloud that were repaired while active.
    pub(crate) repairs: u64,
    reading: Option<(OperationId, Instant)>,
    asked_at: Option<Instant>,
    read_at: Option<Instant>,
    writing: Option<Writing>,
    wrote: Option<Instant>,
    attempt: Option<Attempt>,
    attempts: u64,
    retry_at: Instant,
    retries: u32,
    last_error: Option<(WriteKind, CallError)>,
    looks: u32,
    acted_on: Option<Instant>,
    opened: Option<Instant>,
    confirmed_at: Option<Instant>,
    unconfirmed_since: Option<Instant>,
    detach_from: Instant,
    outcome: Option<Outcome>,
}

/// What of a group's state one HAVIP needs to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) place: Place,
    pub(crate) havip: &'a Havip,
    pub(crate) members: &'a [String],
    pub(crate) once_held: bool,
    /// Without a claim: time between two looks.
    pub(crate) look_every: Duration,
    /// A claim may depend on the look.
    pub(crate) look_urgent: bool,
}

impl HavipLoop {
    /// A loop that knows nothing yet but, perhaps, the address.
    pub(crate) fn new(address: Option<std::net::Ipv4Addr>, wanted: bool) -> Self {
        Self { address: Address::new(address, wanted), link_up: true, ..Self::default() }
    }

    /// What became of the desire so far.
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.clone().unwrap_or(Outcome::Pending)
    }

    /// Who the cloud said has the address.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.read.as_ref().and_then(|r| r.havip.holder())
    }

    /// When a write of ours was last under way.
    pub(crate) fn last_write(&self, now: Instant) -> Option<Instant> {
        if self.writing.is_some() { Some(now) } else { self.wrote }
    }

    /// Whether a write is under way.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// One step towards `desire`.
    pub(crate) fn step(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, desire: &Desire) {
        match desire {
            Desire::Serve(serve) => self.serve(turn, scope, serve),
            other => {
                self.close();
                match other {
                    Desire::Keep { until } => self.address.put(turn, scope.place, *until),
                    Desire::Nothing => self.address.drop(turn, scope.place),
                    Desire::Serve(_) | Desire::Undecided => {}
                }
                self.look_around(turn, scope);
            }
        }
    }

    /// Ends whatever was under way: the right to it is gone.
    fn close(&mut self) {
        self.writing = None;
        self.attempt = None;
        self.opened = None;
        self.confirmed_at = None;
        self.unconfirmed_since = None;
        self.outcome = None;
    }

    fn open(&mut self, turn: &mut Turn<'_>) {
        self.opened = Some(turn.now);
        self.unconfirmed_since = Some(turn.now);
        self.retry_at = turn.now;
        self.retries = 0;
        self.looks = 0;
        self.last_error = None;
        self.acted_on = None;
        self.detach_from = turn.now;
    }

    fn serve(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve) {
        if self.opened.is_none() {
            self.open(turn);
        }
        self.give_up_lost_calls(turn);
        if turn.now >= serve.right_until || matches!(self.outcome, Some(Outcome::Failed(_) | Outcome::Rival(_))) {
            return;
        }
        self.address.put(turn, scope.place, serve.right_until);
        if self.writing.is_none() {
            self.look_or_act(turn, scope, serve);
        }
        self.address.announce(turn, scope.place, serve);
        if let Some(since) = self.unconfirmed_since
            && turn.due(since + turn.config.cloud.operation_timeout)
        {
            let last = self.last_error.as_ref().map_or_else(|| self.describe_read(), |(_, e)| e.to_string());
            let text = format!("{} is not ours after the operation timeout; last: {last}", scope.havip.id);
            self.fail(Cause::ClaimTimedOut, text, None);
        }
    }

    /// A call whose end was never reported must not stop the loop: it counts as having ended unknown.
    fn give_up_lost_calls(&mut self, turn: &mut Turn<'_>) {
        let limit = turn.config.cloud.request_timeout + LOST_AFTER;
        if self.writing.as_ref().is_some_and(|w| turn.due(w.issued + limit)) {
            self.writing = None;
            self.wrote = Some(turn.now);
        }
        if self.reading.is_some_and(|(_, issued)| turn.due(issued + limit)) {
            self.reading = None;
        }
    }

    fn look_or_act(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve) {
        let trusted = self.trusted_read(turn);
        let Some(read) = trusted else {
            // Nothing recent is known: attach is the move that is right under every semantics.
            if self.wrote.is_none_or(|w| self.opened.is_some_and(|o| w < o)) && self.reading.is_none() {
                if self.known_bound(turn, scope) {
                    self.begin_burst(turn);
                    self.look(turn, scope, true);
                } else {
                    self.attach(turn, scope, serve);
                }
            } else {
                self.look(turn, scope, true);
            }
            return;
        };
        if self.acted_on != Some(read.issued) {
            self.act(turn, scope, serve, &read);
        } else if self.read_at.is_some_and(|at| turn.due(at)) {
            self.look(turn, scope, self.confirmed_at.is_none());
        } else if self.confirmed_at.is_some() {
            let every = self.audit_every(turn, serve);
            if turn.due(read.at + every) {
                self.look(turn, scope, false);
            }
        }
    }

    /// A read that decides: newer than our last write, and new enough to open a claim with.
    fn trusted_read(&self, turn: &Turn<'_>) -> Option<LastRead> {
        let read = self.read.as_ref()?;
        let opened = self.opened.unwrap_or(turn.now);
        let after_write = self.wrote.is_none_or(|w| read.issued >= w);
        let recent = read.issued + FRESH >= opened;
        (after_write && recent).then(|| read.clone())
    }

    /// Shared binding: an older look that says we are bound spares the attach.
    fn known_bound(&self, turn: &Turn<'_>, scope: Scope<'_>) -> bool {
        let me = turn.identity.map_or("", Target::id);
        scope.havip.binding == Binding::Shared && self.read.as_ref().is_some_and(|r| r.havip.binds(me))
    }

    fn act(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead) {
        let Some(me) = turn.identity.map(|t| t.id().to_owned()) else { return };
        let cx = Context {
            me: &me,
            members: scope.members,
            binding: scope.havip.binding,
            strangers: scope.havip.strangers,
            once_held: scope.once_held,
            yield_to: if self.confirmed_at.is_none() { &serve.yield_to } else { &[] },
            hands_off: &serve.hands_off,
        };
        let step = next(&read.havip, &cx);
        if !matches!(step, Next::Ours { .. } | Next::HandsOff) && self.confirmed_at.take().is_some() {
            self.repairs += 1;
            self.unconfirmed_since = Some(turn.now);
            self.looks = 0;
        }
        match step {
            Next::Ours { detach } => self.confirm(turn, scope, serve, read, detach),
            Next::HandsOff => {
                self.acted_on = Some(read.issued);
                self.read_at = Some(turn.now + WATCH_EVERY);
                turn.wake(turn.now + WATCH_EVERY);
            }
            Next::Rival(id) => self.outcome = Some(Outcome::Rival(id)),
            Next::Stranger(id) => {
                let text = format!(
                    "{id} is bound to {} and belongs to no member; detach it by hand, or set strangers = \"detach\"",
                    scope.havip.id
                );
                self.fail(Cause::StrangerBound, text, None);
            }
            Next::Attach => self.again_attach(turn, scope, serve, read),
            Next::Announce => self.ask_again(turn, scope, read, &[]),
            Next::Detach(others) => self.push_aside(turn, scope, serve, read, &others),
        }
    }

    fn confirm(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead, detach: Vec<Bound>) {
        if self.confirmed_at.is_none() {
            self.confirmed_at = Some(turn.now);
            self.unconfirmed_since = None;
            self.last_error = None;
            self.retries = 0;
            self.looks = 0;
            self.begin_burst(turn);
        }
        self.acted_on = Some(read.issued);
        self.read_at = None;
        self.outcome = Some(Outcome::Confirmed);
        let every = self.audit_every(turn, serve);
        turn.wake(read.at + every);
        if !detach.is_empty() && turn.due(self.detach_from) {
            self.detach_from = turn.now + DETACH_LATER;
            self.detach(turn, scope, serve, &detach);
        }
    }

    fn audit_every(&self, turn: &Turn<'_>, serve: &Serve) -> Duration {
        let since = self.confirmed_at.map_or(Duration::ZERO, |at| turn.now.since(at));
        if since < FIRST_AUDIT {
            FIRST_AUDIT
        } else if since < WATCHFUL {
            WATCH_EVERY.min(serve.audit)
        } else {
            serve.audit
        }
    }

    fn again_attach(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead) {
        if let Some(error) = self.refused(WriteKind::Attach) {
            self.fail_by(&error);
        } else if turn.due(self.retry_at) {
            self.acted_on = Some(read.issued);
            self.attach(turn, scope, serve);
        }
    }

    /// The refusal that ended the last write of that kind, unless the refusal was of our token only.
    fn refused(&self, kind: WriteKind) -> Option<CallError> {
        let (of, error) = self.last_error.as_ref()?;
        let token_only = error.code.as_deref() == Some("IdempotentParameterMismatch");
        (*of == kind && error.class == ErrorClass::Refused && !token_only).then(|| error.clone())
    }

    /// Bound but not master: announce, look again, and after some patience say so.
    fn ask_again(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, read: &LastRead, others: &[Bound]) {
        self.acted_on = Some(read.issued);
        self.looks += 1;
        self.begin_burst(turn);
        let pause = LOOK_AGAIN * self.looks.min(10);
        self.read_at = Some(turn.now + pause);
        turn.wake(turn.now + pause);
        let refused = self.refused(WriteKind::Detach);
        if let (Some(error), true, Some(master)) = (refused, self.looks > PATIENCE, others.first()) {
            let text = format!(
                "{} stays master of {} and its detach is refused ({error}); detach it by hand in the console, \
                 or release it on that instance",
                master.instance_id, scope.havip.id
            );
            self.fail(Cause::DetachRefused, text, error.retry_after);
        }
    }

    fn push_aside(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, read: &LastRead, others: &[Bound]) {
        let refused = self.refused(WriteKind::Detach).is_some();
        // The old holder still serves in a planned move: ARP may bring the master over by itself.
        let patient = serve.planned && self.looks < PATIENCE;
        if refused || patient {
            self.ask_again(turn, scope, read, others);
        } else if turn.due(self.retry_at) {
            self.acted_on = Some(read.issued);
            self.detach(turn, scope, serve, others);
        }
    }

    fn attach(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve) {
        if let Some(me) = turn.identity.cloned() {
            self.write(turn, scope, serve, WriteKind::Attach, vec![me]);
        }
    }

    fn detach(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, others: &[Bound]) {
        let mut targets: Vec<Target> = others.iter().filter_map(|b| b.instance_id.parse().ok()).collect();
        // One call carries one type.
        if let Some(kind) = targets.first().map(Target::api_type) {
            targets.retain(|t| t.api_type() == kind);
            self.write(turn, scope, serve, WriteKind::Detach, targets);
        }
    }

    fn write(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, serve: &Serve, kind: WriteKind, targets: Vec<Target>) {
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
                self.attempt = None;
                self.last_error = None;
                None
            }
            Err(error) => {
                if error.class == ErrorClass::Refused {
                    self.attempt = None;
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
        match result {
            Ok(havip) => {
                if self.address.ip.is_none() {
                    self.address.ip = havip.private_ip_address;
                    *turn.persist = true;
                }
                self.read_errors = None;
                self.read = Some(LastRead { issued, at: turn.now, havip });
            }
            Err(error) => {
                let (count, since) = self.read_errors.as_ref().map_or((0, turn.now), |(n, at, _)| (*n, *at));
                let pause = error.retry_after.unwrap_or_else(|| LOOK_AGAIN * (count + 1).min(10));
                self.read_at = Some(turn.now + pause);
                let hopeless = error.missing || (error.denied && self.confirmed_at.is_none());
                if self.opened.is_some() && hopeless && count > 0 {
                    self.fail_by(&error);
                }
                self.read_errors = Some((count + 1, since, error));
            }
        }
        true
    }

    fn look(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>, urgent: bool) {
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
    fn look_around(&mut self, turn: &mut Turn<'_>, scope: Scope<'_>) {
        self.give_up_lost_calls(turn);
        if self.reading.is_some() {
            return;
        }
        let at = self.asked_at.map_or(turn.now, |at| at + scope.look_every);
        if turn.due(at) {
            self.read_at = None;
            self.look(turn, scope, scope.look_urgent);
        }
    }

    fn begin_burst(&mut self, turn: &Turn<'_>) {
        self.address.burst(turn);
    }

    fn fail_by(&mut self, error: &CallError) {
        let (cause, remedy) = if error.missing {
            (Cause::HavipMissing, "create it, or correct group.havip.id")
        } else if error.denied {
            (Cause::Denied, "check the credentials and their permission for HAVIP attach and detach")
        } else {
            (Cause::ClaimRefused, "see the cloud's reason")
        };
        self.fail(cause, format!("{error}; {remedy}"), error.retry_after);
    }

    fn fail(&mut self, cause: Cause, text: String, retry_after: Option<Duration>) {
        self.outcome = Some(Outcome::Failed(Failure { cause, text, retry_after }));
    }

    fn describe_read(&self) -> String {
        match &self.read {
            None => "the cloud never answered".to_owned(),
            Some(r) => format!("the cloud names {} as holder", r.havip.holder().unwrap_or("nobody")),
        }
    }
}
