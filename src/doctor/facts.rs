//! What the doctor knows before it judges. Plain values: nothing here asks anybody.

use crate::certificates::Ending;
use crate::etcd::client::EtcdError;
use crate::status::{Refusal, Status};
use havipd_core::model::cloud::{CallError, Eni, HaVip};
use havipd_core::model::event::InstanceState;
use havipd_core::model::ids::Target;
use havipd_core::model::settings::Config;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything that was gathered.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The configuration that is judged: the one that runs, else the one in the file.
    pub config: Arc<Config>,
    /// The file.
    pub file: FileFacts,
    /// The daemon, where one runs.
    pub daemon: Option<DaemonFacts>,
    /// Peers that were asked over UDP because no daemon runs here, by name.
    pub asked: BTreeMap<String, Vec<Asked>>,
    /// The cloud; `None` on a witness, which never calls it.
    pub cloud: Option<CloudFacts>,
    /// Each endpoint of `[etcd]`, asked for each key of this node's groups.
    pub etcd: Vec<EtcdFact>,
    /// The host.
    pub host: HostFacts,
}

/// One endpoint of etcd, asked for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdFact {
    /// The endpoint.
    pub endpoint: String,
    /// The key.
    pub key: String,
    /// It is elected by, and not followed.
    pub elects: bool,
    /// How long the answer took.
    pub took: Duration,
    /// Which etcd cluster answered, and the value of the key if there is one; or why no answer came.
    pub answer: Result<(u64, Option<String>), EtcdError>,
}

/// The configuration file, as it is on the disk now.
#[derive(Debug, Clone, Default)]
pub struct FileFacts {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub errors: Vec<String>,
    /// What somebody should read in it.
    pub warnings: Vec<String>,
    /// What a reload would change.
    pub differs: Vec<String>,
    /// Why a reload would be refused.
    pub refused: Vec<String>,
    /// Secret files that this node reads: path, and why it is not usable.
    pub secrets: Vec<(PathBuf, Option<String>)>,
    /// Files of certificates that this node reads.
    pub certificates: Vec<CertificateFact>,
}

/// A file of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFact {
    /// Where it is.
    pub path: PathBuf,
    /// The one that ends first, and in how many seconds, negative if it has ended; or why that is not known.
    pub first: Result<(Ending, i64), String>,
}

/// A running daemon.
#[derive(Debug, Clone)]
pub struct DaemonFacts {
    /// How it was at the beginning.
    pub before: Status,
    /// How it was when everything else had been looked at, a few heartbeats later.
    pub after: Status,
    /// Per group: what became of this node's last attach, if the history knows of one.
    pub writes: BTreeMap<String, LastWrite>,
}

/// What became of an attach. Times are as the history has them, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastWrite {
    /// It was answered, and the cloud confirmed it.
    Confirmed(String),
    /// This node may not: when, and the cloud's words.
    Denied(String, String),
}

/// One address of a peer that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// From where.
    pub from: SocketAddr,
    /// The peer's address.
    pub to: SocketAddr,
    /// What came of it.
    pub answer: AskedAnswer,
}

/// What came of a question to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedAnswer {
    /// It answered with our key.
    Alive(Duration),
    /// Something came back that our keys do not verify.
    Unverified,
    /// Nothing came back.
    Silent,
    /// It could not be asked.
    NotSent(String),
}

/// What the cloud, and the metadata service, said.
#[derive(Debug, Clone)]
pub struct CloudFacts {
    /// Where credentials come from.
    pub source: &'static str,
    /// The cloud's clock minus ours, seconds; `None`: it never answered.
    pub skew: Option<i64>,
    /// Where the endpoint's host answers plain HTTP (`host:port`), looked at if it did not answer by HTTPS.
    pub without_tls: Option<String>,
    /// How long the first call took.
    pub took: Duration,
    /// `instance-shortid` of the metadata service.
    pub instance: Result<String, String>,
    /// `vpc-id`.
    pub vpc: Result<String, String>,
    /// `subnet-id`.
    pub subnet: Result<String, String>,
    /// `region`.
    pub region: Result<String, String>,
    /// What this node is to the cloud, or why that is not known.
    pub target: Result<Target, String>,
    /// Every HAVIP of the groups that this node is a member of, by id.
    pub havips: BTreeMap<String, Result<HaVip, CallError>>,
    /// Whether members' instances run, by id.
    pub instances: BTreeMap<String, Result<InstanceState, CallError>>,
    /// Members' network interfaces, by id.
    pub enis: BTreeMap<String, Result<Eni, CallError>>,
}

/// What this host says of itself.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Why links and addresses cannot be read.
    pub netlink: Option<String>,
    /// Addresses of this host.
    pub addresses: Vec<std::net::IpAddr>,
    /// The interface of the default route.
    pub default_route: Option<String>,
    /// Where each HAVIP's address belongs here, by id.
    pub places: BTreeMap<String, Place>,
    /// Our own heartbeat sockets: address, and why it cannot be used.
    pub sockets: Vec<(SocketAddr, Option<String>)>,
    /// Peers' addresses that this host refuses to send to.
    pub refusals: Vec<Refusal>,
    /// The state directory.
    pub state: PathBuf,
    /// Why it cannot be written.
    pub state_error: Option<String>,
    /// Bytes free there.
    pub free_bytes: Option<u64>,
    /// The longest pause on record.
    pub longest_pause: Option<Duration>,
    /// The unit's TimeoutStopSec.
    pub stop_timeout: Option<Duration>,
    /// Hook programs: group, key, program, and what is wrong with it.
    pub hooks: Vec<HookFact>,
}

/// Where a HAVIP's address belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The interface; `None` with no error: `interface = "none"`.
    pub interface: Option<String>,
    /// It is up.
    pub up: bool,
    /// Why there is no interface.
    pub error: Option<String>,
    /// The larger of `net.ipv4.conf.{all,INTERFACE}.arp_ignore`, where it can be read.
    pub arp_ignore: Option<u8>,
    /// The larger of `net.ipv4.conf.{all,INTERFACE}.rp_filter`, where it can be read.
    pub rp_filter: Option<u8>,
    /// The host passes on what comes in by it, where that can be read.
    pub forwards: Option<bool>,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFact {
    /// Its group.
    pub group: String,
    /// Its key.
    pub key: &'static str,
    /// The program.
    pub program: String,
    /// It cannot be run, and why.
    pub broken: Option<String>,
    /// Others than root can write it.
    pub open: bool,
}
