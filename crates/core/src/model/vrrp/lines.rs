//! Cutting what comes out of the FIFO into lines: reads end anywhere, and a line may be too long to count.

/// Longest line that is looked at; keepalived's own buffers are shorter.
pub const MAX_LINE: usize = 1024;

/// Cuts what is read from the FIFO into lines.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// The line that is being read is longer than any that counts.
    skipping: bool,
}

impl Lines {
    /// Takes what was read, and gives every line that is complete by now, in order; `None` for one that was too
    /// long.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (content, ends) = match piece.split_last() {
                Some((b'\n', content)) => (content, true),
                _ => (piece, false),
            };
            if self.skipping || self.begun.len() + content.len() > MAX_LINE {
                self.skipping = true;
                self.begun.clear();
            } else {
                self.begun.extend_from_slice(content);
            }
            if ends {
                let line = std::mem::take(&mut self.begun);
                lines.push((!std::mem::take(&mut self.skipping)).then_some(line));
            }
        }
        lines
    }

    /// The writer has gone: a line that it did not end is no line. Whether there was one.
    pub fn ended(&mut self) -> bool {
        let half = self.skipping || !self.begun.is_empty();
        *self = Self::default();
        half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_half_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), [Some(b"one".to_vec())]);
        assert_eq!(lines.push(b"o\n\n"), [Some(b"two".to_vec()), Some(vec![])]);
        assert_eq!(lines.push(&[b'x'; MAX_LINE + 1]), Vec::<Option<Vec<u8>>>::new());
        assert_eq!(lines.push(b"y\nnext\n"), [None, Some(b"next".to_vec())]);
        lines.push(b"half");
        assert!(lines.ended());
        assert!(!lines.ended());
        assert_eq!(lines.push(b"whole\n"), [Some(b"whole".to_vec())]);
    }
}
