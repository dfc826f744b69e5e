//! A detour for heartbeats: delay, reordering and duplicates in user space, since namespaces have no netem here.
//!
//! The router diverts heartbeats to a socket of ours for each ordered pair of nodes (TPROXY); what
//! leaves again has the sender's own address.

use crate::network::{HEARTBEATS, NODES, Network, Node};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// First port of our sockets.
const PORTS: u16 = 21_000;

/// What happens to datagrams on the way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Each is held back for a random time up to this, so that they overtake each other.
    pub(crate) delay: Duration,
    /// So many of a hundred arrive twice.
    pub(crate) duplicates: u8,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) relayed: AtomicU64,
    pub(crate) overtaken: AtomicU64,
    pub(crate) duplicated: AtomicU64,
}

/// The running detour; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Relay<'n> {
    network: &'n Network,
    pub(crate) counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn pairs() -> impl Iterator<Item = (u16, Node, Node)> {
    let ordered = NODES.into_iter().flat_map(|from| NODES.map(|to| (from, to)));
    (PORTS..).zip(ordered.filter(|(from, to)| from != to)).map(|(port, (from, to))| (port, from, to))
}

impl<'n> Relay<'n> {
    pub(crate) fn start(network: &'n Network, weather: Weather, seed: u64) -> Self {
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel();
        let thread = network.router.thread({
            let counts = counts.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    for (port, from, to) in pairs() {
                        let rng = fastrand::Rng::with_seed(seed ^ u64::from(port));
                        let lane = Lane { weather, from, to, counts: counts.clone(), passed: Arc::default() };
                        let socket = transparent(Ipv4Addr::UNSPECIFIED, port).expect("a transparent socket");
                        tokio::spawn(lane.carry(socket, rng));
                    }
                    let _ = stopped.await;
                });
            }
        });
        network.router.ip("rule add fwmark 1 lookup 100\nroute add local default dev lo table 100\n");
        let mut rules =
            String::from("table ip relay {\nchain detour {\ntype filter hook prerouting priority mangle;\n");
        for (port, from, to) in pairs() {
            let (cable, address) = (from.port(), to.address());
            let heartbeats = format!("iifname {cable:?} ip daddr {address} udp dport {HEARTBEATS}");
            let _ = writeln!(rules, "{heartbeats} meta mark set 1 tproxy to :{port} accept");
        }
        rules.push_str("}\n}\n");
        network.router.nft(&rules);
        Self { network, counts, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.network.router.nft("delete table ip relay");
        self.network.router.ip("rule del fwmark 1 lookup 100\nroute flush table 100\n");
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// A socket that may have an address which is not the router's.
fn transparent(address: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_ip_transparent_v4(true)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((address, port)).into())?;
    UdpSocket::from_std(socket.into())
}

/// The way from one node to another.
#[derive(Debug, Clone)]
struct Lane {
    weather: Weather,
    from: Node,
    to: Node,
    counts: Arc<Counts>,
    /// Highest number that has arrived.
    passed: Arc<Mutex<u64>>,
}

impl Lane {
    async fn carry(self, socket: UdpSocket, mut rng: fastrand::Rng) {
        let out = Arc::new(transparent(self.from.address(), HEARTBEATS).expect("a transparent socket"));
        let mut datagram = [0; 2048];
        let mut number = 0;
        loop {
            let Ok((length, _)) = socket.recv_from(&mut datagram).await else { continue };
            number += 1;
            let copies = if rng.u8(0..100) < self.weather.duplicates { 2 } else { 1 };
            self.counts.duplicated.fetch_add(copies - 1, Ordering::Relaxed);
            for _ in 0..copies {
                let delay = self.weather.delay.mul_f64(rng.f64());
                tokio::spawn(self.clone().deliver(out.clone(), datagram[..length].to_vec(), number, delay));
            }
        }
    }

    async fn deliver(self, out: Arc<UdpSocket>, datagram: Vec<u8>, number: u64, delay: Duration) {
        tokio::time::sleep(delay).await;
        let overtaken = {
            let mut passed = self.passed.lock().expect("nobody panics with it");
            *passed = number.max(*passed);
            *passed > number
        };
        self.counts.overtaken.fetch_add(u64::from(overtaken), Ordering::Relaxed);
        self.counts.relayed.fetch_add(1, Ordering::Relaxed);
        // A node whose interface is down does not hear it.
        let _ = out.send_to(&datagram, (self.to.address(), HEARTBEATS)).await;
    }
}
