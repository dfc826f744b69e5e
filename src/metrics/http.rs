//! The listener: two pages, read only, and nothing that a client does can cost much.
//!
//! Connections, the size of a request's head and the time of everything are bounded; a body is never
//! read. It runs on the effects thread, where the page is made from what the core published already: a
//! scrape asks nothing of the core.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Pause after a failed bind or accept.
const PAUSE: Duration = Duration::from_secs(5);
/// What version of the text format the page is in.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is served.
pub trait Source: Send + Sync + 'static {
    /// The page of `/metrics`; `None` while there is nothing to say that is of now.
    fn page(&self) -> Option<Bytes>;
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
    /// Connections at a time; what comes beyond is closed at once.
    pub connections: usize,
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
            connections: 16,
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
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let source = Arc::clone(&source);
                    connections.spawn(async move {
                        connection(stream, source, limits).await;
                        drop(place);
                    });
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

async fn connection(stream: TcpStream, source: Arc<dyn Source>, limits: Limits) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), source.as_ref());
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

fn answer(method: &Method, path: &str, source: &dyn Source) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => match source.page() {
            Some(page) => text(StatusCode::OK, page),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "nothing to say that is of now\n"),
        },
        "/healthz" => match source.health() {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}
