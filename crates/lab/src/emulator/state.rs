//! What the emulator knows, behind one lock, and the log of calls.

use super::auth::{Keys, Signer};
use super::clock::Clock;
use super::config::{CredentialStyle, EmulatorConfig, NodeConfig, Permission};
use super::route;
use crate::simulation::cloud::{
    Answer, Call, Caller, CloudModel, ErrorReply, HttpReply, MasterChange, Operation, Outcome, Reply, Request,
};
use havipd::cloud::sign::Received;
use havipd_core::model::time::Instant;
use serde::Serialize;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, watch};

/// Calls remembered.
const CALLS_MAX: usize = 10_000;

/// Characters of a body that the log keeps.
const BODY_LOGGED: usize = 512;

/// Changes that a slow reader of the event channel may be behind.
const CHANGES_MAX: usize = 1024;

/// One call, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallRecord {
    /// Number of the call, from 1.
    pub number: u64,
    /// When it was decided, milliseconds on the host's boot-time clock.
    pub at_ms: u64,
    /// The same in microseconds.
    pub at_us: u64,
    /// Every name of the caller: access key id, node, targets.
    pub caller: Caller,
    /// HTTP method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Kind of call, if it was understood.
    pub operation: Option<Operation>,
    /// `clientToken`.
    pub token: Option<String>,
    /// Body, cut to 512 characters.
    pub body: String,
    /// Status with the code of an error (`200`, `403 AccessDenied`), or `bad json`, `reset`, `never`.
    pub outcome: String,
    /// How long the answer was held back, milliseconds.
    pub held_ms: u64,
}

/// Where packets go: every HAVIP, with a number that rises with each change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Number of this state.
    pub version: u64,
    /// One entry per HAVIP.
    pub routes: Vec<MasterChange>,
}

/// A request with everything that decides about it.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    pub(super) request: Received<'a>,
    pub(super) body: &'a [u8],
}

/// What to answer, and when. No reply and `reset` false means never.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) reply: Option<HttpReply>,
    pub(super) reset: bool,
    pub(super) after: Duration,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) model: CloudModel,
    pub(super) keys: Keys,
    pub(super) nodes: Vec<NodeConfig>,
    calls: VecDeque<CallRecord>,
    numbered: u64,
    style: CredentialStyle,
    lifetime: i64,
    refresh: i64,
}

/// Everything that the emulator's tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) clock: Clock,
    traffic: watch::Sender<Traffic>,
    changes: broadcast::Sender<MasterChange>,
    deadline: Notify,
}

impl Shared {
    pub(super) fn new(config: &EmulatorConfig) -> Self {
        let clock = Clock::default();
        let mut rng = fastrand::Rng::with_seed(config.seed);
        let keys = Keys::new(config.keys.clone(), rng.fork());
        let model = CloudModel::with_world(config.profile.clone(), config.world.clone(), clock.now(), rng.fork());
        let state = State {
            model,
            keys,
            nodes: config.nodes.clone(),
            calls: VecDeque::new(),
            numbered: 0,
            style: config.credential_style,
            lifetime: config.credential_lifetime,
            refresh: config.credential_refresh,
        };
        let shared = Self {
            state: Mutex::new(state),
            clock,
            traffic: watch::Sender::new(Traffic::default()),
            changes: broadcast::Sender::new(CHANGES_MAX),
            deadline: Notify::new(),
        };
        shared.change(|_, _| ());
        shared
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant of the state spans two statements, so a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state without changing what packets do.
    pub(super) fn look<T>(&self, act: impl FnOnce(&State, Instant) -> T) -> T {
        let state = self.lock();
        act(&state, self.clock.now())
    }

    /// Changes the state, then tells everybody where packets go from now on.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.now();
        let result = act(&mut state, now);
        let changes = state.model.advance(now);
        if !changes.is_empty() {
            let routes = state.model.reported();
            self.traffic.send_modify(|traffic| *traffic = Traffic { version: traffic.version + 1, routes });
            for change in changes {
                // Nobody needs to listen.
                let _ = self.changes.send(change);
            }
        }
        self.deadline.notify_one();
        result
    }

    pub(super) fn traffic(&self) -> watch::Receiver<Traffic> {
        self.traffic.subscribe()
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<MasterChange> {
        self.changes.subscribe()
    }

    /// Applies delayed effects when they are due, for ever.
    pub(super) async fn keep_time(&self) {
        loop {
            let next = self.look(|state, now| state.model.next_deadline().map(|at| at.since(now)));
            match next {
                Some(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => self.change(|_, _| ()),
                    () = self.deadline.notified() => {}
                },
                None => self.deadline.notified().await,
            }
        }
    }

    /// Answers an API call.
    pub(super) fn api(&self, incoming: &Incoming<'_>) -> Decision {
        let wall = self.clock.unix_seconds();
        self.change(|state, now| state.api(now, wall, incoming))
    }

    /// Answers a metadata call of a node, or of a stranger.
    pub(super) fn metadata(&self, node: Option<&str>, key: &str, incoming: &Incoming<'_>) -> Decision {
        let wall = self.clock.unix_seconds();
        self.change(|state, now| state.metadata(now, wall, node, key, incoming))
    }
}

impl State {
    fn api(&mut self, now: Instant, wall: i64, incoming: &Incoming<'_>) -> Decision {
        let request = &incoming.request;
        let understood = route::parse(request.method, request.raw_path, request.raw_query, incoming.body);
        let operation = understood.as_ref().ok().map(Request::operation);
        let signer = self.keys.check(wall, request);
        let caller = match &signer {
            Ok(signer) => self.caller(&signer.access_key, signer.node.as_deref()),
            Err(_) => self.claimed_caller(request),
        };
        let token = route::client_token(request.raw_query);
        let outcome = match signer.and_then(|s| permitted(&s, operation)).and(understood) {
            Ok(request) => self.model.call(now, &Call { caller: caller.clone(), token: token.clone(), request }),
            Err(refusal) => Outcome { answer: Answer::Reply(Err(refusal)), after: Duration::ZERO },
        };
        self.log(now, caller, incoming, operation, token, &outcome);
        let reply = self.model.render(&outcome.answer);
        Decision { reply, reset: outcome.answer == Answer::Reset, after: outcome.after }
    }

    fn metadata(
        &mut self,
        now: Instant,
        wall: i64,
        node: Option<&str>,
        key: &str,
        incoming: &Incoming<'_>,
    ) -> Decision {
        let node = node.and_then(|name| self.nodes.iter().find(|n| n.name == name)).cloned();
        let (caller, outcome) = match &node {
            None => {
                let refusal = ErrorReply::new(404, "NoSuchObject", "no node is known by this address");
                (Caller::default(), Outcome { answer: Answer::Reply(Err(refusal)), after: Duration::ZERO })
            }
            Some(node) => {
                let request = Request::Metadata { instance: node.instance.clone(), key: key.to_owned() };
                let caller = self.names_of(node);
                (caller.clone(), self.model.call(now, &Call::new(caller, request)))
            }
        };
        let mut outcome = outcome;
        let credential = outcome.answer == Answer::Reply(Ok(Reply::Credential));
        if credential && node.as_ref().is_some_and(|n| !n.role) {
            let refusal = ErrorReply::new(404, "NoSuchObject", "the instance has no role");
            outcome.answer = Answer::Reply(Err(refusal));
        }
        self.log(now, caller, incoming, Some(Operation::Metadata), None, &outcome);
        let mut reply = self.model.render(&outcome.answer);
        if let (Some(reply), Some(node), true) = (&mut reply, &node, credential && reply_is_ok(&outcome)) {
            let document = self.keys.issue(wall, &node.name, self.style, self.lifetime, self.refresh);
            reply.body = document.to_string();
        }
        Decision { reply, reset: outcome.answer == Answer::Reset, after: outcome.after }
    }

    /// The node that a source address belongs to.
    pub(super) fn node_at(&self, address: IpAddr) -> Option<&str> {
        let address = address.to_canonical();
        self.nodes.iter().find(|n| n.addresses.contains(&address)).map(|n| n.name.as_str())
    }

    fn names_of(&self, node: &NodeConfig) -> Caller {
        let names = [Some(&node.name), Some(&node.instance), node.eni.as_ref()];
        Caller(names.into_iter().flatten().cloned().collect())
    }

    fn caller(&self, access_key: &str, node: Option<&str>) -> Caller {
        let node = node.and_then(|name| self.nodes.iter().find(|n| n.name == name));
        let mut caller = Caller::named(access_key);
        caller.0.extend(node.map(|n| self.names_of(n).0).unwrap_or_default());
        caller
    }

    /// Whom an unproven request says that it is from, for the log.
    fn claimed_caller(&self, request: &Received<'_>) -> Caller {
        let header = request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("authorization"));
        match header.and_then(|(_, v)| v.split('/').nth(1)) {
            Some(access_key) => self.caller(access_key, self.keys.node_of(access_key)),
            None => Caller::default(),
        }
    }

    fn log(
        &mut self,
        now: Instant,
        caller: Caller,
        incoming: &Incoming<'_>,
        operation: Option<Operation>,
        token: Option<String>,
        outcome: &Outcome,
    ) {
        let request = &incoming.request;
        let query = if request.raw_query.is_empty() { String::new() } else { format!("?{}", request.raw_query) };
        self.numbered += 1;
        if self.calls.len() == CALLS_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(CallRecord {
            number: self.numbered,
            at_ms: now.as_millis(),
            at_us: now.as_nanos() / 1000,
            caller,
            method: request.method.to_owned(),
            target: format!("{}{query}", request.raw_path),
            operation,
            token,
            body: String::from_utf8_lossy(incoming.body).chars().take(BODY_LOGGED).collect(),
            outcome: describe(&outcome.answer),
            held_ms: u64::try_from(outcome.after.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// The calls logged after number `since`.
    pub(super) fn calls(&self, since: u64) -> Vec<CallRecord> {
        self.calls.iter().filter(|c| c.number > since).cloned().collect()
    }
}

fn reply_is_ok(outcome: &Outcome) -> bool {
    matches!(outcome.answer, Answer::Reply(Ok(_)))
}

fn permitted(signer: &Signer, operation: Option<Operation>) -> Result<(), ErrorReply> {
    let allowed = match signer.permission {
        Permission::Full => true,
        Permission::ReadOnly => !operation.is_some_and(Operation::writes),
        Permission::Nothing => false,
    };
    let denied = || ErrorReply::new(403, "AccessDenied", "the access key has no permission for this call");
    allowed.then_some(()).ok_or_else(denied)
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Reply(Ok(_)) => "200".to_owned(),
        Answer::Reply(Err(e)) => format!("{} {}", e.status, e.code),
        Answer::Garbled => "bad json".to_owned(),
        Answer::Reset => "reset".to_owned(),
        Answer::Never => "never".to_owned(),
    }
}
