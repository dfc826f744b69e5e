//! A client program that is asked line by line and answers line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// One that runs; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Session {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Session {
    pub(crate) fn start(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot run {command:?}: {e}"))?;
        let input = child.stdin.take().expect("is piped");
        let output = child.stdout.take().expect("is piped");
        let (to, answers) = sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok).filter(|l| !l.is_empty()) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, answers })
    }

    /// The line that it answers to that one; nothing if it has ended, or takes longer.
    pub(crate) fn ask(&mut self, line: &str, patience: Duration) -> Option<String> {
        writeln!(self.input, "{line}").ok()?;
        self.answers.recv_timeout(patience).ok()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Only fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
