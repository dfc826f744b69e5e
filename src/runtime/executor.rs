//! Calls to the cloud on behalf of the core: each a task with a deadline, its end an event.

use super::ToCore;
use super::writes::{Cancellations, Job, Writes};
use crate::clock;
use crate::cloud::client::{Client, WARM_INTERVAL};
use havipd_core::model::action::Write;
use havipd_core::model::cloud::{CallClass, CallError, ErrorClass};
use havipd_core::model::event::{Event, OperationResult};
use havipd_core::model::ids::{GroupName, HavipId, InstanceId, OperationId};
use havipd_core::model::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A call that keeps the way to the cloud warm may take this long.
const WARM_PATIENCE: Duration = Duration::from_secs(10);

/// Why a node without a client makes no call.
const NO_CLIENT: &str = "not sent: a witness never calls the cloud";

/// Makes the calls. A witness has no client, and its core asks for nothing.
pub(super) struct Executor {
    pub(super) client: Option<Client>,
    core: mpsc::Sender<ToCore>,
    cancellations: Arc<Cancellations>,
    writes: Writes,
}

impl Executor {
    pub(super) fn new(client: Option<Client>, core: mpsc::Sender<ToCore>, cancellations: Arc<Cancellations>) -> Self {
        Self { client, core, cancellations, writes: Writes::default() }
    }

    /// Looks at one HAVIP. What is asked for at about the same time shares a call.
    pub(super) fn read_havip(&self, op: OperationId, havip: HavipId, class: CallClass, deadline: Instant) {
        let client = self.client.clone();
        self.spawn(op, async move {
            OperationResult::Havip(match client {
                Some(client) => client.havip(&havip, class, deadline).await,
                None => Err(CallError::new(ErrorClass::Refused, format!("read {havip}"), NO_CLIENT)),
            })
        });
    }

    /// Asks whether an instance runs.
    pub(super) fn read_instance(&self, op: OperationId, instance: InstanceId, deadline: Instant) {
        let client = self.client.clone();
        self.spawn(op, async move {
            OperationResult::Instance(match client {
                Some(client) => client.instance(&instance, CallClass::Standby, deadline).await,
                None => Err(CallError::new(ErrorClass::Refused, format!("read {instance}"), NO_CLIENT)),
            })
        });
    }

    /// Attaches or detaches.
    pub(super) fn write(&mut self, group: GroupName, ticket: u64, write: Write) {
        let (core, cancellations) = (self.core.clone(), Arc::clone(&self.cancellations));
        match self.client.clone() {
            Some(client) => self.writes.begin(Job { client, cancellations, group, ticket, write, core }),
            None => self.spawn(write.op, async move {
                OperationResult::Written(Err(CallError::new(
                    ErrorClass::Refused,
                    format!("write {}", write.havip),
                    NO_CLIENT,
                )))
            }),
        }
    }

    fn spawn(&self, op: OperationId, call: impl Future<Output = OperationResult> + Send + 'static) {
        let core = self.core.clone();
        tokio::spawn(async move {
            let result = call.await;
            let _ = core.send(ToCore::Event(Event::OperationEnded { op, result })).await;
        });
    }
}

/// Keeps names resolved and a connection open, at start and ever after, so that a claim finds both.
pub(super) async fn keep_warm(client: Client) {
    loop {
        if let Err(error) = client.keep_warm(clock::now() + WARM_PATIENCE).await {
            tracing::debug!("the way to the cloud is not warm: {error}");
        }
        tokio::time::sleep(WARM_INTERVAL).await;
    }
}
