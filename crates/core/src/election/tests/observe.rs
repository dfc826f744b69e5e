//! `observe`: an election beside something else that moves the HAVIP.

use super::*;

fn pair(arbiter: Arbiter) -> Pair {
    let observing = |local| {
        let mut config = config(2, local, arbiter);
        config.groups[0].observe = true;
        config
    };
    let mut pair = Pair::with(2, Instant::from_millis(1_000_000), observing);
    pair.bound = vec!["i-a".to_owned()];
    pair.run(Duration::from_secs(40));
    // The first read was older than what is bound here.
    pair.log.clear();
    pair
}

fn reports(pair: &Pair, node: usize) -> Vec<(Cause, String)> {
    let own = pair.log.iter().filter(|(_, i, _)| *i == node);
    let records = own.filter_map(|(_, _, a)| if let Action::Record(t) = a { Some(t) } else { None });
    let compared = records.filter(|t| matches!(t.cause, Cause::CloudDiffers | Cause::CloudAgrees));
    compared.inspect(|t| assert_eq!(t.from, t.to)).map(|t| (t.cause, t.detail.clone())).collect()
}

#[test]
fn disagreements_are_reported_with_their_times_and_nothing_is_touched() {
    let mut pair = pair(Arbiter::Cloud);
    assert_eq!((pair.role(0), pair.role(1)), (Role::Active, Role::Backup));
    assert_eq!((reports(&pair, 0), reports(&pair, 1)), (vec![], vec![]));
    // keepalived's script moves it.
    pair.bound = vec!["i-b".to_owned()];
    pair.run(Duration::from_secs(10));
    let said = "this election has a, the cloud has i-b for havip-1".to_owned();
    for node in [0, 1] {
        assert_eq!(reports(&pair, node), [(Cause::CloudDiffers, said.clone())], "{node}");
    }
    let snapshot = pair.core(1).snapshot(pair.now);
    let differs = snapshot.groups[0].differs.as_ref().expect("lasts");
    assert_eq!((differs.elected.as_deref(), differs.holder.as_deref()), (Some("a"), Some("i-b")));
    assert!((8_000..=10_000).contains(&differs.for_ms), "{differs:?}");
    pair.bound = vec!["i-a".to_owned()];
    pair.run(Duration::from_secs(3));
    let (cause, detail) = reports(&pair, 0).pop().expect("another report");
    assert_eq!(cause, Cause::CloudAgrees);
    assert!(detail.starts_with("the cloud agrees again, after 10."), "{detail}");
    assert_eq!(pair.core(0).snapshot(pair.now).groups[0].differs.as_ref().map(|d| d.for_ms), None);
    // It elects on: the other takes over, and would have claimed.
    pair.kill(0);
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.role(1), Role::Active, "{}", pair.core(1).groups[0].candidacy.waiting().text);
    assert_eq!(reports(&pair, 1).pop().expect("differs").1, "this election has b, the cloud has i-a for havip-1");
    let touching = pair.log.iter().find(|(_, _, a)| {
        matches!(
            a,
            Action::Write(_)
                | Action::PutAddress { .. }
                | Action::DropAddress { .. }
                | Action::Announce { .. }
                | Action::Notify(_)
        )
    });
    assert!(touching.is_none(), "{touching:?}");
}

#[test]
fn leaving_and_a_removed_havip_touch_nothing_either() {
    let mut pair = pair(Arbiter::Cloud);
    let stop = Event::Commanded { command: crate::model::event::Command::Stop { restart: true }, request: 1 };
    let actions = pair.give(0, stop);
    pair.run(Duration::from_secs(5));
    assert!(pair.nodes[0].is_none());
    assert!(!actions.iter().any(|a| matches!(a, Action::PutAddress { .. })));
    assert!(!pair.log.iter().any(|(_, _, a)| matches!(a, Action::PutAddress { .. } | Action::DropAddress { .. })));
}
