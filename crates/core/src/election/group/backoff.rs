//! Waiting longer after each failure: claims that failed, addresses that could not be put.

use crate::election::step_context::StepContext;
use crate::model::role::Cause;
use crate::model::time::Instant;
use crate::reconcile::Failure;
use std::time::Duration;

/// The longest wait after failed claims.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest wait before a node asks again for what another one has, after its gate failed.
const LONGEST_BEFORE_PREEMPTION: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone)]
struct Failed {
    since: Instant,
    until: Instant,
    cause: Cause,
    text: String,
}

/// What a group waits for after failures of this node.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    claim: Option<Failed>,
    failures: u32,
    /// The last claim got only some of the HAVIPs and was given up for somebody who might get all.
    passed_on: bool,
    /// An address could not be put here.
    address: Option<Failed>,
    address_failures: u32,
    /// The last claim failed by its gate: nothing is preempted before.
    preempts_from: Option<Instant>,
    gate_failures: u32,
}

impl Backoff {
    /// A claim failed: no other for a while, longer each time.
    ///
    /// ⚠ A gate that failed is likely to fail again, and a move that it ends costs what the old node gave up for it. Nobody needs
    /// that move while the other one is active: it is tried after `preempts_after`, four times as long after each further
    /// failure. Where nobody is active nothing but the usual wait holds a claim back.
    /// (`preempts-though-its-gate-failed`)
    pub(crate) fn claim_failed(&mut self, step: &mut StepContext<'_>, failure: &Failure, preempts_after: Duration) {
        if failure.cause == Cause::GateFailed {
            let wait = preempts_after.saturating_mul(4_u32.saturating_pow(self.gate_failures));
            let wait = wait.min(LONGEST_BEFORE_PREEMPTION.max(preempts_after));
            self.gate_failures = self.gate_failures.saturating_add(1);
            self.preempts_from = Some(step.now + wait);
        }
        let lease = step.dead_time();
        let base = lease.saturating_mul(1 << self.failures.min(6)).min(LONGEST.max(lease));
        let wait = step.jittered(base) + step.part_of(lease);
        let until = step.now + wait.max(failure.retry_after.unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        self.claim = Some(Failed { since: step.now, until, cause: failure.cause, text: failure.text.clone() });
    }

    /// Claims work again; `whole`: for every HAVIP.
    pub(crate) fn claim_worked(&mut self, whole: bool) {
        self.claim = None;
        self.failures = 0;
        self.passed_on &= !whole;
        (self.preempts_from, self.gate_failures) = (None, 0);
    }

    /// Until when nothing is preempted because the gate of the last claim failed, if that is after `now`.
    pub(crate) fn preempts_from(&self, now: Instant) -> Option<Instant> {
        self.preempts_from.filter(|from| *from > now)
    }

    /// A claim that got only some of the HAVIPs is given up.
    pub(crate) fn pass_on(&mut self) {
        self.passed_on = true;
    }

    /// Whether such a claim was given up since the last one that got them all.
    pub(crate) fn passed_on(&self) -> bool {
        self.passed_on
    }

    /// Until when no other claim may be tried, if that is after `now`.
    pub(crate) fn claim_until(&self, now: Instant) -> Option<Instant> {
        self.claim.as_ref().map(|f| f.until).filter(|until| *until > now)
    }

    /// Whether no other claim may be tried yet because the gate of the last one failed.
    pub(crate) fn waits_for_gate(&self, now: Instant) -> bool {
        self.claim.as_ref().is_some_and(|f| f.cause == Cause::GateFailed && f.until > now)
    }

    /// The last claim that failed, if none has worked since: when, the cause, and what was answered.
    pub(crate) fn failed_claim(&self) -> Option<(Instant, Cause, &str)> {
        self.claim.as_ref().map(|f| (f.since, f.cause, f.text.as_str()))
    }

    /// An address of ours cannot be put: others go first for a while, longer each time. Says whether that is news.
    pub(crate) fn address_failed(&mut self, step: &mut StepContext<'_>, text: &str, longest: Duration) -> bool {
        if !self.address_is_over(step.now) {
            return false;
        }
        let lease = step.dead_time();
        let wait = lease.saturating_mul(1 << self.address_failures.min(16)).min(longest.max(lease));
        self.address_failures = self.address_failures.saturating_add(1);
        let until = step.now + step.jittered(wait) + step.part_of(lease);
        self.address = Some(Failed { since: step.now, until, cause: Cause::AddressFailed, text: text.to_owned() });
        true
    }

    /// All addresses of ours are there.
    pub(crate) fn address_works(&mut self) {
        self.address = None;
        self.address_failures = 0;
    }

    /// Why others go first, while they do.
    pub(crate) fn address_fault(&self, step: &mut StepContext<'_>) -> Option<String> {
        let failed = self.address.as_ref()?;
        (!step.due(failed.until)).then(|| failed.text.clone())
    }

    /// Whether an address that could not be put here keeps nobody waiting for us any more.
    pub(crate) fn address_is_over(&self, now: Instant) -> bool {
        self.address.as_ref().is_none_or(|failed| now >= failed.until)
    }

    /// The failure, while no other claim may be tried.
    pub(crate) fn claim_fault(&self, step: &mut StepContext<'_>) -> Option<(Cause, String)> {
        let failed = self.claim.as_ref()?;
        (!step.due(failed.until)).then(|| (failed.cause, failed.text.clone()))
    }
}
