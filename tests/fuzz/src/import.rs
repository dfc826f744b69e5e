//! keepalived.conf: whatever the files are, the import ends in time, and what it makes is a havipd.toml that lacks nothing
//! but what it says it lacks.

use havipd::config::check::{Source, check};
use havipd::config::{Disk, Environment};
use havipd::import::{Found, Include, Included, Input, Kind, Options, import};
use havipd_core::model::secret::Secret;
use std::path::Path;

/// Between the files of two nodes: a form feed.
pub const NEXT: char = '\u{c}';

/// Every file that is named is there and right.
struct EveryFile;

impl Disk for EveryFile {
    fn secret(&self, _: &Path) -> Result<Secret, String> {
        Ok(Secret::from("a".repeat(64)))
    }

    fn readable(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn objection(&self, _: &Path) -> Option<String> {
        None
    }
}

/// What somebody would write into it.
#[must_use]
pub fn filled(toml: &str) -> String {
    let mut number = 0;
    let lines = toml.lines().map(|line| {
        number += 1;
        line.replace("= \"...\"", &format!("= \"10.255.{}.{}\"", number / 200, number % 200 + 1))
            .replace("\"i-...\"", &format!("\"i-{number}\""))
            .replace("\"havip-...\"", &format!("\"havip-{number}\""))
            + "\n"
    });
    lines.collect()
}

/// One input.
///
/// # Panics
/// When an error has no place, or what was made is refused.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let texts: Vec<&str> = text.split(NEXT).take(3).collect();
    let inputs: Vec<Input> = texts
        .iter()
        .zip(["a", "b", "c"])
        .map(|(text, name)| Input {
            node: Some(name.to_owned()),
            id: name.to_owned(),
            directory: "/etc/keepalived".to_owned(),
            root: None,
            path: format!("{name}.conf"),
            text: (*text).to_owned(),
        })
        .collect();
    let options = Options { observe: text.len() % 2 == 1, ..Options::default() };
    // A file that includes anything includes the first one, and so itself.
    let more = Included { path: "more.conf".to_owned(), text: texts[0].to_owned(), of_this_host: false };
    let mut endless = |_: Include<'_>| Ok(Found { files: vec![more.clone()], remarks: Vec::new() });
    let made = match import(&inputs, &options, &mut endless) {
        Ok(made) => made,
        Err(error) => return assert!(!error.to_string().contains('\n'), "not one line: {error}"),
    };
    assert!(made.notes.of(Kind::FillIn).len() > 1, "no ids to fill in:\n{}", made.toml);
    assert!(made.notes.0.iter().all(|n| !n.what.is_empty() && !n.why.is_empty()), "a note without words");
    let text = filled(&made.toml);
    let source = Source { name: "havipd.toml", directory: Path::new("/etc/havipd"), text: &text };
    let env = Environment { node: Some("a".to_owned()), ..Environment::default() };
    if let Err(error) = check(source, &env, &EveryFile) {
        panic!("{error}\n{text}");
    }
}
