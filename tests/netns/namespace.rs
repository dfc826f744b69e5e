//! Network namespaces that go away whatever happens.
//!
//! Their names carry the number of the process that made them. A guard removes each; a handler does
//! for Ctrl-C; and every run first sweeps what runs that are dead by now (killed outright) left.

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

const PREFIX: &str = "havipd-t";

/// Where `ip netns` keeps names.
const NAMES: &str = "/run/netns";

/// One network namespace, removed when dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one, with its loopback up.
    pub(crate) fn new(label: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{PREFIX}{}-{}-{label}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `act` on a thread of its own inside; processes that it starts stay inside.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let joined = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.name);
                act()
            });
            thread.join()
        });
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A thread that stays inside.
    pub(crate) fn thread<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let name = self.name.clone();
        std::thread::spawn(move || {
            enter(&name);
            act()
        })
    }

    /// Runs `ip` commands, one a line.
    pub(crate) fn ip(&self, commands: &str) {
        feed(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), commands);
    }

    /// Runs nftables commands, all or none.
    pub(crate) fn nft(&self, commands: &str) {
        self.inside(|| feed(Command::new("nft").args(["-f", "-"]), commands));
    }

    /// Sets a kernel parameter below `/proc/sys/net`.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        let path = Path::new("/proc/sys/net").join(name);
        self.inside(|| fs::write(&path, value)).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn enter(name: &str) {
    let file = File::open(Path::new(NAMES).join(name)).unwrap_or_else(|e| panic!("no namespace {name}: {e}"));
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .unwrap_or_else(|e| panic!("cannot enter {name}: {e}"));
}

/// Runs a program to its end, which must be a good one; what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run {program}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn feed(command: &mut Command, input: &str) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    // A process that ends early says why on stderr.
    let _ = child.stdin.take().expect("is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("can be waited for");
    assert!(output.status.success(), "{command:?} {input:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn remove(name: &str) {
    // Both say on stderr what failed; there is nobody else to tell.
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        let pids = pids.split_whitespace().filter_map(|p| Pid::from_raw(p.parse().ok()?));
        for pid in pids.filter(|pid| *pid != rustix::process::getpid()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "del", name]).status();
}

/// Removes the namespaces, and ends the processes in them, whose maker `chosen` picks by number.
fn sweep(chosen: impl Fn(u32) -> bool) {
    let Ok(names) = fs::read_dir(NAMES) else { return };
    for name in names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).and_then(|n| n.parse().ok());
        if maker.is_some_and(&chosen) {
            remove(&name);
        }
    }
}

/// Removes what dead runs left, and sees to it that this one leaves nothing if it is interrupted.
pub(crate) fn keep_clean() {
    sweep(|maker| !Path::new("/proc").join(maker.to_string()).exists());
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).expect("signals can be handled");
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Twice: a lab under construction may make one more meanwhile.
            sweep(|maker| maker == std::process::id());
            sweep(|maker| maker == std::process::id());
            std::process::exit(128 + signal);
        }
    });
}
