//! HAVIP addresses on this host's interfaces: put, renewed, taken off, found.
//!
//! An address is put as a /32 with a kernel lifetime (`valid_lft`), so that the kernel itself takes
//! it off when nobody renews it: a daemon that hangs or dies cannot leave it behind. Comparison is
//! always of whole addresses, and nothing but the addresses asked for is ever touched.
//!
//! [`crate::net::owner`] puts these calls in order; only what runs before or after the daemon
//! (clean-up at start, `ExecStopPost`) uses them directly.

use super::interface::Assigned;
use super::netlink::{Netlink, NetlinkError};
use crate::clock;
use havipd_core::model::time::Instant;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// `IFA_PROTO` of the addresses we put: `ip address` shows `proto 0x68` ("h"). Kernels before 5.18 ignore it.
pub const PROTOCOL: u8 = 0x68;
/// A drop looks again after deleting; something that puts the address back each time is an error.
const DROP_ATTEMPTS: u32 = 3;
/// `valid_lft` that never ends.
const FOREVER: u32 = u32::MAX;

/// Why an address is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Kernel said no, or could not be asked.
    #[error("cannot put {address} on interface {interface}")]
    Put {
        /// The address.
        address: Ipv4Addr,
        /// Index of the interface.
        interface: u32,
        /// Why.
        #[source]
        source: NetlinkError,
    },
    /// Kernel said no, or could not be asked. The address may still be there.
    #[error("cannot take {address} off")]
    Drop {
        /// The address.
        address: Ipv4Addr,
        /// Why.
        #[source]
        source: NetlinkError,
    },
    /// It was deleted and is there again.
    #[error("{address} was taken off {DROP_ATTEMPTS} times and something puts it back on interface {interface}")]
    Returns {
        /// The address.
        address: Ipv4Addr,
        /// Index of the interface.
        interface: u32,
    },
    /// The addresses of this host cannot be read.
    #[error("cannot look for addresses")]
    Find(#[source] NetlinkError),
}

/// One address to be on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// The address.
    pub address: Ipv4Addr,
    /// Index of the interface.
    pub interface: u32,
    /// Kernel lifetime from when it is put, rounded up to whole seconds and at least one; `None` is for ever.
    pub lifetime: Option<Duration>,
    /// Not to be done any more from this instant on.
    pub leadership_until: Instant,
}

/// What became of a [`Put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is there, its lifetime begun anew.
    Done,
    /// Leadership had run out: nothing was done, or it was undone at once.
    LeadershipLost,
}

/// A way to the kernel's addresses, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Addresses {
    netlink: Netlink,
}

impl Addresses {
    /// Opens it.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { netlink: Netlink::open()? })
    }

    /// Puts an address on an interface or renews its lifetime there.
    ///
    /// # Errors
    /// When the kernel refuses (no such interface, no permission) or cannot be asked.
    pub fn put(&mut self, put: &Put) -> Result<PutOutcome, AddressError> {
        self.put_by(put, clock::now)
    }

    /// The same by a clock of the caller's, which is looked at before and after the kernel was asked.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_by(&mut self, put: &Put, mut now: impl FnMut() -> Instant) -> Result<PutOutcome, AddressError> {
        let Put { address, interface, leadership_until, .. } = *put;
        let body = RouteNetlinkMessage::NewAddress(message(put));
        if now() >= leadership_until {
            return Ok(PutOutcome::LeadershipLost);
        }
        self.netlink
            .request("a new address", NLM_F_CREATE | NLM_F_REPLACE, body)
            .map_err(|source| AddressError::Put { address, interface, source })?;
        // The kernel may have made us wait for its lock.
        if now() >= leadership_until {
            self.remove(address)?;
            return Ok(PutOutcome::LeadershipLost);
        }
        Ok(PutOutcome::Done)
    }

    /// Takes an address off every interface that has it, whatever its prefix, and returns where it was.
    ///
    /// # Errors
    /// When the kernel refuses or cannot be asked, or the address keeps coming back.
    pub fn remove(&mut self, address: Ipv4Addr) -> Result<Vec<Assigned>, AddressError> {
        self.remove_where(address, |_| true)
    }

    /// Takes an address off every interface but `interface`.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub fn remove_elsewhere(&mut self, address: Ipv4Addr, interface: u32) -> Result<Vec<Assigned>, AddressError> {
        self.remove_where(address, |a| a.interface != interface)
    }

    fn remove_where(
        &mut self,
        address: Ipv4Addr,
        wanted: impl Fn(&Assigned) -> bool,
    ) -> Result<Vec<Assigned>, AddressError> {
        let failed = |source| AddressError::Drop { address, source };
        let mut removed = Vec::new();
        for _ in 0..DROP_ATTEMPTS {
            let all = self.dump().map_err(failed)?;
            let found: Vec<_> = all.iter().filter(|(a, _)| a.address == address && wanted(a)).collect();
            if found.is_empty() {
                return Ok(removed);
            }
            for (entry, raw) in found {
                self.delete(raw).map_err(failed)?;
                self.restore_neighbours(entry, &all).map_err(failed)?;
                removed.push(entry.clone());
            }
        }
        match self.find(address)?.into_iter().find(wanted) {
            None => Ok(removed),
            Some(entry) => Err(AddressError::Returns { address, interface: entry.interface }),
        }
    }

    /// Every place where exactly this address is.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn find(&mut self, address: Ipv4Addr) -> Result<Vec<Assigned>, AddressError> {
        let all = self.dump().map_err(AddressError::Find)?;
        Ok(all.into_iter().map(|(a, _)| a).filter(|a| a.address == address).collect())
    }

    /// Takes off what an earlier run left behind: every address of `havips` that is not in `keep`.
    /// Returns what was found.
    ///
    /// # Errors
    /// The first failure; the addresses after it have been tried none the less.
    pub fn clean(&mut self, havips: &[Ipv4Addr], keep: &[Ipv4Addr]) -> Result<Vec<Assigned>, AddressError> {
        let mut removed = Vec::new();
        let mut failure = None;
        for &address in havips.iter().filter(|a| !keep.contains(a)) {
            match self.remove(address) {
                Ok(entries) => removed.extend(entries),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// All IPv4 addresses with the kernel's own words for each, which can be sent back to it.
    fn dump(&mut self) -> Result<Vec<(Assigned, Vec<u8>)>, NetlinkError> {
        let mut request = AddressMessage::default();
        request.header.family = AddressFamily::Inet;
        let request = RouteNetlinkMessage::GetAddress(request);
        self.netlink.dump("the list of addresses", &request, |all: &mut Vec<_>, payload| {
            all.extend(Assigned::read(payload).filter(|a| a.address.is_ipv4()).map(|a| (a, payload.to_vec())));
        })
    }

    fn delete(&mut self, raw: &[u8]) -> Result<(), NetlinkError> {
        match self.netlink.request_raw("to delete an address", libc::RTM_DELADDR, 0, raw) {
            // It went, or its interface did, between looking and deleting.
            Err(NetlinkError::Refused { source, .. })
                if matches!(source.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Puts back what the kernel took along: when the first address of a subnet goes and
    /// `promote_secondaries` is off, it deletes the others of that subnet on that interface.
    fn restore_neighbours(&mut self, gone: &Assigned, before: &[(Assigned, Vec<u8>)]) -> Result<(), NetlinkError> {
        let secondary = |a: &Assigned| a.flags & libc::IFA_F_SECONDARY != 0;
        let subnet = |a: &Assigned| (a.interface, a.prefix, secondary(a));
        let threatened = (gone.interface, gone.prefix, true);
        let mut taken = before.iter().filter(|(a, _)| !secondary(gone) && subnet(a) == threatened).peekable();
        if taken.peek().is_none() {
            return Ok(());
        }
        let after = self.dump()?;
        for (entry, raw) in taken {
            if !after
                .iter()
                .any(|(a, _)| (a.interface, a.address, a.prefix) == (entry.interface, entry.address, entry.prefix))
            {
                self.netlink.request_raw(
                    "to restore an address",
                    libc::RTM_NEWADDR,
                    NLM_F_CREATE | NLM_F_REPLACE,
                    raw,
                )?;
                tracing::info!(
                    "put back {}/{} on interface {}: the kernel had taken it along with {} (promote_secondaries is off)",
                    entry.address,
                    entry.prefix,
                    entry.interface,
                    gone.address
                );
            }
        }
        Ok(())
    }
}

fn message(put: &Put) -> AddressMessage {
    let seconds = put.lifetime.map_or(FOREVER, whole_seconds);
    let mut cache = CacheInfo::default();
    cache.ifa_valid = seconds;
    cache.ifa_preferred = seconds;
    let address = IpAddr::V4(put.address);
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.scope = AddressScope::Universe;
    message.header.index = put.interface;
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
        AddressAttribute::Flags(AddressFlags::Noprefixroute),
        AddressAttribute::CacheInfo(cache),
        AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)),
    ];
    message
}

fn whole_seconds(span: Duration) -> u32 {
    let up = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    u32::try_from(up).unwrap_or(FOREVER).clamp(1, FOREVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_rounded_up_and_never_turn_into_forever_or_nothing() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(6)), 6);
        assert_eq!(whole_seconds(Duration::from_millis(6001)), 7);
        assert_eq!(whole_seconds(Duration::MAX), FOREVER - 1);
    }
}
