//! The network between the nodes: a userspace relay for datagrams, so that links can be cut
//! without root.
//!
//! Every directed pair of nodes has a socket of its own. In the configuration of `x`, the address
//! of `y` is the socket x→y; what arrives there goes on to y's real address, from the socket y→x,
//! so that `y` sees it come from where it believes `x` to be.

use havipd::clock;
use havipd_core::model::time::Instant;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Longer than any datagram of the protocol, so that nothing is cut short.
const BUFFER: usize = 2048;

/// One direction between two nodes.
#[derive(Debug, Default)]
struct Link {
    cut: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
    /// Nanoseconds since boot; zero is never.
    last: AtomicU64,
}

/// What happened on one direction between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCount {
    /// Datagrams handed on.
    pub passed: u64,
    /// Datagrams lost because the link was cut.
    pub lost: u64,
    /// When the last one was handed on.
    pub last: Option<Instant>,
}

/// All links; dropping it ends them.
#[derive(Debug)]
pub struct Relay {
    nodes: usize,
    addresses: Vec<SocketAddr>,
    sockets: Vec<Arc<UdpSocket>>,
    links: Arc<Vec<Link>>,
    tasks: JoinSet<()>,
}

impl Relay {
    /// Makes the sockets for so many nodes, on free ports of the loopback; [`Self::connect`] begins to forward.
    ///
    /// # Errors
    /// The kernel's, if it gives no socket.
    pub async fn bind(nodes: usize) -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(nodes * nodes);
        for _ in 0..nodes * nodes {
            // The diagonal stays unused: it keeps the index simple.
            sockets.push(Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?));
        }
        let addresses = sockets.iter().map(|s| s.local_addr()).collect::<io::Result<_>>()?;
        let links = Arc::new((0..nodes * nodes).map(|_| Link::default()).collect());
        Ok(Self { nodes, addresses, sockets, links, tasks: JoinSet::new() })
    }

    /// Where node `from` sends what is for node `to`.
    #[must_use]
    pub fn address(&self, from: usize, to: usize) -> SocketAddr {
        self.addresses[self.index(from, to)]
    }

    /// Forwards from now on, to these real addresses of the nodes.
    pub fn connect(&mut self, real: &[SocketAddr]) {
        for (from, to) in self.pairs() {
            let (inward, outward) = (self.index(from, to), self.index(to, from));
            let (inward_socket, outward_socket) = (self.sockets[inward].clone(), self.sockets[outward].clone());
            let (links, destination) = (self.links.clone(), real[to]);
            self.tasks.spawn(async move {
                forward(&inward_socket, &outward_socket, destination, &links[inward]).await;
            });
        }
    }

    /// Every directed pair of two nodes.
    fn pairs(&self) -> Vec<(usize, usize)> {
        let all = 0..self.nodes;
        all.clone().flat_map(|from| all.clone().map(move |to| (from, to))).filter(|(from, to)| from != to).collect()
    }

    /// Cuts one direction, or makes it whole.
    pub fn set_cut(&self, from: usize, to: usize, cut: bool) {
        self.links[self.index(from, to)].cut.store(cut, Ordering::Relaxed);
    }

    /// Cuts these nodes off from all others, both ways.
    pub fn isolate(&self, nodes: &[usize]) {
        for (from, to) in self.pairs() {
            if nodes.contains(&from) != nodes.contains(&to) {
                self.set_cut(from, to, true);
            }
        }
    }

    /// Makes all links whole.
    pub fn heal(&self) {
        for (from, to) in self.pairs() {
            self.set_cut(from, to, false);
        }
    }

    /// Directions that are cut.
    #[must_use]
    pub fn cuts(&self) -> Vec<(usize, usize)> {
        let cut = |&(from, to): &(usize, usize)| self.links[self.index(from, to)].cut.load(Ordering::Relaxed);
        self.pairs().into_iter().filter(cut).collect()
    }

    /// What happened between two nodes, in one direction.
    #[must_use]
    pub fn count(&self, from: usize, to: usize) -> LinkCount {
        let link = &self.links[self.index(from, to)];
        let last = link.last.load(Ordering::Relaxed);
        LinkCount {
            passed: link.passed.load(Ordering::Relaxed),
            lost: link.lost.load(Ordering::Relaxed),
            last: (last != 0).then(|| Instant::from_nanos(last)),
        }
    }

    const fn index(&self, from: usize, to: usize) -> usize {
        from * self.nodes + to
    }
}

async fn forward(inward: &UdpSocket, outward: &UdpSocket, destination: SocketAddr, link: &Link) {
    let mut buffer = [0; BUFFER];
    loop {
        let Ok((length, _)) = inward.recv_from(&mut buffer).await else {
            // An error of an earlier send that the kernel reports late; the socket stays usable.
            tokio::task::yield_now().await;
            continue;
        };
        if link.cut.load(Ordering::Relaxed) {
            link.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        // As on a real network: what cannot be delivered is lost, and its sender does not hear of it.
        if outward.send_to(&buffer[..length], destination).await.is_ok() {
            link.last.store(clock::now().as_nanos(), Ordering::Relaxed);
            link.passed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn nodes(count: usize) -> (Relay, Vec<UdpSocket>) {
        let mut sockets = Vec::new();
        for _ in 0..count {
            sockets.push(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        }
        let mut relay = Relay::bind(count).await.unwrap();
        relay.connect(&sockets.iter().map(|s| s.local_addr().unwrap()).collect::<Vec<_>>());
        (relay, sockets)
    }

    async fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
        let mut buffer = [0; 64];
        let (n, from) = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
        (String::from_utf8_lossy(&buffer[..n]).into_owned(), from)
    }

    async fn lost(relay: &Relay, from: usize, to: usize, count: u64) {
        let wait = async {
            while relay.count(from, to).lost < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    #[tokio::test]
    async fn a_datagram_comes_from_where_its_sender_is_known_to_be() {
        let (relay, sockets) = nodes(2).await;
        sockets[0].send_to(b"hello", relay.address(0, 1)).await.unwrap();
        let (text, from) = receive(&sockets[1]).await;
        assert_eq!((text.as_str(), from), ("hello", relay.address(1, 0)));
        sockets[1].send_to(b"answer", from).await.unwrap();
        assert_eq!(receive(&sockets[0]).await, ("answer".to_owned(), relay.address(0, 1)));
        assert_eq!(relay.count(0, 1).passed, 1);
        assert!(relay.count(0, 1).last.is_some());
        assert_eq!(relay.count(1, 0).lost, 0);
    }

    #[tokio::test]
    async fn one_way_is_cut_one_way_only() {
        let (relay, sockets) = nodes(2).await;
        relay.set_cut(0, 1, true);
        sockets[0].send_to(b"lost", relay.address(0, 1)).await.unwrap();
        lost(&relay, 0, 1, 1).await;
        sockets[1].send_to(b"heard", relay.address(1, 0)).await.unwrap();
        assert_eq!(receive(&sockets[0]).await.0, "heard");
        relay.heal();
        sockets[0].send_to(b"again", relay.address(0, 1)).await.unwrap();
        assert_eq!(receive(&sockets[1]).await.0, "again");
    }

    #[tokio::test]
    async fn a_partition_leaves_each_side_whole() {
        let (relay, sockets) = nodes(4).await;
        relay.isolate(&[0, 1]);
        let cuts = relay.cuts();
        assert_eq!(cuts.len(), 8, "{cuts:?}");
        assert!(cuts.contains(&(0, 2)) && cuts.contains(&(3, 1)) && !cuts.contains(&(0, 1)));
        sockets[2].send_to(b"lost", relay.address(2, 0)).await.unwrap();
        lost(&relay, 2, 0, 1).await;
        sockets[1].send_to(b"inside", relay.address(1, 0)).await.unwrap();
        assert_eq!(receive(&sockets[0]).await.0, "inside");
    }
}
