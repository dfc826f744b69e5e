//! What the results of checks come to: rise, fall, weight, flapping. Pure; the part that runs the checks says
//! what came of each run and when.
//!
//! ```text
//!             rise passes in a row              rise passes in a row
//!   unknown ───────────────────────► up   down ──────────────────────► up
//!           ───────────────────────► down up   ──────────────────────► down
//!             fall failures in a row            fall failures in a row
//! ```
//! A run that could not be made at all says nothing of the service: unless `on-error` is `fail` it leaves
//! the state, and the count towards the next one, as they are.

mod note;

pub use note::{CheckNote, CheckNotes, in_order, in_the_way};

use crate::model::ids::NodeIndex;
use crate::model::settings::{Check, CheckState, Config, Group, Probe, Rule};
use crate::model::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// A check that changes its state this often within [`FLAP_WINDOW`] flaps.
pub const FLAPS: usize = 6;
/// The window of [`FLAPS`].
pub const FLAP_WINDOW: Duration = Duration::from_secs(600);
/// The largest sum of weights: more could not change any rank, which ends at 254.
const MOST_WEIGHT: i16 = 253;

/// What came of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The service is well.
    Passed,
    /// It is not. A run that was ended by its timeout is a failure, too.
    Failed,
    /// The run could not be made, so nothing is known.
    NotRun,
    /// The number in a file. Without weight everything but zero fails; with one it is multiplied by it.
    Value(i64),
}

/// One check as it is judged.
#[derive(Debug, Clone)]
pub struct Judge {
    rule: Rule,
    state: CheckState,
    since: Instant,
    /// Results in a row that speak for another state than `state`, and which one.
    streak: u32,
    towards: CheckState,
    /// The number in a file, which the weight is multiplied by.
    factor: Option<i16>,
    /// Times of the last changes between up and down, at most [`FLAPS`].
    changes: VecDeque<Instant>,
}

impl Judge {
    /// A check that has not run yet.
    #[must_use]
    pub fn new(rule: Rule, now: Instant) -> Self {
        Self {
            rule,
            state: rule.initial,
            since: now,
            streak: 0,
            towards: CheckState::Unknown,
            factor: None,
            changes: VecDeque::new(),
        }
    }

    /// A check as `node` begins with it. One that runs on other nodes only passes here.
    #[must_use]
    pub fn of(check: &Check, node: NodeIndex, now: Instant) -> Self {
        let mut judge = Self::new(check.rule, now);
        if !check.runs_on(node) {
            judge.state = CheckState::Up;
            // No file adds nothing, as one that holds zero.
            judge.factor = matches!(check.probe, Probe::File(_)).then_some(0);
        }
        judge
    }

    /// Takes in what came of a run; whether the state, or the weight, is another one now.
    pub fn record(&mut self, now: Instant, reading: Reading) -> bool {
        let before = (self.state, self.weight());
        let passed = match reading {
            Reading::Passed => true,
            Reading::Failed => false,
            Reading::NotRun if self.rule.error_fails => false,
            Reading::NotRun => return false,
            Reading::Value(value) => self.take_value(value),
        };
        let (towards, needed) =
            if passed { (CheckState::Up, self.rule.rise) } else { (CheckState::Down, self.rule.fall) };
        self.streak = match () {
            () if towards == self.state => 0,
            () if towards == self.towards => self.streak.saturating_add(1),
            () => 1,
        };
        self.towards = towards;
        if self.streak >= needed {
            self.streak = 0;
            self.become_state(now, towards);
        }
        before != (self.state, self.weight())
    }

    /// With a weight the number counts and the check passes.
    fn take_value(&mut self, value: i64) -> bool {
        let most = i64::from(MOST_WEIGHT);
        if self.rule.weight.is_some() {
            self.factor = i16::try_from(value.clamp(-most, most)).ok();
        }
        value == 0 || self.rule.weight.is_some()
    }

    fn become_state(&mut self, now: Instant, state: CheckState) {
        // The first verdict is no change: nothing was known before.
        if self.state != CheckState::Unknown {
            self.changes.push_back(now);
            if self.changes.len() > FLAPS {
                self.changes.pop_front();
            }
        }
        (self.state, self.since) = (state, now);
    }

    /// What it says.
    #[must_use]
    pub const fn state(&self) -> CheckState {
        self.state
    }

    /// Since when.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Results in a row that speak against its state.
    #[must_use]
    pub const fn streak(&self) -> u32 {
        self.streak
    }

    /// Whether it has failed, and not yet often enough in a row to be down: it is run again sooner.
    #[must_use]
    pub fn wavers(&self) -> bool {
        self.streak > 0 && self.towards == CheckState::Down
    }

    /// Whether it changes its state all the time.
    #[must_use]
    pub fn flaps(&self, now: Instant) -> bool {
        self.changes.iter().filter(|at| now.since(**at) < FLAP_WINDOW).count() >= FLAPS
    }

    /// What it adds to the priority now.
    #[must_use]
    pub fn weight(&self) -> i16 {
        let weight = self.rule.weight.unwrap_or_default();
        let counts = match self.state {
            CheckState::Unknown => false,
            CheckState::Up => weight > 0 || self.factor.is_some(),
            CheckState::Down => weight < 0,
        };
        if counts { weight.saturating_mul(self.factor.unwrap_or(1)).clamp(-MOST_WEIGHT, MOST_WEIGHT) } else { 0 }
    }

    /// Whether it makes this node unfit.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.state == CheckState::Down && self.rule.weight.is_none()
    }
}

/// What the checks of one group come to on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Sum of the weights.
    pub weight: i16,
    /// A check without weight fails.
    pub failed: bool,
    /// A check has not decided yet.
    pub undecided: bool,
}

/// Puts the checks of one group together.
#[must_use]
pub fn combine<'a>(checks: impl IntoIterator<Item = &'a Judge>) -> Health {
    let mut health = Health::default();
    for check in checks {
        health.weight = health.weight.saturating_add(check.weight());
        health.failed |= check.is_fault();
        health.undecided |= check.state() == CheckState::Unknown;
    }
    health.weight = health.weight.clamp(-MOST_WEIGHT, MOST_WEIGHT);
    health
}

/// The health of a group on this node before any check has run.
#[must_use]
pub fn at_start(config: &Config, group: &Group, now: Instant) -> Health {
    let judged = !group.member(config.local).is_none_or(|member| member.witness);
    let checks = group.checks.iter().filter(|_| judged).filter_map(|name| config.check_named(name));
    let judges: Vec<Judge> = checks.map(|check| Judge::of(check, config.local, now)).collect();
    combine(&judges)
}

/// How long after the beginning of the last run the next one begins.
///
/// `dice` shortens it by up to a tenth, so that the checks of many nodes do not keep step with each other, nor with
/// what they check. It is never longer than the file says: promises of detection times hold.
#[must_use]
pub fn next_run(interval: Duration, retry_interval: Duration, judge: &Judge, dice: u32) -> Duration {
    let span = if judge.wavers() { retry_interval } else { interval };
    span - span / 1000 * (dice % 101)
}

#[cfg(test)]
mod tests;
