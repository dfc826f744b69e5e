//! A daemon begins: what systemd starts, and what the shell tells the new core first.

use super::cluster::Cluster;
use super::host::Process;
use super::schedule::Scheduled;
use super::watch::Seen;
use super::world::World;
use havipd_core::election::{Core, Start};
use havipd_core::health::CheckNote;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{BootId, GroupIndex, HavipIndex};
use havipd_core::model::persisted::Persisted;
use havipd_core::model::role::Role;
use havipd_core::model::settings::CheckState;
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
            self.after(Duration::from_millis(10), Scheduled::Start { host });
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
        let machine_boot = format!("boot {}", h.boots);
        // A disk that does not answer is asked until it does.
        let state_known = !h.disk_stuck;
        let persisted = state_known.then_some(persisted);
        if state_known {
            take_over(&mut h.disk, &machine_boot);
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
            state_known,
            wanted: None,
            exited: false,
            roles: vec![Role::Backup; groups],
            done: vec![Role::Backup; groups],
            progress: 0,
            since: vec![self.now; groups],
            term_since: vec![self.now; groups],
            started: self.now,
            stopping: false,
            later: h.later_installed,
        });
        self.touch(host);
        self.facts.started(host);
        self.see(&Seen::Started { host });
        self.first_words(host);
        self.vrrp_at_start(host);
        let incarnation = self.hosts[host].starts;
        self.etcd_turn(host, incarnation);
        self.begin_progress(host);
    }

    /// What the shell tells a new core before anything else.
    fn first_words(&mut self, host: usize) {
        self.hosts[host].refused.clear();
        let paths = self.paths_of(host);
        self.step(host, paths);
        let config = Arc::clone(&self.hosts[host].config);
        for (g, group) in config.groups.iter().enumerate() {
            for i in 0..group.havips.len() {
                let address = Cluster::havip_address(self.havip_number(g, i));
                let (group, havip) = (GroupIndex(g), HavipIndex(i));
                let present = self.hosts[host].addresses.contains_key(&address);
                self.step(host, Event::AddressObserved { group, havip, present });
                let up = self.hosts[host].link_up && !self.hosts[host].havip_links_down.contains(&g);
                self.step(host, Event::LinkChanged { group, havip, up, missing: None });
            }
        }
        self.tell_health(host);
        let copy = self.hosts[host].copy_of.is_some();
        if config.local_node().target.is_none() && !self.hosts[host].witness && !copy {
            let target = self.hosts[host].target.parse().expect("made of a prefix and a name");
            let after = Duration::from_millis(self.rng.u64(5..200));
            self.tell(host, after, Event::IdentityLearned { target });
        }
    }

    /// The disk answers: what a daemon that is waiting for it asked for is known.
    pub(super) fn tell_state(&mut self, host: usize) {
        let h = &mut self.hosts[host];
        let Some(p) = h.process.as_mut().filter(|p| !p.state_known) else { return };
        p.state_known = true;
        self.facts.host_mut(host).state_read = Some(self.now);
        let mut found = h.disk.clone();
        found.forget_incredible();
        take_over(&mut h.disk, &format!("boot {}", h.boots));
        self.step(host, Event::StateFound(Box::new(found)));
    }

    pub(super) fn tell_health(&mut self, host: usize) {
        let Some((weight, failed, undecided)) = self.hosts[host].health else { return };
        let notes = notes(failed, undecided);
        for g in 0..self.scenario.cluster.groups {
            let (group, notes) = (GroupIndex(g), Arc::clone(&notes));
            self.step(host, Event::HealthChanged { group, weight, failed, undecided, notes });
        }
    }
}

/// The checks that come to that, by name.
fn notes(failed: bool, undecided: bool) -> Arc<[CheckNote]> {
    let note = |name: &str, state: CheckState| {
        let name = name.parse().ok()?;
        Some(CheckNote { name, state, fault: state == CheckState::Down, flapping: false })
    };
    let all = [(failed, "service", CheckState::Down), (undecided, "slow", CheckState::Unknown)];
    all.into_iter().filter(|(so, ..)| *so).filter_map(|(_, name, state)| note(name, state)).collect()
}

/// What reading the state changes of it: the grants go, and the boot of the machine is put there.
fn take_over(disk: &mut Persisted, machine_boot: &str) {
    disk.grants.clear();
    machine_boot.clone_into(&mut disk.machine_boot);
}
