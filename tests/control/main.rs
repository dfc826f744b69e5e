//! The control socket: well-behaved clients, and all the others.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

mod compat;
mod hand_over;
mod json;
mod rights;
#[path = "../support/wait.rs"]
mod wait;

use havipd::control::client::{Client, ClientError};
use havipd::control::protocol::{Code, MAX_REQUEST, Request, Response};
use havipd::control::server::{BindError, ControlRequest, Limits, Server};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use wait::{PATIENCE, wait_for};

/// A server in a thread of its own, whose handler echoes `why` and never answers `reload`.
struct Daemon {
    dir: tempfile::TempDir,
    snapshots: watch::Sender<Arc<String>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    fn start(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let (snapshots, receiver) = watch::channel(Arc::new("first".to_owned()));
        let (stop, stopped) = oneshot::channel();
        let (bound, binding) = mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (sender, requests) = tokio::sync::mpsc::channel(4);
                let server = Server::bind(&path).unwrap();
                bound.send(()).unwrap();
                tokio::select! {
                    () = server.serve(sender, receiver, limits) => {}
                    () = answer(requests) => {}
                    _ = stopped => {}
                }
            });
        });
        binding.recv_timeout(PATIENCE).unwrap();
        Self { dir, snapshots, stop: Some(stop), thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::connect(&self.socket(), PATIENCE).unwrap()
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn answer(mut requests: tokio::sync::mpsc::Receiver<ControlRequest>) {
    let mut unanswered = Vec::new();
    while let Some(ControlRequest { command, reply, .. }) = requests.recv().await {
        match command {
            Request::Why { group, .. } => drop(reply.send(Response::done(group))),
            Request::Reload => unanswered.push(reply),
            Request::Drain { .. } => drop(reply),
            _ => drop(reply.send(Response::new(Code::No, "no"))),
        }
    }
}

fn reply_to(stream: UnixStream) -> Option<Response> {
    let mut line = Vec::new();
    BufReader::new(stream).read_until(b'\n', &mut line).unwrap();
    (!line.is_empty()).then(|| Response::parse(&line).unwrap())
}

fn why(group: &str) -> Request {
    Request::Why { group: group.to_owned(), node: None }
}

#[test]
fn commands_are_answered_and_the_socket_is_private_and_goes_with_the_daemon() {
    let mut daemon = Daemon::start(Limits::default());
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut client = daemon.client();
    assert_eq!(client.call(&why("web")).unwrap(), Response::done("web"));
    assert_eq!(client.call(&Request::Status).unwrap().code, Code::No);
    let leaving = client.call(&Request::Drain { group: None, node: None }).unwrap();
    assert_eq!((leaving.code, leaving.message.as_str()), (Code::TryAgain, "the daemon is leaving"));
    daemon.stop();
    assert!(!daemon.socket().exists());
    let error = Client::connect(&daemon.socket(), PATIENCE).unwrap_err();
    assert_eq!(error.code(), Code::Unreachable);
    assert!(matches!(client.call(&why("web")).unwrap_err(), ClientError::Lost(_)));
}

#[test]
fn what_is_no_request_is_refused_and_harms_nobody() {
    let daemon = Daemon::start(Limits::default());
    let mut garbage = daemon.raw();
    garbage.write_all(b"\xff\x00 hello\n{\"command\":\"why\",\"group\":\"still here\"}\n").unwrap();
    let mut lines = BufReader::new(garbage).split(b'\n').map(|l| Response::parse(&l.unwrap()).unwrap());
    assert_eq!(lines.next().unwrap().code, Code::Usage);
    assert_eq!(lines.next().unwrap(), Response::done("still here"));

    let mut largest = format!("{{\"command\":\"why\",\"group\":\"web\"}}{}", " ".repeat(MAX_REQUEST));
    largest.truncate(MAX_REQUEST - 1);
    let mut stream = daemon.raw();
    stream.write_all(format!("{largest}\n").as_bytes()).unwrap();
    assert_eq!(reply_to(stream).unwrap(), Response::done("web"));

    let mut stream = daemon.raw();
    // The daemon may hang up before it has read all of it.
    let _ = stream.write_all(&vec![b'x'; MAX_REQUEST + 1]);
    assert_eq!(reply_to(stream).unwrap(), Response::new(Code::Usage, "request too long"));

    let mut stream = daemon.raw();
    stream.write_all(b"{\"command\":\"status\"}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reply_to(stream).unwrap(), Response::new(Code::Usage, "request without a line break"));

    drop(daemon.raw());
    assert_eq!(daemon.client().call(&why("web")).unwrap(), Response::done("web"));
}

#[test]
fn slow_clients_and_slow_handlers_have_deadlines() {
    // Long enough for a client that is not slow by intent.
    let short = Duration::from_secs(1);
    let daemon = Daemon::start(Limits { receive: short, handle: short, ..Limits::default() });
    let mut half = daemon.raw();
    half.write_all(b"{\"command\":").unwrap();
    assert_eq!(reply_to(half).unwrap(), Response::new(Code::Usage, "no complete request in time"));
    assert_eq!(reply_to(daemon.raw()), None, "a silent one is simply let go");
    let late = daemon.client().call(&Request::Reload).unwrap();
    assert_eq!((late.code, late.message.contains("may still take effect")), (Code::TryAgain, true));
}

#[test]
fn connections_are_counted_and_places_come_back() {
    // None of them is slow enough here to make room.
    let limits = Limits { connections: 3, kept: 0, slow: Duration::from_secs(3600), ..Limits::default() };
    let daemon = Daemon::start(limits);
    let mut held: Vec<_> = (0..3).map(|_| daemon.client()).collect();
    for client in &mut held {
        assert_eq!(client.call(&why("in")).unwrap().code, Code::Done);
    }
    for _ in 0..50 {
        let refused = daemon.client().call(&why("out"));
        // The daemon answers without reading, and may be gone before we have written.
        let refused = refused.map_or(Code::TryAgain, |r| r.code);
        assert_eq!(refused, Code::TryAgain);
    }
    assert_eq!(held[0].call(&why("still in")).unwrap().code, Code::Done);
    held.pop();
    wait_for("a place is free", || daemon.client().call(&why("in again")).ok().filter(|r| r.code == Code::Done));
}

#[test]
fn a_client_that_asks_nothing_makes_room() {
    let limits = Limits { connections: 2, kept: 0, slow: Duration::ZERO, ..Limits::default() };
    let daemon = Daemon::start(limits);
    let mut idle = daemon.raw();
    let mut half = daemon.raw();
    half.write_all(b"{\"command\":").unwrap();
    let mut clients = [daemon.client(), daemon.client()];
    for client in &mut clients {
        assert_eq!(client.call(&why("in")).unwrap().code, Code::Done);
    }
    for slow in [&mut idle, &mut half] {
        // One of them had sent what nobody will read.
        assert!(!matches!(std::io::Read::read(slow, &mut [0]), Ok(1)), "it was let go");
    }
}

#[test]
fn watching_shows_the_first_and_the_last_snapshot_and_ends_with_the_daemon() {
    let mut daemon = Daemon::start(Limits::default());
    let mut client = daemon.client();
    let (sender, seen) = mpsc::sync_channel(10_000);
    let watcher = std::thread::spawn(move || {
        client.watch(|line| {
            sender.send(String::from_utf8(line.to_vec()).unwrap()).unwrap();
            true
        })
    });
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), "\"first\"\n");
    for i in 0..1000 {
        daemon.snapshots.send(Arc::new(format!("snapshot {i}"))).unwrap();
    }
    let last = wait_for("the last one", || seen.recv_timeout(PATIENCE).ok().filter(|s| s.contains("999")));
    assert_eq!(last, "\"snapshot 999\"\n");
    daemon.stop();
    let _ = watcher.join().unwrap();
    assert!(seen.try_iter().count() < 10);
}

#[test]
fn a_watcher_that_does_not_read_is_dropped() {
    let limits = Limits { connections: 1, kept: 0, send: Duration::from_millis(100), ..Limits::default() };
    let limits = Limits { watch_interval: Duration::ZERO, ..limits };
    let daemon = Daemon::start(limits);
    let mut deaf = daemon.raw();
    deaf.write_all(b"{\"command\":\"watch\"}\n").unwrap();
    wait_for("its place is free again", || {
        daemon.snapshots.send(Arc::new("x".repeat(100_000))).unwrap();
        daemon.client().call(&why("in")).ok().filter(|r| r.code == Code::Done)
    });
    drop(deaf);
}

#[tokio::test]
async fn a_socket_left_by_a_crash_is_replaced_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a crash leaves it behind");
    let server = Server::bind(&path).unwrap();
    assert!(matches!(Server::bind(&path), Err(BindError::InUse { .. })), "the lock is held");
    drop(server);
    assert!(!path.exists());

    let foreign = UnixListener::bind(&path).unwrap();
    assert!(matches!(Server::bind(&path), Err(BindError::InUse { .. })), "somebody answers");
    // One that hangs has a full queue; it must not make us hang with it.
    foreign.set_nonblocking(true).unwrap();
    // As long as the system lets it be, it might hold more than a process may have open.
    socket2::SockRef::from(&foreign).listen(1).unwrap();
    let mut waiting = Vec::new();
    let full = loop {
        match Client::connect(&path, PATIENCE) {
            Ok(client) => waiting.push(client),
            Err(e) => break e,
        }
    };
    assert_eq!(full.code(), Code::Unreachable, "{full}");
    assert!(matches!(Server::bind(&path), Err(BindError::InUse { .. })));
    assert!(path.exists());
    drop((foreign, waiting));

    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    assert!(matches!(Server::bind(&path), Err(BindError::NotASocket { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}
