//! One daemon as a child process: started, signalled, reaped and listened to.
//!
//! The task that reaps a child is also the one that signals it, so a signal can never reach another
//! process that got the same id. The kernel kills the child when the thread that started it ends
//! (`PR_SET_PDEATHSIG`), so nothing is left behind however the sandbox ends.

use super::said::{self, Said, Status};
use havipd::clock;
use havipd::control::protocol::Request;
use havipd::process::end_with_parent;
use havipd_core::model::time::Instant;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Time between two questions for the status.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long a daemon may take to answer one.
const ASK_PATIENCE: Duration = Duration::from_secs(1);
/// Signals that wait to be sent.
const SIGNALS: usize = 16;

/// What is heard of a daemon.
#[derive(Debug)]
pub(super) enum Heard {
    /// It logged something.
    Said(Said),
    /// It told how it is; `None`: it does not answer.
    Status(Option<Status>),
    /// It has ended.
    Ended(String),
}

/// What is heard, of which daemon (a node may have had several), and when.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) node: usize,
    pub(super) run: u64,
    pub(super) at: Instant,
    pub(super) heard: Heard,
}

/// Where events go.
#[derive(Debug, Clone)]
struct Voice {
    node: usize,
    run: u64,
    events: mpsc::Sender<Event>,
}

impl Voice {
    /// Says whether anybody listens.
    async fn tell(&self, heard: Heard) -> bool {
        let event = Event { node: self.node, run: self.run, at: clock::now(), heard };
        self.events.send(event).await.is_ok()
    }
}

/// How daemons are started.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    /// `--havipd`; without it, this very program does the daemon's work under the name `havipd`.
    pub(super) program: Option<PathBuf>,
    /// Names of all nodes.
    pub(super) names: Vec<String>,
    /// Where events go.
    pub(super) events: mpsc::Sender<Event>,
}

/// A daemon that was started.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) pid: u32,
    signals: mpsc::Sender<Signal>,
    reaper: JoinHandle<()>,
    others: [JoinHandle<()>; 2],
}

impl Launcher {
    /// Starts the daemon of a node, whose files are all in `directory`.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn start(&self, node: usize, run: u64, directory: &Path) -> io::Result<Daemon> {
        let mut child = self.command(node, directory)?.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let voice = Voice { node, run, events: self.events.clone() };
        let stderr = child.stderr.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let (signals, orders) = mpsc::channel(SIGNALS);
        let name = self.names[node].clone();
        let listener = tokio::spawn(listen(stderr, name, voice.clone()));
        let socket = directory.join("run").join(havipd::control::SOCKET);
        let asker = tokio::spawn(ask(socket, self.names.clone(), voice.clone()));
        let reaper = tokio::spawn(reap(child, orders, voice));
        Ok(Daemon { pid, signals, reaper, others: [listener, asker] })
    }

    fn command(&self, node: usize, directory: &Path) -> io::Result<Command> {
        // Not the path of this program: it may have been replaced since it was started.
        let mut command = Command::new(self.program.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe")));
        let file = directory.join("havipd.toml");
        let arguments: [OsString; 8] = [
            "--config".into(),
            file.into(),
            "--node".into(),
            self.names[node].clone().into(),
            "--log-format".into(),
            "json".into(),
            "--log-level".into(),
            "info".into(),
        ];
        command.arg0("havipd").args(arguments).current_dir(directory).env_clear();
        command.env("RUNTIME_DIRECTORY", directory.join("run")).env("STATE_DIRECTORY", directory.join("state"));
        // A process group of its own: a Ctrl-C at the terminal is for the sandbox alone.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        end_with_parent(command.as_std_mut());
        Ok(command)
    }
}

impl Daemon {
    /// Sends a signal; without effect if it has ended.
    pub(super) async fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal).await;
    }

    /// Kills it, and waits until it is reaped.
    pub(super) async fn end(mut self) {
        self.signal(Signal::KILL).await;
        let _ = (&mut self.reaper).await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.others.iter().for_each(JoinHandle::abort);
    }
}

/// Sends signals until the child ends, then reaps it.
async fn reap(mut child: Child, mut orders: mpsc::Receiver<Signal>, voice: Voice) {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            order = orders.recv() => match (order, pid) {
                // It has not been reaped, so the id is still its own.
                (Some(signal), Some(pid)) => drop(kill_process(pid, signal)),
                _ => break child.kill().await.and(child.wait().await),
            },
        }
    };
    voice.tell(Heard::Ended(ended.map_or_else(|e| e.to_string(), describe))).await;
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "left in order".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

async fn listen(stderr: ChildStderr, name: String, voice: Voice) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if !voice.tell(Heard::Said(said::read(&name, &line))).await {
            return;
        }
    }
}

async fn ask(socket: PathBuf, names: Vec<String>, voice: Voice) {
    loop {
        let answer = said::ask(&socket, &Request::Status, ASK_PATIENCE).await.ok();
        let status = answer.and_then(|response| Status::read(&response, &names).ok());
        if !voice.tell(Heard::Status(status)).await {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
