//! The read of the cloud's record that a change of term is worth.

use super::*;
use crate::model::cloud::CallClass;
use crate::model::event::Command;

const SEC: Duration = Duration::from_secs(1);

/// Reads of node `i` since `from`: how long after, and whether with haste.
fn reads(pair: &Pair, from: Instant, i: usize) -> Vec<(Duration, bool)> {
    let own = pair.log.iter().filter(|(at, of, _)| *at >= from && *of == i);
    let read = |(at, _, action): &(Instant, usize, Action)| match action {
        Action::ReadHavip { class, .. } => Some((at.since(from), *class != CallClass::Background)),
        _ => None,
    };
    own.filter_map(read).collect()
}

fn writes(pair: &Pair, from: Instant, i: usize) -> usize {
    let own = pair.log.iter().filter(|(at, of, _)| *at >= from && *of == i);
    own.filter(|(_, _, action)| matches!(action, Action::Write(_))).count()
}

fn holder(pair: &Pair, i: usize) -> Option<String> {
    pair.core(i).snapshot(pair.now).groups[0].havips[0].holder.clone()
}

/// A cluster whose first node is active, between two audits.
fn settled(arbiter: Arbiter) -> Pair {
    let mut pair = Pair::new(3, arbiter);
    pair.run(if arbiter == Arbiter::Majority { SEC * 25 } else { SEC * 40 });
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

#[test]
fn after_a_planned_move_everybody_knows_the_holder_by_one_read_and_no_write() {
    for arbiter in [Arbiter::Cloud, Arbiter::Majority] {
        let mut pair = settled(arbiter);
        assert_eq!([0, 2].map(|i| holder(&pair, i)), [Some("i-a".into()), Some("i-a".into())]);
        let began = pair.now;
        let to = Some(NodeIndex(1));
        pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(0), to }, request: 1 });
        pair.run(SEC * 3);
        assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
        assert_eq!([0, 2].map(|i| holder(&pair, i)), [Some("i-b".into()), Some("i-b".into())], "{arbiter:?}");
        pair.run(SEC * 10);
        // Under arbiter `cloud` there are hasty ones besides, while a claim may follow.
        let mut calm = reads(&pair, began, 2);
        calm.retain(|(_, urgent)| !urgent);
        assert!(matches!(&calm[..], [(after, _)] if *after > SEC / 2), "{arbiter:?}: {calm:?}");
        assert_eq!([0, 2].map(|i| writes(&pair, began, i)), [0, 0], "{arbiter:?}");
    }
}

#[test]
fn the_record_is_read_after_a_term_when_no_claim_needs_its_reads() {
    let mut pair = settled(Arbiter::Majority);
    for i in [1, 2] {
        let command = Command::Drain { group: Some(GroupIndex(0)), on: true };
        pair.give(i, Event::Commanded { command, request: 1 });
    }
    pair.run(SEC);
    let began = pair.now;
    pair.kill(0);
    pair.bound.clear();
    pair.run(SEC * 4);
    assert_eq!(reads(&pair, began, 1), []);
    pair.run(SEC * 5);
    assert_eq!(reads(&pair, began, 1).iter().map(|(_, urgent)| *urgent).collect::<Vec<_>>(), [false]);
    assert_eq!((holder(&pair, 1), writes(&pair, began, 1)), (None, 0));
}
