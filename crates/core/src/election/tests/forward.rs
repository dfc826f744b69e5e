//! Commands that go to the node that they concern: carried out once, whatever is lost, repeated, recorded or forged.

use super::conformance::settled;
use super::*;
use crate::model::forward::{ForwardError, LONGEST_ANSWER, LONGEST_COMMAND, PATIENCE, Ticket};
use crate::wire::auth::KeyRing;
use crate::wire::heartbeat::{decode, encode_forwarded};
use crate::wire::{Datagram, Forwarded};

/// A's operator gives a command for b.
fn ask(pair: &mut Pair, request: u64, command: &[u8]) -> Actions {
    pair.give(0, Event::CommandForOther { node: NodeIndex(1), command: command.to_vec(), request })
}

/// What b was to carry out, so far.
fn orders(pair: &Pair) -> Vec<(Ticket, Vec<u8>)> {
    let order = |(_, i, action): &(Instant, usize, Action)| match action {
        Action::CarryOut { ticket, command, .. } if *i == 1 => Some((*ticket, command.clone())),
        _ => None,
    };
    pair.log.iter().filter_map(order).collect()
}

/// How a's commands ended, so far.
fn ends(pair: &Pair) -> Vec<(u64, Result<Vec<u8>, ForwardError>)> {
    let end = |(_, i, action): &(Instant, usize, Action)| match action {
        Action::Forwarded { request, result } if *i == 0 => Some((*request, result.clone())),
        _ => None,
    };
    pair.log.iter().filter_map(end).collect()
}

fn keys(pair: &Pair) -> KeyRing {
    let heartbeat = &pair.core(0).config().heartbeat;
    KeyRing::new(&heartbeat.keys, heartbeat.send_key)
}

/// The forwarded commands and answers that a node has sent, with their bytes.
fn sent(pair: &Pair, node: usize) -> Vec<(Forwarded, Vec<u8>)> {
    let (keys, cluster) = (keys(pair), "test".parse().expect("a name"));
    let of = |(_, i, action): &(Instant, usize, Action)| match action {
        Action::SendDatagram { bytes, .. } if *i == node => match decode(bytes, &keys, &cluster).expect("our own") {
            Datagram::Command(f) | Datagram::Answer(f) => Some((f, bytes.clone())),
            _ => None,
        },
        _ => None,
    };
    pair.log.iter().filter_map(of).collect()
}

/// Hands b the bytes of a datagram.
fn replay(pair: &mut Pair, bytes: Vec<u8>) -> Actions {
    let from = SocketAddr::from(([10, 0, 0, 10], 11200));
    pair.give(1, Event::DatagramReceived { path: Some(0), from, arrived: pair.now, bytes })
}

fn answer(pair: &mut Pair, ticket: Ticket, answer: Vec<u8>) {
    pair.give(1, Event::CarriedOut { ticket, answer });
}

const MOMENT: Duration = Duration::from_millis(50);

#[test]
fn an_answer_of_several_parts_comes_back_whole() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 7, b"drain");
    pair.run(DELAY);
    let all = orders(&pair);
    assert_eq!(all.len(), 1, "{}", pair.story());
    assert_eq!(all[0].1, b"drain");
    // Nothing but the command is an event then.
    pair.stuck.insert(1);
    let steps = pair.core(1).snapshot(pair.now).counters.steps;
    let (_, bytes) = sent(&pair, 0).pop().expect("a command");
    replay(&mut pair, bytes);
    assert_eq!(pair.core(1).snapshot(pair.now).counters.steps, steps, "it is worth no step");
    pair.stuck.clear();
    for length in [LONGEST_ANSWER, 1] {
        let long: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        if length == 1 {
            ask(&mut pair, 8, b"why");
            pair.run(DELAY);
        }
        let (ticket, _) = orders(&pair).pop().expect("an order");
        answer(&mut pair, ticket, long.clone());
        pair.run(Duration::from_millis(200));
        let (_, result) = ends(&pair).pop().expect("an end");
        assert!(result == Ok(long), "another answer");
    }
    assert_eq!(ends(&pair).iter().map(|(request, _)| *request).collect::<Vec<_>>(), [7, 8]);
    let quiet = sent(&pair, 0).len();
    pair.run(PATIENCE * 2);
    assert_eq!(sent(&pair, 0).len(), quiet, "what is answered is not sent again");
}

#[test]
fn what_is_lost_and_repeated_is_carried_out_once() {
    let mut pair = settled(2, Arbiter::Cloud);
    // Neither the command nor its answer arrives at first.
    pair.cut.insert((0, 1));
    ask(&mut pair, 1, b"switchover");
    pair.run(Duration::from_millis(300));
    assert!(orders(&pair).is_empty());
    pair.cut.remove(&(0, 1));
    pair.cut.insert((1, 0));
    pair.run(Duration::from_millis(250));
    let (ticket, _) = orders(&pair).pop().expect("an order");
    answer(&mut pair, ticket, b"moved".to_vec());
    pair.run(Duration::from_millis(400));
    assert!(ends(&pair).is_empty());
    pair.cut.clear();
    pair.run(Duration::from_millis(300));
    assert_eq!(ends(&pair), [(1, Ok(b"moved".to_vec()))]);
    assert!(sent(&pair, 0).len() >= 4, "it was repeated");
    assert_eq!(orders(&pair).len(), 1, "and carried out once");
}

#[test]
fn a_command_that_takes_long_is_waited_for_as_long_as_the_other_node_says_so() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"drain");
    pair.run(PATIENCE * 2);
    assert_eq!(ends(&pair), []);
    let (ticket, _) = orders(&pair).pop().expect("an order");
    answer(&mut pair, ticket, b"done".to_vec());
    pair.run(MOMENT);
    assert_eq!(ends(&pair), [(1, Ok(b"done".to_vec()))]);
    // But not for ever.
    ask(&mut pair, 2, b"drain");
    pair.run(Duration::from_secs(30));
    assert_eq!(ends(&pair).pop(), Some((2, Err(ForwardError::Unfinished))));
    assert_eq!(orders(&pair).len(), 2);
}

#[test]
fn a_recording_of_the_session_is_answered_and_not_carried_out_again() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"switchover");
    pair.run(DELAY);
    let (ticket, _) = orders(&pair).pop().expect("an order");
    answer(&mut pair, ticket, b"moved".to_vec());
    pair.run(MOMENT);
    let (_, recorded) = sent(&pair, 0).pop().expect("a command");
    assert_eq!(replay(&mut pair, recorded.clone()).len(), 1, "the answer that is kept");
    // Others have come since, and its answer is kept no more.
    for request in 2..30 {
        ask(&mut pair, request, b"why");
        pair.run(DELAY);
        let (ticket, _) = orders(&pair).pop().expect("an order");
        answer(&mut pair, ticket, b"so".to_vec());
        pair.run(DELAY * 2);
    }
    let done = orders(&pair).len();
    assert_eq!(done, 29);
    assert_eq!(replay(&mut pair, recorded.clone()), []);
    // A number that never came is none that may come late.
    assert_eq!(orders(&pair).len(), done);
}

#[test]
fn a_recording_is_of_no_use_a_dead_time_later_nor_after_a_restart() {
    let mut pair = settled(2, Arbiter::Cloud);
    // Held back on its way: never heard before.
    pair.cut.insert((0, 1));
    ask(&mut pair, 1, b"switchover");
    pair.run(MOMENT);
    let (_, held) = sent(&pair, 0).pop().expect("a command");
    pair.cut.clear();
    let mut fresh = Pair { log: vec![], ..settled(2, Arbiter::Cloud) };
    fresh.cut.insert((0, 1));
    ask(&mut fresh, 1, b"switchover");
    fresh.run(MOMENT);
    let (_, held_there) = sent(&fresh, 0).pop().expect("a command");
    assert!(
        replay(&mut fresh, held_there).iter().any(|a| matches!(a, Action::CarryOut { .. })),
        "in its time it counts"
    );

    // Its asker has given up by then.
    pair.cut.insert((0, 1));
    pair.run(INTERVAL * 5);
    pair.cut.clear();
    pair.run(INTERVAL * 10);
    let done = orders(&pair).len();
    assert_eq!(replay(&mut pair, held), [], "a dead time later");
    assert_eq!(orders(&pair).len(), done);

    for restarted in [1, 0] {
        let mut pair = settled(2, Arbiter::Cloud);
        pair.cut.insert((0, 1));
        ask(&mut pair, 1, b"switchover");
        pair.run(MOMENT);
        let (_, held) = sent(&pair, 0).pop().expect("a command");
        pair.cut.clear();
        pair.kill(restarted);
        pair.start(restarted, config(2, restarted, Arbiter::Cloud));
        pair.run(INTERVAL * 4);
        let done = orders(&pair).len();
        assert_eq!(replay(&mut pair, held), [], "after a restart of node {restarted}");
        assert_eq!(orders(&pair).len(), done);
    }
}

/// With the key anybody may say anything; what is not of this session is still nobody's command.
#[test]
fn what_is_forged_is_not_carried_out() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"why");
    pair.run(DELAY);
    let (genuine, bytes) = sent(&pair, 0).pop().expect("a command");
    let cluster = "test".parse().expect("a name");
    let mut given = |change: &dyn Fn(&mut Forwarded)| {
        let mut forged = Forwarded { id: 2, ..genuine.clone() };
        change(&mut forged);
        let bytes = encode_forwarded(&forged, false, &keys(&pair), &cluster).expect("it fits");
        replay(&mut pair, bytes).len()
    };
    assert_eq!(given(&|f| f.boot = BootId([9; 16])), 0, "another start of the sender");
    assert_eq!(given(&|f| f.echo.boot = BootId([9; 16])), 0, "another start of the receiver");
    assert_eq!(given(&|f| f.echo.seq = u64::MAX), 0, "a number that was never sent");
    assert_eq!(given(&|f| f.part = 1), 0, "a part of an answer to nothing");
    assert_eq!(given(&|f| f.sender = crate::model::tag::Tag(7)), 0, "a node of another file");
    assert_eq!(given(&|_| {}), 1, "all that was wrong with them");
    // Without the key, or with the tag of another cluster, it is not even admitted.
    let other = "prod".parse().expect("a name");
    let elsewhere = encode_forwarded(&Forwarded { id: 3, ..genuine }, false, &keys(&pair), &other).expect("it fits");
    let core = pair.nodes[1].as_mut().expect("it runs");
    assert!(core.admits(&bytes) && !core.admits(&elsewhere));
    assert_eq!(replay(&mut pair, elsewhere), []);
}

/// An answer counts only while somebody waits for it.
#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"why");
    pair.run(DELAY);
    let (ticket, _) = orders(&pair).pop().expect("an order");
    answer(&mut pair, ticket, b"so".to_vec());
    pair.run(MOMENT);
    let (_, recorded) = sent(&pair, 1).pop().expect("an answer");
    ask(&mut pair, 2, b"why");
    let from = SocketAddr::from(([10, 0, 0, 11], 11200));
    let event = Event::DatagramReceived { path: Some(0), from, arrived: pair.now, bytes: recorded };
    assert_eq!(pair.give(0, event), []);
    assert_eq!(ends(&pair).len(), 1);
}

#[test]
fn one_that_has_no_answer_ends_with_the_reason() {
    let mut pair = settled(2, Arbiter::Cloud);
    assert!(
        ask(&mut pair, 1, &vec![b'x'; LONGEST_COMMAND + 1])
            .contains(&Action::Forwarded { request: 1, result: Err(ForwardError::TooLong) })
    );
    for request in 2..=5 {
        ask(&mut pair, request, &vec![b'x'; LONGEST_COMMAND]);
    }
    ask(&mut pair, 6, b"why");
    assert_eq!(ends(&pair)[1..], [(6, Err(ForwardError::Busy))]);

    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"why");
    pair.run(MOMENT);
    pair.kill(1);
    pair.run(INTERVAL * 13);
    assert_eq!(ends(&pair), [(1, Err(ForwardError::Silenced))], "it died on the way");
    ask(&mut pair, 2, b"why");
    assert_eq!(ends(&pair).pop(), Some((2, Err(ForwardError::Unheard))));

    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"why");
    pair.run(MOMENT);
    pair.kill(1);
    pair.start(1, config(2, 1, Arbiter::Cloud));
    pair.run(INTERVAL * 8);
    assert_eq!(ends(&pair), [(1, Err(ForwardError::Restarted))]);
    assert_eq!(orders(&pair).len(), 1, "the new start is not asked");
}

/// An older release drops what it does not know, and its heartbeats go on.
#[test]
fn a_node_that_knows_no_such_datagram_is_waited_for_and_no_longer() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"why");
    let (_, bytes) = sent(&pair, 0).pop().expect("a command");
    // As it does: none of these is ever taken.
    let end = pair.now + PATIENCE + INTERVAL;
    while pair.now < end {
        pair.queue.retain(|(_, node, event)| {
            let commands = matches!(event, Event::DatagramReceived { bytes: b, .. } if b[5] == bytes[5]);
            *node != 1 || !commands
        });
        pair.run(Duration::from_micros(500));
    }
    assert_eq!(ends(&pair), [(1, Err(ForwardError::NoAnswer))]);
    assert_eq!(orders(&pair), []);
}

#[test]
fn neither_commands_nor_recordings_of_them_cost_more_than_their_share() {
    let mut pair = settled(2, Arbiter::Cloud);
    ask(&mut pair, 1, b"why");
    pair.run(DELAY);
    let (genuine, bytes) = sent(&pair, 0).pop().expect("a command");
    let answered = (0..1000).map(|_| replay(&mut pair, bytes.clone()).len()).sum::<usize>();
    assert_eq!(answered, 255);
    pair.run(Duration::from_secs(1));
    // A node with the key that asks for more and more: so many are begun, and so many answers kept.
    let cluster = "test".parse().expect("a name");
    let (fresh, _) = sent(&pair, 0).pop().expect("one that was repeated");
    for id in 2..100 {
        let one = Forwarded { id, echo: fresh.echo, ..genuine.clone() };
        let bytes = encode_forwarded(&one, false, &keys(&pair), &cluster).expect("it fits");
        replay(&mut pair, bytes);
    }
    assert_eq!(orders(&pair).len(), 4);
}
