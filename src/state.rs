//! The state directory: what survives a restart, in `state.json`.
//!
//! The file is replaced as a whole (written beside, synced, renamed, directory synced), so a crash
//! leaves either the old or the new one. A file that cannot be understood is kept aside as
//! `state.json.corrupt` and the daemon starts without it: lost state costs waiting (the epoch is
//! learned from the peers, a voter waits out the longest lease), never safety. The same is done with a
//! file that has a number which cannot be right, but then the rest of it counts.
//!
//! Writing is a thread's work. [`StateWriter::store`] puts the newest state into a slot and returns;
//! a full disk is retried and alarmed, a hung one only makes that thread wait.
//!
//! Grants are good for one start only. They are taken off the disk before anybody sees them, for a
//! second start that found them would believe that this voter had given nothing since. For the same
//! reason the boot of the machine is put there first.

mod writer;

pub use writer::{StateStatus, StateWriter};

use crate::clock;
use havipd_core::model::action::Persisted;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The file in the state directory.
pub const FILE: &str = "state.json";
const VERSION: u32 = 1;
/// A file larger than this is not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Wrong files that are kept aside.
const KEPT: u32 = 9;

/// Why the state could not be written, or the writer not started.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// One step of replacing the file failed; the old file is still there.
    #[error("cannot {step} {}: {source}", path.display())]
    Write {
        /// What was being done.
        step: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state could not be written as JSON.
    #[error("cannot serialise the state: {0}")]
    Serialise(#[from] serde_json::Error),
    /// There is no thread for the writer.
    #[error("cannot start the thread that writes the state: {0}")]
    Thread(#[source] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    state: Persisted,
}

/// What was found in the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A good file.
    State,
    /// None: a first start, or the directory was lost.
    Nothing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// One that cannot be understood; it was kept aside.
    Corrupt {
        /// Why.
        reason: String,
        /// Where it is now, if it could be moved.
        kept: Option<PathBuf>,
    },
    /// A good file with numbers that cannot be right: those are not taken over.
    Incredible {
        /// Which ones.
        what: Vec<String>,
        /// Where the file is kept, if it could be.
        kept: Option<PathBuf>,
    },
    /// One that could not be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// A good file that could not be replaced: what it says of grants, and when they were given, counts as unknown.
    GrantsIgnored {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("state of the last run found"),
            Self::Nothing { path } => write!(f, "no state of an earlier run at {}", path.display()),
            Self::Corrupt { reason, kept: Some(kept) } => {
                write!(
                    f,
                    "starting without the state of the last run ({reason}); its file is kept as {}",
                    kept.display()
                )
            }
            Self::Corrupt { reason, kept: None } => {
                write!(f, "starting without the state of the last run ({reason}); its file could not be moved aside")
            }
            Self::Incredible { what, kept: Some(kept) } => write!(
                f,
                "state of the last run found, but {}: not taken over; the file as it was is kept as {}",
                what.join(", "),
                kept.display()
            ),
            Self::Incredible { what, kept: None } => {
                let what = what.join(", ");
                write!(f, "state of the last run found, but {what}: not taken over; the file could not be kept aside")
            }
            Self::Unreadable { reason } => write!(f, "starting without the state of the last run: {reason}"),
            Self::GrantsIgnored { reason } => {
                write!(
                    f,
                    "state of the last run found, but not what it says of grants, as the file cannot be replaced: {reason}"
                )
            }
        }
    }
}

impl Found {
    /// Whether somebody should look at it.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        !matches!(self, Self::State | Self::Nothing { .. })
    }
}

/// Reads the state of the last run; whatever is wrong with it, there is a state to start with.
/// Blocks as long as the disk does: see [`load_within`].
#[must_use]
pub fn load(directory: &Path) -> (Persisted, Found) {
    load_while(directory, &AtomicBool::new(true))
}

fn load_while(directory: &Path, wanted: &AtomicBool) -> (Persisted, Found) {
    let path = directory.join(FILE);
    let text = match read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return (Persisted::default(), Found::Nothing { path }),
        Err(e) => {
            let reason = format!("cannot read {}: {e}", path.display());
            return (Persisted::default(), Found::Unreadable { reason });
        }
    };
    match understand(&text) {
        Ok(mut state) => {
            let what = state.forget_incredible();
            // Before the file is replaced, and never in the place of an earlier one.
            let kept = if what.is_empty() { None } else { aside(directory, |aside| std::fs::hard_link(&path, aside)) };
            let (state, found) = take_over(directory, state, wanted);
            (state, if what.is_empty() { found } else { Found::Incredible { what, kept } })
        }
        Err(reason) if !wanted.load(Ordering::Acquire) => (Persisted::default(), Found::Unreadable { reason }),
        Err(reason) => {
            let kept = aside(directory, |aside| std::fs::rename(&path, aside));
            (Persisted::default(), Found::Corrupt { reason, kept })
        }
    }
}

/// Keeps a file aside by `keep`, under the first name that is free; the last name is used again and again.
fn aside(directory: &Path, keep: impl FnOnce(&Path) -> io::Result<()>) -> Option<PathBuf> {
    let names = std::iter::once(format!("{FILE}.corrupt")).chain((2..=KEPT).map(|n| format!("{FILE}.corrupt.{n}")));
    let mut paths = names.map(|name| directory.join(name));
    let last = directory.join(format!("{FILE}.corrupt.{KEPT}"));
    let path = paths.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| {
        // What cannot be removed, `keep` fails on.
        let _ = std::fs::remove_file(&last);
        last
    });
    keep(&path).ok().map(|()| path)
}

/// Takes the grants off the disk, and puts this boot of the machine on it: a second start in the same boot must not
/// take what this one grants for something of an earlier boot.
fn take_over(directory: &Path, mut state: Persisted, wanted: &AtomicBool) -> (Persisted, Found) {
    let grants = std::mem::take(&mut state.grants);
    let now = clock::machine_boot().unwrap_or_default();
    let before = std::mem::replace(&mut state.machine_boot, now);
    // A load that was given up must not write over what the daemon has written since.
    let same = grants.is_empty() && before == state.machine_boot;
    if same || !wanted.load(Ordering::Acquire) {
        return (Persisted { machine_boot: before, ..state }, Found::State);
    }
    match write(directory, &state) {
        Ok(()) => (Persisted { grants, machine_boot: before, ..state }, Found::State),
        // The voter then waits as long as a lease that was given just now would last.
        Err(e) => (Persisted { machine_boot: String::new(), ..state }, Found::GrantsIgnored { reason: e.to_string() }),
    }
}

/// The state of the last run, if there is a good one; touches nothing.
#[must_use]
pub fn peek(directory: &Path) -> Option<Persisted> {
    understand(&read(&directory.join(FILE)).ok()?).ok()
}

/// As [`load`], but a disk that does not answer within `patience` counts as unreadable.
#[must_use]
pub fn load_within(directory: &Path, patience: Duration) -> (Persisted, Found) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let for_thread = directory.to_owned();
    let wanted = Arc::new(AtomicBool::new(true));
    let still_wanted = Arc::clone(&wanted);
    let thread = std::thread::Builder::new().name("havipd-load".to_owned());
    let started = thread.spawn(move || {
        // Nobody listens any more when the disk took too long; then the result is of no use.
        let _ = sender.send(load_while(&for_thread, &still_wanted));
    });
    let unreadable = |reason: String| (Persisted::default(), Found::Unreadable { reason });
    match started {
        Err(e) => unreadable(format!("no thread to read {}: {e}", directory.display())),
        Ok(_) => receiver.recv_timeout(patience).unwrap_or_else(|_| {
            wanted.store(false, Ordering::Release);
            unreadable(format!("{} did not answer within {} ms", directory.display(), patience.as_millis()))
        }),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Non-blocking, so that a FIFO in its place cannot hold us up.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn understand(text: &[u8]) -> Result<Persisted, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    let found: Version = serde_json::from_slice(text).map_err(|e| format!("not ours: {e}"))?;
    if found.version != VERSION {
        return Err(format!("format {}, this version reads {VERSION}", found.version));
    }
    serde_json::from_slice::<Document>(text).map(|d| d.state).map_err(|e| format!("damaged: {e}"))
}

/// Replaces the state file, and returns once it is on the disk. Blocks as long as the disk does.
///
/// # Errors
/// The step that failed; the old file is still in place.
pub fn write(directory: &Path, state: &Persisted) -> Result<(), StateError> {
    let text = serde_json::to_vec_pretty(&Document { version: VERSION, state: state.clone() })?;
    let path = directory.join(FILE);
    let new = directory.join(format!("{FILE}.new"));
    let at = |step, path: &Path| {
        let path = path.to_owned();
        move |source| StateError::Write { step, path, source }
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(&new).map_err(at("create", &new))?;
    let written = file
        .set_permissions(std::fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(&text))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // On a full disk the unfinished file would only take the room that the next attempt needs.
        let _ = std::fs::remove_file(&new);
    }
    written.map_err(at("write", &new))?;
    std::fs::rename(&new, &path).map_err(at("replace", &path))?;
    File::open(directory).and_then(|d| d.sync_all()).map_err(at("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::model::action::{KeptGrant, PersistedGroup};

    fn sample(epoch: u64) -> Persisted {
        let group = PersistedGroup { epoch_reserved: epoch, drained: true, ..PersistedGroup::default() };
        Persisted {
            groups: [("web".to_owned(), group)].into(),
            longest_pause: Duration::from_millis(1234),
            machine_boot: clock::machine_boot().expect("a boot"),
            ..Persisted::default()
        }
    }

    #[test]
    fn grants_are_good_for_one_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let grant = KeptGrant { group: "web".into(), node: "a".into(), boot: "00ff".into() };
        let stopped = Persisted { grants: vec![grant], ..sample(3) };
        write(dir.path(), &stopped).expect("there is room");
        assert_eq!(load(dir.path()), (stopped.clone(), Found::State));
        assert_eq!(load(dir.path()), (sample(3), Found::State));

        // A directory in the place of the new file: reading works, replacing does not.
        write(dir.path(), &stopped).expect("there is room");
        std::fs::create_dir(dir.path().join("state.json.new")).expect("there is room");
        let (state, found) = load(dir.path());
        assert_eq!(state, Persisted { machine_boot: String::new(), ..sample(3) });
        assert!(matches!(found, Found::GrantsIgnored { .. }), "{found:?}");
    }

    #[test]
    fn what_an_earlier_boot_left_is_of_that_boot_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let left = Persisted { machine_boot: "an earlier one".into(), ..sample(3) };
        write(dir.path(), &left).expect("there is room");
        assert_eq!(load(dir.path()), (left.clone(), Found::State));
        assert_eq!(load(dir.path()), (sample(3), Found::State), "the first start ran in this boot");

        write(dir.path(), &left).expect("there is room");
        std::fs::create_dir(dir.path().join("state.json.new")).expect("there is room");
        assert_eq!(load(dir.path()).0, Persisted { machine_boot: String::new(), ..sample(3) });
    }

    #[test]
    fn what_was_written_is_read_and_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), &sample(1)).expect("there is room");
        write(dir.path(), &sample(2)).expect("there is room");
        assert_eq!(load(dir.path()), (sample(2), Found::State));
        let mode = dir.path().join(FILE).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.path().read_dir().expect("it is there").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_first_start_finds_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (state, found) = load(dir.path());
        assert_eq!(state, Persisted::default());
        assert_eq!(found, Found::Nothing { path: dir.path().join(FILE) });
    }

    #[test]
    fn what_cannot_be_understood_is_kept_aside() {
        for (text, why) in [
            ("", "not ours"),
            ("{\"version\": 1, \"state\": {\"groups\": 7}}", "damaged"),
            ("{\"version\": 2, \"state\": {}}", "format 2"),
            ("\0\0\0\0", "not ours"),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            std::fs::write(dir.path().join(FILE), text).expect("there is room");
            let (state, found) = load(dir.path());
            assert_eq!(state, Persisted::default());
            let Found::Corrupt { reason, kept: Some(kept) } = found else { panic!("{found:?}") };
            assert!(reason.contains(why), "{reason}");
            assert_eq!(std::fs::read_to_string(kept).expect("it was kept"), text);
            assert!(matches!(load(dir.path()).1, Found::Nothing { .. }));
        }
    }

    #[test]
    fn numbers_that_cannot_be_right_are_forgotten_and_the_rest_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        for (i, (wrong, named)) in [
            ("\"epoch-reserved\": 18446744073709551615", "epoch 18446744073709551615 of group web"),
            ("\"epoch-reserved\": 1099511627777", "epoch 1099511627777 of group web"),
            ("\"maintenance\": 4294967295", "maintenance number 4294967295 of group web"),
        ]
        .into_iter()
        .enumerate()
        {
            let text = format!(r#"{{"version": 1, "state": {{"groups": {{"web": {{"drained": true, {wrong}}}}}}}}}"#);
            std::fs::write(&path, &text).expect("there is room");
            let (state, found) = load(dir.path());
            assert_eq!((state.groups["web"].drained, state.groups["web"].epoch_reserved), (true, 0));
            assert_eq!(state.groups["web"].maintenance, 0);
            let Found::Incredible { what, kept: Some(kept) } = &found else { panic!("{found:?}") };
            assert!(what[0].contains(named) && found.is_wrong(), "{what:?}");
            assert_eq!(std::fs::read_to_string(kept).expect("it was kept"), text);
            write(dir.path(), &state).expect("there is room");
            assert_eq!(load(dir.path()).1, Found::State);
            assert_eq!(std::fs::read_to_string(kept).expect("it is still kept"), text, "{i}");
        }
        assert_eq!(dir.path().read_dir().expect("it is there").count(), 4, "each of them is kept");
        let highest = r#"{"version": 1, "state": {"groups": {"web": {"epoch-reserved": 1099511627776}}}}"#;
        std::fs::write(&path, highest).expect("there is room");
        assert_eq!(load(dir.path()).1, Found::State);
    }

    #[test]
    fn older_files_without_newer_members_are_fine() {
        let text = br#"{"version": 1, "state": {"groups": {"web": {"epoch-reserved": 9}}}}"#;
        assert_eq!(understand(text).expect("it is good").groups["web"].epoch_reserved, 9);
    }
}
