//! Reads a file that holds a secret, if nobody else can read or write it. One of the two places of
//! the configuration that touch the disk.
//!
//! The file is opened once and judged by its descriptor, so that what is judged is what is read.

use super::access::{Grant, Whom, grants};
use havipd_core::model::secret::Secret;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No key or credential is longer; a mistaken path may lead to anything.
const LONGEST: u64 = 64 * 1024;

/// Why a secret was not read. The path is not part of the text: its reader names it.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is a directory, a pipe, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// It is far longer than any secret.
    #[error("is longer than {LONGEST} bytes, so it is no key or credential")]
    TooLong,
    /// Somebody else can read it.
    #[error("has mode {mode:04o} and group {group}: {who} can read it; use chmod 0600, or 0640 and chgrp havipd")]
    Readable {
        /// Its permission bits.
        mode: u32,
        /// The number of its group.
        group: u32,
        /// Who else can.
        who: &'static str,
    },
    /// Its owner, who can read and change it whatever its mode, is neither root nor the reader.
    #[error("belongs to user {owner}, who can read and change it: use chown root, or chown havipd")]
    Owner {
        /// The number of its owner.
        owner: u32,
    },
    /// Somebody but its owner can write it.
    #[error("has mode {mode:04o}: others than its owner can write it; use chmod 0600, or 0640 and chgrp havipd")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
}

/// Who reads, which decides whose group may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reader {
    /// Groups that may read: the reader's own, and `havipd`.
    pub groups: Vec<u32>,
    /// Users that may own it, besides root, or read it by an access control list: the reader itself, and `havipd`.
    pub users: Vec<u32>,
    /// `$CREDENTIALS_DIRECTORY`. systemd lets the unit's user read its files by an access control
    /// list, whose mask shows where the group's bits are; the directory itself is closed to others.
    pub credentials_directory: Option<PathBuf>,
}

impl Reader {
    /// This process. Root may check a file that is meant for `havipd`, so its group counts too.
    #[must_use]
    pub fn of_process() -> Self {
        let mut groups = vec![rustix::process::getegid().as_raw()];
        groups.extend(group_number("havipd"));
        let mut users = vec![rustix::process::geteuid().as_raw()];
        users.extend(std::fs::read_to_string("/etc/passwd").ok().and_then(|text| number(&text, "havipd")));
        let credentials_directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { groups, users, credentials_directory }
    }

    /// Whether this user may own a secret.
    fn judge_owner(&self, owner: u32) -> Result<(), SecretFileError> {
        if owner == 0 || self.users.contains(&owner) { Ok(()) } else { Err(SecretFileError::Owner { owner }) }
    }

    /// Whether a file of this mode, with these grants, is closed enough.
    fn judge(&self, path: &Path, mode: u32, group: u32, grants: &[Grant]) -> Result<(), SecretFileError> {
        let mode = mode & 0o7777;
        let by_systemd = self.credentials_directory.as_ref().is_some_and(|dir| path.parent() == Some(dir));
        // Of a list, the group's bits are its mask; a credential of systemd is refused by it all the same.
        if mode & 0o002 != 0 || grants.iter().any(|g| g.bits & 2 != 0) || (by_systemd && mode & 0o020 != 0) {
            return Err(SecretFileError::Writable { mode });
        }
        if mode & 0o007 != 0 {
            return Err(SecretFileError::Readable { mode, group, who: "everybody" });
        }
        let foreign = |grant: &&Grant| {
            grant.bits != 0
                && match grant.whom {
                    Whom::User(id) => id != 0 && !self.users.contains(&id),
                    Whom::Group(id) => !self.groups.contains(&id),
                }
        };
        match grants.iter().find(foreign).filter(|_| !by_systemd) {
            Some(Grant { whom: Whom::Group(_), .. }) => {
                Err(SecretFileError::Readable { mode, group, who: "a group that is not havipd's" })
            }
            Some(Grant { whom: Whom::User(_), .. }) => {
                Err(SecretFileError::Readable { mode, group, who: "another user, by an access control list," })
            }
            None => Ok(()),
        }
    }
}

/// The number of the group of that name on this host.
#[must_use]
pub fn group_number(name: &str) -> Option<u32> {
    std::fs::read_to_string("/etc/group").ok().and_then(|text| number(&text, name))
}

/// The number of a group or user, which stands in the third field of either file.
fn number(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// Reads a secret as this process.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read(path: &Path) -> Result<Secret, SecretFileError> {
    read_as(path, &Reader::of_process())
}

/// Reads a secret on behalf of `reader`.
///
/// # Errors
/// See [`SecretFileError`].
pub fn read_as(path: &Path, reader: &Reader) -> Result<Secret, SecretFileError> {
    // Non-blocking, or a pipe without a writer would hold up the start.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?);
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    reader.judge_owner(facts.uid())?;
    reader.judge(path, facts.mode(), facts.gid(), &grants(&file, facts.mode(), facts.gid()))?;
    if facts.len() > LONGEST {
        return Err(SecretFileError::TooLong);
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    (&mut file).take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(SecretFileError::TooLong);
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn reader(groups: &[u32]) -> Reader {
        let credentials_directory = Some("/run/credentials/havipd.service".into());
        let users = vec![70, rustix::process::geteuid().as_raw()];
        Reader { groups: groups.to_vec(), users, credentials_directory }
    }

    #[test]
    fn root_havipd_and_the_reader_may_own_it_and_nobody_else() {
        let of = |owner| Reader { users: vec![70, 1000], ..reader(&[7]) }.judge_owner(owner).map_err(|e| e.to_string());
        assert!(of(0).is_ok() && of(70).is_ok() && of(1000).is_ok());
        let told = "belongs to user 65534, who can read and change it: use chown root, or chown havipd";
        assert_eq!(of(65534), Err(told.to_owned()));
    }

    #[test]
    fn a_file_of_somebody_else_is_not_read() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("key");
        std::fs::write(&path, "secret").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&path, Some(65534), None).is_ok() {
            let error = read_as(&path, &Reader { users: vec![70], ..reader(&[]) }).expect_err("not ours");
            assert!(matches!(error, SecretFileError::Owner { owner: 65534 }), "{error}");
        }
    }

    /// Of a file without a list.
    fn judge(reader: &Reader, path: &Path, mode: u32, group: u32) -> bool {
        reader.judge(path, mode, group, &[Grant { whom: Whom::Group(group), bits: mode >> 3 & 7 }]).is_ok()
    }

    #[test]
    fn a_list_may_let_in_havipd_and_nobody_else() {
        let own = reader(&[7]);
        let by = |whom, bits| {
            let grants = [Grant { whom: Whom::Group(0), bits: 0 }, Grant { whom, bits }];
            own.judge(Path::new("/etc/havipd/key"), 0o640, 0, &grants).map_err(|e| e.to_string())
        };
        assert!(by(Whom::User(70), 4).is_ok() && by(Whom::Group(7), 4).is_ok() && by(Whom::User(71), 0).is_ok());
        assert!(
            by(Whom::User(71), 4).is_err_and(|e| e.contains("another user, by an access control list, can read it"))
        );
        assert!(by(Whom::Group(8), 4).is_err_and(|e| e.contains("a group that is not havipd's can read it")));
        assert!(by(Whom::User(70), 6).is_err_and(|e| e.contains("can write it")));
    }

    #[test]
    fn only_the_owner_writes_and_only_havipd_reads() {
        let own = reader(&[7]);
        let judge = |mode, group| judge(&own, Path::new("/etc/havipd/key"), mode, group);
        for mode in 0..=0o777_u32 {
            let ok = mode & 0o027 == 0;
            assert_eq!(judge(mode, 7), ok, "{mode:04o} of our own group");
            assert_eq!(judge(mode, 8), mode & 0o077 == 0, "{mode:04o} of another group");
        }
    }

    #[test]
    fn a_systemd_credential_shows_the_mask_of_its_list() {
        let own = reader(&[7]);
        let inside = Path::new("/run/credentials/havipd.service/key");
        assert!(judge(&own, inside, 0o440, 0));
        assert!(!judge(&own, inside, 0o444, 0));
        assert!(!judge(&own, inside, 0o660, 0));
        assert!(!judge(&own, Path::new("/run/credentials/other.service/key"), 0o440, 0));
    }

    #[test]
    fn the_group_is_found_by_its_name() {
        let text = "root:x:0:\nhavipd2:x:5:\nhavipd:x:998:a,b\n";
        assert_eq!(number(text, "havipd"), Some(998));
        assert_eq!(number(text, "nobody"), None);
    }

    #[test]
    fn real_files_are_judged_by_their_mode() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("key");
        std::fs::write(&path, "secret").expect("write");
        let gid = std::fs::metadata(&path).expect("facts").gid();
        let read_at = |mode: u32, groups: &[u32]| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
            read_as(&path, &reader(groups)).map_err(|e| e.to_string())
        };
        assert_eq!(read_at(0o600, &[]).expect("private").expose(), b"secret");
        assert!(read_at(0o640, &[gid]).is_ok());
        assert_eq!(
            read_at(0o640, &[gid + 1]).expect_err("another group"),
            format!(
                "has mode 0640 and group {gid}: a group that is not havipd's can read it; \
                 use chmod 0600, or 0640 and chgrp havipd"
            )
        );
        assert_eq!(
            read_at(0o644, &[gid]).expect_err("world"),
            format!("has mode 0644 and group {gid}: everybody can read it; use chmod 0600, or 0640 and chgrp havipd")
        );
        assert_eq!(
            read_at(0o620, &[gid]).expect_err("group writes"),
            "has mode 0620: others than its owner can write it; use chmod 0600, or 0640 and chgrp havipd"
        );
    }

    #[test]
    fn what_is_no_file_or_no_secret_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let read_it = |path: &Path| read_as(path, &reader(&[])).expect_err("refused").to_string();
        assert_eq!(read_it(dir.path()), "is not a regular file");
        assert_eq!(read_it(&dir.path().join("none")), "cannot be read: No such file or directory (os error 2)");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).expect("pipe");
        assert_eq!(read_it(&pipe), "is not a regular file");
        let long = dir.path().join("long");
        std::fs::write(&long, vec![0; 65 * 1024]).expect("write");
        std::fs::set_permissions(&long, std::fs::Permissions::from_mode(0o600)).expect("mode");
        assert_eq!(read_it(&long), "is longer than 65536 bytes, so it is no key or credential");
    }
}
