//! What a daemon says: lines of its JSON log, and answers on its control socket.

use super::facts::Session;
use super::timeline::Transition;
use havipd::control::protocol::{ProtocolError, Request, Response, line};
use havipd_core::model::role::Role;
use havipd_core::model::time::Instant;
use havipd_core::status::{PeerSnapshot, Snapshot};
use serde::Deserialize;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// One line of the log of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A change of role.
    Changed(Transition),
    /// Anything else, as text.
    Line(String),
}

#[derive(Deserialize)]
struct Entry {
    level: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    message: String,
    /// The fields of a change of role; absent from every other line.
    from: Option<String>,
    to: Option<String>,
    cause: Option<String>,
    epoch: Option<u64>,
    peer: Option<String>,
    timeline: Option<String>,
    at_ms: Option<f64>,
}

/// Reads one line of the log of `node`. What is no JSON (a panic at the very start) is a line too.
#[must_use]
pub fn read(node: &str, text: &str) -> Said {
    let Ok(Entry { level, fields }) = serde_json::from_str::<Entry>(text) else { return Said::Line(text.to_owned()) };
    let message = fields.message.clone();
    transition(node, fields).map_or_else(|| Said::Line(format!("{level:>5} {message}")), Said::Changed)
}

fn transition(node: &str, fields: Fields) -> Option<Transition> {
    let (to, cause, epoch, at) = (fields.to?, fields.cause?, fields.epoch?, instant(fields.at_ms?)?);
    fields.from?;
    // "web is active: ..." says the group and the role once more.
    let detail = fields.message.split_once(": ").map(|(_, detail)| detail.to_owned()).unwrap_or_default();
    let peer = fields.peer.filter(|p| p != "-");
    let steps = steps(&fields.timeline.unwrap_or_default(), at);
    Some(Transition { at, node: node.to_owned(), to, epoch, cause, detail, peer, steps })
}

fn instant(ms: f64) -> Option<Instant> {
    Duration::try_from_secs_f64(ms / 1e3).ok().map(|since_boot| Instant::default() + since_boot)
}

/// Reads `+0.0ms one, +12.3ms two, with a comma`; the last step was at `end`.
fn steps(timeline: &str, end: Instant) -> Vec<(Instant, String)> {
    let mut steps: Vec<(Duration, String)> = Vec::new();
    for part in timeline.split(", ") {
        let dated = part.strip_prefix('+').and_then(|p| p.split_once("ms "));
        let dated = dated.and_then(|(ms, what)| Some((ms.parse::<f64>().ok()?, what)));
        let offset = dated.and_then(|(ms, what)| Some((Duration::try_from_secs_f64(ms / 1e3).ok()?, what)));
        match (offset, steps.last_mut()) {
            (Some((offset, what)), _) => steps.push((offset, what.to_owned())),
            // A comma within the last step.
            (None, Some((_, what))) => {
                what.push_str(", ");
                what.push_str(part);
            }
            (None, None) => {}
        }
    }
    let last = steps.last().map_or(Duration::ZERO, |(offset, _)| *offset);
    steps.into_iter().map(|(offset, what)| (end.before(last.saturating_sub(offset)), what)).collect()
}

/// What the sandbox wants to know of a daemon's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its role.
    pub role: Role,
    /// The term that it knows of.
    pub epoch: u64,
    /// Why it has its role, or what it waits for.
    pub why: String,
    /// `drain` is on.
    pub drained: bool,
    /// Its sessions with nodes of `names`.
    pub sessions: Vec<Session>,
}

impl Status {
    /// Takes it from an answer to [`Request::Status`]; `names` are the nodes.
    ///
    /// # Errors
    /// It is not the status of a daemon with one group.
    pub fn read(answer: &Response, names: &[String]) -> Result<Self, AskError> {
        let status: havipd::status::Status = answer.read()?;
        let Snapshot { groups, peers, .. } = status.core.election;
        let group = groups.into_iter().next().ok_or(AskError::NoGroup)?;
        let session =
            |p: PeerSnapshot| Some(Session { peer: names.iter().position(|n| *n == p.node)?, state: p.state });
        let why = match (group.detail.is_empty(), group.waiting.is_empty()) {
            (_, false) if group.role == Role::Backup => group.waiting,
            (true, _) => group.cause.to_string(),
            (false, _) => format!("{}: {}", group.cause, group.detail),
        };
        Ok(Self {
            role: group.role,
            epoch: group.epoch,
            why,
            drained: group.drained,
            sessions: peers.into_iter().filter_map(session).collect(),
        })
    }
}

/// Why a daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The socket.
    #[error("cannot talk to the daemon: {0}")]
    Io(#[from] io::Error),
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The request could not be written as JSON.
    #[error("cannot serialise the request: {0}")]
    Serialise(serde_json::Error),
    /// A daemon without groups.
    #[error("the daemon has no group")]
    NoGroup,
    /// It takes too long.
    #[error("the daemon does not answer")]
    TimedOut,
}

/// Asks a daemon, which has `patience` to answer.
///
/// # Errors
/// There is no answer; one that says no is not an error.
pub async fn ask(socket: &Path, request: &Request, patience: Duration) -> Result<Response, AskError> {
    let line = line(request).map_err(AskError::Serialise)?;
    let talk = async {
        let mut stream = BufReader::new(UnixStream::connect(socket).await?);
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.read_until(b'\n', &mut answer).await?;
        Ok(Response::parse(&answer)?)
    };
    tokio::time::timeout(patience, talk).await.map_err(|_| AskError::TimedOut)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::wire::session::SessionState;
    use serde_json::json;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_change_of_role_is_read() {
        let text = json!({
            "timestamp": "2026-11-22T22:00:00Z", "level": "INFO", "target": "havipd::runtime::record",
            "fields": {
                "message": "web is active: read back, holder i-b", "group": "web", "from": "claiming",
                "to": "active", "cause": "confirmed", "epoch": 2, "peer": "-", "at_ms": 5012.5,
                "timeline": "+0.0ms claiming (peer-dead), +2.5ms write failed: 500, twice, +12.5ms active (confirmed)",
            },
        });
        let Said::Changed(change) = read("b", &text.to_string()) else { panic!("not a change") };
        assert_eq!(change.at, at(5012) + Duration::from_micros(500));
        assert_eq!((change.to.as_str(), change.epoch, change.cause.as_str()), ("active", 2, "confirmed"));
        assert_eq!((change.detail.as_str(), change.peer), ("read back, holder i-b", None));
        let steps: Vec<(Instant, &str)> = change.steps.iter().map(|(at, what)| (*at, what.as_str())).collect();
        let failed = at(5002) + Duration::from_micros(500);
        let end = at(5012) + Duration::from_micros(500);
        assert_eq!(
            steps,
            [(at(5000), "claiming (peer-dead)"), (failed, "write failed: 500, twice"), (end, "active (confirmed)")]
        );
    }

    #[test]
    fn other_lines_stay_lines() {
        let text = r#"{"level":"WARN","fields":{"message":"slow","epoch":3}}"#;
        assert_eq!(read("b", text), Said::Line(" WARN slow".to_owned()));
        assert_eq!(read("b", "thread panicked"), Said::Line("thread panicked".to_owned()));
    }

    #[test]
    fn a_status_is_read() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let recorded = include_bytes!("../../../../tests/data/control/v1/status.json");
        let mut answer = Response::parse(recorded).unwrap();
        let status = Status::read(&answer, &names).unwrap();
        assert_eq!((status.role, status.epoch, status.drained), (Role::Active, 2, false));
        assert_eq!(status.why, "confirmed: the cloud was read back to name this node");
        let sessions: Vec<(usize, SessionState)> = status.sessions.iter().map(|s| (s.peer, s.state)).collect();
        assert_eq!(sessions, [(0, SessionState::Down), (2, SessionState::Up)]);
        let mut another: havipd::status::Status = answer.read().unwrap();
        let group = &mut another.core.election.groups[0];
        (group.role, group.waiting) = (Role::Backup, "a is active".to_owned());
        answer.data = json!(another);
        assert_eq!(Status::read(&answer, &names).unwrap().why, "a is active");
        another.core.election.groups.clear();
        answer.data = json!(another);
        assert!(matches!(Status::read(&answer, &names), Err(AskError::NoGroup)));
    }
}
