//! Decisions out of a run of bytes: every input means something, and a byte more or less changes little.

/// Reads from the front; what is missing is zero.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Over all of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next byte as one of `choices` numbers, from zero.
    pub fn below(&mut self, choices: usize) -> usize {
        usize::from(self.byte()) % choices.max(1)
    }

    /// The next byte as a yes or a no.
    pub fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    /// Up to `most` bytes, as they stand.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
