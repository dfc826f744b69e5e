//! What is wrong with a file, and where: one line each, all at once.

use crate::plain::in_words;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// More than this many lines help nobody; a binary file would make millions.
const MOST: usize = 500;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but somebody should read this.
    Warning,
}

/// Place in the file, both counted from one; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// One finding, shown as `file:line:column: error: text (help)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Where in it; `None` for what has no place, like a table that is missing.
    pub location: Option<Location>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with the offending value.
    pub text: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Location { line, column }) = self.location {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.text)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Findings in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// A single error, for a file that cannot even be read.
    #[must_use]
    pub fn of_file(file: &str, location: Option<Location>, text: String) -> Self {
        let text = in_words(&text).into_owned();
        Self(vec![Diagnostic { file: file.into(), location, severity: Severity::Error, text, help: None }])
    }

    /// The same with errors first, for those who read only how it begins.
    #[must_use]
    pub fn errors_first(mut self) -> Self {
        self.0.sort_by_key(|d| d.severity);
        self
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{diagnostic}")?;
        }
        Ok(())
    }
}

/// Where a value stands: a range of bytes of the file.
pub(super) type Span = Range<usize>;

/// A finding before its line and column are known.
#[derive(Debug)]
struct Finding {
    span: Option<Span>,
    severity: Severity,
    text: String,
    help: Option<String>,
}

/// Collects findings while a file is looked at.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Finding>>);

impl Report {
    /// Notes an error at `span`.
    pub(super) fn error(&self, span: &Span, text: impl Into<String>) {
        self.push(Some(span.clone()), Severity::Error, text.into(), None);
    }

    /// Notes an error at `span` and what to do about it.
    pub(super) fn error_with(&self, span: &Span, text: impl Into<String>, help: impl Into<String>) {
        self.push(Some(span.clone()), Severity::Error, text.into(), Some(help.into()));
    }

    /// Notes an error that has no place in the file.
    pub(super) fn error_nowhere(&self, text: impl Into<String>, help: Option<String>) {
        self.push(None, Severity::Error, text.into(), help);
    }

    /// Notes a warning; without a place if it is about something that the file leaves out.
    pub(super) fn warning(&self, span: Option<&Span>, text: impl Into<String>, help: Option<String>) {
        self.push(span.cloned(), Severity::Warning, text.into(), help);
    }

    fn push(&self, span: Option<Span>, severity: Severity, text: String, help: Option<String>) {
        let text = in_words(&text).into_owned();
        self.0.borrow_mut().push(Finding { span, severity, text, help });
    }

    /// Whether an error was noted.
    pub(super) fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|f| f.severity == Severity::Error)
    }

    /// Whether an error was noted in that part of the file.
    pub(super) fn has_errors_in(&self, part: &Span) -> bool {
        let in_part = |f: &Finding| f.span.as_ref().is_some_and(|span| part.contains(&span.start));
        self.0.borrow().iter().any(|f| f.severity == Severity::Error && in_part(f))
    }

    /// Drops what was noted on the lines of `source` on which one of `spans` begins: after a syntax
    /// error, what the parser made of the rest of the line is a guess. A value that it made up
    /// altogether has an empty span.
    pub(super) fn forget_lines(&self, source: &str, spans: &[Span]) {
        let lines = Lines::of(source);
        let broken: HashSet<usize> = spans.iter().map(|s| lines.line_of(s.start)).collect();
        self.0
            .borrow_mut()
            .retain(|f| f.span.as_ref().is_none_or(|s| !s.is_empty() && !broken.contains(&lines.line_of(s.start))));
    }

    /// Everything that was noted, placed and sorted; what has no place comes last.
    pub(super) fn finish(self, file: &Arc<str>, source: &str) -> Diagnostics {
        let place = |f: &Finding| (f.span.is_none(), f.span.as_ref().map(|s| s.start));
        let mut findings = self.0.into_inner();
        // A warning must not push an error out.
        findings.sort_by_key(|f| (f.severity, place(f)));
        let left = findings.split_off(findings.len().min(MOST)).len();
        findings.sort_by_key(place);
        let lines = Lines::of(source);
        let mut all: Vec<Diagnostic> = findings
            .into_iter()
            .map(|f| Diagnostic {
                file: Arc::clone(file),
                location: f.span.map(|s| lines.locate(s.start)),
                severity: f.severity,
                text: f.text,
                help: f.help,
            })
            .collect();
        if left > 0 {
            all.extend(Diagnostics::of_file(file, None, format!("and {left} more")).0);
        }
        Diagnostics(all)
    }
}

/// The lines of a text, to turn offsets into places.
struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a str) -> Self {
        let starts = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source, starts }
    }

    fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset).max(1)
    }

    fn locate(&self, offset: usize) -> Location {
        let line = self.line_of(offset);
        let start = self.starts[line - 1];
        let before = self.source.as_bytes().get(start..offset.min(self.source.len())).unwrap_or_default();
        // Bytes that begin a character; an offset inside one counts it.
        let column = before.iter().filter(|&&b| b & 0xC0 != 0x80).count() + 1;
        Location { line, column }
    }
}

/// Where `offset` lies in `source`.
pub(super) fn locate(source: &str, offset: usize) -> Location {
    Lines::of(source).locate(offset)
}

/// What the parser of TOML says, with the key that it leaves out.
#[must_use]
pub fn of_syntax(source: &str, error: &toml::de::Error) -> String {
    let words = error.message().replace(['\n', '\r'], " ");
    match error.span().and_then(|span| source.get(span)).filter(|key| !key.is_empty()) {
        Some(key) if words == "duplicate key" => format!("{words} {}", quote(key.trim_matches(['"', '\'']))),
        _ => words,
    }
}

/// A value of the file for an error: quoted, on one line, and cut if it is long.
pub(super) fn quote<T: AsRef<str> + ?Sized>(value: &T) -> String {
    crate::plain::quote(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let lines = Lines::of("a = 1\nü = \"x\"\n");
        let at = |offset| lines.locate(offset);
        assert_eq!(at(0), Location { line: 1, column: 1 });
        assert_eq!(at(6), Location { line: 2, column: 1 });
        assert_eq!(at(11), Location { line: 2, column: 5 });
        assert_eq!(at(9999).line, 3);
    }

    #[test]
    fn errors_can_come_first() {
        let report = Report::default();
        report.warning(Some(&(0..0)), "w", None);
        report.error(&(1..1), "e");
        let all = report.finish(&"f".into(), "ab");
        assert_eq!(all.0[0].text, "w");
        assert_eq!(all.errors_first().0[0].text, "e");
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let report = Report::default();
        for _ in 0..MOST {
            report.warning(Some(&(0..0)), "w", None);
        }
        report.error(&(0..0), "e");
        let all = report.finish(&"f".into(), "");
        assert_eq!(all.0.len(), MOST + 1);
        assert_eq!(all.0[0].text, "e");
        assert_eq!(all.0[MOST].to_string(), "f: error: and 1 more");
    }
}
