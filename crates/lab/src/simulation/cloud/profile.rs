//! What Baidu leaves undocumented, as settings that can be played either way.
//!
//! Nothing readable says whether attaching moves traffic, what the `master` flag follows, whether
//! attaching twice or detaching the master is refused, when a result becomes visible, or how
//! throttling answers. A [`Profile`] is one complete set of answers; the presets together give
//! every answer at least once.

use super::request::ErrorReply;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Who is master after an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAttach {
    /// The first one bound stays master.
    FirstStays,
    /// The one attached last becomes master.
    LastTakesOver,
    /// Attaching decides nothing among several.
    Nothing,
}

/// What a gratuitous ARP of a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Announcements {
    /// Nothing.
    Ignored,
    /// A bound target that announces becomes master.
    AmongBound,
    /// As `AmongBound`; besides, one that is not bound gets the packets, though the control plane
    /// goes on naming the old master.
    Anyone,
}

/// What attaching a target that is already bound does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reattach {
    /// Success, without effect.
    NoOp,
    /// As a first attach: it may become master by it.
    Again,
    /// Refused.
    Refused,
}

/// Who becomes master when the master was detached and several remain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Succession {
    /// The first one of the remaining.
    FirstRemaining,
    /// Nobody, until something else decides.
    Nobody,
}

/// How `master` shows in `bindedInstances`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MasterFlag {
    /// `true` or `false` everywhere.
    Everywhere,
    /// `true` on the master, absent from the others.
    OnlyMaster,
    /// `true` on the master, `null` on the others.
    NullElsewhere,
    /// `null` everywhere.
    Null,
    /// Absent everywhere.
    Absent,
}

/// How an empty `bindedInstances` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyList {
    /// The member is missing.
    Absent,
    /// `[]`.
    Empty,
    /// `null`.
    Null,
}

/// How a call over the rate limit is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Throttling {
    /// 429 with `Retry-After: 1`.
    TooManyRequestsRetryAfter,
    /// 429 alone.
    TooManyRequests,
    /// 400 with `RateLimit` in code and message.
    BadRequestRateLimit,
    /// 403 with `RateLimit` in the message only.
    ForbiddenRateLimit,
}

impl Throttling {
    /// The answer itself.
    #[must_use]
    pub fn reply(self) -> ErrorReply {
        let (status, code, retry_after) = match self {
            Self::TooManyRequestsRetryAfter => (429, "RequestLimitExceeded", Some(Duration::from_secs(1))),
            Self::TooManyRequests => (429, "RequestLimitExceeded", None),
            Self::BadRequestRateLimit => (400, "RateLimit", None),
            Self::ForbiddenRateLimit => (403, "Forbidden", None),
        };
        let message = match self {
            Self::BadRequestRateLimit | Self::ForbiddenRateLimit => "user RateLimit reached, try again later",
            _ => "too many requests",
        };
        ErrorReply { retry_after, ..ErrorReply::new(status, code, message) }
    }
}

/// How a write is refused while another task runs on its HAVIP: by the codes of clouds of the same kind, or by words alone,
/// one after the other.
#[must_use]
pub(super) fn busy_reply(count: u64) -> ErrorReply {
    let (status, code, message) = match count % 5 {
        0 => (409, "TaskConflict", "another task runs on the havip"),
        1 => (400, "IncorrectHaVipStatus", "the status of the havip does not allow this"),
        2 => (409, "OperationConflict", "the operation conflicts with another one"),
        3 => (400, "LastTokenProcessing", "the last request with this token is being processed"),
        _ => (400, "BadRequest", "the havip is busy, please try again later"),
    };
    ErrorReply::new(status, code, message)
}

/// One complete set of answers to what is undocumented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// Its name; for a preset the one that [`FromStr`] takes.
    pub name: String,
    /// Who is master after an attach to a HAVIP that has one.
    pub on_attach: OnAttach,
    /// Whether one that is bound alone is master without announcing itself.
    pub lone_is_master: bool,
    /// What gratuitous ARP does.
    pub announcements: Announcements,
    /// Attaching what is bound.
    pub reattach: Reattach,
    /// Whether detaching the master is refused.
    pub detach_master_refused: bool,
    /// Whether detaching what is not bound is refused, and not a success without effect.
    pub detach_unbound_refused: bool,
    /// Who follows a detached master, if several remain.
    pub succession: Succession,
    /// Whether a HAVIP may have bound instances and interfaces at once.
    pub mixing: bool,
    /// Whether a target must be in the HAVIP's subnet; the VPC is always compared.
    pub same_subnet: bool,
    /// How `master` shows.
    pub master_flag: MasterFlag,
    /// How nobody bound shows.
    pub empty_list: EmptyList,
    /// How throttling shows.
    pub throttling: Throttling,
    /// Status of `NoSuchObject`: 404 or 400.
    pub missing_status: u16,
    /// Whether client tokens mean anything.
    pub tokens_honoured: bool,
    /// How old a read is.
    #[serde(rename = "read-delay-ms", with = "super::millis")]
    pub read_delay: Duration,
    /// How much later packets follow.
    #[serde(rename = "data-delay-ms", with = "super::millis")]
    pub data_delay: Duration,
    /// How long a write occupies its HAVIP: until then other writes to it are refused.
    #[serde(rename = "busy-ms", with = "super::millis", default)]
    pub busy: Duration,
}

/// No preset has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no profile {}; there are {}", havipd_core::model::plain::quote(.0), Profile::names().join(", "))]
pub struct UnknownProfile(pub String);

impl Profile {
    /// Every preset.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::attach_moves(),
            Self::first_stays(),
            Self::garp_moves(),
            Self::garp_required(),
            Self::garp_steals(),
            Self::strict_errors(),
            Self::eventual(),
            Self::no_flags(),
            Self::busy(),
            Self::unwinnable(),
        ]
    }

    /// Names of the presets, in the order of [`Profile::all`].
    #[must_use]
    pub fn names() -> Vec<String> {
        Self::all().into_iter().map(|p| p.name).collect()
    }

    /// Whether a daemon can move the address at all: false for `unwinnable` and what equals it.
    #[must_use]
    pub fn winnable(&self) -> bool {
        self.on_attach == OnAttach::LastTakesOver
            || self.announcements != Announcements::Ignored
            || !self.detach_master_refused
    }

    /// The last one attached becomes master; announcements mean nothing.
    #[must_use]
    pub fn attach_moves() -> Self {
        Self {
            name: "attach-moves".to_owned(),
            on_attach: OnAttach::LastTakesOver,
            lone_is_master: true,
            announcements: Announcements::Ignored,
            reattach: Reattach::Again,
            detach_master_refused: false,
            detach_unbound_refused: false,
            succession: Succession::FirstRemaining,
            mixing: false,
            same_subnet: false,
            master_flag: MasterFlag::Everywhere,
            empty_list: EmptyList::Absent,
            throttling: Throttling::TooManyRequestsRetryAfter,
            missing_status: 404,
            tokens_honoured: true,
            read_delay: Duration::ZERO,
            data_delay: Duration::ZERO,
            busy: Duration::ZERO,
        }
    }

    /// The first one bound keeps it; detaching it moves on.
    #[must_use]
    pub fn first_stays() -> Self {
        Self {
            name: "first-stays".to_owned(),
            on_attach: OnAttach::FirstStays,
            reattach: Reattach::NoOp,
            master_flag: MasterFlag::OnlyMaster,
            empty_list: EmptyList::Empty,
            throttling: Throttling::TooManyRequests,
            ..Self::attach_moves()
        }
    }

    /// ARP decides among the bound; one that is bound alone needs none.
    #[must_use]
    pub fn garp_moves() -> Self {
        Self {
            name: "garp-moves".to_owned(),
            on_attach: OnAttach::FirstStays,
            announcements: Announcements::AmongBound,
            reattach: Reattach::NoOp,
            succession: Succession::Nobody,
            throttling: Throttling::BadRequestRateLimit,
            missing_status: 400,
            ..Self::attach_moves()
        }
    }

    /// Nobody is master without having announced itself.
    #[must_use]
    pub fn garp_required() -> Self {
        Self {
            name: "garp-required".to_owned(),
            on_attach: OnAttach::Nothing,
            lone_is_master: false,
            announcements: Announcements::AmongBound,
            reattach: Reattach::NoOp,
            succession: Succession::Nobody,
            master_flag: MasterFlag::NullElsewhere,
            empty_list: EmptyList::Null,
            throttling: Throttling::ForbiddenRateLimit,
            ..Self::attach_moves()
        }
    }

    /// ARP decides, even that of a host that is not bound.
    #[must_use]
    pub fn garp_steals() -> Self {
        Self {
            name: "garp-steals".to_owned(),
            announcements: Announcements::Anyone,
            mixing: true,
            tokens_honoured: false,
            ..Self::garp_moves()
        }
    }

    /// Attaching twice, and detaching the master or a stranger, are refused; ARP moves.
    #[must_use]
    pub fn strict_errors() -> Self {
        Self {
            name: "strict-errors".to_owned(),
            on_attach: OnAttach::FirstStays,
            announcements: Announcements::AmongBound,
            reattach: Reattach::Refused,
            detach_master_refused: true,
            detach_unbound_refused: true,
            same_subnet: true,
            missing_status: 400,
            ..Self::attach_moves()
        }
    }

    /// Attach and ARP both move, but reads lag 1.5 s behind and packets 0.5 s.
    #[must_use]
    pub fn eventual() -> Self {
        Self {
            name: "eventual".to_owned(),
            announcements: Announcements::AmongBound,
            reattach: Reattach::NoOp,
            read_delay: Duration::from_millis(1500),
            data_delay: Duration::from_millis(500),
            ..Self::attach_moves()
        }
    }

    /// Attaching moves the traffic, and nothing says who has it.
    #[must_use]
    pub fn no_flags() -> Self {
        Self {
            name: "no-flags".to_owned(),
            reattach: Reattach::NoOp,
            master_flag: MasterFlag::Absent,
            ..Self::attach_moves()
        }
    }

    /// As `first-stays`, and each write is a task of 0.7 s, during which other writes to the HAVIP are refused.
    #[must_use]
    pub fn busy() -> Self {
        Self { name: "busy".to_owned(), busy: Duration::from_millis(700), ..Self::first_stays() }
    }

    /// The first one bound stays master and cannot be detached: nothing that a daemon does helps.
    #[must_use]
    pub fn unwinnable() -> Self {
        Self {
            name: "unwinnable".to_owned(),
            on_attach: OnAttach::FirstStays,
            reattach: Reattach::NoOp,
            detach_master_refused: true,
            ..Self::attach_moves()
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::attach_moves()
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;
    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::all().into_iter().find(|p| p.name == name).ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_serde_lead_back_to_the_preset() {
        for profile in Profile::all() {
            assert_eq!(profile.to_string().parse(), Ok(profile.clone()));
            let json = serde_json::to_string(&profile).expect("serialises");
            assert_eq!(serde_json::from_str::<Profile>(&json).expect("parses"), profile);
        }
        let unknown = "atach-moves".parse::<Profile>().expect_err("no such preset").to_string();
        assert!(unknown.contains("unwinnable"), "{unknown}");
    }

    #[test]
    fn exactly_one_preset_cannot_be_won() {
        let lost: Vec<String> = Profile::all().into_iter().filter(|p| !p.winnable()).map(|p| p.name).collect();
        assert_eq!(lost, ["unwinnable"]);
    }
}
