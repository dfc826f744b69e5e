//! A TCP server that answers each request with the next step of its script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with one request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These bytes, and keep the connection.
    Send(Vec<u8>),
    /// These bytes, and close it.
    SendAndClose(Vec<u8>),
    /// These bytes, then nothing for ever.
    SendAndHang(Vec<u8>),
    /// What this makes of the request's Authorization, and keep the connection.
    Reflect(fn(&str) -> Vec<u8>),
    /// Reset the connection without a word.
    Reset,
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which connection, from zero.
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// Path and query, as they stood.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) requests: Vec<Request>,
}

/// The server; it lives as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Seen>>,
}

/// How an accepted connection becomes a stream of requests.
#[derive(Clone)]
pub(crate) enum Accept {
    Plain,
    Tls(tokio_rustls::TlsAcceptor),
    /// TLS that begins only after a while.
    SlowTls(tokio_rustls::TlsAcceptor, Duration),
    /// Nothing is ever said on it.
    Mute,
}

impl Server {
    /// A plain HTTP server; the last step is repeated for ever.
    pub(crate) async fn start(script: Vec<Step>) -> Self {
        Self::start_as(script, Accept::Plain).await
    }

    pub(crate) async fn start_as(script: Vec<Step>, accept: Accept) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let server = Self {
            address: listener.local_addr().expect("has an address"),
            script: Arc::new(Mutex::new(script.into())),
            seen: Arc::default(),
        };
        tokio::spawn(server.clone().accept(listener, accept));
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic while held")
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen().requests.clone()
    }

    fn next(&self) -> Step {
        let mut script = self.script.lock().expect("no panic while held");
        let step = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        step.expect("a script has at least one step")
    }

    async fn accept(self, listener: TcpListener, accept: Accept) {
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            let connection = {
                let mut seen = self.seen();
                seen.connections += 1;
                seen.connections - 1
            };
            let (this, accept) = (self.clone(), accept.clone());
            tokio::spawn(async move {
                match accept {
                    Accept::Plain => this.serve(stream, connection).await,
                    Accept::Mute => {
                        let _open = stream;
                        std::future::pending::<()>().await;
                    }
                    Accept::Tls(acceptor) => this.serve_tls(acceptor, stream, connection).await,
                    Accept::SlowTls(acceptor, wait) => {
                        tokio::time::sleep(wait).await;
                        this.serve_tls(acceptor, stream, connection).await;
                    }
                }
            });
        }
    }

    async fn serve_tls(self, acceptor: tokio_rustls::TlsAcceptor, stream: TcpStream, connection: usize) {
        if let Ok(stream) = acceptor.accept(stream).await {
            self.serve(stream, connection).await;
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Raw>(self, mut stream: S, connection: usize) {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer, connection).await {
            let authorization = request.header("authorization").unwrap_or_default().to_owned();
            self.seen().requests.push(request);
            let (bytes, after) = match self.next() {
                Step::Reflect(answer) => (answer(&authorization), None),
                Step::Send(bytes) => (bytes, None),
                Step::SendAndClose(bytes) => (bytes, Some(false)),
                Step::SendAndHang(bytes) => (bytes, Some(true)),
                Step::Reset => {
                    let socket = socket2::SockRef::from(stream.tcp());
                    socket.set_linger(Some(Duration::ZERO)).expect("sets SO_LINGER");
                    return;
                }
            };
            if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            match after {
                None => {}
                Some(false) => return,
                Some(true) => std::future::pending().await,
            }
        }
    }
}

/// The TCP socket underneath.
pub(crate) trait Raw {
    fn tcp(&self) -> &TcpStream;
}

impl Raw for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Raw for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..head_end + 4).collect()).expect("an ASCII head");
    let mut lines = head.lines();
    let mut first = lines.next().expect("a request line").split(' ');
    let (method, target) = (first.next().expect("a method").to_owned(), first.next().expect("a target").to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |(_, v)| v.parse().expect("a length"));
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect();
    Some(Request { connection, method, target, headers, body })
}

/// A whole answer: status, extra header lines, body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// An answer with one of the cloud's error codes.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Vec<u8> {
    let body = serde_json::json!({ "code": code, "message": message, "requestId": "r-1" });
    answer(status, &[("x-bce-request-id", "r-1")], &body.to_string())
}

/// What `GET /v1/havip/{id}` answers.
pub(crate) const HAVIP: &str = r#"{"haVipId":"havip-w2d4kgc3x0y1","name":"n","description":null,"vpcId":"vpc-1","subnetId":null,
"status":"binded","privateIpAddress":"10.0.0.100","createdTime":"2022-08-31T11:42:19Z",
"bindedInstances":[{"instanceId":"i-syGfPUYO","instanceType":"SERVER","master":true}]}"#;

/// `HAVIP` as a step.
pub(crate) fn ok() -> Step {
    Step::Send(answer(200, &[], HAVIP))
}

/// An empty 200, as writes get it.
pub(crate) fn done() -> Step {
    Step::Send(answer(200, &[], ""))
}
