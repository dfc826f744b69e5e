//! The state directory: what survives a restart, in `state.json`.
//!
//! The file is replaced as a whole (written beside, synced, renamed, directory synced), so a crash
//! leaves either the old or the new one. A file that cannot be understood is kept aside as
//! `state.json.corrupt` and the daemon starts without it: lost state costs waiting (the epoch is
//! learned from the peers, a voter waits out the longest lease), never safety. The same is done with a
//! file that has a number which cannot be right, but then the rest of it counts.
//!
//! One thread owns the file, reads it and writes it: [`StateFile`]. A full disk is retried and alarmed, a hung one only
//! makes that thread wait. A daemon that has to begin before its state was read counts as drained, and what it learns
//! replaces nothing until then.
//!
//! Grants are good for one start only. They are taken off the disk before anybody sees them, for a
//! second start that found them would believe that this voter had given nothing since. For the same
//! reason the boot of the machine is put there first. Only a daemon that has its lock and a good configuration takes
//! them; everybody else reads with [`peek`], which changes nothing.

mod file;

pub use file::{Disk, Loaded, StateFile, StateStatus};

use crate::clock;
use havipd_core::model::persisted::Persisted;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file in the state directory.
pub const FILE: &str = "state.json";
const VERSION: u32 = 1;
/// A file larger than this is not ours.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How long a state directory may keep a start, or a look at it, waiting.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Wrong files that are kept aside.
const KEPT: u32 = 9;

/// Why the state could not be written, or its thread not started.
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
    /// There is no thread for it.
    #[error("cannot start the thread that keeps the state: {0}")]
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
    /// None, and earlier runs have left a history beside it: it was lost.
    Lost {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// One that cannot be understood; it was kept aside.
    Corrupt {
        /// Why.
        reason: String,
        /// Where it is now.
        kept: PathBuf,
    },
    /// A good file with numbers that cannot be right: those are not taken over.
    Incredible {
        /// Which ones.
        what: Vec<String>,
        /// Where the file is kept, if it could be.
        kept: Option<PathBuf>,
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
            Self::Lost { path } => write!(
                f,
                "starting without the state of the last run: {} is gone, though there was one (the history is there); a drain or \
                 maintenance that was on is forgotten",
                path.display()
            ),
            Self::Corrupt { reason, kept } => {
                let kept = kept.display();
                write!(f, "starting without the state of the last run ({reason}); its file is kept as {kept}")
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

/// The state is there, perhaps, and could not be read: why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Reads the state of the last run and takes it over: what is good for one start only is off the disk afterwards. To be
/// called by the owner of the file alone, see [`StateFile`]. Blocks as long as the disk does.
///
/// # Errors
/// It could not be read, or neither understood nor kept aside: then nothing was changed, and nothing may take its place.
pub fn load(directory: &Path) -> Result<Loaded, Unreadable> {
    let path = directory.join(FILE);
    let text = match read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let lost = crate::journal::is_in(directory);
            return Ok((Persisted::default(), if lost { Found::Lost { path } } else { Found::Nothing { path } }));
        }
        Err(e) => return Err(Unreadable(format!("cannot read {}: {e}", path.display()))),
    };
    match understand(&text) {
        Ok(mut state) => {
            let what = state.forget_incredible();
            // Before the file is replaced, and never in the place of an earlier one.
            let kept =
                if what.is_empty() { None } else { aside(directory, |aside| std::fs::hard_link(&path, aside)).ok() };
            let (state, found) = take_over(directory, state);
            Ok((state, if what.is_empty() { found } else { Found::Incredible { what, kept } }))
        }
        Err(reason) => match aside(directory, |aside| std::fs::rename(&path, aside)) {
            Ok(kept) => Ok((Persisted::default(), Found::Corrupt { reason, kept })),
            Err(e) => {
                Err(Unreadable(format!("cannot understand {} ({reason}), nor keep it aside: {e}", path.display())))
            }
        },
    }
}

/// Keeps a file aside by `keep`, under the first name that is free; the last name is used again and again.
fn aside(directory: &Path, keep: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
    let names = std::iter::once(format!("{FILE}.corrupt")).chain((2..=KEPT).map(|n| format!("{FILE}.corrupt.{n}")));
    let mut paths = names.map(|name| directory.join(name));
    let last = directory.join(format!("{FILE}.corrupt.{KEPT}"));
    let path = paths.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| {
        // What cannot be removed, `keep` fails on.
        let _ = std::fs::remove_file(&last);
        last
    });
    keep(&path).map(|()| path)
}

/// Takes the grants off the disk, and puts this boot of the machine on it: a second start in the same boot must not
/// take what this one grants for something of an earlier boot.
fn take_over(directory: &Path, mut state: Persisted) -> Loaded {
    let grants = std::mem::take(&mut state.grants);
    let now = clock::machine_boot().unwrap_or_default();
    let before = std::mem::replace(&mut state.machine_boot, now);
    if grants.is_empty() && before == state.machine_boot {
        return (Persisted { machine_boot: before, ..state }, Found::State);
    }
    match write(directory, &state) {
        Ok(()) => (Persisted { grants, machine_boot: before, ..state }, Found::State),
        // The voter then waits as long as a lease that was given just now would last.
        Err(e) => (Persisted { machine_boot: String::new(), ..state }, Found::GrantsIgnored { reason: e.to_string() }),
    }
}

/// The state directory did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

/// The state of the last run, if there is a good one; touches nothing, and waits no longer than `patience`.
///
/// # Errors
/// The disk does not answer in time.
pub fn peek(directory: &Path, patience: Duration) -> Result<Option<Persisted>, Silent> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let path = directory.join(FILE);
    let thread = std::thread::Builder::new().name("havipd-peek".to_owned());
    // Nobody listens any more when the disk took too long; then the result is of no use.
    let look = move || drop(sender.send(read(&path).ok().and_then(|text| understand(&text).ok())));
    thread.spawn(look).map_err(|_| Silent)?;
    receiver.recv_timeout(patience).map_err(|_| Silent)
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
    use havipd_core::model::persisted::{KeptGrant, PersistedGroup};

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
        assert_eq!(load(dir.path()), Ok((stopped.clone(), Found::State)));
        assert_eq!(load(dir.path()), Ok((sample(3), Found::State)));

        // A directory in the place of the new file: reading works, replacing does not.
        write(dir.path(), &stopped).expect("there is room");
        std::fs::create_dir(dir.path().join("state.json.new")).expect("there is room");
        let (state, found) = load(dir.path()).expect("it can be read");
        assert_eq!(state, Persisted { machine_boot: String::new(), ..sample(3) });
        assert!(matches!(found, Found::GrantsIgnored { .. }), "{found:?}");
    }

    #[test]
    fn what_an_earlier_boot_left_is_of_that_boot_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let left = Persisted { machine_boot: "an earlier one".into(), ..sample(3) };
        write(dir.path(), &left).expect("there is room");
        assert_eq!(load(dir.path()), Ok((left.clone(), Found::State)));
        assert_eq!(load(dir.path()), Ok((sample(3), Found::State)), "the first start ran in this boot");

        write(dir.path(), &left).expect("there is room");
        std::fs::create_dir(dir.path().join("state.json.new")).expect("there is room");
        assert_eq!(load(dir.path()).expect("it can be read").0, Persisted { machine_boot: String::new(), ..sample(3) });
    }

    #[test]
    fn what_was_written_is_read_and_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), &sample(1)).expect("there is room");
        write(dir.path(), &sample(2)).expect("there is room");
        assert_eq!(load(dir.path()), Ok((sample(2), Found::State)));
        let mode = dir.path().join(FILE).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.path().read_dir().expect("it is there").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_first_start_finds_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (state, found) = load(dir.path()).expect("it can be read");
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
            let (state, found) = load(dir.path()).expect("it can be read");
            assert_eq!(state, Persisted::default());
            let Found::Corrupt { reason, kept } = found else { panic!("{found:?}") };
            assert!(reason.contains(why), "{reason}");
            assert_eq!(std::fs::read_to_string(kept).expect("it was kept"), text);
            assert!(matches!(load(dir.path()).expect("it can be read").1, Found::Nothing { .. }));
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
            let (state, found) = load(dir.path()).expect("it can be read");
            assert_eq!((state.groups["web"].drained, state.groups["web"].epoch_reserved), (true, 0));
            assert_eq!(state.groups["web"].maintenance, 0);
            let Found::Incredible { what, kept: Some(kept) } = &found else { panic!("{found:?}") };
            assert!(what[0].contains(named) && found.is_wrong(), "{what:?}");
            assert_eq!(std::fs::read_to_string(kept).expect("it was kept"), text);
            write(dir.path(), &state).expect("there is room");
            assert_eq!(load(dir.path()).expect("it can be read").1, Found::State);
            assert_eq!(std::fs::read_to_string(kept).expect("it is still kept"), text, "{i}");
        }
        assert_eq!(dir.path().read_dir().expect("it is there").count(), 4, "each of them is kept");
        let highest = r#"{"version": 1, "state": {"groups": {"web": {"epoch-reserved": 1099511627776}}}}"#;
        std::fs::write(&path, highest).expect("there is room");
        assert_eq!(load(dir.path()).expect("it can be read").1, Found::State);
    }

    #[test]
    fn a_state_that_is_gone_where_earlier_runs_left_a_history_is_wrong() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(!load(dir.path()).expect("it can be read").1.is_wrong(), "a first start");
        std::fs::write(dir.path().join("history.jsonl"), "").expect("there is room");
        let (state, found) = load(dir.path()).expect("it can be read");
        assert!(found.is_wrong() && state == Persisted::default(), "{found}");
        assert!(found.to_string().contains("a drain or maintenance that was on is forgotten"), "{found}");
    }

    #[test]
    fn older_files_without_newer_members_are_fine() {
        let text = br#"{"version": 1, "state": {"groups": {"web": {"epoch-reserved": 9}}}}"#;
        assert_eq!(understand(text).expect("it is good").groups["web"].epoch_reserved, 9);
    }
}
