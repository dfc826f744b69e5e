//! Attach and detach: look, do what the look calls for, look again, until it is so or time is up.

use super::call;
pub(super) use super::step::Wanted;
use super::step::{Step, step};
use super::turn::{self, Turn};
use crate::clock;
use crate::cloud::client::{Client, WriteLimits};
use crate::control::protocol::{Code, Response};
use crate::net::garp::Announcer;
use crate::net::interface::Snapshot;
use havipd_core::model::action::WriteKind;
use havipd_core::model::cloud::{Bound, CallClass, CallError, ErrorClass, HaVip};
use havipd_core::model::ids::{HavipId, Target};
use havipd_core::model::time::Instant;
use serde_json::json;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// Two looks this far apart have to agree, and no write is repeated sooner: reads may lag behind.
const SETTLE: Duration = Duration::from_secs(2);
/// How long announcements may take to move a master whose detach is refused: keepalived's second burst comes after 5 s.
const PATIENCE: Duration = Duration::from_secs(8);
/// An announcement counts for this long.
const ANNOUNCE: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) client: Client,
    pub(super) havip: &'a HavipId,
    pub(super) target: Target,
    /// The target is this host.
    pub(super) ours: bool,
    pub(super) wanted: Wanted,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
}

/// One attach or detach that was sent.
#[derive(Debug)]
struct Written {
    kind: WriteKind,
    ids: Vec<String>,
    ended: Instant,
    error: Option<CallError>,
}

/// A job under way.
struct Run<'a> {
    job: Job<'a>,
    turn: Turn,
    before: Option<HaVip>,
    after: Option<HaVip>,
    writes: Vec<Written>,
    /// Since when every look says that it is as it should be.
    there: Option<Instant>,
    /// The last look that failed.
    trouble: Option<CallError>,
}

/// How a run ended.
type End = (Code, String);

impl Job<'_> {
    /// Says what [`Job::carry_out`] would do.
    pub(super) async fn rehearse(self) -> Response {
        let look = || self.client.havip(self.havip, CallClass::Claim, self.deadline);
        let read = match call::again(self.deadline, look).await {
            Ok(read) => read,
            Err(error) => return call::failed(&error),
        };
        let me = self.target.id();
        let others = names(read.binded_instances.iter().filter(|b| b.instance_id != me));
        let plan = match (step(&read, me, self.wanted), self.wanted) {
            (Step::There(rest), _) if rest.is_empty() => "nothing would be done".to_owned(),
            (Step::Full, _) => return Response::new(Code::No, full(self.havip)).with_data(json!({"before": read})),
            (_, Wanted::Detached { .. }) => format!("would detach {me}"),
            (Step::There(rest), _) => format!("would detach {}", names(rest.iter())),
            (step, Wanted::Attached { exclusive, .. }) => {
                let attach = (!read.binds(me)).then(|| format!("attach {me}"));
                let detach = (exclusive && !others.is_empty()).then(|| format!("detach {others}"));
                let does: Vec<String> = attach.into_iter().chain(detach).collect();
                match (does.is_empty(), step) {
                    (true, _) => "would only look until the master moves".to_owned(),
                    (false, _) => format!("would {}", does.join(" and ")),
                }
            }
        };
        let text = format!("{}, held by {}: {plan}", self.havip, read.holder().unwrap_or("nobody"));
        Response::done(text).with_data(json!({"havip": self.havip, "target": me, "before": read}))
    }

    /// Does it.
    pub(super) async fn carry_out(self) -> Response {
        let turn = match turn::directory() {
            Ok(directory) => Turn::take(&directory, self.havip, self.deadline).await,
            Err(error) => Err(error),
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(error) => return error.response(),
        };
        let (before, after, writes) = (None, None, Vec::new());
        let mut run = Run { job: self, turn, before, after, writes, there: None, trouble: None };
        let (code, text) = run.go().await;
        run.response(code, &text)
    }
}

impl Run<'_> {
    async fn go(&mut self) -> End {
        loop {
            if let Err(error) = self.turn.check() {
                return (Code::TryAgain, error.to_string());
            }
            if clock::now() >= self.job.deadline {
                return self.late();
            }
            match self.job.client.havip(self.job.havip, CallClass::Claim, self.job.deadline).await {
                Ok(read) => {
                    self.before.get_or_insert_with(|| read.clone());
                    self.after = Some(read.clone());
                    self.trouble = None;
                    if let Some(end) = self.consider(&read).await {
                        return end;
                    }
                }
                Err(error) if error.class == ErrorClass::Refused => return (call::code(&error), error.to_string()),
                Err(error) => self.trouble = Some(error),
            }
            let asked = self.trouble.as_ref().and_then(|e| e.retry_after).unwrap_or_default();
            let pause = self.there.map_or(PAUSE, |since| (since + SETTLE).since(clock::now()));
            clock::sleep_until((clock::now() + pause.max(asked)).min(self.job.deadline)).await;
        }
    }

    /// Does what a look calls for; says how it ends, if it does.
    async fn consider(&mut self, read: &HaVip) -> Option<End> {
        let step = step(read, self.job.target.id(), self.job.wanted);
        match step {
            Step::There(rest) => self.there(rest).await,
            other => {
                self.there = None;
                if !self.job.wanted.waits()
                    && let Some(end) = self.answered()
                {
                    return Some(end);
                }
                match other {
                    Step::Attach => {
                        let me = self.job.target.clone();
                        self.write(WriteKind::Attach, vec![me]).await
                    }
                    Step::Detach(others) => {
                        self.announce(read).await;
                        self.detach(&others).await
                    }
                    Step::Full => Some((Code::No, full(self.job.havip))),
                    Step::Ask | Step::There(_) => {
                        self.announce(read).await;
                        None
                    }
                }
            }
        }
    }

    /// As it should be, but for those that are still to go; over when two looks agree.
    async fn there(&mut self, rest: Vec<Bound>) -> Option<End> {
        if !self.job.wanted.waits() {
            return Some((Code::Done, self.success()));
        }
        let open: Vec<Bound> =
            rest.into_iter().filter(|b| self.refusal(WriteKind::Detach, &b.instance_id).is_none()).collect();
        if !open.is_empty() {
            return self.detach(&open).await;
        }
        let since = *self.there.get_or_insert_with(clock::now);
        (clock::now().since(since) >= SETTLE).then(|| self.settled())
    }

    fn settled(&self) -> End {
        let left = self.writes.iter().filter(|w| w.kind == WriteKind::Detach);
        let bound = |w: &&Written| w.ids.iter().any(|id| self.after.as_ref().is_some_and(|read| read.binds(id)));
        let refused = left.filter(bound).find_map(|w| w.error.as_ref().map(|e| (w.ids.join(", "), e)));
        match refused {
            Some((ids, error)) => (Code::No, format!("{}, but {ids} stays bound: {error}", self.success())),
            None => (Code::Done, self.success()),
        }
    }

    /// One type to a call, which is all that the cloud takes.
    async fn detach(&mut self, others: &[Bound]) -> Option<End> {
        let targets: Vec<Target> = others.iter().filter_map(|b| b.instance_id.parse().ok()).collect();
        let Some(first) = targets.first() else {
            return Some((Code::No, format!("{} is bound and is no id that can be detached", names(others.iter()))));
        };
        let kind = first.api_type();
        let same: Vec<Target> = targets.iter().filter(|t| t.api_type() == kind).cloned().collect();
        self.write(WriteKind::Detach, same).await
    }

    /// Sends a write, unless the last one like it has yet to show, or was refused for good.
    async fn write(&mut self, kind: WriteKind, targets: Vec<Target>) -> Option<End> {
        let ids: Vec<String> = targets.iter().map(|t| t.id().to_owned()).collect();
        if let Some(last) = self.writes.iter().rfind(|w| w.kind == kind && w.ids == ids) {
            let since = clock::now().since(last.ended);
            match &last.error {
                Some(error) if error.class == ErrorClass::Refused => return self.refused(kind, &ids, error, since),
                // Certainly not carried out: no effect to wait for.
                Some(error) if matches!(error.class, ErrorClass::Retry | ErrorClass::NotSent) => {
                    let pause = error.retry_after.unwrap_or_default().max(PAUSE);
                    if since < pause {
                        return None;
                    }
                }
                _ if since < SETTLE => return None,
                _ => {}
            }
        }
        let token = match token() {
            Ok(token) => token,
            Err(error) => return Some((Code::No, format!("no random bits from the kernel: {error}"))),
        };
        let limits = WriteLimits::new(self.job.deadline, self.job.deadline);
        let sent = self.job.client.write(kind, self.job.havip, &targets, &token, limits).await;
        self.writes.push(Written { kind, ids, ended: clock::now(), error: sent.err() });
        None
    }

    /// A no of the cloud: the next looks say whether it matters.
    fn refused(&self, kind: WriteKind, ids: &[String], error: &CallError, since: Duration) -> Option<End> {
        let patience = match (kind, self.job.wanted) {
            (WriteKind::Detach, Wanted::Attached { .. }) => PATIENCE,
            _ => SETTLE,
        };
        if error.denied || error.missing || since >= patience {
            return Some((call::code(error), self.stuck(kind, ids, error)));
        }
        None
    }

    fn stuck(&self, kind: WriteKind, ids: &[String], error: &CallError) -> String {
        let (havip, ids) = (self.job.havip, ids.join(", "));
        match (kind, self.job.wanted) {
            _ if error.denied || error.missing => error.to_string(),
            (WriteKind::Attach, _) => format!("{ids} cannot be bound: {error}"),
            (WriteKind::Detach, Wanted::Detached { .. }) => {
                format!("{ids} stays bound: {error}; move {havip} to another target first, or detach it in the console")
            }
            (WriteKind::Detach, Wanted::Attached { .. }) => format!(
                "{ids} keeps {havip} and its detach is refused ({error}); by hand: detach it in the console, or take \
                 the address off that host and announce it from this one"
            ),
        }
    }

    /// What became of the write, for callers that do not wait: told by the first look after it.
    fn answered(&self) -> Option<End> {
        let last = self.writes.last()?;
        match &last.error {
            None => {
                let word = word(last.kind);
                Some((
                    Code::Done,
                    format!("{}: {word} of {} is accepted, and does not show yet", self.job.havip, last.ids.join(", ")),
                ))
            }
            Some(error) if matches!(error.class, ErrorClass::Retry | ErrorClass::NotSent) => None,
            Some(error) => Some((call::code(error), error.to_string())),
        }
    }

    /// Time is up.
    fn late(&self) -> End {
        let (havip, me) = (self.job.havip, self.job.target.id());
        let seconds = self.job.deadline.since(self.job.begun).as_secs_f64();
        let failed = self.writes.iter().rev().find_map(|w| w.error.as_ref().map(|e| (w, e)));
        if self.there.is_some() {
            return (Code::TryAgain, format!("{}, but time was up before a second look", self.success()));
        }
        if let Some((written, error)) = failed.filter(|(_, e)| e.class == ErrorClass::Refused) {
            return (call::code(error), self.stuck(written.kind, &written.ids, error));
        }
        let Some(read) = &self.after else {
            let last = self.trouble.as_ref().map_or_else(|| "no answer".to_owned(), ToString::to_string);
            let code = self.trouble.as_ref().map_or(Code::Unreachable, call::code);
            return (code, format!("nothing is known of {havip} after {seconds} s: {last}"));
        };
        let holder = read.holder().unwrap_or("nobody");
        if let Some((_, error)) = failed.filter(|_| !read.binds(me) || self.trouble.is_some()) {
            return (call::code(error), format!("{havip} is held by {holder} after {seconds} s: {error}"));
        }
        if let (Wanted::Attached { exclusive: false, .. }, true, None) =
            (self.job.wanted, read.binds(me), &self.trouble)
        {
            let text = format!(
                "{me} is bound to {havip}, but {holder} keeps it: announce the address from here (keepalived's \
                 garp_master_refresh), or move it with --exclusive"
            );
            return (Code::No, text);
        }
        let trouble = self.trouble.as_ref().map(|e| format!(" ({e})")).unwrap_or_default();
        (Code::TryAgain, format!("{havip} is held by {holder} after {seconds} s{trouble}"))
    }

    fn success(&self) -> String {
        let (havip, me) = (self.job.havip, self.job.target.id());
        let did: Vec<String> = self
            .writes
            .iter()
            .filter(|w| w.error.as_ref().is_none_or(|e| e.class == ErrorClass::Ambiguous))
            .map(|w| format!("{}ed {}", word(w.kind), w.ids.join(", ")))
            .collect();
        let read = self.after.as_ref();
        let is = match (self.job.wanted, read.and_then(HaVip::holder)) {
            (Wanted::Detached { .. }, _) => format!("{me} is not bound to {havip}"),
            (_, Some(holder)) if holder == me => format!("{havip} is on {me}"),
            (_, Some(holder)) => format!("{me} is bound to {havip}, which is on {holder}"),
            (_, None) => format!("{me} is bound to {havip}"),
        };
        if did.is_empty() {
            return format!("{is} already");
        }
        let was = self.before.as_ref().and_then(HaVip::holder).filter(|h| *h != me);
        let was = was.map(|h| format!(" (was on {h})")).unwrap_or_default();
        format!("{is}{was}: {} in {:.1} s", did.join(", "), clock::now().since(self.job.begun).as_secs_f64())
    }

    fn refusal(&self, kind: WriteKind, id: &str) -> Option<&CallError> {
        let last = self.writes.iter().rfind(|w| w.kind == kind && w.ids.iter().any(|i| i == id))?;
        last.error.as_ref().filter(|e| e.class == ErrorClass::Refused)
    }

    /// Where ARP decides, the guest has to speak. Only what this host has on an interface; whatever goes wrong,
    /// keepalived announces it too.
    async fn announce(&self, read: &HaVip) {
        let (true, Some(address)) = (self.job.ours, read.private_ip_address) else { return };
        if matches!(self.job.wanted, Wanted::Detached { .. }) {
            return;
        }
        let send = move || -> Option<()> {
            let host = Snapshot::take().ok()?;
            let place = host.addresses.iter().find(|a| a.usable() && a.address == address)?;
            let link = host.links.get(&place.interface)?;
            Announcer::open().ok()?.announce(link, address, clock::now() + ANNOUNCE).ok().map(drop)
        };
        // Without an address, or the right to send, there is nothing to say.
        let _ = tokio::task::spawn_blocking(send).await;
    }

    fn response(&self, code: Code, text: &str) -> Response {
        let writes: Vec<_> = self
            .writes
            .iter()
            .map(
                |w| json!({"call": word(w.kind), "targets": w.ids, "error": w.error.as_ref().map(ToString::to_string)}),
            )
            .collect();
        Response::new(code, text).with_data(json!({
            "havip": self.job.havip,
            "target": self.job.target.id(),
            "before": self.before,
            "after": self.after,
            "writes": writes,
            "took-ms": u64::try_from(clock::now().since(self.job.begun).as_millis()).unwrap_or(u64::MAX),
        }))
    }
}

const fn word(kind: WriteKind) -> &'static str {
    match kind {
        WriteKind::Attach => "attach",
        WriteKind::Detach => "detach",
    }
}

fn names<'a>(all: impl Iterator<Item = &'a Bound>) -> String {
    all.map(|b| b.instance_id.as_str()).collect::<Vec<_>>().join(", ")
}

fn full(havip: &HavipId) -> String {
    format!("as many targets are bound to {havip} as there can be: detach one, or move it with --exclusive")
}

/// One per write: what is repeated after two seconds without effect is a new attempt.
fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
