//! Somebody on the network: datagrams that come again, come back, reach somebody else, or come changed.
//!
//! Only what had its effect already is repeated, to the node and the start that it was for: anything
//! else would be a late delivery, not an attack.

use super::cluster::{Cluster, PORT};
use super::schedule::Scheduled;
use super::watch::Seen;
use super::world::World;
use havipd_core::model::action::Action;
use havipd_core::model::event::Event;
use havipd_core::model::tag::Tag;
use havipd_core::model::time::Instant;
use havipd_core::wire::Datagram;
use havipd_core::wire::auth::KeyRing;
use havipd_core::wire::heartbeat::{MAX_DATAGRAM, decode, encode};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

impl World {
    fn strikes(&mut self) -> bool {
        self.attack_permille > 0 && self.rng.u32(0..1000) < self.attack_permille
    }

    /// A datagram is on its way: perhaps a changed, reflected, misdirected or foreign copy of it is, too.
    pub(super) fn attack(&mut self, from: usize, to: usize, bytes: &[u8]) {
        if !self.strikes() {
            return;
        }
        let after = Duration::from_micros(self.rng.u64(100..20_000_000));
        let mut forged = bytes.to_vec();
        let mut victim = to;
        match self.rng.u32(0..4) {
            0 => victim = from,
            1 => victim = (0..self.nodes()).find(|h| *h != from && *h != to).unwrap_or(from),
            2 => {
                let at = self.rng.usize(0..forged.len());
                forged[at] ^= 1 << self.rng.u32(0..8);
            }
            _ => match self.of_another_cluster(from, bytes) {
                Some(other) => forged = other,
                None => return,
            },
        }
        self.stats.forged += 1;
        let deliver = Scheduled::Deliver { to: victim, path: Some(0), from, bytes: forged, stamp: None };
        self.after(after, deliver);
    }

    /// The same words of a node of that name in a cluster that has the same key.
    fn of_another_cluster(&self, from: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        let config = &self.hosts[from].config;
        let keys = KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key);
        let Ok(Datagram::Heartbeat(heartbeat)) = decode(bytes, &keys, &config.cluster) else { return None };
        let other = "another".parse().expect("a name");
        encode(&heartbeat, &keys, &other).ok()
    }

    /// A datagram was delivered: perhaps it comes again.
    pub(super) fn replay_later(&mut self, to: usize, path: Option<usize>, from: usize, bytes: &[u8]) {
        if path.is_none() || !self.hosts[to].awake() || !self.strikes() {
            return;
        }
        self.stats.forged += 1;
        // Not before the daemon has read what it is a copy of: of two that lie unread either may be the first.
        let after = self.hosts[to].reads_late + Duration::from_micros(self.rng.u64(100..120_000_000));
        self.after(after, Scheduled::Deliver { to, path, from, bytes: bytes.to_vec(), stamp: None });
    }

    /// Garbage of every length, and headers as right as a stranger can make them: between peers, with a key's number.
    pub(super) fn flood(&mut self, host: usize, datagrams: u32) {
        let names = &self.hosts[host].config.nodes;
        let tags: Vec<Tag> = names.iter().map(|n| Tag::node(&n.name)).collect();
        for n in 0..datagrams as usize {
            let from = SocketAddr::from((Cluster::path_address(n % tags.len(), 0), PORT));
            let mut bytes = vec![n as u8; 32 + n % (MAX_DATAGRAM - 31)];
            if n % 2 == 1 {
                let (sender, receiver) = (tags[n / 2 % tags.len()].0, tags[host].0);
                let kind = 1 + (n / 4 % 3) as u8;
                bytes[..8].copy_from_slice(&[b'H', b'V', b'I', b'P', 1, kind, 1, 0]);
                bytes[8..16].copy_from_slice(&sender.to_be_bytes());
                bytes[16..24].copy_from_slice(&receiver.to_be_bytes());
            }
            self.stats.forged += 1;
            self.suffer(host, Some(0), from, bytes);
        }
    }

    /// A forged datagram arrives. What it changes is measured against the same node just before it.
    pub(super) fn suffer(&mut self, host: usize, path: Option<usize>, from: SocketAddr, bytes: Vec<u8>) {
        if !self.hosts[host].awake() {
            return;
        }
        self.step(host, Event::TimerExpired);
        let Some(before) = self.standing(host) else { return };
        let h = &mut self.hosts[host];
        let now = h.clock.read(self.now);
        let Some(p) = h.process.as_mut() else { return };
        let mut actions = Vec::new();
        let admitted = p.core.admits(&bytes);
        let steps = p.core.snapshot(now).counters.steps;
        p.core.handle(now, Event::DatagramReceived { path, from, arrived: now, bytes }, &mut actions);
        let steps = p.core.snapshot(now).counters.steps - steps;
        let effects = actions.iter().filter(|a| !matches!(a, Action::SendDatagram { .. })).count();
        let mut changed = String::new();
        if !admitted && (steps > 0 || !actions.is_empty()) {
            let _ =
                write!(changed, "it does not authenticate, and led to {steps} steps and {} actions; ", actions.len());
        }
        if effects > 0 {
            let _ = write!(changed, "it led to {effects} actions; ");
        }
        let after = self.standing(host).unwrap_or_default();
        if after != before {
            let _ = write!(changed, "it turned\n  {before}\ninto\n  {after}");
        }
        self.see(&Seen::Forged { host, changed: &changed });
        self.carry_out(host, actions.into());
        self.arm(host);
    }

    /// Everything of a node that a stranger must not be able to change.
    fn standing(&self, host: usize) -> Option<String> {
        let h = &self.hosts[host];
        let p = h.process.as_ref()?;
        let now: Instant = h.clock.read(self.now);
        let s = p.core.snapshot(now);
        let groups = s
            .groups
            .iter()
            .map(|g| json!([g.name, g.role, g.epoch, g.active, g.right_ms, g.drained, g.maintenance, g.isolated]));
        let peers = s.peers.iter().map(|p| json!([p.node, p.state, p.heard_ms, p.dead_time_ms, p.target]));
        let addresses = (0..self.served.len()).filter(|n| h.addresses.contains_key(&Cluster::havip_address(*n)));
        let all: [Vec<Value>; 3] = [groups.collect(), peers.collect(), addresses.map(Value::from).collect()];
        Some(json!(all).to_string())
    }
}
