//! The live view on a real (pseudo-)terminal: it shows what it should, keys work, and the terminal
//! is afterwards what it was before.

use crate::harness::{command, left};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{read, write};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus, Stdio};
use tempfile::TempDir;

const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
const LEAVES: &str = "\x1b[?1049l";

struct Session {
    master: OwnedFd,
    slave: OwnedFd,
    before: Termios,
    child: Child,
    directory: TempDir,
    screen: String,
}

impl Session {
    fn start() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let directory = TempDir::new().unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = command(&directory, &[]).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { master, slave, before, child, directory, screen: String::new() }
    }

    /// Waits for a text on the screen, written after the last that was waited for.
    fn shows(&mut self, what: &str) {
        while !self.screen.contains(what) {
            let mut fds = [PollFd::from_borrowed_fd(self.master.as_fd(), PollFlags::IN)];
            assert_eq!(poll(&mut fds, Some(&PATIENCE)).unwrap(), 1, "no {what:?} in {:?}", self.screen);
            let mut buffer = [0; 4096];
            let length = read(&self.master, &mut buffer).unwrap();
            self.screen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        let end = self.screen.find(what).unwrap() + what.len();
        self.screen.drain(..end);
    }

    fn press(&self, key: &str) {
        assert_eq!(write(&self.master, key.as_bytes()).unwrap(), key.len());
    }

    /// The end, and whether the terminal is as it was.
    fn end(mut self) -> (ExitStatus, Vec<String>) {
        self.shows("\x1b[?25h");
        self.shows(LEAVES);
        let status = self.child.wait().unwrap();
        let after = tcgetattr(&self.slave).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        (status, left(&self.directory))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_act_and_the_terminal_is_as_before() {
    let mut session = Session::start();
    session.shows("\x1b[?1049h");
    session.shows("q quit");
    session.shows("master: ");
    session.shows("move 1: to a");
    session.press("1k");
    session.shows("a is killed (SIGKILL)");
    session.shows("move 2: a -> ");
    session.press("r");
    session.shows("a is started");
    session.press("3p");
    session.shows("cut: a | c");
    session.press("h");
    session.shows("network and API are whole again");
    session.press("q");
    let (status, left) = session.end();
    assert_eq!((status.code(), left), (Some(0), Vec::new()));
}

#[test]
fn a_signal_leaves_the_terminal_as_before() {
    let mut session = Session::start();
    session.shows("q quit");
    kill_process(Pid::from_child(&session.child), Signal::TERM).unwrap();
    let (status, left) = session.end();
    assert_eq!((status.code(), left), (Some(143), Vec::new()));
}
