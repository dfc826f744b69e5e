//! `file`: a number in a file. No file, and an empty one, is zero.

use super::blocking::Gate;
use super::{Context, Outcome, RunResult};
use havipd_core::health::Reading;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(250);
/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A number is never longer.
const MAX_BYTES: u64 = 64;

pub(super) async fn watch(context: Context, path: PathBuf, gate: Gate) {
    let mut last = None;
    loop {
        let place = path.clone();
        let read = gate.run(PATIENCE, move || read(&place)).await;
        let outcome = match read {
            None => Outcome::timed_out("the disk does not answer"),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => value(0, "there is no file, which is 0"),
            Some(Err(error)) => Outcome::not_run(format!("it cannot be read: {error}")),
            Some(Ok(text)) => number(&text),
        };
        context.observe(outcome, &mut last);
        tokio::time::sleep(EVERY).await;
    }
}

/// The beginning of a small file. Never waits for the other end of a pipe.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn number(text: &str) -> Outcome {
    match text.parse::<i64>() {
        _ if text.is_empty() => value(0, "the file is empty, which is 0"),
        Ok(n) => value(n, &format!("the file holds {n}")),
        Err(_) => Outcome::not_run(format!("{text:?} is not a whole number")),
    }
}

fn value(n: i64, text: &str) -> Outcome {
    let result = if n == 0 { RunResult::Passed } else { RunResult::Failed };
    Outcome::new(Reading::Value(n), result, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_failure() {
        for (text, reading) in [
            ("0", Reading::Value(0)),
            ("", Reading::Value(0)),
            ("-7", Reading::Value(-7)),
            ("9223372036854775807", Reading::Value(i64::MAX)),
            ("9223372036854775808", Reading::NotRun),
            ("seven", Reading::NotRun),
            ("1 2", Reading::NotRun),
        ] {
            assert_eq!(number(text).reading, reading, "{text}");
        }
    }

    #[test]
    fn neither_a_pipe_nor_a_directory_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
        for place in [&pipe, dir.path()] {
            assert_eq!(read(place).unwrap_err().to_string(), "it is not a regular file");
        }
    }
}
