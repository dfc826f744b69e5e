//! Rows of docs/failure-matrix.md that have no scenario among the named ones, on a few clusters that differ most.

use super::must_hold;
use super::named::{NEVER, SETTLED, apart, crash, node, play, switchover};
use havipd_core::model::settings::{Arbiter, Binding};
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::network::Link;
use havipd_lab::simulation::{Scenario, StepKind};
use std::time::Duration;

/// Two nodes that ask the cloud, and three that ask each other; without preemption.
fn few() -> [Cluster; 4] {
    let stays = |cluster: Cluster, profile: &str, binding| Cluster {
        preempt: false,
        profile: profile.to_owned(),
        binding,
        ..cluster
    };
    [
        stays(Cluster::of(2, 0, Arbiter::Cloud), "attach-moves", Binding::Exclusive),
        stays(Cluster::of(2, 0, Arbiter::Cloud), "garp-required", Binding::Shared),
        stays(Cluster::of(3, 0, Arbiter::Majority), "first-stays", Binding::Exclusive),
        stays(Cluster::of(3, 1, Arbiter::Majority), "eventual", Binding::Exclusive),
    ]
}

fn start(name: &str) -> StepKind {
    StepKind::Start { node: node(name) }
}

/// Plays `steps` under the invariants alone, and heals everything before the end.
fn survive(name: &str, cluster: Cluster, steps: Vec<(u64, StepKind)>, quiet: u64) -> usize {
    let mut scenario = Scenario::new(name, cluster).times(quiet, quiet + 240_000);
    for (at, kind) in steps {
        scenario = scenario.step(at, kind);
    }
    let report = must_hold(&scenario);
    report.moves[0].len()
}

#[test]
fn a_stop_of_any_length_never_makes_two() {
    for cluster in few() {
        let dead = u64::try_from(cluster.dead_time().as_millis()).expect("short");
        // A guest whose clocks stood still for half a lease gives up, as it cannot know how long it was.
        for (halves, paused, frozen) in [(1, 0..=0, 0..=1), (2, 0..=1, 0..=1), (4, 1..=1, 1..=1), (20, 1..=1, 1..=1)] {
            let for_ms = dead * halves / 2;
            let pause = StepKind::Pause { node: node("a"), for_ms };
            let freeze = StepKind::Freeze { node: node("a"), for_ms };
            for (kind, moves) in [(pause, paused), (freeze, frozen)] {
                let moved = survive("stop", cluster.clone(), vec![(SETTLED, kind)], SETTLED + for_ms + 30_000);
                assert!(moves.contains(&moved), "{halves}/2 dead times: {moved} moves, {cluster:?}");
            }
        }
    }
}

#[test]
fn a_daemon_whose_worker_is_stuck_loses_its_place() {
    for cluster in few() {
        let stuck = StepKind::EffectsStuck { node: node("a"), for_ms: 40_000 };
        play("stuck worker", cluster, &[(SETTLED, stuck)], 120_000, "b", 1);
    }
}

#[test]
fn in_a_partition_who_reaches_the_cloud_decides() {
    let [cluster, ..] = few();
    let cut = |name: &str| (SETTLED, StepKind::CloudCut { node: node(name), answers_only: false });
    let alone = (SETTLED, apart(&[&["a"], &["b"]]));
    for (names, moves) in [(&["b"][..], 0), (&["a"][..], 1), (&["a", "b"][..], 0)] {
        let mut steps: Vec<_> = names.iter().map(|n| cut(n)).collect();
        steps.push(alone.clone());
        let moved = survive("cloud in a partition", cluster.clone(), steps, 150_000);
        assert_eq!(moved, moves, "without the cloud: {names:?}");
    }
}

#[test]
fn a_bad_network_moves_nothing_while_most_gets_through() {
    let lossy = |permille| Link { loss_permille: permille, ..Link::default() };
    let links = [
        lossy(10),
        lossy(50),
        lossy(200),
        Link { jitter_us: 300_000, ..Link::default() },
        Link { duplicate_permille: 500, jitter_us: 50_000, ..Link::default() },
    ];
    for cluster in few() {
        let names: Vec<String> = cluster.machines.iter().map(|m| m.name.clone()).collect();
        let everywhere = |link: Link| {
            let pairs = names.iter().flat_map(|from| names.iter().map(move |to| (from.clone(), to.clone())));
            pairs.map(|(from, to)| (SETTLED, StepKind::Link { from, to, path: None, link })).collect::<Vec<_>>()
        };
        for link in links {
            let moved = survive("bad network", cluster.clone(), everywhere(link), 165_000);
            assert_eq!(moved, 0, "{link:?}");
        }
        // Half of everything, and bursts: here only the promises count.
        survive("half is lost", cluster.clone(), everywhere(lossy(500)), 165_000);
        let mut bursts = vec![];
        for i in 0..20 {
            bursts.extend(everywhere(lossy(900)).into_iter().map(|(at, kind)| (at + i * 6_000, kind)));
            bursts.push((SETTLED + i * 6_000 + 2_000, StepKind::HealNetwork));
        }
        let moved = survive("bursts", cluster.clone(), bursts, 175_000);
        assert_eq!(moved, 0, "bursts of two fifths of the dead time");
    }
}

#[test]
fn a_cluster_boots_in_any_order_with_one_transition() {
    for cluster in few() {
        let names: Vec<String> = cluster.machines.iter().map(|m| m.name.clone()).collect();
        for first in 0..names.len() {
            let mut steps = vec![];
            for (i, name) in names.iter().enumerate() {
                let late = 2_000 + 7_000 * u64::try_from((i + first) % names.len()).expect("few");
                steps.push((
                    10,
                    StepKind::Crash { node: name.clone(), back_ms: Some(late), forgets: true, sweep: true },
                ));
                let reload = StepKind::Reload {
                    node: name.clone(),
                    interval_ms: None,
                    dead_multiplier: None,
                    priorities: vec![],
                    keys: vec![],
                    patient: false,
                };
                steps.push((late + 1_500, reload));
            }
            let moved = survive("boot", cluster.clone(), steps, 90_000);
            assert_eq!(moved, 0, "the one that begins, and no other");
        }
    }
}

#[test]
fn who_hears_nothing_after_its_start_claims_nothing() {
    let deaf = Link { cut: true, ..Link::default() };
    for cluster in few() {
        let links = cluster.machines.iter().filter(|m| m.name != "b").map(|m| m.name.clone());
        let mut steps: Vec<_> = links
            .map(|from| (SETTLED + 1, StepKind::Link { from, to: node("b"), path: None, link: deaf }))
            .chain([(SETTLED, crash("b")), (SETTLED + 20_000, start("b")), (SETTLED + 30_000, StepKind::HealNetwork)])
            .collect();
        steps.sort_by_key(|(at, _)| *at);
        play("deaf start", cluster, &steps, 120_000, "a", 0);
    }
}

#[test]
fn equal_priorities_have_one_winner_whenever_they_change() {
    for mut cluster in few() {
        cluster.machines.iter_mut().filter(|m| !m.witness).for_each(|m| m.priority = 100);
        play("equal", cluster.clone(), &[], SETTLED, "a", 0);
        let names: Vec<String> = cluster.machines.iter().map(|m| m.name.clone()).collect();
        for at in [10_000, 29_900, 30_050] {
            let raise = |name: &String| {
                let priorities = vec![(node("b"), 200)];
                StepKind::Reload {
                    node: name.clone(),
                    interval_ms: None,
                    dead_multiplier: None,
                    priorities,
                    keys: vec![],
                    patient: false,
                }
            };
            let steps: Vec<_> = names.iter().zip(0..).map(|(n, i)| (at + 40 * i, raise(n))).collect();
            let moved = survive("priorities change", cluster.clone(), steps, 90_000);
            assert!(moved <= 1, "{moved} moves");
        }
    }
}

/// preempt, preempt-delay and what comes back, against who is active in the end and after how many moves.
#[test]
fn preemption_follows_its_table() {
    const TABLE: [(bool, u64, bool, &str, usize); 6] = [
        (false, 0, false, "b", 1),
        (false, 0, true, "b", 1),
        (true, 0, false, "a", 2),
        (true, 30_000, false, "a", 2),
        // One that comes and goes faster than the delay gets nothing, and then waits again.
        (true, 30_000, true, "a", 2),
        (true, 120_000, true, "b", 1),
    ];
    for cluster in few() {
        for (preempt, preempt_delay_ms, flaps, active, moves) in TABLE {
            let cluster = Cluster { preempt, preempt_delay_ms, ..cluster.clone() };
            let mut steps = vec![(SETTLED, crash("a")), (SETTLED + 20_000, start("a"))];
            if flaps {
                for i in 0..4 {
                    steps.push((SETTLED + 35_000 + 20_000 * i, crash("a")));
                    steps.push((SETTLED + 45_000 + 20_000 * i, start("a")));
                }
            }
            play("preemption", cluster, &steps, SETTLED + 175_000, active, moves);
        }
    }
}

#[test]
fn whatever_the_cloud_answers_the_successor_has_the_address_in_the_end() {
    let status = |status: u16, code: &str| Fault::Status {
        status,
        code: code.into(),
        message: "simulated".into(),
        retry_after: None,
        applied: false,
    };
    let faults = [
        status(429, "RequestLimitExceeded"),
        status(500, "InternalError"),
        status(502, ""),
        Fault::Throttle,
        Fault::Hang,
        Fault::ApplyThenHang,
        Fault::Reset,
        Fault::ApplyThenReset,
        Fault::Slow { delay: Duration::from_millis(2_500) },
        Fault::BadJson,
        Fault::Lie,
        Fault::StaleRead { age: Duration::from_secs(5) },
        Fault::LyingRead { master: "i-a".into() },
    ];
    for cluster in few() {
        for fault in &faults {
            let rule = FaultRule::new(Scope::Any, fault.clone()).times(4);
            let steps = vec![(SETTLED - 10, StepKind::CloudFault { rule }), (SETTLED, crash("a"))];
            let mut scenario = Scenario::new("misbehaving cloud", cluster.clone()).times(NEVER, 240_000);
            for (at, kind) in steps {
                scenario = scenario.step(at, kind);
            }
            scenario.expect.active = Some("b".into());
            must_hold(&scenario);
        }
    }
}

#[test]
fn the_next_one_finishes_what_a_claimant_that_died_began() {
    for profile in ["attach-moves", "first-stays"] {
        let cluster = Cluster { preempt: false, profile: profile.into(), ..Cluster::of(3, 0, Arbiter::Cloud) };
        let dead = u64::try_from(cluster.dead_time().as_millis()).expect("short");
        for after in [5, 15, 25, 40, 60] {
            let steps = [(SETTLED, crash("a")), (SETTLED + dead + after, crash("b"))];
            let mut scenario = Scenario::new("claimant dies", cluster.clone()).times(NEVER, 200_000);
            for (at, kind) in steps {
                scenario = scenario.step(at, kind);
            }
            scenario.expect.active = Some("c".into());
            must_hold(&scenario);
        }
    }
}

#[test]
fn a_havip_that_strangers_fill_is_taken_over_all_the_same() {
    for cluster in few() {
        let steps = [(SETTLED, StepKind::FillQuota { havip: 0 }), (SETTLED + 10_000, crash("a"))];
        play("full", cluster, &steps, 150_000, "b", 1);
    }
}

#[test]
fn an_attacker_on_the_network_changes_nothing() {
    for cluster in few() {
        let steps = [(10_000, StepKind::Attack { permille: 400 })];
        let report = play("attack", cluster, &steps, 120_000, "a", 0);
        assert!(report.stats.forged > 100, "{report}");
    }
}

#[test]
fn a_disk_that_hangs_moves_nothing() {
    for cluster in few() {
        for name in ["a", "b"] {
            let steps = [(SETTLED, StepKind::DiskStuck { node: node(name), for_ms: 60_000 })];
            play("disk", cluster.clone(), &steps, 120_000, "a", 0);
        }
    }
}

#[test]
fn an_interface_that_goes_down_gives_the_address_away_and_comes_back() {
    for cluster in few() {
        let down = |up| StepKind::LinkState { node: node("a"), up };
        let steps = [(SETTLED, down(false)), (SETTLED + 40_000, down(true))];
        play("interface", cluster, &steps, 150_000, "b", 1);
    }
}

#[test]
fn a_check_that_flaps_for_an_hour_moves_within_the_budget() {
    for cluster in few() {
        let per_window = usize::try_from(cluster.max_moves).expect("small");
        let mut scenario = Scenario::new("flapping check", Cluster { preempt: true, preempt_delay_ms: 0, ..cluster });
        for i in 0..3_600 {
            let health = |failed| StepKind::Health { node: node("a"), weight: 0, failed, undecided: false };
            scenario = scenario.step(SETTLED + 1_000 * i, health(true)).step(SETTLED + 1_000 * i + 500, health(false));
        }
        scenario = scenario.times(SETTLED + 3_600_000, SETTLED + 3_900_000);
        let report = must_hold(&scenario);
        // Ten minutes are a window; the last one may begin a new budget.
        assert!(report.moves[0].len() <= per_window * 7, "{report}");
    }
}

#[test]
fn a_switchover_that_cannot_work_is_refused() {
    for cluster in few() {
        let steps = [(SETTLED, crash("b")), (SETTLED + 20_000, switchover(Some("b")))];
        play("switchover to the dead", cluster.clone(), &steps, 110_000, "a", 0);
        // Asked, and then the successor dies: leadership comes back.
        let steps = [(SETTLED, switchover(Some("b"))), (SETTLED + 1, crash("b"))];
        let moved = survive("switchover to the dying", cluster, steps.to_vec(), 110_000);
        assert!(moved <= 2, "{moved} moves");
    }
}
