//! Whether anybody is still there who reads what this process prints, or types what it reads.
//!
//! A program that prints only now and then notices late that its reader has gone, and one that reads a terminal which was
//! closed is told "readable" for ever. Here a thread waits in `poll(2)`, which tells both at once and costs nothing.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::thread;

/// Between two looks at a terminal that another job has.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Who has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The terminal was closed.
    Terminal,
    /// Nobody reads standard output any more.
    Reader,
    /// Standard input is at its end: its writer has gone, or somebody typed Ctrl-D.
    Input,
}

impl Gone {
    /// Who has gone where standard output, which was a terminal or not, cannot be written.
    #[must_use]
    pub const fn from_output(terminal: bool) -> Self {
        if terminal { Self::Terminal } else { Self::Reader }
    }

    /// What a program that only shows something exits with: a closed terminal is as the signal for it; where somebody
    /// has seen enough, all is well.
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Terminal => 128 + 1,
            Self::Reader | Self::Input => 0,
        }
    }
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Standard output.
    Output,
    /// Standard input, too, where that is a terminal, a pipe or a socket. `/dev/null` and files have no end in this sense.
    /// What is typed on a terminal is thrown away.
    Both,
}

/// Calls `then`, on a thread of its own, once somebody has gone. Where no thread can be had nobody is missed.
pub fn watch(watched: Watched, then: impl FnOnce(Gone) + Send + 'static) {
    // Asked now, not once the thread runs: of a terminal that was closed the kernel does not say that it was one.
    let terminals = Terminals { input: io::stdin().is_terminal(), output: io::stdout().is_terminal() };
    let wait = move || {
        if let Ok(gone) = until_gone(watched, terminals) {
            then(gone);
        }
    };
    // It waits as long as this process lives: nobody joins it.
    drop(thread::Builder::new().name("audience".to_owned()).spawn(wait));
}

/// Which of the standard streams were terminals when the watch began.
#[derive(Debug, Clone, Copy)]
struct Terminals {
    input: bool,
    output: bool,
}

/// Waits until somebody has gone.
fn until_gone(watched: Watched, terminals: Terminals) -> io::Result<Gone> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let typed = watched == Watched::Both && terminals.input;
    let mut elsewhere = false;
    loop {
        let wanted = if typed && !elsewhere { PollFlags::IN } else { PollFlags::RDHUP };
        let mut fds = vec![PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
        if watched == Watched::Both {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), wanted));
        }
        match poll(&mut fds, elsewhere.then_some(&LOOK)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let ended = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if fds[0].revents().intersects(ended) {
            return Ok(Gone::from_output(terminals.output));
        }
        let Some(input) = fds.get(1).map(PollFd::revents) else { continue };
        if input.intersects(ended | PollFlags::RDHUP) {
            return Ok(if typed { Gone::Terminal } else { Gone::Input });
        }
        // Of a terminal that another job has, reading would stop this one (SIGTTIN).
        elsewhere = typed && tcgetpgrp(&stdin).is_ok_and(|foreground| foreground != getpgrp());
        if typed && !elsewhere && input.contains(PollFlags::IN) && rustix::io::read(&stdin, &mut [0; 256])? == 0 {
            return Ok(Gone::Input);
        }
    }
}
