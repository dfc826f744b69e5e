//! The file that this node is taking over together with the other voters.

use crate::model::digest::Digest;

/// How far that is.
#[derive(Debug, Default)]
pub(crate) struct Adoption {
    /// Most of the voters were not heard with this node's file yet, in words.
    pub(crate) waits: Option<String>,
    /// The file that most of the voters of before have, too; those before it may have granted what lasts.
    pub(crate) adopting: Option<Digest>,
}
