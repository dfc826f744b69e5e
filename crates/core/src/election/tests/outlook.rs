//! What a node says of tonight: who would take over, why the others would not, and how long it waits itself.

use super::*;
use crate::model::event::{Command, Reply};
use crate::status::{GroupSnapshot, Unfit};
use crate::wire::session::SessionState;

const SEC: Duration = Duration::from_secs(1);

fn group(pair: &Pair, i: usize) -> GroupSnapshot {
    pair.core(i).snapshot(pair.now).groups.remove(0)
}

/// What node `i` answers an operator.
fn reply(pair: &mut Pair, i: usize, command: Command) -> Result<String, String> {
    let actions = pair.give(i, Event::Commanded { command, request: 1 });
    let found = actions.into_iter().find_map(|a| if let Action::Reply { reply, .. } = a { Some(reply) } else { None });
    match found.expect("a reply") {
        Reply::Done(text) => Ok(text),
        Reply::Refused(text) | Reply::Elsewhere { text, .. } => Err(text),
    }
}

fn switchover(to: usize) -> Command {
    Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(to)) }
}

fn drain() -> Command {
    Command::Drain { group: None, on: true }
}

/// Runs until node `i` waits for something that these words are in; gives its state then.
fn until_waiting(pair: &mut Pair, i: usize, words: &str, patience: Duration) -> GroupSnapshot {
    let end = pair.now + patience;
    while pair.now < end {
        let g = group(pair, i);
        if g.waiting.contains(words) {
            return g;
        }
        pair.run(Duration::from_millis(10));
    }
    panic!("{words:?} never was in {:?}\n{}", group(pair, i).waiting, pair.story());
}

#[test]
fn every_node_knows_that_nobody_could_take_over() {
    let mut pair = Pair::new(3, Arbiter::Cloud);
    pair.run(SEC * 5);
    for i in 0..3 {
        let g = group(&pair, i);
        assert_eq!((g.successor.as_deref(), g.no_failover), (Some("b"), None), "node {i}");
    }
    assert_eq!(reply(&mut pair, 1, drain()).as_deref(), Ok("drained: stays ineligible"));
    pair.run(SEC);
    for i in 0..3 {
        let g = group(&pair, i);
        assert_eq!((g.successor.as_deref(), g.no_failover), (Some("c"), None), "node {i}");
    }
    pair.kill(2);
    pair.run(SEC * 2);
    let nobody = "nobody can take web over: b is drained, c is not heard";
    for i in 0..2 {
        let g = group(&pair, i);
        assert_eq!((g.successor, g.no_failover.as_deref()), (None, Some(nobody)), "node {i}");
    }
    assert_eq!(group(&pair, 0).members[1].unfit, Some(Unfit::Drained.into()));
    let said = reply(&mut pair, 0, switchover(1));
    assert_eq!(said.err().as_deref(), Some("b cannot take web over: it is drained"));
    let rehearse = Command::RehearseSwitchover { group: GroupIndex(0), to: None };
    assert_eq!(reply(&mut pair, 0, rehearse).err().as_deref(), Some(nobody));
    let said = reply(&mut pair, 0, drain());
    assert_eq!(said, Ok(format!("drained, but stays active until somebody can take over: {nobody}")));
}

#[test]
fn a_majority_that_would_be_lost_with_the_active_node_is_said() {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 33);
    assert_eq!(group(&pair, 0).no_failover, None);
    pair.kill(2);
    pair.run(SEC * 2);
    for i in 0..2 {
        let g = group(&pair, i);
        let why = g.no_failover.expect("b alone could not be elected");
        assert!(why.contains("without a only 1 of 3 nodes is left, which is no majority"), "{why}");
        assert_eq!(g.successor.as_deref(), Some("b"), "a planned move works");
    }
}

#[test]
fn a_drain_says_what_becomes_of_the_group() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 5);
    let maintain = |on| Command::Maintenance { group: None, on, lasts: None };
    assert!(reply(&mut pair, 0, maintain(true)).is_ok());
    let said = reply(&mut pair, 0, drain()).expect("done");
    assert!(said.contains("stays active: in maintenance; havipctl maintenance web off"), "{said}");
    assert_eq!(pair.role(0), Role::Active);
    assert!(reply(&mut pair, 0, maintain(false)).is_ok());
    pair.run(SEC);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    assert_eq!(reply(&mut pair, 1, drain()).err(), None);
    assert_eq!(reply(&mut pair, 0, Command::Drain { group: None, on: false }).as_deref(), Ok("eligible again"));
}

#[test]
fn nothing_is_drained_nor_moved_to_where_the_group_never_is() {
    let with_witness = |local| {
        let mut config = config(3, local, Arbiter::Majority);
        config.groups[0].members[2] = Member { node: NodeIndex(2), priority: 0, witness: true };
        config
    };
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), with_witness);
    pair.run(SEC * 33);
    let said = reply(&mut pair, 2, drain()).expect_err("refused");
    assert!(said.contains("this node is a witness of web"), "{said}");
    assert!(!group(&pair, 2).drained);
    let said = reply(&mut pair, 0, switchover(2));
    assert_eq!(said.err().as_deref(), Some("c cannot take web over: it is a witness"));
    let moved = reply(&mut pair, 0, drain());
    assert_eq!(moved.as_deref(), Ok("drained: hands over to b and stays ineligible"));
}

#[test]
fn a_node_that_is_a_member_no_more_forgets_maintenance() {
    let mut pair = Pair::new(3, Arbiter::Cloud);
    pair.run(SEC * 5);
    let maintain = |on| Command::Maintenance { group: None, on, lasts: None };
    assert!(reply(&mut pair, 0, maintain(true)).is_ok());
    pair.run(SEC);
    assert!(group(&pair, 2).maintenance);
    // The node that leaves is the first to know: the others go on telling it for a while.
    for i in [2, 1, 0] {
        let mut without = config(3, i, Arbiter::Cloud);
        without.groups[0].members.truncate(2);
        pair.give(i, Event::ConfigReloaded(Arc::new(without)));
        pair.run(SEC);
    }
    assert!(reply(&mut pair, 0, maintain(false)).is_ok());
    pair.run(SEC);
    let g = group(&pair, 2);
    assert_eq!((g.maintenance, g.member, g.no_failover), (false, false, None));
    assert_eq!(pair.core(2).groups[0].maintenance.number(), 0, "nor does it bring the old number back");
    assert_eq!(pair.disks[&2].groups["web"].maintenance, 0);
    let said = reply(&mut pair, 2, maintain(true)).expect_err("refused");
    assert!(said.contains("no member"), "{said}");
}

#[test]
fn a_start_says_how_long_it_waits_for_a_node_that_was_never_heard() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.kill(1);
    let g = until_waiting(&mut pair, 0, "b was not heard since the start", SEC);
    assert!((29_000..=30_000).contains(&g.waiting_ms.expect("known")), "{:?}", g.waiting_ms);
}

#[test]
fn who_goes_first_is_named_with_the_time_until_our_turn() {
    let mut pair = Pair::new(3, Arbiter::Cloud);
    pair.run(SEC * 5);
    pair.delay = Duration::from_millis(300);
    pair.run(SEC);
    pair.kill(0);
    let g = until_waiting(&mut pair, 2, "b goes first in rank", SEC * 3);
    assert!(g.waiting_ms.is_some_and(|ms| ms <= 1_000), "{:?}", g.waiting_ms);
}

#[test]
fn preempt_delay_is_counted_down_and_a_switchover_ends_the_promise() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 5);
    pair.kill(0);
    pair.run(SEC * 5);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    pair.run(SEC * 10);
    let g = until_waiting(&mut pair, 0, "b is active; this node goes first in rank, and waits for preempt-delay", SEC);
    assert!((15_000..=21_000).contains(&g.waiting_ms.expect("known")), "{:?}", g.waiting_ms);
    assert_eq!(g.epoch, group(&pair, 1).epoch, "the term is the active node's");
    pair.run(SEC * 30);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    assert!(reply(&mut pair, 0, switchover(1)).is_ok());
    pair.run(SEC * 6);
    let g = group(&pair, 0);
    assert_eq!((g.waiting.as_str(), g.waiting_ms, g.preemption_suspended), ("b is active", None, true));
    assert_eq!(group(&pair, 1).detail, "the cloud was read back to name this node");
    let detail = g.detail;
    assert!(detail.starts_with("b took over in ") && detail.ends_with(" ms"), "{detail}");
}

#[test]
fn holding_back_names_the_node_and_ends_with_reclaim_wait() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 5);
    pair.partition(0, 1, true);
    let g =
        until_waiting(&mut pair, 0, "the cloud gave the address to i-b (node b); waiting for new evidence", SEC * 60);
    assert!((290_000..=300_000).contains(&g.waiting_ms.expect("known")), "{:?}", g.waiting_ms);
}

#[test]
fn a_move_that_failed_says_what_the_other_node_did() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 5);
    assert!(group(&pair, 0).failed_move.is_none());
    pair.api.insert(1, call_error(ErrorClass::Refused, true));
    assert!(reply(&mut pair, 0, switchover(1)).is_ok());
    pair.run(SEC / 2);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    let failed = group(&pair, 0).failed_move.expect("it failed");
    assert_eq!((failed.to.as_str(), failed.reason.as_str()), ("b", "declined: it has just failed to claim it"));
    let g = group(&pair, 1);
    assert_eq!(
        (g.role, g.cause.clone(), g.waiting.as_str()),
        (Role::Fault, Cause::Denied.into(), "the next claim waits")
    );
    assert!(g.waiting_ms.is_some_and(|ms| ms > 0), "{g:?}");
    assert_eq!(g.members[1].unfit, Some(Unfit::ClaimFailed.into()), "it knows of itself, too");
    let why = group(&pair, 0).no_failover.expect("b is in fault");
    assert_eq!(why, "nobody can take web over: b has just failed to claim it");
    pair.api.clear();
    pair.run(SEC * 90);
    let failed = group(&pair, 1).failed_claim.expect("nothing has worked since");
    assert!(failed.cause == Cause::Denied && failed.text.contains("made up"), "{failed:?}");
    assert!(reply(&mut pair, 0, switchover(1)).is_ok(), "{:?}", group(&pair, 0));
    assert!(group(&pair, 0).failed_move.is_none(), "another move began");
    pair.run(SEC * 2);
    assert!(pair.role(1) == Role::Active && group(&pair, 1).failed_claim.is_none(), "{}", pair.story());
}

#[test]
fn a_spent_budget_says_when_there_is_another_move() {
    let two = |local| {
        let mut config = config(2, local, Arbiter::Cloud);
        config.groups[0].max_moves = 2;
        config
    };
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), two);
    pair.run(SEC * 5);
    assert!(reply(&mut pair, 0, switchover(1)).is_ok());
    pair.run(SEC * 100);
    assert_eq!(group(&pair, 0).budget_ms, None, "one of two");
    assert!(reply(&mut pair, 1, switchover(0)).is_ok());
    pair.run(SEC * 100);
    let (g, left) = (group(&pair, 0), group(&pair, 0).budget_ms.expect("spent"));
    assert_eq!(g.moves, 2);
    assert!((395_000..=402_000).contains(&left), "{left}: the first move leaves the window of 600 s");
    pair.run(Duration::from_millis(left));
    assert_eq!(group(&pair, 0).budget_ms, None);
}

#[test]
fn a_silent_peer_is_suspected_first_and_then_nothing_is_known_of_its_configuration() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 5);
    let peer = |pair: &Pair| pair.core(1).snapshot(pair.now).peers.remove(0);
    assert_eq!((peer(&pair).suspected, peer(&pair).same_digest), (false, Some(true)));
    pair.kill(0);
    pair.run(SEC / 2);
    assert_eq!((peer(&pair).suspected, peer(&pair).state), (true, SessionState::Up));
    pair.run(SEC);
    assert_eq!((peer(&pair).suspected, peer(&pair).state), (false, SessionState::Down));
    assert_eq!(peer(&pair).same_digest, None);
}

#[test]
fn the_end_of_a_vote_that_is_needed_is_told_before_it_happens() {
    let said = |pair: &Pair| {
        let warns =
            pair.log.iter().filter(|(_, _, a)| matches!(a, Action::Warn { text, .. } if text.contains("no majority")));
        warns.count()
    };
    let stop = |restart| Event::Commanded { command: Command::Stop { restart }, request: 9 };
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 40);
    pair.give(2, stop(false));
    pair.run(SEC * 20);
    assert_eq!((said(&pair), pair.role(0)), (0, Role::Active), "two of three are enough: {}", pair.story());
    let told = reply(&mut pair, 1, drain()).expect("drained");
    let expected = "drained: stays ineligible; keep it running: without this node only 1 of 3 voters of web is left, which is no \
                    majority: web is then active nowhere until another one is back";
    assert_eq!(told, expected);
    pair.give(1, stop(true));
    assert_eq!(said(&pair), 0, "a restart comes back");
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 40);
    pair.kill(2);
    pair.run(SEC * 20);
    pair.give(1, stop(false));
    assert_eq!(said(&pair), 1, "{}", pair.story());
}
