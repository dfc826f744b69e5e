//! `http`: an answer with the right status, and with the right text in its body.
//!
//! Each run makes a connection of its own: that one can still be made is what is checked. Redirects are not followed,
//! proxies are not used, and of a body no more is read than is looked at.

use super::{Context, Outcome, RunResult, is_ours};
use crate::certificates::identity;
use crate::errors::chain;
use crate::plain::quote;
use havipd_core::model::settings::Http;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Response, Url, redirect, retry};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// As much of a body is looked at.
const MAX_BODY: usize = 64 * 1024;

pub(super) async fn watch(context: Context, http: Http) {
    let timeout = context.check.timeout;
    let mut asker = None;
    let mut cadence = context.cadence();
    loop {
        let outcome = match tokio::time::timeout(timeout, run(&http, &mut asker)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::timed_out("no whole answer in time"),
        };
        // A certificate that was replaced is taken over without a reload: the next run reads its files again.
        if outcome.result != RunResult::Passed && (http.ca_file.is_some() || http.client.is_some()) {
            asker = None;
        }
        cadence.ended(outcome).await;
    }
}

async fn run(http: &Http, asker: &mut Option<Asker>) -> Outcome {
    if asker.is_none() {
        let http = http.clone();
        // It reads files.
        match tokio::task::spawn_blocking(move || Asker::new(&http)).await {
            Ok(Ok(new)) => *asker = Some(new),
            Ok(Err(why)) => return Outcome::not_run(why),
            Err(error) => return Outcome::not_run(error.to_string()),
        }
    }
    match asker {
        Some(asker) => asker.ask(http).await,
        None => Outcome::not_run("nothing to ask with"),
    }
}

/// A client for one URL.
struct Asker {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

impl Asker {
    fn new(http: &Http) -> Result<Self, String> {
        let mut url = Url::parse(&http.url).map_err(|e| format!("{}: {e}", http.url))?;
        let mut builder = Client::builder()
            .user_agent(concat!("havipd/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .pool_max_idle_per_host(0)
            .tls_danger_accept_invalid_certs(!http.tls_verify);
        if let Some(path) = &http.ca_file {
            let pem = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
            let roots = Certificate::from_pem_bundle(&pem).map_err(|e| format!("{}: {e}", path.display()))?;
            builder = builder.tls_certs_only(roots);
        } else if url.scheme() == "http" || !http.tls_verify {
            // Without roots there is nothing to load.
            builder = builder.tls_certs_only([]);
        }
        if let Some(client) = &http.client {
            builder = builder.identity(identity(client)?);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &http.headers {
            let name = HeaderName::try_from(name).map_err(|e| format!("header {name}: {e}", name = quote(name)))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|e| format!("the value of a header: {e}"))?);
        }
        if let Some(host) = &http.host {
            headers.insert(HOST, HeaderValue::try_from(host).map_err(|e| format!("\"host\": {e}"))?);
            // The name that TLS asks for is the URL's: it gets the given name, and the connection goes where the URL said.
            let place = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            url.set_host(Some(host)).map_err(|e| format!("\"host\": {e}"))?;
            builder = builder.dns_resolver(Arc::new(At(place)));
        }
        let client = builder.build().map_err(|e| format!("no client: {}", chain(&e)))?;
        Ok(Self { client, url, headers })
    }

    async fn ask(&self, http: &Http) -> Outcome {
        let answer = self.client.get(self.url.clone()).headers(self.headers.clone()).send().await;
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) if ours(&error) => return Outcome::not_run(chain(&error)),
            Err(error) => return Outcome::failed(chain(&error.without_url())),
        };
        let status = answer.status().as_u16();
        let (from, to) = http.status;
        if !(from..=to).contains(&status) {
            return Outcome::failed(format!("status {status}, not {from}-{to}"));
        }
        let Some(wanted) = &http.body else { return Outcome::passed(format!("status {status}")) };
        match has(&mut answer, wanted.as_bytes()).await {
            Ok(true) => Outcome::passed(format!("status {status}, and the text is in the body")),
            Ok(false) => {
                Outcome::failed(format!("status {status}, but {wanted} is not in the body", wanted = quote(wanted)))
            }
            Err(error) => Outcome::failed(format!("status {status}, then: {}", chain(&error.without_url()))),
        }
    }
}

/// Whether the beginning of the body has this text in it. Stops reading once that is known.
///
/// A byte is looked at once for each byte of the text, however small the pieces are that a server sends.
async fn has(answer: &mut Response, wanted: &[u8]) -> Result<bool, reqwest::Error> {
    let mut body = Vec::new();
    let found = |part: &[u8]| part.windows(wanted.len()).any(|part| part == wanted);
    while body.len() < MAX_BODY
        && let Some(chunk) = answer.chunk().await?
    {
        // The text may have begun in the piece before.
        let new = body.len().saturating_sub(wanted.len() - 1);
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
        if found(&body[new..]) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds this host, whatever name is asked for.
struct At(String);

impl Resolve for At {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            // The port is the URL's.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether this host is why it was not asked.
fn ours(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().is_some_and(is_ours) {
            return true;
        }
        next = cause.source();
    }
    error.is_builder()
}
