//! Maintenance that ends by itself.

use super::*;
use crate::election::event::Command;

const SEC: Duration = Duration::from_secs(1);

/// Tells node `i`.
fn tell(pair: &mut Pair, i: usize, on: bool, lasts: Option<Duration>) {
    let command = Command::Maintenance { group: None, on, lasts };
    pair.give(i, Event::Commanded { command, request: 1 });
    pair.run(SEC);
}

/// Which of the two nodes are in maintenance.
fn on(pair: &Pair) -> [bool; 2] {
    [0, 1].map(|i| pair.core(i).snapshot(pair.now).groups[0].maintenance)
}

#[test]
fn it_ends_on_every_node_when_its_time_is_over_and_not_before() {
    let mut pair = Pair::new(2, Arbiter::None);
    pair.run(SEC * 10);
    // The node that is told need not be the active one.
    tell(&mut pair, 1, true, Some(SEC * 60));
    assert_eq!(on(&pair), [true, true]);
    let left = pair.core(1).snapshot(pair.now).groups[0].maintenance_ends_ms;
    assert_eq!(left, Some(59_000));
    // While it lasts, nobody takes over.
    let since = pair.now;
    let dead = pair.nodes[0].take();
    pair.run(SEC * 50);
    assert!(!pair.became(since, 1, Role::Claiming), "{}", pair.story());
    assert!(pair.core(1).snapshot(pair.now).groups[0].maintenance);
    pair.run(SEC * 15);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    drop(dead);
    let started = config(2, 0, Arbiter::None);
    pair.start(0, started);
    pair.run(SEC * 5);
    assert_eq!(on(&pair), [false, false]);
}

#[test]
fn it_survives_a_restart_and_a_reboot_cannot_make_it_longer_than_it_was() {
    let mut pair = Pair::new(2, Arbiter::None);
    pair.run(SEC * 10);
    tell(&mut pair, 0, true, Some(SEC * 60));
    pair.nodes[0] = None;
    pair.run(SEC * 20);
    pair.start(0, config(2, 0, Arbiter::None));
    pair.run(SEC * 30);
    assert_eq!(on(&pair), [true, true]);
    pair.run(SEC * 10);
    assert_eq!(on(&pair), [false, false]);

    // A clock that began again is far behind the end that was written down.
    let mut kept = PersistedGroup::default();
    kept.switch_maintenance(Instant::from_millis(10_000_000), true, Some(SEC * 60));
    kept.bound_maintenance(Instant::from_millis(1_000));
    assert_eq!(kept.maintenance_left(Instant::from_millis(1_000)), Some(SEC * 60));
}

#[test]
fn the_latest_word_wins_on_whichever_node_it_is_said() {
    let mut pair = Pair::new(2, Arbiter::None);
    pair.run(SEC * 10);
    // Switched off elsewhere, and on again without an end: the end that was kept first does not come.
    tell(&mut pair, 0, true, Some(SEC * 30));
    tell(&mut pair, 1, false, None);
    assert_eq!(on(&pair), [false, false]);
    tell(&mut pair, 1, true, None);
    pair.run(SEC * 60);
    assert_eq!(on(&pair), [true, true]);
    // On already, by another node for a time: said again without one, it stays.
    tell(&mut pair, 0, true, Some(SEC * 30));
    tell(&mut pair, 1, true, None);
    pair.run(SEC * 60);
    assert_eq!(on(&pair), [true, true]);
    tell(&mut pair, 0, false, None);
    assert_eq!(on(&pair), [false, false]);
}
