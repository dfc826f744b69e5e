//! Who goes before whom.

use super::step_context::StepContext;
use crate::model::ids::NodeIndex;
use crate::model::settings::Group;
use crate::model::tag::Tag;
use crate::wire::Flags;
use std::cmp::Reverse;

/// Sort key: the smallest goes first. Effective priority, then node name.
pub(crate) fn key<'a>(step: &StepContext<'a>, node: NodeIndex, effective: i32) -> (Reverse<i32>, &'a str) {
    (Reverse(effective), step.config.node(node).name.as_str())
}

/// Whether `a` goes before `b` by what the file says alone: the order that breaks ties within one epoch.
pub(crate) fn configured_before(step: &StepContext<'_>, group: &Group, a: NodeIndex, b: NodeIndex) -> bool {
    let of = |n| key(step, n, group.member(n).map_or(0, |m| i32::from(m.priority)));
    of(a) < of(b)
}

/// A live member that could be active, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) node: NodeIndex,
    pub(crate) effective: i32,
}

/// Live members, other than us, that could be active now.
pub(crate) fn rivals(step: &StepContext<'_>, group: &Group, tag: Tag) -> Vec<Candidate> {
    let members = group.members.iter().filter(|m| !m.witness && m.node != step.config.local);
    members
        .filter_map(|m| {
            let entry = step.peers.of(m.node)?.says(tag, step.now)?;
            entry
                .flags
                .has(Flags::ELIGIBLE)
                .then_some(Candidate { node: m.node, effective: i32::from(entry.effective) })
        })
        .collect()
}

/// The live members that could be active and go before us, the first one first.
///
/// ⚠ So does one that cannot hear us: it counts us among the dead, and would claim beside us. (I5, seed 78241)
pub(crate) fn before(step: &StepContext<'_>, group: &Group, tag: Tag, effective: i32) -> Vec<NodeIndex> {
    let ours = key(step, step.config.local, effective);
    let mut first = rivals(step, group, tag);
    let unaware = |c: &Candidate| step.peers.of(c.node).is_some_and(|p| p.cannot_hear_us(step.now));
    first.retain(|c| key(step, c.node, c.effective) < ours || unaware(c));
    first.sort_by_key(|c| key(step, c.node, c.effective));
    first.into_iter().map(|c| c.node).collect()
}

/// The best live member, other than us, to hand over to: up both ways, eligible, same configuration.
pub(crate) fn successor(step: &StepContext<'_>, group: &Group, tag: Tag) -> Option<NodeIndex> {
    let mut up: Vec<Candidate> = rivals(step, group, tag)
        .into_iter()
        .filter(|c| step.peers.of(c.node).is_some_and(|p| p.up(step.now) && !p.returning(step.now)))
        .collect();
    up.sort_by_key(|c| key(step, c.node, c.effective));
    up.first().map(|c| c.node)
}
