//! Datagrams that are nobody's word: nothing of the core moves for them.

use super::conformance::settled;
use super::*;
use crate::wire::Datagram;
use crate::wire::auth::KeyRing;
use crate::wire::heartbeat::{decode, encode};

/// The last datagram that `from` sent, and what makes others of it.
fn last_sent(pair: &Pair, from: usize) -> Vec<u8> {
    let sent = |(_, i, action): &(Instant, usize, Action)| match action {
        Action::SendDatagram { bytes, .. } if *i == from => Some(bytes.clone()),
        _ => None,
    };
    pair.log.iter().rev().find_map(sent).expect("heartbeats")
}

fn steps(pair: &Pair, node: usize) -> u64 {
    pair.core(node).snapshot(pair.now).counters.steps
}

/// Hands `bytes` to a node; what its counters of refused datagrams and its steps are afterwards, less what they were.
fn given(pair: &mut Pair, node: usize, bytes: Vec<u8>) -> (u64, u64, u64, u64) {
    let counters = |pair: &Pair| {
        let s = pair.core(node).snapshot(pair.now);
        let misdirected: u64 = s.peers.iter().map(|p| p.stats.wrong_receiver).sum();
        (s.counters.bad_tag, s.counters.unknown_sender, misdirected, s.counters.steps)
    };
    let before = counters(pair);
    let from = SocketAddr::from(([10, 0, 0, 10], 11200));
    let actions = pair.give(node, Event::DatagramReceived { path: Some(0), from, arrived: pair.now, bytes });
    assert!(actions.is_empty(), "{actions:?}");
    let after = counters(pair);
    (after.0 - before.0, after.1 - before.1, after.2 - before.2, after.3 - before.3)
}

/// I7: what does not authenticate leads to no step, even when the last one was long ago.
#[test]
fn what_does_not_authenticate_steps_nothing() {
    let mut pair = settled(2, Arbiter::Cloud);
    let genuine = last_sent(&pair, 0);
    let changed = |at: usize| {
        let mut bytes = genuine.clone();
        bytes[at] ^= 1;
        bytes
    };
    // Later than a dead time: to judge the pause by such a datagram would void what the node had.
    pair.now += Duration::from_secs(5);
    // Nothing but the datagram is an event then.
    pair.stuck.insert(1);
    assert_eq!(given(&mut pair, 1, vec![0; 100]), (0, 0, 0, 0));
    assert_eq!(given(&mut pair, 1, changed(4)), (0, 0, 0, 0), "the version");
    assert_eq!(given(&mut pair, 1, changed(6)), (0, 0, 0, 0), "the key");
    let last = genuine.len() - 1;
    assert_eq!(given(&mut pair, 1, changed(last)), (1, 0, 0, 0), "the tag");
    // Neither of these has a tag that verifies: sender and receiver are looked at before it.
    assert_eq!(given(&mut pair, 1, changed(8)), (0, 1, 0, 0), "the sender");
    assert_eq!(given(&mut pair, 1, changed(16)), (0, 0, 1, 0), "the receiver");
    let c = pair.core(1).snapshot(pair.now).counters;
    assert_eq!((c.foreign, c.wrong_version, c.unknown_key), (1, 1, 1));
}

/// The shell asks before it makes an event of a datagram, and hears the same.
#[test]
fn what_is_refused_as_an_event_is_not_admitted_either() {
    let mut pair = settled(2, Arbiter::Cloud);
    let genuine = last_sent(&pair, 0);
    let core = pair.nodes[1].as_mut().expect("it runs");
    assert!(core.admits(&genuine));
    for at in 0..genuine.len() {
        let mut bytes = genuine.clone();
        bytes[at] ^= 0x40;
        assert!(!core.admits(&bytes), "byte {at}");
    }
    let back = last_sent(&pair, 1);
    let core = pair.nodes[1].as_mut().expect("it runs");
    assert!(!core.admits(&back), "a reflection");
}

/// A recording authenticates: it is dropped by its number, and is not worth a step either.
#[test]
fn a_recording_steps_nothing() {
    let mut pair = settled(2, Arbiter::Cloud);
    let recorded = last_sent(&pair, 0);
    pair.run(Duration::from_secs(1));
    let before = steps(&pair, 1);
    for _ in 0..1000 {
        assert_eq!(given(&mut pair, 1, recorded.clone()), (0, 0, 0, 0));
    }
    assert_eq!(steps(&pair, 1), before);
    pair.run(Duration::from_secs(1));
    assert!(steps(&pair, 1) > before, "the clock goes on");
}

/// A recording of an earlier start may be the first word of a new one: it is answered, and changes nothing before it has
/// proven itself.
#[test]
fn a_recording_of_an_earlier_start_steps_nothing() {
    let mut pair = settled(2, Arbiter::Cloud);
    let recorded = last_sent(&pair, 0);
    let config = pair.core(0).config.as_ref().clone();
    pair.kill(0);
    pair.start(0, config);
    pair.run(Duration::from_secs(5));
    let before = steps(&pair, 1);
    let from = SocketAddr::from(([10, 0, 0, 10], 11200));
    let event = Event::DatagramReceived { path: Some(0), from, arrived: pair.now, bytes: recorded };
    let actions = pair.give(1, event);
    assert!(!actions.is_empty(), "it is answered");
    assert!(actions.iter().all(|a| matches!(a, Action::SendDatagram { .. })), "{actions:?}");
    assert_eq!(steps(&pair, 1), before);
}

/// Of two datagrams the later one overtook the other: what that says of a group is old, and a group that the later one does
/// not speak of it would still tell of.
#[test]
fn what_was_overtaken_brings_no_old_word_back() {
    let mut pair = settled(2, Arbiter::Cloud);
    let asleep = pair.nodes[1].take();
    pair.run(INTERVAL * 5 / 2);
    let overtaken = last_sent(&pair, 0);
    pair.nodes[1] = asleep;
    pair.give(
        0,
        Event::HealthChanged {
            group: GroupIndex(0),
            weight: -5,
            failed: false,
            undecided: false,
            notes: Arc::default(),
        },
    );
    pair.run(INTERVAL * 2);
    let said = |pair: &Pair| {
        let entries = pair.core(1).peers.of(NodeIndex(0)).map(|p| p.entries.values());
        entries.and_then(|mut all| all.next()).map(|e| e.effective)
    };
    assert_eq!(said(&pair), Some(145));
    given(&mut pair, 1, overtaken.clone());
    assert_eq!(said(&pair), Some(145));
    let core = pair.nodes[1].as_mut().expect("it runs");
    assert_eq!(core.peers.of(NodeIndex(0)).map(|p| p.session.stats().overtaken), Some(1));
}

/// A flag that this release gives no meaning is kept as said and leads to nothing. With bit 11 an earlier one asked the active
/// node for a planned move.
#[test]
fn a_reserved_flag_moves_nothing() {
    const RESERVED: u16 = 1 << 11 | 1 << 15;
    let mut pair = settled(2, Arbiter::Cloud);
    pair.partition(0, 1, true);
    pair.run(INTERVAL * 2);
    let config = pair.core(1).config().clone();
    let keys = KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key);
    let Ok(Datagram::Heartbeat(mut said)) = decode(&last_sent(&pair, 1), &keys, &config.cluster) else {
        panic!("no heartbeat");
    };
    said.entries.iter_mut().for_each(|entry| entry.flags.0 |= RESERVED);
    let bytes = encode(&said, &keys, &config.cluster).expect("it encodes");
    let from = SocketAddr::from(([10, 0, 0, 11], 11200));
    pair.give(0, Event::DatagramReceived { path: Some(0), from, arrived: pair.now, bytes });
    let heard = pair.core(0).peers.of(NodeIndex(1)).and_then(|p| p.entries.values().next()).map(|e| e.flags.0);
    assert_eq!(heard.map(|flags| flags & RESERVED), Some(RESERVED), "it counts");
    pair.partition(0, 1, false);
    pair.run(Duration::from_secs(5));
    assert_eq!((pair.role(0), pair.moves()), (Role::Active, 0), "{}", pair.story());
}
