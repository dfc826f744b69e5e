//! The live view on a real (pseudo-)terminal: it shows what it should, keys work, the terminal is afterwards what it was
//! before, and whatever becomes of the terminal, the view ends with it.

use crate::harness::{Guard, command, daemons, ends, left};
use crate::pty::Pty;
use crate::wait::wait_for;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, write};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::ptsname;
use rustix::termios::{Termios, tcgetattr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use tempfile::TempDir;

const LEAVES: &str = "\x1b[?1049l";

/// Nobody reads it, and there is no room left in it.
fn fill(pty: &Pty) {
    let name = ptsname(&pty.master, Vec::new()).unwrap();
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let impatient = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    loop {
        while write(&impatient, b".") != Err(Errno::AGAIN) {}
        // The kernel may yet pass on what it has, and make room.
        let mut fds = [PollFd::from_borrowed_fd(impatient.as_fd(), PollFlags::OUT)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 200_000_000 })).unwrap() == 0 {
            return;
        }
    }
}

struct Session {
    pty: Pty,
    before: Termios,
    child: Guard,
    directory: TempDir,
}

impl Session {
    fn start() -> Self {
        Self::on(Pty::open(), false)
    }

    /// `controlling`: as in a window or over ssh, the kernel sends SIGHUP when the terminal is closed.
    fn on(pty: Pty, controlling: bool) -> Self {
        let before = tcgetattr(&pty.slave).unwrap();
        let directory = TempDir::new().unwrap();
        let mut command = command(&directory, &[]);
        if controlling {
            let program = command.get_program().to_owned();
            let mut in_session = Command::new("setsid");
            in_session.arg("--ctty").arg(program).args(command.get_args());
            in_session.env("TMPDIR", directory.path()).env_remove("NOTIFY_SOCKET");
            command = in_session;
        }
        let child = command.stdin(pty.end()).stdout(pty.end()).stderr(pty.end()).spawn().unwrap();
        Self { pty, before, child: Guard(child), directory }
    }

    /// Its daemons, once all of them run.
    fn daemons(&self) -> Vec<OwnedFd> {
        wait_for("three daemons", || Some(daemons(self.child.0.id())).filter(|all| all.len() == 3))
    }

    /// Whether the terminal is as it was.
    fn is_as_before(&self) {
        let after = tcgetattr(&self.pty.slave).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
    }

    fn end(mut self) -> (ExitStatus, Vec<String>) {
        self.pty.shows("\x1b[?25h");
        self.pty.shows(LEAVES);
        let status = self.child.0.wait().unwrap();
        self.is_as_before();
        (status, left(&self.directory))
    }
}

#[test]
fn keys_act_and_the_terminal_is_as_before() {
    let mut session = Session::start();
    session.pty.shows("\x1b[?1049h");
    session.pty.shows("q quit");
    session.pty.shows("master: ");
    session.pty.shows("start: to a");
    session.pty.types("1k");
    session.pty.shows("a is killed (SIGKILL)");
    session.pty.shows("move 1: a -> ");
    session.pty.types("r");
    session.pty.shows("a is started");
    session.pty.types("3p");
    session.pty.shows("cut: a | c");
    session.pty.types("h");
    session.pty.shows("network and API are whole again");
    session.pty.types("\x1b[A");
    session.pty.shows("> b");
    session.pty.types("q");
    let (status, left) = session.end();
    assert_eq!((status.code(), left), (Some(0), Vec::new()));
}

#[test]
fn control_c_control_d_and_escape_end_it() {
    for key in ["\x03", "\x04", "\x1b"] {
        let mut session = Session::start();
        session.pty.shows("q quit");
        session.pty.types(key);
        let (status, left) = session.end();
        assert_eq!((status.code(), left), (Some(0), Vec::new()), "{key:?}");
    }
}

#[test]
fn a_signal_leaves_the_terminal_as_before() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut session = Session::start();
        session.pty.shows("q quit");
        kill_process(Pid::from_child(&session.child.0), signal).unwrap();
        let (status, left) = session.end();
        assert_eq!((status.code(), left), (Some(code), Vec::new()));
    }
}

#[test]
fn a_terminal_that_is_closed_ends_it_and_its_daemons() {
    for controlling in [false, true] {
        let mut session = Session::on(Pty::open(), controlling);
        session.pty.shows("start: to a");
        let daemons = session.daemons();
        let Session { pty, mut child, directory, .. } = session;
        drop(pty);
        daemons.iter().for_each(ends);
        let status = child.0.wait().unwrap();
        assert_eq!((status.code(), left(&directory)), (Some(129), Vec::new()), "{controlling}: {status:?}");
    }
}

#[test]
fn a_terminal_that_stands_still_keeps_it_from_nothing() {
    let pty = Pty::open();
    fill(&pty);
    let mut session = Session::on(pty, false);
    let daemons = session.daemons();
    wait_for("raw mode", || {
        (tcgetattr(&session.pty.slave).unwrap().local_modes != session.before.local_modes).then_some(())
    });
    kill_process(Pid::from_child(&session.child.0), Signal::TERM).unwrap();
    daemons.iter().for_each(ends);
    let status = session.child.0.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(143), None));
    session.is_as_before();
    assert_eq!(left(&session.directory), [""; 0]);
}
