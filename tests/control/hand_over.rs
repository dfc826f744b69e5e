//! `havipctl sandbox` and `havipctl simulate` become the laboratory's program, where there is one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// A directory with a `havipctl` of its own; nothing is on the search path.
fn alone() -> (tempfile::TempDir, Command) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("havipctl");
    fs::copy(env!("CARGO_BIN_EXE_havipctl"), &program).unwrap();
    let mut command = Command::new(program);
    command.env("PATH", dir.path());
    (dir, command)
}

#[test]
fn the_laboratory_gets_the_words_as_they_were_typed() {
    let (dir, mut command) = alone();
    let lab = dir.path().join("havipd-lab");
    fs::write(&lab, "#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n").unwrap();
    fs::set_permissions(&lab, fs::Permissions::from_mode(0o755)).unwrap();
    let output = command.args(["simulate", "--seed", "4 2", "--help"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "simulate\n--seed\n4 2\n--help\n");
    assert_eq!(output.status.code(), Some(7));
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
