//! The plans of random scenarios: everything at once, operators, and one kind of fault again and again.

use super::bound::bound;
use super::network::Link;
use super::plan::{KINDS, OPERATIONS, Plan, SETTLE_MS, least_multiplier, of, shareable};
use super::programs::GateEnd;
use super::step_kind::StepKind;
use havipd_core::model::settings::{AbortOrContinue, Arbiter, Binding, HoldOrRelease, Strangers};

/// One plan of so many has many groups, which cost as much time as they are.
const MANY_GROUPS: u32 = 60;
/// A change of all files one by one takes no longer, for five nodes.
const LONGEST_CHANGE_MS: u64 = 100_000;

impl Plan {
    pub(super) fn everything(&mut self) -> u64 {
        let length = self.rng.u64(300_000..600_000);
        let count = self.rng.u32(3..25);
        let from = if self.rng.u32(0..4) == 0 { 0 } else { SETTLE_MS };
        if self.rng.u32(0..3) == 0 {
            self.add(from, StepKind::Attack { permille: 30 });
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
            self.add(at, StepKind::AddressStuck { node, for_ms, refuses });
        }
    }

    pub(super) fn one_kind(&mut self) -> u64 {
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

    pub(super) fn operators(&mut self) -> u64 {
        let calm = self.calm_ms();
        let mut at = SETTLE_MS + calm;
        if self.rng.u32(0..3) == 0 {
            self.add(SETTLE_MS, StepKind::Attack { permille: 30 });
        }
        for _ in 0..self.rng.u32(2..7) {
            let kind = self.rng.u32(0..OPERATIONS);
            self.operation(at, kind);
            at += if self.rng.bool() { calm + 30_000 } else { self.rng.u64(1_000..60_000) };
        }
        at + 60_000
    }

    pub(super) fn operation(&mut self, at: u64, kind: u32) {
        match kind {
            0 => {
                let to = self.rng.bool().then(|| self.member());
                let group = self.rng.usize(0..self.cluster.groups);
                self.add(at, StepKind::Switchover { group, to });
            }
            1 => {
                let node = self.member();
                let after = self.span();
                self.add(at, StepKind::Drain { node: node.clone(), on: true });
                self.add(at + after, StepKind::Drain { node, on: false });
            }
            2 => {
                let (on, off) = (self.node(), self.node());
                let after = self.span();
                self.add(at, StepKind::Maintenance { node: on, on: true });
                self.add(at + after, StepKind::Maintenance { node: off, on: false });
            }
            3 => {
                let node = self.node();
                let restart = self.rng.bool();
                let back_ms = self.back();
                self.add(at, StepKind::Stop { node, restart, back_ms });
            }
            4 => {
                // A rolling upgrade, or the way back.
                let gap = self.rng.u64(8_000..40_000);
                let later = self.rng.bool();
                for (i, node) in self.names.clone().into_iter().enumerate() {
                    let (at, back_ms) = (at + gap * i as u64, Some(self.rng.u64(100..3_000)));
                    self.add(at, StepKind::Install { node: node.clone(), later });
                    self.add(at, StepKind::Stop { node, restart: true, back_ms });
                }
            }
            5 => {
                let interval_ms = self.rng.bool().then(|| of(&mut self.rng, &[100, 200, 500, 1000]));
                let least = least_multiplier(self.cluster.arbiter);
                let dead_multiplier = self.rng.bool().then(|| of(&mut self.rng, &[least, 5, 10]));
                // The dead time must not exceed the cold-start wait.
                let gap = self.rng.u64(10..10_000);
                let short = interval_ms.unwrap_or(1000) * 10 <= self.cluster.cold_start_wait_ms;
                let (interval_ms, dead_multiplier) = (interval_ms.filter(|_| short), dead_multiplier.filter(|_| short));
                let names = self.names.clone();
                // Leases change under maintenance only.
                if interval_ms.is_some() || dead_multiplier.is_some() {
                    let ends = at + gap * names.len() as u64 + 10_000;
                    self.add(at.saturating_sub(2_000), StepKind::Maintenance { node: names[0].clone(), on: true });
                    self.add(ends, StepKind::Maintenance { node: names[names.len() - 1].clone(), on: false });
                }
                for (i, node) in names.into_iter().enumerate() {
                    let reload = StepKind::Reload {
                        node,
                        interval_ms,
                        dead_multiplier,
                        priorities: vec![],
                        keys: vec![],
                        patient: false,
                    };
                    self.add(at + gap * i as u64, reload);
                }
            }
            _ => {
                let priorities = vec![(self.member(), self.rng.u8(1..=254))];
                let gap = self.rng.u64(10..10_000);
                for (i, node) in self.names.clone().into_iter().enumerate() {
                    let priorities = priorities.clone();
                    let reload = StepKind::Reload {
                        node,
                        interval_ms: None,
                        dead_multiplier: None,
                        priorities,
                        keys: vec![],
                        patient: false,
                    };
                    self.add(at + gap * i as u64, reload);
                }
            }
        }
    }

    /// New heartbeat keys: added everywhere, then preferred, then the old one removed, in another order of nodes each
    /// time. A stage begins once the one before was everywhere, so that each two that meet share a key, and none is
    /// removed that a node which stood still has yet to be rid of.
    fn rotation(&mut self, from: u64, to: u64) {
        let mut at = self.rng.u64(from..to);
        let gap = of(&mut self.rng, &[10, 1_000, 20_000]);
        for keys in [[1, 2].as_slice(), &[2, 1], &[2]] {
            let mut names = self.names.clone();
            self.rng.shuffle(&mut names);
            for node in names {
                at += self.rng.u64(1..=gap);
                let keys = keys.to_vec();
                let priorities = vec![];
                let reload = StepKind::Reload {
                    node,
                    interval_ms: None,
                    dead_multiplier: None,
                    priorities,
                    keys,
                    patient: true,
                };
                self.add(at, reload);
            }
        }
    }

    /// A file of another digest on one node after the other, under maintenance if somebody thinks of that. The
    /// binding alone changes here: other nodes, and with them other voters, would leave no answer to who must hold
    /// and when. tests/simulation/changes.rs plays those, and every division of them.
    fn new_file(&mut self, quiet_ms: u64) {
        let mut at = self.rng.u64(0..quiet_ms - LONGEST_CHANGE_MS);
        let binding = match self.cluster.binding {
            Binding::Exclusive => Binding::Shared,
            Binding::Shared => Binding::Exclusive,
        };
        let maintained = self.rng.u32(0..4) > 0;
        let (on, off) = (self.node(), self.node());
        if maintained {
            self.add(at, StepKind::Maintenance { node: on, on: true });
        }
        let mut names = self.names.clone();
        self.rng.shuffle(&mut names);
        for node in names {
            at += self.rng.u64(1_000..15_000);
            self.add(at, StepKind::File { node: node.clone(), binding: Some(binding), nodes: vec![] });
            let back_ms = Some(self.rng.u64(100..3_000));
            self.add(at, StepKind::Stop { node, restart: true, back_ms });
        }
        if maintained {
            at += self.rng.u64(3_000..20_000);
            self.add(at, StepKind::Maintenance { node: off, on: false });
        }
    }

    /// Every member fails its checks, one soon after the other.
    fn all_fail(&mut self, quiet_ms: u64) {
        let at = self.rng.u64(SETTLE_MS..quiet_ms);
        for node in self.members.clone() {
            let (from, after) = (at + self.rng.u64(0..5_000), 5_000 + self.span());
            self.add(from, StepKind::Health { node: node.clone(), weight: 0, failed: true, undecided: false });
            self.add(from + after, StepKind::Health { node, weight: 0, failed: false, undecided: false });
        }
    }

    /// One of two paths is cut, one way or both, between two nodes or all, or bad, for a while; or a node has no address
    /// on it.
    fn path_fault(&mut self, quiet_ms: u64) {
        let (at, after) = (self.rng.u64(0..quiet_ms), self.span());
        let (x, y, path) = (self.node(), self.node(), Some(self.rng.usize(0..2)));
        if self.rng.u32(0..4) == 0 {
            let path = path.unwrap_or(0);
            self.add(at, StepKind::HeartbeatAddress { node: x.clone(), path, here: false });
            self.add(at + after, StepKind::HeartbeatAddress { node: x, path, here: true });
            return;
        }
        let (whole, one_way) = (self.rng.bool(), self.rng.bool());
        let mut link = Link::default();
        match self.rng.u32(0..4) {
            0 | 1 => link.cut = true,
            2 => link.loss_permille = self.rng.u32(10..900),
            _ => link.jitter_us = self.rng.u64(1_000..3_000_000),
        }
        for from in self.names.clone() {
            for to in self.names.clone() {
                let of_pair = from == x && to == y || from == y && to == x && !one_way;
                if from == to || !whole && !of_pair {
                    continue;
                }
                let step = |link| StepKind::Link { from: from.clone(), to: to.clone(), path, link };
                self.add(at, step(link));
                self.add(at + after, step(Link::default()));
            }
        }
    }

    /// Datagrams that the network keeps, disks that are restored, and many groups.
    fn later_physics(&mut self, quiet_ms: u64) {
        if self.rng.u32(0..5) == 0 {
            for _ in 0..self.rng.u32(1..6) {
                let (from, to) = (self.node(), self.node());
                let (at, for_ms) = (self.rng.u64(0..quiet_ms), self.span());
                self.add(at, StepKind::HoldDatagrams { from, to, for_ms });
            }
        }
        if self.rng.u32(0..8) == 0 {
            let (node, at) = (self.node(), self.rng.u64(0..quiet_ms));
            let (after, back_ms) = (self.rng.u64(0..quiet_ms), self.rng.u64(100..5_000));
            self.add(at, StepKind::SaveDisk { node: node.clone() });
            self.add(at + after, StepKind::RestoreDisk { node, back_ms });
        }
        let elects = self.cluster.arbiter != Arbiter::Keepalived;
        if elects && self.rng.u32(0..8) == 0 {
            self.copied_machine(quiet_ms);
        }
        if elects && self.names.len() > 2 && self.rng.u32(0..4) == 0 {
            self.member_sets();
        }
        if self.rng.u32(0..MANY_GROUPS) == 0 {
            self.cluster.groups = of(&mut self.rng, &[8, 16, 64]);
        }
    }

    /// A machine is copied; its addresses may move to a copy that knows what it is, and back.
    fn copied_machine(&mut self, quiet_ms: u64) {
        let (node, at) = (self.node(), self.rng.u64(0..quiet_ms));
        let told_ms = self.rng.bool().then(|| self.rng.u64(5..5_000));
        self.add(at, StepKind::Clone { node: node.clone(), told_ms });
        if let Some(told) = told_ms
            && self.rng.bool()
            && self.cluster.names_instance(&node)
        {
            let from = at + told + 1 + self.span();
            let until = from + self.span();
            self.add(from, StepKind::MoveAddresses { node: node.clone(), back: false });
            self.add(until, StepKind::MoveAddresses { node, back: true });
        }
    }

    /// Groups whose members are some of the nodes.
    fn member_sets(&mut self) {
        self.cluster.groups = self.cluster.groups.max(self.rng.usize(1..=3));
        // A majority of two is both.
        let least = if self.cluster.arbiter == Arbiter::Majority { 3 } else { 2 };
        for _ in 0..self.cluster.groups {
            let holder = self.member();
            let mut others: Vec<String> = self.names.iter().filter(|name| **name != holder).cloned().collect();
            self.rng.shuffle(&mut others);
            others.truncate(self.rng.usize(least - 1..self.names.len()));
            others.push(holder);
            self.cluster.members.push(others);
        }
    }

    /// Programs that have to succeed before the address goes live, and do not always.
    pub(super) fn gates(&mut self, quiet_ms: u64) {
        if self.cluster.arbiter == Arbiter::Keepalived || self.rng.u32(0..4) > 0 {
            return;
        }
        self.cluster.gate_timeout_ms = of(&mut self.rng, &[1_000, 5_000, 30_000]);
        self.cluster.release_timeout_ms = of(&mut self.rng, &[0, 0, 1_000, 10_000]);
        self.cluster.release_failed = of(&mut self.rng, &[AbortOrContinue::Abort, AbortOrContinue::Continue]);
        for node in self.members.clone() {
            let takes_ms = of(&mut self.rng, &[0, 50, 500]);
            self.add(0, StepKind::Gate { node, ends: GateEnd::Succeeds, takes_ms, release: false });
        }
        for _ in 0..self.rng.u32(0..6) {
            let (node, at, after) = (self.member(), self.rng.u64(0..quiet_ms), self.span());
            let release = self.cluster.release_timeout_ms > 0 && self.rng.u32(0..3) == 0;
            let ends = of(&mut self.rng, &[GateEnd::Succeeds, GateEnd::Fails, GateEnd::Hangs]);
            // Some outlast a lease, and some their deadline.
            let takes_ms = self.span().min(self.cluster.gate_timeout_ms * 5 / 4);
            self.add(at, StepKind::Gate { node: node.clone(), ends, takes_ms, release });
            self.add(at + after, StepKind::Gate { node, ends: GateEnd::Succeeds, takes_ms: 0, release });
        }
    }

    /// What goes wrong with an etcd that elects: it, the way to it, and people with etcdctl.
    pub(super) fn etcd(&mut self, quiet_ms: u64) {
        self.cluster.etcd_lease_ms = of(&mut self.rng, &[2_000, 5_000, 10_000, 10_000, 30_000]);
        // Any two clocks differ by less than one per cent, etcd's included.
        self.cluster.etcd_ppm = self.rng.i64(-4_900..=4_900);
        // Two machines of one name are no matter of this.
        self.steps.retain(|s| !matches!(s.kind, StepKind::Clone { .. } | StepKind::MoveAddresses { .. }));
        for _ in 0..self.rng.u32(0..10) {
            let (at, span) = (self.rng.u64(SETTLE_MS / 2..quiet_ms.max(SETTLE_MS)), self.span());
            match self.rng.u32(0..8) {
                0..=2 => {
                    let (node, answers_only) = (self.member(), self.rng.bool());
                    self.add(at, StepKind::EtcdCut { node: node.clone(), answers_only });
                    self.add(at + span, StepKind::EtcdHeal { node });
                }
                3 | 4 => self.add(at, StepKind::EtcdDown { for_ms: span.min(40_000) }),
                5 => {
                    let ms = of(&mut self.rng, &[50, 400, 900, 2_000]);
                    self.add(at, StepKind::EtcdDelay { ms });
                    self.add(at + span, StepKind::EtcdDelay { ms: 0 });
                }
                6 => {
                    let group = self.rng.usize(0..self.cluster.groups);
                    self.add(at, StepKind::EtcdRevoke { group });
                }
                _ => {
                    let group = self.rng.usize(0..self.cluster.groups);
                    let other = self.member();
                    let says = of(&mut self.rng, &[None, None, Some("mine".to_owned()), Some(other)]);
                    let written = says.is_some();
                    self.add(at, StepKind::EtcdKey { group, says });
                    if written {
                        self.add(at + span, StepKind::EtcdKey { group, says: None });
                    }
                }
            }
        }
        // Drawn after the others, so that those are what they were.
        for _ in 0..self.rng.u32(0..4) {
            let (at, span) = (self.rng.u64(SETTLE_MS / 2..quiet_ms.max(SETTLE_MS)), self.span());
            match self.rng.u32(0..4) {
                0 => self.add(at, StepKind::EtcdElects { for_ms: span.min(5_000) }),
                1 => self.add(at, StepKind::EtcdCompacts),
                _ => {
                    self.add(at, StepKind::EtcdBackup);
                    self.add(at + span, StepKind::EtcdRestore);
                }
            }
        }
    }

    /// No daemon is further behind with its reading than half of the shortest dead time that its files ever lead to: one
    /// whose timers are in time is not, unless something halts it.
    pub(super) fn read_in_time(&mut self) {
        let (mut interval, mut multiplier) = (self.cluster.interval_ms, self.cluster.dead_multiplier);
        for step in &self.steps {
            if let StepKind::Reload { interval_ms, dead_multiplier, .. } = &step.kind {
                interval = interval.min(interval_ms.unwrap_or(interval));
                multiplier = multiplier.min(dead_multiplier.unwrap_or(multiplier));
            }
        }
        let longest = interval * u64::from(multiplier) / 2;
        for step in &mut self.steps {
            if let StepKind::ReadLate { by_ms, .. } = &mut step.kind {
                *by_ms = (*by_ms).min(longest);
            }
        }
    }

    /// What came later than the plans; drawn from a generator of its own, so that they do not depend on it.
    pub(super) fn additions(&mut self, quiet_ms: u64) {
        self.cluster.strangers = of(&mut self.rng, &[Strangers::Guard, Strangers::Detach, Strangers::Refuse]);
        self.cluster.when_all_fail = of(&mut self.rng, &[HoldOrRelease::Hold, HoldOrRelease::Release]);
        if self.rng.u32(0..6) == 0 {
            self.all_fail(quiet_ms);
        }
        // The simulated keepalived has one path: what is wrong with it is for it to judge, whatever the other is like.
        if self.rng.u32(0..4) == 0 && self.cluster.arbiter != Arbiter::Keepalived {
            self.cluster.paths = 2;
            for _ in 0..self.rng.u32(0..6) {
                self.path_fault(quiet_ms);
            }
        }
        if self.rng.u32(0..3) == 0 {
            self.rotation(0, quiet_ms);
        }
        if self.rng.u32(0..4) == 0 && shareable(&self.cluster) {
            self.new_file(quiet_ms);
        }
        self.later_physics(quiet_ms);
    }
}
