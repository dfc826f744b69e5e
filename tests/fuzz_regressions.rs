//! Replays what fuzzing has kept: the corpus, and every input that once broke something.
//!
//! `tests/fuzz/run` looks for new ones; here the same target bodies run without libFuzzer.

#[path = "fuzz/src/lib.rs"]
pub mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The committed corpora stay small.
const MOST_BYTES: usize = 300 * 1024;

fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind).join(target);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut all: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    all.sort();
    all
}

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = inputs("corpus", target);
    assert!(!corpus.is_empty(), "there is no corpus of {target}");
    let all: Vec<PathBuf> = corpus.into_iter().chain(inputs("regressions", target)).collect();
    let broken: Vec<String> = all
        .iter()
        .filter(|path| {
            let data = fs::read(path).expect("readable");
            catch_unwind(AssertUnwindSafe(|| run(&data))).is_err()
        })
        .map(|path| format!("{}\n    cargo fuzz run --fuzz-dir tests/fuzz -s none {target} {0}", path.display()))
        .collect();
    assert!(broken.is_empty(), "{} of {} inputs break {target}:\n{}", broken.len(), all.len(), broken.join("\n"));
}

#[test]
fn datagrams() {
    replay("datagram", targets::datagram::run);
}

#[test]
fn configurations() {
    replay("configuration", targets::configuration::run);
}

#[test]
fn control_messages() {
    replay("control", targets::control::run);
}

#[test]
fn answers_of_the_cloud() {
    replay("answers", targets::answers::run);
}

#[test]
fn lines_of_keepalived() {
    replay("keepalived", targets::keepalived::run);
}

#[test]
fn imports_of_keepalived() {
    replay("import", targets::import::run);
}

#[test]
fn histories_of_the_core() {
    replay("core", targets::core::run);
}

/// Histories in which nothing happens would find nothing.
#[test]
fn the_histories_go_everywhere() {
    let mut reached: Vec<String> = Vec::new();
    for path in inputs("corpus", "core") {
        let world = targets::core::play(&fs::read(&path).expect("readable"));
        reached.extend(world.reached.iter().flat_map(|(_, role, cause)| [role.to_string(), cause.to_string()]));
    }
    let everywhere = [
        "active",
        "releasing",
        "fault",
        "recovered",
        "no-identity",
        "link-down",
        "lease-lost",
        "away",
        "peer-dead",
        "switchover",
        "drained",
        "preempted",
        "handover-complete",
        "higher-epoch",
        "superseded",
    ];
    let missed: Vec<_> = everywhere.iter().filter(|word| !reached.iter().any(|r| r == *word)).collect();
    assert!(missed.is_empty(), "no history reaches {missed:?}");
}

#[test]
fn the_corpora_are_small() {
    let targets = ["datagram", "configuration", "control", "answers", "import", "core"];
    let size = |path: &PathBuf| fs::metadata(path).expect("there").len() as usize;
    let bytes: usize = targets.iter().flat_map(|t| inputs("corpus", t)).map(|p| size(&p)).sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes; minimise them with cargo fuzz cmin");
}
