//! One thread of a process that stands still, as no signal can have it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// One thread of a process, stopped by a debugger's means until this is dropped.
pub(crate) struct Frozen {
    debugger: Child,
    says: BufReader<ChildStdout>,
}

impl Frozen {
    /// Stops the thread of process `pid` that has this name.
    pub(crate) fn thread(pid: u64, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten().map(|entry| entry.path());
        let named = |path: &PathBuf| fs::read_to_string(path.join("comm")).unwrap_or_default().trim() == name;
        let found = threads.into_iter().find(named).unwrap_or_else(|| panic!("{pid} has no thread {name}"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/liveness/freeze.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(found.file_name().expect("a number")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut debugger = command.spawn().expect("python3 is installed");
        let says = BufReader::new(debugger.stdout.take().expect("a pipe"));
        let mut frozen = Self { debugger, says };
        assert_eq!(frozen.hear(), "stopped\n");
        frozen
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("a line");
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
