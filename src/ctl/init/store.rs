//! Key and file on the disk: whole or not at all, never over what is there.
//!
//! Each is written beside its place and then linked there, which fails where a file has that name. Signals that end the
//! process wait until both are done.

use crate::config::check::heartbeat_key;
use crate::config::secret_file::{self, group_number};
use crate::control::protocol::{Code, Response};
use crate::ctl::keygen;
use havipd_core::model::secret::Secret;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the package installs as havipd.toml: nobody's configuration.
const SHIPPED: &[u8] = include_bytes!("../../../config/havipd.toml");
/// Its name in the file, which stands in the same directory.
pub(super) const KEY: &str = "heartbeat.key";

/// The key of the cluster.
pub(super) struct Key {
    /// Where it is, or will be.
    pub(super) path: PathBuf,
    /// As it stands in its file.
    pub(super) text: Secret,
    /// It is on the disk already.
    pub(super) found: bool,
}

/// The key that is there, else a new one, which is not written yet.
pub(super) fn key_beside(file: &Path) -> Result<Key, Response> {
    let path = file.with_file_name(KEY);
    let refuse = |why: String| Response::new(Code::Configuration, format!("{}: {why}", path.display()));
    if path.symlink_metadata().is_ok() {
        let text = secret_file::read(&path).map_err(|e| refuse(e.to_string()))?;
        heartbeat_key(&text).map_err(refuse)?;
        return Ok(Key { path, text, found: true });
    }
    let text = keygen::new_key().map_err(|e| Response::new(Code::No, e))?;
    Ok(Key { text: Secret::new(format!("{}\n", *text).into_bytes()), path, found: false })
}

/// Whether nothing stands where the file is to be, or only the example that the package puts there.
pub(super) fn free(file: &Path) -> Result<(), Response> {
    match file.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match file.parent() {
            Some(directory) if !directory.is_dir() => {
                let text =
                    format!("there is no directory {}: make it, or name another file with --out", directory.display());
                Err(Response::new(Code::No, text))
            }
            _ => writable(file),
        },
        Err(error) => Err(failed(file, &error)),
        Ok(_) if is_example(file) && aside(file).symlink_metadata().is_err() => writable(file),
        Ok(_) => Err(taken(file)),
    }
}

/// Known before anything is asked: nobody answers questions for a file that cannot be written.
fn writable(file: &Path) -> Result<(), Response> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let directory = file.parent().unwrap_or(Path::new("/"));
    let asked = rustix::fs::accessat(rustix::fs::CWD, directory, access, rustix::fs::AtFlags::EACCESS);
    asked.map_err(|error| failed(file, &error.into()))
}

/// Writes both. What was written is taken away again if the rest cannot be.
///
/// Gives the place where the package's example is now, if it was in the way.
pub(super) fn store(file: &Path, text: &str, key: &Key) -> Result<Option<PathBuf>, Response> {
    let held = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        // Where that fails, a signal ends the process at a moment that leaves at most a file with another name.
        let _ = signal_hook::flag::register(signal, Arc::clone(&held));
    }
    if !key.found {
        let group = if rustix::process::geteuid().is_root() { group_number("havipd") } else { None };
        let mode = if group.is_some() { 0o640 } else { 0o600 };
        place(&key.path, key.text.expose(), mode, group).map_err(|e| failed(&key.path, &e))?;
    }
    let written = moved_away(file).and_then(|example| {
        place(file, text.as_bytes(), 0o644, None).map(|()| example.clone()).inspect_err(|_| {
            if let Some(example) = &example {
                // The first error is the one that counts.
                let _ = std::fs::rename(example, file);
            }
        })
    });
    written.map_err(|error| {
        if !key.found {
            let _ = std::fs::remove_file(&key.path);
        }
        failed(file, &error)
    })
}

fn is_example(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|facts| facts.is_file() && facts.len() == SHIPPED.len() as u64)
        && std::fs::read(file).is_ok_and(|bytes| bytes == SHIPPED)
}

fn aside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".example");
    file.with_file_name(name)
}

fn moved_away(file: &Path) -> io::Result<Option<PathBuf>> {
    if !is_example(file) {
        return Ok(None);
    }
    let aside = aside(file);
    std::fs::hard_link(file, &aside)?;
    std::fs::remove_file(file)?;
    Ok(Some(aside))
}

/// A whole file with that name, or none.
fn place(path: &Path, content: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(name);
    let placed = write(&beside, content, mode, group).and_then(|()| std::fs::hard_link(&beside, path));
    // The first error is the one that counts.
    let _ = std::fs::remove_file(&beside);
    placed?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn write(path: &Path, content: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    if group.is_some() {
        std::os::unix::fs::fchown(&file, None, group)?;
    }
    // Whatever the umask is: the daemon's own user reads the file.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn taken(path: &Path) -> Response {
    let text = format!(
        "{} exists and may be the file that a cluster runs on, so it is left alone: name another file with --out, move it \
         away, or look at what would be written with --dry-run",
        path.display()
    );
    Response::new(Code::No, text)
}

fn failed(path: &Path, error: &io::Error) -> Response {
    match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        io::ErrorKind::PermissionDenied => {
            let text =
                format!("cannot write {}: {error}; run it as root, or name another file with --out", path.display());
            Response::new(Code::Permission, text)
        }
        _ => Response::new(Code::No, format!("cannot write {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn key_in(directory: &Path) -> Key {
        key_beside(&directory.join("havipd.toml")).expect("a key")
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("readable")
            .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn both_are_written_with_their_modes_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("havipd.toml");
        let key = key_in(directory.path());
        assert_eq!(store(&file, "x = 1\n", &key).map_err(|r| r.message), Ok(None));
        assert_eq!(names(directory.path()), ["havipd.toml", KEY]);
        let mode = |path: &Path| std::fs::metadata(path).expect("facts").mode() & 0o777;
        assert_eq!(mode(&file), 0o644);
        assert_eq!(mode(&key.path) & 0o037, 0, "nobody else reads the key");
        let again = key_in(directory.path());
        assert!(again.found && again.text == key.text, "the key that is there is taken");
    }

    #[test]
    fn what_is_there_stays_and_no_new_key_is_left_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("havipd.toml");
        std::fs::write(&file, "mine").expect("write");
        assert!(free(&file).expect_err("taken").message.contains("is left alone"));
        let refused = store(&file, "x = 1\n", &key_in(directory.path())).expect_err("taken");
        assert!(refused.message.contains("is left alone"), "{refused:?}");
        assert_eq!(std::fs::read(&file).expect("readable"), b"mine");
        assert_eq!(names(directory.path()), ["havipd.toml"]);
    }

    #[test]
    fn the_example_of_the_package_makes_room_and_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("havipd.toml");
        std::fs::write(&file, SHIPPED).expect("write");
        free(&file).expect("only an example");
        let kept = store(&file, "x = 1\n", &key_in(directory.path())).expect("written").expect("kept");
        assert_eq!(std::fs::read(&kept).expect("readable"), SHIPPED);
        assert_eq!(std::fs::read(&file).expect("readable"), b"x = 1\n");
        std::fs::write(&file, SHIPPED).expect("write");
        assert!(free(&file).is_err(), "the example has been moved once, to a name that is taken now");
    }

    #[test]
    fn a_key_that_is_none_is_told_without_showing_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(KEY);
        std::fs::write(&path, "hunter2").expect("write");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("mode");
        let refused = key_beside(&directory.path().join("havipd.toml")).err().expect("no key");
        assert!(
            refused.message.contains("is not a heartbeat key") && !refused.message.contains("hunter2"),
            "{refused:?}"
        );
    }
}
