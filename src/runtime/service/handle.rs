//! What reaches the effects thread, and what it does about it.

use super::forward::HOPS;
use super::{Internal, PER_TURN, Service};
use crate::cloud::client::Client;
use crate::control::asker::Asker;
use crate::control::protocol::{Code, Request, Response};
use crate::control::server::{ControlRequest, Peer};
use crate::hooks::Ran;
use crate::journal::{Entry, Late};
use crate::log::parse_level;
use crate::runtime::commands::{command, response};
use crate::runtime::reload::{Reload, ReloadError, Reloaded};
use crate::runtime::signals::Signal;
use crate::runtime::stale::LastWord;
use crate::runtime::{ToCore, ToEffects, record, vrrp};
use crate::systemd::{DEFAULT_UNIT, JOB_PATIENCE, StopIntent, stop_intent, unit_of_this_process};
use havipd_core::model::action::NotifyState;
use havipd_core::model::event::{Command, Event, Reply};
use havipd_core::model::ids::GroupName;
use havipd_core::model::plural::{are, plural};
use havipd_core::model::role::Role;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the disk may take for what an operator ordered: a busy one takes seconds, and is none that fails.
const STORED: Duration = Duration::from_secs(10);
/// Number of the commands that nobody waits for: signals.
const NOBODY: u64 = 0;

/// An operator who waits for the core's answer.
#[derive(Debug)]
pub(super) struct Waiting {
    reply: oneshot::Sender<Response>,
    order: Order,
}

/// What an operator asks for.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) request: Request,
    pub(super) asker: Asker,
    /// So many nodes further it may go.
    pub(super) hops: u8,
}

impl Order {
    /// It is to outlast a restart.
    const fn is_lasting(&self) -> bool {
        matches!(self.request, Request::Drain { .. } | Request::Undrain { .. } | Request::Maintenance { .. })
    }
}

impl Service {
    /// Carries out what the core asks, and whatever else it has asked for by now.
    pub(super) fn obey(&mut self, first: ToEffects, more: &mut mpsc::Receiver<ToEffects>) {
        let mut messages = vec![first];
        while messages.len() < PER_TURN
            && let Ok(message) = more.try_recv()
        {
            messages.push(message);
        }
        messages.into_iter().for_each(|message| self.carry_out(message));
    }

    fn carry_out(&mut self, message: ToEffects) {
        match message {
            ToEffects::ReadHavip { op, havip, class, deadline } => self.executor.read_havip(op, havip, class, deadline),
            ToEffects::ReadInstance { op, instance, deadline } => self.executor.read_instance(op, instance, deadline),
            ToEffects::AskEtcd { op, group, request } => {
                if let Some(keys) = &self.election_keys {
                    keys.ask(op, group, &request);
                }
            }
            ToEffects::Write { group, ticket, write } => self.executor.write(group, ticket, write),
            ToEffects::RunGate { group, other, run } => self.gates.run(&group, other.as_ref(), run),
            ToEffects::StopGate { group, index, op } => self.gates.stop(&group, index, op),
            ToEffects::Notify(group, notification) => self.hooks.notify(&group, notification),
            ToEffects::Persist(state) => self.state.store(state),
            ToEffects::Record { group, peer, transition } => {
                self.measure.record(group.as_str(), &transition);
                if transition.to == Role::Active {
                    let began = transition.timeline.first().map_or(transition.at, |s| s.at);
                    self.terms.insert(group.clone(), (transition.epoch, began));
                }
                record::log(&group, peer.as_deref(), &transition);
                self.journal.write(Entry::new(&group, peer.as_deref(), &transition));
            }
            ToEffects::RecordLate { group, epoch, ms, what } => {
                tracing::info!(%group, epoch = epoch.0, "{group}: +{ms:.1}ms {what}");
                self.measure.late(group.as_str(), epoch.0, ms, &what);
                self.journal.add(Late::new(&group, epoch.0, ms, what));
            }
            ToEffects::Missing { group, lines } => self.missing(group.as_ref(), lines),
            ToEffects::Warn { group, text } => warn(group.as_ref(), &text),
            ToEffects::Reply { request: NOBODY, reply } => tracing::info!("{}", response(reply).message),
            ToEffects::Reply { request, reply } => {
                if let Some(waiting) = self.waiting.remove(&request) {
                    self.replied(waiting, reply);
                }
            }
            ToEffects::CarryOut { ticket, command, until } => self.carry_out_for(ticket, &command, until),
            ToEffects::Forwarded { request, result } => self.forwarded(request, result),
            ToEffects::Seal { goodbyes, addresses } => {
                self.word = Some(LastWord::new(&self.config, &goodbyes, addresses));
                self.seal();
            }
            ToEffects::Left => self.left = true,
        }
    }

    /// What the core said, and nobody could take down.
    fn missing(&self, group: Option<&GroupName>, lines: u64) {
        let (told, are) = (plural(lines, "line"), are(lines));
        warn(group, &format!("{told} of log and history {are} missing: this part of the daemon stood still"));
        if let Some(group) = group {
            self.journal.note_lost(group, lines);
        }
    }

    /// The hooks of a state have ended: of a move onto this node that is its last step.
    pub(super) fn hooks_ran(&mut self, ran: &Ran) {
        if ran.lapsed {
            return self.ask_again(ran);
        }
        let began = self.terms.get(&ran.group).filter(|(epoch, _)| *epoch == ran.epoch).map(|(_, began)| *began);
        let Some(began) = began.filter(|_| ran.state == NotifyState::Master) else { return };
        let what = match ran.failed {
            0 => "hooks done".to_owned(),
            failed => format!("hooks done, {failed} failed"),
        };
        let ms = ran.at.since(began).as_secs_f64() * 1e3;
        self.measure.late(ran.group.as_str(), ran.epoch.0, ms, &what);
        self.journal.add(Late::new(&ran.group, ran.epoch.0, ms, what));
    }

    /// Has the core say again what the hooks were not told, if it is still so.
    fn ask_again(&self, ran: &Ran) {
        let Some(group) = self.config.group_named(ran.group.as_str()) else { return };
        let (core, epoch) = (self.to_core.clone(), ran.epoch);
        tokio::spawn(async move { drop(core.send(ToCore::Event(Event::NotifyLapsed { group, epoch })).await) });
    }

    /// Stores the newest last word, unless an older one is just being stored.
    fn seal(&mut self) {
        if self.sealing.is_some() {
            return;
        }
        let Some(word) = self.word.take() else { return };
        let (directory, internal) = (self.runtime_directory.clone(), self.internal.clone());
        self.sealing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = word.store(&directory) {
                tracing::warn!("after a crash peers would wait for the dead time: {error}");
            }
            let _ = internal.blocking_send(Internal::Sealed);
        }));
    }

    pub(super) fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::Reload => self.reload(None),
            Signal::Terminate => {
                self.terminated += 1;
                if self.terminated == 1 {
                    self.stop();
                } else {
                    tracing::warn!("told to end for the second time: addresses come off, nothing is handed over");
                    let core = self.to_core.clone();
                    tokio::spawn(async move { drop(core.send(ToCore::Abandon).await) });
                }
            }
        }
    }

    fn stop(&mut self) {
        self.notifier.stopping();
        let core = self.to_core.clone();
        tokio::spawn(async move {
            let unit = unit_of_this_process().unwrap_or_else(|| DEFAULT_UNIT.to_owned());
            let intent = stop_intent(OsStr::new("systemctl"), &unit, JOB_PATIENCE).await;
            let restart = intent == StopIntent::Restart;
            tracing::info!(restart, "told to end");
            let event = Event::Commanded { command: Command::Stop { restart }, request: NOBODY };
            let _ = core.send(ToCore::Event(event)).await;
        });
    }

    pub(super) fn asked(&mut self, ControlRequest { command: request, peer, asker, reply }: ControlRequest) {
        self.execute(Order { request, asker, hops: HOPS }, Some(peer), reply);
    }

    /// Does what is asked, here or on the node that it concerns. `peer` is the client of this node's control socket.
    pub(super) fn execute(&mut self, order: Order, peer: Option<Peer>, reply: oneshot::Sender<Response>) {
        match self.other_node(&order.request) {
            Ok(Some(node)) => return self.forward(node, order, reply),
            Ok(None) => {}
            Err(refusal) => return drop(reply.send(refusal)),
        }
        match &order.request {
            Request::Status => self.tell_status(None, reply),
            Request::StatusOf { group, .. } => self.tell_status(group.clone(), reply),
            Request::Why { group, .. } => self.tell_why(group.clone(), reply),
            Request::History { group, .. } => self.tell_history(group.clone(), reply),
            Request::Doctor => self.examine(Some(reply)),
            Request::Reload => {
                tracing::info!("an operator asks: reload ({})", order.asker.in_words());
                self.reload(Some(reply));
            }
            request @ Request::Notify { .. } => {
                let peer = peer.unwrap_or(Peer { uid: None, pid: None });
                vrrp::notified(self.vrrp.as_ref(), &self.config, request, peer, reply);
            }
            Request::LogLevel { level } => drop(reply.send(match parse_level(level) {
                Ok(level) => {
                    tracing::info!("an operator asks: {} ({})", order.request.words(), order.asker.in_words());
                    self.logging.set_level(level);
                    Response::done("log level set, until the next reload or restart")
                }
                Err(error) => Response::new(Code::Usage, error.to_string()),
            })),
            request => match command(&self.config, request) {
                Ok(command) => {
                    let (uid, pid) = (peer.and_then(|p| p.uid), peer.and_then(|p| p.pid));
                    tracing::info!(uid, pid, "an operator asks: {} ({})", request.words(), order.asker.in_words());
                    self.note_order(request, &order.asker);
                    self.order(command, order, reply);
                }
                Err(refusal) => drop(reply.send(refusal)),
            },
        }
    }

    /// The core has answered, or named the node that is to.
    fn replied(&mut self, Waiting { reply, order }: Waiting, said: Reply) {
        match said {
            // ⚠ A member that has just been moved away from does not send it after the group: of two operators who order the same
            // move the second one would move it back. (`any_node::two_operators_*`)
            Reply::Elsewhere { node, known, .. } if order.hops > 0 => {
                let hops = if known { 1 } else { order.hops };
                self.forward(node, Order { hops, ..order }, reply);
            }
            said => {
                if let Reply::Refused(why) | Reply::Elsewhere { text: why, .. } = &said {
                    self.note_refusal(&order.request, &order.asker, why);
                }
                self.answer(order.is_lasting(), reply, response(said));
            }
        }
    }

    /// Answers; what is to outlast a restart is done only once it is on the disk, or it is said that it is not.
    fn answer(&self, lasting: bool, reply: oneshot::Sender<Response>, response: Response) {
        if !lasting || response.code != Code::Done {
            let _ = reply.send(response);
            return;
        }
        let state = Arc::clone(&self.state);
        // What to store came before the answer (see `Action::Persist`), and is waited for in a task of its own.
        tokio::spawn(async move {
            let disk = Arc::clone(&state);
            let stored = tokio::task::spawn_blocking(move || disk.stored(STORED)).await.unwrap_or(false);
            if stored {
                let _ = reply.send(response);
                return;
            }
            let why = state.status().error.unwrap_or_else(|| "the state directory does not answer".to_owned());
            let text = format!("{}; but a restart forgets it, as it cannot be stored: {why}", response.message);
            let _ = reply.send(Response { code: Code::TryAgain, message: text, ..response });
        });
    }

    fn order(&mut self, command: Command, order: Order, reply: oneshot::Sender<Response>) {
        self.requests += 1;
        self.waiting.retain(|_, waiting| !waiting.reply.is_closed());
        let event = Event::Commanded { command, request: self.requests };
        match self.to_core.try_send(ToCore::Event(event)) {
            Ok(()) => drop(self.waiting.insert(self.requests, Waiting { reply, order })),
            Err(_) => drop(reply.send(Response::new(Code::TryAgain, "the core has too much to do"))),
        }
    }

    /// Begins a reload, or has one follow the one that runs: the file may have changed meanwhile.
    pub(super) fn reload(&mut self, reply: Option<oneshot::Sender<Response>>) {
        if self.reloading.is_some() {
            self.reload_again.get_or_insert_default().extend(reply);
            return;
        }
        self.reloading = Some(reply.into_iter().collect());
        self.notifier.reloading();
        let reload = Reload {
            path: self.path.clone(),
            known: self.known,
            running: Arc::clone(&self.config),
            client: self.executor.client.clone(),
            core: self.to_core.clone(),
            snapshot: Arc::clone(&self.core_status.borrow()),
        };
        let internal = self.internal.clone();
        tokio::spawn(async move {
            let result = Box::new(reload.run().await);
            let _ = internal.send(Internal::Reloaded(result)).await;
        });
    }

    /// A task of ours has ended; says whether the configuration changed.
    pub(super) fn came_back(&mut self, result: Internal) -> bool {
        match result {
            Internal::Sealed => {
                self.sealing = None;
                self.seal();
                false
            }
            Internal::Examined(found) => {
                self.examined(found.as_deref());
                false
            }
            Internal::Reloaded(result) => self.reloaded(*result),
        }
    }

    fn reloaded(&mut self, result: Result<Reloaded, ReloadError>) -> bool {
        let changed = result.is_ok();
        let response = match result {
            Ok(reloaded) => self.take_over(reloaded),
            Err(error) => {
                tracing::error!("reload refused, the old configuration stays: {error}");
                self.reload_error = Some(error.to_string());
                Response::new(Code::Configuration, format!("the old configuration stays: {error}"))
            }
        };
        for waiting in self.reloading.take().into_iter().flatten() {
            let _ = waiting.send(response.clone());
        }
        self.notifier.ready();
        if let Some(again) = self.reload_again.take() {
            self.reload(None);
            self.reloading.get_or_insert_default().extend(again);
        }
        changed
    }

    fn take_over(&mut self, Reloaded { config, changes, warnings }: Reloaded) -> Response {
        self.reload_error = None;
        self.config = config;
        if self.executor.client.is_none() && !self.config.local_node().witness {
            match Client::new(&self.config.cloud) {
                Ok(client) => self.executor.client = Some(client),
                Err(error) => tracing::error!("[cloud] cannot be used: {error}"),
            }
        }
        self.configured();
        for change in &changes.0 {
            tracing::info!("reloaded: {}", change.text);
        }
        let done = match changes.0.len() {
            0 => "nothing changed".to_owned(),
            1 => "1 key taken over".to_owned(),
            n => format!("{n} keys taken over"),
        };
        Response::done(std::iter::once(done).chain(warnings).collect::<Vec<_>>().join("\n"))
    }
}

fn warn(group: Option<&GroupName>, text: &str) {
    match group {
        Some(group) => tracing::warn!(%group, "{group}: {text}"),
        None => tracing::warn!("{text}"),
    }
}
