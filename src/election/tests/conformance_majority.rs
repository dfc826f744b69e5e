//! The rules of arbiter `majority` and of what leaves it, a case each. See `conformance`.

use super::conformance::heartbeats;
use super::*;
use crate::election::event::Command;

const SEC: Duration = Duration::from_secs(1);
/// Dead time and lease.
const LEASE: Duration = SEC;
const WEB: GroupIndex = GroupIndex(0);

fn settled() -> Pair {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 33);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

fn right(pair: &Pair, node: usize) -> Option<Instant> {
    pair.core(node).right_until(WEB, pair.clock(node))
}

/// ⚠ §3: asking is Backup; Claiming begins with the right.
#[test]
fn who_asks_is_backup_until_a_majority_has_granted() {
    let mut pair = settled();
    pair.kill(0);
    pair.kill(2);
    let since = pair.now;
    pair.run(SEC * 20);
    assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
    assert!(!pair.became(since, 1, Role::Claiming));
    let asked = pair.core(1).groups[0].timeline.iter().any(|s| s.what.contains("asks a majority"));
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
    assert!(pair.core(1).groups[0].voter.given(pair.now).is_none());
    assert!(pair.core(2).groups[0].voter.given(pair.now).is_some());
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

/// ⚠ §5: a voter that has just started grants nothing for the longest lease it ever gave.
#[test]
fn a_voter_that_has_just_started_grants_nothing() {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 30 - INTERVAL);
    assert!((0..3).all(|i| pair.role(i) == Role::Backup), "{}", pair.story());
    assert!((0..3).all(|i| pair.core(i).groups[0].voter.given(pair.now).is_none()));
    pair.run(SEC * 3);
    assert_eq!(pair.role(0), Role::Active);
    // With a record of the longest lease it waits for that.
    pair.kill(2);
    pair.start(2, config(3, 2, Arbiter::Majority));
    let started = pair.now;
    pair.run(LEASE - INTERVAL);
    assert!(pair.core(2).groups[0].voter.given(pair.now).is_none());
    pair.run(LEASE);
    assert!(pair.core(2).groups[0].voter.given(pair.now).is_some());
    assert!(!pair.became(started, 0, Role::Backup));
}

/// §5: without a majority the right is gone within the lease, and the address at once.
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
        let given = pair.core(voter).groups[0].voter.given(pair.now).copied();
        let given = given.unwrap_or_else(|| panic!("{voter}: the reservation stands"));
        assert_eq!((given.node, given.kept_for), (NodeIndex(0), to), "{voter}");
    }
    assert_eq!(right(&pair, 0), None);
}

/// ⚠ §7: the old node needs a new claim, and a majority for it, before it has the right again.
#[test]
fn the_right_comes_back_from_a_failed_handover_with_a_majority_only() {
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
    pair.give(1, Event::LeaseStored(SEC * 15));
    pair.give(2, Event::LeaseStored(SEC * 15));
    pair.give(0, Event::LeaseStored(SEC * 15));
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    let since = pair.now;
    pair.run(INTERVAL * 5);
    assert!(pair.nodes[0].is_none(), "as soon as it is granted: {}", pair.story());
    for voter in [1, 2] {
        assert!(pair.core(voter).groups[0].voter.given(pair.now + SEC * 10).is_some(), "{voter}");
    }
    pair.run(SEC * 9);
    pair.start(0, config(3, 0, Arbiter::Majority));
    pair.run(SEC * 5);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    assert!([1, 2].iter().all(|i| !pair.became(since, *i, Role::Claiming)), "{}", pair.story());
}

/// §5, §7: the holder's own vote comes back with it. Without that one more node out of touch would cost the right.
#[test]
fn a_restarted_holder_has_its_own_vote() {
    let mut pair = settled();
    (0..3).for_each(|i| drop(pair.give(i, Event::LeaseStored(SEC * 15))));
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    pair.run(SEC);
    pair.disks.get_mut(&0).expect("it was stopped in order").longest_lease = Some(SEC * 15);
    pair.start(0, config(3, 0, Arbiter::Majority));
    pair.run(SEC);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    let since = pair.now;
    pair.partition(0, 1, true);
    pair.run(SEC * 20);
    assert!(!pair.became(since, 0, Role::Backup) && !pair.became(since, 1, Role::Claiming), "{}", pair.story());
}

/// ⚠ §5, §7: a voter that was stopped in order knows all that it gave, so even before its quarantine is over it follows
/// its owner's handover. Without that the successor had one vote too few, and lost the right once the old owner was gone.
#[test]
fn a_restarted_voter_follows_a_handover() {
    for successor in [1, 2] {
        let mut pair = settled();
        (0..3).for_each(|i| drop(pair.give(i, Event::LeaseStored(SEC * 15))));
        pair.give(2, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
        pair.run(SEC);
        assert!(pair.nodes[2].is_none(), "{}", pair.story());
        pair.disks.get_mut(&2).expect("it was stopped in order").longest_lease = Some(SEC * 15);
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

/// ⚠ §1, §5, I6: a longer interval and the longer lease that goes with it come to a cluster node by node, in any
/// order, while the disks take their time: the holder keeps its right throughout.
#[test]
fn a_reload_to_a_longer_lease_keeps_the_right() {
    for order in [[2, 1, 0], [0, 1, 2], [1, 0, 2]] {
        let mut pair = settled();
        let since = pair.now;
        for node in order {
            let mut slower = config(3, node, Arbiter::Majority);
            // Longer than the lease before it lasts.
            slower.heartbeat.interval = INTERVAL * 12;
            pair.give(node, Event::ConfigReloaded(Arc::new(slower)));
            pair.run(SEC * 3);
            (0..3).for_each(|i| drop(pair.give(i, Event::LeaseStored(LEASE * 12))));
            pair.run(SEC * 7);
        }
        assert!(!pair.became(since, 0, Role::Backup), "{order:?} {}", pair.story());
        let later = pair.now + LEASE * 3;
        assert!(right(&pair, 0).is_some_and(|until| until > later), "{order:?}: the longer lease is in use");
        let before = pair.now;
        pair.run(SEC * 10);
        let sent = heartbeats(&pair, before, 0, 1).len();
        assert!((7..=12).contains(&sent), "{order:?}: and the longer interval, 1.2 s: {sent} in ten seconds");
    }
}

/// §7, I6: a voter that has yet to put the long lease on record goes on renewing the usual one.
#[test]
fn a_restart_waits_for_the_voters_records_with_the_right() {
    let mut pair = settled();
    pair.give(0, Event::LeaseStored(SEC * 15));
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    let since = pair.now;
    pair.run(LEASE * 3 / 2);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    [1, 2].iter().for_each(|i| drop(pair.give(*i, Event::LeaseStored(SEC * 15))));
    pair.run(LEASE / 2);
    assert!(pair.nodes[0].is_none(), "{}", pair.story());
    for voter in [1, 2] {
        assert!(pair.core(voter).groups[0].voter.given(pair.now + SEC * 10).is_some(), "{voter}");
    }
    assert!(!pair.became(since, 0, Role::Backup), "{}", pair.story());
}

/// §7: a holder that loses the right while it leaves, leaves without it.
#[test]
fn who_loses_the_right_while_it_leaves_leaves_all_the_same() {
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
    let (since, before) = (pair.now, pair.core(0).groups[0].epoch);
    pair.run(SEC * 60);
    let used = pair.core(0).groups[0].epoch.0 - before.0;
    assert!((2..120).contains(&used), "{used} epochs in a minute");
    assert!(!pair.became(since, 0, Role::Backup), "{}", pair.story());
    // Once it hears the holder again it is as quick as any other.
    pair.partition(0, 1, false);
    pair.run(SEC * 2);
    assert_eq!(pair.core(1).groups[0].refusals, 0);
    pair.kill(0);
    pair.run(SEC * 2);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

/// §4: whose claim fails frees its grants, its own vote for itself too, and the next in rank has the right at once.
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
    while !pair.core(0).groups[0].loops[0].is_writing() && pair.now < until {
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
        while !pair.core(0).groups[0].loops[0].is_writing() {
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

/// §5: a voter with a long interval answers an asker with a short lease at once, several of them too: a shorter interval
/// comes to one node after the other.
#[test]
fn short_leases_are_renewed_by_voters_with_a_long_interval() {
    let slow = |local: usize| {
        let mut config = config(5, local, Arbiter::Majority);
        config.heartbeat.interval = SEC;
        config.heartbeat.dead_multiplier = 5;
        let mut other = config.groups[0].clone();
        other.name = "db".parse().expect("a name");
        config.groups.push(other);
        config
    };
    let mut pair = Pair::with(5, Instant::from_millis(1_000_000), slow);
    pair.run(SEC * 60);
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(1), to }, request: 1 });
    pair.run(SEC * 10);
    let since = pair.now;
    for i in 0..2 {
        let mut quick = slow(i);
        quick.heartbeat.interval = INTERVAL;
        quick.heartbeat.dead_multiplier = 3;
        pair.give(i, Event::ConfigReloaded(Arc::new(quick)));
        pair.run(SEC * 10);
    }
    let lost = (0..2).any(|i| pair.became(since, i, Role::Backup));
    let has = |i: usize| pair.core(i).groups[i].role;
    assert!(!lost && has(0) == Role::Active && has(1) == Role::Active, "{}", pair.story());
}

/// Two nodes that each have a right and a vote answer each other's asks, not each other's answers.
#[test]
fn answers_are_not_answered_for_ever() {
    let with = |local: usize| {
        let mut config = config(3, local, Arbiter::Majority);
        config.heartbeat.dead_multiplier = 3;
        let mut other = config.groups[0].clone();
        other.name = "db".parse().expect("a name");
        config.groups.push(other);
        config
    };
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), with);
    pair.run(SEC * 40);
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(1), to }, request: 1 });
    pair.run(SEC * 5);
    let since = pair.now;
    pair.run(SEC * 10);
    let sent = pair.log.iter().filter(|(at, _, a)| *at > since && matches!(a, Action::SendDatagram { .. })).count();
    // Three nodes say their word to two others a hundred times, and answer each of the two askers as often at most.
    let (regular, answers) = (3 * 2 * 100, 2 * 2 * 100);
    assert!(sent <= regular + answers + 20, "{sent}");
}
