//! The steps of a scenario, carried out: faults, operators, and the end of all faults.

use super::cluster::Cluster;
use super::host::{AddressStuck, Halt, Host, Reach};
use super::network::Link;
use super::scenario::Deed;
use super::watch::Seen;
use super::world::{Happening, World};
use crate::election::event::{Command, Event};
use crate::election::role::Role;
use crate::ids::{GroupIndex, HavipIndex, NodeIndex};
use std::sync::Arc;
use std::time::Duration;

/// systemd waits this long for a daemon to leave (TimeoutStopSec).
const STOP_TIMEOUT: Duration = Duration::from_secs(90);
/// So long after the faults operators end what they began.
const REMEMBERED: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn carry_out_deed(&mut self, deed: &Deed) {
        self.note(None, || format!("STEP {deed:?}"));
        self.see(&Seen::Did { deed });
        match deed {
            Deed::Start { node } => self.start(self.node(node)),
            Deed::Crash { node, back_ms, forgets, sweep } => self.crash(self.node(node), *back_ms, *forgets, *sweep),
            Deed::PowerOff { node, back_ms, forgets, told } => {
                self.power_off(self.node(node), *back_ms, *forgets, *told);
            }
            Deed::Pause { node, for_ms } => self.halt(self.node(node), Halt::Stopped, Duration::from_millis(*for_ms)),
            Deed::Freeze { node, for_ms } => self.halt(self.node(node), Halt::Frozen, Duration::from_millis(*for_ms)),
            Deed::ClockRate { node, ppm } => self.clock_rate(self.node(node), *ppm),
            Deed::PauseWithin { node, actions, for_ms } => {
                let host = self.node(node);
                self.touch(host);
                self.hosts[host].interrupt = Some((*actions, Duration::from_millis(*for_ms)));
            }
            Deed::Link { .. } | Deed::Partition { .. } | Deed::HealNetwork | Deed::Attack { .. } => {
                self.network_deed(deed);
            }
            Deed::AddressRemoved { node, havip } => {
                let host = self.node(node);
                self.touch(host);
                self.drop_address(host, Cluster::havip_address(*havip));
            }
            Deed::LinkState { node, up } => self.link_state(self.node(node), *up),
            Deed::Health { node, weight, failed, undecided } => {
                let host = self.node(node);
                self.touch(host);
                self.hosts[host].health = Some((*weight, *failed, *undecided));
                self.tell_health(host);
            }
            Deed::KeepalivedDies { node, back } => self.kill_keepalived(self.node(node), *back),
            Deed::VrrpSplit { on } => {
                self.vrrp_split = *on;
                self.touch_all();
            }
            Deed::StaleVrrp { node } => self.stale_state(self.node(node)),
            Deed::EffectsStuck { node, for_ms } => self.stick(self.node(node), false, *for_ms),
            Deed::DiskStuck { node, for_ms } => self.stick(self.node(node), true, *for_ms),
            Deed::AddressStuck { node, for_ms, refuses } => {
                let host = self.node(node);
                self.touch(host);
                let how = if *refuses { AddressStuck::Refuses } else { AddressStuck::Hangs };
                self.hosts[host].address_stuck = Some(how);
                self.after(Duration::from_millis(*for_ms), Happening::FreeAddress { host });
            }
            Deed::Switchover { .. }
            | Deed::Drain { .. }
            | Deed::Maintenance { .. }
            | Deed::Stop { .. }
            | Deed::Reload { .. } => self.operate(deed),
            _ => self.cloud_deed(deed),
        }
        self.note_service();
    }

    fn node(&self, name: &str) -> usize {
        self.scenario.cluster.position(name).expect("checked with the scenario")
    }

    fn network_deed(&mut self, deed: &Deed) {
        match deed {
            Deed::Link { from, to, link } => {
                let (from, to) = (self.node(from), self.node(to));
                self.network.set(from, to, *link);
                self.touch(from);
                self.touch(to);
            }
            Deed::Partition { sides } => self.partition(sides),
            Deed::Attack { permille } => self.attack_permille = *permille,
            _ => {
                self.network.heal();
                self.touch_all();
            }
        }
    }

    fn partition(&mut self, sides: &[Vec<String>]) {
        let side = |i: usize| sides.iter().position(|s| s.contains(&self.scenario.cluster.machines[i].name));
        let sides: Vec<Option<usize>> = (0..self.hosts.len()).map(side).collect();
        for from in 0..sides.len() {
            for to in 0..sides.len() {
                let apart = matches!((sides[from], sides[to]), (Some(a), Some(b)) if a != b);
                if apart {
                    self.network.set(from, to, Link { cut: true, ..*self.network.link(from, to) });
                    self.touch(from);
                }
            }
        }
    }

    fn cloud_deed(&mut self, deed: &Deed) {
        let now = self.now;
        match deed {
            Deed::CloudCut { node, answers_only } => {
                let host = self.node(node);
                self.hosts[host].reach = if *answers_only { Reach::AnswersLost } else { Reach::Nothing };
                self.touch(host);
                return;
            }
            Deed::CloudHeal { node } => {
                let host = self.node(node);
                self.hosts[host].reach = Reach::Both;
                self.touch(host);
                return;
            }
            Deed::CloudDelay { ms } => self.cloud_delay = Duration::from_millis(*ms),
            Deed::CloudFault { rule } => {
                self.cloud.add_fault(rule.clone());
            }
            Deed::CloudClear => self.cloud.clear_faults(),
            // The console refuses what does not fit; nothing has changed then.
            Deed::ForceMaster { havip, target } => {
                let _ = self.cloud.force_master(now, &Cluster::havip_id(*havip), target);
            }
            Deed::Unbind { havip, target } => {
                let _ = self.cloud.unbind(now, &Cluster::havip_id(*havip), target);
            }
            Deed::FillQuota { havip } => {
                let _ = self.cloud.fill_quota(now, &Cluster::havip_id(*havip));
            }
            Deed::DeleteHavip { havip } => {
                let _ = self.cloud.delete_havip(now, &Cluster::havip_id(*havip));
            }
            Deed::CreateHavip { havip } => self.create_havip(*havip),
            _ => {}
        }
        self.touch_all();
        self.cloud_changed();
    }

    fn create_havip(&mut self, havip: usize) {
        if self.cloud.havip(self.now, &Cluster::havip_id(havip)).is_none() {
            let spec = super::cloud::HavipSpec::new(&Cluster::havip_id(havip), Cluster::havip_address(havip));
            self.cloud.add_havip(self.now, spec);
        }
    }

    /// Strangers who had a HAVIP before any member did are guarded: that takes an operator.
    fn clear_strangers(&mut self, havip: usize) {
        let id = Cluster::havip_id(havip);
        let held = |h: &Host| h.disk.groups.values().any(|g| g.once_held.iter().any(|o| o.as_str() == id));
        if self.hosts.iter().any(held) {
            return;
        }
        let bound = self.cloud.havip(self.now, &id).map(|v| v.bound).unwrap_or_default();
        for target in bound.iter().filter(|t| self.scenario.cluster.node_with(&t.id).is_none()) {
            let _ = self.cloud.unbind(self.now, &id, &target.id);
        }
    }

    /// The daemon dies without a word.
    pub(super) fn crash(&mut self, host: usize, back_ms: Option<u64>, forgets: bool, sweep: bool) {
        self.touch(host);
        let now = self.guest_now(host);
        let h = &mut self.hosts[host];
        // Sealed anew with each change of what it says; a stuck effects side has not stored the newest.
        let seal = |p: &super::host::Process| p.core.farewells(now);
        h.last_word = h.process.as_ref().filter(|_| sweep && !h.effects_stuck).map(seal).unwrap_or_default();
        let ran = h.process.take().is_some();
        h.backlog.clear();
        h.back_after_exit = None;
        if h.halted.is_some_and(|(halt, _)| halt == Halt::Stopped) {
            h.halted = None;
        }
        if forgets {
            h.disk = crate::election::action::Persisted::default();
        }
        if ran && sweep {
            self.after(Duration::from_millis(50), Happening::Sweep { host });
        }
        if let Some(back) = back_ms {
            self.after(Duration::from_millis(back), Happening::Start { host });
        }
    }

    /// What systemd runs after an unclean exit: the addresses go, then the sealed last word, unless the daemon runs again.
    pub(super) fn sweep(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        if h.process.is_some() || !h.powered || h.frozen() {
            return;
        }
        let words = std::mem::take(&mut h.last_word);
        let addresses: Vec<_> = h.addresses.keys().copied().collect();
        addresses.into_iter().for_each(|a| self.drop_address(host, a));
        if !words.is_empty() {
            self.note(Some(host), || "its last word is sent".to_owned());
        }
        words.into_iter().for_each(|w| self.send(host, w.path, w.to, w.bytes));
    }

    /// What is planned by that clock comes at another time now.
    fn clock_rate(&mut self, host: usize, ppm: i64) {
        let now = self.now;
        let h = &mut self.hosts[host];
        h.clock.set_rate(now, ppm);
        let expiries: Vec<_> = h.addresses.values().flatten().filter_map(|e| h.clock.world_at(*e)).collect();
        if let Some(p) = h.process.as_mut() {
            p.wake = None;
        }
        expiries.into_iter().for_each(|at| self.at(at, Happening::Kernel { host }));
        self.arm(host);
    }

    fn power_off(&mut self, host: usize, back_ms: Option<u64>, forgets: bool, told: bool) {
        self.crash(host, None, forgets, false);
        self.kill_keepalived(host, false);
        let h = &mut self.hosts[host];
        h.powered = false;
        h.halted = None;
        h.addresses.clear();
        if told {
            let target = h.target.clone();
            let _ = self.cloud.stop_instance(self.now, &target);
            self.cloud_changed();
        }
        if let Some(back) = back_ms {
            self.after(Duration::from_millis(back), Happening::PowerOn { host });
        }
    }

    pub(super) fn power_on(&mut self, host: usize) {
        if self.hosts[host].powered {
            return;
        }
        self.touch(host);
        let h = &mut self.hosts[host];
        h.powered = true;
        h.clock.restart(self.now);
        h.went_on = crate::time::Instant::default();
        let target = h.target.clone();
        let _ = self.cloud.start_instance(self.now, &target);
        self.cloud_changed();
        self.start_keepalived(host);
        self.after(Duration::from_millis(500), Happening::Start { host });
    }

    /// The daemon, or the whole guest, stands still for `span`.
    pub(super) fn halt(&mut self, host: usize, halt: Halt, span: Duration) {
        if !self.hosts[host].powered || self.hosts[host].halted.is_some() {
            return;
        }
        self.touch(host);
        self.halts += 1;
        self.hosts[host].halted = Some((halt, self.halts));
        self.hosts[host].halted_at = self.guest_now(host);
        if halt == Halt::Frozen {
            self.hosts[host].clock.stop(self.now);
        }
        self.note(Some(host), || format!("stands still ({halt:?}) for {span:?}"));
        self.after(span, Happening::GoOn { host, halt: self.halts });
        self.note_service();
    }

    /// A halt ends: what was interrupted goes on first, then what has waited, or a timer before it.
    pub(super) fn go_on(&mut self, host: usize, number: u64) {
        let timer_first = self.rng.bool();
        let h = &mut self.hosts[host];
        let Some((halt, _)) = h.halted.filter(|(_, n)| *n == number) else { return };
        h.halted = None;
        if halt == Halt::Frozen {
            h.clock.go_on(self.now);
            let expiries: Vec<_> = h.addresses.values().flatten().filter_map(|e| h.clock.world_at(*e)).collect();
            expiries.into_iter().for_each(|at| self.at(at, Happening::Kernel { host }));
        }
        let now = self.guest_now(host);
        (self.hosts[host].went_on, self.hosts[host].went_on_frozen) = (now, halt == Halt::Frozen);
        if now.since(self.hosts[host].halted_at) > self.hosts[host].config.heartbeat.dead_time() {
            self.hosts[host].away = Some((self.now, now));
        }
        self.touch(host);
        self.note(Some(host), || "goes on".to_owned());
        self.note_service();
        if let Some(p) = self.hosts[host].process.as_mut() {
            let unfinished = std::mem::take(&mut p.unfinished);
            self.carry_out(host, unfinished);
            self.bury_exited(host);
        }
        if timer_first {
            self.turn(host, Event::TimerExpired);
        }
        let backlog = std::mem::take(&mut self.hosts[host].backlog);
        for event in backlog {
            self.turn(host, event);
        }
        self.turn(host, Event::TimerExpired);
        self.touch(host);
    }

    fn link_state(&mut self, host: usize, up: bool) {
        self.touch_all();
        self.hosts[host].link_up = up;
        let config = Arc::clone(&self.hosts[host].config);
        for (g, group) in config.groups.iter().enumerate() {
            for i in 0..group.havips.len() {
                let (group, havip) = (GroupIndex(g), HavipIndex(i));
                self.tell(host, Duration::from_millis(1), Event::LinkChanged { group, havip, up });
            }
        }
    }

    fn stick(&mut self, host: usize, disk: bool, for_ms: u64) {
        self.touch(host);
        let h = &mut self.hosts[host];
        if disk {
            h.disk_stuck = true;
        } else {
            h.effects_stuck = true;
            h.stuck_since.get_or_insert(h.clock.read(self.now));
        }
        self.after(Duration::from_millis(for_ms), Happening::Unstick { host, disk });
    }

    pub(super) fn free_address(&mut self, host: usize) {
        self.touch(host);
        self.hosts[host].address_stuck = None;
    }

    pub(super) fn unstick(&mut self, host: usize, disk: bool) {
        self.touch(host);
        let h = &mut self.hosts[host];
        if disk {
            h.disk_stuck = false;
            self.store_next(host);
        } else {
            h.effects_stuck = false;
            h.stuck_since = None;
            self.bring_reload(host);
        }
    }

    pub(super) fn command(&mut self, host: usize, command: Command) {
        self.requests += 1;
        self.turn(host, Event::Commanded { command, request: self.requests });
    }

    fn operate(&mut self, deed: &Deed) {
        match deed {
            Deed::Switchover { group, to } => {
                let active = |h: &Host| h.role(*group) == Some(Role::Active);
                let Some(host) = self.hosts.iter().position(active) else { return };
                let to = to.as_ref().map(|name| NodeIndex(self.node(name)));
                self.command(host, Command::Switchover { group: GroupIndex(*group), to });
            }
            Deed::Drain { node, on } => {
                self.command(self.node(node), Command::Drain { group: None, on: *on });
            }
            Deed::Maintenance { node, on } => {
                self.command(self.node(node), Command::Maintenance { group: None, on: *on, lasts: None });
            }
            Deed::Stop { node, restart, back_ms } => {
                let host = self.node(node);
                let Some(p) = self.hosts[host].process.as_mut() else { return };
                p.stopping = true;
                let incarnation = p.incarnation;
                self.hosts[host].back_after_exit = back_ms.map(Duration::from_millis);
                self.after(STOP_TIMEOUT, Happening::StopTimeout { host, incarnation });
                self.command(host, Command::Stop { restart: *restart });
            }
            Deed::Reload { node, interval_ms, dead_multiplier, priorities } => {
                self.reload(self.node(node), *interval_ms, *dead_multiplier, priorities);
            }
            _ => {}
        }
    }

    fn reload(&mut self, host: usize, interval: Option<u64>, multiplier: Option<u32>, priorities: &[(String, u8)]) {
        let h = &self.hosts[host];
        let mut config = (**h.reload_waits.as_ref().unwrap_or(&h.config)).clone();
        if let Some(ms) = interval {
            config.heartbeat.interval = Duration::from_millis(ms);
        }
        if let Some(n) = multiplier {
            config.heartbeat.dead_multiplier = n;
        }
        let secs = config.heartbeat.dead_time().as_millis().div_ceil(1000) as u64 + 1;
        config.local_address.lifetime = Some(Duration::from_secs(secs.max(2)));
        for (name, priority) in priorities {
            let node = self.node(name);
            config.nodes[node].priority = *priority;
            for member in config.groups.iter_mut().flat_map(|g| &mut g.members).filter(|m| m.node.0 == node) {
                member.priority = *priority;
            }
        }
        self.hosts[host].reload_waits = Some(Arc::new(config));
        self.bring_reload(host);
    }

    /// The effects side reads the file and brings it to the core: not while it is stuck.
    fn bring_reload(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        if h.effects_stuck && h.process.is_some() {
            return;
        }
        let Some(config) = h.reload_waits.take() else { return };
        h.config = Arc::clone(&config);
        self.turn(host, Event::ConfigReloaded(config));
        self.begin_progress(host);
    }

    pub(super) fn stop_timed_out(&mut self, host: usize, incarnation: u64) {
        if self.runs(host, incarnation) {
            self.note(Some(host), || "did not leave in time and is killed".to_owned());
            let back = self.hosts[host].back_after_exit;
            self.crash(host, back.map(|b| u64::try_from(b.as_millis()).unwrap_or(0)), false, true);
        }
    }

    /// All faults end, and everybody is started again.
    pub(super) fn fall_quiet(&mut self) {
        self.note(None, || "QUIET: all faults end".to_owned());
        self.quiet = true;
        self.network.heal();
        self.cloud.clear_faults();
        self.cloud_delay = Duration::ZERO;
        self.attack_permille = 0;
        self.vrrp_split = false;
        for havip in 0..self.served.len() {
            self.create_havip(havip);
            self.clear_strangers(havip);
        }
        for host in 0..self.hosts.len() {
            self.quieten(host);
            self.start_keepalived(host);
        }
        self.touch_all();
        self.cloud_changed();
        self.see(&Seen::Quiet);
        self.after(REMEMBERED, Happening::OperatorsDone);
    }

    /// Operators end what they began, once the nodes have heard of each other.
    pub(super) fn operators_done(&mut self) {
        for host in 0..self.hosts.len() {
            self.command(host, Command::Maintenance { group: None, on: false, lasts: None });
            self.command(host, Command::Drain { group: None, on: false });
        }
    }

    fn quieten(&mut self, host: usize) {
        self.hosts[host].reach = Reach::Both;
        self.hosts[host].interrupt = None;
        if let Some((_, number)) = self.hosts[host].halted {
            self.go_on(host, number);
        }
        if self.hosts[host].effects_stuck {
            self.unstick(host, false);
        }
        if self.hosts[host].disk_stuck {
            self.unstick(host, true);
        }
        self.hosts[host].address_stuck = None;
        if !self.hosts[host].link_up {
            self.link_state(host, true);
        }
        if self.hosts[host].health.is_some() {
            self.hosts[host].health = Some((0, false, false));
            self.tell_health(host);
        }
        if self.hosts[host].powered {
            let stopping = self.hosts[host].process.as_ref().is_some_and(|p| p.stopping);
            if stopping {
                self.hosts[host].back_after_exit = Some(Duration::from_secs(1));
            } else {
                self.start(host);
            }
        } else {
            self.power_on(host);
        }
    }
}
