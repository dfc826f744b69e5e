//! What a program writes, cut into lines that are safe to log: bounded in length, in number per
//! second, and in what they can do to a terminal.

use crate::log::RateLimit;
use crate::plain;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// A line is cut here.
const MAX_LINE: usize = 512;
/// Lines logged at once, and per second after that, of one run.
const BURST: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(200);

/// The limit that both streams of one run share.
pub(super) struct Budget {
    limit: RateLimit,
    /// Lines that were not logged.
    pub(super) suppressed: u64,
    /// The last line that was, or would have been, logged.
    pub(super) last: Option<String>,
}

impl Budget {
    pub(super) const fn new(limit: RateLimit) -> Self {
        Self { limit, suppressed: 0, last: None }
    }

    pub(super) fn of_one_run() -> Self {
        Self::new(RateLimit::new(BURST, INTERVAL))
    }
}

/// One stream of a program.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    cut: bool,
}

impl Lines {
    /// Takes in what was read; hands each complete line that the budget allows to `log`.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Instant, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = MAX_LINE - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.cut |= text.len() > room;
            if part.len() > text.len() {
                self.end(now, budget, log);
            }
        }
    }

    /// Hands over the last line, if it had no end.
    pub(super) fn finish(&mut self, now: Instant, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        if !self.line.is_empty() {
            self.end(now, budget, log);
        }
    }

    fn end(&mut self, now: Instant, budget: &mut Budget, log: &mut dyn FnMut(&str)) {
        let allowed = budget.limit.allow(now).is_some();
        budget.suppressed += u64::from(!allowed);
        // During a flood even turning bytes into text is worth saving, so the last line is one of those logged.
        if allowed {
            let mut text = plain::line(&String::from_utf8_lossy(&self.line));
            if self.cut {
                text.push('…');
            }
            log(&text);
            budget.last = Some(text);
        }
        self.line.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<String>, Budget) {
        let mut budget = Budget::of_one_run();
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, Instant::default(), &mut budget, &mut |l| seen.push(l.to_owned()));
        }
        lines.finish(Instant::default(), &mut budget, &mut |l| seen.push(l.to_owned()));
        (seen, budget)
    }

    #[test]
    fn lines_are_put_together_across_reads() {
        assert_eq!(lines(&[b"on", b"e\ntwo\nthr", b"ee"]).0, ["one", "two", "three"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_costs_no_memory() {
        let (seen, _) = lines(&[&[b'x'; 100_000], &[b'y'; 100_000], b"\nnext\n"]);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].chars().count(), MAX_LINE + 1);
        assert!(seen[0].ends_with('…'));
        assert_eq!(seen[1], "next");
    }

    #[test]
    fn a_flood_is_counted_not_logged() {
        let (seen, budget) = lines(&[&b"y\n".repeat(10_000)]);
        assert_eq!(seen.len(), BURST as usize);
        assert_eq!(budget.suppressed, 10_000 - u64::from(BURST));
    }

    #[test]
    fn what_a_line_quotes_cannot_drive_a_terminal() {
        assert_eq!(lines(&[b"\x1b[2Jgone\xff\n"]).0, [" [2Jgone\u{fffd}"]);
    }
}
