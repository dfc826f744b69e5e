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

/// Every drop-in that is shipped.
const DROPINS: [&str; 3] = ["privileged-hooks.conf", "realtime.conf", "credentials.conf"];

/// The unit in a directory of its own, with a program that exists, and these drop-ins.
fn unit(dropins: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("havipd.service");
    let text = fs::read_to_string(shipped("havipd.service")).unwrap();
    fs::write(&path, text.replace("/usr/bin/havipd", "/bin/true")).unwrap();
    let place = dir.path().join("havipd.service.d");
    fs::create_dir(&place).unwrap();
    for name in dropins {
        fs::copy(shipped("havipd.service.d").join(name), place.join(name)).unwrap();
    }
    (dir, path)
}

fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    // Its marks are others where the locale knows ASCII alone.
    command.args(arguments).arg(unit).env("LC_ALL", "C.UTF-8");
    let output = command.output().expect("systemd is installed");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn systemd_accepts_the_unit_with_and_without_each_dropin() {
    let shipped = fs::read_dir(shipped("havipd.service.d")).unwrap();
    assert_eq!(shipped.count(), DROPINS.len());
    let (one, none, all) = (DROPINS.map(|d| vec![d]), [vec![]], [DROPINS.to_vec()]);
    for dropins in none.iter().chain(&one).chain(&all) {
        let (_dir, path) = unit(dropins);
        let (ok, text) = analyze(&["--man=no", "verify"], &path);
        assert!(ok && text.is_empty(), "{dropins:?}: {text}");
    }
}

/// What `systemd-analyze security` says of one setting.
fn setting(path: &Path, name: &str) -> String {
    let (_, text) = analyze(&["security", "--offline=yes", "--no-pager"], path);
    let line = text.lines().find(|l| l.contains(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

#[test]
fn the_realtime_dropin_opens_what_it_needs_and_nothing_else() {
    let (_dir, plain) = unit(&[]);
    let (_other, open) = unit(&["realtime.conf"]);
    for name in ["RestrictRealtime=", "SystemCallFilter=~@resources"] {
        assert!(setting(&plain, name).starts_with('✓'), "{}", setting(&plain, name));
        assert!(setting(&open, name).starts_with('✗'), "{}", setting(&open, name));
    }
    assert!(setting(&open, "SystemCallFilter=~@privileged").starts_with('✓'));
    let text = fs::read_to_string(shipped("havipd.service.d/realtime.conf")).unwrap();
    for line in ["LimitRTPRIO=50", "LimitMEMLOCK=infinity", "LimitRTTIME=5s"] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    // Beside privileged hooks it must not become the only thing that is allowed.
    let (_both, both) = unit(&DROPINS);
    let filter = setting(&both, "SystemCallFilter=~@mount");
    assert!(filter.contains("does not filter"), "{filter}");
}

#[test]
fn the_unit_is_sandboxed() {
    let (_dir, path) = unit(&[]);
    let (ok, text) = analyze(&["security", "--offline=yes", "--no-pager", "--threshold", THRESHOLD], &path);
    assert!(ok, "{text}");
}

#[test]
fn the_system_user_is_declared() {
    let output = Command::new("systemd-sysusers").arg("--dry-run").arg(shipped("havipd.sysusers")).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("havipd"), "{text}");
}
