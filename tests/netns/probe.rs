//! The client: one datagram a millisecond to every HAVIP, and the record of what was answered by
//! whom; and the responders on the nodes.

use crate::clock::Moment;
use crate::fabric::{HAVIPS, Havip};
use crate::namespace::Namespace;
use crate::network::{NODES, Network, Node};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// UDP port of the responders.
const PORT: u16 = 7777;

/// Between two datagrams.
const PACE: Duration = Duration::from_millis(1);

/// How long a socket waits before its thread looks whether it is still wanted.
const LISTEN: Duration = Duration::from_millis(100);

/// A request: the HAVIP's number and the sequence number. A reply has the node's number besides.
const REQUEST: usize = 9;

/// What became of one datagram.
#[derive(Debug, Clone, Copy)]
struct Entry {
    sent: Moment,
    answered: Option<(Node, Moment)>,
}

type Record = [Vec<Entry>; 2];

/// What a stretch of the record says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outage {
    /// Datagrams that nobody answered.
    pub(crate) lost: usize,
    /// Longest time between two answered ones with unanswered ones between them.
    pub(crate) longest: Duration,
    /// When the first one behind that gap was sent.
    pub(crate) ended: Option<Moment>,
}

/// The running client and responders; dropping them ends them.
#[derive(Debug)]
pub(crate) struct Probe {
    record: Arc<Mutex<Record>>,
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    pub(crate) fn start(network: &Network) -> Self {
        let record: Arc<Mutex<Record>> = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (node, havip) in NODES.into_iter().flat_map(|node| HAVIPS.map(|havip| (node, havip))) {
            threads.push(respond(network.node(node), node, havip, done.clone()));
        }
        let socket = Arc::new(network.client.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket"));
        socket.set_read_timeout(Some(LISTEN)).expect("has a timeout");
        let (sending, receiving) = (socket.clone(), socket);
        let (to_send, to_fill) = (record.clone(), record.clone());
        let (stop_sending, stop_receiving) = (done.clone(), done.clone());
        threads.push(std::thread::spawn(move || send(&sending, &to_send, &stop_sending)));
        threads.push(std::thread::spawn(move || receive(&receiving, &to_fill, &stop_receiving)));
        Self { record, done, threads }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics with it")
    }

    /// The number that the next datagram will have.
    pub(crate) fn next(&self) -> usize {
        self.record().iter().map(Vec::len).min().unwrap_or_default()
    }

    /// The latest answered datagram from number `from` on, and who answered it.
    pub(crate) fn latest_answer(&self, havip: Havip, from: usize) -> Option<(usize, Node)> {
        let record = self.record();
        let entries = record[havip.0].get(from..)?.iter().enumerate().rev();
        entries.filter_map(|(n, e)| Some((from + n, e.answered?.0))).next()
    }

    /// Who answered in that stretch, each once, in order of first appearance.
    pub(crate) fn answerers(&self, havip: Havip, stretch: Range<usize>) -> Vec<Node> {
        let mut nodes = Vec::new();
        for node in self.record()[havip.0][stretch].iter().filter_map(|e| Some(e.answered?.0)) {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        nodes
    }

    /// What that stretch of the record says; it should begin and end with answered ones.
    pub(crate) fn outage(&self, havip: Havip, stretch: Range<usize>) -> Outage {
        let record = self.record();
        let mut outage = Outage::default();
        let (mut last_answered, mut missing) = (None, false);
        for entry in &record[havip.0][stretch] {
            if entry.answered.is_none() {
                outage.lost += 1;
                missing = true;
                continue;
            }
            let gap = last_answered.filter(|_| missing).map_or(Duration::ZERO, |last| entry.sent.since(last));
            if gap > outage.longest {
                outage.longest = gap;
                outage.ended = Some(entry.sent);
            }
            (last_answered, missing) = (Some(entry.sent), false);
        }
        outage
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// Sends for ever, on schedule: a delayed thread makes up for what it missed.
fn send(socket: &UdpSocket, record: &Mutex<Record>, done: &AtomicBool) {
    let mut next = Moment::now();
    while !done.load(Ordering::Relaxed) {
        next = next.after(PACE);
        next.rest_until();
        for havip in HAVIPS {
            let mut request = [0; REQUEST];
            request[0] = u8::try_from(havip.0).expect("two of them");
            let number = {
                let mut record = record.lock().expect("nobody panics with it");
                record[havip.0].push(Entry { sent: Moment::now(), answered: None });
                record[havip.0].len() as u64 - 1
            };
            request[1..].copy_from_slice(&number.to_be_bytes());
            // No route is as good as no answer.
            let _ = socket.send_to(&request, (havip.address(), PORT));
        }
    }
}

fn receive(socket: &UdpSocket, record: &Mutex<Record>, done: &AtomicBool) {
    let mut reply = [0; 64];
    while !done.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut reply) else { continue };
        let at = Moment::now();
        let known = HAVIPS.into_iter().find(|h| SocketAddr::from((h.address(), PORT)) == from);
        let (Some(havip), true) = (known, length == REQUEST + 1) else { continue };
        let number = u64::from_be_bytes(reply[1..REQUEST].try_into().expect("eight bytes"));
        let node = Node(usize::from(reply[REQUEST]));
        let mut record = record.lock().expect("nobody panics with it");
        let entry = usize::try_from(number).ok().and_then(|n| record[havip.0].get_mut(n));
        if let Some(entry) = entry.filter(|e| e.answered.is_none()) {
            entry.answered = Some((node, at));
        }
    }
}

/// Answers on a node whatever comes to the HAVIP, which is only while the node has its address.
fn respond(namespace: &Namespace, node: Node, havip: Havip, done: Arc<AtomicBool>) -> JoinHandle<()> {
    let socket = namespace.inside(|| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // The address is not there yet.
        socket.set_freebind_v4(true)?;
        socket.bind(&SocketAddr::from((havip.address(), PORT)).into())?;
        socket.set_read_timeout(Some(LISTEN))?;
        Ok::<UdpSocket, std::io::Error>(socket.into())
    });
    let socket = socket.unwrap_or_else(|e| panic!("no responder on {}: {e}", node.name()));
    std::thread::spawn(move || {
        let mut message = [0; 64];
        while !done.load(Ordering::Relaxed) {
            let Ok((REQUEST, from)) = socket.recv_from(&mut message) else { continue };
            message[REQUEST] = u8::try_from(node.0).expect("three nodes");
            // The address may have gone meanwhile.
            let _ = socket.send_to(&message[..=REQUEST], from);
        }
    })
}
