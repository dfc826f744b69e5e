//! What one reconciler has under way at the cloud: at most one read and one write.

use crate::model::action::WriteKind;
use crate::model::cloud::CallClass;
use crate::model::ids::{OperationId, Target};
use crate::model::time::Instant;

/// A write that has not ended.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) op: OperationId,
    pub(super) kind: WriteKind,
    pub(super) issued: Instant,
    /// It has left this host: until then it has certainly done nothing.
    pub(super) sent: bool,
}

/// A read that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) op: OperationId,
    pub(super) issued: Instant,
    pub(super) class: CallClass,
}

/// Identity of one attempt: it lives until a definite answer, so retries of it share the token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) kind: WriteKind,
    pub(super) targets: Vec<Target>,
    pub(super) number: u64,
}
