//! The command: where its output goes, and its exit codes.

use crate::cases::{all, import, name};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

fn run(arguments: &[&str], dir: &std::path::Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    let output = command.arg("import").args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const INSTANCE: &str = "vrrp_instance V {\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n";

#[test]
fn the_file_goes_to_out_and_never_over_another() {
    let case = all().into_iter().find(|c| name(c) == "nopreempt").unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("new.toml");
    let out = ["--out", path.to_str().unwrap()];
    let output = import(&case, &out);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(&path).unwrap(), fs::read(case.join("havipd.toml")).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(output.stderr, fs::read(case.join("notes.txt")).unwrap());
    fs::write(&path, "mine").unwrap();
    let again = import(&case, &out);
    assert_eq!(again.status.code(), Some(1));
    let says = String::from_utf8(again.stderr).unwrap();
    assert!(
        says.contains("exists and may be the file that a cluster runs on, so it is left alone")
            && !says.contains("os error"),
        "{says}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn programs_get_the_file_and_the_notes() {
    let case = all().into_iter().find(|c| name(c) == "messy").unwrap();
    let output = import(&case, &["--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((answer["code"].as_u64(), output.stderr.len()), (Some(0), 0));
    assert_eq!(answer["data"]["toml"].as_str().unwrap(), fs::read_to_string(case.join("havipd.toml")).unwrap());
    let notes = answer["data"]["notes"].as_array().unwrap();
    let unknown = notes.iter().find(|n| n["what"] == "frobnicate").unwrap();
    assert_eq!((&unknown["kind"], &unknown["places"][0]), (&Value::from("lost"), &Value::from("left.conf:27")));
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let dir = tempfile::TempDir::new().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    put("right.conf", INSTANCE);
    put("open.conf", "vrrp_instance V {\n");
    put("nul.conf", "\0");
    put("lvs.conf", "virtual_server 10.0.0.1 80 {\n}\n");
    for (arguments, code, says) in [
        (&["right.conf"][..], 0, "to be filled in:"),
        (&["open.conf"], 1, "open.conf has no vrrp_instance with an IPv4 address"),
        (&["nul.conf"], 78, "nul.conf:1: a NUL character: this is no text"),
        (&["lvs.conf"], 1, "lvs.conf has no vrrp_instance: there is nothing"),
        (&["nowhere.conf"], 78, "cannot read nowhere.conf: No such file"),
        (&["."], 78, "cannot read ./etc/keepalived/keepalived.conf: No such file"),
        (&["/dev/null"], 78, "cannot read /dev/null: it is not a regular file"),
        (&[], 64, "[NAME=]FILE"),
        (&["a=right.conf", "a=right.conf"], 64, "two files for a node a:"),
        (&["a b=right.conf"], 64, "\"a b\" is not a name"),
        (&["a\"b=right.conf"], 64, "\"a\"b\" is not a name: use"),
        (&["a="], 64, "a= names no file"),
        (&["right.conf", "--cluster", "x y"], 64, "\"x y\" is not a name"),
    ] {
        let (ended, _, err) = run(arguments, dir.path());
        assert_eq!(ended, Some(code), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}

/// No password of keepalived gets out of its file.
#[test]
fn secrets_stay_where_they_are() {
    for case in all() {
        let output = import(&case, &["--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        for secret in ["s3cr3t", "with space\\\\\\\""] {
            assert!(!text.contains(secret), "{}: {secret}", case.display());
        }
    }
}
