//! After an unclean exit: the address comes off, then the peers hear the presigned goodbye.
//!
//! While it runs, the daemon keeps what is needed for that in a file of the runtime directory, so
//! that neither a broken configuration nor a dead cloud is in the way. systemd calls
//! `havipd --release-stale` as ExecStopPost, and says in `$SERVICE_RESULT` how the daemon ended.

use crate::errors::chain;
use crate::net::address::Addresses;
use havipd_core::election::Goodbye;
use havipd_core::model::settings::Config;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The file in the runtime directory.
pub const FILE: &str = "last-word.json";
/// A file larger than this is not ours.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What is to be done after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LastWord {
    /// Addresses to take off this host.
    pub addresses: Vec<Ipv4Addr>,
    /// Datagrams to send then, in this order.
    pub datagrams: Vec<Sealed>,
}

/// One datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    from: SocketAddr,
    to: SocketAddr,
    hex: String,
}

/// Why what was left behind could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum StaleError {
    /// The file cannot be used.
    #[error("cannot {step} {}: {source}", path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An address may still be there.
    #[error("{0}")]
    Address(String),
}

impl LastWord {
    /// What a daemon with `config` leaves to others.
    #[must_use]
    pub fn new(config: &Config, goodbyes: &[Goodbye], addresses: Vec<Ipv4Addr>) -> Self {
        let own = &config.local_node().addresses;
        let sealed = |f: &Goodbye| {
            let from = SocketAddr::new(own.get(f.path)?.ip(), 0);
            Some(Sealed { from, to: f.to, hex: hex::encode(&f.bytes) })
        };
        Self { addresses, datagrams: goodbyes.iter().filter_map(sealed).collect() }
    }

    /// Replaces the file in `directory`, readable for its owner only: who can send it can end our sessions.
    ///
    /// # Errors
    /// The step that failed; the old file is still there.
    pub fn store(&self, directory: &Path) -> Result<(), StaleError> {
        let path = directory.join(FILE);
        let new = directory.join(format!("{FILE}.new"));
        let at = |step, path: &Path| {
            let path = path.to_owned();
            move |source| StaleError::File { step, path, source }
        };
        let text = serde_json::to_vec(self).map_err(|e| at("serialise", &path)(e.into()))?;
        // One that is left over may have another mode, which opening it would keep.
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at("remove", &new)(e)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&new).map_err(at("create", &new))?;
        file.write_all(&text).map_err(at("write", &new))?;
        std::fs::rename(&new, &path).map_err(at("replace", &path))
    }

    /// Reads the file in `directory`; none is an empty one.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn load(directory: &Path) -> Result<Self, StaleError> {
        let path = directory.join(FILE);
        let read = || {
            let mut text = Vec::new();
            std::fs::File::open(&path)?.take(MAX_BYTES).read_to_end(&mut text)?;
            serde_json::from_slice(&text).map_err(io::Error::from)
        };
        match read() {
            Ok(word) => Ok(word),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(StaleError::File { step: "read", path, source }),
        }
    }

    /// Takes the addresses off, and says good-bye if that worked: an address that is still here must
    /// not be claimed elsewhere any sooner. Returns what was taken off and how many datagrams went out.
    ///
    /// # Errors
    /// An address may still be there.
    pub fn carry_out(&self) -> Result<(Vec<Ipv4Addr>, usize), StaleError> {
        let failed = |e: &dyn std::error::Error| StaleError::Address(chain(e));
        let mut removed = Vec::new();
        if !self.addresses.is_empty() {
            let mut addresses = Addresses::open().map_err(|e| failed(&e))?;
            let found = addresses.clean(&self.addresses, &[]).map_err(|e| failed(&e))?;
            removed = self.addresses.iter().copied().filter(|a| found.iter().any(|f| f.address == *a)).collect();
        }
        Ok((removed, self.datagrams.iter().filter(|d| d.send().is_ok()).count()))
    }
}

impl Sealed {
    fn send(&self) -> io::Result<()> {
        let bytes = hex::decode(&self.hex).map_err(io::Error::other)?;
        UdpSocket::bind(self.from)?.send_to(&bytes, self.to).map(drop)
    }
}

/// The daemon begins or ended in order: nothing is left to be said for it.
///
/// # Errors
/// The file is there and cannot be removed.
pub fn forget(directory: &Path) -> Result<(), StaleError> {
    let path = directory.join(FILE);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StaleError::File { step: "remove", path, source: e }),
        _ => Ok(()),
    }
}
