//! Names resolved ahead and remembered, so that a DNS outage delays no claim.
//!
//! Once a name has been resolved, no call waits for DNS again: it gets the last good answer, and
//! a refresh runs beside it. The last good answer is kept for ever: an address that has gone
//! stale costs one failed connect, a name server that hangs would cost every claim its deadline.
//! Literal addresses never come here.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Age from which an answer that is used is refreshed in the background.
const REFRESH_AFTER: Duration = Duration::from_secs(30);

/// The addresses of a name, or why there are none.
pub type LookedUp = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// What turns a name into addresses.
pub trait Lookup: Send + Sync + 'static {
    /// Looks `host` up once.
    fn lookup(&self, host: String) -> LookedUp;
}

/// The system's resolver (`getaddrinfo(3)`).
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> LookedUp {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|a| a.ip()).collect()) })
    }
}

/// A cache of names; clones share it.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    lookup: Box<dyn Lookup>,
    hosts: Mutex<HashMap<String, Host>>,
}

#[derive(Default)]
struct Host {
    /// Last good answer.
    addresses: Vec<IpAddr>,
    /// When a lookup last ended, well or not.
    ended: Option<Instant>,
    /// The lookup under way; at most one, because each may block a thread for long.
    running: Option<watch::Receiver<Option<Result<(), String>>>>,
    /// The last lookup failed.
    failing: bool,
}

impl Resolver {
    /// An empty cache over `lookup`.
    #[must_use]
    pub fn new(lookup: impl Lookup) -> Self {
        Self(Arc::new(Inner { lookup: Box::new(lookup), hosts: Mutex::default() }))
    }

    /// Looks `host` up again in the background, whatever the age of its answer; at once if a
    /// lookup is under way already. Needs a tokio runtime.
    pub fn refresh(&self, host: &str) {
        let mut hosts = self.lock();
        self.start(hosts.entry(host.to_owned()).or_default(), host);
    }

    fn start(&self, entry: &mut Host, host: &str) -> watch::Receiver<Option<Result<(), String>>> {
        if let Some(running) = &entry.running {
            return running.clone();
        }
        let (done, receiver) = watch::channel(None);
        entry.running = Some(receiver.clone());
        let (this, host) = (self.clone(), host.to_owned());
        tokio::spawn(async move {
            let result = this.0.lookup.lookup(host.clone()).await;
            done.send_replace(Some(this.ended(&host, result)));
        });
        receiver
    }

    fn ended(&self, host: &str, result: io::Result<Vec<IpAddr>>) -> Result<(), String> {
        let result = match result {
            Ok(found) if found.is_empty() => Err("no address".to_owned()),
            Ok(found) => Ok(found),
            Err(e) => Err(e.to_string()),
        };
        let mut hosts = self.lock();
        let entry = hosts.entry(host.to_owned()).or_default();
        entry.running = None;
        entry.ended = Some(Instant::now());
        let was_failing = std::mem::replace(&mut entry.failing, result.is_err());
        match result {
            Ok(found) => {
                if was_failing {
                    tracing::info!(host, "the endpoint's name resolves again");
                }
                entry.addresses = found;
                Ok(())
            }
            Err(why) => {
                if !was_failing {
                    let kept = entry.addresses.len();
                    tracing::warn!(
                        host,
                        kept,
                        "cannot resolve the endpoint's name, going on with what was found before: {why}"
                    );
                }
                Err(why)
            }
        }
    }

    /// The addresses of `host`: at once if it was ever resolved, else after the first lookup.
    async fn addresses(self, host: String) -> io::Result<Vec<IpAddr>> {
        let mut running = {
            let mut hosts = self.lock();
            let entry = hosts.entry(host.clone()).or_default();
            if !entry.addresses.is_empty() {
                if entry.ended.is_none_or(|at| at.elapsed() > REFRESH_AFTER) {
                    self.start(entry, &host);
                }
                return Ok(entry.addresses.clone());
            }
            self.start(entry, &host)
        };
        let failed = |why: String| io::Error::other(format!("cannot resolve {host}: {why}"));
        match running.wait_for(Option::is_some).await.map(|r| (*r).clone()) {
            Ok(Some(Ok(()))) => Ok(self.lock().get(&host).map(|h| h.addresses.clone()).unwrap_or_default()),
            Ok(Some(Err(why))) => Err(failed(why)),
            Ok(None) | Err(_) => Err(failed("the lookup was abandoned".to_owned())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async move {
            // Port 0 stands for the one of the URL.
            let addresses: Addrs = Box::new(found.await?.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers the first lookup, never ends the second, fails the others.
    #[derive(Default)]
    struct Scripted(Arc<AtomicUsize>);

    impl Lookup for Scripted {
        fn lookup(&self, _: String) -> LookedUp {
            let n = self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                match n {
                    0 => Ok(vec![IpAddr::from([192, 0, 2, 1])]),
                    1 => std::future::pending().await,
                    _ => Err(io::Error::other("no such host")),
                }
            })
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_last_good_answer_is_given_while_a_refresh_hangs() {
        let count = Arc::new(AtomicUsize::new(0));
        let resolver = Resolver::new(Scripted(Arc::clone(&count)));
        let first = resolver.clone().addresses("x".to_owned()).await.expect("resolves");
        for _ in 0..5 {
            resolver.refresh("x");
            tokio::task::yield_now().await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 2, "one refresh at a time");
        assert_eq!(resolver.addresses("x".to_owned()).await.expect("cached"), first);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_failed_lookup_keeps_the_last_good_answer_and_is_an_error_without_one() {
        let resolver = Resolver::new(Scripted(Arc::new(AtomicUsize::new(2))));
        let error = resolver.clone().addresses("x".to_owned()).await.expect_err("fails");
        assert_eq!(error.to_string(), "cannot resolve x: no such host");
        let good = vec![IpAddr::from([192, 0, 2, 7])];
        resolver.ended("x", Ok(good.clone())).expect("stored");
        resolver.ended("x", Err(io::Error::other("down"))).expect_err("failed");
        resolver.ended("x", Ok(vec![])).expect_err("no address is a failure");
        assert_eq!(resolver.addresses("x".to_owned()).await.expect("kept"), good);
    }
}
