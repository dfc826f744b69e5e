//! A node on which everything is as it should be, for the judges' tests to spoil.

use super::Finding;
use super::facts::{CloudFacts, DaemonFacts, Facts, FileFacts, HookFact, HostFacts, LastWrite, Place};
use crate::config::check::{Source, check};
use crate::config::{Disk, Environment};
use crate::status::{CoreStatus, EffectsStatus, NetworkStatus, Status};
use havipd_core::model::cloud::{Bound, CallError, ErrorClass, HaVip};
use havipd_core::model::event::InstanceState;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::Config;
use havipd_core::status::{Counters, GroupSnapshot, PeerSnapshot, Snapshot};
use havipd_core::wire::session::{SessionState, SessionStats};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const HAVIP: &str = "havip-x";

const TEXT: &str = r#"
[cluster]
name = "lab"
[[node]]
name = "a"
address = "10.0.0.11"
instance = "i-a"
priority = 150
[[node]]
name = "b"
address = "10.0.0.12"
instance = "i-b"
[heartbeat]
keys = [{ id = 1, file = "k" }]
[cloud]
region = "bj"
[[group]]
name = "web"
[[group.havip]]
id = "havip-x"
address = "10.0.0.100"
interface = "eth0"
"#;

struct Good;

impl Disk for Good {
    fn secret(&self, _: &Path) -> Result<Secret, String> {
        Ok(Secret::from("00".repeat(32)))
    }
    fn readable(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }
    fn objection(&self, _: &Path) -> Option<String> {
        None
    }
}

pub(crate) fn error(detail: &str) -> CallError {
    CallError::new(ErrorClass::Retry, "read havip-x", detail)
}

pub(crate) fn havip(bound: &[(&str, Option<bool>)]) -> HaVip {
    let one = |(id, master): &(&str, Option<bool>)| Bound {
        instance_id: (*id).to_owned(),
        instance_type: "SERVER".into(),
        master: *master,
    };
    HaVip {
        ha_vip_id: HAVIP.into(),
        name: String::new(),
        vpc_id: "vpc-1".into(),
        subnet_id: "sbn-1".into(),
        status: "binded".into(),
        private_ip_address: Some("10.0.0.100".parse().expect("an address")),
        public_ip_address: None,
        binded_instances: bound.iter().map(one).collect(),
    }
}

/// The first of them is master.
pub(crate) fn bind(ids: &[&str]) -> HaVip {
    havip(&ids.iter().enumerate().map(|(i, id)| (*id, Some(i == 0))).collect::<Vec<_>>())
}

pub(crate) fn status() -> Status {
    let group = GroupSnapshot {
        name: "web".into(),
        role: Role::Active,
        cause: Cause::Confirmed.into(),
        detail: String::new(),
        since_ms: 60_000,
        epoch: 3,
        priority: 150,
        active: Some("a".into()),
        waiting: String::new(),
        waiting_ms: None,
        member: true,
        members: vec![],
        successor: Some("b".into()),
        no_failover: None,
        preemption_suspended: false,
        failed_claim: None,
        gate: None,
        failed_move: None,
        arbiter: havipd_core::model::settings::Arbiter::Cloud.into(),
        right_ms: Some(4_000),
        votes_in_ms: None,
        drained: false,
        maintenance: false,
        maintenance_ends_ms: None,
        isolated: false,
        moves: 0,
        vrrp: None,
        leader_key: None,
        election_key: None,
        max_moves: 6,
        budget_ms: None,
        trace: None,
        observe: false,
        differs: None,
        fabric: None,
        fabric_ms: None,
        havips: vec![],
    };
    let peer = PeerSnapshot {
        node: "b".into(),
        state: SessionState::Up,
        heard_ms: Some(120),
        dead_time_ms: 5_000,
        suspected: false,
        same_digest: Some(true),
        target: None,
        stats: SessionStats::default(),
    };
    let election = Snapshot {
        cluster: "lab".into(),
        node: "a".into(),
        target: None,
        uptime_ms: 100_000,
        peers: vec![peer],
        groups: vec![group],
        counters: Counters::default(),
        pauses: 0,
        longest_pause_ms: 20,
        stopping: false,
    };
    Status::new(CoreStatus { election, network: NetworkStatus::default() }, EffectsStatus::default())
}

/// What node `a` reads of its file, which has `more` at its end.
pub(crate) fn config(more: &str) -> Config {
    let text = format!("{TEXT}{more}");
    let source = Source { name: "x.toml", directory: Path::new("/etc/havipd"), text: &text };
    let env = Environment { node: Some("a".into()), credentials_in_environment: true, ..Environment::default() };
    check(source, &env, &Good).expect("a configuration").config
}

pub(crate) fn healthy() -> Facts {
    let hook = HookFact { group: "web".into(), key: "notify", program: "/bin/x".into(), broken: None, open: false };
    let place = Place { interface: Some("eth0".into()), up: true, arp_ignore: Some(0), ..Place::default() };
    Facts {
        config: Arc::new(config("")),
        file: FileFacts { path: "/etc/havipd/havipd.toml".into(), ..FileFacts::default() },
        daemon: Some(DaemonFacts {
            before: status(),
            after: status(),
            writes: [("web".to_owned(), LastWrite::Confirmed("2026-01-01T00:00:00Z".to_owned()))].into(),
        }),
        asked: [].into(),
        etcd: vec![],
        cloud: Some(CloudFacts {
            source: "env",
            skew: Some(0),
            without_tls: None,
            took: Duration::from_millis(30),
            instance: Ok("i-a".into()),
            vpc: Ok("vpc-1".into()),
            subnet: Ok("sbn-1".into()),
            region: Ok("bj".into()),
            target: "i-a".parse().map_err(|_| String::new()),
            havips: [(HAVIP.to_owned(), Ok(havip(&[("i-a", Some(true))])))].into(),
            instances: ["i-a", "i-b"].map(|i| (i.to_owned(), Ok(InstanceState::Running))).into(),
            enis: [].into(),
        }),
        host: HostFacts {
            addresses: vec!["10.0.0.11".parse().expect("one"), "10.0.0.100".parse().expect("one")],
            places: [(HAVIP.to_owned(), place)].into(),
            sockets: vec![("10.0.0.11:11200".parse().expect("one"), None)],
            state: "/var/lib/havipd".into(),
            free_bytes: Some(1 << 30),
            longest_pause: Some(Duration::from_millis(20)),
            stop_timeout: Some(Duration::from_secs(90)),
            hooks: vec![hook],
            ..HostFacts::default()
        },
    }
}

/// The finding of that id.
pub(crate) fn find(findings: &[Finding], id: &str) -> Finding {
    let found = findings.iter().find(|f| f.id == id);
    found.unwrap_or_else(|| panic!("no {id} in {findings:#?}")).clone()
}
