//! What operators do: they switch over, drain, maintain, stop and reload.

use super::deed::Deed;
use super::host::Host;
use super::world::{Happening, World};
use crate::election::event::{Command, Event};
use crate::election::role::Role;
use crate::ids::{GroupIndex, NodeIndex};
use std::sync::Arc;
use std::time::Duration;

/// systemd waits this long for a daemon to leave (TimeoutStopSec).
const STOP_TIMEOUT: Duration = Duration::from_secs(90);

impl World {
    pub(super) fn command(&mut self, host: usize, command: Command) {
        self.requests += 1;
        self.turn(host, Event::Commanded { command, request: self.requests });
    }

    pub(super) fn operate(&mut self, deed: &Deed) {
        match deed {
            Deed::Switchover { group, to } => {
                let active = |h: &Host| h.role(*group) == Some(Role::Active);
                let Some(host) = self.hosts.iter().position(active) else { return };
                let to = to.as_ref().map(|name| NodeIndex(self.node(name)));
                self.command(host, Command::Switchover { group: GroupIndex(*group), to });
            }
            Deed::Drain { node, on } => {
                self.command(self.node(node), Command::Drain { group: None, on: *on });
            }
            Deed::Maintenance { node, on } => {
                self.command(self.node(node), Command::Maintenance { group: None, on: *on, lasts: None });
            }
            Deed::Stop { node, restart, back_ms } => {
                let host = self.node(node);
                let Some(p) = self.hosts[host].process.as_mut() else { return };
                p.stopping = true;
                let incarnation = p.incarnation;
                self.hosts[host].back_after_exit = back_ms.map(Duration::from_millis);
                self.after(STOP_TIMEOUT, Happening::StopTimeout { host, incarnation });
                self.command(host, Command::Stop { restart: *restart });
            }
            Deed::Reload { node, interval_ms, dead_multiplier, priorities } => {
                self.reload(self.node(node), *interval_ms, *dead_multiplier, priorities);
            }
            _ => {}
        }
    }

    fn reload(&mut self, host: usize, interval: Option<u64>, multiplier: Option<u32>, priorities: &[(String, u8)]) {
        let h = &self.hosts[host];
        let mut config = (**h.reload_waits.as_ref().unwrap_or(&h.config)).clone();
        if let Some(ms) = interval {
            config.heartbeat.interval = Duration::from_millis(ms);
        }
        if let Some(n) = multiplier {
            config.heartbeat.dead_multiplier = n;
        }
        let secs = config.heartbeat.dead_time().as_millis().div_ceil(1000) as u64 + 1;
        config.local_address.lifetime = Some(Duration::from_secs(secs.max(2)));
        for (name, priority) in priorities {
            let node = self.node(name);
            config.nodes[node].priority = *priority;
            for member in config.groups.iter_mut().flat_map(|g| &mut g.members).filter(|m| m.node.0 == node) {
                member.priority = *priority;
            }
        }
        self.hosts[host].reload_waits = Some(Arc::new(config));
        self.bring_reload(host);
    }

    /// The effects side reads the file and brings it to the core: not while it is stuck.
    pub(super) fn bring_reload(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        if h.effects_stuck && h.process.is_some() {
            return;
        }
        let Some(config) = h.reload_waits.take() else { return };
        h.config = Arc::clone(&config);
        self.turn(host, Event::ConfigReloaded(config));
        self.begin_progress(host);
    }

    pub(super) fn stop_timed_out(&mut self, host: usize, incarnation: u64) {
        if self.runs(host, incarnation) {
            self.note(Some(host), || "did not leave in time and is killed".to_owned());
            let back = self.hosts[host].back_after_exit;
            self.crash(host, back.map(|b| u64::try_from(b.as_millis()).unwrap_or(0)), false, true);
        }
    }
}
