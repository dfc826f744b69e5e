//! A havipd.toml with every key and its text, made from the table of settings: the shipped example, and what
//! `havipctl init` writes.

use super::schema::{Kind, Preset, Reload, Section, keys_of};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Columns of a comment.
const WIDTH: usize = 110;

/// The keys of one table and their values, as TOML.
pub type Keys = Vec<(&'static str, String)>;

/// What stands in the file instead of the example's own values: for each section its tables, in order.
///
/// The first table of a section has every key with its text; those after it have only what is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(BTreeMap<Section, Vec<Keys>>);

impl Tables {
    /// Adds a table of a section; without keys it is as in the example.
    #[must_use]
    pub fn with(mut self, section: Section, keys: Keys) -> Self {
        self.0.entry(section).or_default().push(keys);
        self
    }

    fn of(&self, section: Section) -> &[Keys] {
        self.0.get(&section).map_or(&[], Vec::as_slice)
    }
}

/// The file: `head`, then every table. What is required or set is set; every other key is commented out.
#[must_use]
pub fn file(head: &str, set: &Tables) -> String {
    let mut text = head.to_owned();
    tables(Section::Root, set, &mut text);
    text
}

/// The tables inside one, each with what is in it.
fn tables(outer: Section, set: &Tables, text: &mut String) {
    for row in keys_of(outer) {
        let (Kind::Table(section) | Kind::Tables(section, ..)) = row.kind else { continue };
        // The only table that stands in two places; its keys are shown where its name is its own.
        let of_a_group = (outer, section) == (Section::Group, Section::Hooks);
        let header = if of_a_group { "[group.hooks]" } else { section.header() };
        let given = set.of(section);
        // A list that may be empty is: one of its tables would not be complete.
        let mark = if given.is_empty() && matches!(row.kind, Kind::Tables(_, 0, _)) { "#" } else { "" };
        let _ = write!(text, "\n{}{mark}{header}\n", comment(&row.text()));
        if of_a_group {
            continue;
        }
        keys(section, given.first(), text);
        for more in given.iter().skip(1) {
            let _ = write!(text, "\n{header}\n");
            for (name, value) in more {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        tables(section, set, text);
    }
}

fn keys(section: Section, set: Option<&Keys>, text: &mut String) {
    for row in keys_of(section).filter(|row| !row.example.is_empty()) {
        let class = match row.reload {
            Reload::Accept => "",
            Reload::Restart => " Restart.",
            Reload::Maintenance => " Maintenance.",
        };
        let value = set.and_then(|keys| keys.iter().find(|(name, _)| *name == row.name)).map(|(_, value)| value);
        let mark = if value.is_some() || row.preset == Preset::Required { "" } else { "#" };
        let value = value.map_or(row.example, String::as_str);
        let _ = writeln!(text, "{}{mark}{} = {value}", comment(&format!("{}{class}", row.text())), row.name);
    }
}

/// `text` as the lines of a comment; nothing if it is empty.
#[must_use]
pub fn comment(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH - 2 {
            let _ = writeln!(lines, "# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(lines, "# {line}");
    }
    lines
}
