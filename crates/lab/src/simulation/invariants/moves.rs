//! The list of moves: who became active when, in each group.

use super::super::watch::Seen;
use super::super::world::World;
use havipd_core::model::role::Role;
use std::time::Duration;

/// Who was active, in order, per group.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    terms: Vec<Vec<(Duration, usize)>>,
}

impl Moves {
    pub(crate) fn see(&mut self, world: &World, seen: &Seen<'_>) {
        let Seen::Became { host, transition } = seen else { return };
        if transition.to != Role::Active {
            return;
        }
        self.terms.resize(world.groups(), vec![]);
        let terms = &mut self.terms[transition.group.0];
        if terms.last().is_none_or(|(_, last)| last != host) {
            terms.push((world.elapsed(), *host));
        }
    }

    /// Moves of a group: the first term is none.
    pub(crate) fn of(&self, group: usize) -> &[(Duration, usize)] {
        self.terms.get(group).and_then(|r| r.get(1..)).unwrap_or_default()
    }
}
