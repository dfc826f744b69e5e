//! Reads the configuration and what it names from the disk, and learns what the process knows of
//! itself. Besides `secret_file`, the only place of the configuration with I/O.

use super::access::User;
use super::check::{LoadError, Loaded, Source, check};
use super::diagnostic::{Diagnostics, locate};
use super::environment::{Disk, Environment};
use super::secret_file;
use havipd_core::model::secret::Secret;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// No configuration is longer (250 groups of 32 HAVIPs are below one); a mistaken path may lead to anything.
const LONGEST: u64 = 4 * 1024 * 1024;

impl Environment {
    /// What this process knows by itself; the addresses come from the part that watches the interfaces.
    #[must_use]
    pub fn of_process(node: Option<String>, local_addresses: Vec<IpAddr>) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let pairs =
            [("BCE_ACCESS_KEY_ID", "BCE_SECRET_ACCESS_KEY"), ("BAIDUCLOUD_ACCESS_KEY", "BAIDUCLOUD_SECRET_KEY")];
        Self {
            node,
            local_addresses,
            losable_addresses: Vec::new(),
            host_name: rustix::system::uname().nodename().to_str().ok().map(str::to_owned),
            credentials_directory: std::env::var_os("CREDENTIALS_DIRECTORY").map(Into::into),
            credentials_in_environment: pairs.iter().any(|(id, secret)| set(id) && set(secret)),
            longest_pause: None,
            stop_timeout: None,
            unit_user: None,
        }
    }
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// Everything that is wrong with it, or that this host is none of its nodes yet.
pub fn load(path: &Path, env: &Environment) -> Result<Loaded, LoadError> {
    let name = path.display().to_string();
    let at = |location, text| LoadError::Invalid(Diagnostics::of_file(&name, location, text));
    let bytes = bytes(path).map_err(|why| at(None, why))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let good = std::str::from_utf8(&e.as_bytes()[..e.utf8_error().valid_up_to()]).unwrap_or_default();
        at(Some(locate(good, good.len())), "is not UTF-8: here is a byte that belongs to no character".to_owned())
    })?;
    let absolute = std::path::absolute(path).map_err(|e| at(None, format!("cannot be found: {e}")))?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    check(Source { name: &name, directory, text: &text }, env, &RealDisk::of(env))
}

/// A file that is not written yet, and the key that is to stand beside it.
#[derive(Debug)]
pub struct Unwritten<'a> {
    /// Where the file will be, absolute.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
    /// A key that is not written yet: where it will be, and its content. Else the disk is read.
    pub key: Option<(&'a Path, &'a Secret)>,
}

/// Checks what [`load`] will find once `file` is written.
///
/// # Errors
/// As [`load`].
pub fn load_unwritten(file: &Unwritten<'_>, env: &Environment) -> Result<Loaded, LoadError> {
    let name = file.path.display().to_string();
    let directory = file.path.parent().unwrap_or(Path::new("/"));
    let disk = WithKey { disk: RealDisk::of(env), key: file.key };
    check(Source { name: &name, directory, text: file.text }, env, &disk)
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |e: std::io::Error| format!("cannot be read: {e}");
    // Asked before it is opened, which would wait for the other end of a pipe.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(LONGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    Ok(bytes)
}

/// The disk of this host.
struct RealDisk(secret_file::Reader, Option<User>);

impl RealDisk {
    fn of(env: &Environment) -> Self {
        let mut reader = secret_file::Reader::of_process();
        // What belongs to the unit's user, which reads it, is closed to everybody else.
        reader.users.extend(env.unit_user);
        Self(reader, env.unit_user.and_then(User::of_host))
    }
}

/// The disk as it will be with a key on it.
struct WithKey<'a> {
    disk: RealDisk,
    key: Option<(&'a Path, &'a Secret)>,
}

impl Disk for WithKey<'_> {
    fn secret(&self, path: &Path) -> Result<Secret, String> {
        match self.key {
            Some((at, key)) if at == path => Ok(key.clone()),
            _ => self.disk.secret(path),
        }
    }

    fn credentials(&self, path: &Path) -> Result<(), String> {
        self.disk.credentials(path)
    }

    fn readable(&self, path: &Path) -> Result<(), String> {
        self.disk.readable(path)
    }

    fn objection(&self, program: &Path) -> Option<String> {
        self.disk.objection(program)
    }
}

impl Disk for RealDisk {
    fn secret(&self, path: &Path) -> Result<Secret, String> {
        let secret = secret_file::read_as(path, &self.0).map_err(|e| e.to_string())?;
        self.1.as_ref().and_then(|user| user.obstacle(path)).map_or(Ok(secret), Err)
    }

    fn credentials(&self, path: &Path) -> Result<(), String> {
        crate::cloud::credentials::check(path, &self.secret(path)?)
    }

    fn readable(&self, path: &Path) -> Result<(), String> {
        let cannot = |e: std::io::Error| format!("cannot be read: {e}");
        let facts = std::fs::metadata(path).map_err(cannot)?;
        if !facts.is_file() {
            return Err("is not a regular file".to_owned());
        }
        File::open(path).map(drop).map_err(cannot)
    }

    fn objection(&self, program: &Path) -> Option<String> {
        let facts = match std::fs::metadata(program) {
            Ok(facts) => facts,
            Err(e) => return Some(format!("cannot be run: {e}")),
        };
        let mode = facts.permissions().mode();
        if !facts.is_file() || mode & 0o111 == 0 {
            return Some("is not an executable file".to_owned());
        }
        let others_write = mode & 0o022 != 0 || (facts.uid() != 0 && mode & 0o200 != 0);
        others_write.then(|| "can be written by others than root".to_owned())
    }
}
