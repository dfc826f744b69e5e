//! A node as a host of its own: the namespaces of its network, its mounts and its processes, so that the files of a recipe are
//! where the recipe says, and the power can be cut.

use crate::clock::wait;
use crate::namespace::Namespace;
use crate::network::Node;
use crate::page::{File, Page};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than anything here takes on a busy machine; reached only when a recipe fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long the control socket may take.
const ANSWER: Duration = Duration::from_secs(15);

/// Directories of havipd that a host has for itself.
const OWN: [&str; 2] = ["/etc/havipd", "/var/lib/havipd"];

/// The first process of a host, which has everything else for its children in the end.
const INIT: &str = r#"
set -eu
root=$1 dir=$2
shift 2
for top in usr etc var/lib var/log; do mount -t overlay overlay -o "lowerdir=$root/$top:/$top" "/$top"; done
mount -t tmpfs -o mode=0755 tmpfs /run
# What a database that loses its power leaves there goes with the host.
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir /run/havipd /run/lock
for own in "$@"; do mount --bind "$dir$own" "$own"; done
touch /run/booted
while :; do
    sleep 3600 &
    wait $! || true
done
"#;

/// One host, on or off; dropping it cuts its power.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) node: Node,
    /// What it is called on the page.
    pub(crate) name: &'static str,
    dir: PathBuf,
    own: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// The program that made its namespaces, whose only child is its first process.
    maker: Child,
    init: Pid,
}

impl Host {
    /// Off, with empty directories of its own besides those of havipd.
    pub(crate) fn new(node: Node, name: &'static str, dir: &Path, root: &Path, own: &[&str]) -> Self {
        let own: Vec<String> = OWN.iter().chain(own).map(|path| (*path).to_owned()).collect();
        let dir = dir.join(name);
        for path in &own {
            for made in [dir.join(&path[1..]), root.join(&path[1..])] {
                fs::create_dir_all(&made).unwrap_or_else(|e| panic!("cannot make {}: {e}", made.display()));
            }
        }
        Self { node, name, dir, own, running: None }
    }

    /// Puts a file where the host has it.
    pub(crate) fn write(&self, path: &str, text: &str, mode: u32) {
        assert!(self.own.iter().any(|own| path.starts_with(own.as_str())), "{path} would be everybody's");
        let place = self.dir.join(&path[1..]);
        let made =
            fs::create_dir_all(place.parent().expect("is in a directory")).and_then(|()| fs::write(&place, text));
        made.and_then(|()| fs::set_permissions(&place, Permissions::from_mode(mode)))
            .unwrap_or_else(|e| panic!("cannot write {}: {e}", place.display()));
    }

    /// The files of a page below one of these directories, and the secrets of the lab.
    pub(crate) fn install(&self, page: &Page, below: &[&str]) {
        let files: Vec<File> =
            page.files().into_iter().filter(|f| below.iter().any(|d| f.path.starts_with(d))).collect();
        assert!(files.iter().any(|f| f.path == "/etc/havipd/havipd.toml"), "the page has {files:?}");
        for file in files {
            self.write(&file.path, &file.text, if file.text.starts_with("#!") { 0o755 } else { 0o644 });
        }
        let name = self.node.name();
        self.write("/etc/havipd/heartbeat.key", &"5a".repeat(32), 0o600);
        let credentials = format!("access-key-id = \"ak-{name}\"\nsecret-access-key = \"sk-{name}\"\n");
        self.write("/etc/havipd/credentials.toml", &credentials, 0o600);
    }

    /// Switches it on; nothing runs yet.
    pub(crate) fn boot(&mut self, namespace: &Namespace, root: &Path) -> Result<(), String> {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        command.args(["bash", "-c", INIT, "init"]).arg(root).arg(&self.dir).args(&self.own);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log("boot"));
        let maker = namespace.inside(|| command.spawn()).map_err(|e| format!("cannot run unshare: {e}"))?;
        let children = format!("/proc/{0}/task/{0}/children", maker.id());
        let mut running = Running { maker, init: rustix::process::getpid() };
        let booted = wait(&format!("{} boots", self.name), PATIENCE, || {
            if let Ok(Some(status)) = running.maker.try_wait() {
                return Ok(Err(format!("it ended: {status}; {}", self.said("boot"))));
            }
            let init = fs::read_to_string(&children).map_err(|e| e.to_string())?;
            let init = init.trim().parse().ok().and_then(Pid::from_raw).ok_or("there is no first process")?;
            running.init = init;
            let mark = self.seen(init, "/run/booted");
            if mark.exists() { Ok(Ok(())) } else { Err("its first process has not said so".to_owned()) }
        });
        booted??;
        self.running = Some(running);
        Ok(())
    }

    /// Cuts the power: every process is gone at once, and nothing in memory is written.
    pub(crate) fn power_off(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // The kernel kills with it whatever else is in its namespace. It may have gone already.
        let _ = kill_process(running.init, Signal::KILL);
        let _ = running.maker.wait();
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// A path of the host as it is seen from outside.
    fn seen(&self, init: Pid, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", init.as_raw_nonzero()))
    }

    fn log(&self, name: &str) -> fs::File {
        let path = self.dir.join(name).with_extension("log");
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap_or_else(|e| panic!("no {}: {e}", path.display()))
    }

    /// The end of a log.
    pub(crate) fn said(&self, name: &str) -> String {
        let text = fs::read_to_string(self.dir.join(name).with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What `nsenter` is told to run a program of the host, in the network of its caller.
    pub(crate) fn enter(&self) -> Vec<String> {
        let running = self.running.as_ref().unwrap_or_else(|| panic!("{} is off", self.name));
        let target = running.init.as_raw_nonzero().to_string();
        ["--target", &target, "--mount", "--uts", "--ipc", "--pid", "--"].map(str::to_owned).to_vec()
    }

    /// A program of the host, with the environment of a service.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--net").args(self.enter()).arg(program).env_clear().env("LANG", "C.UTF-8");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("RUNTIME_DIRECTORY", "/run/havipd").env("STATE_DIRECTORY", "/var/lib/havipd");
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Commands of the shell, as a page has them; what they print.
    pub(crate) fn run(&self, script: &str) -> Result<String, String> {
        let output = self.command("sh").args(["-euc", script]).stderr(Stdio::piped()).output();
        let output = output.map_err(|e| format!("cannot run nsenter: {e}"))?;
        let [out, err] = [&output.stdout, &output.stderr].map(|o| String::from_utf8_lossy(o).into_owned());
        let why = || format!("{}: {script}: {}\n{out}{err}", self.name, output.status);
        if output.status.success() { Ok(out) } else { Err(why()) }
    }

    /// Starts a program that stays, with its output in a log of that name.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.command("sh");
        command.args(["-c", "setsid \"$@\" &", "sh"]).args(arguments);
        let log = self.log(name);
        let status = command.stdout(log.try_clone().expect("a descriptor")).stderr(log).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("cannot start {name} on {}: {other:?}", self.name)),
        }
    }

    /// Starts havipd, as the node that the page calls it.
    pub(crate) fn start_havipd(&self) -> Result<(), String> {
        let program = env!("CARGO_BIN_EXE_havipd");
        self.start("havipd", &[program, "--node", self.name, "--config", "/etc/havipd/havipd.toml"])
    }

    /// What `havipctl` prints.
    pub(crate) fn ctl(&self, arguments: &str) -> Result<String, String> {
        self.run(&format!("{} {arguments}", env!("CARGO_BIN_EXE_havipctl")))
    }

    /// havipd's view of its first group.
    pub(crate) fn group(&self) -> Result<Value, String> {
        let running = self.running.as_ref().ok_or_else(|| format!("{} is off", self.name))?;
        let said = |e: std::io::Error| format!("control socket of {}: {e}", self.name);
        let mut socket = UnixStream::connect(self.seen(running.init, "/run/havipd/control.sock")).map_err(said)?;
        socket.set_read_timeout(Some(ANSWER)).map_err(said)?;
        socket.write_all(format!("{}\n", json!({"command": "status"})).as_bytes()).map_err(said)?;
        let mut line = String::new();
        BufReader::new(socket).read_line(&mut line).map_err(said)?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| format!("{line:?} is no answer: {e}"))?;
        Ok(answer["data"]["groups"][0].clone())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.power_off();
    }
}
