//! One step of the state machine, as far as every part of the core may see it and add to it.

use super::action::Actions;
use super::ids::{BootId, OperationId, Target};
use super::settings::Config;
use super::time::Instant;
use super::timer::Timers;
use std::time::Duration;

/// The facts that every part may read, and the lists that it may add to.
#[derive(Debug)]
pub(crate) struct ReconcileContext<'a> {
    /// The instant of the event.
    pub(crate) now: Instant,
    pub(crate) config: &'a Config,
    /// Our current start.
    pub(crate) boot: BootId,
    /// What this node is to the cloud.
    pub(crate) identity: Option<&'a Target>,
    pub(crate) ops: &'a mut Operations,
    pub(crate) jitter: &'a mut Jitter,
    pub(crate) out: &'a mut Actions,
    pub(crate) timers: &'a mut Timers,
    /// Set when the state file must be written.
    pub(crate) persist: &'a mut bool,
}

impl ReconcileContext<'_> {
    /// Asks for a step at `at`.
    pub(crate) fn wake(&mut self, at: Instant) {
        self.timers.due(self.now, at);
    }

    /// Whether `at` has come; if not, asks for a step when it does.
    pub(crate) fn due(&mut self, at: Instant) -> bool {
        self.timers.due(self.now, at)
    }
}

/// Numbers of operations, each given once.
#[derive(Debug, Default)]
pub(crate) struct Operations(u64);

impl Operations {
    /// A new number.
    pub(crate) fn next(&mut self) -> OperationId {
        self.0 += 1;
        OperationId(self.0)
    }
}

/// Chance, from the seed that the core was given.
#[derive(Debug)]
pub(crate) struct Jitter(fastrand::Rng);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// `span`, made longer or shorter by up to a fifth.
    pub(crate) fn around(&mut self, span: Duration) -> Duration {
        span.mul_f64(0.8 + 0.4 * self.0.f64())
    }

    /// A random part of `span`.
    pub(crate) fn part_of(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.0.f64())
    }

    /// Fills `bytes` at random.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
