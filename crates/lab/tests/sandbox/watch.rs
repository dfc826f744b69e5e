//! What people leave running beside a cluster ends with the one who looks at it.

use crate::harness::{Guard, Running, ticks};
use crate::pty::Pty;
use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

struct Cluster {
    running: Running,
}

impl Cluster {
    fn start() -> Self {
        let mut running = Running::script("wait active a\nwait up a\nnote it stays\npause 10m");
        running.says("== it stays");
        Self { running }
    }

    fn socket(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.running.directory.path()).unwrap().map(|e| e.unwrap().path());
        entries.find(|path| path.is_dir()).unwrap().join("a/run/control.sock")
    }

    /// `havipctl ARGUMENTS` on node a.
    fn ctl(&self, arguments: &[&str]) -> Command {
        let program = self.running.directory.path().join("havipctl");
        if !program.exists() {
            symlink(env!("CARGO_BIN_EXE_havipd-lab"), &program).unwrap();
        }
        // Who runs the tests in the background of a script has it ignore SIGINT, and its children with it.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM").arg(program);
        command.arg("--socket").arg(self.socket()).args(arguments).stdin(Stdio::null());
        command
    }

    fn watch(&self, stdin: Stdio) -> Guard {
        let mut command = self.ctl(&["status", "--watch"]);
        Guard(command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

/// How it ended, and what it said on standard error.
fn quiet(mut child: Guard) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.0.wait().unwrap().code(), stderr)
}

fn first_line(child: &mut Guard) -> BufReader<std::process::ChildStdout> {
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("cluster sandbox, node a"), "{line:?}");
    stdout
}

#[test]
fn status_watch_ends_with_its_reader_its_input_and_its_signals() {
    let cluster = Cluster::start();
    let mut unread = cluster.watch(Stdio::null());
    drop(first_line(&mut unread));
    assert_eq!(quiet(unread), (Some(0), String::new()), "the reader went, not havipd");

    let mut closed = cluster.watch(Stdio::piped());
    let _stdout = first_line(&mut closed);
    drop(closed.0.stdin.take());
    assert_eq!(quiet(closed), (Some(0), String::new()));

    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut told = cluster.watch(Stdio::null());
        let _stdout = first_line(&mut told);
        kill_process(Pid::from_child(&told.0), signal).unwrap();
        assert_eq!(told.0.wait().unwrap().signal(), Some(signal.as_raw()));
    }

    // With nothing to read it goes on, and needs nothing for it.
    let mut stays = cluster.watch(Stdio::null());
    let mut stdout = first_line(&mut stays);
    assert!(cluster.ctl(&["drain"]).output().unwrap().status.success());
    let mut line = String::new();
    while !line.contains("drained") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended");
    }
    let thread = wait_for("somebody waits", || ticks(stays.0.id(), "audience"));
    assert!(thread < 5, "{thread} ticks");
}

#[test]
fn status_watch_ends_with_its_terminal() {
    let cluster = Cluster::start();
    for close in [true, false] {
        let mut pty = Pty::open();
        let mut command = cluster.ctl(&["status", "--watch"]);
        let mut child = Guard(command.stdin(pty.end()).stdout(pty.end()).stderr(pty.end()).spawn().unwrap());
        pty.shows("sandbox");
        wait_for("the thread that waits", || ticks(child.0.id(), "audience"));
        let code = if close {
            drop(pty);
            129
        } else {
            pty.types("\x04");
            0
        };
        assert_eq!(child.0.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_drill_that_nobody_reads_ends_after_the_move_under_way() {
    let cluster = Cluster::start();
    let mut command = cluster.ctl(&["drill", "web", "--repeat", "500", "--yes"]);
    let mut child = Guard(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("move 1 of 1000") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended");
    }
    drop(stdout);
    assert_eq!(quiet(child), (Some(1), String::new()));
}

#[test]
fn a_simulation_that_nobody_reads_ends() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipd-lab"));
    command.args(["simulate", "--seeds", "0..1000000"]).stdin(Stdio::null());
    let mut child = Guard(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    drop(child.0.stdout.take());
    assert_eq!(quiet(child), (Some(75), String::new()));
}
