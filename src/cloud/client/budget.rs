//! How many calls this daemon may make: a token bucket of which half is kept free for claims.
//!
//! The cloud documents no limit but throttles; a daemon that spends its allowance on audits would
//! be throttled in the one second that counts. So background calls draw from a second, half as
//! fast bucket as well, and stand back while anything urgent waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Calls that can always be made at once after a quiet time: attach, read, detach, read.
const BURST: f64 = 4.0;

/// The allowance would only come after the deadline.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("not sent: cloud.requests-per-second = {rate} allows no further call before its deadline")]
pub struct BudgetExceeded {
    rate: f64,
}

/// The allowance of one daemon.
#[derive(Debug)]
pub struct Budget {
    buckets: Mutex<Buckets>,
}

impl Budget {
    /// Full buckets, refilled by `rate` calls per second.
    #[must_use]
    pub fn new(rate: f64, now: Instant) -> Self {
        let (all, background) = capacity(rate);
        Self { buckets: Mutex::new(Buckets { rate, all, background, at: now, urgent_waiting: 0 }) }
    }

    /// Goes on with another rate.
    pub fn set_rate(&self, rate: f64) {
        let mut buckets = self.lock();
        buckets.refill(Instant::now());
        buckets.rate = rate;
    }

    /// Takes one call's allowance, waiting for it at most until `deadline`.
    ///
    /// # Errors
    /// At once, if it cannot be had by then.
    pub async fn take(&self, urgent: bool, deadline: Instant) -> Result<(), BudgetExceeded> {
        let _waiting = urgent.then(|| Waiting::new(self));
        loop {
            let now = Instant::now();
            let (wait, rate) = {
                let mut buckets = self.lock();
                match buckets.try_take(urgent, now) {
                    Ok(()) => return Ok(()),
                    Err(wait) => (wait, buckets.rate),
                }
            };
            if now + wait > deadline {
                return Err(BudgetExceeded { rate });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Books a call that is made in any case: the repetition of one that was let through.
    pub fn charge(&self) {
        let mut buckets = self.lock();
        buckets.refill(Instant::now());
        buckets.all = (buckets.all - 1.0).max(0.0);
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Capacity of both buckets.
fn capacity(rate: f64) -> (f64, f64) {
    (rate.max(BURST), (rate / 2.0).max(1.0))
}

/// An urgent call that has not been let through yet.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn new(budget: &'a Budget) -> Self {
        budget.lock().urgent_waiting += 1;
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().urgent_waiting -= 1;
    }
}

#[derive(Debug)]
struct Buckets {
    rate: f64,
    all: f64,
    background: f64,
    at: Instant,
    urgent_waiting: usize,
}

impl Buckets {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let (all, background) = capacity(self.rate);
        self.all = (self.all + passed * self.rate).min(all);
        self.background = (self.background + passed * self.rate / 2.0).min(background);
        self.at = self.at.max(now);
    }

    /// Takes one, or says how long to wait before asking again.
    fn try_take(&mut self, urgent: bool, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        let missing = |have: f64, rate: f64| ((1.0 - have) / rate).max(0.0);
        let mut wait = missing(self.all, self.rate);
        if !urgent {
            wait = wait.max(missing(self.background, self.rate / 2.0));
            if self.urgent_waiting > 0 {
                wait = wait.max(1.0 / self.rate);
            }
        }
        if wait > 0.0 {
            // Rounded up, so that the sleeper finds its token and does not spin on a remainder.
            return Err(Duration::from_secs_f64(wait) + Duration::from_micros(1));
        }
        self.all -= 1.0;
        if !urgent {
            self.background -= 1.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, urgent: bool, now: Instant) -> usize {
        let mut buckets = budget.lock();
        (0..1000).take_while(|_| buckets.try_take(urgent, now).is_ok()).count()
    }

    #[test]
    fn background_calls_leave_half_to_the_urgent_ones() {
        let now = Instant::now();
        let budget = Budget::new(10.0, now);
        assert_eq!(taken(&budget, false, now), 5);
        assert_eq!(taken(&budget, true, now), 5);
        assert_eq!(taken(&budget, true, now), 0);
        // One second of background calls as fast as they are let through, then a claim.
        for tenth in 1..=10 {
            taken(&budget, false, now + Duration::from_millis(tenth * 100));
        }
        assert_eq!(taken(&budget, true, now + Duration::from_secs(1)), 5);
    }

    #[test]
    fn a_slow_rate_still_lets_one_claim_through_at_once() {
        let now = Instant::now();
        let budget = Budget::new(0.1, now);
        assert_eq!(taken(&budget, true, now), 4);
        let wait = budget.lock().try_take(true, now).expect_err("empty");
        assert!((9..=11).contains(&wait.as_secs()), "{wait:?}");
        let later = now + wait;
        assert_eq!(taken(&budget, true, later), 1);
    }

    #[test]
    fn background_calls_stand_back_while_something_urgent_waits() {
        let now = Instant::now();
        let budget = Budget::new(10.0, now);
        let waiting = Waiting::new(&budget);
        assert_eq!(taken(&budget, false, now), 0);
        assert!(taken(&budget, true, now) > 0);
        drop(waiting);
        let later = now + Duration::from_secs(1);
        assert!(taken(&budget, false, later) > 0);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_call_that_cannot_be_let_through_in_time_is_refused_at_once() {
        let now = Instant::now();
        let budget = Budget::new(0.1, now);
        for _ in 0..4 {
            budget.take(true, now).await.expect("burst");
        }
        let refused = budget.take(true, now + Duration::from_secs(1)).await.expect_err("nothing left");
        assert!(refused.to_string().contains("requests-per-second = 0.1"), "{refused}");
        budget.set_rate(100.0);
        budget.take(true, Instant::now() + Duration::from_secs(5)).await.expect("refilled soon");
    }
}
