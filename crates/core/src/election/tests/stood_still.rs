//! The rules for a host, its clocks, or the effects side that stood still, a case each. See `conformance`.

use super::conformance::settled;
use super::*;

const SEC: Duration = Duration::from_secs(1);
const DEAD_TIME: Duration = SEC;

/// ⚠ §2: a node that was away has no leadership, starts every peer's silence anew, and claims nothing for one dead time.
#[test]
fn a_node_that_was_away_gives_up_and_listens_for_one_dead_time() {
    let mut pair = Pair::new(1, Arbiter::Cloud);
    pair.run(SEC * 3);
    assert_eq!(pair.role(0), Role::Active);
    pair.now += SEC * 5;
    let woken = pair.now;
    let actions = pair.give(0, Event::TimerExpired);
    let Some(Action::Record(first)) = actions.iter().find(|a| matches!(a, Action::Record(_))) else { panic!() };
    assert_eq!((first.from, first.to, first.cause), (Role::Active, Role::Backup, Cause::Away));
    assert!(actions.iter().any(|a| matches!(a, Action::DropAddress { .. })), "{actions:?}");
    pair.run(DEAD_TIME - Duration::from_millis(1));
    assert!(!pair.became(woken, 0, Role::Claiming), "{}", pair.story());
    pair.run(SEC);
    assert_eq!(pair.role(0), Role::Active);

    let mut pair = settled(2, Arbiter::Cloud);
    let asleep = pair.nodes[1].take();
    pair.run(SEC * 5);
    pair.nodes[1] = asleep;
    pair.give(1, Event::TimerExpired);
    assert!(pair.core(1).peers.iter().all(|p| p.up(pair.now)), "silence counts from now");
}

/// ⚠ §2: a guest whose clocks stood still sees no gap; its peers' uptimes tell.
#[test]
fn a_guest_whose_clocks_stood_still_gives_up() {
    let mut pair = settled(3, Arbiter::Cloud);
    let asleep = pair.nodes[0].take();
    pair.run(DEAD_TIME * 7 / 10);
    pair.nodes[0] = asleep;
    pair.behind.insert(0, DEAD_TIME * 7 / 10);
    let thawed = pair.now;
    pair.run(INTERVAL * 3);
    assert!(pair.became(thawed, 0, Role::Backup), "{}", pair.story());
    assert_eq!(pair.causes(0).last(), Some(&Cause::Away));
}

/// §7: a daemon whose effects stand still for a dead time sends no heartbeat.
#[test]
fn a_stuck_worker_is_silent() {
    let mut pair = settled(2, Arbiter::Cloud);
    pair.stuck.insert(0);
    let stuck = pair.now + DEAD_TIME + INTERVAL;
    pair.run(SEC * 4);
    let late = pair.log.iter().filter(|(at, i, a)| *i == 0 && *at > stuck && matches!(a, Action::SendDatagram { .. }));
    assert_eq!((late.count(), pair.role(1)), (0, Role::Active), "{}", pair.story());
}

/// §2: trust in the effects side is renewed by its progress alone, neither by a pause nor by a start.
#[test]
fn a_pause_renews_no_trust_in_a_stuck_worker() {
    let sent = |actions: &Actions| actions.iter().any(|a| matches!(a, Action::SendDatagram { .. }));
    let mut pair = settled(2, Arbiter::Cloud);
    pair.stuck.insert(0);
    pair.now += SEC * 5;
    let from = pair.now;
    assert!(!sent(&pair.give(0, Event::TimerExpired)));
    pair.run(SEC * 2);
    let late = pair.log.iter().filter(|(at, i, a)| *i == 0 && *at > from && matches!(a, Action::SendDatagram { .. }));
    assert_eq!(late.count(), 0, "{}", pair.story());

    let mut pair = Pair::new(2, Arbiter::Cloud);
    pair.stuck.insert(0);
    pair.start(0, config(2, 0, Arbiter::Cloud));
    let from = pair.now + DEAD_TIME + INTERVAL;
    pair.run(DEAD_TIME * 3);
    let late = pair.log.iter().filter(|(at, i, a)| *i == 0 && *at > from && matches!(a, Action::SendDatagram { .. }));
    assert_eq!(late.count(), 0, "{}", pair.story());
}

/// §2: what a dead node had sent counts from when it arrived, however late it is read.
#[test]
fn a_backlog_makes_nobody_live_longer() {
    let mut pair = settled(2, Arbiter::Cloud);
    let asleep = pair.nodes[1].take();
    let mut sent = vec![];
    for _ in 0..3 {
        let from = pair.log.len();
        pair.run(INTERVAL);
        sent.extend(pair.log.split_off(from).into_iter().filter(|(_, i, _)| *i == 0));
    }
    pair.kill(0);
    let died = pair.now;
    pair.now += DEAD_TIME / 2;
    pair.nodes[1] = asleep;
    for (arrived, _, action) in sent {
        if let Action::SendDatagram { bytes, .. } = action {
            let from = SocketAddr::from(([10, 0, 0, 10], 11200));
            pair.give(1, Event::DatagramReceived { path: Some(0), from, arrived, bytes });
        }
    }
    pair.run(DEAD_TIME * 7 / 10);
    assert!(pair.became(died, 1, Role::Claiming), "{}", pair.story());
}

/// ⚠ §2: a daemon whose effects stood still listens for one dead time before it claims, whatever they bring first.
#[test]
fn a_worker_that_goes_on_listens_first() {
    for reloads in [false, true] {
        let mut pair = settled(2, Arbiter::Cloud);
        pair.stuck.insert(1);
        pair.run(DEAD_TIME + INTERVAL);
        pair.partition(0, 1, true);
        pair.run(SEC * 4);
        assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
        let config = Arc::clone(pair.core(1).config());
        pair.give(1, if reloads { Event::ConfigReloaded(config) } else { Event::EffectsProgressed });
        assert_eq!(pair.role(1), Role::Backup, "{}", pair.story());
        pair.stuck.clear();
        pair.partition(0, 1, false);
        // The cloud's answer is here long before the first heartbeat.
        pair.delay = INTERVAL * 3;
        pair.run(SEC * 2);
        assert_eq!((pair.role(0), pair.role(1), pair.moves()), (Role::Active, Role::Backup, 0), "{}", pair.story());
    }
}

/// §3: a guest that was frozen while it was active hears its successor's number from others first. It takes none of its own
/// for that, by which the successor would give way.
#[test]
fn a_guest_that_was_frozen_does_not_outnumber_its_successor() {
    // A lease of three intervals runs short before the successor is heard.
    for (arbiter, dead_multiplier) in [(Arbiter::Cloud, 10), (Arbiter::Majority, 10), (Arbiter::Majority, 3)] {
        for phase in 0..20 {
            let mut pair = Pair::with(3, Instant::from_millis(1_000_000), |local| {
                let mut config = config(3, local, arbiter);
                config.heartbeat.dead_multiplier = dead_multiplier;
                config
            });
            pair.run(SEC * 40 + INTERVAL / 20 * phase);
            assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
            let asleep = pair.nodes[0].take();
            let frozen = pair.now;
            // Not longer: what it says after two dead times is of the past for its successor anyway.
            while pair.role(1) != Role::Active {
                assert!(pair.now.since(frozen) < SEC * 5, "{}", pair.story());
                pair.run(INTERVAL / 4);
            }
            (pair.nodes[0], pair.now) = (asleep, pair.now);
            pair.behind.insert(0, pair.now.since(frozen));
            let thawed = pair.now;
            // What the successor says comes last.
            pair.partition(0, 1, true);
            pair.run(INTERVAL);
            pair.partition(0, 1, false);
            pair.run(SEC * 5);
            let shaken = pair.became(thawed, 1, Role::Backup);
            assert!(!shaken && pair.role(1) == Role::Active, "{arbiter:?} {phase} {}", pair.story());
        }
    }
}

/// ⚠ §2: that a clock runs slow takes what was given by lease, and nothing of the groups beside it.
#[test]
fn a_slow_clock_takes_leases_alone() {
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), |local| {
        let mut config = config(3, local, Arbiter::Cloud);
        let leased =
            Group { name: "leased".parse().expect("valid"), arbiter: Arbiter::Majority, ..config.groups[0].clone() };
        config.groups.push(leased);
        config
    });
    pair.run(SEC * 40);
    let roles = |pair: &Pair| pair.core(0).groups.iter().map(|g| g.role()).collect::<Vec<_>>();
    assert_eq!(roles(&pair), [Role::Active, Role::Active], "{}", pair.story());
    let slow = pair.now;
    for _ in 0..300 {
        pair.run(INTERVAL);
        *pair.behind.entry(0).or_default() += INTERVAL * 3 / 100;
    }
    let lost = |name: usize| {
        pair.log.iter().any(|(at, i, a)| {
            matches!(a, Action::Record(t) if *at >= slow && *i == 0 && t.group == GroupIndex(name) && t.to == Role::Backup)
        })
    };
    assert_eq!((lost(0), lost(1)), (false, true), "{}", pair.story());
}
