//! What this node is to the cloud, where the file does not say; and which interface goes with an ENI.

use super::ToCore;
use crate::clock;
use crate::cloud::client::Client;
use crate::net::interface::{Mac, Snapshot};
use havipd_core::model::cloud::CallClass;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{EniId, NodeName, Target};
use havipd_core::model::settings::{Config, Interface, Node};
use havipd_core::model::time::Instant;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and longest wait between two attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Longest wait between two looks at which machine this is.
const CHECK_AGAIN: Duration = Duration::from_secs(60);

/// Why the identity is not known, while it is not.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityError(Arc<Mutex<Option<String>>>);

impl IdentityError {
    pub(super) fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is wrong, and says so once per change.
    fn note(&self, error: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &error {
            Some(text) if known.as_ref() != Some(text) => tracing::warn!("this node's identity: {text}"),
            None if known.is_some() => tracing::info!("this node's identity is known now"),
            _ => {}
        }
        *known = error;
    }
}

/// Finds out what the file leaves open, however long that takes, and tells the core.
pub(super) async fn learn(config: Arc<Config>, client: Client, core: mpsc::Sender<ToCore>, error: IdentityError) {
    let node = config.local_node();
    let target = match &node.target {
        Some(target) => target.clone(),
        None => {
            let target = again(&error, || target_of(&config, &client, clock::now() + PATIENCE)).await;
            tracing::info!(%target, "the metadata service says what this node is");
            let _ = core.send(ToCore::Event(Event::IdentityLearned { target: target.clone() })).await;
            target
        }
    };
    let mut mac = None;
    if let (Target::Eni(eni), true) = (&target, discovers(&config)) {
        let found = again(&error, || mac_of(&client, eni)).await;
        let _ = core.send(ToCore::TargetMac(found)).await;
        mac = Some(found);
    }
    check_host(&config.local_node().name, &target, mac, &client, &core).await;
}

/// Compares what this node is to the cloud with what the machine is, now and again: a machine may be copied while it
/// runs. No answer is no mismatch.
async fn check_host(
    node: &NodeName,
    target: &Target,
    mut mac: Option<Mac>,
    client: &Client,
    core: &mpsc::Sender<ToCore>,
) {
    let mut said = None;
    let mut pause = RETRY.0;
    loop {
        if let (Target::Eni(eni), None) = (target, mac) {
            mac = mac_of(client, eni).await.ok();
        }
        if let Some(differs) = differs(node, target, mac, client).await {
            pause = CHECK_AGAIN;
            if said.as_ref() != Some(&differs) {
                let _ = core.send(ToCore::Event(Event::HostChecked { differs: differs.clone() })).await;
                said = Some(differs);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(CHECK_AGAIN);
    }
}

/// How this machine is another one than `target`, in words, or that it is the one; `None` while nobody says.
async fn differs(node: &NodeName, target: &Target, mac: Option<Mac>, client: &Client) -> Option<Option<String>> {
    match target {
        Target::Instance(id) => {
            let found = client.metadata().instance().await.ok()?;
            let text = format!("the metadata service says that this machine is {found}, and node {node} is {id}");
            Some((found != *id).then_some(text))
        }
        Target::Eni(eni) => {
            let (mac, found) = (mac?.to_string(), client.metadata().macs().await.ok()?);
            let text = format!(
                "the metadata service says that this machine has no interface {mac}, which {eni} of node {node} is"
            );
            Some((!found.contains(&mac)).then_some(text))
        }
    }
}

/// Whether an interface is to be found by the hardware address of the ENI.
fn discovers(config: &Config) -> bool {
    let here = config.groups.iter().filter(|g| g.member(config.local).is_some_and(|m| !m.witness));
    let open = here.flat_map(|g| &g.havips).any(|h| h.interface == Interface::Discover);
    open && config.local_node().interface.is_none()
}

/// Tries until it works, less and less often.
async fn again<T, F>(error: &IdentityError, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let mut pause = RETRY.0;
    loop {
        match attempt().await {
            Ok(found) => {
                error.note(None);
                return found;
            }
            Err(text) => error.note(Some(text)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

/// What this node is to the cloud, for a file that does not say. All members of a group bind one type of target: where
/// the others bind ENIs, so does this node.
///
/// # Errors
/// In words; nothing is learned by then.
pub(crate) async fn target_of(config: &Config, client: &Client, deadline: Instant) -> Result<Target, String> {
    let binds_eni = |n: &Node| matches!(n.target, Some(Target::Eni(_)));
    let binds_instance = |n: &Node| matches!(n.target, Some(Target::Instance(_)));
    let eni = config.nodes.iter().any(binds_eni) && !config.nodes.iter().any(binds_instance);
    let mac = if eni { Some(own_mac(config).await?.to_string()) } else { None };
    client.discover_target(mac.as_deref(), deadline).await.map_err(|e| e.to_string())
}

/// Hardware address of the interface that has this node's address.
async fn own_mac(config: &Config) -> Result<Mac, String> {
    let host = tokio::task::spawn_blocking(Snapshot::take).await.map_err(|e| e.to_string())?;
    let host = host.map_err(|e| crate::errors::chain(&e))?;
    let link = host.resolve(&Interface::Discover, config.local_node(), None).map_err(|e| e.to_string())?;
    link.and_then(|l| l.mac).ok_or_else(|| "the interface of this node's address has no hardware address".to_owned())
}

async fn mac_of(client: &Client, eni: &EniId) -> Result<Mac, String> {
    let found = client.eni(eni, CallClass::Standby, clock::now() + PATIENCE).await.map_err(|e| e.to_string())?;
    found.mac_address.parse().map_err(|e: crate::net::interface::MacError| format!("{eni}: {e}"))
}
