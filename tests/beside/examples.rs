//! `packaging/keepalived`: keepalived takes the files, and what they promise happens.

use crate::namespace::{Namespace, keep_clean};
use crate::wait::wait_for;
use havipd_lab::emulator::{Control, Emulator, EmulatorConfig};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const HAVIP: &str = "havip-w2d4kgc3x0y1";

pub(crate) fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/keepalived").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A host with `eth0`, as the examples have it.
pub(crate) fn host() -> Namespace {
    static CLEAN: Once = Once::new();
    CLEAN.call_once(keep_clean);
    let host = Namespace::new("ka");
    host.ip("link add eth0 type veth peer name far\nlink set far up\nlink set eth0 up\naddr add 10.0.0.11/24 dev eth0");
    host
}

/// What keepalived says against a file.
fn test_config(host: &Namespace, path: &Path) -> (Option<i32>, Vec<String>) {
    let output = host.inside(|| {
        let mut command = Command::new("keepalived");
        command.args(["--log-console", "--config-test", "-f"]).arg(path).output().unwrap()
    });
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect())
}

/// The examples name /usr/bin/havipctl, which need not be there: keepalived objects to scripts that it cannot run.
fn here(text: &str) -> String {
    text.replace("/usr/bin/havipctl", env!("CARGO_BIN_EXE_havipctl"))
}

#[test]
fn keepalived_takes_both_examples() {
    let (host, dir) = (host(), TempDir::new().unwrap());
    for (name, objections) in [("daemonless", 0), ("beside", 1)] {
        let path = dir.path().join(name);
        fs::write(&path, here(&shipped(&format!("{name}/keepalived.conf")))).unwrap();
        let (code, said) = test_config(&host, &path);
        let unique: std::collections::BTreeSet<&String> = said.iter().collect();
        assert_eq!(unique.len(), objections, "{name}: {said:?}");
        assert!(unique.iter().all(|line| line.contains("No VIP specified; at least one is sensible")), "{said:?}");
        assert!(objections > 0 || code == Some(0), "{name}: {code:?}");
        let wrong = dir.path().join("wrong");
        fs::write(&wrong, fs::read_to_string(&path).unwrap().replace("priority", "priorty")).unwrap();
        let (code, said) = test_config(&host, &wrong);
        assert!(
            code != Some(0) && said.iter().any(|l| l.contains("priorty")),
            "the test sees what it looks for: {said:?}"
        );
    }
}

#[test]
fn havipd_takes_the_file_of_the_example_beside_keepalived() {
    let dir = TempDir::new().unwrap();
    let (config, key) = (dir.path().join("havipd.toml"), dir.path().join("heartbeat.key"));
    fs::write(&config, shipped("beside/havipd.toml")).unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_havipctl")).args(["keygen", "--out"]).arg(&key).status().unwrap();
    assert!(made.success());
    for node in ["a", "b"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipd"));
        let output = command.args(["--check-config", "--node", node, "--config"]).arg(&config).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("group web: arbiter keepalived"), "{text}");
    }
}

/// The emulated cloud inside the host's namespace.
pub(crate) fn cloud(host: &Namespace) -> (Control, String, String, oneshot::Sender<()>) {
    let config = EmulatorConfig::new("127.0.0.1:0".parse().unwrap())
        .with_node("a", "10.0.0.11".parse().unwrap())
        .with_node("b", "10.0.0.12".parse().unwrap())
        .with_havip(HAVIP, "10.0.0.100".parse().unwrap());
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    host.thread(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut emulator = Emulator::start(config).await.unwrap();
            let metadata = emulator.metadata_listener("a", "127.0.0.1:0".parse().unwrap()).await.unwrap();
            tell.send((emulator.control(), emulator.endpoint(), format!("http://{metadata}"))).unwrap();
            emulator.run(async { drop(stopped.await) }).await;
        });
    });
    let (control, endpoint, metadata) = told.recv().unwrap();
    (control, endpoint, metadata, stop)
}

/// keepalived with a `/dev/log` of ours; killed when dropped.
struct Keepalived {
    child: Child,
    log: PathBuf,
}

impl Keepalived {
    fn start(host: &Namespace, dir: &Path, config: &Path) -> Self {
        // Everything that keepalived and its script open below /dev, and the socket of this test.
        let script = "set -e; mkdir -p \"$1/dev\"; mount -t tmpfs none \"$1/dev\"; cd \"$1/dev\"
            mknod null c 1 3; mknod zero c 1 5; mknod random c 1 8; mknod urandom c 1 9; chmod 666 *
            ln -s /proc/self/fd fd; ln -s \"$1/log\" log; mount --bind \"$1/dev\" /dev; cd /
            exec keepalived --dont-fork --log-console --vrrp -f \"$2\" -p \"$1/pid\" -r \"$1/vrrp.pid\"";
        let log = dir.join("keepalived.log");
        let out = fs::File::create(&log).unwrap();
        let child = host.inside(|| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(dir).arg(config);
            command.env("RUNTIME_DIRECTORY", dir).stdin(Stdio::null());
            command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap()
        });
        Self { child, log }
    }
}

impl Drop for Keepalived {
    #[expect(clippy::print_stderr, reason = "what a failed test has to show")]
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        // In order: its child must not outlive it.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

fn holder(cloud: &Control) -> Option<String> {
    cloud.view().havips.first()?.master.clone()
}

/// The daemonless example as it is shipped, but for where the programs and the cloud are.
#[test]
fn a_new_master_moves_the_havip_and_says_so_in_the_systems_log() {
    let (host, dir) = (host(), TempDir::new().unwrap());
    let (cloud, endpoint, metadata, _stop) = cloud(&host);
    let key = dir.path().join("bce.toml");
    fs::write(&key, "access-key-id = \"ak-a\"\nsecret-access-key = \"sk-a\"\n").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let log = UnixDatagram::bind(dir.path().join("log")).unwrap();
    log.set_nonblocking(true).unwrap();
    let mut heard = String::new();
    let mut line = |what: &str| {
        wait_for(what, || {
            let mut space = [0; 4096];
            while let Ok(size) = log.recv(&mut space) {
                heard.push_str(std::str::from_utf8(&space[..size]).unwrap());
                heard.push('\n');
            }
            let found = heard.lines().find(|l| l.contains(what))?.to_owned();
            heard.clear();
            Some(found)
        })
    };

    // Node b has it.
    let attach = |arguments: &[&str]| {
        let status = host.inside(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
            command.args(["attach", HAVIP, "--wait", "--endpoint", &endpoint, "--credentials"]).arg(&key);
            command.args(arguments).env("RUNTIME_DIRECTORY", dir.path()).status().unwrap()
        });
        assert!(status.success());
    };
    attach(&["--instance", "i-b"]);
    assert_eq!(holder(&cloud).as_deref(), Some("i-b"));

    let there = format!("--endpoint {endpoint} --metadata-endpoint {metadata}");
    let text = here(&shipped("daemonless/keepalived.conf"))
        .replace("--region bj", &there)
        .replace("/etc/keepalived/bce.toml", key.to_str().unwrap());
    let config = dir.path().join("keepalived.conf");
    fs::write(&config, &text).unwrap();
    let first = Keepalived::start(&host, dir.path(), &config);
    let said = line("havipctl[");
    assert!(
        said.starts_with("<29>havipctl[") && said.contains(&format!("attach {HAVIP}: {HAVIP} is on i-a (was on i-b)")),
        "{said}"
    );
    assert!(said.ends_with("(exit code 0)"), "{said}");
    assert_eq!(holder(&cloud).as_deref(), Some("i-a"));
    let bound: Vec<String> = cloud.view().havips[0].bound.iter().map(|b| b.id.clone()).collect();
    assert_eq!(bound, ["i-a"], "b was detached");
    drop(first);

    // Once more, with a key that may not: keepalived does not log how a script ends, so the line is all there is.
    fs::write(&key, "access-key-id = \"ak-a\"\nsecret-access-key = \"wrong\"\n").unwrap();
    let second = Keepalived::start(&host, dir.path(), &config);
    let said = line("havipctl[");
    assert!(said.starts_with("<27>havipctl[") && said.ends_with("(exit code 77)"), "{said}");
    drop(second);
}
