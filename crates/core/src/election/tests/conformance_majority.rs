//! The rules of arbiter `majority` and of what leaves it, a case each. See `conformance`.

use super::conformance::heartbeats;
use super::*;
use crate::model::event::Command;
use crate::wire::Grant;

const SEC: Duration = Duration::from_secs(1);
/// Dead time and lease.
const LEASE: Duration = SEC;
const WEB: GroupIndex = GroupIndex(0);
const KEEP_FOR: Duration = Duration::from_secs(15);

fn settled() -> Pair {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 33);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

fn right(pair: &Pair, node: usize) -> Option<Instant> {
    pair.core(node).leadership_until(WEB, pair.clock(node))
}

/// ⚠ §3: asking is Backup; Claiming begins with leadership.
#[test]
fn who_asks_is_backup_until_a_majority_has_granted() {
    let mut pair = settled();
    pair.kill(0);
    pair.kill(2);
    let since = pair.now;
    pair.run(SEC * 20);
    assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
    assert!(!pair.became(since, 1, Role::Claiming));
    let asked = pair.core(1).groups[0].timeline.steps().iter().any(|s| s.what.contains("asks a majority"));
    assert!(asked, "{:?}", pair.core(1).groups[0].timeline);
}

/// ⚠ §5: no grant crosses digests.
#[test]
fn a_voter_renews_nothing_across_digests() {
    let mut pair = settled();
    let mut other = config(3, 1, Arbiter::Majority);
    other.groups[0].havips[0].binding = Binding::Shared;
    pair.give(1, Event::ConfigReloaded(Arc::new(other)));
    pair.run(SEC * 3);
    assert!(pair.core(1).groups[0].voter.granted(pair.now).is_none());
    assert!(pair.core(2).groups[0].voter.granted(pair.now).is_some());
    assert_eq!(pair.role(0), Role::Active);
}

/// ⚠ §5: a grant counts from when its datagram was sent, and 0.98 of the lease.
#[test]
fn a_grant_counts_from_when_it_was_asked_for() {
    let mut pair = settled();
    pair.delay = Duration::from_millis(200);
    pair.run(SEC * 3);
    let round_trip = pair.delay * 2;
    for _ in 0..300 {
        pair.run(Duration::from_millis(10));
        let until = right(&pair, 0).expect("it stays active");
        assert!(until <= pair.now + (LEASE * 98 / 100 - round_trip + Duration::from_millis(1)), "{until:?}");
    }
}

/// ⚠ §5: a voter that has just started grants nothing for the longest lease that it could have given: `keep-for`.
#[test]
fn a_voter_that_has_just_started_grants_nothing() {
    for forgets in [false, true] {
        let mut pair = Pair::new(3, Arbiter::Majority);
        pair.run(KEEP_FOR - INTERVAL);
        assert!((0..3).all(|i| pair.role(i) == Role::Backup), "{}", pair.story());
        assert!((0..3).all(|i| pair.core(i).groups[0].voter.granted(pair.now).is_none()));
        pair.run(SEC * 3);
        assert_eq!(pair.role(0), Role::Active);
        pair.kill(2);
        if forgets {
            pair.disks.remove(&2);
        }
        pair.start(2, config(3, 2, Arbiter::Majority));
        let started = pair.now;
        pair.run(KEEP_FOR - INTERVAL);
        assert!(pair.core(2).groups[0].voter.granted(pair.now).is_none());
        pair.run(INTERVAL * 3);
        assert!(pair.core(2).groups[0].voter.granted(pair.now).is_some());
        assert!(!pair.became(started, 0, Role::Backup));
    }
}

/// ⚠ §5: what was given in an earlier boot of the machine was given before its clock began. Whether it was is known from
/// the disk alone.
#[test]
fn the_wait_counts_from_the_boot_of_the_machine_if_it_is_another_one() {
    let now = Instant::from_millis(4_000);
    for (before, from) in [("an earlier boot", Instant::default()), ("this boot", now), ("", now)] {
        let persisted = Persisted { machine_boot: before.to_owned(), ..Persisted::default() };
        let start = Start {
            config: Arc::new(config(3, 0, Arbiter::Majority)),
            boot: BootId([1; 16]),
            seed: 1,
            persisted: Some(persisted),
            machine_boot: "this boot".to_owned(),
        };
        let mut core = Core::new(start, now);
        assert_eq!(core.groups[0].voter.quarantine_ends(), from + KEEP_FOR, "{before:?}");
        let mut actions = Actions::new();
        core.handle(now, Event::TimerExpired, &mut actions);
        let kept = actions.iter().find_map(|a| if let Action::Persist(p) = a { Some(&p.machine_boot) } else { None });
        assert_eq!(kept.map(String::as_str), Some("this boot"));
    }
}

/// §5: without a majority leadership is gone within the lease, and the address at once.
#[test]
fn a_holder_that_is_cut_off_takes_the_address_off_at_once() {
    let mut pair = settled();
    pair.partition(0, 1, true);
    pair.partition(0, 2, true);
    let cut = pair.now;
    pair.run(SEC * 5);
    let first = |what: &dyn Fn(usize, &Action) -> bool| {
        pair.log.iter().find(|(at, i, a)| *at >= cut && what(*i, a)).map(|(at, ..)| *at)
    };
    let dropped = first(&|i, a| i == 0 && matches!(a, Action::DropAddress { .. }));
    let lost = first(&|i, a| i == 0 && matches!(a, Action::Record(t) if t.cause == Cause::LeaseLost));
    let claimed = first(&|i, a| i != 0 && matches!(a, Action::Record(t) if t.to == Role::Claiming));
    let (dropped, lost, claimed) = (dropped.expect("dropped"), lost.expect("lost"), claimed.expect("claimed"));
    assert_eq!(dropped, lost);
    assert!(lost <= cut + LEASE && lost < claimed, "{:?} {:?}", lost.since(cut), claimed.since(cut));
}

/// ⚠ §7: a voter that hears of a handover keeps the grant for the successor alone.
#[test]
fn a_grant_that_is_handed_over_is_kept_for_the_successor() {
    let mut pair = settled();
    pair.cut.extend([(0, 1), (2, 1)]);
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: WEB, to }, request: 1 });
    pair.run(INTERVAL);
    for voter in [0, 2] {
        let given = pair.core(voter).groups[0].voter.granted(pair.now).copied();
        let given = given.unwrap_or_else(|| panic!("{voter}: the reservation stands"));
        assert_eq!((given.node, given.kept_for), (NodeIndex(0), to), "{voter}");
    }
    assert_eq!(right(&pair, 0), None);
}

/// ⚠ §7: the old node needs a new claim, and a majority for it, before it has leadership again.
#[test]
fn leadership_comes_back_from_a_failed_handover_with_a_majority_only() {
    let mut pair = settled();
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: WEB, to }, request: 1 });
    let since = pair.now;
    pair.kill(1);
    pair.kill(2);
    pair.run(SEC * 10);
    assert!(!pair.became(since, 0, Role::Claiming), "{}", pair.story());
    assert_eq!(pair.role(0), Role::Backup);
}

/// ⚠ §7: who leaves for a restart takes one long grant along, and returns as the same holder.
#[test]
fn a_restart_takes_a_long_grant_along() {
    let mut pair = settled();
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    let since = pair.now;
    pair.run(INTERVAL * 5);
    assert!(pair.nodes[0].is_none(), "as soon as it is granted: {}", pair.story());
    for voter in [1, 2] {
        assert!(pair.core(voter).groups[0].voter.granted(pair.now + SEC * 10).is_some(), "{voter}");
    }
    pair.run(SEC * 9);
    pair.start(0, config(3, 0, Arbiter::Majority));
    pair.run(SEC * 5);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    assert!([1, 2].iter().all(|i| !pair.became(since, *i, Role::Claiming)), "{}", pair.story());
}

/// §5, §7: the holder's own vote comes back with it. Without that one more node out of touch would cost leadership.
#[test]
fn a_restarted_holder_has_its_own_vote() {
    let mut pair = settled();
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    pair.run(SEC);
    pair.start(0, config(3, 0, Arbiter::Majority));
    pair.run(SEC);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    let since = pair.now;
    pair.partition(0, 1, true);
    pair.run(SEC * 20);
    assert!(!pair.became(since, 0, Role::Backup) && !pair.became(since, 1, Role::Claiming), "{}", pair.story());
}

/// ⚠ §5, §7: a voter that was stopped in order knows all that it gave, so even before its quarantine is over it follows
/// its owner's handover. Without that the successor had one vote too few, and lost leadership once the old owner was gone.
#[test]
fn a_restarted_voter_follows_a_handover() {
    for successor in [1, 2] {
        let mut pair = settled();
        pair.give(2, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
        pair.run(SEC);
        assert!(pair.nodes[2].is_none(), "{}", pair.story());
        pair.start(2, config(3, 2, Arbiter::Majority));
        pair.run(SEC * 3);
        let since = pair.now;
        let to = Some(NodeIndex(successor));
        pair.give(0, Event::Commanded { command: Command::Switchover { group: WEB, to }, request: 2 });
        pair.run(SEC);
        assert_eq!(pair.role(successor), Role::Active, "{}", pair.story());
        pair.give(0, Event::Commanded { command: Command::Stop { restart: false }, request: 3 });
        pair.run(SEC * 30);
        assert!(!pair.became(since, successor, Role::Backup), "{}", pair.story());
    }
}

/// §7: a holder that loses leadership while it leaves, leaves without it.
#[test]
fn who_loses_leadership_while_it_leaves_leaves_all_the_same() {
    for restart in [true, false] {
        let mut pair = settled();
        pair.give(0, Event::Commanded { command: Command::Stop { restart }, request: 1 });
        let cut = pair.now;
        pair.partition(0, 1, true);
        pair.partition(0, 2, true);
        pair.run(SEC * 12);
        assert!(pair.nodes[0].is_none(), "{}", pair.story());
        let dropped =
            |(at, i, a): &(Instant, usize, Action)| *at >= cut && *i == 0 && matches!(a, Action::DropAddress { .. });
        assert!(pair.log.iter().any(dropped) || !restart, "{}", pair.story());
        pair.run(SEC * 20);
        assert!([1, 2].iter().any(|i| pair.role(*i) == Role::Active), "{}", pair.story());
    }
}

/// ⚠ §8: who is refused, since the holder that it does not hear is alive, asks less and less often.
#[test]
fn a_claimant_that_is_refused_uses_up_few_epochs() {
    let mut pair = settled();
    pair.partition(0, 1, true);
    pair.run(SEC * 5);
    let (since, before) = (pair.now, pair.core(0).groups[0].epochs.ours());
    pair.run(SEC * 60);
    let used = pair.core(0).groups[0].epochs.ours().0 - before.0;
    assert!((2..120).contains(&used), "{used} epochs in a minute");
    assert!(!pair.became(since, 0, Role::Backup), "{}", pair.story());
    // Once it hears the holder again it is as quick as any other.
    pair.partition(0, 1, false);
    pair.run(SEC * 2);
    assert_eq!(pair.core(1).groups[0].candidacy.refusals(), 0);
    pair.kill(0);
    pair.run(SEC * 2);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

/// §4: whose claim fails frees its grants, its own vote for itself too, and the next in rank has leadership at once.
#[test]
fn a_claim_that_fails_frees_its_grants_at_once() {
    let mut pair = settled();
    pair.kill(0);
    let killed = pair.now;
    while pair.role(1) != Role::Claiming && pair.now < killed + SEC * 3 {
        pair.run(DELAY / 2);
    }
    pair.api.insert(1, call_error(ErrorClass::Refused, true));
    while pair.role(1) == Role::Claiming && pair.now < killed + SEC * 6 {
        pair.run(DELAY / 2);
    }
    assert_eq!(pair.role(1), Role::Fault, "{}", pair.story());
    let failed = pair.now;
    pair.run(LEASE / 4);
    assert!(pair.became(failed, 2, Role::Claiming), "{}", pair.story());
}

/// §7: a write that is under way is given up with the first datagram that says `Releasing`.
#[test]
fn a_write_is_given_up_with_a_handover() {
    let mut pair = settled();
    // Somebody else is master, so the next audit begins a repair.
    pair.bound.push("i-b".into());
    let until = pair.now + SEC * 3;
    while !pair.core(0).groups[0].reconcilers[0].is_writing() && pair.now < until {
        pair.run(DELAY / 2);
    }
    let actions = pair.give(0, Event::Commanded { command: Command::Stop { restart: false }, request: 1 });
    let told: Vec<&Action> = actions.iter().filter(|a| !matches!(a, Action::Persist(_))).collect();
    assert!(matches!(told[0], Action::CancelWrites { group: WEB }), "{told:?}");
    assert_eq!((pair.role(0), right(&pair, 0)), (Role::Releasing, None));
}

/// §7: a write that may yet be carried out is waited for before a planned move, a second at most: it would undo what the
/// successor does.
#[test]
fn a_planned_move_waits_for_a_write_that_is_on_its_way() {
    for hangs in [false, true] {
        let mut pair = settled();
        pair.bound.push("i-b".into());
        while !pair.core(0).groups[0].reconcilers[0].is_writing() {
            pair.run(DELAY / 2);
        }
        if hangs {
            pair.queue.retain(|(_, i, e)| *i != 0 || !matches!(e, Event::OperationEnded { .. }));
        }
        let (ordered, to) = (pair.now, Some(NodeIndex(1)));
        pair.give(0, Event::Commanded { command: Command::Switchover { group: WEB, to }, request: 1 });
        assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
        while pair.role(0) == Role::Active && pair.now < ordered + SEC * 3 {
            pair.run(DELAY / 2);
        }
        let waited = pair.now.since(ordered);
        let expected = if hangs { SEC - DELAY * 4..SEC + DELAY } else { DELAY / 2..DELAY * 4 };
        assert!(expected.contains(&waited), "{waited:?} {}", pair.story());
        pair.run(SEC);
        assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active), "{}", pair.story());
    }
}

/// ⚠ §5, I6: other lengths come to a cluster node by node, in any order, under maintenance: longer ones than a lease of
/// before lasts, and shorter ones than the interval of before. The holder keeps its leadership throughout, by reloads and by
/// restarts, and in the end all go by the new ones.
#[test]
fn other_lengths_come_under_maintenance() {
    for (interval, multiplier) in [(INTERVAL * 12, 10), (INTERVAL / 5, 4), (INTERVAL, 30)] {
        for (order, restarts) in [([2, 1, 0], false), ([0, 1, 2], false), ([1, 0, 2], true), ([0, 2, 1], true)] {
            let mut pair = settled();
            let since = pair.now;
            let told = |on| Command::Maintenance { group: None, on, lasts: None };
            pair.give(1, Event::Commanded { command: told(true), request: 1 });
            pair.run(INTERVAL);
            for node in order {
                let mut file = config(3, node, Arbiter::Majority);
                file.heartbeat.interval = interval;
                file.heartbeat.dead_multiplier = multiplier;
                if restarts {
                    pair.give(node, Event::Commanded { command: Command::Stop { restart: true }, request: 2 });
                    pair.run(SEC);
                    assert!(pair.nodes[node].is_none(), "{}", pair.story());
                    pair.start(node, file);
                } else {
                    pair.give(node, Event::ConfigReloaded(Arc::new(file)));
                }
                pair.run(SEC * 5);
                assert_eq!(pair.role(0), Role::Active, "{order:?} {}", pair.story());
            }
            let what = format!("{interval:?} × {multiplier} {order:?} {restarts}");
            // A voter has adopted the new file once it was heard with it for its dead time.
            pair.run(SEC * 12);
            pair.give(2, Event::Commanded { command: told(false), request: 3 });
            pair.run(SEC * 40);
            let lost = pair.became(since, 0, Role::Fault) || (!restarts && pair.became(since, 0, Role::Backup));
            assert!(!lost && pair.moves() == 0 && pair.role(0) == Role::Active, "{what} {}", pair.story());
            assert!((0..3).all(|i| !pair.core(i).groups[0].adoption.is_under_way()), "{what}");
            let until = right(&pair, 0).expect("it is active").since(pair.now);
            let lease = interval * multiplier;
            assert!(until > lease / 4 && until < lease, "{what}: the new lease is in use, {until:?}");
            let before = pair.now;
            pair.run(interval * 20);
            let sent = heartbeats(&pair, before, 0, 1).len();
            assert!((19..=21).contains(&sent), "{what}: and the new interval: {sent} in twenty");
        }
    }
}

/// ⚠ §5: a voter gives no lease that is longer than a file of its own says: after a crash it would not wait for it.
#[test]
fn a_voter_gives_no_longer_lease_than_its_own_file_says() {
    let mut pair = settled();
    let since = pair.now;
    let maintenance = Command::Maintenance { group: None, on: true, lasts: None };
    pair.give(1, Event::Commanded { command: maintenance, request: 1 });
    let mut file = config(3, 0, Arbiter::Majority);
    file.groups[0].keep_for = SEC * 120;
    pair.give(0, Event::ConfigReloaded(Arc::new(file)));
    pair.run(SEC * 3);
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 2 });
    pair.run(SEC);
    assert!(pair.nodes[0].is_none() && !pair.became(since, 0, Role::Backup), "{}", pair.story());
    for voter in [1, 2] {
        let given = |span| pair.core(voter).groups[0].voter.granted(pair.now + span).is_some();
        assert!(given(KEEP_FOR - SEC * 2) && !given(KEEP_FOR), "{voter}");
    }
    // The holder's address lasts no longer, either.
    let kept = pair.log.iter().rev().find_map(|(_, i, a)| match a {
        Action::PutAddress { lifetime, .. } if *i == 0 => Some(*lifetime),
        _ => None,
    });
    assert_eq!(kept, Some(Some(KEEP_FOR)), "{}", pair.story());
    // What asks for more all the same, by its own file alone, is not given it.
    let mut longer = config(3, 0, Arbiter::Majority);
    longer.heartbeat.dead_multiplier = 200;
    pair.disks.remove(&0);
    pair.start(0, longer);
    pair.run(SEC * 60);
    assert!([1, 2].iter().all(|i| pair.core(*i).groups[0].voter.granted(pair.now).is_none()), "{}", pair.story());
}

/// ⚠ §5: whatever a peer of the same digest asks for, a voter waits after a crash for what its own files say.
#[test]
fn a_lease_that_no_file_of_a_voter_knows_is_not_given() {
    let mut pair = settled();
    let core = pair.nodes[0].as_mut().expect("it runs");
    let mut file = Config::clone(&core.config);
    file.heartbeat.dead_multiplier = 2_000;
    core.config = Arc::new(file);
    pair.run(SEC * 3);
    for voter in [1, 2] {
        let given = pair.core(voter).groups[0].voter.granted(pair.now + KEEP_FOR);
        assert!(given.is_none(), "{voter}: {given:?}");
    }
}

/// ⚠ §3: a holder whose lease runs short takes no number beyond the one that a voter gave to another node.
#[test]
fn a_holder_does_not_outnumber_what_a_voter_gave_to_another() {
    for given in [false, true] {
        let mut pair = settled();
        let before = pair.core(0).groups[0].epochs.ours();
        let others = before.next();
        for voter in [1, 2] {
            pair.partition(0, voter, true);
        }
        // What was on its way is here.
        pair.run(DELAY * 2);
        let a = pair.nodes[0].as_mut().expect("it runs");
        a.groups[0].epochs.note(others);
        let successor = a.peers.tag(NodeIndex(1));
        let web = a.groups[0].tag;
        let entry = a.peers.of_mut(NodeIndex(2)).and_then(|c| c.entries.get_mut(&web)).expect("it speaks of the group");
        entry.grant = given.then_some(Grant { node: successor, boot: BootId([9; 16]), epoch: others, seq: 1 });
        // Until a moment before the lease is over.
        pair.run(LEASE * 8 / 10);
        assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
        assert_eq!(pair.core(0).groups[0].epochs.ours() > before, !given, "it renumbers if nobody has that number");
    }
}
