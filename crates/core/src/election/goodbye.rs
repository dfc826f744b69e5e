//! The presigned goodbye of this boot, made ahead of time and sent by somebody else after a crash.
//!
//! The process that takes the address off after an unclean exit sends it, so that the peers need not wait
//! for the dead time. It has the highest numbers there are: nothing of this boot counts after it.

use super::Core;
use crate::model::ids::{BootId, NodeIndex};
use crate::model::role::Role;
use crate::model::time::Instant;
use crate::wire::heartbeat::{encode, entries_that_fit};
use crate::wire::{Entry, Flags, Heartbeat, Leaving};
use std::net::SocketAddr;

/// One datagram that says that this boot is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// Which of our own heartbeat addresses to send from.
    pub path: usize,
    /// Where to.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Core {
    /// Our boot and those that the peers have proven, and what we have: while these, and the
    /// configuration, stay, the goodbyes made with them stay good.
    #[must_use]
    pub fn goodbye_basis(&self) -> (Vec<BootId>, Vec<bool>) {
        let peers = self.peers.iter().map(|p| p.session.peer_boot().unwrap_or(BootId::NONE));
        let boots = std::iter::once(self.boot).chain(peers).collect();
        (boots, self.groups.iter().map(|g| g.role().has_leadership()).collect())
    }

    /// The goodbye to every peer that has proven itself, in the order in which it is to be sent.
    #[must_use]
    pub fn goodbyes(&self, now: Instant) -> Vec<Goodbye> {
        let proven = self.peers.iter().filter(|p| p.session.peer_boot().is_some()).map(|p| p.node);
        proven.flat_map(|node| self.goodbyes_to(node, now)).collect()
    }

    fn goodbyes_to(&self, node: NodeIndex, now: Instant) -> Vec<Goodbye> {
        let Some(peer) = self.peers.of(node) else { return Vec::new() };
        let mut rest = self.last_entries(node);
        let mut parts = Vec::new();
        loop {
            let fit = entries_that_fit(self.identity.as_ref(), &rest).clamp(usize::from(!rest.is_empty()), rest.len());
            let after = rest.split_off(fit);
            parts.push(std::mem::replace(&mut rest, after));
            if rest.is_empty() {
                break;
            }
        }
        let first = u64::MAX - parts.len() as u64 + 1;
        let mut all = Vec::new();
        for (seq, entries) in (first..=u64::MAX).zip(parts) {
            let mut heartbeat = Heartbeat {
                newer: 0,
                key: self.keys.choose(peer.session.peer_accepts()),
                accepts: self.keys.accepts(),
                path: 0,
                sender: self.peers.me(),
                receiver: peer.tag,
                boot: self.boot,
                seq,
                echo: peer.session.echo(now),
                interval: self.sender.interval(),
                uptime: now.since(self.started),
                digest: self.digest,
                leaving: Leaving::Gone,
                target: self.identity.clone(),
                entries,
            };
            for (path, index, to) in self.paths_to(node) {
                heartbeat.path = index;
                let bytes = encode(&heartbeat, &self.keys, &self.config.cluster);
                all.extend(bytes.ok().map(|bytes| Goodbye { path, to, bytes }));
            }
        }
        all
    }

    /// Of every group: no leadership, no lease request, no wish for what was offered.
    fn last_entries(&self, to: NodeIndex) -> Vec<Entry> {
        let own = self.config.local;
        let entry = |g: &super::group::Group| {
            let settings = &self.config.groups[g.index.0];
            let member = settings.member(own).filter(|_| settings.member(to).is_some())?;
            Some(Entry {
                group: g.tag,
                // Who had leadership gives it away, to nobody in particular.
                role: if g.role().has_leadership() { Role::Releasing } else { Role::Backup },
                flags: Flags::DECLINES,
                priority: member.priority,
                effective: member.priority.into(),
                epoch: g.epochs.ours(),
                seen: g.epochs.seen(),
                successor: None,
                lease_request: None,
                grant: None,
                maintenance: g.maintenance_said(),
                checks: None,
            })
        };
        self.groups.iter().filter_map(entry).collect()
    }
}
