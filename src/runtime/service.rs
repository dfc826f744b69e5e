//! The effects thread: everything that may take its time.
//!
//! Its loop never waits for anything in particular: what takes time is a task or a thread of its
//! own that comes back with a message. That the loop turns is what the core depends on.

mod checkup;
mod chronicle;
mod forward;
mod handle;
mod leave;
mod remember;
mod tell;

use super::driver::{CoreHandle, DriverError, start};
use super::election_keys::ElectionKeys;
use super::executor::{Executor, keep_warm};
use super::identity::{self, IdentityError};
use super::leader_keys::LeaderKeys;
use super::measure::Measure;
use super::reload::{Known, ReloadError, Reloaded};
use super::signals::Signals;
use super::stale::LastWord;
use super::vrrp::Vrrp;
use super::{ToCore, ToEffects};
use crate::checks::Checks;
use crate::clock;
use crate::cloud::client::{Client, ClientError};
use crate::control::protocol::Response;
use crate::control::server::ControlRequest;
use crate::doctor::Finding;
use crate::gates::Gates;
use crate::hooks::{Hooks, Ran};
use crate::journal::Journal;
use crate::log::Logging;
use crate::process::memory::Memory;
use crate::state::{StateError, StateFile};
use crate::status::{CoreStatus, EffectsStatus, Published, Status};
use crate::systemd::Notifier;
use havipd_core::election::Start;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{BootId, Epoch, GroupName};
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use chronicle::Chronicle;
pub use leave::End;
use remember::Remembered;

/// Messages of the core taken in one step of the loop.
const PER_TURN: usize = 256;
/// The core hears of our progress at least this often, whatever the heartbeat interval.
const PROGRESS: Duration = Duration::from_secs(1);

/// How long the answer to a probe of the way to the cloud may take.
const PROBE: Duration = Duration::from_secs(5);
/// Between two such probes: a path that flaps is no reason to call the cloud each time.
const PROBE_REST: Duration = Duration::from_secs(5);

/// Why a daemon with a good configuration could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The cloud's client.
    #[error("[cloud] cannot be used: {0}")]
    Client(#[from] ClientError),
    /// The state file's writer.
    #[error(transparent)]
    State(#[from] StateError),
    /// The history's writer.
    #[error("cannot start the thread that writes the history: {0}")]
    Journal(#[source] std::io::Error),
    /// The core thread.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The kernel gave no random bits.
    #[error("cannot draw a boot id: {0}")]
    Random(getrandom::Error),
}

/// What a daemon begins with.
#[derive(Debug)]
pub struct Setup {
    /// The configuration, seen from this node.
    pub config: Arc<Config>,
    /// Where it was read.
    pub path: PathBuf,
    /// What was known of this host when it was.
    pub known: Known,
    /// `$STATE_DIRECTORY`.
    pub state_directory: PathBuf,
    /// It answered when it was looked at.
    pub state_answers: bool,
    /// `$RUNTIME_DIRECTORY`.
    pub runtime_directory: PathBuf,
    /// The log.
    pub logging: Logging,
    /// systemd.
    pub notifier: Notifier,
    /// The signals, taken over since the process began.
    pub signals: Signals,
}

/// What tasks of ours come back with.
enum Internal {
    Reloaded(Box<Result<Reloaded, ReloadError>>),
    Sealed,
    /// What the doctor found; `None` if it did not come to an end.
    Examined(Option<Vec<Finding>>),
}

struct Service {
    config: Arc<Config>,
    path: PathBuf,
    known: Known,
    runtime_directory: PathBuf,
    state_directory: PathBuf,
    logging: Logging,
    notifier: Notifier,
    to_core: mpsc::Sender<ToCore>,
    core_status: watch::Receiver<Arc<CoreStatus>>,
    status: watch::Sender<Arc<Published>>,
    executor: Executor,
    hooks: Hooks,
    gates: Gates,
    checks: Checks,
    /// Per group, the term that began last here, and when its move did.
    terms: HashMap<GroupName, (Epoch, Instant)>,
    state: Arc<StateFile>,
    journal: Journal,
    memory: Memory,
    chronicle: Chronicle,
    history_reader: Arc<Semaphore>,
    examination: Arc<Semaphore>,
    /// When the doctor looks by itself.
    checkup_at: Option<tokio::time::Instant>,
    identity_error: IdentityError,
    measure: Measure,
    /// Tasks that depend on the configuration.
    learning: Option<JoinHandle<()>>,
    vrrp: Option<Vrrp>,
    leader_keys: Option<LeaderKeys>,
    election_keys: Option<ElectionKeys>,
    warming: Option<JoinHandle<()>>,
    /// A peer misses heartbeats.
    suspected: bool,
    /// When the way to the cloud was probed for that reason.
    probed: Option<Instant>,
    internal: mpsc::Sender<Internal>,
    /// Who waits for the core's answer, by number.
    waiting: HashMap<u64, handle::Waiting>,
    /// Who waits for another node's.
    awaiting: HashMap<u64, forward::Awaiting>,
    requests: u64,
    /// Who waits for the reload that runs, and for the one after it.
    reloading: Option<Vec<oneshot::Sender<Response>>>,
    reload_again: Option<Vec<oneshot::Sender<Response>>>,
    reload_error: Option<String>,
    /// The last word that waits to be stored, and the storing of the one before it.
    word: Option<LastWord>,
    sealing: Option<JoinHandle<()>>,
    terminated: u32,
    left: bool,
}

/// Everything that a running daemon waits for, its timers apart.
struct News {
    from_core: mpsc::Receiver<ToEffects>,
    core_status: watch::Receiver<Arc<CoreStatus>>,
    commands: mpsc::Receiver<ControlRequest>,
    signals: Signals,
    ran: mpsc::Receiver<Ran>,
    results: mpsc::Receiver<Internal>,
}

/// Runs the daemon until it has left. Control requests come in by `commands`; what clients watch goes
/// to `status`.
///
/// # Errors
/// It could not begin.
pub async fn run(
    setup: Setup,
    commands: mpsc::Receiver<ControlRequest>,
    status: watch::Sender<Arc<Published>>,
) -> Result<End, ServiceError> {
    // Before the threads, whose stacks are then locked only as far as they are used.
    let memory = Memory::of_this_process(setup.config.daemon.lock_memory);
    let client = if setup.config.local_node().witness { None } else { Some(Client::new(&setup.config.cloud)?) };
    let journal = Journal::start(setup.state_directory.clone(), setup.config.daemon.history_size)
        .map_err(ServiceError::Journal)?;
    let state = Arc::new(StateFile::open(setup.state_directory.clone())?);
    // Nothing can keep this daemon from beginning any more but the system itself.
    let remembered = Remembered::take(&state, setup.state_answers).await;
    remembered.tell(&setup.config, &setup.state_directory);
    let (persisted, late) = remembered.split();
    let begin = Start {
        config: Arc::clone(&setup.config),
        boot: BootId(random()?),
        seed: u64::from_ne_bytes(random()?),
        persisted,
        machine_boot: clock::machine_boot().unwrap_or_default(),
    };
    let CoreHandle { to_core, from_core, status: core_status, cancellations, thread } = start(begin).await?;
    if let Some(late) = late {
        tokio::spawn(late.wait(Arc::clone(&setup.config), setup.state_directory.clone(), to_core.clone()));
    }
    // When full: tasks of ours and threads of hooks wait for room, and hold up nobody but themselves.
    let (internal, results) = mpsc::channel(16);
    let (to_ran, ran) = mpsc::channel(64);
    let mut service = Service {
        hooks: Hooks::new(setup.config.local_node().name.clone()).telling(to_ran),
        gates: Gates::new(setup.config.local_node().name.clone(), to_core.clone()),
        checks: Checks::new(setup.config.local_node().name.clone(), to_core.clone()),
        terms: HashMap::new(),
        config: setup.config,
        path: setup.path,
        known: setup.known,
        runtime_directory: setup.runtime_directory,
        state_directory: setup.state_directory.clone(),
        logging: setup.logging,
        notifier: setup.notifier,
        executor: Executor::new(client, to_core.clone(), cancellations),
        to_core,
        core_status: core_status.clone(),
        status,
        state,
        journal,
        memory,
        chronicle: Chronicle::default(),
        history_reader: Arc::new(Semaphore::new(1)),
        examination: Arc::new(Semaphore::new(1)),
        checkup_at: None,
        identity_error: IdentityError::default(),
        measure: Measure::new(),
        learning: None,
        vrrp: None,
        leader_keys: None,
        election_keys: None,
        warming: None,
        suspected: false,
        probed: None,
        internal,
        waiting: HashMap::new(),
        awaiting: HashMap::new(),
        requests: 0,
        reloading: None,
        reload_again: None,
        reload_error: None,
        word: None,
        sealing: None,
        terminated: 0,
        left: false,
    };
    service.configured();
    service.publish();
    service.notifier.ready();

    let mut news = News { from_core, core_status, commands, signals: setup.signals, ran, results };
    service.serve(&mut news).await;
    Ok(service.leave(thread, &mut news.signals).await)
}

fn random<const N: usize>() -> Result<[u8; N], ServiceError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(ServiceError::Random)?;
    Ok(bytes)
}

impl Service {
    /// Until the core has ended.
    async fn serve(&mut self, news: &mut News) {
        let mut tick = self.ticker();
        loop {
            tokio::select! {
                _ = tick.tick() => self.progress(),
                message = news.from_core.recv() => match message {
                    Some(message) => self.obey(message, &mut news.from_core),
                    None => break,
                },
                signal = news.signals.next() => self.signalled(signal),
                Some(request) = news.commands.recv() => self.asked(request),
                Some(ran) = news.ran.recv() => self.hooks_ran(&ran),
                () = checkup::due(self.checkup_at) => self.check_up(),
                Some(result) = news.results.recv() => {
                    if self.came_back(result) {
                        tick = self.ticker();
                    }
                }
                Ok(()) = news.core_status.changed() => self.publish(),
            }
        }
    }

    fn ticker(&self) -> Interval {
        let mut tick = tokio::time::interval(PROGRESS.min(self.config.heartbeat.interval / 2));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick
    }

    /// One step of ours is done: what depends on us may go on.
    fn progress(&mut self) {
        // When full: said again with the next tick.
        let _ = self.to_core.try_send(ToCore::Event(Event::EffectsProgressed));
        self.checks.tell();
    }

    /// The core has done a step, and so have we: systemd hears of both together.
    fn publish(&mut self) {
        let core = Arc::clone(&self.core_status.borrow_and_update());
        self.notifier.turn_completed(clock::now());
        self.notifier.status(&core.line());
        for entry in self.chronicle.note(&core.election) {
            tracing::info!(group = entry.group, cause = entry.cause, "{}: {}", entry.group, entry.detail);
            self.journal.write(entry);
        }
        self.probe_the_way(core.election.peers.iter().any(|peer| peer.suspected));
        let effects = self.effects_status();
        // The log has them already.
        for entry in self.chronicle.note_checks(&core.election, &effects.checks) {
            self.journal.write(entry);
        }
        let status = Status::new((*core).clone(), effects);
        let published = Arc::new(Published::Running(Box::new(status)));
        self.measure.published(clock::now(), Arc::clone(&published));
        self.status.send_replace(published);
    }

    /// A peer misses heartbeats: if it is dead in a moment, a claim finds a connection that works, and not one that died
    /// with the same part of the network.
    fn probe_the_way(&mut self, suspected: bool) {
        let began = suspected && !std::mem::replace(&mut self.suspected, suspected);
        self.suspected = suspected;
        let now = clock::now();
        let rested = self.probed.is_none_or(|at| now.since(at) >= PROBE_REST);
        if let (true, true, Some(client)) = (began, rested, self.executor.client.clone()) {
            self.probed = Some(now);
            tokio::spawn(async move {
                if let Err(error) = client.keep_warm(clock::now() + PROBE).await {
                    tracing::debug!("while a peer is suspected, the cloud does not answer: {error}");
                }
            });
        }
    }

    fn effects_status(&self) -> EffectsStatus {
        let client = self.executor.client.as_ref();
        let mut gates = self.gates.status();
        gates.retain(|group, _| self.config.group_named(group.as_str()).is_some());
        EffectsStatus {
            hooks: self.hooks.status(),
            gates,
            checks: self.checks.status(),
            state: self.state.status(),
            credentials: client.map(|client| client.credential_source().to_owned()),
            clock_skew_s: client.map_or(0, Client::clock_skew),
            identity_error: self.identity_error.text(),
            reload_error: self.reload_error.clone(),
            metrics_error: self.measure.error(),
            history_lost: self.journal.lost(),
            log_lines_lost: self.logging.dropped(),
            memory: self.memory.clone(),
        }
    }

    /// Takes over what a configuration says of the effects side.
    fn configured(&mut self) {
        let config = &self.config;
        let ours = |g: &&havipd_core::model::settings::Group| {
            !g.observe && g.member(config.local).is_some_and(|member| !member.witness)
        };
        let hooks = config.groups.iter().filter(ours).map(|g| (g.name.clone(), g.hooks.clone())).collect();
        self.hooks.apply(&hooks);
        self.checks.apply(config);
        self.logging.apply(&config.log);
        self.journal.limit(config.daemon.history_size);
        self.measure.configure(config, self.executor.client.as_ref());
        self.checkup_at = self.first_checkup();
        self.vrrp = Vrrp::follow(self.vrrp.take(), config, &self.state_directory, &self.to_core);
        self.leader_keys = LeaderKeys::follow(self.leader_keys.take(), config, &self.to_core);
        self.election_keys = ElectionKeys::follow(self.election_keys.take(), config, &self.to_core);
        for task in [self.learning.take(), self.warming.take()].into_iter().flatten() {
            task.abort();
        }
        if let Some(client) = &self.executor.client {
            let learning =
                identity::learn(Arc::clone(config), client.clone(), self.to_core.clone(), self.identity_error.clone());
            self.learning = Some(tokio::spawn(learning));
            self.warming = Some(tokio::spawn(keep_warm(client.clone())));
        }
    }
}
