//! Gratuitous ARP: tells the segment, and the cloud's fabric, which port an address is behind now.
//!
//! The packet is the ARP announcement of RFC 5227 §3: a broadcast *request* whose sender and target
//! protocol address are both the HAVIP. It updates the entries that neighbours already have, as the
//! reply form would, and is the form that RFC 5227 prescribes and that keepalived sends by default.

use super::interface::{Link, Mac};
use crate::clock;
use havipd_core::model::time::Instant;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use std::io;
use std::net::Ipv4Addr;

/// Ethernet header and ARP packet; network cards pad it to the 60 bytes of the shortest frame.
pub const FRAME: usize = 42;

/// Why an announcement was not sent.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// No packet socket, which needs CAP_NET_RAW.
    #[error("cannot open a packet socket (is CAP_NET_RAW missing?)")]
    Open(#[source] io::Error),
    /// The interface does not do ARP.
    #[error("interface {0} is no Ethernet interface: {1} cannot be announced there")]
    NotEthernet(String, Ipv4Addr),
    /// The kernel did not take the frame; a full queue is one reason.
    #[error("cannot announce {address} on {interface}")]
    Send {
        /// The address.
        address: Ipv4Addr,
        /// Name of the interface.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What became of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The frame is with the interface.
    Sent,
    /// Leadership had run out: nothing was sent.
    LeadershipLost,
}

/// Sends announcements; receives nothing.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn open() -> Result<Self, AnnounceError> {
        // Protocol 0: the kernel copies no frames to this socket.
        let open = || {
            let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self { socket: open().map_err(AnnounceError::Open)? })
    }

    /// Sends one announcement of `address` out of `link`, without waiting, unless `leadership_until` has come.
    ///
    /// # Errors
    /// The interface does no ARP, or the kernel does not take the frame.
    pub fn announce(
        &self,
        link: &Link,
        address: Ipv4Addr,
        leadership_until: Instant,
    ) -> Result<Announced, AnnounceError> {
        let mac = link.mac.filter(|_| link.ethernet);
        let mac = mac.ok_or_else(|| AnnounceError::NotEthernet(link.name.clone(), address))?;
        let frame = frame(mac, address);
        let to = destination(link.index);
        if clock::now() >= leadership_until {
            return Ok(Announced::LeadershipLost);
        }
        match self.socket.send_to(&frame, &to) {
            Ok(_) => Ok(Announced::Sent),
            Err(source) => Err(AnnounceError::Send { address, interface: link.name.clone(), source }),
        }
    }
}

/// The whole frame (RFC 826 layout, RFC 5227 §3 contents).
#[must_use]
pub fn frame(mac: Mac, address: Ipv4Addr) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[0..6].fill(0xff); // to everyone
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&[0x08, 0x06]); // ARP
    frame[14..16].copy_from_slice(&[0, 1]); // of Ethernet
    frame[16..18].copy_from_slice(&[0x08, 0x00]); // and IPv4
    frame[18..20].copy_from_slice(&[6, 4]); // lengths of their addresses
    frame[20..22].copy_from_slice(&[0, 1]); // request
    frame[22..28].copy_from_slice(&mac.0);
    frame[28..32].copy_from_slice(&address.octets());
    // The target's hardware address stays zero (RFC 5227: ignored, should be zero).
    frame[38..42].copy_from_slice(&address.octets());
    frame
}

#[expect(unsafe_code, reason = "no safe constructor of a link-layer socket address exists")]
fn destination(interface: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is a `sockaddr_*` type, for which all zeros is valid, and it fits into
    // the storage (`view_as` asserts that).
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ARP as u16).to_be();
    address.sll_ifindex = interface.cast_signed();
    address.sll_halen = 6;
    address.sll_addr[..6].fill(0xff);
    // SAFETY: the storage holds a whole `sockaddr_ll` with its family set, and the length is that of one.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as socket2::socklen_t) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_an_arp_announcement() {
        let frame = frame(Mac([2, 0, 0x5e, 0x10, 0, 1]), Ipv4Addr::new(10, 0, 0, 100));
        assert_eq!(
            hex::encode(frame),
            "ffffffffffff02005e10000108060001080006040001\
             02005e1000010a000064\
             0000000000000a000064"
        );
    }
}
