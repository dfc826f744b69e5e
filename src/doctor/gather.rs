//! Asks everybody: the file, the host, the cloud, the running daemon. All of it reads.

use super::facts::{
    CertificateFact, CloudFacts, DaemonFacts, EtcdFact, Facts, FileFacts, HookFact, HostFacts, LastWrite, Place,
};
use super::{Finding, Level, ask, examine};
use crate::clock;
use crate::cloud::client::Client;
use crate::config::{self, LoadError, secret_file};
use crate::etcd::client::Client as EtcdClient;
use crate::etcd::message::Keys;
use crate::net::interface::{Mac, Snapshot};
use crate::plain;
use crate::runtime::reload::{Known, load};
use crate::status::Status;
use crate::{certificates, journal, state};
use havipd_core::model::cloud::{CallClass, CallError};
use havipd_core::model::ids::{GroupIndex, HavipId, Target};
use havipd_core::model::role::Cause;
use havipd_core::model::settings::{Config, CredentialSource, Group, Hooks, Interface};
use havipd_core::model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// All calls together, with their waits for the shared allowance.
pub const CLOUD_PATIENCE: Duration = Duration::from_secs(30);
/// More HAVIPs than this are read by one list.
const ONE_BY_ONE: usize = 4;
/// Between the two looks at a running daemon, at most.
const LOOK_MOST: Duration = Duration::from_secs(3);
/// Heartbeat intervals between them.
const LOOK_INTERVALS: u32 = 3;

/// Where a daemon keeps things.
#[derive(Debug, Clone)]
pub struct Places {
    /// The configuration file.
    pub file: PathBuf,
    /// `$STATE_DIRECTORY`.
    pub state: PathBuf,
    /// The unit's TimeoutStopSec, if it has one.
    pub stop_timeout: Option<Duration>,
}

/// Why nothing could be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The file cannot be used: every line of what is wrong with it.
    #[error("{}", .0.iter().map(|f| f.text.as_str()).collect::<Vec<_>>().join("\n"))]
    Configuration(Vec<Finding>),
}

/// Examines a file without a daemon, as one that is started now would see things.
///
/// # Errors
/// The file is wrong, or this host is none of its nodes.
pub async fn of_file(places: &Places, node: Option<String>) -> Result<Vec<Finding>, DoctorError> {
    let (path, wanted) = (places.file.clone(), node);
    let loaded = blocking(move || load(&path, wanted, &Known::default())).await;
    let loaded = match loaded {
        Some(Ok(loaded)) => loaded,
        Some(Err(error)) => {
            let mut findings = unusable(&error);
            if !places.file.exists() {
                let remedy = "havipctl init writes one; --config names another";
                findings.iter_mut().for_each(|finding| remedy.clone_into(&mut finding.remedy));
            }
            return Err(DoctorError::Configuration(findings));
        }
        None => return Err(DoctorError::Configuration(Vec::new())),
    };
    let config = Arc::new(loaded.config);
    let warnings = loaded.warnings.0.iter().map(ToString::to_string).collect();
    let secrets = secrets(&config);
    let certificates = certificates(&config).await;
    let file = FileFacts { path: places.file.clone(), warnings, secrets, certificates, ..FileFacts::default() };
    let client = if config.local_node().witness { None } else { Some(Client::new(&config.cloud)) };
    let cloud = match client {
        None => None,
        Some(Ok(client)) => Some(cloud(&config, &client, true).await),
        Some(Err(error)) => {
            let text = format!("[cloud] cannot be used: {error}");
            let remedy = "correct cloud.ca-file, or install the system's certificates (package ca-certificates)";
            return Err(DoctorError::Configuration(vec![Finding::failed("cloud.endpoint", text, remedy)]));
        }
    };
    let mut host = host(&config, places, cloud.as_ref()).await;
    let asked = ask::peers(&config).await;
    host.sockets = asked.sockets;
    let etcd = etcd(&config).await;
    Ok(examine(&Facts { config, file, daemon: None, asked: asked.peers, cloud, etcd, host }))
}

fn unusable(error: &LoadError) -> Vec<Finding> {
    let remedy = "correct it; havipd --check-config says when it is right";
    match error {
        LoadError::Invalid(all) => {
            let line = |d: &config::Diagnostic| match d.severity {
                config::Severity::Error => Finding::failed("config.file", d.to_string(), remedy),
                config::Severity::Warning => Finding::warning("config.warning", d.to_string(), remedy),
            };
            let mut findings: Vec<Finding> = all.0.iter().map(line).collect();
            findings.sort_by_key(|f| f.level);
            findings
        }
        LoadError::NotYet { unplaced, .. } => {
            let remedy = "give this host the address of its [[node]], or name the node with --node";
            vec![Finding::failed("config.file", unplaced.to_string(), remedy)]
        }
    }
}

/// Examines a running daemon, on its behalf. `look` says how it is.
pub async fn of_daemon<F>(
    config: Arc<Config>,
    client: Option<Client>,
    places: Places,
    look: impl Fn() -> F,
) -> Option<Vec<Finding>>
where
    F: Future<Output = Option<Status>>,
{
    let before = look().await?;
    let began = clock::now();
    let file = file_of(&config, &places, &before).await;
    let cloud = match &client {
        Some(client) => Some(cloud(&config, client, false).await),
        None => None,
    };
    let mut host = host(&config, &places, cloud.as_ref()).await;
    // What arrives in a few heartbeats shows what is wrong now, as opposed to what once was.
    let pause = (config.heartbeat.interval * LOOK_INTERVALS).min(LOOK_MOST);
    clock::sleep_until(began + pause).await;
    let after = look().await?;
    let own = config.local_node().addresses.len();
    let network = &after.core.network;
    host.sockets = network.sockets.iter().take(own).map(|s| (s.address, s.error.clone().filter(|_| !s.up))).collect();
    host.refusals.clone_from(&network.refusals);
    host.netlink.clone_from(&network.netlink_error);
    host.state_error = after.effects.state.error.clone().or(host.state_error);
    host.longest_pause = Some(Duration::from_millis(after.core.election.longest_pause_ms));
    let daemon = Some(DaemonFacts { before, after, writes: writes(places.state).await });
    let etcd = etcd(&config).await;
    Some(examine(&Facts { config, file, daemon, asked: BTreeMap::new(), cloud, etcd, host }))
}

/// The file on the disk against what runs.
async fn file_of(config: &Arc<Config>, places: &Places, status: &Status) -> FileFacts {
    let (path, node) = (places.file.clone(), config.local_node().name.to_string());
    let loaded = blocking(move || load(&path, Some(node), &Known::default())).await;
    let mut file = FileFacts { path: places.file.clone(), secrets: secrets(config), ..FileFacts::default() };
    file.certificates = certificates(config).await;
    match loaded {
        Some(Ok(loaded)) => {
            file.warnings = loaded.warnings.0.iter().map(ToString::to_string).collect();
            let maintained = |name: &havipd_core::model::ids::GroupName| {
                status.core.election.groups.iter().any(|g| g.name == name.as_str() && g.maintenance)
            };
            match config::diff(config, &loaded.config, &maintained) {
                Ok(changes) => file.differs = changes.0.into_iter().map(|c| c.text).collect(),
                Err(refused) => file.refused = refused,
            }
        }
        Some(Err(error)) => {
            file.errors = unusable(&error).into_iter().filter(|f| f.level == Level::Failed).map(|f| f.text).collect()
        }
        None => file.errors.push(format!("{} cannot be read", places.file.display())),
    }
    file
}

/// Secrets that are read again while the daemon runs; keys are read with the file.
fn secrets(config: &Config) -> Vec<(PathBuf, Option<String>)> {
    if config.local_node().witness {
        return Vec::new();
    }
    let credentials = match &config.cloud.credentials {
        CredentialSource::File(path) | CredentialSource::Auto { file: Some(path) } => Some(path.clone()),
        CredentialSource::Auto { file: None } | CredentialSource::Env | CredentialSource::InstanceRole => None,
    };
    let etcd = config.etcd.iter().flat_map(|etcd| {
        let (key, password) =
            (etcd.client.as_ref().map(|client| &client.key_file), etcd.user.as_ref().map(|(_, file)| file));
        key.into_iter().chain(password).cloned()
    });
    let looked = |path: PathBuf| {
        let error = secret_file::read(&path).err().map(|e| e.to_string());
        (path, error)
    };
    credentials.into_iter().chain(etcd).map(looked).collect()
}

/// Asks each endpoint of etcd for each leader key that is followed here, and for each key that is elected by, which it has to
/// let this node write as well; all endpoints at once.
async fn etcd(config: &Config) -> Vec<EtcdFact> {
    let Some(etcd) = &config.etcd else { return Vec::new() };
    let here = config.groups.iter().filter(|g| g.member(config.local).is_some_and(|m| !m.witness));
    let mut keys: BTreeSet<(String, bool)> =
        here.filter_map(|g| Some((g.followed_key()?.key.clone(), false))).collect();
    let own = (0..config.groups.len()).map(GroupIndex);
    let own = own.filter(|g| config.groups[g.0].member(config.local).is_some_and(|m| !m.witness));
    keys.extend(own.filter_map(|g| Some((config.election_key(g)?, true))));
    let ask = |endpoint: String| {
        let (client, keys) = (EtcdClient::new(etcd.clone()), keys.clone());
        tokio::spawn(async move {
            let mut facts = Vec::new();
            for (key, elects) in keys {
                let began = clock::now();
                // All keys of elections are read together.
                let asked = if elects { Keys::beside(&key) } else { Keys::One(key.clone()) };
                let mut answer = client.read_from(&endpoint, &asked).await.map(|reading| {
                    let value = reading.range.of(&key).map(|found| plain::line(&String::from_utf8_lossy(&found.value)));
                    (reading.range.cluster, value)
                });
                if elects && answer.is_ok() {
                    let may_write = client.may_write_at(&endpoint, &key).await;
                    answer = may_write.and(answer);
                }
                let (endpoint, key, took) = (endpoint.clone(), plain::line(&key), clock::now().since(began));
                facts.push(EtcdFact { endpoint, key, elects, took, answer });
            }
            facts
        })
    };
    let asked: Vec<_> = etcd.endpoints.iter().cloned().map(ask).collect();
    let mut facts = Vec::new();
    for endpoint in asked {
        facts.extend(endpoint.await.unwrap_or_default());
    }
    facts
}

/// Files of certificates, as they are now.
async fn certificates(config: &Config) -> Vec<CertificateFact> {
    let (paths, now) = (certificates::named(config), jiff::Timestamp::now().as_second());
    let look = move |path: std::path::PathBuf| {
        let first = certificates::first_to_end(&path).map(|e| (e.clone(), e.not_after - now));
        CertificateFact { path, first: first.map_err(|e| e.to_string()) }
    };
    blocking(move || paths.into_iter().map(look).collect()).await.unwrap_or_default()
}

/// What became of this node's last attach, per group.
async fn writes(state: PathBuf) -> BTreeMap<String, LastWrite> {
    let entries = blocking(move || journal::read(&state, None)).await.and_then(Result::ok).unwrap_or_default();
    entries.into_iter().filter_map(|e| Some((e.group.clone(), last_write(e)?))).collect()
}

/// What a change of role says of the permission to attach.
fn last_write(entry: journal::Entry) -> Option<LastWrite> {
    let time = entry.shown_time();
    let journal::Entry { from, to, cause, detail, steps, .. } = entry;
    // Who only observes, or has the address already, is confirmed without a write.
    let done = |what: &str| steps.iter().any(|s| s.what.starts_with(what));
    if to == "active" && from == "claiming" && done("attach of ") && done("write answered") {
        Some(LastWrite::Confirmed(time))
    } else if cause == Cause::Denied.as_str() {
        Some(LastWrite::Denied(time, detail))
    } else {
        None
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// What the cloud and the metadata service say. `local`: no daemon has learned anything yet.
async fn cloud(config: &Config, client: &Client, local: bool) -> CloudFacts {
    let deadline = clock::now() + CLOUD_PATIENCE;
    let metadata = client.metadata();
    let (instance, vpc, subnet, region) =
        tokio::join!(metadata.instance(), metadata.vpc(), metadata.subnet(), metadata.region());
    let text = |r: Result<String, crate::cloud::metadata::MetadataError>| r.map_err(|e| e.to_string());
    let mut facts = CloudFacts {
        source: client.credential_source(),
        skew: None,
        without_tls: None,
        took: Duration::ZERO,
        instance: text(instance.map(|i| i.to_string())),
        vpc: text(vpc),
        subnet: text(subnet),
        region: text(region),
        target: Err(String::new()),
        havips: BTreeMap::new(),
        instances: BTreeMap::new(),
        enis: BTreeMap::new(),
    };
    let began = clock::now();
    read_havips(config, client, deadline, &mut facts.havips).await;
    facts.took = clock::now().since(began);
    let answered = facts.havips.values().any(|r| r.as_ref().map_or_else(|e| e.status.is_some(), |_| true));
    if facts.havips.values().filter_map(|r| r.as_ref().err()).any(super::cloud::is_unreachable) {
        facts.without_tls = client.answers_without_tls(deadline).await;
    }
    facts.skew = answered.then(|| client.clock_skew());
    facts.target = match &config.local_node().target {
        Some(target) => Ok(target.clone()),
        None if local => crate::runtime::identity::target_of(config, client, deadline).await,
        None => facts.instance.clone().and_then(|i| i.parse().map(Target::Instance).map_err(|e| format!("{e}"))),
    };
    let own = facts.target.as_ref().ok().cloned();
    let all = config.nodes.iter().filter_map(|n| n.target.clone()).chain(own);
    for target in all {
        match target {
            Target::Instance(i) if !facts.instances.contains_key(i.as_str()) => {
                facts.instances.insert(i.to_string(), client.instance(&i, CallClass::Background, deadline).await);
            }
            Target::Eni(e) if !facts.enis.contains_key(e.as_str()) => {
                facts.enis.insert(e.to_string(), client.eni(&e, CallClass::Background, deadline).await);
            }
            Target::Instance(_) | Target::Eni(_) => {}
        }
    }
    facts
}

/// A few one by one; many by the list of their VPC, and what that lacks by itself.
async fn read_havips(
    config: &Config,
    client: &Client,
    deadline: Instant,
    into: &mut BTreeMap<String, Result<havipd_core::model::cloud::HaVip, CallError>>,
) {
    let here = config.groups.iter().filter(|g| g.member(config.local).is_some_and(|m| !m.witness));
    let ids: Vec<HavipId> = here.flat_map(|g| &g.havips).map(|h| h.id.clone()).collect();
    for (read, id) in ids.iter().enumerate() {
        if into.contains_key(id.as_str()) {
            continue;
        }
        let result = client.havip(id, CallClass::Background, deadline).await;
        let vpc = result.as_ref().ok().map(|h| h.vpc_id.clone()).filter(|v| !v.is_empty());
        let hopeless = result.as_ref().err().filter(|e| super::cloud::obstacle(e).is_some()).cloned();
        into.insert(id.to_string(), result);
        if let Some(error) = hopeless {
            // What stands in the way of one stands in the way of all.
            for id in &ids {
                into.entry(id.to_string()).or_insert_with(|| Err(error.clone()));
            }
            return;
        }
        if read == 0
            && ids.len() > ONE_BY_ONE
            && let Some(vpc) = vpc
            && let Ok(all) = client.havips(Some(&vpc), CallClass::Background, deadline).await
        {
            let ours = all.into_iter().filter(|h| ids.iter().any(|id| id.as_str() == h.ha_vip_id));
            into.extend(ours.map(|h| (h.ha_vip_id.clone(), Ok(h))));
        }
    }
}

/// What this host says of itself; sockets are somebody else's to add.
async fn host(config: &Arc<Config>, places: &Places, cloud: Option<&CloudFacts>) -> HostFacts {
    let eni = cloud.and_then(|c| match c.target.as_ref().ok()? {
        Target::Eni(eni) => c.enis.get(eni.as_str())?.as_ref().ok()?.mac_address.parse::<Mac>().ok(),
        Target::Instance(_) => None,
    });
    let (config, state, stop_timeout) = (Arc::clone(config), places.state.clone(), places.stop_timeout);
    let looked = blocking(move || {
        let network = Snapshot::take();
        let mut host = HostFacts {
            netlink: network.as_ref().err().map(|e| crate::errors::chain(e)),
            hooks: hooks(&config),
            default_route: std::fs::read_to_string("/proc/net/route").ok().and_then(|table| default_route(&table)),
            state_error: writable(&state).err().map(|e| e.to_string()),
            free_bytes: rustix::fs::statvfs(&state).ok().map(|s| s.f_bavail * s.f_frsize),
            longest_pause: state::peek(&state, state::PATIENCE).ok().flatten().map(|s| s.longest_pause),
            stop_timeout,
            state,
            ..HostFacts::default()
        };
        if let Ok(network) = &network {
            host.addresses = network.addresses.iter().map(|a| a.address).collect();
            let here = config.groups.iter().filter(|g| g.member(config.local).is_some_and(|m| !m.witness));
            let all =
                here.flat_map(|g| &g.havips).map(|h| (h.id.to_string(), place(&config, network, &h.interface, eni)));
            host.places = all.collect();
        }
        host
    });
    looked.await.unwrap_or_default()
}

/// Asked, not tried: nothing is written.
fn writable(directory: &Path) -> std::io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::accessat(rustix::fs::CWD, directory, access, rustix::fs::AtFlags::EACCESS)?;
    Ok(())
}

fn place(config: &Config, network: &Snapshot, interface: &Interface, eni: Option<Mac>) -> Place {
    match network.resolve(interface, config.local_node(), eni) {
        Err(error) => Place { error: Some(error.to_string()), ..Place::default() },
        Ok(None) => Place::default(),
        Ok(Some(link)) => {
            let value = |name: &str, what: &str| {
                let path = format!("/proc/sys/net/ipv4/conf/{name}/{what}");
                std::fs::read_to_string(path).ok()?.trim().parse::<u8>().ok()
            };
            // The kernel takes the larger of the two.
            let larger = |what: &str| value("all", what).max(value(&link.name, what));
            Place {
                interface: Some(link.name.clone()),
                up: link.up,
                error: None,
                arp_ignore: larger("arp_ignore"),
                rp_filter: larger("rp_filter"),
                forwards: value(&link.name, "forwarding").map(|value| value != 0),
            }
        }
    }
}

/// The interface of the default route, the one of the least metric, as `/proc/net/route` has it.
fn default_route(table: &str) -> Option<String> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, to, metric, mask) = (fields.first()?, fields.get(1)?, fields.get(6)?, fields.get(7)?);
        (*to == "00000000" && *mask == "00000000").then(|| Some((metric.parse::<u32>().ok()?, (*name).to_owned())))?
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

fn hooks(config: &Config) -> Vec<HookFact> {
    let here = |g: &&Group| !g.observe && g.member(config.local).is_some_and(|m| !m.witness);
    config.groups.iter().filter(here).flat_map(|g| of_group(g.name.as_str(), &g.hooks)).collect()
}

fn of_group(group: &str, hooks: &Hooks) -> Vec<HookFact> {
    let all = [
        ("notify-master", &hooks.notify_master),
        ("notify-backup", &hooks.notify_backup),
        ("notify-fault", &hooks.notify_fault),
        ("notify-stop", &hooks.notify_stop),
        ("notify", &hooks.notify),
    ];
    let program = |(key, argv): (&'static str, &Option<Vec<String>>)| {
        let program = argv.as_ref()?.first()?.clone();
        let (broken, open) = match std::fs::metadata(&program) {
            Err(e) => (Some(format!("cannot be run: {e}")), false),
            Ok(m) if !m.is_file() || m.permissions().mode() & 0o111 == 0 => {
                (Some("is not an executable file".to_owned()), false)
            }
            Ok(m) => (None, m.mode() & 0o022 != 0 || (m.uid() != 0 && m.mode() & 0o200 != 0)),
        };
        Some(HookFact { group: group.to_owned(), key, program, broken, open })
    };
    all.into_iter().filter_map(program).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_is_the_one_that_the_kernel_takes() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let line = |name: &str, to: &str, metric: u32, mask: &str| {
            format!("{name}\t{to}\t0100000A\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        let (any, none) = ("00000000", "00000000");
        assert_eq!(default_route(head), None);
        // 0.0.0.0/1 is no default route.
        assert_eq!(default_route(&format!("{head}{}", line("eth2", any, 0, "00000080"))), None);
        let table = format!("{head}{}{}{}", line("eth1", any, 100, none), line("eth0", any, 50, none), "cut off\n");
        assert_eq!(default_route(&table), Some("eth0".to_owned()));
    }

    #[test]
    fn only_a_write_that_was_answered_proves_the_permission() {
        let entry = |to: &str, cause: &str, steps: &[&str]| journal::Entry {
            time: "t".into(),
            group: "web".into(),
            from: "claiming".into(),
            to: to.into(),
            epoch: 1,
            cause: cause.into(),
            detail: "403".into(),
            peer: None,
            steps: steps.iter().map(|what| journal::Step { ms: 1.0, what: (*what).into() }).collect(),
        };
        let read = "read back: holder i-b";
        let won = last_write(entry("active", "confirmed", &["attach of i-b sent", "write answered", read]));
        assert_eq!(won, Some(LastWrite::Confirmed("t".into())));
        assert_eq!(last_write(entry("active", "confirmed", &[read])), None, "nothing was written");
        let denied = last_write(entry("fault", "denied", &["attach of i-b sent", "write failed: 403"]));
        assert_eq!(denied, Some(LastWrite::Denied("t".into(), "403".into())));
        assert_eq!(last_write(entry("backup", "lost-race", &["attach of i-b sent", "write answered"])), None);
    }
}
