//! Credentials from a TOML file, read again when it changes.

use super::{CredentialError, Credentials};
use crate::config::secret_file;
use crate::secret::Secret;
use serde::Deserialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// What tells one content of a file from the next: device, inode, size, change and modification time.
type Stamp = [i64; 7];

/// The file and what was last found in it.
#[derive(Debug)]
pub(super) struct FileSource {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// Of the content that was read last, well or not.
    stamp: Option<Stamp>,
    good: Option<Arc<Credentials>>,
    error: Option<CredentialError>,
}

impl FileSource {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::default() }
    }

    /// The key in the file; the last good one while the file cannot be used.
    pub(super) fn current(&self) -> Result<Arc<Credentials>, CredentialError> {
        self.read(false)
    }

    /// The same, read in any case.
    pub(super) fn reread(&self) -> Result<Arc<Credentials>, CredentialError> {
        self.read(true)
    }

    fn read(&self, always: bool) -> Result<Arc<Credentials>, CredentialError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(&self.path).ok().map(|m| stamp(&m));
        let changed = stamp.is_none() || stamp != last.stamp;
        if changed || always {
            match look(&self.path) {
                Ok(key) => *last = Last { stamp, good: Some(Arc::new(key)), error: None },
                Err(error) => {
                    if last.good.is_some() && last.error.as_ref() != Some(&error) {
                        tracing::warn!("{error}; going on with the credentials read before");
                    }
                    last.stamp = stamp;
                    last.error = Some(error);
                }
            }
        }
        match (&last.good, &last.error) {
            (Some(key), _) => Ok(Arc::clone(key)),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => unreachable!("the first read leaves a key or an error"),
        }
    }
}

fn stamp(m: &std::fs::Metadata) -> Stamp {
    [
        m.dev().cast_signed(),
        m.ino().cast_signed(),
        m.size().cast_signed(),
        m.mtime(),
        m.mtime_nsec(),
        m.ctime(),
        m.ctime_nsec(),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

fn look(path: &Path) -> Result<Credentials, CredentialError> {
    let wrong = |detail: String| CredentialError::File { path: path.to_owned(), detail };
    let content = secret_file::read(path).map_err(|e| wrong(e.to_string()))?;
    parse(path, content.expose_str().ok_or_else(|| wrong("is not UTF-8".to_owned()))?)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Credentials, CredentialError> {
    let wrong = |detail: String| CredentialError::File { path: path.to_owned(), detail };
    // The parser's own text may quote the line, and with it the secret.
    let document: Document = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        wrong(format!(
            "is wrong in line {line}: expected access-key-id = \"...\", secret-access-key = \"...\" and, for temporary \
             credentials, session-token = \"...\", and nothing else"
        ))
    })?;
    let present = |key: &str, value: String| {
        let value = Zeroizing::new(value);
        let value = value.trim();
        if value.is_empty() { Err(wrong(format!("has an empty {key}"))) } else { Ok(value.to_owned()) }
    };
    Ok(Credentials {
        access_key_id: present("access-key-id", document.access_key_id)?,
        secret_access_key: Secret::from(present("secret-access-key", document.secret_access_key)?),
        session_token: document.session_token.map(|t| present("session-token", t).map(Secret::from)).transpose()?,
        expires: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn write(path: &Path, text: &str, mode: u32) {
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("writes");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).expect("chmod");
        std::fs::rename(new, path).expect("renames");
    }

    const GOOD: &str = "access-key-id = \"ak\"\nsecret-access-key = \"hidden\"\n";

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_keeps_the_last_key() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("c.toml");
        let source = FileSource::new(path.clone());
        let error = source.current().expect_err("not there").to_string();
        assert!(error.contains("c.toml cannot be read: No such file"), "{error}");

        write(&path, GOOD, 0o600);
        let first = source.current().expect("read once it is there");
        assert_eq!((first.access_key_id.as_str(), &first.session_token), ("ak", &None));

        write(&path, &format!("{GOOD}session-token = \"t\"\n"), 0o600);
        let second = source.current().expect("read again");
        assert_eq!(second.session_token, Some(Secret::from("t".to_owned())));

        write(&path, "access-key-id = \"half", 0o600);
        assert_eq!(source.current(), Ok(Arc::clone(&second)), "half-written");
        std::fs::remove_file(&path).expect("removes");
        assert_eq!(source.current(), Ok(second), "gone");
        write(&path, GOOD, 0o600);
        assert_eq!(source.current(), Ok(first), "back");
    }

    #[test]
    fn an_open_mode_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("c.toml");
        for mode in [0o604, 0o644, 0o620, 0o602] {
            write(&path, GOOD, mode);
            let error = FileSource::new(path.clone()).current().expect_err("refused").to_string();
            assert!(error.contains(&format!("mode {mode:04o}")) && error.contains("chmod 0600"), "{error}");
        }
        write(&path, GOOD, 0o640);
        FileSource::new(path).current().expect("our own group may read");
    }

    #[test]
    fn errors_name_the_line_and_never_quote_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("c.toml");
        let cases = [
            ("access-key-id = \"ak\"\nsecret-access-key = hidden\n", "line 2: expected"),
            ("access-key-id = \"ak\"\nsecret-access-key = \"hidden\"\nhidden = 1\n", "line 3: expected"),
            ("access-key-id = \"hidden\"\n", "line 1: expected"),
            ("access-key-id = \"ak\"\nsecret-access-key = \" \"\n", "has an empty secret-access-key"),
        ];
        for (text, expected) in cases {
            write(&path, text, 0o600);
            let error = FileSource::new(path.clone()).current().expect_err("refused").to_string();
            assert!(error.contains(expected) && !error.contains("hidden"), "{error}");
        }
    }
}
