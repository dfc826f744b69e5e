//! The file as it is written: every key read and in its range, nothing yet compared with anything.
//!
//! A field is `None` if its key is absent and has no default, or if it was wrong, which is then
//! already reported: rules over several keys skip what is `None`.

use super::diagnostic::{Report, Span, quote};
use super::document::{At, Table};
use super::readers::Command;
use super::value::{Address, DoctorInterval, Endpoint, InterfaceName, Listen, NodeInterface, Region, VirtualAddress};
use havipd_core::model::ids::{ClusterName, EniId, GroupName, HavipId, InstanceId, NodeName};
use havipd_core::model::vrrp::Vrrp;
use std::time::Duration;

/// The whole file.
pub(super) struct File {
    pub(super) cluster: Option<At<ClusterName>>,
    pub(super) nodes: Vec<Node>,
    pub(super) heartbeat: Heartbeat,
    pub(super) cloud: Cloud,
    pub(super) groups: Vec<Group>,
    pub(super) local_address: LocalAddress,
    pub(super) hooks: Hooks,
    pub(super) listen: Option<At<Listen>>,
    pub(super) daemon: Daemon,
    pub(super) keepalived: Keepalived,
    pub(super) log_level: Option<At<&'static str>>,
    pub(super) log_format: Option<At<&'static str>>,
}

/// `[[node]]`.
pub(super) struct Node {
    pub(super) name: Option<At<NodeName>>,
    pub(super) addresses: Option<At<Vec<At<Address>>>>,
    pub(super) instance: Option<At<InstanceId>>,
    pub(super) eni: Option<At<EniId>>,
    pub(super) interface: Option<At<NodeInterface>>,
    pub(super) priority: Option<At<u8>>,
    pub(super) witness: Option<At<bool>>,
}

impl Node {
    pub(super) fn is_witness(&self) -> bool {
        self.witness.as_ref().is_some_and(|w| w.value)
    }
}

/// `[heartbeat]`.
pub(super) struct Heartbeat {
    pub(super) port: Option<At<u16>>,
    pub(super) interval: Option<At<Duration>>,
    pub(super) dead_multiplier: Option<At<u32>>,
    pub(super) keys: Vec<Key>,
    pub(super) send_key: Option<At<u8>>,
    pub(super) cold_start_wait: Option<At<Duration>>,
    pub(super) fabric_probe: Option<At<bool>>,
}

/// One entry of `heartbeat.keys`.
pub(super) struct Key {
    pub(super) id: Option<At<u8>>,
    pub(super) file: Option<At<String>>,
}

/// `[cloud]` and `[cloud.credentials]`.
pub(super) struct Cloud {
    pub(super) region: Option<At<Region>>,
    pub(super) endpoint: Option<At<Endpoint>>,
    pub(super) metadata_endpoint: Option<At<Endpoint>>,
    pub(super) ca_file: Option<At<String>>,
    pub(super) connect_timeout: Option<At<Duration>>,
    pub(super) request_timeout: Option<At<Duration>>,
    pub(super) operation_timeout: Option<At<Duration>>,
    pub(super) audit_interval: Option<At<Duration>>,
    pub(super) requests_per_second: Option<At<Option<f64>>>,
    pub(super) credentials: Span,
    pub(super) source: Option<At<&'static str>>,
    pub(super) credentials_file: Option<At<String>>,
}

/// `[[group]]`.
pub(super) struct Group {
    pub(super) span: Span,
    pub(super) name: Option<At<GroupName>>,
    pub(super) nodes: Membership,
    pub(super) arbiter: Option<At<&'static str>>,
    pub(super) priorities: Vec<(At<String>, u8)>,
    pub(super) preempt: Option<At<bool>>,
    pub(super) preempt_delay: Option<At<Duration>>,
    pub(super) on_stop: Option<At<&'static str>>,
    pub(super) on_restart: Option<At<&'static str>>,
    pub(super) keep_for: Option<At<Duration>>,
    pub(super) handover_timeout: Option<At<Duration>>,
    pub(super) when_isolated: Option<At<&'static str>>,
    pub(super) when_all_fail: Option<At<&'static str>>,
    pub(super) max_moves: Option<At<u32>>,
    pub(super) max_moves_window: Option<At<Duration>>,
    pub(super) reclaim_wait: Option<At<Duration>>,
    pub(super) vrrp: Option<At<Vrrp>>,
    pub(super) observe: Option<At<bool>>,
    pub(super) havips: Vec<Havip>,
    pub(super) hooks: Hooks,
}

/// `group.nodes`.
pub(super) enum Membership {
    /// Every node.
    All,
    /// These.
    Listed(At<Vec<At<String>>>),
    /// What was written is wrong.
    Unknown,
}

/// `[[group.havip]]`.
pub(super) struct Havip {
    pub(super) id: Option<At<HavipId>>,
    pub(super) binding: Option<At<&'static str>>,
    pub(super) address: Option<At<VirtualAddress>>,
    pub(super) interface: Option<At<InterfaceName>>,
    pub(super) strangers: Option<At<&'static str>>,
}

/// `[local-address]`.
pub(super) struct LocalAddress {
    /// `None` inside is `"forever"`.
    pub(super) lifetime: Option<At<Option<Duration>>>,
    pub(super) announce_count: Option<At<u32>>,
    pub(super) announce_interval: Option<At<Duration>>,
    pub(super) announce_refresh: Option<At<Duration>>,
}

/// `[keepalived]`.
pub(super) struct Keepalived {
    /// The file has it.
    pub(super) written: bool,
    pub(super) fifo: Option<At<String>>,
    pub(super) pid_file: Option<At<String>>,
}

/// `[daemon]`.
pub(super) struct Daemon {
    pub(super) history_size: Option<At<u64>>,
    pub(super) doctor_interval: Option<At<DoctorInterval>>,
    pub(super) realtime_priority: Option<At<u8>>,
    pub(super) lock_memory: Option<At<bool>>,
}

/// `[hooks]` or `[group.hooks]`.
pub(super) struct Hooks {
    pub(super) notify: Option<At<Command>>,
    pub(super) notify_master: Option<At<Command>>,
    pub(super) notify_backup: Option<At<Command>>,
    pub(super) notify_fault: Option<At<Command>>,
    pub(super) notify_stop: Option<At<Command>>,
    pub(super) timeout: Option<At<Duration>>,
}

impl Hooks {
    /// Every command that is given.
    pub(super) fn commands(&self) -> impl Iterator<Item = &At<Command>> {
        [&self.notify, &self.notify_master, &self.notify_backup, &self.notify_fault, &self.notify_stop]
            .into_iter()
            .flatten()
    }
}

/// Reads every key; what is wrong goes to `report`.
pub(super) fn read(root: &Table<'_>, report: &Report) -> File {
    let log = root.table("log");
    File {
        cluster: root.table("cluster").text("name"),
        nodes: root.tables("node").iter().map(node).collect(),
        heartbeat: heartbeat(&root.table("heartbeat")),
        cloud: cloud(&root.table("cloud")),
        groups: root.tables("group").iter().map(|t| group(t, report)).collect(),
        local_address: local_address(&root.table("local-address")),
        hooks: hooks(&root.table("hooks")),
        listen: root.table("metrics").text("listen"),
        daemon: daemon(&root.table("daemon")),
        keepalived: keepalived(root),
        log_level: log.choice("level"),
        log_format: log.choice("format"),
    }
}

fn node(table: &Table<'_>) -> Node {
    Node {
        name: table.text("name"),
        addresses: table.addresses("address"),
        instance: table.text("instance"),
        eni: table.text("eni"),
        interface: table.text("interface"),
        priority: table.integer("priority"),
        witness: table.bool("witness"),
    }
}

fn heartbeat(table: &Table<'_>) -> Heartbeat {
    Heartbeat {
        port: table.integer("port"),
        interval: table.duration("interval"),
        dead_multiplier: table.integer("dead-multiplier"),
        keys: table.tables("keys").iter().map(|t| Key { id: t.integer("id"), file: t.path("file") }).collect(),
        send_key: table.integer("send-key"),
        cold_start_wait: table.duration("cold-start-wait"),
        fabric_probe: table.bool("fabric-probe"),
    }
}

fn cloud(table: &Table<'_>) -> Cloud {
    let credentials = table.table("credentials");
    Cloud {
        region: table.text("region"),
        endpoint: table.text("endpoint"),
        metadata_endpoint: table.text("metadata-endpoint"),
        ca_file: table.path("ca-file"),
        connect_timeout: table.duration("connect-timeout"),
        request_timeout: table.duration("request-timeout"),
        operation_timeout: table.duration("operation-timeout"),
        audit_interval: table.duration("audit-interval"),
        requests_per_second: table.number_or_adaptive("requests-per-second"),
        credentials: credentials.span().clone(),
        source: credentials.choice("source"),
        credentials_file: credentials.path("file"),
    }
}

fn group(table: &Table<'_>, report: &Report) -> Group {
    let nodes = match (table.key_span("nodes"), table.names("nodes")) {
        (None, _) => Membership::All,
        (_, Some(names)) => Membership::Listed(names),
        (Some(_), None) => Membership::Unknown,
    };
    let arbiter = table.choice("arbiter").filter(|arbiter| {
        let later = arbiter.value == "etcd";
        if later {
            let text = format!("\"arbiter\" = {} is not available in this version", quote(arbiter.value));
            let words = "use \"auto\", \"cloud\", \"majority\", \"keepalived\" or \"none\"";
            report.error_with(&arbiter.span, text, words);
        }
        !later
    });
    Group {
        span: table.span().clone(),
        name: table.text("name"),
        nodes,
        arbiter,
        priorities: table.priorities("priorities"),
        preempt: table.bool("preempt"),
        preempt_delay: table.duration("preempt-delay"),
        on_stop: table.choice("on-stop"),
        on_restart: table.choice("on-restart"),
        keep_for: table.duration("keep-for"),
        handover_timeout: table.duration("handover-timeout"),
        when_isolated: table.choice("when-isolated"),
        when_all_fail: table.choice("when-all-fail"),
        max_moves: table.integer("max-moves"),
        max_moves_window: table.duration("max-moves-window"),
        reclaim_wait: table.duration("reclaim-wait"),
        vrrp: table.text("vrrp"),
        observe: table.bool("observe"),
        havips: table.tables("havip").iter().map(havip).collect(),
        hooks: hooks(&table.table("hooks")),
    }
}

fn havip(table: &Table<'_>) -> Havip {
    Havip {
        id: table.text("id"),
        binding: table.choice("binding"),
        address: table.text("address"),
        interface: table.text("interface"),
        strangers: table.choice("strangers"),
    }
}

fn local_address(table: &Table<'_>) -> LocalAddress {
    LocalAddress {
        lifetime: table.lifetime("lifetime"),
        announce_count: table.integer("announce-count"),
        announce_interval: table.duration("announce-interval"),
        announce_refresh: table.duration("announce-refresh"),
    }
}

fn keepalived(root: &Table<'_>) -> Keepalived {
    let table = root.table("keepalived");
    Keepalived {
        written: root.key_span("keepalived").is_some(),
        fifo: table.path("fifo"),
        pid_file: table.path("pid-file"),
    }
}

fn daemon(table: &Table<'_>) -> Daemon {
    Daemon {
        history_size: table.size("history-size"),
        doctor_interval: table.text("doctor-interval"),
        realtime_priority: table.integer("realtime-priority"),
        lock_memory: table.bool("lock-memory"),
    }
}

fn hooks(table: &Table<'_>) -> Hooks {
    Hooks {
        notify: table.command("notify"),
        notify_master: table.command("notify-master"),
        notify_backup: table.command("notify-backup"),
        notify_fault: table.command("notify-fault"),
        notify_stop: table.command("notify-stop"),
        timeout: table.duration("timeout"),
    }
}
