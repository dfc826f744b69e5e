//! What a host does to its own paths: addresses that are lost, output rules, and interfaces that carry no heartbeats.

use super::cluster::{Cluster, PORT};
use super::world::World;
use havipd_core::model::event::{Event, OwnPath};
use havipd_core::model::ids::{GroupIndex, HavipIndex};
use std::net::SocketAddr;
use std::time::Duration;

/// The kernel's word reaches the daemon.
const TOLD: Duration = Duration::from_millis(1);

impl World {
    pub(super) fn havip_link(&mut self, host: usize, group: usize, up: bool) {
        self.touch(host);
        if up {
            self.hosts[host].havip_links_down.remove(&group);
        } else {
            self.hosts[host].havip_links_down.insert(group);
        }
        for i in 0..self.scenario.cluster.havips {
            let up = up && self.hosts[host].link_up;
            self.tell(
                host,
                TOLD,
                Event::LinkChanged { group: GroupIndex(group), havip: HavipIndex(i), up, missing: None },
            );
        }
        self.note_service();
    }

    pub(super) fn heartbeat_address(&mut self, host: usize, path: usize, here: bool) {
        self.touch_all();
        if here {
            self.hosts[host].paths_lost.remove(&path);
        } else {
            self.hosts[host].paths_lost.insert(path);
        }
        self.tell(host, TOLD, self.paths_of(host));
    }

    /// What the shell tells of a host's heartbeat addresses.
    pub(super) fn paths_of(&self, host: usize) -> Event {
        let h = &self.hosts[host];
        let own = (0..self.scenario.cluster.paths).map(|path| match h.paths_lost.contains(&path) {
            true => OwnPath::Unbound,
            false if h.link_up => OwnPath::Open,
            false => OwnPath::LinkDown,
        });
        Event::PathsObserved(own.collect())
    }

    /// Whether a host lets a heartbeat out on a path. What its output rules say the daemon is told when that changes.
    pub(super) fn lets_out(&mut self, host: usize, peer: usize, path: usize) -> bool {
        let to = SocketAddr::from((Cluster::path_address(peer, path), PORT));
        let h = &mut self.hosts[host];
        if h.paths_lost.contains(&path) {
            return false;
        }
        let news = if h.refuses { h.refused.insert(to) } else { h.refused.remove(&to) };
        let refused = h.refuses.then(|| "Operation not permitted".to_owned());
        let lets = !h.refuses;
        if news {
            self.tell(host, Duration::ZERO, Event::SendingChanged { to, refused });
        }
        lets
    }

    /// Faults of this kind end.
    pub(super) fn mend_paths(&mut self, host: usize) {
        self.hosts[host].refuses = false;
        for path in std::mem::take(&mut self.hosts[host].paths_lost) {
            self.heartbeat_address(host, path, true);
        }
        for group in std::mem::take(&mut self.hosts[host].havip_links_down) {
            self.havip_link(host, group, true);
        }
    }
}
