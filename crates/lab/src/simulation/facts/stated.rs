//! What the datagrams of a node state.

use havipd_core::model::digest::Digest;
use havipd_core::model::ids::Epoch;
use havipd_core::model::role::Role;
use std::time::Duration;

/// The part of a datagram that causes rest on.
#[derive(Debug, Clone, Default)]
pub(in crate::simulation) struct Stated {
    pub(in crate::simulation) interval: Duration,
    pub(in crate::simulation) digest: Option<Digest>,
    /// Per group: role, and the epoch that it has, asks for or had last.
    pub(in crate::simulation) groups: Vec<(Role, Epoch)>,
}
