//! `havipctl sandbox` and `havipctl simulate` become the laboratory's program, where there is one.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// A directory with a `havipctl` of its own; nothing is on the search path.
fn alone() -> (tempfile::TempDir, Command) {
    // A link, since a program that was just written may still be open in a child of another test.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = dir.path().join("havipctl");
    fs::hard_link(env!("CARGO_BIN_EXE_havipctl"), &program).unwrap();
    let mut command = Command::new(program);
    command.env("PATH", dir.path());
    (dir, command)
}

#[test]
fn the_laboratory_gets_the_words_as_they_were_typed() {
    let (dir, mut command) = alone();
    symlink("/bin/echo", dir.path().join("havipd-lab")).unwrap();
    let output = command.args(["simulate", "--seed", "42", "--help"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "simulate --seed 42 --help\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn without_a_laboratory_it_says_how_to_get_one() {
    for verb in ["sandbox", "simulate"] {
        let (_dir, mut command) = alone();
        let output = command.arg(verb).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains("havipd-lab is not installed") && said.contains(&format!("-- {verb}")), "{said}");
    }
}
