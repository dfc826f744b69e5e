//! Calls of the cloud as the real client makes them: by the same queue, and with the same meaning of their ends.

use super::cloud::{Answer, Call, Caller, ErrorReply, MAX_KEYS, Operation, RUNNING, Reply, Request};
use super::host::{Pending, Reach};
use super::schedule::{Asked, CallEnd, Flight, Scheduled, Wish};
use super::watch::Seen;
use super::world::World;
use havipd_core::model::action::{Write, WriteKind};
use havipd_core::model::cloud::{BindRequest, Bound, CallError, ErrorClass, HaVip};
use havipd_core::model::event::{Event, InstanceState, OperationResult};
use havipd_core::model::ids::{GroupIndex, HavipId, OperationId, Target};
use havipd_core::model::time::Instant;
use havipd_core::queue::{CallId, Decision, Ended, Subject, Wanted};
use std::time::Duration;

/// A daemon that stands still, or its effects side, turns to its calls this much later.
const LATER: Duration = Duration::from_millis(10);

impl World {
    /// The core asks for a call: that reaches the queue a moment later.
    pub(super) fn plan_call(&mut self, host: usize, wish: Wish) {
        let after = Duration::from_micros(self.rng.u64(20..1_000));
        let havip = match &wish.what {
            Asked::Havip(id) => Some(id),
            Asked::Write(write) => Some(&write.havip),
            Asked::Instance(_) => None,
        };
        if let Some(number) = havip.and_then(|id| id.as_str().strip_prefix("havip-")?.parse().ok()) {
            self.facts.answers_mut(host).asked(self.now, wish.op, number);
        }
        let h = &mut self.hosts[host];
        let Some(p) = h.process.as_mut() else { return };
        let write = if let Asked::Write(write) = &wish.what { Some(write.group) } else { None };
        p.calls.insert(wish.op, Pending { deadline: wish.deadline, write, ticket: None, call: None });
        let (incarnation, op) = (p.incarnation, wish.op);
        if let Some(at) = h.clock.world_at(wish.deadline) {
            self.at(at, Scheduled::Deadline { host, incarnation, op });
        }
        self.after(after, Scheduled::Wanted { host, incarnation, wish: Box::new(wish) });
    }

    pub(super) fn call_wanted(&mut self, host: usize, incarnation: u64, wish: Wish) {
        if !self.runs(host, incarnation) {
            return;
        }
        let h = &mut self.hosts[host];
        if h.halted.is_some() || h.effects_stuck {
            self.after(LATER, Scheduled::Wanted { host, incarnation, wish: Box::new(wish) });
            return;
        }
        let now = h.clock.read(self.now);
        let Some(p) = h.process.as_mut() else { return };
        let Some(pending) = p.calls.get_mut(&wish.op) else { return };
        // As late as leaves half of the time for the answer.
        let start_by = now + wish.deadline.since(now) / 2;
        let (subject, start_by) = match &wish.what {
            Asked::Havip(id) => (Subject::Havip(id.clone()), start_by),
            Asked::Instance(_) => (Subject::Other, start_by),
            Asked::Write(w) => (Subject::Write(w.havip.clone(), w.kind), start_by.min(w.leadership_until)),
        };
        let wanted = Wanted { class: wish.class, subject, start_by };
        pending.ticket = Some(p.queue.push(now, wanted, wish));
        // What is asked for in the same turn shares the call.
        self.after(Duration::from_millis(1), Scheduled::Decide { host, incarnation });
    }

    /// Makes every decision that can be made now.
    pub(super) fn decide_calls(&mut self, host: usize, incarnation: u64) {
        loop {
            if !self.runs(host, incarnation) {
                return;
            }
            let h = &mut self.hosts[host];
            if h.halted.is_some() || h.effects_stuck {
                self.after(LATER, Scheduled::Decide { host, incarnation });
                return;
            }
            let now = h.clock.read(self.now);
            let Some(p) = h.process.as_mut() else { return };
            p.decides_at = p.decides_at.filter(|at| *at > now);
            match p.queue.next(now) {
                Some(Decision::Start { call, items, vpc }) => self.start_call(host, incarnation, call, items, vpc),
                Some(Decision::Refuse(wish, why)) => {
                    let error = CallError::new(ErrorClass::NotSent, "call", why);
                    self.call_ended(host, incarnation, wish.op, failed(operation_of(&wish.what), error));
                }
                None => break,
            }
        }
        let h = &mut self.hosts[host];
        let now = h.clock.read(self.now);
        let Some(p) = h.process.as_mut() else { return };
        let Some(at) = p.queue.wake_at(now).map(|at| at.max(now + Duration::from_millis(1))) else { return };
        if p.decides_at.is_none_or(|planned| at < planned) {
            p.decides_at = Some(at);
            if let Some(at) = h.clock.world_at(at) {
                self.at(at, Scheduled::Decide { host, incarnation });
            }
        }
    }

    fn start_call(&mut self, host: usize, incarnation: u64, call: CallId, wishes: Vec<Wish>, vpc: Option<String>) {
        let h = &mut self.hosts[host];
        let now = h.clock.read(self.now);
        let Some(p) = h.process.as_mut() else { return };
        let wanted: Vec<Wish> = wishes.into_iter().filter(|w| p.calls.contains_key(&w.op)).collect();
        for wish in &wanted {
            if let Some(pending) = p.calls.get_mut(&wish.op) {
                (pending.ticket, pending.call) = (None, Some(call));
            }
        }
        let caller = Caller(vec![h.name.clone(), h.target.clone()]);
        let request = match wanted.as_slice() {
            [] => {
                p.queue.ended(now, call, Ended::Unused);
                return;
            }
            [one] => request_of(&one.what),
            _ => Request::List { vpc, marker: None, max_keys: MAX_KEYS },
        };
        let mut made = Call::new(caller, request);
        if let [Wish { what: Asked::Write(write), .. }] = wanted.as_slice() {
            if now >= write.leadership_until {
                p.queue.ended(now, call, Ended::Unused);
                self.note(Some(host), || format!("does not {}: leadership has run out", verb(write.kind)));
                let error = CallError::new(ErrorClass::NotSent, "write", "leadership has run out");
                self.call_ended(host, incarnation, write.op, OperationResult::Written(Err(error)));
                return;
            }
            made.token = Some(write.token.clone());
            self.see(&Seen::Wrote { host, write });
            self.tell(host, Duration::from_micros(50), Event::OperationSent { op: write.op, at: now });
        }
        let havip = |w: &Wish| if let Asked::Havip(id) = &w.what { Some(id.clone()) } else { None };
        let wishes = wanted.iter().map(|w| (w.op, havip(w))).collect();
        self.fly(Flight { host, incarnation, call, wishes }, made);
    }

    fn fly(&mut self, flight: Flight, call: Call) {
        let host = flight.host;
        self.stats.calls += 1;
        self.see(&Seen::CallBegan { host });
        self.note(Some(host), || describe(&call));
        if self.hosts[host].reach == Reach::Nothing || !self.hosts[host].link_up {
            let error = CallError::new(ErrorClass::Retry, "call", "cannot connect");
            let end = Box::new(call_failed(call.request.operation(), error));
            self.after(Duration::from_secs(1), Scheduled::Answer { flight, end });
            return;
        }
        let scripted = usize::try_from(self.stats.calls - 1).ok().and_then(|i| self.scenario.call_ms.get(i).copied());
        let there = scripted.map_or_else(|| self.one_way(), |[there, _]| Duration::from_millis(there));
        let back = scripted.map(|[_, back]| Duration::from_millis(back));
        self.call_step(there, Scheduled::Arrive { flight, call: Box::new(call), back });
    }

    fn one_way(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(2_000..15_000)) + self.cloud_delay
    }

    pub(super) fn call_arrived(&mut self, flight: Flight, call: &Call, back: Option<Duration>) {
        let host = flight.host;
        let outcome = self.cloud.call(self.now, call);
        if call.request.operation().writes() {
            self.note(Some(host), || format!("cloud: {} -> {}", describe(call), said(&outcome.answer)));
            self.cloud_changed();
        }
        if self.hosts[host].reach != Reach::Both {
            return;
        }
        if let Some(end) = call_end(call.request.operation(), outcome.answer) {
            let after = outcome.after + back.unwrap_or_else(|| self.one_way());
            self.call_step(after, Scheduled::Answer { flight, end: Box::new(end) });
        }
    }

    /// An answer is here, or it is certain that none comes.
    pub(super) fn call_answered(&mut self, flight: &Flight, end: CallEnd) {
        let Flight { host, incarnation, call, .. } = *flight;
        let h = &mut self.hosts[host];
        let now = h.clock.read(self.now);
        let Some(p) = h.process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        p.queue.ended(now, call, judge(&end));
        let results = match end {
            CallEnd::One(result) => {
                if let OperationResult::Havip(Ok(havip)) = &result {
                    learn(&mut p.queue, havip);
                }
                vec![result]
            }
            CallEnd::Listed(listed) => {
                listed.iter().flatten().for_each(|havip| learn(&mut p.queue, havip));
                flight.wishes.iter().map(|(_, id)| OperationResult::Havip(found(&listed, id.as_ref()))).collect()
            }
        };
        for ((op, _), result) in flight.wishes.iter().zip(results) {
            self.call_ended(host, incarnation, *op, result);
        }
        self.decide_calls(host, incarnation);
    }

    fn call_ended(&mut self, host: usize, incarnation: u64, op: OperationId, result: OperationResult) {
        let Some(p) = self.hosts[host].process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        if p.calls.remove(&op).is_none() {
            return;
        }
        self.note(Some(host), || short(&result));
        self.step(host, Event::OperationEnded { op, result });
    }

    pub(super) fn call_deadline(&mut self, host: usize, incarnation: u64, op: OperationId) {
        let h = &mut self.hosts[host];
        let (stopped, now) = (h.clock.is_stopped(), h.clock.read(self.now));
        let Some(p) = h.process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        let Some(pending) = p.calls.get(&op).cloned() else { return };
        if stopped || now < pending.deadline {
            self.after(Duration::from_millis(50), Scheduled::Deadline { host, incarnation, op });
            return;
        }
        let sent = pending.call.is_some();
        abandon(p, &pending, now, Ended::Unanswered);
        let kind = if pending.write.is_some() { Operation::Attach } else { Operation::Detail };
        let error = if sent {
            CallError::new(ErrorClass::Ambiguous, "call", "no answer before the deadline")
        } else {
            CallError::new(ErrorClass::NotSent, "call", "its deadline came first")
        };
        self.call_ended(host, incarnation, op, failed(kind, error));
        self.decide_calls(host, incarnation);
    }

    /// Leadership is gone: the group's writes that wait are not made, and nobody waits for the others.
    pub(super) fn cancel_writes(&mut self, host: usize, group: GroupIndex) {
        let h = &mut self.hosts[host];
        let now = h.clock.read(self.now);
        let Some(p) = h.process.as_mut() else { return };
        let ended: Vec<Pending> = p.calls.values().filter(|c| c.write == Some(group)).cloned().collect();
        p.calls.retain(|_, call| call.write != Some(group));
        ended.iter().for_each(|pending| abandon(p, pending, now, Ended::Unused));
    }
}

/// Nobody waits for a call any more.
fn abandon(p: &mut super::host::Process, pending: &Pending, now: Instant, ended: Ended) {
    if let Some(ticket) = pending.ticket {
        p.queue.withdraw(ticket);
    }
    if let Some(call) = pending.call {
        p.queue.ended(now, call, ended);
    }
}

fn learn(queue: &mut havipd_core::queue::Queue<Wish>, havip: &HaVip) {
    if let Ok(id) = havip.ha_vip_id.parse() {
        queue.learn(&id, &havip.vpc_id);
    }
}

/// One HAVIP of a list.
fn found(listed: &Result<Vec<HaVip>, CallError>, id: Option<&HavipId>) -> Result<HaVip, CallError> {
    let all = listed.as_ref().map_err(Clone::clone)?;
    let found = all.iter().find(|h| id.is_some_and(|id| id.as_str() == h.ha_vip_id)).cloned();
    let missing = CallError::new(ErrorClass::Refused, "call", "404 NoSuchObject: it is not listed");
    found.ok_or(CallError { missing: true, status: Some(404), ..missing })
}

fn request_of(what: &Asked) -> Request {
    match what {
        Asked::Havip(id) => Request::Detail { havip: id.to_string() },
        Asked::Instance(id) => Request::Instance { id: id.clone() },
        Asked::Write(Write { kind, havip, targets, .. }) => {
            let body = BindRequest {
                instance_ids: targets.iter().map(|t| t.id().to_owned()).collect(),
                instance_type: targets.first().map_or("SERVER", Target::api_type).to_owned(),
            };
            match kind {
                WriteKind::Attach => Request::Attach { havip: havip.to_string(), body },
                WriteKind::Detach => Request::Detach { havip: havip.to_string(), body },
            }
        }
    }
}

fn operation_of(what: &Asked) -> Operation {
    request_of(what).operation()
}

/// What an end tells the limit of what is sent.
fn judge(end: &CallEnd) -> Ended {
    let error = match end {
        CallEnd::One(OperationResult::Havip(Err(e)) | OperationResult::Written(Err(e)))
        | CallEnd::One(OperationResult::Instance(Err(e)))
        | CallEnd::Listed(Err(e)) => e,
        CallEnd::One(_) | CallEnd::Listed(Ok(_)) => return Ended::Answered,
    };
    match (error.class, error.status) {
        // Nothing else that has a status is worth a repetition as it is.
        (ErrorClass::Retry, Some(_)) => Ended::PushedBack,
        (_, Some(_)) => Ended::Answered,
        (_, None) => Ended::Unanswered,
    }
}

fn describe(call: &Call) -> String {
    match &call.request {
        Request::Attach { havip, body } => format!("attach {} to {havip}", body.instance_ids.join(", ")),
        Request::Detach { havip, body } => format!("detach {} from {havip}", body.instance_ids.join(", ")),
        Request::Detail { havip } => format!("read {havip}"),
        Request::List { vpc, .. } => format!("list havips of {}", vpc.as_deref().unwrap_or("every VPC")),
        Request::Instance { id } => format!("read {id}"),
        Request::Instances { .. } => "list instances".to_owned(),
        Request::Enis { .. } | Request::Interface { .. } | Request::InstanceEnis { .. } => "list interfaces".to_owned(),
        Request::Metadata { .. } => "ask the metadata service".to_owned(),
    }
}

fn verb(kind: WriteKind) -> &'static str {
    match kind {
        WriteKind::Attach => "attach",
        WriteKind::Detach => "detach",
    }
}

/// An answer in a few words.
fn said(answer: &Answer) -> String {
    match answer {
        Answer::Reply(Ok(_)) => "200".to_owned(),
        Answer::Reply(Err(error)) => format!("{} {}: {}", error.status, error.code, error.message),
        Answer::Garbled => "200 without JSON".to_owned(),
        Answer::Reset => "connection reset".to_owned(),
        Answer::Never => "never answered".to_owned(),
    }
}

fn short(result: &OperationResult) -> String {
    match result {
        OperationResult::Havip(Ok(h)) => {
            let one = |b: &Bound| {
                let master = if b.master == Some(true) { " (master)" } else { "" };
                format!("{}{master}", b.instance_id)
            };
            let bound: Vec<String> = h.binded_instances.iter().map(one).collect();
            format!("reads back: {}", if bound.is_empty() { "nobody is bound".to_owned() } else { bound.join(", ") })
        }
        OperationResult::Havip(Err(e)) => format!("read failed: {e}"),
        OperationResult::Written(Ok(())) => "write answered".to_owned(),
        OperationResult::Written(Err(e)) => format!("write failed: {e}"),
        OperationResult::Instance(Ok(InstanceState::Running)) => "instance: runs".to_owned(),
        OperationResult::Instance(Ok(InstanceState::NotRunning)) => "instance: does not run".to_owned(),
        OperationResult::Instance(Err(e)) => format!("instance: {e}"),
    }
}

fn failed(operation: Operation, error: CallError) -> OperationResult {
    match operation {
        operation if operation.writes() => OperationResult::Written(Err(error)),
        Operation::Instance => OperationResult::Instance(Err(error)),
        _ => OperationResult::Havip(Err(error)),
    }
}

fn call_failed(operation: Operation, error: CallError) -> CallEnd {
    match operation {
        Operation::List => CallEnd::Listed(Err(error)),
        _ => CallEnd::One(failed(operation, error)),
    }
}

/// What the client makes of an answer; `None` when there is none.
fn call_end(operation: Operation, answer: Answer) -> Option<CallEnd> {
    let lost = |detail: &str| CallError::new(ErrorClass::Ambiguous, "call", detail);
    Some(match answer {
        Answer::Never => return None,
        Answer::Reset => call_failed(operation, lost("connection reset")),
        Answer::Garbled if operation.writes() => CallEnd::One(OperationResult::Written(Ok(()))),
        Answer::Garbled => call_failed(operation, CallError { status: Some(200), ..lost("200 without JSON") }),
        Answer::Reply(Err(error)) => {
            let error = judged(&error);
            match operation {
                Operation::Instance if error.missing => {
                    CallEnd::One(OperationResult::Instance(Ok(InstanceState::NotRunning)))
                }
                _ => call_failed(operation, error),
            }
        }
        Answer::Reply(Ok(Reply::HaVip(havip))) => CallEnd::One(OperationResult::Havip(Ok(havip))),
        Answer::Reply(Ok(Reply::Page(page))) => CallEnd::Listed(Ok(page.ha_vips)),
        Answer::Reply(Ok(Reply::Done)) => CallEnd::One(OperationResult::Written(Ok(()))),
        Answer::Reply(Ok(Reply::Instance(detail))) => {
            let runs = detail.instance.status == RUNNING;
            let state = if runs { InstanceState::Running } else { InstanceState::NotRunning };
            CallEnd::One(OperationResult::Instance(Ok(state)))
        }
        Answer::Reply(Ok(_)) => return None,
    })
}

fn judged(error: &ErrorReply) -> CallError {
    // As the profile `busy` refuses: by code, or in words alone.
    const BUSY: [&str; 4] = ["TaskConflict", "IncorrectHaVipStatus", "OperationConflict", "LastTokenProcessing"];
    let throttled = error.status == 429 || error.code.contains("RateLimit") || error.message.contains("RateLimit");
    let missing = !throttled && (error.status == 404 || error.code.contains("NoSuch"));
    let denied = !throttled && matches!(error.status, 401 | 403);
    let busy = !throttled && (BUSY.contains(&error.code.as_str()) || error.message.contains("is busy"));
    let nothing_bound = matches!(error.code.as_str(), "InstanceNotBound" | "HaVipNotBinded");
    let class = match error.status {
        _ if throttled || busy => ErrorClass::Retry,
        500.. => ErrorClass::Ambiguous,
        _ => ErrorClass::Refused,
    };
    CallError {
        what: "call".to_owned(),
        detail: format!("{} {} {}", error.status, error.code, error.message),
        class,
        status: Some(error.status),
        code: Some(error.code.clone()),
        retry_after: error.retry_after,
        denied,
        missing,
        busy,
        nothing_bound,
    }
}
