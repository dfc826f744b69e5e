//! `havipctl keygen`.

use super::{complain, print};
use crate::control::protocol::Code;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// As long as the tag that it makes.
const BYTES: usize = 32;

/// Makes a key, for `out` or for standard output.
pub(super) fn run(out: Option<&Path>) -> Code {
    let mut key = Zeroizing::new([0; BYTES]);
    if let Err(error) = getrandom::fill(key.as_mut()) {
        complain(&format!("no random bits from the kernel: {error}"));
        return Code::No;
    }
    let text = Zeroizing::new(hex::encode(key.as_ref()));
    let Some(path) = out else {
        return if print(&text) { Code::Done } else { Code::No };
    };
    match store(path, &text) {
        Ok(()) => Code::Done,
        Err(error) => {
            complain(&format!("cannot write {}: {error}", path.display()));
            if error.kind() == io::ErrorKind::PermissionDenied { Code::Permission } else { Code::No }
        }
    }
}

/// Never over an existing file: it may be the key that a cluster runs on.
fn store(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
