//! What an election outside this cluster says of one group: keepalived's states, or the leader key that somebody else
//! writes in etcd. Both are one input, with words of its own each.

use super::plain;
use super::settings::Group;
use super::time::Instant;
use super::vrrp::State;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the source of an external leader says of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderReport {
    /// keepalived's state of the instance that the group follows.
    Keepalived(VrrpReport),
    /// The leader key in etcd.
    Etcd(KeyReport),
}

/// Where an external leader election has this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// This node leads.
    Elected,
    /// Another node leads, or nobody.
    NotElected,
    /// The election cannot have this node lead: it does not run here, or nobody can tell.
    Out,
}

/// What keepalived says of one instance or sync group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VrrpReport {
    /// The state.
    pub state: State,
    /// keepalived has just decided so; else it is what it decided before.
    pub decided: bool,
    /// How we know.
    pub source: VrrpSource,
}

/// How a state of keepalived is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VrrpSource {
    /// `havipctl notify`.
    Notify,
    /// keepalived's FIFO.
    Fifo,
    /// Kept in the state directory, from before we started.
    Kept,
    /// keepalived's process has ended, or does not run.
    Process,
}

impl fmt::Display for VrrpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notify => "notify command",
            Self::Fifo => "FIFO",
            Self::Kept => "from before this start",
            Self::Process => "its process",
        })
    }
}

/// What is known of the leader key of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// What the last linearizable read gave; `None` before the first one.
    pub record: Option<KeyRecord>,
    /// When that read was sent.
    pub read: Option<Instant>,
    /// From then on it counts no more. ⚠ Counted from when the read was sent: what etcd answered may have changed the
    /// moment after it was looked up.
    pub until: Instant,
    /// The record is of a decision that was seen being made; else it is what was decided before.
    pub decided: bool,
    /// The endpoint that answered last.
    pub endpoint: Option<String>,
    /// Why etcd could not be read since, in words.
    pub trouble: Option<String>,
}

/// The leader key as a read found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its value, fit to be shown; `None` where there is no such key, so that nobody leads.
    pub value: Option<String>,
    /// The value is this node's.
    pub ours: bool,
    /// etcd's revision at which this key was created; 0 without a key.
    pub created: u64,
    /// etcd's revision when it was read.
    pub revision: u64,
}

impl LeaderReport {
    /// Where it has this node at `now`; `None` while nothing is known.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Option<Standing> {
        match self {
            Self::Keepalived(report) => Some(match report.state {
                State::Master => Standing::Elected,
                State::Backup => Standing::NotElected,
                State::Fault | State::Stop | State::Deleted => Standing::Out,
            }),
            Self::Etcd(report) if report.until <= now => Some(Standing::Out),
            Self::Etcd(report) => {
                report.record.as_ref().map(|r| if r.ours { Standing::Elected } else { Standing::NotElected })
            }
        }
    }

    /// From when on it counts no more, if it does so by itself.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match self {
            Self::Keepalived(_) => None,
            Self::Etcd(report) => Some(report.until),
        }
    }

    /// Whether both say the same of who leads, whenever they were read.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keepalived(a), Self::Keepalived(b)) => a.state == b.state,
            (Self::Etcd(a), Self::Etcd(b)) => match (&a.record, &b.record) {
                (Some(a), Some(b)) => (&a.value, a.created) == (&b.value, b.created),
                (None, None) => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// It in words at `now`, of the group with these settings: "keepalived is BACKUP for web".
    #[must_use]
    pub fn words(&self, settings: &Group, now: Instant) -> String {
        match self {
            Self::Keepalived(report) => format!("keepalived is {} for {}", report.state, settings.vrrp.shown()),
            Self::Etcd(report) => {
                let key = settings.followed_key().map(LeaderKey::shown).unwrap_or_default();
                report.words(&key, now)
            }
        }
    }

    /// What helps where it is out.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Keepalived(report) => match report.state {
                State::Fault => Some("see what it tracks"),
                State::Stop => Some("start it, or see keepalived.pid-file"),
                State::Deleted => Some("name another in group.vrrp"),
                State::Master | State::Backup => None,
            },
            Self::Etcd(_) => Some("havipctl doctor asks each endpoint of [etcd]"),
        }
    }
}

/// That nothing is known yet of who is elected, in words.
#[must_use]
pub fn nothing_said(settings: &Group) -> String {
    match settings.followed_key() {
        Some(leader) => format!("etcd's {} has not been read yet", leader.shown()),
        None => format!("keepalived has not told its state of {} yet", settings.vrrp.shown()),
    }
}

impl KeyReport {
    fn words(&self, key: &str, now: Instant) -> String {
        if self.until <= now {
            let trouble = self.trouble.as_deref().map_or_else(String::new, |trouble| format!(": {trouble}"));
            return format!("etcd has not confirmed {key} for as long as etcd.lease allows{trouble}");
        }
        match &self.record {
            None => match &self.trouble {
                Some(trouble) => format!("etcd's {key} has not been read yet: {trouble}"),
                None => format!("etcd's {key} has not been read yet"),
            },
            Some(KeyRecord { value: None, .. }) => format!("etcd has no key {key}, so nobody leads"),
            Some(KeyRecord { value: Some(value), ours: true, .. }) => format!("etcd's {key} names {value}, this node"),
            Some(KeyRecord { value: Some(value), ours: false, .. }) => format!("etcd's {key} names {value}"),
        }
    }
}

/// `leader-key` of a group, and the value in it that is this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderKey {
    /// The key.
    pub key: String,
    /// This node's value.
    pub value: String,
}

impl LeaderKey {
    /// The key as people read it.
    #[must_use]
    pub fn shown(&self) -> String {
        plain::line(&self.key)
    }
}
