//! Real daemons on loopback addresses, an emulated cloud in this process, and facts to wait for.

#[path = "../support/script.rs"]
pub(crate) mod script;

use crate::wait::{PATIENCE, wait_for};
use havipd_lab::emulator::{Control, Emulator, EmulatorConfig};
use havipd_lab::simulation::cloud::{HavipSpec, InterfaceSpec};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::{OpenOptions, Permissions};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const HAVIP: &str = "havip-test1";
pub(crate) const HAVIP_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 100);
const NO_MAC: &str = "00:00:00:00:00:00";
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Where heartbeats go.
const PORT: u16 = 11200;

/// What a test changes of the usual file.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) nodes: usize,
    /// Intervals of 50 ms to the dead time: two seconds unless given, so that a machine that is busy has no crashes.
    pub(crate) dead_multiplier: Option<u32>,
    pub(crate) cold_start_wait: Option<&'static str>,
    /// Keys of `[cloud]` and `[[group]]`, as they stand in the file.
    pub(crate) cloud: String,
    pub(crate) group: String,
    pub(crate) havip_id: Option<String>,
    /// Groups beyond the first, each with a HAVIP of its own.
    pub(crate) more_groups: u16,
    /// Whole tables, at the end.
    pub(crate) tables: String,
    /// `metrics.listen`: of both nodes, so that one of them has to wait for it. Off unless given.
    pub(crate) metrics: Option<String>,
    /// The metadata service answers, as node `a`'s, whichever node asks.
    pub(crate) metadata_of_a: bool,
    /// Node `a` asks its metadata service what it is.
    pub(crate) discover_a: bool,
    /// The HAVIP is bound to network interfaces, not to instances.
    pub(crate) eni: bool,
    /// What is changed of the cloud before it starts.
    pub(crate) world: Option<fn(&mut EmulatorConfig)>,
}

pub(crate) struct Lab {
    pub(crate) cloud: Control,
    endpoint: String,
    metadata: String,
    net: Network,
    pub(crate) dir: TempDir,
    pub(crate) options: Options,
    /// Keys of `[[group.havip]]`.
    pub(crate) havip: String,
    /// The emulator ends with it.
    _stop: oneshot::Sender<()>,
}

impl Lab {
    pub(crate) fn new(options: Options) -> Self {
        let net = Network::take();
        let mut config = EmulatorConfig::new("127.0.0.1:0".parse().unwrap()).with_havip(HAVIP, HAVIP_ADDRESS);
        let mut elsewhere = HavipSpec::new("havip-elsewhere", Ipv4Addr::new(127, 0, 0, 101));
        elsewhere.vpc = "vpc-other".to_owned();
        config.world.havips.push(elsewhere);
        for n in 0..options.more_groups {
            let [high, low] = n.to_be_bytes();
            config = config.with_havip(&format!("havip-more{n}"), Ipv4Addr::new(127, 1, high, low));
        }
        for (i, name) in NAMES.iter().enumerate() {
            config = config.with_node(name, net.address(i));
            // The hardware address of the loopback interface, on which all the nodes are.
            let interface = InterfaceSpec::new(&format!("eni-{name}"), &format!("i-{name}"), NO_MAC, net.address(i));
            config.world.interfaces.push(interface);
        }
        if let Some(change) = options.world {
            change(&mut config);
        }
        let (cloud, endpoint, metadata, stop) = serve(config, "a");
        let lab = Self {
            cloud,
            endpoint,
            metadata,
            net,
            dir: TempDir::new().unwrap(),
            options,
            havip: String::new(),
            _stop: stop,
        };
        lab.write_key("heartbeat.key", 7);
        lab.write_config();
        lab
    }

    /// Where the API really is, `host:port`.
    pub(crate) fn api(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// The metadata service of node `a`.
    pub(crate) fn metadata(&self) -> &str {
        &self.metadata
    }

    /// From now on the file names another way to the API.
    pub(crate) fn set_endpoint(&mut self, endpoint: String) {
        self.endpoint = endpoint;
        self.write_config();
    }

    pub(crate) fn address(&self, node: usize) -> Ipv4Addr {
        self.net.address(node)
    }

    pub(crate) fn write_key(&self, name: &str, byte: u8) {
        let path = self.dir.path().join(name);
        std::fs::write(&path, format!("{}\n", hex::encode([byte; 32]))).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir.path().join("havipd.toml")
    }

    pub(crate) fn text(&self) -> String {
        let o = &self.options;
        let mut text = "[cluster]\nname = \"lab\"\n".to_owned();
        for (i, name) in NAMES.iter().enumerate().take(o.nodes.max(2)) {
            let priority = 150 - 10 * i;
            let address = self.address(i);
            let _ = write!(text, "[[node]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n");
            if o.discover_a && i == 0 {
                text.push_str("interface = \"lo\"\n");
            } else {
                let (key, prefix) = if o.eni { ("eni", "eni") } else { ("instance", "i") };
                let _ = writeln!(text, "{key} = \"{prefix}-{name}\"");
            }
        }
        let id = o.havip_id.as_deref().unwrap_or(HAVIP);
        let nobody = "http://127.0.0.1:9".to_owned();
        let metadata = if o.discover_a || o.metadata_of_a { &self.metadata } else { &nobody };
        let endpoint = &self.endpoint;
        let (multiplier, wait) = (o.dead_multiplier.unwrap_or(40), o.cold_start_wait.unwrap_or("2s"));
        let _ = write!(
            text,
            "[heartbeat]\ninterval = \"50ms\"\ndead-multiplier = {multiplier}\ncold-start-wait = \"{wait}\"\nfabric-probe = false\n\
             keys = [{{ id = 1, file = \"heartbeat.key\" }}]\n\
             [cloud]\nregion = \"bj\"\nendpoint = \"{endpoint}\"\nmetadata-endpoint = \"{metadata}\"\n\
             audit-interval = \"1s\"\nrequests-per-second = 100\n{}\n\
             [[group]]\nname = \"web\"\n{}\n[[group.havip]]\nid = \"{id}\"\ninterface = \"none\"\n{}\n\
             [metrics]\nlisten = {:?}\n{}\n",
            o.cloud,
            o.group,
            self.havip,
            o.metrics.as_deref().unwrap_or("off"),
            o.tables
        );
        for n in 0..o.more_groups {
            let _ = write!(
                text,
                "[[group]]\nname = \"g{n}\"\n{}\n[[group.havip]]\nid = \"havip-more{n}\"\ninterface = \"none\"\n",
                o.group
            );
        }
        text
    }

    pub(crate) fn write_config(&self) {
        std::fs::write(self.config_path(), self.text()).unwrap();
    }

    /// Who the cloud says has the HAVIP.
    pub(crate) fn holder(&self) -> Option<String> {
        let view = serde_json::to_value(self.cloud.view()).unwrap();
        let havip = view["havips"].as_array()?.iter().find(|h| h["id"] == HAVIP)?;
        havip["master"].as_str().map(str::to_owned)
    }

    /// How many attach and detach calls there were.
    pub(crate) fn writes(&self) -> usize {
        self.cloud.calls(0).iter().filter(|c| c.method == "PUT").count()
    }

    /// Two daemons, the first of which is active.
    pub(crate) fn pair(&self) -> (Daemon, Daemon) {
        let (a, b) = (self.start(0), self.start(1));
        a.wait_role("active");
        b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a" && s["groups"][0]["role"] == "backup");
        a.wait_for("b is up", |s| s["peers"][0]["state"] == "up");
        (a, b)
    }

    /// Runs `havipctl` on a node's socket.
    pub(crate) fn ctl(&self, node: usize, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        command.arg("--socket").arg(self.home(node).join("run/control.sock")).args(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, node: usize) -> Command {
        let home = self.home(node);
        // Once only: what is mounted there by now may answer no more.
        if !home.join("run").exists() {
            std::fs::create_dir_all(home.join("state")).unwrap();
            std::fs::create_dir_all(home.join("run")).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipd"));
        command
            .args(["--config", self.config_path().to_str().unwrap(), "--node", NAMES[node]])
            .env_clear()
            .env("RUNTIME_DIRECTORY", home.join("run"))
            .env("STATE_DIRECTORY", home.join("state"))
            .env("BCE_ACCESS_KEY_ID", format!("ak-{}", NAMES[node]))
            .env("BCE_SECRET_ACCESS_KEY", format!("sk-{}", NAMES[node]))
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn home(&self, node: usize) -> PathBuf {
        self.dir.path().join(NAMES[node])
    }

    pub(crate) fn start(&self, node: usize) -> Daemon {
        self.start_with(node, |_| {})
    }

    pub(crate) fn start_with(&self, node: usize, change: impl FnOnce(&mut Command)) -> Daemon {
        let home = self.home(node);
        let mut command = self.command(node);
        let log = OpenOptions::new().create(true).append(true).open(home.join("log")).unwrap();
        command.args(["--log-level", "debug"]).stdout(Stdio::null()).stderr(log);
        change(&mut command);
        Daemon { child: command.spawn().unwrap(), name: NAMES[node], home }
    }
}

/// The emulated cloud on a thread of its own, until the last of these is dropped: handle, endpoint, metadata of a node.
pub(crate) fn serve(config: EmulatorConfig, node: &'static str) -> (Control, String, String, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut emulator = Emulator::start(config).await.unwrap();
            let metadata = emulator.metadata_listener(node, "127.0.0.1:0".parse().unwrap()).await.unwrap();
            tell.send((emulator.control(), emulator.endpoint(), format!("http://{metadata}"))).unwrap();
            emulator.run(async { drop(stopped.await) }).await;
        });
    });
    let (control, endpoint, metadata) = told.recv().unwrap();
    (control, endpoint, metadata, stop)
}

/// A network on loopback that no other test of this machine has as long as this is held, whatever process it is in.
struct Network {
    second: u8,
    third: u8,
    /// On an address that is nobody's in it.
    _held: UdpSocket,
}

impl Network {
    fn take() -> Self {
        loop {
            // In 127.0 are those who ask for any port, in 127.1 HAVIPs.
            let (second, third) = (fastrand::u8(2..=254), fastrand::u8(..));
            match UdpSocket::bind((Ipv4Addr::new(127, second, third, 254), PORT)) {
                Ok(held) => return Self { second, third, _held: held },
                Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
            }
        }
    }

    fn address(&self, node: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, self.third, node as u8 + 1)
    }
}

/// One `havipd`, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) name: &'static str,
    home: PathBuf,
}

impl Drop for Daemon {
    #[expect(clippy::print_stderr, reason = "what a failed test has to show")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log());
        }
    }
}

impl Daemon {
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("run/control.sock")
    }

    /// What it has logged, without a line that is still on its way.
    pub(crate) fn log(&self) -> String {
        let mut log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).unwrap();
        let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for(&format!("{} ends", self.name), || self.child.try_wait().unwrap())
    }

    pub(crate) fn ask(&self, request: &Value) -> Option<Value> {
        ask(&self.socket(), request)
    }

    pub(crate) fn status(&self) -> Option<Value> {
        Some(self.ask(&serde_json::json!({"command": "status"}))?["data"].take()).filter(|d| !d.is_null())
    }

    /// Its view of the only group.
    pub(crate) fn group(&self) -> Value {
        self.status().expect("a status")["groups"][0].take()
    }

    /// Waits until its status shows a fact, and gives that status.
    pub(crate) fn wait_for(&self, what: &str, fact: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{}: {what}", self.name), || self.status().filter(&fact))
    }

    /// Waits until its log has a line with `text`, which comes a moment after what it tells of; gives the first of them.
    pub(crate) fn wait_log(&self, text: &str) -> String {
        wait_for(&format!("{}: logs {text:?}", self.name), || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Its log with all that it had to say until now.
    pub(crate) fn log_until_now(&self) -> String {
        let named = |log: &str| log.matches("an operator asks: undrain").count();
        let before = named(&self.log());
        assert_eq!(self.ask(&serde_json::json!({"command": "undrain"})).expect("an answer")["code"], 0);
        wait_for(&format!("{}: logs an order", self.name), || Some(self.log()).filter(|log| named(log) > before))
    }

    pub(crate) fn wait_role(&self, role: &str) -> Value {
        self.wait_for(&format!("is {role}"), |s| s["groups"][0]["role"] == role)
    }
}

pub(crate) fn ask(socket: &Path, request: &Value) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    writeln!(stream, "{request}").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}
