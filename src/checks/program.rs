//! One run of the program of a check: started in a process group of its own, its output read as it comes,
//! ended by its deadline at the latest, and nothing left behind.
//!
//! The leader of the group is watched through a pidfd and reaped only after the whole group got
//! its last signal: as long as it is a zombie, the number of the group cannot be given to anybody
//! else, so no stranger can be hit.

use crate::clock;
use crate::hooks::output::{Budget, Lines};
use crate::process::{end_with_parent, like_others};
use havipd_core::model::time::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open, waitid,
};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that SIGKILL does not end sits in the kernel (a dead disk); it is given up after this.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Output may come after the end, from a process that left the group; it is not waited for longer.
const DRAIN: Duration = Duration::from_millis(200);

/// What to run, and how.
#[derive(Debug, Clone)]
pub(super) struct Program<'a> {
    /// The program, absolute, and its arguments.
    pub(super) argv: &'a [String],
    /// Everything that it finds in its environment.
    pub(super) environment: &'a [(&'static str, String)],
    /// It is ended after this.
    pub(super) timeout: Duration,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Report {
    /// How it ended.
    pub(super) ended: Ended,
    /// The last line that was.
    pub(super) last_line: Option<String>,
    /// Somebody still holds its output: a process that left its process group.
    pub(super) left_behind: bool,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Exited {
        /// 0 is success.
        code: i32,
    },
    /// By a signal that we did not send.
    Signalled {
        /// Its number.
        signal: i32,
    },
    /// It ran longer than `timeout`, and we ended it.
    TimedOut,
    /// It was not even started.
    NotStarted {
        /// Why, and what to do about it.
        error: String,
    },
    /// Not even SIGKILL ended it: it hangs inside the kernel.
    Stuck,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exit code {code}"),
            Self::Signalled { signal } => write!(f, "ended by signal {signal}"),
            Self::TimedOut => f.write_str("timed out, ended by SIGKILL"),
            Self::NotStarted { error } => write!(f, "not started: {error}"),
            Self::Stuck => f.write_str("timed out, and not even SIGKILL ended it: it hangs inside the kernel"),
        }
    }
}

/// Runs `program` to its end, telling `log` each line of its output that is safe and not too much. Blocks for at most
/// its timeout and a few seconds more, except while the kernel loads the program.
pub(super) fn run(program: &Program<'_>, log: &mut dyn FnMut(&str)) -> Report {
    let mut budget = Budget::of_one_run();
    let (ended, left_behind) = match Run::start(program) {
        Ok(run) => run.watch(program, &mut budget, log),
        Err(error) => (Ended::NotStarted { error }, false),
    };
    Report { ended, last_line: budget.last, left_behind }
}

struct Run {
    child: Child,
    group: Pid,
    pidfd: OwnedFd,
    streams: [Stream; 2],
}

/// How far the deadline has gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Killed,
}

impl Run {
    fn start(program: &Program<'_>) -> Result<Self, String> {
        let (path, arguments) = program.argv.split_first().ok_or("no program is named")?;
        let mut command = Command::new(path);
        command
            .args(arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        end_with_parent(&mut command);
        like_others::before_exec(&mut command);
        without_capabilities(&mut command);
        let mut child = command.spawn().map_err(|e| why_not_started(&e))?;
        let group = Pid::from_child(&child);
        like_others::after_exec(group);
        let watched = pidfd_open(group, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pidfd| {
            let stdout = Stream::new(child.stdout.take().map(OwnedFd::from))?;
            let stderr = Stream::new(child.stderr.take().map(OwnedFd::from))?;
            Ok((pidfd, [stdout, stderr]))
        });
        match watched {
            Ok((pidfd, streams)) => Ok(Self { child, group, pidfd, streams }),
            Err(e) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                Err(format!("cannot watch it: {e}"))
            }
        }
    }

    fn watch(mut self, program: &Program<'_>, budget: &mut Budget, log: &mut dyn FnMut(&str)) -> (Ended, bool) {
        let mut phase = Phase::Running;
        let mut deadline = clock::now() + program.timeout;
        let mut status = None;
        loop {
            self.wait(deadline, status.is_none(), budget, log);
            status = status.or_else(|| self.exit_status());
            let over = clock::now() >= deadline;
            match phase {
                Phase::Running if status.is_some() => break,
                Phase::Running if over => {
                    let _ = kill_process_group(self.group, Signal::KILL);
                    (phase, deadline) = (Phase::Killed, clock::now() + KILL_PATIENCE);
                }
                Phase::Killed if status.is_some() => break,
                Phase::Killed if over => return (Ended::Stuck, true),
                Phase::Running | Phase::Killed => {}
            }
        }
        let left_behind = self.leave_nothing(budget, log);
        let ended = match (phase, status) {
            (Phase::Running, Some(status)) => ended(&status),
            _ => Ended::TimedOut,
        };
        (ended, left_behind)
    }

    /// Kills what is left of the group, reaps the leader, and reads what was still on its way.
    /// Whether somebody outside the group still holds its output.
    fn leave_nothing(mut self, budget: &mut Budget, log: &mut dyn FnMut(&str)) -> bool {
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
        let deadline = clock::now() + DRAIN;
        while !self.silent() && clock::now() < deadline {
            self.wait(deadline, false, budget, log);
        }
        for stream in &mut self.streams {
            stream.lines.finish(clock::now(), budget, log);
        }
        !self.silent()
    }

    /// Waits until the program ends (if `for_exit`), says something, or the deadline comes.
    fn wait(&mut self, deadline: Instant, for_exit: bool, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        let left = clock::left(deadline).unwrap_or_default();
        // Rounded up to the next millisecond by adding one: waking early would only mean another turn.
        let left = Timespec::try_from(left + Duration::from_millis(1)).ok();
        let open: Vec<_> = self.streams.iter().filter_map(|s| s.fd.as_ref()).map(AsFd::as_fd).collect();
        let exit = for_exit.then(|| self.pidfd.as_fd());
        let mut fds: Vec<_> =
            open.into_iter().chain(exit).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // Interrupted or not: the streams are read without blocking, and the caller looks at the clock.
        let _ = poll(&mut fds, left.as_ref());
        for stream in &mut self.streams {
            stream.read(budget, log);
        }
    }

    fn exit_status(&self) -> Option<WaitIdStatus> {
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::PidFd(self.pidfd.as_fd()), how).ok().flatten()
    }

    fn silent(&self) -> bool {
        self.streams.iter().all(|s| s.fd.is_none())
    }
}

/// Takes the capabilities of the unit from the child, which are this daemon's alone. A kernel that refuses changes nothing.
fn without_capabilities(command: &mut Command) {
    #[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. This is one plain system call, which
    // allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            let _ = rustix::thread::clear_ambient_capability_set();
            Ok(())
        });
    }
}

fn ended(status: &WaitIdStatus) -> Ended {
    if let Some(code) = status.exit_status() {
        return Ended::Exited { code };
    }
    Ended::Signalled { signal: status.terminating_signal().unwrap_or_default() }
}

fn why_not_started(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such program (or the interpreter in its first line is missing)".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied: it must be executable, and readable, by the user that havipd runs as".to_owned()
        }
        _ => error.to_string(),
    }
}

/// One output of the hook; without `fd` once it is closed.
struct Stream {
    fd: Option<std::fs::File>,
    lines: Lines,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(fd) = &fd {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self { fd: fd.map(std::fs::File::from), lines: Lines::default() })
    }

    /// Reads once: a hook that never stops talking must not keep us from looking at the clock.
    fn read(&mut self, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        let Some(file) = &mut self.fd else { return };
        let mut buffer = [0; 16 * 1024];
        match file.read(&mut buffer) {
            Ok(0) => self.fd = None,
            Ok(n) => self.lines.feed(&buffer[..n], clock::now(), budget, log),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.fd = None,
        }
    }
}
