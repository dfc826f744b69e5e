//! The files that come with the package cannot rot: they load, and the commented keys of the main one
//! are all there are, with the defaults and ranges of the table.

use crate::{FakeDisk, check_in};
use havipd::config::check::{Source, check};
use havipd::config::schema::{KEYS, Key, Kind, Preset, Section};
use havipd::config::{Environment, LoadError};
use std::path::Path;

#[expect(dead_code, reason = "this test needs no introductions")]
#[path = "../support/shipped.rs"]
mod file;
use file::{SHIPPED, Shown, shown};

fn as_node(name: &str) -> Environment {
    Environment { node: Some(name.to_owned()), ..Environment::default() }
}

fn shown_for(key: &Key) -> Option<Shown> {
    let section = key.section.header().trim_matches(['[', ']']).to_owned();
    shown().into_iter().find(|s| s.section == section && s.name == key.name)
}

/// Keys that stand in a table of their own; `id` and `file` of a key stand in its list.
fn is_shown(key: &&Key) -> bool {
    let elsewhere = matches!(key.section, Section::Root | Section::HeartbeatKey);
    !elsewhere && !matches!(key.kind, Kind::Later | Kind::Table(_) | Kind::Tables(..))
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
            // It may be on two lines.
            let comment = shown.comment.replace(" # ", " ");
            assert!(comment.contains(&range), "{place}: {range} is not in {comment:?}");
        }
        if let Kind::Choice(words) = key.kind {
            for word in words {
                assert!(shown.comment.contains(&format!("{word:?}")), "{place}: {word} is not in {:?}", shown.comment);
            }
        }
    }
}

/// The shipped file as the least that an operator has to make of it.
fn edited(text: &str) -> String {
    text.replacen("name = \"example\"", "name = \"prod\"", 1)
}

#[test]
fn the_shipped_file_is_refused_until_it_is_edited() {
    let LoadError::Invalid(all) = check_in(SHIPPED, &as_node("a")).expect_err("still the example") else {
        panic!("refused for another reason");
    };
    let text = all.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(":22:8: error: this is still the example that was installed"), "{text}");
}

#[test]
fn the_shipped_file_loads_and_so_does_each_commented_key() {
    assert_eq!(check_in(&edited(SHIPPED), &as_node("a")).expect("loads").warnings.to_string(), "");
    for shown in shown().iter().filter(|s| s.commented) {
        // A check is nothing without a name, and without what it looks at.
        let with: &[&str] = match (shown.section.as_str(), shown.name.as_str()) {
            ("check", "script" | "tcp" | "http" | "process" | "pidfile" | "unit" | "link" | "file" | "ping") => {
                &["#[[check]]", "#name = \"web\""]
            }
            ("check", "quorum") => &["#[[check]]", "#name = \"web\"", "#ping = [\"10.0.0.1\"]"],
            ("check", "cert-file" | "key-file") => &[
                "#[[check]]",
                "#name = \"web\"",
                "#http = \"http://127.0.0.1/healthz\"",
                "#cert-file = \"client.pem\"",
                "#key-file = \"client.key\"",
            ],
            ("etcd", "cert-file" | "key-file") => {
                &["#cert-file = \"etcd-client.pem\"", "#key-file = \"etcd-client.key\""]
            }
            ("etcd", "user" | "password-file") => &["#user = \"havipd\"", "#password-file = \"etcd-password\""],
            ("check", _) => &["#[[check]]", "#name = \"web\"", "#http = \"http://127.0.0.1/healthz\""],
            _ => &[],
        };
        let text: String = SHIPPED
            .lines()
            .enumerate()
            .map(|(i, line)| format!("{}\n", if i == shown.line || with.contains(&line) { &line[1..] } else { line }))
            .collect();
        let secure = ["\ncert-file", "\ntls-verify", "\nca-file"].iter().any(|key| text.contains(key));
        let text = if secure { text.replace("\"http://127", "\"https://127") } else { text };
        match check_in(&edited(&text), &as_node("b")) {
            Ok(_) => {}
            Err(error @ (LoadError::Invalid(_) | LoadError::NotYet { .. })) => panic!("{}: {error}", shown.name),
        }
    }
}

/// The text is accepted on each of its nodes without a warning, and names no program: none comes with the package.
fn loads_everywhere(name: &str, text: &str) {
    let source = Source { name, directory: Path::new("/etc/havipd"), text };
    let first = check(source, &as_node("a"), &FakeDisk).unwrap_or_else(|e| panic!("{e}"));
    for node in &first.config.nodes {
        let loaded = check(source, &as_node(node.name.as_str()), &FakeDisk).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.warnings.to_string(), "");
    }
    let program = text.lines().find(|line| !line.starts_with('#') && (line.contains("= \"/") || line.contains("[\"/")));
    assert_eq!(program, None, "{name} names a program that is not there");
}

#[test]
fn the_examples_load_on_every_node_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(directory).expect("examples") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        loads_everywhere(&name, &text);
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["eni.toml", "shared-binding.toml", "three-nodes-witness.toml", "two-nodes.toml"]);
}

#[test]
fn the_file_of_the_installation_page_loads_too() {
    let page = include_str!("../../docs/installation.md");
    let mut files = page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    let (file, _) = files.find(|(text, _)| text.starts_with("[cluster]")).expect("a whole file");
    loads_everywhere("docs/installation.md", file);
}
