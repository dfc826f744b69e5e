//! One node: a real keepalived and a havipd beside it, each of which may run or not.

use crate::Variant;
use crate::clock::wait;
use crate::fabric::{HAVIPS, Havip, PORT};
use crate::namespace::Namespace;
use crate::network::{CLOUD, Node};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The two nodes; the first is the one that keepalived prefers.
pub(crate) const PAIR: [Node; 2] = [Node(0), Node(1)];
/// Longer than anything takes on a busy machine; reached only when a case fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long the control socket may take.
const ANSWER: Duration = Duration::from_secs(15);

/// The group of a HAVIP: the first follows an instance, the second a sync group.
pub(crate) fn group(havip: Havip) -> &'static str {
    ["VI_1", "pair"][havip.0]
}

/// A node's two programs; dropping it kills them.
#[derive(Debug)]
pub(crate) struct Host {
    node: Node,
    variant: Variant,
    dir: PathBuf,
    run: PathBuf,
    havipd: Option<Child>,
    keepalived: Option<Child>,
}

impl Host {
    /// Writes their files below `dir`; sockets, pid files and state will be in `run`, whose path is short.
    pub(crate) fn new(node: Node, variant: Variant, dir: &Path, run: &Path) -> Self {
        let (dir, run) = (dir.join(node.name()), run.join(node.name()));
        for path in [&dir, &run.join("state"), &dir.join("bin")] {
            fs::create_dir_all(path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        }
        let host = Self { node, variant, dir, run, havipd: None, keepalived: None };
        secret(&host.dir.join("heartbeat.key"), &"5a".repeat(32));
        let name = node.name();
        let credentials = format!("access-key-id = \"ak-{name}\"\nsecret-access-key = \"sk-{name}\"\n");
        secret(&host.dir.join("credentials.toml"), &credentials);
        fs::write(host.dir.join("havipd.toml"), host.havipd_toml()).expect("can be written");
        fs::write(host.dir.join("keepalived.conf"), host.keepalived_conf()).expect("can be written");
        fs::set_permissions(host.dir.join("keepalived.conf"), fs::Permissions::from_mode(0o644)).expect("has a mode");
        // Asks "systemctl list-jobs" whether it is stopped or restarted: restarted.
        let script = host.dir.join("bin/systemctl");
        fs::write(&script, "#!/bin/sh\necho '1 havipd.service restart running'\n").expect("can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("can be made executable");
        host
    }

    pub(crate) fn start_havipd(&mut self, namespace: &Namespace) {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipd"));
        command
            .args(["--node", self.node.name(), "--log-format", "json", "--log-level", "debug", "--config"])
            .arg(self.dir.join("havipd.toml"))
            .env_clear()
            .env("PATH", format!("{}:{path}", self.dir.join("bin").display()))
            .env("RUNTIME_DIRECTORY", &self.run)
            .env("STATE_DIRECTORY", self.run.join("state"));
        self.havipd = Some(self.spawn(namespace, command, "havipd.log"));
    }

    pub(crate) fn start_keepalived(&mut self, namespace: &Namespace) {
        let mut command = Command::new("keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--log-detail"]);
        command.arg("--use-file").arg(self.dir.join("keepalived.conf"));
        command.arg("--pid").arg(self.pid_file()).arg("--vrrp_pid").arg(self.run.join("vrrp.pid"));
        // What `havipctl notify` needs to keep a state while havipd does not run.
        command.env("STATE_DIRECTORY", self.run.join("state"));
        self.keepalived = Some(self.spawn(namespace, command, "keepalived.log"));
    }

    fn spawn(&self, namespace: &Namespace, mut command: Command, log: &str) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(self.dir.join(log)).expect("a log");
        let err = log.try_clone().expect("a descriptor");
        command.stdin(Stdio::null()).stdout(log).stderr(err);
        namespace.inside(|| command.spawn()).unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"))
    }

    fn pid_file(&self) -> PathBuf {
        self.run.join("keepalived.pid")
    }

    /// Ends havipd at once.
    pub(crate) fn kill_havipd(&mut self) {
        end(self.havipd.take());
    }

    /// Ends keepalived at once, its child included, which would otherwise say good-bye.
    pub(crate) fn kill_keepalived(&mut self) {
        let vrrp = fs::read_to_string(self.run.join("vrrp.pid")).ok().and_then(|text| text.trim().parse().ok());
        let parent = self.keepalived.as_ref().map(Child::id);
        let vrrp = vrrp.and_then(Pid::from_raw).filter(|pid| parent_of(*pid) == parent);
        end(self.keepalived.take());
        if let Some(pid) = vrrp {
            // It may have gone with its parent.
            let _ = kill_process(pid, Signal::KILL);
            // Another keepalived would take it for one that runs until it has been buried.
            let proc = format!("/proc/{}", pid.as_raw_nonzero());
            let gone = || if Path::new(&proc).exists() { Err("it is still there".to_owned()) } else { Ok(()) };
            let _ = wait("keepalived's child is gone", PATIENCE, gone);
        }
    }

    /// Asks keepalived to end, and waits until it has.
    pub(crate) fn stop_keepalived(&mut self) -> Result<(), String> {
        stop(self.keepalived.take(), "keepalived")
    }

    /// Asks havipd to end for a restart, and waits until it has.
    pub(crate) fn stop_havipd(&mut self) -> Result<(), String> {
        stop(self.havipd.take(), "havipd")
    }

    pub(crate) fn runs_keepalived(&mut self) -> bool {
        self.keepalived.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn runs_havipd(&mut self) -> bool {
        self.havipd.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// havipd's view of one group.
    pub(crate) fn status(&self, havip: Havip) -> Result<Value, String> {
        let said = |e: std::io::Error| format!("control socket of {}: {e}", self.node.name());
        let mut socket = UnixStream::connect(self.run.join("control.sock")).map_err(said)?;
        socket.set_read_timeout(Some(ANSWER)).map_err(said)?;
        socket.write_all(format!("{}\n", json!({"command": "status"})).as_bytes()).map_err(said)?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).map_err(said)?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| format!("{line:?} is no answer: {e}"))?;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let found = groups.into_iter().find(|g| g["name"] == json!(group(havip)));
        found.ok_or_else(|| format!("{} answers {answer}", self.node.name()))
    }

    /// What became of the group, as havipd's log has it.
    pub(crate) fn story(&self) -> String {
        let log = fs::read_to_string(self.dir.join("havipd.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|l| l.contains("\"cause\"") || l.contains("keepalived")).collect();
        let last = lines.len().saturating_sub(25);
        lines[last..].join("\n")
    }

    fn havipd_toml(&self) -> String {
        let mut text = String::from("[cluster]\nname = \"lab\"\n\n");
        for node in PAIR {
            let (name, address, instance) = (node.name(), node.address(), node.instance());
            let _ = writeln!(text, "[[node]]\nname = {name:?}\naddress = \"{address}\"\ninstance = {instance:?}\n");
        }
        let _ = writeln!(
            text,
            "[heartbeat]\ninterval = \"100ms\"\ndead-multiplier = 10\ncold-start-wait = \"3s\"\n\
             keys = [{{ id = 1, file = \"heartbeat.key\" }}]\n\n\
             [cloud]\nregion = \"bj\"\nendpoint = \"http://{CLOUD}:{PORT}\"\n\
             metadata-endpoint = \"http://{CLOUD}:{PORT}\"\nconnect-timeout = \"300ms\"\nrequest-timeout = \"600ms\"\n\
             operation-timeout = \"12s\"\naudit-interval = \"1s\"\nrequests-per-second = 100\n\n\
             [cloud.credentials]\nsource = \"file\"\nfile = \"credentials.toml\"\n\n\
             [local-address]\nlifetime = \"2s\"\nannounce-interval = \"50ms\"\n\n\
             [metrics]\nlisten = \"off\"\n\n[keepalived]\npid-file = {:?}",
            self.pid_file()
        );
        if self.variant == Variant::Fifo {
            let _ = writeln!(text, "fifo = {:?}", self.run.join("fifo"));
        }
        for havip in HAVIPS {
            let (id, address) = (havip.id(), havip.address());
            let vrrp = ["", "vrrp = \"GROUP:VG 1\"\n"][havip.0];
            let _ = writeln!(
                text,
                "\n[[group]]\nname = {:?}\narbiter = \"keepalived\"\n{vrrp}keep-for = \"5s\"\nreclaim-wait = \"60s\"\n\
                 [[group.havip]]\nid = {id:?}\naddress = \"{address}\"",
                group(havip)
            );
        }
        text
    }

    /// Two instances, the second in a sync group whose name has a space.
    fn keepalived_conf(&self) -> String {
        let other = PAIR[1 - self.node.0];
        let priority = [150, 100][self.node.0];
        let notify = format!(
            "notify \"{} --socket {} notify\"",
            env!("CARGO_BIN_EXE_havipctl"),
            self.run.join("control.sock").display()
        );
        let (command, fifo) = match self.variant {
            Variant::Notify => (notify, String::new()),
            Variant::Fifo => (String::new(), format!("vrrp_notify_fifo {}", self.run.join("fifo").display())),
        };
        let mut text = format!("global_defs {{\n router_id {}\n script_user root\n {fifo}\n}}\n", self.node.name());
        let _ = writeln!(text, "vrrp_sync_group \"VG 1\" {{\n group {{\n  VI_2\n }}\n {command}\n}}");
        for (i, command) in [(1, command.as_str()), (2, "")] {
            let (own, peer) = (self.node.address(), other.address());
            let _ = writeln!(
                text,
                "vrrp_instance VI_{i} {{\n state BACKUP\n version 3\n interface eth0\n virtual_router_id {i}\n \
                 priority {priority}\n advert_int 0.3\n unicast_src_ip {own}\n unicast_peer {{\n  {peer}\n }}\n \
                 virtual_ipaddress {{\n  192.168.77.{i}/32 dev lo\n }}\n {command}\n}}"
            );
        }
        text
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill_keepalived();
        self.kill_havipd();
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        // Only fails if it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn stop(child: Option<Child>, what: &str) -> Result<(), String> {
    let Some(mut child) = child else { return Err(format!("{what} does not run")) };
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("is a pid")).expect("is not zero");
    kill_process(pid, Signal::TERM).map_err(|e| format!("cannot stop {what}: {e}"))?;
    wait(&format!("{what} ends"), PATIENCE, || {
        child.try_wait().map_err(|e| e.to_string())?.map(drop).ok_or_else(|| "it still runs".to_owned())
    })
}

/// Whose child a process is.
fn parent_of(pid: Pid) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn secret(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("can be written");
}
