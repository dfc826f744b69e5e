//! One `havipd` process in a node's namespace: its file, its directories, its signals, what it says.

use crate::clock::{Moment, wait};
use crate::fabric::{HAVIPS, Havip, PORT};
use crate::namespace::Namespace;
use crate::network::{CLOUD, NODES, Node};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Time between heartbeats.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);

/// Silence after which a node is dead.
pub(crate) const DEAD_TIME: Duration = Duration::from_millis(500);

/// Time between two audits of the cloud.
pub(crate) const AUDIT: Duration = Duration::from_secs(1);

/// How long a restart may take.
const KEEP_FOR: Duration = Duration::from_secs(5);

/// How long the control socket may take.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a process may take to end in order.
const LEAVING: Duration = Duration::from_secs(30);

/// The program that is tried: the one that `HAVIPD_BIN` names, else the one that was built with these tests.
fn program() -> OsString {
    std::env::var_os("HAVIPD_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_havipd").into())
}

/// Which one that is, in words.
pub(crate) fn program_tried() -> String {
    let build = if cfg!(debug_assertions) { "a debug build of havipd" } else { "a release build of havipd" };
    std::env::var("HAVIPD_BIN").unwrap_or_else(|_| build.to_owned())
}

/// The group of a HAVIP.
pub(crate) fn group(havip: Havip) -> &'static str {
    ["trio", "duo"][havip.0]
}

/// Who may hold it.
pub(crate) fn members(havip: Havip) -> &'static [Node] {
    if havip.0 == 0 { &NODES } else { &NODES[..2] }
}

/// What decides while nodes cannot see each other.
pub(crate) fn arbiter(havip: Havip) -> &'static str {
    ["majority", "cloud"][havip.0]
}

/// One change of role, as the log has it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) node: Node,
    pub(crate) group: String,
    pub(crate) to: String,
    pub(crate) cause: String,
    /// When it was decided.
    pub(crate) at: Moment,
    /// The whole line.
    pub(crate) line: String,
}

/// One node's daemon, running or not; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    node: Node,
    dir: PathBuf,
    run: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Writes its files below `dir`; its sockets and its state will be in `run`, whose path is short.
    pub(crate) fn new(node: Node, dir: &Path, run: &Path) -> Self {
        let (dir, run) = (dir.join(node.name()), run.join(node.name()));
        for path in [&dir, &run.join("state"), &dir.join("bin")] {
            fs::create_dir_all(path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        }
        secret(&dir.join("heartbeat.key"), &"5a".repeat(32));
        let name = node.name();
        secret(
            &dir.join("credentials.toml"),
            &format!("access-key-id = \"ak-{name}\"\nsecret-access-key = \"sk-{name}\"\n"),
        );
        let daemon = Self { node, dir, run, child: None };
        daemon.configure(&configuration());
        daemon.systemd_says("");
        // Once and early: a program that was just written may still be open in a child that somebody else starts.
        let script = daemon.dir.join("bin/systemctl");
        fs::write(&script, format!("#!/bin/sh\ncat {:?}\necho\n", daemon.dir.join("jobs"))).expect("can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("can be made executable");
        daemon
    }

    /// Puts another file in place, for the next start or reload.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.dir.join("havipd.toml"), text).expect("can be written");
    }

    /// Starts it; it goes on from the state that it left.
    pub(crate) fn start(&mut self, namespace: &Namespace) {
        self.start_logging(namespace, "debug");
    }

    /// The same with a log of that level.
    pub(crate) fn start_logging(&mut self, namespace: &Namespace, level: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("a log");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program());
        command
            .args(["--node", self.node.name(), "--log-format", "json", "--log-level", level, "--config"])
            .arg(self.dir.join("havipd.toml"))
            .env_clear()
            .env("PATH", format!("{}:{path}", self.dir.join("bin").display()))
            .env("RUNTIME_DIRECTORY", &self.run)
            .env("STATE_DIRECTORY", self.run.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(namespace.inside(|| command.spawn()).expect("havipd can be started"));
    }

    /// What `systemctl list-jobs` will tell the daemon when it is asked to stop.
    pub(crate) fn systemd_says(&self, jobs: &str) {
        fs::write(self.dir.join("jobs"), jobs).expect("can be written");
    }

    /// Whether it has been started and has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn pid(&self) -> u64 {
        self.child.as_ref().expect("is running").id().into()
    }

    /// How many heartbeats of `peer` have counted here; an error while its session is not up.
    pub(crate) fn heard_of(&self, peer: Node) -> Result<u64, String> {
        let answer = self.ask(&json!({"command": "status"}))?;
        let peers = answer["data"]["peers"].as_array().cloned().unwrap_or_default();
        let up = peers.iter().find(|p| p["node"] == peer.name() && p["state"] == "up");
        let counted = up.and_then(|p| p["stats"]["counted"].as_u64());
        counted.ok_or_else(|| format!("{} does not hear {}: {peers:?}", self.node.name(), peer.name()))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("is running");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("is a pid")).expect("is not zero");
        kill_process(pid, signal).unwrap_or_else(|e| panic!("cannot signal {}: {e}", self.node.name()));
    }

    /// Ends it at once, without a chance to do anything.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Only fails if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<ExitStatus, String> {
        let child = self.child.as_mut().expect("is running");
        let status = wait(&format!("havipd on {} ends", self.node.name()), LEAVING, || {
            child.try_wait().map_err(|e| e.to_string())?.ok_or_else(|| "it still runs".to_owned())
        })?;
        self.child = None;
        Ok(status)
    }

    /// What `havipctl` prints, if it ends well.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        command.arg("--socket").arg(self.run.join("control.sock")).args(arguments);
        let output = command.output().map_err(|e| e.to_string())?;
        let text = [output.stdout, output.stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
        if output.status.success() { Ok(text) } else { Err(format!("{arguments:?}: {}: {text}", output.status)) }
    }

    /// One request to the control socket; the data of its answer.
    pub(crate) fn ask(&self, request: &Value) -> Result<Value, String> {
        let said = |e: std::io::Error| format!("control socket of {}: {e}", self.node.name());
        let mut socket = UnixStream::connect(self.run.join("control.sock")).map_err(said)?;
        socket.set_read_timeout(Some(ANSWER)).map_err(said)?;
        socket.write_all(format!("{request}\n").as_bytes()).map_err(said)?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).map_err(said)?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| format!("{line:?} is no answer: {e}"))?;
        if answer["code"] != json!(0) {
            return Err(format!("{} answers {answer}", self.node.name()));
        }
        Ok(answer)
    }

    /// Has it read its configuration again.
    pub(crate) fn reload(&self) -> Result<(), String> {
        self.ask(&json!({"command": "reload"})).map(drop)
    }

    /// Its view of every group.
    pub(crate) fn groups(&self) -> Result<Vec<Value>, String> {
        let answer = self.ask(&json!({"command": "status"}))?;
        Ok(answer["data"]["groups"].as_array().cloned().unwrap_or_default())
    }

    /// Its view of one group.
    pub(crate) fn group(&self, havip: Havip) -> Result<Value, String> {
        let groups = self.groups()?;
        let found = groups.iter().find(|g| g["name"] == json!(group(havip))).cloned();
        found.ok_or_else(|| format!("{} knows no group {}: {groups:?}", self.node.name(), group(havip)))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log.json")
    }

    /// Changes of role decided since `then`.
    pub(crate) fn changes_since(&self, then: Moment) -> Vec<Change> {
        let Ok(log) = File::open(self.log()) else { return Vec::new() };
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        lines.filter_map(|line| self.change(line)).filter(|change| change.at >= then).collect()
    }

    fn change(&self, line: String) -> Option<Change> {
        let value: Value = serde_json::from_str(&line).ok()?;
        let fields = &value["fields"];
        let text = |name: &str| fields[name].as_str().map(str::to_owned);
        let (group, to, cause) = (text("group")?, text("to")?, text("cause")?);
        let at = Moment((fields["at_ms"].as_f64()? * 1e6) as u64);
        Some(Change { node: self.node, group, to, cause, at, line })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn secret(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("can be written");
}

/// The beginning of a file: who takes part.
pub(crate) fn cluster(nodes: &[Node]) -> String {
    let mut text = String::from("[cluster]\nname = \"lab\"\n\n");
    for (node, priority) in nodes.iter().zip([150, 120, 100]) {
        let (name, address, instance) = (node.name(), node.address(), node.instance());
        let _ = writeln!(
            text,
            "[[node]]\nname = {name:?}\naddress = \"{address}\"\ninstance = {instance:?}\npriority = {priority}\n"
        );
    }
    text
}

/// The one file that every node has. A group for each arbiter, so that each case tries both at once.
pub(crate) fn configuration() -> String {
    let mut text = cluster(&NODES);
    let audit = AUDIT.as_secs();
    let (interval, multiplier) = (INTERVAL.as_millis(), DEAD_TIME.as_millis() / INTERVAL.as_millis());
    let _ = writeln!(
        text,
        "[heartbeat]\ninterval = \"{interval}ms\"\ndead-multiplier = {multiplier}\ncold-start-wait = \"1s\"\n\
         keys = [{{ id = 1, file = \"heartbeat.key\" }}]\n\n\
         [cloud]\nregion = \"bj\"\nendpoint = \"http://{CLOUD}:{PORT}\"\nmetadata-endpoint = \"http://{CLOUD}:{PORT}\"\n\
         connect-timeout = \"300ms\"\nrequest-timeout = \"600ms\"\noperation-timeout = \"12s\"\n\
         audit-interval = \"{audit}s\"\nrequests-per-second = 100\n\n\
         [cloud.credentials]\nsource = \"file\"\nfile = \"credentials.toml\"\n\n\
         [local-address]\nlifetime = \"2s\"\nannounce-interval = \"50ms\"\n"
    );
    for havip in HAVIPS {
        let names: Vec<&str> = members(havip).iter().map(|n| n.name()).collect();
        let (id, address) = (havip.id(), havip.address());
        let (group, arbiter, keep) = (group(havip), arbiter(havip), KEEP_FOR.as_secs());
        let _ = writeln!(
            text,
            "[[group]]\nname = {group:?}\nnodes = {names:?}\narbiter = {arbiter:?}\npreempt = false\nmax-moves = 0\n\
             keep-for = \"{keep}s\"\nreclaim-wait = \"20s\"\n[[group.havip]]\nid = {id:?}\naddress = \"{address}\"\n"
        );
    }
    text
}
