//! The instance's metadata service: what this machine is to the cloud.
//!
//! Plain GETs of plain text under `/1.0/meta-data/`, no token step; a status of 400 and above is an
//! error, and an empty 200 means that this machine's service does not have the value (so the
//! vendor's own Kubernetes driver reads it). The credentials of an instance role stand under
//! `/latest/meta-data/` (<https://cloud.baidu.com/doc/BCC/s/jm4bbrdmn>).

use super::client::transport::plain_builder;
use crate::errors::chain;
use crate::plain::quote;
use havipd_core::model::ids::InstanceId;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// The service is on the same host: what does not answer at once will not.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes of an answer that are read.
const MAX_BODY: usize = 64 * 1024;

/// Why a value could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Nothing answered.
    #[error("metadata service: {url}: {detail}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        detail: String,
    },
    /// It answered with an error.
    #[error("metadata service: {url}: status {status}")]
    Status {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// It does not have the value.
    #[error("metadata service: {url}: empty answer, not provided on this machine")]
    NotProvided {
        /// What was asked.
        url: String,
    },
    /// The value is not what it should be.
    #[error("metadata service: {url}: {detail}")]
    Malformed {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// The metadata service at one endpoint; clones share their connections.
#[derive(Debug, Clone)]
pub struct Metadata {
    http: reqwest::Client,
    base: String,
}

impl Metadata {
    /// The service at `endpoint` (`cloud.metadata-endpoint`): scheme, host and port, no trailing slash.
    ///
    /// # Errors
    /// With the reason, if the TLS library cannot be set up, which only an `https` endpoint needs.
    pub fn new(endpoint: &str) -> Result<Self, String> {
        let mut builder = plain_builder(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT);
        if endpoint.starts_with("http://") {
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|e| chain(&e))?;
        Ok(Self { http, base: endpoint.to_owned() })
    }

    /// The short id (`i-...`) by which the API knows this instance.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn instance(&self) -> Result<InstanceId, MetadataError> {
        let (url, text) = self.value("instance-shortid").await?;
        text.parse()
            .map_err(|e: havipd_core::model::ids::IdError| MetadataError::Malformed { url, detail: e.to_string() })
    }

    /// The VPC that this instance is in.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn vpc(&self) -> Result<String, MetadataError> {
        self.word("vpc-id").await
    }

    /// The subnet of this instance's first interface.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn subnet(&self) -> Result<String, MetadataError> {
        self.word("subnet-id").await
    }

    /// The address of this instance's first interface.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn address(&self) -> Result<IpAddr, MetadataError> {
        let (url, text) = self.value("local-ipv4").await?;
        let malformed = |_| MetadataError::Malformed { url, detail: format!("{} is no address", quote(&text)) };
        text.parse().map_err(malformed)
    }

    /// The region, as it stands in endpoint names (`bj`).
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn region(&self) -> Result<String, MetadataError> {
        self.word("region").await
    }

    /// MAC addresses of this instance's interfaces, lower case.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn macs(&self) -> Result<Vec<String>, MetadataError> {
        let (_, text) = self.value("network/interfaces/macs").await?;
        let line = |l: &str| l.trim().trim_end_matches('/').to_ascii_lowercase();
        Ok(text.lines().map(line).filter(|l| !l.is_empty()).collect())
    }

    /// The credentials of the instance role, as they stand: JSON whose members the vendor does not document.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub async fn role_credentials(&self) -> Result<Zeroizing<Vec<u8>>, MetadataError> {
        let (_, body) = self.fetch("/latest/meta-data/sts-credential").await?;
        Ok(body)
    }

    /// A value that becomes part of a name or a query.
    async fn word(&self, key: &str) -> Result<String, MetadataError> {
        let (url, text) = self.value(key).await?;
        if text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            Ok(text)
        } else {
            let detail = format!("{} is not a {key}", quote(&text.chars().take(64).collect::<String>()));
            Err(MetadataError::Malformed { url, detail })
        }
    }

    async fn value(&self, key: &str) -> Result<(String, String), MetadataError> {
        let (url, body) = self.fetch(&format!("/1.0/meta-data/{key}")).await?;
        match std::str::from_utf8(&body) {
            Ok(text) => Ok((url, text.trim().to_owned())),
            Err(_) => Err(MetadataError::Malformed { url, detail: "not UTF-8".to_owned() }),
        }
    }

    async fn fetch(&self, path: &str) -> Result<(String, Zeroizing<Vec<u8>>), MetadataError> {
        let url = format!("{}{path}", self.base);
        let unreachable =
            |e: reqwest::Error| MetadataError::Unreachable { url: url.clone(), detail: chain(&e.without_url()) };
        let mut response = self.http.get(&url).send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(MetadataError::Status { url, status: status.as_u16() });
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(MetadataError::Malformed { url, detail: "over 64 KiB".to_owned() });
            }
            body.extend_from_slice(&chunk);
        }
        if body.trim_ascii().is_empty() {
            return Err(MetadataError::NotProvided { url });
        }
        Ok((url, body))
    }
}
