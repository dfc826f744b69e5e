//! However a sandbox ends, nothing of it is left.

use crate::harness::{Running, ends};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use tempfile::TempDir;

/// A frozen daemon is the hardest to get rid of.
const STAY: &str = "wait active\nstop standby\nnote it stays\npause 10m";

fn ready() -> Running {
    let mut running = Running::script(STAY);
    running.says("== it stays");
    running
}

#[test]
fn a_sandbox_that_is_killed_takes_its_daemons_along() {
    let running = ready();
    let daemons = running.daemons();
    assert_eq!(daemons.len(), 3);
    running.signal(Signal::KILL);
    daemons.iter().for_each(ends);
    let (status, _) = running.end();
    assert_eq!(status.signal(), Some(9));
}

#[test]
fn a_sandbox_that_is_told_to_end_cleans_up() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let running = ready();
        let daemons = running.daemons();
        running.signal(signal);
        daemons.iter().for_each(ends);
        let (status, left) = running.end();
        assert_eq!((status.code(), left), (Some(code), Vec::new()));
    }
}

#[test]
fn without_a_terminal_it_prints_what_happens() {
    let mut running = Running::start(TempDir::new().unwrap(), &[]);
    running.says("emulated cloud at http://127.0.0.1:");
    running.says("a active (confirmed, epoch 1)");
    running.says("move 1: to a");
    running.signal(Signal::TERM);
    let (status, left) = running.end();
    assert_eq!((status.code(), left), (Some(143), Vec::new()));
}

#[test]
fn a_kept_directory_stays_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let mut running = Running::start(directory, &["--keep"]);
    running.says("move 1: to a");
    running.signal(Signal::TERM);
    let path = running.directory.path().to_owned();
    let mut running = running;
    running.child.wait().unwrap();
    let kept: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(kept[0].join("b/havipd.toml").is_file() && kept[0].join("heartbeat.key").is_file());
}
