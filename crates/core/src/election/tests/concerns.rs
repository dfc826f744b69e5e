//! Which groups an event is worth an evaluation of.

use super::conformance::settled;
use super::*;

const SEC: Duration = Duration::from_secs(1);

fn evaluations(pair: &Pair, node: usize) -> u64 {
    pair.core(node).snapshot(pair.now).counters.group_steps
}

/// Each node evaluates its group with its own heartbeats, and not with those of the others once more.
#[test]
fn a_datagram_that_brings_no_news_concerns_no_group() {
    for (nodes, arbiter) in [(2, Arbiter::Cloud), (3, Arbiter::Majority)] {
        let mut pair = Pair::new(nodes, arbiter);
        // Past what follows a start.
        pair.run(SEC * 110);
        let before: Vec<u64> = (0..nodes).map(|i| evaluations(&pair, i)).collect();
        pair.run(SEC * 10);
        for (i, before) in before.into_iter().enumerate() {
            let since = evaluations(&pair, i) - before;
            assert!((100..200).contains(&since), "{arbiter:?}, node {i}: {since} in 100 intervals");
        }
    }
}

#[test]
fn what_a_datagram_says_of_a_group_concerns_it_at_once() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.run(INTERVAL / 2);
    let health = |weight| Event::HealthChanged {
        group: GroupIndex(0),
        weight,
        failed: false,
        undecided: false,
        notes: Arc::default(),
    };
    let before = evaluations(&pair, 1);
    pair.give(0, health(-5));
    pair.run(DELAY * 2);
    assert_eq!(evaluations(&pair, 1) - before, 1, "long before a heartbeat is due");
}

#[test]
fn a_peer_that_is_heard_again_concerns_every_group_at_once() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.delay = INTERVAL / 2;
    pair.run(SEC);
    pair.cut.insert((1, 0));
    pair.run(INTERVAL * 4);
    pair.cut.clear();
    // What is sent now arrives in the middle between two heartbeats of our own.
    pair.run(INTERVAL + INTERVAL / 4);
    let before = evaluations(&pair, 0);
    pair.run(INTERVAL / 2);
    assert_eq!(evaluations(&pair, 0) - before, 1, "{}", pair.story());
}
