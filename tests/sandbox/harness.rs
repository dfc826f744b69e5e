//! Starts `havipctl sandbox` in a directory for temporary files of its own.

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

/// `havipctl sandbox ARGUMENTS`, with temporary files in `directory`.
pub(crate) fn command(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.arg("sandbox").args(arguments).env("TMPDIR", directory.path()).env_remove("NOTIFY_SOCKET");
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
    pub(crate) child: Child,
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
        let mut command = command(&directory, arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, directory, stdout }
    }

    /// Waits for a line that has `what` in it.
    pub(crate) fn says(&mut self, what: &str) {
        let mut said = String::new();
        loop {
            let start = said.len();
            assert_ne!(self.stdout.read_line(&mut said).unwrap(), 0, "ended without {what:?}:\n{said}");
            if said[start..].contains(what) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its daemons, held by descriptors, so that no other process can be taken for them.
    pub(crate) fn daemons(&self) -> Vec<OwnedFd> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap_or_default();
            let Some(pid) = name.parse().ok().and_then(Pid::from_raw) else { continue };
            if parent_of(pid) == Some(self.child.id()) {
                found.push(pidfd_open(pid, PidfdFlags::empty()).unwrap());
            }
        }
        found
    }

    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        (status, left(&self.directory))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed must leave nothing behind either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
