//! Reading fixed-width fields off a slice, without ever indexing past its end.

use std::time::Duration;

/// A span as the layout carries it: whole microseconds in four bytes, to 71 minutes.
pub(super) fn micros(span: Duration) -> Option<[u8; 4]> {
    u32::try_from(span.as_micros()).ok().map(u32::to_be_bytes)
}

/// The slice ended, or held what the layout forbids; the text names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// What is left to read.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed(field))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed(field))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Skips bytes that must be zero.
    pub(super) fn zeroes(&mut self, len: usize, field: &'static str) -> Result<(), Malformed> {
        if self.take(len, field)?.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Malformed(field)) }
    }

    /// Nothing may be left.
    pub(super) const fn end(&self, field: &'static str) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed(field)) }
    }
}
