//! The shipped unit and its drop-ins, as systemd itself reads them (offline; no running systemd needed).

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exposure, times ten, that `systemd-analyze security` may find.
const THRESHOLD: &str = "20";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// The unit in a directory of its own, with a program that exists, and one drop-in or none.
fn unit(dropin: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("havipd.service");
    let text = fs::read_to_string(shipped("havipd.service")).unwrap();
    fs::write(&path, text.replace("/usr/bin/havipd", "/bin/true")).unwrap();
    if let Some(name) = dropin {
        let place = dir.path().join("havipd.service.d");
        fs::create_dir(&place).unwrap();
        fs::copy(shipped("havipd.service.d").join(name), place.join(name)).unwrap();
    }
    (dir, path)
}

fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output().expect("systemd is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn systemd_accepts_the_unit_with_and_without_each_dropin() {
    for dropin in [None, Some("privileged-hooks.conf"), Some("realtime.conf"), Some("credentials.conf")] {
        let (_dir, path) = unit(dropin);
        let (ok, text) = analyze(&["--man=no", "verify"], &path);
        assert!(ok && text.is_empty(), "{dropin:?}: {text}");
    }
}

#[test]
fn the_unit_is_sandboxed() {
    let (_dir, path) = unit(None);
    let (ok, text) = analyze(&["security", "--offline=yes", "--no-pager", "--threshold", THRESHOLD], &path);
    assert!(ok, "{text}");
}

#[test]
fn the_system_user_is_declared() {
    let output = Command::new("systemd-sysusers").arg("--dry-run").arg(shipped("havipd.sysusers")).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("havipd"), "{text}");
}
