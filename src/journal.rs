//! The history: every change of role, and what else explains one, a line of JSON each, in `history.jsonl` of the
//! state directory.
//!
//! It survives restarts and stays within `daemon.history-size`: at half of that the file becomes
//! `history.old.jsonl` and a new one begins, so that between half of it and all of it is kept. Writing is a
//! thread's work. So many lines may wait for it; when there are more, or the disk refuses one, the oldest are lost, and the
//! history itself says how many are missing there as soon as it can be written: a disk that hangs costs lines of the
//! history and nothing else. A line that a crash or a full disk cut short is skipped when it is read.

mod file;

use crate::worker::{Latest, Worker};
use havipd_core::model::action::Transition;
use havipd_core::model::ids::GroupName;
use havipd_core::model::plural::{are, plural};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

pub use file::{FILE, MOST_SHOWN, OLD_FILE, read};
use file::{append, fit};

/// Lines that may wait for the disk. When full: the oldest goes, and its group's history says that it is missing.
const QUEUE: usize = 256;

/// One change of role; or something else that happened to a group, which has a cause and no roles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written down, wall time, RFC 3339.
    pub time: String,
    /// The group.
    pub group: String,
    /// Role before; empty unless the role changed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Role after; empty unless the role changed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The term that it begins or ends, or in which it happened.
    pub epoch: u64,
    /// Why, in a word.
    pub cause: String,
    /// Why, in words.
    pub detail: String,
    /// The peer concerned, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The steps that led to it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// One step of a move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds since the first step.
    pub ms: f64,
    /// What was done, or seen.
    pub what: String,
}

/// A step that was done, or seen, after the change of role it belongs to was written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Late {
    group: String,
    epoch: u64,
    late: Step,
}

impl Late {
    /// A step of the move that began `epoch`, so many milliseconds after its first one.
    #[must_use]
    pub fn new(group: &GroupName, epoch: u64, ms: f64, what: String) -> Self {
        Self { group: group.to_string(), epoch, late: Step { ms, what } }
    }
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(Entry),
    Late(Late),
}

impl Entry {
    /// The entry for a transition that has just been decided.
    #[must_use]
    pub fn new(group: &GroupName, peer: Option<&str>, transition: &Transition) -> Self {
        let start = transition.timeline.first().map_or(transition.at, |s| s.at);
        let step = |s: &havipd_core::model::action::Step| Step {
            ms: s.at.since(start).as_secs_f64() * 1e3,
            what: s.what.clone(),
        };
        Self {
            time: jiff::Timestamp::now().to_string(),
            group: group.to_string(),
            from: transition.from.to_string(),
            to: transition.to.to_string(),
            epoch: transition.epoch.0,
            cause: transition.cause.to_string(),
            detail: transition.detail.clone(),
            peer: peer.map(str::to_owned),
            steps: transition.timeline.iter().map(step).collect(),
        }
    }
}

impl Entry {
    /// When it happened, to the millisecond.
    #[must_use]
    pub fn shown_time(&self) -> String {
        let time = self.time.parse::<jiff::Timestamp>().and_then(|time| time.round(jiff::Unit::Millisecond));
        time.map_or_else(|_| self.time.clone(), |time| format!("{time:.3}"))
    }

    /// The entry for something that has just happened to a group without a change of role.
    #[must_use]
    pub fn happened(group: &str, epoch: u64, cause: &str, detail: String, peer: Option<&str>) -> Self {
        Self {
            time: jiff::Timestamp::now().to_string(),
            group: group.to_owned(),
            from: String::new(),
            to: String::new(),
            epoch,
            cause: cause.to_owned(),
            detail,
            peer: peer.map(str::to_owned),
            steps: Vec::new(),
        }
    }
}

impl Line {
    fn group(&self) -> &str {
        match self {
            Self::Entry(entry) => &entry.group,
            Self::Late(late) => &late.group,
        }
    }
}

/// Writes entries in the background.
#[derive(Debug)]
pub struct Journal {
    worker: Worker<Waiting>,
    directory: PathBuf,
}

/// What the thread is to do.
#[derive(Debug)]
struct Waiting {
    lines: VecDeque<Line>,
    /// Lines per group that are in no file, and not named there yet.
    missing: BTreeMap<String, u64>,
    lost: u64,
    /// Bound of the files, bytes; and whether it is to be looked at even without a line.
    most: u64,
    look: bool,
}

/// One thing to do.
struct Task {
    most: u64,
    line: Option<Line>,
    missing: BTreeMap<String, u64>,
}

impl Waiting {
    fn push(&mut self, line: Line) {
        self.lines.push_back(line);
        if self.lines.len() > QUEUE
            && let Some(oldest) = self.lines.pop_front()
        {
            self.lose(oldest.group().to_owned(), 1);
        }
    }

    fn lose(&mut self, group: String, lines: u64) {
        self.lost += lines;
        *self.missing.entry(group).or_default() += lines;
    }

    /// What is missing is named before the next line, and not by itself: a disk that has refused one refuses the next.
    fn take(&mut self) -> Option<Task> {
        let line = self.lines.pop_front();
        let missing = if line.is_some() { std::mem::take(&mut self.missing) } else { BTreeMap::new() };
        (std::mem::take(&mut self.look) || line.is_some()).then_some(Task { most: self.most, line, missing })
    }
}

impl Journal {
    /// A journal in `directory` that takes at most so many bytes there.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(directory: PathBuf, most: u64) -> io::Result<Self> {
        // What an earlier run left may be more.
        let waiting = Waiting { lines: VecDeque::new(), missing: BTreeMap::new(), lost: 0, most, look: true };
        let for_thread = directory.clone();
        let worker = Worker::start("havipd-history", waiting, move |latest| work(latest, &for_thread))?;
        Ok(Self { worker, directory })
    }

    /// From now on it takes at most so many bytes; what is more is cut off in the background, oldest first.
    pub fn limit(&self, most: u64) {
        self.worker.change(|waiting| waiting.look |= std::mem::replace(&mut waiting.most, most) != most);
    }

    /// Hands over an entry. Never waits.
    pub fn write(&self, entry: Entry) {
        self.worker.change(|waiting| waiting.push(Line::Entry(entry)));
    }

    /// Hands over a step that came late, as [`Self::write`] does.
    pub fn add(&self, late: Late) {
        self.worker.change(|waiting| waiting.push(Line::Late(late)));
    }

    /// So many lines of a group were lost before they came here.
    pub fn note_lost(&self, group: &GroupName, lines: u64) {
        self.worker.change(|waiting| waiting.lose(group.to_string(), lines));
    }

    /// Lines that are in no file: the disk was too slow, or refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.worker.read(|waiting| waiting.lost)
    }

    /// Where it is kept.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn work(latest: &Latest<Waiting>, directory: &Path) {
    let mut fitted = None;
    let mut failing = false;
    while let Some(Task { most, line, mut missing }) = latest.next(Waiting::take) {
        let mut done = Ok(());
        if fitted != Some(most) {
            done = fit(directory, most);
            fitted = done.is_ok().then_some(most);
        }
        if let Some(line) = line {
            let written = name_missing(directory, &mut missing, most).and_then(|()| append(directory, &line, most));
            latest.change(|waiting| {
                for (group, lines) in missing {
                    *waiting.missing.entry(group).or_default() += lines;
                }
                if written.is_err() {
                    waiting.lose(line.group().to_owned(), 1);
                }
            });
            done = written.and(done);
        }
        match done {
            Ok(()) => failing = false,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let file = directory.join(FILE);
                    tracing::warn!("the history is not kept as it should be for now: {}: {error}", file.display());
                }
            }
        }
    }
}

/// Writes down what is missing, and takes it out of `missing`.
fn name_missing(directory: &Path, missing: &mut BTreeMap<String, u64>, most: u64) -> io::Result<()> {
    while let Some((group, lines)) = missing.first_key_value() {
        let (told, are) = (plural(lines, "line"), are(*lines));
        let detail = format!("{told} of this history {are} missing here: the disk, or this daemon, stood still");
        append(directory, &Line::Entry(Entry::happened(group, 0, "missing", detail, None)), most)?;
        missing.pop_first();
    }
    Ok(())
}

/// Whether a daemon has ever kept a history there.
#[must_use]
pub fn is_in(directory: &Path) -> bool {
    [FILE, OLD_FILE].iter().any(|name| directory.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(epoch: u64) -> Entry {
        Entry {
            time: "2026-11-23T00:00:00Z".into(),
            group: if epoch.is_multiple_of(2) { "even" } else { "odd" }.into(),
            from: "backup".into(),
            to: "claiming".into(),
            epoch,
            cause: "peer-dead".into(),
            detail: "a was active and is silent for its dead time".into(),
            peer: Some("a".into()),
            steps: vec![Step { ms: 0.0, what: "claiming (peer-dead)".into() }],
        }
    }

    fn until(what: &str, mut fact: impl FnMut() -> bool) {
        let until = crate::clock::now() + std::time::Duration::from_secs(30);
        while !fact() {
            assert!(crate::clock::now() < until, "never: {what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_a_directory_that_was_gone_did_not_take_is_named_where_it_is_missing() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("gone");
        let journal = Journal::start(place.clone(), 1 << 20).expect("a thread");
        journal.write(entry(1));
        journal.write(entry(3));
        until("both are counted", || journal.lost() == 2);
        std::fs::create_dir(&place).expect("there is room");
        journal.write(entry(2));
        let entries = || read(&place, None).expect("it can be read");
        until("it is written", || entries().len() == 2);
        let [missing, written] = entries().try_into().expect("two entries");
        assert_eq!((missing.group.as_str(), missing.cause.as_str()), ("odd", "missing"));
        assert!(missing.detail.starts_with("2 lines "), "{}", missing.detail);
        assert_eq!(written, entry(2));
        assert_eq!(journal.lost(), 2, "named, and still counted");
    }

    #[test]
    fn beyond_its_bound_the_oldest_lines_go_and_are_named_before_those_that_follow() {
        let mut waiting =
            Waiting { lines: VecDeque::new(), missing: BTreeMap::new(), lost: 0, most: 1 << 20, look: false };
        (1..=QUEUE as u64 + 4).for_each(|n| waiting.push(Line::Entry(entry(n))));
        let task = waiting.take().expect("a line");
        assert_eq!(task.missing, [("even".to_owned(), 2), ("odd".to_owned(), 2)].into());
        assert!(matches!(&task.line, Some(Line::Entry(e)) if *e == entry(5)), "{:?}", task.line);
        assert!(waiting.take().expect("a line").missing.is_empty(), "once");
    }
}
