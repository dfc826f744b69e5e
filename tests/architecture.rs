//! The layers of the house, held against the source: see CONTRIBUTING.md.
//!
//! Each layer uses only those above it, and the pure layers can reach neither clock nor I/O. The
//! test reads `src/` as text, so it fails on the line that breaks the rule.

use std::fs;
use std::path::{Path, PathBuf};

/// Layer of a file below `src/`: 0 words, 1 pure, 2 effects, 3 runtime, 4 faces.
fn layer(path: &str) -> Option<u8> {
    const EXACT: &[(&str, u8)] = &[
        ("lib.rs", 4),
        ("time.rs", 0),
        ("ids.rs", 0),
        ("secret.rs", 0),
        ("histogram.rs", 0),
        ("metrics/mod.rs", 2),
        ("metrics/http.rs", 2),
        ("cloud/mod.rs", 2),
        ("cloud/sign.rs", 1),
        ("cloud/api.rs", 1),
        ("cloud/queue.rs", 1),
        ("clock.rs", 2),
        ("config/load.rs", 2),
        ("config/secret_file.rs", 2),
        ("config/mod.rs", 2),
        ("control/mod.rs", 2),
        ("control/protocol.rs", 1),
        ("keepalived/parse.rs", 1),
        ("keepalived/parse/lines.rs", 1),
    ];
    const PREFIX: &[(&str, u8)] = &[
        ("wire", 1),
        ("election", 1),
        ("ownership", 1),
        ("config/", 1),
        ("simulation", 1),
        ("import", 1),
        ("metrics/", 1),
        ("net", 2),
        ("cloud/sign/", 1),
        ("cloud/queue/", 1),
        ("cloud/", 2),
        ("hooks", 2),
        ("log", 2),
        ("systemd", 2),
        ("state", 2),
        ("journal", 2),
        ("process", 2),
        ("certificates", 2),
        ("keepalived", 2),
        ("control/", 2),
        ("doctor", 3),
        ("runtime", 3),
        ("daemon", 4),
        ("ctl", 4),
        ("sandbox", 4),
        ("bin/", 4),
    ];
    let exact = EXACT.iter().find(|(name, _)| *name == path);
    exact.or_else(|| PREFIX.iter().find(|(prefix, _)| path.starts_with(prefix))).map(|(_, layer)| *layer)
}

/// Layer of a module named in a path such as `crate::cloud::api`.
fn module_layer(path: &str) -> Option<u8> {
    let mut parts = path.split("::").skip(1);
    let first = parts.next()?.trim_end_matches([';', '{', ',', ' ']);
    let second = parts.next().unwrap_or_default();
    let second: String = second.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    match (first, second.as_str()) {
        ("time" | "ids" | "secret" | "histogram", _) => Some(0),
        ("cloud", "sign" | "api" | "queue") | ("control", "protocol") | ("keepalived", "parse") => Some(1),
        ("config", "load" | "secret_file") | ("metrics", "http") => Some(2),
        ("wire" | "election" | "ownership" | "config" | "simulation" | "metrics" | "import", _) => Some(1),
        (
            "clock" | "cloud" | "net" | "hooks" | "log" | "systemd" | "state" | "journal" | "process" | "control"
            | "keepalived" | "certificates",
            _,
        ) => Some(2),
        ("doctor" | "runtime", _) => Some(3),
        ("daemon" | "ctl" | "sandbox", _) => Some(4),
        _ => None,
    }
}

/// What no pure module may name.
const IMPURE: &[&str] = &[
    "tokio::",
    "reqwest::",
    "std::fs",
    "std::process",
    "std::thread",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "SystemTime",
    "Instant::now",
    "fastrand::u64",
    "getrandom",
    "async fn",
    "unsafe ",
];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file without its unit tests and comments, with line numbers.
fn code(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    lines.map(|(n, line)| (n + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

fn check(name: &str, text: &str) -> Vec<String> {
    let Some(own) = layer(name) else { return vec![format!("{name}: belongs to no layer; name it in this test")] };
    let mut faults = Vec::new();
    for (number, line) in code(text) {
        for (at, _) in line.match_indices("crate::") {
            let path = &line[at..];
            if let Some(other) = module_layer(path)
                && other > own
            {
                faults.push(format!("{name}:{number}: layer {own} uses layer {other}: {}", line.trim()));
            }
        }
        if own <= 1 {
            let impure = IMPURE.iter().filter(|word| line.contains(**word));
            faults.extend(impure.map(|word| format!("{name}:{number}: a pure layer names {word}: {}", line.trim())));
        }
    }
    faults
}

#[test]
fn each_layer_uses_only_those_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "src was not found");
    let mut faults = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
        if !is_test {
            faults.extend(check(&name, &fs::read_to_string(&file).expect("readable")));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_test_sees_what_it_looks_for() {
    assert_eq!(check("wire/auth.rs", "use crate::net::clock;").len(), 1);
    assert_eq!(check("election/mod.rs", "let t = Instant::now();").len(), 1);
    assert_eq!(check("net/garp.rs", "use crate::runtime::driver;").len(), 1);
    assert_eq!(check("hooks.rs", "use crate::election::action::Notification;").len(), 0);
    assert_eq!(check("attic/x.rs", "").len(), 1);
}
