//! What a random scenario is drawn with: the plan so far, and the draws that all of its parts share.

use super::cloud::{Announcements, MasterFlag, Profile};
use super::cluster::Cluster;
use super::scenario::Step;
use super::step_kind::StepKind;
use havipd_core::model::settings::{Arbiter, MAJORITY_MULTIPLIER};

/// Time before the first fault, so that most runs begin with a holder.
pub(super) const SETTLE_MS: u64 = 60_000;
/// Kinds of fault.
pub(super) const KINDS: u32 = 30;
/// Kinds of operation.
pub(super) const OPERATIONS: u32 = 7;

pub(super) struct Plan {
    pub(super) rng: fastrand::Rng,
    pub(super) cluster: Cluster,
    pub(super) names: Vec<String>,
    pub(super) members: Vec<String>,
    pub(super) steps: Vec<Step>,
}

impl Plan {
    pub(super) fn add(&mut self, at_ms: u64, kind: StepKind) {
        self.steps.push(Step { at_ms, kind });
    }

    pub(super) fn node(&mut self) -> String {
        of(&mut self.rng, &self.names)
    }

    pub(super) fn member(&mut self) -> String {
        of(&mut self.rng, &self.members)
    }

    pub(super) fn havip(&mut self) -> usize {
        self.rng.usize(0..self.cluster.groups * self.cluster.havips)
    }

    /// A span that is short, about a lease, or long.
    pub(super) fn span(&mut self) -> u64 {
        let dead = self.cluster.interval_ms * u64::from(self.cluster.dead_multiplier);
        match self.rng.u32(0..4) {
            0 => self.rng.u64(1..dead.max(2)),
            1 => self.rng.u64(dead * 9 / 10..dead * 13 / 10 + 2),
            2 => self.rng.u64(dead..dead * 6),
            _ => self.rng.u64(1_000..120_000),
        }
    }

    /// When a daemon is started again, if at all before the quiet.
    pub(super) fn back(&mut self) -> Option<u64> {
        match self.rng.u32(0..5) {
            0 => None,
            1 => Some(self.rng.u64(50..500)),
            2 => Some(self.rng.u64(500..5_000)),
            _ => Some(self.span()),
        }
    }
}

pub(super) fn of<T: Clone>(rng: &mut fastrand::Rng, list: &[T]) -> T {
    list[rng.usize(0..list.len())].clone()
}

/// The lowest dead multiplier that is drawn.
pub(super) fn least_multiplier(arbiter: Arbiter) -> u32 {
    if arbiter == Arbiter::Majority { MAJORITY_MULTIPLIER } else { 3 }
}

/// Whether HAVIPs may stay bound to all members: the cloud tells who has the packets, and announcements move them.
pub(super) fn shareable(cluster: &Cluster) -> bool {
    let profile: Profile = cluster.profile.parse().expect("the name of one");
    let flags = !matches!(profile.master_flag, MasterFlag::Absent | MasterFlag::Null);
    profile.announcements != Announcements::Ignored && flags
}
