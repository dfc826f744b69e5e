//! The HTTP client underneath: TLS, timeouts, connections that stay open, and no surprises.
//!
//! No proxy is taken from the environment, no redirect is followed, nothing is retried below us:
//! each would send a signed request somewhere, or once more, without the caller's knowledge.

use super::dns::Resolver;
use crate::errors::chain;
use crate::plain::quote_url;
use reqwest::{Certificate, redirect, retry};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Idle time after which the kernel probes a pooled connection, so that NAT and firewalls on the
/// way neither forget it nor keep us believing in it.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `ca-file` cannot be read.
    #[error("cannot read cloud.ca-file {}: {source}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `ca-file` holds no certificate.
    #[error("cloud.ca-file {} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The endpoint is not a URL of ours.
    #[error("{} is not an endpoint: expected http(s)://host[:port]", quote_url(.0))]
    Endpoint(String),
    /// The TLS library refused, most likely for want of roots.
    #[error("cannot set up TLS: {0}; install the ca-certificates package or set cloud.ca-file")]
    Tls(String),
}

/// Everything that decides how the HTTP client is built; equal settings need no new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// PEM bytes of `ca-file`, with its path for errors.
    ca: Option<(PathBuf, Vec<u8>)>,
    connect_timeout: Duration,
    request_timeout: Duration,
    /// The endpoint is plain HTTP: no roots are needed, and none are loaded.
    plain: bool,
}

impl Settings {
    /// Reads `ca_file`.
    pub(super) fn load(
        ca_file: Option<&Path>,
        connect_timeout: Duration,
        request_timeout: Duration,
        plain: bool,
    ) -> Result<Self, ClientError> {
        let read = |path: &Path| match std::fs::read(path) {
            Ok(pem) => Ok((path.to_owned(), pem)),
            Err(source) => Err(ClientError::CaFile { path: path.to_owned(), source }),
        };
        Ok(Self { ca: ca_file.map(read).transpose()?, connect_timeout, request_timeout, plain })
    }

    /// Builds the client.
    pub(super) fn build(&self, resolver: Resolver) -> Result<reqwest::Client, ClientError> {
        let mut builder = plain_builder(self.connect_timeout)
            .dns_resolver(resolver)
            .pool_idle_timeout(None)
            .tcp_keepalive(TCP_KEEPALIVE)
            .tcp_keepalive_interval(TCP_KEEPALIVE / 3)
            .tcp_keepalive_retries(3)
            .tcp_user_timeout(self.request_timeout.max(Duration::from_secs(1)));
        if let Some((path, pem)) = &self.ca {
            let none = || ClientError::NoCertificate { path: path.clone() };
            let roots = Certificate::from_pem_bundle(pem).map_err(|_| none())?;
            if roots.is_empty() {
                return Err(none());
            }
            builder = builder.tls_certs_only(roots);
        } else if self.plain {
            builder = builder.tls_certs_only([]);
        }
        builder.build().map_err(|e| ClientError::Tls(chain(&e)))
    }
}

/// What every HTTP client of this program has in common.
pub(in crate::cloud) fn plain_builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("havipd/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .connect_timeout(connect_timeout)
}
