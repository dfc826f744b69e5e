//! What leaves a node: datagrams, announcements, and calls of the cloud as the real client makes them.

use super::cloud::{Answer, Call, Caller, ErrorReply, Operation, RUNNING, Reply, Request};
use super::cluster::{Cluster, PORT};
use super::happening::{Begin, Happening};
use super::host::{Pending, Reach};
use super::watch::Seen;
use super::world::World;
use crate::cloud::api::{BindRequest, CallError, ErrorClass};
use crate::election::action::{Write, WriteKind};
use crate::election::event::{Event, InstanceState, OperationResult};
use crate::ids::{GroupIndex, HavipIndex, OperationId, Target};
use crate::time::Instant;
use crate::wire::heartbeat::is_heartbeat;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

impl World {
    pub(super) fn send(&mut self, host: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.stats.datagrams += 1;
        let bytes = self.as_released(host, bytes);
        let (nodes, paths) = (self.hosts.len(), self.scenario.cluster.paths);
        let mut places = (0..nodes).flat_map(|peer| (0..paths).map(move |path| (peer, path)));
        if let Some((peer, path)) = places.find(|(peer, p)| IpAddr::V4(Cluster::path_address(*peer, *p)) == to.ip()) {
            if is_heartbeat(&bytes) {
                self.see(&Seen::Sent { from: host, to: peer });
            }
            if !self.lets_out(host, peer, path) {
                return;
            }
            self.attack(host, peer, &bytes);
            self.carry(host, peer, Some(path), bytes);
            return;
        }
        let Some(number) = (0..self.served.len()).find(|n| IpAddr::V4(Cluster::havip_address(*n)) == to.ip()) else {
            return;
        };
        // One's own address is reached without the network.
        let own = self.hosts[host].addresses.contains_key(&Cluster::havip_address(number));
        let receiver = if own { Some(host) } else { self.serving(number) };
        if let Some(receiver) = receiver {
            self.carry(host, receiver, None, bytes);
        }
    }

    fn carry(&mut self, from: usize, to: usize, path: Option<usize>, bytes: Vec<u8>) {
        if !self.hosts[from].link_up || !self.hosts[to].link_up {
            return;
        }
        // What is for a HAVIP goes by the first path, the network of the instances.
        let [first, second] = self.network.carry(path.unwrap_or(0), from, to, &mut self.rng);
        if let Some(after) = second {
            self.after(after, Happening::Deliver { to, path, from, bytes: bytes.clone(), forged: false });
        }
        if let Some(after) = first {
            self.after(after, Happening::Deliver { to, path, from, bytes, forged: false });
        }
    }

    pub(super) fn deliver(&mut self, to: usize, path: Option<usize>, from: usize, bytes: Vec<u8>, forged: bool) {
        if !self.hosts[to].powered || path.is_some_and(|p| self.hosts[to].paths_lost.contains(&p)) {
            return;
        }
        let address = SocketAddr::from((Cluster::path_address(from, path.unwrap_or(0)), PORT));
        if forged {
            self.suffer(to, path, address, bytes);
        } else {
            self.replay_later(to, path, from, &bytes);
            let arrived = self.guest_now(to);
            let event = Event::DatagramReceived { path, from: address, arrived, bytes };
            match self.hosts[to].reads_late {
                Duration::ZERO => self.turn(to, event),
                late => self.tell(to, late, event),
            }
        }
    }

    pub(super) fn announce(&mut self, host: usize, group: GroupIndex, havip: HavipIndex, right_until: Instant) {
        if self.hosts[host].clock.read(self.now) >= right_until {
            self.note(Some(host), || "does not announce: the right to it has run out".to_owned());
            return;
        }
        self.see(&Seen::Announced { host, group });
        self.note(Some(host), || "announces".to_owned());
        if self.hosts[host].link_up && !self.hosts[host].havip_links_down.contains(&group.0) {
            let number = self.havip_number(group.0, havip.0);
            let target = self.hosts[host].target.clone();
            self.cloud.announce(self.now, &target, &Cluster::havip_id(number));
            self.cloud_changed();
        }
    }

    pub(super) fn read_havip(&mut self, host: usize, op: OperationId, havip: &str, deadline: Instant) {
        let request = Request::Detail { havip: havip.to_owned() };
        self.plan_call(host, op, request, None, deadline);
    }

    pub(super) fn read_instance(&mut self, host: usize, op: OperationId, instance: &str, deadline: Instant) {
        self.plan_call(host, op, Request::Instance { id: instance.to_owned() }, None, deadline);
    }

    pub(super) fn write(&mut self, host: usize, write: Write) {
        let havip = write.havip.to_string();
        let body = BindRequest {
            instance_ids: write.targets.iter().map(|t| t.id().to_owned()).collect(),
            instance_type: write.targets.first().map_or("SERVER", Target::api_type).to_owned(),
        };
        let request = match write.kind {
            WriteKind::Attach => Request::Attach { havip, body },
            WriteKind::Detach => Request::Detach { havip, body },
        };
        self.plan_call(host, write.op, request, Some(write.clone()), write.deadline);
    }

    fn plan_call(&mut self, host: usize, op: OperationId, request: Request, write: Option<Write>, deadline: Instant) {
        let after = Duration::from_micros(self.rng.u64(20..1_000));
        let h = &mut self.hosts[host];
        let caller = Caller(vec![h.name.clone(), h.target.clone()]);
        let Some(p) = h.process.as_mut() else { return };
        p.calls.insert(op, Pending { deadline, write: write.as_ref().map(|w| w.group) });
        let incarnation = p.incarnation;
        let mut call = Call::new(caller, request);
        call.token = write.as_ref().map(|w| w.token.clone());
        if let Some(at) = h.clock.world_at(deadline) {
            self.at(at, Happening::Deadline { host, incarnation, op });
        }
        self.after(after, Happening::Begin { host, incarnation, begin: Box::new(Begin { op, call, write }) });
    }

    pub(super) fn begin_call(&mut self, host: usize, incarnation: u64, begin: Box<Begin>) {
        if !self.runs(host, incarnation) {
            return;
        }
        let h = &self.hosts[host];
        if h.halted.is_some() || h.effects_stuck {
            self.after(Duration::from_millis(10), Happening::Begin { host, incarnation, begin });
            return;
        }
        let op = begin.op;
        let cancelled = h.process.as_ref().is_none_or(|p| !p.calls.contains_key(&op));
        if cancelled {
            return;
        }
        if let Some(write) = &begin.write {
            if h.clock.read(self.now) >= write.right_until {
                self.note(Some(host), || format!("does not {:?}: the right to it has run out", write.kind));
                let error = failure("write", "the right ran out before it began", ErrorClass::Retry);
                self.call_ended(host, incarnation, op, OperationResult::Written(Err(error)));
                return;
            }
            self.see(&Seen::Wrote { host, write });
        }
        self.stats.calls += 1;
        self.see(&Seen::CallBegan { host });
        self.note(Some(host), || describe(&begin.call));
        if self.hosts[host].reach == Reach::Nothing || !self.hosts[host].link_up {
            let error = failure("call", "cannot connect", ErrorClass::Retry);
            let result = Box::new(failed(begin.call.request.operation(), error));
            self.after(Duration::from_secs(1), Happening::Answer { host, incarnation, op, result });
            return;
        }
        let scripted = usize::try_from(self.stats.calls - 1).ok().and_then(|i| self.scenario.call_ms.get(i).copied());
        let there = scripted.map_or_else(|| self.one_way(), |[there, _]| Duration::from_millis(there));
        let back = scripted.map(|[_, back]| Duration::from_millis(back));
        self.call_step(there, Happening::Arrive { host, incarnation, op, call: Box::new(begin.call), back });
    }

    fn one_way(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(2_000..15_000)) + self.cloud_delay
    }

    pub(super) fn call_arrived(
        &mut self,
        host: usize,
        incarnation: u64,
        op: OperationId,
        call: &Call,
        back: Option<Duration>,
    ) {
        let outcome = self.cloud.call(self.now, call);
        if call.request.operation().writes() {
            self.note(Some(host), || format!("cloud: {} -> {:?}", describe(call), outcome.answer));
            self.cloud_changed();
        }
        if self.hosts[host].reach != Reach::Both {
            return;
        }
        if let Some(result) = result(call.request.operation(), outcome.answer) {
            let after = outcome.after + back.unwrap_or_else(|| self.one_way());
            self.call_step(after, Happening::Answer { host, incarnation, op, result: Box::new(result) });
        }
    }

    pub(super) fn call_ended(&mut self, host: usize, incarnation: u64, op: OperationId, result: OperationResult) {
        let Some(p) = self.hosts[host].process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        if p.calls.remove(&op).is_none() {
            return;
        }
        self.note(Some(host), || short(&result));
        self.turn(host, Event::OperationEnded { op, result });
    }

    pub(super) fn call_deadline(&mut self, host: usize, incarnation: u64, op: OperationId) {
        let h = &self.hosts[host];
        let Some(p) = h.process.as_ref().filter(|p| p.incarnation == incarnation) else { return };
        let Some(pending) = p.calls.get(&op) else { return };
        if h.clock.is_stopped() || h.clock.read(self.now) < pending.deadline {
            self.after(Duration::from_millis(50), Happening::Deadline { host, incarnation, op });
            return;
        }
        let error = failure("call", "no answer before the deadline", ErrorClass::Ambiguous);
        let kind = if pending.write.is_some() { Operation::Attach } else { Operation::Detail };
        self.call_ended(host, incarnation, op, failed(kind, error));
    }

    /// Something may have changed in the cloud: packets may go elsewhere, now or later.
    pub(super) fn cloud_changed(&mut self) {
        self.cloud.advance(self.now);
        if let Some(at) = self.cloud.next_deadline()
            && self.cloud_wake.is_none_or(|w| at < w)
        {
            self.cloud_wake = Some(at);
            self.at(at, Happening::Cloud);
        }
        self.note_service();
    }

    /// Who gets a HAVIP's packets and has its address.
    pub(super) fn serving(&self, number: usize) -> Option<usize> {
        let target = self.cloud.traffic_goes_to(self.now, &Cluster::havip_id(number))?;
        let host = self.scenario.cluster.node_with(target)?;
        let h = &self.hosts[host];
        let linked = h.link_up && !h.havip_links_down.contains(&(number / self.scenario.cluster.havips));
        (h.powered && linked && !h.frozen() && h.addresses.contains_key(&Cluster::havip_address(number)))
            .then_some(host)
    }

    pub(super) fn note_service(&mut self) {
        for havip in 0..self.served.len() {
            let by = self.serving(havip);
            if by != self.served[havip] {
                self.stats.lapses += u64::from(by.is_none());
                self.served[havip] = by;
                let scenario = std::sync::Arc::clone(&self.scenario);
                self.note(None, || {
                    let by = by.map_or("nobody", |h| scenario.cluster.machines[h].name.as_str());
                    format!("HAVIP {havip} is served by {by}")
                });
                self.see(&Seen::Served { havip });
            }
        }
    }
}

fn describe(call: &Call) -> String {
    match &call.request {
        Request::Attach { havip, body } => format!("attach {havip} {:?}", body.instance_ids),
        Request::Detach { havip, body } => format!("detach {havip} {:?}", body.instance_ids),
        Request::Detail { havip } => format!("read {havip}"),
        other => format!("{other:?}"),
    }
}

fn short(result: &OperationResult) -> String {
    match result {
        OperationResult::Havip(Ok(h)) => {
            let bound: Vec<String> =
                h.binded_instances.iter().map(|b| format!("{} {:?}", b.instance_id, b.master)).collect();
            format!("reads back: {}", bound.join(", "))
        }
        OperationResult::Havip(Err(e)) => format!("read failed: {e}"),
        OperationResult::Written(Ok(())) => "write answered".to_owned(),
        OperationResult::Written(Err(e)) => format!("write failed: {e}"),
        OperationResult::Instance(r) => format!("instance: {r:?}"),
    }
}

fn failure(what: &str, detail: &str, class: ErrorClass) -> CallError {
    CallError {
        what: what.to_owned(),
        detail: detail.to_owned(),
        class,
        status: None,
        code: None,
        retry_after: None,
        denied: false,
        missing: false,
    }
}

fn failed(operation: Operation, error: CallError) -> OperationResult {
    match operation {
        operation if operation.writes() => OperationResult::Written(Err(error)),
        Operation::Instance => OperationResult::Instance(Err(error)),
        _ => OperationResult::Havip(Err(error)),
    }
}

/// What the client makes of an answer; `None` when there is none.
fn result(operation: Operation, answer: Answer) -> Option<OperationResult> {
    let result = match answer {
        Answer::Never => return None,
        Answer::Reset => failed(operation, failure("call", "connection reset", ErrorClass::Ambiguous)),
        Answer::Garbled if operation.writes() => OperationResult::Written(Ok(())),
        Answer::Garbled => failed(operation, failure("call", "200 without JSON", ErrorClass::Ambiguous)),
        Answer::Reply(Err(error)) => {
            let error = judged(&error);
            match operation {
                Operation::Instance if error.missing => OperationResult::Instance(Ok(InstanceState::NotRunning)),
                _ => failed(operation, error),
            }
        }
        Answer::Reply(Ok(Reply::HaVip(havip))) => OperationResult::Havip(Ok(havip)),
        Answer::Reply(Ok(Reply::Done)) => OperationResult::Written(Ok(())),
        Answer::Reply(Ok(Reply::Instance(detail))) => {
            let runs = detail.instance.status == RUNNING;
            let state = if runs { InstanceState::Running } else { InstanceState::NotRunning };
            OperationResult::Instance(Ok(state))
        }
        Answer::Reply(Ok(_)) => return None,
    };
    Some(result)
}

fn judged(error: &ErrorReply) -> CallError {
    let throttled = error.status == 429 || error.code.contains("RateLimit") || error.message.contains("RateLimit");
    let missing = !throttled && (error.status == 404 || error.code.contains("NoSuch"));
    let denied = !throttled && matches!(error.status, 401 | 403);
    let class = match error.status {
        _ if throttled => ErrorClass::Retry,
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
    }
}
