//! When certificates that the configuration names end.
//!
//! One that ends takes the cloud's API with it, on every node at once, on a day that is known years before. What a
//! file holds is read again when the file changes, so that a new certificate is seen before the reload that takes it
//! over.

mod der;

use crate::config::secret_file;
use havipd_core::model::settings::ClientCertificate;
use havipd_core::model::settings::{Config, Probe};
use reqwest::Identity;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No file of certificates is larger, bytes; that of a whole system has a quarter of a MiB.
const LARGEST: u64 = 8 << 20;

/// Why nothing is known of a file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not what it should be.
    #[error("is larger than {} MiB", LARGEST >> 20)]
    Large,
    /// It has no certificate.
    #[error("holds no certificate in PEM form")]
    Empty,
    /// It has something that is none.
    #[error("holds a certificate that cannot be read, number {number}: {detail}")]
    Malformed {
        /// Which one, from 1.
        number: usize,
        /// Why.
        detail: String,
    },
}

/// The certificate of a file that ends first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Whose it is, as the certificate says.
    pub subject: String,
    /// The last second of its validity, since 1970.
    pub not_after: i64,
}

/// The files of certificates that this node reads, each once.
#[must_use]
pub fn named(config: &Config) -> Vec<PathBuf> {
    // A witness neither calls the cloud nor runs checks nor reads etcd.
    if config.local_node().witness {
        return Vec::new();
    }
    let run = config.checks.iter().filter(|check| check.runs_on(config.local));
    let checks = run.filter_map(|check| match &check.probe {
        Probe::Http(http) => Some(http.ca_file.iter().chain(http.client.as_ref().map(|client| &client.cert_file))),
        _ => None,
    });
    let etcd = config.etcd.iter().flat_map(|etcd| {
        let own = etcd.client.as_ref().map(|client| &client.cert_file);
        etcd.ca_file.iter().chain(own)
    });
    let mut paths: Vec<PathBuf> = config.cloud.ca_file.iter().chain(checks.flatten()).chain(etcd).cloned().collect();
    paths.sort();
    paths.dedup();
    paths
}

/// What a client of ours shows of itself. Blocks as long as the disk does. Neither file is part of an error's text, nor is what the TLS library makes of the key.
pub(crate) fn identity(client: &ClientCertificate) -> Result<Identity, String> {
    let ClientCertificate { cert_file, key_file } = client;
    let certificate = std::fs::read(cert_file).map_err(|e| format!("{}: {e}", cert_file.display()))?;
    let key = secret_file::read(key_file).map_err(|e| format!("{} {e}", key_file.display()))?;
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + 1 + key.expose().len()));
    both.extend_from_slice(&certificate);
    both.push(b'\n');
    both.extend_from_slice(key.expose());
    Identity::from_pem(&both).map_err(|_| {
        format!("{} holds no certificate in PEM form, or {} no key", cert_file.display(), key_file.display())
    })
}

/// Of the certificates in a file the one that ends first. Blocks as long as the disk does.
///
/// # Errors
/// [`CertificateError`]: there is none, or one cannot be read.
pub fn first_to_end(path: &Path) -> Result<Ending, CertificateError> {
    let mut pem = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > LARGEST {
        return Err(CertificateError::Large);
    }
    let mut first: Option<Ending> = None;
    for (number, der) in (1..).zip(CertificateDer::pem_slice_iter(&pem)) {
        let malformed = |detail: String| CertificateError::Malformed { number, detail };
        let der = der.map_err(|e| malformed(e.to_string()))?;
        let (subject, not_after) =
            der::subject_and_end(&der).ok_or_else(|| malformed("it is no X.509 certificate".to_owned()))?;
        if first.as_ref().is_none_or(|first| not_after < first.not_after) {
            first = Some(Ending { subject, not_after });
        }
    }
    first.ok_or(CertificateError::Empty)
}

/// Files, and what they held when they were last looked at.
#[derive(Debug)]
pub struct Watch(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    stamp: Option<Stamp>,
    ending: Option<i64>,
}

/// What tells one content of a file from the next: device, inode, size, and times of modification and change.
type Stamp = (u64, u64, u64, [i64; 4]);

impl Watch {
    /// Watches these files.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| Watched { path, stamp: None, ending: None }).collect())
    }

    /// No file is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what has changed; each file of which something is known, with the end of its first to end, seconds
    /// since 1970. Blocks as long as the disk does.
    pub fn look(&mut self) -> Vec<(String, i64)> {
        self.0.iter_mut().for_each(Watched::look);
        self.0.iter().filter_map(|w| Some((w.path.display().to_string(), w.ending?))).collect()
    }
}

impl Watched {
    fn look(&mut self) {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .map(|m| (m.dev(), m.ino(), m.size(), [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]));
        if stamp.is_none() || stamp != self.stamp {
            self.ending = first_to_end(&self.path).ok().map(|e| e.not_after);
            self.stamp = stamp;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    /// A certificate that ends with the day before the first of January of that year.
    fn until(name: &str, year: i32) -> String {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
    }

    #[test]
    fn the_files_are_those_that_this_node_reads() {
        let check = |name: &str, keys: &str| format!("[[check]]\nname = \"{name}\"\nhttp = \"https://h/\"\n{keys}\n");
        let more = [
            check("one", "ca-file = \"/ca.pem\"\ncert-file = \"/own.pem\"\nkey-file = \"/own.key\""),
            check("two", "ca-file = \"/ca.pem\""),
            check("three", ""),
            check("elsewhere", "nodes = [\"b\"]\nca-file = \"/other.pem\""),
        ];
        let paths = named(&crate::doctor::fixture::config(&more.concat()));
        assert_eq!(paths, [Path::new("/ca.pem"), Path::new("/own.pem")]);
    }

    const NEW_YEAR_2030: i64 = 1_893_456_000;
    const NEW_YEAR_2040: i64 = 2_208_988_800;

    #[test]
    fn the_first_to_end_counts_wherever_it_stands() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let (early, late) = (until("early", 2030), until("late", 2040));
        for text in [format!("{early}{late}"), format!("words of a human\n{late}\n{early}"), early.clone()] {
            std::fs::write(&path, text).expect("written");
            let first = first_to_end(&path).expect("certificates");
            assert_eq!(first.not_after, NEW_YEAR_2030);
            assert!(first.subject.contains("early"), "{first:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let said = || first_to_end(&path).expect_err("no certificate").to_string();
        assert!(said().starts_with("cannot be read: No such file"), "{}", said());
        for text in ["", "words", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, text).expect("written");
            assert_eq!(said(), "holds no certificate in PEM form");
        }
        let good = until("good", 2030);
        for bad in ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n"] {
            std::fs::write(&path, format!("{good}{bad}")).expect("written");
            assert!(said().starts_with("holds a certificate that cannot be read, number 2: "), "{}", said());
        }
        std::fs::write(&path, vec![b'\n'; 8 << 20]).expect("written");
        assert_eq!(said(), "holds no certificate in PEM form");
        std::fs::write(&path, vec![b'\n'; (8 << 20) + 1]).expect("written");
        assert_eq!(said(), "is larger than 8 MiB");
    }

    #[test]
    fn a_file_that_changes_is_read_again_and_one_that_is_gone_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let mut watch = Watch::new(vec![path.clone()]);
        assert!(!watch.is_empty() && Watch::new(Vec::new()).is_empty());
        assert_eq!(watch.look(), []);
        let name = path.display().to_string();
        for (year, end) in [(2030, NEW_YEAR_2030), (2040, NEW_YEAR_2040)] {
            std::fs::write(&path, until("it", year)).expect("written");
            assert_eq!(watch.look(), [(name.clone(), end)]);
            assert_eq!(watch.look(), [(name.clone(), end)], "not read again");
        }
        std::fs::write(&path, "words").expect("written");
        assert_eq!(watch.look(), []);
        std::fs::write(&path, until("it", 2030)).expect("written");
        assert_eq!(watch.look().len(), 1);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(watch.look(), []);
    }
}
