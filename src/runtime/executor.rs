//! Calls to the cloud on behalf of the core: each a task with a deadline, its end an event.

use super::ToCore;
use super::writes::{Cancellations, Job, Writes, at};
use crate::cloud::api::{CallError, ErrorClass, HaVip};
use crate::cloud::client::{Client, WARM_INTERVAL};
use crate::election::action::Write;
use crate::election::event::{Event, OperationResult};
use crate::ids::{GroupName, HavipId, InstanceId, OperationId};
use crate::time::Instant;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A call that keeps the way to the cloud warm may take this long.
const WARM_PATIENCE: Duration = Duration::from_secs(10);

/// A look at one HAVIP.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) op: OperationId,
    pub(super) havip: HavipId,
    pub(super) urgent: bool,
    pub(super) deadline: Instant,
}

/// Makes the calls. A witness has no client, and its core asks for nothing.
pub(super) struct Executor {
    pub(super) client: Option<Client>,
    core: mpsc::Sender<ToCore>,
    cancellations: Arc<Cancellations>,
    writes: Writes,
    /// The VPC of each HAVIP that was read once.
    vpcs: Arc<Mutex<HashMap<HavipId, String>>>,
}

impl Executor {
    pub(super) fn new(client: Option<Client>, core: mpsc::Sender<ToCore>, cancellations: Arc<Cancellations>) -> Self {
        Self { client, core, cancellations, writes: Writes::default(), vpcs: Arc::default() }
    }

    /// Looks that were asked for together: those that nobody waits for share one list call per VPC.
    pub(super) fn read_havips(&self, reads: Vec<Read>) {
        let mut together: BTreeMap<String, Vec<Read>> = BTreeMap::new();
        for read in reads {
            let vpc = self.vpcs.lock().unwrap_or_else(PoisonError::into_inner).get(&read.havip).cloned();
            match vpc.filter(|_| !read.urgent) {
                Some(vpc) => together.entry(vpc).or_default().push(read),
                None => self.read_havip(read),
            }
        }
        for (vpc, mut reads) in together {
            match reads.len() {
                1 => reads.drain(..).for_each(|read| self.read_havip(read)),
                _ => self.list_havips(vpc, reads),
            }
        }
    }

    fn read_havip(&self, read: Read) {
        let (client, vpcs) = (self.client.clone(), Arc::clone(&self.vpcs));
        self.spawn(read.op, async move { OperationResult::Havip(look(client.as_ref(), &read, &vpcs).await) });
    }

    fn list_havips(&self, vpc: String, reads: Vec<Read>) {
        let Some(client) = self.client.clone() else {
            return reads.into_iter().for_each(|read| self.read_havip(read));
        };
        let (core, vpcs) = (self.core.clone(), Arc::clone(&self.vpcs));
        tokio::spawn(async move {
            let deadline = reads.iter().map(|r| r.deadline).min().unwrap_or(Instant::FAR_FUTURE);
            let listed = client.havips(Some(&vpc), false, at(deadline)).await;
            for read in reads {
                let result = match &listed {
                    Ok(all) => match all.iter().find(|h| h.ha_vip_id == read.havip.as_str()) {
                        Some(havip) => Ok(havip.clone()),
                        // Its own page says for certain that it is gone.
                        None => look(Some(&client), &read, &vpcs).await,
                    },
                    Err(error) => Err(error.clone()),
                };
                let event = Event::OperationEnded { op: read.op, result: OperationResult::Havip(result) };
                let _ = core.send(ToCore::Event(event)).await;
            }
        });
    }

    /// Asks whether an instance runs.
    pub(super) fn read_instance(&self, op: OperationId, instance: InstanceId, deadline: Instant) {
        let client = self.client.clone();
        self.spawn(op, async move {
            OperationResult::Instance(match client {
                Some(client) => client.instance(&instance, false, at(deadline)).await,
                None => Err(no_client(format!("read {instance}"))),
            })
        });
    }

    /// Attaches or detaches.
    pub(super) fn write(&mut self, group: GroupName, ticket: u64, write: Write) {
        let (core, cancellations) = (self.core.clone(), Arc::clone(&self.cancellations));
        match self.client.clone() {
            Some(client) => self.writes.begin(Job { client, cancellations, group, ticket, write, core }),
            None => self.spawn(write.op, async move {
                OperationResult::Written(Err(no_client(format!("write {}", write.havip))))
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

async fn look(
    client: Option<&Client>,
    read: &Read,
    vpcs: &Mutex<HashMap<HavipId, String>>,
) -> Result<HaVip, CallError> {
    let Some(client) = client else { return Err(no_client(format!("read {}", read.havip))) };
    let havip = client.havip(&read.havip, read.urgent, at(read.deadline)).await?;
    if !havip.vpc_id.is_empty() {
        let mut vpcs = vpcs.lock().unwrap_or_else(PoisonError::into_inner);
        vpcs.insert(read.havip.clone(), havip.vpc_id.clone());
    }
    Ok(havip)
}

fn no_client(what: String) -> CallError {
    CallError {
        what,
        detail: "not sent: a witness never calls the cloud".to_owned(),
        class: ErrorClass::Refused,
        status: None,
        code: None,
        retry_after: None,
        denied: false,
        missing: false,
    }
}

/// Keeps names resolved and a connection open, at start and ever after, so that a claim finds both.
pub(super) async fn keep_warm(client: Client) {
    loop {
        if let Err(error) = client.keep_warm(tokio::time::Instant::now() + WARM_PATIENCE).await {
            tracing::debug!("the way to the cloud is not warm: {error}");
        }
        tokio::time::sleep(WARM_INTERVAL).await;
    }
}
