//! The value of a key of a checked configuration, as a reload compares and shows it.

use super::schema::show;
use havipd_core::model::settings::HeartbeatKey;
use std::path::PathBuf;
use std::time::Duration;

/// The value of a key, to be compared and shown.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// Compared whole, shown without the secrets.
    Keys(Vec<HeartbeatKey>),
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

pub(super) fn argv(command: &Option<Vec<String>>) -> Value {
    maybe(command.as_ref().map(|argv| format!("{argv:?}")))
}

pub(super) fn list<T: ToString>(all: impl IntoIterator<Item = T>) -> Value {
    Value::Text(all.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join(", "))
}
