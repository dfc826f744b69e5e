//! Text from outside, fit for a terminal, a log and a page: what the cloud, a hook, keepalived or a daemon of another version
//! says can neither forge a line, nor drive a terminal, nor show its words in another order than they have.

use serde::{Deserialize as _, Deserializer};

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
