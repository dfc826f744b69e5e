//! A turn of a node's core, and its actions carried out in order.

use super::clock::BEGINNING;
use super::schedule::{Asked, Scheduled, Wish};
use super::watch::Seen;
use super::world::World;
use havipd_core::model::action::{Action, Actions};
use havipd_core::model::cloud::CallClass;
use havipd_core::model::event::{Event, Reply};
use havipd_core::model::ids::BootId;
use havipd_core::model::persisted::Persisted;
use std::collections::VecDeque;
use std::time::Duration;

impl World {
    /// Hands an event to the core of a host a little later, if it still runs then.
    pub(super) fn tell(&mut self, host: usize, after: Duration, event: Event) {
        if let Some(p) = &self.hosts[host].process {
            let incarnation = p.incarnation;
            self.after(after, Scheduled::Tell { host, incarnation, event: Box::new(event) });
        }
    }

    /// Number of a HAVIP over all groups.
    pub(super) fn havip_number(&self, group: usize, havip: usize) -> usize {
        group * self.scenario.cluster.havips + havip
    }

    /// One event, and everything that follows from it.
    pub(super) fn step(&mut self, host: usize, event: Event) {
        let world_now = self.now;
        let h = &mut self.hosts[host];
        if h.halted.is_some() {
            h.defer(event, None);
            return;
        }
        if h.process.is_none() {
            return;
        }
        self.note_event(host, &event);
        let h = &mut self.hosts[host];
        let Some(p) = h.process.as_mut() else { return };
        let now = h.clock.read(world_now);
        let mut actions = Actions::new();
        let timer = matches!(event, Event::TimerExpired);
        p.core.handle(now, event, &mut actions);
        // A deadline that its own turn leaves in the past comes again at once, and again.
        p.hot = if timer && p.core.next_deadline() <= now { p.hot + 1 } else { 0 };
        self.stats.turns += 1;
        self.note_roles(host, &actions);
        self.note_stated(host);
        self.see_decisions(host, &actions);
        self.carry_out(host, actions.into());
        self.arm(host);
        self.see(&Seen::Turned { host });
        self.bury_exited(host);
    }

    fn note_roles(&mut self, host: usize, actions: &Actions) {
        for action in actions {
            if let Action::Record(t) = action
                && let Some(p) = self.hosts[host].process.as_mut()
            {
                p.roles[t.group.0] = t.to;
                p.since[t.group.0] = self.now;
            }
        }
    }

    /// Shows what was decided as long as the facts are those of the decision.
    fn see_decisions(&mut self, host: usize, actions: &Actions) {
        for action in actions {
            if let Action::Record(transition) = action {
                self.see(&Seen::Decided { host, transition });
            }
        }
    }

    /// Carries actions out; a SIGSTOP may come in between.
    pub(super) fn carry_out(&mut self, host: usize, mut actions: VecDeque<Action>) {
        let interrupt = self.hosts[host].interrupt.filter(|(after, _)| actions.len() > *after);
        let mut left = interrupt.map_or(usize::MAX, |(after, _)| after);
        while let Some(action) = actions.pop_front() {
            if left == 0 {
                actions.push_front(action);
                break;
            }
            left -= 1;
            self.carry_out_one(host, action);
        }
        if let Some((_, span)) = interrupt {
            self.hosts[host].interrupt = None;
            if let Some(p) = self.hosts[host].process.as_mut() {
                p.unfinished = actions;
                self.halt(host, super::host::Halt::Stopped, span);
            }
        }
    }

    fn carry_out_one(&mut self, host: usize, action: Action) {
        match action {
            Action::SendDatagram { to, bytes, until, .. } => {
                if self.guest_now(host) < until {
                    self.send(host, to, bytes);
                }
            }
            Action::ReadHavip { op, havip, class, deadline } => {
                self.plan_call(host, Wish { op, class, deadline, what: Asked::Havip(havip) });
            }
            Action::ReadInstance { op, instance, deadline } => {
                let what = Asked::Instance(instance.to_string());
                self.plan_call(host, Wish { op, class: CallClass::Standby, deadline, what });
            }
            Action::Write(write) => {
                let (op, class, deadline) = (write.op, write.class, write.deadline);
                self.plan_call(host, Wish { op, class, deadline, what: Asked::Write(write) });
            }
            Action::CancelWrites { group } => {
                self.note(Some(host), || "cancels its writes".to_owned());
                self.cancel_writes(host, group);
            }
            Action::PutAddress { group, address, lifetime, leadership_until, .. } => {
                self.put_address(host, group, address, lifetime, leadership_until);
            }
            Action::DropAddress { address, .. } if self.hosts[host].address_stuck.is_some() => {
                self.note(Some(host), || format!("cannot drop {address}"));
            }
            Action::DropAddress { address, .. } => self.drop_address(host, address),
            Action::Announce { group, havip, leadership_until, .. } => {
                self.announce(host, group, havip, leadership_until)
            }
            Action::AskEtcd { op, group, request } => self.ask_etcd(host, group, op, request),
            Action::RunGate(run) => self.run_gate(host, run),
            Action::StopGate { group, op } => self.stop_gate(host, group, op),
            Action::Notify(n) => {
                self.note(Some(host), || format!("hook {}", n.state.as_str()));
                self.see(&Seen::Notified { host, notification: &n });
            }
            Action::Persist(state) => self.store(host, state),
            Action::Record(t) => {
                if let Some(p) = self.hosts[host].process.as_mut() {
                    p.done[t.group.0] = t.to;
                    if t.to.has_leadership() && !t.from.has_leadership() {
                        p.term_since[t.group.0] = self.now;
                    }
                }
                self.note(Some(host), || {
                    format!("{} -> {} epoch {} ({}): {}", t.from, t.to, t.epoch, t.cause, t.detail)
                });
                self.see(&Seen::Became { host, transition: &t });
            }
            Action::RecordLate { step, .. } => self.note(Some(host), || format!("late: {}", step.what)),
            Action::Warn { text, .. } => self.note(Some(host), || format!("warns: {text}")),
            Action::Reply { reply, .. } => self.note(Some(host), || match reply {
                Reply::Done(text) => format!("answers: {text}"),
                Reply::Refused(text) | Reply::Elsewhere { text, .. } => format!("refuses: {text}"),
            }),
            // The simulator's operators give their commands where they are carried out.
            Action::CarryOut { .. } | Action::Forwarded { .. } => {}
            Action::DrawBootId => {
                let boot = BootId(self.rng.u128(1..).to_be_bytes());
                self.note(Some(host), || "draws another boot id".to_owned());
                self.tell(host, Duration::from_millis(1), Event::BootIdDrawn(boot));
            }
            Action::Exit => self.exits(host),
        }
    }

    /// Plans the next wake-up.
    pub(super) fn arm(&mut self, host: usize) {
        let slack = Duration::from_nanos(self.rng.u64(0..500_000));
        let h = &mut self.hosts[host];
        if h.halted.is_some() {
            return;
        }
        let Some(p) = h.process.as_mut() else { return };
        let Some(at) = h.clock.world_at(p.core.next_deadline()) else { return };
        let at = at.max(self.now) + slack;
        if p.wake.is_some_and(|w| w <= at) {
            return;
        }
        p.wake = Some(at);
        let incarnation = p.incarnation;
        self.at(at, Scheduled::Wake { host, incarnation });
    }

    pub(super) fn wake(&mut self, host: usize, incarnation: u64) {
        let now = self.now;
        let h = &mut self.hosts[host];
        let Some(p) = h.process.as_mut().filter(|p| p.incarnation == incarnation) else { return };
        if p.wake != Some(now) {
            return;
        }
        p.wake = None;
        if h.halted.is_some() {
            return;
        }
        if p.core.next_deadline() > h.clock.read(now) {
            self.arm(host);
        } else {
            self.step(host, Event::TimerExpired);
        }
    }

    /// The effects side begins to say that it goes on, as often as the configuration calls for.
    pub(super) fn begin_progress(&mut self, host: usize) {
        if let Some(p) = self.hosts[host].process.as_mut() {
            p.progress += 1;
            let (incarnation, round) = (p.incarnation, p.progress);
            self.progress(host, incarnation, round);
        }
    }

    pub(super) fn progress(&mut self, host: usize, incarnation: u64, round: u64) {
        let h = &self.hosts[host];
        if h.process.as_ref().is_none_or(|p| p.incarnation != incarnation || p.progress != round) {
            return;
        }
        if !h.effects_stuck && h.halted.is_none() {
            self.step(host, Event::EffectsProgressed);
        }
        let every = self.hosts[host].config.heartbeat.dead_time() / 4;
        self.after(every, Scheduled::Progress { host, incarnation, round });
    }

    fn store(&mut self, host: usize, state: Persisted) {
        let Some(p) = self.hosts[host].process.as_mut() else { return };
        p.wanted = Some(state);
        self.store_next(host);
    }

    /// Begins to write the newest state, one at a time.
    pub(super) fn store_next(&mut self, host: usize) {
        let latency = Duration::from_micros(self.rng.u64(200..20_000));
        let h = &mut self.hosts[host];
        let Some(p) = h.process.as_mut().filter(|p| !p.storing && !h.disk_stuck) else { return };
        let Some(state) = p.wanted.clone() else { return };
        p.storing = true;
        let incarnation = p.incarnation;
        self.after(latency, Scheduled::Stored { host, incarnation, state: Box::new(state) });
    }

    pub(super) fn stored(&mut self, host: usize, incarnation: u64, state: Persisted) {
        if !self.runs(host, incarnation) {
            return;
        }
        let h = &mut self.hosts[host];
        if let Some(p) = h.process.as_mut() {
            p.storing = false;
            if p.wanted.as_ref() == Some(&state) {
                p.wanted = None;
            }
        }
        h.disk = state;
        self.store_next(host);
    }

    /// The process ends in order after this step; what it wanted to keep is on the disk, if that works.
    fn exits(&mut self, host: usize) {
        self.note(Some(host), || "exits".to_owned());
        if let Some(p) = self.hosts[host].process.as_mut() {
            p.exited = true;
        }
        self.facts.host_mut(host).left = Some(self.now);
    }

    /// Ends an exited process once the actions of its last turn are carried out.
    pub(super) fn bury_exited(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        let Some(p) = h.process.take_if(|p| p.exited && p.unfinished.is_empty()) else { return };
        h.gates.die();
        if let Some(state) = p.wanted.filter(|_| !h.disk_stuck) {
            h.disk = state;
        }
        if let Some(back) = h.back_after_exit.take() {
            self.after(back, Scheduled::Start { host });
        }
    }

    /// Time since the beginning, for people.
    pub(super) fn elapsed(&self) -> Duration {
        self.now.since(BEGINNING)
    }
}
