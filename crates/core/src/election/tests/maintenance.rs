//! Maintenance that ends by itself.

use super::*;
use crate::election::group::maintenance::Maintenance;
use crate::model::event::Command;

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
    let mut pair = Pair::new(2, Arbiter::Cloud);
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
    let started = config(2, 0, Arbiter::Cloud);
    pair.start(0, started);
    pair.run(SEC * 5);
    assert_eq!(on(&pair), [false, false]);
}

#[test]
fn it_survives_a_restart_and_a_reboot_cannot_make_it_longer_than_it_was() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 10);
    tell(&mut pair, 0, true, Some(SEC * 60));
    pair.nodes[0] = None;
    pair.run(SEC * 20);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    pair.run(SEC * 30);
    assert_eq!(on(&pair), [true, true]);
    pair.run(SEC * 10);
    assert_eq!(on(&pair), [false, false]);

    // A clock that began again is far behind the end that was written down.
    let mut kept = Maintenance::read(Instant::default(), 0, None);
    kept.switch(Instant::from_millis(10_000_000), true, Some(SEC * 60), 0);
    let kept = Maintenance::read(Instant::from_millis(1_000), kept.number(), kept.end());
    assert_eq!(kept.left(Instant::from_millis(1_000)), Some(SEC * 60));
}

#[test]
fn the_latest_word_wins_on_whichever_node_it_is_said() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
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

/// The same cluster with another binding, which is another digest.
fn shared(nodes: usize, local: usize, arbiter: Arbiter) -> Event {
    let mut other = config(nodes, local, arbiter);
    other.groups[0].havips[0].binding = Binding::Shared;
    Event::ConfigReloaded(Arc::new(other))
}

/// What node `i` answers to `off`.
fn off(pair: &mut Pair, i: usize) -> Result<String, String> {
    let command = Command::Maintenance { group: None, on: false, lasts: None };
    let replies = pair.give(i, Event::Commanded { command, request: 7 }).into_iter().filter_map(|a| match a {
        Action::Reply { reply, .. } => Some(reply),
        _ => None,
    });
    let mut replies = replies.map(|r| match r {
        crate::model::event::Reply::Done(text) => Ok(text),
        crate::model::event::Reply::Refused(text) | crate::model::event::Reply::Elsewhere { text, .. } => Err(text),
    });
    replies.next().expect("it is answered")
}

fn majority_in_maintenance(lasts: Option<Duration>) -> Pair {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 33);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    tell(&mut pair, 1, true, lasts);
    pair
}

fn maintained(pair: &Pair) -> Vec<bool> {
    (0..3).map(|i| pair.core(i).snapshot(pair.now).groups[0].maintenance).collect()
}

/// ⚠ Who has the file of before would no longer renew what the holder has: all three were in `Fault`.
#[test]
fn it_does_not_end_while_a_node_that_is_heard_runs_with_another_digest() {
    for by_time in [false, true] {
        let mut pair = majority_in_maintenance(by_time.then_some(SEC * 20));
        let since = pair.now;
        pair.give(0, shared(3, 0, Arbiter::Majority));
        pair.run(SEC * 5);
        if by_time {
            pair.run(SEC * 30);
            let warned =
                pair.log.iter().filter(|(_, _, a)| matches!(a, Action::Warn { text, .. } if text.contains("stays on")));
            assert_eq!(warned.count(), 1, "{}", pair.story());
        } else {
            for i in 0..3 {
                let refused = off(&mut pair, i).expect_err("files differ");
                assert!(
                    refused.contains("maintenance of web stays on: ") && refused.contains("make the files equal"),
                    "{refused}"
                );
            }
            pair.run(SEC * 5);
        }
        assert_eq!(maintained(&pair), [true; 3]);
        pair.give(1, shared(3, 1, Arbiter::Majority));
        pair.give(2, shared(3, 2, Arbiter::Majority));
        pair.run(SEC);
        if !by_time {
            off(&mut pair, 2).expect("the files are equal");
            pair.run(SEC);
        }
        assert_eq!(maintained(&pair), [false; 3], "{by_time} {}", pair.story());
        // Whatever was given by the file before has run out by then: `keep-for` at the longest.
        pair.run(SEC * 16);
        assert!(!pair.became(since, 0, Role::Backup) && pair.role(0) == Role::Active, "{}", pair.story());
        pair.kill(0);
        pair.run(SEC * 3);
        assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    }
}

/// ⚠ `off` is for the digest of the node that says it.
#[test]
fn nobody_leaves_it_by_the_word_of_another_digest() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 10);
    tell(&mut pair, 0, true, None);
    pair.partition(0, 1, true);
    pair.run(SEC * 3);
    pair.give(1, shared(2, 1, Arbiter::Cloud));
    off(&mut pair, 1).expect("it hears nobody who differs");
    pair.partition(0, 1, false);
    pair.run(SEC * 5);
    assert_eq!(on(&pair), [true, false], "{}", pair.story());
    // An operator's next word reaches both.
    tell(&mut pair, 0, true, None);
    assert_eq!(on(&pair), [true, true]);
    let mut equal = pair;
    equal.give(0, shared(2, 0, Arbiter::Cloud));
    equal.run(SEC);
    off(&mut equal, 0).expect("the files are equal");
    equal.run(SEC);
    assert_eq!(on(&equal), [false, false]);
}

/// ⚠ c cannot hear a until its grant has run out. The end of b would have cost a its lease.
#[test]
fn a_free_voter_votes_for_who_leads() {
    for file_differs in [false, true] {
        let mut pair = majority_in_maintenance(None);
        let since = pair.now;
        pair.partition(0, 2, true);
        pair.run(SEC * 5);
        let grant = |pair: &Pair| pair.core(2).groups[0].voter.granted(pair.clock(2)).map(|g| g.node);
        assert_eq!(grant(&pair), None);
        if file_differs {
            pair.give(0, shared(3, 0, Arbiter::Majority));
        }
        pair.partition(0, 2, false);
        pair.run(SEC);
        assert_eq!((pair.role(0), grant(&pair).is_some()), (Role::Active, !file_differs), "{}", pair.story());
        // It is no vote for a node that does not lead yet.
        assert!(!pair.core(2).groups[0].grants_afresh(false));
        pair.kill(1);
        pair.run(SEC * 5);
        assert_eq!(pair.became(since, 0, Role::Backup), file_differs, "{}", pair.story());
    }
}

/// Stops node `i` in order and starts it with this file.
fn restart(pair: &mut Pair, i: usize, file: Config) {
    pair.give(i, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    pair.run(SEC);
    assert!(pair.nodes[i].is_none(), "{}", pair.story());
    pair.start(i, file);
}

/// The holder keeps its place in maintenance, be it the first to run with the new file.
#[test]
fn a_holder_that_restarts_with_the_new_file_goes_on() {
    for arbiter in [Arbiter::Cloud, Arbiter::Majority] {
        let mut pair = Pair::new(3, arbiter);
        pair.run(SEC * 33);
        let mut file = config(3, 0, arbiter);
        file.groups[0].havips[0].binding = Binding::Shared;
        tell(&mut pair, 1, true, None);
        let before = pair.log.len();
        // The others are heard before the cloud tells who is holder.
        pair.unanswered.insert(0);
        restart(&mut pair, 0, file);
        pair.run(SEC);
        pair.unanswered.clear();
        pair.run(SEC * 6);
        assert_eq!(pair.role(0), Role::Active, "{arbiter:?} {}", pair.story());
        let drops = pair.log[before..].iter().any(|(_, _, a)| matches!(a, Action::DropAddress { .. }));
        assert!(!drops, "{arbiter:?} {}", pair.story());
        // A node that is not the holder waits until the files are equal.
        restart(&mut pair, 2, config(3, 2, arbiter));
        pair.run(SEC * 5);
        assert_eq!((pair.role(2), pair.core(2).groups[0].cause), (Role::Fault, Cause::ConfigMismatch));
    }
}

/// ⚠ b and c have the file of five, and c renews what a has by the one of three: the three have not adopted the new one, so
/// b does not end maintenance, though it hears nobody who differs.
#[test]
fn voters_that_renew_by_the_file_before_have_not_gone_over() {
    let of = |i: usize| config(if i < 3 { 3 } else { 5 }, i, Arbiter::Majority);
    let mut pair = Pair::with(5, Instant::from_millis(1_000_000), of);
    pair.run(SEC * 40);
    tell(&mut pair, 0, true, None);
    for i in [1, 2] {
        restart(&mut pair, i, config(5, i, Arbiter::Majority));
        pair.run(SEC * 5);
    }
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    for i in [0, 2, 3, 4] {
        pair.partition(1, i, true);
    }
    pair.run(SEC * 5);
    let refused = off(&mut pair, 1).expect_err("c still votes for a");
    assert!(refused.contains("of the 3 voters of before"), "{refused}");
    // It took `off` by another way; its goodbye says no more of that than its datagrams do.
    let mut silent = pair;
    let core = silent.nodes[1].as_mut().expect("it runs");
    let maintenance = core.groups[0].maintenance.number();
    core.groups[0].maintenance.follow(maintenance + 1);
    let goodbyes = core.goodbyes(silent.now);
    assert!(!goodbyes.is_empty());
    for goodbye in goodbyes {
        let said = crate::wire::heartbeat::decode(&goodbye.bytes, &core.keys, &core.config.cluster);
        let Ok(crate::wire::Datagram::Heartbeat(said)) = said else { panic!("a heartbeat: {said:?}") };
        assert!(said.entries.iter().all(|e| e.maintenance == 0), "{said:?}");
    }
    core.groups[0].maintenance.follow(maintenance);
    let mut pair = silent;
    // With the new file on a as well, all of them have.
    pair.cut.clear();
    restart(&mut pair, 0, config(5, 0, Arbiter::Majority));
    pair.run(SEC * 5);
    assert!((0..3).all(|i| pair.core(i).groups[0].adoption.waits().is_none()), "{}", pair.story());
    off(&mut pair, 1).expect("the files are equal");
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
}

/// ⚠ {a, b} are a majority of three, {c, d, e} one of five: c, of both, gives nothing by the new file while a majority
/// may still go by the old one.
#[test]
fn a_start_with_more_voters_makes_no_second_majority() {
    let of = |i: usize| config(if i < 3 { 3 } else { 5 }, i, Arbiter::Majority);
    let mut pair = Pair::with(5, Instant::from_millis(1_000_000), of);
    pair.run(SEC * 40);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair.kill(2);
    pair.start(2, config(5, 2, Arbiter::Majority));
    for (old, new) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
        pair.partition(old, new, true);
    }
    let since = pair.now;
    pair.run(SEC * 60);
    let second = (2..5).find(|i| pair.became(since, *i, Role::Claiming));
    assert_eq!((pair.role(0), second), (Role::Active, None), "{}", pair.story());
    assert_eq!(pair.role(2), Role::Fault);
    assert_eq!(pair.core(2).groups[0].cause, Cause::ConfigMismatch);
    // b runs with the new file, too: with c that is most of the three, but what b gave to a is not over.
    pair.partition(0, 1, true);
    for new in 2..5 {
        pair.partition(1, new, false);
    }
    pair.kill(1);
    pair.start(1, config(5, 1, Arbiter::Majority));
    let until = pair.now + SEC * 5;
    while pair.core(2).groups[0].adoption.waits().is_some() && pair.now < until {
        pair.run(SEC / 100);
    }
    assert!(pair.core(2).groups[0].adoption.waits().is_none(), "{}", pair.story());
    assert!(pair.core(2).groups[0].voter.quarantined(pair.clock(2)), "{}", pair.story());
    // A start before then waits as long again: the new file is not on record yet.
    let digest = pair.core(2).digest;
    assert!(pair.disks[&2].groups["web"].adopted.as_ref().is_some_and(|s| !s.is(digest)), "{:?}", pair.disks[&2]);
    // The partition ends, and a and b are given the new file as well.
    pair.cut.clear();
    for i in [1, 0] {
        pair.kill(i);
        pair.start(i, config(5, i, Arbiter::Majority));
        pair.run(SEC * 5);
    }
    pair.run(SEC * 60);
    let active = (0..5).filter(|i| pair.role(*i) == Role::Active).count();
    assert_eq!((active, pair.role(2)), (1, Role::Backup), "{}", pair.story());
    assert!((0..5).all(|i| pair.core(i).groups[0].adoption.waits().is_none()));
}

/// The numbers of `node`'s state directory, for its next start.
fn numbers(pair: &mut Pair, node: usize, epoch: u64, maintenance: u32) {
    let kept = PersistedGroup { epoch_reserved: epoch, maintenance, ..PersistedGroup::default() };
    pair.disks.insert(node, Persisted { groups: [("web".into(), kept)].into(), ..Persisted::default() });
}

fn reset(pair: &mut Pair, node: usize) -> Result<String, String> {
    let actions = pair.give(node, Event::Commanded { command: Command::ResetNumbers { group: None }, request: 8 });
    let reply = actions.into_iter().find_map(|a| if let Action::Reply { reply, .. } = a { Some(reply) } else { None });
    pair.run(SEC);
    match reply.expect("it is answered") {
        crate::model::event::Reply::Done(text) => Ok(text),
        crate::model::event::Reply::Refused(text) | crate::model::event::Reply::Elsewhere { text, .. } => Err(text),
    }
}

#[test]
fn numbers_that_are_too_high_to_be_right_begin_again_in_maintenance() {
    for (nodes, arbiter) in [(2, Arbiter::Cloud), (3, Arbiter::Majority)] {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut pair = Pair::new(nodes, arbiter);
            pair.run(SEC * 40);
            let text = reset(&mut pair, 0).expect_err("nothing is wrong");
            assert!(text.contains("in order: epoch 1, maintenance 0"), "{text}");
            // The last number: what somebody with the key may say, and no file.
            pair.kill(1);
            numbers(&mut pair, 1, Epoch::LAST.0, 0);
            pair.start(1, config(nodes, 1, arbiter));
            pair.run(SEC * 5);
            assert!(pair.core(0).groups[0].epochs.seen() > Epoch::CREDIBLE, "{}", pair.story());
            let text = reset(&mut pair, 0).expect_err("first maintenance");
            assert!(text.contains("is not in maintenance"), "{text}");
            tell(&mut pair, 0, true, None);
            for node in order.into_iter().filter(|node| *node < nodes) {
                reset(&mut pair, node).expect("it is in maintenance");
                pair.run(SEC * 5);
                assert_eq!(pair.role(0), Role::Active, "{arbiter:?} {order:?} {}", pair.story());
            }
            tell(&mut pair, 0, false, None);
            pair.run(SEC * 5);
            for node in 0..nodes {
                let web = &pair.core(node).groups[0];
                assert!(
                    web.epochs.seen() < Epoch(10) && web.epochs.ours() < Epoch(10) && web.epochs.reserved() < 5_000,
                    "{node}"
                );
            }
            let command = Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(1)) };
            pair.give(0, Event::Commanded { command, request: 9 });
            pair.run(SEC * 5);
            assert_eq!((pair.role(0), pair.role(1), pair.moves()), (Role::Backup, Role::Active, 1), "{}", pair.story());
        }
    }
}

#[test]
fn a_maintenance_number_without_a_next_one_is_refused_and_can_be_reset() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 40);
    pair.kill(1);
    numbers(&mut pair, 1, 0, crate::model::maintenance::LAST - 1);
    pair.start(1, config(2, 1, Arbiter::Cloud));
    pair.run(SEC * 5);
    // Even the highest number is taken once; after it there is none.
    tell(&mut pair, 0, true, None);
    let text = off(&mut pair, 0).expect_err("no number is left");
    assert!(text.contains("no maintenance number is left") && text.contains("maintenance web reset"), "{text}");
    tell(&mut pair, 0, true, None);
    assert_eq!(on(&pair), [true, true]);
    for node in [0, 1] {
        reset(&mut pair, node).expect("it is in maintenance");
    }
    assert_eq!(on(&pair), [true, true]);
    off(&mut pair, 1).expect("there are numbers again");
    pair.run(SEC);
    assert_eq!((on(&pair), pair.role(0)), ([false, false], Role::Active));
}

#[test]
fn what_cannot_be_right_in_a_file_is_forgotten_and_named() {
    let right = PersistedGroup { epoch_reserved: Epoch::CREDIBLE.0, maintenance: 3, ..PersistedGroup::default() };
    let mut state = Persisted { groups: [("web".into(), right)].into(), ..Persisted::default() };
    let before = state.clone();
    assert_eq!((state.forget_incredible(), &state), (vec![], &before));
    let web = state.groups.get_mut("web").expect("it is there");
    (web.epoch_reserved, web.maintenance) = (u64::MAX, u32::MAX);
    let found = state.forget_incredible();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains(&format!("epoch {} of group web", u64::MAX)), "{found:?}");
    let web = &state.groups["web"];
    assert_eq!((web.epoch_reserved, web.maintenance), (0, 0));
}

/// The part that answers can see by then what is not on the disk yet.
#[test]
fn what_an_order_leaves_for_the_disk_comes_before_its_answer() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(3));
    let orders = [
        Command::Maintenance { group: None, on: true, lasts: None },
        Command::Maintenance { group: None, on: false, lasts: None },
        Command::Drain { group: None, on: true },
        Command::Drain { group: None, on: false },
    ];
    for command in orders {
        let actions = pair.give(1, Event::Commanded { command: command.clone(), request: 7 });
        let place = |what: fn(&Action) -> bool| actions.iter().position(what);
        let (stored, answered) =
            (place(|a| matches!(a, Action::Persist(_))), place(|a| matches!(a, Action::Reply { .. })));
        assert!(stored.is_some() && stored < answered, "{command:?}: {actions:?}");
    }
}
