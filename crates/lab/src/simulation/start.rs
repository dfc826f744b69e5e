//! A daemon begins: what systemd starts, and what the shell tells the new core first.

use super::cluster::Cluster;
use super::happening::Happening;
use super::host::Process;
use super::watch::Seen;
use super::world::World;
use havipd_core::election::{Core, Start};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{BootId, GroupIndex, HavipIndex};
use havipd_core::model::role::Role;
use havipd_core::queue::Queue;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// systemd starts the daemon.
    pub(super) fn start(&mut self, host: usize) {
        if !self.hosts[host].powered || self.hosts[host].process.is_some() {
            return;
        }
        // Nothing is started on a machine that stands still.
        if self.hosts[host].halted.is_some() {
            self.after(Duration::from_millis(10), Happening::Start { host });
            return;
        }
        self.note(Some(host), || "starts".to_owned());
        let boot = BootId(self.rng.u128(1..).to_be_bytes());
        let seed = self.rng.u64(..);
        self.takes_file(host);
        let h = &mut self.hosts[host];
        h.starts += 1;
        h.reload_waits = false;
        let mut persisted = h.disk.clone();
        persisted.forget_incredible();
        // The file with the grants is deleted when it is read, and the boot of the machine put there.
        h.disk.grants.clear();
        let machine_boot = format!("boot {}", h.boots);
        if h.disk_stuck {
            persisted.machine_boot.clear();
        } else {
            h.disk.machine_boot.clone_from(&machine_boot);
        }
        let now = h.clock.read(self.now);
        let groups = h.config.groups.len();
        h.backlog.clear();
        h.last_word.clear();
        h.back_after_exit = None;
        h.away = None;
        h.process = Some(Process {
            core: Core::new(Start { config: Arc::clone(&h.config), boot, seed, persisted, machine_boot }, now),
            incarnation: h.starts,
            wake: None,
            unfinished: VecDeque::new(),
            calls: BTreeMap::new(),
            queue: Queue::new(h.config.cloud.requests_per_second, now),
            decides_at: None,
            hot: 0,
            storing: false,
            wanted: None,
            exited: false,
            roles: vec![Role::Backup; groups],
            done: vec![Role::Backup; groups],
            progress: 0,
            since: vec![self.now; groups],
            reign_since: vec![self.now; groups],
            started: self.now,
            stopping: false,
            later: h.later_installed,
        });
        self.touch(host);
        self.facts.started(host);
        self.see(&Seen::Started { host });
        self.first_words(host);
        self.vrrp_at_start(host);
        self.begin_progress(host);
    }

    /// What the shell tells a new core before anything else.
    fn first_words(&mut self, host: usize) {
        self.hosts[host].refused.clear();
        let paths = self.paths_of(host);
        self.turn(host, paths);
        let config = Arc::clone(&self.hosts[host].config);
        for (g, group) in config.groups.iter().enumerate() {
            for i in 0..group.havips.len() {
                let address = Cluster::havip_address(self.havip_number(g, i));
                let (group, havip) = (GroupIndex(g), HavipIndex(i));
                let present = self.hosts[host].addresses.contains_key(&address);
                self.turn(host, Event::AddressObserved { group, havip, present });
                let up = self.hosts[host].link_up && !self.hosts[host].havip_links_down.contains(&g);
                self.turn(host, Event::LinkChanged { group, havip, up });
            }
        }
        self.tell_health(host);
        if config.local_node().target.is_none() && !self.hosts[host].witness {
            let target = self.hosts[host].target.parse().expect("made of a prefix and a name");
            let after = Duration::from_millis(self.rng.u64(5..200));
            self.tell(host, after, Event::IdentityLearned { target });
        }
    }

    pub(super) fn tell_health(&mut self, host: usize) {
        let Some((weight, failed, undecided)) = self.hosts[host].health else { return };
        for g in 0..self.scenario.cluster.groups {
            self.turn(host, Event::HealthChanged { group: GroupIndex(g), weight, failed, undecided });
        }
    }
}
