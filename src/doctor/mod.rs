//! `havipctl doctor`: everything that could go wrong, looked at before it does, with the remedy.
//!
//! Two steps that never mix: [`gather`] asks the host, the cloud and the running daemon, all of it
//! reads; the judges ([`mod@file`], [`cluster`], [`cloud`], [`havips`], [`host`]) are pure functions from
//! those [`facts`] to [`Finding`]s. The daemon gathers for itself, with its own credentials, its own
//! client and the shared allowance of calls; where none runs, or for a file that none runs with,
//! `havipctl` gathers, and asks the peers' daemons over UDP ([`ask`]) in place of the sessions.

pub mod ask;
pub mod cloud;
pub mod cluster;
pub mod etcd;
pub mod facts;
pub mod file;
mod gateway;
pub mod gather;
pub mod havips;
pub mod host;

use crate::plain::in_words;
use facts::Facts;
use serde::{Deserialize, Serialize};

/// How bad a finding is; in the order in which findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It does not work, or will not when it must.
    Failed,
    /// It works, and somebody should read this; also what could not be looked at.
    Warning,
    /// As it should be.
    Ok,
}

impl Level {
    /// The word that is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Warning => "warning",
            Self::Ok => "ok",
        }
    }
}

/// One line of the doctor's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at: a word of a fixed list, then which one of several (`peer.b`, `havip.havip-x.bound`).
    pub id: String,
    /// How it is.
    pub level: Level,
    /// In words, with the values that decided.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(id.into(), Level::Ok, text.into(), String::new())
    }

    /// Somebody should read this.
    #[must_use]
    pub fn warning(id: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(id.into(), Level::Warning, text.into(), remedy.into())
    }

    /// It does not work.
    #[must_use]
    pub fn failed(id: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(id.into(), Level::Failed, text.into(), remedy.into())
    }

    fn new(id: String, level: Level, text: String, remedy: String) -> Self {
        Self { id, level, text: in_words(&text).into_owned(), remedy }
    }
}

/// Every finding, what is wrong first; of equal level in the order in which things depend on each other.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = file::judge(facts);
    findings.extend(cluster::judge(facts));
    findings.extend(cloud::judge(facts));
    findings.extend(etcd::judge(facts));
    findings.extend(havips::judge(facts));
    findings.extend(host::judge(facts));
    findings.sort_by_key(|f| f.level);
    findings
}

/// The worst level of all; nothing found is as it should be.
#[must_use]
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|f| f.level).min().unwrap_or(Level::Ok)
}

#[cfg(test)]
pub(crate) mod fixture;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_node_has_nothing_but_good_news() {
        let findings = examine(&fixture::healthy());
        let bad: Vec<&Finding> = findings.iter().filter(|f| f.level != Level::Ok).collect();
        assert!(bad.is_empty(), "{bad:#?}");
        assert!(findings.len() > 15, "{findings:#?}");
        assert_eq!(worst(&findings), Level::Ok);
    }

    #[test]
    fn what_is_wrong_comes_first_and_names_its_remedy() {
        let mut facts = fixture::healthy();
        facts.host.free_bytes = Some(1 << 20);
        facts.file.differs = vec!["heartbeat.interval changes from 500ms to 1s".to_owned()];
        facts.cloud.as_mut().expect("a member").instance = Ok("i-other".to_owned());
        let findings = examine(&facts);
        assert_eq!(findings[0].level, Level::Failed);
        assert!(findings.is_sorted_by_key(|f| f.level));
        for finding in findings.iter().filter(|f| f.level != Level::Ok) {
            assert!(!finding.remedy.is_empty(), "{finding:?}");
        }
        assert_eq!(worst(&findings), Level::Failed);
    }
}
