//! keepalived beside each daemon, in small: enough of VRRP (RFC 5798 §6) to elect, split, and heal as it does.
//!
//! Once a second every master advertises to every node that its link reaches. A backup that hears no master of at
//! least its own priority for three seconds becomes master; a master that hears a better one becomes backup. One that
//! hears a worse one stays, and its daemon is told only of that advertisement: the end of a split is no change of
//! state of the one that wins.

use super::host::Host;
use super::router::{ADVERT, Router};
use super::schedule::Scheduled;
use super::world::World;
use havipd_core::model::event::Event;
use havipd_core::model::ids::GroupIndex;
use havipd_core::model::leader::{LeaderReport, VrrpReport, VrrpSource};
use havipd_core::model::settings::Arbiter;
use havipd_core::model::vrrp::State;
use std::time::Duration;

/// Until a notification is with the daemon, at most.
const NOTIFY_MS: u64 = 20;
/// keepalived starts again this long after its end.
const RESPAWN: Duration = Duration::from_secs(2);

fn lives(host: &Host) -> bool {
    host.vrrp.runs && host.powered && !host.frozen() && !host.witness
}

impl World {
    pub(super) fn beside_keepalived(&self) -> bool {
        self.scenario.cluster.arbiter == Arbiter::Keepalived
    }

    /// A second of every keepalived.
    pub(super) fn advertise(&mut self) {
        for host in 0..self.hosts.len() {
            self.follow_link(host);
        }
        let masters: Vec<usize> = (0..self.hosts.len()).filter(|h| self.vrrp_master(*h)).collect();
        // One that was beaten a moment ago has sent its own all the same.
        masters.into_iter().for_each(|from| self.advertise_from(from));
        // Who is preferred waits a little less (its skew), and says so at once.
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        order.sort_by_key(|h| std::cmp::Reverse((self.scenario.cluster.machines[*h].priority, *h)));
        for host in order {
            let h = &self.hosts[host];
            if lives(h) && h.vrrp.state == State::Backup && self.now >= h.vrrp.down_at {
                self.vrrp_becomes(host, State::Master);
                self.advertise_from(host);
            }
        }
        self.after(ADVERT, Scheduled::Advertise);
    }

    fn advertise_from(&mut self, from: usize) {
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            let carried = self.network.carry(0, from, to, &mut self.rng).iter().any(Option::is_some);
            if carried && !self.vrrp_split && lives(&self.hosts[to]) && self.hosts[to].link_up {
                self.advertised(from, to);
            }
        }
    }

    /// Whether its keepalived is master.
    pub(super) fn vrrp_master(&self, host: usize) -> bool {
        let h = &self.hosts[host];
        lives(h) && h.link_up && h.vrrp.state == State::Master
    }

    fn better(&self, a: usize, b: usize) -> bool {
        let key = |h: usize| (self.scenario.cluster.machines[h].priority, h);
        key(a) > key(b)
    }

    fn advertised(&mut self, from: usize, to: usize) {
        let better = self.better(from, to);
        match self.hosts[to].vrrp.state {
            State::Master if better => self.vrrp_becomes(to, State::Backup),
            State::Master => self.vrrp_says(to, State::Master),
            State::Backup if better => self.hosts[to].vrrp.down_at = self.now + ADVERT * 3,
            _ => {}
        }
    }

    fn follow_link(&mut self, host: usize) {
        let h = &self.hosts[host];
        if !lives(h) {
            return;
        }
        match (h.link_up, h.vrrp.state) {
            (false, State::Master | State::Backup) => self.vrrp_becomes(host, State::Fault),
            (true, State::Fault | State::Stop) => self.vrrp_becomes(host, State::Backup),
            _ => {}
        }
    }

    fn vrrp_becomes(&mut self, host: usize, state: State) {
        let router = &mut self.hosts[host].vrrp;
        router.state = state;
        router.down_at = self.now + ADVERT * 3;
        self.note(Some(host), || format!("keepalived is {state}"));
        self.touch(host);
        self.vrrp_says(host, state);
    }

    /// keepalived notifies; a daemon that does not run finds it in the spool.
    fn vrrp_says(&mut self, host: usize, state: State) {
        let runs = self.hosts[host].process.is_some();
        self.hosts[host].vrrp.untold = !runs;
        let arrives = self.now + Duration::from_millis(self.rng.u64(0..=NOTIFY_MS));
        let told_by = arrives.max(self.hosts[host].vrrp.told_by);
        self.hosts[host].vrrp.told_by = told_by;
        self.tell_vrrp(host, told_by.since(self.now), state, true, VrrpSource::Notify);
    }

    fn tell_vrrp(&mut self, host: usize, after: Duration, state: State, decided: bool, source: VrrpSource) {
        for group in 0..self.hosts[host].config.groups.len() {
            let report = LeaderReport::Keepalived(VrrpReport { state, decided, source });
            self.tell(host, after, Event::LeaderReported { group: GroupIndex(group), report });
        }
    }

    /// A daemon starts, and reads what was kept.
    pub(super) fn vrrp_at_start(&mut self, host: usize) {
        if !self.beside_keepalived() {
            return;
        }
        let router = self.hosts[host].vrrp;
        let decided = std::mem::take(&mut self.hosts[host].vrrp.untold);
        let after = Duration::from_millis(self.rng.u64(NOTIFY_MS..=NOTIFY_MS * 3));
        if router.runs {
            self.tell_vrrp(host, after, router.state, decided, VrrpSource::Kept);
        } else {
            // It looks for the process at once; what a keepalived says that starts now comes after that.
            self.tell_vrrp(host, Duration::ZERO, State::Stop, true, VrrpSource::Process);
        }
    }

    /// keepalived dies; a daemon that runs notices its process end. It is started again.
    pub(super) fn kill_keepalived(&mut self, host: usize, back: bool) {
        if !self.beside_keepalived() || !self.hosts[host].vrrp.runs {
            return;
        }
        self.touch(host);
        self.hosts[host].vrrp = Router { runs: false, state: State::Stop, ..Router::new(self.now) };
        self.tell_vrrp(host, Duration::from_millis(1), State::Stop, true, VrrpSource::Process);
        if back {
            self.after(RESPAWN, Scheduled::KeepalivedStarts { host });
        }
    }

    pub(super) fn start_keepalived(&mut self, host: usize) {
        if self.beside_keepalived() && !self.hosts[host].vrrp.runs && self.hosts[host].powered {
            self.touch(host);
            self.hosts[host].vrrp = Router::new(self.now);
            self.vrrp_says(host, State::Backup);
        }
    }

    /// A daemon is told an old state, and the right one a moment later.
    pub(super) fn stale_state(&mut self, host: usize) {
        if self.beside_keepalived() && self.hosts[host].vrrp.runs {
            self.touch(host);
            self.tell_vrrp(host, Duration::from_millis(1), State::Master, false, VrrpSource::Kept);
            self.after(Duration::from_secs(2), Scheduled::VrrpState { host });
        }
    }

    /// The state as it is by now.
    pub(super) fn right_state(&mut self, host: usize) {
        let router = self.hosts[host].vrrp;
        if router.runs {
            self.tell_vrrp(host, Duration::ZERO, router.state, false, VrrpSource::Notify);
        }
    }
}
