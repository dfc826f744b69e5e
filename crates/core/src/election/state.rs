//! What the last run left, where the disk took its time to say so.
//!
//! A core may have to start before the state directory has answered. Until it does, nothing is stored, since that would
//! replace what nobody has read, and every group counts as drained ⚠: a node that was drained before its restart must not
//! become active because its disk is slow. An operator who knows better says so with `undrain`. The rest of what is not
//! known costs what a lost state costs: epochs and maintenance are learned from the peers, and a voter waits out the
//! longest lease.

use super::Core;
use super::group::Group;
use crate::model::persisted::{Persisted, PersistedGroup};
use crate::model::time::Instant;

impl Core {
    /// The state directory has answered. What was learned since the start is newer, and stays.
    pub(super) fn state_found(&mut self, now: Instant, mut found: Persisted) {
        if std::mem::replace(&mut self.state_known, true) {
            return;
        }
        if found.of_another(&self.config).is_some() {
            found = Persisted::default();
        }
        self.stall.longest_pause = self.stall.longest_pause.max(found.longest_pause);
        self.persisted.longest_pause = self.stall.longest_pause;
        for (group, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            let kept = found.groups.get(settings.name.as_str()).cloned().unwrap_or_default();
            group.take_in(now, kept);
            group.reconcilers.found(&settings.havips, &group.known);
        }
        // Its grants are not taken over: this voter may have given others since, and waits as one that lost them.
        self.persisted.groups = found.groups;
        self.forget_maintenance_elsewhere();
        (self.changed, self.persist) = (true, true);
    }
}

impl Group {
    /// Whether an operator keeps this node from being active, or may have done so before the start.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain.counts()
    }

    /// What of it survives a restart.
    pub(super) fn persisted(&self) -> PersistedGroup {
        let (once_held, addresses) = self.known.stored();
        PersistedGroup {
            epoch_reserved: self.epochs.reserved(),
            drained: self.drain.is_on(),
            maintenance: self.maintenance.number(),
            maintenance_end: self.maintenance.end(),
            adopted: self.adoption.agreed().cloned(),
            preemption_suspended: self.preemption.is_suspended(),
            once_held,
            addresses,
        }
    }

    fn take_in(&mut self, now: Instant, before: PersistedGroup) {
        self.drain.found(before.drained);
        self.epochs.found(before.epoch_reserved);
        self.maintenance.found(now, before.maintenance, before.maintenance_end);
        self.adoption.found(before.adopted);
        self.preemption.found(before.preemption_suspended);
        self.known.found(before.once_held, before.addresses);
    }
}
