//! One run of one program: started in a process group of its own, its output read as it comes, and ended with its whole
//! group by its deadline at the latest. What a program that ended in time left running runs on, as under keepalived.
//!
//! The leader of the group is watched through a pidfd and reaped only after the whole group got
//! its last signal: as long as it is a zombie, the number of the group cannot be given to anybody
//! else, so no stranger can be hit.

use super::output::{Budget, Lines};
use crate::clock;
use crate::process::{end_with_parent, like_others, processes_of_group};
use havipd_core::model::action::NotifyState;
use havipd_core::model::ids::{Epoch, GroupName};
use havipd_core::model::time::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open, waitid,
};
use serde::Serialize;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tracing::{info, warn};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// A process that SIGKILL does not end sits in the kernel (a dead disk); it is given up after this.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Output may come after the end, from a process that left the group; it is not waited for longer.
const DRAIN: Duration = Duration::from_millis(200);
/// Programs whose output is still taken after the hook that left them running, so that writing does not end them.
const MOST_LEFT: usize = 16;
/// How many there are.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// What to run.
pub(super) struct Call {
    pub(super) group: GroupName,
    pub(super) hook: &'static str,
    pub(super) argv: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) state: NotifyState,
    pub(super) epoch: Epoch,
    pub(super) timeout: Duration,
}

/// What became of one hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookOutcome {
    /// Its key in the configuration.
    pub hook: &'static str,
    /// The program.
    pub program: String,
    /// The state it was called for.
    pub state: NotifyState,
    /// The term.
    pub epoch: Epoch,
    /// How it ended.
    pub result: HookResult,
    /// How long it ran.
    pub milliseconds: u64,
    /// Processes of it that run on.
    pub left_running: usize,
    /// Lines of its output that did not go to the log.
    pub lines_suppressed: u64,
    /// The last line that did.
    pub last_line: Option<String>,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum HookResult {
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
    TimedOut {
        /// SIGTERM was not enough.
        killed: bool,
        /// How many processes got the signal: the hook and what it had started.
        processes: usize,
    },
    /// It was not even started.
    NotStarted {
        /// Why, and what to do about it.
        error: String,
    },
    /// Not even SIGKILL ended it: it hangs inside the kernel.
    Stuck,
}

impl HookResult {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }
}

impl fmt::Display for HookResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exit code {code}"),
            Self::Signalled { signal } => write!(f, "ended by signal {signal}"),
            Self::TimedOut { killed, processes } => {
                let it = match processes {
                    0 | 1 => "it was".to_owned(),
                    n => format!("it and what it had started, {n} processes, were"),
                };
                let how = if *killed { "by SIGKILL, as SIGTERM was ignored" } else { "by SIGTERM" };
                write!(f, "ran into its timeout; {it} ended {how}")
            }
            Self::NotStarted { error } => write!(f, "not started: {error}"),
            Self::Stuck => {
                f.write_str("ran into its timeout, and not even SIGKILL ended it: it hangs inside the kernel")
            }
        }
    }
}

/// Runs `call` to its end. Blocks for at most its timeout and a few seconds more, except while the
/// kernel loads the program.
pub(super) fn run(call: &Call) -> HookOutcome {
    let started = clock::now();
    let mut budget = Budget::of_one_run();
    let (result, left_running) = match Run::start(call) {
        Ok(run) => run.watch(call, &mut budget),
        Err(error) => (HookResult::NotStarted { error }, 0),
    };
    HookOutcome {
        hook: call.hook,
        program: call.argv.first().cloned().unwrap_or_default(),
        state: call.state,
        epoch: call.epoch,
        result,
        milliseconds: u64::try_from(clock::now().since(started).as_millis()).unwrap_or(u64::MAX),
        left_running,
        lines_suppressed: budget.suppressed,
        last_line: budget.last,
    }
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
    Terminated,
    Killed,
}

impl Run {
    fn start(call: &Call) -> Result<Self, String> {
        let (program, arguments) = call.argv.split_first().ok_or("the hook names no program")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(call.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        end_with_parent(&mut command);
        like_others::before_exec(&mut command);
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

    /// Says how it ended, and how many processes of it run on.
    fn watch(mut self, call: &Call, budget: &mut Budget) -> (HookResult, usize) {
        let mut log = |line: &str| info!(group = %call.group, hook = call.hook, "hook says: {line}");
        let mut phase = Phase::Running;
        let mut deadline = clock::now() + call.timeout;
        let (mut status, mut processes) = (None, 0);
        loop {
            self.wait(deadline, status.is_none(), budget, &mut log);
            status = status.or_else(|| self.exit_status());
            let over = clock::now() >= deadline;
            match phase {
                Phase::Running if status.is_some() => break,
                Phase::Running if over => {
                    processes = processes_of_group(self.group);
                    let _ = kill_process_group(self.group, Signal::TERM);
                    (phase, deadline) = (Phase::Terminated, clock::now() + GRACE);
                }
                // Children of the hook get their two seconds even if the hook itself went at once;
                // closed output is the sign that the last of them is gone.
                Phase::Terminated if status.is_some() && self.silent() => break,
                Phase::Terminated if over => {
                    let _ = kill_process_group(self.group, Signal::KILL);
                    (phase, deadline) = (Phase::Killed, clock::now() + KILL_PATIENCE);
                }
                Phase::Killed if status.is_some() => break,
                Phase::Killed if over => return (HookResult::Stuck, 0),
                Phase::Running | Phase::Terminated | Phase::Killed => {}
            }
        }
        match (phase, status) {
            (Phase::Running, Some(status)) => (ended(&status), self.leave_running(call, budget, &mut log)),
            (phase, _) => {
                let _ = kill_process_group(self.group, Signal::KILL);
                self.reap(budget, &mut log);
                (HookResult::TimedOut { killed: phase == Phase::Killed, processes }, 0)
            }
        }
    }

    /// Reaps the leader, and reads what was still on its way.
    fn reap(&mut self, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        let _ = self.child.wait();
        let deadline = clock::now() + DRAIN;
        while !self.silent() && clock::now() < deadline {
            self.wait(deadline, false, budget, log);
        }
        for stream in &mut self.streams {
            stream.lines.finish(clock::now(), budget, log);
        }
    }

    /// The hook has ended, and what it started in the background has not: that is left alone, and what it says is read on and
    /// thrown away, since a program whose output nobody takes is ended by the kernel. Says how many processes there are.
    fn leave_running(mut self, call: &Call, budget: &mut Budget, log: &mut dyn FnMut(&str)) -> usize {
        // The leader, not yet reaped, is one of them.
        let left = processes_of_group(self.group).saturating_sub(1);
        self.reap(budget, log);
        if self.silent() {
            return left;
        }
        let Self { streams, .. } = self;
        if LEFT.fetch_add(1, Ordering::Relaxed) >= MOST_LEFT {
            LEFT.fetch_sub(1, Ordering::Relaxed);
            warn!(
                group = %call.group, hook = call.hook,
                "the output of what it left running is closed: havipd reads that of {MOST_LEFT} programs at most; a service \
                 of its own writes elsewhere"
            );
            return left;
        }
        let reader = std::thread::Builder::new().name("havipd-hook-rest".to_owned());
        let started = reader.spawn(move || {
            let readers = streams.map(|stream| stream.fd);
            read_out(readers);
            LEFT.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            LEFT.fetch_sub(1, Ordering::Relaxed);
        }
        left
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

fn ended(status: &WaitIdStatus) -> HookResult {
    if let Some(code) = status.exit_status() {
        return HookResult::Exited { code };
    }
    HookResult::Signalled { signal: status.terminating_signal().unwrap_or_default() }
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

/// Reads until nobody is left who could write.
fn read_out(mut streams: [Option<std::fs::File>; 2]) {
    let mut buffer = [0; 4096];
    while streams.iter().any(Option::is_some) {
        let mut fds: Vec<_> =
            streams.iter().flatten().map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)).collect();
        let _ = poll(&mut fds, None);
        for stream in &mut streams {
            let read = stream.as_mut().map(|file| file.read(&mut buffer));
            let over = match read {
                Some(Ok(n)) => n == 0,
                Some(Err(e)) => !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
                None => false,
            };
            if over {
                *stream = None;
            }
        }
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
