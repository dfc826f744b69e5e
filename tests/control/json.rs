//! What programs are answered: one shape for everything, whatever answers and whatever the news.

use crate::compat::{a_status, recorded, told_to};
use havipd::hooks::{HookOutcome, HookStatus};
use havipd::program::Ended;
use havipd_core::model::action::NotifyState;
use havipd_core::model::ids::Epoch;
use havipd_core::model::role::{Cause, Role};
use havipd_core::status::GroupSnapshot;
use havipd_core::wire::session::SessionState;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn havipctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.args(arguments).arg("--json");
    command
}

/// The one document of an answer, if it has the shape that all of them have.
fn document(output: &Output, what: &str) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{what}: {output:?}");
    let answer: Value = serde_json::from_str(lines[0]).unwrap_or_else(|e| panic!("{what}: {e}: {text}"));
    let members: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    for member in &members {
        assert!(["protocol", "code", "message", "data"].contains(member), "{what}: {member} is new: {text}");
    }
    assert_eq!(answer["protocol"], 1, "{what}: {text}");
    assert_eq!(answer["code"].as_i64(), output.status.code().map(i64::from), "{what}: {text}");
    assert!(answer["message"].is_string(), "{what}: {text}");
    assert!(answer["data"].is_object() || answer.get("data").is_none(), "{what}: data is no object: {text}");
    answer
}

/// Bad news is on standard output, too, and nowhere else.
#[test]
fn every_command_answers_in_json_where_no_daemon_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (socket, missing, nowhere) = (path("control.sock"), path("missing.toml"), path("no/such/place"));
    let cases: &[(&[&str], i32)] = &[
        (&["status"], 69),
        (&["status", "--check"], 69),
        (&["status", "--watch"], 69),
        (&["why", "web"], 69),
        (&["history"], 69),
        (&["history", "--state", &nowhere], 1),
        (&["switchover", "web"], 69),
        (&["drain"], 69),
        (&["undrain"], 69),
        (&["maintenance", "--all", "on"], 69),
        (&["reload"], 69),
        (&["log-level", "info"], 69),
        (&["drill", "web", "--yes"], 69),
        (&["doctor", "--config", &missing], 78),
        (&["bundle", "--config", &missing, "--out", &nowhere], 1),
        (&["import", &missing], 78),
        (&["keygen"], 0),
        (&["keygen", "--out", &nowhere], 1),
        (&["list", "--config", &missing], 78),
        (&["show", "havip-x", "--config", &missing], 78),
        (&["attach", "havip-x", "--config", &missing], 78),
        (&["detach", "havip-x", "--config", &missing], 78),
        (&["notify", "INSTANCE", "web", "SINGING"], 64),
        (&["dance"], 64),
        (&["why"], 69),
        (&["maintenance", "web"], 64),
    ];
    for (arguments, code) in cases {
        let what = arguments.join(" ");
        let mut command = havipctl(arguments);
        command.env("STATE_DIRECTORY", dir.path()).env_remove("BCE_ACCESS_KEY_ID");
        let output = command.arg("--socket").arg(&socket).output().unwrap();
        assert_eq!(output.status.code(), Some(*code), "{what}: {output:?}");
        let answer = document(&output, &what);
        assert!(answer["message"] != "", "{what}: {answer}");
        assert!(output.stderr.is_empty(), "{what}: {output:?}");
    }
}

/// What programs read of the first version's daemon is what they go on reading: `tests/data/control/json`.
#[test]
fn answers_keep_their_shape() {
    let status = recorded("v1", "status");
    let daemons: Value = serde_json::from_slice(&status).unwrap();
    let of = |name: &str, arguments: &[&str]| {
        let output = told_to(&[&recorded("v1", name)], havipctl(arguments));
        document(&output, &arguments.join(" "))
    };
    assert_eq!(of("status", &["status"])["data"], daemons["data"], "a status goes through as it is");
    let why: Value = serde_json::from_slice(&recorded("v1", "why")).unwrap();
    assert_eq!(of("why", &["why", "web"])["data"], why["data"]);
    let check = of("status", &["status", "--check"]);
    assert_eq!(check["data"], json!({"ok": false, "problems": ["peer a: the session is down"]}));
    assert_eq!((&check["code"], &check["message"]), (&json!(1), &json!("peer a: the session is down")));
    let history = of("history", &["history"]);
    let entries: Value = serde_json::from_slice(&recorded("v1", "history")).unwrap();
    assert_eq!(history["data"], json!({"source": "daemon", "entries": entries["data"]}));
    let one = of("history", &["history", "-n", "1"]);
    assert_eq!(one["data"]["entries"], json!([entries["data"][1]]), "the newest");
}

fn told(code: u8, message: &str, data: &Value) -> Vec<u8> {
    let mut line = json!({"protocol": 1, "code": code, "message": message, "data": data}).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// A member of the group havipd may look, and not move: that is no doubt about the cluster.
#[test]
fn a_drill_without_rights_ends_with_77_and_says_it_once() {
    let mut status = a_status();
    let election = &mut status.core.election;
    election.peers.iter_mut().for_each(|peer| peer.state = SessionState::Up);
    election.groups[0].max_moves = 6;
    let status = json!(status);
    let (status, rehearsed) = (told(0, "", &status), told(0, "would be handed over to b", &Value::Null));
    let no = told(77, "only root and havipd's own user may do that", &Value::Null);
    let arguments = ["drill", "web", "--yes"];
    // What a daemon says that does not know of introductions; the plan, the rehearsal, the look before the move, the refusal;
    // then where the address is.
    let older = told(64, "not a command: unknown variant `introduce`", &Value::Null);
    let answers: [&[u8]; 6] = [&older, &status, &rehearsed, &status, &no, &status];
    let output = told_to(&answers, havipctl(&arguments));
    let answer = document(&output, "drill");
    assert_eq!(
        (&answer["code"], answer["message"].as_str().unwrap()),
        (&json!(77), "only root and havipd's own user may do that")
    );
    assert_eq!((&answer["data"]["not_watched"], &answer["data"]["moves"]), (&Value::Null, &json!([])), "{answer:#}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.args(arguments);
    let output = told_to(&answers[..5], command);
    assert_eq!(output.status.code(), Some(77));
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err, "havipctl: only root and havipd's own user may do that\n");
}

/// Two groups of the file's end are in trouble, and one of the middle is frozen.
fn troubled() -> Vec<u8> {
    let mut status = a_status();
    let election = &mut status.core.election;
    let all_well = election.groups.remove(0);
    let group = |name: &str, role: Role, active: Option<&str>| GroupSnapshot {
        name: name.to_owned(),
        role,
        active: active.map(str::to_owned),
        cause: Cause::Started.into(),
        ..all_well.clone()
    };
    let frozen = GroupSnapshot { maintenance: true, ..group("frozen", Role::Backup, Some("c")) };
    let detail = "no permission".to_owned();
    let fault = GroupSnapshot { detail, ..group("sick", Role::Fault, Some("c")) };
    election.groups = vec![group("good", Role::Active, Some("b")), frozen, group("orphan", Role::Backup, None), fault];
    let hook = HookOutcome {
        hook: "notify-master".to_owned(),
        program: "/bin/x".to_owned(),
        state: NotifyState::Master,
        epoch: Epoch(3),
        result: Ended::Exited { code: 3 },
        milliseconds: 7,
        left_running: 0,
        lines_suppressed: 0,
        last_line: Some("no such table".to_owned()),
    };
    let hooks = HookStatus { last: vec![hook], ..HookStatus::default() };
    status.effects.hooks = [("good".parse().unwrap(), hooks)].into();
    status.effects.reload_error = Some("line 3: no such key".to_owned());
    told(0, "", &json!(status))
}

#[test]
fn a_status_begins_with_what_is_wrong() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.arg("status").env("TERM", "xterm");
    let output = told_to(&[&troubled()], command);
    let text = String::from_utf8(output.stdout).unwrap();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what:?} is not in\n{text}"));
    let order = [
        "cluster sandbox, node b (i-b)",
        "! sick: fault (started): no permission",
        "! frozen: is in maintenance",
        "! peer a: the session is down",
        "! good: hook notify-master (/bin/x) for MASTER ended with exit code 3: no such table",
        "! last reload: line 3: no such key",
        "\nGROUP",
        "\nsick ",
        "\norphan ",
        "\nfrozen ",
        "\ngood ",
        "\nPEER",
    ];
    let places: Vec<usize> = order.map(at).into();
    assert!(places.is_sorted(), "{places:?}\n{text}");
    assert!(!text.contains('\x1b'), "no colours where nobody sees them:\n{text}");
}

/// On a terminal, which `script` of bsdutils makes.
#[test]
fn colours_are_for_terminals() {
    let shown = |environment: &[(&str, &str)]| {
        let shim = tempfile::tempdir().unwrap();
        let path = shim.path().join("havipctl.sh");
        let text = format!("exec script -qec \"{} status $*\" /dev/null", env!("CARGO_BIN_EXE_havipctl"));
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new("sh");
        command.arg(Path::new(&path)).env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
        String::from_utf8(told_to(&[&troubled()], command).stdout).unwrap()
    };
    let text = shown(&[]);
    assert!(text.contains("\x1b[31mfault ") && text.contains("\x1b[32mactive"), "{text:?}");
    assert!(text.contains("\x1b[31mdown"), "{text:?}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = shown(&[plain]);
        assert!(text.contains("sick") && !text.contains('\x1b'), "{text:?}");
    }
}
