//! docs/permissions.md says which calls each use makes: each makes those, and the daemons make none that is not on the page.

use crate::lab::{HAVIP, Lab, Options};
use crate::wait::wait_for;
use havipd::cloud::client::Operation;
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

const PAGE: &str = include_str!("../../docs/permissions.md");

/// The calls that the emulated cloud has seen since `since`.
fn made(lab: &Lab, since: u64) -> BTreeSet<&'static str> {
    let calls = lab.cloud.calls(since);
    let of = |method: &str, target: &str| {
        let known = Operation::ALL.into_iter().find(|operation| fits(operation.request(), method, target));
        known.unwrap_or_else(|| panic!("{method} {target} is no call of the table")).word()
    };
    calls.iter().filter(|call| !call.target.contains("meta-data")).map(|call| of(&call.method, &call.target)).collect()
}

/// Whether a request is the documented one: `{...}` stands for any one part of the path, and a parameter has to be there.
fn fits(documented: &str, method: &str, target: &str) -> bool {
    let split = |text: &str| {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        (path.split('/').map(str::to_owned).collect::<Vec<_>>(), query.to_owned())
    };
    let (wanted_method, wanted) = documented.split_once(' ').unwrap();
    let ((wanted_path, parameter), (path, query)) = (split(wanted), split(target));
    let same = |(wanted, part): (&String, &String)| wanted.starts_with('{') || wanted == part;
    method == wanted_method
        && path.len() == wanted_path.len()
        && wanted_path.iter().zip(&path).all(same)
        && (parameter.is_empty() || query.split('&').any(|one| one.split('=').next() == Some(&parameter)))
}

/// What the page says that a use calls.
fn said(used: &str) -> BTreeSet<&'static str> {
    let row = PAGE.lines().find(|line| line.starts_with('|') && line.split('|').nth(1).unwrap().contains(used));
    let cell = row.unwrap_or_else(|| panic!("no row of {used}")).split('|').nth(2).unwrap().to_owned();
    let named = |operation: &Operation| {
        cell.contains("all of the table")
            || (cell.contains("the reads") && !operation.is_write())
            || cell.contains(&format!("`{}`", operation.word()))
    };
    Operation::ALL.into_iter().filter(named).map(Operation::word).collect()
}

fn ctl(lab: &Lab, arguments: &[&str]) -> Output {
    let daemon = lab.command(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.args(arguments).arg("--config").arg(lab.config_path()).args(["--node", "a"]).env_clear();
    command.envs(daemon.get_envs().filter_map(|(k, v)| Some((k, v?)))).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    output
}

#[test]
fn each_command_makes_the_calls_that_the_page_says() {
    let lab = Lab::new(Options::default());
    let mut since = 0;
    let mut calls_of = |arguments: &[&str]| {
        ctl(&lab, arguments);
        let calls = made(&lab, since);
        since = lab.cloud.calls(0).last().map_or(0, |call| call.number);
        calls
    };
    assert_eq!(calls_of(&["list"]), said("havipctl list"));
    assert_eq!(calls_of(&["show", HAVIP]), said("havipctl show"));
    // A move has all three: the other target is detached.
    calls_of(&["attach", HAVIP, "--instance", "i-b"]);
    assert_eq!(calls_of(&["attach", HAVIP, "--instance", "i-a", "--exclusive"]), said("havipctl attach"));
    assert!(calls_of(&["detach", HAVIP, "--instance", "i-a"]).is_subset(&said("havipctl detach")));
    let doctor = calls_of(&["doctor"]);
    assert!(!doctor.is_empty() && doctor.is_subset(&said("havipctl doctor")), "{doctor:?}");
}

#[test]
fn daemons_make_no_call_that_is_not_on_the_page() {
    let lab = Lab::new(Options::default());
    let (a, b) = lab.pair();
    a.wait_role("active");
    assert_eq!(lab.ctl(0, &["switchover", "web", "--to", "b", "--wait"]).status.code(), Some(0));
    b.wait_role("active");
    let least = BTreeSet::from(["attach", "detach", "list-havips"]);
    let calls = wait_for("all of a move is done", || Some(made(&lab, 0)).filter(|calls| calls.is_superset(&least)));
    assert!(calls.is_subset(&said("the daemon")), "{calls:?}");
}
