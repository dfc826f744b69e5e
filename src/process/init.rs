//! As PID 1 of a container the daemon would be the parent of every process that loses its own, such as what a hook leaves
//! running, and would have to reap them among its own children, which others wait for. So the first process only does
//! that: it runs the daemon as its one child, hands signals on to it, reaps, and ends as the daemon ends.

use super::end_with_parent;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Whether this process is the first of its PID namespace.
#[must_use]
pub fn is_first() -> bool {
    getpid() == Pid::INIT
}

/// Runs this program again as a child, with the same arguments, and gives its exit code, or 128 and the signal that
/// ended it.
///
/// # Errors
/// It cannot be started, or signals cannot be taken over.
pub fn run() -> io::Result<u8> {
    // Before the child: none of its ends may be missed.
    let mut signals = Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2])?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(arguments.next().unwrap_or_else(|| "havipd".into())).args(arguments);
    end_with_parent(&mut command);
    let daemon = Pid::from_child(&command.spawn()?);
    for signal in signals.forever() {
        if signal != SIGCHLD {
            if let Some(signal) = Signal::from_named_raw(signal) {
                // It may have ended just now; that is told next.
                let _ = kill_process(daemon, signal);
            }
            continue;
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == daemon {
                let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
            }
        }
    }
    Ok(1)
}
