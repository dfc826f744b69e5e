//! Requests to the kernel over an rtnetlink socket, and what is read from its answers.
//!
//! Requests are blocking and answered within the `send` itself (rtnetlink does its work in the
//! sender's context), so a caller that checked leadership immediately before a request knows when it took
//! effect. Messages to the kernel are built with `netlink-packet-route`; of its answers only the
//! few attributes that matter are read, so that a newer kernel with attributes of another length
//! cannot make a whole message unreadable.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use socket2::SockRef;
use std::io;
use std::time::Duration;

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// The kernel never fills more than 32 KiB per datagram of a dump.
const BUFFER: usize = 64 * 1024;
/// The kernel answers within the request; only a lost answer makes this wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A dump that something changed under is taken again; a host whose addresses never rest is broken.
const DUMP_ATTEMPTS: u32 = 8;

/// Why the kernel could not be asked, or what it said.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The request did not get out.
    #[error("cannot send {what} to the kernel")]
    Send {
        /// The request.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer.
    #[error("cannot read the kernel's answer to {what}")]
    Receive {
        /// The request.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel said no.
    #[error("the kernel refused {what}")]
    Refused {
        /// The request.
        what: &'static str,
        /// The kernel's errno.
        #[source]
        source: io::Error,
    },
    /// An answer that no kernel gives.
    #[error("the kernel's answer to {what} cannot be read: {detail}")]
    Malformed {
        /// The request.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Something changed during every attempt at a dump.
    #[error("{what} changed during each of {DUMP_ATTEMPTS} attempts to read it")]
    Restless {
        /// The request.
        what: &'static str,
    },
}

/// One message in a datagram from the kernel.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// `RTM_*` or `NLMSG_*`.
    pub(super) kind: u16,
    flags: u16,
    sequence: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

/// The messages in one datagram; stops at the first that is cut short.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.get(..HEADER)?;
        let length = usize::try_from(u32_at(header, 0)?).ok()?;
        let payload = datagram.get(HEADER..length)?;
        let message =
            Message { kind: u16_at(header, 4)?, flags: u16_at(header, 6)?, sequence: u32_at(header, 8)?, payload };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes after a fixed part of `skip` bytes, as kind and value; stops at the first that is cut short.
pub(super) fn attributes(payload: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(payload.get(skip..).unwrap_or_default()).map_while(Result::ok).map(|nla| {
        let value = nla.value_length();
        let whole: &[u8] = nla.into_inner();
        (
            u16_at(whole, 2).unwrap_or(0) & netlink_packet_core::NLA_TYPE_MASK,
            whole.get(4..4 + value).unwrap_or_default(),
        )
    })
}

/// The native-endian number at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A socket for requests, of the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens one.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            SockRef::from(&socket).set_read_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(socket)
        };
        let socket = open().map_err(NetlinkError::Open)?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Has `body` done with `flags` and waits for the kernel's verdict.
    pub(super) fn request(
        &mut self,
        what: &'static str,
        flags: u16,
        body: RouteNetlinkMessage,
    ) -> Result<(), NetlinkError> {
        let bytes = encode(body, flags | NLM_F_REQUEST | NLM_F_ACK);
        self.exchange(what, bytes)
    }

    /// Sends back a payload that was read from the kernel, as a request of type `kind`.
    pub(super) fn request_raw(
        &mut self,
        what: &'static str,
        kind: u16,
        flags: u16,
        payload: &[u8],
    ) -> Result<(), NetlinkError> {
        let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(payload);
        self.exchange(what, bytes)
    }

    fn exchange(&mut self, what: &'static str, bytes: Vec<u8>) -> Result<(), NetlinkError> {
        let sequence = self.send(what, bytes)?;
        loop {
            self.receive(what)?;
            let answer = |m: &Message<'_>| m.sequence == sequence && m.kind == NLMSG_ERROR;
            if let Some(message) = messages(&self.buffer).find(answer) {
                return verdict(what, message.payload);
            }
        }
    }

    /// Folds the payload of every message of a dump into a `T`; begins anew, with an empty one,
    /// when the kernel says that something changed meanwhile.
    pub(super) fn dump<T: Default>(
        &mut self,
        what: &'static str,
        request: &RouteNetlinkMessage,
        mut take: impl FnMut(&mut T, &[u8]),
    ) -> Result<T, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let sequence = self.send(what, encode(request.clone(), NLM_F_REQUEST | NLM_F_DUMP))?;
            let mut result = T::default();
            let mut disturbed = false;
            'dump: loop {
                self.receive(what)?;
                for message in messages(&self.buffer).filter(|m| m.sequence == sequence) {
                    disturbed |= message.flags & NLM_F_DUMP_INTR != 0;
                    match message.kind {
                        NLMSG_DONE => break 'dump,
                        NLMSG_ERROR => verdict(what, message.payload)?,
                        NLMSG_OVERRUN => disturbed = true,
                        _ => take(&mut result, message.payload),
                    }
                }
            }
            if !disturbed {
                return Ok(result);
            }
        }
        Err(NetlinkError::Restless { what })
    }

    fn send(&mut self, what: &'static str, mut bytes: Vec<u8>) -> Result<u32, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        self.socket.send(&bytes, 0).map_err(|source| NetlinkError::Send { what, source })?;
        Ok(self.sequence)
    }

    fn receive(&mut self, what: &'static str) -> Result<(), NetlinkError> {
        loop {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, 0) {
                // Only the kernel is port 0.
                Ok((_, from)) if from.port_number() == 0 => return Ok(()),
                Ok(_) => {}
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(NetlinkError::Receive { what, source }),
            }
        }
    }
}

fn encode(body: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(body));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn verdict(what: &'static str, payload: &[u8]) -> Result<(), NetlinkError> {
    match u32_at(payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(errno) => {
            let source = io::Error::from_raw_os_error(errno.checked_neg().unwrap_or(i32::MAX));
            Err(NetlinkError::Refused { what, source })
        }
        None => Err(NetlinkError::Malformed { what, detail: format!("error message of {} bytes", payload.len()) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32, kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&[0; 10]);
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn messages_that_lie_about_their_length_end_the_datagram() {
        let good = message(18, 20, &[7, 8]);
        for bad in [0, 1, 15, 41, u32::MAX] {
            let datagram = [good.clone(), message(bad, 21, &[0; 4]), good.clone()].concat();
            let kinds: Vec<_> = messages(&datagram).map(|m| (m.kind, m.payload.to_vec())).collect();
            assert_eq!(kinds, [(20, vec![7, 8])], "length {bad}");
        }
        assert_eq!(messages(&[good.clone(), good].concat()).count(), 2);
    }

    #[test]
    fn an_errno_is_told_from_an_acknowledgement() {
        assert!(verdict("x", &0_i32.to_ne_bytes()).is_ok());
        let refused = verdict("x", &(-libc::EPERM).to_ne_bytes()).unwrap_err();
        assert!(matches!(refused, NetlinkError::Refused { source, .. } if source.raw_os_error() == Some(libc::EPERM)));
        assert!(matches!(verdict("x", &[0]), Err(NetlinkError::Malformed { .. })));
    }
}
