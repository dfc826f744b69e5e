//! The core thread: everything that must happen in time, and nothing that can wait.
//!
//! One event goes in, all actions are carried out in order, then the next event. What is due comes
//! first, whatever else has arrived, so that a flood of datagrams cannot keep a heartbeat back.

use super::place::Places;
use super::writes::Cancellations;
use super::{QUEUE, ToCore, ToEffects};
use crate::clock;
use crate::errors::chain;
use crate::log::RateLimit;
use crate::net::address::Put;
use crate::net::clock::Timer;
use crate::net::garp::Announcer;
use crate::net::heartbeat::{HeartbeatSockets, Received};
use crate::net::monitor::{Change, Monitor, MonitorError};
use crate::net::owner::{AddressOwner, OwnerError, Report};
use crate::process::realtime::Scheduling;
use crate::status::{CoreStatus, NetworkStatus};
use havipd_core::election::{Core, Start};
use havipd_core::model::action::{Action, Actions};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{BootId, GroupIndex};
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use outbox::Outbox;
use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

mod host;
mod offload;
mod outbox;
mod paths;
mod strays;

/// Time between attempts to open netlink, and at most between two looks at whether the last words still fit.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A status that nobody asked for is made this often at most.
const PUBLISH: Duration = Duration::from_millis(250);

/// A deadline that stays in the past must not keep everything else from being heard.
const REST: Duration = Duration::from_millis(1);

/// Why the core thread did not start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// No thread, or nothing for it to wait with.
    #[error("cannot start the core thread")]
    Thread(#[from] std::io::Error),
    /// No thread for the addresses.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// It ended before it began.
    #[error("the core thread ended at once")]
    Ended,
}

/// The effects side's ends of what joins it to a running core.
pub(crate) struct CoreHandle {
    pub(crate) to_core: mpsc::Sender<ToCore>,
    pub(crate) from_core: mpsc::Receiver<ToEffects>,
    pub(crate) status: watch::Receiver<Arc<CoreStatus>>,
    pub(crate) cancellations: Arc<Cancellations>,
    pub(crate) thread: std::thread::JoinHandle<()>,
}

/// Starts the core on a thread of its own, and returns once it runs.
pub(crate) async fn start(start: Start) -> Result<CoreHandle, DriverError> {
    let (to_core, inbox) = mpsc::channel(QUEUE);
    let (outbox, from_core) = mpsc::channel(QUEUE);
    let cancellations = Arc::new(Cancellations::default());
    let (begun, running) = oneshot::channel();
    let for_thread = Arc::clone(&cancellations);
    let body = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(begun.send(Err(error.into()))),
        };
        runtime.block_on(async {
            match Driver::new(start, inbox, outbox, for_thread) {
                Ok((mut driver, status)) => {
                    let _ = begun.send(Ok(status));
                    driver.run().await;
                    driver.finish().await;
                }
                Err(error) => drop(begun.send(Err(error))),
            }
        });
    };
    let thread = std::thread::Builder::new().name("havipd-core".into()).spawn(body)?;
    let status = running.await.map_err(|_| DriverError::Ended)??;
    Ok(CoreHandle { to_core, from_core, status, cancellations, thread })
}

/// What the core thread waits for, besides time.
enum Input {
    Message(Option<ToCore>),
    Datagram(Received),
    Host(Result<Change, MonitorError>),
    Address(Report),
}

struct Driver {
    core: Core,
    actions: Actions,
    /// Facts of our own making, and when the core gets them.
    follow_ups: VecDeque<(Instant, Event)>,
    inbox: mpsc::Receiver<ToCore>,
    outbox: Outbox,
    cancellations: Arc<Cancellations>,
    status: watch::Sender<Arc<CoreStatus>>,
    published: Instant,
    sockets: HeartbeatSockets,
    monitor: Result<Monitor, MonitorError>,
    places: Places,
    paths_told: paths::PathsTold,
    owner: AddressOwner,
    /// Addresses of an earlier configuration that are still to be taken off.
    leftovers: BTreeSet<Ipv4Addr>,
    reports: mpsc::Receiver<Report>,
    announcer: Option<Announcer>,
    timer: Timer,
    housekeeping: Instant,
    /// Nothing is due before.
    rested: Instant,
    sealed: Option<(Vec<BootId>, Vec<bool>)>,
    complaints: RateLimit,
    strays: strays::Strays,
    address_error: Option<String>,
    address_failures: u64,
    turns: u64,
    /// The last step had something to tell.
    notable: bool,
    ended: bool,
    /// In order: every group has left.
    left: bool,
    scheduling: Scheduling,
}

impl Driver {
    fn new(
        start: Start,
        inbox: mpsc::Receiver<ToCore>,
        outbox: mpsc::Sender<ToEffects>,
        cancellations: Arc<Cancellations>,
    ) -> Result<(Self, watch::Receiver<Arc<CoreStatus>>), DriverError> {
        let now = clock::now();
        let (owner, reports) = AddressOwner::start()?;
        let core = Core::new(start, now);
        let config = Arc::clone(core.config());
        let mut places = Places::default();
        places.reset(core.addresses());
        places.set_target(config.local_node().target.as_ref());
        let status = watch::Sender::new(Arc::new(CoreStatus {
            election: core.snapshot(now),
            network: NetworkStatus::default(),
        }));
        let mut driver = Self {
            sockets: HeartbeatSockets::default(),
            core,
            actions: Actions::new(),
            follow_ups: VecDeque::new(),
            inbox,
            outbox: Outbox::new(outbox),
            cancellations,
            status,
            published: now,
            monitor: Monitor::open(),
            places,
            paths_told: paths::PathsTold::default(),
            owner,
            leftovers: BTreeSet::new(),
            reports,
            announcer: None,
            timer: Timer::new()?,
            housekeeping: now,
            rested: now,
            sealed: None,
            complaints: RateLimit::new(10, Duration::from_secs(10)),
            strays: strays::Strays::default(),
            address_error: None,
            address_failures: 0,
            turns: 0,
            notable: true,
            ended: false,
            left: false,
            scheduling: Scheduling::of_this_thread(config.daemon.realtime_priority),
        };
        driver.bind_probes();
        driver.observe_host();
        driver.step(Event::TimerExpired);
        let receiver = driver.status.subscribe();
        Ok((driver, receiver))
    }

    async fn run(&mut self) {
        while !self.ended {
            let due = self.core.next_deadline().min(self.housekeeping);
            let due = self.follow_ups.front().map_or(due, |(at, _)| due.min(*at)).max(self.rested);
            let Self { core, timer, inbox, sockets, monitor, reports, .. } = self;
            // What does not authenticate never becomes an event: it costs neither a step nor what follows each.
            let datagram = sockets.recv(|bytes| core.admits(bytes));
            let input = tokio::select! {
                biased;
                () = timer.sleep_until(due) => None,
                input = wait(inbox, datagram, monitor, reports) => Some(input),
            };
            match input {
                None => self.due(),
                Some(Input::Message(Some(message))) => self.take(message),
                // Nobody is left to work for; the kernel takes the addresses off by itself.
                Some(Input::Message(None)) => self.ended = true,
                Some(Input::Datagram(r)) => {
                    self.step(Event::DatagramReceived {
                        path: r.path,
                        from: r.from,
                        arrived: r.arrived,
                        bytes: r.bytes,
                    });
                }
                Some(Input::Host(change)) => self.host_changed(change),
                Some(Input::Address(report)) => self.address_done(&report),
            }
        }
    }

    /// Every group has left: what is still to be done elsewhere is waited for, as there is nothing else to do here.
    async fn finish(&mut self) {
        if self.left {
            self.outbox.issue_all().await;
            self.outbox.end().await;
        }
    }

    /// Time has passed: for the core, for a fact that was to wait, or for us.
    fn due(&mut self) {
        let now = clock::now();
        if self.core.next_deadline() <= now {
            self.step(Event::TimerExpired);
            if self.core.next_deadline() <= now {
                self.rested = now + REST;
            }
        } else if self.follow_ups.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, event)) = self.follow_ups.pop_front() {
                self.step(event);
            }
        } else if self.housekeeping <= now {
            self.housekeeping = now + HOUSEKEEPING;
            self.keep_house(now);
        }
    }

    fn take(&mut self, message: ToCore) {
        match message {
            ToCore::Event(event) => {
                if let Event::IdentityLearned { target } = &event {
                    self.places.set_target(Some(target));
                    self.observe_host();
                }
                self.step(event);
            }
            ToCore::Status(reply) => drop(reply.send(self.status(clock::now()))),
            ToCore::Reload(config, reply) => drop(reply.send(self.reload(config))),
            ToCore::TargetMac(mac) => {
                self.places.set_target_mac(mac);
                self.observe_host();
            }
            ToCore::Abandon => {
                for address in self.addresses() {
                    self.owner.drop_address(address);
                }
                self.ended = true;
            }
        }
    }

    /// One event in, all actions out.
    fn step(&mut self, event: Event) {
        let now = clock::now();
        let reloaded = matches!(event, Event::ConfigReloaded(_));
        // The file, the state directory and the cloud tell addresses, and nothing else does.
        let teaches = reloaded || matches!(event, Event::OperationEnded { .. } | Event::StateFound(_));
        let mut actions = std::mem::take(&mut self.actions);
        self.core.handle(now, event, &mut actions);
        let mut observed = Vec::new();
        if reloaded {
            // The actions number HAVIPs as the new configuration does.
            self.places.reset(self.core.addresses());
            self.bind_probes();
            self.forget_paths();
            observed = self.look();
        }
        for action in actions.drain(..) {
            self.carry_out(now, action);
        }
        self.outbox.issue_again();
        self.actions = actions;
        self.turns += 1;
        observed.into_iter().for_each(|event| self.step(event));
        if teaches && self.places.learn(self.core.addresses()) {
            self.bind_probes();
            self.observe_host();
        }
        if std::mem::take(&mut self.notable) || now.since(self.published) >= PUBLISH {
            self.published = now;
            self.status.send_replace(Arc::new(self.status(now)));
            self.seal(now);
        }
    }

    fn carry_out(&mut self, now: Instant, action: Action) {
        match action {
            Action::SendDatagram { path, to, bytes, until } => {
                if clock::now() < until {
                    let sent = self.sockets.send(path, to, &bytes);
                    self.note_sent(now, to, sent);
                }
            }
            Action::PutAddress { group, havip, address, lifetime, leadership_until } => {
                if let Some(interface) = self.places.link(group, havip).map(|l| l.index) {
                    self.owner.put(Put { address, interface, lifetime, leadership_until });
                }
            }
            Action::DropAddress { address, .. } => {
                if !self.places.addresses(self.core.config()).contains(&address) {
                    self.leftovers.insert(address);
                }
                self.owner.drop_address(address);
            }
            Action::Announce { group, havip, address, leadership_until } => {
                self.announce(now, group, havip, address, leadership_until);
            }
            Action::DrawBootId => {
                let mut bits = [0; 16];
                // The kernel's generator fails only before it is seeded, at the very start of the host.
                if getrandom::fill(&mut bits).is_ok() {
                    self.follow_ups.push_front((now, Event::BootIdDrawn(BootId(bits))));
                }
            }
            Action::CancelWrites { group } => self.cancellations.cancel(self.group_name(group)),
            other => self.hand_over(now, other),
        }
    }

    /// Every address that this host may have because of us.
    fn addresses(&self) -> Vec<Ipv4Addr> {
        let mut all = self.places.addresses(self.core.config());
        all.extend(&self.leftovers);
        all
    }

    fn group_name(&self, group: GroupIndex) -> &havipd_core::model::ids::GroupName {
        &self.core.config().groups[group.0].name
    }

    fn keep_house(&mut self, now: Instant) {
        if self.monitor.is_err() {
            self.monitor = Monitor::open();
            self.observe_host();
        }
        // A socket that could not be bound is tried again without a word from netlink.
        self.tell_paths();
        self.outbox.issue_again();
        self.drop_leftovers();
        self.scheduling.look(now);
        self.seal(now);
    }

    /// The core knows an address no more that a reload took out of the file: it is taken off until it is seen to be gone.
    fn drop_leftovers(&mut self) {
        let Ok(monitor) = &self.monitor else { return };
        let ours = self.places.addresses(self.core.config());
        self.leftovers.retain(|address| monitor.has((*address).into()) && !ours.contains(address));
        for address in &self.leftovers {
            self.owner.drop_address(*address);
        }
    }

    /// Keeps the last words good: after a crash nobody can make new ones.
    fn seal(&mut self, now: Instant) {
        let basis = self.core.goodbye_basis();
        if self.sealed.as_ref() != Some(&basis) {
            let goodbyes = self.core.goodbyes(now);
            let addresses = self.addresses();
            if self.outbox.send(ToEffects::Seal { goodbyes, addresses }).is_none() {
                self.sealed = Some(basis);
            }
        }
    }

    /// Takes a configuration over; what the operator should know of it, or why not.
    fn reload(&mut self, config: Arc<Config>) -> Result<Vec<String>, String> {
        let now = clock::now();
        if let Some(why) = self.core.reload_refusal(&config, now) {
            return Err(why);
        }
        let warnings = self.core.reload_warnings(&config, now);
        if let Some(target) = &config.local_node().target {
            self.places.set_target(Some(target));
        }
        self.step(Event::ConfigReloaded(config));
        self.tell_paths();
        self.sealed = None;
        Ok(warnings)
    }

    fn status(&self, now: Instant) -> CoreStatus {
        let network = NetworkStatus {
            sockets: self.sockets.paths(),
            refusals: self.refusals(),
            datagrams: self.sockets.counters(),
            places: self.places.status(self.core.config()),
            netlink_error: self.monitor.as_ref().err().map(|e| chain(e)),
            netlink_overruns: self.monitor.as_ref().map_or(0, Monitor::overruns),
            address_error: self.address_error.clone(),
            address_failures: self.address_failures,
            strays: self.strays.status(now),
            dropped_actions: self.outbox.refused,
            turns: self.turns,
            realtime: self.scheduling.state().clone(),
        };
        CoreStatus { election: self.core.snapshot(now), network }
    }
}

/// Whatever comes first; several that wait take turns.
async fn wait(
    inbox: &mut mpsc::Receiver<ToCore>,
    datagram: impl Future<Output = Received>,
    monitor: &mut Result<Monitor, MonitorError>,
    reports: &mut mpsc::Receiver<Report>,
) -> Input {
    let host = async {
        match monitor {
            Ok(monitor) => monitor.next().await,
            // Opened again by the housekeeping.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        message = inbox.recv() => Input::Message(message),
        received = datagram => Input::Datagram(received),
        change = host => Input::Host(change),
        Some(report) = reports.recv() => Input::Address(report),
    }
}
