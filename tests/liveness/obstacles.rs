//! Disks, file servers and threads that can be made to stand still.

use crate::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
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

/// One thread of a process, stopped by a debugger's means until this is dropped.
pub(crate) struct Frozen {
    debugger: Child,
    says: BufReader<ChildStdout>,
}

impl Frozen {
    /// Stops the thread of process `pid` that has this name.
    pub(crate) fn thread(pid: u64, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| fs::read_to_string(path.join("comm")).unwrap_or_default().trim() == name;
        let found = threads.into_iter().find(named).unwrap_or_else(|| panic!("{pid} has no thread {name}"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/liveness/freeze.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(found.file_name().unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut debugger = command.spawn().unwrap();
        let says = BufReader::new(debugger.stdout.take().unwrap());
        let mut frozen = Self { debugger, says };
        assert_eq!(frozen.hear(), "stopped\n");
        frozen
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    /// Lets it run again.
    pub(crate) fn thaw(mut self) {
        drop(self.debugger.stdin.take());
        assert_eq!(self.hear(), "continued\n");
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.debugger.stdin.take());
        let _ = self.debugger.wait();
    }
}
