//! Connections that are kept open, and die without a sign: a NAT or a firewall forgot them, most likely just when half of
//! the network went, and with it the peer whose address is to be taken.
//!
//! A read over a kept connection that is not answered soon is asked once more over a connection of its own, and
//! whichever answers first counts. After that, and after every call that was not answered at all, the old connections are
//! given up together: each of them would cost another time-out. A write is never sent twice; a claim reads before it writes.

use super::classify::{Answer, Lost};
use super::request::{Call, Endpoint};
use super::{Client, Setup};
use crate::clock;
use crate::cloud::credentials::Credentials;
use havipd_core::model::time::Instant;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A read that takes longer over a kept connection than this is asked again over a fresh one.
const HEDGE: Duration = Duration::from_millis(300);
/// After a second request that was of no use, it is the API that is slow: none is sent for this long.
const REST: Duration = Duration::from_secs(10);

/// What is known of the connections of a client.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// One has answered, and may be kept.
    answered: bool,
    /// No second request before.
    rests_until: Option<Instant>,
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may go over a connection that has died meanwhile.
    fn is_doubtful(&self) -> bool {
        let state = self.state();
        state.answered && state.rests_until.is_none_or(|until| clock::now() >= until)
    }

    fn answered(&self) {
        self.state().answered = true;
    }

    /// Nothing is kept any more; says whether anything was.
    fn forget(&self) -> bool {
        std::mem::take(&mut self.state().answered)
    }

    fn was_futile(&self) {
        self.state().rests_until = Some(clock::now() + REST);
    }
}

impl Client {
    /// One attempt of a call, over a kept connection or, if that does not answer, over a fresh one.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        setup: &Arc<Setup>,
        endpoint: &Endpoint,
        key: &Credentials,
        until: Instant,
    ) -> Result<Answer, Lost> {
        let first = pin!(call.attempt(&setup.http, endpoint, key, self.cloud_time(), until));
        let outcome = if !call.is_write() && self.0.kept.is_doubtful() {
            self.hedged(first, call, setup, endpoint, key, until).await
        } else {
            first.await
        };
        match &outcome {
            Ok(_) => self.0.kept.answered(),
            Err(Lost::LeadershipEnded | Lost::TooLong(_)) => {}
            Err(Lost::NotSent(_) | Lost::Sent(_)) => {
                if self.0.kept.forget()
                    && let Ok(fresh) = setup.settings.build(self.0.resolver.clone())
                {
                    self.adopt(setup, fresh);
                }
            }
        }
        outcome
    }

    async fn hedged(
        &self,
        mut first: std::pin::Pin<&mut impl Future<Output = Result<Answer, Lost>>>,
        call: &Call,
        setup: &Arc<Setup>,
        endpoint: &Endpoint,
        key: &Credentials,
        until: Instant,
    ) -> Result<Answer, Lost> {
        if let Ok(outcome) = tokio::time::timeout(HEDGE, &mut first).await {
            return outcome;
        }
        let Ok(fresh) = setup.settings.build(self.0.resolver.clone()) else { return first.await };
        let mut second = pin!(call.attempt(&fresh, endpoint, key, self.cloud_time(), until));
        let (outcome, by_second) = tokio::select! {
            biased;
            outcome = &mut first => match outcome {
                Ok(answer) => (Ok(answer), false),
                Err(_) => (second.await, true),
            },
            outcome = &mut second => match outcome {
                Ok(answer) => (Ok(answer), true),
                Err(_) => (first.await, false),
            },
        };
        if by_second && outcome.is_ok() {
            tracing::info!("the kept connection to the cloud did not answer, and a fresh one did: it is given up");
            self.adopt(setup, fresh.clone());
        } else {
            self.0.kept.was_futile();
        }
        outcome
    }

    /// Goes on with fresh connections, unless a reload has brought others meanwhile.
    fn adopt(&self, old: &Arc<Setup>, http: reqwest::Client) {
        let mut now = self.0.setup.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&now, old) {
            *now = Arc::new(Setup {
                cloud: old.cloud.clone(),
                settings: old.settings.clone(),
                http,
                credentials: Arc::clone(&old.credentials),
            });
        }
    }
}
