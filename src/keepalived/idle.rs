//! For tests: a process with a name that does nothing, and ends with the test that started it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// One that is killed when this is dropped: also when the test fails, or what reads the test's output would wait for it.
#[derive(Debug)]
pub(super) struct Idle(pub(super) Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it as `program`, which is made if it does not exist. A link would not do: the name is that of the file.
pub(super) fn idle(program: &Path) -> Idle {
    if !program.exists() {
        // By a process of its own: a file that another thread's child has open for writing cannot be run.
        assert!(Command::new("cp").arg("/bin/sleep").arg(program).status().expect("runs").success());
    }
    Idle(Command::new(program).arg("600").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts"))
}
