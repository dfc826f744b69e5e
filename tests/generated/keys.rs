//! havipd.toml(5): every key of the table of settings, with its text and what a change costs.

use crate::roff::{fill, literal, prose};
use havipd::config::schema::{KEYS, Key, Kind, Preset, Reload, Section, keys_of};
use std::fmt::Write as _;

fn table(section: Section) -> &'static str {
    section.header().trim_matches(['[', ']'])
}

/// Keys with an entry: not those of later versions, and not tables, which have a section of their own.
fn has_entry(key: &&Key) -> bool {
    !matches!(key.kind, Kind::Later | Kind::Table(_) | Kind::Tables(..))
}

pub(crate) fn page() -> String {
    let mut text = String::new();
    for section in Section::ALL.iter().copied().filter(|section| *section != Section::Root) {
        let _ = writeln!(text, ".SH {}", literal(section.header()));
        let intro = intro(section);
        if !intro.is_empty() {
            let _ = writeln!(text, "{}", prose(&intro));
        }
        let mut meaning = String::new();
        for key in keys_of(section).filter(has_entry) {
            // A key without a text of its own shares that of the key before.
            if !key.text.is_empty() {
                meaning = key.text();
            }
            text.push_str(&entry(key, &meaning));
        }
    }
    let later: Vec<String> = KEYS
        .iter()
        .filter(|k| matches!(k.kind, Kind::Later))
        .map(|k| match k.section {
            Section::Root => format!("[{}]", k.name),
            section => format!("{}.{}", table(section), k.name),
        })
        .collect();
    let example = include_str!("../../config/examples/two-nodes.toml");
    let example: Vec<String> = example.lines().map(literal).collect();
    let marks = [
        ("VERSION", env!("CARGO_PKG_VERSION")),
        ("KEYS", &text),
        ("LATER", &literal(&later.join(", "))),
        ("EXAMPLE", &example.join("\n")),
    ];
    fill(include_str!("../../packaging/man/havipd.toml.5.in"), &marks)
}

/// What the row that opens a table says of it.
fn intro(section: Section) -> String {
    let opens = |key: &&Key| matches!(key.kind, Kind::Table(of) | Kind::Tables(of, ..) if of == section);
    match KEYS.iter().find(opens) {
        Some(row) => row.text(),
        None => format!("Entries of the list {}.", section.header()),
    }
}

/// One key, as a paragraph.
fn entry(key: &Key, meaning: &str) -> String {
    let mut text = format!(".TP\n.B {}\n", literal(key.name));
    let _ = writeln!(text, "{}\n.br", prose(meaning));
    let default = match key.preset {
        Preset::Required => "none, required".to_owned(),
        Preset::Value(value) => value.to_owned(),
        Preset::Absent => "not set".to_owned(),
    };
    let reload = match key.reload {
        Reload::Accept => "accepted",
        Reload::Restart => "restart",
        Reload::Maintenance => "maintenance",
    };
    let takes = prose(key.kind.expects().trim_end_matches(" ."));
    let _ = writeln!(text, "Takes {takes}.\nDefault: {}.\nReload:\n.IR {reload} .\n.br", literal(&default));
    let _ = writeln!(text, "{}", prose(key.cost));
    text
}
