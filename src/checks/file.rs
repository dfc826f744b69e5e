//! `file`: a number in a file. No file, and an empty one, is zero. The kernel tells of a change (inotify); where it cannot,
//! as with a file that another host writes, the file is looked at again and again.

use super::blocking::Gate;
use super::status::RunResult;
use super::{Context, Outcome};
use crate::net::readiness::readable;
use crate::plain::quote;
use havipd_core::health::Reading;
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Time between two looks where the kernel does not tell.
const EVERY: Duration = Duration::from_millis(250);
/// And where it does: of what it cannot see it says nothing.
const SELDOM: Duration = Duration::from_secs(2);
/// A file that is written all the time is looked at no more often.
const REST: Duration = Duration::from_millis(20);
/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A number is never longer, with what is around it.
const MAX_BYTES: usize = 64;

/// What is said of a look that has not come back.
pub(super) const NOT_IN_TIME: &str = "it was not read in time: this host is too busy, or its disk hangs";

pub(super) async fn watch(context: Context, path: PathBuf, gate: Gate) {
    let mut last = None;
    let weighed = context.check.rule.weight.is_some();
    let changes = Changes::of(&path).ok().map(Arc::new);
    loop {
        let (place, of_place) = (path.clone(), changes.clone());
        // Watched before it is read: no change falls between.
        let looked =
            gate.run(PATIENCE, move || (of_place.is_some_and(|c| c.watch(&place).is_ok()), read(&place))).await;
        let told = looked.as_ref().is_some_and(|(told, _)| *told);
        context.observe(judge(looked.map(|(_, read)| read), weighed), &mut last);
        tokio::time::sleep(REST).await;
        match &changes {
            Some(changes) if told => drop(tokio::time::timeout(SELDOM, changes.next()).await),
            _ => tokio::time::sleep(EVERY).await,
        }
    }
}

/// What the kernel tells of one path.
struct Changes {
    inotify: AsyncFd<OwnedFd>,
    name: Vec<u8>,
}

impl Changes {
    fn of(path: &Path) -> io::Result<Self> {
        let inotify = readable(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?)?;
        Ok(Self { inotify, name: path.file_name().unwrap_or_default().as_bytes().to_vec() })
    }

    /// Watches the path's directory, where files come and go, and the file itself, which may be elsewhere, behind a symbolic
    /// link. Doing so again changes nothing, unless it is another file by now. May take as long as the disk.
    ///
    /// That a file was written is told when it is closed: before that it is empty for a moment, which is no zero.
    fn watch(&self, path: &Path) -> io::Result<()> {
        let names = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        inotify::add_watch(self.inotify.get_ref(), path.parent().unwrap_or(path), names | WatchFlags::ONLYDIR)?;
        match inotify::add_watch(self.inotify.get_ref(), path, WatchFlags::CLOSE_WRITE) {
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the next change.
    async fn next(&self) {
        while let Ok(mut ready) = self.inotify.readable().await {
            let changed = self.any();
            ready.clear_ready();
            if changed {
                return;
            }
        }
    }

    /// Whether any of what was told is about the path; takes all of it.
    fn any(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut all = Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut changed = false;
        loop {
            match all.next() {
                // What has no name is about the file itself, or says that too much has happened.
                Ok(event) => changed |= event.file_name().is_none_or(|name| name.to_bytes() == self.name),
                Err(Errno::INTR) => {}
                Err(_) => return changed,
            }
        }
    }
}

/// The beginning of a small file. Never waits for the other end of a pipe.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    // One more than there may be tells that there are more.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What came of a look; of one that did not come back in time nothing is known.
fn judge(read: Option<io::Result<String>>, weighed: bool) -> Outcome {
    match read {
        None => Outcome::not_run(NOT_IN_TIME),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            value(0, weighed, "there is no file, which is 0")
        }
        Some(Err(error)) => Outcome::not_run(format!("it cannot be read: {error}")),
        Some(Ok(text)) => number(&text, weighed),
    }
}

fn number(whole: &str, weighed: bool) -> Outcome {
    let text = whole.trim();
    match text.parse::<i64>() {
        _ if whole.len() > MAX_BYTES => Outcome::not_run("the file holds more than a number"),
        _ if text.is_empty() => value(0, weighed, "the file is empty, which is 0"),
        Ok(n) => value(n, weighed, &format!("the file holds {n}")),
        Err(_) => Outcome::not_run(format!("{text} is not a whole number", text = quote(text))),
    }
}

/// A number that is weighed is no failure, whatever it is.
fn value(n: i64, weighed: bool, text: &str) -> Outcome {
    let result = if n == 0 || weighed { RunResult::Passed } else { RunResult::Failed };
    Outcome::new(Reading::Value(n), result, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_a_busy_host_could_not_read_in_time_is_no_failure() {
        assert_eq!(judge(None, false).result, RunResult::NotRun);
        assert_eq!(judge(Some(Ok("1".to_owned())), false).result, RunResult::Failed);
        assert_eq!(judge(Some(Ok("1".to_owned())), true).result, RunResult::Passed, "it is weighed");
        assert_eq!(judge(Some(Err(io::ErrorKind::NotFound.into())), false).result, RunResult::Passed);
    }

    #[test]
    fn what_is_no_number_is_no_failure() {
        for (text, reading) in [
            ("0", Reading::Value(0)),
            ("", Reading::Value(0)),
            ("-7", Reading::Value(-7)),
            ("9223372036854775807", Reading::Value(i64::MAX)),
            ("9223372036854775808", Reading::NotRun),
            ("seven", Reading::NotRun),
            ("1 2", Reading::NotRun),
        ] {
            assert_eq!(number(text, false).reading, reading, "{text}");
        }
    }

    #[tokio::test]
    async fn the_kernel_tells_of_each_change_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        let changes = Changes::of(&path).unwrap();
        changes.watch(&path).unwrap();
        std::fs::write(dir.path().join("other"), "1").unwrap();
        assert!(!changes.any(), "that is another file");

        let mut open = File::create(&path).unwrap();
        open.write_all(b"7").unwrap();
        assert!(!changes.any(), "it is not closed yet");
        drop(open);
        assert!(changes.any());

        std::fs::write(dir.path().join("new"), "8").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(changes.any());
        std::fs::remove_file(&path).unwrap();
        assert!(changes.any());

        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        std::fs::write(&target, "1").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        changes.watch(&path).unwrap();
        changes.any();
        std::fs::write(&target, "2").unwrap();
        tokio::time::timeout(Duration::from_secs(60), changes.next()).await.expect("it is told");
        assert!(!changes.any(), "each is told once");
    }

    #[test]
    fn neither_a_pipe_nor_a_directory_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        for place in [&pipe, dir.path()] {
            assert_eq!(read(place).unwrap_err().to_string(), "it is not a regular file");
        }
    }
}
