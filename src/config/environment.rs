//! What is known of the host when a file is checked, handed in by the part that does the I/O.

use havipd_core::model::secret::Secret;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Facts of the host and the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// `--node`.
    pub node: Option<String>,
    /// Every address of every local interface.
    pub local_addresses: Vec<IpAddr>,
    /// Those of them that an interface can lose: all but the loopback's.
    pub losable_addresses: Vec<IpAddr>,
    /// The host's name, as `uname` gives it.
    pub host_name: Option<String>,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts what `LoadCredential=` names.
    pub credentials_directory: Option<PathBuf>,
    /// Cloud credentials are in the environment, so that a credentials file would not be read.
    pub credentials_in_environment: bool,
    /// The longest pause of this host that was ever recorded in the state directory.
    pub longest_pause: Option<Duration>,
    /// `TimeoutStopSec` of the unit, if there is one.
    pub stop_timeout: Option<Duration>,
    /// The number of the user that the unit runs as, where root checks a file for it.
    pub unit_user: Option<u32>,
}

/// The files that a configuration names.
pub trait Disk {
    /// Reads a secret; the error says why it is refused, without the path.
    fn secret(&self, path: &Path) -> Result<Secret, String>;
    /// Whether a file of credentials is one; the error says what is wrong with it, without the path and without what is in it.
    fn credentials(&self, path: &Path) -> Result<(), String> {
        self.secret(path).map(drop)
    }
    /// Whether a file that is no secret can be read; the error says why not, without the path.
    fn readable(&self, path: &Path) -> Result<(), String>;
    /// What is to be said against running this program, without the path.
    fn objection(&self, program: &Path) -> Option<String>;
}
