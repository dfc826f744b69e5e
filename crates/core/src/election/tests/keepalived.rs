//! Arbiter `keepalived`: whose word counts, when it is used up, and what ends that.

use super::*;
use crate::model::event::{Command, Reply};
use crate::model::leader::{LeaderReport, VrrpReport, VrrpSource};
use crate::model::vrrp::State;

fn pair() -> Pair {
    let mut pair = Pair::new(2, Arbiter::Keepalived);
    pair.run(Duration::from_secs(2));
    pair
}

fn say(pair: &mut Pair, node: usize, state: State, decided: bool) {
    let report = LeaderReport::Keepalived(VrrpReport { state, decided, source: VrrpSource::Notify });
    pair.give(node, Event::LeaderReported { group: GroupIndex(0), report });
}

/// keepalived decides.
fn elect(pair: &mut Pair, node: usize, state: State) {
    say(pair, node, state, true);
}

/// `a` is MASTER and active.
fn settled() -> Pair {
    let mut pair = pair();
    elect(&mut pair, 1, State::Backup);
    elect(&mut pair, 0, State::Master);
    pair.run(Duration::from_secs(10));
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup));
    pair
}

/// Every change of role, for a failing test to show.
fn changes(pair: &Pair) -> String {
    let records = pair.log.iter().filter(|(_, _, a)| matches!(a, Action::Record(_)));
    records.map(|(at, i, a)| format!("{at:?} {i} {a:?}\n")).collect()
}

fn roles(pair: &Pair) -> (Role, Role) {
    (pair.role(0), pair.role(1))
}

#[test]
fn nobody_claims_before_keepalived_has_said_anything() {
    let mut pair = pair();
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Backup, Role::Backup));
    assert!(pair.bound.is_empty());
    assert!(pair.core(0).groups[0].candidacy.waiting().text.contains("has not told its state of web"));
}

#[test]
fn master_claims_at_once_and_backup_lets_go_at_once() {
    let mut pair = settled();
    assert_eq!(pair.bound, ["i-a"]);
    let at = pair.now;
    elect(&mut pair, 0, State::Backup);
    elect(&mut pair, 1, State::Master);
    assert_eq!(roles(&pair), (Role::Backup, Role::Claiming), "without a wait");
    let wrote = pair.log.iter().filter(|(when, i, a)| *when >= at && *i == 1 && matches!(a, Action::Write(_))).count();
    assert_eq!(wrote, 1, "and without a read first");
    pair.run(Duration::from_secs(1));
    assert_eq!((roles(&pair), &pair.bound[..]), ((Role::Backup, Role::Active), &["i-b".to_owned()][..]));
    assert_eq!(pair.causes(0).last(), Some(&Cause::VrrpBackup));
}

#[test]
fn a_new_master_does_not_wait_for_the_old_ones_word() {
    let mut pair = settled();
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_millis(20));
    assert_eq!(roles(&pair), (Role::Backup, Role::Active), "{}", changes(&pair));
    elect(&mut pair, 0, State::Backup);
    pair.run(Duration::from_secs(60));
    assert_eq!((roles(&pair), &pair.bound[..]), ((Role::Backup, Role::Active), &["i-b".to_owned()][..]));
}

#[test]
fn fault_stop_and_deleted_take_leadership_and_say_why() {
    for state in [State::Fault, State::Stop, State::Deleted] {
        let mut pair = settled();
        elect(&mut pair, 0, state);
        assert_eq!(pair.role(0), Role::Fault, "{state}");
        assert_eq!(pair.causes(0).last(), Some(&Cause::VrrpFault));
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.core(0).groups[0].reconcilers[0].address.present, Some(false), "{state}");
        elect(&mut pair, 0, State::Backup);
        assert_eq!(pair.role(0), Role::Backup);
        elect(&mut pair, 0, State::Master);
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.role(0), Role::Active);
    }
}

/// ⚠ Both MASTER while the daemons hear each other: the last decision counts, once; then the other side lets go, and
/// the one that keepalived keeps follows without another word.
#[test]
fn a_split_of_vrrp_is_no_tug_of_war_and_ends_with_its_winner() {
    for winner in [0, 1] {
        let mut pair = settled();
        elect(&mut pair, 1, State::Master);
        pair.run(Duration::from_secs(200));
        assert_eq!(roles(&pair), (Role::Backup, Role::Active));
        assert_eq!(pair.moves(), 1, "{}", changes(&pair));
        assert!(
            pair.core(0).groups[0].candidacy.waiting().text.contains("b is active"),
            "{}",
            pair.core(0).groups[0].candidacy.waiting().text
        );
        elect(&mut pair, 1 - winner, State::Backup);
        pair.run(Duration::from_secs(2));
        assert_eq!((pair.role(winner), pair.role(1 - winner)), (Role::Active, Role::Backup), "{}", changes(&pair));
        assert_eq!(pair.bound, [["i-a"], ["i-b"]][winner]);
        pair.run(Duration::from_secs(30));
        assert_eq!(pair.moves(), 1 + (1 - winner));
    }
}

/// The same with the heartbeats cut, too: the cloud's record decides, and one move per wait is the most.
#[test]
fn in_a_partition_the_record_supersedes_and_the_end_follows_the_winner() {
    for winner in [0, 1] {
        let mut pair = settled();
        pair.partition(0, 1, true);
        pair.run(Duration::from_secs(3));
        elect(&mut pair, 1, State::Master);
        pair.run(Duration::from_secs(60));
        assert_eq!(roles(&pair), (Role::Backup, Role::Active), "{}", changes(&pair));
        assert_eq!(pair.causes(0).last(), Some(&Cause::Superseded));
        pair.run(Duration::from_secs(200));
        assert_eq!(pair.moves(), 1, "{}", changes(&pair));
        pair.run(Duration::from_secs(120));
        assert_eq!(pair.moves(), 2, "the reclaim wait is over");
        assert_eq!(roles(&pair), (Role::Active, Role::Backup), "{}", changes(&pair));
        // Both networks heal; keepalived tells only the one that changes.
        pair.partition(0, 1, false);
        elect(&mut pair, 1 - winner, State::Backup);
        pair.run(Duration::from_secs(10));
        assert_eq!((pair.role(winner), pair.role(1 - winner)), (Role::Active, Role::Backup), "{}", changes(&pair));
        assert_eq!(pair.bound, [["i-a"], ["i-b"]][winner]);
    }
}

/// keepalived's own word that it stays is a new decision.
#[test]
fn a_winner_that_says_so_claims_while_the_other_is_still_active() {
    let mut pair = settled();
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Backup, Role::Active));
    say(&mut pair, 0, State::Master, false);
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Backup, Role::Active), "a priority is no decision");
    elect(&mut pair, 0, State::Master);
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Active, Role::Backup));
    assert_eq!(pair.moves(), 2);
}

#[test]
fn a_restarted_daemon_resumes_on_a_state_that_was_kept() {
    let mut pair = settled();
    let epoch = pair.core(0).groups[0].epochs.ours();
    pair.kill(0);
    pair.run(Duration::from_millis(300));
    pair.start(0, config(2, 0, Arbiter::Keepalived));
    say(&mut pair, 0, State::Master, false);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.role(0), Role::Active, "{}", changes(&pair));
    assert_eq!(pair.causes(0)[pair.causes(0).len() - 2..], [Cause::Resumed, Cause::Confirmed]);
    assert!(pair.core(0).groups[0].epochs.ours() > epoch);
    assert_eq!(pair.moves(), 0);
}

/// ⚠ A state that was kept is an old decision: it takes nothing from a node that is active.
#[test]
fn a_restart_in_a_split_takes_nothing() {
    for heard in [true, false] {
        let mut pair = settled();
        pair.partition(0, 1, !heard);
        pair.run(Duration::from_millis(300));
        elect(&mut pair, 1, State::Master);
        pair.run(Duration::from_secs(30));
        assert_eq!(roles(&pair), (Role::Backup, Role::Active));
        pair.kill(0);
        pair.run(Duration::from_secs(2));
        pair.start(0, config(2, 0, Arbiter::Keepalived));
        say(&mut pair, 0, State::Master, false);
        pair.run(Duration::from_secs(120));
        assert_eq!(roles(&pair), (Role::Backup, Role::Active), "{}", changes(&pair));
        assert_eq!(pair.moves(), 1);
    }
}

#[test]
fn a_master_that_was_decided_while_the_daemon_was_down_counts() {
    let mut pair = settled();
    pair.kill(1);
    pair.run(Duration::from_secs(1));
    pair.kill(0);
    pair.start(1, config(2, 1, Arbiter::Keepalived));
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.role(1), &pair.bound[..]), (Role::Active, &["i-b".to_owned()][..]), "{}", changes(&pair));
}

#[test]
fn keepalived_elects_and_operators_are_told() {
    let mut pair = settled();
    for command in [
        Command::Switchover { group: GroupIndex(0), to: None },
        Command::RehearseSwitchover { group: GroupIndex(0), to: Some(NodeIndex(1)) },
        Command::Drain { group: None, on: true },
    ] {
        let actions = pair.give(0, Event::Commanded { command: command.clone(), request: 9 });
        let refused = actions.iter().any(|a| match a {
            Action::Reply { reply: Reply::Refused(why), .. } => why.contains("keepalived elects"),
            _ => false,
        });
        assert!(refused, "{command:?}: {actions:?}");
    }
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Active, Role::Backup));
}

/// Who would take over is keepalived's to know: a daemon that is dead beside a living keepalived is no reason to page anybody.
#[test]
fn who_would_take_over_is_not_foretold() {
    let mut pair = settled();
    pair.kill(1);
    pair.run(Duration::from_secs(10));
    let foretold = |pair: &Pair| pair.core(0).snapshot(pair.now).groups[0].no_failover.clone();
    assert_eq!((pair.role(0), foretold(&pair)), (Role::Active, None));
    // The same two nodes by the cloud's record.
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(10));
    pair.kill(1);
    pair.run(Duration::from_secs(10));
    assert!(foretold(&pair).is_some_and(|why| why.contains("nobody can take web over")), "{:?}", foretold(&pair));
}

#[test]
fn a_stop_keeps_the_address_and_hands_over_to_nobody() {
    let mut pair = settled();
    pair.give(0, Event::Commanded { command: Command::Stop { restart: false }, request: 9 });
    pair.run(Duration::from_secs(3));
    assert!(pair.nodes[0].is_none(), "it has left");
    pair.run(Duration::from_secs(60));
    assert_eq!((pair.role(1), &pair.bound[..]), (Role::Backup, &["i-a".to_owned()][..]));
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.role(1), &pair.bound[..]), (Role::Active, &["i-b".to_owned()][..]));
}

#[test]
fn maintenance_freezes_whatever_keepalived_does() {
    let mut pair = settled();
    pair.give(0, Event::Commanded { command: Command::Maintenance { group: None, on: true, lasts: None }, request: 9 });
    pair.run(Duration::from_secs(1));
    elect(&mut pair, 0, State::Stop);
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Active, Role::Backup), "{}", changes(&pair));
    pair.give(
        0,
        Event::Commanded { command: Command::Maintenance { group: None, on: false, lasts: None }, request: 9 },
    );
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Fault, Role::Active), "{}", changes(&pair));
}

/// Two that become MASTER at once, neither heard nor read before: one persists.
#[test]
fn of_two_masters_at_once_one_stays() {
    let mut pair = pair();
    pair.partition(0, 1, true);
    pair.run(Duration::from_secs(3));
    elect(&mut pair, 0, State::Master);
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_secs(60));
    let (a, b) = roles(&pair);
    assert!((a == Role::Active) != (b == Role::Active), "{a} {b} {}", changes(&pair));
    assert!(pair.moves() <= 1, "{}", changes(&pair));
}

/// I9: two nodes that are active and hear each other through a third only do not drive their epochs up without end.
#[test]
fn two_that_hear_of_each_other_take_one_number_a_dead_time() {
    let mut pair = Pair::new(3, Arbiter::Keepalived);
    pair.run(Duration::from_secs(2));
    elect(&mut pair, 0, State::Master);
    pair.run(Duration::from_secs(10));
    // VRRP is split, too, and the cloud falls silent before it names the second one to the first.
    pair.partition(0, 1, true);
    elect(&mut pair, 1, State::Master);
    pair.run(Duration::from_millis(20));
    pair.unanswered.extend([0, 1]);
    pair.run(Duration::from_secs(3));
    assert_eq!(roles(&pair), (Role::Active, Role::Active), "{}", changes(&pair));
    let before = pair.core(0).groups[0].epochs.ours();
    pair.run(Duration::from_secs(20));
    let taken = pair.core(0).groups[0].epochs.ours().0 - before.0;
    assert!((1..=42).contains(&taken), "{taken} in 20 dead times, for two nodes");
}
