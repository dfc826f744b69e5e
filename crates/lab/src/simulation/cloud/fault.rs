//! Faults on command: which calls they hit, and what happens to those.

use super::request::{Call, Operation};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which calls a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All of them.
    #[default]
    Any,
    /// Detail, list, instance and ENI calls.
    Read,
    /// Attach and detach.
    Write,
    /// HAVIP detail.
    Detail,
    /// HAVIP list.
    List,
    /// HAVIP attach.
    Attach,
    /// HAVIP detach.
    Detach,
    /// Instance detail and list.
    Instance,
    /// ENI lists.
    Eni,
    /// Metadata.
    Metadata,
}

impl Scope {
    /// Whether calls of that kind are meant.
    #[must_use]
    pub const fn covers(self, operation: Operation) -> bool {
        match self {
            Self::Any => true,
            Self::Read => !operation.writes() && !matches!(operation, Operation::Metadata),
            Self::Write => operation.writes(),
            Self::Detail => matches!(operation, Operation::Detail),
            Self::List => matches!(operation, Operation::List),
            Self::Attach => matches!(operation, Operation::Attach),
            Self::Detach => matches!(operation, Operation::Detach),
            Self::Instance => matches!(operation, Operation::Instance),
            Self::Eni => matches!(operation, Operation::Eni),
            Self::Metadata => matches!(operation, Operation::Metadata),
        }
    }
}

/// What happens to a call instead of the usual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Fault {
    /// An error answer.
    Status {
        /// HTTP status.
        status: u16,
        /// The cloud's code; without one the body is empty.
        #[serde(default)]
        code: String,
        /// Text for people.
        #[serde(default)]
        message: String,
        /// `Retry-After`, seconds.
        #[serde(default)]
        retry_after: Option<u64>,
        /// Whether the call is carried out all the same.
        #[serde(default)]
        applied: bool,
    },
    /// Not carried out, never answered.
    Hang,
    /// Not carried out, connection reset.
    Reset,
    /// Carried out, never answered.
    ApplyThenHang,
    /// Carried out, then the connection is reset.
    ApplyThenReset,
    /// A write is answered with 200 and not carried out.
    Lie,
    /// A write is carried out only after a delay.
    Late {
        /// The delay.
        #[serde(rename = "delay-ms", with = "super::millis")]
        delay: Duration,
        /// Whether it is answered with 200 at once, or never.
        answered: bool,
    },
    /// Carried out at once, answered after a delay. Adds up with other faults.
    Slow {
        /// The delay.
        #[serde(rename = "delay-ms", with = "super::millis")]
        delay: Duration,
    },
    /// As `Slow`, and each call by so much more than the one before.
    Slower {
        /// The delay of the next one.
        #[serde(rename = "delay-ms", with = "super::millis")]
        delay: Duration,
        /// What it grows by.
        #[serde(rename = "by-ms", with = "super::millis")]
        by: Duration,
    },
    /// Not carried out: 429, with that in `Retry-After`, whatever it is.
    PushedBack {
        /// Seconds, a date, or what nobody understands.
        retry_after: String,
    },
    /// Carried out, answered with 200 and a body that is not JSON.
    BadJson,
    /// Not carried out, answered as the profile has it for too many calls.
    Throttle,
    /// A HAVIP read shows what was true a while ago.
    StaleRead {
        /// How long ago.
        #[serde(rename = "age-ms", with = "super::millis")]
        age: Duration,
    },
    /// A HAVIP read names somebody else as master.
    LyingRead {
        /// The target that is named.
        master: String,
    },
}

impl Fault {
    /// Whether it can happen to calls of that kind; a rule passes over the others.
    #[must_use]
    pub const fn fits(&self, operation: Operation) -> bool {
        match self {
            Self::Lie | Self::Late { .. } => operation.writes(),
            Self::StaleRead { .. } | Self::LyingRead { .. } => operation.shows_bindings(),
            _ => true,
        }
    }
}

/// Which calls, how often, and what happens to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FaultRule {
    /// Kind of call.
    #[serde(default)]
    pub operation: Scope,
    /// Only calls of who goes by this access key id, node name or target id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Only calls that name this HAVIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub havip: Option<String>,
    /// Let this many matching calls pass first.
    #[serde(default)]
    pub skip: u32,
    /// Hit this many, then be gone; absent is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Share of matching calls that are hit, 0 to 1; absent is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// What happens.
    pub fault: Fault,
}

impl FaultRule {
    /// A rule for every call of that kind, for ever.
    #[must_use]
    pub const fn new(operation: Scope, fault: Fault) -> Self {
        Self { operation, caller: None, havip: None, skip: 0, times: None, chance: None, fault }
    }

    /// The same for so many calls.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// The same for one caller.
    #[must_use]
    pub fn for_caller(mut self, caller: &str) -> Self {
        self.caller = Some(caller.to_owned());
        self
    }

    fn matches(&self, call: &Call) -> bool {
        let operation = call.request.operation();
        self.operation.covers(operation)
            && self.fault.fits(operation)
            && self.caller.as_ref().is_none_or(|c| call.caller.is(c))
            && self.havip.as_deref().is_none_or(|h| call.request.havip() == Some(h))
    }
}

/// What was picked for one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Picked {
    /// The fault, if one was hit.
    pub(super) fault: Option<Fault>,
    /// Sum of the delays of all [`Fault::Slow`] and [`Fault::Slower`] that were hit.
    pub(super) delay: Duration,
}

/// The rules in force, oldest first, each with the number that removes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    rules: Vec<(u64, FaultRule)>,
    last: u64,
}

/// Rules kept at most; one more replaces the oldest.
const RULES_MAX: usize = 1000;

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) -> u64 {
        if self.rules.len() == RULES_MAX {
            self.rules.remove(0);
        }
        self.last += 1;
        self.rules.push((self.last, rule));
        self.last
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|(i, _)| *i != id);
        self.rules.len() != before
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn rules(&self) -> &[(u64, FaultRule)] {
        &self.rules
    }

    /// What happens to `call`: every delay that applies, and the first other fault.
    pub(super) fn pick(&mut self, call: &Call, rng: &mut fastrand::Rng) -> Picked {
        let mut picked = Picked::default();
        for (_, rule) in &mut self.rules {
            let slow = matches!(rule.fault, Fault::Slow { .. } | Fault::Slower { .. });
            if rule.times == Some(0) || !rule.matches(call) || (picked.fault.is_some() && !slow) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.chance.is_some_and(|c| rng.f64() >= c) {
                continue;
            }
            if let Some(left) = &mut rule.times {
                *left -= 1;
            }
            match &mut rule.fault {
                Fault::Slow { delay } => picked.delay += *delay,
                Fault::Slower { delay, by } => {
                    picked.delay += *delay;
                    *delay += *by;
                }
                other => picked.fault = Some(other.clone()),
            }
        }
        self.rules.retain(|(_, rule)| rule.times != Some(0));
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::{Caller, Request};
    use super::*;

    fn detail(caller: &str) -> Call {
        Call::new(Caller::named(caller), Request::Detail { havip: "havip-1".to_owned() })
    }

    #[test]
    fn rules_count_skip_and_expire() {
        let mut faults = Faults::default();
        let mut rng = fastrand::Rng::with_seed(1);
        faults.add(FaultRule { skip: 1, ..FaultRule::new(Scope::Read, Fault::Hang).times(2) });
        let hits: Vec<bool> = (0..5).map(|_| faults.pick(&detail("a"), &mut rng).fault.is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn only_the_caller_and_only_fitting_calls_are_hit() {
        let mut faults = Faults::default();
        let mut rng = fastrand::Rng::with_seed(1);
        faults.add(FaultRule::new(Scope::Any, Fault::Lie));
        faults.add(FaultRule::new(Scope::Any, Fault::Reset).for_caller("a"));
        assert_eq!(faults.pick(&detail("b"), &mut rng), Picked::default());
        assert_eq!(faults.pick(&detail("a"), &mut rng).fault, Some(Fault::Reset));
    }

    #[test]
    fn delays_add_up_beside_one_other_fault() {
        let mut faults = Faults::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let slow = |ms| FaultRule::new(Scope::Any, Fault::Slow { delay: Duration::from_millis(ms) });
        faults.add(slow(20));
        faults.add(FaultRule::new(Scope::Any, Fault::BadJson));
        faults.add(FaultRule::new(Scope::Any, Fault::Hang));
        faults.add(slow(3));
        let picked = faults.pick(&detail("a"), &mut rng);
        assert_eq!(picked, Picked { fault: Some(Fault::BadJson), delay: Duration::from_millis(23) });
    }

    #[test]
    fn each_answer_of_one_that_gets_slower_is_slower() {
        let mut faults = Faults::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let (delay, by) = (Duration::from_millis(5), Duration::from_millis(100));
        faults.add(FaultRule::new(Scope::Any, Fault::Slower { delay, by }).times(3));
        let delays: Vec<u128> = (0..4).map(|_| faults.pick(&detail("a"), &mut rng).delay.as_millis()).collect();
        assert_eq!(delays, [5, 105, 205, 0]);
    }

    #[test]
    fn a_chance_hits_some() {
        let mut faults = Faults::default();
        let mut rng = fastrand::Rng::with_seed(7);
        faults.add(FaultRule { chance: Some(0.25), ..FaultRule::new(Scope::Any, Fault::Hang) });
        let hits = (0..1000).filter(|_| faults.pick(&detail("a"), &mut rng).fault.is_some()).count();
        assert!((150..350).contains(&hits), "{hits}");
    }
}
