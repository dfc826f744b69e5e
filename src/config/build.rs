//! The checked types, once nothing is wrong any more.

use super::check::{Outside, Resolver};
use super::document::At;
use super::raw::{self, File};
use super::readers::Command;
use super::rules::{dead_time_of, default_lifetime};
use super::rules_group::Shape;
use havipd_core::model::ids::{KeyId, NodeIndex, Target};
use havipd_core::model::settings::{
    Binding, Cloud, Config, CredentialSource, Daemon, Group, Havip, Heartbeat, HeartbeatKey, HoldOrRelease, Hooks,
    Interface, LocalAddress, Log, LogFormat, LogLevel, Member, Node, OnRestart, OnStop, Strangers,
};
use havipd_core::model::vrrp::{Kind, Vrrp};

/// `None` only if an error was noted.
pub(super) fn config(file: &File, shapes: &[Shape], outside: Outside, local: usize) -> Option<Config> {
    let nodes = file.nodes.iter().map(|n| node(n, file)).collect::<Option<Vec<_>>>()?;
    let groups = file
        .groups
        .iter()
        .zip(shapes)
        .map(|(g, s)| group(g, s, file, &nodes, &outside.resolve))
        .collect::<Option<_>>()?;
    let local_address = LocalAddress {
        lifetime: match &file.local_address.lifetime {
            Some(written) => written.value,
            None => Some(default_lifetime(dead_time_of(&file.heartbeat)?.value)),
        },
        announce_count: of(&file.local_address.announce_count)?,
        announce_interval: of(&file.local_address.announce_interval)?,
        announce_refresh: of(&file.local_address.announce_refresh)?,
    };
    Some(Config {
        cluster: of(&file.cluster)?,
        local: NodeIndex(local),
        groups,
        nodes,
        cloud: cloud(file, &outside)?,
        heartbeat: heartbeat(file, outside.keys)?,
        local_address,
        metrics: of(&file.listen)?.0,
        daemon: daemon(&file.daemon)?,
        keepalived: outside.keepalived?,
        log: log(file)?,
    })
}

fn daemon(daemon: &raw::Daemon) -> Option<Daemon> {
    Some(Daemon {
        history_size: of(&daemon.history_size)?,
        doctor_interval: of(&daemon.doctor_interval)?.0,
        realtime_priority: of(&daemon.realtime_priority)?,
        lock_memory: of(&daemon.lock_memory)?,
    })
}

fn of<T: Clone>(at: &Option<At<T>>) -> Option<T> {
    at.as_ref().map(|at| at.value.clone())
}

fn node(node: &raw::Node, file: &File) -> Option<Node> {
    let port = of(&file.heartbeat.port)?;
    let instance = of(&node.instance).map(Target::Instance);
    let witness = of(&node.witness)?;
    Some(Node {
        name: of(&node.name)?,
        addresses: node.addresses.as_ref()?.value.iter().map(|a| a.value.or_port(port)).collect(),
        target: instance.or_else(|| of(&node.eni).map(Target::Eni)),
        interface: of(&node.interface).map(|i| i.0),
        priority: if witness { 0 } else { of(&node.priority)? },
        witness,
    })
}

fn heartbeat(file: &File, keys: Vec<HeartbeatKey>) -> Option<Heartbeat> {
    let heartbeat = &file.heartbeat;
    let first = keys.first()?.id;
    Some(Heartbeat {
        port: of(&heartbeat.port)?,
        interval: of(&heartbeat.interval)?,
        dead_multiplier: of(&heartbeat.dead_multiplier)?,
        keys,
        send_key: of(&heartbeat.send_key).map_or(first, KeyId),
        cold_start_wait: of(&heartbeat.cold_start_wait)?,
        fabric_probe: of(&heartbeat.fabric_probe)?,
    })
}

fn cloud(file: &File, outside: &Outside) -> Option<Cloud> {
    let cloud = &file.cloud;
    let credentials = match (of(&cloud.source)?, outside.credentials_file.clone()) {
        ("env", _) => CredentialSource::Env,
        ("file", Some(path)) => CredentialSource::File(path),
        ("file", None) => return None,
        ("instance-role", _) => CredentialSource::InstanceRole,
        (_, file) => CredentialSource::Auto { file },
    };
    Some(Cloud {
        region: of(&cloud.region).map(|r| r.0),
        endpoint: of(&cloud.endpoint).map(|e| e.url),
        metadata_endpoint: of(&cloud.metadata_endpoint)?.url,
        ca_file: outside.ca_file.clone(),
        connect_timeout: of(&cloud.connect_timeout)?,
        request_timeout: of(&cloud.request_timeout)?,
        operation_timeout: of(&cloud.operation_timeout)?,
        audit_interval: of(&cloud.audit_interval)?,
        requests_per_second: of(&cloud.requests_per_second)?,
        credentials,
    })
}

fn group(group: &raw::Group, shape: &Shape, file: &File, nodes: &[Node], resolve: &Resolver) -> Option<Group> {
    let members = shape.members.iter().map(|&index| {
        let node = &nodes[index];
        let own = group.priorities.iter().find(|(name, _)| name.value == node.name.as_str()).map(|(_, p)| *p);
        Member { node: NodeIndex(index), priority: own.unwrap_or(node.priority), witness: node.witness }
    });
    Some(Group {
        name: of(&group.name)?,
        members: members.collect(),
        arbiter: shape.arbiter,
        preempt: of(&group.preempt)?,
        preempt_delay: of(&group.preempt_delay)?,
        on_stop: match of(&group.on_stop)? {
            "keep" => OnStop::Keep,
            "release" => OnStop::Release,
            _ => OnStop::Handover,
        },
        on_restart: if of(&group.on_restart)? == "handover" { OnRestart::Handover } else { OnRestart::Keep },
        keep_for: of(&group.keep_for)?,
        handover_timeout: of(&group.handover_timeout)?,
        when_isolated: hold_or_release(of(&group.when_isolated)?),
        when_all_fail: hold_or_release(of(&group.when_all_fail)?),
        max_moves: of(&group.max_moves)?,
        max_moves_window: of(&group.max_moves_window)?,
        reclaim_wait: of(&group.reclaim_wait)?,
        vrrp: match &group.vrrp {
            Some(vrrp) => vrrp.value.clone(),
            None => Vrrp { kind: Kind::Instance, name: of(&group.name)?.to_string() },
        },
        observe: of(&group.observe)?,
        havips: group.havips.iter().map(havip).collect::<Option<_>>()?,
        hooks: hooks(&group.hooks, &file.hooks, resolve)?,
    })
}

/// `hold` and `keep` mean the same.
fn hold_or_release(word: &str) -> HoldOrRelease {
    if word == "release" { HoldOrRelease::Release } else { HoldOrRelease::Hold }
}

fn havip(havip: &raw::Havip) -> Option<Havip> {
    Some(Havip {
        id: of(&havip.id)?,
        binding: if of(&havip.binding)? == "shared" { Binding::Shared } else { Binding::Exclusive },
        address: of(&havip.address).map(|a| a.0),
        interface: match of(&havip.interface).map(|i| i.0) {
            None => Interface::Discover,
            Some(name) if name == "none" => Interface::None,
            Some(name) => Interface::Named(name),
        },
        strangers: match of(&havip.strangers)? {
            "detach" => Strangers::Detach,
            "refuse" => Strangers::Refuse,
            _ => Strangers::Guard,
        },
    })
}

/// The group's own commands, else the file's, key by key.
fn hooks(own: &raw::Hooks, common: &raw::Hooks, resolve: &Resolver) -> Option<Hooks> {
    let pick = |own: &Option<At<Command>>, common: &Option<At<Command>>| {
        own.as_ref().or(common.as_ref()).and_then(|command| resolve.argv(&command.value))
    };
    let timeout = own.timeout.as_ref().filter(|t| t.written).or(common.timeout.as_ref())?;
    Some(Hooks {
        notify: pick(&own.notify, &common.notify),
        notify_master: pick(&own.notify_master, &common.notify_master),
        notify_backup: pick(&own.notify_backup, &common.notify_backup),
        notify_fault: pick(&own.notify_fault, &common.notify_fault),
        notify_stop: pick(&own.notify_stop, &common.notify_stop),
        timeout: timeout.value,
    })
}

fn log(file: &File) -> Option<Log> {
    Some(Log {
        level: LogLevel::named(of(&file.log_level)?).unwrap_or(LogLevel::Info),
        format: LogFormat::named(of(&file.log_format)?).unwrap_or(LogFormat::Text),
    })
}
