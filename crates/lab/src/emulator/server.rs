//! Connections: hyper on the outside, decisions of [`super::state`] inside.

use super::clock::http_date;
use super::control;
use super::route;
use super::state::{Decision, Incoming, Shared};
use crate::simulation::cloud::HttpReply;
use havipd::cloud::sign::Received;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming as Body};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Connections open at once, per listener.
const CONNECTIONS_MAX: usize = 512;

/// Largest body that is read, bytes.
const BODY_MAX: usize = 64 * 1024;

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener serves.
#[derive(Debug, Clone)]
pub(super) enum Door {
    /// The API, the control API, and metadata by source address.
    Api,
    /// Metadata of one node.
    Node(String),
}

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset on command")]
struct ResetOnCommand;

/// Accepts for ever; dropping the future ends its connections.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener, door: Door, tls: Option<TlsAcceptor>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (shared, door, tls) = (shared.clone(), door.clone(), tls.clone());
        connections.spawn(async move {
            connection(shared, stream, peer, door, tls).await;
            drop(permit);
        });
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, door: Door, tls: Option<TlsAcceptor>) {
    // A second handle of the socket, so that a reset can be ordered while hyper owns the first.
    let Ok(handle) = stream.as_fd().try_clone_to_owned() else { return };
    let handle = socket2::Socket::from(handle);
    // Latency matters more here than packets.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(shared, stream, handle, peer, door).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => http(shared, stream, handle, peer, door).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
}

async fn http<S>(shared: Arc<Shared>, stream: S, handle: socket2::Socket, peer: SocketAddr, door: Door)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Body>| {
        let (shared, handle, door) = (shared.clone(), &handle, &door);
        async move {
            let response = answer(&shared, request, peer, door).await;
            if response.is_err() {
                // Zero linger makes the close a reset.
                let _ = handle.set_linger(Some(Duration::ZERO));
            }
            response
        }
    });
    let io = TokioIo::new(stream);
    let served = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn answer(
    shared: &Shared,
    request: Request<Body>,
    peer: SocketAddr,
    door: &Door,
) -> Result<Response<Full<Bytes>>, ResetOnCommand> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return Ok(plain(shared, StatusCode::PAYLOAD_TOO_LARGE, format!("no more than {BODY_MAX} bytes")));
    };
    let body = body.to_bytes();
    let path = parts.uri.path();
    let decision = match (door, route::metadata_key(path)) {
        (Door::Api, None) => match path.strip_prefix(control::PREFIX) {
            Some(command) => {
                let query = parts.uri.query().unwrap_or_default();
                return Ok(json(shared, control::serve(shared, &parts.method, command, query, &body).await));
            }
            None => decide(&parts, &body, |incoming| shared.api(incoming)),
        },
        (Door::Node(_), None) => return Ok(plain(shared, StatusCode::NOT_FOUND, "only metadata is here".to_owned())),
        (door, Some(key)) => {
            let node = match door {
                Door::Node(name) => Some(name.clone()),
                Door::Api => shared.look(|state, _| state.node_at(peer.ip()).map(str::to_owned)),
            };
            decide(&parts, &body, |incoming| shared.metadata(node.as_deref(), &key, incoming))
        }
    };
    tokio::time::sleep(decision.after).await;
    match decision {
        Decision { reply: Some(reply), .. } => Ok(response(shared, reply)),
        Decision { reset: true, .. } => Err(ResetOnCommand),
        Decision { .. } => std::future::pending().await,
    }
}

fn decide(parts: &Parts, body: &[u8], act: impl FnOnce(&Incoming<'_>) -> Decision) -> Decision {
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let request = Received {
        method: parts.method.as_str(),
        raw_path: parts.uri.path(),
        raw_query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
    };
    act(&Incoming { request, body })
}

fn response(shared: &Shared, reply: HttpReply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    // A fault may ask for a status that HTTP does not have.
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let date = ("date", http_date(shared.clock.unix_seconds()));
    for (name, value) in reply.headers.into_iter().chain([date]) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn plain(shared: &Shared, status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
    response(shared, HttpReply { status: status.as_u16(), headers, body: text })
}

fn json(shared: &Shared, (status, value): (StatusCode, serde_json::Value)) -> Response<Full<Bytes>> {
    let headers = vec![("content-type", "application/json".to_owned())];
    response(shared, HttpReply { status: status.as_u16(), headers, body: value.to_string() })
}
