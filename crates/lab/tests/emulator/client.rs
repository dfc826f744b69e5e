//! A caller that signs with `cloud::sign` and shows raw answers.

use havipd::cloud::sign::{self, SignedHeaders, ToSign};
use havipd_core::model::secret::Secret;
use havipd_lab::emulator::{Emulator, EmulatorConfig};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(crate) const HAVIP: &str = "havip-1";

/// Longest that a test waits for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Nodes a, b, c and one HAVIP.
pub(crate) fn config() -> EmulatorConfig {
    let nodes = ["a", "b", "c"];
    let base = EmulatorConfig::new(loopback()).with_havip(HAVIP, Ipv4Addr::new(10, 0, 0, 100));
    (1..).zip(nodes).fold(base, |config, (n, name)| config.with_node(name, Ipv4Addr::new(10, 0, 0, n)))
}

pub(crate) async fn start() -> Emulator {
    Emulator::start(config()).await.expect("starts")
}

pub(crate) fn unix_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    /// `200`, or status and code of an error.
    pub(crate) fn summary(&self) -> String {
        match serde_json::from_str::<Value>(&self.body).ok().and_then(|v| v["code"].as_str().map(str::to_owned)) {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// How a request is signed; the members are what tests distort.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoint: String,
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    /// Seconds since 1970 that the signature is made for.
    pub(crate) time: i64,
    pub(crate) expiration: u32,
    pub(crate) signed: Vec<&'static str>,
    pub(crate) send_date: bool,
    /// Path that the signature is made for, if not the one that is called.
    pub(crate) signed_path: Option<&'static str>,
}

impl Client {
    pub(crate) fn new(emulator: &Emulator, node: &str) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            endpoint: emulator.endpoint(),
            access_key: format!("ak-{node}"),
            secret: format!("sk-{node}"),
            token: None,
            time: unix_now(),
            expiration: 1800,
            signed: vec!["host", "x-bce-date"],
            send_date: true,
            signed_path: None,
        }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, Option<&str>)],
        body: Option<&Value>,
    ) -> Result<Reply, reqwest::Error> {
        let host = self.endpoint.split_once("://").expect("a URL").1;
        let timestamp = sign::timestamp(self.time);
        let mut headers = vec![("host", host)];
        if self.send_date {
            headers.push(("x-bce-date", &timestamp));
        }
        if let Some(token) = &self.token {
            headers.push(("x-bce-security-token", token));
        }
        let signed = SignedHeaders::listed(&self.signed);
        let to_sign =
            ToSign { method, path: self.signed_path.unwrap_or(path), query, headers: &headers, signed: &signed };
        let secret = Secret::from(self.secret.clone());
        let authorization = to_sign.authorization(&self.access_key, &secret, &timestamp, self.expiration);
        let query: Vec<String> = query
            .iter()
            .map(|(k, v)| v.map_or_else(|| sign::encode(k), |v| format!("{}={}", sign::encode(k), sign::encode(v))))
            .collect();
        let url = format!("{}{}?{}", self.endpoint, sign::canonical_uri(path), query.join("&"));
        let mut request = self.http.request(method.parse().expect("a method"), url);
        for (name, value) in headers.into_iter().skip(1).chain([("authorization", authorization.as_str())]) {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, body: response.text().await? })
    }

    pub(crate) async fn detail(&self) -> Result<Reply, reqwest::Error> {
        self.call("GET", &format!("/v1/havip/{HAVIP}"), &[], None).await
    }

    pub(crate) async fn bind(&self, action: &str, ids: &[&str], token: &str) -> Result<Reply, reqwest::Error> {
        let body = json!({"instanceIds": ids, "instanceType": "SERVER"});
        let query = [(action, None), ("clientToken", Some(token))];
        self.call("PUT", &format!("/v1/havip/{HAVIP}"), &query, Some(&body)).await
    }
}

/// Posts one command to the control API.
pub(crate) async fn post(emulator: &Emulator, command: &str, body: Value) -> Reply {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/_emulator/{command}", emulator.endpoint());
    let response = http.post(url).json(&body).send().await.expect("is answered");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, body: response.text().await.expect("a body") }
}

/// Plain GET.
pub(crate) async fn get(url: &str) -> Reply {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let response = http.get(url).send().await.expect("is answered");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, body: response.text().await.expect("a body") }
}
