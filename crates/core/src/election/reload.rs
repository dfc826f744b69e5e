//! Taking over a new configuration without a change of role.

use super::Core;
use super::arbiter::leader::ExternalLeader;
use super::group::Group;
use super::peer::Peer;
use crate::model::action::{Action, Actions};
use crate::model::ids::{GroupIndex, HavipIndex};
use crate::model::settings::{Config, Group as Settings};
use crate::model::time::Instant;
use crate::wire::auth::KeyRing;
use crate::wire::session::suspicion;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

impl Core {
    /// Why the core cannot take `new` over, if so: a live peer would not be understood any more.
    ///
    /// What a peer accepts, and what it sends with, is known from its newest heartbeat. One whose heartbeats come is judged by that; one that
    /// misses some may have another file by now, so the answer is to wait until it is heard or dead. See
    /// [`Self::reload_warnings`] for the dead.
    #[must_use]
    pub fn reload_refusal(&self, new: &Config, now: Instant) -> Option<String> {
        let Some(lost) = self.without_common_key(new).into_iter().find(|p| p.alive(now)) else {
            return self.not_understood(new, now);
        };
        let name = &self.config.node(lost.node).name;
        let (ago, accepts) = said_of_keys(lost, now);
        let heard = lost.session.suspected_at().is_some_and(|at| now < at) && !lost.returning(now);
        Some(if heard {
            format!(
                "heartbeat.keys: no key in common with {name}, whose newest heartbeat, {ago} ago, accepts {accepts}; \
                 add the new key there first"
            )
        } else {
            format!(
                "heartbeat.keys: no key in common with {name} as far as is known: it was last heard {ago} ago and \
                 accepted {accepts} then, and may have another file by now; try again once it is heard, or dead"
            )
        })
    }

    /// A live peer that still sends with a key that `new` has not, in words. ⚠ That it accepts another one is not enough: until it has
    /// heard which keys are accepted here, which it does not over a link that is slow or broken that way, nothing that it
    /// sends could be read. It would be taken for dead. (I12, `peer-dead`; seed 45188) Of one that is not heard anyway there is nothing
    /// to lose, and what it sent with last may be long ago.
    fn not_understood(&self, new: &Config, now: Instant) -> Option<String> {
        let has = |key| new.heartbeat.keys.iter().any(|k| k.id == key);
        let old = |p: &Peer| p.session.peer_sends_with().filter(|key| !has(*key));
        let lately = suspicion(self.config.heartbeat.interval);
        let heard = |p: &&Peer| p.session.last_heard().is_some_and(|at| now.since(at) < lately) && p.alive(now);
        let (peer, key) = self.peers.iter().filter(heard).find_map(|p| Some((p, old(p)?)))?;
        let (name, (ago, _)) = (&self.config.node(peer.node).name, said_of_keys(peer, now));
        Some(format!(
            "heartbeat.keys: {name} still sends with key {}, as in its newest heartbeat, {ago} ago; set heartbeat.send-key \
             there to a key that stays, and try again once it has heard that this node accepts that one",
            key.0
        ))
    }

    /// What the operator of a reload should know: peers that are dead here and accepted none of the new keys when they
    /// were last heard. They are no reason to refuse it: what they accept now nobody here can know.
    #[must_use]
    pub fn reload_warnings(&self, new: &Config, now: Instant) -> Vec<String> {
        let dead = self.without_common_key(new).into_iter().filter(|p| !p.alive(now));
        let warning = |p: &Peer| {
            let name = &self.config.node(p.node).name;
            let (ago, accepts) = said_of_keys(p, now);
            format!(
                "heartbeat.keys: {name} is not heard; when it was, {ago} ago, it accepted {accepts}: unless it has one \
                 of the new keys by now, neither will understand the other"
            )
        };
        dead.map(warning).collect()
    }

    /// Peers that accepted none of the keys of `new` when they were last heard.
    fn without_common_key(&self, new: &Config) -> Vec<&Peer> {
        let keys = KeyRing::new(&new.heartbeat.keys, new.heartbeat.send_key);
        let lost = |p: &&Peer| !p.session.peer_accepts().is_empty() && !keys.shares(p.session.peer_accepts());
        self.peers.iter().filter(lost).collect()
    }

    /// Takes over a file with the same nodes and the same groups, in the same order: other lists take a restart.
    pub(super) fn reload(&mut self, now: Instant, new: Arc<Config>, actions: &mut Actions) {
        for text in self.reload_warnings(&new, now) {
            actions.push(Action::Warn { group: None, text });
        }
        // The effects side has just read the file; its next word is due within the new dead time.
        self.stall.effects_progressed(now, self.config.heartbeat.dead_time());
        let before = self.addresses_here();
        let old = std::mem::replace(&mut self.config, new);
        let new = Arc::clone(&self.config);
        self.digest = crate::model::digest::digest(&new);
        self.havips_by_tag = super::havips_by_tag(&new);
        if let Some(target) = &new.local_node().target {
            self.identity = Some(target.clone());
        }
        self.keys = KeyRing::new(&new.heartbeat.keys, new.heartbeat.send_key);
        for peer in self.peers.iter_mut() {
            peer.session.set_multiplier(new.heartbeat.dead_multiplier);
            peer.session.set_own_interval(new.heartbeat.interval);
        }
        for (group, is) in self.groups.iter_mut().zip(&new.groups) {
            let was = &old.groups[group.index.0];
            adopt(now, group, was, is, new.local_address.announce_count);
        }
        if old.local_node().addresses != new.local_node().addresses {
            self.forget_paths(now);
        }
        self.drop_leftovers(&before, actions);
        self.forget_maintenance_elsewhere();
        self.changed = true;
    }

    /// Maintenance of groups that this node is no member of: what becomes of it nobody tells it.
    pub(super) fn forget_maintenance_elsewhere(&mut self) {
        let local = self.config.local;
        for (group, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            self.persist |= settings.member(local).is_none() && group.maintenance.forget();
        }
    }

    /// The addresses that may be on this host because of us. Who only observes never put one there, a witness neither.
    fn addresses_here(&self) -> BTreeSet<Ipv4Addr> {
        let puts = |g: &&Group| {
            let settings = &self.config.groups[g.index.0];
            !settings.observe && settings.member(self.config.local).is_some_and(|m| !m.witness)
        };
        self.groups
            .iter()
            .filter(puts)
            .flat_map(|g| g.reconcilers.iter().filter_map(|l| l.address.maybe_ours()))
            .collect()
    }

    /// ⚠ What the file of before had put here, and the new one does not name for this host any more, nobody would take
    /// off: no reconciler knows it, and with `lifetime = "forever"` neither does the kernel.
    fn drop_leftovers(&self, before: &BTreeSet<Ipv4Addr>, actions: &mut Actions) {
        let after: BTreeSet<Ipv4Addr> = self.addresses_here();
        for address in before.difference(&after).copied() {
            actions.push(Action::DropAddress { group: GroupIndex(0), havip: HavipIndex(0), address });
            let text = format!("{address} is taken off this host: the configuration in force does not put it here");
            actions.push(Action::Warn { group: None, text });
        }
    }
}

/// How long ago a peer was heard, and which keys it accepted then, in words.
fn said_of_keys(peer: &Peer, now: Instant) -> (String, String) {
    let ago = peer.session.last_heard().map_or(0.0, |at| now.since(at).as_secs_f64());
    let ids: Vec<String> = peer.session.peer_accepts().iter().map(|key| key.0.to_string()).collect();
    let noun = if ids.len() == 1 { "key" } else { "keys" };
    (format!("{ago:.1} s"), format!("only {noun} {}", ids.join(", ")))
}

/// Moves a group's state over to its new settings.
fn adopt(now: Instant, group: &mut Group, was: &Settings, is: &Settings, announce_count: u32) {
    if (was.arbiter, &was.vrrp, &was.leader) != (is.arbiter, &is.vrrp, &is.leader) {
        group.leader = ExternalLeader::default();
        group.key.give_up(now);
    }
    group.reconcilers.reload(now, &was.havips, &is.havips, &group.known, announce_count);
}
