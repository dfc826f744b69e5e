//! What goes wrong around a holder, and what a node must not do about it.

use super::*;
use crate::model::action::NotifyState;
use crate::model::event::{Command, OwnPath};
use crate::model::role::Cause;

const SEC: Duration = Duration::from_secs(1);

/// A socket is bound to the node's heartbeat address; with or without a link.
fn observed(up: bool) -> Event {
    Event::PathsObserved(vec![if up { OwnPath::Open } else { OwnPath::LinkDown }])
}

/// Two nodes with the first active.
fn settled(arbiter: Arbiter) -> Pair {
    let mut pair = Pair::new(2, arbiter);
    pair.run(SEC * 10);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup));
    pair
}

#[test]
fn in_a_partition_the_cloud_decides_and_one_node_gives_way() {
    let mut pair = settled(Arbiter::Cloud);
    pair.partition(0, 1, true);
    pair.run(SEC * 60);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active), "{}", pair.story());
    assert!(pair.causes(0).contains(&Cause::Superseded), "{:?}", pair.causes(0));
    assert_eq!(pair.moves(), 1, "a lasting partition costs one move, not a tug of war");
    pair.partition(0, 1, false);
    pair.run(SEC * 10);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active));
    pair.run(SEC * 60);
    assert_eq!(
        (pair.role(0), pair.role(1)),
        (Role::Active, Role::Backup),
        "preempted after its delay: {}",
        pair.story()
    );
}

/// The record lags behind: the first that the old holder sees of the claim is a binding beside its own.
#[test]
fn a_claim_by_a_node_that_is_not_heard_is_left_alone() {
    let mut pair = settled(Arbiter::Cloud);
    pair.run(SEC * 10);
    let both = |master: &str| {
        let mut bound = vec!["i-a".to_owned(), "i-b".to_owned()];
        bound.sort_by_key(|id| id == master);
        bound
    };
    pair.stale.insert(0, vec!["i-a".into()]);
    pair.partition(0, 1, true);
    pair.run(SEC * 2);
    assert_eq!(pair.role(1), Role::Active);
    pair.stale.insert(0, both("i-a"));
    let since = pair.now;
    pair.run(SEC * 4);
    pair.stale.insert(0, both("i-b"));
    pair.run(SEC * 4);
    let wrote = pair.log.iter().any(|(at, i, a)| *at >= since && *i == 0 && matches!(a, Action::Write(_)));
    assert!(!wrote, "{}", pair.story());
    assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active), "{}", pair.story());
    assert!(pair.causes(0).contains(&Cause::Superseded), "{:?}", pair.causes(0));
}

/// What was detached and is bound again is detached again, without a minute in between.
#[test]
fn a_binding_that_comes_back_goes_again() {
    let mut pair = settled(Arbiter::Cloud);
    for _ in 0..2 {
        pair.bound.insert(0, "i-b".into());
        pair.run(SEC * 35);
        assert_eq!(pair.bound, ["i-a"], "{}", pair.story());
    }
    pair.bound.insert(0, "i-b".into());
    pair.run(SEC * 31);
    assert_eq!(pair.bound, ["i-a"], "{}", pair.story());
}

/// For 15 s reads lie: they name the other one as master, and its detach is refused.
fn bound_beside_by_old_reads(nothing_bound: bool) -> Pair {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(SEC * 33);
    assert_eq!(pair.role(0), Role::Active);
    pair.stale.insert(0, vec!["i-a".into(), "i-b".into()]);
    let refused = CallError::new(ErrorClass::Refused, "detach havip-1", "made up");
    pair.writes.insert(0, CallError { status: Some(400), nothing_bound, ..refused });
    pair.run(SEC * 15);
    (pair.stale, pair.writes) = (BTreeMap::new(), BTreeMap::new());
    pair.run(SEC * 10);
    pair
}

/// Who is told that there is nothing to detach has a reason to doubt the read, and none to stop.
#[test]
fn a_detach_of_what_is_not_bound_ends_no_term() {
    let pair = bound_beside_by_old_reads(true);
    assert_eq!((pair.role(0), pair.moves()), (Role::Active, 0), "{}", pair.story());
    assert!(!pair.causes(0).contains(&Cause::DetachRefused), "{}", pair.story());
    // Another refusal of the same detach is one: that master is there, and stays.
    let pair = bound_beside_by_old_reads(false);
    assert!(pair.causes(0).contains(&Cause::DetachRefused), "{}", pair.story());
}

/// Both learn their instance from the metadata service, and start at once. The first words of the holder come before it has
/// learned its own: so that it was heard does not tell whom the record names.
#[test]
fn a_holder_that_is_not_known_may_be_who_has_not_told_its_instance() {
    let nameless = |local| {
        let mut config = config(2, local, Arbiter::Cloud);
        config.nodes.iter_mut().for_each(|n| n.target = None);
        config.groups[0].havips[0].strangers = Strangers::Detach;
        config
    };
    let learned = |name: &str| Event::IdentityLearned { target: name.parse().expect("valid") };
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), nameless);
    pair.give(0, learned("i-a"));
    pair.give(1, learned("i-b"));
    pair.run(SEC * 40);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    for node in [1, 0] {
        pair.kill(node);
        pair.start(node, nameless(node));
    }
    pair.run(INTERVAL * 3);
    assert!(pair.core(1).peers.of(NodeIndex(0)).is_some_and(|p| p.met && p.target.is_none()), "it was heard, nameless");
    pair.partition(0, 1, true);
    pair.give(0, learned("i-a"));
    pair.give(1, learned("i-b"));
    pair.run(SEC * 120);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    assert_eq!(pair.bound, ["i-a"], "{}", pair.story());
}

#[test]
fn without_the_cloud_silence_alone_is_not_enough() {
    let mut pair = settled(Arbiter::Cloud);
    pair.api.insert(1, call_error(ErrorClass::Retry, false));
    pair.partition(0, 1, true);
    pair.run(SEC * 30);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    pair.api.clear();
    pair.run(SEC * 5);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

#[test]
fn a_holder_that_was_paused_gives_up_before_it_does_anything() {
    let mut pair = settled(Arbiter::Cloud);
    let paused = pair.nodes[0].take();
    pair.run(SEC * 5);
    assert_eq!(pair.role(1), Role::Active);
    pair.nodes[0] = paused;
    let woken = pair.log.len();
    pair.run(SEC * 20);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active), "{}", pair.story());
    let wrote =
        pair.log[woken..].iter().any(|(_, i, a)| *i == 0 && matches!(a, Action::Write(_) | Action::Announce { .. }));
    assert!(!wrote, "{}", pair.story());
}

#[test]
fn a_stop_hands_over_and_then_exits() {
    let mut pair = settled(Arbiter::Cloud);
    pair.give(0, Event::Commanded { command: Command::Stop { restart: false }, request: 1 });
    pair.run(SEC * 5);
    assert!(pair.nodes[0].is_none(), "{}", pair.story());
    assert_eq!(pair.role(1), Role::Active);
    assert_eq!(pair.bound, ["i-b"]);
}

#[test]
fn a_restart_keeps_the_place() {
    let mut pair = settled(Arbiter::Cloud);
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    pair.run(SEC);
    assert!(pair.nodes[0].is_none(), "{}", pair.story());
    let kept = pair.log.iter().rev().find_map(|(_, i, a)| match a {
        Action::PutAddress { lifetime, .. } if *i == 0 => *lifetime,
        _ => None,
    });
    assert_eq!(kept, Some(SEC * 15));
    pair.run(SEC * 5);
    assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
    let before = pair.log.len();
    pair.start(0, config(2, 0, Arbiter::Cloud));
    pair.run(SEC * 5);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    let drops = pair.log[before..].iter().any(|(_, _, a)| matches!(a, Action::DropAddress { .. } | Action::Write(_)));
    assert!(!drops, "{}", pair.story());
}

/// Hooks of a node that was active when it crashed must hear that it is not any more.
#[test]
fn a_node_that_starts_as_backup_tells_its_hooks_so() {
    let mut pair = settled(Arbiter::Cloud);
    let told = |pair: &Pair, from: usize, node: usize| -> Vec<NotifyState> {
        let since = pair.log[from..].iter().filter(|(_, i, _)| *i == node);
        since.filter_map(|(_, _, a)| if let Action::Notify(n) = a { Some(n.state) } else { None }).collect()
    };
    pair.run(SEC * 5);
    assert_eq!(told(&pair, 0, 0), [NotifyState::Backup, NotifyState::Master]);
    assert_eq!(told(&pair, 0, 1), [NotifyState::Backup]);
    pair.kill(0);
    pair.run(SEC * 10);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    let before = pair.log.len();
    pair.start(0, config(2, 0, Arbiter::Cloud));
    pair.run(SEC * 10);
    assert_eq!(told(&pair, before, 0), [NotifyState::Backup], "{}", pair.story());
    assert_eq!(told(&pair, before, 1), []);
}

/// A holder that is back from its restart and still learns who it is keeps its place, even for a peer whose last
/// read of the record was of before its term.
#[test]
fn a_restarted_holder_that_learns_who_it_is_keeps_its_place() {
    let mut pair = settled(Arbiter::Cloud);
    pair.stale.insert(1, vec!["i-b".into()]);
    pair.run(SEC * 31);
    pair.give(0, Event::Commanded { command: Command::Stop { restart: true }, request: 1 });
    pair.run(SEC * 2);
    let mut nameless = config(2, 0, Arbiter::Cloud);
    nameless.nodes[0].target = None;
    pair.start(0, nameless);
    pair.run(SEC);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Fault, Role::Backup), "{}", pair.story());
    pair.give(0, Event::IdentityLearned { target: "i-a".parse().expect("valid") });
    pair.run(SEC * 2);
    assert_eq!((pair.role(0), pair.moves()), (Role::Active, 0), "{}", pair.story());
}

#[test]
fn a_node_without_permission_is_in_fault_and_comes_back_by_itself() {
    let mut pair = settled(Arbiter::Cloud);
    pair.api.insert(1, call_error(ErrorClass::Refused, true));
    pair.kill(0);
    pair.run(SEC * 90);
    assert_eq!(pair.role(1), Role::Fault, "{}", pair.story());
    assert!(pair.causes(1).contains(&Cause::Denied));
    pair.api.clear();
    pair.run(SEC * 120);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

#[test]
fn a_theft_is_repaired_while_all_members_are_heard() {
    let mut pair = settled(Arbiter::Cloud);
    pair.run(SEC * 60);
    pair.bound = vec!["i-a".into(), "i-b".into()];
    pair.run(SEC * 35);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    assert_eq!(pair.bound, ["i-a"], "{}", pair.story());
}

/// Another cluster has the same HAVIP in its file, and takes it whenever it is not its own.
#[test]
fn what_another_cluster_takes_again_and_again_is_no_war() {
    let mut pair = settled(Arbiter::Cloud);
    let (from, end) = (pair.now, pair.now + SEC * 3600);
    let mut taken = 0;
    while pair.now < end {
        if pair.bound.last().is_none_or(|id| id != "i-z") {
            pair.bound = vec!["i-z".into()];
            taken += 1;
        }
        pair.run(SEC * 2);
    }
    let writes = pair.log.iter().filter(|(at, _, a)| *at >= from && matches!(a, Action::Write(_))).count();
    assert!((4..20).contains(&taken) && writes < 50, "taken {taken} times, {writes} writes");
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
    let web = &pair.core(0).snapshot(pair.now).groups[0];
    let said = web.havips[0].error.clone().unwrap_or_default();
    assert!(said.contains("taken by i-z") && said.contains("no node of this cluster"), "{said}");
    let alarmed =
        |(_, _, a): &(Instant, usize, Action)| matches!(a, Action::Warn { text, .. } if text.contains("taken by i-z"));
    assert!(pair.log.iter().any(alarmed), "{}", pair.story());
    assert!(pair.core(0).groups[0].moves.within(pair.now, SEC * 3600) > 3);
    // It has let go: the next read but one finds the HAVIP ours, whatever was waited for.
    pair.bound = vec!["i-a".into()];
    pair.run(SEC * 10);
    let announced =
        |(at, i, a): &&(Instant, usize, Action)| *at >= end && *i == 0 && matches!(a, Action::Announce { .. });
    assert!(pair.log.iter().filter(announced).count() > 0, "{}", pair.story());
}

#[test]
fn one_way_silence_moves_nothing() {
    for link in [(0, 1), (1, 0)] {
        let mut pair = settled(Arbiter::Cloud);
        pair.cut.insert(link);
        pair.run(SEC * 60);
        let actives = [0, 1].iter().filter(|i| pair.role(**i) == Role::Active).count();
        assert_eq!(actives, 1, "{link:?} {}", pair.story());
        assert!(pair.moves() <= 1, "{link:?} {}", pair.story());
    }
}

#[test]
fn a_holder_that_died_soon_after_it_took_over_is_no_rival() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    for i in 0..2 {
        let mut config = config(2, i, Arbiter::Cloud);
        config.heartbeat.dead_multiplier = 5;
        pair.start(i, config);
    }
    pair.run(SEC * 40);
    for (from, to) in [(0, 1), (1, 0)] {
        let command = Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(to)) };
        pair.give(from, Event::Commanded { command, request: 1 });
        pair.run(Duration::from_millis(200));
        assert_eq!(pair.role(to), Role::Active, "{}", pair.story());
    }
    // The last thing that the second node has read is that it is the holder itself.
    pair.api.insert(1, call_error(ErrorClass::Retry, false));
    pair.kill(0);
    pair.run(Duration::from_millis(800));
    assert_eq!(pair.role(1), Role::Claiming, "{}", pair.story());
    pair.api.clear();
    pair.run(SEC * 3);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    assert!(!pair.causes(1).contains(&Cause::LostRace), "{:?}", pair.causes(1));
}

/// A node that was itself cut off from everything hears nobody: when its network is back, it listens before it
/// takes the address from a holder that is well.
#[test]
fn who_was_cut_off_itself_takes_nothing_when_its_network_is_back() {
    let mut unreachable = call_error(ErrorClass::Retry, false);
    unreachable.status = None;
    for (cut_off, phase) in [0, 1].into_iter().flat_map(|n| PHASES.map(move |p| (n, p))) {
        let mut pair = settled(Arbiter::Cloud);
        pair.partition(0, 1, true);
        pair.api.insert(cut_off, unreachable.clone());
        pair.run(SEC * 20 + INTERVAL / 4 * phase);
        let (holder, since) = (1 - cut_off, pair.now);
        assert_eq!(pair.role(holder), Role::Active, "{}", pair.story());
        back(&mut pair);
        assert!(!pair.became(since, cut_off, Role::Claiming), "{}", pair.story());
        assert_eq!((pair.role(holder), pair.role(cut_off)), (Role::Active, Role::Backup), "{}", pair.story());
    }
}

/// Quarters of an interval: in one of them a read comes right after the network is back.
const PHASES: std::ops::Range<u32> = 0..40;

/// The network is back, and the cloud's answers are here before the first heartbeat.
fn back(pair: &mut Pair) {
    pair.api.clear();
    pair.delay = INTERVAL / 2;
    pair.partition(0, 1, false);
    pair.run(SEC * 5);
}

/// The same when everybody was cut off from everything: the holder that was isolated stays, although its first words
/// still say that it is.
#[test]
fn an_isolated_holder_stays_when_the_network_is_back() {
    let mut unreachable = call_error(ErrorClass::Retry, false);
    unreachable.status = None;
    for phase in PHASES {
        let mut pair = settled(Arbiter::Cloud);
        let since = pair.now;
        pair.partition(0, 1, true);
        pair.api.insert(0, unreachable.clone());
        pair.api.insert(1, unreachable.clone());
        pair.run(SEC * 20 + INTERVAL / 4 * phase);
        back(&mut pair);
        assert_eq!(pair.role(0), Role::Active, "{phase} {}", pair.story());
        assert!(!pair.became(since, 1, Role::Claiming), "{phase} {}", pair.story());
    }
}

/// The cloud names a member that is heard and does not want it: nobody is silent, so there is nothing to listen for.
#[test]
fn a_member_that_is_named_and_heard_and_not_active_is_displaced() {
    let mut pair = settled(Arbiter::Cloud);
    pair.give(1, Event::Commanded { command: Command::Drain { group: None, on: true }, request: 1 });
    pair.bound = vec!["i-b".into()];
    pair.give(0, Event::LinkChanged { group: GroupIndex(0), havip: HavipIndex(0), up: false, missing: None });
    pair.run(SEC * 2);
    pair.bound = vec!["i-b".into()];
    pair.give(0, Event::LinkChanged { group: GroupIndex(0), havip: HavipIndex(0), up: true, missing: None });
    pair.run(SEC * 10);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
}

/// A link that was down hid everybody: nothing is claimed for one dead time after it is back.
#[test]
fn a_node_whose_link_is_back_listens_first() {
    let mut pair = settled(Arbiter::Cloud);
    let link = |up| Event::LinkChanged { group: GroupIndex(0), havip: HavipIndex(0), up, missing: None };
    pair.give(0, link(false));
    pair.give(0, observed(false));
    pair.partition(0, 1, true);
    pair.run(SEC * 20);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Fault, Role::Active), "{}", pair.story());
    let since = pair.now;
    pair.give(0, link(true));
    pair.give(0, observed(true));
    pair.run(INTERVAL / 2);
    pair.partition(0, 1, false);
    pair.run(SEC * 5);
    assert!(!pair.became(since, 0, Role::Claiming), "{}", pair.story());
    assert_eq!((pair.role(0), pair.role(1)), (Role::Backup, Role::Active));
}

/// Silence proves nothing to a node that knows why it hears nobody; once it has listened for a dead time it does.
#[test]
fn a_node_that_cannot_hear_takes_nothing_until_it_has_listened() {
    for refused in [false, true] {
        let mut pair = settled(Arbiter::Cloud);
        let to = SocketAddr::from(([10, 0, 0, 10], 11200));
        let deaf = |on: bool| match refused {
            true => Event::SendingChanged { to, refused: on.then(|| "Operation not permitted".to_owned()) },
            false => observed(!on),
        };
        pair.give(1, deaf(true));
        pair.partition(0, 1, true);
        pair.run(SEC * 60);
        assert_eq!((pair.role(0), pair.role(1), pair.moves()), (Role::Active, Role::Backup, 0), "{}", pair.story());
        pair.kill(0);
        pair.run(SEC * 5);
        assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
        let since = pair.now;
        pair.give(1, deaf(false));
        pair.run(SEC - Duration::from_millis(1));
        assert!(!pair.became(since, 1, Role::Claiming), "{}", pair.story());
        pair.run(SEC * 2);
        assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    }
}

/// A path that was lost with the peer itself, say a cable between the two, keeps nobody for ever.
#[test]
fn a_node_that_stays_deaf_claims_when_the_reclaim_wait_is_over() {
    let mut pair = settled(Arbiter::Cloud);
    pair.kill(0);
    pair.give(1, observed(false));
    pair.run(SEC * 290);
    assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
    pair.run(SEC * 20);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

/// Where another group's address belongs has nothing to do with who is heard.
#[test]
fn an_interface_of_another_group_delays_no_claim() {
    let two = |local: usize| {
        let mut config = config(2, local, Arbiter::Cloud);
        let mut other = config.groups[0].clone();
        other.name = "two".parse().expect("valid");
        config.groups.push(other);
        config
    };
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), two);
    pair.run(SEC * 10);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup));
    pair.kill(0);
    for i in 0..30 {
        pair.give(1, Event::LinkChanged { group: GroupIndex(1), havip: HavipIndex(0), up: i % 2 == 1, missing: None });
        pair.run(SEC / 10);
    }
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

/// Each return of the path would begin the silence anew.
#[test]
fn a_path_that_comes_and_goes_begins_a_silence_anew_once() {
    let mut pair = settled(Arbiter::Cloud);
    pair.kill(0);
    for i in 0..20 {
        pair.give(1, observed(i % 2 == 1));
        pair.run(SEC * 4 / 10);
    }
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
}

/// Shared binding, and a cloud that does not say who is master: the address is announced in bursts, not in every step.
#[test]
fn a_cloud_that_does_not_answer_makes_no_storm_of_announcements() {
    let shared = |node| {
        let mut config = config(3, node, Arbiter::Majority);
        config.groups[0].havips[0].binding = Binding::Shared;
        config
    };
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.bound = vec!["i-a".into(), "i-b".into(), "i-c".into()];
    (0..3).for_each(|i| pair.start(i, shared(i)));
    pair.run(SEC * 40);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    let mut unreachable = call_error(ErrorClass::Retry, false);
    unreachable.status = None;
    pair.api.insert(1, unreachable);
    pair.run(SEC * 31);
    pair.kill(0);
    let since = pair.now;
    pair.run(SEC * 12);
    assert!(pair.became(since, 1, Role::Claiming), "{}", pair.story());
    let said = |(at, i, action): &&(Instant, usize, Action)| {
        *at >= since && *i == 1 && matches!(action, Action::Announce { .. })
    };
    let count = pair.log.iter().filter(said).count();
    // A burst when it claims and one with every read, so five a second at most; there are far more turns.
    assert!((1..=5 * 12 + 5).contains(&count), "{count} announcements\n{}", pair.story());
}

/// The record named b, then a, which is up and has just given up: the race is lost, and over at once, since a says that
/// it is not active. The claim that follows in the same step was ended by the outcome of the one before, for ever.
#[test]
fn a_claim_right_after_a_lost_race_begins_anew() {
    let of = |i| {
        let mut config = config(2, i, Arbiter::Cloud);
        config.cloud.audit_interval = SEC;
        config
    };
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), of);
    pair.stale.insert(1, vec!["i-b".into()]);
    pair.run(SEC * 10);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup));
    let asleep = pair.nodes[0].take();
    pair.run(SEC * 7 / 10);
    pair.nodes[0] = asleep;
    pair.behind.insert(0, SEC * 7 / 10);
    while pair.role(0) == Role::Active {
        pair.run(INTERVAL / 100);
    }
    pair.stale.clear();
    while pair.role(1) == Role::Backup {
        pair.run(INTERVAL / 100);
    }
    let epoch = pair.core(1).groups[0].epochs.ours();
    // Its read is answered, nothing later.
    pair.unanswered.insert(1);
    pair.run(INTERVAL);
    assert!(pair.causes(1).contains(&Cause::LostRace), "{}", pair.story());
    assert_eq!(
        (pair.role(1), pair.core(1).groups[0].epochs.ours()),
        (Role::Claiming, epoch.next()),
        "{}",
        pair.story()
    );
}

/// Seed 6181: a node that did not run for almost the dead time has missed the heartbeats of a healthy peer, or has yet to
/// read them.
#[test]
fn a_pause_of_almost_the_dead_time_makes_nobody_else_dead() {
    for late in [0, 30, 60, 90] {
        let mut pair = settled(Arbiter::Cloud);
        pair.run(SEC / 1000 * late);
        let since = pair.now;
        let asleep = pair.nodes[1].take();
        pair.run(SEC * 98 / 100);
        pair.nodes[1] = asleep;
        pair.run(SEC * 3);
        assert!(!pair.became(since, 1, Role::Claiming) && pair.role(0) == Role::Active, "{}", pair.story());
        // A peer that is dead all the same is so a heartbeat later.
        pair.kill(0);
        pair.run(SEC * 3 / 2);
        assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    }
}

/// The same where some heartbeats were lost just before, and the effects side made progress shortly before: nothing else
/// keeps this node from claiming in its first step.
#[test]
fn a_short_pause_after_lost_heartbeats_makes_nobody_else_dead() {
    let mut pair = settled(Arbiter::Cloud);
    pair.partition(0, 1, true);
    pair.run(SEC * 35 / 100);
    pair.partition(0, 1, false);
    let since = pair.now;
    let asleep = pair.nodes[1].take();
    pair.run(SEC * 70 / 100);
    pair.nodes[1] = asleep;
    pair.run(SEC * 3);
    assert!(!pair.became(since, 1, Role::Claiming) && pair.role(0) == Role::Active, "{}", pair.story());
}

/// What peers echo of numbers that were never sent: a snapshot was rolled back, or a clone runs.
#[test]
fn a_clone_is_one_that_goes_on_under_another_boot_id_and_the_fault_ends() {
    let mut pair = settled(Arbiter::Cloud);
    let mut drawn = 0;
    // Every peer, and every datagram on its way, tells of one roll-back.
    let echoed = |pair: &mut Pair, times: u32| {
        let mut actions = Actions::new();
        for _ in 0..times {
            pair.run(Duration::from_millis(1));
            let now = pair.now;
            pair.nodes[0].as_mut().expect("it runs").impossible_echo(now, &mut actions);
        }
        actions.iter().filter(|a| matches!(a, Action::DrawBootId)).count()
    };
    let mut roll_back = |pair: &mut Pair| {
        drawn += 1;
        assert_eq!(echoed(pair, 5), 1);
        pair.give(0, Event::BootIdDrawn(BootId([100 + drawn; 16])));
        pair.run(Duration::from_secs(2));
    };
    roll_back(&mut pair);
    assert_ne!(pair.role(0), Role::Fault, "{}", pair.story());
    pair.run(Duration::from_secs(20));
    roll_back(&mut pair);
    assert_eq!((pair.role(0), pair.core(0).groups[0].cause), (Role::Fault, Cause::Cloned), "{}", pair.story());
    pair.run(Duration::from_secs(60));
    assert_ne!(pair.role(0), Role::Fault, "{}", pair.story());
}

/// A cold standby was started from a backup of another node's state directory.
#[test]
fn the_state_of_another_node_is_not_used() {
    let drained = PersistedGroup { epoch_reserved: 5_000, drained: true, ..PersistedGroup::default() };
    for (cluster, node, used) in [("test", "a", true), ("", "", true), ("test", "b", false), ("other", "a", false)] {
        let persisted = Persisted {
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            machine_boot: "an earlier boot".to_owned(),
            groups: [("web".to_owned(), drained.clone())].into(),
            ..Persisted::default()
        };
        let config = Arc::new(config(3, 0, Arbiter::Majority));
        assert_eq!(persisted.of_another(&config).is_none(), used);
        let start = Start {
            config,
            boot: BootId([1; 16]),
            seed: 1,
            persisted: Some(persisted),
            machine_boot: "this one".to_owned(),
        };
        let core = Core::new(start, Instant::from_millis(1_000_000));
        let quarantined = core.groups[0].voter.quarantined(Instant::from_millis(1_000_000));
        assert_eq!((core.groups[0].drain.is_on(), quarantined), (used, !used), "{cluster} {node}");
        assert_eq!((core.persisted.cluster.as_str(), core.persisted.node.as_str()), ("test", "a"));
    }
}
