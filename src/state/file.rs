//! The one owner of the state file: a thread that reads it once, and from then on keeps the newest state in it.
//!
//! Reading and writing are done by one thread, so neither can overtake the other however long the disk takes. Nothing
//! is written before the file was read: a state that nobody has read is not known to be older than what would replace
//! it.

use super::{Found, StateError, Unreadable, load, write};
use crate::clock;
use crate::plain::in_words;
use crate::worker::{Latest, Worker};
use havipd_core::model::persisted::Persisted;
use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{error, info};

/// After a failure: first and longest wait before the next attempt.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A write that takes longer than this is alarmed.
const HANGS: Duration = Duration::from_secs(5);

/// How the state file is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateStatus {
    /// States written since the start.
    pub written: u64,
    /// Whether a state waits, or is being written.
    pub unsaved: bool,
    /// Why the last attempt failed; `None` after a success.
    pub error: Option<String>,
    /// The disk has not answered for several seconds.
    pub hangs: bool,
    /// What was wrong with the state of the last run, in words, until the next start; or that it was not read yet.
    pub found: Option<String>,
}

/// What the last run left, and what there is to say of it.
pub type Loaded = (Persisted, Found);

/// What reads and writes the state: the real directory, or a test's.
pub trait Disk: Send + 'static {
    /// As [`load`].
    ///
    /// # Errors
    /// As [`load`].
    fn load(&mut self) -> Result<Loaded, Unreadable>;

    /// As [`write()`].
    ///
    /// # Errors
    /// As [`write()`].
    fn write(&mut self, state: &Persisted) -> Result<(), StateError>;
}

impl Disk for PathBuf {
    fn load(&mut self) -> Result<Loaded, Unreadable> {
        load(self)
    }

    fn write(&mut self, state: &Persisted) -> Result<(), StateError> {
        write(self, state)
    }
}

/// The state file of a running daemon.
#[derive(Debug)]
pub struct StateFile(Worker<Slot>);

#[derive(Debug, Default)]
struct Slot {
    /// Who waits for what the last run left.
    reader: Option<oneshot::Sender<Loaded>>,
    known: bool,
    newest: Option<Persisted>,
    writing_since: Option<Instant>,
    status: StateStatus,
}

impl StateFile {
    /// The state file in `directory`. Nothing is read or written before [`Self::take`].
    ///
    /// # Errors
    /// No thread for it.
    pub fn open(directory: PathBuf) -> Result<Self, StateError> {
        let text = format!("{} has not answered yet: this node counts as drained until it does", directory.display());
        Self::with(directory, text)
    }

    /// The same on another disk; `unread` is what the status says until the state was read.
    ///
    /// # Errors
    /// No thread for it.
    pub fn with(disk: impl Disk, unread: String) -> Result<Self, StateError> {
        let status = StateStatus { unsaved: true, found: Some(unread), ..StateStatus::default() };
        let worker =
            Worker::start("havipd-state", Slot { status, ..Slot::default() }, move |latest| work(latest, disk));
        worker.map(Self).map_err(StateError::Thread)
    }

    /// Takes over what the last run left, which is good for one start only (see [`load`]): so nobody calls this before
    /// it is certain that this process is the daemon and can begin. It is tried until it works; the answer comes as late.
    pub fn take(&self) -> oneshot::Receiver<Loaded> {
        let (reader, answer) = oneshot::channel();
        self.0.change(|slot| slot.reader = Some(reader));
        answer
    }

    /// Hands over the newest state; one that still waits is replaced. Never waits, and needs no room.
    pub fn store(&self, state: Persisted) {
        self.0.change(|slot| {
            slot.newest = Some(state);
            slot.status.unsaved = true;
            let stuck = slot.writing_since.is_some_and(|since| clock::now().since(since) > HANGS);
            if stuck && !std::mem::replace(&mut slot.status.hangs, true) {
                error!("the state directory does not answer: state is kept in memory only until it does");
            }
        });
    }

    /// How writing is going.
    #[must_use]
    pub fn status(&self) -> StateStatus {
        self.0.read(|slot| slot.status.clone())
    }

    /// Waits until the newest state is on the disk, or could not be written, but not longer than `patience`; says whether
    /// it is there.
    #[must_use]
    pub fn stored(&self, patience: Duration) -> bool {
        let over = |slot: &Slot| !slot.known || !slot.status.unsaved || slot.status.error.is_some();
        self.0.wait(clock::now() + patience, over) && self.0.read(|slot| slot.known && !slot.status.unsaved)
    }

    /// Waits until the newest state is on the disk, but not longer than `patience`; says whether it is.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        self.0.wait(clock::now() + patience, |slot| !slot.known || !slot.status.unsaved)
            && self.0.read(|slot| slot.known)
    }
}

fn work(latest: &Latest<Slot>, mut disk: impl Disk) {
    let Some((state, found)) = read(latest, &mut disk) else { return };
    let reader = latest.change(|slot| {
        slot.known = true;
        slot.status.error = None;
        slot.status.found = found.is_wrong().then(|| in_words(&found.to_string()).into_owned());
        // Of a time when nobody knew what was there.
        slot.newest = None;
        slot.reader.take()
    });
    if let Some(reader) = reader {
        let _ = reader.send((state, found));
    }
    keep(latest, &mut disk);
}

/// Reads once somebody wants it, again and again until it works. `None`: nobody does any more.
fn read(latest: &Latest<Slot>, disk: &mut impl Disk) -> Option<Loaded> {
    latest.next(|slot| slot.reader.is_some().then_some(()))?;
    let mut pause = RETRY.0;
    loop {
        match disk.load() {
            Ok(loaded) => return Some(loaded),
            Err(Unreadable(reason)) => {
                let text = format!("{reason}; this node counts as drained until that works: havipctl undrain ends it");
                latest.change(|slot| {
                    if slot.status.found.as_ref() != Some(&text) {
                        error!("{text}");
                    }
                    slot.status.found = Some(text);
                });
                if !latest.pause(pause) {
                    return None;
                }
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }
}

/// Keeps the newest state on the disk, as long as anybody has one.
fn keep(latest: &Latest<Slot>, disk: &mut impl Disk) {
    let mut pause = RETRY.0;
    let take = |slot: &mut Slot| {
        let state = slot.newest.take()?;
        slot.writing_since = Some(clock::now());
        Some(state)
    };
    while let Some(state) = latest.next(take) {
        let result = disk.write(&state);
        let failed = result.is_err();
        latest.change(|slot| {
            slot.writing_since = None;
            if std::mem::take(&mut slot.status.hangs) {
                info!("the state directory answers again");
            }
            match result {
                Ok(()) => slot.succeeded(),
                Err(error) => slot.failed(&error, state),
            }
        });
        // A newer state is no reason to hurry: what failed a moment ago fails again.
        if failed && !latest.pause(pause) {
            return;
        }
        pause = if failed { (pause * 2).min(RETRY.1) } else { RETRY.0 };
    }
}

impl Slot {
    fn succeeded(&mut self) {
        self.status.written += 1;
        self.status.unsaved = self.newest.is_some();
        if self.status.error.take().is_some() {
            info!("state can be written again");
        }
    }

    fn failed(&mut self, error: &StateError, state: Persisted) {
        let text = in_words(&error.to_string()).into_owned();
        // Once per change: a full disk is not made better by a log that grows.
        if self.status.error.as_deref() != Some(&text) {
            error!("{text}; state is kept in memory only, and will be tried again");
        }
        self.status.error = Some(text);
        self.newest.get_or_insert(state);
    }
}
