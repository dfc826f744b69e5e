//! The thread that keeps the newest state on the disk.

use super::{StateError, write};
use crate::clock;
use havipd_core::model::action::Persisted;
use havipd_core::model::time::Instant;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{error, info};

/// After a failure: first and longest wait before the next attempt.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A write that takes longer than this is alarmed.
const HANGS: Duration = Duration::from_secs(5);

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
    /// What was wrong with the state of the last run, in words; until the next start.
    pub found: Option<String>,
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
        let stuck = slot.writing_since.is_some_and(|since| clock::now().since(since) > HANGS);
        if stuck && !std::mem::replace(&mut slot.status.hangs, true) {
            error!("the state directory does not answer: state is kept in memory only until it does");
        }
        self.0.changed.notify_all();
    }

    /// Notes what was wrong with the state that was found.
    pub fn found(&self, wrong: String) {
        self.0.slot().status.found = Some(wrong);
    }

    /// How writing is going.
    #[must_use]
    pub fn status(&self) -> StateStatus {
        self.0.slot().status.clone()
    }

    /// Waits until the newest state is on the disk, but not longer than `patience`; says whether it is.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = clock::now() + patience;
        let mut slot = self.0.slot();
        while slot.status.unsaved {
            let Some(left) = clock::left(deadline) else {
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
        slot.writing_since = Some(clock::now());
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
