//! A support archive of a real daemon, whose configuration is full of secrets.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;

/// Python's own, since ours is what is to be judged.
fn base64(text: &[u8]) -> String {
    let program = "import base64,sys; print(base64.b64encode(bytes.fromhex(sys.argv[1])).decode())";
    let output = Command::new("python3").args(["-c", program, &hex::encode(text)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How a secret may be written down.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = hex::encode(secret);
    let encoded = base64(secret);
    let mut all = vec![secret.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
    all.push(encoded.trim_end_matches('=').as_bytes().to_vec());
    all.push(base64(hex.as_bytes()).trim_end_matches('=').as_bytes().to_vec());
    all.push(encoded.trim_end_matches('=').replace('+', "-").replace('/', "_").into_bytes());
    all
}

#[test]
fn an_archive_has_everything_but_secrets() {
    let key = [0xa7; 32];
    let (secret, token) = ("SeCr3t/Acc3ss+K3y~of-this-test", "T0ken.of.this/test+session==");
    let lab = Lab::new(Options::default());
    lab.write_key("heartbeat.key", 0xa7);
    let credentials = lab.dir.path().join("credentials.toml");
    let keys = "access-key-id = \"ak-a\"\nsecret-access-key = \"SECRET\"\nsession-token = \"TOKEN\"\n";
    fs::write(&credentials, keys.replace("SECRET", secret).replace("TOKEN", token)).unwrap();
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    // Somebody noted them down where they do not belong, every way there is.
    let mut text = lab.text();
    let all: Vec<Vec<u8>> = [&key[..], secret.as_bytes(), token.as_bytes()].into_iter().flat_map(spellings).collect();
    for spelling in all.iter().filter_map(|s| std::str::from_utf8(s).ok()) {
        let _ = writeln!(text, "# noted: {spelling}");
    }
    let _ = writeln!(text, "# password = \"hunter2\"");
    text = text.replace("[[group]]", "[cloud.credentials]\nsource = \"file\"\nfile = \"credentials.toml\"\n[[group]]");
    fs::write(lab.config_path(), text).unwrap();
    let a = lab.start(0);
    a.wait_for("answers", |_| true);

    let out = lab.dir.path().join("bundle.tar");
    let config = lab.config_path();
    let bundle = || lab.ctl(0, &["bundle", "--out", out.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    let done = bundle();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let archive = fs::read(&out).unwrap();
    for spelling in &all {
        let found = archive.windows(spelling.len()).any(|part| part == spelling);
        assert!(!found, "{} is in it", String::from_utf8_lossy(spelling));
    }
    let shown = Command::new("tar").arg("-tf").arg(&out).output().unwrap();
    let names = String::from_utf8(shown.stdout).unwrap();
    for name in
        ["README", "havipd.toml", "status.json", "history.json", "why-web.txt", "proc-status.txt", "doctor.json"]
    {
        assert!(names.lines().any(|l| l == format!("havipd-bundle/{name}")), "{name} is not in\n{names}{done:?}");
    }
    let whole = String::from_utf8_lossy(&archive);
    assert!(whole.contains("# noted: [redacted]") && !whole.contains("hunter2"), "they were there to be taken out");
    assert!(whole.contains("name = \"lab\""), "what is no secret stays");
    // What is there already stays as it is.
    assert_eq!(bundle().status.code(), Some(1));
    assert_eq!(fs::read(&out).unwrap(), archive);
}

/// The node of the incident: nobody answers any more, and what it left on disk goes along.
#[test]
fn an_archive_of_a_dead_daemon_has_its_journal_and_a_look_at_its_file() {
    let lab = Lab::new(Options::default());
    let mut a = lab.start(0);
    a.wait_role("active");
    let state = lab.home(0).join("state");
    wait_for("the move is written", || {
        let text = fs::read_to_string(state.join("history.jsonl")).unwrap_or_default();
        text.contains("\"to\":\"active\"").then_some(())
    });
    a.signal(9);
    a.ended();
    let out = lab.dir.path().join("bundle.tar");
    let (out, config, state) = (out.to_str().unwrap(), lab.config_path(), state.to_str().unwrap().to_owned());
    let config = config.to_str().unwrap();
    let options = ["bundle", "--json", "--out", out, "--config", config, "--node", "a", "--state", &state];
    let done = lab.ctl(0, &options);
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((done.status.code(), &answer["code"], &answer["data"]["path"]), (Some(0), &json!(0), &json!(out)));
    let members = answer["data"]["members"].as_array().unwrap();
    for name in ["history.json", "state.json", "doctor.json"] {
        assert!(members.contains(&json!(name)), "{name} is not in {answer:#}");
    }
    let notes = answer["data"]["notes"].to_string();
    for note in ["without status.json: havipd does not run", "history.json is the journal in"] {
        assert!(notes.contains(note), "{note:?} is not in {notes}");
    }
    let member = |name: &str| {
        let output = Command::new("tar").args(["-xOf", out, &format!("havipd-bundle/{name}")]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let history: Value = serde_json::from_str(&member("history.json")).unwrap();
    assert_eq!(history["source"], "journal");
    assert!(history["entries"].as_array().unwrap().iter().any(|e| e["to"] == "active"), "{history:#}");
    // The doctor looked at the file that was named, not at one that some daemon has.
    let doctor: Value = serde_json::from_str(&member("doctor.json")).unwrap();
    assert!(doctor["data"]["findings"].to_string().contains(config), "{doctor:#}");
    assert!(member("README").contains("history.json is the journal in"));
}

/// Of a daemon that a signal has stopped there is what the kernel and the disk know, without anybody naming a path.
#[test]
fn an_archive_of_a_stopped_daemon_has_its_file_its_journal_and_its_process() {
    let lab = Lab::new(Options::default());
    let a = lab.start(0);
    a.wait_role("active");
    let journal = lab.home(0).join("state/history.jsonl");
    wait_for("the move is written", || {
        fs::read_to_string(&journal).unwrap_or_default().contains("\"to\":\"active\"").then_some(())
    });
    a.signal(19);
    let out = lab.dir.path().join("bundle.tar");
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.env_remove("STATE_DIRECTORY").arg("--socket").arg(a.socket()).args(["--json", "bundle", "--out"]).arg(&out);
    let done = command.output().unwrap();
    a.signal(18);
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{answer:#}");
    let members = answer["data"]["members"].as_array().unwrap();
    for name in ["havipd.toml", "history.json", "state.json", "doctor.json", "proc-status.txt"] {
        assert!(members.contains(&json!(name)), "{name} is not in {answer:#}");
    }
    let member = |name: &str| {
        let output = Command::new("tar").arg("-xOf").arg(&out).arg(format!("havipd-bundle/{name}")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(member("havipd.toml").contains("name = \"lab\""));
    assert!(member("history.json").contains("\"active\""));
    assert!(member("proc-status.txt").contains("State:\tT (stopped)"));
    let doctor: Value = serde_json::from_str(&member("doctor.json")).unwrap();
    assert!(doctor["data"]["findings"].to_string().contains(lab.config_path().to_str().unwrap()), "{doctor:#}");
    assert!(member("README").contains("without status.json: havipd does not answer; its socket"));
}

/// Each question to one that is silent costs seconds; the second connection is the look whether it answers others.
#[test]
fn a_daemon_that_is_silent_is_asked_once() {
    let lab = Lab::new(Options::default());
    let socket = lab.dir.path().join("silent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let out = lab.dir.path().join("bundle.tar");
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    let done = command.arg("--socket").arg(&socket).arg("bundle").arg("--out").arg(&out).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.incoming().map_while(Result::ok).count(), 2);
}
