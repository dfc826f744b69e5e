//! The rules of election.md that answer an execution which broke an earlier draft, a case each; those of
//! arbiter `majority` are next door, those of sessions and of a single vote with their modules.
//! `tests/mutants/run` breaks each rule and expects its case to fail.

use super::*;
use crate::model::event::Command;
use crate::model::ids::Epoch;
use crate::wire::auth::KeyRing;
use crate::wire::heartbeat::decode;
use crate::wire::{Datagram, Heartbeat as Word};

const SEC: Duration = Duration::from_secs(1);
const DEAD_TIME: Duration = SEC;

pub(super) fn settled(nodes: usize, arbiter: Arbiter) -> Pair {
    let mut pair = Pair::new(nodes, arbiter);
    pair.run(SEC * 10);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

/// The heartbeats that `from` sent to `to` since `since`, by the instant they left.
pub(super) fn heartbeats(pair: &Pair, since: Instant, from: usize, to: usize) -> BTreeMap<Instant, Vec<Word>> {
    let config = pair.core(from).config();
    let keys = KeyRing::new(&config.heartbeat.keys, config.heartbeat.send_key);
    let mut all: BTreeMap<Instant, Vec<Word>> = BTreeMap::new();
    for (at, i, action) in &pair.log {
        let Action::SendDatagram { to: address, bytes, .. } = action else { continue };
        if *i == from && *at >= since && *address == config.node(NodeIndex(to)).addresses[0] {
            let Ok(Datagram::Heartbeat(word)) = decode(bytes, &keys, &config.cluster) else { panic!("a heartbeat") };
            all.entry(*at).or_default().push(word);
        }
    }
    all
}

/// ⚠ §1: what a node holds is in every heartbeat, in several datagrams if need be.
#[test]
fn every_heartbeat_names_all_that_is_held() {
    const GROUPS: usize = 60;
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), |local| {
        let mut config = config(2, local, Arbiter::Cloud);
        let group = |n: usize| Group { name: format!("g{n}").parse().expect("valid"), ..config.groups[0].clone() };
        config.groups = (0..GROUPS).map(group).collect();
        config
    });
    pair.run(SEC * 10);
    let since = pair.now;
    pair.run(SEC * 2);
    let sent = heartbeats(&pair, since, 0, 1);
    assert!(sent.len() >= 20);
    for (at, words) in sent {
        let active = words.iter().flat_map(|w| &w.entries).filter(|e| e.role == Role::Active).count();
        assert_eq!(active, GROUPS, "{at:?}, {} datagrams", words.len());
    }
}

/// A cluster with so many groups; `preferred` says who goes first in each.
fn many_groups(nodes: usize, count: usize, preferred: impl Fn(usize) -> usize) -> Pair {
    let mut pair = Pair::with(nodes, Instant::from_millis(1_000_000), |local| {
        let mut config = config(nodes, local, Arbiter::Cloud);
        let usual = config.groups[0].clone();
        let group = |n: usize| {
            let mut group = Group { name: format!("g{n}").parse().expect("valid"), ..usual.clone() };
            group.members[preferred(n)].priority = 200;
            group
        };
        config.groups = (0..count).map(group).collect();
        config
    });
    pair.run(SEC * 10);
    pair
}

/// ⚠ §1: what a node does not hold is told of too, within some heartbeats, however much it holds.
#[test]
fn every_group_is_told_of_however_many_are_held() {
    const GROUPS: usize = 60;
    let mut pair = many_groups(2, GROUPS, |n| usize::from(n < 6));
    let held = pair.core(0).groups.iter().filter(|g| g.role() == Role::Active).count();
    assert_eq!(held, GROUPS - 6, "{}", pair.story());
    let since = pair.now;
    pair.run(SEC);
    let told: BTreeSet<_> =
        heartbeats(&pair, since, 0, 1).into_values().flatten().flat_map(|w| w.entries).map(|e| e.group.0).collect();
    assert_eq!(told.len(), GROUPS);
}

/// ⚠ §4: that a live member which has not spoken of a group yet is not known to be active in it proves nothing.
#[test]
fn a_group_that_a_live_member_has_not_told_of_is_not_vacant() {
    let mut pair = settled(2, Arbiter::Cloud);
    // It has just started anew, and its first datagram had no room for this group.
    pair.partition(0, 1, true);
    pair.bound.clear();
    // What was on its way is here.
    pair.run(DELAY * 2);
    let since = pair.now;
    let b = pair.nodes[1].as_mut().expect("it runs");
    b.peers.iter_mut().for_each(|peer| peer.entries.clear());
    pair.give(1, Event::TimerExpired);
    pair.run(DEAD_TIME - INTERVAL * 2);
    assert!(!pair.became(since, 1, Role::Claiming), "{}", pair.story());
    let why = &pair.core(1).groups[0].candidacy.waiting().text;
    assert!(why.contains("has not said anything of this group yet"), "{why}");
}

/// ⚠ §3: a holder that hears of a higher epoch which nobody is active with takes the next one, and nothing moves.
#[test]
fn a_higher_epoch_without_an_owner_is_no_reason_to_yield() {
    let mut pair = settled(2, Arbiter::Cloud);
    let since = pair.now;
    let b = pair.nodes[1].as_mut().expect("it runs");
    b.groups[0].epochs.note(Epoch(49));
    b.groups[0].epochs.take_next();
    pair.run(SEC);
    assert_eq!((pair.role(0), pair.core(0).groups[0].epochs.ours()), (Role::Active, Epoch(51)), "{}", pair.story());
    assert!(!pair.became(since, 0, Role::Backup));
}

/// §3: epochs are reserved on disk ahead of use: a start after a crash begins above all that was used.
#[test]
fn a_start_begins_above_every_epoch_of_the_run_before() {
    let mut pair = settled(2, Arbiter::Cloud);
    let before = pair.core(0).groups[0].epochs.ours();
    for i in [0, 1] {
        pair.kill(i);
    }
    for i in [0, 1] {
        pair.start(i, config(2, i, Arbiter::Cloud));
    }
    pair.run(SEC * 10);
    assert!(pair.core(0).groups[0].epochs.ours() > before, "{before}");
}

/// ⚠ §4: ranks are waited for, one dead time each; after k without a claim the k-th has its turn.
#[test]
fn the_kth_in_rank_has_its_turn_after_k_dead_times() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 5);
    assert!(!pair.became(Instant::default(), 1, Role::Claiming), "{}", pair.story());
    // The first in rank is alive, eligible, and never gets the cloud's word.
    let mut pair = Pair::new(3, Arbiter::Cloud);
    pair.queue.clear();
    pair.unanswered.insert(0);
    pair.run(SEC * 10);
    assert_eq!((pair.role(0), pair.role(1), pair.role(2)), (Role::Backup, Role::Active, Role::Backup));
}

/// ⚠ §4: a holder that reports to be isolated has no leadership and blocks nobody.
#[test]
fn an_isolated_holder_blocks_nobody() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.cut.insert((1, 0));
    pair.api.insert(0, CallError { status: None, ..call_error(ErrorClass::Retry, false) });
    pair.run(SEC * 30);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    assert_eq!(pair.bound, ["i-b"]);
}

/// ⚠ §4: after a start a holder that the cloud names and that was never heard is left alone for `reclaim-wait`.
#[test]
fn a_start_leaves_a_holder_that_was_never_heard_alone() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.kill(0);
    pair.bound = vec!["i-a".into()];
    pair.run(SEC * 300);
    assert_eq!((pair.role(1), pair.bound.as_slice()), (Role::Backup, ["i-a".to_owned()].as_slice()));
    pair.run(SEC * 60);
    assert_eq!((pair.role(1), pair.bound.as_slice()), (Role::Active, ["i-b".to_owned()].as_slice()));
}

/// §4: a peer that was not heard since our start counts as live until the cold-start wait is over.
#[test]
fn a_start_waits_for_peers_that_were_not_heard() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.kill(0);
    pair.run(SEC * 30 - INTERVAL);
    assert_eq!(pair.role(1), Role::Backup);
    pair.run(SEC);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

/// ⚠ §4: a daemon that restarts and that the cloud still names goes on without a wait.
#[test]
fn a_restarted_holder_that_the_cloud_names_resumes() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.kill(1);
    pair.kill(0);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    let since = pair.now;
    pair.run(SEC * 2);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    assert!(pair.causes(0).contains(&Cause::Resumed));
    let wrote = pair.log.iter().any(|(at, i, a)| *at >= since && *i == 0 && matches!(a, Action::Write(_)));
    assert!(!wrote, "{}", pair.story());
}

/// ⚠ §5: of two claims at once the first by priority and name persists, the other yields.
#[test]
fn of_two_rivals_the_first_by_priority_persists() {
    for (node, rival, role) in [(0, "i-b", Role::Active), (1, "i-a", Role::Backup)] {
        let mut pair = Pair::new(2, Arbiter::Cloud);
        pair.kill(1 - node);
        while !pair.log.iter().any(|(_, i, a)| *i == node && matches!(a, Action::Write(_))) {
            pair.run(Duration::from_millis(1));
        }
        // The other one's attach lands right after ours.
        pair.bound = vec![rival.into()];
        pair.run(SEC * 20);
        assert_eq!(pair.role(node), role, "{}", pair.story());
        assert_eq!(pair.causes(node).contains(&Cause::LostRace), role == Role::Backup);
        assert_eq!(pair.bound.last().map(String::as_str), Some("i-a"));
    }
}

/// ⚠ §5: two reads a second apart supersede a holder, one does not, and none within five seconds of its own write.
#[test]
fn two_reads_supersede_and_none_right_after_a_write_of_ours() {
    let alone = || {
        let mut pair = settled(2, Arbiter::Cloud);
        pair.api.insert(1, call_error(ErrorClass::Retry, false));
        pair.partition(0, 1, true);
        pair.run(SEC * 10);
        assert_eq!(pair.role(0), Role::Active);
        pair
    };
    let mut pair = alone();
    pair.bound = vec!["i-b".into()];
    while pair.core(0).groups[0].reconcilers[0].holder() != Some("i-b") {
        pair.run(Duration::from_millis(10));
    }
    pair.bound = vec!["i-a".into()];
    pair.run(SEC * 3);
    assert!(!pair.causes(0).contains(&Cause::Superseded), "one read: {}", pair.story());
    assert_eq!(pair.role(0), Role::Active);
    pair.bound = vec!["i-b".into()];
    pair.run(SEC * 4);
    assert_eq!(pair.causes(0).last(), Some(&Cause::Superseded), "two reads: {}", pair.story());

    let mut pair = alone();
    pair.bound.clear();
    let since = pair.now;
    let wrote = |p: &Pair| p.log.iter().any(|(at, i, a)| *at >= since && *i == 0 && matches!(a, Action::Write(_)));
    while !wrote(&pair) {
        pair.run(Duration::from_millis(50));
    }
    pair.run(Duration::from_millis(10));
    pair.bound = vec!["i-b".into()];
    pair.run(SEC * 9 / 2);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair.run(SEC * 4);
    assert_eq!(pair.causes(0).last(), Some(&Cause::Superseded));
}

/// ⚠ §6: every effect carries the deadline of its leadership, at most a dead time ahead, and the address a lifetime.
#[test]
fn every_effect_carries_the_deadline_of_leadership() {
    let pair = settled(2, Arbiter::Cloud);
    let mut seen = [0; 4];
    for (at, _, action) in &pair.log {
        let (kind, until) = match action {
            Action::Write(write) => (0, write.leadership_until),
            Action::PutAddress { leadership_until, lifetime, .. } => {
                assert_eq!(*lifetime, Some(SEC * 2));
                (1, *leadership_until)
            }
            Action::Announce { leadership_until, .. } => (2, *leadership_until),
            // What a host sends after it stood still is no news of who has leadership.
            Action::SendDatagram { until, .. } => (3, *until),
            _ => continue,
        };
        seen[kind] += 1;
        assert!(*at < until && until <= *at + DEAD_TIME, "{action:?}");
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
}

/// ⚠ §6: a node that loses leadership gives its writes up before anything else.
#[test]
fn a_write_is_given_up_with_leadership() {
    let mut pair = Pair::new(1, Arbiter::Majority);
    pair.run(SEC * 14);
    pair.unanswered.insert(0);
    pair.run(SEC * 3 / 2);
    assert!(pair.log.iter().any(|(.., a)| matches!(a, Action::Write(_))), "{}", pair.story());
    pair.now += SEC * 2;
    let actions = pair.give(0, Event::TimerExpired);
    let told: Vec<&Action> = actions.iter().filter(|a| !matches!(a, Action::Persist(_))).collect();
    assert!(matches!(told[0], Action::CancelWrites { group: GroupIndex(0) }), "{told:?}");
    assert!(matches!(told[1], Action::Record(t) if t.to == Role::Backup), "{told:?}");
}

/// ⚠ §6: a write of another node that lands late is found by the audits, and repaired.
#[test]
fn a_write_that_lands_late_is_found_by_an_audit() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.run(SEC * 61);
    pair.bound.push("i-b".into());
    pair.run(SEC * 31);
    assert_eq!((pair.role(0), pair.bound.as_slice()), (Role::Active, ["i-a".to_owned()].as_slice()));
    assert_eq!(pair.moves(), 0);
}

/// ⚠ §7: from its first word that it releases the old node has no leadership, and keeps the address without acting.
#[test]
fn a_releasing_node_keeps_the_address_and_does_nothing_else() {
    let mut pair = settled(2, Arbiter::Cloud);
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(0), to }, request: 1 });
    let since = pair.now;
    assert_eq!(pair.role(0), Role::Releasing);
    assert_eq!(pair.core(0).leadership_until(GroupIndex(0), pair.now), None);
    pair.run(SEC * 3);
    let own = pair.log.iter().filter(|(at, i, _)| *at >= since && *i == 0);
    let acts = own.filter(|(_, _, a)| matches!(a, Action::Write(_) | Action::Announce { .. })).count();
    assert_eq!((acts, pair.role(1)), (0, Role::Active), "{}", pair.story());
}

/// §8: beyond `max-moves` there is no preemption.
#[test]
fn the_budget_of_moves_ends_preemption() {
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), |local| {
        let mut config = config(2, local, Arbiter::Cloud);
        config.groups[0].max_moves = 1;
        config
    });
    pair.run(SEC * 5);
    pair.kill(0);
    pair.run(SEC * 5);
    assert_eq!(pair.role(1), Role::Active);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    pair.run(SEC * 120);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active), "{}", pair.story());
}

/// §8: planned moves that fail are moves there and back: a better-ranked node that can never serve is not tried without end.
#[test]
fn planned_moves_that_fail_are_counted() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.kill(0);
    pair.run(SEC * 5);
    pair.unanswered.insert(0);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    let since = pair.now;
    pair.run(SEC * 550);
    let tried = pair
        .log
        .iter()
        .filter(|(at, i, a)| *at > since && *i == 1 && matches!(a, Action::Record(t) if t.cause == Cause::Preempted));
    let budget = config(2, 0, Arbiter::Cloud).groups[0].max_moves as usize;
    let tried = tried.count();
    assert!((1..=budget.div_ceil(2)).contains(&tried), "{tried} of {budget} {}", pair.story());
    assert_eq!(pair.role(1), Role::Active);
}

/// §8: a term that ended in the step in which it began was a move, too, and the one back another.
#[test]
fn a_term_of_no_length_is_counted() {
    let mut pair = settled(2, Arbiter::Cloud);
    let moves = |pair: &Pair, i: usize| pair.core(i).groups[0].moves.within(pair.now, SEC * 600);
    let before = moves(&pair, 0);
    let (b, tag) = (pair.core(1).groups[0].epochs.ours(), pair.core(1).groups[0].tag);
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(0), to }, request: 1 });
    pair.partition(0, 1, true);
    pair.give(1, Event::Commanded { command: Command::Drain { group: None, on: true }, request: 2 });
    // All that a hears of it is that b gives away what it had.
    let a = pair.nodes[0].as_mut().expect("it runs");
    let entry = a.peers.of_mut(NodeIndex(1)).and_then(|p| p.entries.get_mut(&tag)).expect("it was heard");
    (entry.role, entry.epoch) = (Role::Releasing, Epoch(b.0 + 7));
    pair.give(0, Event::HostChecked { differs: None });
    assert_eq!(moves(&pair, 0), before + 1, "{}", pair.story());
    pair.run(SEC * 3);
    assert_eq!((moves(&pair, 0), pair.role(0)), (before + 2, Role::Active), "{}", pair.story());
}

/// ⚠ §7: an offer is taken up while its term is the last one that is known, and no more once another has followed.
#[test]
fn an_offer_of_a_term_of_the_past_is_not_taken_up() {
    for past in [false, true] {
        let mut pair = settled(2, Arbiter::Cloud);
        let (term, tag) = (pair.core(0).groups[0].epochs.ours(), pair.core(0).groups[0].tag);
        let b = pair.nodes[1].as_mut().expect("it runs");
        let me = b.peers.me();
        let entry = b.peers.of_mut(NodeIndex(0)).and_then(|p| p.entries.get_mut(&tag)).expect("it was heard");
        (entry.role, entry.successor) = (Role::Releasing, Some(me));
        entry.epoch = Epoch(term.0 - u64::from(past));
        pair.give(1, Event::HostChecked { differs: None });
        assert_eq!(pair.role(1), if past { Role::Backup } else { Role::Claiming }, "{}", pair.story());
    }
}

/// I4: a node whose claims were refused tries again by itself.
#[test]
fn a_claim_that_was_refused_is_made_again() {
    let mut pair = Pair::new(1, Arbiter::Cloud);
    pair.queue.clear();
    pair.bound.clear();
    pair.api.insert(0, call_error(ErrorClass::Refused, true));
    pair.run(SEC * 30);
    assert_eq!(pair.role(0), Role::Fault, "{}", pair.story());
    pair.api.clear();
    pair.run(SEC * 120);
    assert_eq!((pair.role(0), pair.bound.as_slice()), (Role::Active, ["i-a".to_owned()].as_slice()));
}

/// I9: a call whose end is never told does not stop the reconciler.
#[test]
fn a_call_that_never_ends_is_given_up() {
    let mut pair = Pair::new(1, Arbiter::Cloud);
    pair.unanswered.insert(0);
    pair.run(SEC * 5);
    pair.unanswered.clear();
    pair.run(SEC * 15);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
}

/// I10: where a clock stands decides nothing.
#[test]
fn a_clock_that_was_set_changes_nothing() {
    let story = |start: u64| {
        let begin = Instant::from_millis(start);
        let mut pair = Pair::with(2, begin, |local| config(2, local, Arbiter::Cloud));
        pair.run(SEC * 10);
        pair.kill(0);
        pair.run(SEC * 10);
        let told = pair.log.iter().map(|(at, i, a)| (at.since(begin), *i, std::mem::discriminant(a)));
        told.collect::<Vec<_>>()
    };
    let one = story(1_000_000);
    assert_eq!(one, story(5_000));
    assert_eq!(one, story(9_000_000_000));
}

/// ⚠ b hears a, and a does not hear b: that b had a term in between a knows from the record alone.
#[test]
fn a_claim_over_a_term_that_was_not_heard_is_a_later_one() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 10);
    pair.cut.insert((1, 0));
    pair.run(SEC * 3);
    let link = |up| Event::LinkChanged { group: GroupIndex(0), havip: HavipIndex(0), up, missing: None };
    pair.give(0, link(false));
    pair.run(SEC * 3);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Fault, Role::Active), "{}", pair.story());
    let since = pair.now;
    pair.give(0, link(true));
    while !pair.role(0).has_leadership() {
        pair.run(INTERVAL / 10);
        assert!(pair.now.since(since) < SEC * 60, "{}", pair.story());
    }
    let [a, b] = [0, 1].map(|i| pair.core(i).groups[0].epochs.ours());
    assert!(a > b, "{a} {b} {}", pair.story());
    pair.run(SEC * 5);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    // Both count the move there, and the one back.
    let counted = [0, 1].map(|i| pair.core(i).groups[0].moves.within(pair.clock(i), SEC * 600));
    assert_eq!(counted, [2, 2], "{}", pair.story());
}
