//! A reload: read, compare, ask the core, take over. What is refused changes nothing.

use super::ToCore;
use crate::cloud::client::Client;
use crate::config::{self, Changes, Environment, LoadError};
use crate::net::interface;
use havipd_core::model::settings::Config;
use havipd_core::status::Snapshot;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It changes what takes a restart, or maintenance.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// The core, or the cloud's client, cannot go on with it.
    #[error("{0}")]
    NotNow(String),
}

/// What was taken over.
#[derive(Debug)]
pub(super) struct Reloaded {
    pub(super) config: Arc<Config>,
    pub(super) changes: Changes,
    /// What the operator should know, besides.
    pub(super) warnings: Vec<String>,
}

/// Reads the file at `path` for this host. Blocks as long as the disk does.
///
/// # Errors
/// What is wrong with it, or that this host is none of its nodes yet.
pub fn load(path: &Path, node: Option<String>, known: &Known) -> Result<config::Loaded, LoadError> {
    config::load(path, &environment(node, known))
}

/// What this host says of itself, for the check of a file.
#[must_use]
pub fn environment(node: Option<String>, known: &Known) -> Environment {
    let host = interface::Snapshot::take().unwrap_or_else(|error| {
        tracing::warn!("cannot tell this host's addresses: {}", crate::errors::chain(&error));
        interface::Snapshot::default()
    });
    let usable = || host.addresses.iter().filter(|a| a.usable());
    let mut env = Environment::of_process(node, usable().map(|a| a.address).collect());
    env.losable_addresses = usable().map(|a| a.address).filter(|a| !a.is_loopback()).collect();
    env.unit_user = known.unit_user;
    env.longest_pause = known.longest_pause;
    env.stop_timeout = known.stop_timeout;
    env
}

/// What is known of this host besides what it says itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// The longest pause on record.
    pub longest_pause: Option<std::time::Duration>,
    /// The unit's TimeoutStopSec.
    pub stop_timeout: Option<std::time::Duration>,
    /// The number of the user that the unit runs as, where root checks a file for it.
    pub unit_user: Option<u32>,
}

/// A reload on its way.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    pub(super) known: Known,
    pub(super) running: Arc<Config>,
    pub(super) client: Option<Client>,
    pub(super) core: mpsc::Sender<ToCore>,
    pub(super) snapshot: Arc<crate::status::CoreStatus>,
}

impl Reload {
    /// Carries it out as far as the core and the cloud's client go.
    pub(super) async fn run(self) -> Result<Reloaded, ReloadError> {
        // This node stays the one that it is: an address that is gone for the moment does not make us nobody.
        let node = Some(self.running.local_node().name.to_string());
        let (path, known) = (self.path.clone(), self.known);
        let loaded = tokio::task::spawn_blocking(move || load(&path, node, &known)).await;
        let loaded = loaded.map_err(|e| ReloadError::NotNow(e.to_string()))?;
        let loaded = loaded.map_err(|e| match e {
            LoadError::Invalid(all) => ReloadError::Invalid(all.errors_first().to_string()),
            other => ReloadError::Invalid(other.to_string()),
        })?;
        for warning in &loaded.warnings.0 {
            tracing::warn!("{warning}");
        }
        let maintained = maintained(&self.snapshot.election);
        let changes = config::diff(&self.running, &loaded.config, &|group| maintained.contains(group.as_str()))
            .map_err(ReloadError::Refused)?;
        let config = Arc::new(loaded.config);
        self.reconfigure(&config).await.map_err(ReloadError::NotNow)?;
        let warnings = match self.ask_core(&config).await {
            Ok(warnings) => warnings,
            Err(why) => return Err(self.refused(why).await),
        };
        Ok(Reloaded { config, changes, warnings })
    }

    /// The core refused it: the cloud's client goes back to what it had.
    async fn refused(&self, why: String) -> ReloadError {
        if let Err(error) = self.reconfigure(&self.running).await {
            tracing::error!("the old [cloud] settings cannot be taken back: {error}");
        }
        ReloadError::NotNow(why)
    }

    /// Off the effects thread: it reads `ca-file`.
    async fn reconfigure(&self, config: &Arc<Config>) -> Result<(), String> {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let config = Arc::clone(config);
        let done = tokio::task::spawn_blocking(move || client.reconfigure(&config.cloud)).await;
        done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    async fn ask_core(&self, config: &Arc<Config>) -> Result<Vec<String>, String> {
        let gone = || "the core does not answer".to_owned();
        let (reply, answer) = oneshot::channel();
        self.core.send(ToCore::Reload(Arc::clone(config), reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn maintained(snapshot: &Snapshot) -> BTreeSet<String> {
    snapshot.groups.iter().filter(|g| g.maintenance).map(|g| g.name.clone()).collect()
}
