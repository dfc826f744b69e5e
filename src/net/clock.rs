//! The core side's one timer, and when the kernel took a datagram from the network.
//!
//! The timer is CLOCK_BOOTTIME as [`crate::clock`] is, so a guest that was suspended finds its
//! deadlines expired the moment it runs again, and nobody can set either of them.

use super::readiness::readable;
use crate::clock::now;
use havipd_core::model::time::Instant;
use rustix::fd::{AsFd, OwnedFd};
use rustix::time::{ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::io;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

const NANOS: u64 = 1_000_000_000;
/// `asm-generic/sockios.h`.
const SIOCGSTAMPNS: rustix::ioctl::Opcode = 0x8907;

/// When the kernel took the datagram from the network that was read from `socket` last, if `drained` is when that
/// socket was found empty before.
///
/// The kernel dates by the wall clock, which anybody may set: so only the age counts, which two readings at one moment
/// give, and no step of that clock between arrival and reading can move it out of what is known without it.
pub(crate) fn arrival(socket: &impl AsFd, drained: Instant) -> Instant {
    let Ok(stamp) = stamp(socket) else { return now() };
    let wall = nanos(rustix::time::clock_gettime(ClockId::Realtime));
    dated(now(), wall, nanos(stamp), drained)
}

fn dated(now: Instant, wall: u64, stamp: u64, drained: Instant) -> Instant {
    now.before(Duration::from_nanos(wall.saturating_sub(stamp))).max(drained).min(now)
}

/// By the wall clock, when the kernel took the datagram from the network that was read last.
///
/// # Errors
/// When none was read yet.
#[expect(unsafe_code, reason = "no crate that we have asks a socket for its time stamp")]
pub(crate) fn stamp(socket: &impl AsFd) -> io::Result<Timespec> {
    // SAFETY: SIOCGSTAMPNS writes one timespec of the kernel's size of a word, which this target's is.
    let stamp = unsafe { rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<SIOCGSTAMPNS, libc::timespec>::new()) }?;
    Ok(Timespec { tv_sec: stamp.tv_sec, tv_nsec: stamp.tv_nsec })
}

fn nanos(t: Timespec) -> u64 {
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    seconds.saturating_mul(NANOS).saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0))
}

/// One re-usable timer with the kernel's resolution (`timerfd_create(2)`).
///
/// Tokio's own timer counts CLOCK_MONOTONIC, which stands still while the guest is suspended, and
/// rounds up to milliseconds.
#[derive(Debug)]
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    /// A timer of the current runtime.
    ///
    /// # Errors
    /// When the kernel has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let fd =
            rustix::time::timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { fd: readable(fd)? })
    }

    /// Returns once [`now`] has reached `deadline`; at once when it already has, whatever else the
    /// runtime has to do. May be dropped and called again with another deadline.
    pub async fn sleep_until(&mut self, deadline: Instant) {
        if now() >= deadline {
            return;
        }
        if deadline == Instant::FAR_FUTURE || self.arm(deadline).is_err() {
            return std::future::pending().await;
        }
        while now() < deadline {
            let Ok(mut ready) = self.fd.readable().await else {
                // The runtime is shutting down: nobody is left to wake.
                return std::future::pending().await;
            };
            // A timer that was armed anew starts unread, so readiness left over from the last
            // deadline shows as "would block" here and is cleared.
            let _ = ready.try_io(|fd| rustix::io::read(fd, &mut [0; 8]).map_err(io::Error::from));
        }
    }

    fn arm(&self, deadline: Instant) -> rustix::io::Result<()> {
        let nanos = deadline.as_nanos();
        let it_value = Timespec {
            tv_sec: i64::try_from(nanos / NANOS).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanos % NANOS).unwrap_or(0),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_cannot_date_a_datagram_out_of_bounds() {
        let (now, drained) = (Instant::from_millis(9_000), Instant::from_millis(8_000));
        let ms = |wall: u64, stamp: u64| dated(now, wall * 1_000_000, stamp * 1_000_000, drained).as_millis();
        assert_eq!(ms(50_300, 50_000), 8_700, "so old is it");
        assert_eq!(ms(3_650_300, 50_000), 8_000, "set forward meanwhile: no older than what was not there before");
        assert_eq!(ms(40_000, 50_000), 9_000, "set back meanwhile: no younger than now");
    }

    #[tokio::test]
    async fn a_timer_never_fires_early_and_can_be_moved() {
        let mut timer = Timer::new().unwrap();
        for millis in [0, 1, 3] {
            let deadline = now() + Duration::from_millis(millis);
            timer.sleep_until(deadline).await;
            assert!(now() >= deadline);
        }
        // Given up before it fired, then armed for later: the first deadline must not end the second wait.
        let first = now() + Duration::from_millis(2);
        let second = first + Duration::from_millis(20);
        tokio::select! {
            biased;
            () = timer.sleep_until(first + Duration::from_secs(60)) => unreachable!("a minute has not passed"),
            () = std::future::ready(()) => {}
        }
        tokio::select! {
            biased;
            () = timer.sleep_until(first) => {}
            () = std::future::ready(()) => {}
        }
        timer.sleep_until(second).await;
        assert!(now() >= second);
    }

    #[tokio::test]
    async fn a_reached_deadline_needs_no_turn_of_the_runtime() {
        let mut timer = Timer::new().unwrap();
        tokio::select! {
            biased;
            () = timer.sleep_until(Instant::default()) => {}
            () = std::future::ready(()) => panic!("the timer did not come first"),
        }
    }
}
