//! The steps of a scenario, carried out; what they do to a machine and what operators do has files of its own.

use super::cluster::Cluster;
use super::host::{AddressStuck, Halt, Reach};
use super::schedule::Scheduled;
use super::step_kind::StepKind;
use super::watch::Seen;
use super::world::World;
use std::time::Duration;

impl World {
    pub(super) fn carry_out_step(&mut self, kind: &StepKind) {
        self.note(None, || format!("STEP {}", kind.text()));
        self.see(&Seen::Did { kind });
        match kind {
            StepKind::Start { node } => self.start(self.node(node)),
            StepKind::Crash { node, back_ms, forgets, sweep } => {
                self.crash(self.node(node), *back_ms, *forgets, *sweep)
            }
            StepKind::PowerOff { node, back_ms, forgets, told } => {
                self.power_off(self.node(node), *back_ms, *forgets, *told);
            }
            StepKind::Pause { node, for_ms } => {
                self.halt(self.node(node), Halt::Stopped, Duration::from_millis(*for_ms))
            }
            StepKind::Freeze { node, for_ms } => {
                self.halt(self.node(node), Halt::Frozen, Duration::from_millis(*for_ms))
            }
            StepKind::ClockRate { node, ppm } => self.clock_rate(self.node(node), *ppm),
            StepKind::PauseWithin { node, actions, for_ms } => {
                let host = self.node(node);
                self.touch(host);
                self.hosts[host].interrupt = Some((*actions, Duration::from_millis(*for_ms)));
            }
            StepKind::Flood { node, datagrams } => self.flood(self.node(node), *datagrams),
            StepKind::SaveDisk { node } => {
                let host = self.node(node);
                self.hosts[host].saved = Some(self.hosts[host].disk.clone());
            }
            StepKind::RestoreDisk { node, back_ms } => {
                let host = self.node(node);
                self.crash(host, Some(*back_ms), true, false);
                self.hosts[host].disk = self.hosts[host].saved.clone().unwrap_or_default();
            }
            StepKind::Clone { node, told_ms } => self.start_copy(self.node(node), *told_ms),
            StepKind::MoveAddresses { node, back } => self.move_addresses(self.node(node), *back),
            StepKind::Link { .. }
            | StepKind::HoldDatagrams { .. }
            | StepKind::Partition { .. }
            | StepKind::HealNetwork
            | StepKind::Attack { .. } => {
                self.network_step(kind);
            }
            StepKind::AddressRemoved { node, havip } => {
                let host = self.node(node);
                self.touch(host);
                self.drop_address(host, Cluster::havip_address(*havip));
            }
            StepKind::LinkState { node, up } => self.link_state(self.node(node), *up),
            StepKind::HavipLink { node, group, up } => self.havip_link(self.node(node), *group, *up),
            StepKind::HeartbeatAddress { node, path, here } => self.heartbeat_address(self.node(node), *path, *here),
            StepKind::SendRefused { node, on } => {
                let host = self.node(node);
                self.touch(host);
                self.hosts[host].refuses = *on;
            }
            StepKind::Health { node, weight, failed, undecided } => {
                let host = self.node(node);
                self.touch(host);
                self.hosts[host].health = Some((*weight, *failed, *undecided));
                self.tell_health(host);
            }
            StepKind::Gate { node, ends, takes_ms, release } => {
                let host = self.node(node);
                self.touch(host);
                let gates = &mut self.hosts[host].gates;
                let behaviour = super::programs::Behaviour { ends: *ends, takes: Duration::from_millis(*takes_ms) };
                *(if *release { &mut gates.before_release } else { &mut gates.before_active }) = behaviour;
            }
            StepKind::EtcdCut { .. }
            | StepKind::EtcdHeal { .. }
            | StepKind::EtcdDown { .. }
            | StepKind::EtcdElects { .. }
            | StepKind::EtcdCompacts
            | StepKind::EtcdBackup
            | StepKind::EtcdRestore
            | StepKind::EtcdDelay { .. }
            | StepKind::EtcdKey { .. }
            | StepKind::EtcdRevoke { .. } => self.etcd_step(kind),
            StepKind::KeepalivedDies { node, back } => self.kill_keepalived(self.node(node), *back),
            StepKind::VrrpSplit { on } => {
                self.vrrp_split = *on;
                self.touch_all();
            }
            StepKind::Install { node, later } => {
                let host = self.node(node);
                self.hosts[host].later_installed = *later;
            }
            StepKind::StateNumbers { node, epoch, maintenance } => {
                let host = self.node(node);
                self.facts.maintenance_ordered |= maintenance.is_some();
                for group in self.hosts[host].disk.groups.values_mut() {
                    group.epoch_reserved = epoch.unwrap_or(group.epoch_reserved);
                    group.maintenance = maintenance.unwrap_or(group.maintenance);
                }
            }
            StepKind::StaleVrrp { node } => self.stale_state(self.node(node)),
            StepKind::ReadLate { node, by_ms } => {
                let host = self.node(node);
                self.touch(host);
                self.hosts[host].reads_late = Duration::from_millis(*by_ms);
            }
            StepKind::EffectsStuck { node, for_ms } => self.stick(self.node(node), false, *for_ms),
            StepKind::DiskStuck { node, for_ms } => self.stick(self.node(node), true, *for_ms),
            StepKind::AddressStuck { node, for_ms, refuses } => {
                let host = self.node(node);
                self.touch(host);
                let how = if *refuses { AddressStuck::Refuses } else { AddressStuck::Hangs };
                self.hosts[host].address_stuck = Some(how);
                self.after(Duration::from_millis(*for_ms), Scheduled::FreeAddress { host });
            }
            StepKind::Switchover { .. }
            | StepKind::Drain { .. }
            | StepKind::Maintenance { .. }
            | StepKind::ResetNumbers { .. }
            | StepKind::Stop { .. }
            | StepKind::Reload { .. }
            | StepKind::File { .. } => self.operate(kind),
            _ => self.cloud_step(kind),
        }
        self.note_service();
    }

    pub(super) fn node(&self, name: &str) -> usize {
        self.scenario.cluster.position(name).expect("checked with the scenario")
    }

    fn network_step(&mut self, kind: &StepKind) {
        match kind {
            StepKind::Link { from, to, path, link } => {
                let (from, to) = (self.node(from), self.node(to));
                let before = self.network.impaired(from, to);
                self.network.set(*path, from, to, *link);
                // As long as another path is sound nobody notices.
                if path.is_none() || before || self.network.impaired(from, to) {
                    self.touch(from);
                    self.touch(to);
                }
            }
            StepKind::HoldDatagrams { from, to, for_ms } => {
                let (from, to) = (self.node(from), self.node(to));
                self.network.hold(from, to, self.now + Duration::from_millis(*for_ms));
                self.touch(from);
                self.touch(to);
            }
            StepKind::Partition { sides } => self.partition(sides),
            StepKind::Attack { permille } => self.attack_permille = *permille,
            _ => {
                self.network.heal();
                self.touch_all();
            }
        }
    }

    fn etcd_step(&mut self, kind: &StepKind) {
        match kind {
            StepKind::EtcdCut { node, answers_only } => {
                let reach = if *answers_only { Reach::AnswersLost } else { Reach::Nothing };
                self.etcd_reach(self.node(node), reach);
            }
            StepKind::EtcdHeal { node } => self.etcd_reach(self.node(node), Reach::Both),
            StepKind::EtcdDown { for_ms } => self.etcd_down(Duration::from_millis(*for_ms), false),
            StepKind::EtcdElects { for_ms } => self.etcd_down(Duration::from_millis(*for_ms), true),
            StepKind::EtcdCompacts => self.etcd_compacts(),
            StepKind::EtcdBackup => self.etcd_backup(),
            StepKind::EtcdRestore => self.etcd_restore(),
            StepKind::EtcdDelay { ms } => self.etcd_delay(Duration::from_millis(*ms)),
            StepKind::EtcdKey { group, says } => self.etcd_key_by_hand(*group, says.as_deref()),
            StepKind::EtcdRevoke { group } => self.etcd_revoke_by_hand(*group),
            _ => {}
        }
    }

    fn partition(&mut self, sides: &[Vec<String>]) {
        let side = |i: usize| sides.iter().position(|s| s.contains(&self.scenario.cluster.machines[i].name));
        let sides: Vec<Option<usize>> = (0..self.nodes()).map(side).collect();
        for from in 0..sides.len() {
            for to in 0..sides.len() {
                let apart = matches!((sides[from], sides[to]), (Some(a), Some(b)) if a != b);
                if apart {
                    self.network.part(from, to);
                    self.touch(from);
                }
            }
        }
    }

    fn cloud_step(&mut self, kind: &StepKind) {
        let now = self.now;
        match kind {
            StepKind::CloudCut { node, answers_only } => {
                let host = self.node(node);
                self.hosts[host].reach = if *answers_only { Reach::AnswersLost } else { Reach::Nothing };
                self.touch(host);
                return;
            }
            StepKind::CloudHeal { node } => {
                let host = self.node(node);
                self.hosts[host].reach = Reach::Both;
                self.touch(host);
                return;
            }
            StepKind::CloudDelay { ms } => self.cloud_delay = Duration::from_millis(*ms),
            StepKind::CloudFault { rule } => {
                let hit = self.hit_by(rule);
                self.cloud.add_fault(rule.clone());
                match hit {
                    Some(host) => self.touch(host),
                    None => self.touch_all(),
                }
                return self.cloud_changed();
            }
            StepKind::CloudClear => {
                let hit: Vec<usize> = (0..self.hosts.len()).filter(|h| self.cloud_errs_for(*h)).collect();
                self.cloud.clear_faults();
                hit.into_iter().for_each(|host| self.touch(host));
                return self.cloud_changed();
            }
            // The console refuses what does not fit; nothing has changed then.
            StepKind::ForceMaster { havip, target } => {
                let _ = self.cloud.force_master(now, &Cluster::havip_id(*havip), target);
            }
            StepKind::Unbind { havip, target } => {
                let _ = self.cloud.unbind(now, &Cluster::havip_id(*havip), target);
            }
            StepKind::FillQuota { havip } => {
                let _ = self.cloud.fill_quota(now, &Cluster::havip_id(*havip));
            }
            StepKind::DeleteHavip { havip } => {
                let _ = self.cloud.delete_havip(now, &Cluster::havip_id(*havip));
            }
            StepKind::CreateHavip { havip } => self.create_havip(*havip),
            _ => {}
        }
        self.touch_all();
        self.cloud_changed();
    }

    pub(super) fn create_havip(&mut self, havip: usize) {
        if self.cloud.havip(self.now, &Cluster::havip_id(havip)).is_none() {
            let spec = super::cloud::HavipSpec::new(&Cluster::havip_id(havip), Cluster::havip_address(havip));
            self.cloud.add_havip(self.now, spec);
        }
    }
}
