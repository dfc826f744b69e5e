//! When keepalived said something, in an order that does not depend on who is quicker.
//!
//! keepalived starts notify commands without waiting for them, so two of them may run at once and the older may come
//! in last. They are ordered by when the kernel made their processes, and within one tick of its clock by their
//! numbers, which it gives out in order.

use crate::clock;
use serde::{Deserialize, Serialize};
use std::io;

/// `USER_HZ`: the unit of `/proc/PID/stat` is 10 ms on every architecture that matters (time(7)).
const NANOS_PER_TICK: u64 = 10_000_000;
/// The kernel never gives out a larger number (proc(5), `pid_max`).
const MOST_PIDS: u32 = 1 << 22;

/// An instant of one boot, fine enough to tell processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stamp {
    /// Ticks of 10 ms since the host booted.
    pub ticks: u64,
    /// Number of the process; zero for what was not said by one.
    pub pid: u32,
}

impl Stamp {
    /// When this process began, which is when keepalived spoke.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn of_this_process() -> io::Result<Self> {
        let pid = std::process::id();
        Ok(Self { ticks: began(pid)?, pid })
    }

    /// When a process began that is known to live; now if it is hidden from us.
    #[must_use]
    pub fn of(pid: Option<u32>) -> Self {
        pid.and_then(|pid| Some(Self { ticks: began(pid).ok()?, pid })).unwrap_or_else(Self::now)
    }

    /// Whether it lies ahead. The kernel gives no such stamp: it is a forgery, or damage.
    #[must_use]
    pub fn is_ahead(self) -> bool {
        self.ticks > Self::now().ticks
    }

    /// Now, for what is read from the FIFO, which is in order by itself.
    #[must_use]
    pub fn now() -> Self {
        Self { ticks: clock::now().as_nanos() / NANOS_PER_TICK, pid: 0 }
    }

    /// Whether `other` was said after this.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        if self.ticks != other.ticks || self.pid == 0 || other.pid == 0 {
            return self.ticks < other.ticks;
        }
        // Numbers begin again after the largest.
        self.pid != other.pid && other.pid.wrapping_sub(self.pid) % MOST_PIDS < MOST_PIDS / 2
    }
}

/// In which tick since the host booted a process began (proc(5), `starttime`).
///
/// # Errors
/// There is no such process, or it is hidden from us.
pub fn began(pid: u32) -> io::Result<u64> {
    Ok(stat(pid)?.1)
}

/// Name and beginning of a process.
pub(super) fn stat(pid: u32) -> io::Result<(String, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as proc(5) says"));
    // The name is in parentheses and may have any in it.
    let (head, rest) = text.rsplit_once(')').ok_or_else(wrong)?;
    let name = head.split_once('(').ok_or_else(wrong)?.1.to_owned();
    let ticks = rest.split_whitespace().nth(19).and_then(|t| t.parse().ok()).ok_or_else(wrong)?;
    Ok((name, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ticks: u64, pid: u32) -> Stamp {
        Stamp { ticks, pid }
    }

    #[test]
    fn order_is_that_of_the_kernel() {
        assert!(at(1, 900).is_before(at(2, 5)));
        assert!(!at(2, 5).is_before(at(1, 900)));
        assert!(at(1, 5).is_before(at(1, 6)));
        assert!(!at(1, 6).is_before(at(1, 5)));
        assert!(!at(1, 5).is_before(at(1, 5)));
        assert!(at(1, MOST_PIDS - 2).is_before(at(1, 301)), "numbers began again");
        assert!(!at(1, 0).is_before(at(1, 7)) && !at(1, 7).is_before(at(1, 0)));
    }

    #[test]
    fn this_process_began_before_now() {
        let began = Stamp::of_this_process().expect("/proc");
        assert_eq!(began.pid, std::process::id());
        assert!(!began.is_ahead() && Stamp { ticks: u64::MAX, pid: 1 }.is_ahead());
        assert_eq!((Stamp::of(Some(began.pid)), Stamp::of(Some(u32::MAX)).pid, Stamp::of(None).pid), (began, 0, 0));
        assert!(stat(u32::MAX).is_err());
    }
}
