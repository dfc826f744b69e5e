//! The emulated cloud over HTTP: HAVIP, ENI, instance and metadata endpoints that check every
//! signature, with faults on command and a data plane that can follow.
//!
//! Semantics come from [`crate::simulation::cloud`]; this module adds sockets, signatures, clocks
//! and the control API. It serves the sandbox, the tests and users' own rehearsals.

mod auth;
mod change;
mod clock;
mod config;
mod control;
mod route;
mod server;
mod state;

pub use auth::SKEW_SECONDS;
pub use config::{CredentialStyle, EmulatorConfig, KeyConfig, NodeConfig, Permission, TlsConfig};
pub use control::{Command, Control, ControlError};
pub use state::{CallRecord, Traffic};

use havipd_core::model::plain::quote;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use server::Door;
use state::Shared;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

/// Why an emulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A PEM file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Certificate and key do not make a server.
    #[error("certificate and key cannot be used: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// A metadata listener for a node that is not configured.
    #[error("there is no node {}", quote(.0))]
    UnknownNode(String),
    /// A node is an instance that does not exist.
    #[error("node {} is instance {}, which does not exist", quote(node), quote(instance))]
    UnknownInstance {
        /// The node.
        node: String,
        /// The instance.
        instance: String,
    },
}

/// A running emulator; dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    https: bool,
    metadata: BTreeMap<String, SocketAddr>,
    tasks: JoinSet<()>,
}

impl Emulator {
    /// Starts to serve, on the current tokio runtime.
    ///
    /// # Errors
    /// [`EmulatorError`]; nothing listens then.
    pub async fn start(config: EmulatorConfig) -> Result<Self, EmulatorError> {
        if let Some(node) = config.nodes.iter().find(|n| !config.world.instances.iter().any(|i| i.id == n.instance)) {
            let (node, instance) = (node.name.clone(), node.instance.clone());
            return Err(EmulatorError::UnknownInstance { node, instance });
        }
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let https = tls.is_some();
        let shared = Arc::new(Shared::new(&config));
        let (listener, address) = listen(config.listen).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(shared.clone(), listener, Door::Api, tls));
        let timekeeper = shared.clone();
        tasks.spawn(async move { timekeeper.keep_time().await });
        if !config.on_change.is_empty() {
            tasks.spawn(change::follow(config.on_change, shared.traffic()));
        }
        let mut emulator = Self { shared, address, https, metadata: BTreeMap::new(), tasks };
        for node in &config.nodes {
            if let Some(address) = node.metadata_listen {
                emulator.metadata_listener(&node.name, address).await?;
            }
        }
        tracing::info!(endpoint = emulator.endpoint(), profile = %config.profile, "emulated cloud serves");
        Ok(emulator)
    }

    /// URL of the API, without a slash at the end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.address)
    }

    /// Address of the main listener.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL at which metadata takes every caller for node `name`, if it has such a listener.
    #[must_use]
    pub fn metadata_endpoint(&self, name: &str) -> Option<String> {
        self.metadata.get(name).map(|address| format!("http://{address}"))
    }

    /// Adds a listener that answers metadata for node `name` alone; port 0 takes any. Returns its address.
    ///
    /// # Errors
    /// [`EmulatorError::UnknownNode`], [`EmulatorError::Listen`].
    pub async fn metadata_listener(&mut self, name: &str, address: SocketAddr) -> Result<SocketAddr, EmulatorError> {
        if !self.shared.look(|state, _| state.nodes.iter().any(|n| n.name == name)) {
            return Err(EmulatorError::UnknownNode(name.to_owned()));
        }
        let (listener, address) = listen(address).await?;
        self.tasks.spawn(server::serve(self.shared.clone(), listener, Door::Node(name.to_owned()), None));
        self.metadata.insert(name.to_owned(), address);
        Ok(address)
    }

    /// A handle for commands and views.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { shared: self.shared.clone() }
    }

    /// Closes every listener and connection, and waits until that is done.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    /// Serves until `stop` ends: the emulator as a program of its own.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        stop.await;
        self.shutdown().await;
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), EmulatorError> {
    let failed = |source| EmulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, EmulatorError> {
    let unreadable = |path: &PathBuf| {
        let path = path.clone();
        move |e: rustls_pki_types::pem::Error| EmulatorError::Pem { path, reason: e.to_string() }
    };
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(&config.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(unreadable(&config.key))?;
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}
