//! What goes over the control socket: requests and replies, each one line of JSON.

use crate::plain;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest request, with its line break.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Number of what is spoken here. It rises when a reply can no longer be read as before; commands,
/// members of a command and members of `data` that are new do not raise it: each is refused, or
/// overlooked, by its name. Neither does a new value where the type is
/// [`Reported`](havipd_core::status::Reported); one of any other list does, such as another role.
pub const PROTOCOL: u32 = 1;

/// What an operator asks of the daemon. Names are resolved by the daemon, which knows the
/// configuration that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The snapshot.
    Status,
    /// A stream of snapshots, one a line, until the client closes.
    Watch,
    /// In words: why this node is, or is not, active.
    Why {
        /// The group.
        group: String,
        /// The node that is asked; absent is the one that has the socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Past transitions.
    History {
        /// The group; absent is every group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// The node that is asked; absent is the one that has the socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// The snapshot of another node, whole or of one group.
    StatusOf {
        /// The node.
        node: String,
        /// The group; absent is every group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Who the client is, for the log and the history of what it asks next. Changes nothing, and is not needed.
    Introduce {
        /// It has a terminal.
        terminal: bool,
        /// Who became root to ask.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<String>,
    },
    /// A planned move. The node that has the group makes it, whichever is asked.
    Switchover {
        /// The group.
        group: String,
        /// The node that is to be active; absent is the next in rank.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Only say what would happen.
        #[serde(default, rename = "dry-run")]
        dry_run: bool,
    },
    /// Watch closely where the packets of a group go, for a minute; `status` shows it.
    Trace {
        /// The group.
        group: String,
    },
    /// Hand over and stay ineligible.
    Drain {
        /// The group; absent is every group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// The node that is asked; absent is the one that has the socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// End of `drain`.
    Undrain {
        /// The group; absent is every group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// The node that is asked; absent is the one that has the socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Freeze or unfreeze on every node.
    Maintenance {
        /// The group; absent is every group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// On or off.
        on: bool,
        /// Off again by itself after this many seconds.
        #[serde(default, rename = "for-seconds", skip_serializing_if = "Option::is_none")]
        for_seconds: Option<u64>,
    },
    /// Begin the epochs and maintenance numbers of a group again, if they are too high to be right.
    ResetNumbers {
        /// The group; absent is every group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// Everything that could go wrong, looked at; changes nothing.
    Doctor,
    /// As SIGHUP, but answered when it is done.
    Reload,
    /// A state of keepalived, as its notify command was told.
    Notify {
        /// INSTANCE or GROUP.
        kind: String,
        /// Its name.
        name: String,
        /// keepalived's word.
        state: String,
        /// The VRRP priority.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<String>,
        /// Only the first daemons go by it. For when keepalived said it the kernel is asked, and who asks: never the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stamp: Option<(u64, u32)>,
    },
    /// The log level until the next reload or restart.
    LogLevel {
        /// error, warn, info, debug or trace.
        level: String,
    },
}

impl Request {
    /// Whether it is for root and the daemon's own user only: whatever changes something is, apart from the
    /// states of keepalived, whose user may tell them, too: who that is, the configuration says.
    #[must_use]
    pub const fn needs_root(&self) -> bool {
        match self {
            Self::Status
            | Self::Watch
            | Self::Why { .. }
            | Self::History { .. }
            | Self::StatusOf { .. }
            | Self::Introduce { .. }
            | Self::Doctor
            | Self::Notify { .. } => false,
            Self::Switchover { dry_run, .. } => !*dry_run,
            Self::Trace { .. }
            | Self::Drain { .. }
            | Self::Undrain { .. }
            | Self::Maintenance { .. }
            | Self::ResetNumbers { .. }
            | Self::Reload
            | Self::LogLevel { .. } => true,
        }
    }
}

impl Request {
    /// The node that it names as the one that is asked.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Why { node, .. }
            | Self::History { node, .. }
            | Self::Drain { node, .. }
            | Self::Undrain { node, .. } => node.as_deref(),
            Self::StatusOf { node, .. } => Some(node),
            _ => None,
        }
    }

    /// The group that it names.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Why { group, .. } | Self::Switchover { group, .. } | Self::Trace { group } => Some(group),
            Self::History { group, .. }
            | Self::StatusOf { group, .. }
            | Self::Drain { group, .. }
            | Self::Undrain { group, .. }
            | Self::Maintenance { group, .. }
            | Self::ResetNumbers { group } => group.as_deref(),
            _ => None,
        }
    }

    /// The same, for the node that it names to read as its own.
    #[must_use]
    pub fn here(mut self) -> Self {
        if let Self::Why { node, .. }
        | Self::History { node, .. }
        | Self::Drain { node, .. }
        | Self::Undrain { node, .. } = &mut self
        {
            *node = None;
        }
        self
    }

    /// What the history says of it; `None` of what changes nothing that a history is about.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        Some(match self {
            Self::Switchover { dry_run: true, .. } => return None,
            Self::Switchover { to: Some(to), .. } => format!("switchover to {}", plain::line(to)),
            Self::Switchover { to: None, .. } => "switchover".to_owned(),
            Self::Drain { .. } => "drain".to_owned(),
            Self::Undrain { .. } => "undrain".to_owned(),
            Self::Maintenance { on: true, for_seconds: Some(seconds), .. } => format!("maintenance on for {seconds} s"),
            Self::Maintenance { on: true, .. } => "maintenance on".to_owned(),
            Self::Maintenance { on: false, .. } => "maintenance off".to_owned(),
            Self::ResetNumbers { .. } => "maintenance reset".to_owned(),
            _ => return None,
        })
    }

    /// Whether one node carries it out for the operator of another.
    #[must_use]
    pub const fn may_be_forwarded(&self) -> bool {
        match self {
            Self::Why { .. }
            | Self::History { .. }
            | Self::StatusOf { .. }
            | Self::Switchover { .. }
            | Self::Drain { .. }
            | Self::Undrain { .. }
            | Self::Maintenance { .. } => true,
            Self::Status
            | Self::Watch
            | Self::Introduce { .. }
            | Self::Trace { .. }
            | Self::ResetNumbers { .. }
            | Self::Doctor
            | Self::Reload
            | Self::Notify { .. }
            | Self::LogLevel { .. } => false,
        }
    }
}

/// How a command ended, as exit code of `havipctl` (sysexits.h where one fits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Code {
    /// Done.
    Done = 0,
    /// A plain no.
    No = 1,
    /// The command was not understood.
    Usage = 64,
    /// Daemon or cloud out of reach.
    Unreachable = 69,
    /// Not now.
    TryAgain = 75,
    /// Not allowed.
    Permission = 77,
    /// The configuration is wrong.
    Configuration = 78,
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        code as Self
    }
}

impl TryFrom<u8> for Code {
    type Error = ProtocolError;
    fn try_from(number: u8) -> Result<Self, ProtocolError> {
        let all = [
            Self::Done,
            Self::No,
            Self::Usage,
            Self::Unreachable,
            Self::TryAgain,
            Self::Permission,
            Self::Configuration,
        ];
        all.into_iter().find(|&code| code as u8 == number).ok_or(ProtocolError::Code(number))
    }
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// [`PROTOCOL`] of the daemon that answers; absent in the first versions.
    #[serde(default = "first")]
    pub protocol: u32,
    /// How it ended.
    pub code: Code,
    /// For people.
    pub message: String,
    /// For programs; null when there is nothing more to say.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// The data of the answer to [`Request::Notify`]: the daemon has the state, whether it counts or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// It counts.
    pub taken: bool,
}

const fn first() -> u32 {
    1
}

impl Response {
    /// Done, and this is what to tell the operator.
    #[must_use]
    pub fn done(message: impl Into<String>) -> Self {
        Self::new(Code::Done, message)
    }

    /// Any end, with what to tell the operator.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = plain::in_words(&message).into_owned();
        Self { protocol: PROTOCOL, code, message, data: Value::Null }
    }

    /// Its data, as what was asked for.
    ///
    /// # Errors
    /// The daemon, which may be of another version, says something else there.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ProtocolError> {
        T::deserialize(&self.data).map_err(ProtocolError::Data)
    }

    /// The same with `data` for programs.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        Self { data, ..self }
    }
}

/// Why a line is not a request or a reply.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Not a command that this version knows.
    #[error("not a command: {0}")]
    Request(#[source] serde_json::Error),
    /// A command with a member that it does not have.
    #[error("not a command: unknown member `{0}`")]
    Member(String),
    /// Not a reply.
    #[error("not a reply: {0}")]
    Response(#[source] serde_json::Error),
    /// A reply to another question.
    #[error("not what was asked for: {0}")]
    Data(#[source] serde_json::Error),
    /// A reply with an exit code that is none of ours.
    #[error("{0} is not a result code")]
    Code(u8),
    /// A reply of a later protocol.
    #[error(
        "havipd answers in protocol {theirs}, this havipctl reads up to {PROTOCOL}: use the havipctl that came with it"
    )]
    Later {
        /// What the daemon speaks.
        theirs: u32,
    },
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub fn parse(line: &[u8]) -> Result<Self, ProtocolError> {
        let request: Self = serde_json::from_slice(line).map_err(ProtocolError::Request)?;
        // serde looks for unknown members only where a command has members.
        if matches!(request, Self::Status | Self::Watch | Self::Doctor | Self::Reload) {
            let given: Value = serde_json::from_slice(line).map_err(ProtocolError::Request)?;
            let more = given.as_object().and_then(|given| given.keys().find(|key| *key != "command"));
            if let Some(member) = more {
                return Err(ProtocolError::Member(plain::line(member)));
            }
        }
        Ok(request)
    }

    /// The command and its members, for the log.
    #[must_use]
    pub fn words(&self) -> String {
        let Ok(Value::Object(mut all)) = serde_json::to_value(self) else { return String::new() };
        let command = all.remove("command").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        let member = |(name, value): (String, Value)| match value {
            Value::String(text) => format!(", {name} {}", plain::line(&text)),
            other => format!(", {name} {other}"),
        };
        all.into_iter().fold(command, |words, one| words + &member(one))
    }
}

impl Response {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, ProtocolError> {
        /// The one member that every protocol has.
        #[derive(Deserialize)]
        struct Version {
            #[serde(default = "first")]
            protocol: u32,
        }
        let Version { protocol } = serde_json::from_slice(line).map_err(ProtocolError::Response)?;
        if protocol > PROTOCOL {
            return Err(ProtocolError::Later { theirs: protocol });
        }
        let said: Self = serde_json::from_slice(line).map_err(ProtocolError::Response)?;
        Ok(Self { message: plain::lines(&said.message), data: plain::document(said.data), ..said })
    }
}

/// One message as it goes over the wire, line break included.
///
/// # Errors
/// Only if a type of ours cannot be expressed in JSON.
pub fn line(message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_documented() {
        for (text, request) in [
            (r#"{"command":"status"}"#, Request::Status),
            (r#"{"command":"log-level","level":"debug"}"#, Request::LogLevel { level: "debug".into() }),
            (r#"{"command":"drain"}"#, Request::Drain { group: None, node: None }),
            (
                r#"{"command":"switchover","group":"web","to":"b","dry-run":true}"#,
                Request::Switchover { group: "web".into(), to: Some("b".into()), dry_run: true },
            ),
            (
                r#"{"command":"undrain","group":"web","node":"b"}"#,
                Request::Undrain { group: Some("web".into()), node: Some("b".into()) },
            ),
            (
                r#"{"command":"maintenance","group":"web","on":true,"for-seconds":7200}"#,
                Request::Maintenance { group: Some("web".into()), on: true, for_seconds: Some(7200) },
            ),
        ] {
            assert_eq!(Request::parse(text.as_bytes()).ok().as_ref(), Some(&request));
            assert_eq!(serde_json::to_string(&request).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_not_a_request_is_refused_in_words() {
        for (text, why) in [
            (r#"{"command":"dance"}"#, "unknown variant `dance`"),
            (r#"{"command":"why"}"#, "missing field `group`"),
            (r#"{"command":"why","group":"web","force":true}"#, "unknown field `force`"),
            (r#"{"command":"status","force":true}"#, "unknown member `force`"),
            ("[]", "missing field `command`"),
            ("", "EOF"),
        ] {
            let error = Request::parse(text.as_bytes()).expect_err("not a request").to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_request_is_told_in_words() {
        let of = |text: &str| Request::parse(text.as_bytes()).expect("a request").words();
        assert_eq!(
            of(r#"{"command":"switchover","group":"web","to":"b"}"#),
            "switchover, dry-run false, group web, to b"
        );
        assert_eq!(of(r#"{"command":"status"}"#), "status");
    }

    #[test]
    fn what_another_daemon_says_drives_no_terminal() {
        let said = "{\"code\":0,\"message\":\"a\\u001b[2J\\nb\",\"data\":{\"groups\":[\"\u{202e}x\"]}}";
        let read = Response::parse(said.as_bytes()).expect("a reply");
        assert_eq!(read.message, "a [2J\nb");
        assert_eq!(read.data, serde_json::json!({"groups": ["\u{fffd}x"]}));
    }

    #[test]
    fn an_error_is_answered_in_words() {
        let error = std::io::Error::from_raw_os_error(13);
        let said = Response::new(Code::No, format!("cannot be read: {error}"));
        assert_eq!(said.message, "cannot be read: Permission denied");
    }

    #[test]
    fn replies_survive_the_wire() {
        let reply = Response::new(Code::TryAgain, "a move is under way").with_data(serde_json::json!({"group": "web"}));
        let sent = line(&reply).expect("JSON");
        assert_eq!(Response::parse(&sent).ok(), Some(reply));
        assert_eq!(line(&Response::done("ok")).expect("JSON"), b"{\"protocol\":1,\"code\":0,\"message\":\"ok\"}\n");
        assert_eq!(
            Response::parse(br#"{"code":0,"message":"ok"}"#).ok(),
            Some(Response::done("ok")),
            "an older daemon's"
        );
        let later = Response::parse(br#"{"protocol":2,"code":"fine"}"#).expect_err("too new").to_string();
        assert!(later.contains("protocol 2"), "{later}");
        assert!(Response::parse(br#"{"code":3,"message":""}"#).is_err());
    }
}
