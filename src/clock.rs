//! The one place outside tests that reads the boot-time clock.
//!
//! The pure layers get their [`Instant`]s from what drives them; everything with effects takes
//! them from here, so that all of them count on the same clock (`CLOCK_BOOTTIME`: it goes on while
//! the guest is suspended, and nobody can set it).

use havipd_core::model::time::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::time::Duration;

/// Where the kernel tells which boot this is.
const MACHINE_BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Now, on `CLOCK_BOOTTIME`.
#[must_use]
pub fn now() -> Instant {
    #[cfg(test)]
    return read() + suspended::so_long();
    #[cfg(not(test))]
    read()
}

fn read() -> Instant {
    let t = clock_gettime(ClockId::Boottime);
    // Boot time starts at zero and never runs backwards, so neither part is ever negative.
    let seconds = u64::try_from(t.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(t.tv_nsec).unwrap_or_default();
    Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// What is left until `deadline`; `None` when it is reached.
#[must_use]
pub fn left(deadline: Instant) -> Option<Duration> {
    let left = deadline.since(now());
    (!left.is_zero()).then_some(left)
}

/// What `what` gives, if it does so before `deadline`.
///
/// The wait itself counts `CLOCK_MONOTONIC`, which stands still while the host is suspended: a waiter may wake long
/// after the deadline. So whatever has an effect looks at [`now`] again immediately before it acts.
pub async fn timeout_at<T>(deadline: Instant, what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(left(deadline).unwrap_or_default(), what).await.ok()
}

/// Waits until `deadline`, or a little longer; see [`timeout_at`].
pub async fn sleep_until(deadline: Instant) {
    while let Some(left) = left(deadline) {
        tokio::time::sleep(left).await;
    }
}

/// The kernel's name of this boot of the machine, in which this clock began at zero.
///
/// # Errors
/// `/proc` cannot be read.
pub fn machine_boot() -> io::Result<String> {
    Ok(std::fs::read_to_string(MACHINE_BOOT)?.trim().to_owned())
}

/// A guest that was suspended, as its own thread sees it: this clock went on, `CLOCK_MONOTONIC` did not.
#[cfg(test)]
pub(crate) mod suspended {
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static SO_LONG: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub(super) fn so_long() -> Duration {
        SO_LONG.get()
    }

    /// The guest of this thread is suspended now, and goes on after `span`.
    pub(crate) fn suspend(span: Duration) {
        SO_LONG.set(SO_LONG.get() + span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_kernels_uptime() {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc is mounted");
        let seconds: f64 = uptime.split(' ').next().expect("two numbers").parse().expect("a number");
        let difference = now().since(Instant::default()).as_secs_f64() - seconds;
        assert!((-1.0..60.0).contains(&difference), "{difference}");
    }

    #[test]
    fn time_passes() {
        let before = now();
        assert!(before.as_nanos() > 0);
        assert!(now() >= before);
        assert_eq!(left(before), None);
        assert!(left(before + Duration::from_secs(60)).is_some());
    }
}
