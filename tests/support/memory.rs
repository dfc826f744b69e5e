//! A place that no disk can keep waiting.

use std::path::Path;
use tempfile::TempDir;

/// A directory for state and sockets. A disk on which somebody builds may keep a daemon waiting for longer than it waits for its
/// state, and what it then does differs; that is tried where a disk is made slow on purpose.
pub(crate) fn directory(prefix: &str) -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    directory_in(&place, prefix)
}

/// A directory in `place`, in which nothing stays of earlier runs.
pub(crate) fn directory_in(place: &Path, prefix: &str) -> TempDir {
    clear(place, prefix);
    let prefix = format!("{prefix}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(place).expect("a directory")
}

/// Removes what runs before this one left: one that was killed removes nothing itself.
fn clear(place: &Path, prefix: &str) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(prefix)?.split('-').next()?.parse::<u32>().ok());
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another run may be at it, too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
