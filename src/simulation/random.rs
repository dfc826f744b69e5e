//! A scenario from a seed: a cluster, and what goes wrong in it.
//!
//! Three kinds of plan take turns: everything at once; operators in an otherwise sound cluster, who
//! drain, switch over, restart, upgrade and reload; and one kind of fault again and again.

use super::cloud::{Announcements, Fault, FaultRule, MasterFlag, Profile, Scope};
use super::cluster::Cluster;
use super::invariants::i03_convergence::bound;
use super::network::Link;
use super::scenario::{Deed, Expect, Scenario, Step};
use crate::config::model::{Arbiter, Binding, HoldOrRelease, OnRestart, OnStop};
use std::time::Duration;

/// Time before the first fault, so that most runs begin with a holder.
const SETTLE_MS: u64 = 60_000;
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
        // Small seeds next to each other must not give plans next to each other.
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        let mut cluster = cluster(&mut rng);
        // Every eighth seed has keepalived elect, where the cloud would decide; the others stay what they were.
        if seed.is_multiple_of(8) && cluster.arbiter == Arbiter::Cloud {
            cluster.arbiter = Arbiter::Keepalived;
        }
        let mut plan = Plan { rng, steps: vec![], names: vec![], members: vec![], cluster };
        plan.names = plan.cluster.machines.iter().map(|m| m.name.clone()).collect();
        plan.members = plan.cluster.machines.iter().filter(|m| !m.witness).map(|m| m.name.clone()).collect();
        let quiet_ms = match plan.rng.u32(0..3) {
            0 => plan.operators(),
            1 => plan.one_kind(),
            _ => plan.everything(),
        };
        // A reload may make the dead time longer.
        let longest = plan.cluster.dead_time().max(LONGEST);
        let after = bound(&plan.cluster, longest) + AFTERWARDS;
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let quiet_ms = quiet_ms.max(LEAST_MS.saturating_sub(after));
        plan.steps.retain(|s| s.at_ms < quiet_ms);
        plan.steps.sort_by_key(|s| s.at_ms);
        let end_ms = quiet_ms + after;
        Self {
            name: "random".to_owned(),
            seed,
            quiet_ms,
            end_ms,
            call_ms: vec![],
            expect: Expect::default(),
            cluster: plan.cluster,
            steps: plan.steps,
        }
    }
}

fn of<T: Clone>(rng: &mut fastrand::Rng, list: &[T]) -> T {
    list[rng.usize(0..list.len())].clone()
}

fn cluster(rng: &mut fastrand::Rng) -> Cluster {
    let nodes = of(rng, &[2, 2, 3, 3, 3, 4, 5]);
    let arbiter = match (nodes, rng.u32(0..10)) {
        (_, 0) => Arbiter::None,
        (2, _) | (_, 1..=3) => Arbiter::Cloud,
        _ => Arbiter::Majority,
    };
    let witnesses = match arbiter {
        Arbiter::Majority => rng.usize(0..nodes),
        _ => 0,
    };
    let mut cluster = Cluster::of(nodes, witnesses.min(nodes - 1), arbiter);
    let profiles: Vec<Profile> = Profile::all();
    let profile = of(rng, &profiles);
    let profile = if !profile.winnable() && rng.u32(0..3) > 0 { profiles[0].clone() } else { profile };
    let flags = !matches!(profile.master_flag, MasterFlag::Absent | MasterFlag::Null);
    let shareable = profile.announcements != Announcements::Ignored && flags;
    cluster.binding = if shareable && rng.bool() { Binding::Shared } else { Binding::Exclusive };
    cluster.profile = profile.name;
    cluster.interval_ms = of(rng, &[100, 200, 500, 500, 1000]);
    cluster.dead_multiplier = of(rng, &[3, 5, 10, 10]);
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
    cluster
}

struct Plan {
    rng: fastrand::Rng,
    cluster: Cluster,
    names: Vec<String>,
    members: Vec<String>,
    steps: Vec<Step>,
}

impl Plan {
    fn add(&mut self, at_ms: u64, deed: Deed) {
        self.steps.push(Step { at_ms, deed });
    }

    fn node(&mut self) -> String {
        of(&mut self.rng, &self.names)
    }

    fn member(&mut self) -> String {
        of(&mut self.rng, &self.members)
    }

    fn havip(&mut self) -> usize {
        self.rng.usize(0..self.cluster.groups * self.cluster.havips)
    }

    /// A span that is short, about a lease, or long.
    fn span(&mut self) -> u64 {
        let dead = self.cluster.interval_ms * u64::from(self.cluster.dead_multiplier);
        match self.rng.u32(0..4) {
            0 => self.rng.u64(1..dead.max(2)),
            1 => self.rng.u64(dead * 9 / 10..dead * 13 / 10 + 2),
            2 => self.rng.u64(dead..dead * 6),
            _ => self.rng.u64(1_000..120_000),
        }
    }

    /// When a daemon is started again, if at all before the quiet.
    fn back(&mut self) -> Option<u64> {
        match self.rng.u32(0..5) {
            0 => None,
            1 => Some(self.rng.u64(50..500)),
            2 => Some(self.rng.u64(500..5_000)),
            _ => Some(self.span()),
        }
    }

    fn everything(&mut self) -> u64 {
        let length = self.rng.u64(300_000..600_000);
        let count = self.rng.u32(3..25);
        let from = if self.rng.u32(0..4) == 0 { 0 } else { SETTLE_MS };
        if self.rng.u32(0..3) == 0 {
            self.add(from, Deed::Attack { permille: 30 });
        }
        for _ in 0..count {
            let at = self.rng.u64(from..length);
            let kind = self.rng.u32(0..KINDS);
            self.fault(at, kind);
        }
        self.address_fault(length);
        length
    }

    /// Drawn last, so that the rest of a plan does not depend on it.
    fn address_fault(&mut self, length: u64) {
        if self.rng.u32(0..4) == 0 {
            let (at, node, for_ms) = (self.rng.u64(SETTLE_MS..length), self.member(), self.span());
            let refuses = self.rng.bool();
            self.add(at, Deed::AddressStuck { node, for_ms, refuses });
        }
    }

    fn one_kind(&mut self) -> u64 {
        let length = self.rng.u64(300_000..500_000);
        let kind = self.rng.u32(0..KINDS);
        let mut at = SETTLE_MS;
        // What must not touch a cluster in calm has to begin in calm.
        if self.rng.bool() {
            at += self.calm_ms();
        }
        while at < length {
            self.fault(at, kind);
            at += self.rng.u64(1_000..90_000);
        }
        self.address_fault(length);
        length
    }

    /// Long enough for nothing before it to matter any more.
    fn calm_ms(&self) -> u64 {
        u64::try_from(bound(&self.cluster, self.cluster.dead_time()).as_millis()).unwrap_or(0)
    }

    fn operators(&mut self) -> u64 {
        let calm = self.calm_ms();
        let mut at = SETTLE_MS + calm;
        if self.rng.u32(0..3) == 0 {
            self.add(SETTLE_MS, Deed::Attack { permille: 30 });
        }
        for _ in 0..self.rng.u32(2..7) {
            let kind = self.rng.u32(0..OPERATIONS);
            self.operation(at, kind);
            at += if self.rng.bool() { calm + 30_000 } else { self.rng.u64(1_000..60_000) };
        }
        at + 60_000
    }

    fn operation(&mut self, at: u64, kind: u32) {
        match kind {
            0 => {
                let to = self.rng.bool().then(|| self.member());
                let group = self.rng.usize(0..self.cluster.groups);
                self.add(at, Deed::Switchover { group, to });
            }
            1 => {
                let node = self.member();
                let after = self.span();
                self.add(at, Deed::Drain { node: node.clone(), on: true });
                self.add(at + after, Deed::Drain { node, on: false });
            }
            2 => {
                let (on, off) = (self.node(), self.node());
                let after = self.span();
                self.add(at, Deed::Maintenance { node: on, on: true });
                self.add(at + after, Deed::Maintenance { node: off, on: false });
            }
            3 => {
                let node = self.node();
                let restart = self.rng.bool();
                let back_ms = self.back();
                self.add(at, Deed::Stop { node, restart, back_ms });
            }
            4 => {
                // A rolling upgrade.
                let gap = self.rng.u64(8_000..40_000);
                for (i, node) in self.names.clone().into_iter().enumerate() {
                    let back_ms = Some(self.rng.u64(100..3_000));
                    self.add(at + gap * i as u64, Deed::Stop { node, restart: true, back_ms });
                }
            }
            5 => {
                let interval_ms = self.rng.bool().then(|| of(&mut self.rng, &[100, 200, 500, 1000]));
                let dead_multiplier = self.rng.bool().then(|| of(&mut self.rng, &[3, 5, 10]));
                // The dead time must not exceed the cold-start wait.
                let gap = self.rng.u64(10..10_000);
                let short = interval_ms.unwrap_or(1000) * 10 <= self.cluster.cold_start_wait_ms;
                for (i, node) in self.names.clone().into_iter().enumerate() {
                    let interval_ms = interval_ms.filter(|_| short);
                    let dead_multiplier = dead_multiplier.filter(|_| short);
                    let reload = Deed::Reload { node, interval_ms, dead_multiplier, priorities: vec![] };
                    self.add(at + gap * i as u64, reload);
                }
            }
            _ => {
                let priorities = vec![(self.member(), self.rng.u8(1..=254))];
                let gap = self.rng.u64(10..10_000);
                for (i, node) in self.names.clone().into_iter().enumerate() {
                    let priorities = priorities.clone();
                    let reload = Deed::Reload { node, interval_ms: None, dead_multiplier: None, priorities };
                    self.add(at + gap * i as u64, reload);
                }
            }
        }
    }

    /// Something goes wrong with the keepaliveds.
    fn vrrp_fault(&mut self, at: u64) {
        let node = self.member();
        match self.rng.u32(0..3) {
            0 => {
                let back = self.rng.bool();
                self.add(at, Deed::KeepalivedDies { node, back });
            }
            1 => {
                let after = self.span();
                self.add(at, Deed::VrrpSplit { on: true });
                self.add(at + after, Deed::VrrpSplit { on: false });
            }
            _ => self.add(at, Deed::StaleVrrp { node }),
        }
    }

    fn fault(&mut self, at: u64, kind: u32) {
        if self.cluster.arbiter == Arbiter::Keepalived && self.rng.u32(0..3) == 0 {
            return self.vrrp_fault(at);
        }
        match kind {
            0..=4 => self.host_fault(at, kind),
            5..=9 => self.network_fault(at, kind),
            10..=14 => self.cloud_fault(at, kind),
            15 => {
                let (node, havip) = (self.member(), self.havip());
                self.add(at, Deed::AddressRemoved { node, havip });
            }
            16 => {
                let (node, after) = (self.member(), self.span());
                self.add(at, Deed::LinkState { node: node.clone(), up: false });
                self.add(at + after, Deed::LinkState { node, up: true });
            }
            17 => {
                let (node, after) = (self.member(), self.span());
                let failed = self.rng.bool();
                let weight = if failed { 0 } else { self.rng.i16(-100..100) };
                let undecided = !failed && self.rng.u32(0..4) == 0;
                self.add(at, Deed::Health { node: node.clone(), weight, failed, undecided });
                self.add(at + after, Deed::Health { node, weight: 0, failed: false, undecided: false });
            }
            18 => {
                let (node, for_ms) = (self.node(), self.span());
                let disk = self.rng.bool();
                self.add(at, if disk { Deed::DiskStuck { node, for_ms } } else { Deed::EffectsStuck { node, for_ms } });
            }
            19 => {
                let (node, ppm) = (self.node(), self.rng.i64(-4_900..=4_900));
                self.add(at, Deed::ClockRate { node, ppm });
            }
            _ => {
                let kind = self.rng.u32(0..OPERATIONS);
                self.operation(at, kind);
            }
        }
    }

    fn host_fault(&mut self, at: u64, kind: u32) {
        let node = self.node();
        let for_ms = self.span();
        let forgets = self.rng.u32(0..6) == 0;
        let deed = match kind {
            0 => Deed::Crash { node, back_ms: self.back(), forgets, sweep: self.rng.bool() },
            1 => Deed::PowerOff { node, back_ms: self.back(), forgets, told: self.rng.bool() },
            2 => Deed::Pause { node, for_ms },
            3 => Deed::PauseWithin { node, actions: self.rng.usize(0..5), for_ms },
            _ => Deed::Freeze { node, for_ms },
        };
        self.add(at, deed);
    }

    fn network_fault(&mut self, at: u64, kind: u32) {
        let after = at + self.span();
        match kind {
            5 => {
                let mut sides = vec![vec![], vec![]];
                for name in self.names.clone() {
                    match self.rng.u32(0..5) {
                        0 | 1 => sides[0].push(name),
                        2 | 3 => sides[1].push(name),
                        _ => {}
                    }
                }
                self.add(at, Deed::Partition { sides });
            }
            6 => {
                let alone = self.node();
                let rest = self.names.iter().filter(|n| **n != alone).cloned().collect();
                self.add(at, Deed::Partition { sides: vec![vec![alone], rest] });
            }
            _ => {
                let (from, to) = (self.node(), self.node());
                let mut link = Link::default();
                match self.rng.u32(0..4) {
                    0 => link.cut = true,
                    1 => link.loss_permille = self.rng.u32(10..900),
                    2 => link.jitter_us = self.rng.u64(1_000..3_000_000),
                    _ => link.duplicate_permille = 500,
                }
                self.add(at, Deed::Link { from, to, link });
            }
        }
        self.add(after, Deed::HealNetwork);
    }

    fn cloud_fault(&mut self, at: u64, kind: u32) {
        let after = at + self.span();
        match kind {
            10 => {
                let node = self.member();
                let answers_only = self.rng.bool();
                self.add(at, Deed::CloudCut { node: node.clone(), answers_only });
                self.add(after, Deed::CloudHeal { node });
            }
            11 => {
                let ms = of(&mut self.rng, &[100, 500, 1_200, 5_000]);
                self.add(at, Deed::CloudDelay { ms });
                self.add(after, Deed::CloudDelay { ms: 0 });
            }
            12 | 13 => {
                let rule = self.rule();
                self.add(at, Deed::CloudFault { rule });
                self.add(after, Deed::CloudClear);
            }
            _ => self.third_party(at, after),
        }
    }

    fn third_party(&mut self, at: u64, after: u64) {
        let havip = self.havip();
        let target = format!("i-{}", self.member());
        match self.rng.u32(0..5) {
            0 | 1 => self.add(at, Deed::ForceMaster { havip, target }),
            2 => self.add(at, Deed::Unbind { havip, target }),
            3 => self.add(at, Deed::FillQuota { havip }),
            _ => {
                self.add(at, Deed::DeleteHavip { havip });
                self.add(after, Deed::CreateHavip { havip });
            }
        }
    }

    fn rule(&mut self) -> FaultRule {
        let ms = Duration::from_millis;
        let delay = ms(self.rng.u64(10..30_000));
        let fault = match self.rng.u32(0..13) {
            0 => Fault::Status {
                status: of(&mut self.rng, &[400, 403, 409, 500, 503]),
                code: "Simulated".into(),
                message: "a fault".into(),
                retry_after: None,
                applied: self.rng.bool(),
            },
            1 => Fault::Hang,
            11 => Fault::Status {
                status: 404,
                code: "NoSuchObject".into(),
                message: "it is not there".into(),
                retry_after: None,
                applied: false,
            },
            2 => Fault::Reset,
            3 => Fault::ApplyThenHang,
            4 => Fault::ApplyThenReset,
            5 => Fault::Lie,
            6 => Fault::Late { delay, answered: self.rng.bool() },
            7 => Fault::Slow { delay: ms(self.rng.u64(10..6_000)) },
            8 => Fault::BadJson,
            9 => Fault::Throttle,
            10 => Fault::StaleRead { age: ms(self.rng.u64(100..20_000)) },
            _ => Fault::LyingRead { master: format!("i-{}", self.member()) },
        };
        let scope = of(&mut self.rng, &[Scope::Any, Scope::Write, Scope::Read, Scope::Attach, Scope::Detach]);
        let mut rule = FaultRule::new(scope, fault);
        if self.rng.bool() {
            rule.caller = Some(self.member());
        }
        if self.cluster.groups * self.cluster.havips > 1 && self.rng.bool() {
            rule.havip = Some(Cluster::havip_id(self.havip()));
        }
        if self.rng.bool() {
            rule.times = Some(self.rng.u32(1..10));
        }
        if self.rng.bool() {
            rule.chance = Some(f64::from(self.rng.u32(1..10)) / 10.0);
        }
        rule
    }
}

/// Kinds of fault.
const KINDS: u32 = 23;
/// Kinds of operation.
const OPERATIONS: u32 = 7;
