//! The operator's end of the control socket. Blocking: `havipctl` has nothing else to do.

use super::protocol::{Code, ProtocolError, Request, Response, line};
use super::silence::Silent;
use crate::clock;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `sun_path` of unix(7) holds, its end mark aside.
const MAX_PATH: usize = 107;
/// A reply or a snapshot is not longer than this.
const MAX_REPLY: u64 = 64 * 1024 * 1024;
/// After this silence it is asked whether the daemon answers anything at all: what it was told to do may take its time,
/// but a status it has at once.
const SILENCE: Duration = Duration::from_secs(3);
/// How long that answer may take.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon at that socket.
    #[error("havipd does not run, or has another socket: {}: {source}; `systemctl status havipd` tells", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is there is something else.
    #[error("{} is not a socket: --socket names that of havipd, which its [control] sets", path.display())]
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
    /// No socket can have this path.
    #[error("the path of the socket has {length} bytes, and the kernel takes at most {MAX_PATH}")]
    PathTooLong {
        /// How long it is.
        length: usize,
    },
    /// The socket's mode does not let us.
    #[error("not allowed to open {}: run as root or as a member of the group havipd", path.display())]
    Permission {
        /// The socket.
        path: PathBuf,
    },
    /// The socket is there, and nobody answers.
    #[error("havipd does not answer; its socket {} is there, and {silent}", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// Who has it, as far as is known.
        silent: Silent,
    },
    /// The daemon answers, but not this request.
    #[error("havipd has not answered this within {} s; it may still take effect", .0.as_secs())]
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
            Self::TimedOut(_) => Code::TryAgain,
            Self::Unreachable { .. }
            | Self::NotASocket { .. }
            | Self::PathTooLong { .. }
            | Self::Silent { .. }
            | Self::Lost(_)
            | Self::Protocol(_) => Code::Unreachable,
            Self::Serialise(_) => Code::Usage,
        }
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    patience: Duration,
}

impl Client {
    /// Connects to the daemon at `path`; each later answer may take `patience`, as long as the daemon answers others.
    ///
    /// # Errors
    /// Nobody there, not allowed, or nobody takes the connection.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let length = path.as_os_str().len();
        if length > MAX_PATH {
            return Err(ClientError::PathTooLong { length });
        }
        let stream = open(path).map_err(|source| {
            let is_other = std::fs::metadata(path).is_ok_and(|facts| !facts.file_type().is_socket());
            let path = path.to_owned();
            if is_other {
                return ClientError::NotASocket { path };
            }
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Permission { path },
                // The kernel's queue is full: nobody has taken a connection from it for long.
                io::ErrorKind::WouldBlock => ClientError::Silent { path, silent: Silent::unknown() },
                _ => ClientError::Unreachable { path, source },
            }
        })?;
        let look = patience.min(SILENCE);
        stream
            .set_read_timeout(Some(look))
            .and_then(|()| stream.set_write_timeout(Some(look)))
            .map_err(ClientError::Lost)?;
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned(), patience })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// No answer in time, or none that can be understood. An answer that says no is not an error.
    pub fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(request)?;
        let reply =
            self.receive(Some(self.patience))?.ok_or_else(|| ClientError::Lost(io::ErrorKind::UnexpectedEof.into()))?;
        Ok(Response::parse(&reply)?)
    }

    /// Says who asks, for the history; a daemon that does not know of that says so, and goes on.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn introduce(&mut self) -> Result<(), ClientError> {
        let terminal = [io::stdin().is_terminal(), io::stderr().is_terminal()].contains(&true);
        let login = ["SUDO_USER", "DOAS_USER"].iter().find_map(|name| std::env::var(name).ok());
        self.call(&Request::Introduce { terminal, login }).map(drop)
    }

    /// Asks for snapshots, and hands each (one line of JSON) to `show` until that returns false, or
    /// the daemon ends: then this returns true. Between two there is no limit of time while the daemon answers others.
    ///
    /// # Errors
    /// The connection broke off, or nobody answers any more.
    pub fn watch(&mut self, mut show: impl FnMut(&[u8]) -> bool) -> Result<bool, ClientError> {
        self.send(&Request::Watch)?;
        while let Some(snapshot) = self.receive(None)? {
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

    /// The next line; `None` at the end. `most` is how long it may take of a daemon that answers others.
    fn receive(&mut self, most: Option<Duration>) -> Result<Option<Vec<u8>>, ClientError> {
        let (mut text, began) = (Vec::new(), clock::now());
        loop {
            // What was read before a pause stays in `text`.
            let read = (&mut self.stream).take(MAX_REPLY).read_until(b'\n', &mut text);
            match read {
                Ok(0) if text.is_empty() => return Ok(None),
                Ok(_) if text.last() == Some(&b'\n') => return Ok(Some(text)),
                Ok(_) => return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Err(e) if !is_pause(&e) => return Err(ClientError::Lost(e)),
                Err(e) => {
                    if !self.answers_others() {
                        return Err(self.lost(e));
                    }
                    if let Some(most) = most.filter(|most| clock::now().since(began) >= *most) {
                        return Err(ClientError::TimedOut(most));
                    }
                }
            }
        }
    }

    /// Whether somebody else would be answered, be it that there is no place for him.
    fn answers_others(&self) -> bool {
        let asked = || -> io::Result<usize> {
            let mut other = open(&self.path)?;
            let look = Some(self.patience.min(SECOND_LOOK));
            other.set_read_timeout(look).and_then(|()| other.set_write_timeout(look))?;
            // One that has no place for us may have closed already.
            let _ = line(&Request::Status).map(|line| other.write_all(&line));
            other.read(&mut [0])
        };
        asked().is_ok_and(|read| read > 0)
    }

    fn lost(&self, error: io::Error) -> ClientError {
        if !is_pause(&error) {
            return ClientError::Lost(error);
        }
        ClientError::Silent { path: self.path.clone(), silent: Silent::behind(self.stream.get_ref()) }
    }
}

/// Whether it is only that nothing came, or nothing was taken, in time.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Non-blocking at first: a daemon that hangs has a full backlog, and a plain connect would wait.
fn open(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_socket_is_called_that() {
        let dir = tempfile::tempdir().expect("directory");
        let connect = |path: &Path| Client::connect(path, SILENCE).expect_err("nothing to connect to");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("write");
        for path in [dir.path(), &file] {
            let error = connect(path);
            assert!(error.to_string().starts_with(&format!("{} is not a socket", path.display())), "{error}");
            assert_eq!(error.code(), Code::Unreachable);
        }
        let long = connect(Path::new(&format!("/{}", "x".repeat(199))));
        assert_eq!(long.to_string(), "the path of the socket has 200 bytes, and the kernel takes at most 107");
        let absent = connect(&dir.path().join("none")).to_string();
        assert!(absent.starts_with("havipd does not run, or has another socket"), "{absent}");
    }
}
