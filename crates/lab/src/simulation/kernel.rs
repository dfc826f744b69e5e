//! The kernel's side of addresses: put, dropped, expired, and told to those who watch.

use super::cluster::Cluster;
use super::host::AddressStuck;
use super::schedule::Scheduled;
use super::watch::Seen;
use super::world::World;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, HavipIndex};
use havipd_core::model::time::Instant;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long a word of the kernel takes to its monitor.
const NETLINK: Duration = Duration::from_micros(100);

impl World {
    pub(super) fn put_address(
        &mut self,
        host: usize,
        group: GroupIndex,
        address: Ipv4Addr,
        lifetime: Option<Duration>,
        leadership_until: Instant,
    ) {
        let now = self.hosts[host].clock.read(self.now);
        if now >= leadership_until {
            self.note(Some(host), || format!("does not put {address}: leadership has run out"));
            return;
        }
        if let Some(how) = self.hosts[host].address_stuck {
            self.note(Some(host), || format!("cannot put {address} ({how})"));
            if let (AddressStuck::Refuses, Some((group, havip))) = (how, self.place_of(address)) {
                let error = Some("refused by the kernel".to_owned());
                self.tell(host, NETLINK, Event::AddressAnswered { group, havip, error });
            }
            return;
        }
        self.see(&Seen::Put { host, group, lifetime });
        let fuzz = Duration::from_millis(self.rng.u64(0..1000));
        let h = &mut self.hosts[host];
        let expires = lifetime.map(|l| now + l + fuzz);
        let new = h.addresses.insert(address, expires).is_none();
        if let Some(at) = expires.and_then(|e| h.clock.world_at(e)) {
            self.at(at, Scheduled::Kernel { host });
        }
        if new {
            self.note(Some(host), || format!("has {address} now"));
            self.note_service();
        }
        self.tell_address(host, address, true);
    }

    pub(super) fn drop_address(&mut self, host: usize, address: Ipv4Addr) {
        if self.hosts[host].addresses.remove(&address).is_some() {
            self.note(Some(host), || format!("drops {address}"));
            self.tell_address(host, address, false);
            self.note_service();
        }
    }

    /// The kernel tells its monitor, in order.
    fn tell_address(&mut self, host: usize, address: Ipv4Addr, present: bool) {
        if let Some((group, havip)) = self.place_of(address) {
            self.tell(host, NETLINK, Event::AddressObserved { group, havip, present });
        }
    }

    /// The HAVIP whose address that is.
    fn place_of(&self, address: Ipv4Addr) -> Option<(GroupIndex, HavipIndex)> {
        let per_group = self.scenario.cluster.havips;
        let number = (0..self.served.len()).find(|n| Cluster::havip_address(*n) == address)?;
        Some((GroupIndex(number / per_group), HavipIndex(number % per_group)))
    }

    /// Addresses whose lifetime is over go.
    pub(super) fn expire_addresses(&mut self, host: usize) {
        let now = self.hosts[host].clock.read(self.now);
        let over: Vec<Ipv4Addr> = self.hosts[host]
            .addresses
            .iter()
            .filter(|(_, expires)| expires.is_some_and(|e| e <= now))
            .map(|(address, _)| *address)
            .collect();
        for address in over {
            self.hosts[host].addresses.remove(&address);
            self.note(Some(host), || format!("the kernel removes {address}"));
            self.tell_address(host, address, false);
            self.note_service();
        }
    }
}
