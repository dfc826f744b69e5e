//! What `havipctl drill` needs of the core: to see where packets go during a move.
//!
//! A trace asks every 20 ms who has the packets of a HAVIP: from here, and from every other node that
//! is up, by asking *that* node to ask. Such a question is a fabric probe addressed to the node itself
//! that names a HAVIP; it sends the probe on to the HAVIP's address in its own name, and the answer
//! back. Each question costs one datagram a hop, also where somebody repeats it, and none touches a session.

use super::Core;
use super::group::Group;
use super::group::fabric::{Relay, Seen};
use crate::model::action::{Action, Actions};
use crate::model::event::Reply;
use crate::model::ids::NodeIndex;
use crate::model::role::Role;
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::status::{SeenSnapshot, TraceSnapshot};
use crate::wire::Probe;
use crate::wire::heartbeat::encode_probe;
use std::net::{IpAddr, SocketAddr};

impl Core {
    /// Begins to watch where the packets of a group go.
    pub(super) fn begin_trace(&mut self, now: Instant, index: usize) -> Reply {
        if !self.config.heartbeat.fabric_probe {
            return Reply::Refused("heartbeat.fabric-probe is off".into());
        }
        let Some(group) = self.groups.get_mut(index) else {
            return Reply::Refused("there is no such group".into());
        };
        if group.reconcilers.iter().all(|l| l.address.ip.is_none() || !l.address.wanted) {
            return Reply::Refused("no HAVIP of the group has an address on its nodes (interface = \"none\")".into());
        }
        let mut nonce = [0; 16];
        self.jitter.fill(&mut nonce);
        group.fabric.begin_trace(now, nonce);
        Reply::Done("watching where packets go".into())
    }

    /// Sends the questions of the traces that are due.
    pub(super) fn trace_due(&mut self, now: Instant, actions: &mut Actions) {
        let me = self.peers.me();
        for (group, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            let serves = matches!(group.role(), Role::Claiming | Role::Active | Role::Releasing);
            let Some(trace) = group.fabric.running_trace(now) else { continue };
            let due = trace.ask(now);
            self.timers.wake(trace.next());
            let Some(nonce) = due else { continue };
            let known = settings.havips.iter().zip(group.reconcilers.iter());
            let Some((havip, ip)) =
                known.filter(|(_, l)| l.address.wanted).find_map(|(h, l)| Some((Tag::havip(&h.id), l.address.ip?)))
            else {
                continue;
            };
            let question = |receiver| Probe {
                key: self.config.heartbeat.send_key,
                sender: me,
                receiver,
                nonce,
                havip,
                node: Tag::NONE,
            };
            let up = self.peers.iter().filter(|p| p.up(now)).map(|p| self.config.node(p.node));
            let others = up.filter_map(|n| Some((Tag::node(&n.name), *n.addresses.first()?)));
            let fabric = SocketAddr::new(IpAddr::V4(ip), self.config.heartbeat.port);
            let own = (!serves).then_some((Tag::NONE, fabric));
            for (receiver, to) in own.into_iter().chain(others) {
                if let Ok(bytes) = encode_probe(&question(receiver), false, &self.keys, &self.config.cluster) {
                    actions.push(Action::SendDatagram { path: 0, to, bytes, until: Instant::FAR_FUTURE });
                }
            }
        }
    }

    /// A peer asks us to ask the HAVIP's address; a node that serves it does not ask itself.
    pub(super) fn pass_on(&mut self, path: usize, from: SocketAddr, probe: &Probe, actions: &mut Actions) {
        let me = self.peers.me();
        for (group, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            let serves = matches!(group.role(), Role::Claiming | Role::Active | Role::Releasing);
            let at = settings.havips.iter().position(|h| Tag::havip(&h.id) == probe.havip);
            let address = |i: usize| group.reconcilers[i].address.ip.filter(|_| group.reconcilers[i].address.wanted);
            let Some(ip) = at.filter(|_| !serves).and_then(address) else { continue };
            group.fabric.pass_on(Relay { asker: probe.sender, back: from, path, nonce: probe.nonce });
            let question = Probe { sender: me, receiver: Tag::NONE, key: self.config.heartbeat.send_key, ..*probe };
            if let Ok(bytes) = encode_probe(&question, false, &self.keys, &self.config.cluster) {
                let to = SocketAddr::new(IpAddr::V4(ip), self.config.heartbeat.port);
                actions.push(Action::SendDatagram { path: 0, to, bytes, until: Instant::FAR_FUTURE });
            }
        }
    }

    /// An answer to a question of a trace, or to one that we passed on.
    pub(super) fn traced(&mut self, now: Instant, answer: &Probe, actions: &mut Actions) {
        let me = self.peers.me();
        let (at, from) = (self.node_by_tag(answer.node), self.node_by_tag(answer.sender));
        let (Some(at), Some(from)) = (at, from) else { return };
        for (group, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            if !settings.havips.iter().any(|h| Tag::havip(&h.id) == answer.havip) {
                continue;
            }
            if let Some(trace) = group.fabric.running_trace(now) {
                // From the node that received it the answer is to our own question; from another it is passed on.
                trace.note(now, answer.nonce, if from == at { self.config.local } else { from }, at);
            }
            if let Some(relay) = group.fabric.passed_on(answer.nonce).filter(|_| from == at) {
                let word = Probe { sender: me, receiver: relay.asker, key: self.config.heartbeat.send_key, ..*answer };
                if let Ok(bytes) = encode_probe(&word, true, &self.keys, &self.config.cluster) {
                    actions.push(Action::SendDatagram {
                        path: relay.path,
                        to: relay.back,
                        bytes,
                        until: Instant::FAR_FUTURE,
                    });
                }
            }
        }
    }

    pub(super) fn trace_snapshot(&self, group: &Group, now: Instant) -> Option<TraceSnapshot> {
        let trace = group.fabric.trace()?;
        let ms = |at: Instant| at.since(trace.began()).as_secs_f64() * 1e3;
        let name = |n: NodeIndex| self.config.node(n).name.to_string();
        let one = |((from, at), seen): (&(NodeIndex, NodeIndex), &Seen)| SeenSnapshot {
            from: name(*from),
            at: name(*at),
            first_ms: ms(seen.first),
            last_ms: ms(seen.last),
            answers: seen.answers,
        };
        Some(TraceSnapshot { age_ms: ms(now), seen: trace.seen().iter().map(one).collect() })
    }
}
