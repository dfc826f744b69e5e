//! The gates of one group: what runs, how it ended, and what waits for its end.

use crate::model::action::{GateKind, GateRun};
use crate::model::ids::{NodeIndex, OperationId};
use crate::model::role::{Cause, Role};
use crate::model::settings::Group as Settings;
use crate::model::time::Instant;
use std::time::Duration;

/// So long after that the word that it has ended is waited for.
const REPORT: Duration = Duration::from_secs(1);

/// The gates of one group.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// What runs, or is to run.
    running: Option<Running>,
    /// `before-active` has succeeded in this term.
    passed: bool,
    /// How what ran last ended, until that has been acted on.
    result: Option<(bool, String)>,
    /// What happens to leadership once the program, which was told to end, has ended.
    loss: Option<Loss>,
}

#[derive(Debug)]
struct Running {
    run: GateRun,
    since: Instant,
    /// When it was last asked for, and until when it was to run on then.
    asked: Option<(Instant, Instant)>,
    /// What the planned move is for, of `before-release`.
    why: String,
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

    /// A program is to run; `why` is what the planned move is for, of `before-release`.
    pub(crate) fn begin(&mut self, now: Instant, run: GateRun, why: String) {
        self.result = None;
        self.running = Some(Running { run, since: now, asked: None, why });
    }

    /// Whom the planned move leads to, its cause and what it is for, of the program that runs.
    pub(crate) fn about(&self) -> Option<(Option<NodeIndex>, Cause, String)> {
        self.running.as_ref().map(|r| (r.run.other, r.run.cause, r.why.clone()))
    }

    /// When nothing more is to be heard of what runs.
    pub(crate) fn over(&self) -> Option<Instant> {
        self.running.as_ref().map(|r| r.run.deadline + GateRun::GRACE + REPORT)
    }

    /// The run to ask for now: once in `interval`, and when it may not run on for as long as was said.
    pub(crate) fn run_on(&mut self, now: Instant, interval: Duration, until: Instant) -> Option<GateRun> {
        let running = self.running.as_mut()?;
        running.asked.is_none_or(|(at, before)| now >= at + interval || until < before).then(|| {
            running.asked = Some((now, until));
            running.run.leadership_until = until;
            running.run.clone()
        })
    }

    /// The run that is to be told now, once in `interval`, that it is to end.
    pub(crate) fn stop(&mut self, now: Instant, interval: Duration) -> Option<OperationId> {
        let running = self.running.as_mut()?;
        running.asked.is_none_or(|(at, _)| now >= at + interval).then(|| {
            running.asked = Some((now, now));
            running.run.op
        })
    }

    /// Whether it is known how what ran last has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.result.is_some()
    }

    /// How it ended, once.
    pub(crate) fn take_result(&mut self) -> Option<(bool, String)> {
        let result = self.result.take()?;
        self.running = None;
        Some(result)
    }

    /// `before-active` has succeeded: this term's gate is passed.
    pub(crate) fn pass(&mut self) {
        self.passed = true;
    }

    /// Whether it is.
    pub(crate) fn is_passed(&self) -> bool {
        self.passed
    }

    /// Leadership is lost once the program has ended. Gives the run to be ended, the first time.
    pub(crate) fn put_off(&mut self, loss: Loss) -> Option<OperationId> {
        if self.loss.is_some() {
            return None;
        }
        self.loss = Some(loss);
        self.running.as_ref().map(|r| r.run.op)
    }

    /// Whether a loss is put off.
    pub(crate) fn puts_off(&self) -> bool {
        self.loss.is_some()
    }

    /// The program has ended: what was put off happens.
    pub(crate) fn take_loss(&mut self) -> Option<Loss> {
        self.running = None;
        self.loss.take()
    }

    /// The term is over, and the next one begins with its gate closed. Gives the run to be ended.
    pub(crate) fn close(&mut self) -> Option<OperationId> {
        std::mem::take(self).running.map(|r| r.run.op)
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
