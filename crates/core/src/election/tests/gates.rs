//! Gates that fail, and what a node makes of it afterwards.

use super::*;
use crate::model::event::Command;

const MINUTE: Duration = Duration::from_secs(60);

fn gated(local: usize) -> Config {
    let mut config = config(3, local, Arbiter::Majority);
    config.groups[0].before_active = Some(vec!["/promote".to_owned()]);
    config
}

/// How often a node gave its term away since `from`.
fn given_away(pair: &Pair, node: usize, from: Instant) -> usize {
    let own = pair.log.iter().filter(|(at, i, _)| *at >= from && *i == node);
    own.filter(|(_, _, a)| matches!(a, Action::Record(t) if t.to == Role::Releasing)).count()
}

#[test]
fn a_node_whose_gate_keeps_failing_preempts_ever_more_seldom() {
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), gated);
    pair.run(Duration::from_secs(35));
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair.kill(0);
    pair.failing_gates.insert(0);
    pair.run(Duration::from_secs(10));
    pair.start(0, gated(0));
    let from = pair.now;
    // After 30 s (preempt-delay), and 5 and 20 minutes (reclaim-wait, four times that) after these failed.
    pair.run(MINUTE * 3);
    assert_eq!(given_away(&pair, 1, from), 1, "{}", pair.story());
    let waiting = &pair.core(0).snapshot(pair.now).groups[0].waiting;
    assert!(waiting.contains("its gate failed"), "{waiting}");
    pair.run(MINUTE * 17);
    assert_eq!(given_away(&pair, 1, from), 2, "{}", pair.story());
    pair.run(MINUTE * 40);
    assert_eq!(given_away(&pair, 1, from), 3, "{}", pair.story());
    assert_eq!(pair.role(1), Role::Active);

    // An operator does not wait, and what works again is forgotten.
    pair.failing_gates.clear();
    let order = Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(0)) };
    pair.give(1, Event::Commanded { command: order, request: 1 });
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
}

#[test]
fn where_nobody_is_active_a_gate_that_failed_is_tried_as_any_claim() {
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), gated);
    pair.failing_gates.extend(0..3);
    pair.run(MINUTE * 5);
    assert!((0..3).all(|i| pair.role(i) != Role::Active));
    pair.failing_gates.clear();
    pair.run(MINUTE * 2);
    assert!((0..3).any(|i| pair.role(i) == Role::Active), "{}", pair.story());
}
