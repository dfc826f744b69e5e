//! Where calls wait for their turn: the one queue of this client, and who is told what it decides.

use super::Client;
use super::classify::Answer;
use crate::clock;
use havipd_core::model::cloud::{CallError, ErrorClass, HaVip};
use havipd_core::model::ids::HavipId;
use havipd_core::model::time::Instant;
use havipd_core::queue::{CallId, Decision, Ended, NotSent, Queue, Subject, Ticket, Wanted};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A waiting call looks again no sooner, whatever the queue foretells.
const REST: Duration = Duration::from_millis(1);

/// What a waiting call is told.
#[derive(Debug)]
enum Word {
    /// It is its turn.
    Go(CallId),
    /// Another call answers it, too.
    Shared(Result<Option<HaVip>, CallError>),
    /// It is not sent.
    Refused(NotSent),
}

/// One that waits.
#[derive(Debug)]
struct Waiter {
    tell: oneshot::Sender<Word>,
    havip: Option<HavipId>,
    deadline: Instant,
}

/// How the wait for a turn ended well.
pub(super) enum Turn {
    /// The call may be made now.
    Own(Permit),
    /// A list call answered; `None`: without that HAVIP.
    Shared(Option<HaVip>),
}

/// The queue of one client.
#[derive(Debug)]
pub(super) struct Gate {
    queue: Mutex<Queue<Waiter>>,
}

impl Gate {
    pub(super) fn new(ceiling: Option<f64>) -> Self {
        Self { queue: Mutex::new(Queue::new(ceiling, clock::now())) }
    }

    pub(super) fn set_ceiling(&self, ceiling: Option<f64>) {
        self.lock().set_ceiling(ceiling, clock::now());
    }

    /// A read told in which VPC a HAVIP is.
    pub(super) fn learn(&self, havip: &HaVip) {
        if let Ok(id) = havip.ha_vip_id.parse() {
            self.lock().learn(&id, &havip.vpc_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Waiter>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_at(&self) -> Instant {
        let now = clock::now();
        let wait = self.lock().wake_at(now).map_or(Duration::from_secs(1), |at| at.since(now));
        now + wait.max(REST)
    }
}

/// A call that is under way; it ends when this is dropped.
pub(super) struct Permit {
    client: Client,
    call: CallId,
    ended: Ended,
}

impl Permit {
    /// Notes how an attempt went.
    pub(super) fn attempted(&mut self, answer: Option<&Answer>) {
        self.ended = match answer {
            Some(answer) if answer.is_throttled() => Ended::PushedBack,
            Some(_) => Ended::Answered,
            None => Ended::Unanswered,
        };
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let gate = &self.client.0.gate;
        gate.lock().ended(clock::now(), self.call, self.ended);
        self.client.decide();
    }
}

/// Takes a call out of the queue when nobody waits for it any more.
struct Withdraws<'a>(&'a Gate, Ticket);

impl Drop for Withdraws<'_> {
    fn drop(&mut self) {
        let withdrawn = self.0.lock().withdraw(self.1);
        drop(withdrawn);
    }
}

impl Client {
    /// Waits for the turn of a call.
    ///
    /// # Errors
    /// It is not sent: its turn does not come by `start_by`.
    pub(super) async fn turn(&self, what: &str, wanted: Wanted, deadline: Instant) -> Result<Turn, CallError> {
        let gate = &self.0.gate;
        let (tell, mut told) = oneshot::channel();
        let havip = match &wanted.subject {
            Subject::Havip(id) => Some(id.clone()),
            Subject::Write(..) | Subject::Other => None,
        };
        let shares = havip.is_some();
        let waiter = Waiter { tell, havip, deadline };
        let ticket = gate.lock().push(clock::now(), wanted, waiter);
        let _withdraws = Withdraws(gate, ticket);
        if shares {
            // What is asked for in the same turn of this thread shares the call.
            tokio::task::yield_now().await;
        }
        loop {
            self.decide();
            let word = tokio::select! {
                biased;
                word = &mut told => word.unwrap_or(Word::Refused(NotSent::Busy)),
                () = clock::sleep_until(gate.wake_at()) => continue,
            };
            return match word {
                Word::Go(call) => Ok(Turn::Own(self.permit(call))),
                Word::Shared(result) => result.map(Turn::Shared),
                Word::Refused(why) => Err(CallError::new(ErrorClass::NotSent, what, why)),
            };
        }
    }

    fn permit(&self, call: CallId) -> Permit {
        Permit { client: self.clone(), call, ended: Ended::Unused }
    }

    /// Makes every decision that can be made now.
    fn decide(&self) {
        loop {
            let gate = &self.0.gate;
            let decision = gate.lock().next(clock::now());
            match decision {
                None => return,
                Some(Decision::Refuse(waiter, why)) => drop(waiter.tell.send(Word::Refused(why))),
                Some(Decision::Start { call, mut items, .. }) if items.len() == 1 => {
                    if let Some(waiter) = items.pop()
                        && waiter.tell.send(Word::Go(call)).is_err()
                    {
                        drop(self.permit(call));
                    }
                }
                Some(Decision::Start { call, items, vpc }) => self.share(self.permit(call), items, vpc),
            }
        }
    }

    /// One list call for all of them.
    fn share(&self, mut permit: Permit, waiters: Vec<Waiter>, vpc: Option<String>) {
        // Without a runtime this process is ending, and nobody waits any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let client = self.clone();
        runtime.spawn(async move {
            let soon = clock::now() + client.setup().cloud.request_timeout;
            let deadline = waiters.iter().map(|w| w.deadline).max().map_or(soon, |at| at.min(soon));
            let listed = client.list(vpc.as_deref(), &mut permit, deadline).await;
            drop(permit);
            for waiter in waiters {
                let find = |all: &Vec<HaVip>| {
                    all.iter().find(|h| waiter.havip.as_ref().is_some_and(|id| id.as_str() == h.ha_vip_id)).cloned()
                };
                let _ = waiter.tell.send(Word::Shared(listed.as_ref().map(find).map_err(Clone::clone)));
            }
        });
    }
}
