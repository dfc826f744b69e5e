//! What a node stores for its next start.

use super::adopted::Adopted;
use super::ids::{BootId, Epoch, HavipId, NodeIndex};
use super::maintenance::{CREDIBLE, LONGEST, MaintenanceEnd};
use super::plain::quote;
use super::settings::Config;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// What survives a restart. Names, not indices: the file may have changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Persisted {
    /// The cluster and the node that this is of. Empty: not known.
    pub cluster: String,
    /// See `cluster`.
    pub node: String,
    /// Per group name.
    pub groups: BTreeMap<String, PersistedGroup>,
    /// Longest pause of this host that was ever measured.
    pub longest_pause: Duration,
    /// The boot of the machine in which this was written: what was given in an earlier one is as old as this one at
    /// least. Empty: unknown.
    pub machine_boot: String,
    /// What this voter had given when it was stopped in order. The core forgets it once it was read.
    pub grants: Vec<KeptGrant>,
}

impl Persisted {
    /// Whose it is, if it is another node's: what that one granted, reserved or was told says nothing here.
    #[must_use]
    pub fn of_another(&self, config: &Config) -> Option<String> {
        let (cluster, node) = (config.cluster.as_str(), config.local_node().name.as_str());
        let known = !self.cluster.is_empty() && !self.node.is_empty();
        let another = known && (self.cluster.as_str(), self.node.as_str()) != (cluster, node);
        another.then(|| format!("node {} of cluster {}", quote(&self.node), quote(&self.cluster)))
    }

    /// Forgets what cannot be right and would never end, and says what that was, in words; the rest stays.
    ///
    /// Lost numbers cost waiting, never safety: they are learned from the peers.
    pub fn forget_incredible(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, group) in &mut self.groups {
            group.forget_incredible(name, &mut found);
        }
        found
    }
}

/// A grant of a voter that was stopped in order: after the restart it renews this one, and gives no other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct KeptGrant {
    /// Name of the group.
    pub group: String,
    /// Name of the node that has it.
    pub node: String,
    /// Its boot id, in hexadecimal.
    pub boot: String,
}

impl KeptGrant {
    /// Who that is under `config`, if it is still there.
    pub(crate) fn holder(&self, config: &Config) -> Option<(NodeIndex, BootId)> {
        let mut boot = [0; 16];
        hex::decode_to_slice(&self.boot, &mut boot).ok()?;
        Some((config.node_named(&self.node)?, BootId(boot)))
    }
}

/// What survives a restart, of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PersistedGroup {
    /// No epoch above this one was used: the next start begins after it.
    pub epoch_reserved: u64,
    /// `drain` is on.
    pub drained: bool,
    /// Number of the last change of maintenance that was heard of: odd is on.
    pub maintenance: u32,
    /// When it ends by itself, if this node was told to end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_end: Option<MaintenanceEnd>,
    /// What the voters agreed on last (arbiter `majority`).
    #[serde(alias = "settled", skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// Preemption is off after a switchover, until the next unplanned move.
    pub preemption_suspended: bool,
    /// HAVIPs that a node of this cluster was seen to hold (`strangers = "guard"`).
    pub once_held: Vec<HavipId>,
    /// The address of each HAVIP as the cloud gave it last.
    pub addresses: BTreeMap<String, Ipv4Addr>,
}

impl PersistedGroup {
    /// Forgets what cannot be right, so that no number comes to its end, and names it; `group` is whose state this is.
    fn forget_incredible(&mut self, group: &str, found: &mut Vec<String>) {
        if self.epoch_reserved > Epoch::CREDIBLE.0 {
            found.push(format!("epoch {} of group {group} cannot be right", self.epoch_reserved));
            self.epoch_reserved = 0;
        }
        if self.maintenance > CREDIBLE {
            found.push(format!("maintenance number {} of group {group} cannot be right", self.maintenance));
            (self.maintenance, self.maintenance_end) = (0, None);
        }
        if let Some(end) = self.maintenance_end.take_if(|end| end.span > LONGEST || end.number > CREDIBLE) {
            found
                .push(format!("an end of maintenance after {} s of group {group} cannot be right", end.span.as_secs()));
        }
    }
}
