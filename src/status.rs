//! Everything that there is to know of a running daemon, for status, JSON and `STATUS=`: the daemon writes it, and those who ask
//! one read it. How readers of another version do that: [`havipd_core::status`].

use crate::checks::status::CheckStatus;
use crate::gates::status::GateStatus;
use crate::hooks::HookStatus;
use crate::net::heartbeat;
use crate::process::memory::Memory;
use crate::process::realtime::Realtime;
use crate::state::StateStatus;
use havipd_core::model::ids::GroupName;
use havipd_core::model::plural::plural;
use havipd_core::model::role::Role;
use havipd_core::status::Snapshot;
use havipd_core::wire::session::SessionState;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The core's side of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CoreStatus {
    /// The election.
    #[serde(flatten)]
    pub election: Snapshot,
    /// The host.
    pub network: NetworkStatus,
}

/// What the core thread sees of the host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Heartbeat sockets, then those of HAVIPs.
    pub sockets: Vec<heartbeat::Path>,
    /// Peers' addresses that this host itself refuses to send to.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
    /// Datagrams.
    pub datagrams: heartbeat::Counters,
    /// Where addresses belong.
    pub places: Vec<PlaceStatus>,
    /// The kernel could not be heard, and why.
    pub netlink_error: Option<String>,
    /// How often the kernel had to drop notifications.
    pub netlink_overruns: u64,
    /// Why the last change of an address, or announcement, failed; `None` after a success.
    pub address_error: Option<String>,
    /// Changes of addresses that failed.
    pub address_failures: u64,
    /// Addresses of HAVIPs that something else put on this host, and that were taken off.
    #[serde(default)]
    pub strays: Vec<StrayStatus>,
    /// Actions that found the queue to the effects side full.
    pub dropped_actions: u64,
    /// Turns of the core.
    pub turns: u64,
    /// The priority of its thread.
    #[serde(default)]
    pub realtime: Realtime,
}

/// A HAVIP's address that was on this host, and that havipd had not put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayStatus {
    /// The address.
    pub address: std::net::Ipv4Addr,
    /// Where it was last, as `ip address` has it: prefix and interface.
    pub found: String,
    /// How often it was taken off since the start.
    pub times: u64,
    /// How long ago the last time was.
    pub ago_ms: u64,
}

/// This host refuses to send heartbeats to a peer's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The peer.
    pub node: String,
    /// Its address.
    pub address: std::net::SocketAddr,
    /// What the kernel says.
    pub error: String,
}

/// Where one HAVIP's address belongs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaceStatus {
    /// Its id.
    pub havip: String,
    /// The interface, once found; none also where the address is not ours to put.
    pub interface: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
}

/// The effects side of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EffectsStatus {
    /// Hooks, per group.
    pub hooks: BTreeMap<GroupName, HookStatus>,
    /// Gates of each group that has run one.
    #[serde(default)]
    pub gates: BTreeMap<GroupName, GateStatus>,
    /// Checks, by name.
    #[serde(default)]
    pub checks: Vec<CheckStatus>,
    /// The state file.
    pub state: StateStatus,
    /// Where cloud credentials come from; `None` on a node that never calls the cloud.
    pub credentials: Option<String>,
    /// The cloud's clock minus ours, in seconds.
    pub clock_skew_s: i64,
    /// Why this node's identity is not known, while it is not.
    pub identity_error: Option<String>,
    /// Why the last reload was refused; `None` after one that was not.
    pub reload_error: Option<String>,
    /// Why metrics are not served, while they should be.
    pub metrics_error: Option<String>,
    /// Changes of role that are not in the history: the disk was too slow, or refused them.
    pub history_lost: u64,
    /// Lines of the log that nobody read in time.
    pub log_lines_lost: u64,
    /// Whether this process can be swapped out.
    #[serde(default)]
    pub memory: Memory,
}

/// All of it: what `havipctl status --json` prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The core's side.
    #[serde(flatten)]
    pub core: CoreStatus,
    /// The effects side.
    pub effects: EffectsStatus,
}

/// What a watching client gets.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Published {
    /// This host is none of the file's nodes yet.
    Waiting {
        /// For what.
        waiting: String,
    },
    /// The daemon runs.
    Running(Box<Status>),
}

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// What only a daemon that waits says.
        #[derive(Deserialize)]
        struct Waiting {
            waiting: String,
        }
        // Not as serde tells variants apart, whose error would be that it is none of them.
        let data = Value::deserialize(deserializer)?;
        if let Ok(Waiting { waiting }) = Waiting::deserialize(&data) {
            return Ok(Self::Waiting { waiting });
        }
        Status::deserialize(&data).map(|status| Self::Running(Box::new(status))).map_err(D::Error::custom)
    }
}

impl Status {
    /// Puts both sides together.
    #[must_use]
    pub fn new(core: CoreStatus, effects: EffectsStatus) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), core, effects }
    }
}

impl CoreStatus {
    /// The line that `systemctl status` shows: groups that need attention first.
    #[must_use]
    pub fn line(&self) -> String {
        let snapshot = &self.election;
        let mut text = String::new();
        if snapshot.stopping {
            text.push_str("leaving; ");
        }
        let count = |role| snapshot.groups.iter().filter(|g| g.role == role).count();
        if snapshot.groups.len() > 4 {
            let roles = [Role::Fault, Role::Claiming, Role::Releasing, Role::Active, Role::Backup];
            for (role, n) in roles.map(|r| (r, count(r))).into_iter().filter(|(_, n)| *n > 0) {
                let _ = write!(text, "{n} {role}, ");
            }
        } else {
            for group in &snapshot.groups {
                let _ = write!(text, "{} {}", group.name, group.role);
                let more = match (&group.active, group.role) {
                    (_, Role::Fault) => format!(" ({})", group.detail),
                    (Some(active), Role::Backup) if group.confirmed().is_some() => format!(" (active: {active})"),
                    (Some(claims), Role::Backup) => format!(" ({claims} claims)"),
                    _ => String::new(),
                };
                text.push_str(&more);
                text.push_str(", ");
            }
        }
        let up = snapshot.peers.iter().filter(|p| p.state == SessionState::Up).count();
        let _ = write!(text, "{up} of {} up", plural(snapshot.peers.len(), "peer"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;
    use havipd_core::model::role::Cause;
    use havipd_core::status::{FailedClaimSnapshot, HavipSnapshot, Reported};
    use serde_json::json;

    /// A status with something in every list.
    fn full() -> Status {
        let mut status = fixture::status();
        status.core.election.target = "i-a".parse().ok();
        let group = &mut status.core.election.groups[0];
        group.failed_claim = Some(FailedClaimSnapshot { cause: Cause::Denied.into(), text: "403".into(), ago_ms: 7 });
        group.havips.push(HavipSnapshot {
            id: "havip-x".into(),
            address: "10.0.0.100".parse().ok(),
            present: Some(true),
            holder: Some("i-a".into()),
            bound: vec!["i-a".into()],
            read_ms: Some(90),
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        });
        status
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let written = serde_json::to_value(full()).expect("JSON");
        let Published::Running(read) = Published::deserialize(&written).expect("a status") else { panic!("it runs") };
        assert_eq!(serde_json::to_value(read).expect("JSON"), written);
        let waits = json!({ "waiting": "for 10.0.0.1" });
        let read = Published::deserialize(&waits).expect("a daemon that waits");
        assert!(matches!(&read, Published::Waiting { waiting } if waiting == "for 10.0.0.1"), "{read:?}");
        assert_eq!(serde_json::to_value(read).expect("JSON"), waits);
    }

    #[test]
    fn what_a_later_version_says_besides_is_overlooked_or_shown_as_it_is() {
        let mut said = serde_json::to_value(full()).expect("JSON");
        said["colour"] = json!("red");
        said["network"]["colour"] = json!("red");
        let group = &mut said["groups"][0];
        group["colour"] = json!({ "red": [1] });
        group["cause"] = json!("gate-closed");
        group["arbiter"] = json!("consul");
        group["failed_claim"]["cause"] = json!("gate-closed");
        let read = Status::deserialize(&said).expect("a status");
        let group = &read.core.election.groups[0];
        assert_eq!((group.cause.to_string().as_str(), group.cause.known()), ("gate-closed", None));
        assert_eq!(group.arbiter, Reported::Other("consul".into()));
        said["groups"][0]["role"] = json!("dancing");
        let error = Published::deserialize(&said).expect_err("no role of ours").to_string();
        assert!(error.contains("dancing"), "{error}");
    }

    #[test]
    fn what_the_first_version_did_not_say_has_its_default() {
        let recorded = include_bytes!("../tests/data/control/v1/status.json");
        let said: Value = serde_json::from_slice(recorded).expect("JSON");
        let read = Status::deserialize(&said["data"]).expect("a status");
        let group = &read.core.election.groups[0];
        assert!(group.member && group.members.is_empty() && !group.observe && group.failed_claim.is_none());
        assert_eq!((group.role, &group.cause, group.max_moves), (Role::Active, &Cause::Confirmed.into(), 0));
        assert_eq!(read.core.network.realtime, Realtime::Off);
        assert!(read.effects.checks.is_empty() && read.effects.hooks.len() == 1);
    }
}
