//! Where packets go during a move, and the steps that are told of a move.

use super::*;
use crate::model::event::{Command, Reply};

fn cluster(nodes: usize) -> Pair {
    let mut pair = Pair::with(nodes, Instant::from_millis(1_000_000), |local| {
        let mut config = config(nodes, local, Arbiter::Cloud);
        config.heartbeat.fabric_probe = true;
        config
    });
    pair.run(Duration::from_secs(3));
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

fn order(pair: &mut Pair, node: usize, command: Command) -> Reply {
    let actions = pair.give(node, Event::Commanded { command, request: 7 });
    let reply = actions.into_iter().find_map(|a| if let Action::Reply { reply, .. } = a { Some(reply) } else { None });
    reply.expect("a reply")
}

const GROUP: GroupIndex = GroupIndex(0);

#[test]
fn a_trace_sees_the_packets_move_from_every_other_node() {
    let mut pair = cluster(3);
    assert!(matches!(order(&mut pair, 0, Command::Trace { group: GROUP }), Reply::Done(_)));
    pair.run(Duration::from_millis(300));
    let to = Some(NodeIndex(1));
    order(&mut pair, 0, Command::Switchover { group: GROUP, to });
    pair.run(Duration::from_secs(2));
    let trace = pair.core(0).snapshot(pair.now).groups[0].trace.clone().expect("a trace");
    let names: Vec<String> = pair.core(0).config().nodes.iter().map(|n| n.name.to_string()).collect();
    let seen = |from: usize, at: usize| trace.seen.iter().find(|s| s.from == names[from] && s.at == names[at]);
    for (from, at) in [(1, 0), (2, 0), (0, 1), (2, 1)] {
        let seen = seen(from, at).unwrap_or_else(|| panic!("{from} at {at}: {trace:?}"));
        assert!(seen.answers > 5, "{seen:?}");
    }
    assert!(seen(0, 0).is_none() && seen(1, 1).is_none(), "who serves does not ask itself: {trace:?}");
    let (old, new) = (seen(2, 0).expect("seen"), seen(2, 1).expect("seen"));
    assert!(old.last_ms <= new.first_ms && new.first_ms - old.last_ms < 500.0, "{old:?} {new:?}");
    // It ends by itself: after a minute nobody is asked any more.
    pair.run(Duration::from_secs(70));
    let ended = pair.log.len();
    pair.run(Duration::from_millis(400));
    let questions = pair.log[ended..].iter().filter(|(_, _, a)| is_probe(a)).count();
    assert!(questions < 10, "{questions}");
}

fn is_probe(action: &Action) -> bool {
    matches!(action, Action::SendDatagram { bytes, .. } if bytes.get(5) == Some(&2))
}

/// Steps of a failover to node 1, in order of time.
fn failover(pair: &mut Pair) -> Vec<(Instant, String)> {
    pair.kill(0);
    let killed = pair.now;
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.role(1), Role::Active, "{}", pair.story());
    let own = pair.log.iter().filter(|(at, i, _)| *at > killed && *i == 1);
    let mut steps: Vec<(Instant, String)> = Vec::new();
    for (_, _, action) in own {
        match action {
            Action::Record(t) if t.to == Role::Active => {
                steps.extend(t.timeline.iter().map(|s| (s.at, s.what.clone())));
            }
            Action::RecordLate { step, .. } => steps.push((step.at, step.what.clone())),
            _ => {}
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// What the kernel does not send is no step, however often it is tried.
#[test]
fn an_announcement_that_does_not_leave_is_not_noted() {
    let mut pair = cluster(2);
    pair.mute.insert(1);
    let steps = failover(&mut pair);
    assert!(!steps.iter().any(|(_, what)| what.contains("announced")), "{steps:#?}");
    let tried = |(_, i, a): &(Instant, usize, Action)| *i == 1 && matches!(a, Action::Announce { .. });
    assert!(pair.log.iter().any(tried));
}

/// Issue 6: from the last heartbeat to the first packet on the new node, in order.
#[test]
fn the_timeline_of_a_failover_has_every_step() {
    let steps = failover(&mut cluster(2));
    assert_eq!(steps.iter().filter(|(_, what)| what.contains("announced")).count(), 1, "{steps:#?}");
    let at = |what: &str| {
        let found = steps.iter().position(|(_, s)| s.contains(what));
        found.unwrap_or_else(|| panic!("no {what:?} in {steps:#?}"))
    };
    let order = [
        "last heartbeat of",
        "suspected",
        " dead",
        "epoch",
        "claiming",
        "attach of i-b sent",
        "write answered",
        "read back",
    ];
    let places: Vec<usize> = order.map(at).into();
    assert!(places.is_sorted(), "{steps:#?}");
    for other in ["added", "announced", "active (confirmed)"] {
        assert!(at(other) > at("claiming"), "{steps:#?}");
    }
    let dead = steps[at(" dead")].0.since(steps[at("last heartbeat")].0);
    assert_eq!(dead, INTERVAL * 10);
}

/// The first probe of another node that arrives on the HAVIP's address is a step, once a term.
#[test]
fn the_first_packet_on_the_new_node_is_dated() {
    let mut pair = cluster(3);
    let moved = pair.now;
    order(&mut pair, 0, Command::Switchover { group: GROUP, to: Some(NodeIndex(1)) });
    pair.run(Duration::from_secs(8));
    let first = |a: &Action| match a {
        Action::RecordLate { step, .. } => step.what.contains("first packet here"),
        Action::Record(t) => t.to == Role::Active && t.timeline.iter().any(|s| s.what.contains("first packet here")),
        _ => false,
    };
    let told = pair.log.iter().filter(|(at, i, a)| *at >= moved && *i == 1 && first(a)).count();
    assert_eq!(told, 1, "{}", pair.story());
}
