//! The history: every change of role, and what else explains one, a line of JSON each, in `history.jsonl` of the
//! state directory.
//!
//! It survives restarts and stays within `daemon.history-size`: at half of that the file becomes
//! `history.old.jsonl` and a new one begins, so that between half of it and all of it is kept. Writing is a
//! thread's work behind a short queue, and what the queue does not take is counted, not waited for: a disk that
//! hangs costs lines of the history and nothing else. A line that a crash or a full disk cut short is skipped when
//! it is read.

mod file;

use havipd_core::model::action::Transition;
use havipd_core::model::ids::GroupName;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

pub use file::{FILE, MOST_SHOWN, OLD_FILE, read};
use file::{append, fit};

/// Entries that may wait for the disk.
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
    /// The reign that it begins or ends, or in which it happened.
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

/// Writes entries in the background.
#[derive(Debug)]
pub struct Journal {
    queue: SyncSender<Work>,
    lost: Arc<AtomicU64>,
    bound: Arc<AtomicU64>,
    directory: PathBuf,
}

/// What the thread is woken for.
enum Work {
    Write(Line),
    /// There is another bound.
    Fit,
}

impl Journal {
    /// A journal in `directory` that takes at most so many bytes there.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(directory: PathBuf, most: u64) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let (lost, bound) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(most)));
        let (for_thread, counter, most) = (directory.clone(), Arc::clone(&lost), Arc::clone(&bound));
        let thread = std::thread::Builder::new().name("havipd-history".to_owned());
        thread.spawn(move || work(&for_thread, &waiting, &counter, &most))?;
        let journal = Self { queue, lost, bound, directory };
        journal.wake();
        Ok(journal)
    }

    /// From now on it takes at most so many bytes; what is more is cut off in the background, oldest first.
    pub fn limit(&self, most: u64) {
        if self.bound.swap(most, Ordering::Relaxed) != most {
            self.wake();
        }
    }

    fn wake(&self) {
        // Without room something else wakes it: the bound is looked at each time.
        let _ = self.queue.try_send(Work::Fit);
    }

    /// Hands over an entry. Never waits: without room it is counted as lost.
    pub fn write(&self, entry: Entry) {
        self.hand_over(Line::Entry(entry));
    }

    /// Hands over a step that came late, as [`Self::write`] does.
    pub fn add(&self, late: Late) {
        self.hand_over(Line::Late(late));
    }

    fn hand_over(&self, line: Line) {
        if self.queue.try_send(Work::Write(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries that are in no file: the disk was too slow, or refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Where it is kept.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn work(directory: &Path, work: &Receiver<Work>, lost: &AtomicU64, bound: &AtomicU64) {
    // What an earlier run left may be more.
    let mut fitted = None;
    let mut failing = false;
    while let Ok(work) = work.recv() {
        let most = bound.load(Ordering::Relaxed);
        let mut done = Ok(());
        if fitted != Some(most) {
            done = fit(directory, most);
            fitted = done.is_ok().then_some(most);
        }
        if let Work::Write(line) = work {
            let written = append(directory, &line, most);
            lost.fetch_add(u64::from(written.is_err()), Ordering::Relaxed);
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

    #[test]
    fn a_directory_that_is_gone_is_counted_and_waited_for_by_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = Journal::start(directory.path().join("gone"), 1 << 20).expect("a thread");
        journal.write(entry(1));
        let deadline = std::time::Duration::from_secs(30);
        let until = crate::clock::now() + deadline;
        while journal.lost() == 0 {
            assert!(crate::clock::now() < until, "never counted");
            std::thread::yield_now();
        }
    }
}
