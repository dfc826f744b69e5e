//! A scenario from a seed: a cluster, and what goes wrong in it.
//!
//! Three kinds of plan take turns: everything at once; operators in an otherwise sound cluster, who
//! drain, switch over, restart, upgrade and reload; and one kind of fault again and again.

use super::bound::bound;
use super::cloud::Profile;
use super::cluster::Cluster;
use super::plan::{Plan, least_multiplier, of, shareable};
use super::scenario::{Expect, Scenario};
use havipd_core::model::settings::{Arbiter, Binding, HoldOrRelease, OnRestart, OnStop};
use std::time::Duration;

/// The longest dead time that a plan's reloads lead to.
const LONGEST: Duration = Duration::from_secs(10);
/// No run is shorter.
const LEAST_MS: u64 = 600_000;
/// Looked at after everything must have settled.
const AFTERWARDS: Duration = Duration::from_secs(60);

impl Scenario {
    /// The scenario that belongs to a seed.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        Self::drawn(seed, false)
    }

    /// The scenario that belongs to a seed, with an election in etcd, and what goes wrong with that besides.
    #[must_use]
    pub fn random_with_etcd(seed: u64) -> Self {
        Self::drawn(seed, true)
    }

    fn drawn(seed: u64, in_etcd: bool) -> Self {
        // Small seeds next to each other must not give plans next to each other.
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        let mut cluster = cluster(&mut rng);
        // Every eighth seed has keepalived elect, where the cloud would decide; the others stay what they were.
        if seed.is_multiple_of(8) && cluster.arbiter == Arbiter::Cloud {
            cluster.arbiter = Arbiter::Keepalived;
        }
        if in_etcd {
            cluster.arbiter = Arbiter::EtcdLease;
        }
        let mut plan = Plan { rng, steps: vec![], names: vec![], members: vec![], cluster };
        plan.names = plan.cluster.machines.iter().map(|m| m.name.clone()).collect();
        plan.members = plan.cluster.machines.iter().filter(|m| !m.witness).map(|m| m.name.clone()).collect();
        let quiet_ms = match plan.rng.u32(0..3) {
            0 => plan.operators(),
            1 => plan.one_kind(),
            _ => plan.everything(),
        };
        plan.rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d);
        plan.additions(quiet_ms);
        plan.rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6a09_e667_f3bc_c908);
        plan.gates(quiet_ms);
        if in_etcd {
            plan.rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6574_6364_2e6f_776e);
            plan.etcd(quiet_ms);
        }
        plan.read_in_time();
        // What all nodes must agree on is changed everywhere before the end of the faults.
        let changes = plan.steps.iter().filter(|s| s.kind.changes_leases()).map(|s| s.at_ms + 1_000).max();
        let quiet_ms = quiet_ms.max(changes.unwrap_or(0));
        // A reload may make the dead time longer.
        let longest = plan.cluster.dead_time().max(LONGEST);
        let after = bound(&plan.cluster, longest) + AFTERWARDS;
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let quiet_ms = quiet_ms.max(LEAST_MS.saturating_sub(after));
        plan.steps.retain(|s| s.at_ms < quiet_ms);
        plan.steps.sort_by_key(|s| s.at_ms);
        let end_ms = quiet_ms + after;
        Self {
            name: if in_etcd { "random with etcd" } else { "random" }.to_owned(),
            seed,
            quiet_ms,
            end_ms,
            call_ms: vec![],
            order: None,
            expect: Expect::default(),
            cluster: plan.cluster,
            steps: plan.steps,
        }
    }
}

fn cluster(rng: &mut fastrand::Rng) -> Cluster {
    let nodes = of(rng, &[2, 2, 3, 3, 3, 4, 5]);
    let arbiter = match (nodes, rng.u32(0..10)) {
        (2, _) | (_, 0..=3) => Arbiter::Cloud,
        _ => Arbiter::Majority,
    };
    let witnesses = match arbiter {
        Arbiter::Majority => rng.usize(0..nodes),
        _ => 0,
    };
    let mut cluster = Cluster::of(nodes, witnesses.min(nodes - 1), arbiter);
    // One that is drawn aside, below.
    let profiles: Vec<Profile> = Profile::all().into_iter().filter(|p| p.busy.is_zero()).collect();
    let profile = of(rng, &profiles);
    let profile = if !profile.winnable() && rng.u32(0..3) > 0 { profiles[0].clone() } else { profile };
    cluster.profile = profile.name;
    cluster.binding = if shareable(&cluster) && rng.bool() { Binding::Shared } else { Binding::Exclusive };
    cluster.interval_ms = of(rng, &[100, 200, 500, 500, 1000]);
    cluster.dead_multiplier = of(rng, &[least_multiplier(arbiter), 5, 10, 10]);
    let dead_ms = cluster.interval_ms * u64::from(cluster.dead_multiplier);
    cluster.cold_start_wait_ms = of(rng, &[10_000, 15_000, 30_000]).max(dead_ms);
    cluster.preempt = rng.u32(0..4) > 0;
    cluster.preempt_delay_ms = of(rng, &[0, 5_000, 30_000]);
    cluster.keep_for_ms = of(rng, &[10_000, 15_000, 30_000]);
    cluster.handover_timeout_ms = of(rng, &[5_000, 10_000, 20_000]);
    cluster.reclaim_wait_ms = of(rng, &[60_000, 300_000]);
    cluster.on_stop = of(rng, &[OnStop::Handover, OnStop::Handover, OnStop::Keep, OnStop::Release]);
    cluster.on_restart = of(rng, &[OnRestart::Keep, OnRestart::Keep, OnRestart::Handover]);
    cluster.when_isolated = of(rng, &[HoldOrRelease::Hold, HoldOrRelease::Release]);
    cluster.max_moves = of(rng, &[0, 6, 6, 2]);
    cluster.groups = of(rng, &[1, 1, 1, 2]);
    cluster.havips = of(rng, &[1, 1, 1, 2]);
    cluster.identity_late = rng.u32(0..4) == 0;
    cluster.address_late = rng.u32(0..4) == 0;
    for machine in &mut cluster.machines {
        // Any two of them differ by less than one per cent.
        machine.clock_ppm = rng.i64(-4_900..=4_900);
        machine.clock_ms = rng.u64(5_000..2_000_000_000);
        if !machine.witness && rng.u32(0..4) == 0 {
            machine.priority = 100;
        }
    }
    // Drawn from a stream of its own, so that what the seeds had before stays as it was.
    let mut aside = fastrand::Rng::with_seed(rng.clone().u64(..) ^ 0x6275_7379);
    if cluster.binding == Binding::Exclusive && cluster.profile != "unwinnable" && aside.u32(0..10) == 0 {
        cluster.profile = Profile::busy().name;
    }
    cluster
}

#[cfg(test)]
mod tests {
    use super::super::step_kind::StepKind;
    use super::*;

    /// Seed 42444 read a holder 970 ms late, and its reloads had made the dead time 1 s.
    #[test]
    fn no_plan_reads_later_than_half_a_dead_time_of_its_files() {
        let mut shortened = 0;
        for seed in (0..3_000).chain([42_444]) {
            let scenario = Scenario::random(seed);
            let usual = (scenario.cluster.interval_ms, scenario.cluster.dead_multiplier);
            let (mut interval, mut multiplier) = usual;
            for step in &scenario.steps {
                if let StepKind::Reload { interval_ms, dead_multiplier, .. } = &step.kind {
                    interval = interval_ms.unwrap_or(interval);
                    multiplier = dead_multiplier.unwrap_or(multiplier);
                }
                if let StepKind::ReadLate { by_ms, .. } = &step.kind {
                    assert!(*by_ms <= interval * u64::from(multiplier) / 2, "seed {seed}: {by_ms} ms");
                    shortened += u32::from((interval, multiplier) != usual);
                }
            }
        }
        assert!(shortened > 0, "none had both");
    }
}
