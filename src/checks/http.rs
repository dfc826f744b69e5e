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
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// As much of a body is looked at.
const MAX_BODY: usize = 64 * 1024;

pub(super) async fn watch(context: Context, http: Http) {
    let timeout = context.check.timeout;
    let mut asker = None;
    let lookups = Lookups::default();
    let mut cadence = context.cadence();
    loop {
        let outcome = match tokio::time::timeout(timeout, run(&http, &mut asker, &lookups)).await {
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

async fn run(http: &Http, asker: &mut Option<Asker>, lookups: &Lookups) -> Outcome {
    if asker.is_none() {
        let (http, lookups) = (http.clone(), lookups.clone());
        // It reads files.
        match tokio::task::spawn_blocking(move || Asker::new(&http, lookups)).await {
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
    fn new(http: &Http, lookups: Lookups) -> Result<Self, String> {
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
        let mut place = None;
        if let Some(host) = &http.host {
            headers.insert(HOST, HeaderValue::try_from(host).map_err(|e| format!("\"host\": {e}"))?);
            // The name that TLS asks for is the URL's: it gets the given name, and the connection goes where the URL said.
            place = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned());
            url.set_host(Some(host)).map_err(|e| format!("\"host\": {e}"))?;
        }
        let client = builder
            .dns_resolver(Arc::new(Names { place, lookups }))
            .build()
            .map_err(|e| format!("no client: {}", chain(&e)))?;
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
            let wanted = if from == to { from.to_string() } else { format!("{from}-{to}") };
            return Outcome::failed(format!("status {status}, not {wanted}"));
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

/// Finds hosts by their names.
struct Names {
    /// The host that is found, whatever name is asked for.
    place: Option<String>,
    lookups: Lookups,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookups, place) = (self.lookups.clone(), self.place.clone());
        let host = place.unwrap_or_else(|| name.as_str().to_owned());
        Box::pin(async move {
            // The port is the URL's.
            let look = async move { tokio::net::lookup_host((host.as_str(), 0)).await.map(Iterator::collect) };
            let found: Vec<SocketAddr> = lookups.one(look).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One look-up of a check at a time. While no server of names answers, each takes a thread for longer than the run that asked: one
/// for each run would soon take all that the daemon has for work that blocks.
#[derive(Clone)]
struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Lookups {
    /// What comes of it, unless the one before has not come back.
    async fn one<T: Send + 'static>(
        &self,
        look: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no server of names has answered since the last run"));
        };
        // A task of its own: it holds its place until it has come back, also where nobody waits for it any more.
        let task = tokio::spawn(async move {
            let found = look.await;
            drop(permit);
            found
        });
        task.await.unwrap_or_else(|e| Err(io::Error::other(e)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_look_up_that_has_not_come_back_is_the_only_one() {
        let lookups = Lookups::default();
        let (answer, answered) = oneshot::channel::<u8>();
        let look = async move { answered.await.map_err(io::Error::other) };
        // The run that asked is over before there is an answer.
        tokio::select! {
            biased;
            found = lookups.one(look) => panic!("{found:?}"),
            () = tokio::task::yield_now() => {}
        }
        let refused = lookups.one(async { Ok(2) }).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        // Once it is back there may be another.
        answer.send(1).unwrap();
        while lookups.0.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lookups.one(async { Ok(3) }).await.unwrap(), 3);
    }
}
