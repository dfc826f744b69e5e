//! Who goes before whom.

use super::turn::Turn;
use crate::model::ids::NodeIndex;
use crate::model::settings::Group;
use crate::model::tag::Tag;
use crate::wire::Flags;
use std::cmp::Reverse;

/// Sort key: the smallest goes first. Effective priority, then node name.
pub(crate) fn key<'a>(turn: &Turn<'a>, node: NodeIndex, effective: i32) -> (Reverse<i32>, &'a str) {
    (Reverse(effective), turn.config.node(node).name.as_str())
}

/// Whether `a` goes before `b` by what the file says alone: the order that breaks ties within one epoch.
pub(crate) fn configured_before(turn: &Turn<'_>, group: &Group, a: NodeIndex, b: NodeIndex) -> bool {
    let of = |n| key(turn, n, group.member(n).map_or(0, |m| i32::from(m.priority)));
    of(a) < of(b)
}

/// A live member that could be active, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) node: NodeIndex,
    pub(crate) effective: i32,
}

/// Live members, other than us, that could be active now.
pub(crate) fn rivals(turn: &Turn<'_>, group: &Group, tag: Tag) -> Vec<Candidate> {
    let members = group.members.iter().filter(|m| !m.witness && m.node != turn.config.local);
    members
        .filter_map(|m| {
            let entry = turn.peers.of(m.node)?.says(tag, turn.now)?;
            entry
                .flags
                .has(Flags::ELIGIBLE)
                .then_some(Candidate { node: m.node, effective: i32::from(entry.effective) })
        })
        .collect()
}

/// The live members that could be active and go before us, the first one first.
pub(crate) fn before(turn: &Turn<'_>, group: &Group, tag: Tag, effective: i32) -> Vec<NodeIndex> {
    let ours = key(turn, turn.config.local, effective);
    let mut first = rivals(turn, group, tag);
    first.retain(|c| key(turn, c.node, c.effective) < ours);
    first.sort_by_key(|c| key(turn, c.node, c.effective));
    first.into_iter().map(|c| c.node).collect()
}

/// The best live member, other than us, to hand over to: up both ways, eligible, same configuration.
pub(crate) fn successor(turn: &Turn<'_>, group: &Group, tag: Tag) -> Option<NodeIndex> {
    let mut up: Vec<Candidate> = rivals(turn, group, tag)
        .into_iter()
        .filter(|c| turn.peers.of(c.node).is_some_and(|p| p.up(turn.now) && !p.returning(turn.now)))
        .collect();
    up.sort_by_key(|c| key(turn, c.node, c.effective));
    up.first().map(|c| c.node)
}
