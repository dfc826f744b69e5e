//! Taking over a new configuration without a change of role.

use super::Core;
use super::action::{Action, Actions};
use super::group::Group;
use super::keepalived::Vrrp;
use super::lease::Voter;
use super::role::{Cause, Role};
use super::timer::Timers;
use crate::config::model::{Config, Interface};
use crate::ids::{GroupIndex, HavipIndex};
use crate::ownership::HavipLoop;
use crate::time::Instant;
use crate::wire::auth::KeyRing;
use std::sync::Arc;

impl Core {
    /// Why the core cannot take `new` over, if so: a live peer would not be understood any more.
    #[must_use]
    pub fn reload_refusal(&self, new: &Config, now: Instant) -> Option<String> {
        let keys = KeyRing::new(&new.heartbeat.keys, new.heartbeat.send_key);
        let lost = self.peers.iter().find(|p| p.alive(now) && !keys.shares(p.session.peer_accepts()))?;
        let name = &self.config.node(lost.node).name;
        Some(format!("heartbeat.keys: no key in common with {name}, which is alive; add the new key there first"))
    }

    pub(super) fn reload(&mut self, now: Instant, new: Arc<Config>, actions: &mut Actions) {
        // The effects side has just read the file; its next word is due within the new dead time.
        self.stall.effects_progressed(now, self.config.heartbeat.dead_time());
        self.remove_groups(now, &new, actions);
        let old = std::mem::replace(&mut self.config, new);
        let new = Arc::clone(&self.config);
        self.digest = crate::config::digest(&new);
        self.by_tag = super::by_tag(&new);
        if let Some(target) = &new.local_node().target {
            self.identity = Some(target.clone());
        }
        self.keys = KeyRing::new(&new.heartbeat.keys, new.heartbeat.send_key);
        for peer in self.peers.iter_mut() {
            peer.session.set_multiplier(new.heartbeat.dead_multiplier);
            peer.session.set_own_interval(new.heartbeat.interval);
        }
        // What a group that is gone waited for would come due for ever; the rest is entered again in this turn.
        self.timers = Timers::new();
        let mut before: Vec<Group> = std::mem::take(&mut self.groups);
        for (i, settings) in new.groups.iter().enumerate() {
            let found = before.iter().position(|g| old.groups[g.index.0].name == settings.name);
            let group = match found {
                Some(at) => {
                    let mut group = before.swap_remove(at);
                    let dropped = adopt(&mut group, &old, &new, GroupIndex(i));
                    actions.extend(dropped);
                    group
                }
                None => {
                    let kept = self.persisted.groups.get(settings.name.as_str()).cloned().unwrap_or_default();
                    let mut group = Group::new(settings, GroupIndex(i), kept, now, Voter::default());
                    group.voter.hold_back(now + group.longest_lease(&new, self.digest));
                    group
                }
            };
            self.groups.push(group);
        }
        if old.local_node().addresses != new.local_node().addresses {
            self.forget_paths(now);
        }
        self.drop_unknown_entries();
        self.forget_maintenance_elsewhere();
        self.changed = true;
    }

    /// Maintenance of groups that this node is no member of: what becomes of it nobody tells it.
    pub(super) fn forget_maintenance_elsewhere(&mut self) {
        let local = self.config.local;
        for (group, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            self.persist |= settings.member(local).is_none() && group.kept.forget_maintenance();
        }
    }

    /// Groups that the new file does not have let go of everything first.
    fn remove_groups(&mut self, now: Instant, new: &Config, actions: &mut Actions) {
        let keep: Vec<bool> = self.config.groups.iter().map(|g| new.group_named(g.name.as_str()).is_some()).collect();
        self.each_group(now, actions, |group, turn| {
            if keep[group.index.0] {
                return;
            }
            if group.role.has_right() || group.role == Role::Releasing {
                group.lose(turn, Role::Backup, Cause::Stopping, "removed from the configuration".into(), None);
            }
            for (l, havip) in group.loops.iter().zip(&turn.config.groups[group.index.0].havips) {
                let ours = havip.interface != Interface::None && !turn.config.groups[group.index.0].observe;
                if let Some(address) = l.address.ip.filter(|_| ours) {
                    let place = HavipIndex(0);
                    turn.out.push(Action::DropAddress { group: group.index, havip: place, address });
                }
            }
        });
    }

    /// What peers said of groups that are gone.
    fn drop_unknown_entries(&mut self) {
        for peer in self.peers.iter_mut() {
            peer.entries.retain(|tag, _| self.by_tag.contains_key(tag));
        }
    }
}

/// Moves a group's state over to its new settings; gives what is to be dropped of HAVIPs that it has no more.
fn adopt(group: &mut Group, old: &Config, new: &Config, index: GroupIndex) -> Vec<Action> {
    let before = &old.groups[group.index.0].havips;
    let (was, is) = (&old.groups[group.index.0], &new.groups[index.0]);
    if (was.arbiter, &was.vrrp) != (is.arbiter, &is.vrrp) {
        group.vrrp = Vrrp::default();
    }
    let mut loops: Vec<Option<HavipLoop>> = std::mem::take(&mut group.loops).into_iter().map(Some).collect();
    for havip in &new.groups[index.0].havips {
        let known = before.iter().position(|h| h.id == havip.id).and_then(|at| loops[at].take());
        let address = havip.address.or_else(|| group.kept.addresses.get(havip.id.as_str()).copied());
        let mut l = known.unwrap_or_else(|| HavipLoop::new(address, havip.interface != Interface::None));
        l.address.wanted = havip.interface != Interface::None;
        if havip.address.is_some() {
            l.address.ip = havip.address;
        }
        group.loops.push(l);
    }
    group.index = index;
    // Who only observed never put one there.
    let gone = loops.into_iter().flatten().filter(|l| l.address.wanted && !was.observe).filter_map(|l| l.address.ip);
    gone.map(|address| Action::DropAddress { group: index, havip: HavipIndex(0), address }).collect()
}
