//! `havipctl keygen`.

use super::say;
use crate::control::protocol::{Code, Response};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// As long as the tag that it makes.
const BYTES: usize = 32;

/// A new key, as it stands in its file.
///
/// # Errors
/// The kernel has no random bits.
pub(super) fn new_key() -> Result<Zeroizing<String>, String> {
    let mut key = Zeroizing::new([0; BYTES]);
    getrandom::fill(key.as_mut()).map_err(|error| format!("no random bits from the kernel: {error}"))?;
    Ok(Zeroizing::new(hex::encode(key.as_ref())))
}

/// Makes a key, for `out` or for standard output.
pub(super) fn run(out: Option<&Path>, as_json: bool) -> Code {
    let text = match new_key() {
        Ok(text) => text,
        Err(why) => return say::tell(&Response::new(Code::No, why), as_json),
    };
    let Some(path) = out else {
        let response = Response::done("a new key").with_data(json!({ "key": *text }));
        return say::show(&response, as_json, || text.to_string());
    };
    match store(path, &text) {
        Ok(()) if as_json => say::tell(&Response::done("written").with_data(json!({ "path": path })), true),
        Ok(()) => Code::Done,
        Err(error) => {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let code = if denied { Code::Permission } else { Code::No };
            let text = if path.is_dir() {
                format!("{} is a directory: name a file in it", path.display())
            } else if error.kind() == io::ErrorKind::AlreadyExists {
                format!(
                    "{} exists and may be the key that a cluster runs on, so it is left alone: name another file, and rotate the \
                     key as havipd.toml(5) has it for heartbeat.keys",
                    path.display()
                )
            } else {
                format!("cannot write {}: {error}", path.display())
            };
            say::tell(&Response::new(code, text), as_json)
        }
    }
}

/// Never over an existing file: it may be the key that a cluster runs on.
fn store(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
