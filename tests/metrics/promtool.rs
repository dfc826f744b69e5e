//! The real `promtool`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn program() -> PathBuf {
    // As tests/run looks for it.
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/promtool/usr/bin/promtool");
    if unpacked.exists() { unpacked } else { PathBuf::from("promtool") }
}

/// Runs it, with `input` on its standard input; panics with what it says unless it is content.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is there: tests/run fetches it into target/promtool");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn it_finds_fault_with_what_is_wrong() {
    for bad in ["x_ms 1\n", "# HELP x_total Words.\n# TYPE x_total gauge\nx_total 1\n", "x{ 1\n"] {
        assert!(std::panic::catch_unwind(|| promtool(&["check", "metrics"], bad)).is_err(), "{bad}");
    }
}
