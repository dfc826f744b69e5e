//! The value of a key of a checked configuration, as a reload compares and shows it.

use super::diagnostic::quote;
use super::schema::show;
use havipd_core::model::settings::{Check, HeartbeatKey, Http, Probe};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The value of a key, to be compared and shown.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// Compared whole, shown without the secrets.
    Keys(Vec<HeartbeatKey>),
    /// Compared whole, shown without the values, which may be secrets.
    Headers(BTreeMap<String, String>),
    /// Names its table; the list of these tables is compared as a whole.
    InList,
}

impl Value {
    /// The key is not set.
    pub(super) const NOTHING: Self = Self::Text(String::new());

    /// As a refusal names it; never a secret.
    pub(super) fn show(&self) -> String {
        match self {
            Self::InList => "nothing".to_owned(),
            Self::Text(text) if text.is_empty() => "nothing".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Headers(headers) if headers.is_empty() => "nothing".to_owned(),
            Self::Headers(headers) => {
                format!("{} (and their values)", headers.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            Self::Keys(keys) => {
                let ids: Vec<String> = keys.iter().map(|k| k.id.0.to_string()).collect();
                format!("{} (and what is in their files)", ids.join(", "))
            }
        }
    }
}

pub(super) fn text(it: impl ToString) -> Value {
    Value::Text(it.to_string())
}

pub(super) fn span_text(span: Duration) -> Value {
    Value::Text(show(span))
}

pub(super) fn maybe(it: Option<impl ToString>) -> Value {
    it.map_or(Value::NOTHING, text)
}

pub(super) fn file(path: Option<&PathBuf>) -> Value {
    maybe(path.map(|path| path.display()))
}

/// A list of words as the file has it.
fn words(argv: &[String]) -> String {
    format!("[{}]", argv.iter().map(quote).collect::<Vec<_>>().join(", "))
}

pub(super) fn argv(command: &Option<Vec<String>>) -> Value {
    maybe(command.as_ref().map(|argv| words(argv)))
}

pub(super) fn list<T: ToString>(all: impl IntoIterator<Item = T>) -> Value {
    Value::Text(all.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", "))
}

/// What a check looks at, for the key that says so; nothing for the others.
pub(super) fn looks_at(check: &Check, kind: &str) -> Value {
    if check.probe.kind() != kind {
        return Value::NOTHING;
    }
    match &check.probe {
        Probe::Script(argv) => text(words(argv)),
        Probe::Tcp(address) => text(address),
        Probe::Http(http) => text(&http.url),
        Probe::Process(name) | Probe::Unit(name) | Probe::Link(name) => text(name),
        Probe::PidFile(path) | Probe::File(path) => text(path.display()),
        Probe::Ping { targets, .. } => list(targets),
    }
}

/// What a key of `http` says; nothing for checks that look at something else.
pub(super) fn of_http(check: &Check, value: fn(&Http) -> Value) -> Value {
    if let Probe::Http(http) = &check.probe { value(http) } else { Value::NOTHING }
}

/// How many targets of `ping` must answer.
pub(super) fn quorum_of(check: &Check) -> Value {
    if let Probe::Ping { quorum, .. } = &check.probe { text(quorum) } else { Value::NOTHING }
}
