//! The UDP sockets: one per heartbeat address of this node, beside it one per peer, one per HAVIP for fabric probes.
//!
//! What comes from the address of a peer has a socket, and a receive buffer, of its own, connected to that address: a flood
//! from anywhere else fills the buffer of the other socket and leaves that one alone. Sockets take turns, so it does not
//! keep a heartbeat waiting either. The socket that is not connected takes everything else: peers behind a translation of
//! addresses, the doctor, and floods. Who sent a datagram is never believed: it only chooses the buffer.
//!
//! Every socket is bound to one exact address and port, so what it receives tells which path a
//! datagram took, and a process that holds the wildcard address shows as a failed bind. Own
//! addresses are bound while they exist. A HAVIP's is bound always (`IP_FREEBIND`), so the first
//! probe that the fabric delivers here is received, however early it comes.
//!
//! Nothing is queued on this side of the kernel and nothing is logged per datagram: what the
//! network can cause is counted. What is not admitted costs no more than to read it and to ask.

use super::clock::arrival;
use crate::clock;
use havipd_core::model::time::Instant;
use havipd_core::wire::heartbeat::MAX_DATAGRAM;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Datagrams handed out in a row before other tasks get a turn.
const PER_TURN: u32 = 64;
/// Datagrams refused in a row before the next address has its turn: with a HAVIP in each of many groups it costs more to look at
/// all those sockets than to refuse one.
const REFUSED_IN_A_ROW: u32 = 16;
/// The least room in a receive buffer.
const LEAST_ROOM: usize = 256 * 1024;
/// The most room in a receive buffer.
const MOST_ROOM: usize = 4 * 1024 * 1024;
/// What the kernel counts for one datagram is twice this at most (it doubles the size that it is given).
const ROOM_OF_ONE: usize = 2 * 1024;
/// Entries of groups that surely fit into one datagram.
const GROUPS_IN_ONE: usize = 11;
/// Heartbeats of one peer in one interval: the regular one, and those with news.
const IN_AN_INTERVAL: usize = 17;
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
    /// The kernel refused it with this errno (no route, for one); dropped. In words it is in [`Path::error`].
    Failed(i32),
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
    /// When the kernel took it from the network, which may be long before it was read.
    pub arrived: Instant,
}

/// What the sockets are to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layout<'a> {
    /// This node's own addresses.
    pub own: &'a [SocketAddr],
    /// Where the peers' heartbeats come from: which of the own addresses they are for, and from which of theirs.
    pub sources: &'a [(usize, SocketAddr)],
    /// The addresses of HAVIPs.
    pub havips: &'a [Ipv4Addr],
    /// The port of those.
    pub port: u16,
    /// How many groups a heartbeat may speak of.
    pub groups: usize,
}

impl Layout<'_> {
    /// Room for all that one peer can send in one interval: what is older is worth little.
    fn room(&self) -> usize {
        let one = 1 + self.groups / GROUPS_IN_ONE;
        (one * IN_AN_INTERVAL * ROOM_OF_ONE).clamp(LEAST_ROOM, MOST_ROOM)
    }

    /// The same for the socket that every peer without one of its own shares.
    fn shared_room(&self) -> usize {
        let peers: BTreeSet<_> = self.sources.iter().map(|(_, from)| from).collect();
        (self.room() * peers.len().max(1)).min(MOST_ROOM)
    }
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// Datagrams read whole that were not admitted.
    #[serde(default)]
    pub refused: u64,
    /// Failures to read, each of which has its socket made anew.
    pub receive_failed: u64,
    /// Sockets made.
    pub binds: u64,
    /// Sockets that could not be made.
    pub bind_failures: u64,
}

/// One of the sockets, as status shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// One for each peer that sends to this address; none without `socket`.
    connected: Vec<Connected>,
    /// Which of the sockets is read next: `socket`, then `connected`.
    next: usize,
    /// Receive buffers: of a connected socket, and of the shared one.
    room: (usize, usize),
    /// Netlink said that the address went: no attempt before it says that it came.
    gone: bool,
    tried: Instant,
    /// When nothing was there to be read last: what is read now arrived later.
    drained: Instant,
    error: Option<io::Error>,
}

/// A socket that only one peer's datagrams reach.
#[derive(Debug)]
struct Connected {
    from: SocketAddr,
    socket: Option<UdpSocket>,
    /// As that of the slot.
    drained: Instant,
}

impl Connected {
    fn new(from: SocketAddr) -> Self {
        Self { from, socket: None, drained: Instant::default() }
    }
}

impl HeartbeatSockets {
    /// Sockets for a node's own addresses and, on `port`, for HAVIPs. What cannot be bound now is
    /// tried again. Needs a tokio runtime.
    #[must_use]
    pub fn open(layout: Layout<'_>) -> Self {
        let mut sockets = Self::default();
        sockets.reconfigure(layout);
        sockets
    }

    /// Takes over another configuration. Sockets whose address stays, stay.
    pub fn reconfigure(&mut self, layout: Layout<'_>) {
        let own = layout.own.iter().enumerate().map(|(path, &address)| (address, Some(path)));
        let probes = layout.havips.iter().map(|&ip| (SocketAddr::new(IpAddr::V4(ip), layout.port), None));
        let mut old = std::mem::take(&mut self.slots);
        for (address, path) in own.chain(probes) {
            // A socket bound freely may exist without its address, so it is none for a path.
            let kept = old.iter().position(|s| s.address == address && s.path.is_some() == path.is_some());
            self.slots.push(match kept {
                Some(at) => Slot { path, ..old.swap_remove(at) },
                None => Slot::new(address, path),
            });
        }
        // First close, then bind: an address may have changed sides.
        drop(old);
        self.next = 0;
        let now = clock::now();
        for slot in &mut self.slots {
            slot.take_sources(&layout);
            if slot.socket.is_none() {
                slot.bind(now, slot.path.is_none(), &mut self.counters);
            } else {
                slot.connect(now);
            }
        }
    }

    /// Takes in what netlink tells: `present` says whether any interface has the address now.
    pub fn address_changed(&mut self, address: IpAddr, present: bool) {
        let now = clock::now();
        for slot in self.slots.iter_mut().filter(|s| s.path.is_some() && s.address.ip() == address) {
            slot.gone = !present;
            slot.close();
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
                let errno = error.raw_os_error().unwrap_or_default();
                *slot_error = Some(error);
                self.counters.send_failed += 1;
                Sent::Failed(errno)
            }
        }
    }

    fn retry(&mut self) {
        for slot in self.slots.iter_mut().filter(|s| s.incomplete() && !s.gone) {
            let now = clock::now();
            if now.since(slot.tried) < RETRY {
                continue;
            }
            if slot.socket.is_none() {
                slot.bind(now, slot.path.is_none(), &mut self.counters);
            } else {
                slot.connect(now);
            }
        }
    }

    /// The next datagram that `admits` takes, sockets taking turns so that a flood on one cannot keep another waiting.
    /// May be dropped and called again without losing any; returns to the runtime at least every
    /// few dozen datagrams, admitted or not: what is due comes before them.
    pub async fn recv(&mut self, mut admits: impl FnMut(&[u8]) -> bool) -> Received {
        std::future::poll_fn(|cx| self.poll_recv(cx, &mut admits)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, admits: &mut impl FnMut(&[u8]) -> bool) -> Poll<Received> {
        if self.turn >= PER_TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = self.slots.len();
        let (mut idle, mut refused) = (0, 0);
        while idle < count && self.turn < PER_TURN {
            let read = self.slots[self.next % count].poll_recv(cx, &mut self.counters, admits);
            if read.is_ready() {
                self.turn += 1;
                idle = 0;
            } else {
                idle += 1;
            }
            if matches!(read, Poll::Ready(None)) && refused < REFUSED_IN_A_ROW {
                refused += 1;
                continue;
            }
            refused = 0;
            self.next = (self.next + 1) % count;
            if let Poll::Ready(Some(received)) = read {
                return Poll::Ready(received);
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
    fn new(address: SocketAddr, path: Option<usize>) -> Self {
        let never = Instant::default();
        Self {
            address,
            path,
            socket: None,
            connected: Vec::new(),
            next: 0,
            gone: false,
            room: (0, 0),
            tried: never,
            drained: never,
            error: None,
        }
    }

    /// Which peers' heartbeats come here now. Connected sockets whose peer stays, stay.
    fn take_sources(&mut self, layout: &Layout<'_>) {
        self.room = (layout.room(), layout.shared_room());
        let mut old = std::mem::take(&mut self.connected);
        let here = layout.sources.iter().filter(|(path, _)| Some(*path) == self.path).map(|(_, from)| *from);
        for from in here {
            let kept = old.iter().position(|c| c.from == from);
            let twice = self.connected.iter().any(|c| c.from == from);
            if !twice {
                self.connected.push(kept.map_or_else(|| Connected::new(from), |at| old.swap_remove(at)));
            }
        }
        self.next = 0;
    }

    fn incomplete(&self) -> bool {
        self.socket.is_none() || self.connected.iter().any(|c| c.socket.is_none())
    }

    fn close(&mut self) {
        self.socket = None;
        self.connected.iter_mut().for_each(|c| c.socket = None);
    }

    /// `freely`: whether or not the address is here.
    fn bind(&mut self, now: Instant, freely: bool, counters: &mut Counters) {
        // They stand beside that socket, and would be in its way.
        self.close();
        self.tried = now;
        match bind(self.address, freely, self.room.1) {
            Ok(socket) => {
                self.socket = Some(socket);
                self.drained = now;
                self.error = None;
                counters.binds += 1;
                self.connect(now);
            }
            Err(error) => {
                self.error = Some(error);
                counters.bind_failures += 1;
            }
        }
    }

    /// Makes the sockets of peers that have none. One that cannot be made is tried again; meanwhile the shared one serves.
    ///
    /// Several sockets may have one address only if each allows it, and so would a stranger's be allowed in: they allow it
    /// for as long as this takes. So a program that holds the address still shows as a failed bind.
    fn connect(&mut self, now: Instant) {
        let Some(shared) = &self.socket else { return };
        if self.connected.iter().all(|c| c.socket.is_some()) {
            return;
        }
        self.tried = now;
        let allow = |sockets: &[Connected], on: bool| {
            let all = std::iter::once(shared).chain(sockets.iter().filter_map(|c| c.socket.as_ref()));
            all.for_each(|socket| drop(SockRef::from(socket).set_reuse_address(on)));
        };
        for at in 0..self.connected.len() {
            if self.connected[at].socket.is_none() {
                allow(&self.connected, true);
                let connected = &mut self.connected[at];
                connected.socket = connect(self.address, connected.from, self.room.0).ok();
                connected.drained = now;
            }
        }
        allow(&self.connected, false);
    }

    /// `Ready(None)` is a datagram, or a socket, that was dropped.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        counters: &mut Counters,
        admits: &mut impl FnMut(&[u8]) -> bool,
    ) -> Poll<Option<Received>> {
        let count = 1 + self.connected.len();
        for _ in 0..count {
            let which = self.next % count;
            self.next = (self.next + 1) % count;
            if let Poll::Ready(read) = self.poll_one(which, cx, counters, admits) {
                return Poll::Ready(read);
            }
        }
        Poll::Pending
    }

    /// Reads one of the sockets once.
    fn poll_one(
        &mut self,
        which: usize,
        cx: &mut Context<'_>,
        counters: &mut Counters,
        admits: &mut impl FnMut(&[u8]) -> bool,
    ) -> Poll<Option<Received>> {
        let (socket, drained) = match which.checked_sub(1) {
            None => (&self.socket, &mut self.drained),
            Some(at) => {
                let Connected { socket, drained, .. } = &mut self.connected[at];
                (&*socket, drained)
            }
        };
        let Some(socket) = socket else { return Poll::Pending };
        // One byte more than allowed: that it is used shows that the datagram is too long.
        let mut space = [0; MAX_DATAGRAM + 1];
        let (length, from) = loop {
            // Until the runtime has asked the kernel, it takes a socket for one with nothing to read: what is pending
            // then says nothing about the socket, so only the kernel's own word dates it as empty.
            match socket.poll_recv_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.read_failed(which, error, counters);
                    return Poll::Ready(None);
                }
            }
            let asked = clock::now();
            match socket.try_recv_from(&mut space) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *drained = asked,
                Err(error) => {
                    self.read_failed(which, error, counters);
                    return Poll::Ready(None);
                }
            }
        };
        let bytes = &space[..length];
        if bytes.len() > MAX_DATAGRAM {
            counters.oversized += 1;
            return Poll::Ready(None);
        }
        counters.received += 1;
        if !admits(bytes) {
            counters.refused += 1;
            return Poll::Ready(None);
        }
        let (path, to, bytes) = (self.path, self.address, bytes.to_vec());
        let arrived = arrival(socket, *drained);
        Poll::Ready(Some(Received { path, to, from, arrived, bytes }))
    }

    fn read_failed(&mut self, which: usize, error: io::Error, counters: &mut Counters) {
        // A connected socket hears that nobody listens at the other end: that is its peer's matter, and the socket's none.
        let elsewhere = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::PermissionDenied,
        ];
        match which.checked_sub(1) {
            Some(_) if elsewhere.contains(&error.kind()) => {}
            Some(at) => {
                counters.receive_failed += 1;
                self.connected[at].socket = None;
            }
            None => {
                counters.receive_failed += 1;
                self.error = Some(error);
                self.close();
            }
        }
    }
}

fn bind(address: SocketAddr, freely: bool, room: usize) -> io::Result<UdpSocket> {
    let socket = unbound(address, freely, room)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// A socket that receives what `from` sends to `address`, beside those that have that address and allow it.
fn connect(address: SocketAddr, from: SocketAddr, room: usize) -> io::Result<UdpSocket> {
    // The address is here, or was believed to be: its socket is bound.
    let socket = unbound(address, true, room)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.connect(&from.into())?;
    UdpSocket::from_std(socket.into())
}

fn unbound(address: SocketAddr, freely: bool, room: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // When full: the kernel drops datagrams, as a network may; the next ones say all that these did.
    // Without CAP_NET_ADMIN the host's `net.core.rmem_max` bounds it.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, room).is_err() {
        socket.set_recv_buffer_size(room)?;
    }
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
    // The first question makes the kernel date what comes; before it there is nothing to be told.
    let _ = crate::net::clock::stamp(&socket);
    Ok(socket)
}
