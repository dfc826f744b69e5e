//! The boot-time clock, which all namespaces share, and waiting for facts.

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// How often a fact is looked at again.
const GLANCE: Duration = Duration::from_millis(5);

/// An instant: nanoseconds since the host was booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let t = clock_gettime(ClockId::Boottime);
        Self(t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs())
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self(self.0 + u64::try_from(wait.as_nanos()).expect("within centuries"))
    }

    /// Time since `earlier`; zero if that is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds from `earlier`, negative if that is not earlier.
    pub(crate) fn ms_after(self, earlier: Self) -> f64 {
        (self.0 as f64 - earlier.0 as f64) / 1e6
    }

    /// Lets the thread rest until then.
    pub(crate) fn rest_until(self) {
        let seconds = i64::try_from(self.0 / 1_000_000_000).expect("within centuries");
        let nanos = i64::try_from(self.0 % 1_000_000_000).expect("below a second");
        while clock_nanosleep_absolute(ClockId::Boottime, &Timespec { tv_sec: seconds, tv_nsec: nanos }).is_err() {}
    }
}

/// What `look` finds as soon as it finds it; its last objection if that does not happen within `patience`.
pub(crate) fn wait<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let deadline = Moment::now().after(patience);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(objection) if Moment::now() >= deadline => {
                return Err(format!("{what}: not within {} s: {objection}", patience.as_secs_f32()));
            }
            Err(_) => Moment::now().after(GLANCE).rest_until(),
        }
    }
}
