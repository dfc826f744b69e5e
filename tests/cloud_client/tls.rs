//! TLS: whose certificates are believed, and that a late connection carries no late write.

use crate::server::{Accept, Server, ok};
use crate::{Lab, assert_classes, attach, both, havip, soon, targets};
use havipd::clock;
use havipd::cloud::client::{Client, WriteLimits};
use havipd_core::model::cloud::CallClass;
use havipd_core::model::cloud::ErrorClass::{NotSent, Retry};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate authority of the test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root"))
    }

    /// Writes its certificate where `ca-file` can point.
    pub(crate) fn write(&self, dir: &TempDir) -> PathBuf {
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, self.0.pem()).expect("writes");
        path
    }

    /// A server's side, for 127.0.0.1.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, &self.0).expect("signs");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).expect("fits")))
    }
}

#[tokio::test(flavor = "current_thread")]
async fn only_the_authority_in_ca_file_is_believed() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = Server::start_as(vec![ok()], Accept::Tls(ours.acceptor())).await;
    let mut lab = Lab::new(&format!("https://{}", server.address));
    lab.cloud.ca_file = Some(ours.write(&lab.dir));
    let client = lab.client();
    client.havip(&havip(), CallClass::Claim, soon()).await.expect("believed");
    attach(&client).await.expect("believed");

    // A reload reads the file again; connections made before do not count any more.
    other.write(&lab.dir);
    client.reconfigure(&lab.cloud).expect("reconfigured");
    let ended = both(&client).await;
    assert_classes(&ended, (Retry, Retry));
    assert!(ended.0.detail.contains("certificate"), "{}", ended.0);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_ca_file_without_certificates_is_refused_and_changes_nothing() {
    let ours = Authority::new();
    let server = Server::start_as(vec![ok()], Accept::Tls(ours.acceptor())).await;
    let mut lab = Lab::new(&format!("https://{}", server.address));
    let path = ours.write(&lab.dir);
    lab.cloud.ca_file = Some(path.clone());
    let client = lab.client();
    std::fs::write(&path, "nothing\n").expect("writes");
    let error = client.reconfigure(&lab.cloud).expect_err("refused").to_string();
    assert!(error.ends_with("ca.pem holds no certificate in PEM form"), "{error}");
    client.havip(&havip(), CallClass::Claim, soon()).await.expect("as before");
    lab.cloud.ca_file = Some(lab.dir.path().join("absent.pem"));
    let error = Client::new(&lab.cloud).expect_err("refused").to_string();
    assert!(error.contains("cannot read cloud.ca-file") && error.contains("absent.pem"), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_whose_leadership_ends_while_connecting_is_not_sent() {
    let ours = Authority::new();
    let slow = Accept::SlowTls(ours.acceptor(), Duration::from_secs(3));
    let server = Server::start_as(vec![ok()], slow).await;
    let mut lab = Lab::new(&format!("https://{}", server.address));
    lab.cloud.ca_file = Some(ours.write(&lab.dir));
    lab.cloud.connect_timeout = Duration::from_secs(10);
    let limits = WriteLimits::new(clock::now() + Duration::from_secs(1), soon());
    let error = lab.client().attach(&havip(), &targets(), "t", limits).await.expect_err("too late");
    assert_eq!(error.class, NotSent, "{error}");
    assert!(error.detail.contains("leadership has run out"), "{error}");
    assert_eq!(server.seen().connections, 1);
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_host_without_https_is_found_out_without_a_key_or_a_signature() {
    let server = Server::start_as(vec![ok()], Accept::Plain).await;
    let client = Lab::new(&format!("https://{}", server.address)).client();
    assert_eq!(client.answers_without_tls(soon()).await, Some(server.address.to_string()));
    let asked = server.requests();
    assert_eq!(asked.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["HEAD"]);
    assert_eq!(asked[0].headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["Host", "Connection"]);

    let ours = Authority::new();
    let encrypted = Server::start_as(vec![ok()], Accept::Tls(ours.acceptor())).await;
    let client = Lab::new(&format!("https://{}", encrypted.address)).client();
    assert_eq!(client.answers_without_tls(soon()).await, None, "TLS is what it speaks");
    let client = Lab::new(&format!("http://{}", server.address)).client();
    assert_eq!(client.answers_without_tls(soon()).await, None, "is asked for where HTTPS is wanted only");
}
