//! A host's boot-time clock: its own rate, its own origin, and the hypervisor's power to stop it.

use havipd_core::model::time::Instant;
use std::time::Duration;

/// The world's time at the beginning of every scenario.
pub(super) const BEGINNING: Instant = Instant::from_millis(1_000_000);

const MILLION: i128 = 1_000_000;

/// What `CLOCK_BOOTTIME` shows on one host, as a function of the world's time.
#[derive(Debug, Clone)]
pub struct Clock {
    world: Instant,
    guest: Instant,
    ppm: i64,
    stopped: bool,
}

impl Clock {
    /// A clock that shows `guest` at `world` and gains `ppm` millionths.
    #[must_use]
    pub const fn new(world: Instant, guest: Instant, ppm: i64) -> Self {
        Self { world, guest, ppm, stopped: false }
    }

    /// What it shows at `world`.
    #[must_use]
    pub fn read(&self, world: Instant) -> Instant {
        if self.stopped {
            return self.guest;
        }
        let passed = i128::from(world.as_nanos()) - i128::from(self.world.as_nanos());
        let shown = passed + passed * i128::from(self.ppm) / MILLION;
        self.guest + Duration::from_nanos(u64::try_from(shown).unwrap_or(0))
    }

    /// The first instant of the world at which it shows `guest` or later; `None` while it stands still.
    #[must_use]
    pub fn world_at(&self, guest: Instant) -> Option<Instant> {
        if self.stopped || guest == Instant::FAR_FUTURE {
            return None;
        }
        let ahead = i128::from(guest.since(self.guest).as_nanos() as u64);
        let passed = ahead * MILLION / (MILLION + i128::from(self.ppm));
        let mut at = self.world + Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
        while self.read(at) < guest {
            at += Duration::from_nanos(1);
        }
        Some(at)
    }

    /// The hypervisor stops it.
    pub fn stop(&mut self, world: Instant) {
        self.guest = self.read(world);
        self.world = world;
        self.stopped = true;
    }

    /// It goes on where it stood.
    pub fn go_on(&mut self, world: Instant) {
        self.guest = self.read(world);
        self.world = world;
        self.stopped = false;
    }

    /// From now on it gains `ppm` millionths.
    pub fn set_rate(&mut self, world: Instant, ppm: i64) {
        self.guest = self.read(world);
        self.world = world;
        self.ppm = ppm;
    }

    /// How many millionths it gains.
    #[must_use]
    pub const fn ppm(&self) -> i64 {
        self.ppm
    }

    /// The host booted again.
    pub fn restart(&mut self, world: Instant) {
        *self = Self::new(world, Instant::from_millis(3_000), self.ppm);
    }

    /// Whether it stands still.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_and_not_before() {
        for ppm in [-9_999, -1, 0, 1, 500, 9_999] {
            let clock = Clock::new(Instant::from_millis(777), Instant::from_millis(5), ppm);
            for guest in [5_000_000, 5_000_001, 1_234_567_891_011] {
                let guest = Instant::from_nanos(guest);
                let at = clock.world_at(guest).expect("it runs");
                assert!(clock.read(at) >= guest);
                assert!(at == Instant::from_millis(777) || clock.read(at.before(Duration::from_nanos(3))) < guest);
            }
        }
    }

    #[test]
    fn a_stopped_clock_goes_on_where_it_stood() {
        let mut clock = Clock::new(Instant::from_millis(0), Instant::from_millis(100), 0);
        clock.stop(Instant::from_millis(10));
        assert_eq!(clock.read(Instant::from_millis(500)), Instant::from_millis(110));
        assert_eq!(clock.world_at(Instant::from_millis(111)), None);
        clock.go_on(Instant::from_millis(600));
        assert_eq!(clock.read(Instant::from_millis(601)), Instant::from_millis(111));
    }
}
