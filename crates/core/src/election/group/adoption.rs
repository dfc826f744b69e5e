//! The file that the voters agreed on, and the one that this node is taking over together with them.

use crate::model::adopted::Adopted;
use crate::model::digest::Digest;

/// How far that is.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// What the voters agreed on last, as far as this node knows.
    agreed: Option<Adopted>,
    /// Most of the voters were not heard with this node's file yet, in words.
    waits: Option<String>,
    /// The file that most of the voters of before have, too; those before it may have granted what lasts.
    adopting: Option<Digest>,
}

impl Adoption {
    /// As the last run left it.
    pub(crate) fn read(agreed: Option<Adopted>) -> Self {
        Self { agreed, waits: None, adopting: None }
    }

    /// The disk has answered at last. The record of before goes first: under it nothing fresh is granted until its
    /// voters have adopted this one.
    pub(crate) fn found(&mut self, agreed: Option<Adopted>) {
        self.agreed = agreed.or_else(|| self.agreed.take());
    }

    /// The file that was agreed on.
    pub(crate) fn agreed(&self) -> Option<&Adopted> {
        self.agreed.as_ref()
    }

    /// The file that was agreed on, if it is another one than that with `digest`.
    pub(crate) fn before(&self, digest: Digest) -> Option<&Adopted> {
        self.agreed().filter(|agreed| !agreed.is(digest))
    }

    /// The same, while most of its voters do not have the file with `digest` yet, as far as was known.
    pub(crate) fn to_follow(&self, digest: Digest) -> Option<&Adopted> {
        self.before(digest).filter(|_| self.adopting != Some(digest))
    }

    /// What it waits for, in words.
    pub(crate) fn waits(&self) -> Option<&String> {
        self.waits.as_ref()
    }

    /// Nothing is waited for.
    pub(crate) fn waits_no_more(&mut self) {
        self.waits = None;
    }

    /// Notes what it waits for. Says whether the file with `digest` is there to be adopted.
    pub(crate) fn proceeds(&mut self, waits: Option<String>, digest: Digest) -> bool {
        self.waits = waits;
        let proceeds = self.waits.is_none() && self.agreed().is_none_or(|agreed| !agreed.is(digest));
        if !proceeds {
            self.adopting = None;
        }
        proceeds
    }

    /// Most of the voters of before have the file with `digest`. Says whether that is news.
    pub(crate) fn begin(&mut self, digest: Digest) -> bool {
        self.adopting.replace(digest) != Some(digest)
    }

    /// It is the file that was agreed on.
    pub(crate) fn adopt(&mut self, file: Adopted) {
        self.agreed = Some(file);
    }

    #[cfg(test)]
    pub(crate) fn is_under_way(&self) -> bool {
        self.adopting.is_some()
    }
}
