//! What a row of the table of settings says, for those who read all rows: the texts of errors, the nearest known key,
//! the comparison at a reload, the generated files, tests. The rows themselves are in `settings`.

pub use super::settings::{KEYS, Section};

use super::diagnostic::quote;
use std::fmt;
use std::time::Duration;

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.header())
    }
}

/// What a reload may do with a key: the last column of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// `r`: taken over.
    Accept,
    /// `R`: refused, a restart is needed.
    Restart,
    /// `M`: refused unless the group is in cluster-wide maintenance.
    Maintenance,
}

/// What a key is when the file does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// An error.
    Required,
    /// This value, as it would be written in the file.
    Value(&'static str),
    /// Nothing, or something that other facts give.
    Absent,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A string that its own type reads; the text says which.
    Text(&'static str),
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Integer(i64, i64),
    /// A number, both ends included, or `"adaptive"`.
    NumberOrAdaptive(f64, f64),
    /// A duration, both ends included.
    Duration(Duration, Duration),
    /// A duration in whole seconds, the kernel's unit.
    Seconds(Duration, Duration),
    /// As `Seconds`, or `"forever"`.
    SecondsOrForever(Duration, Duration),
    /// A size in bytes, written as a whole number of KiB, MiB or GiB; both ends included.
    Size(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file: absolute, relative to the file, or `credential:NAME`.
    Path,
    /// A program with its arguments, or the path of a program.
    Command,
    /// A string or a list of one to four of them: heartbeat addresses.
    Addresses,
    /// A program with its arguments; no shell.
    Argv,
    /// A list of names of nodes.
    Nodes,
    /// A list of names of checks.
    Checks,
    /// A list of IP addresses.
    Hosts,
    /// A table from names of headers to their values.
    Headers,
    /// A table from names of nodes to priorities.
    Priorities,
    /// A table from names of nodes to values of a leader key.
    LeaderValues,
    /// A list of URLs without a path.
    Endpoints,
    /// A list of tables `{ id, file }`.
    Keys,
    /// A table of its own.
    Table(Section),
    /// A list of tables, from so many to so many.
    Tables(Section, usize, usize),
    /// Belongs to a later version.
    Later,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// The table that it stands in.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is when left out.
    pub preset: Preset,
    /// What a reload may do with it.
    pub reload: Reload,
    /// What it is, in lines; `{range}` stands for the range. Empty if the row before says it, or nothing is to be said.
    pub text: &'static [&'static str],
    /// Its value in the shipped file, as TOML; empty for a table.
    pub example: &'static str,
    /// What is gained and lost by changing it; empty for a table.
    pub cost: &'static str,
}

impl Key {
    /// What it is, as running text.
    #[must_use]
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.text.iter().map(|line| line.trim()).collect();
        lines.join(" ").replace("{range}", &self.kind.range().unwrap_or_default())
    }
}

impl Kind {
    /// What is expected, in words that name the range.
    #[must_use]
    pub fn expects(&self) -> String {
        match self {
            Self::Text(what) => (*what).to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Integer(..) => format!("a whole number from {}", self.range().unwrap_or_default()),
            Self::NumberOrAdaptive(..) => {
                format!("a number from {}, or \"adaptive\"", self.range().unwrap_or_default())
            }
            Self::Duration(..) => format!("a duration from {}", self.range().unwrap_or_default()),
            Self::Seconds(..) => format!("a duration of whole seconds from {}", self.range().unwrap_or_default()),
            Self::SecondsOrForever(..) => {
                format!("a duration of whole seconds from {}, or \"forever\"", self.range().unwrap_or_default())
            }
            Self::Size(..) => format!("a size from {}", self.range().unwrap_or_default()),
            Self::Choice(words) => format!("one of {}", list(words)),
            Self::Path => "the path of a file, or \"credential:NAME\"".to_owned(),
            Self::Command => "the path of a program, or a list of a program and its arguments".to_owned(),
            Self::Addresses => "an IP address or a list of 1 to 4 of them, each with or without a port".to_owned(),
            Self::Argv => "a list of a program and its arguments, each a string of its own".to_owned(),
            Self::Nodes => "a list of names of nodes".to_owned(),
            Self::Checks => "a list of names of checks".to_owned(),
            Self::Hosts => "a list of 1 to 16 IP addresses".to_owned(),
            Self::Headers => "a table of headers, each a string".to_owned(),
            Self::Priorities => "a table of names of nodes and priorities from 1 to 254".to_owned(),
            Self::LeaderValues => "a table of names of nodes and the value that names each".to_owned(),
            Self::Endpoints => "a list of 1 to 9 URLs like \"https://10.0.0.21:2379\"".to_owned(),
            Self::Keys => "a list of 1 to 8 tables like { id = 1, file = \"heartbeat.key\" }".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Tables(_, min, max) => format!("a list of {min} to {max} tables"),
            Self::Later => "left out".to_owned(),
        }
    }

    /// The range in the words of the errors and of the shipped file, if there is one.
    #[must_use]
    pub fn range(&self) -> Option<String> {
        match self {
            Self::Integer(min, max) => Some(format!("{min} to {max}")),
            Self::NumberOrAdaptive(min, max) => Some(format!("{min} to {max}")),
            Self::Duration(min, max) | Self::Seconds(min, max) | Self::SecondsOrForever(min, max) => {
                Some(format!("{} to {}", show(*min), show(*max)))
            }
            Self::Size(min, max) => Some(format!("{} to {}", show_size(*min), show_size(*max))),
            _ => None,
        }
    }
}

/// A duration as the file writes it: a whole number of the largest unit that fits.
#[must_use]
pub fn show(span: Duration) -> String {
    let millis = span.as_millis();
    match millis {
        0 => "0s".to_owned(),
        n if n % 3_600_000 == 0 => format!("{}h", n / 3_600_000),
        n if n % 60_000 == 0 => format!("{}m", n / 60_000),
        n if n % 1_000 == 0 => format!("{}s", n / 1_000),
        n => format!("{n}ms"),
    }
}

/// A size as the file writes it: a whole number of the largest unit that fits.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    match bytes {
        n if n > 0 && n % (1 << 30) == 0 => format!("{}GiB", n >> 30),
        n if n > 0 && n % (1 << 20) == 0 => format!("{}MiB", n >> 20),
        n => format!("{}KiB", n >> 10),
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// The rows of one section, in the order of the reference.
pub fn keys_of(section: Section) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |k| k.section == section)
}

/// The row of one key.
#[must_use]
pub fn key(section: Section, name: &str) -> Option<&'static Key> {
    keys_of(section).find(|k| k.name == name)
}

/// What to say after an unknown key.
#[must_use]
pub fn advice(section: Section, wrong: &str) -> String {
    let nearest = keys_of(section)
        .map(|k| (strsim::normalized_damerau_levenshtein(&wrong.to_lowercase(), k.name), k.name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((closeness, name)) = nearest
        && closeness >= 0.6
    {
        return format!("did you mean {name}?", name = quote(name));
    }
    let elsewhere: Vec<&str> = KEYS.iter().filter(|k| k.name == wrong).map(|k| k.section.header()).collect();
    if !elsewhere.is_empty() {
        return format!("it belongs in {}", elsewhere.join(" or "));
    }
    let known: Vec<&str> = keys_of(section).filter(|k| k.kind != Kind::Later).map(|k| k.name).collect();
    match nearest {
        Some((closeness, name)) if closeness >= 0.4 => {
            format!("the nearest is {name}; known keys are {}", known.join(", "), name = quote(name))
        }
        _ => format!("known keys are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice() {
        for (i, a) in KEYS.iter().enumerate() {
            assert!(!KEYS[i + 1..].iter().any(|b| (a.section, a.name) == (b.section, b.name)), "{a:?}");
        }
    }

    #[test]
    fn advice_prefers_near_then_elsewhere_then_all() {
        assert_eq!(advice(Section::Heartbeat, "intervall"), "did you mean \"interval\"?");
        assert_eq!(advice(Section::Heartbeat, "dead_multiplier"), "did you mean \"dead-multiplier\"?");
        assert_eq!(advice(Section::Havip, "preempt"), "it belongs in [[group]]");
        assert_eq!(advice(Section::Log, "zzz"), "known keys are level, format");
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for (span, text) in [(10, "10ms"), (60_000, "1m"), (600_000, "10m"), (86_400_000, "24h"), (0, "0s")] {
            assert_eq!(show(Duration::from_millis(span)), text);
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for (bytes, text) in [(1 << 10, "1KiB"), (1536 << 10, "1536KiB"), (16 << 20, "16MiB"), (1 << 30, "1GiB")] {
            assert_eq!(show_size(bytes), text);
        }
    }
}
