//! The daemon's end of the control socket.
//!
//! Nothing that a client does can hurt: connections, request size and time are bounded, also for each user, so
//! that none keeps another out, and least of all root; a client that does not read is dropped, and the commands themselves go one by one to their handler
//! through a bounded queue.
//!
//! The file's mode decides who may connect: root, the daemon's user and the group `havipd`. Of those
//! the group may only look: who a client is, the kernel says (`SO_PEERCRED`), as it was when it connected.
//!
//! The socket appears under its name only when it is ready and has its mode: it is bound beside
//! and renamed. A lock file held for life keeps two daemons apart; with the lock, a socket that
//! nobody answers on is a leftover of a crash and is replaced.

use super::asker::{Asker, Introduction};
use super::protocol::{Code, MAX_REQUEST, Request, Response, line};
use crate::clock;
use crate::process::places::{Client, Place, Places, Shares};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

/// What a client may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Of these, for root and the daemon's own user only.
    pub kept: usize,
    /// Connections of any other user at a time.
    pub of_a_user: usize,
    /// A connection that has asked nothing for this long makes room for another.
    pub slow: Duration,
    /// From the first moment of waiting for a request to its line break.
    pub receive: Duration,
    /// For a command to be carried out.
    pub handle: Duration,
    /// For a reply or a snapshot to be taken.
    pub send: Duration,
    /// Between two snapshots of a `watch`.
    pub watch_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 48,
            kept: 16,
            of_a_user: 8,
            slow: Duration::from_secs(1),
            receive: Duration::from_secs(30),
            handle: Duration::from_secs(60),
            send: Duration::from_secs(10),
            watch_interval: Duration::from_millis(50),
        }
    }
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon has it.
    #[error("another havipd runs: it serves {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket is in its place.
    #[error("{} exists and is not a socket: remove it", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// One step failed.
    #[error("cannot {step} {}: {source}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Who is at the other end of a connection, as the kernel says (`SO_PEERCRED`): as it was when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user; `None` if the kernel does not tell.
    pub uid: Option<u32>,
    /// Its process, unless that is hidden from us. While it waits for an answer nobody else gets the number.
    pub pid: Option<u32>,
}

impl Peer {
    fn of(stream: &UnixStream) -> Self {
        let peer = stream.peer_cred().ok();
        let pid = peer.as_ref().and_then(|p| p.pid()).and_then(|pid| u32::try_from(pid).ok());
        Self { uid: peer.map(|p| p.uid()), pid: pid.filter(|pid| *pid != 0) }
    }

    /// Root, or the user that the daemon runs as.
    #[must_use]
    pub fn is_trusted(self) -> bool {
        self.uid.is_some_and(|uid| uid == 0 || uid == rustix::process::geteuid().as_raw())
    }
}

/// One command on its way to its handler.
#[derive(Debug)]
pub struct ControlRequest {
    /// What is asked; never [`Request::Watch`] or [`Request::Introduce`], which are served here.
    pub command: Request,
    /// Who asks, as the kernel says.
    pub peer: Peer,
    /// Who asks, as it is told.
    pub asker: Asker,
    /// Where the answer goes. Dropped without one, the client hears "try again".
    pub reply: oneshot::Sender<Response>,
}

/// A socket that is listened on; removed from the directory when dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    /// Held, not used: its lock is what keeps another daemon away.
    _lock: File,
}

impl Server {
    /// Listens at `path`, taking the place of a socket that a crash left behind. Call it inside the
    /// runtime that will serve.
    ///
    /// # Errors
    /// Another daemon is there, the place is taken by something else, or the directory refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let lock = lock(path)?;
        refuse_to_displace(path)?;
        let beside = beside(path, "new");
        let at = |step| move |source| BindError::Io { step, path: path.to_owned(), source };
        // Left by a crash between bind and rename; with the lock held it is nobody else's.
        let _ = std::fs::remove_file(&beside);
        let listener = std::os::unix::net::UnixListener::bind(&beside).map_err(at("bind"))?;
        std::fs::set_permissions(&beside, Permissions::from_mode(0o660)).map_err(at("set the mode of"))?;
        let inode = std::fs::symlink_metadata(&beside).map_err(at("look at"))?.ino();
        std::fs::rename(&beside, path).map_err(at("put into place"))?;
        listener.set_nonblocking(true).map_err(at("listen on"))?;
        let listener = UnixListener::from_std(listener).map_err(at("listen on"))?;
        Ok(Self { listener, path: path.to_owned(), inode, _lock: lock })
    }

    /// Serves until dropped. Commands go to `handler`, one place in its queue each; `watch` sends
    /// what `snapshots` holds, now and after each change.
    pub async fn serve<S>(
        self,
        handler: mpsc::Sender<ControlRequest>,
        snapshots: watch::Receiver<Arc<S>>,
        limits: Limits,
    ) where
        S: Serialize + Send + Sync + 'static,
    {
        let shares = Shares { all: limits.connections, kept: limits.kept, slow: limits.slow };
        let places = Places::new(shares);
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // Out of file descriptors, most likely: the next attempt would fail at once, too.
                    warn!("cannot accept a control connection: {e}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let peer = Peer::of(&stream);
            let first = peer.is_trusted();
            let most = if first { limits.connections } else { limits.of_a_user };
            let Some(place) = places.take(Client { key: peer.uid, most, first }, clock::now()) else {
                refuse(stream);
                continue;
            };
            let number = place.number();
            let mut connection = Connection::new(stream, peer, place, handler.clone(), snapshots.clone(), limits);
            let task = tokio::spawn(async move {
                if let Err(e) = connection.serve().await {
                    debug!("control connection: {e}");
                }
            });
            places.runs(number, task.abort_handle());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only our own: another one that replaced it meanwhile keeps its own.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<File, BindError> {
    let lock = beside(path, "lock");
    let at = |step| {
        let path = lock.clone();
        move |source| BindError::Io { step, path, source }
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&lock).map_err(at("open"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(BindError::InUse { path: path.to_owned() }),
        Err(e) => Err(at("lock")(e.into())),
    }
}

/// Only a socket on which nobody answers may be replaced.
fn refuse_to_displace(path: &Path) -> Result<(), BindError> {
    let at = |step| move |source| BindError::Io { step, path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(at("look at")(e)),
        Ok(meta) if !meta.file_type().is_socket() => return Err(BindError::NotASocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    // Non-blocking: a daemon that hangs has a full backlog, and a plain connect would wait for it.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(at("probe"))?;
    match SockAddr::unix(path).and_then(|address| probe.connect(&address)) {
        Ok(()) => Err(BindError::InUse { path: path.to_owned() }),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(BindError::InUse { path: path.to_owned() }),
        Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
        Err(e) => Err(at("probe")(e)),
    }
}

/// Says why, if the socket takes it without waiting.
fn refuse(stream: UnixStream) {
    let text = "this user has too many connections to havipd, or all users together have: end a `status --watch`";
    let reply = Response::new(Code::TryAgain, text);
    if let Ok(line) = line(&reply) {
        let _ = stream.try_write(&line);
    }
}

/// What a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Look,
    Change,
}

impl Rights {
    /// Of the other end.
    fn of(peer: Peer) -> Self {
        if peer.is_trusted() { Self::Change } else { Self::Look }
    }

    /// The answer to what is not allowed.
    fn refusal(self, command: &Request) -> Option<Response> {
        let text =
            "only root, or the user that havipd runs as, may change anything; members of the group havipd may look";
        (self == Self::Look && command.needs_root()).then(|| Response::new(Code::Permission, text))
    }
}

/// One client.
struct Connection<S> {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    peer: Peer,
    place: Place<Option<u32>>,
    /// What it said of itself.
    introduction: Option<Introduction>,
    handler: mpsc::Sender<ControlRequest>,
    snapshots: watch::Receiver<Arc<S>>,
    limits: Limits,
}

impl<S: Serialize + Send + Sync + 'static> Connection<S> {
    fn new(
        stream: UnixStream,
        peer: Peer,
        place: Place<Option<u32>>,
        handler: mpsc::Sender<ControlRequest>,
        snapshots: watch::Receiver<Arc<S>>,
        limits: Limits,
    ) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, peer, place, introduction: None, handler, snapshots, limits }
    }

    async fn serve(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        loop {
            text.clear();
            self.place.waits(clock::now());
            let mut bounded = (&mut self.reader).take(MAX_REQUEST as u64);
            match timeout(self.limits.receive, bounded.read_until(b'\n', &mut text)).await {
                Err(_) if text.is_empty() => return Ok(()),
                Err(_) => return self.send(&Response::new(Code::Usage, "no complete request in time")).await,
                Ok(read) => drop(read?),
            }
            if text.is_empty() {
                return Ok(());
            }
            if text.last() != Some(&b'\n') {
                let why = if text.len() >= MAX_REQUEST { "request too long" } else { "request without a line break" };
                return self.send(&Response::new(Code::Usage, why)).await;
            }
            self.place.asks();
            let reply = match Request::parse(&text) {
                Ok(Request::Watch) => return self.watch().await,
                Ok(Request::Introduce { terminal, login }) => {
                    self.introduction = Some(Introduction { terminal, login });
                    Response::done("")
                }
                Ok(command) => match Rights::of(self.peer).refusal(&command) {
                    Some(refusal) => refusal,
                    None => self.ask(command).await,
                },
                Err(e) => Response::new(Code::Usage, e.to_string()),
            };
            self.send(&reply).await?;
        }
    }

    async fn ask(&self, command: Request) -> Response {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let asker = Asker::local(self.peer.uid, self.introduction.as_ref());
            self.handler.send(ControlRequest { command, peer: self.peer, asker, reply }).await.ok()?;
            answer.await.ok()
        };
        match timeout(self.limits.handle, asked).await {
            Ok(Some(response)) => response,
            Ok(None) => Response::new(Code::TryAgain, "the daemon is leaving"),
            Err(_) => Response::new(Code::TryAgain, "no answer in time; the command may still take effect"),
        }
    }

    async fn watch(&mut self) -> io::Result<()> {
        self.snapshots.mark_changed();
        let mut unexpected = [0; 64];
        loop {
            tokio::select! {
                changed = self.snapshots.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
                    self.send(&*snapshot).await?;
                    tokio::time::sleep(self.limits.watch_interval).await;
                }
                // A client that hangs up is noticed even while nothing changes.
                read = self.reader.read(&mut unexpected) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let line = line(message)?;
        timeout(self.limits.send, self.writer.write_all(&line))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))?
    }
}
