//! Who becomes active, and what it does on the way.

use super::*;

#[test]
fn two_nodes_elect_the_first_in_rank() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(2));
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup));
    assert_eq!(pair.bound, ["i-a"]);
}

#[test]
fn the_backup_takes_over_a_dead_time_after_the_last_heartbeat() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(5));
    pair.kill(0);
    let killed = pair.now;
    pair.run(Duration::from_secs(3));
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    let attach = pair.log.iter().find(|(at, i, a)| *at > killed && *i == 1 && matches!(a, Action::Write(_)));
    let (at, ..) = attach.expect("it attached");
    assert!(at.since(killed) <= INTERVAL * 10 + DELAY * 2, "{:?}", at.since(killed));
    assert_eq!(pair.bound, ["i-b"]);
}

/// A read of the cloud that came right before the silence delays nothing: the next follows in good time.
#[test]
fn a_read_right_before_the_silence_delays_no_claim() {
    for phase in 0..20 {
        let mut pair = Pair::new(2, Arbiter::Cloud);
        let mut often = config(2, 1, Arbiter::Cloud);
        often.cloud.audit_interval = Duration::from_secs(1);
        pair.start(1, often);
        pair.run(Duration::from_secs(40) + Duration::from_millis(50) * phase);
        pair.kill(0);
        let killed = pair.now;
        pair.run(Duration::from_secs(3));
        let attach = pair.log.iter().find(|(at, i, a)| *at > killed && *i == 1 && matches!(a, Action::Write(_)));
        let (at, ..) = attach.unwrap_or_else(|| panic!("it attached {}", pair.story()));
        assert!(at.since(killed) <= INTERVAL * 10 + DELAY * 2, "{phase}: {:?}", at.since(killed));
    }
}

#[test]
fn three_nodes_elect_by_majority_and_replace_a_dead_holder() {
    let mut pair = Pair::new(3, Arbiter::Majority);
    pair.run(Duration::from_secs(33));
    assert_eq!(pair.role(0), Role::Active, "{:?}", pair.core(0).groups[0].candidacy.waiting().text);
    pair.kill(0);
    pair.run(Duration::from_secs(4));
    assert_eq!((pair.role(1), pair.role(2)), (Role::Active, Role::Backup));
}

#[test]
fn a_switchover_keeps_the_address_until_the_other_serves() {
    for arbiter in [Arbiter::Cloud, Arbiter::Majority] {
        let mut pair = Pair::new(3, arbiter);
        pair.run(Duration::from_secs(33));
        let command = crate::model::event::Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(2)) };
        pair.give(0, Event::Commanded { command, request: 1 });
        let began = pair.now;
        pair.run(Duration::from_secs(5));
        assert_eq!((pair.role(0), pair.role(2)), (Role::Backup, Role::Active), "{arbiter:?} {}", pair.story());
        let active = pair
            .log
            .iter()
            .find(|(at, i, a)| *at >= began && *i == 2 && matches!(a, Action::Record(t) if t.to == Role::Active));
        let dropped =
            pair.log.iter().find(|(at, i, a)| *at >= began && *i == 0 && matches!(a, Action::DropAddress { .. }));
        let (active, dropped) = (active.unwrap_or_else(|| panic!("{}", pair.story())).0, dropped.expect("dropped").0);
        assert!(active < dropped, "{arbiter:?}: {active:?} {dropped:?}");
        assert_eq!(pair.bound, ["i-c"], "{arbiter:?}");
    }
}

/// A read from before the claim may choose its first write; it proves nothing about the claim.
#[test]
fn a_read_from_an_earlier_term_confirms_nothing() {
    for offset in (0..1000).step_by(130) {
        let mut pair = Pair::new(2, Arbiter::Cloud);
        pair.run(Duration::from_millis(10_000 + offset));
        let command = |to| crate::model::event::Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(to)) };
        pair.give(0, Event::Commanded { command: command(1), request: 1 });
        pair.run(Duration::from_millis(150));
        assert_eq!(pair.role(1), Role::Active);
        let began = pair.now;
        pair.give(1, Event::Commanded { command: command(0), request: 2 });
        pair.run(Duration::from_millis(150));
        assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup), "{}", pair.story());
        let ours = pair.log.iter().filter(|(at, i, _)| *i == 0 && *at >= began).map(|(_, _, a)| a);
        let wrote = ours.clone().position(|a| matches!(a, Action::Write(_)));
        let active = ours.clone().position(|a| matches!(a, Action::Record(t) if t.to == Role::Active));
        assert!(wrote < active && wrote.is_some(), "{}", pair.story());
    }
}

#[test]
fn a_read_that_lags_behind_confirms_nothing_that_was_not_attached() {
    for arbiter in [Arbiter::Cloud, Arbiter::Majority] {
        let mut pair = Pair::new(3, arbiter);
        pair.run(Duration::from_secs(33));
        let command = |to| crate::model::event::Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(to)) };
        // What the first node reads from here on is of its own term.
        pair.stale.insert(0, vec!["i-a".into()]);
        pair.give(0, Event::Commanded { command: command(1), request: 1 });
        pair.run(Duration::from_millis(150));
        assert_eq!(pair.bound, ["i-b"], "{arbiter:?} {}", pair.story());
        pair.give(1, Event::Commanded { command: command(0), request: 2 });
        pair.run(Duration::from_millis(150));
        assert_eq!(pair.role(0), Role::Active, "{arbiter:?} {}", pair.story());
        // The other one may still be bound, which such reads do not show; the last one attached has the packets.
        assert_eq!(pair.bound.last().map(String::as_str), Some("i-a"), "{arbiter:?} {}", pair.story());
    }
}

/// The read before the claim may be of our own term: another held the HAVIP since, detached us and died.
#[test]
fn a_read_that_still_binds_us_spares_no_attach() {
    for arbiter in [Arbiter::Cloud, Arbiter::Majority] {
        let mut pair = Pair::new(3, arbiter);
        pair.run(Duration::from_secs(33));
        let command = crate::model::event::Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(1)) };
        // What the first node reads from here on is of the instant in which both were bound.
        pair.stale.insert(0, vec!["i-a".into(), "i-b".into()]);
        pair.give(0, Event::Commanded { command, request: 1 });
        pair.run(Duration::from_millis(150));
        assert_eq!(pair.bound, ["i-b"], "{arbiter:?} {}", pair.story());
        pair.kill(1);
        let killed = pair.now;
        pair.run(Duration::from_millis(1_500));
        let mut writes = pair.log.iter().filter_map(|(at, i, a)| match a {
            Action::Write(w) if *at > killed && *i == 0 => Some(w.kind),
            _ => None,
        });
        let first = writes.next();
        assert_eq!(first, Some(crate::model::action::WriteKind::Attach), "{arbiter:?} {}", pair.story());
    }
}

/// Without a claim the record is read every audit interval: it may name the holder before the one that died.
#[test]
fn an_old_read_lets_nobody_wait_for_the_holder_before() {
    for arbiter in [Arbiter::Cloud, Arbiter::Majority] {
        let mut pair = Pair::new(3, arbiter);
        pair.run(Duration::from_secs(33));
        let command = |to| crate::model::event::Command::Switchover { group: GroupIndex(0), to: Some(NodeIndex(to)) };
        pair.give(0, Event::Commanded { command: command(1), request: 1 });
        pair.run(Duration::from_secs(40));
        assert_eq!(pair.role(1), Role::Active, "{arbiter:?} {}", pair.story());
        pair.stale.insert(0, vec!["i-b".into()]);
        pair.give(1, Event::Commanded { command: command(2), request: 2 });
        pair.run(Duration::from_secs(5));
        pair.kill(2);
        let killed = pair.now;
        pair.run(Duration::from_millis(1_300));
        assert!(pair.became(killed, 0, Role::Claiming), "{arbiter:?} {}", pair.story());
        assert_eq!(pair.core(1).groups[0].lease.requested_since(), None, "{arbiter:?}");
    }
}

/// Hooks that could not begin in time are told again what is still so, and nothing that is not.
#[test]
fn a_state_that_lapsed_before_it_was_told_is_told_again_if_it_still_holds() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(Duration::from_secs(10));
    let told = |actions: &[Action]| {
        let mut all = actions.iter().filter_map(|a| if let Action::Notify(n) = a { Some(n.clone()) } else { None });
        all.next()
    };
    let epoch = pair.core(0).groups[0].epochs.ours();
    let again = told(&pair.give(0, Event::NotifyLapsed { group: GroupIndex(0), epoch })).expect("it is still active");
    assert_eq!((again.state, again.epoch), (crate::model::action::NotifyState::Master, epoch));
    assert!(again.leadership_until > pair.now && again.leadership_until <= pair.now + INTERVAL * 10, "{again:?}");
    let before = Event::NotifyLapsed { group: GroupIndex(0), epoch: Epoch(epoch.0 - 1) };
    assert_eq!(told(&pair.give(0, before)), None, "another term's");
    assert_eq!(told(&pair.give(1, Event::NotifyLapsed { group: GroupIndex(0), epoch })), None, "another's");
}
