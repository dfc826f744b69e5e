//! The list of moves: who became active when, in each group.

use super::super::watch::Seen;
use super::super::world::World;
use havipd_core::model::role::Role;
use std::time::Duration;

/// Who was active, in order, per group.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    reigns: Vec<Vec<(Duration, usize)>>,
}

impl Moves {
    pub(crate) fn see(&mut self, world: &World, seen: &Seen<'_>) {
        let Seen::Became { host, transition } = seen else { return };
        if transition.to != Role::Active {
            return;
        }
        self.reigns.resize(world.groups(), vec![]);
        let reigns = &mut self.reigns[transition.group.0];
        if reigns.last().is_none_or(|(_, last)| last != host) {
            reigns.push((world.elapsed(), *host));
        }
    }

    /// Moves of a group: the first reign is none.
    pub(crate) fn of(&self, group: usize) -> &[(Duration, usize)] {
        self.reigns.get(group).and_then(|r| r.get(1..)).unwrap_or_default()
    }
}
