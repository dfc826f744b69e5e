//! The end of all faults: the world is sound, everybody runs, and operators end what they began.

use super::cluster::Cluster;
use super::host::{Host, Reach};
use super::schedule::Scheduled;
use super::watch::Seen;
use super::world::World;
use havipd_core::model::digest::digest;
use havipd_core::model::event::Command;
use havipd_core::model::settings::{Config, Strangers};
use std::sync::Arc;
use std::time::Duration;

/// So long after the faults operators end what they began.
const REMEMBERED: Duration = Duration::from_secs(5);

impl World {
    /// All faults end, and everybody is started again.
    pub(super) fn fall_quiet(&mut self) {
        self.note(None, || "QUIET: all faults end".to_owned());
        self.quiet = true;
        self.network.heal();
        self.cloud.clear_faults();
        self.cloud_delay = Duration::ZERO;
        self.attack_permille = 0;
        self.vrrp_split = false;
        self.quieten_etcd();
        for havip in 0..self.served.len() {
            self.create_havip(havip);
            self.clear_strangers(havip);
        }
        self.end_copies();
        for host in 0..self.nodes() {
            self.quieten(host);
            self.start_keepalived(host);
        }
        self.make_files_equal();
        self.touch_all();
        self.cloud_changed();
        self.see(&Seen::Quiet);
        self.after(REMEMBERED, Scheduled::OperatorsDone);
    }

    /// Two changes of the files at once may have left them different in what all must agree on. That takes an operator: every node
    /// that names the same nodes gets the timing and bindings of the first.
    fn make_files_equal(&mut self) {
        let first = Arc::clone(&self.hosts[0].file);
        let names = |c: &Config| c.nodes.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
        for host in 1..self.nodes() {
            let before = &self.hosts[host].file;
            if names(before) != names(&first) || digest(before) == digest(&first) {
                continue;
            }
            let mut file = (**before).clone();
            file.heartbeat.interval = first.heartbeat.interval;
            file.heartbeat.dead_multiplier = first.heartbeat.dead_multiplier;
            file.local_address.lifetime = first.local_address.lifetime;
            for (group, of_first) in file.groups.iter_mut().zip(&first.groups) {
                for (havip, of_first) in group.havips.iter_mut().zip(&of_first.havips) {
                    havip.binding = of_first.binding;
                }
            }
            self.note(Some(host), || "its file is made equal to that of the first node".to_owned());
            self.hosts[host].file = Arc::new(file);
            self.hosts[host].reload_waits = true;
            self.bring_reload(host);
        }
    }

    /// Operators end what they began, once the nodes have heard of each other.
    pub(super) fn operators_done(&mut self) {
        for host in 0..self.nodes() {
            self.command(host, Command::Maintenance { group: None, on: false, lasts: None });
            self.command(host, Command::Drain { group: None, on: false });
        }
        // While a node that is on its way out runs with another file it does not end.
        if self.maintained() {
            self.after(REMEMBERED, Scheduled::OperatorsDone);
        }
    }

    fn quieten(&mut self, host: usize) {
        self.hosts[host].reach = Reach::Both;
        self.hosts[host].interrupt = None;
        self.hosts[host].gates.before_active = super::programs::Behaviour::default();
        self.hosts[host].gates.before_release = super::programs::Behaviour::default();
        self.hosts[host].reads_late = Duration::ZERO;
        if let Some((_, number)) = self.hosts[host].halted {
            self.go_on(host, number);
        }
        if self.hosts[host].effects_stuck {
            self.unstick(host, false);
        }
        if self.hosts[host].disk_stuck {
            self.unstick(host, true);
        }
        if self.hosts[host].address_stuck.is_some() {
            self.free_address(host);
        }
        self.mend_paths(host);
        if !self.hosts[host].link_up {
            self.link_state(host, true);
        }
        if self.hosts[host].health.is_some() {
            self.hosts[host].health = Some((0, false, false));
            self.tell_health(host);
        }
        if self.hosts[host].powered {
            let stopping = self.hosts[host].process.as_ref().is_some_and(|p| p.stopping);
            if stopping {
                self.hosts[host].back_after_exit = Some(Duration::from_secs(1));
            } else {
                self.start(host);
            }
        } else {
            self.power_on(host);
        }
    }

    /// Strangers who had a HAVIP before any member did are guarded, and others may be so by `strangers`: that takes an operator.
    fn clear_strangers(&mut self, havip: usize) {
        let id = Cluster::havip_id(havip);
        let held = |h: &Host| h.disk.groups.values().any(|g| g.once_held.iter().any(|o| o.as_str() == id));
        if self.node_hosts().iter().any(held) && self.scenario.cluster.strangers != Strangers::Refuse {
            return;
        }
        let bound = self.cloud.havip(self.now, &id).map(|v| v.bound).unwrap_or_default();
        for target in bound.iter().filter(|t| self.scenario.cluster.node_with(&t.id).is_none()) {
            let _ = self.cloud.unbind(self.now, &id, &target.id);
        }
    }
}
