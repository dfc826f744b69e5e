//! Text from outside, fit for a terminal, a log and a page: what the cloud, a hook, keepalived or a daemon of another version
//! says can neither forge a line, nor drive a terminal, nor show its words in another order than they have.

use serde::{Deserialize as _, Deserializer};
use std::borrow::Cow;

/// Stands where something was that changes how the rest is read.
const MARK: char = '\u{fffd}';

/// Whether a character does something instead of being shown: control characters (C0, DEL, C1) and line separators,
/// and those that turn the direction of writing.
#[must_use]
pub fn is_odd(c: char) -> bool {
    c.is_control() || turns(c)
}

fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const fn shown(c: char, turns: bool) -> char {
    match c {
        _ if turns => MARK,
        c if c.is_ascii_control() || (c >= '\u{80}' && c <= '\u{9f}') => ' ',
        c => c,
    }
}

/// One line of it, as long as it was.
#[must_use]
pub fn line(text: &str) -> String {
    text.chars().map(|c| shown(c, turns(c))).collect()
}

/// The same for a text of several lines.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { shown(c, turns(c)) }).collect()
}

/// An error in words alone: without the number that the system has for it, as in "No such file or directory (os error 2)".
///
/// Where a text for people begins (a log line, an answer, a finding, the detail of a status) it goes through here, so no error
/// that names its cause has to think of it.
#[must_use]
pub fn in_words(text: &str) -> Cow<'_, str> {
    const NUMBER: &str = " (os error ";
    let mut told = Cow::Borrowed(text);
    let mut from = 0;
    while let Some(at) = told[from..].find(NUMBER).map(|at| from + at) {
        let digits = &told[at + NUMBER.len()..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0 && digits[*n..].starts_with(')'));
        from = at;
        match end {
            Some(n) => told.to_mut().replace_range(at..=at + NUMBER.len() + n, ""),
            None => from += NUMBER.len(),
        }
    }
    told
}

/// Most characters of a foreign word that an error repeats.
const LONGEST: usize = 80;

/// A foreign word for an error: as it reads, on one line, between quotation marks, and cut if it is long.
#[must_use]
pub fn quote<T: AsRef<str> + ?Sized>(text: &T) -> String {
    let text = text.as_ref();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("\"{}\"...", line(&text[..end])),
        None => format!("\"{}\"", line(text)),
    }
}

/// An address of a service for an error. One that may hold a password, or another secret behind a question mark, is not repeated.
#[must_use]
pub fn quote_url(url: &str) -> String {
    if url.contains(['@', '?']) { "what is given".to_owned() } else { quote(url) }
}

/// Reads a string of a foreign document as one line; null is empty.
///
/// # Errors
/// It is no string.
pub fn or_empty<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(line(&Option::<String>::deserialize(d)?.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_reads_as_it_is_and_is_short() {
        assert_eq!(quote("\u{1b}[31mx\"\\"), "\" [31mx\"\\\"");
        assert_eq!(quote(&"ä".repeat(81)), format!("\"{}\"...", "ä".repeat(80)));
        assert_eq!(quote_url("http://h/"), "\"http://h/\"");
        assert!(
            ["http://u:hunter2@h/", "u:hunter2@h", "https://h/?key=hunter2"]
                .iter()
                .all(|u| !quote_url(u).contains("hunter2"))
        );
    }

    #[test]
    fn an_error_is_told_without_its_number() {
        let told = |n: i32| in_words(&std::io::Error::from_raw_os_error(n).to_string()).into_owned();
        assert_eq!(told(2), "No such file or directory");
        assert_eq!(in_words("a: x (os error 13), b (os error 2); c"), "a: x, b; c");
        for other in ["", " (os error ", "x (os error )", "x (os error 2", "x (os error 2a)", "grün (os error ä)"] {
            assert_eq!(in_words(other), other);
        }
    }

    #[test]
    fn nothing_that_does_something_is_left() {
        let evil = "a\u{1b}[31mb\u{9b}2Jc\u{202e}d\u{2066}e\u{7f}f\rg\nh\ti\u{2028}j\u{85}k";
        for told in [line(evil), lines(evil).replace('\n', " ")] {
            assert!(!told.contains(is_odd), "{told:?}");
            assert!(told.starts_with("a [31mb 2Jc\u{fffd}d"), "{told:?}");
        }
        assert_eq!(lines("a\nb"), "a\nb");
        assert_eq!(line("grün 10.0.0.1 中文"), "grün 10.0.0.1 中文");
    }
}
