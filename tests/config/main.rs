//! The configuration against its contract: texts of errors, ranges, reload classes, the shipped files.

mod checks;
mod fuzz;
mod gates;
mod golden;
mod identity;
mod ranges;
mod real_files;
mod reload;
mod shipped;

use havipd::config::check::{Source, check};
use havipd::config::{Disk, Environment, LoadError, Loaded};
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::Config;
use std::path::Path;

/// The smallest file that is right; lines of tests go where the markers are.
const BASE: &str = r##"[cluster]
name = "c"
#cluster
[[node]]
name = "a"
address = "10.0.0.1"
#node
[[node]]
name = "b"
address = "10.0.0.2"
#node-b
[heartbeat]
keys = [{ id = 1, file = "k" }]
#heartbeat
[[group]]
name = "g"
#group
[[group.havip]]
id = "havip-1"
#havip
#root
"##;

/// `BASE` with `lines` where `#marker` stands, followed by what `more` adds at the end.
fn with(marker: &str, lines: &str) -> String {
    let at = format!("#{marker}\n");
    assert!(BASE.contains(&at), "{marker}");
    BASE.replacen(&at, &format!("{lines}\n"), 1)
}

/// A disk on which every file is there and right, unless its name says otherwise.
struct FakeDisk;

impl Disk for FakeDisk {
    fn secret(&self, path: &Path) -> Result<Secret, String> {
        if path.ends_with("missing") {
            return Err("cannot be read: No such file or directory (os error 2)".to_owned());
        }
        let digit = if path.ends_with("k2") { "b" } else { "a" };
        Ok(Secret::from(digit.repeat(64)))
    }

    fn readable(&self, path: &Path) -> Result<(), String> {
        if path.ends_with("missing") { Err("cannot be read: it is not there".to_owned()) } else { Ok(()) }
    }

    fn objection(&self, program: &Path) -> Option<String> {
        program.ends_with("writable").then(|| "can be written by others than root".to_owned())
    }
}

/// Where most tests run: on node a.
fn on_a() -> Environment {
    Environment { local_addresses: vec!["10.0.0.1".parse().expect("ip")], ..Environment::default() }
}

fn check_in(text: &str, env: &Environment) -> Result<Loaded, LoadError> {
    check(Source { name: "havipd.toml", directory: Path::new("/etc/havipd"), text }, env, &FakeDisk)
}

/// A configuration that must be right.
fn good(text: &str) -> Config {
    match check_in(text, &on_a()) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n--\n{text}"),
    }
}

/// Everything that is said of a file, whether it can be used or not.
fn said_in(text: &str, env: &Environment) -> String {
    match check_in(text, env) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(error) => error.to_string(),
    }
}

fn said(text: &str) -> String {
    said_in(text, &on_a())
}
