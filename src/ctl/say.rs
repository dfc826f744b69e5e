//! How every answer leaves: as text for people, or as one document of one shape for programs.
//!
//! With `--json` an answer is a [`Response`] on standard output, whether it is good or bad news and whether the
//! daemon or this process gives it: `{"protocol":1,"code":0,"message":"...","data":{...}}`. `code` is the exit
//! code; `data`, where there is any, is an object. Without `--json`, bad news goes to standard error.

use crate::control::client::ClientError;
use crate::control::protocol::{Code, Response};
use crate::plain::{in_words, lines, quote};
pub(super) use havipd_core::model::plural::plural;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;

/// Reads a whole number of an option, from `from` to `to`.
pub fn whole<T: TryFrom<u64>>(
    from: u64,
    to: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| (from..=to).contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("{} is not a whole number from {from} to {to}", quote(text)))
    }
}

/// Says what a command came to.
pub fn tell(response: &Response, as_json: bool) -> Code {
    if as_json {
        return ended(response.code, written(&text_of(response)));
    }
    if response.code == Code::Done {
        return ended(response.code, written(&lines(&response.message)));
    }
    complain(&response.message);
    response.code
}

/// The same for an answer that people read in other words than its message, good news or bad.
pub fn show(response: &Response, as_json: bool, text: impl FnOnce() -> String) -> Code {
    let text = if as_json { text_of(response) } else { text() };
    ended(response.code, written(&text))
}

/// How a command ends whose answer was, or was not, written: a disk that is full must not pass for a key or a file that is
/// there. A reader that has gone has read what it wanted.
fn ended(code: Code, written: io::Result<()>) -> Code {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("the answer cannot be written to standard output: {error}"));
            if code == Code::Done { Code::No } else { code }
        }
        _ => code,
    }
}

fn text_of(response: &Response) -> String {
    serde_json::to_string(response).unwrap_or_default()
}

/// Says why there is no answer.
pub(super) fn failed(error: &ClientError, as_json: bool) -> Code {
    tell(&Response::new(error.code(), error.to_string()), as_json)
}

/// One answer as programs read it; false once nobody reads any more.
pub fn document(response: &Response) -> bool {
    print(&text_of(response))
}

/// Prints a line; false once nobody reads any more.
pub fn print(text: &str) -> bool {
    written(text).is_ok()
}

fn written(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// A line for people, beside whatever is printed. Whatever names and files it quotes, it does nothing to a terminal.
pub(super) fn complain(text: &str) {
    // Nowhere is left to say that this failed.
    let text = in_words(text);
    let _ = writeln!(io::stderr(), "{}", fitted(&format!("havipctl: {}", lines(&text)), columns_of(io::stderr())));
}

/// A column is never made narrower by folding.
const NARROWEST: usize = 20;

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Wrong,
    Doubtful,
    Right,
}

/// Colours and width, for somebody who sees them: on a terminal, unless `NO_COLOR` is set or the terminal has none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    on: bool,
    /// How wide the terminal is.
    columns: Option<usize>,
}

impl Paint {
    /// As standard output and the environment have it.
    pub(super) fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { on: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb, columns: columns() }
    }

    /// For tests and for those who know.
    #[cfg(test)]
    pub(super) const fn new(on: bool, columns: Option<usize>) -> Self {
        Self { on, columns }
    }

    /// How wide the terminal is; nothing where programs read it.
    pub(super) const fn columns(self) -> Option<usize> {
        self.columns
    }

    /// `text` in a colour.
    pub(super) fn apply(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Wrong => "31",
            Colour::Doubtful => "33",
            Colour::Right => "32",
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// How wide the terminal is on which this is read; nothing where programs read it, a line each.
pub(super) fn columns() -> Option<usize> {
    columns_of(io::stdout())
}

/// The same of another stream than standard output.
pub(super) fn columns_of(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Each line of `text` as [`folded`] has it: what follows stands two columns deeper than the line begins.
pub(super) fn fitted(text: &str, width: Option<usize>) -> String {
    let fit = |line: &str| {
        let words = line.trim_start();
        let begin = line.chars().count() - words.chars().count();
        format!("{}{}", " ".repeat(begin), folded(words, begin + 2, width))
    };
    text.lines().map(fit).collect::<Vec<_>>().join("\n")
}

/// `text` in lines of at most `width` columns, broken between words. The first begins after `begin` columns, the others
/// are indented by as many.
pub(super) fn folded(text: &str, begin: usize, width: Option<usize>) -> String {
    let Some(room) = width.map(|width| width.saturating_sub(begin).max(NARROWEST)) else { return text.to_owned() };
    let mut folded = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            folded.push('\n');
            folded.push_str(&" ".repeat(begin));
            used = 0;
        } else if used > 0 {
            folded.push(' ');
            used += 1;
        }
        folded.push_str(word);
        used += length;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_folded_between_words_and_loses_none() {
        let text = "one two three four five six seven eight nine ten";
        assert_eq!(folded(text, 4, None), text);
        let shown = folded(text, 4, Some(28));
        assert!(shown.lines().all(|line| line.chars().count() <= 28), "{shown}");
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), text);
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    ") && !line.starts_with("     ")), "{shown}");
        assert_eq!(folded("a-word-that-is-longer-than-any-line", 60, Some(10)), "a-word-that-is-longer-than-any-line");
    }

    #[test]
    fn every_line_is_folded_where_it_begins() {
        let text = "one two three four five six\n  - seven eight nine ten eleven\n\nx";
        let shown = "one two three four\n  five six\n  - seven eight nine\n    ten eleven\n\nx";
        assert_eq!((fitted(text, Some(22)).as_str(), fitted(text, None).as_str()), (shown, text));
    }

    #[test]
    fn colours_are_left_out_where_nobody_sees_them() {
        assert_eq!(Paint::new(false, None).apply(Colour::Wrong, "down"), "down");
        assert_eq!(Paint::new(true, None).apply(Colour::Wrong, "down"), "\x1b[31mdown\x1b[0m");
    }
}
