//! Two or three hosts, the datagrams between them and the calls that have not ended, under one clock.

use super::super::cursor::Cursor;
use super::cloud::{Record, answer, failed};
use super::cluster::{Cluster, PORT};
use super::judge;
use havipd_core::election::{Core, Start};
use havipd_core::model::action::{Action, Actions, Write};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{BootId, GroupIndex, HavipIndex, OperationId};
use havipd_core::model::persisted::Persisted;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::time::Instant;
use havipd_core::wire::auth::KeyRing;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One way over the network, and one call of the cloud.
const DELAY: Duration = Duration::from_millis(2);
/// Between two words of the effects side.
const PROGRESS: Duration = Duration::from_millis(250);
/// Datagrams under way, and datagrams kept to come late.
const MOST_PACKETS: usize = 64;
/// Calls that a host remembers.
const MOST_CALLS: usize = 32;

/// A datagram under way.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Who sent it.
    pub from: usize,
    /// Whom it reaches.
    pub to: usize,
    /// On which of that one's addresses; `None` is a HAVIP's.
    pub path: Option<usize>,
    /// The sender's address.
    pub source: SocketAddr,
    /// What it is.
    pub bytes: Vec<u8>,
}

/// What a call is for.
#[derive(Debug, Clone)]
pub enum Work {
    /// The HAVIP of this group.
    Read(usize),
    /// Whether an instance runs.
    Instance,
    /// An attach or a detach.
    Write(Write),
}

/// A call that has not ended.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it would end by itself.
    pub due: Instant,
    /// Its number.
    pub op: OperationId,
    /// What it is for.
    pub work: Work,
}

/// One machine.
#[derive(Debug)]
pub struct Host {
    /// What runs on it.
    pub core: Option<Core>,
    /// Which file it has.
    pub variant: u8,
    /// What its disk holds.
    pub disk: Persisted,
    /// What it is to hold next, and when it does.
    pub wanted: Option<(Instant, Persisted)>,
    /// Calls that have not ended.
    pub calls: Vec<Call>,
    /// Facts for the core.
    pub facts: VecDeque<Event>,
    /// Role per group, as told.
    pub roles: Vec<Role>,
    /// When the effects side speaks next.
    pub progress: Instant,
    /// Gets no turn.
    pub paused: bool,
    /// Its effects side does not move.
    pub stuck: bool,
    /// Its calls fail.
    pub cut_off: bool,
    /// Nothing reaches its disk.
    pub read_only: bool,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// The one clock.
    pub now: Instant,
    /// What does not change.
    pub cluster: Cluster,
    /// The machines.
    pub hosts: Vec<Host>,
    /// Datagrams under way, with when they arrive.
    pub wire: VecDeque<(Instant, Packet)>,
    /// Datagrams that did not arrive, or did and were copied.
    pub late: VecDeque<Packet>,
    /// Directed links that lose everything, a bit each.
    pub cut: u16,
    /// What the cloud has on each HAVIP.
    pub records: Vec<Record>,
    /// Turns of all cores.
    pub turns: usize,
    /// Starts of all cores: each has a boot id of its own.
    pub boots: u64,
    /// Every change of role that there was: node, role, cause.
    pub reached: Vec<(usize, Role, Cause)>,
    /// To read what is sent.
    pub ring: KeyRing,
}

impl World {
    /// A cluster that starts all at once, with files that the next bytes choose.
    #[must_use]
    pub fn new(cluster: Cluster, bytes: &mut Cursor<'_>) -> Self {
        let now = Instant::from_millis(1_000_000);
        let host = |_| Host {
            core: None,
            variant: bytes.byte(),
            disk: Persisted::default(),
            wanted: None,
            calls: Vec::new(),
            facts: VecDeque::new(),
            roles: Vec::new(),
            progress: now,
            paused: false,
            stuck: false,
            cut_off: false,
            read_only: false,
        };
        let hosts = (0..cluster.nodes).map(host).collect();
        let records = vec![Record::default(); cluster.groups];
        let (wire, late, reached, ring) = (VecDeque::new(), VecDeque::new(), Vec::new(), Cluster::ring());
        let mut world = Self { now, cluster, hosts, wire, late, cut: 0, records, turns: 0, boots: 0, reached, ring };
        (0..cluster.nodes).for_each(|i| world.start(i));
        world
    }

    /// The daemon of a host starts, unless it runs.
    pub fn start(&mut self, i: usize) {
        if self.hosts[i].core.is_some() {
            return;
        }
        let boot = self.draw();
        let (now, cluster) = (self.now, self.cluster);
        let h = &mut self.hosts[i];
        let config = Arc::new(cluster.config(i, h.variant));
        let persisted = Some(h.disk.clone());
        // The file with the grants is deleted when it is read.
        h.disk.grants.clear();
        (h.wanted, h.progress) = (None, now);
        h.calls.clear();
        h.facts.clear();
        h.roles = vec![Role::Backup; config.groups.len()];
        for group in (0..config.groups.len()).map(GroupIndex) {
            h.facts.push_back(Event::AddressObserved { group, havip: HavipIndex(0), present: false });
            h.facts.push_back(Event::LinkChanged { group, havip: HavipIndex(0), up: true, missing: None });
        }
        h.core = Some(Core::new(Start { config, boot, seed: self.boots, persisted, machine_boot: String::new() }, now));
        while let Some(event) = self.hosts[i].facts.pop_front() {
            self.turn(i, event);
        }
    }

    /// A boot id that was never there before.
    pub fn draw(&mut self) -> BootId {
        self.boots += 1;
        let mut id = [0xb0; 16];
        id[8..].copy_from_slice(&self.boots.to_be_bytes());
        BootId(id)
    }

    /// The daemon of a host is gone, with what it has not stored.
    pub fn kill(&mut self, i: usize) {
        let h = &mut self.hosts[i];
        (h.core, h.wanted) = (None, None);
        h.calls.clear();
    }

    /// One event, what follows from it, and whether that was right.
    pub fn turn(&mut self, i: usize, event: Event) {
        let timer = matches!(event, Event::TimerExpired);
        let Some(core) = self.hosts[i].core.as_mut() else { return };
        self.turns += 1;
        let mut actions = Actions::new();
        core.handle(self.now, event, &mut actions);
        judge::actions(self, i, &actions);
        for action in actions {
            self.carry_out(i, action);
        }
        if timer {
            judge::timers(self, i);
        }
        judge::rights(self, i);
        judge::words(self, i);
    }

    fn carry_out(&mut self, i: usize, action: Action) {
        let due = self.now + DELAY;
        let h = &mut self.hosts[i];
        let mut call = |op, work| {
            h.calls.push(Call { due, op, work });
            let much = h.calls.len().saturating_sub(MOST_CALLS);
            h.calls.drain(..much);
        };
        match action {
            Action::SendDatagram { path, to, bytes, .. } => self.send(i, path, to, bytes),
            Action::ReadHavip { op, havip, .. } => {
                let group = (0..self.records.len()).find(|g| havip.as_str() == format!("havip-{g}"));
                call(op, Work::Read(group.expect("a HAVIP of the file")));
            }
            Action::ReadInstance { op, .. } => call(op, Work::Instance),
            Action::Write(write) => call(write.op, Work::Write(write)),
            Action::CancelWrites { group } => {
                h.calls.retain(|c| !matches!(&c.work, Work::Write(w) if w.group == group));
            }
            Action::PutAddress { group, havip, .. } => {
                h.facts.push_back(Event::AddressObserved { group, havip, present: true });
            }
            Action::DropAddress { group, havip, .. } => {
                h.facts.push_back(Event::AddressObserved { group, havip, present: false });
            }
            Action::Announce { group, .. } => self.records[group.0].announced(&self.cluster.target(i)),
            Action::Persist(state) => h.wanted = Some((due, state)),
            Action::DrawBootId => {
                let boot = self.draw();
                self.hosts[i].facts.push_back(Event::BootIdDrawn(boot));
            }
            Action::Exit => {
                if let Some((_, state)) = h.wanted.take().filter(|_| !h.read_only) {
                    h.disk = state;
                }
                self.kill(i);
            }
            Action::Record(t) => {
                h.roles[t.group.0] = t.to;
                self.reached.push((i, t.to, t.cause));
            }
            Action::CarryOut { ticket, command, .. } => {
                h.facts.push_back(Event::CarriedOut { ticket, answer: command });
            }
            Action::Forwarded { .. } => {}
            Action::RunGate(_) | Action::StopGate { .. } | Action::AskEtcd { .. } => {}
            Action::Notify(_) | Action::RecordLate { .. } | Action::Warn { .. } | Action::Reply { .. } => {}
        }
    }

    fn send(&mut self, from: usize, path: usize, to: SocketAddr, bytes: Vec<u8>) {
        let source = Cluster::address(from, path);
        let packet = |to, path| Packet { from, to, path, source, bytes };
        let packet = match self.cluster.at(to) {
            Some((node, path)) => packet(node, Some(path)),
            None => {
                let Some(g) = (0..self.records.len()).find(|g| to == (Cluster::havip(*g), PORT).into()) else { return };
                let master = self.records[g].master.as_ref();
                let Some(node) = (0..self.hosts.len()).find(|n| master == Some(&self.cluster.target(*n))) else {
                    return;
                };
                packet(node, None)
            }
        };
        self.wire.push_back((self.now + DELAY, packet));
        if self.wire.len() > MOST_PACKETS
            && let Some((_, lost)) = self.wire.pop_front()
        {
            self.keep(lost);
        }
    }

    /// Keeps a datagram that may come late.
    pub fn keep(&mut self, packet: Packet) {
        self.late.push_back(packet);
        if self.late.len() > MOST_PACKETS {
            self.late.pop_front();
        }
    }

    /// Gives a datagram to whom it is for.
    pub fn deliver(&mut self, packet: Packet) {
        let Packet { to, path, source, bytes, .. } = packet;
        self.turn(to, Event::DatagramReceived { path, from: source, arrived: self.now, bytes });
    }

    /// Ends a call as `kind` says; `None` as it would by itself.
    pub fn end_call(&mut self, i: usize, at: usize, kind: Option<u8>) {
        let h = &mut self.hosts[i];
        if at >= h.calls.len() {
            return;
        }
        let call = h.calls.remove(at);
        let over = matches!(&call.work, Work::Write(w) if w.leadership_until <= self.now);
        let result = match kind {
            _ if over => failed(&call.work, 0),
            None if h.cut_off => failed(&call.work, 0),
            kind => answer(&mut self.records, &self.cluster, &call, kind.unwrap_or(0)),
        };
        self.turn(i, Event::OperationEnded { op: call.op, result });
    }

    /// What is to be stored reaches the disk.
    pub fn store(&mut self, i: usize) {
        let h = &mut self.hosts[i];
        if h.read_only {
            return;
        }
        if let Some((_, state)) = h.wanted.take() {
            h.disk = state;
        }
    }

    /// Lets `span` pass as it should, but for what is cut, paused or stuck.
    pub fn run(&mut self, span: Duration, most_turns: usize) {
        let end = self.now + span;
        while self.turns < most_turns {
            let arrives = self.wire.front().map(|(at, _)| *at);
            let awake = self.hosts.iter().filter(|h| !h.paused && h.core.is_some());
            let next =
                awake.map(|h| h.next(self.now)).chain(arrives).min().unwrap_or(Instant::FAR_FUTURE).max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            match arrives.filter(|at| *at <= next).and_then(|_| self.wire.pop_front()) {
                Some((_, packet)) => self.arrive(packet),
                None => self.due(),
            }
        }
    }

    fn arrive(&mut self, packet: Packet) {
        let lost = self.cut >> (packet.from * 3 + packet.to) & 1 == 1;
        if lost || self.hosts[packet.to].paused {
            self.keep(packet);
        } else {
            self.deliver(packet);
        }
    }

    /// One thing of what is due on the first host on which something is.
    fn due(&mut self) {
        let now = self.now;
        let due = |h: &Host| !h.paused && h.core.is_some() && h.next(now) <= now;
        let Some(i) = self.hosts.iter().position(due) else { return };
        let h = &mut self.hosts[i];
        if let Some(event) = h.facts.pop_front() {
            self.turn(i, event);
        } else if h.wanted.as_ref().is_some_and(|(at, _)| *at <= now && !h.read_only) {
            self.store(i);
        } else if let Some(at) = h.calls.iter().position(|c| c.due <= now) {
            self.end_call(i, at, None);
        } else if h.progress <= now && !h.stuck {
            h.progress = now + PROGRESS;
            self.turn(i, Event::EffectsProgressed);
        } else {
            self.turn(i, Event::TimerExpired);
        }
    }
}

impl Host {
    /// When something of its own happens next.
    fn next(&self, now: Instant) -> Instant {
        let Some(core) = &self.core else { return Instant::FAR_FUTURE };
        let stored = self.wanted.as_ref().filter(|_| !self.read_only).map(|(at, _)| *at);
        let fact = (!self.facts.is_empty()).then_some(now);
        let progress = (!self.stuck).then_some(self.progress);
        let ends = self.calls.iter().map(|c| c.due);
        ends.chain(stored).chain(fact).chain(progress).min().unwrap_or(Instant::FAR_FUTURE).min(core.next_deadline())
    }
}
