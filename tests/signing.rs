//! bce-auth-v1 against fixed vectors and against the official Python SDK.

use havipd::cloud::sign::{self, Authorization, Received, SignedHeaders, ToSign};
use havipd_core::model::secret::Secret;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

/// One request of `tests/data/bce-auth-vectors.json`, whose `_about` member explains the fields.
#[derive(Deserialize)]
struct Vector {
    name: String,
    timestamp: String,
    path_encoded: String,
    auth_string_prefix: String,
    signing_key: String,
    canonical_request: String,
    signature: String,
    #[serde(flatten)]
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    access_key_id: String,
    secret_access_key: String,
    timestamp_unix: i64,
    expiration_seconds: u32,
    method: String,
    path_raw: String,
    query: Vec<(String, Option<String>)>,
    headers: Vec<(String, String)>,
    headers_to_sign: Option<Vec<String>>,
    authorization: String,
}

impl Request {
    fn signed(&self) -> SignedHeaders {
        match &self.headers_to_sign {
            None => SignedHeaders::Default,
            Some(names) => SignedHeaders::listed(&names.iter().map(String::as_str).collect::<Vec<_>>()),
        }
    }

    fn query(&self) -> Vec<(&str, Option<&str>)> {
        self.query.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect()
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
    }

    fn secret(&self) -> Secret {
        Secret::from(self.secret_access_key.clone())
    }

    /// What `ToSign` makes of it.
    fn authorization(&self) -> String {
        let (query, headers, signed) = (self.query(), self.headers(), self.signed());
        let request =
            ToSign { method: &self.method, path: &self.path_raw, query: &query, headers: &headers, signed: &signed };
        let timestamp = sign::timestamp(self.timestamp_unix);
        request.authorization(&self.access_key_id, &self.secret(), &timestamp, self.expiration_seconds)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_vector_agrees_in_every_intermediate_value() {
    let text = std::fs::read_to_string(root().join("tests/data/bce-auth-vectors.json")).expect("vectors are there");
    let all: Vectors = serde_json::from_str(&text).expect("vectors parse");
    assert_eq!(all.vectors.len(), 8);
    for v in all.vectors {
        let r = &v.request;
        let name = &v.name;
        assert_eq!(sign::timestamp(r.timestamp_unix), v.timestamp, "{name}");
        let prefix = sign::auth_string_prefix(&r.access_key_id, &v.timestamp, r.expiration_seconds);
        assert_eq!(prefix, v.auth_string_prefix, "{name}");
        let key = sign::signing_key(&r.secret(), &prefix);
        assert_eq!(key.expose_str(), Some(v.signing_key.as_str()), "{name}");

        let parts: Vec<&str> = v.canonical_request.splitn(4, '\n').collect();
        let uri = sign::canonical_uri(&r.path_raw);
        assert_eq!((r.method.as_str(), uri.as_str()), (parts[0], parts[1]), "{name}");
        assert_eq!(uri, v.path_encoded, "{name}");
        let query = sign::canonical_query(r.query());
        assert_eq!(query, parts[2], "{name}");
        let headers = sign::canonical_headers(r.headers(), &r.signed());
        assert_eq!(headers, parts[3], "{name}");
        let canonical = sign::canonical_request(&r.method, &uri, &query, &headers);
        assert_eq!(canonical, v.canonical_request, "{name}");
        let signature = sign::signature(&key, &canonical);
        assert_eq!(signature, v.signature, "{name}");
        assert_eq!(sign::authorization(&prefix, &r.signed(), &signature), r.authorization, "{name}");
        assert_eq!(r.authorization(), r.authorization, "{name}");
    }
}

/// A case of `tests/signing/sdk.py`.
#[derive(Deserialize)]
struct SdkCase {
    path_wire: String,
    query_wire: String,
    #[serde(flatten)]
    request: Request,
}

#[test]
fn the_official_python_sdk_signs_random_requests_alike() {
    const SEED: &str = "20261122";
    const COUNT: usize = 2000;
    let script = root().join("tests/signing/sdk.py");
    let out = Command::new(python()).arg(script).arg(SEED).arg(COUNT.to_string()).output().expect("python runs");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "the SDK script failed (seed {SEED}):\n{errors}");
    let text = String::from_utf8(out.stdout).expect("JSON is UTF-8");
    let mut seen = 0;
    for line in text.lines() {
        let case: SdkCase = serde_json::from_str(line).expect("a case parses");
        let r = &case.request;
        assert_eq!(r.authorization(), r.authorization, "seed {SEED}, case {seen}: {line}");

        let parsed = Authorization::parse(&r.authorization).expect("the SDK's header parses");
        let headers = r.headers();
        let received =
            Received { method: &r.method, raw_path: &case.path_wire, raw_query: &case.query_wire, headers: &headers };
        assert_eq!(received.verify(&parsed, &r.secret()), Ok(()), "seed {SEED}, case {seen}: {line}");
        seen += 1;
    }
    assert_eq!(seen, COUNT);
}

/// The python that has the SDK: `HAVIPD_TEST_PYTHON`, else the one that `tests/setup-python.sh` makes.
fn python() -> PathBuf {
    const REMEDY: &str = "run `tests/setup-python.sh` where python3 and PyPI (or a mirror) can be reached, \
                          and set HAVIPD_TEST_PYTHON to the path that it prints";
    if let Some(path) = std::env::var_os("HAVIPD_TEST_PYTHON") {
        let path = PathBuf::from(path);
        assert!(path.exists(), "HAVIPD_TEST_PYTHON={} does not exist: {REMEDY}", path.display());
        return path;
    }
    let out = Command::new("sh").arg(root().join("tests/setup-python.sh")).output().expect("sh runs");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "no python with bce-python-sdk: {REMEDY}\n{errors}");
    let path = String::from_utf8(out.stdout).expect("a path");
    let path = Path::new(path.trim()).to_owned();
    assert!(path.exists(), "{} does not exist: {REMEDY}", path.display());
    path
}
