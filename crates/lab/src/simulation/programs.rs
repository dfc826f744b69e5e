//! The programs of a host that a daemon runs as gates, and what becomes of them.

use havipd_core::model::action::{GateKind, GateRun};
use havipd_core::model::ids::OperationId;
use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A program begins less than so many microseconds after the daemon wants it, on a host that runs.
pub(super) const STARTS_WITHIN_US: u64 = 20_000;

/// What a program of a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateEnd {
    /// It ends with exit code 0.
    #[default]
    Succeeds,
    /// It ends with another one.
    Fails,
    /// It does not end, and ignores SIGTERM.
    Hangs,
}

/// The programs of a host, those of all groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Behaviour {
    pub(super) ends: GateEnd,
    pub(super) takes: Duration,
}

/// One that runs, or is to begin.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) run: GateRun,
    pub(super) begun: bool,
}

/// The programs of one host.
#[derive(Debug, Default)]
pub(super) struct Gates {
    pub(super) before_active: Behaviour,
    pub(super) before_release: Behaviour,
    /// Per group.
    pub(super) running: BTreeMap<usize, Running>,
    /// The newest run of this daemon, per group.
    pub(super) newest: BTreeMap<usize, OperationId>,
    /// When one last did not succeed, per group.
    pub(super) failed: BTreeMap<usize, Instant>,
}

impl Gates {
    /// Whether one of them does not succeed, or not within its time: that of `before-active`, and of `before-release`. (seed 55482)
    pub(super) fn ill(&self, before_active: Duration, before_release: Duration) -> bool {
        let late = |b: &Behaviour, within: Duration| {
            !within.is_zero() && b.takes + Duration::from_micros(STARTS_WITHIN_US) >= within
        };
        let (active, release) = (&self.before_active, &self.before_release);
        [active, release].iter().any(|b| b.ends != GateEnd::Succeeds)
            || late(active, before_active)
            || late(release, before_release)
    }

    /// The daemon is gone.
    pub(super) fn die(&mut self) {
        self.running.clear();
        self.newest.clear();
    }

    pub(super) fn of(&self, kind: GateKind) -> Behaviour {
        match kind {
            GateKind::BeforeActive => self.before_active,
            GateKind::BeforeRelease => self.before_release,
        }
    }
}
