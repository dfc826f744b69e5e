//! `--wait`: asks again and again until a planned move is over.

use crate::clock;
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Code, Request, Response};
use crate::status::Status;
use havipd_core::model::role::Role;
use havipd_core::status::GroupSnapshot;
use std::time::Duration;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a group may neither move nor be active again. A handover has its own limit in the daemon.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a move is.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// The handover, or a gate before it, runs; the daemon ends each by its own time limit.
    Moving,
    /// Nothing is decided.
    Undecided(String),
    /// The named node serves.
    Moved(String),
    /// It is active on this node.
    Here,
}

/// What was asked for.
#[derive(Debug)]
pub(super) enum Order<'a> {
    /// A group that is active here afterwards is one whose handover failed, unless it was to be here.
    Switchover { to: Option<&'a str> },
    /// A group that is active here may yet find a successor.
    Drain,
}

/// Waits until `group`, or every group, is where it was ordered to be. `on` is the node that is to let go of it, if that is not the
/// one that has the socket.
pub(super) fn until_moved(
    client: &mut Client,
    on: Option<&str>,
    group: Option<&str>,
    order: &Order<'_>,
) -> Result<Response, ClientError> {
    let ask = match on {
        Some(node) => Request::StatusOf { node: node.to_owned(), group: group.map(str::to_owned) },
        None => Request::Status,
    };
    let mut deadline = clock::now() + PATIENCE;
    loop {
        let status = client.call(&ask)?;
        // Another node may be hard to hear just now; the order stands.
        let again = on.is_some() && matches!(status.code, Code::TryAgain | Code::Unreachable);
        if again && clock::left(deadline).is_some() {
            pause();
            continue;
        }
        if status.code != Code::Done {
            return Ok(status);
        }
        let status: Status = status.read()?;
        let election = &status.core.election;
        if let Order::Switchover { to: Some(to) } = order
            && election.node == *to
        {
            return Ok(Response::done(format!("{} is active on {to} already", group.unwrap_or_default())));
        }
        let asked = || election.groups.iter().filter(|g| group.is_none_or(|name| g.name == name));
        let all: Vec<(&str, Progress)> = asked().map(|g| (g.name.as_str(), progress(&election.node, g))).collect();
        if all.iter().any(|(_, p)| *p == Progress::Moving) {
            deadline = clock::now() + PATIENCE;
        }
        let here = on.map_or_else(|| "here".to_owned(), |node| format!("on {node}"));
        if let Some(mut response) =
            verdict(&here, &all, matches!(order, Order::Switchover { .. }), clock::left(deadline).is_none())
        {
            response.message.extend(asked().filter_map(failed_move).map(|line| format!("\n{line}")));
            return Ok(response);
        }
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a fact, with a deadline")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Why the group is still here: what the node did that it was to go to, and where to ask further.
fn failed_move(group: &GroupSnapshot) -> Option<String> {
    let failed = group.failed_move.as_ref().filter(|_| group.role == Role::Active)?;
    let (name, to, reason) = (&group.name, &failed.to, &failed.reason);
    Some(format!("{name}: {to} {reason}; havipctl why {name} --on {to} tells more"))
}

fn progress(here: &str, group: &GroupSnapshot) -> Progress {
    match (group.role, group.confirmed()) {
        // Before a planned move `before-release` runs on a node that is active.
        _ if group.gate.is_some() => Progress::Moving,
        (Role::Releasing | Role::Claiming, _) => Progress::Moving,
        (Role::Active, _) => Progress::Here,
        (Role::Backup | Role::Fault, Some(node)) if node != here => Progress::Moved(node.to_owned()),
        // Somebody claims, which may yet fail.
        (Role::Backup | Role::Fault, None) if group.active.is_some() => Progress::Moving,
        (Role::Backup | Role::Fault, _) => Progress::Undecided(group.waiting.clone()),
    }
}

/// The answer, once there is one.
fn verdict(here_in_words: &str, all: &[(&str, Progress)], at_once: bool, late: bool) -> Option<Response> {
    let told = |pick: &dyn Fn(&Progress) -> Option<String>| {
        let lines = all.iter().filter_map(|(name, p)| pick(p).map(|text| format!("{name} {text}")));
        lines.collect::<Vec<_>>().join("\n")
    };
    let here = told(&|p| (*p == Progress::Here).then(|| format!("is active {here_in_words}")));
    let open = told(&|p| match p {
        Progress::Moving => Some("is being handed over".to_owned()),
        Progress::Undecided(why) => Some(format!("is active nowhere that is heard: {why}")),
        Progress::Moved(_) | Progress::Here => None,
    });
    match () {
        () if here.is_empty() && open.is_empty() => Some(Response::done(told(&|p| match p {
            Progress::Moved(node) => Some(format!("is active on {node}")),
            _ => None,
        }))),
        () if at_once && !here.is_empty() => {
            Some(Response::new(Code::No, format!("{here}: it did not move; havipctl history {} shows how", all[0].0)))
        }
        () if late && !here.is_empty() => Some(Response::new(
            Code::TryAgain,
            format!("{here} still: havipctl status --check says why nobody takes it over"),
        )),
        () if late => Some(Response::new(Code::TryAgain, open)),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;
    use havipd_core::model::action::GateKind;
    use havipd_core::status::{FailedMoveSnapshot, GateSnapshot, MemberSnapshot};

    fn group() -> GroupSnapshot {
        fixture::status().core.election.groups.remove(0)
    }

    fn of(role: Role, active: Option<&str>) -> Progress {
        let active = active.map(str::to_owned);
        progress("a", &GroupSnapshot { role, active, waiting: "for b".into(), ..group() })
    }

    #[test]
    fn a_move_is_over_when_another_node_is_active() {
        assert_eq!(of(Role::Releasing, Some("b")), Progress::Moving);
        assert_eq!(of(Role::Backup, Some("b")), Progress::Moved("b".into()));
        assert_eq!(of(Role::Active, Some("a")), Progress::Here);
        assert_eq!(of(Role::Fault, None), Progress::Undecided("for b".into()));
        let gate = Some(GateSnapshot { kind: GateKind::BeforeRelease, for_ms: 10, left_ms: 90_000 });
        let releases = GroupSnapshot { role: Role::Active, active: Some("a".into()), gate, ..group() };
        assert_eq!(progress("a", &releases), Progress::Moving);
    }

    #[test]
    fn a_move_is_not_over_while_the_other_node_only_claims() {
        let member = |role| MemberSnapshot {
            node: "b".to_owned(),
            witness: false,
            role: Some(role),
            priority: 100,
            unfit: None,
            checks: Vec::new(),
            more_checks: 0,
        };
        let with = |role| GroupSnapshot {
            role: Role::Backup,
            active: Some("b".to_owned()),
            members: vec![member(role)],
            ..group()
        };
        assert_eq!(progress("a", &with(Role::Claiming)), Progress::Moving);
        assert_eq!(progress("a", &with(Role::Active)), Progress::Moved("b".to_owned()));
    }

    #[test]
    fn a_failed_move_names_the_node_and_its_reason() {
        let reason = "declined: it has just failed to claim it".to_owned();
        let failed =
            GroupSnapshot { failed_move: Some(FailedMoveSnapshot { to: "b".into(), reason, ago_ms: 3 }), ..group() };
        let line = "web: b declined: it has just failed to claim it; havipctl why web --on b tells more";
        assert_eq!(failed_move(&failed).as_deref(), Some(line));
        assert_eq!(failed_move(&GroupSnapshot { role: Role::Backup, ..failed }), None, "it is not here any more");
        assert_eq!(failed_move(&group()), None);
    }

    #[test]
    fn the_verdict_waits_for_every_group_and_no_longer_than_it_must() {
        let (moved, here) = (("web", Progress::Moved("b".into())), ("db", Progress::Here));
        let done = verdict("here", &[moved], true, false).expect("decided");
        assert_eq!((done.code, done.message.as_str()), (Code::Done, "web is active on b"));
        assert_eq!(verdict("here", &[("web", Progress::Moving)], true, false), None);
        assert_eq!(verdict("here", &[here], false, false), None, "a successor may come");
        assert_eq!(verdict("here", &[("db", Progress::Here)], true, false).map(|r| r.code), Some(Code::No));
        assert_eq!(verdict("here", &[("db", Progress::Here)], false, true).map(|r| r.code), Some(Code::TryAgain));
        let open = verdict("here", &[("db", Progress::Undecided("x".into()))], true, true).expect("decided");
        assert_eq!(open.code, Code::TryAgain);
    }
}
