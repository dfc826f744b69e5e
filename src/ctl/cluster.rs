//! `havipctl status --cluster`: every node as it sees itself, asked by way of the daemon here.

use super::say::{self, Colour, Paint};
use super::status::{Row, age, table};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Code, Request, Response};
use crate::status::Status;
use havipd_core::model::settings::CheckState;
use havipd_core::wire::session::SessionState;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// Groups that one cell names.
const NAMED: usize = 4;

/// What one node says, or why it says nothing.
#[derive(Debug, Serialize)]
struct Told {
    node: String,
    status: Option<Status>,
    error: Option<String>,
}

/// Asks, prints, and says how it ended: no node that does not answer is a no.
pub(super) fn run(socket: &Path, as_json: bool) -> Result<Code, ClientError> {
    let mut client = Client::connect(socket, super::PATIENCE)?;
    let here = client.call(&Request::Status)?;
    if here.code != Code::Done {
        return Ok(say::tell(&here, as_json));
    }
    let here: Status = here.read()?;
    let mut all = Vec::new();
    for peer in &here.core.election.peers {
        let request = Request::StatusOf { node: peer.node.clone(), group: None };
        let answer = client.call(&request)?;
        let (status, error) = match answer.code {
            Code::Done => (Some(answer.read()?), None),
            _ => (None, Some(answer.message)),
        };
        all.push(Told { node: peer.node.clone(), status, error });
    }
    all.insert(0, Told { node: here.core.election.node.clone(), status: Some(here), error: None });
    let silent = all.iter().filter(|told| told.status.is_none()).count();
    let code = if silent == 0 { Code::Done } else { Code::No };
    let answer = all.len() - silent;
    let message = format!("{answer} of {} nodes answer{}", all.len(), if answer == 1 { "s" } else { "" });
    let text = text(&all, Paint::of_stdout());
    let data = serde_json::json!({ "nodes": all });
    Ok(say::show(&Response::new(code, message).with_data(data), as_json, || text))
}

fn text(all: &[Told], paint: Paint) -> String {
    let mut text = String::new();
    let rows: Vec<Row> = all.iter().map(row).collect();
    table(&mut text, &["NODE", "HAVIPD", "UP", "ROLES", "HEARS", "CHECKS"], &rows, paint);
    for told in all {
        if let Some(error) = &told.error {
            let _ = writeln!(text, "  {error}");
        }
    }
    text.trim_end().to_owned()
}

fn row(told: &Told) -> Row {
    let Some(status) = &told.status else {
        let cells = [told.node.as_str(), "-", "-", "-", "-", "-"].map(str::to_owned).to_vec();
        return Row { cells, colour: (0, Some(Colour::Wrong)) };
    };
    let election = &status.core.election;
    let groups = election.groups.iter().filter(|g| g.member);
    let peers = |up: bool| election.peers.iter().filter(move |p| (p.state == SessionState::Up) == up);
    let deaf = named(peers(false).map(|p| format!("{} {}", p.node, p.state.as_str())));
    let hears = named(peers(true).map(|p| p.node.clone()));
    let checks = status.effects.checks.iter().filter(|c| c.here);
    let (mut well, mut ill) = (0, Vec::new());
    for check in checks {
        match check.state {
            CheckState::Up => well += 1,
            CheckState::Down => ill.push(format!("{} fails", check.name)),
            CheckState::Unknown => ill.push(format!("{} undecided", check.name)),
        }
    }
    let checks = match (well, ill.is_empty()) {
        (0, true) => "-".to_owned(),
        (well, true) => format!("{well} pass"),
        (_, false) => named(ill.into_iter()),
    };
    let wrong = !deaf.is_empty();
    let cells = vec![
        election.node.clone(),
        status.version.clone(),
        age(election.uptime_ms),
        named(groups.map(|g| format!("{} {}{}", g.name, g.role, if g.drained { ", drained" } else { "" }))),
        [hears, deaf].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
        checks,
    ];
    Row { cells, colour: (4, wrong.then_some(Colour::Wrong)) }
}

/// The first few, and how many more.
fn named(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    let first = all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;

    #[test]
    fn every_node_has_a_row_and_one_that_is_silent_its_reason() {
        let mut b = fixture::status();
        b.core.election.node = "b".into();
        b.core.election.peers[0].state = SessionState::Down;
        b.core.election.groups[0].drained = true;
        let silent = Told { node: "c".into(), status: None, error: Some("c did not answer".into()) };
        let told = |status: Status| Told { node: status.core.election.node.clone(), status: Some(status), error: None };
        let text = text(&[told(fixture::status()), told(b), silent], Paint::new(false, None));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("NODE") && lines[0].ends_with("CHECKS"), "{text}");
        assert!(lines[1].starts_with("a ") && lines[1].contains("web active"), "{text}");
        assert!(lines[2].contains("web active, drained") && lines[2].contains(" down"), "{text}");
        assert!(lines[3].starts_with("c ") && lines[4] == "  c did not answer", "{text}");
    }

    #[test]
    fn many_groups_take_one_line() {
        assert_eq!(named((0..6).map(|n| n.to_string())), "0, 1, 2, 3 and 2 more");
        assert_eq!(named(std::iter::empty()), "");
    }
}
