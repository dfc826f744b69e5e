//! The file that most of the voters last ran with, as a voter keeps it.

use super::digest::Digest;
use super::settings::{Config, Group as Settings};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// No interval is shorter, and no dead time or `keep-for` longer.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(600);

/// What the voters agreed on last, as far as this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Adopted {
    /// Of the file.
    #[serde(with = "hex::serde")]
    pub(crate) digest: [u8; 16],
    /// Names of the voters.
    pub(crate) voters: Vec<String>,
    /// How long its leases are; `None` in a record of an earlier release: as ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pace: Option<Pace>,
}

/// How often a file has its nodes speak, and for how long its voters grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pace {
    /// `heartbeat.interval`.
    pub(crate) interval: Duration,
    /// The usual lease: the dead time.
    pub(crate) lease: Duration,
    /// `group.keep-for`.
    pub(crate) keep_for: Duration,
}

impl Pace {
    pub(crate) fn of(config: &Config, group: &Settings) -> Self {
        let heartbeat = &config.heartbeat;
        Self { interval: heartbeat.interval, lease: heartbeat.dead_time(), keep_for: group.keep_for }
    }

    /// The longest lease that a voter gives.
    pub(crate) fn longest(&self) -> Duration {
        self.lease.max(self.keep_for)
    }

    /// Whether a configuration could say so; a state file may say anything.
    fn is_possible(&self) -> bool {
        self.interval >= SHORTEST && self.interval <= self.lease && self.longest() <= LONGEST
    }
}

impl Adopted {
    /// Whether it is the file with this digest.
    pub(crate) fn is(&self, digest: Digest) -> bool {
        self.digest == digest.0
    }

    /// The longest lease that any of the voters may have given by this file or by `ours`.
    pub(crate) fn longest(&self, ours: Pace) -> Duration {
        self.pace().unwrap_or(ours).longest().max(ours.longest())
    }

    pub(crate) fn pace(&self) -> Option<Pace> {
        self.pace.filter(Pace::is_possible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_file_could_say_is_not_gone_by() {
        let s = Duration::from_secs;
        let ours = Pace { interval: s(1), lease: s(5), keep_for: s(15) };
        let nonsense = [
            Pace { interval: Duration::ZERO, ..ours },
            Pace { lease: s(601), ..ours },
            Pace { keep_for: Duration::MAX, ..ours },
        ];
        for pace in nonsense {
            let adopted = Adopted { pace: Some(pace), ..Adopted::default() };
            assert_eq!((adopted.pace(), adopted.longest(ours)), (None, s(15)), "{pace:?}");
        }
        let longer = Adopted { pace: Some(Pace { keep_for: s(120), ..ours }), ..Adopted::default() };
        assert_eq!(longer.longest(ours), s(120));
    }
}
