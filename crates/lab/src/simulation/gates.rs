//! The programs that a daemon runs before an address goes live, or before it is handed over.
//!
//! A program takes its time, and then succeeds, fails, or never ends; the daemon ends it at its deadline, and kills it when
//! the leadership that the core last spoke of ends, by the clock alone. While the daemon stands still nobody does: its
//! programs run on, and that is what `docs/invariants.md` exempts. With a daemon that dies its programs die.

use super::programs::{GateEnd, Running};
use super::schedule::Scheduled;
use super::watch::Seen;
use super::world::World;
use havipd_core::model::action::{GateKind, GateRun};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, OperationId};
use std::time::Duration;

impl World {
    /// The `before-active` of a group that runs on a host.
    pub(super) fn runs_gate(&self, host: usize, group: usize) -> bool {
        let running = self.hosts[host].gates.running.get(&group);
        running.is_some_and(|r| r.begun && r.run.kind == GateKind::BeforeActive)
    }

    /// The core asks for a run, or for one to go on.
    pub(super) fn run_gate(&mut self, host: usize, run: GateRun) {
        let (group, op) = (run.group.0, run.op);
        let gates = &mut self.hosts[host].gates;
        if let Some(running) = gates.running.get_mut(&group).filter(|r| r.run.op == op) {
            running.run.leadership_until = run.leadership_until;
            return self.look_at_gate_later(host, group);
        }
        if gates.newest.get(&group).is_some_and(|newest| *newest >= op) {
            return;
        }
        gates.newest.insert(group, op);
        self.see(&Seen::GateAsked { host, run: &run });
        let gates = &mut self.hosts[host].gates;
        // The one before is killed first.
        gates.running.insert(group, Running { run, begun: false });
        let after = Duration::from_micros(self.rng.u64(100..super::programs::STARTS_WITHIN_US));
        let incarnation = self.incarnation(host);
        self.after(after, Scheduled::GateBegins { host, incarnation, group, op });
    }

    /// The core has one end.
    pub(super) fn stop_gate(&mut self, host: usize, group: GroupIndex, op: OperationId) {
        let after = Duration::from_micros(self.rng.u64(100..20_000));
        let incarnation = self.incarnation(host);
        self.after(after, Scheduled::GateStops { host, incarnation, group: group.0, op });
    }

    pub(super) fn gate_begins(&mut self, host: usize, incarnation: u64, group: usize, op: OperationId) {
        if !self.runs(host, incarnation) {
            return;
        }
        if self.hosts[host].halted.is_some() || self.hosts[host].effects_stuck {
            let again = Duration::from_millis(5);
            return self.after(again, Scheduled::GateBegins { host, incarnation, group, op });
        }
        let now = self.guest_now(host);
        let Some(running) = self.hosts[host].gates.running.get_mut(&group).filter(|r| r.run.op == op) else { return };
        if now >= running.run.leadership_until {
            return self.gate_ends(host, group, false, "not run: leadership has ended");
        }
        running.begun = true;
        let (kind, epoch) = (running.run.kind, running.run.epoch);
        let behaviour = self.hosts[host].gates.of(kind);
        self.note(Some(host), || format!("{} of group {group} begins for epoch {epoch}", kind.as_str()));
        self.see(&Seen::GateBegan { host });
        if behaviour.ends != GateEnd::Hangs {
            let passed = behaviour.ends == GateEnd::Succeeds;
            self.after(behaviour.takes, Scheduled::GateDone { host, incarnation, group, op, passed });
        }
        self.look_at_gate_later(host, group);
    }

    /// The program ends by itself.
    pub(super) fn gate_done(&mut self, host: usize, incarnation: u64, group: usize, op: OperationId, passed: bool) {
        let runs = self.hosts[host].gates.running.get(&group).is_some_and(|r| r.begun && r.run.op == op);
        if !runs || !self.runs(host, incarnation) {
            return;
        }
        if self.frozen(host) {
            let again = Duration::from_millis(5);
            return self.after(again, Scheduled::GateDone { host, incarnation, group, op, passed });
        }
        let in_time = |r: &Running| self.guest_now(host) < r.run.deadline;
        let passed = passed && self.hosts[host].gates.running.get(&group).is_some_and(in_time);
        self.gate_ends(host, group, passed, if passed { "exit code 0" } else { "exit code 1" });
    }

    pub(super) fn gate_stops(&mut self, host: usize, incarnation: u64, group: usize, op: OperationId) {
        if !self.runs(host, incarnation) {
            return;
        }
        if self.hosts[host].halted.is_some() || self.hosts[host].effects_stuck {
            let again = Duration::from_millis(5);
            return self.after(again, Scheduled::GateStops { host, incarnation, group, op });
        }
        if self.hosts[host].gates.running.get(&group).is_some_and(|r| r.run.op == op) {
            self.gate_ends(host, group, false, "killed, as leadership has ended");
        }
    }

    /// The runner looks at the clock when leadership ends or the deadline comes.
    fn look_at_gate_later(&mut self, host: usize, group: usize) {
        let h = &self.hosts[host];
        let Some(running) = h.gates.running.get(&group) else { return };
        let at = running.run.leadership_until.min(running.run.deadline + GateRun::GRACE);
        if let Some(at) = h.clock.world_at(at) {
            let incarnation = self.incarnation(host);
            self.at(at, Scheduled::GateLook { host, incarnation, group });
        }
    }

    pub(super) fn look_at_gate(&mut self, host: usize, incarnation: u64, group: usize) {
        // A daemon that stands still looks when it goes on.
        if !self.runs(host, incarnation) || self.hosts[host].halted.is_some() {
            return;
        }
        let now = self.guest_now(host);
        let Some(running) = self.hosts[host].gates.running.get(&group).filter(|r| r.begun) else { return };
        if now >= running.run.leadership_until {
            self.gate_ends(host, group, false, "killed, as leadership has ended");
        } else if now >= running.run.deadline + GateRun::GRACE {
            self.gate_ends(host, group, false, "ran into its timeout");
        }
    }

    /// What their runner has missed while the daemon stood still.
    pub(super) fn look_at_all_gates(&mut self, host: usize) {
        let groups: Vec<usize> = self.hosts[host].gates.running.keys().copied().collect();
        let incarnation = self.incarnation(host);
        for group in groups {
            self.look_at_gate(host, incarnation, group);
            self.look_at_gate_later(host, group);
        }
    }

    fn gate_ends(&mut self, host: usize, group: usize, passed: bool, how: &str) {
        let Some(Running { run, .. }) = self.hosts[host].gates.running.remove(&group) else { return };
        if !passed {
            self.hosts[host].gates.failed.insert(group, self.now);
        }
        self.note(Some(host), || format!("{} of group {group}: {how}", run.kind.as_str()));
        let after = Duration::from_micros(self.rng.u64(100..20_000));
        let event = Event::GateEnded { group: run.group, op: run.op, passed, text: how.to_owned() };
        self.see(&Seen::GateEnded { host, run: &run, passed });
        self.tell(host, after, event);
    }

    fn incarnation(&self, host: usize) -> u64 {
        self.hosts[host].process.as_ref().map_or(0, |p| p.incarnation)
    }
}
