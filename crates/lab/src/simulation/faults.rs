//! What goes wrong in a random scenario: one fault of each kind, drawn.

use super::cloud::{Fault, FaultRule, Scope};
use super::cluster::Cluster;
use super::network::Link;
use super::plan::{OPERATIONS, Plan, of};
use super::step_kind::StepKind;
use havipd_core::model::settings::Arbiter;
use std::time::Duration;

impl Plan {
    /// Something goes wrong with the keepaliveds.
    fn vrrp_fault(&mut self, at: u64) {
        let node = self.member();
        match self.rng.u32(0..3) {
            0 => {
                let back = self.rng.bool();
                self.add(at, StepKind::KeepalivedDies { node, back });
            }
            1 => {
                let after = self.span();
                self.add(at, StepKind::VrrpSplit { on: true });
                self.add(at + after, StepKind::VrrpSplit { on: false });
            }
            _ => self.add(at, StepKind::StaleVrrp { node }),
        }
    }

    pub(super) fn fault(&mut self, at: u64, kind: u32) {
        if self.cluster.arbiter == Arbiter::Keepalived && self.rng.u32(0..3) == 0 {
            return self.vrrp_fault(at);
        }
        match kind {
            0..=4 => self.host_fault(at, kind),
            5..=9 => self.network_fault(at, kind),
            10..=14 => self.cloud_fault(at, kind),
            15 => {
                let (node, havip) = (self.member(), self.havip());
                self.add(at, StepKind::AddressRemoved { node, havip });
            }
            16 => {
                let (node, after) = (self.member(), self.span());
                self.add(at, StepKind::LinkState { node: node.clone(), up: false });
                self.add(at + after, StepKind::LinkState { node, up: true });
            }
            17 => {
                let (node, after) = (self.member(), self.span());
                let failed = self.rng.bool();
                let weight = if failed { 0 } else { self.rng.i16(-100..100) };
                let undecided = !failed && self.rng.u32(0..4) == 0;
                self.add(at, StepKind::Health { node: node.clone(), weight, failed, undecided });
                self.add(at + after, StepKind::Health { node, weight: 0, failed: false, undecided: false });
            }
            18 => {
                let (node, for_ms) = (self.node(), self.span());
                let disk = self.rng.bool();
                self.add(
                    at,
                    if disk { StepKind::DiskStuck { node, for_ms } } else { StepKind::EffectsStuck { node, for_ms } },
                );
            }
            19 => {
                let (node, ppm) = (self.node(), self.rng.i64(-4_900..=4_900));
                self.add(at, StepKind::ClockRate { node, ppm });
            }
            20..=22 => {
                let kind = self.rng.u32(0..OPERATIONS);
                self.operation(at, kind);
            }
            _ => self.way_fault(at, kind),
        }
    }

    /// Something is wrong with a way in or out of one host, or with how the cloud lets calls in.
    fn way_fault(&mut self, at: u64, kind: u32) {
        let (node, after) = (self.node(), at + self.span());
        match kind {
            23 => {
                let lost = |here| StepKind::HeartbeatAddress { node: node.clone(), path: 0, here };
                self.add(at, lost(false));
                self.add(after, lost(true));
            }
            24 => {
                self.add(at, StepKind::SendRefused { node: node.clone(), on: true });
                self.add(after, StepKind::SendRefused { node, on: false });
            }
            25 => self.flap(at),
            26 => {
                // A reload may make the dead time shorter: see `read_in_time`.
                let dead = self.cluster.interval_ms * u64::from(self.cluster.dead_multiplier);
                let by_ms = self.rng.u64(1..dead / 2);
                self.add(at, StepKind::ReadLate { node: node.clone(), by_ms });
                self.add(after, StepKind::ReadLate { node, by_ms: 0 });
            }
            27 => {
                for n in 0..self.rng.u64(1..10) {
                    let datagrams = self.rng.u32(1..400);
                    self.add(at + n * 100, StepKind::Flood { node: node.clone(), datagrams });
                }
            }
            28 => {
                let rule = self.throttled();
                self.add(at, StepKind::CloudFault { rule });
                self.add(after, StepKind::CloudClear);
            }
            _ => self.delay_changes(at),
        }
    }

    /// The interface of one group's HAVIPs comes and goes.
    fn flap(&mut self, mut at: u64) {
        let (node, group) = (self.member(), self.rng.usize(0..self.cluster.groups));
        for _ in 0..self.rng.u32(1..8) {
            for up in [false, true] {
                self.add(at, StepKind::HavipLink { node: node.clone(), group, up });
                at += self.rng.u64(10..5_000);
            }
        }
    }

    /// One direction gets slow, slower, quicker: each datagram takes as long as all of that time.
    fn delay_changes(&mut self, mut at: u64) {
        let (from, to) = (self.node(), self.node());
        for _ in 0..self.rng.u32(1..5) {
            let delay_us = self.rng.u64(200..4_000_000);
            let link = Link { delay_us, ..Link::default() };
            self.add(at, StepKind::Link { from: from.clone(), to: to.clone(), path: None, link });
            at += self.span();
        }
        self.add(at, StepKind::HealNetwork);
    }

    /// The cloud has too many calls, and says for how long.
    fn throttled(&mut self) -> FaultRule {
        let fault = Fault::Status {
            status: 429,
            code: "RateLimit".into(),
            message: "too many calls".into(),
            retry_after: of(&mut self.rng, &[None, Some(0), Some(1), Some(5), Some(60), Some(600), Some(1 << 40)]),
            applied: false,
        };
        let scope = of(&mut self.rng, &[Scope::Any, Scope::Write, Scope::Read]);
        let mut rule = FaultRule::new(scope, fault);
        rule.caller = self.rng.bool().then(|| self.member());
        rule.times = self.rng.bool().then(|| self.rng.u32(1..10));
        rule
    }

    fn host_fault(&mut self, at: u64, kind: u32) {
        let node = self.node();
        let for_ms = self.span();
        let forgets = self.rng.u32(0..6) == 0;
        let kind = match kind {
            0 => StepKind::Crash { node, back_ms: self.back(), forgets, sweep: self.rng.bool() },
            1 => StepKind::PowerOff { node, back_ms: self.back(), forgets, told: self.rng.bool() },
            2 => StepKind::Pause { node, for_ms },
            3 => StepKind::PauseWithin { node, actions: self.rng.usize(0..5), for_ms },
            _ => StepKind::Freeze { node, for_ms },
        };
        self.add(at, kind);
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
                self.add(at, StepKind::Partition { sides });
            }
            6 => {
                let alone = self.node();
                let rest = self.names.iter().filter(|n| **n != alone).cloned().collect();
                self.add(at, StepKind::Partition { sides: vec![vec![alone], rest] });
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
                self.add(at, StepKind::Link { from, to, path: None, link });
            }
        }
        self.add(after, StepKind::HealNetwork);
    }

    fn cloud_fault(&mut self, at: u64, kind: u32) {
        let after = at + self.span();
        match kind {
            10 => {
                let node = self.member();
                let answers_only = self.rng.bool();
                self.add(at, StepKind::CloudCut { node: node.clone(), answers_only });
                self.add(after, StepKind::CloudHeal { node });
            }
            11 => {
                let ms = of(&mut self.rng, &[100, 500, 1_200, 5_000]);
                self.add(at, StepKind::CloudDelay { ms });
                self.add(after, StepKind::CloudDelay { ms: 0 });
            }
            12 | 13 => {
                let rule = self.rule();
                self.add(at, StepKind::CloudFault { rule });
                self.add(after, StepKind::CloudClear);
            }
            _ => self.third_party(at, after),
        }
    }

    fn third_party(&mut self, at: u64, after: u64) {
        let havip = self.havip();
        let target = format!("i-{}", self.member());
        match self.rng.u32(0..5) {
            0 | 1 => self.add(at, StepKind::ForceMaster { havip, target }),
            2 => self.add(at, StepKind::Unbind { havip, target }),
            3 => self.add(at, StepKind::FillQuota { havip }),
            _ => {
                self.add(at, StepKind::DeleteHavip { havip });
                self.add(after, StepKind::CreateHavip { havip });
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
