//! What operators do: they switch over, drain, maintain, stop and reload.

use super::cluster::Cluster;
use super::host::Host;
use super::schedule::{Scheduled, TRIES_AGAIN};
use super::step_kind::StepKind;
use super::world::World;
use havipd_core::model::digest::digest;
use havipd_core::model::event::{Command, Event};
use havipd_core::model::ids::{GroupIndex, KeyId, NodeIndex};
use havipd_core::model::role::Role;
use havipd_core::model::settings::{Config, Member, Node};
use havipd_core::status::Snapshot;
use std::sync::Arc;
use std::time::Duration;

/// systemd waits this long for a daemon to leave (TimeoutStopSec).
const STOP_TIMEOUT: Duration = Duration::from_secs(90);

impl World {
    pub(super) fn command(&mut self, host: usize, command: Command) {
        self.requests += 1;
        self.step(host, Event::Commanded { command, request: self.requests });
    }

    pub(super) fn operate(&mut self, kind: &StepKind) {
        match kind {
            StepKind::Switchover { group, to } => {
                let active = |h: &Host| h.role(*group) == Some(Role::Active);
                let Some(host) = self.hosts.iter().position(active) else { return };
                let config = &self.hosts[host].config;
                let to = to.as_ref().and_then(|name| config.node_named(name));
                self.command(host, Command::Switchover { group: GroupIndex(*group), to });
            }
            StepKind::Drain { node, on } => {
                self.command(self.node(node), Command::Drain { group: None, on: *on });
            }
            StepKind::Maintenance { node, on } => {
                self.command(self.node(node), Command::Maintenance { group: None, on: *on, lasts: None });
            }
            StepKind::ResetNumbers { node } => {
                self.command(self.node(node), Command::ResetNumbers { group: None });
            }
            StepKind::Stop { node, restart, back_ms } => {
                let host = self.node(node);
                let Some(p) = self.hosts[host].process.as_mut() else { return };
                p.stopping = true;
                let incarnation = p.incarnation;
                self.hosts[host].back_after_exit = back_ms.map(Duration::from_millis);
                self.after(STOP_TIMEOUT, Scheduled::StopTimeout { host, incarnation });
                self.command(host, Command::Stop { restart: *restart });
            }
            StepKind::File { node, binding, nodes } => {
                let host = self.node(node);
                let mut file = (*self.hosts[host].file).clone();
                if let Some(binding) = binding {
                    file.groups.iter_mut().flat_map(|g| &mut g.havips).for_each(|h| h.binding = *binding);
                }
                if !nodes.is_empty() {
                    set_nodes(&mut file, &self.scenario.cluster.config(host), nodes);
                }
                self.hosts[host].file = Arc::new(file);
                self.touch_all();
            }
            StepKind::Reload { node, .. } => {
                let host = self.node(node);
                self.hosts[host].file = Arc::new(edited(&self.hosts[host].file, kind));
                self.hosts[host].reload_waits = true;
                self.bring_reload(host);
            }
            _ => {}
        }
    }

    /// Who rotates keys with care takes none away that a node still needs: one that stood still has not read the file.
    pub(super) fn better_not_yet(&self, kind: &StepKind) -> bool {
        let StepKind::Reload { keys, patient: true, .. } = kind else { return false };
        let needs =
            |h: &Host| !h.config.heartbeat.keys.iter().any(|key| keys.iter().any(|id| key == &Cluster::key(*id)));
        !self.quiet && self.node_hosts().iter().any(|h| h.process.is_some() && needs(h))
    }

    /// The effects side reads the file and brings it to the core: not while it is stuck or stands still.
    pub(super) fn bring_reload(&mut self, host: usize) {
        let now = self.guest_now(host);
        let h = &mut self.hosts[host];
        let Some(p) = &h.process else {
            self.takes_file(host);
            return;
        };
        if !h.reload_waits || h.effects_stuck || h.halted.is_some() {
            return;
        }
        let fixed = why_not(&h.config, &h.file, &p.core.snapshot(now));
        let needs_maintenance = fixed.is_some();
        if let Some(why) = fixed.or_else(|| p.core.reload_refusal(&h.file, now)) {
            self.note(Some(host), || format!("refuses to reload: {why}"));
            self.after(TRIES_AGAIN, Scheduled::Reload { host });
            if self.quiet && needs_maintenance {
                // The one of before ended without this node: now somebody does as the refusal says.
                self.command(host, Command::Maintenance { group: None, on: true, lasts: None });
                self.after(TRIES_AGAIN * 2, Scheduled::OperatorsDone);
            } else if self.quiet {
                self.reload_with_both_keys(host);
            }
            return;
        }
        h.reload_waits = false;
        let config = Arc::clone(&h.file);
        self.takes_file(host);
        self.step(host, Event::ConfigReloaded(config));
        self.begin_progress(host);
    }

    /// A reload was refused for its keys: an operator who does as the refusal says has both for a while, first to accept and then to
    /// send with.
    fn reload_with_both_keys(&mut self, host: usize) {
        let now = self.guest_now(host);
        let h = &mut self.hosts[host];
        let Some(p) = &h.process else { return };
        let mut both = (*h.config).clone();
        for key in &h.file.heartbeat.keys {
            if !both.heartbeat.keys.contains(key) {
                both.heartbeat.keys.push(key.clone());
            }
        }
        let sends = [h.file.heartbeat.send_key, h.config.heartbeat.send_key].into_iter().find(|send| {
            both.heartbeat.send_key = *send;
            both.heartbeat != h.config.heartbeat && p.core.reload_refusal(&both, now).is_none()
        });
        if sends.is_some() {
            h.config = Arc::new(both);
            let config = Arc::clone(&h.config);
            self.note(Some(host), || "accepts both keys for a while".to_owned());
            self.step(host, Event::ConfigReloaded(config));
        }
    }

    /// The file is in force. What all must agree on may be another from here on.
    pub(super) fn takes_file(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        let before = std::mem::replace(&mut h.config, Arc::clone(&h.file));
        let digest = digest(&h.config);
        if std::mem::replace(&mut h.digest, digest) != digest {
            self.facts.took_file(self.now, host, before);
            self.touch_all();
        }
    }

    pub(super) fn stop_timed_out(&mut self, host: usize, incarnation: u64) {
        if self.runs(host, incarnation) {
            self.note(Some(host), || "did not leave in time and is killed".to_owned());
            let back = self.hosts[host].back_after_exit;
            self.crash(host, back.map(|b| u64::try_from(b.as_millis()).unwrap_or(0)), false, true);
        }
    }
}

/// The file with the values of a reload.
fn edited(file: &Config, kind: &StepKind) -> Config {
    let mut file = file.clone();
    let StepKind::Reload { interval_ms, dead_multiplier, priorities, keys, .. } = kind else { return file };
    if let Some(ms) = interval_ms {
        file.heartbeat.interval = Duration::from_millis(*ms);
    }
    if let Some(n) = dead_multiplier {
        file.heartbeat.dead_multiplier = *n;
    }
    let secs = file.heartbeat.dead_time().as_millis().div_ceil(1000) as u64 + 1;
    file.local_address.lifetime = Some(Duration::from_secs(secs.max(2)));
    for (name, priority) in priorities {
        let Some(node) = file.node_named(name) else { continue };
        file.nodes[node.0].priority = *priority;
        for member in file.groups.iter_mut().flat_map(|g| &mut g.members).filter(|m| m.node == node) {
            member.priority = *priority;
        }
    }
    if let Some(first) = keys.first() {
        file.heartbeat.keys = keys.iter().map(|id| Cluster::key(*id)).collect();
        file.heartbeat.send_key = KeyId(*first);
    }
    file
}

/// Makes `names` the nodes of a file, and its voters; those that it did not have are as in `all`.
fn set_nodes(file: &mut Config, all: &Config, names: &[String]) {
    let local = file.local_node().name.clone();
    let named = all.nodes.iter().filter(|n| names.iter().any(|name| name == n.name.as_str()));
    let known = |n: &Node| file.node_named(n.name.as_str()).map(|i| file.node(i).clone());
    file.nodes = named.map(|n| known(n).unwrap_or_else(|| n.clone())).collect();
    file.local = file.node_named(local.as_str()).expect("checked with the scenario");
    let member = |(i, n): (usize, &Node)| Member { node: NodeIndex(i), priority: n.priority, witness: n.witness };
    let members: Vec<Member> = file.nodes.iter().enumerate().map(member).collect();
    file.groups.iter_mut().for_each(|g| g.members.clone_from(&members));
}

/// Why a reload is refused, as far as it is about this: other nodes take a restart, another digest takes maintenance.
fn why_not(runs: &Config, file: &Config, state: &Snapshot) -> Option<String> {
    let names = |c: &Config| c.nodes.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    if names(runs) != names(file) {
        return Some("other nodes: this takes a restart".to_owned());
    }
    let ours = |g: &havipd_core::model::settings::Group| g.member(runs.local).is_some();
    let maintained = runs.groups.iter().zip(&state.groups).all(|(group, g)| g.maintenance || !ours(group));
    (digest(runs) != digest(file) && !maintained).then(|| "this takes maintenance of all groups".to_owned())
}
