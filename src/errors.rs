//! How an error is told to people.

use std::error::Error;

/// An error with everything that it comes from, each once, in one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        next = cause.source();
        let more = cause.to_string();
        // Some errors name their cause in their own text.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Caused {
        text: &'static str,
        source: Option<Box<Caused>>,
    }

    fn caused(text: &'static str, source: Option<Caused>) -> Caused {
        Caused { text, source: source.map(Box::new) }
    }

    #[test]
    fn each_cause_is_told_once() {
        let root = caused("no such file", None);
        let middle = caused("cannot read x: no such file", Some(root));
        let error = caused("no key", Some(middle));
        assert_eq!(chain(&error), "no key: cannot read x: no such file");
    }
}
