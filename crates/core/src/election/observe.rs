//! `observe`: elect, touch nothing, and say where the cloud has it otherwise.
//!
//! Somebody else moves the HAVIP, keepalived with scripts, say. To know what havipd would have done, an operator runs it
//! beside that: each disagreement between this election and the cloud's record is recorded when it is seen and when
//! it ends. Only reads that are younger than the last change of who is elected are compared with it.

use super::group::Group;
use super::group::difference::Difference;
use super::step_context::StepContext;
use crate::model::action::{Action, Transition};
use crate::model::ids::Target;
use crate::model::role::{Cause, Role};

impl Group {
    /// Compares this election with the cloud's record, and records where they begin or cease to differ.
    pub(crate) fn compare_with_cloud(&mut self, step: &mut StepContext<'_>) {
        if !self.settings(step).observe {
            self.observed.note(step.now, None);
            return;
        }
        let Some(now) = self.difference(step) else { return };
        let was = self.observed.differs();
        if was.map(|(difference, _)| difference) == now.as_ref() {
            return;
        }
        let (cause, detail) = match (&now, was) {
            (Some(now), _) => (Cause::CloudDiffers, self.differs_in_words(step, now)),
            (None, Some((_, since))) => (
                Cause::CloudAgrees,
                format!("the cloud agrees again, after {:.1} s", step.now.since(*since).as_secs_f64()),
            ),
            (None, None) => return,
        };
        self.observed.note(step.now, now);
        let (at, group, role, epoch) = (step.now, self.index, self.role(), self.epochs.ours());
        let (from, to, peer, timeline) = (role, role, None, vec![]);
        step.out.push(Action::Record(Transition { at, group, from, to, epoch, cause, detail, peer, timeline }));
    }

    /// What differs now; the outer `None`: it cannot be told.
    fn difference(&self, step: &StepContext<'_>) -> Option<Option<Difference>> {
        // Before anybody was ever elected there is nothing to compare.
        self.moves.owner()?;
        let owner = step.peers.iter().find(|p| p.owns(self.tag, step.now).is_some()).map(|p| p.node);
        let elected = if self.role() == Role::Active { Some(step.config.local) } else { owner };
        let target = elected.and_then(|n| step.target_of(n)).map(Target::id);
        for (havip, l) in self.reconcilers.iter().enumerate() {
            let read = l.read.as_ref().filter(|r| r.issued >= self.moved_at)?;
            let holder = read.havip.holder();
            if holder != target {
                return Some(Some(Difference { elected, havip, holder: holder.map(str::to_owned) }));
            }
        }
        Some(None)
    }

    fn differs_in_words(&self, step: &StepContext<'_>, difference: &Difference) -> String {
        let id = &self.settings(step).havips[difference.havip].id;
        let elected = difference.elected.map_or("nobody", |n| step.config.node(n).name.as_str());
        let holder = difference.holder.as_deref().unwrap_or("nobody");
        format!("this election has {elected}, the cloud has {holder} for {id}")
    }
}
