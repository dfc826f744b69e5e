//! The host as the core thread sees and changes it: links, addresses, announcements.

use super::Driver;
use crate::errors::chain;
use crate::net::garp::{Announced, Announcer};
use crate::net::heartbeat::Layout;
use crate::net::monitor::{Change, Monitor, MonitorError};
use crate::net::owner::{Kind, Outcome, Report};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, HavipIndex};
use havipd_core::model::time::Instant;
use std::net::Ipv4Addr;
use std::sync::Arc;

impl Driver {
    pub(super) fn announce(
        &mut self,
        now: Instant,
        group: GroupIndex,
        havip: HavipIndex,
        address: Ipv4Addr,
        leadership_until: Instant,
    ) {
        let sent = self.send_announcement(group, havip, address, leadership_until);
        let event = match sent {
            Ok(Announced::Sent) => Event::Announced { group, address },
            Ok(Announced::LeadershipLost) => Event::AnnounceFailed { group, havip },
            Err(text) => {
                self.complain(now, text);
                Event::AnnounceFailed { group, havip }
            }
        };
        self.follow_ups.push_front((now, event));
    }

    /// Sends one; the socket is opened anew after any failure.
    fn send_announcement(
        &mut self,
        group: GroupIndex,
        havip: HavipIndex,
        address: Ipv4Addr,
        leadership_until: Instant,
    ) -> Result<Announced, String> {
        let Some(link) = self.places.link(group, havip) else {
            return Err(format!("{address} cannot be announced: its interface is not known"));
        };
        let announcer = self.announcer.take().map_or_else(Announcer::open, Ok).map_err(|e| chain(&e))?;
        let sent = announcer.announce(link, address, leadership_until).map_err(|e| chain(&e))?;
        self.announcer = Some(announcer);
        Ok(sent)
    }

    /// A command to the owner of the addresses has ended; the core counts on puts to be answered.
    pub(super) fn address_done(&mut self, report: &Report) {
        self.strayed(report.at, report.address, &report.strays);
        let error = match &report.outcome {
            Outcome::Done => {
                self.address_error = None;
                None
            }
            Outcome::Failed(error) => {
                self.address_failures += 1;
                let text = chain(error);
                self.complain(report.at, text.clone());
                Some(text)
            }
            // Nothing was done, so these answer nothing.
            Outcome::LeadershipLost | Outcome::Cancelled | Outcome::Replaced => return,
        };
        if report.kind == Kind::Put
            && let Some((group, havip)) = self.places.of(report.address)
        {
            self.step(Event::AddressAnswered { group, havip, error });
        }
    }

    /// Notes what is wrong with an address, and says so unless it said so a moment ago.
    fn complain(&mut self, now: Instant, text: String) {
        if let Some(before) = self.complaints.allow(now) {
            tracing::warn!(suppressed = before, "{text}");
        }
        self.address_error = Some(text);
    }

    pub(super) fn host_changed(&mut self, change: Result<Change, MonitorError>) {
        match change {
            Ok(Change::Address { address, .. }) => {
                let present = self.monitor.as_ref().is_ok_and(|m| m.has(address));
                self.sockets.address_changed(address, present);
            }
            Ok(Change::Link { .. }) => {}
            Err(error) => {
                tracing::error!("{}; links and addresses are not known until that works again", chain(&error));
                self.monitor = Err(error);
            }
        }
        self.observe_host();
    }

    /// Tells the core what has changed of links and addresses.
    pub(super) fn observe_host(&mut self) {
        self.look().into_iter().for_each(|event| self.step(event));
    }

    pub(super) fn look(&mut self) -> Vec<Event> {
        let paths = self.observe_paths();
        let host = self.monitor.as_ref().ok().map(Monitor::snapshot);
        paths.into_iter().chain(self.places.refresh(self.core.config(), host)).collect()
    }

    /// Listens on the HAVIPs' own addresses for questions who has them.
    pub(super) fn bind_probes(&mut self) {
        let config = Arc::clone(self.core.config());
        let asked = config.heartbeat.fabric_probe && !config.local_node().witness;
        let addresses = if asked { self.places.known_addresses() } else { Vec::new() };
        self.sockets.reconfigure(Layout {
            own: &config.local_node().addresses,
            sources: &self.core.sources(),
            havips: &addresses,
            port: config.heartbeat.port,
            groups: config.groups.len(),
        });
    }
}
