//! Configuration files: any text is checked to an end, and what is wrong with it stands where it says.

use havipd::config::check::{Source, check};
use havipd::config::{Diagnostics, Disk, Environment, LoadError, Loaded, diff};
use havipd_core::model::digest::digest;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::Config;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;

/// A flood of findings is cut at this many, and one more says so.
const MOST: usize = 501;

/// Every file that is named is there and right, unless its name says otherwise.
struct FakeDisk;

impl Disk for FakeDisk {
    fn secret(&self, path: &Path) -> Result<Secret, String> {
        let text = path.to_string_lossy();
        if text.contains("missing") {
            return Err("cannot be read: it is not there".to_owned());
        }
        Ok(if text.contains("short") { Secret::from("ab".to_owned()) } else { Secret::from("a".repeat(64)) })
    }

    fn readable(&self, path: &Path) -> Result<(), String> {
        if path.ends_with("missing") { Err("cannot be read: it is not there".to_owned()) } else { Ok(()) }
    }

    fn objection(&self, program: &Path) -> Option<String> {
        program.ends_with("writable").then(|| "can be written by others than root".to_owned())
    }
}

fn look(text: &str, address: &str) -> Result<Loaded, LoadError> {
    let env = Environment {
        local_addresses: address.parse::<IpAddr>().into_iter().collect(),
        host_name: Some("b".to_owned()),
        credentials_directory: Some("/run/credentials/havipd".into()),
        ..Environment::default()
    };
    check(Source { name: "havipd.toml", directory: Path::new("/etc/havipd"), text }, &env, &FakeDisk)
}

/// The smallest file that is right, to compare others with.
fn smallest() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let text = include_str!("../corpus/configuration/smallest.toml");
        look(text, "10.0.0.1").expect("the smallest file is right").config
    })
}

fn placed(text: &str, all: &Diagnostics) {
    assert!(all.0.len() <= MOST, "{} findings", all.0.len());
    let lines: Vec<&str> = text.split('\n').collect();
    for finding in &all.0 {
        let shown = finding.to_string();
        assert!(shown.starts_with("havipd.toml") && !shown.contains(['\n', '\r']), "not one line: {shown:?}");
        assert!(!finding.text.is_empty(), "a finding without a word");
        let Some(at) = finding.location else { continue };
        let line = at.line.checked_sub(1).and_then(|n| lines.get(n));
        let Some(line) = line else { panic!("line {} of {}: {shown}", at.line, lines.len()) };
        let end = line.chars().count() + 1;
        assert!((1..=end).contains(&at.column), "column {} of {end}: {shown}", at.column);
    }
}

/// One input.
///
/// # Panics
/// When a finding stands outside the file, or a file is refused without a reason.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for address in ["10.0.0.1", ""] {
        match look(text, address) {
            Ok(loaded) => {
                assert!(!loaded.warnings.has_errors(), "taken with errors: {}", loaded.warnings);
                placed(text, &loaded.warnings);
                judge(&loaded);
            }
            Err(LoadError::Invalid(all)) => {
                assert!(all.has_errors(), "refused without a reason");
                placed(text, &all);
            }
            Err(LoadError::NotYet { unplaced, warnings }) => {
                assert!(!warnings.has_errors() && !unplaced.to_string().is_empty());
                placed(text, &warnings);
            }
        }
    }
}

/// What the rest of the program takes for granted of a file that was found right.
fn judge(loaded: &Loaded) {
    let config = &loaded.config;
    assert!(!loaded.report().is_empty());
    assert!(config.local.0 < config.nodes.len(), "this node is none of the nodes");
    assert!(!config.heartbeat.keys.is_empty(), "no key");
    assert!(
        config.heartbeat.keys.iter().any(|k| k.id == config.heartbeat.send_key),
        "the send key is none of the keys"
    );
    assert!(config.heartbeat.dead_time() <= config.heartbeat.cold_start_wait, "a dead time beyond the cold-start wait");
    assert_eq!(loaded.arbiters.len(), config.groups.len());
    for group in &config.groups {
        assert!(group.members.iter().all(|m| m.node.0 < config.nodes.len()), "a member that is no node");
        assert!(group.members.iter().all(|m| m.witness == (m.priority == 0)), "priority zero is a witness's");
        assert!(!group.havips.is_empty(), "a group without a HAVIP");
    }
    // A reload compares any two files.
    let _ = digest(config);
    for in_maintenance in [false, true] {
        for (old, new) in [(smallest(), config), (config, smallest())] {
            if let Err(refusals) = diff(old, new, &|_| in_maintenance) {
                assert!(!refusals.is_empty() && refusals.iter().all(|r| !r.is_empty()), "refused without a word");
            }
        }
        let same = diff(config, config, &|_| in_maintenance);
        assert!(same.is_ok_and(|changes| changes.is_empty()), "a file differs from itself");
    }
}
