//! The state directory: what survives a restart, in `state.json`.
//!
//! The file is replaced as a whole (written beside, synced, renamed, directory synced), so a crash
//! leaves either the old or the new one. A file that cannot be understood is kept aside as
//! `state.json.corrupt` and the daemon starts without it: lost state costs waiting (the epoch is
//! learned from the peers, a voter waits out the longest lease), never safety.
//!
//! Writing is a thread's work. [`StateWriter::store`] puts the newest state into a slot and returns;
//! a full disk is retried and alarmed, a hung one only makes that thread wait.

use crate::election::action::Persisted;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::{error, info};

/// The file in the state directory.
pub const FILE: &str = "state.json";
const VERSION: u32 = 1;
/// A file larger than this is not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// After a failure: first and longest wait before the next attempt.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A write that takes longer than this is alarmed.
const HANGS: Duration = Duration::from_secs(5);

/// Why the state could not be written, or the writer not started.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// One step of replacing the file failed; the old file is still there.
    #[error("cannot {step} {}: {source}", path.display())]
    Write {
        /// What was being done.
        step: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state could not be written as JSON.
    #[error("cannot serialise the state: {0}")]
    Serialise(#[from] serde_json::Error),
    /// There is no thread for the writer.
    #[error("cannot start the thread that writes the state: {0}")]
    Thread(#[source] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    state: Persisted,
}

/// What was found in the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A good file.
    State,
    /// None: a first start, or the directory was lost.
    Nothing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// One that cannot be understood; it was kept aside.
    Corrupt {
        /// Why.
        reason: String,
        /// Where it is now, if it could be moved.
        kept: Option<PathBuf>,
    },
    /// One that could not be read.
    Unreadable {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("state of the last run found"),
            Self::Nothing { path } => write!(f, "no state of an earlier run at {}", path.display()),
            Self::Corrupt { reason, kept: Some(kept) } => {
                write!(
                    f,
                    "starting without the state of the last run ({reason}); its file is kept as {}",
                    kept.display()
                )
            }
            Self::Corrupt { reason, kept: None } => {
                write!(f, "starting without the state of the last run ({reason}); its file could not be moved aside")
            }
            Self::Unreadable { reason } => write!(f, "starting without the state of the last run: {reason}"),
        }
    }
}

/// Reads the state of the last run; whatever is wrong with it, there is a state to start with.
/// Blocks as long as the disk does: see [`load_within`].
#[must_use]
pub fn load(directory: &Path) -> (Persisted, Found) {
    let path = directory.join(FILE);
    let text = match read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return (Persisted::default(), Found::Nothing { path }),
        Err(e) => {
            let reason = format!("cannot read {}: {e}", path.display());
            return (Persisted::default(), Found::Unreadable { reason });
        }
    };
    match understand(&text) {
        Ok(state) => (state, Found::State),
        Err(reason) => {
            let aside = directory.join(format!("{FILE}.corrupt"));
            let kept = std::fs::rename(&path, &aside).ok().map(|()| aside);
            (Persisted::default(), Found::Corrupt { reason, kept })
        }
    }
}

/// As [`load`], but a disk that does not answer within `patience` counts as unreadable.
#[must_use]
pub fn load_within(directory: &Path, patience: Duration) -> (Persisted, Found) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let for_thread = directory.to_owned();
    let thread = std::thread::Builder::new().name("havipd-load".to_owned());
    let started = thread.spawn(move || {
        // Nobody listens any more when the disk took too long; then the result is of no use.
        let _ = sender.send(load(&for_thread));
    });
    let unreadable = |reason: String| (Persisted::default(), Found::Unreadable { reason });
    match started {
        Err(e) => unreadable(format!("no thread to read {}: {e}", directory.display())),
        Ok(_) => receiver.recv_timeout(patience).unwrap_or_else(|_| {
            unreadable(format!("{} did not answer within {} ms", directory.display(), patience.as_millis()))
        }),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Non-blocking, so that a FIFO in its place cannot hold us up.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn understand(text: &[u8]) -> Result<Persisted, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    let found: Version = serde_json::from_slice(text).map_err(|e| format!("not ours: {e}"))?;
    if found.version != VERSION {
        return Err(format!("format {}, this version reads {VERSION}", found.version));
    }
    serde_json::from_slice::<Document>(text).map(|d| d.state).map_err(|e| format!("damaged: {e}"))
}

/// Replaces the state file, and returns once it is on the disk. Blocks as long as the disk does.
///
/// # Errors
/// The step that failed; the old file is still in place.
pub fn write(directory: &Path, state: &Persisted) -> Result<(), StateError> {
    let text = serde_json::to_vec_pretty(&Document { version: VERSION, state: state.clone() })?;
    let path = directory.join(FILE);
    let new = directory.join(format!("{FILE}.new"));
    let at = |step, path: &Path| {
        let path = path.to_owned();
        move |source| StateError::Write { step, path, source }
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(&new).map_err(at("create", &new))?;
    let written = file
        .set_permissions(std::fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(&text))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // On a full disk the unfinished file would only take the room that the next attempt needs.
        let _ = std::fs::remove_file(&new);
    }
    written.map_err(at("write", &new))?;
    std::fs::rename(&new, &path).map_err(at("replace", &path))?;
    File::open(directory).and_then(|d| d.sync_all()).map_err(at("sync", directory))
}

/// How writing is going.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
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
}

/// Writes the newest state in the background.
#[derive(Debug)]
pub struct StateWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    newest: Option<Persisted>,
    writing_since: Option<Instant>,
    closed: bool,
    status: StateStatus,
}

impl Shared {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateWriter {
    /// A writer to the state file in `directory`.
    ///
    /// # Errors
    /// No thread for it.
    pub fn start(directory: PathBuf) -> Result<Self, StateError> {
        Self::with(move |state| write(&directory, state))
    }

    /// A writer that keeps states with `store`.
    ///
    /// # Errors
    /// No thread for it.
    pub fn with<F>(store: F) -> Result<Self, StateError>
    where
        F: FnMut(&Persisted) -> Result<(), StateError> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("havipd-state".to_owned());
        thread.spawn(move || work(&for_thread, store)).map_err(StateError::Thread)?;
        Ok(Self(shared))
    }

    /// Hands over the newest state; one that still waits is replaced. Never waits.
    pub fn store(&self, state: Persisted) {
        let mut slot = self.0.slot();
        slot.newest = Some(state);
        slot.status.unsaved = true;
        let stuck = slot.writing_since.is_some_and(|since| since.elapsed() > HANGS);
        if stuck && !std::mem::replace(&mut slot.status.hangs, true) {
            error!("the state directory does not answer: state is kept in memory only until it does");
        }
        self.0.changed.notify_all();
    }

    /// How writing is going.
    #[must_use]
    pub fn status(&self) -> StateStatus {
        self.0.slot().status.clone()
    }

    /// Waits until the newest state is on the disk, but not longer than `patience`; says whether it is.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut slot = self.0.slot();
        while slot.status.unsaved {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) else {
                return false;
            };
            slot = self.0.changed.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for StateWriter {
    /// The thread ends after the attempt it is at; use [`StateWriter::flush`] first.
    fn drop(&mut self) {
        self.0.slot().closed = true;
        self.0.changed.notify_all();
    }
}

fn work(shared: &Shared, mut store: impl FnMut(&Persisted) -> Result<(), StateError>) {
    let mut pause = RETRY.0;
    loop {
        let mut slot = shared.slot();
        let state = loop {
            if slot.closed {
                return;
            }
            if let Some(state) = slot.newest.take() {
                break state;
            }
            slot = shared.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        };
        slot.writing_since = Some(Instant::now());
        drop(slot);

        let result = store(&state);

        let mut slot = shared.slot();
        slot.writing_since = None;
        if std::mem::take(&mut slot.status.hangs) {
            info!("the state directory answers again");
        }
        match result {
            Ok(()) => {
                pause = RETRY.0;
                succeeded(&mut slot);
                shared.changed.notify_all();
            }
            Err(e) => {
                failed(&mut slot, &e, state);
                // A newer state is no reason to hurry: what failed a moment ago fails again.
                let wait = |slot: &mut Slot| !slot.closed;
                drop(shared.changed.wait_timeout_while(slot, pause, wait).unwrap_or_else(PoisonError::into_inner));
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }
}

fn succeeded(slot: &mut Slot) {
    slot.status.written += 1;
    slot.status.unsaved = slot.newest.is_some();
    if slot.status.error.take().is_some() {
        info!("state can be written again");
    }
}

fn failed(slot: &mut Slot, error: &StateError, state: Persisted) {
    let text = error.to_string();
    // Once per change: a full disk is not made better by a log that grows.
    if slot.status.error.as_deref() != Some(&text) {
        error!("{text}; state is kept in memory only, and will be tried again");
    }
    slot.status.error = Some(text);
    slot.newest.get_or_insert(state);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::action::PersistedGroup;

    fn sample(epoch: u64) -> Persisted {
        let group = PersistedGroup { epoch_reserved: epoch, drained: true, ..PersistedGroup::default() };
        Persisted {
            groups: [("web".to_owned(), group)].into(),
            longest_pause: Duration::from_millis(1234),
            longest_lease: Some(Duration::from_secs(5)),
        }
    }

    #[test]
    fn what_was_written_is_read_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &sample(1)).unwrap();
        write(dir.path(), &sample(2)).unwrap();
        assert_eq!(load(dir.path()), (sample(2), Found::State));
        let mode = dir.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.path().read_dir().unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_first_start_finds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (state, found) = load(dir.path());
        assert_eq!(state, Persisted::default());
        assert_eq!(found, Found::Nothing { path: dir.path().join(FILE) });
    }

    #[test]
    fn what_cannot_be_understood_is_kept_aside() {
        for (text, why) in [
            ("", "not ours"),
            ("{\"version\": 1, \"state\": {\"groups\": 7}}", "damaged"),
            ("{\"version\": 2, \"state\": {}}", "format 2"),
            ("\0\0\0\0", "not ours"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let (state, found) = load(dir.path());
            assert_eq!(state, Persisted::default());
            let Found::Corrupt { reason, kept: Some(kept) } = found else { panic!("{found:?}") };
            assert!(reason.contains(why), "{reason}");
            assert_eq!(std::fs::read_to_string(kept).unwrap(), text);
            assert!(matches!(load(dir.path()).1, Found::Nothing { .. }));
        }
    }

    #[test]
    fn older_files_without_newer_members_are_fine() {
        let text = br#"{"version": 1, "state": {"groups": {"web": {"epoch-reserved": 9}}}}"#;
        assert_eq!(understand(text).unwrap().groups["web"].epoch_reserved, 9);
    }
}
