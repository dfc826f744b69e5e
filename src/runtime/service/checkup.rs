//! The doctor's looks from within the daemon: when an operator asks, and by itself for the metrics.

use super::tell::{core_status, with_data};
use super::{Internal, Service};
use crate::control::protocol::{Code, Response};
use crate::doctor::{Finding, Level, gather};
use crate::status::Status;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a whole examination may take; the control socket waits a minute.
const EXAMINATION: Duration = Duration::from_secs(50);
/// The first look after a start or a reload: by then the peers have been heard.
const FIRST: Duration = Duration::from_secs(60);
/// While something fails it is looked at again this soon, so that an alarm ends soon after its cause.
const AGAIN: Duration = Duration::from_secs(60);

/// When to look again after a look at `now` that found this; `None` if only on demand.
fn next(now: Instant, interval: Option<Duration>, found: Option<&[Finding]>) -> Option<Instant> {
    let well = found.is_some_and(|all| all.iter().all(|f| f.level != Level::Failed));
    interval.map(|interval| now + if well { interval } else { interval.min(AGAIN) })
}

impl Service {
    /// The first look of a configuration by itself.
    pub(super) fn first_checkup(&self) -> Option<Instant> {
        self.config.daemon.doctor_interval.map(|interval| Instant::now() + interval.min(FIRST))
    }

    /// It is time to look.
    pub(super) fn check_up(&mut self) {
        // Until it is over; then what it found says when to look again.
        self.checkup_at = self.checkup_at.map(|_| Instant::now() + EXAMINATION * 2);
        self.examine(None);
    }

    /// Everything that could go wrong, looked at with this daemon's eyes, client and credentials.
    pub(super) fn examine(&self, reply: Option<oneshot::Sender<Response>>) {
        // One at a time: its calls come out of the allowance of all.
        let Ok(permit) = Arc::clone(&self.examination).try_acquire_owned() else {
            let busy = Response::new(Code::TryAgain, "the doctor is just looking");
            return reply.into_iter().for_each(|reply| drop(reply.send(busy.clone())));
        };
        let places = gather::Places {
            file: self.path.clone(),
            state: self.journal.directory().to_path_buf(),
            stop_timeout: self.known.stop_timeout,
        };
        let (config, client) = (Arc::clone(&self.config), self.executor.client.clone());
        let (core, effects) = (self.to_core.clone(), self.effects_status());
        let internal = self.internal.clone();
        tokio::spawn(async move {
            let look = || async { Some(Status::new(core_status(&core).await?, effects.clone())) };
            let examined = gather::of_daemon(config, client, places, look);
            let found = tokio::time::timeout(EXAMINATION, examined).await.ok().flatten();
            let response = match &found {
                Some(findings) => with_data(format!("{} findings", findings.len()), findings),
                None => Response::new(Code::TryAgain, "the core, the disk or the cloud did not answer in time"),
            };
            drop(permit);
            // What it found is in the metrics before anybody who asked hears of it.
            let _ = internal.send(Internal::Examined(found)).await;
            reply.into_iter().for_each(|reply| drop(reply.send(response.clone())));
        });
    }

    /// A look is over.
    pub(super) fn examined(&mut self, found: Option<&[Finding]>) {
        if let Some(findings) = found {
            self.measure.examined(findings);
        }
        self.checkup_at = next(Instant::now(), self.config.daemon.doctor_interval, found);
    }
}

/// Waits for a moment, or for ever.
pub(super) async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_fails_is_looked_at_again_soon() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        let finding = |level| Finding { id: "clock".into(), level, text: String::new(), remedy: String::new() };
        let (well, ill) = ([finding(Level::Ok), finding(Level::Warning)], [finding(Level::Ok), finding(Level::Failed)]);
        assert_eq!(next(now, Some(hour), Some(&well)), Some(now + hour));
        assert_eq!(next(now, Some(hour), Some(&ill)), Some(now + AGAIN));
        assert_eq!(next(now, Some(hour), None), Some(now + AGAIN), "nothing is known");
        assert_eq!(next(now, Some(FIRST), Some(&ill)), Some(now + FIRST));
        assert_eq!(next(now, None, Some(&ill)), None, "off");
    }
}
