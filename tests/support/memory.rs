//! A place that no disk can keep waiting.

use std::path::Path;
use tempfile::TempDir;

/// A directory for state and sockets. A disk on which somebody builds may keep a daemon waiting for longer than it waits for its
/// state, and what it then does differs; that is tried where a disk is made slow on purpose.
pub(crate) fn directory(prefix: &str) -> TempDir {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(prefix);
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.expect("a directory")
}
