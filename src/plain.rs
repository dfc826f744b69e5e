//! Documents from outside, fit for a terminal: see [`havipd_core::model::plain`].

pub use havipd_core::model::plain::{in_words, is_odd, line, lines, quote, quote_url};
use serde_json::Value;

/// Every text of a document, and every name in it.
#[must_use]
pub fn document(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(lines(&text)),
        Value::Array(all) => Value::Array(all.into_iter().map(document).collect()),
        Value::Object(all) => Value::Object(all.into_iter().map(|(k, v)| (line(&k), document(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_document_does_something() {
        let value = serde_json::json!({"a\u{1b}": ["\u{202e}x", 1, null]});
        assert_eq!(document(value), serde_json::json!({"a ": ["\u{fffd}x", 1, null]}));
    }
}
