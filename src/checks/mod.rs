//! The checks that decide whether this node is well: running them, and telling the core what they come to.
//!
//! Each check is a task on the effects side, so nothing that it waits for delays a heartbeat. What its runs come to is
//! judged by [`havipd_core::health`]; this module only runs them, one run of a check at a time, and counts. What takes a
//! thread (a program, a file on a disk that hangs) gets one of its own, and while that one has not come back there is
//! no second.
//!
//! What the core was told last is kept for each group and told again until the core's queue had room for it: a lost
//! event delays a verdict and never loses one.

mod blocking;
mod file;
mod http;
mod link;
mod ping;
mod process;
mod script;
pub mod status;
mod tcp;
mod unit;

use crate::clock;
use crate::net::interface::Snapshot;
use crate::plain;
use crate::runtime::ToCore;
use havipd_core::health::{CheckNote, Health, Judge, Reading, combine, in_order, next_run};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{CheckName, GroupIndex, GroupName, NodeName};
use havipd_core::model::settings::{Check, CheckState, Config, Probe};
use havipd_core::model::time::Instant;
use status::{CheckStatus, LastRun, RunResult, Runs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Longest text of a result that is kept and logged.
const LONGEST: usize = 300;

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    reading: Reading,
    result: RunResult,
    text: String,
    /// A process of it could not be ended, because it left its process group.
    left_behind: bool,
}

impl Outcome {
    fn passed(text: impl Into<String>) -> Self {
        Self::new(Reading::Passed, RunResult::Passed, text)
    }

    fn failed(text: impl Into<String>) -> Self {
        Self::new(Reading::Failed, RunResult::Failed, text)
    }

    fn timed_out(text: impl Into<String>) -> Self {
        Self::new(Reading::Failed, RunResult::TimedOut, text)
    }

    fn not_run(text: impl Into<String>) -> Self {
        Self::new(Reading::NotRun, RunResult::NotRun, text)
    }

    fn new(reading: Reading, result: RunResult, text: impl Into<String>) -> Self {
        let text = plain::line(&plain::in_words(&text.into())).chars().take(LONGEST).collect();
        Self { reading, result, text, left_behind: false }
    }
}

/// Everything that is judged. Locked for moments only, and on one thread.
#[derive(Debug)]
struct Table {
    core: mpsc::Sender<ToCore>,
    entries: BTreeMap<CheckName, Entry>,
    groups: Vec<Decided>,
}

#[derive(Debug)]
struct Entry {
    check: Check,
    here: bool,
    judge: Judge,
    last: Option<(Outcome, Duration, Instant)>,
    runs: Runs,
    left_behind: u64,
    flapping: bool,
}

/// A group that checks decide in.
#[derive(Debug)]
struct Decided {
    index: GroupIndex,
    name: GroupName,
    checks: Vec<CheckName>,
    told: Option<(Health, Arc<[CheckNote]>)>,
}

type Shared = Arc<Mutex<Table>>;

fn lock(table: &Shared) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The checks of this node.
#[derive(Debug)]
pub struct Checks {
    node: NodeName,
    table: Shared,
    tasks: BTreeMap<CheckName, JoinHandle<()>>,
    links: Option<(JoinHandle<()>, watch::Receiver<Option<Snapshot>>)>,
    gates: blocking::Gates,
}

impl Checks {
    /// No checks yet, on `node`.
    pub(crate) fn new(node: NodeName, core: mpsc::Sender<ToCore>) -> Self {
        let table = Table { core, entries: BTreeMap::new(), groups: Vec::new() };
        Self {
            node,
            table: Arc::new(Mutex::new(table)),
            tasks: BTreeMap::new(),
            links: None,
            gates: blocking::Gates::default(),
        }
    }

    /// Takes over a configuration. A check that has changed starts anew; any other goes on as it was.
    pub(crate) fn apply(&mut self, config: &Config) {
        let now = clock::now();
        let groups: Vec<Decided> = decided(config).collect();
        let used = |check: &&Check| groups.iter().any(|g| g.checks.contains(&check.name));
        let wanted: BTreeMap<CheckName, Check> =
            config.checks.iter().filter(used).map(|c| (c.name.clone(), c.clone())).collect();
        let mut table = lock(&self.table);
        let kept = |name: &CheckName, entry: &Entry| {
            wanted.get(name).is_some_and(|c| *c == entry.check && c.runs_on(config.local) == entry.here)
        };
        table.entries.retain(|name, entry| kept(name, entry));
        let going_on: Vec<CheckName> = table.entries.keys().cloned().collect();
        self.tasks.retain(|name, task| {
            let goes_on = going_on.contains(name);
            if !goes_on {
                task.abort();
            }
            goes_on
        });
        for check in wanted.into_values().filter(|check| !going_on.contains(&check.name)) {
            let here = check.runs_on(config.local);
            let judge = Judge::of(&check, config.local, now);
            let entry =
                Entry { check, here, judge, last: None, runs: Runs::default(), left_behind: 0, flapping: false };
            table.entries.insert(entry.check.name.clone(), entry);
        }
        // A group that had checks and has none any more is told so, too.
        let had = std::mem::replace(&mut table.groups, groups);
        for (i, group) in config.groups.iter().enumerate() {
            let before = had.iter().any(|g| g.name == group.name);
            if before && !table.groups.iter().any(|g| g.name == group.name) {
                let (index, name) = (GroupIndex(i), group.name.clone());
                table.groups.push(Decided { index, name, checks: Vec::new(), told: None });
            }
        }
        let start: Vec<Check> = table.entries.values().filter(|e| e.here).map(|e| e.check.clone()).collect();
        table.tell();
        drop(table);
        for check in start {
            if !self.tasks.contains_key(&check.name) {
                let name = check.name.clone();
                let task = self.start(check);
                self.tasks.insert(name, task);
            }
        }
    }

    fn start(&mut self, check: Check) -> JoinHandle<()> {
        let context = Context { node: self.node.clone(), check: Arc::new(check), table: Arc::clone(&self.table) };
        let gate = self.gates.of(&context.check.name);
        match context.check.probe.clone() {
            Probe::Script(argv) => tokio::spawn(script::watch(context, argv, gate)),
            Probe::Unit(unit) => tokio::spawn(unit::watch(context, unit, gate)),
            Probe::Tcp(address) => tokio::spawn(tcp::watch(context, address)),
            Probe::Http(http) => tokio::spawn(http::watch(context, *http)),
            Probe::Ping { targets, quorum } => tokio::spawn(ping::watch(context, targets, quorum)),
            Probe::File(path) => tokio::spawn(file::watch(context, path, gate)),
            Probe::Process(name) => tokio::spawn(process::watch_name(context, name, gate)),
            Probe::PidFile(path) => tokio::spawn(process::watch_file(context, path, gate)),
            Probe::Link(interface) => tokio::spawn(link::watch(context, interface, self.links())),
        }
    }

    /// The links of this host as they change, for all checks together.
    fn links(&mut self) -> watch::Receiver<Option<Snapshot>> {
        if let Some((_, links)) = self.links.as_ref().filter(|(task, _)| !task.is_finished()) {
            return links.clone();
        }
        let (sender, links) = watch::channel(None);
        self.links = Some((tokio::spawn(link::monitor(sender)), links.clone()));
        links
    }

    /// Tells the core what it had no room for.
    pub(crate) fn tell(&self) {
        lock(&self.table).tell();
    }

    /// Every check, by name.
    #[must_use]
    pub fn status(&self) -> Vec<CheckStatus> {
        let now = clock::now();
        let table = lock(&self.table);
        table.entries.values().map(|entry| entry.status(&table.groups, now)).collect()
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        for task in self.tasks.values().chain(self.links.iter().map(|(task, _)| task)) {
            task.abort();
        }
    }
}

/// The groups in which checks decide on this node.
fn decided(config: &Config) -> impl Iterator<Item = Decided> + '_ {
    config.groups.iter().enumerate().filter_map(|(i, group)| {
        let judged = group.member(config.local).is_some_and(|member| !member.witness) && !group.checks.is_empty();
        judged.then(|| Decided {
            index: GroupIndex(i),
            name: group.name.clone(),
            checks: group.checks.clone(),
            told: None,
        })
    })
}

impl Table {
    /// Tells the core of every group whose health is not what it was told last.
    fn tell(&mut self) {
        let now = clock::now();
        for group in &mut self.groups {
            let checks = || group.checks.iter().filter_map(|name| self.entries.get(name));
            let health = combine(checks().map(|entry| &entry.judge));
            let note = |entry: &Entry| CheckNote::of(&entry.check.name, &entry.judge, now);
            let now_told = (health, in_order(checks().filter_map(note).collect()));
            if group.told.as_ref() == Some(&now_told) {
                continue;
            }
            let (Health { weight, failed, undecided }, notes) = (health, Arc::clone(&now_told.1));
            let event = Event::HealthChanged { group: group.index, weight, failed, undecided, notes };
            if self.core.try_send(ToCore::Event(event)).is_ok() {
                group.told = Some(now_told);
            }
        }
    }
}

impl Entry {
    fn status(&self, groups: &[Decided], now: Instant) -> CheckStatus {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let name = &self.check.name;
        CheckStatus {
            name: name.clone(),
            kind: self.check.probe.kind().to_owned(),
            groups: groups.iter().filter(|g| g.checks.contains(name)).map(|g| g.name.clone()).collect(),
            here: self.here,
            state: self.judge.state(),
            since_ms: ms(now.since(self.judge.since())),
            streak: self.judge.streak(),
            fault: self.judge.is_fault(),
            weight: self.judge.weight(),
            flapping: self.judge.flaps(now),
            last: self.last.as_ref().map(|(outcome, took, at)| LastRun {
                result: outcome.result.into(),
                text: outcome.text.clone(),
                milliseconds: ms(*took),
                ago_ms: ms(now.since(*at)),
            }),
            runs: self.runs,
            left_behind: self.left_behind,
        }
    }

    /// Takes in what came of a run, and says in the log what is new in it.
    fn record(&mut self, now: Instant, outcome: Outcome, took: Duration) -> bool {
        let name = &self.check.name;
        let before = (self.judge.state(), self.judge.weight());
        let changed = self.judge.record(now, outcome.reading);
        let text = &outcome.text;
        match self.judge.state() {
            state if state == before.0 => {}
            CheckState::Up => info!(check = %name, "check {name} passes: {text}"),
            CheckState::Down => warn!(check = %name, "check {name} fails: {text}"),
            CheckState::Unknown => {}
        }
        if self.judge.weight() != before.1 {
            info!(check = %name, "check {name} adds {} to the priority", self.judge.weight());
        }
        let could = self.last.as_ref().is_none_or(|(last, ..)| last.result != RunResult::NotRun);
        if outcome.result == RunResult::NotRun && could {
            warn!(check = %name, "check {name} could not be run: {text}");
        }
        let flaps = self.judge.flaps(now);
        if flaps && !self.flapping {
            warn!(check = %name, "check {name} flaps: it keeps changing between passing and failing");
        }
        self.flapping = flaps;
        if outcome.left_behind && self.left_behind == 0 {
            warn!(check = %name, "check {name} leaves processes behind that are not in its process group");
        }
        self.left_behind += u64::from(outcome.left_behind);
        self.runs.count(outcome.result);
        self.runs.milliseconds += u64::try_from(took.as_millis()).unwrap_or_default();
        self.last = Some((outcome, took, now));
        changed
    }
}

/// What the task of a check works with.
#[derive(Clone)]
struct Context {
    node: NodeName,
    check: Arc<Check>,
    table: Shared,
}

impl Context {
    /// Hands in what came of a run that began at `began`; when the next one is to begin.
    fn record(&self, outcome: Outcome, began: Instant, dice: u32) -> Duration {
        let now = clock::now();
        let mut table = lock(&self.table);
        // Gone only while a reload is about to end this task.
        let Some(entry) = table.entries.get_mut(&self.check.name) else { return self.check.interval };
        let changed = entry.record(now, outcome, now.since(began));
        let next = next_run(self.check.interval, self.check.retry_interval, &entry.judge, dice);
        if changed {
            table.tell();
        }
        next
    }

    /// When runs begin, beginning now.
    fn cadence(&self) -> Cadence<'_> {
        Cadence { context: self, dice: dice(), began: clock::now(), due: tokio::time::Instant::now() }
    }

    /// Hands in what is so now, unless it is what was handed in last.
    fn observe(&self, outcome: Outcome, last: &mut Option<Outcome>) {
        if last.as_ref() != Some(&outcome) {
            *last = Some(outcome.clone());
            self.record(outcome, clock::now(), 0);
        }
    }
}

/// When the runs of a check begin.
struct Cadence<'a> {
    context: &'a Context,
    dice: fastrand::Rng,
    began: Instant,
    due: tokio::time::Instant,
}

impl Cadence<'_> {
    /// A run has ended: hands in what came of it, and waits until the next one is due.
    async fn ended(&mut self, outcome: Outcome) {
        self.ended_unless(outcome, std::future::pending()).await;
    }

    /// The same, but the next run is due at once when `early` is over.
    async fn ended_unless(&mut self, outcome: Outcome, early: impl Future<Output = ()>) {
        let next = self.context.record(outcome, self.began, self.dice.u32(..));
        tokio::select! {
            () = tokio::time::sleep_until(self.due + next) => {}
            () = early => {}
        }
        (self.began, self.due) = (clock::now(), tokio::time::Instant::now());
    }
}

/// Randomness for the cadence, a seed for each task.
fn dice() -> fastrand::Rng {
    let mut seed = [0; 8];
    // Without a seed the checks of several nodes may keep step; that is all.
    let _ = getrandom::fill(&mut seed);
    fastrand::Rng::with_seed(u64::from_ne_bytes(seed))
}

/// Whether this host, not the service, is why a connection could not be made.
fn is_ours(error: &std::io::Error) -> bool {
    let ours = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EACCES,
        libc::EPERM,
        libc::EADDRNOTAVAIL,
        libc::EAFNOSUPPORT,
    ];
    error.raw_os_error().is_some_and(|code| ours.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_saw_is_one_line_that_does_nothing() {
        let text = format!("a\u{1b}[2Jb\u{202e}c\nd{}", "e".repeat(LONGEST));
        let kept = Outcome::failed(text).text;
        assert!(kept.starts_with("a [2Jb\u{fffd}c de") && kept.chars().count() == LONGEST, "{kept:?}");
    }
}
