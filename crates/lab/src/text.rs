//! Files that people write for the laboratory: scripts, scenarios and clouds.

use havipd::config::of_syntax;
use havipd_core::model::plain::line;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// No script or scenario is longer; a mistaken path may lead to anything.
const LONGEST: u64 = 1024 * 1024;

/// The text of a regular file, or of standard input for "-".
///
/// # Errors
/// What is wrong, with the path.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    if path == Path::new("-") {
        return of(io::stdin().lock()).map_err(|why| format!("standard input {why}"));
    }
    let told = |why: String| format!("{} {why}", path.display());
    let cannot = |error: io::Error| told(format!("cannot be read: {error}"));
    // Before it is opened: a pipe without a writer would hold that up.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(told("is not a regular file; \"-\" is standard input".to_owned()));
    }
    of(fs::File::open(path).map_err(cannot)?).map_err(told)
}

/// Most characters of what the TOML library says: it may quote a value of any length.
const LONGEST_WORDS: usize = 300;

/// What is wrong with a text in TOML, and where, in words of ours as far as possible.
pub(crate) fn wrong(text: &str, error: &toml::de::Error) -> String {
    let place = error.span().and_then(|span| text.get(..span.start)).map(|before| {
        let (line, column) =
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        format!("line {line}, column {column}: ")
    });
    let mut words: String = of_syntax(text, error).chars().take(LONGEST_WORDS).collect();
    for (theirs, ours) in [
        ("unknown variant", "unknown word"),
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("invalid type: ", "wrong kind of value: "),
        ("invalid value: ", "wrong value: "),
        ("expected u64", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected u32", "expected a whole number"),
    ] {
        words = words.replace(theirs, ours);
    }
    format!("{}{}", place.unwrap_or_default(), line(&words))
}

fn of(input: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    input.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LONGEST {
        return Err("is longer than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        format!("is not text in UTF-8: see line {line}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_text_of_a_regular_file_is_read() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("scenario");
        let with = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("write");
            read(&path).map_err(|why| why.replace(&path.display().to_string(), "FILE"))
        };
        assert_eq!(with(b"a\n"), Ok("a\n".to_owned()));
        assert_eq!(with(b"a\nb\xff"), Err("FILE is not text in UTF-8: see line 2".to_owned()));
        assert_eq!(with(&vec![b'a'; 1024 * 1024 + 1]), Err("FILE is longer than 1 MiB".to_owned()));
        for other in [Path::new("/dev/zero"), dir.path()] {
            assert!(read(other).expect_err("no file").contains("is not a regular file"), "{}", other.display());
        }
        assert_eq!(of(io::repeat(b'x')), Err("is longer than 1 MiB".to_owned()), "standard input has an end");
    }
}
