//! havipd.toml(5): every key of the schema, with what the shipped file says of it and what a change costs.

use crate::roff::{fill, literal, prose};
use havipd::config::schema::{KEYS, Key, Kind, Preset, Reload, Section, keys_of};
use std::fmt::Write as _;

#[expect(dead_code, reason = "this test needs only the texts")]
#[path = "../support/shipped.rs"]
mod file;
use file::{Shown, shown};

/// In the order of the reference.
const SECTIONS: [Section; 14] = [
    Section::Cluster,
    Section::Node,
    Section::Heartbeat,
    Section::HeartbeatKey,
    Section::Cloud,
    Section::Credentials,
    Section::Group,
    Section::Havip,
    Section::LocalAddress,
    Section::Hooks,
    Section::Metrics,
    Section::Keepalived,
    Section::Log,
    Section::Daemon,
];

/// Tables of tables: what trade-offs.toml says of each key.
fn trade_offs() -> toml::Table {
    include_str!("../../packaging/man/trade-offs.toml").parse().expect("trade-offs.toml is TOML")
}

fn table(section: Section) -> &'static str {
    section.header().trim_matches(['[', ']'])
}

/// Keys with an entry: not those of later versions, and not tables, which have a section of their own.
fn has_entry(key: &&Key) -> bool {
    !matches!(key.kind, Kind::Later | Kind::Table(_) | Kind::Tables(..))
}

pub(crate) fn page() -> String {
    let (trade_offs, shown) = (trade_offs(), shown());
    let mut text = String::new();
    for section in SECTIONS {
        let intro = match section {
            Section::HeartbeatKey => "Entries of the list heartbeat.keys.",
            _ => shown.iter().find(|s| s.section == table(section)).map_or("", |s| &s.intro),
        };
        let _ = writeln!(text, ".SH {}", literal(section.header()));
        if !uncommented(intro).is_empty() {
            let _ = writeln!(text, "{}", prose(&uncommented(intro)));
        }
        for key in keys_of(section).filter(has_entry) {
            text.push_str(&entry(key, &shown, &trade_offs));
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

/// One key, as a paragraph.
fn entry(key: &Key, shown: &[Shown], trade_offs: &toml::Table) -> String {
    let mut text = format!(".TP\n.B {}\n", literal(key.name));
    let meaning = shown.iter().find(|s| s.section == table(key.section) && s.name == key.name).map(|s| &*s.comment);
    let meaning = match (key.section, key.name) {
        (Section::HeartbeatKey, "id") => "Names the key on the wire; unique in the list.",
        (Section::HeartbeatKey, _) => "The key itself, from havipctl keygen.",
        _ => meaning.unwrap_or_else(|| panic!("{} {} is not in the shipped file", key.section, key.name)),
    };
    let _ = writeln!(text, "{}\n.br", prose(&uncommented(meaning)));
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
    let cost = trade_offs.get(table(key.section)).and_then(|t| t.get(key.name)).and_then(toml::Value::as_str);
    let cost = cost.unwrap_or_else(|| panic!("{} {} is not in trade-offs.toml", key.section, key.name));
    let _ = writeln!(text, "{}", prose(cost));
    text
}

/// The text of a comment: without its marks, and without what the entry says in its own words.
fn uncommented(comment: &str) -> String {
    let words: Vec<&str> = comment.split_whitespace().filter(|word| *word != "#").collect();
    let text = words.join(" ");
    text.trim_end_matches(" Restart.").trim_end_matches(" Maintenance.").to_owned()
}

#[test]
fn no_trade_off_is_left_over() {
    for (section, keys) in &trade_offs() {
        for name in keys.as_table().expect("a table").keys() {
            let known = KEYS.iter().any(|k| table(k.section) == section && k.name == name);
            assert!(known, "trade-offs.toml: {section} has no key {name}");
        }
    }
}

#[test]
fn every_key_of_this_version_has_an_entry() {
    for key in KEYS.iter().filter(has_entry) {
        assert!(SECTIONS.contains(&key.section), "{} is in no section of the page", key.section);
    }
}
