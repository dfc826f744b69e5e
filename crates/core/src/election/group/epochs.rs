//! The numbers of terms: the one of this node, the highest seen anywhere, and how far they are reserved on disk.

use crate::model::ids::Epoch;

/// Epochs are reserved on disk this many at a time.
const BLOCK: u64 = 1000;

/// Numbers of one group. A term's number is above every one that was seen before it.
#[derive(Debug)]
pub(crate) struct Epochs {
    ours: Epoch,
    seen: Epoch,
    /// No epoch above this one was used by this node: the next start begins after it.
    reserved: u64,
}

impl Epochs {
    /// After a start: whatever the last run used is past.
    pub(crate) fn after(reserved: u64) -> Self {
        Self { ours: Epoch(0), seen: Epoch(reserved), reserved }
    }

    /// The term that this node has, asks for or had last.
    pub(crate) fn ours(&self) -> Epoch {
        self.ours
    }

    /// The highest epoch seen anywhere.
    pub(crate) fn seen(&self) -> Epoch {
        self.seen
    }

    /// How far they are reserved on disk.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Somebody has this number.
    pub(crate) fn note(&mut self, epoch: Epoch) {
        self.seen = self.seen.max(epoch);
    }

    /// A term that was not heard of has taken a number; it counts as the next one, which is returned.
    pub(crate) fn note_unheard(&mut self) -> Epoch {
        self.seen = self.seen.next();
        self.seen
    }

    /// Sees to it that a number above `epoch`, which nobody has, is told. Says whether that is news.
    pub(crate) fn tell_above(&mut self, epoch: Epoch) -> bool {
        let news = self.seen <= epoch;
        if news {
            self.seen = epoch.next();
        }
        news
    }

    /// Leadership is asked for under the next number.
    pub(crate) fn ask(&mut self) -> Epoch {
        self.ours = self.seen.next();
        self.ours
    }

    /// A term begins by a key in etcd: the revision at which that was written is its number, or the next one where a higher
    /// number was seen. That happens where etcd was restored from a backup.
    pub(crate) fn take_revision(&mut self, revision: u64) {
        let usable = Epoch(revision.min(Epoch::CREDIBLE.0));
        self.ours = usable.max(self.seen.next());
    }

    /// Whether the number that is asked for is too low by now.
    pub(crate) fn is_refused(&self) -> bool {
        self.seen >= self.ours.next()
    }

    /// What was asked for is granted: the others are told of its number.
    pub(crate) fn begin_term(&mut self) {
        self.note(self.ours);
    }

    /// This term goes on, or begins, under the next number.
    pub(crate) fn take_next(&mut self) -> Epoch {
        self.seen = self.ask();
        self.ours
    }

    /// Keeps the block on disk ahead of the highest epoch seen. Says whether it is another one.
    pub(crate) fn reserve(&mut self) -> bool {
        let short = self.seen.0.saturating_add(BLOCK / 2) > self.reserved;
        if short {
            self.reserved = self.seen.0.saturating_add(BLOCK);
        }
        short
    }

    /// Keeps the highest epoch seen itself on disk: etcd's revisions rise without us. Says whether it is another one.
    pub(crate) fn reserve_seen(&mut self) -> bool {
        let short = self.seen.0 > self.reserved;
        self.reserved = self.reserved.max(self.seen.0);
        short
    }

    /// What the last run reserved is known by now, and is past.
    pub(crate) fn found(&mut self, reserved: u64) {
        self.note(Epoch(reserved));
        self.reserved = self.reserved.max(reserved);
    }

    /// The numbers begin again; who leads goes on under the first.
    pub(crate) fn begin_again(&mut self, leads: bool) -> Epoch {
        self.ours = Epoch(u64::from(leads));
        (self.seen, self.reserved) = (self.ours, 0);
        self.ours
    }
}
