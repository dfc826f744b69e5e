//! keepalived as it comes, and an ear for who is still heard.

use crate::clock::{Moment, wait};
use crate::fabric::havips;
use crate::network::{HEARTBEATS, NODES, Network, Node};
use crate::pair::PAIR;
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// One running keepalived; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Keepalived {
    node: Node,
    dir: PathBuf,
    run: PathBuf,
    child: Option<Child>,
}

impl Keepalived {
    /// Starts one with an instance for each group, unicast; without an interval its own default.
    pub(crate) fn start(
        node: Node,
        interval: Option<Duration>,
        groups: usize,
        dir: &Path,
        run: &Path,
        network: &Network,
    ) -> Self {
        let (dir, run) = (dir.join(node.name()), run.join(node.name()));
        for path in [&dir, &run] {
            fs::create_dir_all(path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
        }
        let file = dir.join("keepalived.conf");
        fs::write(&file, configuration(node, interval, groups)).expect("can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("has a mode");
        let mut keepalived = Self { node, dir, run, child: None };
        keepalived.start_again(network);
        keepalived
    }

    pub(crate) fn start_again(&mut self, network: &Network) {
        let log = OpenOptions::new().create(true).append(true).open(self.dir.join("log")).expect("a log");
        let err = log.try_clone().expect("a descriptor");
        let mut command = Command::new("keepalived");
        command.args(["--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--use-file"]);
        command.arg(self.dir.join("keepalived.conf"));
        command.arg("--pid").arg(self.run.join("keepalived.pid")).arg("--vrrp_pid").arg(self.vrrp_pid_file());
        command.stdin(Stdio::null()).stdout(log).stderr(err);
        let spawned = network.node(self.node).inside(|| command.spawn());
        self.child = Some(spawned.unwrap_or_else(|e| panic!("cannot start keepalived: {e}")));
    }

    fn vrrp_pid_file(&self) -> PathBuf {
        self.run.join("vrrp.pid")
    }

    /// The one that does VRRP, a child of the other.
    fn vrrp(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.vrrp_pid_file()).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Both processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let child = self.vrrp().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        self.child.iter().map(Child::id).chain(child).collect()
    }

    /// Ends both at once.
    pub(crate) fn kill(&mut self) {
        // The child first: it would say goodbye when its parent is gone.
        if let Some(pid) = self.vrrp().filter(|_| self.child.is_some()) {
            // It may have ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Some(mut child) = self.child.take() {
            // Only fails if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Another one would take it for one that runs.
        let _ = fs::remove_file(self.vrrp_pid_file());
    }

    /// Has it end in order.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().expect("is running");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("is a pid")).expect("is not zero");
        kill_process(pid, Signal::TERM).expect("is ours");
        wait("keepalived ends", PATIENCE, || {
            child.try_wait().map_err(|e| e.to_string())?.map(drop).ok_or_else(|| "it still runs".to_owned())
        })
        .unwrap();
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(node: Node, interval: Option<Duration>, groups: usize) -> String {
    let other = PAIR[1 - node.0];
    let priority = [150, 100][node.0];
    let mut text = format!("global_defs {{\n router_id {}\n vrrp_version 3\n}}\n", node.name());
    for (i, (id, address)) in (1..).zip(havips(groups)) {
        let every = interval.map(|i| format!(" advert_int {}\n", i.as_secs_f64())).unwrap_or_default();
        let (own, peer) = (node.address(), other.address());
        let _ = writeln!(
            text,
            "vrrp_instance {id} {{\n state BACKUP\n interface eth0\n virtual_router_id {i}\n priority {priority}\n{every} \
             unicast_src_ip {own}\n unicast_peer {{\n  {peer}\n }}\n virtual_ipaddress {{\n  {address}/32 dev eth0\n }}\n}}"
        );
    }
    text
}

/// Hears, on the router, the heartbeats of every node.
#[derive(Debug)]
pub(crate) struct Ear {
    last: Arc<[AtomicU64; 3]>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    pub(crate) fn start(network: &Network) -> Self {
        let last: Arc<[AtomicU64; 3]> = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let (to, over) = (last.clone(), done.clone());
        let thread = network.router.thread(move || listen(&to, &over));
        Self { last, done, thread: Some(thread) }
    }

    /// When a node was heard last.
    pub(crate) fn last_of(&self, node: Node) -> Moment {
        Moment(self.last[node.0].load(Ordering::Relaxed))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// `ETH_P_IP`.
const IP: u16 = 0x0800;
/// Protocol numbers of IP.
const VRRP: u8 = 112;
const UDP: u8 = 17;

fn listen(last: &[AtomicU64; 3], done: &AtomicBool) {
    let protocol = Protocol::from(i32::from(IP.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a packet socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("has a timeout");
    let mut frame = [0; 128];
    while !done.load(Ordering::Relaxed) {
        let Ok(length) = socket.read(&mut frame) else { continue };
        if let Some(node) = heartbeat(&frame[..length]) {
            last[node.0].store(Moment::now().0, Ordering::Relaxed);
        }
    }
}

/// Whose heartbeat a frame is, if it is one.
fn heartbeat(frame: &[u8]) -> Option<Node> {
    let node = NODES.into_iter().find(|n| frame.get(6..12) == Some(&n.mac()[..]))?;
    let port = u16::from_be_bytes([*frame.get(36)?, *frame.get(37)?]);
    match *frame.get(23)? {
        VRRP => Some(node),
        UDP if port == HEARTBEATS => Some(node),
        _ => None,
    }
}
