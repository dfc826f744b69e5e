//! The history: every change of role, a line of JSON each, in `history.jsonl` of the state directory.
//!
//! It survives restarts and stays small: at [`MAX_BYTES`] the file becomes `history.old.jsonl` and a new one
//! begins, so that between one and two times that much is kept. Writing is a thread's work behind a short
//! queue, and what the queue does not take is counted, not waited for: a disk that hangs costs lines of the
//! history and nothing else. A line that a crash or a full disk cut short is skipped when it is read.

use crate::election::action::Transition;
use crate::ids::GroupName;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The file in the state directory.
pub const FILE: &str = "history.jsonl";
/// Where it goes when it is full.
pub const OLD_FILE: &str = "history.old.jsonl";
/// Size at which the file is put aside, in bytes.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// The newest entries that are ever shown at once.
pub const MOST_SHOWN: usize = 500;
/// Entries that may wait for the disk.
const QUEUE: usize = 256;

/// One change of role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written down, wall time, RFC 3339.
    pub time: String,
    /// The group.
    pub group: String,
    /// Role before.
    pub from: String,
    /// Role after.
    pub to: String,
    /// The reign that it begins or ends.
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
        let step = |s: &crate::election::action::Step| Step {
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

/// Writes entries in the background.
#[derive(Debug)]
pub struct Journal {
    queue: SyncSender<Line>,
    lost: Arc<AtomicU64>,
    directory: PathBuf,
}

impl Journal {
    /// A journal in `directory`.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(directory: PathBuf) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let (for_thread, counter) = (directory.clone(), Arc::clone(&lost));
        let thread = std::thread::Builder::new().name("havipd-history".to_owned());
        thread.spawn(move || work(&for_thread, &entries, &counter))?;
        Ok(Self { queue, lost, directory })
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
        if self.queue.try_send(line).is_err() {
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

fn work(directory: &Path, entries: &Receiver<Line>, lost: &AtomicU64) {
    let mut failing = false;
    while let Ok(entry) = entries.recv() {
        match append(directory, &entry, MAX_BYTES) {
            Ok(()) => failing = false,
            Err(error) => {
                lost.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("the history is not kept for now: {}: {error}", directory.join(FILE).display());
                }
            }
        }
    }
}

fn append(directory: &Path, entry: &impl Serialize, most: u64) -> io::Result<()> {
    let path = directory.join(FILE);
    let mut file = open(&path)?;
    let mut size = file.seek(SeekFrom::End(0))?;
    if size >= most {
        drop(file);
        std::fs::rename(&path, directory.join(OLD_FILE))?;
        file = open(&path)?;
        size = 0;
    }
    let mut line = Vec::new();
    // A line that was cut short must not swallow this one.
    if size > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push(b'\n');
        }
    }
    serde_json::to_writer(&mut line, entry)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

/// The newest entries, oldest first, of one group or of all; at most [`MOST_SHOWN`]. Blocks as long as the
/// disk does.
///
/// # Errors
/// A file that is there cannot be read.
pub fn read(directory: &Path, group: Option<&str>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in [OLD_FILE, FILE] {
        let mut text = Vec::new();
        match File::open(directory.join(name)) {
            // Whoever made it larger, it is not ours.
            Ok(file) => drop(file.take(2 * MAX_BYTES).read_to_end(&mut text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        }
        let lines = text.split(|b| *b == b'\n');
        for line in lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()) {
            match line {
                Line::Entry(entry) if group.is_none_or(|g| g == entry.group) => entries.push(entry),
                Line::Late(late) => add(&mut entries, late),
                Line::Entry(_) => {}
            }
        }
    }
    entries.drain(..entries.len().saturating_sub(MOST_SHOWN));
    Ok(entries)
}

/// Puts a late step where it belongs: the newest move of its group and reign.
fn add(entries: &mut [Entry], late: Late) {
    let its = |e: &&mut Entry| e.group == late.group && e.epoch == late.epoch && e.to == "active";
    if let Some(entry) = entries.iter_mut().rev().find(its) {
        entry.steps.push(late.late);
        entry.steps.sort_by(|a, b| a.ms.total_cmp(&b.ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(epoch: u64) -> Entry {
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

    fn epochs(directory: &Path, group: Option<&str>) -> Vec<u64> {
        read(directory, group).expect("readable").iter().map(|e| e.epoch).collect()
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(read(directory.path(), None).expect("an empty history"), []);
        (1..=5).for_each(|n| append(directory.path(), &entry(n), MAX_BYTES).expect("appended"));
        assert_eq!(read(directory.path(), Some("odd")).expect("readable"), [entry(1), entry(3), entry(5)]);
        assert_eq!(epochs(directory.path(), None), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_step_that_comes_late_is_part_of_its_move() {
        let directory = tempfile::tempdir().expect("a directory");
        let name: GroupName = "odd".parse().expect("a name");
        append(directory.path(), &Entry { to: "active".into(), ..entry(1) }, MAX_BYTES).expect("appended");
        append(directory.path(), &entry(3), MAX_BYTES).expect("appended");
        for (epoch, what) in [(1, "hooks done"), (3, "of no move"), (9, "of no reign")] {
            let line = Line::Late(Late::new(&name, epoch, 7.5, what.to_owned()));
            append(directory.path(), &line, MAX_BYTES).expect("appended");
        }
        let read = read(directory.path(), None).expect("readable");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].steps[1], Step { ms: 7.5, what: "hooks done".into() });
        assert_eq!(read[1].steps.len(), 1);
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        append(directory.path(), &entry(1), MAX_BYTES).expect("appended");
        append(directory.path(), &entry(2), MAX_BYTES).expect("appended");
        let path = directory.path().join(FILE);
        let length = std::fs::metadata(&path).expect("there").len();
        OpenOptions::new().write(true).open(&path).expect("opened").set_len(length - 20).expect("cut");
        assert_eq!(epochs(directory.path(), None), [1]);
        append(directory.path(), &entry(3), MAX_BYTES).expect("appended");
        assert_eq!(epochs(directory.path(), None), [1, 3]);
    }

    #[test]
    fn it_stays_small() {
        let directory = tempfile::tempdir().expect("a directory");
        (1..=40).for_each(|n| append(directory.path(), &entry(n), 2_000).expect("appended"));
        let size = |name| std::fs::metadata(directory.path().join(name)).expect("there").len();
        assert!(size(FILE) <= 2_300 && size(OLD_FILE) <= 2_300, "{} {}", size(FILE), size(OLD_FILE));
        let kept = epochs(directory.path(), None);
        assert_eq!(kept.last(), Some(&40));
        assert!(kept.len() > 8 && kept.windows(2).all(|w| w[1] == w[0] + 1), "{kept:?}");
    }

    #[test]
    fn a_directory_that_is_gone_is_counted_and_waited_for_by_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = Journal::start(directory.path().join("gone")).expect("a thread");
        journal.write(entry(1));
        let deadline = std::time::Duration::from_secs(30);
        let until = crate::clock::now() + deadline;
        while journal.lost() == 0 {
            assert!(crate::clock::now() < until, "never counted");
            std::thread::yield_now();
        }
    }
}
