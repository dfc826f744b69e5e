//! The gates of one group: what runs, how it ended, and what waits for its end.

use crate::model::action::{GateKind, GateRun};
use crate::model::ids::{NodeIndex, OperationId};
use crate::model::role::{Cause, Role};
use crate::model::settings::Group as Settings;
use crate::model::time::Instant;
use std::time::Duration;

/// So long after that the word that it has ended is waited for.
pub(in crate::election) const REPORT: Duration = Duration::from_secs(1);

/// The gates of one group.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// What runs, or is to run.
    pub(in crate::election) running: Option<Running>,
    /// `before-active` has succeeded in this term.
    pub(in crate::election) passed: bool,
    /// How what ran last ended, until that has been acted on.
    pub(in crate::election) result: Option<(bool, String)>,
    /// What happens to leadership once the program, which was told to end, has ended.
    pub(in crate::election) loss: Option<Loss>,
}

#[derive(Debug)]
pub(in crate::election) struct Running {
    pub(in crate::election) run: GateRun,
    pub(in crate::election) since: Instant,
    /// When it was last asked for, and until when it was to run on then.
    pub(in crate::election) asked: Option<(Instant, Instant)>,
    /// What the planned move is for, of `before-release`.
    pub(in crate::election) why: String,
}

/// A loss of leadership.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) to: Role,
    pub(crate) cause: Cause,
    pub(crate) text: String,
    pub(crate) peer: Option<NodeIndex>,
}

/// A gate that runs, for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InGate {
    pub(crate) kind: GateKind,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
}

impl Gate {
    /// How long a claim may take longer because of its gate.
    pub(crate) fn patience(settings: &Settings) -> Duration {
        settings
            .before_active
            .as_ref()
            .map_or(Duration::ZERO, |_| settings.before_active_timeout + GateRun::GRACE + REPORT)
    }

    /// Whether a program runs, or has not said yet that it does not.
    pub(crate) fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// What runs now.
    pub(crate) fn now(&self) -> Option<InGate> {
        let Running { run, since, .. } = self.running.as_ref()?;
        Some(InGate { kind: run.kind, since: *since, deadline: run.deadline })
    }

    /// A run has ended. False if it is none that is waited for.
    pub(crate) fn ended(&mut self, op: OperationId, passed: bool, text: String) -> bool {
        let expected = self.running.as_ref().is_some_and(|r| r.run.op == op);
        if expected && self.result.is_none() {
            self.result = Some((passed, text));
        }
        expected
    }
}
