//! Before a daemon runs here: are the peers' daemons there, do they hear us, and have they our key?
//!
//! A question is a fabric probe addressed to the peer itself, for no HAVIP. It touches no session:
//! a node that has the key answers it with its own name, and anything else proves nothing. It goes out
//! from the addresses and ports that the daemon would use, so the answer proves the way of a
//! heartbeat in both directions.

use super::facts::{Asked, AskedAnswer};
use crate::clock;
use havipd_core::model::digest::Digest;
use havipd_core::model::settings::{Config, Node};
use havipd_core::model::tag::Tag;
use havipd_core::model::time::Instant;
use havipd_core::wire::auth::KeyRing;
use havipd_core::wire::heartbeat::{DecodeError, MAX_DATAGRAM, decode, encode_probe};
use havipd_core::wire::{Datagram, Probe};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Questions to each address.
const TIMES: u32 = 4;
/// Between two of them.
const EVERY: Duration = Duration::from_millis(250);

/// What came of asking.
#[derive(Debug, Default)]
pub struct Answers {
    /// Our own sockets: address, and why it cannot be used.
    pub sockets: Vec<(SocketAddr, Option<String>)>,
    /// Every peer by name, and each of its addresses.
    pub peers: BTreeMap<String, Vec<Asked>>,
    /// The configuration digest of peers whose heartbeats arrived meanwhile, by name. A copy of an old heartbeat would count:
    /// it is for people to read, and nothing acts on it.
    pub digests: BTreeMap<String, Digest>,
}

/// One way from one of our addresses to one of a peer's.
struct Way {
    peer: String,
    tag: Tag,
    from: SocketAddr,
    to: SocketAddr,
    nonce: [u8; 16],
    answer: AskedAnswer,
}

/// Asks every peer at every address, for about a second.
pub async fn peers(config: &Config) -> Answers {
    let keys = KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key);
    let mut answers = Answers::default();
    let mut ways = Vec::new();
    for own in &config.local_node().addresses {
        let socket = UdpSocket::bind(own).await;
        answers.sockets.push((*own, socket.as_ref().err().map(ToString::to_string)));
        // Another program has the port: the way can be tried from another one.
        let socket = match socket {
            Ok(socket) => Ok(socket),
            Err(_) => UdpSocket::bind((own.ip(), 0)).await,
        };
        let mut from_here = ways_from(config, *own);
        match socket {
            Ok(socket) => converse(config, &keys, &socket, &mut from_here, &mut answers.digests).await,
            Err(error) => from_here.iter_mut().for_each(|w| w.answer = AskedAnswer::NotSent(error.to_string())),
        }
        ways.append(&mut from_here);
    }
    for way in ways {
        let asked = Asked { from: way.from, to: way.to, answer: way.answer };
        answers.peers.entry(way.peer).or_default().push(asked);
    }
    answers
}

fn ways_from(config: &Config, from: SocketAddr) -> Vec<Way> {
    let way = |node: &Node, to: SocketAddr| {
        let mut nonce = [0; 16];
        // Without randomness every nonce is zero, and a replayed answer could count: it says "ok" to one line.
        let _ = getrandom::fill(&mut nonce);
        let tag = Tag::node(&node.name);
        Way { peer: node.name.to_string(), tag, from, to, nonce, answer: AskedAnswer::Silent }
    };
    let peers = config.peers().map(|n| config.node(n));
    let reachable = |to: &&SocketAddr| to.is_ipv4() == from.is_ipv4();
    peers.flat_map(|n| n.addresses.iter().filter(reachable).map(move |a| way(n, *a))).collect()
}

async fn converse(
    config: &Config,
    keys: &KeyRing,
    socket: &UdpSocket,
    ways: &mut [Way],
    digests: &mut BTreeMap<String, Digest>,
) {
    let began = clock::now();
    for _ in 0..TIMES {
        let sent = clock::now();
        for way in ways.iter_mut().filter(|w| !matches!(w.answer, AskedAnswer::Alive(_))) {
            let probe = Probe {
                key: config.heartbeat.send_key,
                sender: Tag::node(&config.local_node().name),
                receiver: way.tag,
                nonce: way.nonce,
                havip: Tag::NONE,
                node: Tag::NONE,
            };
            let Ok(bytes) = encode_probe(&probe, false, keys, &config.cluster) else { continue };
            if let Err(error) = socket.send_to(&bytes, way.to).await {
                way.answer = AskedAnswer::NotSent(error.to_string());
            }
        }
        let until = tokio::time::Instant::now() + EVERY;
        let mut space = [0; MAX_DATAGRAM];
        // A peer that answers sends heartbeats as well, which say what it runs.
        while ways.iter().any(|w| !matches!(w.answer, AskedAnswer::Alive(_)) || !digests.contains_key(&w.peer))
            && let Ok(Ok((size, from))) = tokio::time::timeout_at(until, socket.recv_from(&mut space)).await
        {
            heard(config, keys, &space[..size], from, sent.max(began), ways, digests);
        }
    }
}

fn heard(
    config: &Config,
    keys: &KeyRing,
    bytes: &[u8],
    from: SocketAddr,
    sent: Instant,
    ways: &mut [Way],
    digests: &mut BTreeMap<String, Digest>,
) {
    match decode(bytes, keys, &config.cluster) {
        Ok(Datagram::ProbeAnswer(answer)) => {
            if let Some(way) = ways.iter_mut().find(|w| w.nonce == answer.nonce && w.tag == answer.sender) {
                way.answer = AskedAnswer::Alive(clock::now().since(sent));
            }
        }
        Ok(Datagram::Heartbeat(heartbeat)) => {
            if let Some(way) = ways.iter().find(|w| w.tag == heartbeat.sender) {
                digests.insert(way.peer.clone(), heartbeat.digest);
            }
        }
        // A peer's heartbeat, on its way to the daemon that would be here: it counts for nothing but its key.
        Err(DecodeError::UnknownKey(_) | DecodeError::BadTag(_)) => {
            let theirs = |w: &&mut Way| w.to == from && w.answer == AskedAnswer::Silent;
            ways.iter_mut().filter(theirs).for_each(|w| w.answer = AskedAnswer::Unverified);
        }
        Ok(_) | Err(_) => {}
    }
}
