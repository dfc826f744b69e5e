//! Cases in `tests/data/keepalived`: one directory each, with the files of the nodes, the havipd.toml that is
//! expected, and what is said of it. `arguments` has the command line where it is not just the files. The directories
//! `corpus` and `once-wrong` belong to other tests.

use crate::promise::filled;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn all() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keepalived");
    let mut all: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|case| !["corpus", "once-wrong"].contains(&name(case).as_str()));
    all.sort();
    all
}

pub(crate) fn name(case: &Path) -> String {
    case.file_name().unwrap().to_str().unwrap().to_owned()
}

/// `havipctl import` in the directory of the case, so that paths are the same everywhere.
pub(crate) fn import(case: &Path, more: &[&str]) -> Output {
    let arguments: Vec<String> = match fs::read_to_string(case.join("arguments")) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(_) => {
            let files = fs::read_dir(case).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut files: Vec<String> = files.filter(|f| f.ends_with(".conf")).collect();
            files.sort();
            files
        }
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.arg("import").args(arguments).args(more).current_dir(case).output().unwrap()
}

#[test]
fn every_case_becomes_what_is_expected() {
    let write = std::env::var_os("WRITE").is_some();
    let mut wrong = Vec::new();
    for case in all() {
        let output = import(&case, &[]);
        assert!(output.status.success(), "{}: {output:?}", case.display());
        for (file, bytes) in [("havipd.toml", output.stdout), ("notes.txt", output.stderr)] {
            let (path, text) = (case.join(file), String::from_utf8(bytes).unwrap());
            if write {
                fs::write(&path, &text).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != text {
                wrong.push(format!("{} is not what is made now:\n{text}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nWRITE=1 takes it over", wrong.join("\n"));
    assert!(all().len() >= 12, "cases are missing");
}

/// With the ids that only the cloud knows, and a key, each file is taken by the daemon, on each of its nodes; without
/// them it is refused.
#[test]
fn every_case_is_accepted_by_havipd_once_it_is_filled_in() {
    for case in all() {
        let dir = tempfile::TempDir::new().unwrap();
        let (config, key) = (dir.path().join("havipd.toml"), dir.path().join("heartbeat.key"));
        let made = Command::new(env!("CARGO_BIN_EXE_havipctl")).args(["keygen", "--out"]).arg(&key).status().unwrap();
        assert!(made.success());
        let toml = String::from_utf8(import(&case, &[]).stdout).unwrap();
        let check = |text: &str, node: &str| {
            fs::write(&config, text).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_havipd"));
            command.arg("--config").arg(&config).args(["--node", node, "--check-config"]);
            command.env("STATE_DIRECTORY", dir.path().join("state")).output().unwrap()
        };
        let nodes = toml.lines().skip_while(|l| *l != "[[node]]").take_while(|l| *l != "[heartbeat]");
        let nodes: Vec<&str> =
            nodes.filter_map(|l| l.strip_prefix("name = \"")).map(|l| l.trim_end_matches('"')).collect();
        assert!(nodes.len() >= 2, "{}: {nodes:?}", case.display());
        for node in nodes {
            let output = check(&toml, node);
            assert_eq!(output.status.code(), Some(78), "{}: it is not complete: {output:?}", case.display());
            let output = check(&filled(&toml), node);
            assert_eq!(output.status.code(), Some(0), "{} on {node}: {output:?}\n{}", case.display(), filled(&toml));
        }
    }
}

/// keepalived itself takes the files of the cases: they are what people have, not what we think of it.
#[test]
fn every_case_is_right_for_keepalived() {
    // Broken on purpose, in ways that it takes note of; and files for another host's interfaces.
    for case in all().into_iter().filter(|case| !["messy", "one-file-for-all"].contains(&name(case).as_str())) {
        for file in fs::read_dir(&case)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "conf"))
        {
            let mut command = Command::new("keepalived");
            let output =
                command.args(["--log-console", "--config-test", "-f"]).arg(&file).current_dir(&case).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            let of_the_file = ["nknown keyword", "nmatched", "issing '{'", "issing '}'", "nexpected", "nvalid"];
            let wrong: Vec<&str> = text.lines().filter(|l| of_the_file.iter().any(|w| l.contains(w))).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}\n{text}", file.display());
        }
    }
}
