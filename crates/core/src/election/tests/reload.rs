//! What a reload takes off this host, and when keys may go.

use super::*;

const SEC: Duration = Duration::from_secs(1);
const OLD: [u8; 4] = [10, 0, 0, 100];

/// What becomes of a file.
type Change = dyn Fn(&mut Config);

fn settled(arbiter: Arbiter) -> Pair {
    let mut pair = Pair::new(2, arbiter);
    pair.run(SEC * 40);
    assert_eq!(pair.role(0), Role::Active);
    pair
}

/// Node `i` reloads its file with a change.
fn reload(pair: &mut Pair, i: usize, arbiter: Arbiter, change: impl Fn(&mut Config)) -> Actions {
    let mut other = config(2, i, arbiter);
    change(&mut other);
    pair.give(i, Event::ConfigReloaded(Arc::new(other)))
}

fn dropped(actions: &[Action]) -> Vec<[u8; 4]> {
    let drops = |a: &Action| if let Action::DropAddress { address, .. } = a { Some(address.octets()) } else { None };
    actions.iter().filter_map(drops).collect()
}

#[test]
fn what_the_file_before_had_put_here_is_taken_off() {
    let changes: [(&str, &Change); 3] = [
        ("another address", &|c| c.groups[0].havips[0].address = Some([10, 0, 0, 101].into())),
        ("no interface", &|c| c.groups[0].havips[0].interface = Interface::None),
        ("another HAVIP", &|c| {
            c.groups[0].havips[0].id = "havip-2".parse().expect("valid");
            c.groups[0].havips[0].address = Some([10, 0, 0, 101].into());
        }),
    ];
    for (what, change) in changes {
        let mut pair = settled(Arbiter::Cloud);
        let actions = reload(&mut pair, 0, Arbiter::Cloud, change);
        assert_eq!(dropped(&actions), [OLD], "{what}: {actions:?}");
        let said = |a: &Action| matches!(a, Action::Warn { text, .. } if text.starts_with("10.0.0.100 is taken off"));
        assert!(actions.iter().any(said), "{what}: {actions:?}");
        let backup = reload(&mut pair, 1, Arbiter::Cloud, change);
        assert_eq!(dropped(&backup), [[0; 4]; 0], "{what}: it is not there");
    }
}

#[test]
fn what_stays_in_the_file_stays_on_the_host() {
    let mut pair = settled(Arbiter::Cloud);
    let actions = reload(&mut pair, 0, Arbiter::Cloud, |c| c.groups[0].max_moves = 3);
    assert_eq!(dropped(&actions), [[0; 4]; 0]);
    // The address is that of another HAVIP now.
    let actions =
        reload(&mut pair, 0, Arbiter::Cloud, |c| c.groups[0].havips[0].id = "havip-2".parse().expect("valid"));
    assert_eq!(dropped(&actions), [[0; 4]; 0]);
}

#[test]
fn a_new_address_is_put_and_announced_by_who_is_active() {
    let mut pair = settled(Arbiter::Cloud);
    let from = pair.now;
    reload(&mut pair, 0, Arbiter::Cloud, |c| c.groups[0].havips[0].address = Some([10, 0, 0, 101].into()));
    pair.run(SEC * 2);
    let new: Ipv4Addr = [10, 0, 0, 101].into();
    let since = || pair.log.iter().filter(|(at, i, _)| *at >= from && *i == 0);
    assert!(since().any(|(_, _, a)| matches!(a, Action::PutAddress { address, .. } if *address == new)));
    assert!(since().any(|(_, _, a)| matches!(a, Action::Announce { address, .. } if *address == new)));
    assert_eq!((pair.role(0), pair.moves()), (Role::Active, 0));
}

fn with_keys(i: usize, ids: &[u8]) -> Config {
    let mut other = config(2, i, Arbiter::Cloud);
    let key = |id: &u8| HeartbeatKey { id: KeyId(*id), secret: Secret::new(vec![*id; 32]) };
    other.heartbeat.keys = ids.iter().map(key).collect();
    other.heartbeat.send_key = KeyId(ids[0]);
    other
}

#[test]
fn keys_may_go_when_the_newest_heartbeat_of_a_live_peer_has_another() {
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), |i| with_keys(i, &[1]));
    pair.run(SEC * 40);
    let (both, new) = (with_keys(0, &[1, 2]), with_keys(0, &[2]));
    let refused = |pair: &Pair| pair.core(0).reload_refusal(&new, pair.now);
    let text = refused(&pair).expect("b has the old one only");
    assert!(text.contains("b, whose newest heartbeat") && text.contains("accepts only key 1"), "{text}");

    // Behind a partition both take the new key, too; a cannot hear of it.
    pair.partition(0, 1, true);
    pair.give(0, Event::ConfigReloaded(Arc::new(both)));
    pair.give(1, Event::ConfigReloaded(Arc::new(with_keys(1, &[1, 2]))));
    pair.run(INTERVAL * 4);
    let text = refused(&pair).expect("b may be back within the dead time");
    assert!(text.contains("as far as is known") && text.contains("try again once it is heard, or dead"), "{text}");
    assert!(!text.contains("add the new key there first"), "that is done: {text}");
    pair.run(SEC * 2);
    assert_eq!(refused(&pair), None, "what a dead node accepts nobody knows");
    let actions = pair.give(0, Event::ConfigReloaded(Arc::new(new.clone())));
    let warned = actions.iter().find_map(|a| if let Action::Warn { text, .. } = a { Some(text) } else { None });
    let text = warned.expect("the operator is told");
    assert!(text.contains("b is not heard; when it was, 2.4 s ago, it accepted only key 1"), "{text}");

    // They had the new key in common all the time.
    pair.partition(0, 1, false);
    pair.run(SEC * 5);
    assert!(pair.core(0).snapshot(pair.now).peers[0].state == crate::wire::session::SessionState::Up);
    assert_eq!(pair.core(0).reload_warnings(&new, pair.now), Vec::<String>::new());
}

/// ⚠ b does not hear a, so it does not know that a accepts the new key, and sends with the old one.
#[test]
fn a_key_that_a_live_peer_sends_with_stays() {
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), |i| with_keys(i, &[1]));
    pair.run(SEC * 40);
    pair.cut.insert((0, 1));
    for i in 0..2 {
        pair.give(i, Event::ConfigReloaded(Arc::new(with_keys(i, &[2, 1]))));
    }
    pair.run(INTERVAL * 2);
    let new = with_keys(0, &[2]);
    let text = pair.core(0).reload_refusal(&new, pair.now).expect("b could not be read");
    assert!(text.contains("b still sends with key 1") && text.contains("set heartbeat.send-key"), "{text}");
    // One that is not heard has nothing to lose.
    assert_eq!(pair.core(0).reload_refusal(&new, pair.now + INTERVAL * 2), None);
    pair.cut.clear();
    pair.run(INTERVAL * 4);
    assert_eq!(pair.core(0).reload_refusal(&new, pair.now), None);
    pair.give(0, Event::ConfigReloaded(Arc::new(new)));
    pair.run(SEC * 5);
    assert_eq!((pair.role(0), pair.moves()), (Role::Active, 0), "{}", pair.story());
}
