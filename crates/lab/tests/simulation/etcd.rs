//! havipd's own election in etcd, with what etcd, the way to it and people with etcdctl can do.

use super::must_hold;
use havipd_core::model::settings::{Arbiter, OnRestart, OnStop};
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::{Scenario, StepKind};

/// By then everybody has settled.
const CALM: u64 = 60_000;

fn cluster(nodes: usize) -> Cluster {
    Cluster { interval_ms: 300, preempt: false, ..Cluster::of(nodes, 0, Arbiter::EtcdLease) }
}

/// Nothing but what `steps` ask for moves anything.
fn moves(count: usize, cluster: Cluster, steps: &[(u64, StepKind)], quiet: u64) {
    let mut scenario = Scenario::new("moves", cluster).times(quiet, quiet + 300_000);
    scenario.expect.moves = Some(count);
    for (at, kind) in steps {
        scenario = scenario.step(*at, kind.clone());
    }
    must_hold(&scenario);
}

/// Every promise is kept, with several seeds, since it is a matter of moments.
fn plays(name: &str, cluster: &Cluster, steps: &[(u64, StepKind)], quiet: u64) {
    for seed in 1..=8 {
        let mut scenario = Scenario::new(name, cluster.clone()).times(quiet, quiet + 300_000);
        scenario.seed = seed;
        for (at, kind) in steps {
            scenario = scenario.step(*at, kind.clone());
        }
        must_hold(&scenario);
    }
}

fn node(name: &str) -> String {
    name.to_owned()
}

fn cut(name: &str, answers_only: bool) -> StepKind {
    StepKind::EtcdCut { node: node(name), answers_only }
}

fn heal(name: &str) -> StepKind {
    StepKind::EtcdHeal { node: node(name) }
}

fn apart() -> StepKind {
    StepKind::Partition { sides: vec![vec![node("a")], vec![node("b")]] }
}

#[test]
fn one_is_elected_and_stays() {
    for nodes in [2, 3] {
        moves(0, cluster(nodes), &[], CALM);
    }
}

#[test]
fn a_holder_that_dies_is_replaced_when_its_lease_ends() {
    let crash = StepKind::Crash { node: node("a"), back_ms: None, forgets: false, sweep: false };
    let off = StepKind::PowerOff { node: node("a"), back_ms: None, forgets: false, told: false };
    plays("crash", &cluster(2), &[(CALM, crash)], CALM + 60_000);
    plays("power off", &cluster(3), &[(CALM, off)], CALM + 60_000);
}

#[test]
fn planned_moves_pass_the_key_on() {
    let over = |to: &str| StepKind::Switchover { group: 0, to: Some(node(to)) };
    let drain = |on| StepKind::Drain { node: node("b"), on };
    let steps = [(CALM, over("b")), (CALM + 20_000, drain(true)), (CALM + 60_000, drain(false))];
    plays("moves", &cluster(3), &steps, CALM + 120_000);
    // The successor cannot ask etcd: the old holder has the group back.
    let steps = [(CALM, cut("b", false)), (CALM + 500, over("b")), (CALM + 30_000, heal("b"))];
    plays("moves", &cluster(2), &steps, CALM + 90_000);
    // Or the holder cannot write who may take it.
    for answers_only in [false, true] {
        let steps = [(CALM, cut("a", answers_only)), (CALM + 100, over("b")), (CALM + 30_000, heal("a"))];
        plays("moves", &cluster(2), &steps, CALM + 90_000);
    }
    let crash = StepKind::Crash { node: node("b"), back_ms: Some(9_000), forgets: false, sweep: false };
    for after in [1, 3, 5, 10, 50] {
        plays("moves", &cluster(2), &[(CALM, over("b")), (CALM + after, crash.clone())], CALM + 90_000);
    }
}

#[test]
fn a_holder_without_etcd_lets_go_before_its_lease_ends() {
    for answers_only in [false, true] {
        plays("cut", &cluster(2), &[(CALM, cut("a", answers_only)), (CALM + 60_000, heal("a"))], CALM + 120_000);
        let steps = [(CALM, apart()), (CALM, cut("a", answers_only)), (CALM + 60_000, heal("a"))];
        plays("cut", &cluster(2), &steps, CALM + 120_000);
    }
    // Clocks as far apart as is promised.
    for (etcd_ppm, own) in [(4_900, -4_900), (-4_900, 4_900)] {
        let mut cluster = Cluster { etcd_ppm, etcd_lease_ms: 60_000, ..cluster(2) };
        cluster.machines[0].clock_ppm = own;
        plays("rates", &cluster, &[(CALM, apart()), (CALM + 1, cut("a", false))], CALM + 200_000);
    }
}

#[test]
fn without_a_leader_of_etcd_nobody_leads_for_long() {
    for for_ms in [500, 3_000, 9_000, 12_000, 60_000] {
        plays("down", &cluster(2), &[(CALM, StepKind::EtcdDown { for_ms })], CALM + 120_000);
    }
    plays("slow", &cluster(2), &[(CALM, StepKind::EtcdDelay { ms: 700 })], CALM + 120_000);
    plays("slow", &cluster(3), &[(5_000, StepKind::EtcdDelay { ms: 450 })], CALM + 120_000);
}

#[test]
fn a_node_that_stands_still_finds_its_lease_over() {
    let pause = |for_ms| StepKind::Pause { node: node("a"), for_ms };
    let freeze = |for_ms| StepKind::Freeze { node: node("a"), for_ms };
    for for_ms in [2_900, 9_000, 11_000, 30_000] {
        plays("pause", &cluster(2), &[(CALM, pause(for_ms))], CALM + 120_000);
        plays("freeze", &cluster(2), &[(CALM, freeze(for_ms))], CALM + 120_000);
        let stuck = StepKind::EffectsStuck { node: node("a"), for_ms };
        plays("stuck", &cluster(2), &[(CALM, stuck)], CALM + 120_000);
    }
}

#[test]
fn what_people_do_by_hand() {
    let key = |says: Option<&str>| StepKind::EtcdKey { group: 0, says: says.map(str::to_owned) };
    for says in [None, Some("b"), Some("mine"), Some("b -> a"), Some("a -> b")] {
        plays("by hand", &cluster(2), &[(CALM, key(says))], CALM + 60_000);
        plays("by hand, apart", &cluster(2), &[(CALM, apart()), (CALM + 20_000, key(says))], CALM + 60_000);
        let steps = [(CALM, apart()), (CALM + 10_000, cut("a", false)), (CALM + 12_000, key(says))];
        plays("by hand, unseen", &cluster(2), &steps, CALM + 60_000);
    }
    plays("revoked", &cluster(2), &[(CALM, StepKind::EtcdRevoke { group: 0 })], CALM + 60_000);
    plays("revoked", &cluster(2), &[(CALM, apart()), (CALM + 9_000, StepKind::EtcdRevoke { group: 0 })], CALM + 60_000);
}

#[test]
fn a_restart_keeps_its_key() {
    for on_restart in [OnRestart::Keep, OnRestart::Handover] {
        let cluster = Cluster { on_restart, ..cluster(2) };
        let restart = StepKind::Stop { node: node("a"), restart: true, back_ms: Some(500) };
        let count = usize::from(on_restart == OnRestart::Handover);
        moves(count, cluster.clone(), &[(CALM, restart.clone())], CALM + 60_000);
        plays("restart, apart", &cluster, &[(CALM, apart()), (CALM + 10_000, restart)], CALM + 60_000);
    }
    for on_stop in [OnStop::Handover, OnStop::Keep, OnStop::Release] {
        let cluster = Cluster { on_stop, ..cluster(2) };
        let stop = StepKind::Stop { node: node("a"), restart: false, back_ms: Some(40_000) };
        plays("stop", &cluster, &[(CALM, stop.clone())], CALM + 90_000);
        plays("stop, apart", &cluster, &[(CALM, apart()), (CALM + 10_000, stop)], CALM + 90_000);
    }
}

/// Its watches end, and what happens to the key until they are opened again is read then.
#[test]
fn what_came_while_no_watch_was_open_is_read() {
    let key = |says: Option<&str>| StepKind::EtcdKey { group: 0, says: says.map(str::to_owned) };
    moves(0, cluster(2), &[(CALM, StepKind::EtcdCompacts), (CALM + 9_000, StepKind::EtcdCompacts)], CALM + 60_000);
    for says in [None, Some("b"), Some("mine")] {
        let steps = [(CALM, StepKind::EtcdCompacts), (CALM + 100, key(says))];
        plays("compacted", &cluster(2), &steps, CALM + 60_000);
        let steps = [(CALM, apart()), (CALM + 20_000, StepKind::EtcdCompacts), (CALM + 20_100, key(says))];
        plays("compacted, apart", &cluster(2), &steps, CALM + 60_000);
    }
    let crash = StepKind::Crash { node: node("a"), back_ms: None, forgets: false, sweep: false };
    let lease = 10_000;
    for after in [lease - 300, lease, lease + 100] {
        let steps = [(CALM, crash.clone()), (CALM + after, StepKind::EtcdCompacts)];
        plays("compacted while the key ends", &cluster(2), &steps, CALM + 60_000);
    }
}

/// etcd forgets the term of a holder that does not hear of it, or what came before, or after; a second later, or at once.
#[test]
fn a_restored_etcd_makes_no_second_leader() {
    let over = StepKind::Switchover { group: 0, to: Some(node("b")) };
    for backup_at in [500, CALM - 10_000, CALM + 15_000] {
        for cut_after in [0, 1_000, 4_000] {
            let at = CALM + 20_000;
            let backup = (backup_at, StepKind::EtcdBackup);
            let steps = [
                backup.clone(),
                (CALM, over.clone()),
                (at - 500, apart()),
                (at, StepKind::EtcdRestore),
                (at + cut_after, cut("b", false)),
                (at + 60_000, heal("b")),
            ];
            plays("restored, apart", &cluster(2), &steps, at + 90_000);
            plays("restored", &cluster(3), &[backup, (CALM, over.clone()), (at, StepKind::EtcdRestore)], at + 90_000);
        }
    }
}

/// Its members elect a leader. What was asked meanwhile is carried out when nobody waits for it any more.
#[test]
fn what_was_asked_while_etcd_elected_is_carried_out_late() {
    let over = StepKind::Switchover { group: 0, to: Some(node("b")) };
    let crash = StepKind::Crash { node: node("a"), back_ms: Some(2_000), forgets: false, sweep: false };
    let restart = StepKind::Stop { node: node("a"), restart: true, back_ms: Some(500) };
    for for_ms in [300, 4_000, 12_000] {
        let elects = |at: u64| (at, StepKind::EtcdElects { for_ms });
        for what in [&over, &crash, &restart] {
            for early in [0, 200] {
                let steps = [elects(CALM), (CALM + early, what.clone())];
                plays("elects", &cluster(2), &steps, CALM + 90_000);
                let steps = [(CALM - 500, apart()), elects(CALM), (CALM + early, what.clone())];
                plays("elects, apart", &cluster(2), &steps, CALM + 90_000);
            }
        }
        plays("elects at the start", &cluster(3), &[elects(1)], CALM + 60_000);
    }
}

/// A read that was on its way while the key changed hands says nothing of it any more.
#[test]
fn an_answer_that_comes_late_takes_nothing() {
    let over = |to: &str| StepKind::Switchover { group: 0, to: Some(node(to)) };
    for ms in [200, 450, 900] {
        let steps = [(CALM, StepKind::EtcdDelay { ms }), (CALM + 5_000, over("b")), (CALM + 30_000, over("a"))];
        plays("late", &cluster(2), &steps, CALM + 60_000);
    }
}

/// The daemon restarts while etcd is in trouble: the key that it keeps for its next start may end meanwhile.
#[test]
fn a_restart_while_etcd_is_in_trouble() {
    let cluster = Cluster { on_restart: OnRestart::Keep, ..cluster(2) };
    let restart = |back_ms| StepKind::Stop { node: node("a"), restart: true, back_ms: Some(back_ms) };
    for back_ms in [300, 9_000, 15_000] {
        for trouble in [cut("a", false), cut("a", true), StepKind::EtcdDown { for_ms: 12_000 }, StepKind::EtcdCompacts]
        {
            for (first, then) in [(0, 100), (100, 0)] {
                let steps =
                    [(CALM + first, trouble.clone()), (CALM + then, restart(back_ms)), (CALM + 40_000, heal("a"))];
                plays("restart", &cluster, &steps, CALM + 90_000);
            }
        }
        let backup = (CALM - 5_000, StepKind::EtcdBackup);
        let steps = [backup, (CALM, restart(back_ms)), (CALM + 200, StepKind::EtcdRestore)];
        plays("restart and restoration", &cluster, &steps, CALM + 90_000);
    }
}

/// Random plans of the usual kinds, and what goes wrong with etcd besides.
#[test]
fn seeds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let (from, count) = (number("HAVIPD_SIM_FROM").unwrap_or(0), number("HAVIPD_SIM_ETCD").unwrap_or(40));
    for seed in from..from + count {
        must_hold(&Scenario::random_with_etcd(seed));
    }
}
