//! However a sandbox ends, nothing of it is left.

use crate::harness::{Guard, Running, command, ends, left, script, ticks};
use crate::wait::wait_for;
use rustix::io::ioctl_fionread;
use rustix::process::Signal;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
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
    running.says("start: to a");
    running.signal(Signal::TERM);
    let (status, left) = running.end();
    assert_eq!((status.code(), left), (Some(143), Vec::new()));
}

#[test]
fn a_kept_directory_stays_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let mut running = Running::start(directory, &["--keep"]);
    running.says("start: to a");
    running.signal(Signal::TERM);
    let path = running.directory.path().to_owned();
    let mut running = running;
    running.child.0.wait().unwrap();
    let kept: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(kept[0].join("b/havipd.toml").is_file() && kept[0].join("heartbeat.key").is_file());
}

/// How it ended, and what it said on standard error.
fn quiet(mut child: Guard, directory: &TempDir) -> (Option<i32>, String, Vec<String>) {
    let mut stderr = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.0.wait().unwrap().code(), stderr, left(directory))
}

#[test]
fn a_reader_that_goes_ends_it_though_it_has_nothing_to_say() {
    let mut watched = Running::start(TempDir::new().unwrap(), &[]);
    watched.says("start: to a");
    for running in [ready(), watched] {
        let daemons = running.daemons();
        assert_eq!(daemons.len(), 3);
        let (child, directory) = running.unread();
        daemons.iter().for_each(ends);
        assert_eq!(quiet(child, &directory), (Some(141), String::new(), Vec::new()));
    }
}

#[test]
fn the_end_of_its_input_ends_it_and_no_script() {
    let directory = TempDir::new().unwrap();
    let command_of = command(&directory, &[]);
    let mut running = Running::of(directory, command_of, Stdio::piped());
    running.says("start: to a");
    let daemons = running.daemons();
    drop(running.child.0.stdin.take());
    daemons.iter().for_each(ends);
    let (status, left) = running.end();
    assert_eq!((status.code(), left), (Some(0), Vec::new()));

    let directory = TempDir::new().unwrap();
    let path = script(&directory, "wait active\nnote one\npause 500ms\nnote two");
    let command_of = command(&directory, &["--script", &path]);
    let mut running = Running::of(directory, command_of, Stdio::piped());
    running.says("== one");
    drop(running.child.0.stdin.take());
    running.says("== two");
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn a_reader_that_does_not_read_keeps_it_from_nothing() {
    let mut text = "wait active\nnote it stays\n".to_owned();
    text.extend((0..2000).map(|n| format!("note {n} {}\n", "x".repeat(100))));
    let mut running = Running::script(&text);
    running.says("== it stays");
    let daemons = running.daemons();
    let pipe = running.pipe();
    wait_for("a full pipe", || (ioctl_fionread(&pipe).unwrap() > 60_000).then_some(()));
    running.signal(Signal::TERM);
    daemons.iter().for_each(ends);
    let (child, directory) = running.unread();
    assert_eq!(quiet(child, &directory), (Some(143), String::new(), Vec::new()));
}

#[test]
fn nohup_is_heeded() {
    let directory = TempDir::new().unwrap();
    let path = script(&directory, "wait active\nnote one\npause 500ms\nnote two");
    let plain = command(&directory, &["--script", &path]);
    let mut shell = Command::new("sh");
    // Without what has it heed every signal.
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).args(plain.get_args().skip(1));
    shell.env("TMPDIR", directory.path());
    let mut running = Running::of(directory, shell, Stdio::null());
    running.says("== one");
    running.signal(Signal::HUP);
    running.says("== two");
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn who_waits_for_the_end_needs_no_processor() {
    for stdin in [Stdio::null(), Stdio::piped()] {
        let directory = TempDir::new().unwrap();
        let command_of = command(&directory, &[]);
        let mut running = Running::of(directory, command_of, stdin);
        running.says("start: to a");
        let thread = wait_for("somebody waits", || ticks(running.child.0.id(), "audience"));
        assert!(thread < 5, "{thread} ticks");
        running.signal(Signal::TERM);
        assert_eq!(running.end().0.code(), Some(143));
    }
}
