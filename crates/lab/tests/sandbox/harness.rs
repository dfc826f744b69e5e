//! Starts `havipd-lab sandbox` in a directory for temporary files of its own.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// Far beyond what anything takes on a loaded machine.
const PATIENCE: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// What a sandbox that ended has left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Files left in its directory for temporary ones.
    pub(crate) left: Vec<String>,
}

/// `havipd-lab sandbox ARGUMENTS`, with temporary files in `directory`.
pub(crate) fn command(directory: &TempDir, arguments: &[&str]) -> Command {
    // Who runs the tests in the background of a script has it ignore signals, and its children with it.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,TERM").arg(env!("CARGO_BIN_EXE_havipd-lab")).arg("sandbox");
    // Slower than the default: a test machine may pause a process for longer than people's do.
    command.args(["--interval", "200ms"]).args(arguments);
    command.env("TMPDIR", directory.path()).env_remove("NOTIFY_SOCKET");
    command
}

/// A file with a script in it.
pub(crate) fn script(directory: &TempDir, text: &str) -> String {
    let path = directory.path().join("script");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Files in `directory`, besides the script.
pub(crate) fn left(directory: &TempDir) -> Vec<String> {
    let names = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "script").collect()
}

/// Runs a sandbox to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_in(&TempDir::new().unwrap(), arguments)
}

/// Runs a script to its end.
pub(crate) fn run_script(text: &str, arguments: &[&str]) -> Ended {
    let directory = TempDir::new().unwrap();
    let path = script(&directory, text);
    run_in(&directory, &[&["--script", &path], arguments].concat())
}

fn run_in(directory: &TempDir, arguments: &[&str]) -> Ended {
    let output = command(directory, arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        left: left(directory),
    }
}

/// A sandbox that runs.
pub(crate) struct Running {
    pub(crate) child: Guard,
    pub(crate) directory: TempDir,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts one that runs a script.
    pub(crate) fn script(text: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = script(&directory, text);
        Self::start(directory, &["--script", &path])
    }

    pub(crate) fn start(directory: TempDir, arguments: &[&str]) -> Self {
        let command = command(&directory, arguments);
        Self::of(directory, command, Stdio::null())
    }

    pub(crate) fn of(directory: TempDir, mut command: Command, stdin: Stdio) -> Self {
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child: Guard(child), directory, stdout }
    }

    /// Waits for a line that has `what` in it.
    pub(crate) fn says(&mut self, what: &str) {
        let mut said = String::new();
        loop {
            let start = said.len();
            if self.stdout.buffer().is_empty() {
                let mut fds = [PollFd::from_borrowed_fd(self.stdout.get_ref().as_fd(), PollFlags::IN)];
                assert_eq!(poll(&mut fds, Some(&PATIENCE)).unwrap(), 1, "no {what:?}, and nothing more after:\n{said}");
            }
            assert_ne!(self.stdout.read_line(&mut said).unwrap(), 0, "ended without {what:?}:\n{said}");
            if said[start..].contains(what) {
                return;
            }
        }
    }

    /// Its output, to look at only.
    pub(crate) fn pipe(&self) -> OwnedFd {
        self.stdout.get_ref().as_fd().try_clone_to_owned().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    pub(crate) fn daemons(&self) -> Vec<OwnedFd> {
        daemons(self.child.0.id())
    }

    /// Nobody reads its output any more.
    pub(crate) fn unread(self) -> (Guard, TempDir) {
        let Self { child, directory, stdout } = self;
        drop(stdout);
        (child, directory)
    }

    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.0.wait().unwrap();
        (status, left(&self.directory))
    }
}

/// A process that does not outlive its test.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // A test that failed must leave nothing behind either.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The daemons of a sandbox, held by descriptors, so that no other process can be taken for them.
pub(crate) fn daemons(sandbox: u32) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap_or_default();
        let Some(pid) = name.parse().ok().and_then(Pid::from_raw) else { continue };
        if parent_of(pid) == Some(sandbox) {
            found.push(pidfd_open(pid, PidfdFlags::empty()).unwrap());
        }
    }
    found
}

/// Processor time that the threads of this name have needed, in ticks of 10 ms. `None` while there is no such thread.
pub(crate) fn ticks(pid: u32, thread: &str) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let of_thread = stats.filter_map(|stat| {
        let (head, tail) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let needed = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        head.ends_with(&format!("({thread}")).then_some(needed)
    });
    of_thread.reduce(|a, b| a + b)
}

fn parent_of(pid: Pid) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// Waits until a process has ended, reaped or not.
pub(crate) fn ends(process: &OwnedFd) {
    let mut fds = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&PATIENCE)).unwrap(), 1, "a daemon outlives its sandbox");
}
