//! One `[[check]]`: what is looked at, how often, and how its results are judged.

use crate::model::ids::{CheckName, NodeIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One `[[check]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// `name`.
    pub name: CheckName,
    /// What is looked at.
    pub probe: Probe,
    /// `nodes`: where it runs; `None` is everywhere. Elsewhere it counts as passing.
    pub nodes: Option<Vec<NodeIndex>>,
    /// How results are judged.
    pub rule: Rule,
    /// Time from the beginning of one run to that of the next.
    pub interval: Duration,
    /// A run that takes longer has failed, and is ended.
    pub timeout: Duration,
    /// Instead of `interval` between the first failure and the verdict.
    pub retry_interval: Duration,
}

impl Check {
    /// Whether `node` runs it.
    #[must_use]
    pub fn runs_on(&self, node: NodeIndex) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node))
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// `script`: a program that ends with 0.
    Script(Vec<String>),
    /// `tcp`: a connection that is accepted.
    Tcp(SocketAddr),
    /// `http`: an answer with the right status and body.
    Http(Box<Http>),
    /// `process`: a process of that name lives.
    Process(String),
    /// `pidfile`: the process that the file names lives.
    PidFile(PathBuf),
    /// `unit`: the systemd unit is active.
    Unit(String),
    /// `link`: the interface is up, has carrier and an address.
    Link(String),
    /// `file`: a number in a file.
    File(PathBuf),
    /// `ping`: so many of the targets answer.
    Ping {
        /// Who is asked.
        targets: Vec<IpAddr>,
        /// How many must answer.
        quorum: usize,
    },
}

impl Probe {
    /// Its key in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Script(_) => "script",
            Self::Tcp(_) => "tcp",
            Self::Http(_) => "http",
            Self::Process(_) => "process",
            Self::PidFile(_) => "pidfile",
            Self::Unit(_) => "unit",
            Self::Link(_) => "link",
            Self::File(_) => "file",
            Self::Ping { .. } => "ping",
        }
    }
}

/// What `http` asks, and what must be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// The URL.
    pub url: String,
    /// `status`: the lowest and the highest status that pass.
    pub status: (u16, u16),
    /// `body`: a text that must be in the body's first 64 KiB.
    pub body: Option<String>,
    /// `host`: the `Host` header, and the name that TLS asks for and checks.
    pub host: Option<String>,
    /// `headers`.
    pub headers: BTreeMap<String, String>,
    /// `tls-verify`.
    pub tls_verify: bool,
    /// `ca-file`: replaces the system's roots.
    pub ca_file: Option<PathBuf>,
    /// `cert-file` and `key-file`: what this side shows to a server that asks who it is.
    pub client: Option<ClientCertificate>,
}

/// Files of a certificate of this side's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// `cert-file`: the certificate, and those up to the root that the server knows.
    pub cert_file: PathBuf,
    /// `key-file`: its private key, which is a secret.
    pub key_file: PathBuf,
}

/// How the results of a check are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `fall`: failures in a row until it fails.
    pub fall: u32,
    /// `rise`: passes in a row until it passes.
    pub rise: u32,
    /// `initial`: what it is before the first verdict.
    pub initial: CheckState,
    /// `weight`; `None`: failing is a fault.
    pub weight: Option<i16>,
    /// `on-error` = `fail`: a run that could not be made counts as failed.
    pub error_fails: bool,
}

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// Nothing yet: not eligible to claim, and no reason to release.
    Unknown,
    /// It passes.
    Up,
    /// It fails.
    Down,
}

impl CheckState {
    /// The word of the file and of the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}
