//! Answers of earlier versions, recorded from real daemons (`tests/data/control`): this `havipctl` still reads them.

use havipd::control::protocol::Response;
use havipd::status::Status;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

/// What `havipctl` makes of an answer from a daemon that knows no other.
fn told(answer: &[u8], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.args(arguments);
    told_to(&[answer], command)
}

/// The same of several answers, each to one request of one client, for any call of it.
pub(crate) fn told_to(answers: &[&[u8]], mut command: Command) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answers: Vec<Vec<u8>> = answers.iter().map(|a| a.to_vec()).collect();
    let daemon = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut requests = BufReader::new(client.try_clone().unwrap());
        for answer in answers {
            requests.read_line(&mut String::new()).unwrap();
            client.write_all(&answer).unwrap();
        }
    });
    let output = command.arg("--socket").arg(&path).output();
    daemon.join().unwrap();
    output.unwrap()
}

pub(crate) fn recorded(version: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/control/{version}/{name}.json"));
    std::fs::read(path).unwrap()
}

/// The recorded status of a healthy node `b`, whose peer `a` is down.
pub(crate) fn a_status() -> Status {
    Response::parse(&recorded("v1", "status")).unwrap().read().unwrap()
}

#[test]
fn answers_of_the_first_version_are_shown_whole() {
    let cases: [(&str, &[&str], i32, &[&str]); 4] = [
        (
            "status",
            &["status"],
            0,
            &[
                "cluster sandbox, node b (i-b), up ",
                "web    active  b       2      7.0 s  confirmed",
                "havip-sandbox: 192.0.2.100, held by i-b, read 998 ms ago",
                "c     up ",
            ],
        ),
        ("status", &["status", "--check"], 1, &["peer a: the session is down"]),
        (
            "why",
            &["why", "web"],
            0,
            &["b is active for web", "a is dead; heard 8.0 s ago", "`havipctl switchover web` or"],
        ),
        ("history", &["history"], 0, &["peer-dead", "read back: holder i-b", "a was active and is silent"]),
    ];
    for (name, arguments, code, lines) in cases {
        let answer = recorded("v1", name);
        let output = told(&answer, arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for line in lines {
            assert!(text.contains(line), "{line:?} is not in what {arguments:?} shows:\n{text}");
        }
    }
}

#[test]
fn an_answer_of_a_later_protocol_is_not_guessed_at() {
    let output = told(b"{\"protocol\":9,\"result\":\"fine\"}\n", &["status"]);
    assert_eq!(output.status.code(), Some(69));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("answers in protocol 9") && output.stdout.is_empty(), "{text}");
}

#[test]
fn what_a_later_daemon_says_besides_is_no_obstacle() {
    let mut answer: serde_json::Value = serde_json::from_slice(&recorded("v1", "status")).unwrap();
    answer["data"]["colour"] = "red".into();
    answer["data"]["groups"][0]["cause"] = "gate-closed".into();
    let output = told(format!("{answer}\n").as_bytes(), &["status"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("gate-closed") && output.status.success(), "{text}");
}

#[test]
fn an_answer_that_is_no_status_is_said_to_be_none() {
    let output = told(b"{\"protocol\":1,\"code\":0,\"message\":\"\",\"data\":{\"node\":\"a\"}}\n", &["status"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(69), 0), "{text}");
    assert!(text.contains("do not understand each other") && text.contains("missing field"), "{text}");
}
