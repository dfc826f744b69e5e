//! One run of one program of the operator's: a hook, the script of a check. It is started in a process group of its own,
//! its output read as it comes, and ended with its whole group by its deadline at the latest.
//!
//! The leader of the group is watched through a pidfd and reaped only after the whole group got
//! its last signal: as long as it is a zombie, the number of the group cannot be given to anybody
//! else, so no stranger can be hit.

mod output;

use crate::clock;
use crate::plain::in_words;
use crate::process::{end_with_parent, like_others, processes_of_group};
use havipd_core::model::time::Instant;
use output::{Budget, Lines};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open, waitid,
};
use rustix::thread::clear_ambient_capability_set;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A process that SIGKILL does not end sits in the kernel (a dead disk); it is given up after this.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Output may come after the end, from a process that left the group; it is not waited for longer.
const DRAIN: Duration = Duration::from_millis(200);
/// Programs whose output is still taken after the one that left them running, so that writing does not end them.
pub(crate) const MOST_LEFT: usize = 16;
/// How many there are.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Programs run with these when this process has none of its own.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_LANG: &str = "C.UTF-8";

/// What to run, and how.
#[derive(Debug, Clone)]
pub(crate) struct Program<'a> {
    /// The program and its arguments.
    pub(crate) argv: &'a [String],
    /// Everything that it finds in its environment.
    pub(crate) environment: &'a [(&'static str, String)],
    /// It is ended after this.
    pub(crate) timeout: Duration,
    /// Between SIGTERM and SIGKILL then; zero is SIGKILL at once.
    pub(crate) grace: Duration,
    /// How it is started.
    pub(crate) start: Start,
    /// What becomes of what it started, and left running, when it ended in time.
    pub(crate) leftovers: Leftovers,
    /// It is killed when this ends.
    pub(crate) leash: Option<&'a Leash>,
    /// Set once it has been started.
    pub(crate) begun: Option<&'a AtomicBool>,
}

/// How a program is started, and what of this daemon's it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It keeps the capabilities of the unit, and is killed when this daemon ends, however that comes. What is done to it before
    /// `execve` takes a `fork`, whose cost grows with the memory of this daemon.
    Bound,
    /// As often as every second of every check: with `vfork`, whatever the daemon's size. It has none of these capabilities. The
    /// unit's control group ends it with the daemon; without one it runs to its own end.
    ///
    /// ⚠ The capabilities are taken from the thread that starts it, for good: nothing that is [`Start::Bound`] may be started
    /// on that one later. Hooks and gates have threads of their own.
    Often,
}

/// What becomes of processes that a program left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// They are killed, as far as they are still in its process group.
    Killed,
    /// They run on, as under keepalived.
    RunOn,
    /// They run on if the program ended with exit code 0.
    RunOnAfterSuccess,
}

/// How long a program may run at most, whatever its timeout; its holder makes it longer, or ends it.
#[derive(Debug)]
pub(crate) struct Leash {
    until: Mutex<Instant>,
    changed: OwnedFd,
}

impl Leash {
    /// Until `until`.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn new(until: Instant) -> io::Result<Self> {
        let changed = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { until: Mutex::new(until), changed })
    }

    /// Another end; what ran into the one before has ended.
    pub(crate) fn set(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        // That many wake-ups cannot wait that the counter overflows.
        let _ = rustix::io::write(&self.changed, &1_u64.to_ne_bytes());
    }

    /// The end.
    pub(crate) fn until(&self) -> Instant {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        let _ = rustix::io::read(&self.changed, &mut [0; 8]);
    }
}

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Report {
    /// How it ended.
    pub(crate) ended: Ended,
    /// Processes of it that run on.
    pub(crate) left_running: usize,
    /// What they write is not read: too many others are.
    pub(crate) output_closed: bool,
    /// Somebody still holds its output though all of its process group was killed: a process that left the group.
    pub(crate) left_behind: bool,
    /// Lines of its output that were too many to be told.
    pub(crate) lines_suppressed: u64,
    /// The last line that was told.
    pub(crate) last_line: Option<String>,
}

/// The part of every program's environment that is not about its purpose: `PATH` and `LANG`. Nothing else of this process'
/// own is handed on, which may hold cloud credentials.
pub(crate) fn base_environment() -> Vec<(&'static str, String)> {
    let own = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    vec![("PATH", own("PATH", DEFAULT_PATH)), ("LANG", own("LANG", DEFAULT_LANG))]
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Ended {
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
        /// How many processes got the signal: the program and what it had started.
        processes: usize,
    },
    /// It was not even started.
    NotStarted {
        /// Why, and what to do about it.
        error: String,
    },
    /// It was killed before its time: it was not to run on.
    Cut,
    /// Not even SIGKILL ended it: it hangs inside the kernel.
    Stuck,
}

impl Ended {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }
}

impl fmt::Display for Ended {
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
            Self::NotStarted { error } => write!(f, "not started: {}", in_words(error)),
            Self::Cut => f.write_str("killed, as leadership has ended"),
            Self::Stuck => {
                f.write_str("ran into its timeout, and not even SIGKILL ended it: it hangs inside the kernel")
            }
        }
    }
}

/// Runs `program` to its end, telling `log` each line of its output that is safe and not too much. Blocks for at most its
/// timeout and a few seconds more, except while the kernel loads the program.
pub(crate) fn run(program: &Program<'_>, log: &mut dyn FnMut(&str)) -> Report {
    let mut budget = Budget::of_one_run();
    let (ended, left) = match Run::start(program) {
        Ok(run) => {
            if let Some(begun) = program.begun {
                begun.store(true, Ordering::Relaxed);
            }
            run.watch(program, &mut budget, log)
        }
        Err(error) => (Ended::NotStarted { error }, Left::default()),
    };
    Report {
        ended,
        left_running: left.running,
        output_closed: left.closed,
        left_behind: left.behind,
        lines_suppressed: budget.suppressed,
        last_line: budget.last,
    }
}

/// What a run leaves.
#[derive(Default)]
struct Left {
    running: usize,
    closed: bool,
    behind: bool,
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
        match program.start {
            Start::Bound => {
                end_with_parent(&mut command);
                like_others::before_exec(&mut command);
            }
            // Of the calling thread alone, and what it starts has what it has. A kernel that refuses changes nothing.
            Start::Often => drop(clear_ambient_capability_set()),
        }
        let mut child = command.spawn().map_err(|e| why_not_started(&e))?;
        let group = Pid::from_child(&child);
        if program.start == Start::Often {
            like_others::limit(group);
        }
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

    /// Says how it ended, and what it left.
    fn watch(mut self, program: &Program<'_>, budget: &mut Budget, log: &mut dyn FnMut(&str)) -> (Ended, Left) {
        let mut phase = Phase::Running;
        let mut deadline = clock::now() + program.timeout;
        let (mut status, mut processes, mut cut) = (None, 0, false);
        loop {
            let end = program.leash.filter(|_| !cut).map_or(deadline, |leash| leash.until().min(deadline));
            self.wait(end, status.is_none(), program.leash, budget, log);
            status = status.or_else(|| self.exit_status());
            let over = clock::now() >= deadline;
            // ⚠ Looked at last, with the time of now: what has ended in time has still ended too late if the leash was shorter.
            if !cut && program.leash.is_some_and(|leash| clock::now() >= leash.until()) {
                cut = true;
                (phase, deadline) = self.end(Duration::ZERO);
                continue;
            }
            match phase {
                Phase::Running if status.is_some() => break,
                Phase::Running if over => {
                    processes = processes_of_group(self.group);
                    (phase, deadline) = self.end(program.grace);
                }
                // Children of the program get their grace even if it went at once itself;
                // closed output is the sign that the last of them is gone.
                Phase::Terminated if status.is_some() && self.silent() => break,
                Phase::Terminated if over => (phase, deadline) = self.end(Duration::ZERO),
                Phase::Killed if status.is_some() => break,
                Phase::Killed if over => return (Ended::Stuck, Left { behind: true, ..Left::default() }),
                Phase::Running | Phase::Terminated | Phase::Killed => {}
            }
        }
        match (phase, status) {
            (Phase::Running, Some(status)) => {
                let ended = ended(&status);
                let run_on = match program.leftovers {
                    Leftovers::Killed => false,
                    Leftovers::RunOn => true,
                    Leftovers::RunOnAfterSuccess => ended.success(),
                };
                let left = if run_on { self.leave_running(budget, log) } else { self.leave_nothing(budget, log) };
                (ended, left)
            }
            _ if cut => (Ended::Cut, self.leave_nothing(budget, log)),
            (phase, _) => {
                let ended = Ended::TimedOut { killed: phase == Phase::Killed, processes };
                (ended, self.leave_nothing(budget, log))
            }
        }
    }

    /// Ends the whole group, which has so long to do it by itself.
    fn end(&self, grace: Duration) -> (Phase, Instant) {
        let (signal, phase, patience) = match grace {
            Duration::ZERO => (Signal::KILL, Phase::Killed, KILL_PATIENCE),
            _ => (Signal::TERM, Phase::Terminated, grace),
        };
        let _ = kill_process_group(self.group, signal);
        (phase, clock::now() + patience)
    }

    /// Kills what is left of the group, and reads what was still on its way.
    fn leave_nothing(mut self, budget: &mut Budget, log: &mut dyn FnMut(&str)) -> Left {
        let _ = kill_process_group(self.group, Signal::KILL);
        self.reap(budget, log);
        Left { behind: !self.silent(), ..Left::default() }
    }

    /// Reaps the leader, and reads what was still on its way.
    fn reap(&mut self, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        let _ = self.child.wait();
        let deadline = clock::now() + DRAIN;
        while !self.silent() && clock::now() < deadline {
            self.wait(deadline, false, None, budget, log);
        }
        for stream in &mut self.streams {
            stream.lines.finish(clock::now(), budget, log);
        }
    }

    /// The program has ended, and what it started in the background has not: that is left alone, and what it says is read
    /// on and thrown away, since a program whose output nobody takes is ended by the kernel.
    fn leave_running(mut self, budget: &mut Budget, log: &mut dyn FnMut(&str)) -> Left {
        // The leader, not yet reaped, is one of them.
        let running = processes_of_group(self.group).saturating_sub(1);
        self.reap(budget, log);
        let left = Left { running, ..Left::default() };
        if self.silent() {
            return left;
        }
        let Self { streams, .. } = self;
        if LEFT.fetch_add(1, Ordering::Relaxed) >= MOST_LEFT {
            LEFT.fetch_sub(1, Ordering::Relaxed);
            return Left { closed: true, ..left };
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
    fn wait(
        &mut self,
        deadline: Instant,
        for_exit: bool,
        leash: Option<&Leash>,
        budget: &mut Budget,
        log: &mut dyn FnMut(&str),
    ) {
        let left = clock::left(deadline).unwrap_or_default();
        // Rounded up to the next millisecond by adding one: waking early would only mean another turn.
        let left = Timespec::try_from(left + Duration::from_millis(1)).ok();
        let open: Vec<_> = self.streams.iter().filter_map(|s| s.fd.as_ref()).map(AsFd::as_fd).collect();
        let exit = for_exit.then(|| self.pidfd.as_fd());
        let leash_changed = leash.map(|leash| leash.changed.as_fd());
        let all = open.into_iter().chain(exit).chain(leash_changed);
        let mut fds: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // Interrupted or not: the streams are read without blocking, and the caller looks at the clock.
        let _ = poll(&mut fds, left.as_ref());
        if let Some(leash) = leash {
            leash.note();
        }
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

/// One output of the program; without `fd` once it is closed.
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

    /// Reads once: a program that never stops talking must not keep us from looking at the clock.
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
