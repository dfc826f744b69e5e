//! What this host shows of its own paths: whether this node could hear a peer at all.
//!
//! A node whose heartbeat address is gone, whose interface is down, or whose own output rules refuse what it sends, is silent
//! to itself: it would take every holder for dead. So while there is no path to a peer on which this node could hear it and
//! be heard, that peer's silence is no evidence, and afterwards it counts once this node has listened for a dead time.
//! What lies beyond this host is none of this: a router's or a neighbour's refusal may well be the peer's death.
//! (docs/decisions/0010-a-node-that-knows-it-is-deaf.md)

use super::Core;
use crate::model::event::OwnPath;
use crate::model::ids::NodeIndex;
use crate::model::settings::Config;
use crate::model::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What the shell told of this host's own paths.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// Per own heartbeat address. What is not told is open.
    own: Vec<OwnPath>,
    /// Addresses that this host refuses to send to, with what it says.
    refused: BTreeMap<SocketAddr, String>,
}

impl Paths {
    /// Why this node cannot hear `node` on any path, or say anything to it.
    fn deaf_to(&self, config: &Config, node: NodeIndex) -> Option<String> {
        let own = &config.local_node().addresses;
        let peers = &config.node(node).addresses;
        let open = |path: usize| self.own.get(path).is_none_or(|own| *own == OwnPath::Open);
        let mut hears = (0..own.len()).filter(|i| peers.iter().any(|p| p.is_ipv4() == own[*i].is_ipv4()));
        let name = &config.node(node).name;
        let first = hears.clone().next()?;
        if !hears.any(open) {
            return Some(format!("this node cannot hear {name}: {} is not usable on this host", own[first].ip()));
        }
        let refusals = super::send::ways(config, node).into_iter().filter(|(path, ..)| open(*path));
        let refusals: Option<Vec<&String>> = refusals.map(|(_, _, to)| self.refused.get(&to)).collect();
        let why = refusals.and_then(|refusals| refusals.first().copied())?;
        Some(format!("this host refuses what this node sends to {name}: {why}"))
    }

    /// Whether none of this node's heartbeat addresses is on this host, as far as was told.
    pub(super) fn unbound(&self) -> bool {
        !self.own.is_empty() && self.own.iter().all(|own| *own == OwnPath::Unbound)
    }
}

impl Core {
    /// Own heartbeat addresses came or went.
    pub(super) fn paths_observed(&mut self, now: Instant, own: Vec<OwnPath>) {
        let before = self.paths.unbound();
        self.paths.own = own;
        self.changed |= self.paths.unbound() != before;
        self.judge_hearing(now);
    }

    /// This host began or ceased to refuse what is sent to an address.
    pub(super) fn sending_changed(&mut self, now: Instant, to: SocketAddr, refused: Option<String>) {
        match refused {
            Some(why) => self.paths.refused.insert(to, why),
            None => self.paths.refused.remove(&to),
        };
        self.judge_hearing(now);
    }

    /// This node has other addresses now, of which the shell tells anew.
    pub(super) fn forget_paths(&mut self, now: Instant) {
        self.paths.own.clear();
        self.judge_hearing(now);
    }

    fn judge_hearing(&mut self, now: Instant) {
        for peer in self.peers.iter_mut() {
            let deaf = self.paths.deaf_to(&self.config, peer.node);
            peer.note_hearing(now, deaf);
        }
    }
}
