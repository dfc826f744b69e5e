//! A pseudo-terminal, for tests of what a person sees and types.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Stdio;

/// Far beyond what anything takes on a loaded machine.
const PATIENCE: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// A terminal: what a person holds, and what a program gets.
pub(crate) struct Pty {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
    /// What is on the screen, after the last text that was waited for.
    screen: String,
}

impl Pty {
    pub(crate) fn open() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        Self { master, slave, screen: String::new() }
    }

    pub(crate) fn end(&self) -> Stdio {
        Stdio::from(self.slave.try_clone().unwrap())
    }

    /// Waits for a text on the screen, written after the last that was waited for.
    pub(crate) fn shows(&mut self, what: &str) {
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

    /// Types it.
    pub(crate) fn types(&self, keys: &str) {
        assert_eq!(write(&self.master, keys.as_bytes()).unwrap(), keys.len());
    }
}
