//! What operators ask for, in the core's terms: names become numbers here.

use crate::control::protocol::{Code, Request, Response};
use crate::plain::quote;
use havipd_core::model::event::{Command, Reply};
use havipd_core::model::ids::GroupIndex;
use havipd_core::model::maintenance::LONGEST;
use havipd_core::model::plural::there_are;
use havipd_core::model::settings::Config;
use std::time::Duration;

/// Longest maintenance that ends by itself, in seconds.
const MAINTENANCE_MAX: u64 = LONGEST.as_secs();

/// The command that `request` stands for, or what is wrong with it.
pub(super) fn command(config: &Config, request: &Request) -> Result<Command, Response> {
    Ok(match request {
        Request::Switchover { group, to, dry_run } => {
            let to = to.as_deref().map(|name| config.node_named(name).ok_or_else(|| unknown_node(config, name)));
            let (group, to) = (named(config, group)?, to.transpose()?);
            if *dry_run { Command::RehearseSwitchover { group, to } } else { Command::Switchover { group, to } }
        }
        Request::Trace { group } => Command::Trace { group: named(config, group)? },
        Request::Drain { group, .. } => Command::Drain { group: maybe(config, group.as_deref())?, on: true },
        Request::Undrain { group, .. } => Command::Drain { group: maybe(config, group.as_deref())?, on: false },
        Request::Maintenance { on: false, for_seconds: Some(_), .. } => {
            return Err(Response::new(Code::Usage, "only maintenance that is switched on ends by itself"));
        }
        Request::Maintenance { for_seconds: Some(seconds), .. } if !(1..=MAINTENANCE_MAX).contains(seconds) => {
            return Err(Response::new(Code::Usage, format!("maintenance lasts 1 s to 30 days, not {seconds} s")));
        }
        Request::Maintenance { group, on, for_seconds } => Command::Maintenance {
            group: maybe(config, group.as_deref())?,
            on: *on,
            lasts: for_seconds.map(Duration::from_secs),
        },
        Request::ResetNumbers { group } => Command::ResetNumbers { group: maybe(config, group.as_deref())? },
        Request::Status
        | Request::Watch
        | Request::Why { .. }
        | Request::History { .. }
        | Request::StatusOf { .. }
        | Request::Introduce { .. }
        | Request::Doctor
        | Request::Reload
        | Request::Notify { .. }
        | Request::LogLevel { .. } => {
            return Err(Response::new(Code::Usage, "not a command for the election"));
        }
    })
}

/// The core's answer, for `havipctl`.
pub(super) fn response(reply: Reply) -> Response {
    match reply {
        Reply::Done(text) => Response::done(text),
        Reply::Refused(text) | Reply::Elsewhere { text, .. } => Response::new(Code::No, text),
    }
}

fn maybe(config: &Config, group: Option<&str>) -> Result<Option<GroupIndex>, Response> {
    group.map(|name| named(config, name)).transpose()
}

fn named(config: &Config, group: &str) -> Result<GroupIndex, Response> {
    config.group_named(group).ok_or_else(|| unknown_group(config, group))
}

/// The refusal of a group that the file does not have.
pub(super) fn unknown_group(config: &Config, group: &str) -> Response {
    unknown("group", group, config.groups.iter().map(|g| g.name.as_str()))
}

/// The refusal of a node that the file does not have.
pub(super) fn unknown_node(config: &Config, node: &str) -> Response {
    unknown("node", node, config.nodes.iter().map(|n| n.name.as_str()))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Response {
    Response::new(Code::Usage, format!("there is no {what} {}; {}", quote(name), there_are(known)))
}
