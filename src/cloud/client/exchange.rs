//! How one call goes: key, allowance, signature, attempt, and the two repetitions that are ours to make.

use super::classify::{Answer, LeadershipEnded, Lost, clean};
use super::gate::Permit;
use super::request::{Call, Endpoint};
use super::{Client, of_region};
use crate::clock;
use crate::cloud::credentials::{CredentialError, Credentials};
use havipd_core::model::cloud::{CallError, ErrorClass};
use havipd_core::model::time::Instant;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Most entries asked for in one page, the cloud's own limit.
const PAGE_SIZE: &str = "1000";
/// Most pages of one list; beyond it the cloud's markers lead nowhere.
const MAX_PAGES: usize = 50;

impl Client {
    /// Follows a list to its end; `split` takes a page apart into entries and next marker.
    pub(super) async fn pages<P: DeserializeOwned, T>(
        &self,
        mut call: Call,
        permit: &mut Permit,
        deadline: Instant,
        split: impl Fn(P) -> (Vec<T>, Option<String>),
    ) -> Result<Vec<T>, CallError> {
        call.query.retain(|(_, value)| value.is_some());
        call.query.push(("maxKeys", Some(PAGE_SIZE.to_owned())));
        let mut all = Vec::new();
        let mut last: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let (entries, next) = split(self.read(&call, permit, deadline).await?);
            all.extend(entries);
            match next.filter(|marker| !marker.is_empty()) {
                None => return Ok(all),
                Some(marker) if last.as_ref() == Some(&marker) => break,
                Some(marker) => {
                    call.query.retain(|(key, _)| *key != "marker");
                    call.query.push(("marker", Some(marker.clone())));
                    last = Some(marker);
                }
            }
        }
        Err(CallError::new(
            ErrorClass::Retry,
            &call.what,
            format!("the list has no end: a marker came again, or it has more than {MAX_PAGES} pages"),
        ))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: &Call,
        permit: &mut Permit,
        deadline: Instant,
    ) -> Result<T, CallError> {
        let answer = self.run(call, permit, deadline).await?;
        serde_json::from_slice(&answer.body).map_err(|e| CallError {
            status: Some(answer.status),
            ..CallError::new(
                ErrorClass::Retry,
                &call.what,
                format!("status {} with a body that is not understood: {}", answer.status, misunderstood(&e)),
            )
        })
    }

    /// Makes one call, whose turn it is; a successful answer, or what went wrong.
    pub(super) async fn run(&self, call: &Call, permit: &mut Permit, deadline: Instant) -> Result<Answer, CallError> {
        let mut setup = self.setup();
        let endpoint = self.endpoint(&call.what, deadline).await?;
        let mut key = within(&call.what, deadline, setup.credentials.current(self.cloud_time())).await?;

        let (mut time_corrected, mut key_replaced) = (false, false);
        loop {
            if call.start_by.is_some_and(|at| clock::now() >= at) {
                return Err(CallError::new(ErrorClass::NotSent, &call.what, LeadershipEnded));
            }
            // What waited for a name or a key while the guest was suspended is not begun late.
            if call.is_write() && clock::now() >= deadline {
                return Err(CallError::new(ErrorClass::NotSent, &call.what, "its deadline came first"));
            }
            let started = clock::now();
            let until = deadline.min(started + setup.cloud.request_timeout);
            let outcome = self.attempt(call, &setup, &endpoint, &key, until).await;
            self.0.tally.count(call, &outcome, clock::now().since(started));
            permit.attempted(outcome.as_ref().ok());
            let millis = clock::now().since(started).as_secs_f64() * 1e3;
            let answer = match outcome {
                Ok(answer) => answer,
                Err(lost) => {
                    if let (Lost::NotSent(_), Some(name)) = (&lost, &endpoint.name) {
                        self.0.resolver.refresh(name);
                    }
                    let error = lost.into_error(&call.what, call.is_write());
                    tracing::debug!(millis, "{error}");
                    return Err(error);
                }
            };
            tracing::debug!(
                call = call.what,
                status = answer.status,
                millis,
                request = answer.request_id.as_deref().map(clean),
                "answered"
            );
            self.compare_clocks(answer.date);
            if answer.is_success() {
                return Ok(answer);
            }
            if answer.says_expired() && answer.date.is_some() && !time_corrected {
                time_corrected = true;
            } else if answer.doubts_credentials()
                && !key_replaced
                && let Some(Ok(Some(newer))) = clock::timeout_at(deadline, setup.credentials.replacement(&key)).await
            {
                key_replaced = true;
                key = newer;
                setup = self.setup();
            } else {
                return Err(answer.into_error(&call.what, call.operation, self.cloud_time()));
            }
        }
    }

    pub(super) async fn endpoint(&self, what: &str, deadline: Instant) -> Result<Endpoint, CallError> {
        if let Some(endpoint) = &self.0.configured {
            return Ok(endpoint.clone());
        }
        let discover = self.0.discovered.get_or_try_init(|| async {
            let region = match self.setup().credentials.region().await {
                Some(region) => region,
                None => self.0.metadata.region().await.map_err(|e| e.to_string())?,
            };
            of_region(&region).map_err(|e| e.to_string())
        });
        let unknown = |e: String| {
            CallError::new(
                ErrorClass::Retry,
                what,
                format!("not sent: region unknown: {e}; set cloud.region or cloud.endpoint"),
            )
        };
        match clock::timeout_at(deadline, discover).await {
            Some(found) => found.cloned().map_err(unknown),
            None => Err(unknown("no answer from the metadata service in time".to_owned())),
        }
    }

    /// Seconds since 1970 by the cloud's clock, as far as we know it.
    pub(super) fn cloud_time(&self) -> i64 {
        local_time().saturating_add(self.clock_skew())
    }

    fn compare_clocks(&self, date: Option<i64>) {
        if let Some(date) = date {
            let skew = date.saturating_sub(local_time());
            let before = self.0.skew.swap(skew, Ordering::Relaxed);
            if (skew - before).abs() > 30 {
                tracing::warn!(seconds = skew, "the cloud's clock differs from this host's; signing with the cloud's");
            }
        }
    }
}

/// Waits for credentials until `deadline`.
async fn within(
    what: &str,
    deadline: Instant,
    key: impl Future<Output = Result<Arc<Credentials>, CredentialError>>,
) -> Result<Arc<Credentials>, CallError> {
    let none = |detail: String, temporary: bool| CallError {
        class: if temporary { ErrorClass::Retry } else { ErrorClass::Refused },
        denied: true,
        ..CallError::new(ErrorClass::Retry, what, format!("not sent: {detail}"))
    };
    match clock::timeout_at(deadline, key).await {
        Some(Ok(key)) => Ok(key),
        Some(Err(error)) => Err(none(error.to_string(), error.is_temporary())),
        None => Err(none("no credentials in time".to_owned(), true)),
    }
}

/// Why a document is not understood, without any of it.
fn misunderstood(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof | Category::Io => format!("it breaks off after line {line}, column {column}"),
        Category::Syntax => format!("it is not JSON from line {line}, column {column} on"),
        Category::Data if line == 0 => "a member of it has another form than documented".to_owned(),
        Category::Data => format!("what ends at line {line}, column {column} has another form than documented"),
    }
}

/// This host's wall clock, seconds since 1970; for signatures only.
#[expect(clippy::disallowed_methods, reason = "the cloud judges a signature by wall time")]
fn local_time() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
