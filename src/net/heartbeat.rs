//! The UDP sockets: one per heartbeat address of this node, one per HAVIP for fabric probes.
//!
//! Every socket is bound to one exact address and port, so what it receives tells which path a
//! datagram took, and a process that holds the wildcard address shows as a failed bind. Own
//! addresses are bound while they exist. A HAVIP's is bound always (`IP_FREEBIND`), so the first
//! probe that the fabric delivers here is received, however early it comes.
//!
//! Nothing is queued on this side of the kernel and nothing is logged per datagram: what the
//! network can cause is counted.

use super::clock;
use crate::time::Instant;
use crate::wire::heartbeat::MAX_DATAGRAM;
use serde::Serialize;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// Datagrams handed out in a row before other tasks get a turn.
const PER_TURN: u32 = 64;
/// Room for a few hundred datagrams: more would only age.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// DSCP CS6, network control.
const TRAFFIC_CLASS: u32 = 0xc0;
/// `TC_PRIO_INTERACTIVE`: first band of the default queue, and the highest that needs no privilege.
const PRIORITY: u32 = 6;
/// Time between two attempts to bind where nothing was heard from netlink.
const RETRY: Duration = Duration::from_secs(1);

/// What became of a datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The kernel took it.
    Sent,
    /// The socket's buffer is full; dropped.
    WouldBlock,
    /// The path has no socket, since its address is not on this host.
    NoSocket,
    /// The kernel refused it (no route, for one); dropped. Its errno is in [`Path::error`].
    Failed,
}

/// A datagram that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Index among the node's own addresses; `None` for a HAVIP's address.
    pub path: Option<usize>,
    /// The address that it was sent to.
    pub to: SocketAddr,
    /// The sender as the datagram says.
    pub from: SocketAddr,
    /// At most [`MAX_DATAGRAM`] bytes.
    pub bytes: Vec<u8>,
    /// When it was read.
    pub at: Instant,
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Datagrams dropped because a socket's buffer was full.
    pub send_blocked: u64,
    /// Datagrams dropped because the path had no socket.
    pub send_without_socket: u64,
    /// Datagrams that the kernel refused.
    pub send_failed: u64,
    /// Datagrams read whole.
    pub received: u64,
    /// Datagrams longer than [`MAX_DATAGRAM`], dropped.
    pub oversized: u64,
    /// Failures to read, each of which has its socket made anew.
    pub receive_failed: u64,
    /// Sockets made.
    pub binds: u64,
    /// Sockets that could not be made.
    pub bind_failures: u64,
}

/// One of the sockets, as status shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Path {
    /// What it is, or is to be, bound to.
    pub address: SocketAddr,
    /// It is bound.
    pub up: bool,
    /// The last failure to bind or send since it last worked, in words.
    pub error: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct HeartbeatSockets {
    /// Own addresses first, in the order of the configuration, then those of HAVIPs.
    slots: Vec<Slot>,
    next: usize,
    turn: u32,
    counters: Counters,
}

#[derive(Debug)]
struct Slot {
    address: SocketAddr,
    path: Option<usize>,
    socket: Option<UdpSocket>,
    /// Netlink said that the address went: no attempt before it says that it came.
    gone: bool,
    tried: Instant,
    error: Option<io::Error>,
}

impl HeartbeatSockets {
    /// Sockets for a node's own addresses and, on `port`, for HAVIPs. What cannot be bound now is
    /// tried again. Needs a tokio runtime.
    #[must_use]
    pub fn open(own: &[SocketAddr], havips: &[Ipv4Addr], port: u16) -> Self {
        let mut sockets = Self::default();
        sockets.reconfigure(own, havips, port);
        sockets
    }

    /// Takes over another configuration. Sockets whose address stays, stay.
    pub fn reconfigure(&mut self, own: &[SocketAddr], havips: &[Ipv4Addr], port: u16) {
        let own = own.iter().enumerate().map(|(path, &address)| (address, Some(path)));
        let probes = havips.iter().map(|&ip| (SocketAddr::new(IpAddr::V4(ip), port), None));
        let mut old = std::mem::take(&mut self.slots);
        for (address, path) in own.chain(probes) {
            // A socket bound freely may exist without its address, so it is none for a path.
            let kept = old.iter().position(|s| s.address == address && s.path.is_some() == path.is_some());
            self.slots.push(match kept {
                Some(at) => Slot { path, ..old.swap_remove(at) },
                None => Slot { address, path, socket: None, gone: false, tried: Instant::default(), error: None },
            });
        }
        // First close, then bind: an address may have changed sides.
        drop(old);
        self.next = 0;
        let now = clock::now();
        for slot in &mut self.slots {
            if slot.socket.is_none() {
                slot.bind(now, slot.path.is_none(), &mut self.counters);
            }
        }
    }

    /// Takes in what netlink tells: `present` says whether any interface has the address now.
    pub fn address_changed(&mut self, address: IpAddr, present: bool) {
        let now = clock::now();
        for slot in self.slots.iter_mut().filter(|s| s.path.is_some() && s.address.ip() == address) {
            slot.gone = !present;
            slot.socket = None;
            if present {
                // Believed, since the kernel tells of an address before it adds the route that a
                // bind is checked against.
                slot.bind(now, true, &mut self.counters);
            }
        }
    }

    /// Sends at once or not at all. Also tries again, once a second, to make every socket that could
    /// not be made for a reason that netlink does not tell of, such as a port in use.
    pub fn send(&mut self, path: usize, to: SocketAddr, bytes: &[u8]) -> Sent {
        self.retry();
        let slot = self.slots.iter_mut().find(|s| s.path == Some(path));
        let Some((socket, slot_error)) = slot.and_then(|s| Some((s.socket.as_ref()?, &mut s.error))) else {
            self.counters.send_without_socket += 1;
            return Sent::NoSocket;
        };
        // Not through tokio, which holds a fresh socket for blocked until it has polled it once.
        match SockRef::from(socket).send_to(bytes, &to.into()) {
            Ok(_) => {
                *slot_error = None;
                self.counters.sent += 1;
                Sent::Sent
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.send_blocked += 1;
                Sent::WouldBlock
            }
            Err(error) => {
                *slot_error = Some(error);
                self.counters.send_failed += 1;
                Sent::Failed
            }
        }
    }

    fn retry(&mut self) {
        let missing = |s: &&mut Slot| s.socket.is_none() && !s.gone;
        for slot in self.slots.iter_mut().filter(missing) {
            let now = clock::now();
            if now.since(slot.tried) >= RETRY {
                slot.bind(now, slot.path.is_none(), &mut self.counters);
            }
        }
    }

    /// The next datagram, sockets taking turns so that a flood on one cannot keep another waiting.
    /// May be dropped and called again without losing any; returns to the runtime at least every
    /// few dozen datagrams.
    pub async fn recv(&mut self) -> Received {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        if self.turn >= PER_TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = self.slots.len();
        let mut idle = 0;
        while idle < count && self.turn < PER_TURN {
            let slot = &mut self.slots[self.next % count];
            self.next = (self.next + 1) % count;
            match slot.poll_recv(cx, &mut self.counters) {
                Poll::Pending => idle += 1,
                Poll::Ready(None) => {
                    idle = 0;
                    self.turn += 1;
                }
                Poll::Ready(Some(received)) => {
                    self.turn += 1;
                    return Poll::Ready(received);
                }
            }
        }
        if self.turn >= PER_TURN {
            cx.waker().wake_by_ref();
        }
        self.turn = 0;
        Poll::Pending
    }

    /// Which of the node's own addresses have a socket.
    #[must_use]
    pub fn paths_up(&self) -> Vec<bool> {
        self.slots.iter().filter(|s| s.path.is_some()).map(|s| s.socket.is_some()).collect()
    }

    /// Every socket: own addresses in order, then those of HAVIPs.
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        let path = |s: &Slot| Path {
            address: s.address,
            up: s.socket.is_some(),
            error: s.error.as_ref().map(ToString::to_string),
        };
        self.slots.iter().map(path).collect()
    }

    /// What happened since the start.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

impl Slot {
    /// `freely`: whether or not the address is here.
    fn bind(&mut self, now: Instant, freely: bool, counters: &mut Counters) {
        self.tried = now;
        match bind(self.address, freely) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.error = None;
                counters.binds += 1;
            }
            Err(error) => {
                self.error = Some(error);
                counters.bind_failures += 1;
            }
        }
    }

    /// `Ready(None)` is a datagram, or a socket, that was dropped.
    fn poll_recv(&mut self, cx: &mut Context<'_>, counters: &mut Counters) -> Poll<Option<Received>> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        // One byte more than allowed: that it is used shows that the datagram is too long.
        let mut space = [0; MAX_DATAGRAM + 1];
        let mut buffer = ReadBuf::new(&mut space);
        let from = match std::task::ready!(socket.poll_recv_from(cx, &mut buffer)) {
            Ok(from) => from,
            Err(error) => {
                counters.receive_failed += 1;
                self.error = Some(error);
                self.socket = None;
                return Poll::Ready(None);
            }
        };
        let bytes = buffer.filled();
        if bytes.len() > MAX_DATAGRAM {
            counters.oversized += 1;
            return Poll::Ready(None);
        }
        counters.received += 1;
        let (path, to, bytes) = (self.path, self.address, bytes.to_vec());
        Poll::Ready(Some(Received { path, to, from, bytes, at: clock::now() }))
    }
}

fn bind(address: SocketAddr, freely: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    match address {
        SocketAddr::V4(_) => {
            socket.set_freebind_v4(freely)?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        }
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
    }
    // After the traffic class, which sets a priority of its own.
    socket.set_priority(PRIORITY)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
