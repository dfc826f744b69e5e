//! Notify hooks: programs of the operator's that are told about every change of state.
//!
//! Each group has one actor, a thread of its own, so that hooks of a group never overlap and never
//! come out of order, and so that neither a slow hook nor a program on a hung file system (where
//! even starting it blocks) delays anything else. The actor has one slot: of the states that
//! arrive while a hook runs only the newest is kept, and STOP is always the last.
//!
//! For each state the hook of that state runs first, with its own arguments only, and then
//! `notify` with four more, as keepalived does it (`keepalived/vrrp/vrrp_notify.c`):
//! `INSTANCE NAME STATE PRIORITY`. keepalived puts the name in quotes only in its FIFO; in the
//! argument list it stands bare, and so it does here.
//!
//! A hook gets a clean environment: `PATH`, `LANG` and the `HAVIPD_*` variables, never this
//! process' own, which may hold cloud credentials.

use crate::clock;
use crate::program::{self, Ended, Leftovers, MOST_LEFT, Program, Start};
use crate::worker::{Latest, Worker};
use havipd_core::model::action::{Notification, NotifyState};
use havipd_core::model::ids::{Epoch, GroupName, NodeName};
use havipd_core::model::plural::plural;
use havipd_core::model::settings::Hooks as HookConfig;
use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// A program to call.
struct Call {
    group: GroupName,
    hook: &'static str,
    argv: Vec<String>,
    environment: Vec<(&'static str, String)>,
    state: NotifyState,
    epoch: Epoch,
    timeout: Duration,
}

/// What became of one hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookOutcome {
    /// Its key in the configuration.
    pub hook: String,
    /// The program.
    pub program: String,
    /// The state it was called for.
    pub state: NotifyState,
    /// The term.
    pub epoch: Epoch,
    /// How it ended.
    pub result: Ended,
    /// How long it ran.
    pub milliseconds: u64,
    /// Processes of it that run on.
    pub left_running: usize,
    /// Lines of its output that did not go to the log.
    pub lines_suppressed: u64,
    /// The last line that did.
    pub last_line: Option<String>,
}

/// What status shows of a group's hooks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HookStatus {
    /// The state whose hooks run now.
    pub running: Option<NotifyState>,
    /// The state that comes next.
    pub waiting: Option<NotifyState>,
    /// What became of the hooks of the last state, in the order in which they ran.
    pub last: Vec<HookOutcome>,
    /// Programs run, or tried to, since the start.
    pub runs: u64,
    /// Those that did not end with exit code 0.
    pub failures: u64,
    /// States that were overtaken by a newer one before their hooks began.
    pub replaced: u64,
}

/// The hooks of every group.
#[derive(Debug)]
pub struct Hooks {
    node: NodeName,
    actors: BTreeMap<GroupName, Actor>,
    listener: Option<mpsc::Sender<Ran>>,
}

/// The hooks of one state have all ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Whose.
    pub group: GroupName,
    /// For which state.
    pub state: NotifyState,
    /// In which term.
    pub epoch: Epoch,
    /// When the last one ended.
    pub at: Instant,
    /// How many did not end well.
    pub failed: usize,
    /// None was run: leadership had ended by then.
    pub lapsed: bool,
}

impl Hooks {
    /// No hooks yet, on `node`.
    #[must_use]
    pub const fn new(node: NodeName) -> Self {
        Self { node, actors: BTreeMap::new(), listener: None }
    }

    /// The same, telling `listener` when hooks have ended.
    #[must_use]
    pub fn telling(self, listener: mpsc::Sender<Ran>) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Takes over the hooks of a configuration: of every group that is to have any (leave out groups
    /// that only observe). A hook that runs goes on; what waits runs with the new hooks, and for a
    /// group that is not named any more, with the old ones.
    pub fn apply(&mut self, wanted: &BTreeMap<GroupName, HookConfig>) {
        self.actors.retain(|name, actor| wanted.contains_key(name) || !actor.retire());
        for (name, config) in wanted {
            match self.actors.get(name) {
                Some(actor) => actor.configure(config),
                None => match Actor::start(&self.node, name, config, self.listener.clone()) {
                    Ok(actor) => drop(self.actors.insert(name.clone(), actor)),
                    Err(e) => error!(group = %name, "hooks of this group will not run: no thread for them: {e}"),
                },
            }
        }
    }

    /// Tells the hooks of `group` about a new state. Never waits.
    pub fn notify(&self, group: &GroupName, notification: Notification) {
        if let Some(actor) = self.actors.get(group) {
            actor.notify(notification);
        }
    }

    /// How the hooks of each group are doing.
    #[must_use]
    pub fn status(&self) -> BTreeMap<GroupName, HookStatus> {
        self.actors.iter().map(|(name, actor)| (name.clone(), actor.status())).collect()
    }

    /// Waits until no hook runs or waits, but not longer than `patience`; says whether that is so.
    /// Blocks: for the end of the process, and for tests.
    #[must_use]
    pub fn wait_idle(&self, patience: Duration) -> bool {
        let deadline = clock::now() + patience;
        self.actors.values().all(|actor| actor.wait_idle(deadline))
    }
}

/// One group's hooks, and the thread that runs them.
#[derive(Debug)]
struct Actor(Worker<Slot>);

#[derive(Debug)]
struct Slot {
    config: HookConfig,
    pending: Option<Notification>,
    /// STOP was taken: nothing may come after it.
    stopping: bool,
    /// The group left the configuration; the actor goes once nothing is left to do.
    retired: bool,
    status: HookStatus,
}

impl Slot {
    fn idle(&self) -> bool {
        self.pending.is_none() && self.status.running.is_none()
    }
}

impl Actor {
    fn start(
        node: &NodeName,
        group: &GroupName,
        config: &HookConfig,
        listener: Option<mpsc::Sender<Ran>>,
    ) -> std::io::Result<Self> {
        let slot = Slot {
            config: config.clone(),
            pending: None,
            stopping: false,
            retired: false,
            status: HookStatus::default(),
        };
        let (node, group) = (node.clone(), group.clone());
        Worker::start("havipd-hooks", slot, move |latest| work(latest, &node, &group, listener.as_ref())).map(Self)
    }

    fn configure(&self, config: &HookConfig) {
        self.0.change(|slot| {
            slot.config = config.clone();
            if std::mem::take(&mut slot.retired) {
                slot.stopping = false;
            }
        });
    }

    /// Says whether the actor can go now. One that is busy stays until a later call, so that hooks
    /// of a group that comes back cannot overlap with its old ones.
    fn retire(&self) -> bool {
        self.0.change(|slot| {
            slot.retired = true;
            slot.idle()
        })
    }

    fn notify(&self, notification: Notification) {
        self.0.change(|slot| {
            if slot.stopping {
                slot.status.replaced += 1;
                return;
            }
            slot.stopping = notification.state == NotifyState::Stop;
            slot.status.waiting = Some(notification.state);
            if slot.pending.replace(notification).is_some() {
                slot.status.replaced += 1;
            }
        });
    }

    fn status(&self) -> HookStatus {
        self.0.read(|slot| slot.status.clone())
    }

    fn wait_idle(&self, deadline: Instant) -> bool {
        self.0.wait(deadline, Slot::idle)
    }
}

/// The life of a group's thread.
fn work(latest: &Latest<Slot>, node: &NodeName, group: &GroupName, listener: Option<&mpsc::Sender<Ran>>) {
    while let Some((notification, config)) = latest.next(next) {
        let mut outcomes = Vec::new();
        let mut lapsed = false;
        for call in calls(node, group, &notification, &config) {
            // Immediately before it acts: the thread may have waited, and the guest been suspended.
            lapsed = outcomes.is_empty() && clock::now() >= notification.leadership_until;
            if lapsed {
                info!(%group, state = notification.state.as_str(), "hooks not run: leadership had ended by then");
                break;
            }
            let outcome = run(&call);
            report(group, &outcome);
            outcomes.push(outcome);
        }
        let at = clock::now();
        let failed = outcomes.iter().filter(|o| !o.result.success()).count();
        let ran = !outcomes.is_empty();
        latest.change(|slot| {
            slot.status.running = None;
            slot.status.runs += outcomes.len() as u64;
            slot.status.failures += failed as u64;
            if ran {
                slot.status.last = outcomes;
            }
        });
        if let Some(listener) = listener.filter(|_| ran || lapsed) {
            let (state, epoch) = (notification.state, notification.epoch);
            // When full: this thread, which has nothing better to do, waits for room; the state that comes meanwhile is
            // kept, and nobody else is held up.
            let _ = listener.blocking_send(Ran { group: group.clone(), state, epoch, at, failed, lapsed });
        }
    }
}

/// Runs one hook to its end.
fn run(call: &Call) -> HookOutcome {
    let started = clock::now();
    let program = Program {
        argv: &call.argv,
        environment: &call.environment,
        timeout: call.timeout,
        grace: GRACE,
        start: Start::Bound,
        leftovers: Leftovers::RunOn,
        leash: None,
        begun: None,
    };
    let report = program::run(&program, &mut |line| info!(group = %call.group, hook = call.hook, "hook says: {line}"));
    if report.output_closed {
        warn!(
            group = %call.group, hook = call.hook,
            "the output of what it left running is closed: havipd reads that of {MOST_LEFT} programs at most; a service of \
             its own writes elsewhere"
        );
    }
    HookOutcome {
        hook: call.hook.to_owned(),
        program: call.argv.first().cloned().unwrap_or_default(),
        state: call.state,
        epoch: call.epoch,
        result: report.ended,
        milliseconds: u64::try_from(clock::now().since(started).as_millis()).unwrap_or(u64::MAX),
        left_running: report.left_running,
        lines_suppressed: report.lines_suppressed,
        last_line: report.last_line,
    }
}

/// The next state, taken out of the slot.
fn next(slot: &mut Slot) -> Option<(Notification, HookConfig)> {
    let notification = slot.pending.take()?;
    slot.status.waiting = None;
    slot.status.running = Some(notification.state);
    Some((notification, slot.config.clone()))
}

/// What a state calls: its own hook, then the generic one.
fn calls(node: &NodeName, group: &GroupName, notification: &Notification, config: &HookConfig) -> Vec<Call> {
    let state = notification.state;
    let (hook, own) = match state {
        NotifyState::Master => ("notify-master", &config.notify_master),
        NotifyState::Backup => ("notify-backup", &config.notify_backup),
        NotifyState::Fault => ("notify-fault", &config.notify_fault),
        NotifyState::Stop => ("notify-stop", &config.notify_stop),
    };
    let appended = ["INSTANCE", group.as_str(), state.as_str(), &notification.priority.to_string()].map(str::to_owned);
    let call = |hook, argv: &Vec<String>, appended: &[String]| Call {
        group: group.clone(),
        hook,
        argv: argv.iter().chain(appended).cloned().collect(),
        environment: environment(node, group, notification),
        state,
        epoch: notification.epoch,
        timeout: config.timeout,
    };
    let own = own.as_ref().map(|argv| call(hook, argv, &[]));
    let generic = config.notify.as_ref().map(|argv| call("notify", argv, &appended));
    own.into_iter().chain(generic).collect()
}

/// Everything that a hook finds in its environment.
fn environment(node: &NodeName, group: &GroupName, n: &Notification) -> Vec<(&'static str, String)> {
    let mut environment = program::base_environment();
    environment.extend([
        ("HAVIPD_NODE", node.to_string()),
        ("HAVIPD_GROUP", group.to_string()),
        ("HAVIPD_STATE", n.state.as_str().to_owned()),
        ("HAVIPD_PRIORITY", n.priority.to_string()),
        ("HAVIPD_EPOCH", n.epoch.to_string()),
        ("HAVIPD_CAUSE", n.cause.to_string()),
        // Empty rather than absent when unknown, for scripts that run with `set -u`.
        ("HAVIPD_HOLDER", n.holder.clone().unwrap_or_default()),
    ]);
    environment
}

fn report(group: &GroupName, outcome: &HookOutcome) {
    let HookOutcome { hook, program, state, result, .. } = outcome;
    let (state, milliseconds) = (state.as_str(), outcome.milliseconds);
    let suppressed = outcome.lines_suppressed;
    if suppressed > 0 {
        warn!(%group, hook, program, "{} of its output suppressed", plural(suppressed, "more line"));
    }
    if outcome.left_running > 0 {
        let left_running = outcome.left_running;
        info!(
            %group, hook, program, state, left_running,
            "the hook has ended, and what it started in the background runs on; it ends with the unit"
        );
    }
    if result.success() {
        info!(%group, hook, program, state, milliseconds, "hook done");
    } else {
        warn!(%group, hook, program, state, milliseconds, "hook failed: {result}");
    }
}
