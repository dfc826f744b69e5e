//! Commands that concern another node: carried there, and carried out here for others.
//!
//! An operator's command is checked where it is given, as any other: who may not give it there has it forwarded nowhere. The node
//! that it concerns takes it as one that was given there, by whom the other node says.

use super::Service;
use super::handle::Order;
use crate::clock;
use crate::control::asker::Asker;
use crate::control::protocol::{Code, Request, Response};
use crate::journal::Entry;
use crate::runtime::{ToCore, commands};
use havipd_core::model::event::Event;
use havipd_core::model::forward::{ForwardError, LONGEST_ANSWER, Ticket};
use havipd_core::model::ids::NodeIndex;
use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// From a node that is no member of a group to a member, and from there to the one that is active.
pub(super) const HOPS: u8 = 2;

/// A command on its way to the node that it concerns.
#[derive(Debug, Serialize, Deserialize)]
struct Forwarded {
    request: Request,
    /// So many nodes further it may go.
    #[serde(default)]
    hops: u8,
    #[serde(flatten)]
    asker: Asker,
}

/// Who waits for another node's answer.
#[derive(Debug)]
pub(super) struct Awaiting {
    node: String,
    /// The answer is about that node, and does not say so.
    named: bool,
    reply: oneshot::Sender<Response>,
}

impl Service {
    /// The other node that a command names.
    ///
    /// # Errors
    /// There is no such node.
    pub(super) fn other_node(&self, request: &Request) -> Result<Option<NodeIndex>, Response> {
        let Some(name) = request.node() else { return Ok(None) };
        let node = self.config.node_named(name).ok_or_else(|| commands::unknown_node(&self.config, name))?;
        Ok(Some(node).filter(|node| *node != self.config.local))
    }

    /// Has a command carried out by another node.
    pub(super) fn forward(&mut self, node: NodeIndex, order: Order, reply: oneshot::Sender<Response>) {
        let Order { request, asker, hops } = order;
        let name = self.config.node(node).name.to_string();
        if hops == 0 {
            let text = format!("it is for {name}, and a forwarded command goes on to no further node: run it there");
            return drop(reply.send(Response::new(Code::No, text)));
        }
        tracing::info!("forwarded to {name}: {} asks: {}", asker.in_words(), request.words());
        let named = matches!(
            request,
            Request::Switchover { .. } | Request::Drain { .. } | Request::Undrain { .. } | Request::Maintenance { .. }
        );
        let asker = Asker { node: asker.node.or_else(|| Some(self.config.local_node().name.to_string())), ..asker };
        let command = match serde_json::to_vec(&Forwarded { request: request.here(), hops: hops - 1, asker }) {
            Ok(command) => command,
            Err(error) => return drop(reply.send(Response::new(Code::Usage, error.to_string()))),
        };
        self.requests += 1;
        self.awaiting.retain(|_, awaiting| !awaiting.reply.is_closed());
        let event = Event::CommandForOther { node, command, request: self.requests };
        match self.to_core.try_send(ToCore::Event(event)) {
            Ok(()) => drop(self.awaiting.insert(self.requests, Awaiting { node: name, named, reply })),
            Err(_) => drop(reply.send(Response::new(Code::TryAgain, "the core has too much to do"))),
        }
    }

    /// What became of it.
    pub(super) fn forwarded(&mut self, request: u64, result: Result<Vec<u8>, ForwardError>) {
        let Some(Awaiting { node, named, reply }) = self.awaiting.remove(&request) else { return };
        let response = match result {
            Ok(answer) => match Response::parse(&answer) {
                Ok(response) => of_other(response, &node, named),
                Err(error) => {
                    Response::new(Code::Unreachable, format!("{node} answers what is not understood: {error}"))
                }
            },
            Err(error) => {
                let code = if error == ForwardError::Unheard { Code::Unreachable } else { Code::TryAgain };
                Response::new(code, format!("{node} {error}"))
            }
        };
        let _ = reply.send(response);
    }

    /// Carries a command out for another node's operator.
    pub(super) fn carry_out_for(&mut self, ticket: Ticket, command: &[u8], until: Instant) {
        let from = self.config.node(ticket.node).name.to_string();
        let (reply, answer) = oneshot::channel();
        let request = match serde_json::from_slice::<Forwarded>(command) {
            Ok(forwarded) if clock::now() < until => {
                let order = Order {
                    asker: forwarded.asker.told(&from),
                    hops: forwarded.hops.min(HOPS - 1),
                    request: forwarded.request,
                };
                let request = order.request.clone();
                if request.may_be_forwarded() {
                    self.execute(order, None, reply);
                } else {
                    let text = "this is carried out only on the node where it is given";
                    drop(reply.send(Response::new(Code::Usage, text)));
                }
                Some(request)
            }
            Ok(_) => {
                let text = "it came too late to be carried out: this node has too much to do";
                drop(reply.send(Response::new(Code::TryAgain, text)));
                None
            }
            Err(error) => {
                let text = format!("its havipd does not understand the command: {error}");
                drop(reply.send(Response::new(Code::Usage, text)));
                None
            }
        };
        let core = self.to_core.clone();
        let here = self.config.local_node().name.to_string();
        tokio::spawn(async move {
            let response = answer.await.unwrap_or_else(|_| Response::new(Code::TryAgain, "its havipd is leaving"));
            let answer = fitted(response, request.as_ref(), &here);
            let _ = core.send(ToCore::Event(Event::CarriedOut { ticket, answer })).await;
        });
    }

    /// Writes who asked for what into the history of each group that it concerns.
    pub(super) fn note_order(&self, request: &Request, asker: &Asker) {
        let Some(told) = request.told() else { return };
        self.note_of(request, asker, "command", &format!("{}: {told}", asker.in_words()));
    }

    /// Writes there that it was refused, and why.
    pub(super) fn note_refusal(&self, request: &Request, asker: &Asker, why: &str) {
        if let Some(told) = request.told() {
            self.note_of(request, asker, "refused", &format!("{told}: {why}"));
        }
    }

    fn note_of(&self, request: &Request, asker: &Asker, cause: &str, detail: &str) {
        let core = self.core_status.borrow();
        let asked = |name: &str| request.group().is_none_or(|group| group == name);
        for group in core.election.groups.iter().filter(|g| asked(&g.name)) {
            self.journal.write(Entry::happened(
                &group.name,
                group.epoch,
                cause,
                detail.to_owned(),
                asker.node.as_deref(),
            ));
        }
    }
}

/// Another node's answer, for people and programs here: whose it is.
fn of_other(response: Response, node: &str, named: bool) -> Response {
    // One that went on from there names the last node already.
    if !named || !response.data.is_null() {
        return response;
    }
    let message = format!("{node}: {}", response.message);
    Response { message, ..response }.with_data(json!({ "node": node }))
}

/// An answer that fits what nodes carry: of a history the newest entries, of anything else that there is more.
fn fitted(response: Response, request: Option<&Request>, here: &str) -> Vec<u8> {
    let written = |response: &Response| serde_json::to_vec(response).unwrap_or_default();
    let whole = written(&response);
    if whole.len() <= LONGEST_ANSWER && !whole.is_empty() {
        return whole;
    }
    if let (Some(Request::History { group, .. }), Value::Array(entries)) = (request, &response.data) {
        let mut room = LONGEST_ANSWER - LONGEST_ANSWER / 16;
        let fits = entries.iter().rev().take_while(|entry| {
            let length = entry.to_string().len() + 1;
            let fits = length <= room;
            room -= if fits { length } else { 0 };
            fits
        });
        let kept = fits.count();
        let older = entries.len() - kept;
        let detail = format!(
            "{older} older entries are not shown: they are more than nodes carry to each other; see them on {here}"
        );
        let group = group.as_deref().unwrap_or_default();
        let first = serde_json::to_value(Entry::happened(group, 0, "left-out", detail, None)).unwrap_or_default();
        let data = std::iter::once(first).chain(entries[older..].iter().cloned()).collect();
        return written(&Response { data: Value::Array(data), ..response });
    }
    let text = format!(
        "the answer of {here} has {} bytes, and nodes carry {LONGEST_ANSWER} to each other: ask for one group, or run it there",
        whole.len()
    );
    written(&Response::new(Code::No, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(entries: usize) -> Response {
        let entry = |i| Entry::happened("web", i as u64, "moved", "x".repeat(500), None);
        let all: Vec<Entry> = (0..entries).map(entry).collect();
        Response::done("n entries").with_data(serde_json::to_value(all).expect("JSON"))
    }

    #[test]
    fn of_a_long_history_the_newest_entries_go_and_what_is_left_out_is_said() {
        let request = Request::History { group: Some("web".to_owned()), node: None };
        let short = Response::parse(&fitted(history(3), Some(&request), "b")).expect("an answer");
        assert_eq!(short.read::<Vec<Entry>>().expect("entries").len(), 3);
        let long = fitted(history(1000), Some(&request), "b");
        assert!(long.len() <= LONGEST_ANSWER && long.len() > LONGEST_ANSWER / 2, "{}", long.len());
        let entries = Response::parse(&long).expect("an answer").read::<Vec<Entry>>().expect("entries");
        assert_eq!((entries[0].cause.as_str(), entries.last().map(|e| e.epoch)), ("left-out", Some(999)));
        assert!(entries[0].detail.starts_with(&format!("{} older entries", 1000 - (entries.len() - 1))));
    }

    #[test]
    fn another_answer_that_is_too_long_is_said_to_be() {
        let long = Response::done("x".repeat(LONGEST_ANSWER));
        let told = Response::parse(&fitted(long, None, "b")).expect("an answer");
        assert!(told.code == Code::No && told.message.contains("run it there"), "{told:?}");
    }

    #[test]
    fn an_answer_names_the_last_node_that_it_came_to() {
        let one = of_other(Response::done("drained"), "b", true);
        assert_eq!((one.message.as_str(), &one.data["node"]), ("b: drained", &json!("b")));
        assert_eq!(of_other(one.clone(), "c", true), one, "it went on from c");
        assert_eq!(of_other(Response::done("why"), "b", false).message, "why");
    }
}
