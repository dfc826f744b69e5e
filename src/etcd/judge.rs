//! What a read of the leader key means for one group: whom it names, until when that counts, and whether it is a decision
//! that was seen being made.

use super::client::Reading;
use havipd_core::model::leader::{KeyRecord, KeyReport, LeaderKey};
use havipd_core::model::plain;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// As much of a foreign value is shown, in characters.
const SHOWN: usize = 100;

/// What one group knows of its leader key.
#[derive(Debug)]
pub struct Judge {
    leader: LeaderKey,
    lease: Duration,
    /// The last read that was answered.
    last: Option<Reading>,
    /// Until when silence is forgiven before the first answer.
    begun_until: Instant,
    trouble: Option<String>,
}

impl Judge {
    /// For a group that begins at `now` to follow a key, of which a read counts for `lease`.
    #[must_use]
    pub fn new(leader: LeaderKey, lease: Duration, now: Instant) -> Self {
        Self { leader, lease, last: None, begun_until: now + lease, trouble: None }
    }

    /// Takes an answer.
    ///
    /// ⚠ A decision is a key that was created anew, or that has another value than before. The first read after a start
    /// shows what was decided before: this daemon, or its last run, may have acted on it already. A value that is only
    /// written again, as a leader does to keep its key, decides nothing.
    pub fn answered(&mut self, reading: Reading) -> KeyReport {
        let decided = self.last.as_ref().is_some_and(|last| !last.is_same_decision(&reading));
        self.trouble = None;
        self.last = Some(reading);
        self.report(decided)
    }

    /// Takes a failure to read, in words. It prolongs nothing.
    pub fn failed(&mut self, trouble: String) -> KeyReport {
        self.trouble = Some(trouble);
        self.report(false)
    }

    fn report(&self, decided: bool) -> KeyReport {
        let last = self.last.as_ref();
        KeyReport {
            record: last.map(|reading| self.record(reading)),
            read: last.map(|reading| reading.sent),
            until: last.map_or(self.begun_until, |reading| reading.sent + self.lease),
            decided,
            endpoint: last.map(|reading| reading.endpoint.clone()),
            trouble: self.trouble.clone(),
        }
    }

    fn record(&self, reading: &Reading) -> KeyRecord {
        let found = reading.range.of(&self.leader.key);
        KeyRecord {
            value: found.map(|found| shown(&found.value)),
            ours: found.is_some_and(|found| found.value == self.leader.value.as_bytes()),
            created: found.map_or(0, |found| found.created),
            revision: reading.range.revision,
        }
    }
}

/// A value that somebody else wrote, fit to be shown.
fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let line = plain::line(&text.chars().take(SHOWN).collect::<String>());
    if line.is_empty() { "nobody, with an empty value".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::message::{Found, Range};

    const LEASE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn judge() -> Judge {
        Judge::new(LeaderKey { key: "/k".to_owned(), value: "pg-1".to_owned() }, LEASE, at(100))
    }

    fn read(sent: u64, value: Option<&str>, created: u64) -> Reading {
        let found = value.map(|value| Found { value: value.as_bytes().to_vec(), created, ..Found::default() });
        let found = found.map(|found| ("/k".to_owned(), found)).into_iter().collect();
        let range = Range { cluster: 1, revision: created + 5, found };
        Reading { range, sent: at(sent), endpoint: "http://e".to_owned() }
    }

    #[test]
    fn it_counts_from_when_the_read_was_sent() {
        let mut judge = judge();
        assert_eq!(judge.failed("refused".to_owned()).until, at(110), "before the first one: from the start");
        let report = judge.answered(read(103, Some("pg-1"), 4));
        assert_eq!((report.until, report.read, report.trouble), (at(113), Some(at(103)), None));
        let report = judge.failed("refused".to_owned());
        assert_eq!((report.until, report.trouble.as_deref()), (at(113), Some("refused")), "which prolongs nothing");
    }

    #[test]
    fn only_the_whole_value_names_this_node() {
        for (value, ours) in
            [("pg-1", true), ("pg-10", false), ("pg-1\n", false), (" pg-1", false), ("PG-1", false), ("", false)]
        {
            let record = judge().answered(read(1, Some(value), 4)).record.expect("it was read");
            assert_eq!(record.ours, ours, "{value:?}");
        }
        let record = judge().answered(read(1, None, 0)).record.expect("it was read");
        assert_eq!((record.ours, record.value), (false, None));
    }

    /// ⚠ Red where a value that is written again, or the first read of all, is taken for a decision.
    #[test]
    fn what_a_decision_is() {
        let mut judge = judge();
        assert!(!judge.answered(read(1, Some("pg-1"), 4)).decided, "it was decided before");
        assert!(!judge.answered(read(2, Some("pg-1"), 4)).decided, "nothing changed");
        assert!(judge.answered(read(3, Some("pg-1"), 9)).decided, "deleted and created");
        assert!(judge.answered(read(4, Some("pg-2"), 9)).decided, "overwritten");
        judge.failed("refused".to_owned());
        assert!(!judge.answered(read(5, Some("pg-2"), 9)).decided, "an outage decides nothing");
        judge.failed("refused".to_owned());
        assert!(judge.answered(read(6, Some("pg-1"), 9)).decided, "what changed in an outage is news");
        assert!(judge.answered(read(7, None, 0)).decided);
        assert!(judge.answered(read(8, Some("pg-1"), 12)).decided);
    }

    #[test]
    fn a_foreign_value_is_shown_and_no_more() {
        let long = "x".repeat(5_000) + "\u{202e}";
        let value = |text: &str| judge().answered(read(1, Some(text), 4)).record.and_then(|r| r.value).expect("there");
        assert_eq!(value(&long).len(), SHOWN);
        assert_eq!(value("a\u{1b}[31m\u{202e}"), "a [31m\u{fffd}");
        assert_eq!(value(""), "nobody, with an empty value");
    }
}
