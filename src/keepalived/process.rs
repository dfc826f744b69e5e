//! keepalived's process: which one it is, and the moment it ends.

use super::stamp::stat;
use crate::clock;
use crate::net::readiness::readable;
use crate::plain::quote;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::io::unix::AsyncFd;

/// Longest pid file that is looked at.
const MAX_BYTES: u64 = 64;
/// What a process of keepalived calls itself.
const NAME: &str = "keepalived";
const NANOS_PER_TICK: u128 = 10_000_000;
/// passwd(5). Users that only a directory service has are not looked for.
const USERS: &str = "/etc/passwd";
/// The user that keepalived runs its scripts as, unless `script_user` says otherwise.
const SCRIPT_USER: &str = "keepalived_script";

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoProcess {
    /// The pid file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// It does not hold a number.
    #[error("it holds no number of a process")]
    Content,
    /// Nobody has that number.
    #[error("process {0} does not run")]
    Dead(u32),
    /// Somebody else has that number now.
    #[error("process {} is {}, not keepalived", .0, quote(.1))]
    Other(u32, String),
}

/// A process that lives, or was alive a moment ago.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// When it began, in ticks since the host booted: what was said before was said by another.
    pub(super) began: u64,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// The one that a pid file names.
    pub(super) fn find(pid_file: &Path) -> Result<Self, NoProcess> {
        let mut text = String::new();
        let file = File::open(pid_file)?;
        let written = file.metadata()?.modified()?;
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        let pid: u32 = text.trim().parse().map_err(|_| NoProcess::Content)?;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NoProcess::Content)?;
        let fd = pidfd_open(raw, PidfdFlags::empty()).map_err(|_| NoProcess::Dead(pid))?;
        // With the descriptor in hand nobody else can get the number unnoticed.
        let began = match stat(pid) {
            Ok((name, _)) if name != NAME => return Err(NoProcess::Other(pid, name)),
            Ok((_, began)) => began,
            // Hidden from us (ProtectProc=): it wrote its pid file when it began.
            Err(_) => ticks_at(written),
        };
        let fd = readable(fd)?;
        let process = Self { pid, began, fd };
        if process.ended_already() { Err(NoProcess::Dead(pid)) } else { Ok(process) }
    }

    fn ended_already(&self) -> bool {
        let mut poll = [rustix::event::PollFd::new(&self.fd, rustix::event::PollFlags::IN)];
        matches!(rustix::event::poll(&mut poll, Some(&rustix::event::Timespec::default())), Ok(1..))
    }

    /// Returns once it has ended.
    pub(super) async fn ended(&self) {
        // Only fails when the runtime ends.
        let _ = self.fd.readable().await;
    }
}

/// The users, besides root and the daemon's own, who may tell keepalived's states: the one that the keepalived of this pid
/// file runs as, and keepalived's own choice for its scripts, `keepalived_script`, if the host has such a user.
pub(crate) fn is_user_of_keepalived(uid: u32, pid_file: &Path) -> bool {
    user_of(pid_file) == Some(uid) || std::fs::read_to_string(USERS).is_ok_and(|users| script_user(&users) == Some(uid))
}

fn user_of(pid_file: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(pid_file).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    let (name, _) = stat(pid).ok()?;
    // The directory of a process belongs to the user that it runs as (proc(5)).
    let process = std::fs::metadata(format!("/proc/{pid}")).ok()?;
    (name == NAME).then(|| process.uid())
}

fn script_user(users: &str) -> Option<u32> {
    let of = |line: &str| line.strip_prefix(SCRIPT_USER)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok();
    users.lines().find_map(of)
}

/// An instant of the wall clock as ticks since the host booted; off by as much as the clock was set since.
fn ticks_at(at: SystemTime) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a file's time is wall time")]
    let age = SystemTime::now().duration_since(at).unwrap_or(Duration::ZERO);
    let since_boot = u128::from(clock::now().as_nanos()).saturating_sub(age.as_nanos());
    u64::try_from(since_boot / NANOS_PER_TICK).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepalived::idle::idle;

    #[tokio::test]
    async fn its_end_is_noticed_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let pid_file = directory.path().join("pid");
        assert!(matches!(Process::find(&pid_file), Err(NoProcess::File(_))));
        let mut child = idle(&directory.path().join(NAME));
        std::fs::write(&pid_file, format!("{}\n", child.0.id())).expect("written");
        let process = Process::find(&pid_file).expect("lives");
        assert_eq!(process.pid, child.0.id());
        // Times of files come from a clock that is a few milliseconds behind.
        let by_file = ticks_at(std::fs::metadata(&pid_file).expect("there").modified().expect("has a time"));
        assert!(
            process.began <= by_file + 1 && by_file.saturating_sub(process.began) < 500,
            "{} {by_file}",
            process.began
        );
        child.0.kill().expect("killed");
        tokio::time::timeout(Duration::from_secs(30), process.ended()).await.expect("noticed");
        assert!(matches!(Process::find(&pid_file), Err(NoProcess::Dead(_))), "not waited for yet");
        child.0.wait().expect("waited for");
        assert!(matches!(Process::find(&pid_file), Err(NoProcess::Dead(_))));
        std::fs::write(&pid_file, "x").expect("written");
        assert!(matches!(Process::find(&pid_file), Err(NoProcess::Content)));
    }

    #[test]
    fn users_of_keepalived() {
        let users =
            "root:x:0:0::/:/bin/sh\nkeepalived_scripts:x:7:7::/:\nkeepalived_script:x:986:980::/:/sbin/nologin\n";
        assert_eq!((script_user(users), script_user("keepalived_script:x"), script_user("")), (Some(986), None, None));
        let directory = tempfile::tempdir().expect("a directory");
        let pid_file = directory.path().join("pid");
        assert_eq!(user_of(&pid_file), None);
        let child = idle(&directory.path().join(NAME));
        std::fs::write(&pid_file, child.0.id().to_string()).expect("written");
        assert_eq!(user_of(&pid_file), Some(rustix::process::geteuid().as_raw()));
        std::fs::write(&pid_file, std::process::id().to_string()).expect("written");
        assert_eq!(user_of(&pid_file), None, "another program");
    }

    #[tokio::test]
    async fn somebody_else_with_its_number_is_not_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let pid_file = directory.path().join("pid");
        let child = idle(&directory.path().join("another"));
        std::fs::write(&pid_file, child.0.id().to_string()).expect("written");
        // Until it has become that program it has our own name, which is not keepalived's either.
        assert!(matches!(Process::find(&pid_file), Err(NoProcess::Other(..))));
    }
}
