//! Calls that were not sent, pauses that the cloud asks for, and what a holder makes of one read against it.

use super::*;
use crate::model::cloud::CallClass;

const SEC: Duration = Duration::from_secs(1);

fn unsent() -> CallError {
    CallError::new(ErrorClass::NotSent, "test havip-1", "made up")
}

fn silent() -> CallError {
    CallError::new(ErrorClass::Retry, "test havip-1", "nothing came back")
}

fn throttled() -> CallError {
    let asked = Some(Duration::from_secs(600));
    CallError { status: Some(429), retry_after: asked, ..CallError::new(ErrorClass::Retry, "test havip-1", "429") }
}

/// Two nodes, under `majority` three, of which the first is active, past its watchful minute.
fn settled(arbiter: Arbiter) -> Pair {
    let mut pair = Pair::new(if arbiter == Arbiter::Majority { 3 } else { 2 }, arbiter);
    pair.run(SEC * 110);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

/// Runs until that is so.
fn until(pair: &mut Pair, what: impl Fn(&Pair) -> bool) -> Duration {
    let began = pair.now;
    while !what(pair) {
        assert!(pair.now.since(began) < SEC * 60, "{}", pair.story());
        pair.run(Duration::from_millis(10));
    }
    pair.now.since(began)
}

fn reads_another(pair: &Pair) -> bool {
    pair.core(0).snapshot(pair.now).groups[0].havips[0].holder.as_deref() == Some("i-b")
}

fn warned(pair: &Pair, text: &str) -> bool {
    pair.log.iter().any(|(_, _, a)| matches!(a, Action::Warn { text: said, .. } if said.contains(text)))
}

#[test]
fn a_holder_that_has_read_another_once_steps_down_though_it_can_read_no_more() {
    for error in [unsent(), silent(), throttled()] {
        let mut pair = settled(Arbiter::Cloud);
        pair.partition(0, 1, true);
        until(&mut pair, reads_another);
        assert_eq!(pair.role(0), Role::Active, "one read is not enough by itself");
        pair.api.insert(0, error);
        pair.run(SEC * 6);
        assert_eq!(pair.role(0), Role::Backup, "{}", pair.story());
        assert!(pair.causes(0).contains(&Cause::Superseded), "{}", pair.story());
    }
}

#[test]
fn one_read_against_a_holder_that_hears_everybody_is_nothing() {
    let mut pair = settled(Arbiter::Cloud);
    pair.stale.insert(0, vec!["i-b".into()]);
    until(&mut pair, reads_another);
    pair.api.insert(0, unsent());
    pair.run(SEC * 10);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
}

#[test]
fn what_was_not_sent_is_no_silence_of_the_cloud() {
    let mut pair = settled(Arbiter::Cloud);
    pair.kill(1);
    for error in [unsent(), throttled()] {
        pair.api.insert(0, error);
        pair.run(SEC * 40);
        assert!(!pair.core(0).groups[0].isolated(), "{}", pair.story());
    }
    pair.api.insert(0, silent());
    pair.run(SEC * 40);
    assert!(pair.core(0).groups[0].isolated(), "{}", pair.story());
}

#[test]
fn what_a_throttled_read_asks_puts_no_audit_off_while_a_member_is_silent() {
    let mut pair = settled(Arbiter::Cloud);
    pair.api.insert(0, throttled());
    until(&mut pair, |p| warned(p, "a pause of 600 s; it is asked again after 60 s"));
    pair.api.remove(&0);
    pair.partition(0, 1, true);
    until(&mut pair, |p| p.role(1) == Role::Active);
    let both = until(&mut pair, |p| p.role(0) == Role::Backup);
    assert!(both < SEC * 10, "{both:?}\n{}", pair.story());
}

#[test]
fn the_audit_of_a_holder_that_misses_a_member_goes_before_everything() {
    let mut pair = settled(Arbiter::Cloud);
    let reads = |pair: &Pair, from: Instant| -> Vec<CallClass> {
        let own = pair.log.iter().filter(|(at, i, _)| *at >= from && *i == 0);
        own.filter_map(|(_, _, a)| if let Action::ReadHavip { class, .. } = a { Some(*class) } else { None }).collect()
    };
    let calm = pair.now;
    pair.run(SEC * 40);
    assert!(reads(&pair, calm).iter().all(|class| *class == CallClass::Background));
    pair.kill(1);
    pair.run(SEC * 15);
    let alone = pair.now;
    pair.run(SEC * 10);
    let classes = reads(&pair, alone);
    assert!(classes.len() >= 9 && classes.iter().all(|class| *class == CallClass::Holding), "{classes:?}");
}

#[test]
fn a_claim_that_is_not_sent_waits_for_its_turn_and_does_not_fail() {
    let mut pair = settled(Arbiter::Majority);
    pair.api.insert(1, unsent());
    pair.kill(0);
    pair.run(SEC * 60);
    assert_eq!(pair.role(1), Role::Claiming, "{}", pair.story());
    pair.api.remove(&1);
    let took = until(&mut pair, |p| p.role(1) == Role::Active);
    assert!(took < SEC, "{took:?}\n{}", pair.story());
    assert!(!pair.causes(1).contains(&Cause::ClaimTimedOut), "{}", pair.story());
}

#[test]
fn a_havip_that_is_busy_is_asked_again_soon_and_fails_no_claim() {
    let busy =
        CallError { status: Some(409), busy: true, ..CallError::new(ErrorClass::Retry, "attach havip-1", "busy") };
    let mut pair = settled(Arbiter::Majority);
    pair.writes.insert(1, busy);
    pair.kill(0);
    let killed = pair.now;
    pair.run(SEC * 55);
    assert_eq!(pair.role(1), Role::Claiming, "{}", pair.story());
    let own = pair.log.iter().filter(|(at, i, _)| *at > killed && *i == 1);
    let tries: Vec<(Instant, String)> = own
        .filter_map(|(at, _, a)| if let Action::Write(w) = a { Some((*at, w.token.clone())) } else { None })
        .collect();
    for pair in tries.windows(2) {
        let gap = pair[1].0.since(pair[0].0);
        assert!(gap >= Duration::from_millis(100) && gap <= Duration::from_millis(500), "{gap:?}");
        assert_ne!(pair[1].1, pair[0].1, "a token may bring the same refusal again");
    }
    assert!(tries.len() > 100 && !pair.causes(1).contains(&Cause::ClaimTimedOut), "{}", pair.story());
    // What never ends is no task.
    pair.run(SEC * 30);
    assert!(pair.causes(1).contains(&Cause::ClaimTimedOut), "{}", pair.story());
    pair.writes.clear();
    until(&mut pair, |p| p.role(1) == Role::Active || p.role(2) == Role::Active);
}

#[test]
fn the_account_of_a_claim_says_when_its_write_left() {
    let mut pair = settled(Arbiter::Majority);
    pair.api.insert(1, unsent());
    pair.kill(0);
    pair.run(SEC * 20);
    let freed = pair.now;
    pair.api.remove(&1);
    until(&mut pair, |p| p.role(1) == Role::Active);
    let active = pair.log.iter().rev().find_map(|(_, i, a)| match a {
        Action::Record(t) if *i == 1 && t.to == Role::Active => Some(t.timeline.clone()),
        _ => None,
    });
    let timeline = active.expect("it became active");
    let sent = timeline.iter().find(|s| s.what == "attach of i-b sent").expect("it was sent");
    assert!(sent.at >= freed, "{timeline:?}");
    assert!(timeline.iter().any(|s| s.what == "attach of i-b queued" && s.at < freed), "{timeline:?}");
}
