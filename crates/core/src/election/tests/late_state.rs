//! A state directory that answers after the start.

use super::*;
use crate::model::event::Command;

/// A node whose disk says nothing, and what it has stored before.
fn start_unread(pair: &mut Pair, i: usize) -> Persisted {
    pair.kill(i);
    let kept = pair.disks.get(&i).cloned().unwrap_or_default();
    let start = Start {
        config: Arc::new(config(2, i, Arbiter::Cloud)),
        boot: BootId([77; 16]),
        seed: 1,
        persisted: None,
        machine_boot: "a boot".to_owned(),
    };
    pair.nodes[i] = Some(Core::new(start, pair.now));
    pair.give(i, Event::AddressObserved { group: GroupIndex(0), havip: HavipIndex(0), present: false });
    kept
}

fn drain(pair: &mut Pair, i: usize, on: bool) {
    pair.give(i, Event::Commanded { command: Command::Drain { group: None, on }, request: 1 });
}

fn stored_since(pair: &Pair, from: Instant, i: usize) -> usize {
    pair.log.iter().filter(|(at, n, a)| *at >= from && *n == i && matches!(a, Action::Persist(_))).count()
}

fn drained_pair() -> (Pair, Persisted, Instant) {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(10));
    drain(&mut pair, 1, true);
    pair.run(Duration::from_secs(1));
    pair.now += Duration::from_millis(1);
    let from = pair.now;
    let kept = start_unread(&mut pair, 1);
    (pair, kept, from)
}

#[test]
fn who_was_drained_stays_so_however_late_the_disk_says_it() {
    let (mut pair, kept, from) = drained_pair();
    assert!(kept.groups["web"].drained);
    // Who was heard and falls silent is dead.
    pair.run(Duration::from_secs(5));
    pair.kill(0);
    pair.run(Duration::from_secs(60));
    assert_ne!(pair.role(1), Role::Active, "{}", pair.story());
    assert_eq!(stored_since(&pair, from, 1), 0, "nothing replaces what nobody has read");

    pair.give(1, Event::StateFound(Box::new(kept.clone())));
    pair.run(Duration::from_secs(60));
    assert_ne!(pair.role(1), Role::Active, "{}", pair.story());
    let stored = &pair.disks[&1].groups["web"];
    assert!(stored.drained && stored.epoch_reserved >= kept.groups["web"].epoch_reserved, "{stored:?}");

    drain(&mut pair, 1, false);
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    assert!(pair.core(1).groups[0].epochs.ours() > Epoch(kept.groups["web"].epoch_reserved), "no number is used twice");
}

#[test]
fn who_was_not_drained_takes_part_once_the_disk_has_said_so() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(10));
    let kept = start_unread(&mut pair, 1);
    // Who was heard and falls silent is dead.
    pair.run(Duration::from_secs(5));
    pair.kill(0);
    pair.run(Duration::from_secs(60));
    assert_ne!(pair.role(1), Role::Active, "{}", pair.story());
    pair.give(1, Event::StateFound(Box::new(kept)));
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

#[test]
fn what_an_operator_says_meanwhile_is_newer_than_the_disk() {
    let (mut pair, kept, from) = drained_pair();
    drain(&mut pair, 1, false);
    // Who was heard and falls silent is dead.
    pair.run(Duration::from_secs(5));
    pair.kill(0);
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    assert_eq!(stored_since(&pair, from, 1), 0);
    pair.give(1, Event::StateFound(Box::new(kept.clone())));
    pair.run(Duration::from_secs(10));
    let stored = &pair.disks[&1].groups["web"];
    assert!(!stored.drained && stored.epoch_reserved >= kept.groups["web"].epoch_reserved, "{stored:?}");
    assert_eq!(pair.role(1), Role::Active, "a number of before is no reason to move: {}", pair.story());
    pair.give(1, Event::StateFound(Box::new(kept)));
    assert!(!pair.core(1).groups[0].is_drained(), "it is said once");
}
