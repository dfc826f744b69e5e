//! The one that owns the HAVIP addresses: commands in order, a drop before everything.
//!
//! Renewals come every interval and a release may come at any moment; if they reached the kernel by
//! different ways, a late renewal could bring back what a release removed. So all of them pass
//! through one thread, and a drop takes every queued put of its address out of the queue.
//!
//! It is a thread and not a task: the kernel serialises changes of addresses under one lock, which
//! others may hold for long, and heartbeats must not wait for it. The queue holds at most one put
//! and one drop per address, so it is bounded by the configuration and never refuses a drop.

use super::address::{AddressError, Addresses, Put, PutOutcome};
use super::interface::Assigned;
use crate::clock;
use crate::worker::{Latest, Worker};
use havipd_core::model::time::Instant;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Reports that wait to be read; see [`Reports`].
const REPORTS: usize = 256;

/// Number of a command, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What a command asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The address on an interface.
    Put,
    /// The address off this host.
    Drop,
}

/// How a command ended.
#[derive(Debug)]
pub enum Outcome {
    /// The kernel has done it.
    Done,
    /// A put whose leadership had run out: nothing was done, or it was undone at once.
    LeadershipLost,
    /// A put that a drop overtook: nothing was done.
    Cancelled,
    /// A newer command of the same kind for the same address took its place in the queue.
    Replaced,
    /// It could not be done.
    Failed(AddressError),
}

/// One command's end.
#[derive(Debug)]
pub struct Report {
    /// Which command.
    pub id: CommandId,
    /// What it asked for.
    pub kind: Kind,
    /// The address.
    pub address: Ipv4Addr,
    /// How it ended.
    pub outcome: Outcome,
    /// What was taken off that this daemon had not put there, on whatever interface.
    pub strays: Vec<Assigned>,
    /// When.
    pub at: Instant,
}

/// Why there is no owner.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// No thread to be had.
    #[error("cannot start the thread that owns the addresses")]
    Thread(#[from] io::Error),
}

/// Takes commands. Dropping it waits until those queued are done.
#[derive(Debug)]
pub struct AddressOwner {
    worker: Worker<Queue>,
    reports: Reports,
}

/// The way back for reports. When full: the report is dropped and counted. The core repeats a put every interval until
/// one is answered, and a drop until the address is seen to be gone, so the next report says what this one would have.
#[derive(Debug, Clone)]
struct Reports {
    to: mpsc::Sender<Report>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Queue {
    drops: VecDeque<(CommandId, Ipv4Addr)>,
    puts: VecDeque<(CommandId, Put)>,
    last_id: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Put(CommandId, Put),
    Drop(CommandId, Ipv4Addr),
}

/// A drop that was queued, and the commands that it made pointless.
#[derive(Debug, PartialEq, Eq)]
struct Dropping {
    id: CommandId,
    cancelled: Option<CommandId>,
    replaced: Option<CommandId>,
}

impl AddressOwner {
    /// Starts one, in the network namespace of the calling thread. Reports come in the order in
    /// which commands ended.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start() -> Result<(Self, mpsc::Receiver<Report>), OwnerError> {
        let (to, receiver) = mpsc::channel(REPORTS);
        let reports = Reports { to, lost: Arc::new(AtomicU64::new(0)) };
        let for_thread = reports.clone();
        let worker = Worker::start("address-owner", Queue::default(), move |latest| work(latest, &for_thread))?;
        Ok((Self { worker, reports }, receiver))
    }

    /// Has an address put on an interface, or its lifetime renewed, unless its leadership runs out first.
    pub fn put(&self, put: Put) -> CommandId {
        self.worker.change(|queue| {
            let (id, replaced) = queue.put(put);
            if let Some(old) = replaced {
                self.reports.report(old, Kind::Put, put.address, Outcome::Replaced, Vec::new());
            }
            id
        })
    }

    /// Has an address taken off this host before anything else that is queued, and cancels its queued put.
    pub fn drop_address(&self, address: Ipv4Addr) -> CommandId {
        self.worker.change(|queue| {
            let Dropping { id, cancelled, replaced } = queue.drop_address(address);
            if let Some(old) = cancelled {
                self.reports.report(old, Kind::Put, address, Outcome::Cancelled, Vec::new());
            }
            if let Some(old) = replaced {
                self.reports.report(old, Kind::Drop, address, Outcome::Replaced, Vec::new());
            }
            id
        })
    }

    /// Reports that nobody read in time.
    #[must_use]
    pub fn lost_reports(&self) -> u64 {
        self.reports.lost.load(Ordering::Relaxed)
    }
}

impl Drop for AddressOwner {
    fn drop(&mut self) {
        self.worker.finish();
    }
}

impl Queue {
    fn number(&mut self) -> CommandId {
        self.last_id += 1;
        CommandId(self.last_id)
    }

    /// Returns the put's number and that of the queued one whose place it took.
    fn put(&mut self, put: Put) -> (CommandId, Option<CommandId>) {
        let id = self.number();
        if let Some(slot) = self.puts.iter_mut().find(|(_, p)| p.address == put.address) {
            return (id, Some(std::mem::replace(slot, (id, put)).0));
        }
        self.puts.push_back((id, put));
        (id, None)
    }

    fn drop_address(&mut self, address: Ipv4Addr) -> Dropping {
        let id = self.number();
        let put = self.puts.iter().position(|(_, p)| p.address == address);
        let cancelled = put.and_then(|at| self.puts.remove(at)).map(|(old, _)| old);
        if let Some(slot) = self.drops.iter_mut().find(|(_, a)| *a == address) {
            return Dropping { id, cancelled, replaced: Some(std::mem::replace(&mut slot.0, id)) };
        }
        self.drops.push_back((id, address));
        Dropping { id, cancelled, replaced: None }
    }

    fn take(&mut self) -> Option<Command> {
        let first = self.drops.pop_front().map(|(id, address)| Command::Drop(id, address));
        first.or_else(|| self.puts.pop_front().map(|(id, put)| Command::Put(id, put)))
    }
}

impl Reports {
    fn report(&self, id: CommandId, kind: Kind, address: Ipv4Addr, outcome: Outcome, strays: Vec<Assigned>) {
        if self.to.try_send(Report { id, kind, address, outcome, strays, at: clock::now() }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn work(latest: &Latest<Queue>, reports: &Reports) {
    let mut hands = Hands::default();
    while let Some(command) = latest.next(Queue::take) {
        match command {
            Command::Put(id, put) => {
                let (outcome, strays) = hands.put(&put).unwrap_or_else(|e| (Outcome::Failed(e), Vec::new()));
                reports.report(id, Kind::Put, put.address, outcome, strays);
            }
            Command::Drop(id, address) => {
                let removed = hands.remove(address);
                let (outcome, strays) =
                    removed.map_or_else(|e| (Outcome::Failed(e), Vec::new()), |s| (Outcome::Done, s));
                reports.report(id, Kind::Drop, address, outcome, strays);
            }
        }
    }
}

/// What does the work; the socket is opened anew after any failure.
#[derive(Debug, Default)]
struct Hands {
    addresses: Option<Addresses>,
    placed: HashMap<Ipv4Addr, u32>,
}

impl Hands {
    fn put(&mut self, put: &Put) -> Result<(Outcome, Vec<Assigned>), AddressError> {
        let Put { address, interface, .. } = *put;
        let failed = |source| AddressError::Put { address, interface, source };
        let mut addresses = self.addresses.take().map_or_else(Addresses::open, Ok).map_err(failed)?;
        let mut strays = Vec::new();
        let outcome = match addresses.put(put)? {
            PutOutcome::LeadershipLost => Outcome::LeadershipLost,
            PutOutcome::Done => {
                // Before the first put of this run it may be where an earlier run, or another file, had it.
                let before = self.placed.insert(address, interface);
                if before != Some(interface) {
                    strays = addresses.remove_elsewhere(address, interface)?;
                    strays.retain(|entry| !is_ours(entry, before));
                }
                Outcome::Done
            }
        };
        self.addresses = Some(addresses);
        Ok((outcome, strays))
    }

    fn remove(&mut self, address: Ipv4Addr) -> Result<Vec<Assigned>, AddressError> {
        let failed = |source| AddressError::Drop { address, source };
        let mut addresses = self.addresses.take().map_or_else(Addresses::open, Ok).map_err(failed)?;
        let mut removed = addresses.remove(address)?;
        let placed = self.placed.remove(&address);
        self.addresses = Some(addresses);
        removed.retain(|entry| !is_ours(entry, placed));
        Ok(removed)
    }
}

/// Whether an address is one that this daemon put, now (`placed`, the interface) or in an earlier run: that one has a
/// lifetime, and nobody else gives a /32 one.
fn is_ours(entry: &Assigned, placed: Option<u32>) -> bool {
    entry.prefix == 32 && (placed == Some(entry.interface) || entry.lifetime.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 101);

    fn put(address: Ipv4Addr, interface: u32) -> Put {
        Put { address, interface, lifetime: None, leadership_until: Instant::FAR_FUTURE }
    }

    fn everything(mut queue: Queue) -> Vec<Command> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn what_we_put_has_a_lifetime_and_no_net() {
        let of = |prefix, lifetime: Option<u64>| Assigned {
            interface: 2,
            address: A.into(),
            prefix,
            flags: 0,
            lifetime: lifetime.map(std::time::Duration::from_secs),
        };
        assert!(is_ours(&of(32, Some(5)), None), "an earlier run");
        assert!(is_ours(&of(32, None), Some(2)), "keep-for = forever");
        assert!(!is_ours(&of(32, None), None) && !is_ours(&of(32, None), Some(3)), "by hand");
        assert!(!is_ours(&of(24, Some(5)), Some(2)), "a lease of DHCP");
    }

    #[test]
    fn a_drop_overtakes_everything_and_cancels_the_puts_of_its_address() {
        let mut queue = Queue::default();
        let (first, _) = queue.put(put(A, 1));
        let (second, _) = queue.put(put(B, 1));
        let dropping = queue.drop_address(A);
        assert_eq!(dropping, Dropping { id: CommandId(3), cancelled: Some(first), replaced: None });
        assert_eq!(everything(queue), [Command::Drop(dropping.id, A), Command::Put(second, put(B, 1))]);
    }

    #[test]
    fn a_put_after_a_drop_does_not_undo_the_drop() {
        let mut queue = Queue::default();
        let dropped = queue.drop_address(A).id;
        let (id, _) = queue.put(put(A, 2));
        assert_eq!(everything(queue), [Command::Drop(dropped, A), Command::Put(id, put(A, 2))]);
    }

    #[test]
    fn the_queue_holds_one_command_of_a_kind_per_address_however_many_are_given() {
        let mut queue = Queue::default();
        for n in 0..1000 {
            let (id, replaced) = queue.put(put(A, n));
            assert_eq!(replaced, (n > 0).then_some(CommandId(id.0 - 1)));
        }
        for n in 0..1000 {
            assert_eq!(queue.drop_address(B).replaced.is_some(), n > 0);
        }
        assert_eq!((queue.puts.len(), queue.drops.len()), (1, 1));
        assert_eq!(queue.puts[0].1.interface, 999);
    }
}
