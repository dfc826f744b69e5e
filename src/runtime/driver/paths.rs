//! What this host shows of its own heartbeat paths: sockets, links, and what it refuses to send.

use super::Driver;
use crate::errors::chain;
use crate::log::RateLimit;
use crate::net::heartbeat::Sent;
use crate::net::monitor::Monitor;
use crate::status::Refusal;
use havipd_core::model::event::{Event, OwnPath};
use havipd_core::model::time::Instant;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What was told of the paths.
#[derive(Debug)]
pub(super) struct PathsTold {
    own: Option<Vec<OwnPath>>,
    refused: BTreeMap<SocketAddr, i32>,
    lines: RateLimit,
}

impl Default for PathsTold {
    fn default() -> Self {
        Self { own: None, refused: BTreeMap::new(), lines: RateLimit::new(10, Duration::from_secs(10)) }
    }
}

/// Whether an error of a send is this host's own refusal: its output rules, its addresses, its routes, its interfaces. That
/// the peer's host or port cannot be reached is news of the peer, and comes when it is dead.
pub(super) const fn refuses(errno: i32) -> bool {
    matches!(
        errno,
        libc::EPERM
            | libc::EACCES
            | libc::EINVAL
            | libc::EADDRNOTAVAIL
            | libc::ENETUNREACH
            | libc::ENETDOWN
            | libc::ENODEV
            | libc::ENXIO
    )
}

impl Driver {
    /// What this host shows of the own addresses, if that is news.
    pub(super) fn observe_paths(&mut self) -> Option<Event> {
        let host = self.monitor.as_ref().ok().map(Monitor::snapshot);
        let addresses = &self.core.config().local_node().addresses;
        let linked = |address: &SocketAddr| {
            // Where no interface tells of the address, as of most of 127.0.0.0/8, a socket that is bound is all that is known.
            host.and_then(|host| host.with_address(address.ip())).is_none_or(|link| link.up)
        };
        let bound = self.sockets.paths_up();
        let shows = |(address, bound)| match bound {
            false => OwnPath::Unbound,
            true if linked(address) => OwnPath::Open,
            true => OwnPath::LinkDown,
        };
        let own: Vec<OwnPath> = addresses.iter().zip(bound).map(shows).collect();
        if self.paths_told.own.as_ref() == Some(&own) {
            return None;
        }
        self.paths_told.own = Some(own.clone());
        Some(Event::PathsObserved(own))
    }

    /// Tells the core of that.
    pub(super) fn tell_paths(&mut self) {
        if let Some(event) = self.observe_paths() {
            self.step(event);
        }
    }

    /// What this host refuses to send, for people.
    pub(super) fn refusals(&self) -> Vec<Refusal> {
        let nodes = || self.core.config().nodes.iter();
        let refusal = |(to, errno): (&SocketAddr, &i32)| {
            let node = nodes().find(|n| n.addresses.contains(to))?.name.to_string();
            Some(Refusal { node, address: *to, error: chain(&io::Error::from_raw_os_error(*errno)) })
        };
        self.paths_told.refused.iter().filter_map(refusal).collect()
    }

    /// The core may have forgotten which addresses it was told of.
    pub(super) fn forget_paths(&mut self) {
        self.paths_told.own = None;
    }

    /// Notes what became of a heartbeat: that this host refuses it is told once, and so is the end of that.
    pub(super) fn note_sent(&mut self, now: Instant, to: SocketAddr, sent: Sent) {
        let refused = match sent {
            Sent::Failed(errno) if refuses(errno) => Some(errno),
            Sent::Failed(_) | Sent::Sent => None,
            Sent::WouldBlock | Sent::NoSocket => return,
        };
        let before = self.paths_told.refused.get(&to).copied();
        if before == refused {
            return;
        }
        let Some(node) = self.core.config().nodes.iter().find(|n| n.addresses.contains(&to)) else { return };
        let name = &node.name;
        let suppressed = self.paths_told.lines.allow(now);
        match refused {
            Some(errno) => {
                self.paths_told.refused.insert(to, errno);
                if let Some(suppressed) = suppressed {
                    let error = io::Error::from_raw_os_error(errno);
                    tracing::warn!(suppressed, "sending to {name} ({to}) is refused here: {error}");
                }
            }
            None => {
                self.paths_told.refused.remove(&to);
                if let Some(suppressed) = suppressed {
                    tracing::info!(suppressed, "sending to {name} ({to}) is refused here no longer");
                }
            }
        }
        let why = refused.map(|errno| chain(&io::Error::from_raw_os_error(errno)));
        self.follow_ups.push_front((now, Event::SendingChanged { to, refused: why }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_death_of_a_peer_causes_is_no_refusal_of_this_host() {
        let own = [libc::EPERM, libc::EACCES, libc::ENETUNREACH, libc::EADDRNOTAVAIL, libc::ENODEV, libc::EINVAL];
        assert!(own.into_iter().all(refuses));
        let of_the_peer = [libc::EHOSTUNREACH, libc::EHOSTDOWN, libc::ECONNREFUSED, libc::ENOBUFS, libc::EMSGSIZE];
        assert!(!of_the_peer.into_iter().any(refuses));
    }
}
