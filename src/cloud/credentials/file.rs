//! Credentials from a TOML file, or from the profiles of bce-cli, read again when they change.
//!
//! The file may be on a file server that stands still, where a read never ends. So it is read on a thread that may
//! wait, one read at a time, and a call waits only for a moment where an earlier key may still do.

use super::{CredentialError, Credentials};
use crate::config::secret_file;
use crate::plain::quote;
use havipd_core::model::plural::there_are;
use havipd_core::model::secret::Secret;
use serde::Deserialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a call waits for the file while there is an earlier key.
const PATIENCE: Duration = Duration::from_millis(500);

/// What tells one content of a file from the next: device, inode, size, change and modification time.
type Stamp = [i64; 7];

/// The file and what was last found in it; clones share it.
#[derive(Debug, Clone)]
pub(super) struct FileSource(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    last: Mutex<Last>,
    /// One read at a time: however long the file server stands still, one thread waits for it.
    reading: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Last {
    /// Of the content that was read last, well or not.
    stamp: Option<Stamp>,
    good: Option<Arc<Credentials>>,
    error: Option<CredentialError>,
    /// The read under way was waited for in vain.
    stuck: bool,
}

impl FileSource {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(Inner { path, last: Mutex::default(), reading: Arc::default() }))
    }

    /// The key in the file; the last good one while the file cannot be used, or nothing answers for it.
    pub(super) async fn current(&self) -> Result<Arc<Credentials>, CredentialError> {
        self.read(false).await
    }

    /// The same, read in any case.
    pub(super) async fn reread(&self) -> Result<Arc<Credentials>, CredentialError> {
        self.read(true).await
    }

    async fn read(&self, always: bool) -> Result<Arc<Credentials>, CredentialError> {
        let (good, stuck) = {
            let last = self.0.last();
            (last.good.clone(), last.stuck)
        };
        // Without a key there is nothing else to do; the call's own deadline ends the wait.
        let Some(key) = good else { return self.on_a_thread(always).await };
        if stuck {
            return Ok(key);
        }
        if let Ok(found) = tokio::time::timeout(PATIENCE, self.on_a_thread(always)).await {
            return found;
        }
        let mut last = self.0.last();
        // It may have ended just now.
        if self.0.reading.try_lock().is_err() && !std::mem::replace(&mut last.stuck, true) {
            let path = self.0.path.display();
            tracing::warn!("credentials file {path} does not answer; going on with the credentials read before");
        }
        Ok(key)
    }

    async fn on_a_thread(&self, always: bool) -> Result<Arc<Credentials>, CredentialError> {
        let one = Arc::clone(&self.0.reading).lock_owned().await;
        let inner = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || {
            let found = inner.read(always);
            let mut last = inner.last();
            if std::mem::take(&mut last.stuck) {
                tracing::info!("credentials file {} answers again", inner.path.display());
            }
            drop(one);
            found
        });
        let ended = |e: tokio::task::JoinError| wrong(&self.0.path, format!("could not be read: {e}"));
        reading.await.map_err(ended)?
    }
}

impl Inner {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks as long as the file does, and meanwhile nobody else.
    fn read(&self, always: bool) -> Result<Arc<Credentials>, CredentialError> {
        let stamp = std::fs::metadata(&self.path).ok().map(|m| stamp(&m));
        let changed = stamp.is_none() || stamp != self.last().stamp;
        let found = (changed || always).then(|| look(&self.path));
        let mut last = self.last();
        match found {
            Some(Ok(key)) => (last.stamp, last.good, last.error) = (stamp, Some(Arc::new(key)), None),
            Some(Err(error)) => {
                if last.good.is_some() && last.error.as_ref() != Some(&error) {
                    tracing::warn!("{error}; going on with the credentials read before");
                }
                (last.stamp, last.error) = (stamp, Some(error));
            }
            None => {}
        }
        match (&last.good, &last.error) {
            (Some(key), _) => Ok(Arc::clone(key)),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => unreachable!("the first read leaves a key or an error"),
        }
    }
}

fn wrong(path: &Path, detail: String) -> CredentialError {
    CredentialError::File { path: path.to_owned(), detail }
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
    let wrong = |detail: String| wrong(path, detail);
    let content = secret_file::read(path).map_err(|e| wrong(e.to_string()))?;
    parse(path, content.expose_str().ok_or_else(|| wrong("is not UTF-8".to_owned()))?)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Credentials, CredentialError> {
    let wrong = |detail: String| wrong(path, detail);
    if text.trim_start().starts_with('{') {
        return of_bce_cli(text).map_err(wrong);
    }
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
        region: None,
    })
}

/// What bce-cli keeps in `~/.bce/config.json`; other members are its own.
#[derive(Deserialize)]
struct Profiles {
    #[serde(default)]
    current: String,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    name: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    secret_access_key: String,
    #[serde(default)]
    security_token: String,
    #[serde(default)]
    region: String,
}

/// The key of bce-cli's current profile; the only one counts where none is named so.
fn of_bce_cli(text: &str) -> Result<Credentials, String> {
    // As above: what the parser says may hold a secret.
    let Profiles { current, mut profiles } = serde_json::from_str(text).map_err(|e| {
        format!(
            "is wrong in line {}: expected the profiles of bce-cli, {{\"current\": \"...\", \"profiles\": [...]}}",
            e.line()
        )
    })?;
    let at = match profiles.iter().position(|p| p.name == current) {
        Some(at) => at,
        None if profiles.len() == 1 => 0,
        None => {
            let there = there_are(profiles.iter().map(|p| quote(&p.name)));
            return Err(format!("has no profile {}, which \"current\" names; {there}", quote(&current)));
        }
    };
    let profile = profiles.swap_remove(at);
    let filled = |value: String| Some(Zeroizing::new(value).trim().to_owned()).filter(|v| !v.is_empty());
    let needed = |key: &str, value: Option<String>| {
        value.ok_or_else(|| {
            format!("has no {key} in profile {} of bce-cli: run bce-cli's configure", quote(&profile.name))
        })
    };
    Ok(Credentials {
        access_key_id: needed("access_key_id", filled(profile.access_key_id))?,
        secret_access_key: Secret::from(needed("secret_access_key", filled(profile.secret_access_key))?),
        session_token: filled(profile.security_token).map(Secret::from),
        expires: None,
        region: filled(profile.region),
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

    #[tokio::test(flavor = "current_thread")]
    async fn a_changed_file_is_read_again_and_a_broken_one_keeps_the_last_key() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("c.toml");
        let source = FileSource::new(path.clone());
        let error = source.current().await.expect_err("not there").to_string();
        assert!(error.contains("c.toml cannot be read: No such file"), "{error}");

        write(&path, GOOD, 0o600);
        let first = source.current().await.expect("read once it is there");
        assert_eq!((first.access_key_id.as_str(), &first.session_token), ("ak", &None));

        write(&path, &format!("{GOOD}session-token = \"t\"\n"), 0o600);
        let second = source.current().await.expect("read again");
        assert_eq!(second.session_token, Some(Secret::from("t".to_owned())));

        write(&path, "access-key-id = \"half", 0o600);
        assert_eq!(source.current().await, Ok(Arc::clone(&second)), "half-written");
        std::fs::remove_file(&path).expect("removes");
        assert_eq!(source.current().await, Ok(second), "gone");
        write(&path, GOOD, 0o600);
        assert_eq!(source.current().await, Ok(first), "back");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_open_mode_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("c.toml");
        for mode in [0o604, 0o644, 0o620, 0o602] {
            write(&path, GOOD, mode);
            let error = FileSource::new(path.clone()).current().await.expect_err("refused").to_string();
            assert!(error.contains(&format!("mode {mode:04o}")) && error.contains("chmod 0600"), "{error}");
        }
        write(&path, GOOD, 0o640);
        FileSource::new(path).current().await.expect("our own group may read");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn errors_name_the_line_and_never_quote_it() {
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
            let error = FileSource::new(path.clone()).current().await.expect_err("refused").to_string();
            assert!(error.contains(expected) && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn the_current_profile_of_bce_cli_is_a_key() {
        let of = |text: &str| parse(Path::new("/x/config.json"), text).map_err(|e| e.to_string());
        let two = r#"{"current":"work","theme":1,"profiles":[
            {"name":"default","access_key_id":"d","secret_access_key":"hidden","region":"bj"},
            {"name":"work","access_key_id":"w","secret_access_key":"hidden","security_token":"t","region":"gz"}]}"#;
        let key = of(two).expect("read");
        assert_eq!((key.access_key_id.as_str(), key.region.as_deref()), ("w", Some("gz")));
        assert_eq!(key.session_token, Some(Secret::from("t".to_owned())));
        let one = r#"{"profiles":[{"access_key_id":"d","secret_access_key":"s","security_token":"","region":""}]}"#;
        let key = of(one).expect("the only one");
        assert_eq!((key.access_key_id.as_str(), key.session_token, key.region), ("d", None, None));
        for (text, expected) in [
            (two.replace("\"current\":\"work\"", "\"current\":\"home\""), "no profile \"home\""),
            (r#"{"current":"a","profiles":[]}"#.into(), "there is none"),
            (two.replace("\"w\"", "\"\""), "no access_key_id in profile \"work\""),
            (two.replace("\"name\":\"work\",", "\"name\":\"work\",}"), "is wrong in line 3"),
            (r#"{"profiles":[{"secret_access_key":["hidden"]}]}"#.into(), "is wrong in line 1"),
        ] {
            let error = of(&text).expect_err(&text);
            assert!(error.contains(expected) && !error.contains("hidden"), "{error}");
        }
    }

    /// The file itself stands still in tests/liveness.
    #[tokio::test(flavor = "current_thread")]
    async fn a_read_that_does_not_end_is_waited_for_once_by_who_has_a_key() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("c.toml");
        write(&path, GOOD, 0o600);
        let source = FileSource::new(path.clone());
        let key = source.current().await.expect("read");
        write(&path, &format!("{GOOD}session-token = \"t\"\n"), 0o600);

        let under_way = Arc::clone(&source.0.reading).lock_owned().await;
        assert_eq!(source.current().await, Ok(Arc::clone(&key)));
        assert!(source.0.last().stuck);
        // Ready at once: it does not wait again.
        assert_eq!(tokio::time::timeout(Duration::ZERO, source.reread()).await, Ok(Ok(key)));

        let fresh = FileSource::new(path);
        let under_way_there = Arc::clone(&fresh.0.reading).lock_owned().await;
        let wait = tokio::time::timeout(PATIENCE / 2, fresh.current());
        assert!(wait.await.is_err(), "without a key the call's deadline decides");
        drop((under_way, under_way_there));
        source.on_a_thread(false).await.expect("ends");
        assert!(!source.0.last().stuck);
        let new = source.current().await.expect("read again");
        assert_eq!(new.session_token, Some(Secret::from("t".to_owned())));
    }
}
