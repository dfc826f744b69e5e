//! Disks and file servers that can be made to stand still, and processors that are taken away.

use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

/// A small disk without any room left, mounted on a directory.
pub(crate) struct FullDisk {
    at: PathBuf,
}

impl FullDisk {
    pub(crate) fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", at.to_str().unwrap()]);
        let disk = Self { at: at.to_owned() };
        let mut ballast = fs::File::create(disk.ballast()).unwrap();
        while ballast.write_all(&[0; 512]).is_ok() {}
        disk
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    /// Makes room.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // The daemon may still have its file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

/// A real FUSE file server, mounted on a directory.
pub(crate) struct FileServer {
    server: Child,
    at: PathBuf,
}

impl FileServer {
    pub(crate) fn mount(backing: &Path, at: &Path) -> Self {
        for dir in [backing, at] {
            fs::create_dir_all(dir).unwrap();
        }
        let server = Command::new("bindfs").arg("-f").args([backing, at]).stdin(Stdio::null()).spawn();
        let server = Self { server: server.expect("bindfs is installed"), at: at.to_owned() };
        wait_for("the file server is mounted", || {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            mounts.lines().any(|m| m.contains(at.to_str().unwrap()) && m.contains("fuse")).then_some(())
        });
        server
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).unwrap();
    }

    /// From now on nothing on it is ever answered.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        // The end of the server ends whatever waits for it.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

/// A name server that is asked and never answers, so that each lookup hangs for three dead times, and a hosts file
/// that a case may write.
pub(crate) struct SilentNames {
    server: UdpSocket,
    hosts: PathBuf,
}

impl SilentNames {
    const SERVER: &str = "127.0.0.153";

    /// In place of those of this machine.
    pub(crate) fn mount(dir: &Path) -> Self {
        let server = UdpSocket::bind((Self::SERVER, 53)).unwrap();
        server.set_nonblocking(true).unwrap();
        let (hosts, resolv) = (dir.join("hosts"), dir.join("resolv.conf"));
        fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
        fs::write(&resolv, format!("nameserver {}\noptions timeout:3 attempts:1\n", Self::SERVER)).unwrap();
        for (file, at) in [(&hosts, "/etc/hosts"), (&resolv, "/etc/resolv.conf")] {
            run("mount", &["--bind", file.to_str().unwrap(), at]);
        }
        Self { server, hosts }
    }

    /// Whether a name was asked for.
    pub(crate) fn was_asked(&self) -> Option<()> {
        self.server.recv(&mut [0; 512]).ok().map(drop)
    }

    /// From now on this name is known; one that has asked the name server goes on waiting.
    pub(crate) fn know(&self, name: &str) {
        fs::write(&self.hosts, format!("127.0.0.1 localhost {name}\n")).unwrap();
    }
}

impl Drop for SilentNames {
    fn drop(&mut self) {
        for at in ["/etc/hosts", "/etc/resolv.conf"] {
            let _ = Command::new("umount").args(["--lazy", at]).status();
        }
    }
}

/// Processes that do nothing but start others, on the one processor on which a process is kept meanwhile.
pub(crate) struct ForkStorm {
    shells: Vec<Child>,
    pid: u64,
}

impl ForkStorm {
    /// With equal rights to the processor.
    pub(crate) fn beside(pid: u64) -> Self {
        run("taskset", &["-a", "-c", "-p", "0", &pid.to_string()]);
        let shell = || {
            let mut command = Command::new("taskset");
            command.args(["-c", "0", "sh", "-c", "while :; do (:); done"]).stdin(Stdio::null());
            command.spawn().expect("taskset is installed")
        };
        Self { shells: (0..4).map(|_| shell()).collect(), pid }
    }

    /// With so much more right to it that next to nothing is left.
    pub(crate) fn that_starves(pid: u64) -> Self {
        run("chrt", &["-a", "-i", "-p", "0", &pid.to_string()]);
        Self::beside(pid)
    }
}

impl Drop for ForkStorm {
    fn drop(&mut self) {
        for shell in &mut self.shells {
            let _ = shell.kill();
            let _ = shell.wait();
        }
        run("chrt", &["-a", "-o", "-p", "0", &self.pid.to_string()]);
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        run("taskset", &["-a", "-c", "-p", &format!("0-{}", all - 1), &self.pid.to_string()]);
    }
}

/// What a quota of the kernel's does: the process runs for a part of every period, and stands still for the rest.
pub(crate) struct Quota {
    over: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl Quota {
    /// A fifth of every tenth of a second.
    pub(crate) fn of(pid: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (end, pid) = (over.clone(), Pid::from_raw(i32::try_from(pid).unwrap()).unwrap());
        #[expect(clippy::disallowed_methods, reason = "standing still for a while is what a quota is")]
        let keeper = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                kill_process(pid, Signal::STOP).unwrap();
                std::thread::sleep(Duration::from_millis(80));
                kill_process(pid, Signal::CONT).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { over, keeper: Some(keeper) }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
