//! Of several runs for one HAVIP on this host, one works at a time, and the newest has its way.
//!
//! keepalived starts a script for every transition and does not wait for the last one. A run leaves its own mark
//! in the `.turn` file as it begins and then waits for the lock; a run that finds another mark than its own there
//! stops before its next write. So the writes of two runs never overlap, the last transition wins, and nobody
//! is killed in the middle of a call. The kernel drops the lock of a process that dies.

use crate::clock;
use crate::control::protocol::{Code, Response};
use havipd_core::model::ids::HavipId;
use havipd_core::model::time::Instant;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at a lock that somebody else has.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a run may not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum TurnError {
    /// No directory for the lock.
    #[error("no place for a lock: {}: {source}", path.display())]
    Directory {
        /// The last place that was tried.
        path: PathBuf,
        /// Why not there.
        source: io::Error,
    },
    /// The files of the lock cannot be used.
    #[error("cannot lock {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else has its way.
    #[error("a newer run of havipctl for {0} goes on with it")]
    Superseded(HavipId),
    /// An older run does not end.
    #[error("an older run of havipctl for {0} has not ended in time")]
    Busy(HavipId),
}

impl TurnError {
    /// The answer that it is.
    pub(super) fn response(&self) -> Response {
        let code = match self {
            Self::Superseded(_) | Self::Busy(_) => Code::TryAgain,
            Self::Directory { source, .. } | Self::File { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Code::Permission,
                _ => Code::No,
            },
        };
        Response::new(code, self.to_string())
    }
}

/// A run whose turn it is, until it is dropped or a newer one comes.
#[derive(Debug)]
pub(super) struct Turn {
    havip: HavipId,
    mark: PathBuf,
    text: String,
    _lock: File,
}

impl Turn {
    /// Announces this run to older ones and waits until the last of them has ended.
    pub(super) async fn take(directory: &Path, havip: &HavipId, deadline: Instant) -> Result<Self, TurnError> {
        let file = |suffix: &str| directory.join(format!("havipctl-{havip}.{suffix}"));
        let (mark, path) = (file("turn"), file("lock"));
        let text = token()?;
        leave(&mark, &text).map_err(|source| TurnError::File { path: mark.clone(), source })?;
        loop {
            let failed = |source| TurnError::File { path: path.clone(), source };
            let lock = open(&path).map_err(failed)?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                // The directory may have been made anew since it was opened: then this lock is nobody's.
                Ok(()) if same(&lock, &path) => {
                    let turn = Self { havip: havip.clone(), mark, text, _lock: lock };
                    turn.check()?;
                    return Ok(turn);
                }
                Ok(()) | Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
            if std::fs::read_to_string(&mark).is_ok_and(|now| now != text) {
                return Err(TurnError::Superseded(havip.clone()));
            }
            if clock::now() + PAUSE >= deadline {
                return Err(TurnError::Busy(havip.clone()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether this run is still the newest.
    pub(super) fn check(&self) -> Result<(), TurnError> {
        match std::fs::read_to_string(&self.mark) {
            Ok(now) if now != self.text => Err(TurnError::Superseded(self.havip.clone())),
            // Gone, with its directory: nobody newer has left a mark.
            _ => Ok(()),
        }
    }
}

/// Where runs of this user leave their files: the runtime directory, else one of the user's own.
pub(super) fn directory() -> Result<PathBuf, TurnError> {
    let user = rustix::process::getuid().as_raw();
    let shared = crate::systemd::directory("RUNTIME_DIRECTORY", "/run/havipd");
    // Without a daemon nobody has made it. What goes wrong, the next line finds.
    let _ = DirBuilder::new().mode(0o750).create(&shared);
    if rustix::fs::access(&shared, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok() {
        return Ok(shared);
    }
    let own = match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute()) {
        Some(runtime) => runtime.join("havipd"),
        None => PathBuf::from(format!("/tmp/havipd-{user}")),
    };
    let made = DirBuilder::new().mode(0o700).create(&own);
    let failed = |source| TurnError::Directory { path: own.clone(), source };
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Anybody may have made it in /tmp.
    let facts = std::fs::symlink_metadata(&own).map_err(failed)?;
    if !facts.is_dir() || facts.uid() != user || facts.mode() & 0o077 != 0 {
        return Err(failed(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to others, or is open to them",
        )));
    }
    Ok(own)
}

fn token() -> Result<String, TurnError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| TurnError::File { path: "/dev/urandom".into(), source: io::Error::other(e.to_string()) })?;
    Ok(hex::encode(bytes))
}

/// Whole or not at all: a reader sees this mark or the last one.
fn leave(mark: &Path, text: &str) -> io::Result<()> {
    let new = mark.with_extension(format!("turn-{}", &text[..8]));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let renamed = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&new, mark));
    if renamed.is_err() {
        // The first error is the one that counts.
        let _ = std::fs::remove_file(&new);
    }
    renamed
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

fn same(file: &File, path: &Path) -> bool {
    let now = std::fs::symlink_metadata(path);
    matches!((file.metadata(), now), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        clock::now() + Duration::from_secs(30)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_newest_goes_on_and_the_others_say_so() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let id: HavipId = "havip-1".parse().expect("valid");
        let first = Turn::take(dir.path(), &id, soon()).await.expect("free");
        assert!(first.check().is_ok());
        let other: HavipId = "havip-2".parse().expect("valid");
        drop(Turn::take(dir.path(), &other, soon()).await.expect("another HAVIP is another turn"));
        assert!(first.check().is_ok());

        let second = Turn::take(dir.path(), &id, soon());
        let third = async {
            tokio::task::yield_now().await;
            Turn::take(dir.path(), &id, soon()).await
        };
        let end = async {
            while first.check().is_ok() {
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        let (second, third, ()) = tokio::join!(second, third, end);
        assert!(matches!(second, Err(TurnError::Superseded(_))), "{second:?}");
        assert!(third.expect("the newest").check().is_ok());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_older_run_that_does_not_end_is_not_waited_for_beyond_the_deadline() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let id: HavipId = "havip-1".parse().expect("valid");
        let first = Turn::take(dir.path(), &id, soon()).await.expect("free");
        let busy = Turn::take(dir.path(), &id, clock::now() + Duration::from_millis(100)).await;
        assert!(matches!(busy, Err(TurnError::Busy(_))), "{busy:?}");
        assert!(first.check().is_err(), "it is superseded all the same");
        let names: Vec<_> = std::fs::read_dir(dir.path()).expect("readable").collect();
        assert_eq!(names.len(), 2, "nothing is left over: {names:?}");
    }
}
