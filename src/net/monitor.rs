//! What happens to links and addresses of this host, as it happens.
//!
//! The kernel multicasts every change; this module keeps the resulting state and tells only real
//! differences, so that the renewals of our own addresses, each of which the kernel reports, stay
//! silent. When the kernel had to drop notifications (ENOBUFS), everything is read again and the
//! differences are told, so a lost notification delays an event and never loses it.

use super::interface::{Assigned, Link, Snapshot};
use super::netlink::{Message, NetlinkError, messages};
use super::readiness::readable;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::fd::{AsFd, OwnedFd};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use tokio::io::unix::AsyncFd;

/// Room for a burst of some thousand notifications; the kernel clamps it to `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 1 << 20;
/// One notification is far smaller.
const BUFFER: usize = 64 * 1024;
/// More datagrams than the receive buffer has room for.
const DRAIN: u32 = 8192;
/// Datagrams handled in one turn before other tasks get theirs.
const PER_TURN: u32 = 64;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An address came, became usable, or went.
    Address {
        /// The address.
        address: IpAddr,
        /// Index of the interface.
        interface: u32,
        /// It is on that interface now and can be used.
        present: bool,
    },
    /// A link came, went, or changed its name, hardware address or state.
    Link {
        /// As it is now, or as it was last seen.
        link: Link,
        /// It exists.
        exists: bool,
    },
}

/// Why the monitor cannot go on; opening a new one may help.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// No subscription.
    #[error("cannot subscribe to changes of links and addresses")]
    Subscribe(#[source] io::Error),
    /// The subscription broke.
    #[error("cannot read changes of links and addresses")]
    Receive(#[source] io::Error),
    /// The state could not be read as a whole.
    #[error("cannot read links and addresses")]
    Snapshot(#[from] NetlinkError),
}

/// A subscription and the state that follows from it.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    /// The same socket, as the runtime knows it.
    readable: AsyncFd<OwnedFd>,
    state: Snapshot,
    pending: VecDeque<Change>,
    buffer: Vec<u8>,
    overruns: u64,
}

impl Monitor {
    /// Subscribes, then reads how things are; needs a tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no socket or does not answer.
    pub fn open() -> Result<Self, MonitorError> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// As [`Self::open`], with room for `bytes` of unread notifications.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_receive_buffer(bytes: usize) -> Result<Self, MonitorError> {
        let subscribe = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.set_non_blocking(true)?;
            socket.set_rx_buf_sz(i32::try_from(bytes).unwrap_or(i32::MAX))?;
            for group in [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR] {
                socket.add_membership(group)?;
            }
            let readable = readable(socket.as_fd().try_clone_to_owned()?)?;
            Ok((socket, readable))
        };
        let (socket, readable) = subscribe().map_err(MonitorError::Subscribe)?;
        // After the subscription: what changes in between is heard as well.
        let state = Snapshot::take()?;
        Ok(Self { socket, readable, state, pending: VecDeque::new(), buffer: Vec::with_capacity(BUFFER), overruns: 0 })
    }

    /// How things are, as far as [`Self::next`] has told.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.state
    }

    /// Whether exactly this address is on any interface and usable, as far as [`Self::next`] has read.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.state.with_address(address).is_some()
    }

    /// How often the kernel had to drop notifications.
    #[must_use]
    pub const fn overruns(&self) -> u64 {
        self.overruns
    }

    /// The next difference. May be dropped and called again without losing any.
    ///
    /// # Errors
    /// When the subscription broke, or everything had to be read again and could not.
    pub async fn next(&mut self) -> Result<Change, MonitorError> {
        let mut turn = 0;
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            let mut ready = self.readable.readable().await.map_err(MonitorError::Receive)?;
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            match ready.try_io(|_| receive(socket, buffer)) {
                Err(_would_block) => turn = 0,
                Ok(Ok(())) => self.apply(),
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => self.resync()?,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(MonitorError::Receive(error)),
            }
            turn += 1;
            if turn >= PER_TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn apply(&mut self) {
        for message in messages(&self.buffer) {
            apply(&mut self.state, &mut self.pending, &message);
        }
    }

    /// Reads everything again. What is still queued is older than that and would undo it, so it goes first.
    fn resync(&mut self) -> Result<(), MonitorError> {
        self.overruns += 1;
        for _ in 0..DRAIN {
            match receive(&self.socket, &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
        let now = Snapshot::take()?;
        let before = std::mem::replace(&mut self.state, now);
        differences(&before, &self.state, &mut self.pending);
        Ok(())
    }
}

/// Reads one datagram from the kernel; one from anybody else comes out empty.
fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let (_, from) = socket.recv_from(buffer, 0)?;
    if from.port_number() != 0 {
        buffer.clear();
    }
    Ok(())
}

fn apply(state: &mut Snapshot, changes: &mut VecDeque<Change>, message: &Message<'_>) {
    match message.kind {
        // Bridges tell of their ports with messages of their own family, which say less.
        libc::RTM_NEWLINK | libc::RTM_DELLINK if message.payload.first() != Some(&0) => {}
        libc::RTM_NEWLINK => {
            if let Some(link) = Link::read(message.payload)
                && state.links.get(&link.index) != Some(&link)
            {
                state.links.insert(link.index, link.clone());
                changes.push_back(Change::Link { link, exists: true });
            }
        }
        libc::RTM_DELLINK => {
            let gone = Link::read(message.payload).and_then(|l| state.links.remove(&l.index));
            changes.extend(gone.map(|l| Change::Link { link: Link { up: false, ..l }, exists: false }));
        }
        libc::RTM_NEWADDR | libc::RTM_DELADDR => {
            let Some(entry) = Assigned::read(message.payload) else { return };
            let (address, interface) = (entry.address, entry.interface);
            let present = |s: &Snapshot| usable(s).any(|a| a == (interface, address));
            let before = present(state);
            state.addresses.retain(|a| (a.interface, a.address, a.prefix) != (interface, address, entry.prefix));
            if message.kind == libc::RTM_NEWADDR {
                state.addresses.push(entry);
            }
            let present = present(state);
            if before != present {
                changes.push_back(Change::Address { address, interface, present });
            }
        }
        _ => {}
    }
}

fn usable(state: &Snapshot) -> impl Iterator<Item = (u32, IpAddr)> {
    state.addresses.iter().filter(|a| a.usable()).map(|a| (a.interface, a.address))
}

fn differences(before: &Snapshot, now: &Snapshot, changes: &mut VecDeque<Change>) {
    let gone = before.links.iter().filter(|(index, _)| !now.links.contains_key(index));
    changes.extend(gone.map(|(_, l)| Change::Link { link: Link { up: false, ..l.clone() }, exists: false }));
    let new = now.links.iter().filter(|(index, link)| before.links.get(index) != Some(link));
    changes.extend(new.map(|(_, link)| Change::Link { link: link.clone(), exists: true }));
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (usable(before).collect(), usable(now).collect());
    let change = |present| move |&(interface, address): &_| Change::Address { address, interface, present };
    changes.extend(old.difference(&new).map(change(false)));
    changes.extend(new.difference(&old).map(change(true)));
}
