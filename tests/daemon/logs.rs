//! The log of a real daemon: its formats, its priorities, and its level while it runs.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;

#[test]
fn as_json_every_line_is_an_object_and_a_transition_has_its_figures() {
    let lab = Lab::new(Options::default());
    let a = lab.start_with(0, |command| {
        command.args(["--log-format", "json"]);
    });
    a.wait_role("active");
    a.wait_log("web is active");
    let log = a.log();
    let lines: Vec<Value> =
        log.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    assert!(lines.iter().all(|l| l["timestamp"].is_string() && l["level"].is_string() && l["fields"].is_object()));
    let active = lines.iter().find(|l| l["fields"]["to"] == "active").expect("it became active");
    let fields = &active["fields"];
    assert_eq!((&fields["group"], &fields["cause"]), (&"web".into(), &"confirmed".into()));
    assert!(fields["epoch"].is_u64() && fields["at_ms"].is_f64() && fields["timeline"].is_string(), "{active}");
    assert_eq!(active["level"], "INFO");
}

#[test]
fn for_the_journal_each_line_begins_with_its_priority() {
    let lab = Lab::new(Options::default());
    let home = lab.home(0);
    let a = lab.start_with(0, |command| {
        // systemd names whatever it connected standard error to by device and inode.
        let log = std::fs::metadata(home.join("log")).unwrap();
        command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    });
    a.wait_role("active");
    a.wait_log("web is active");
    let log = a.log();
    for line in log.lines() {
        let (priority, level) = (line.get(..3).unwrap_or_default(), line.get(3..8).unwrap_or_default().trim());
        let expected = match level {
            "ERROR" => "<3>",
            "WARN" => "<4>",
            "INFO" => "<6>",
            _ => "<7>",
        };
        assert_eq!(priority, expected, "{line}");
    }
    assert!(log.lines().any(|l| l.starts_with("<4>")) && log.lines().any(|l| l.starts_with("<6>")), "{log}");
}

#[test]
fn its_level_changes_while_it_runs() {
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    assert_eq!(lab.ctl(0, &["log-level", "error"]).status.code(), Some(0));
    assert_eq!(lab.ctl(0, &["undrain", "web"]).status.code(), Some(0));
    assert_eq!(lab.ctl(0, &["log-level", "info"]).status.code(), Some(0));
    assert_eq!(lab.ctl(0, &["maintenance", "web", "on"]).status.code(), Some(0));
    a.wait_log("an operator asks: maintenance");
    assert!(!a.log().contains("an operator asks: undrain"), "it was hidden");
    // A reload goes back to what the command line said.
    let of_debug = |log: &str| log.matches("DEBUG").count();
    let before = of_debug(&a.log_until_now());
    assert_eq!(lab.ctl(0, &["reload"]).status.code(), Some(0));
    assert_eq!(lab.ctl(0, &["maintenance", "web", "off"]).status.code(), Some(0));
    wait_for("it says as much as at first", || (of_debug(&a.log()) > before).then_some(()));
}

/// What docs/operations.md shows as the line of a change of role is one: the same words, the same fields.
#[test]
fn the_line_of_the_documentation_is_one() {
    let page = include_str!("../../docs/operations.md");
    let shown = page.lines().find(|l| l.starts_with("INFO web is active")).expect("a line of the log");
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    let line = a.wait_log("INFO web is active: ");
    let fields = |line: &str| -> Vec<String> {
        let (_, rest) = line.split_once(" group=").unwrap_or_else(|| panic!("no fields in {line}"));
        let before_timeline = rest.split(" timeline=").next().unwrap();
        before_timeline.split(' ').filter_map(|f| Some(f.split_once('=')?.0.to_owned())).collect()
    };
    assert_eq!(fields(shown), fields(&line), "{line}");
    let begin = shown.split(" group=").next().unwrap();
    assert!(line.contains(begin) && line.contains("from=\"claiming\" to=\"active\" cause=\"confirmed\""), "{line}");
    assert!(shown.contains("timeline=\"+0.0ms ") && line.contains("timeline=\"+0.0ms "), "{line}");
}
