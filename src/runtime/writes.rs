//! Attach and detach: one after the other per HAVIP, given up at once when leadership is gone.

use super::ToCore;
use crate::clock;
use crate::cloud::client::{Client, Sent, WriteLimits};
use havipd_core::model::action::Write;
use havipd_core::model::cloud::{CallError, ErrorClass};
use havipd_core::model::event::{Event, OperationResult};
use havipd_core::model::ids::{GroupName, HavipId};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How often each group's writes were cancelled. The core thread counts up, and needs no queue for it.
#[derive(Debug, Default)]
pub(crate) struct Cancellations(watch::Sender<BTreeMap<GroupName, u64>>);

impl Cancellations {
    /// Every write of `group` that has a ticket until now is to be given up.
    pub(super) fn cancel(&self, group: &GroupName) {
        self.0.send_modify(|all| *all.entry(group.clone()).or_default() += 1);
    }

    /// What a write that begins now is called by.
    pub(super) fn ticket(&self, group: &GroupName) -> u64 {
        self.0.borrow().get(group).copied().unwrap_or_default()
    }

    /// Ends when the writes of `group` with this ticket are to be given up.
    async fn cancelled(&self, group: &GroupName, ticket: u64) {
        let mut changes = self.0.subscribe();
        let _ = changes.wait_for(|all| all.get(group).copied().unwrap_or_default() != ticket).await;
    }
}

/// Who wrote last to each HAVIP.
#[derive(Debug, Default)]
pub(super) struct Writes {
    last: BTreeMap<HavipId, oneshot::Receiver<()>>,
}

/// One write with all that it needs.
pub(super) struct Job {
    pub(super) client: Client,
    pub(super) cancellations: Arc<Cancellations>,
    pub(super) group: GroupName,
    pub(super) ticket: u64,
    pub(super) write: Write,
    pub(super) core: mpsc::Sender<ToCore>,
}

impl Writes {
    /// Begins a write as soon as the one before it to the same HAVIP has ended.
    pub(super) fn begin(&mut self, job: Job) {
        let (done, ended) = oneshot::channel();
        let before = self.last.insert(job.write.havip.clone(), ended);
        tokio::spawn(async move {
            let op = job.write.op;
            let result = tokio::select! {
                biased;
                () = job.cancellations.cancelled(&job.group, job.ticket) => {
                    let what = format!("write {}", job.write.havip);
                    Err(CallError::new(ErrorClass::Ambiguous, what, "given up: leadership is gone"))
                }
                result = job.run(before) => result,
            };
            drop(done);
            let event = Event::OperationEnded { op, result: OperationResult::Written(result) };
            let _ = job.core.send(ToCore::Event(event)).await;
        });
    }
}

impl Job {
    async fn run(&self, before: Option<oneshot::Receiver<()>>) -> Result<(), CallError> {
        if let Some(before) = before {
            // An error is the end, too: the sender was dropped.
            let _ = before.await;
        }
        let Write { havip, kind, class, targets, token, leadership_until, deadline, .. } = &self.write;
        let (op, core) = (self.write.op, self.core.clone());
        // For the account of the move: nothing depends on its arrival. When full: that step is not in the account.
        let tell = move || drop(core.try_send(ToCore::Event(Event::OperationSent { op, at: clock::now() })));
        let limits = WriteLimits {
            start_by: *leadership_until,
            deadline: *deadline,
            class: *class,
            sent: Some(Sent::new(tell)),
        };
        self.client.write(*kind, havip, targets, token, limits).await
    }
}
