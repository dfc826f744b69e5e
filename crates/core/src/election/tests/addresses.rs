//! An address that cannot be put: the kernel says no, or what asks it gets no answer.

use super::*;
use crate::model::event::Command;

const SEC: Duration = Duration::from_secs(1);
const NO: &str = "cannot put 10.0.0.100 on interface 2: no buffer space";

/// The first node is active; the others could be.
fn settled(nodes: usize, arbiter: Arbiter) -> Pair {
    let mut pair = Pair::new(nodes, arbiter);
    pair.run(SEC * 40);
    assert_eq!(pair.role(0), Role::Active);
    pair
}

/// What the kernel tells once the lifetime is over that nobody renews.
fn expires(pair: &mut Pair, node: usize) {
    pair.give(node, Event::AddressObserved { group: GroupIndex(0), havip: HavipIndex(0), present: false });
}

fn announced(pair: &Pair, from: Instant, node: usize) -> bool {
    let since = pair.log.iter().filter(|(at, i, _)| *at >= from && *i == node);
    since.into_iter().any(|(_, _, a)| matches!(a, Action::Announce { .. }))
}

#[test]
fn a_holder_whose_address_cannot_be_renewed_hands_over_before_it_is_gone() {
    for (nodes, arbiter) in [(3, Arbiter::Majority), (2, Arbiter::Cloud)] {
        for says in [None, Some(NO.to_owned())] {
            let mut pair = settled(nodes, arbiter);
            let from = pair.now;
            pair.no_address.insert(0, says.clone());
            // One dead time, an interval, and the handover; the kernel's lifetime is two dead times.
            pair.run(SEC + INTERVAL * 4);
            let text = format!("{arbiter:?} {says:?} {}", pair.story());
            assert_eq!((pair.role(0), pair.role(1)), (Role::Fault, Role::Active), "{text}");
            assert!(pair.causes(0).contains(&Cause::AddressFailed), "{text}");
            assert!(pair.became(from, 0, Role::Releasing), "make before break: {text}");
            let told = &pair.core(0).groups[0].detail;
            assert!(told.contains("havip-1"), "{told}");
            assert!(says.is_none() || told.contains(NO), "the kernel's own words: {told}");
        }
    }
}

/// The kernel's lifetime is two seconds, the dead time one.
#[test]
fn an_address_is_renewed_in_time_and_no_more_often() {
    let mut pair = settled(2, Arbiter::Cloud);
    let from = pair.now;
    pair.run(SEC * 10);
    let puts = pair.log.iter().filter(|(at, i, a)| *at >= from && *i == 0 && matches!(a, Action::PutAddress { .. }));
    let puts: Vec<_> = puts.map(|(at, _, _)| *at).collect();
    let gaps = puts.windows(2).map(|w| w[1].since(w[0]));
    assert!(
        gaps.clone().all(|gap| gap + SEC * 3 / 2 <= SEC * 2),
        "a dead time is left, and half of the rest: {puts:?}"
    );
    assert!(gaps.count() <= 20, "{} renewals in ten seconds", puts.len());
}

/// A host that stands still between the step and the renewal has not heard what the kernel removed meanwhile. (I2, seed 43565)
#[test]
fn who_hands_over_renews_no_later_than_the_lifetime_before() {
    let mut pair = settled(2, Arbiter::Cloud);
    let from = pair.now;
    let lifetime = pair.core(0).config().local_address.lifetime.expect("it has one");
    pair.no_address.insert(0, Some(NO.to_owned()));
    pair.run(SEC + INTERVAL * 4);
    let own = pair.log.iter().filter(|(at, i, _)| *at >= from && *i == 0);
    let since = own.skip_while(|(_, _, a)| !matches!(a, Action::Record(t) if t.to == Role::Releasing));
    let until = since.filter_map(|(_, _, a)| match a {
        Action::PutAddress { leadership_until, .. } => Some(*leadership_until),
        _ => None,
    });
    let until: Vec<Instant> = until.collect();
    assert!(!until.is_empty(), "{}", pair.story());
    assert!(until.iter().all(|at| *at <= from + lifetime), "{until:?}, {from:?}, {lifetime:?}");
}

#[test]
fn who_hands_over_does_not_put_back_what_was_removed() {
    let mut pair = settled(2, Arbiter::Cloud);
    let to = Some(NodeIndex(1));
    pair.give(0, Event::Commanded { command: Command::Switchover { group: GroupIndex(0), to }, request: 1 });
    pair.partition(0, 1, true);
    expires(&mut pair, 0);
    let from = pair.now;
    pair.run(INTERVAL * 5);
    assert_eq!(pair.role(0), Role::Releasing, "{}", pair.story());
    let put = |(at, i, a): &&(Instant, usize, Action)| *at >= from && *i == 0 && matches!(a, Action::PutAddress { .. });
    assert!(!pair.log.iter().any(|a| put(&a)), "{}", pair.story());
}

#[test]
fn without_anybody_else_the_holder_keeps_leadership_tries_on_and_says_so() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.kill(1);
    pair.run(SEC * 10);
    let from = pair.now;
    pair.no_address.insert(0, Some(NO.to_owned()));
    expires(&mut pair, 0);
    pair.run(SEC * 60);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    let warned = |(_, _, a): &&(Instant, usize, Action)| matches!(a, Action::Warn { text, .. } if text.contains(NO));
    assert!(pair.log.iter().any(|a| warned(&a)), "{}", pair.story());
    assert!(!announced(&pair, from, 0), "nothing is there to be announced: {}", pair.story());
    let puts = pair.log.iter().filter(|(at, _, a)| *at >= from && matches!(a, Action::PutAddress { .. })).count();
    assert!((300..1_000).contains(&puts), "{puts} puts in a minute of intervals of 100 ms");
    pair.no_address.clear();
    pair.run(SEC);
    assert!(pair.core(0).groups[0].eligibility.fault().is_none(), "{}", pair.story());
    assert_eq!(pair.moves(), 0);
}

#[test]
fn a_lasting_fault_is_no_tug_of_war_and_ends_by_itself() {
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), |local| {
        let mut config = config(3, local, Arbiter::Majority);
        config.groups[0].preempt_delay = SEC;
        config.groups[0].max_moves = 0;
        config
    });
    pair.run(SEC * 40);
    assert_eq!(pair.role(0), Role::Active);
    pair.no_address.insert(0, None);
    pair.run(SEC * 1_200);
    // Each try is a move there and back; the pauses between them double up to reclaim-wait.
    assert!(pair.moves() <= 26, "{} moves in twenty minutes: {}", pair.moves(), pair.story());
    pair.no_address.clear();
    pair.run(SEC * 400);
    assert_eq!(pair.role(0), Role::Active, "nobody had to help: {}", pair.story());
}

#[test]
fn who_could_not_put_its_address_serves_all_the_same_when_nobody_else_is_left() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.no_address.insert(0, None);
    pair.run(SEC * 2);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Fault, Role::Active), "{}", pair.story());
    pair.no_address.clear();
    let from = pair.now;
    pair.kill(1);
    pair.run(SEC * 3);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    assert!(announced(&pair, from, 0), "{}", pair.story());
}

/// Arbiter `cloud`: a holder that misses its peer refreshes right after a read only, so that it takes no packets back from
/// whom it has not heard take over.
#[test]
fn a_lone_holder_announces_right_after_a_read() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(10));
    pair.kill(1);
    let from = pair.now + Duration::from_secs(10);
    pair.run(Duration::from_secs(70));
    let own: Vec<&(Instant, usize, Action)> = pair.log.iter().filter(|(at, i, _)| *i == 0 && *at >= from).collect();
    let reads: Vec<Instant> =
        own.iter().filter(|(.., a)| matches!(a, Action::ReadHavip { .. })).map(|(at, ..)| *at).collect();
    let announced: Vec<Instant> =
        own.iter().filter(|(.., a)| matches!(a, Action::Announce { .. })).map(|(at, ..)| *at).collect();
    assert!(announced.len() >= 5, "{announced:?}");
    let after_a_read =
        |at: &Instant| reads.iter().any(|read| at.since(*read) <= Duration::from_millis(110) && read <= at);
    assert!(announced.iter().all(after_a_read), "{announced:?} {reads:?}");
}

/// The interface's queue is full just when a claim is to be announced: the burst comes when there is room.
#[test]
fn an_announcement_that_fails_uses_up_no_place_in_its_burst() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.mute.insert(1);
    let from = pair.now;
    pair.kill(0);
    let count = |pair: &Pair, from: Instant| {
        pair.log.iter().filter(|(at, _, a)| *at >= from && matches!(a, Action::Announce { .. })).count()
    };
    pair.run(SEC * 30);
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    let failed = count(&pair, from);
    assert!((5..20).contains(&failed), "tried again, and not without end: {failed} in {}", pair.story());

    pair.mute.clear();
    let from = pair.now;
    pair.run(SEC * 12);
    let sent = count(&pair, from);
    assert_eq!(sent, 5, "a whole burst, within the longest pause: {}", pair.story());
    pair.run(SEC * 20);
    assert_eq!(count(&pair, from), 7, "and then now and then: {}", pair.story());
}
