//! The programs of a host that a daemon runs as gates, and what becomes of them.

use havipd_core::model::action::{GateKind, GateRun};
use havipd_core::model::ids::OperationId;
use havipd_core::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Whether one of them does not succeed.
    pub(super) fn ill(&self) -> bool {
        [self.before_active, self.before_release].iter().any(|b| b.ends != GateEnd::Succeeds)
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
