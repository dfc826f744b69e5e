//! Which machine a node runs on: a copy of a member's machine has its file, its keys and its state.

use super::*;
use crate::model::event::OwnPath;

const SEC: Duration = Duration::from_secs(1);

fn other() -> Event {
    Event::HostChecked { differs: Some("the metadata service says that this machine is i-z, and node a is i-a".into()) }
}

#[test]
fn a_machine_that_is_another_one_lets_go_and_is_in_fault() {
    for (nodes, arbiter) in [(2, Arbiter::Cloud), (3, Arbiter::Majority)] {
        let mut pair = Pair::new(nodes, arbiter);
        pair.run(SEC * 40);
        assert_eq!(pair.role(0), Role::Active);
        let actions = pair.give(0, other());
        assert!(actions.iter().any(|a| matches!(a, Action::DropAddress { .. })), "{arbiter:?} {actions:?}");
        let web = &pair.core(0).groups[0];
        assert_eq!((web.role(), web.cause), (Role::Fault, Cause::WrongHost), "{arbiter:?}");
        assert!(web.detail.contains("this machine is i-z"), "{}", web.detail);
        pair.run(SEC * 10);
        assert_eq!((pair.role(0), pair.role(1)), (Role::Fault, Role::Active), "{arbiter:?} {}", pair.story());
        // It was a mistake of the file, and is mended.
        pair.give(0, Event::HostChecked { differs: None });
        pair.run(SEC);
        assert_eq!(pair.role(0), Role::Backup, "{arbiter:?}");
    }
}

/// The voter that its file names may have granted since to somebody else. (I1)
#[test]
fn a_machine_that_is_another_one_grants_nothing() {
    let mut trio = Pair::new(3, Arbiter::Majority);
    trio.run(SEC * 40);
    trio.give(2, other());
    trio.kill(1);
    trio.run(SEC * 10);
    assert_eq!(trio.role(0), Role::Backup, "{}", trio.story());
    trio.give(2, Event::HostChecked { differs: None });
    trio.run(SEC * 30);
    assert_eq!(trio.role(0), Role::Active, "{}", trio.story());
}

#[test]
fn who_has_none_of_its_heartbeat_addresses_neither_resumes_nor_claims() {
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 40);
    assert_eq!(pair.role(0), Role::Active);
    // In the place of node a, whom the record names, comes a copy of it: with its state, and with another address.
    pair.kill(0);
    pair.partition(0, 1, true);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    let from = pair.now;
    pair.give(0, Event::PathsObserved(vec![OwnPath::Unbound]));
    pair.run(SEC * 120);
    assert!(!pair.became(from, 0, Role::Claiming), "{}", pair.story());
    let waits = pair.core(0).snapshot(pair.now).groups[0].waiting.clone();
    assert!(waits.contains("none of this node's heartbeat addresses is on this host"), "{waits}");
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    // With its address it is the node again, and resumes.
    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.run(SEC * 40);
    pair.kill(0);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    pair.give(0, Event::PathsObserved(vec![OwnPath::Unbound]));
    pair.run(INTERVAL * 3);
    pair.give(0, Event::PathsObserved(vec![OwnPath::Open]));
    pair.run(SEC * 2);
    assert!(pair.causes(0).contains(&Cause::Resumed) && pair.role(0) == Role::Active, "{}", pair.story());
}
