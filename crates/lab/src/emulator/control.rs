//! The operator's side: what third parties do to the region, and what goes wrong in it.
//!
//! In the same process through [`Control`]; from another one as JSON under `/_emulator/` of the
//! main listener, unsigned and therefore for laboratories only:
//!
//! | request | effect |
//! |---|---|
//! | `GET state` | profile, HAVIPs with bound, master and traffic, instances, interfaces, faults |
//! | `GET calls?since=N` | logged calls with a number above N |
//! | `GET watch?since=V&timeout-ms=T` | [`Traffic`] as soon as its version is above V, or after T |
//! | `GET profiles` | every preset |
//! | `POST COMMAND` | [`Command`], its members as the body |

use super::config::Permission;
use super::route;
use super::state::{CallRecord, Shared, Traffic};
use crate::simulation::cloud::{FaultRule, HavipSpec, MasterChange, ModelError, Profile, UnknownProfile, WorldView};
use havipd_core::model::plain::quote;
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Where the control API is.
pub(super) const PREFIX: &str = "/_emulator/";

/// Longest that `watch` waits.
const WATCH_MAX: Duration = Duration::from_secs(60);

/// One thing to do to the emulated cloud; over HTTP, `POST /_emulator/NAME` with the members as body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Puts a preset in force, some of its settings replaced.
    Profile {
        /// The preset.
        name: String,
        /// Members of [`Profile`] that differ.
        #[serde(default)]
        overrides: Map<String, Value>,
    },
    /// Puts a fault rule in force; answers with its `id`.
    Fault {
        /// The rule.
        rule: FaultRule,
    },
    /// Removes one fault rule.
    RemoveFault {
        /// Its number.
        id: u64,
    },
    /// Removes every fault rule.
    ClearFaults {},
    /// Makes a bound target the master.
    Master {
        /// Of this HAVIP.
        havip: String,
        /// The target.
        target: String,
    },
    /// Creates a HAVIP to which nobody is bound.
    Create {
        /// Its id.
        havip: String,
        /// Its address.
        address: Ipv4Addr,
    },
    /// Deletes a HAVIP.
    Delete {
        /// Which.
        havip: String,
    },
    /// Unbinds a target, master or not.
    Unbind {
        /// From this HAVIP.
        havip: String,
        /// The target.
        target: String,
    },
    /// Binds strangers until no more fit; answers with their ids as `bound`.
    Fill {
        /// Which HAVIP.
        havip: String,
    },
    /// Stops an instance.
    Stop {
        /// Which.
        instance: String,
    },
    /// Starts an instance.
    Start {
        /// Which.
        instance: String,
    },
    /// A guest's gratuitous ARP reached the fabric; answers with `moved`.
    Announce {
        /// From this target.
        target: String,
        /// For this HAVIP's address.
        havip: String,
    },
    /// Shifts the cloud's wall clock against the host's.
    Clock {
        /// By so much, ahead if positive.
        offset_ms: i64,
    },
    /// Gives an instance its role, or takes it away.
    Role {
        /// The node whose instance it is.
        node: String,
        /// Whether it has one.
        enabled: bool,
    },
    /// Changes what an access key may do.
    Permission {
        /// Access key id.
        access_key: String,
        /// What it may do from now on.
        permission: Permission,
    },
    /// Makes an access key unknown.
    Revoke {
        /// Access key id.
        access_key: String,
    },
}

/// Why a command was not carried out; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The region is not like that.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No such preset.
    #[error(transparent)]
    Profile(#[from] UnknownProfile),
    /// The overrides do not make a profile.
    #[error("these overrides make no profile: {0}")]
    Overrides(String),
    /// No such fault rule, node or access key.
    #[error("there is no {what} {}", quote(name))]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        name: String,
    },
}

/// A handle on a running emulator for those who run in the same process.
#[derive(Debug, Clone)]
pub struct Control {
    pub(super) shared: Arc<Shared>,
}

impl Control {
    /// Carries out one command; the value is what the control API answers.
    ///
    /// # Errors
    /// [`ControlError`]; nothing has changed then.
    pub fn apply(&self, command: Command) -> Result<Value, ControlError> {
        apply(&self.shared, command)
    }

    /// Puts a profile in force, preset or not.
    pub fn set_profile(&self, profile: Profile) {
        self.shared.change(|state, now| state.model.set_profile(now, profile));
    }

    /// Puts a fault rule in force; the number removes it.
    pub fn add_fault(&self, rule: FaultRule) -> u64 {
        self.shared.change(|state, _| state.model.add_fault(rule))
    }

    /// Removes every fault rule.
    pub fn clear_faults(&self) {
        self.shared.change(|state, _| state.model.clear_faults());
    }

    /// A guest's gratuitous ARP reached the fabric; says whether it moved anything.
    pub fn announce(&self, target: &str, havip: &str) -> bool {
        self.shared.change(|state, now| state.model.announce(now, target, havip))
    }

    /// The whole region.
    #[must_use]
    pub fn view(&self) -> WorldView {
        self.shared.look(|state, now| state.model.view(now))
    }

    /// Calls logged after number `since`, at most the last 10,000.
    #[must_use]
    pub fn calls(&self, since: u64) -> Vec<CallRecord> {
        self.shared.look(|state, _| state.calls(since))
    }

    /// Where packets go; the latest state only.
    #[must_use]
    pub fn traffic(&self) -> watch::Receiver<Traffic> {
        self.shared.traffic()
    }

    /// Every single change of where packets go; a reader over 1,024 behind loses the oldest.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<MasterChange> {
        self.shared.changes()
    }
}

fn found(yes: bool, what: &'static str, name: impl ToString) -> Result<(), ControlError> {
    yes.then_some(()).ok_or_else(|| ControlError::Missing { what, name: name.to_string() })
}

fn apply(shared: &Shared, command: Command) -> Result<Value, ControlError> {
    if let Command::Clock { offset_ms } = command {
        shared.clock.set_offset_millis(offset_ms);
        return Ok(json!({}));
    }
    shared.change(|state, now| {
        let model = &mut state.model;
        match command {
            Command::Clock { .. } | Command::ClearFaults {} => model.clear_faults(),
            Command::Profile { name, overrides } => model.set_profile(now, overridden(&name, overrides)?),
            Command::Fault { rule } => return Ok(json!({"id": model.add_fault(rule)})),
            Command::RemoveFault { id } => found(model.remove_fault(id), "fault", id)?,
            Command::Master { havip, target } => model.force_master(now, &havip, &target)?,
            Command::Create { havip, address } => model.create_havip(now, HavipSpec::new(&havip, address))?,
            Command::Delete { havip } => model.delete_havip(now, &havip)?,
            Command::Unbind { havip, target } => model.unbind(now, &havip, &target)?,
            Command::Fill { havip } => return Ok(json!({"bound": model.fill_quota(now, &havip)?})),
            Command::Stop { instance } => model.stop_instance(now, &instance)?,
            Command::Start { instance } => model.start_instance(now, &instance)?,
            Command::Announce { target, havip } => {
                return Ok(json!({"moved": model.announce(now, &target, &havip)}));
            }
            Command::Role { node, enabled } => {
                let known = state.nodes.iter_mut().find(|n| n.name == node);
                found(known.map(|n| n.role = enabled).is_some(), "node", node)?;
            }
            Command::Permission { access_key, permission } => {
                found(state.keys.set_permission(&access_key, permission), "access key", access_key)?;
            }
            Command::Revoke { access_key } => found(state.keys.revoke(&access_key), "access key", access_key)?,
        }
        Ok(json!({}))
    })
}

fn overridden(name: &str, overrides: Map<String, Value>) -> Result<Profile, ControlError> {
    let preset: Profile = name.parse()?;
    let wrong = |e: serde_json::Error| ControlError::Overrides(e.to_string());
    let mut value = serde_json::to_value(preset).map_err(wrong)?;
    if let Value::Object(members) = &mut value {
        members.extend(overrides);
    }
    serde_json::from_value(value).map_err(wrong)
}

/// Answers one request of the control API; `what` is the path behind the prefix.
pub(super) async fn serve(
    shared: &Shared,
    method: &Method,
    what: &str,
    query: &str,
    body: &[u8],
) -> (StatusCode, Value) {
    let query = route::parameters(query);
    let number = |name: &str| query.iter().find(|(k, _)| k == name).and_then(|(_, v)| v.parse::<u64>().ok());
    match (method, what) {
        (&Method::GET, "state") => (StatusCode::OK, json!(shared.look(|state, now| state.model.view(now)))),
        (&Method::GET, "profiles") => (StatusCode::OK, json!(Profile::all())),
        (&Method::GET, "calls") => {
            let since = number("since").unwrap_or(0);
            (StatusCode::OK, json!(shared.look(|state, _| state.calls(since))))
        }
        (&Method::GET, "watch") => {
            let wait = number("timeout-ms").map_or(WATCH_MAX, Duration::from_millis).min(WATCH_MAX);
            (StatusCode::OK, json!(next_traffic(shared, number("since").unwrap_or(0), wait).await))
        }
        (&Method::POST, name) => post(shared, name, body),
        _ => refuse(StatusCode::NOT_FOUND, &format!("no {method} {what} here")),
    }
}

async fn next_traffic(shared: &Shared, since: u64, wait: Duration) -> Traffic {
    let mut traffic = shared.traffic();
    // On a timeout the present state is the answer.
    let _ = tokio::time::timeout(wait, traffic.wait_for(|t| t.version > since)).await;
    let latest = traffic.borrow();
    latest.clone()
}

fn post(shared: &Shared, name: &str, body: &[u8]) -> (StatusCode, Value) {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut members: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(members) => members,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("not a JSON object: {error}")),
    };
    members.insert("command".to_owned(), json!(name));
    match serde_json::from_value::<Command>(Value::Object(members)) {
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(command) => match apply(shared, command) {
            Ok(value) => (StatusCode::OK, value),
            Err(error) => refuse(StatusCode::CONFLICT, &error.to_string()),
        },
    }
}

fn refuse(status: StatusCode, message: &str) -> (StatusCode, Value) {
    (status, json!({"error": message}))
}
