//! The listener: a few pages, read only, and nothing that a client does can cost much.
//!
//! Connections, the size of a request's head and the time of everything are bounded; a body is never
//! read. It runs on the effects thread, where the page is made from what the core published already: a
//! scrape asks nothing of the core.

use crate::clock;
use crate::process::places::{Client, Place, Places, Shares};
use crate::web::{Language, policy};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Pause after a failed bind or accept.
const PAUSE: Duration = Duration::from_secs(5);
/// What version of the text format the page is in.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is served.
pub trait Source: Send + Sync + 'static {
    /// The page of `/metrics`; `None` while there is nothing to say that is of now.
    fn page(&self) -> Option<Bytes>;
    /// The page for people; `None` as for [`Source::page`].
    fn html(&self, language: Language) -> Option<Bytes>;
    /// What `havipctl status --json` shows as its data; `None` as for [`Source::page`].
    fn status(&self) -> Option<Bytes>;
    /// Whether the daemon turns.
    ///
    /// # Errors
    /// What stands still.
    fn health(&self) -> Result<(), String>;
    /// The listener is open, or is not and why.
    fn listening(&self, error: Option<String>);
}

/// What a client may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; what comes beyond is closed at once, unless one that is slow can make room.
    pub connections: usize,
    /// Of these, for clients on this host only.
    pub kept: usize,
    /// Connections of one address at a time.
    pub of_an_address: usize,
    /// A connection that has asked nothing for this long makes room for another.
    pub slow: Duration,
    /// For the head of a request, from the first moment of waiting for it.
    pub head: Duration,
    /// For a whole connection.
    pub connection: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            kept: 4,
            of_an_address: 8,
            slow: Duration::from_secs(2),
            head: Duration::from_secs(10),
            connection: Duration::from_secs(300),
            head_bytes: 16 * 1024,
        }
    }
}

/// Serves on `listen` for ever; a port that is taken is tried again until it is free. Dropping the
/// future ends its connections.
pub async fn serve(listen: SocketAddr, source: Arc<dyn Source>, limits: Limits) {
    let mut said = String::new();
    let listener = loop {
        match open(listen) {
            Ok(listener) => break listener,
            Err(error) => {
                let text = format!("cannot serve metrics on {listen}: {error}");
                if text != said {
                    tracing::warn!("{text}; trying again every {} s", PAUSE.as_secs());
                    source.listening(Some(text.clone()));
                    said = text;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    source.listening(None);
    let places = Places::new(Shares { all: limits.connections, kept: limits.kept, slow: limits.slow });
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, from)) => {
                // One address is one client, however its packets write it.
                let key = from.ip().to_canonical();
                if let Some(place) =
                    places.take(Client { key, most: limits.of_an_address, first: key.is_loopback() }, clock::now())
                {
                    let (number, source) = (place.number(), Arc::clone(&source));
                    let task = connections.spawn(async move { connection(stream, place, source, limits).await });
                    places.runs(number, task);
                }
            }
            Err(error) => {
                // Out of file descriptors, most likely: the next attempt would fail at once, too.
                tracing::debug!("cannot accept a connection for metrics: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// A listener that does not wait for the kernel to forget the one before it.
fn open(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(64)
}

async fn connection(stream: TcpStream, place: Place<IpAddr>, source: Arc<dyn Source>, limits: Limits) {
    let service = service_fn(|request: Request<Incoming>| {
        // From here it has to take the page, and to ask again: both may not last.
        place.asks();
        place.waits(clock::now());
        let accept = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let response = answer(request.method(), request.uri().path(), accept, source.as_ref());
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(limits.connection, served).await {
        tracing::debug!("connection for metrics: {error}");
    }
}

fn answer(method: &Method, path: &str, accept_language: &str, source: &dyn Source) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => match source.page() {
            Some(page) => text(StatusCode::OK, page),
            None => silent(),
        },
        "/" => {
            let language = Language::preferred(accept_language);
            source.html(language).map_or_else(silent, |page| html(page, language))
        }
        "/status.json" => source.status().map_or_else(silent, json),
        "/healthz" => match source.health() {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /, /status.json, /metrics and /healthz\n"),
    }
}

fn silent() -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, "nothing to say that is of now\n")
}

fn html(page: Bytes, language: Language) -> Response<Full<Bytes>> {
    let mut response = of_now(page, "text/html; charset=utf-8");
    let headers = response.headers_mut();
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
    if let Ok(policy) = HeaderValue::from_str(&policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn json(document: Bytes) -> Response<Full<Bytes>> {
    of_now(document, "application/json")
}

/// Not to be kept, not to be taken for something else, and no reason to tell others where somebody comes from.
fn of_now(body: Bytes, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    struct Well;

    impl Source for Well {
        fn page(&self) -> Option<Bytes> {
            None
        }
        fn html(&self, _: Language) -> Option<Bytes> {
            None
        }
        fn status(&self) -> Option<Bytes> {
            None
        }
        fn health(&self) -> Result<(), String> {
            Ok(())
        }
        fn listening(&self, error: Option<String>) {
            assert_eq!(error, None);
        }
    }

    /// A half request, or none, holds a place only while nobody else wants it.
    #[tokio::test]
    async fn connections_that_ask_nothing_make_room() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        let hour = Duration::from_secs(3600);
        let limits = Limits { head: hour, connection: hour, slow: Duration::ZERO, ..Limits::default() };
        let serving = tokio::spawn(serve(free, Arc::new(Well), limits));
        let connect = || async {
            loop {
                if let Ok(stream) = TcpStream::connect(free).await {
                    return stream;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut held = Vec::new();
        for _ in 0..limits.connections * 2 {
            let mut slow = connect().await;
            slow.write_all(b"GET /hea").await.expect("sent");
            held.push(slow);
        }
        let mut stream = connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(held[0].read(&mut [0]).await.ok(), Some(0), "the slowest was let go");
        serving.abort();
    }
}
