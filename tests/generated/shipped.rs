//! `config/havipd.toml`: every key with its text; what is required is set, the rest is commented out.

use havipd::config::schema::{Kind, Preset, Reload, Section, keys_of};
use std::fmt::Write as _;

/// Columns of a comment.
const WIDTH: usize = 110;

/// A cluster has two nodes, and all keys of one are shown once.
const SECOND_NODE: &str = "\n[[node]]\nname = \"b\"\naddress = \"10.0.0.12\"\n";

pub(crate) fn file() -> String {
    let mut text = include_str!("havipd.toml.in").to_owned();
    tables(Section::Root, &mut text);
    text
}

/// The tables inside one, each with what is in it.
fn tables(outer: Section, text: &mut String) {
    for row in keys_of(outer) {
        let (Kind::Table(section) | Kind::Tables(section, ..)) = row.kind else { continue };
        // The only table that stands in two places; its keys are shown where its name is its own.
        let of_a_group = (outer, section) == (Section::Group, Section::Hooks);
        let header = if of_a_group { "[group.hooks]" } else { section.header() };
        // A list that may be empty is: one of its tables would not be complete.
        let mark = if matches!(row.kind, Kind::Tables(_, 0, _)) { "#" } else { "" };
        let _ = write!(text, "\n{}{mark}{header}\n", comment(&row.text()));
        if of_a_group {
            continue;
        }
        keys(section, text);
        if section == Section::Node {
            text.push_str(SECOND_NODE);
        }
        tables(section, text);
    }
}

fn keys(section: Section, text: &mut String) {
    for row in keys_of(section).filter(|row| !row.example.is_empty()) {
        let class = match row.reload {
            Reload::Accept => "",
            Reload::Restart => " Restart.",
            Reload::Maintenance => " Maintenance.",
        };
        let mark = if row.preset == Preset::Required { "" } else { "#" };
        let _ = writeln!(text, "{}{mark}{} = {}", comment(&format!("{}{class}", row.text())), row.name, row.example);
    }
}

/// `text` as the lines of a comment; nothing if it is empty.
fn comment(text: &str) -> String {
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
