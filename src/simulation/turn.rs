//! A turn of a node's core, and its actions carried out in order.

use super::cluster::Cluster;
use super::host::{AddressStuck, Process};
use super::watch::Seen;
use super::world::{BEGINNING, Happening, World};
use crate::election::action::{Action, Actions, Persisted};
use crate::election::event::Event;
use crate::election::role::Role;
use crate::election::{Core, Start};
use crate::ids::{BootId, GroupIndex, HavipIndex};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// How long a word of the kernel takes to its monitor.
const NETLINK: Duration = Duration::from_micros(100);

impl World {
    /// systemd starts the daemon.
    pub(super) fn start(&mut self, host: usize) {
        if !self.hosts[host].powered || self.hosts[host].process.is_some() {
            return;
        }
        self.note(Some(host), || "starts".to_owned());
        let boot = BootId(self.rng.u128(1..).to_be_bytes());
        let seed = self.rng.u64(..);
        let h = &mut self.hosts[host];
        h.starts += 1;
        if let Some(config) = h.reload_waits.take() {
            h.config = config;
        }
        let persisted = h.disk.clone();
        // The file with the grants is deleted when it is read.
        h.disk.grants.clear();
        let now = h.clock.read(self.now);
        let groups = h.config.groups.len();
        h.backlog.clear();
        h.last_word.clear();
        h.back_after_exit = None;
        h.away = None;
        h.process = Some(Process {
            core: Core::new(Start { config: Arc::clone(&h.config), boot, seed, persisted }, now),
            incarnation: h.starts,
            wake: None,
            unfinished: VecDeque::new(),
            calls: BTreeMap::new(),
            hot: 0,
            storing: false,
            wanted: None,
            exited: false,
            roles: vec![Role::Backup; groups],
            done: vec![Role::Backup; groups],
            progress: 0,
            since: vec![self.now; groups],
            reign_since: vec![self.now; groups],
            started: self.now,
            stopping: false,
        });
        self.touch(host);
        self.see(&Seen::Started { host });
        self.first_words(host);
        self.vrrp_at_start(host);
        self.begin_progress(host);
    }

    /// What the shell tells a new core before anything else.
    fn first_words(&mut self, host: usize) {
        let config = Arc::clone(&self.hosts[host].config);
        for (g, group) in config.groups.iter().enumerate() {
            for i in 0..group.havips.len() {
                let address = Cluster::havip_address(self.havip_number(g, i));
                let (group, havip) = (GroupIndex(g), HavipIndex(i));
                let present = self.hosts[host].addresses.contains_key(&address);
                self.turn(host, Event::AddressObserved { group, havip, present });
                let up = self.hosts[host].link_up;
                self.turn(host, Event::LinkChanged { group, havip, up });
            }
        }
        self.tell_health(host);
        if config.local_node().target.is_none() && !self.hosts[host].witness {
            let target = self.hosts[host].target.parse().expect("made of a prefix and a name");
            let after = Duration::from_millis(self.rng.u64(5..200));
            self.tell(host, after, Event::IdentityLearned { target });
        }
    }

    pub(super) fn tell_health(&mut self, host: usize) {
        let Some((weight, failed, undecided)) = self.hosts[host].health else { return };
        for g in 0..self.scenario.cluster.groups {
            self.turn(host, Event::HealthChanged { group: GroupIndex(g), weight, failed, undecided });
        }
    }

    /// Hands an event to the core of a host a little later, if it still runs then.
    pub(super) fn tell(&mut self, host: usize, after: Duration, event: Event) {
        if let Some(p) = &self.hosts[host].process {
            let incarnation = p.incarnation;
            self.after(after, Happening::Tell { host, incarnation, event: Box::new(event) });
        }
    }

    /// Number of a HAVIP over all groups.
    pub(super) fn havip_number(&self, group: usize, havip: usize) -> usize {
        group * self.scenario.cluster.havips + havip
    }

    /// One event, and everything that follows from it.
    pub(super) fn turn(&mut self, host: usize, event: Event) {
        let world_now = self.now;
        let h = &mut self.hosts[host];
        if h.halted.is_some() {
            h.defer(event);
            return;
        }
        let Some(p) = h.process.as_mut() else { return };
        let now = h.clock.read(world_now);
        let mut actions = Actions::new();
        let timer = matches!(event, Event::TimerExpired);
        p.core.handle(now, event, &mut actions);
        // A deadline that its own turn leaves in the past comes again at once, and again.
        p.hot = if timer && p.core.next_deadline() <= now { p.hot + 1 } else { 0 };
        self.stats.turns += 1;
        self.note_roles(host, &actions);
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
            Action::SendDatagram { path, to, bytes } => self.send(host, path, to, bytes),
            Action::ReadHavip { op, havip, deadline, .. } => self.read_havip(host, op, havip.as_str(), deadline),
            Action::ReadInstance { op, instance, deadline } => {
                self.read_instance(host, op, instance.as_str(), deadline);
            }
            Action::Write(write) => self.write(host, write),
            Action::CancelWrites { group } => {
                self.note(Some(host), || "cancels its writes".to_owned());
                if let Some(p) = self.hosts[host].process.as_mut() {
                    p.calls.retain(|_, call| call.write != Some(group));
                }
            }
            Action::PutAddress { group, address, lifetime, right_until, .. } => {
                self.put_address(host, group, address, lifetime, right_until);
            }
            Action::DropAddress { address, .. } if self.hosts[host].address_stuck.is_some() => {
                self.note(Some(host), || format!("cannot drop {address}"));
            }
            Action::DropAddress { address, .. } => self.drop_address(host, address),
            Action::Announce { group, havip, right_until, .. } => self.announce(host, group, havip, right_until),
            Action::Notify(n) => self.note(Some(host), || format!("hook {}", n.state.as_str())),
            Action::Persist(state) => self.store(host, state),
            Action::Record(t) => {
                if let Some(p) = self.hosts[host].process.as_mut() {
                    p.done[t.group.0] = t.to;
                    if t.to.has_right() && !t.from.has_right() {
                        p.reign_since[t.group.0] = self.now;
                    }
                }
                self.note(Some(host), || {
                    format!("{} -> {} epoch {} ({}): {}", t.from, t.to, t.epoch, t.cause, t.detail)
                });
                self.see(&Seen::Became { host, transition: &t });
            }
            Action::RecordLate { step, .. } => self.note(Some(host), || format!("late: {}", step.what)),
            Action::Warn { text, .. } => self.note(Some(host), || format!("warns: {text}")),
            Action::Reply { reply, .. } => self.note(Some(host), || format!("answers: {reply:?}")),
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
        self.at(at, Happening::Wake { host, incarnation });
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
            self.turn(host, Event::TimerExpired);
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
            self.turn(host, Event::EffectsProgressed);
        }
        let every = self.hosts[host].config.heartbeat.dead_time() / 4;
        self.after(every, Happening::Progress { host, incarnation, round });
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
        self.after(latency, Happening::Stored { host, incarnation, state: Box::new(state) });
    }

    pub(super) fn stored(&mut self, host: usize, incarnation: u64, state: Persisted) {
        if !self.runs(host, incarnation) {
            return;
        }
        let lease = state.longest_lease;
        let h = &mut self.hosts[host];
        if let Some(p) = h.process.as_mut() {
            p.storing = false;
            if p.wanted.as_ref() == Some(&state) {
                p.wanted = None;
            }
        }
        h.disk = state;
        self.store_next(host);
        if let Some(lease) = lease {
            self.turn(host, Event::LeaseStored(lease));
        }
    }

    /// The process ends in order after this turn; what it wanted to keep is on the disk, if that works.
    fn exits(&mut self, host: usize) {
        self.note(Some(host), || "exits".to_owned());
        if let Some(p) = self.hosts[host].process.as_mut() {
            p.exited = true;
        }
    }

    /// Ends an exited process once the actions of its last turn are carried out.
    pub(super) fn bury_exited(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        let Some(p) = h.process.take_if(|p| p.exited && p.unfinished.is_empty()) else { return };
        if let Some(state) = p.wanted.filter(|_| !h.disk_stuck) {
            h.disk = state;
        }
        if let Some(back) = h.back_after_exit.take() {
            self.after(back, Happening::Start { host });
        }
    }

    pub(super) fn put_address(
        &mut self,
        host: usize,
        group: GroupIndex,
        address: Ipv4Addr,
        lifetime: Option<Duration>,
        right_until: Instant,
    ) {
        let now = self.hosts[host].clock.read(self.now);
        if now >= right_until {
            self.note(Some(host), || format!("does not put {address}: the right to it has run out"));
            return;
        }
        if let Some(how) = self.hosts[host].address_stuck {
            self.note(Some(host), || format!("cannot put {address} ({how:?})"));
            if let (AddressStuck::Refuses, Some((group, havip))) = (how, self.place_of(address)) {
                let error = Some("refused by the kernel".to_owned());
                self.tell(host, NETLINK, Event::AddressAnswered { group, havip, error });
            }
            return;
        }
        self.see(&Seen::Put { host, group, lifetime });
        let fuzz = Duration::from_millis(self.rng.u64(0..1000));
        let h = &mut self.hosts[host];
        let expires = lifetime.map(|l| now + l + fuzz);
        let new = h.addresses.insert(address, expires).is_none();
        if let Some(at) = expires.and_then(|e| h.clock.world_at(e)) {
            self.at(at, Happening::Kernel { host });
        }
        if new {
            self.note(Some(host), || format!("has {address} now"));
            self.note_service();
        }
        self.tell_address(host, address, true);
    }

    pub(super) fn drop_address(&mut self, host: usize, address: Ipv4Addr) {
        if self.hosts[host].addresses.remove(&address).is_some() {
            self.note(Some(host), || format!("drops {address}"));
            self.tell_address(host, address, false);
            self.note_service();
        }
    }

    /// The kernel tells its monitor, in order.
    fn tell_address(&mut self, host: usize, address: Ipv4Addr, present: bool) {
        if let Some((group, havip)) = self.place_of(address) {
            self.tell(host, NETLINK, Event::AddressObserved { group, havip, present });
        }
    }

    /// The HAVIP whose address that is.
    fn place_of(&self, address: Ipv4Addr) -> Option<(GroupIndex, HavipIndex)> {
        let per_group = self.scenario.cluster.havips;
        let number = (0..self.served.len()).find(|n| Cluster::havip_address(*n) == address)?;
        Some((GroupIndex(number / per_group), HavipIndex(number % per_group)))
    }

    /// Addresses whose lifetime is over go.
    pub(super) fn expire_addresses(&mut self, host: usize) {
        let now = self.hosts[host].clock.read(self.now);
        let over: Vec<Ipv4Addr> = self.hosts[host]
            .addresses
            .iter()
            .filter(|(_, expires)| expires.is_some_and(|e| e <= now))
            .map(|(address, _)| *address)
            .collect();
        for address in over {
            self.hosts[host].addresses.remove(&address);
            self.note(Some(host), || format!("the kernel removes {address}"));
            self.tell_address(host, address, false);
            self.note_service();
        }
    }

    /// Time since the beginning, for people.
    pub(super) fn elapsed(&self) -> Duration {
        self.now.since(BEGINNING)
    }
}
