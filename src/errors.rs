//! How an error is told to people.

use crate::plain::in_words;
use std::error::Error;

/// Layers of the HTTP library that say no more than the name of what they are about: the cause behind them does.
const LAYERS: [&str; 5] = [
    "error sending request",
    "client error (Connect)",
    "client error (SendRequest)",
    "dns error",
    "error resolving DNS",
];

/// An error with everything that it comes from, each once, in one line, without the system's number.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source().filter(|_| LAYERS.contains(&error.to_string().as_str())) {
        error = cause;
    }
    let mut text = error.to_string();
    if text == "tcp connect error" {
        "cannot connect".clone_into(&mut text);
    }
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
    in_words(&text).into_owned()
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
    fn layers_of_the_library_are_passed_over() {
        let refused = caused("tcp connect error", Some(caused("Connection refused", None)));
        let layers = caused("error sending request", Some(caused("client error (Connect)", Some(refused))));
        assert_eq!(chain(&layers), "cannot connect: Connection refused");
        assert_eq!(chain(&caused("dns error", None)), "dns error", "the last one is all that is known");
    }

    #[test]
    fn the_systems_number_is_not_told() {
        assert_eq!(chain(&std::io::Error::from_raw_os_error(13)), "Permission denied");
    }

    #[test]
    fn each_cause_is_told_once() {
        let root = caused("no such file", None);
        let middle = caused("cannot read x: no such file", Some(root));
        let error = caused("no key", Some(middle));
        assert_eq!(chain(&error), "no key: cannot read x: no such file");
    }
}
