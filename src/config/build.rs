//! The checked configuration, once nothing is wrong any more. What each table becomes is said in `settings`; here they
//! are put together.

use super::check::{Outside, Resolver};
use super::document::At;
use super::rules::dead_time_of;
use super::rules_check::{self, is_event_driven, kind};
use super::rules_group::Shape;
use super::settings::{Check, Cloud, Daemon, Group, Heartbeat, Hooks, LocalAddress, Log, Node, Root};
use super::takes::Membership;
use havipd_core::model::ids::{CheckName, NodeIndex};
use havipd_core::model::leader::LeaderKey;
use havipd_core::model::settings::{self, ClientCertificate, Config, Http, Member, Probe, Rule};
use std::path::PathBuf;

/// `None` only if an error was noted.
pub(super) fn config(file: &Root, shapes: &[Shape], outside: &Outside, local: usize) -> Option<Config> {
    let port = of(&file.heartbeat.port)?;
    let nodes = file.nodes.iter().map(|node| Node::build(node, port)).collect::<Option<Vec<_>>>()?;
    let groups = file.groups.iter().zip(shapes).map(|(group, shape)| {
        Group::build(group, &InGroup { shape, nodes: &nodes, local, hooks: &file.hooks, resolve: &outside.resolve })
    });
    Some(Config {
        cluster: of(&file.cluster.name)?,
        local: NodeIndex(local),
        groups: groups.collect::<Option<_>>()?,
        checks: file.checks.iter().map(|check| self::check(check, file, outside)).collect::<Option<_>>()?,
        cloud: Cloud::build(&file.cloud, outside)?,
        heartbeat: Heartbeat::build(&file.heartbeat, outside.keys.clone())?,
        local_address: LocalAddress::build(&file.local_address, dead_time_of(&file.heartbeat)?.value)?,
        metrics: of(&file.metrics.listen)?,
        daemon: Daemon::build(&file.daemon)?,
        keepalived: outside.keepalived.clone()?,
        etcd: etcd(file, outside),
        log: Log::build(&file.log)?,
        nodes,
    })
}

/// `[etcd]`, if the file has it.
fn etcd(file: &Root, outside: &Outside) -> Option<settings::Etcd> {
    let (etcd, files) = (&file.etcd, &outside.etcd);
    Some(settings::Etcd {
        endpoints: etcd.endpoints.as_ref()?.value.iter().map(|at| at.value.url.clone()).collect(),
        prefix: of(&etcd.prefix)?,
        lease: of(&etcd.lease)?,
        request_timeout: of(&etcd.request_timeout)?,
        ca_file: files.ca.clone(),
        client: files
            .certificate
            .clone()
            .zip(files.key.clone())
            .map(|(cert_file, key_file)| ClientCertificate { cert_file, key_file }),
        user: of(&etcd.user).zip(files.password.clone()),
    })
}

/// The value of a key, if it has one.
pub(super) fn of<T: Clone>(at: &Option<At<T>>) -> Option<T> {
    at.as_ref().map(|at| at.value.clone())
}

/// What a group takes from the rest of the file.
pub(super) struct InGroup<'a> {
    pub(super) shape: &'a Shape,
    nodes: &'a [settings::Node],
    local: usize,
    pub(super) hooks: &'a Hooks,
    pub(super) resolve: &'a Resolver,
}

impl InGroup<'_> {
    /// The leader key that the group follows, and the value in it that is this node.
    pub(super) fn leader(&self, group: &Group) -> Option<LeaderKey> {
        let key = of(&group.leader_key)?;
        let name = &self.nodes[self.local].name;
        let mut values = group.leader_values.iter().flat_map(|all| &all.value);
        let own = values.find(|(node, _)| node.value == name.as_str()).map(|(_, value)| value.value.clone());
        Some(LeaderKey { key, value: own.unwrap_or_else(|| name.to_string()) })
    }

    /// The group's members, each with the priority that the group or else the node gives.
    pub(super) fn members(&self, group: &Group) -> Vec<Member> {
        let own = group.priorities.iter().flat_map(|all| &all.value);
        let members = self.shape.members.iter().map(|&index| {
            let node = &self.nodes[index];
            let priority = own.clone().find(|(name, _)| name.value == node.name.as_str()).map(|(_, p)| *p);
            Member { node: NodeIndex(index), priority: priority.unwrap_or(node.priority), witness: node.witness }
        });
        members.collect()
    }
}

/// The checks of a group, by name.
pub(super) fn checks_of(group: &Group) -> Option<Vec<CheckName>> {
    let Some(listed) = &group.checks else { return Some(Vec::new()) };
    listed.value.iter().map(|name| name.value.parse().ok()).collect()
}

fn check(check: &At<Check>, file: &Root, outside: &Outside) -> Option<settings::Check> {
    let path = |at: &At<String>| outside.paths.get(&at.value).cloned();
    let event = is_event_driven(check);
    let interval = of(&check.interval)?;
    Some(settings::Check {
        name: of(&check.name)?,
        probe: probe(check, &path)?,
        nodes: match &check.nodes.as_ref()?.value {
            Membership::All => None,
            Membership::Listed(names) => {
                Some(names.iter().map(|name| index(file, &name.value)).collect::<Option<_>>()?)
            }
        },
        rule: Rule {
            fall: if event { 1 } else { of(&check.fall)? },
            rise: if event { 1 } else { of(&check.rise)? },
            initial: of(&check.initial)?,
            weight: of(&check.weight),
            error_fails: of(&check.on_error)? == "fail",
        },
        interval,
        timeout: rules_check::timeout(check)?,
        retry_interval: rules_check::retry_interval(check)?,
    })
}

fn index(file: &Root, name: &str) -> Option<NodeIndex> {
    file.nodes.iter().position(|n| n.name.as_ref().is_some_and(|own| own.value.as_str() == name)).map(NodeIndex)
}

/// `None` only if an error was noted.
fn probe(check: &At<Check>, path: &dyn Fn(&At<String>) -> Option<PathBuf>) -> Option<Probe> {
    Some(match kind(check)? {
        "script" => Probe::Script(of(&check.script)?),
        "tcp" => Probe::Tcp(of(&check.tcp)?),
        "http" => Probe::Http(Box::new(Http {
            url: of(&check.http)?,
            status: of(&check.status)?,
            body: of(&check.body),
            host: of(&check.host),
            headers: of(&check.headers).unwrap_or_default(),
            tls_verify: of(&check.tls_verify)?,
            ca_file: match &check.ca_file {
                Some(at) => Some(path(at)?),
                None => None,
            },
            client: match (&check.cert_file, &check.key_file) {
                (Some(cert), Some(key)) => Some(ClientCertificate { cert_file: path(cert)?, key_file: path(key)? }),
                _ => None,
            },
        })),
        "process" => Probe::Process(of(&check.process)?),
        "pidfile" => Probe::PidFile(path(check.pidfile.as_ref()?)?),
        "unit" => Probe::Unit(of(&check.unit)?),
        "link" => Probe::Link(of(&check.link)?),
        "file" => Probe::File(path(check.file.as_ref()?)?),
        _ => Probe::Ping { targets: of(&check.ping)?, quorum: of(&check.quorum)? },
    })
}
