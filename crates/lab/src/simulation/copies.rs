//! Copies of machines: a host beside a node, with its disk, its keys and the instance that its file names.
//!
//! A copy is no node. It has none of its node's heartbeat addresses unless they move to it, so nobody hears it, and its
//! metadata service names another instance, if it answers. Hosts after those of the nodes are copies.

use super::watch::{Seen, Watch};
use super::world::World;
use havipd_core::model::event::Event;
use havipd_core::model::role::Cause;
use std::time::Duration;

/// The kernel's word reaches the daemon.
const TOLD: Duration = Duration::from_millis(1);

impl World {
    /// The node that a host is to the others, if it is heard.
    pub(super) fn node_of(&self, host: usize) -> usize {
        self.hosts[host].copy_of.unwrap_or(host)
    }

    fn copy_of(&self, node: usize) -> Option<usize> {
        self.hosts.iter().position(|h| h.copy_of == Some(node))
    }

    /// The host that has the heartbeat addresses of a node.
    pub(super) fn addressed(&self, node: usize) -> usize {
        self.copy_of(node).filter(|copy| self.hosts[*copy].paths_lost.is_empty()).unwrap_or(node)
    }

    /// A copy of a node's machine is started, from what is on its disk now.
    pub(super) fn start_copy(&mut self, node: usize, told_ms: Option<u64>) {
        let Some(copy) = self.copy_of(node) else { return };
        self.crash(copy, None, false, false);
        let original = &self.hosts[node];
        let (disk, file, later) = (original.disk.clone(), original.file.clone(), original.later_installed);
        let h = &mut self.hosts[copy];
        (h.disk, h.file, h.later_installed) = (disk, file, later);
        self.start(copy);
        let Some(ms) = told_ms else { return };
        let known = self.hosts[copy].config.local_node().target.is_some();
        let target = self.hosts[copy].target.clone();
        let event = match known {
            true => Event::HostChecked { differs: Some(format!("this machine is {target}")) },
            false => Event::IdentityLearned { target: target.parse().expect("made of a name") },
        };
        self.tell(copy, Duration::from_millis(ms), event);
    }

    /// The heartbeat addresses of a node move to its copy, or back.
    pub(super) fn move_addresses(&mut self, node: usize, back: bool) {
        let Some(copy) = self.copy_of(node) else { return };
        let all = 0..self.scenario.cluster.paths;
        self.hosts[copy].paths_lost = if back { all.clone().collect() } else { Default::default() };
        self.tell(copy, TOLD, self.paths_of(copy));
        all.for_each(|path| self.heartbeat_address(node, path, back));
    }

    /// Copies are taken away, and nodes have their addresses again.
    pub(super) fn end_copies(&mut self) {
        for node in 0..self.nodes() {
            if let Some(copy) = self.copy_of(node) {
                self.crash(copy, None, false, false);
                self.hosts[copy].paths_lost = (0..self.scenario.cluster.paths).collect();
            }
        }
    }
}

impl Seen<'_> {
    /// Whose doing it is.
    pub(super) fn host(&self) -> Option<usize> {
        match *self {
            Self::Turned { host }
            | Self::Decided { host, .. }
            | Self::Became { host, .. }
            | Self::Wrote { host, .. }
            | Self::Put { host, .. }
            | Self::Announced { host, .. }
            | Self::Notified { host, .. }
            | Self::GateAsked { host, .. }
            | Self::GateBegan { host }
            | Self::GateEnded { host, .. }
            | Self::CallBegan { host }
            | Self::Started { host }
            | Self::Forged { host, .. }
            | Self::Sent { from: host, .. } => Some(host),
            Self::Served { .. } | Self::Did { .. } | Self::Quiet | Self::Tick | Self::End => None,
        }
    }
}

impl Watch {
    /// A copy reads, and does nothing else: it never leads, and no effect is its own.
    pub(super) fn see_copy(&mut self, world: &World, copy: usize, seen: &Seen<'_>) {
        let name = &world.hosts[copy].name;
        let broken = match seen {
            Seen::Became { transition: t, .. } if t.to.has_leadership() => (
                "I5",
                format!("{name} became {} ({}: {}) beside the node that it is a copy of", t.to, t.cause, t.detail),
            ),
            Seen::Decided { transition: t, .. }
                if t.cause == Cause::WrongHost && !world.facts.host(copy).wrong_host =>
            {
                ("I12", format!("{name} is in fault as another machine, and nobody told it so"))
            }
            Seen::Wrote { .. } => ("I2", format!("{name} writes to the cloud")),
            Seen::Put { .. } => ("I2", format!("{name} puts an address")),
            Seen::Announced { .. } => ("I2", format!("{name} announces")),
            _ => return,
        };
        self.broke(world, vec![broken]);
    }
}
