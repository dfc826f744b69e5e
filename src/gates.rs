//! Gates: programs that have to succeed before an address goes live here, or before it is handed over.
//!
//! Each group that ever had one has an actor, a thread of its own, which runs one program at a time and tells the core how
//! it ended: exactly once for each run that was asked for, also if it was not begun.
//!
//! ⚠ A program is on a leash: it is killed with its process group when the leadership that the core last spoke of ends,
//! by this thread's own look at the clock. Neither the core nor the queues have to get a word through for that.
//!
//! A program finds a clean environment, `PATH`, `LANG` and the `HAVIPD_*` variables, and is run as hooks are: without a
//! shell, in a process group of its own, with the daemon's user and capabilities.

pub mod status;

use crate::clock;
use crate::plain::in_words;
use crate::program::{self, Leash, Leftovers, Program, Start};
use crate::runtime::ToCore;
use crate::worker::{Latest, Worker};
use havipd_core::model::action::{GateKind, GateRun};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, GroupName, NodeName, OperationId};
use havipd_core::model::plural::plural;
use status::{GateOutcome, GateStatus};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Lines of its output that the core is told: the last ones.
const TAIL: usize = 3;

/// What becomes of a run that is ended before it began.
const NOT_RUN: &str = "not run: leadership has ended";

/// The gates of every group.
#[derive(Debug)]
pub struct Gates {
    node: NodeName,
    core: mpsc::Sender<ToCore>,
    actors: BTreeMap<GroupName, Worker<Slot>>,
}

/// A run, with what it is told of the other node.
#[derive(Debug)]
struct Order {
    run: GateRun,
    other: Option<NodeName>,
}

#[derive(Debug, Default)]
struct Slot {
    /// What is to run next.
    pending: Option<Order>,
    /// Runs that are not begun; the core waits to hear so.
    dropped: Vec<(GroupIndex, OperationId)>,
    /// What runs.
    current: Option<(OperationId, Arc<Leash>)>,
    /// The newest run that was begun.
    begun: Option<OperationId>,
    status: GateStatus,
}

/// What a thread does next.
enum Work {
    Run(Box<Order>, Arc<Leash>),
    Refuse(GroupIndex, OperationId, &'static str),
}

impl Gates {
    /// None yet, on `node`; the core hears of their ends.
    pub(crate) const fn new(node: NodeName, core: mpsc::Sender<ToCore>) -> Self {
        Self { node, core, actors: BTreeMap::new() }
    }

    /// Begins a run, or has it run on until the new end of leadership. Never waits.
    pub(crate) fn run(&mut self, group: &GroupName, other: Option<&NodeName>, run: GateRun) {
        if !self.actors.contains_key(group) {
            match self.start(group) {
                Ok(actor) => drop(self.actors.insert(group.clone(), actor)),
                Err(e) => {
                    error!(%group, "{} is not run: no thread for it: {e}", run.kind.as_str());
                    return self.tell(ended(run.group, run.op, false, format!("not started: no thread for it: {e}")));
                }
            }
        }
        if let Some(actor) = self.actors.get(group) {
            actor.change(|slot| slot.run(Order { run, other: other.cloned() }));
        }
    }

    /// Ends a run, with everything that it started. Never waits.
    pub(crate) fn stop(&self, group: &GroupName, index: GroupIndex, op: OperationId) {
        match self.actors.get(group) {
            Some(actor) => actor.change(|slot| slot.stop(index, op)),
            None => self.tell(ended(index, op, false, NOT_RUN.to_owned())),
        }
    }

    fn tell(&self, event: ToCore) {
        let core = self.core.clone();
        tokio::spawn(async move { drop(core.send(event).await) });
    }

    /// How the gates of each group are doing, also of one that a reload took away.
    #[must_use]
    pub fn status(&self) -> BTreeMap<GroupName, GateStatus> {
        self.actors.iter().map(|(name, actor)| (name.clone(), actor.read(|slot| slot.status.clone()))).collect()
    }

    fn start(&self, group: &GroupName) -> std::io::Result<Worker<Slot>> {
        let (node, group, core) = (self.node.clone(), group.clone(), self.core.clone());
        Worker::start("havipd-gate", Slot::default(), move |latest| work(latest, &node, &group, &core))
    }
}

impl Slot {
    fn run(&mut self, order: Order) {
        match &self.current {
            Some((op, leash)) if *op == order.run.op => return leash.set(order.run.leadership_until),
            // The core waits for nothing of that one any more.
            Some((_, leash)) => leash.set(clock::now()),
            None => {}
        }
        // One that has ended is asked for again until the core has heard so.
        if self.begun.is_some_and(|begun| order.run.op <= begun) {
            return;
        }
        if let Some(before) = self.pending.replace(order)
            && self.pending.as_ref().is_some_and(|now| now.run.op != before.run.op)
        {
            self.dropped.push((before.run.group, before.run.op));
        }
    }

    fn stop(&mut self, index: GroupIndex, op: OperationId) {
        if let Some((_, leash)) = self.current.as_ref().filter(|(current, _)| *current == op) {
            leash.set(clock::now());
        } else if self.pending.take_if(|order| order.run.op == op).is_some()
            || self.begun.is_none_or(|begun| op > begun)
        {
            // It waits, or what asked for it did not come through.
            self.begun = Some(op);
            self.dropped.push((index, op));
        }
    }

    fn next(&mut self) -> Option<Work> {
        if let Some((group, op)) = self.dropped.pop() {
            return Some(Work::Refuse(group, op, NOT_RUN));
        }
        let order = self.pending.take()?;
        self.begun = Some(order.run.op);
        let Ok(leash) = Leash::new(order.run.leadership_until) else {
            return Some(Work::Refuse(order.run.group, order.run.op, "not started: no descriptor is left for it"));
        };
        let leash = Arc::new(leash);
        self.current = Some((order.run.op, Arc::clone(&leash)));
        self.status.running = Some(order.run.kind);
        Some(Work::Run(Box::new(order), leash))
    }
}

fn ended(group: GroupIndex, op: OperationId, passed: bool, text: String) -> ToCore {
    let text = in_words(&text).into_owned();
    ToCore::Event(Event::GateEnded { group, op, passed, text })
}

/// The life of a group's thread.
fn work(latest: &Latest<Slot>, node: &NodeName, group: &GroupName, core: &mpsc::Sender<ToCore>) {
    while let Some(work) = latest.next(Slot::next) {
        // When full: this thread, which has nothing better to do, waits for room.
        let told = match work {
            Work::Refuse(index, op, why) => ended(index, op, false, why.to_owned()),
            Work::Run(order, leash) => {
                let outcome = run(node, group, &order, &leash);
                report(group, &outcome);
                let text = outcome.in_words();
                let passed = outcome.result.success();
                latest.change(|slot| {
                    slot.current = None;
                    slot.status.record(outcome);
                });
                ended(order.run.group, order.run.op, passed, text)
            }
        };
        let _ = core.blocking_send(told);
    }
}

/// Runs one program to its end.
fn run(node: &NodeName, group: &GroupName, Order { run, other }: &Order, leash: &Leash) -> GateOutcome {
    let started = clock::now();
    let kind = run.kind.as_str();
    let environment = environment(node, group, run, other.as_ref());
    let program = Program {
        argv: &run.argv,
        environment: &environment,
        timeout: clock::left(run.deadline).unwrap_or(Duration::ZERO),
        grace: GateRun::GRACE,
        start: Start::Bound,
        leftovers: Leftovers::RunOnAfterSuccess,
        leash: Some(leash),
        begun: None,
    };
    let mut tail = VecDeque::new();
    let mut log = |line: &str| {
        info!(%group, gate = kind, "{kind} says: {line}");
        tail.push_back(line.to_owned());
        if tail.len() > TAIL {
            tail.pop_front();
        }
    };
    let report = program::run(&program, &mut log);
    GateOutcome {
        kind: run.kind,
        program: run.argv.first().cloned().unwrap_or_default(),
        epoch: run.epoch,
        result: report.ended,
        milliseconds: u64::try_from(clock::now().since(started).as_millis()).unwrap_or(u64::MAX),
        left_running: report.left_running,
        left_behind: report.left_behind,
        lines_suppressed: report.lines_suppressed,
        tail: tail.into(),
    }
}

/// Everything that a gate finds in its environment. What is not known is empty rather than absent, for scripts that run
/// with `set -u`.
fn environment(
    node: &NodeName,
    group: &GroupName,
    run: &GateRun,
    other: Option<&NodeName>,
) -> Vec<(&'static str, String)> {
    let other = other.map(ToString::to_string).unwrap_or_default();
    let (previous, successor) = match run.kind {
        GateKind::BeforeActive => (other, String::new()),
        GateKind::BeforeRelease => (node.to_string(), other),
    };
    let mut environment = program::base_environment();
    environment.extend([
        ("HAVIPD_NODE", node.to_string()),
        ("HAVIPD_GROUP", group.to_string()),
        ("HAVIPD_GATE", run.kind.as_str().to_owned()),
        ("HAVIPD_EPOCH", run.epoch.to_string()),
        ("HAVIPD_CAUSE", run.cause.to_string()),
        ("HAVIPD_PREVIOUS", previous),
        ("HAVIPD_SUCCESSOR", successor),
        ("HAVIPD_PLANNED", if run.planned { "yes" } else { "no" }.to_owned()),
    ]);
    environment
}

fn report(group: &GroupName, outcome: &GateOutcome) {
    let GateOutcome { kind, program, result, milliseconds, .. } = outcome;
    let gate = kind.as_str();
    let suppressed = outcome.lines_suppressed;
    if suppressed > 0 {
        warn!(%group, gate, program, "{} of its output suppressed", plural(suppressed, "more line"));
    }
    if outcome.left_behind {
        warn!(%group, gate, program, "a process of it left its process group, and cannot be ended");
    }
    if result.success() {
        info!(%group, gate, program, milliseconds, "{gate} has succeeded");
    } else {
        warn!(%group, gate, program, milliseconds, "{gate} has failed: {result}");
    }
}

#[cfg(test)]
mod tests;
