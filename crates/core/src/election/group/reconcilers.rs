//! The reconcilers of a group's HAVIPs, in the order of the file.

use super::known::KnownHavips;
use crate::model::settings::{Havip, Interface};
use crate::model::time::Instant;
use crate::reconcile::HavipReconciler;
use std::ops::Deref;

/// One reconciler a HAVIP.
#[derive(Debug)]
pub(crate) struct Reconcilers(Vec<HavipReconciler>);

impl Reconcilers {
    /// They know nothing yet but, perhaps, the addresses.
    pub(crate) fn new(havips: &[Havip], known: &KnownHavips) -> Self {
        Self(havips.iter().map(|havip| fresh(havip, known)).collect())
    }

    /// A reload: a HAVIP that was there before goes on.
    pub(crate) fn reload(
        &mut self,
        now: Instant,
        was: &[Havip],
        is: &[Havip],
        known: &KnownHavips,
        announce_count: u32,
    ) {
        let mut before: Vec<Option<HavipReconciler>> = std::mem::take(&mut self.0).into_iter().map(Some).collect();
        for havip in is {
            let same = was.iter().position(|h| h.id == havip.id).and_then(|at| before[at].take());
            let mut l = same.unwrap_or_else(|| fresh(havip, known));
            let (ip, wanted) = (havip.address.or(l.address.ip), havip.interface != Interface::None);
            if (l.address.ip, l.address.wanted) != (ip, wanted) {
                l.address.replace(now, ip, wanted, announce_count);
            }
            self.0.push(l);
        }
    }

    /// The disk has answered at last: addresses that nobody has told since the start are those of the last run.
    pub(crate) fn found(&mut self, havips: &[Havip], known: &KnownHavips) {
        for (havip, l) in havips.iter().zip(&mut self.0) {
            l.address.learn(known.address(&havip.id));
        }
    }

    /// Ends whatever is under way for a claim.
    pub(crate) fn close(&mut self) {
        self.0.iter_mut().for_each(HavipReconciler::close);
    }

    /// Whether a HAVIP was taken by somebody outside the cluster. Each time is told once.
    pub(crate) fn take_contested(&mut self) -> bool {
        self.0.iter_mut().any(HavipReconciler::take_contested)
    }

    /// For what a reconciler is told by itself.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut HavipReconciler> {
        self.0.iter_mut()
    }
}

impl Deref for Reconcilers {
    type Target = [HavipReconciler];

    fn deref(&self) -> &[HavipReconciler] {
        &self.0
    }
}

fn fresh(havip: &Havip, known: &KnownHavips) -> HavipReconciler {
    HavipReconciler::new(havip.address.or_else(|| known.address(&havip.id)), havip.interface != Interface::None)
}
