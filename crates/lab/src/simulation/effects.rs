//! What leaves a node: datagrams and announcements; and who is served by that.

use super::cluster::{Cluster, PORT};
use super::facts::{Arrival, Stamp};
use super::schedule::Scheduled;
use super::watch::Seen;
use super::world::World;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, HavipIndex};
use havipd_core::model::time::Instant;
use havipd_core::wire::heartbeat::is_heartbeat;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

impl World {
    pub(super) fn send(&mut self, host: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.stats.datagrams += 1;
        let bytes = self.as_released(host, bytes);
        let (nodes, paths) = (self.nodes(), self.scenario.cluster.paths);
        let mut places = (0..nodes).flat_map(|peer| (0..paths).map(move |path| (peer, path)));
        if let Some((peer, path)) = places.find(|(peer, p)| IpAddr::V4(Cluster::path_address(*peer, *p)) == to.ip()) {
            if is_heartbeat(&bytes) {
                self.see(&Seen::Sent { from: host, to: peer });
            }
            if !self.lets_out(host, peer, path) {
                return;
            }
            self.attack(self.node_of(host), peer, &bytes);
            self.carry(host, peer, Some(path), bytes);
            return;
        }
        if self.addressed(self.node_of(host)) != host {
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

    /// The network carries a datagram of a host to the host that has the heartbeat address of a node, or to a HAVIP's server.
    fn carry(&mut self, host: usize, node: usize, path: Option<usize>, bytes: Vec<u8>) {
        let receiver = if path.is_some() { self.addressed(node) } else { node };
        if !self.hosts[host].link_up || !self.hosts[receiver].link_up {
            return;
        }
        let (from, to) = (self.node_of(host), node);
        // What is for a HAVIP goes by the first path, the network of the instances.
        let carried = self.network.carry(path.unwrap_or(0), from, to, &mut self.rng);
        let kept = self.network.kept_for(self.now, from, to);
        let [first, second] = carried.map(|after| after.map(|after| if kept.is_zero() { after } else { kept }));
        let h = &self.hosts[host];
        let dead_time = h.config.heartbeat.dead_time();
        let stamp = self.facts.stamp(self.now, self.stats.turns, (host, h.starts), to, dead_time);
        let to = receiver;
        if let Some(after) = second {
            let (bytes, stamp) = (bytes.clone(), Some(Arc::clone(&stamp)));
            self.after(after, Scheduled::Deliver { to, path, from, bytes, stamp });
        }
        if let Some(after) = first {
            self.after(after, Scheduled::Deliver { to, path, from, bytes, stamp: Some(stamp) });
        }
    }

    pub(super) fn deliver(
        &mut self,
        to: usize,
        path: Option<usize>,
        from: usize,
        bytes: Vec<u8>,
        stamp: Option<Arc<Stamp>>,
    ) {
        if !self.hosts[to].powered || path.is_some_and(|p| self.hosts[to].paths_lost.contains(&p)) {
            return;
        }
        let address = SocketAddr::from((Cluster::path_address(from, path.unwrap_or(0)), PORT));
        let Some(stamp) = stamp else { return self.suffer(to, path, address, bytes) };
        self.replay_later(to, path, from, &bytes);
        let (at, arrived) = (self.now, self.guest_now(to));
        let arrival = is_heartbeat(&bytes).then_some(Arrival { from, at, guest: arrived, stamp });
        let event = Event::DatagramReceived { path, from: address, arrived, bytes };
        let late = self.hosts[to].reads_late;
        if late.is_zero() {
            return self.read(to, event, arrival);
        }
        if let Some(p) = &self.hosts[to].process {
            let (incarnation, event) = (p.incarnation, Box::new(event));
            self.after(late, Scheduled::Read { to, incarnation, event, arrival });
        }
    }

    /// A datagram is next in the socket. For a daemon that is behind with its reading what lay behind others was not there before.
    pub(super) fn read(&mut self, to: usize, event: Event, arrival: Option<Arrival>) {
        if let Some(arrival) = &arrival {
            let h = &self.hosts[to];
            let dropped = h.halted.is_some() && h.backlog.len() >= super::host::SOCKET_BACKLOG;
            if h.process.is_some() && !dropped && self.readable(h, &self.hosts[arrival.from]) {
                let run = h.starts;
                self.facts.arrived(run, to, self.now, arrival);
            }
        }
        self.take_datagram(to, event, arrival);
    }

    /// A daemon comes to what has waited for it.
    pub(super) fn take_datagram(&mut self, to: usize, event: Event, arrival: Option<Arrival>) {
        if self.hosts[to].halted.is_some() {
            return self.hosts[to].defer(event, arrival);
        }
        if let Some(arrival) = &arrival {
            let h = &self.hosts[to];
            if h.process.is_some() && self.readable(h, &self.hosts[arrival.from]) {
                let run = h.starts;
                self.facts.read(run, to, self.now, arrival);
            }
        }
        self.step(to, event);
    }

    pub(super) fn announce(&mut self, host: usize, group: GroupIndex, havip: HavipIndex, leadership_until: Instant) {
        let failed = Event::AnnounceFailed { group, havip };
        if self.hosts[host].clock.read(self.now) >= leadership_until {
            self.note(Some(host), || "does not announce: leadership has run out".to_owned());
            return self.tell(host, Duration::ZERO, failed);
        }
        self.see(&Seen::Announced { host, group });
        self.note(Some(host), || "announces".to_owned());
        if !self.hosts[host].link_up || self.hosts[host].havip_links_down.contains(&group.0) {
            self.tell(host, Duration::ZERO, failed);
        } else {
            let number = self.havip_number(group.0, havip.0);
            let target = self.hosts[host].target.clone();
            self.cloud.announce(self.now, &target, &Cluster::havip_id(number));
            self.cloud_changed();
        }
    }

    /// Something may have changed in the cloud: packets may go elsewhere, now or later.
    pub(super) fn cloud_changed(&mut self) {
        self.cloud.advance(self.now);
        if let Some(at) = self.cloud.next_deadline()
            && self.cloud_wake.is_none_or(|w| at < w)
        {
            self.cloud_wake = Some(at);
            self.at(at, Scheduled::Cloud);
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
