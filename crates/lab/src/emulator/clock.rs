//! The one place where the emulator reads clocks.

use havipd_core::model::time::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicI64, Ordering};

/// Boot time for the model, wall time (which tests may shift) for signatures and `Date`.
#[derive(Debug, Default)]
pub(super) struct Clock {
    offset_millis: AtomicI64,
}

impl Clock {
    /// Now on the host's boot-time clock.
    pub(super) fn now(&self) -> Instant {
        let t = clock_gettime(ClockId::Boottime);
        let nanos = t.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(t.tv_nsec.unsigned_abs());
        Instant::from_nanos(nanos)
    }

    /// Seconds since 1970 on the emulated cloud's wall clock.
    pub(super) fn unix_seconds(&self) -> i64 {
        let t = clock_gettime(ClockId::Realtime);
        let millis = t.tv_sec.saturating_mul(1000).saturating_add(t.tv_nsec / 1_000_000);
        millis.saturating_add(self.offset_millis.load(Ordering::Relaxed)).div_euclid(1000)
    }

    /// Sets how far the cloud's wall clock is ahead of the host's.
    pub(super) fn set_offset_millis(&self, offset: i64) {
        self.offset_millis.store(offset, Ordering::Relaxed);
    }
}

/// `unix_seconds` as HTTP's `Date` has it.
pub(super) fn http_date(unix_seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(unix_seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Reads HTTP's `Date`.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let at = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S", text.trim().strip_suffix("GMT")?.trim_end()).ok()?;
    let at = at.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_read_back() {
        assert_eq!(http_date(1_791_374_400), "Wed, 07 Oct 2026 12:00:00 GMT");
        assert_eq!(parse_http_date("Wed, 07 Oct 2026 12:00:00 GMT"), Some(1_791_374_400));
        assert_eq!(parse_http_date("2026-10-07"), None);
    }
}
