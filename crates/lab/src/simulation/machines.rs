//! What happens to a machine and the daemon on it: death, power, pauses, its clock, its interface, its disk.

use super::host::Halt;
use super::schedule::Scheduled;
use super::world::World;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, HavipIndex};
use havipd_core::model::plural::lasting;
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// The daemon dies without a word.
    pub(super) fn crash(&mut self, host: usize, back_ms: Option<u64>, forgets: bool, sweep: bool) {
        self.touch(host);
        let now = self.guest_now(host);
        let h = &mut self.hosts[host];
        // Sealed anew with each change of what it says; a stuck effects side has not stored the newest.
        let seal = |p: &super::host::Process| p.core.goodbyes(now);
        h.last_word = h.process.as_ref().filter(|_| sweep && !h.effects_stuck).map(seal).unwrap_or_default();
        let ran = h.process.take().is_some();
        h.gates.die();
        h.refused.clear();
        h.backlog.clear();
        h.back_after_exit = None;
        if h.halted.is_some_and(|(halt, _)| halt == Halt::Stopped) {
            h.halted = None;
        }
        if forgets {
            h.disk = havipd_core::model::persisted::Persisted::default();
        }
        if ran && sweep {
            self.after(Duration::from_millis(50), Scheduled::Sweep { host });
        }
        if let Some(back) = back_ms {
            self.after(Duration::from_millis(back), Scheduled::Start { host });
        }
    }

    /// What systemd runs after an unclean exit: the addresses go, then the presigned goodbye, unless the daemon runs again.
    pub(super) fn sweep(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        if h.process.is_some() || !h.powered || h.frozen() {
            return;
        }
        let words = std::mem::take(&mut h.last_word);
        let addresses: Vec<_> = h.addresses.keys().copied().collect();
        addresses.into_iter().for_each(|a| self.drop_address(host, a));
        if !words.is_empty() {
            self.note(Some(host), || "its goodbye is sent".to_owned());
            self.facts.host_mut(host).left = Some(self.now);
        }
        words.into_iter().for_each(|w| self.send(host, w.to, w.bytes));
    }

    /// What is planned by that clock comes at another time now.
    pub(super) fn clock_rate(&mut self, host: usize, ppm: i64) {
        let now = self.now;
        let h = &mut self.hosts[host];
        h.clock.set_rate(now, ppm);
        let expiries: Vec<_> = h.addresses.values().flatten().filter_map(|e| h.clock.world_at(*e)).collect();
        if let Some(p) = h.process.as_mut() {
            p.wake = None;
        }
        expiries.into_iter().for_each(|at| self.at(at, Scheduled::Kernel { host }));
        self.arm(host);
    }

    pub(super) fn power_off(&mut self, host: usize, back_ms: Option<u64>, forgets: bool, told: bool) {
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
            self.after(Duration::from_millis(back), Scheduled::PowerOn { host });
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
        h.boots += 1;
        h.went_on = havipd_core::model::time::Instant::default();
        let target = h.target.clone();
        let _ = self.cloud.start_instance(self.now, &target);
        self.cloud_changed();
        self.start_keepalived(host);
        self.after(Duration::from_millis(500), Scheduled::Start { host });
    }

    /// The daemon, or the whole guest, stands still for `span`.
    pub(super) fn halt(&mut self, host: usize, halt: Halt, span: Duration) {
        if !self.hosts[host].powered || self.hosts[host].halted.is_some() {
            return;
        }
        self.touch(host);
        self.halts += 1;
        self.hosts[host].halted = Some((halt, self.halts));
        self.facts.halted(self.now, host);
        self.hosts[host].halted_at = self.guest_now(host);
        if halt == Halt::Frozen {
            self.hosts[host].clock.stop(self.now);
        }
        self.note(Some(host), || format!("stands still ({halt}) for {}", lasting(span)));
        self.after(span, Scheduled::GoOn { host, halt: self.halts });
        self.note_service();
    }

    /// A halt ends: what was interrupted goes on first, then what has waited, or a timer before it.
    pub(super) fn go_on(&mut self, host: usize, number: u64) {
        let timer_first = self.rng.bool();
        let h = &mut self.hosts[host];
        let Some((halt, _)) = h.halted.filter(|(_, n)| *n == number) else { return };
        h.halted = None;
        self.facts.went_on(self.now, host, halt);
        let h = &mut self.hosts[host];
        if halt == Halt::Frozen {
            h.clock.go_on(self.now);
            let expiries: Vec<_> = h.addresses.values().flatten().filter_map(|e| h.clock.world_at(*e)).collect();
            expiries.into_iter().for_each(|at| self.at(at, Scheduled::Kernel { host }));
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
        // A thread of its own, beside whatever else goes on.
        self.look_at_all_gates(host);
        if timer_first {
            self.step(host, Event::TimerExpired);
        }
        let backlog = std::mem::take(&mut self.hosts[host].backlog);
        for (event, arrival) in backlog {
            self.take_datagram(host, event, arrival);
        }
        if halt == Halt::Stopped && !self.hosts[host].effects_stuck {
            // What the effects side does every so often is overdue.
            self.step(host, Event::EffectsProgressed);
        }
        self.step(host, Event::TimerExpired);
        self.bring_reload(host);
        self.touch(host);
    }

    pub(super) fn link_state(&mut self, host: usize, up: bool) {
        self.touch_all();
        let was_up = std::mem::replace(&mut self.hosts[host].link_up, up);
        // A link that was up already is not back. (seed 52527)
        if up && !was_up {
            self.facts.host_mut(host).link_back = Some(self.now);
        } else if was_up && !up {
            self.facts.host_mut(host).link_lost = Some(self.now);
        }
        // As the driver does: a node that can hear again is to know that before it may claim again.
        self.tell(host, Duration::from_millis(1), self.paths_of(host));
        let config = Arc::clone(&self.hosts[host].config);
        for (g, group) in config.groups.iter().enumerate() {
            for i in 0..group.havips.len() {
                let (group, havip) = (GroupIndex(g), HavipIndex(i));
                let up = up && !self.hosts[host].havip_links_down.contains(&g);
                self.tell(host, Duration::from_millis(1), Event::LinkChanged { group, havip, up, missing: None });
            }
        }
    }

    pub(super) fn stick(&mut self, host: usize, disk: bool, for_ms: u64) {
        self.touch(host);
        let h = &mut self.hosts[host];
        if disk {
            h.disk_stuck = true;
        } else {
            h.effects_stuck = true;
            h.stuck_since.get_or_insert(h.clock.read(self.now));
            self.facts.stuck(self.now, host, true);
        }
        self.after(Duration::from_millis(for_ms), Scheduled::Unstick { host, disk });
    }

    pub(super) fn free_address(&mut self, host: usize) {
        self.touch(host);
        self.hosts[host].address_stuck = None;
        self.facts.host_mut(host).address_stuck = Some(self.now);
    }

    pub(super) fn unstick(&mut self, host: usize, disk: bool) {
        self.touch(host);
        let h = &mut self.hosts[host];
        if disk {
            h.disk_stuck = false;
            self.tell_state(host);
            self.store_next(host);
        } else {
            h.effects_stuck = false;
            h.stuck_since = None;
            self.facts.stuck(self.now, host, false);
            if h.halted.is_none() {
                // What the effects side does every so often is overdue.
                self.step(host, Event::EffectsProgressed);
            }
            self.bring_reload(host);
        }
    }
}
