//! Everything that there is to know of a running daemon, for status, JSON and `STATUS=`.

use crate::checks::CheckStatus;
use crate::hooks::HookStatus;
use crate::net::heartbeat;
use crate::process::memory::Memory;
use crate::process::realtime::Realtime;
use crate::state::StateStatus;
use havipd_core::model::ids::GroupName;
use havipd_core::model::role::Role;
use havipd_core::status::Snapshot;
use havipd_core::wire::session::SessionState;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The core's side of it.
#[derive(Debug, Clone, Serialize)]
pub struct CoreStatus {
    /// The election.
    #[serde(flatten)]
    pub election: Snapshot,
    /// The host.
    pub network: NetworkStatus,
}

/// What the core thread sees of the host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NetworkStatus {
    /// Heartbeat sockets, then those of HAVIPs.
    pub sockets: Vec<heartbeat::Path>,
    /// Peers' addresses that this host itself refuses to send to.
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
    pub strays: Vec<StrayStatus>,
    /// Actions that found the queue to the effects side full.
    pub dropped_actions: u64,
    /// Turns of the core.
    pub turns: u64,
    /// The priority of its thread.
    pub realtime: Realtime,
}

/// A HAVIP's address that was on this host, and that havipd had not put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The peer.
    pub node: String,
    /// Its address.
    pub address: std::net::SocketAddr,
    /// What the kernel says.
    pub error: String,
}

/// Where one HAVIP's address belongs.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceStatus {
    /// Its id.
    pub havip: String,
    /// The interface, once found; none also where the address is not ours to put.
    pub interface: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
}

/// The effects side of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EffectsStatus {
    /// Hooks, per group.
    pub hooks: BTreeMap<GroupName, HookStatus>,
    /// Checks, by name.
    pub checks: Vec<CheckStatus>,
    /// The state file.
    pub state: StateStatus,
    /// Where cloud credentials come from; `None` on a node that never calls the cloud.
    pub credentials: Option<&'static str>,
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
    pub memory: Memory,
}

/// All of it: what `havipctl status --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: &'static str,
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

impl Status {
    /// Puts both sides together.
    #[must_use]
    pub fn new(core: CoreStatus, effects: EffectsStatus) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), pid: std::process::id(), core, effects }
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
                match (&group.active, group.role) {
                    (_, Role::Fault) => drop(write!(text, " ({})", group.detail)),
                    (Some(active), Role::Backup) => drop(write!(text, " (active: {active})")),
                    _ => {}
                }
                text.push_str(", ");
            }
        }
        let up = snapshot.peers.iter().filter(|p| p.state == SessionState::Up).count();
        let _ = write!(text, "{up} of {} peers up", snapshot.peers.len());
        text
    }
}
