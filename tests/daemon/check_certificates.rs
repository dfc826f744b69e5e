//! Checks of servers that ask who is there: the certificate that is shown, and its key, which nobody else sees.

use crate::lab::{Daemon, Lab, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A certificate authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for `name`, and its key, which only its owner reads.
    fn issue(&self, name: &str, certificate: &Path, key: &Path) -> String {
        let pair = KeyPair::generate().unwrap();
        let issued = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&pair, &self.0).unwrap();
        std::fs::write(certificate, issued.pem()).unwrap();
        std::fs::write(key, pair.serialize_pem()).unwrap();
        std::fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
        pair.serialize_pem()
    }

    /// A server of that name, which answers clients that show a certificate of this authority, or all, if it does not ask.
    fn serve(&self, name: &str, asks: bool) -> SocketAddr {
        let pair = KeyPair::generate().unwrap();
        let issued = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&pair, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config =
            if asks { config.with_client_cert_verifier(verifier.unwrap()) } else { config.with_no_client_auth() };
        let config = Arc::new(config.with_single_cert(vec![issued.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    // Nothing is answered to who does not get this far.
                    if stream.read(&mut [0; 4096]).is_ok() {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                });
            }
        });
        address
    }
}

fn wait_check(daemon: &Daemon, name: &str, what: &str, fact: impl Fn(&Value) -> bool) {
    daemon.wait_for(&format!("{name} {what}"), |s| {
        let mut checks = s["effects"]["checks"].as_array().into_iter().flatten();
        checks.any(|check| check["name"] == name && fact(check))
    });
}

fn wait_state(daemon: &Daemon, name: &str, state: &str) {
    wait_check(daemon, name, &format!("is {state}"), |check| check["state"] == state);
}

/// Waits until a run of that check was refused, whatever the first of them came to.
fn wait_refused(daemon: &Daemon, name: &str) {
    wait_check(daemon, name, "is refused", |check| check["state"] == "down" && check["last"]["result"] == "failed");
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_one_and_its_key_is_kept() {
    let (ours, other) = (Authority::new(), Authority::new());
    let address = ours.serve("127.0.0.1", true);
    let mut lab = Lab::new(Options { group: "checks = [\"with\", \"without\"]".to_owned(), ..Options::default() });
    let place = |name: &str| lab.dir.path().join(name);
    let (ca, certificate, key) = (place("ca.pem"), place("client.pem"), place("client.key"));
    std::fs::write(&ca, ours.0.pem()).unwrap();
    let keys = [other.issue("havipd", &certificate, &key), ours.issue("havipd", &place("new.pem"), &place("new.key"))];
    let check = |name: &str, more: &str| {
        let url = format!("http = \"https://{address}/\"\nca-file = {ca:?}\n");
        format!("[[check]]\nname = {name:?}\n{url}interval = \"1s\"\nweight = 5\n{more}")
    };
    let files = format!("cert-file = {certificate:?}\nkey-file = {key:?}\n");
    let tables = check("with", &files) + &check("without", "");
    lab.options.tables = tables;
    lab.write_config();
    let a = lab.start(0);
    wait_state(&a, "without", "down");
    wait_state(&a, "with", "down");

    // Another one is taken over without a reload.
    std::fs::rename(place("new.key"), &key).unwrap();
    std::fs::rename(place("new.pem"), &certificate).unwrap();
    wait_state(&a, "with", "up");
    wait_refused(&a, "without");

    // A key that others can read is no key: not for the file, and not for the check.
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let checked = lab.command(0).arg("--check-config").output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("client.key: has mode 0644") && said.contains("everybody can read it"), "{said}");
    assert_eq!(checked.status.code(), Some(78), "{said}");

    let status = a.status().unwrap().to_string();
    let secrets = keys.iter().flat_map(|key| key.lines().filter(|line| !line.starts_with("-----")));
    for secret in secrets {
        assert!(!a.log().contains(secret) && !status.contains(secret) && !said.contains(secret), "a key is shown");
    }
}

#[test]
fn a_server_is_asked_for_the_given_host_wherever_it_is() {
    let ours = Authority::new();
    let port = ours.serve("shop.example", false).port();
    let mut lab =
        Lab::new(Options { group: "checks = [\"address\", \"name\", \"other\"]".to_owned(), ..Options::default() });
    let ca = lab.dir.path().join("ca.pem");
    std::fs::write(&ca, ours.0.pem()).unwrap();
    let check = |name: &str, url: &str, host: &str| {
        let url = format!("http = \"https://{url}:{port}/\"\nca-file = {ca:?}\nhost = {host:?}\n");
        format!("[[check]]\nname = {name:?}\n{url}interval = \"1s\"\nweight = 5\n")
    };
    // Names are the same however they are written. No resolver knows this one.
    lab.options.tables = check("address", "127.0.0.1", "Shop.Example")
        + &check("name", "localhost", "shop.example")
        + &check("other", "127.0.0.1", "else.example");
    lab.write_config();
    let a = lab.start(0);
    wait_state(&a, "address", "up");
    wait_state(&a, "name", "up");
    wait_refused(&a, "other");
}
