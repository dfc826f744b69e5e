//! What can be known of a daemon that does not answer: the kernel says whose socket it is, and what that process does.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What a process that does not answer is found doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Stopped by a signal.
    Stopped,
    /// Held by a debugger.
    Traced,
    /// Its control group is frozen, as by `systemctl freeze`.
    Frozen,
    /// In the kernel, and not to be interrupted: a disk or a file server that does not answer.
    Waiting,
    /// It has ended, and nobody has taken note.
    Ended,
    /// It runs or sleeps, as it should.
    Alive,
}

/// A process that has a control socket, as far as this one may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent {
    /// `None` if the kernel does not tell: in another PID namespace, or not connected.
    pid: Option<i32>,
    doing: Option<Doing>,
}

impl Silent {
    /// What listens at the other end.
    pub(super) fn behind(stream: &UnixStream) -> Self {
        let pid = peer(stream).ok().flatten();
        Self { pid, doing: pid.and_then(look) }
    }

    /// The process, if the kernel tells.
    #[must_use]
    pub const fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// The state directory that the unit gave it, as far as this process may look; of its environment nothing else is read.
    #[must_use]
    pub fn state_directory(&self) -> Option<PathBuf> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid?)).ok()?;
        let value = environment.split(|byte| *byte == 0).find_map(|word| word.strip_prefix(b"STATE_DIRECTORY="))?;
        Some(PathBuf::from(OsStr::from_bytes(value))).filter(|path| path.is_absolute())
    }

    /// Nobody took the connection, so nobody can be named.
    pub(super) const fn unknown() -> Self {
        Self { pid: None, doing: None }
    }
}

/// The process at the other end (`SO_PEERCRED`); `None` if it is of another PID namespace.
fn peer(stream: &UnixStream) -> io::Result<Option<i32>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let stream = stream.try_clone()?;
    stream.set_nonblocking(true)?;
    let peer = tokio::net::UnixStream::from_std(stream)?.peer_cred()?;
    Ok(peer.pid().filter(|pid| *pid != 0))
}

/// What process `pid` does; `None` if that is hidden.
fn look(pid: i32) -> Option<Doing> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let state = state_of(&fs::read_to_string(proc.join("stat")).ok()?)?;
    Some(if frozen(&proc) { Doing::Frozen } else { state })
}

/// The letter behind the name, which may have blanks and brackets itself.
fn state_of(stat: &str) -> Option<Doing> {
    let (_, rest) = stat.rsplit_once(')')?;
    Some(match rest.trim_start().chars().next()? {
        'T' => Doing::Stopped,
        't' => Doing::Traced,
        'D' => Doing::Waiting,
        'Z' | 'X' | 'x' => Doing::Ended,
        _ => Doing::Alive,
    })
}

/// Whether the control group of a process (version 2) is frozen: its state does not show it.
fn frozen(proc: &Path) -> bool {
    let groups = fs::read_to_string(proc.join("cgroup")).unwrap_or_default();
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let events = fs::read_to_string(Path::new("/sys/fs/cgroup").join(group).join("cgroup.events"));
    events.is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else {
            return f.write_str("which process has it is not known here; `systemctl status havipd` tells");
        };
        write!(f, "its process {pid} ")?;
        match self.doing {
            Some(Doing::Stopped) => write!(
                f,
                "is stopped by a signal (SIGSTOP), so that it sends no heartbeats and its peers take over; `kill -CONT \
                 {pid}` lets it go on"
            ),
            Some(Doing::Traced) => f.write_str("is held by a debugger; end that, or let the process go on"),
            Some(Doing::Frozen) => f.write_str(
                "is in a frozen control group, so that it sends no heartbeats and its peers take over; `systemctl thaw \
                 havipd` lets it go on",
            ),
            Some(Doing::Waiting) => {
                f.write_str("hangs in the kernel (state D): a disk or a file server does not answer it")
            }
            Some(Doing::Ended) => f.write_str("has ended; its parent has not taken note"),
            Some(Doing::Alive) => {
                f.write_str("runs, but hangs or gets no processor time; its log and `top` may tell why")
            }
            None => f.write_str("cannot be looked at from here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_name_whatever_that_is() {
        assert_eq!(state_of("12 (havipd) T 1 12"), Some(Doing::Stopped));
        assert_eq!(state_of("12 (a) S (b) D 1"), Some(Doing::Waiting));
        assert_eq!(state_of("12 (x) t 1"), Some(Doing::Traced));
        assert_eq!(state_of("12 (x) R 1"), Some(Doing::Alive));
        assert_eq!(state_of("12 havipd T"), None);
    }

    #[test]
    fn what_is_known_is_said_with_what_to_do() {
        let said = |doing| Silent { pid: Some(7), doing }.to_string();
        assert!(said(Some(Doing::Stopped)).contains("`kill -CONT 7`"));
        assert!(said(Some(Doing::Frozen)).contains("systemctl thaw"));
        assert_eq!(said(None), "its process 7 cannot be looked at from here");
        assert!(Silent::unknown().to_string().contains("not known here"));
    }
}
