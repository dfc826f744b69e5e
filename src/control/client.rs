//! The operator's end of the control socket. Blocking: `havipctl` has nothing else to do.

use super::protocol::{Code, ProtocolError, Request, Response, line};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A reply or a snapshot is not longer than this.
const MAX_REPLY: u64 = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon at that socket.
    #[error("havipd does not run, or has another socket: {}: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The socket's mode does not let us.
    #[error("not allowed to open {}: run as root or as a member of the group havipd", path.display())]
    Permission {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon has more connections than it can take.
    #[error("havipd at {} does not accept connections at the moment", path.display())]
    Busy {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon did not answer in time.
    #[error("havipd did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke off.
    #[error("lost the connection to havipd: {0}")]
    Lost(#[source] io::Error),
    /// The daemon said something that this version does not understand.
    #[error("havipd and havipctl do not understand each other (different versions?): {0}")]
    Protocol(#[from] ProtocolError),
    /// The request cannot be written.
    #[error("cannot serialise the request: {0}")]
    Serialise(#[from] serde_json::Error),
}

impl ClientError {
    /// What `havipctl` exits with.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Permission { .. } => Code::Permission,
            Self::Busy { .. } | Self::TimedOut(_) => Code::TryAgain,
            Self::Unreachable { .. } | Self::Lost(_) | Self::Protocol(_) => Code::Unreachable,
            Self::Serialise(_) => Code::Usage,
        }
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    patience: Duration,
}

impl Client {
    /// Connects to the daemon at `path`; each later answer may take `patience`.
    ///
    /// # Errors
    /// Nobody there, not allowed, or too busy.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let stream = open(path).map_err(|source| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Permission { path },
                io::ErrorKind::WouldBlock => ClientError::Busy { path },
                _ => ClientError::Unreachable { path, source },
            }
        })?;
        stream
            .set_read_timeout(Some(patience))
            .and_then(|()| stream.set_write_timeout(Some(patience)))
            .map_err(ClientError::Lost)?;
        Ok(Self { stream: BufReader::new(stream), patience })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// No answer in time, or none that can be understood. An answer that says no is not an error.
    pub fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(request)?;
        let reply = self.receive()?.ok_or_else(|| ClientError::Lost(io::ErrorKind::UnexpectedEof.into()))?;
        Ok(Response::parse(&reply)?)
    }

    /// Asks for snapshots, and hands each (one line of JSON) to `show` until that returns false, or
    /// the daemon ends: then this returns true. Between two there is no limit of time.
    ///
    /// # Errors
    /// The connection broke off.
    pub fn watch(&mut self, mut show: impl FnMut(&[u8]) -> bool) -> Result<bool, ClientError> {
        self.send(&Request::Watch)?;
        self.stream.get_ref().set_read_timeout(None).map_err(ClientError::Lost)?;
        while let Some(snapshot) = self.receive()? {
            if !show(&snapshot) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let line = line(request)?;
        // A daemon that refuses us may have answered and closed already: its answer says why.
        match self.stream.get_mut().write_all(&line) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|e| self.lost(e)),
        }
    }

    fn receive(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let mut text = Vec::new();
        let read = (&mut self.stream).take(MAX_REPLY).read_until(b'\n', &mut text);
        match read {
            Ok(0) => Ok(None),
            Ok(_) if text.last() == Some(&b'\n') => Ok(Some(text)),
            Ok(_) => Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Err(e) => Err(self.lost(e)),
        }
    }

    fn lost(&self, error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut(self.patience),
            _ => ClientError::Lost(error),
        }
    }
}

/// Non-blocking at first: a daemon that hangs has a full backlog, and a plain connect would wait.
fn open(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}
