//! The checked configuration, once nothing is wrong any more. What each table becomes is said in `settings`; here they
//! are put together.

use super::check::{Outside, Resolver};
use super::document::At;
use super::rules::dead_time_of;
use super::rules_group::Shape;
use super::settings::{Cloud, Daemon, Group, Heartbeat, Hooks, LocalAddress, Log, Node, Root};
use havipd_core::model::ids::NodeIndex;
use havipd_core::model::settings::{self, Config, Member};

/// `None` only if an error was noted.
pub(super) fn config(file: &Root, shapes: &[Shape], outside: &Outside, local: usize) -> Option<Config> {
    let port = of(&file.heartbeat.port)?;
    let nodes = file.nodes.iter().map(|node| Node::build(node, port)).collect::<Option<Vec<_>>>()?;
    let groups = file.groups.iter().zip(shapes).map(|(group, shape)| {
        Group::build(group, &InGroup { shape, nodes: &nodes, hooks: &file.hooks, resolve: &outside.resolve })
    });
    Some(Config {
        cluster: of(&file.cluster.name)?,
        local: NodeIndex(local),
        groups: groups.collect::<Option<_>>()?,
        cloud: Cloud::build(&file.cloud, outside)?,
        heartbeat: Heartbeat::build(&file.heartbeat, outside.keys.clone())?,
        local_address: LocalAddress::build(&file.local_address, dead_time_of(&file.heartbeat)?.value)?,
        metrics: of(&file.metrics.listen)?,
        daemon: Daemon::build(&file.daemon)?,
        keepalived: outside.keepalived.clone()?,
        log: Log::build(&file.log)?,
        nodes,
    })
}

/// The value of a key, if it has one.
pub(super) fn of<T: Clone>(at: &Option<At<T>>) -> Option<T> {
    at.as_ref().map(|at| at.value.clone())
}

/// What a group takes from the rest of the file.
pub(super) struct InGroup<'a> {
    pub(super) shape: &'a Shape,
    nodes: &'a [settings::Node],
    pub(super) hooks: &'a Hooks,
    pub(super) resolve: &'a Resolver,
}

impl InGroup<'_> {
    /// The group's members, each with the priority that the group or else the node gives.
    pub(super) fn members(&self, group: &Group) -> Vec<Member> {
        let own = group.priorities.iter().flat_map(|all| &all.value);
        let members = self.shape.members.iter().map(|&index| {
            let node = &self.nodes[index];
            let priority = own.clone().find(|(name, _)| name.value == node.name.as_str()).map(|(_, p)| *p);
            Member { node: NodeIndex(index), priority: priority.unwrap_or(node.priority), witness: node.witness }
        });
        members.collect()
    }
}
