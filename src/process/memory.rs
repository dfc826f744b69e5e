//! Keeping all of this process in memory.
//!
//! A page that was swapped out comes back when the disk pleases, and until then the thread that needs it stands
//! still. What is there is brought in and locked, the program among it; what comes later is locked page by page as it
//! is used, so that the stack of a thread does not take megabytes that it never touches. Children inherit nothing of
//! it (mlockall(2)).

use rustix::mm::{MlockAllFlags, mlockall, munlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};
use std::io;

/// Why memory is not locked.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Under a limit the first allocation beyond it would end the process, so nothing is locked.
    #[error("it needs RLIMIT_MEMLOCK to be unlimited, and it is {} KiB, or CAP_IPC_LOCK", allowed >> 10)]
    Limited {
        /// `RLIMIT_MEMLOCK`, bytes.
        allowed: u64,
    },
    /// The kernel refused.
    #[error("mlockall failed: {0}")]
    Refused(#[source] io::Error),
}

/// How things are with the memory of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Memory {
    /// Locking was not asked for.
    #[default]
    Swappable,
    /// It is locked.
    Locked,
    /// It could not be locked.
    Refused {
        /// Why.
        error: String,
    },
}

impl Memory {
    /// Locks it if `wanted`. A refusal is logged, with what to do about it, and nothing else changes.
    #[must_use]
    pub fn of_this_process(wanted: bool) -> Self {
        if !wanted {
            return Self::Swappable;
        }
        match lock() {
            Ok(()) => Self::Locked,
            Err(error) => {
                tracing::warn!(
                    "daemon.lock-memory is not in force: {error}; install the drop-in realtime.conf and restart, or \
                     remove the key"
                );
                Self::Refused { error: error.to_string() }
            }
        }
    }
}

fn lock() -> Result<(), MemoryError> {
    let capable = capabilities(None).is_ok_and(|c| c.effective.contains(CapabilitySet::IPC_LOCK));
    if let (Some(allowed), false) = (getrlimit(Resource::Memlock).current, capable) {
        return Err(MemoryError::Limited { allowed });
    }
    let refused = |error: rustix::io::Errno| MemoryError::Refused(error.into());
    mlockall(MlockAllFlags::CURRENT).map_err(refused)?;
    let later = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(later).map_err(|error| {
        // Half of it would be worth little, and would be told as all or nothing.
        let _ = munlockall();
        refused(error)
    })
}
