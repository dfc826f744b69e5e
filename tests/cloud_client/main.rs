//! The cloud's client against scripted servers on loopback: every way in which a call can end.

mod credentials;
mod emulator;
mod failures;
mod identity;
mod names;
mod requests;
mod server;
mod tls;

use havipd::clock;
use havipd::cloud::client::{Client, WriteLimits};
use havipd_core::model::cloud::{CallClass, CallError, ErrorClass};
use havipd_core::model::ids::{HavipId, Target};
use havipd_core::model::settings::{Cloud, CredentialSource};
use havipd_core::model::time::Instant;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The key that [`Lab`] writes into its credentials file.
pub(crate) const ACCESS_KEY: &str = "ak-of-the-lab";
pub(crate) const SECRET_KEY: &str = "secret-of-the-lab";

/// A directory with credentials, and a `[cloud]` that uses them.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) cloud: Cloud,
}

impl Lab {
    pub(crate) fn new(endpoint: &str) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("credentials.toml");
        write_private(&file, &format!("access-key-id = {ACCESS_KEY:?}\nsecret-access-key = {SECRET_KEY:?}\n"));
        let cloud = Cloud {
            region: None,
            endpoint: Some(endpoint.to_owned()),
            metadata_endpoint: "http://127.0.0.1:9".to_owned(),
            ca_file: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(20),
            audit_interval: Duration::from_secs(30),
            requests_per_second: None,
            credentials: CredentialSource::File(file),
        };
        Self { dir, cloud }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.cloud).expect("a client")
    }
}

pub(crate) fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("opens");
    file.write_all(text.as_bytes()).expect("writes");
}

pub(crate) fn havip() -> HavipId {
    "havip-w2d4kgc3x0y1".parse().expect("an id")
}

pub(crate) fn targets() -> Vec<Target> {
    vec!["i-syGfPUYO".parse().expect("an id")]
}

/// Far enough away that only a hang reaches it.
pub(crate) fn soon() -> Instant {
    clock::now() + Duration::from_secs(20)
}

pub(crate) fn limits() -> WriteLimits {
    WriteLimits::new(soon(), soon())
}

pub(crate) async fn attach(client: &Client) -> Result<(), CallError> {
    client.attach(&havip(), &targets(), "token-1", limits()).await
}

/// How a read and a write end against the same script.
pub(crate) async fn both(client: &Client) -> (CallError, CallError) {
    let read = client.havip(&havip(), CallClass::Claim, soon()).await.expect_err("the read fails");
    let write = attach(client).await.expect_err("the write fails");
    (read, write)
}

#[track_caller]
pub(crate) fn assert_classes((read, write): &(CallError, CallError), expected: (ErrorClass, ErrorClass)) {
    assert_eq!((read.class, write.class), expected, "{read} / {write}");
}
