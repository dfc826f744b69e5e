//! Counts of calls, for the metrics.

use super::classify::{Answer, Lost};
use super::request::Call;
use crate::metrics::render::Calls;
use havipd_core::model::histogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Calls since the start, by what was asked and what came of it.
#[derive(Debug, Default)]
pub(super) struct CallTally(Mutex<BTreeMap<&'static str, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    results: BTreeMap<&'static str, u64>,
    durations: Histogram,
}

impl CallTally {
    /// Counts one attempt.
    pub(super) fn count(&self, call: &Call, outcome: &Result<Answer, Lost>, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry(call.operation.word()).or_default();
        *counts.results.entry(result(outcome)).or_default() += 1;
        counts.durations.observe(took);
    }

    pub(super) fn all(&self) -> Vec<Calls> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(operation, counts): (&&'static str, &Counts)| Calls {
            operation,
            results: counts.results.iter().map(|(result, n)| (*result, *n)).collect(),
            durations: counts.durations.clone(),
        };
        all.iter().map(one).collect()
    }
}

fn result(outcome: &Result<Answer, Lost>) -> &'static str {
    match outcome {
        Ok(answer) => match answer.status {
            200..300 => "ok",
            401 | 403 => "denied",
            429 => "throttled",
            400..500 => "refused",
            _ => "server-error",
        },
        Err(Lost::NotSent(_) | Lost::LeadershipEnded) => "not-sent",
        Err(Lost::Sent(_)) => "no-answer",
        Err(Lost::TooLong(_)) => "too-long",
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::Operation;
    use super::*;

    #[test]
    fn calls_are_counted_by_operation_and_result() {
        let tally = CallTally::default();
        let call = |operation| Call::get(operation, String::new(), String::new(), vec![]);
        let answer = |status| Ok(Answer { status, ..Answer::default() });
        for (operation, outcome) in [
            (Operation::ReadHavip, answer(200)),
            (Operation::ReadHavip, answer(403)),
            (Operation::ListHavips, answer(200)),
            (Operation::ReadInstance, Err(Lost::Sent(String::new()))),
            (Operation::Attach, answer(429)),
        ] {
            tally.count(&call(operation), &outcome, Duration::from_millis(3));
        }
        let told: Vec<_> = tally.all().into_iter().map(|c| (c.operation, c.results, c.durations.count())).collect();
        let expected = [
            ("attach", vec![("throttled", 1)], 1),
            ("list-havips", vec![("ok", 1)], 1),
            ("read-havip", vec![("denied", 1), ("ok", 1)], 2),
            ("read-instance", vec![("no-answer", 1)], 1),
        ];
        assert_eq!(told, expected);
    }
}
