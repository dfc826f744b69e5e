//! Who gets the packets of a group's HAVIPs, as its probes told, and what a drill watches.

use crate::model::ids::{Epoch, NodeIndex};
use crate::model::tag::Tag;
use crate::model::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What one group's probes told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fabric {
    pub(in crate::election) nonce: [u8; 16],
    pub(in crate::election) next: Instant,
    /// Watched closely, for a drill.
    pub(crate) trace: Option<Trace>,
    /// The last question that was passed on for a peer.
    pub(crate) relay: Option<Relay>,
    /// The term in which the first packet arrived here.
    pub(crate) arrived: Option<Epoch>,
    /// Who answered last, and when.
    pub(crate) answered: Option<(NodeIndex, Instant)>,
}

/// Where packets went, as each node saw it.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(in crate::election) began: Instant,
    pub(in crate::election) until: Instant,
    pub(in crate::election) next: Instant,
    pub(in crate::election) nonce: [u8; 16],
    /// By who asked and who answered.
    pub(in crate::election) seen: BTreeMap<(NodeIndex, NodeIndex), Seen>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::election) struct Seen {
    pub(in crate::election) first: Instant,
    pub(in crate::election) last: Instant,
    pub(in crate::election) answers: u64,
}

/// A question that a peer had us pass on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay {
    pub(in crate::election) asker: Tag,
    pub(in crate::election) back: SocketAddr,
    pub(in crate::election) path: usize,
    pub(in crate::election) nonce: [u8; 16],
}
