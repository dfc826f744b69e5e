//! The files that come with the package cannot rot: they load, and the commented keys of the main one
//! are all there are, with the defaults and ranges of the table.

use crate::{FakeDisk, check_in};
use havipd::config::check::{Source, check};
use havipd::config::schema::{KEYS, Key, Kind, Preset, Section};
use havipd::config::{Environment, LoadError};
use std::path::Path;

const SHIPPED: &str = include_str!("../../config/havipd.toml");

fn as_node(name: &str) -> Environment {
    Environment { node: Some(name.to_owned()), ..Environment::default() }
}

/// A key of the shipped file: which line, whether commented out, and the comment above it.
struct Shown {
    line: usize,
    section: String,
    name: String,
    value: String,
    commented: bool,
    comment: String,
}

fn shown() -> Vec<Shown> {
    let (mut all, mut section, mut comment) = (Vec::new(), String::new(), String::new());
    for (line, text) in SHIPPED.lines().enumerate() {
        let body = text.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        if text.starts_with('[') {
            section = text.trim_matches(['[', ']']).to_owned();
            comment.clear();
        } else if let Some((name, value)) = body.unwrap_or(text).split_once(" = ").filter(|_| !text.starts_with("# ")) {
            let (name, value) = (name.to_owned(), value.to_owned());
            let commented = body.is_some();
            all.push(Shown { line, section: section.clone(), name, value, commented, comment: comment.clone() });
        } else if text == "#" || text.starts_with("# ") {
            // The comment of a key begins after the key before it.
            if !all.is_empty() && SHIPPED.lines().nth(line - 1).is_some_and(|above| !above.starts_with("# ")) {
                comment.clear();
            }
            comment.push_str(text);
            comment.push(' ');
        } else {
            assert!(text.is_empty(), "line {}: {text}", line + 1);
            comment.clear();
        }
    }
    all
}

fn shown_for(key: &Key) -> Option<Shown> {
    let section = key.section.header().trim_matches(['[', ']']).to_owned();
    shown().into_iter().find(|s| s.section == section && s.name == key.name)
}

/// Keys that stand in a table of their own; `id` and `file` of a key stand in its list.
fn is_shown(key: &&Key) -> bool {
    let elsewhere = matches!(key.section, Section::Root | Section::HeartbeatKey);
    !elsewhere && !matches!(key.kind, Kind::Later | Kind::LaterUnless(_) | Kind::Table(_) | Kind::Tables(..))
}

#[test]
fn every_key_is_there_and_no_other() {
    for key in KEYS.iter().filter(is_shown) {
        assert!(shown_for(key).is_some(), "{} {} is not in config/havipd.toml", key.section, key.name);
    }
    let known =
        |s: &Shown| KEYS.iter().any(|k| k.section.header().trim_matches(['[', ']']) == s.section && k.name == s.name);
    for shown in shown() {
        assert!(known(&shown), "line {}: {}", shown.line + 1, shown.name);
    }
}

#[test]
fn defaults_and_ranges_are_those_of_the_table() {
    for key in KEYS.iter().filter(is_shown) {
        let shown = shown_for(key).expect("there");
        let place = format!("line {}: {}", shown.line + 1, shown.name);
        if let Preset::Value(default) = key.preset {
            assert!(shown.commented && shown.value == default, "{place}: the default is {default}");
        }
        assert_eq!(key.preset == Preset::Required, !shown.commented, "{place}: only what is required is set");
        assert!(!shown.comment.is_empty() || key.name.starts_with("notify-"), "{place}: no comment");
        if let Some(range) = key.kind.range() {
            assert!(shown.comment.contains(&range), "{place}: {range} is not in {:?}", shown.comment);
        }
        if let Kind::Choice(words) = key.kind {
            for word in words.iter().filter(|w| !matches!(**w, "etcd" | "keepalived")) {
                assert!(shown.comment.contains(&format!("{word:?}")), "{place}: {word} is not in {:?}", shown.comment);
            }
        }
    }
}

#[test]
fn the_shipped_file_loads_and_so_does_each_commented_key() {
    assert_eq!(check_in(SHIPPED, &as_node("a")).expect("loads").warnings.to_string(), "");
    for shown in shown().iter().filter(|s| s.commented) {
        let text: String = SHIPPED
            .lines()
            .enumerate()
            .map(|(i, line)| format!("{}\n", if i == shown.line { &line[1..] } else { line }))
            .collect();
        match check_in(&text, &as_node("b")) {
            Ok(_) => {}
            Err(error @ (LoadError::Invalid(_) | LoadError::NotYet { .. })) => panic!("{}: {error}", shown.name),
        }
    }
}

#[test]
fn the_examples_load_on_every_node_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(directory).expect("examples") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        let source = Source { name: &name, directory: Path::new("/etc/havipd"), text: &text };
        let first = check(source, &as_node("a"), &FakeDisk).unwrap_or_else(|e| panic!("{e}"));
        for node in &first.config.nodes {
            let loaded = check(source, &as_node(node.name.as_str()), &FakeDisk).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(loaded.warnings.to_string(), "");
        }
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["eni.toml", "shared-binding.toml", "three-nodes-witness.toml", "two-nodes.toml"]);
}
