//! Where a `path` of the file leads: absolute, relative to the file, or `credential:NAME`.

use super::diagnostic::quote;
use std::path::{Component, Path, PathBuf};

/// Resolves `text`; the error says what is missing.
pub(super) fn resolve(text: &str, directory: &Path, credentials: Option<&Path>) -> Result<PathBuf, String> {
    let Some(name) = text.strip_prefix("credential:") else {
        return Ok(directory.join(text));
    };
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == name) {
        return Err(format!("{} must name one credential, as in \"credential:heartbeat\"", quote(text)));
    }
    match credentials {
        Some(credentials) => Ok(credentials.join(name)),
        None => Err(format!(
            "{} needs $CREDENTIALS_DIRECTORY, which systemd sets for a unit with LoadCredential={name}:...",
            quote(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_three_forms() {
        let at = |text| resolve(text, Path::new("/etc/havipd"), Some(Path::new("/run/credentials/havipd")));
        assert_eq!(at("/a/b"), Ok(PathBuf::from("/a/b")));
        assert_eq!(at("a/b"), Ok(PathBuf::from("/etc/havipd/a/b")));
        assert_eq!(at("credential:key"), Ok(PathBuf::from("/run/credentials/havipd/key")));
        for bad in ["credential:", "credential:..", "credential:a/b", "credential:/etc/shadow", "credential:a/"] {
            assert!(at(bad).is_err(), "{bad}");
        }
        assert!(resolve("credential:key", Path::new("/"), None).is_err_and(|e| e.contains("$CREDENTIALS_DIRECTORY")));
    }
}
