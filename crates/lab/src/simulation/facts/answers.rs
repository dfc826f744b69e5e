//! What the cloud answered to one node.

use havipd_core::model::event::OperationResult;
use havipd_core::model::ids::OperationId;
use havipd_core::model::time::Instant;
use std::collections::BTreeMap;

/// Calls that may be remembered while they have no answer: cancelled writes get none.
const OPEN: usize = 1_000;

/// Whom an answer names as holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulation) struct Holder {
    /// The target, if one is named.
    pub(in crate::simulation) target: Option<String>,
    /// All that are bound.
    pub(in crate::simulation) bound: Vec<String>,
}

/// Reads in a row with the same answer.
#[derive(Debug, Clone)]
pub(in crate::simulation) struct Streak {
    pub(in crate::simulation) holder: Holder,
    /// When the first and the last of them were asked for.
    pub(in crate::simulation) first: Instant,
    pub(in crate::simulation) last: Instant,
    /// When the last was answered.
    pub(in crate::simulation) at: Instant,
}

/// What a node was told of one HAVIP.
#[derive(Debug, Clone, Default)]
pub(in crate::simulation) struct OfHavip {
    /// The last reads that were answered.
    pub(in crate::simulation) streak: Option<Streak>,
    /// Whom reads named: the target, and when the first and the last of them were asked for. Other reads may lie between.
    pub(in crate::simulation) named: Vec<(String, Instant, Instant)>,
    /// Calls that failed, when the last of each kind did: any, unknown HAVIP, no permission, refused.
    pub(in crate::simulation) failed: Option<Instant>,
    pub(in crate::simulation) missing: Option<Instant>,
    pub(in crate::simulation) denied: Option<Instant>,
    pub(in crate::simulation) write_failed: Option<Instant>,
    pub(in crate::simulation) read_failed: Option<Instant>,
    /// When a read last showed a target that is no member's.
    pub(in crate::simulation) stranger: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    havip: usize,
    at: Instant,
}

/// What the cloud answered to one run of a daemon.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Answers {
    open: BTreeMap<OperationId, Asked>,
    havips: Vec<OfHavip>,
}

impl Answers {
    pub(super) fn new(havips: usize) -> Self {
        Self { open: BTreeMap::new(), havips: vec![OfHavip::default(); havips] }
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.havips.fill(OfHavip::default());
    }

    pub(in crate::simulation) fn of(&self, havip: usize) -> &OfHavip {
        &self.havips[havip]
    }

    /// A core asks for a call about a HAVIP.
    pub(in crate::simulation) fn asked(&mut self, now: Instant, op: OperationId, havip: usize) {
        if self.open.len() >= OPEN {
            self.open.pop_first();
        }
        self.open.insert(op, Asked { havip, at: now });
    }

    /// It is told how that ended.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        op: OperationId,
        result: &OperationResult,
        member: impl Fn(usize, &str) -> bool,
    ) {
        let Some(asked) = self.open.remove(&op) else { return };
        let Some(of) = self.havips.get_mut(asked.havip) else { return };
        let error = match result {
            OperationResult::Havip(Ok(h)) => {
                let holder = Holder {
                    target: h.holder().map(str::to_owned),
                    bound: h.binded_instances.iter().map(|b| b.instance_id.clone()).collect(),
                };
                if !holder.bound.iter().all(|id| member(asked.havip, id)) {
                    of.stranger = Some(now);
                }
                if let Some(target) = &holder.target {
                    match of.named.iter_mut().find(|(named, ..)| named == target) {
                        Some((.., last)) => *last = asked.at.max(*last),
                        None => of.named.push((target.clone(), asked.at, asked.at)),
                    }
                }
                match &mut of.streak {
                    // An answer that was overtaken tells of before.
                    Some(streak) if streak.last > asked.at => {}
                    Some(streak) if streak.holder.target == holder.target => {
                        (streak.last, streak.at, streak.holder) = (asked.at, now, holder);
                    }
                    other => *other = Some(Streak { holder, first: asked.at, last: asked.at, at: now }),
                }
                return;
            }
            OperationResult::Havip(Err(error)) => {
                of.read_failed = Some(now);
                error
            }
            OperationResult::Written(Err(error)) => {
                of.write_failed = Some(now);
                error
            }
            _ => return,
        };
        of.failed = Some(now);
        of.missing = if error.missing { Some(now) } else { of.missing };
        of.denied = if error.denied { Some(now) } else { of.denied };
    }
}
