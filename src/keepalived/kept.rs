//! The newest state of each name, in `keepalived/` of the state directory.
//!
//! `havipctl notify` may run as root in a directory that belongs to another user, so every step is taken relative to the
//! directory that was opened, and no symbolic link is followed. A file is replaced as a whole. The number of files
//! is bounded, and a record of another boot counts for nothing.

use super::stamp::Stamp;
use crate::clock;
use havipd_core::model::vrrp::{Notice, Vrrp};
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The directory in the state directory.
pub const DIRECTORY: &str = "keepalived";
const LOCK: &str = "lock";
const SUFFIX: &str = ".json";
/// Names that are kept: 250 groups, each with an instance and some to spare.
const MOST: usize = 512;
/// A file that is longer is none of ours.
const MAX_BYTES: u64 = 4096;

/// Why a state could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// One step failed; what was kept before is still there.
    #[error("cannot {step} in {}: {source}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// As many names as there may be.
    #[error("{} has {MOST} names already; remove those that keepalived.conf does not have", .0.display())]
    Full(PathBuf),
}

/// One state of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// What keepalived said.
    pub notice: Notice,
    /// When.
    pub stamp: Stamp,
    /// The daemon has acted on it.
    pub acted_on: bool,
    boot: String,
}

/// The directory, opened and locked.
#[derive(Debug)]
struct Locked {
    directory: OwnedFd,
    uid: u32,
    gid: u32,
    _lock: File,
}

/// The kept states.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
    parent: PathBuf,
}

impl Kept {
    /// Those in a state directory.
    #[must_use]
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join(DIRECTORY), parent: state_directory.to_owned() }
    }

    /// Keeps a state, unless a newer one of that name is there. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// The directory refuses, or is full.
    pub fn keep(&self, notice: &Notice, stamp: Stamp, acted_on: bool) -> Result<(), KeptError> {
        let io = |step| move |e: Errno| self.error(step, e.into());
        let locked = self.lock()?;
        let name = file_name(&notice.vrrp);
        let boot = clock::machine_boot().map_err(|e| self.error("learn which boot this is", e))?;
        match self.read_one(&locked.directory, &name) {
            Some(old) if old.boot == boot && stamp.is_before(old.stamp) && !old.stamp.is_ahead() => return Ok(()),
            Some(_) => {}
            None if self.names(&locked.directory)?.len() >= MOST => return Err(KeptError::Full(self.path.clone())),
            None => {}
        }
        let record = Record { notice: notice.clone(), stamp, acted_on, boot };
        let text = serde_json::to_vec(&record).map_err(|e| self.error("write a record", e.into()))?;
        let beside = format!("{name}.new");
        // Left by somebody who was killed; nobody else writes while we have the lock.
        let _ = rustix::fs::unlinkat(&locked.directory, &*beside, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&locked.directory, &*beside, flags, Mode::from(0o600)).map_err(io("make a file"))?;
        locked.give(&fd).map_err(io("give away a file"))?;
        File::from(fd).write_all(&text).map_err(|e| self.error("write a file", e))?;
        rustix::fs::renameat(&locked.directory, &*beside, &locked.directory, &*name).map_err(io("replace a file"))
    }

    /// What was kept in this boot. What cannot be read is passed over, and so is what would be newer than everything to come.
    #[must_use]
    pub fn read(&self) -> Vec<Record> {
        let Ok(boot) = clock::machine_boot() else { return Vec::new() };
        let Ok(directory) = self.open() else { return Vec::new() };
        let names = self.names(&directory).unwrap_or_default();
        let records = names.iter().filter_map(|name| self.read_one(&directory, name));
        records.filter(|r| r.boot == boot && !r.stamp.is_ahead()).collect()
    }

    fn error(&self, step: &'static str, source: io::Error) -> KeptError {
        KeptError::Io { step, path: self.path.clone(), source }
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(&self.path, flags, Mode::empty())
    }

    /// Makes the directory if need be; it belongs to whom the state directory belongs.
    fn lock(&self) -> Result<Locked, KeptError> {
        let io = |step| move |e: Errno| self.error(step, e.into());
        let parent = rustix::fs::stat(&self.parent).map_err(io("look at the state directory"))?;
        let mut made = false;
        let directory = match self.open() {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdir(&self.path, Mode::from(0o700)) {
                    Ok(()) => made = true,
                    Err(Errno::EXIST) => {}
                    Err(e) => return Err(self.error("make the directory", e.into())),
                }
                self.open().map_err(io("open the directory"))?
            }
            other => other.map_err(io("open the directory"))?,
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&directory, LOCK, flags, Mode::from(0o600)).map_err(io("open the lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(io("take the lock"))?;
        let locked = Locked { directory, uid: parent.st_uid, gid: parent.st_gid, _lock: File::from(lock) };
        if made {
            locked.give(&locked.directory).map_err(io("give away the directory"))?;
        }
        locked.give(&locked._lock).map_err(io("give away the lock"))?;
        Ok(locked)
    }

    fn names(&self, directory: &OwnedFd) -> Result<Vec<String>, KeptError> {
        let io = |e: Errno| self.error("list the directory", e.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            if name.ends_with(SUFFIX) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read_one(&self, directory: &OwnedFd, name: &str) -> Option<Record> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?;
        let file = File::from(fd);
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        (file_name(&record.notice.vrrp) == name).then_some(record)
    }
}

impl Locked {
    /// What root makes here belongs to the daemon.
    fn give(&self, fd: impl std::os::fd::AsFd) -> Result<(), Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        if rustix::process::geteuid().is_root() && (stat.st_uid, stat.st_gid) != (self.uid, self.gid) {
            let (uid, gid) = (rustix::fs::Uid::from_raw(self.uid), rustix::fs::Gid::from_raw(self.gid));
            rustix::fs::fchown(&fd, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

/// A name of a file for a name that may have anything in it.
fn file_name(vrrp: &Vrrp) -> String {
    let hash = Sha256::digest(format!("{} {}", vrrp.kind.as_str(), vrrp.name));
    format!("{}{SUFFIX}", hex::encode(&hash[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn notice(line: &str) -> Notice {
        Notice::from_line(line.as_bytes()).expect("a line")
    }

    fn at(ticks: u64) -> Stamp {
        Stamp { ticks, pid: 7 }
    }

    #[test]
    fn the_newest_of_each_name_stays() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = Kept::new(state.path());
        assert_eq!(kept.read(), []);
        let (master, backup) = (notice("INSTANCE \"a/../b\" MASTER 1"), notice("INSTANCE \"a/../b\" BACKUP 1"));
        kept.keep(&master, at(20), false).expect("kept");
        kept.keep(&backup, at(10), false).expect("older, so dropped");
        kept.keep(&notice("GROUP \"a/../b\" FAULT 0"), at(5), false).expect("another name");
        let mut read = kept.read();
        read.sort_by_key(|r| r.stamp.ticks);
        assert_eq!(read.len(), 2);
        assert_eq!((&read[1].notice, read[1].stamp, read[1].acted_on), (&master, at(20), false));
        kept.keep(&master, at(20), true).expect("marked");
        assert!(kept.read().iter().any(|r| r.acted_on));
        kept.keep(&backup, at(21), false).expect("newer");
        assert!(kept.read().iter().any(|r| r.notice == backup));
    }

    #[test]
    fn a_record_from_the_future_counts_for_nothing_and_is_replaced() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = Kept::new(state.path());
        let (master, backup) = (notice("INSTANCE \"x\" MASTER 1"), notice("INSTANCE \"x\" BACKUP 1"));
        kept.keep(&master, at(u64::MAX), true).expect("as a client could have it kept once");
        assert_eq!(kept.read(), []);
        kept.keep(&backup, at(5), false).expect("kept");
        assert_eq!(kept.read().into_iter().map(|r| r.notice).collect::<Vec<_>>(), [backup]);
    }

    #[test]
    fn what_is_kept_is_for_us_alone_and_bounded() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = Kept::new(state.path());
        for i in 0..MOST {
            kept.keep(&notice(&format!("INSTANCE \"n{i}\" MASTER 1")), at(1), false).expect("kept");
        }
        let full = kept.keep(&notice("INSTANCE \"more\" MASTER 1"), at(1), false);
        assert!(matches!(full, Err(KeptError::Full(_))), "{full:?}");
        kept.keep(&notice("INSTANCE \"n0\" BACKUP 1"), at(2), false).expect("has its place");
        for entry in std::fs::read_dir(state.path().join(DIRECTORY)).expect("there") {
            let mode = entry.expect("an entry").metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[test]
    fn links_records_of_another_boot_and_rubbish_count_for_nothing() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = Kept::new(state.path());
        let master = notice("INSTANCE \"x\" MASTER 1");
        kept.keep(&master, at(30), false).expect("kept");
        let file = state.path().join(DIRECTORY).join(file_name(&master.vrrp));
        let text = std::fs::read_to_string(&file).expect("text");
        let other = text.replace(&clock::machine_boot().expect("a boot"), "another");
        std::fs::write(&file, &other).expect("written");
        assert_eq!(kept.read(), []);
        kept.keep(&master, at(3), false).expect("a record of another boot is not newer");
        assert_eq!(kept.read().len(), 1);
        std::fs::write(&file, "{").expect("written");
        assert_eq!(kept.read(), []);
        std::fs::write(state.path().join("elsewhere"), text).expect("written");
        std::fs::remove_file(&file).expect("removed");
        std::os::unix::fs::symlink("../elsewhere", &file).expect("linked");
        assert_eq!(kept.read(), [], "a link is not followed");
        let linked = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(state.path(), linked.path().join(DIRECTORY)).expect("linked");
        assert!(Kept::new(linked.path()).keep(&master, at(1), false).is_err(), "nor is a directory that is one");
    }
}
