//! Signals, as something to wait for.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// What somebody asks of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Leave (SIGTERM, SIGINT).
    Terminate,
    /// Read the configuration again (SIGHUP).
    Reload,
}

/// The signals that arrive from its making on; those that came while nobody waited are kept.
#[derive(Debug)]
pub struct Signals {
    terminate: UnixStream,
    interrupt: UnixStream,
    hangup: UnixStream,
}

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP over. Needs a tokio runtime.
    ///
    /// # Errors
    /// No file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: stream(SIGTERM)?, interrupt: stream(SIGINT)?, hangup: stream(SIGHUP)? })
    }

    /// The next one. May be dropped and called again without losing any.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            () = byte(&mut self.terminate) => Signal::Terminate,
            () = byte(&mut self.interrupt) => Signal::Terminate,
            () = byte(&mut self.hangup) => Signal::Reload,
        }
    }
}

fn stream(signal: i32) -> io::Result<UnixStream> {
    let (read, write) = StdStream::pair()?;
    signal_hook::low_level::pipe::register(signal, write)?;
    read.set_nonblocking(true)?;
    UnixStream::from_std(read)
}

/// One byte a signal. The handler's end lives as long as the process, so there is no end to read.
async fn byte(stream: &mut UnixStream) {
    if stream.read_u8().await.is_err() {
        std::future::pending::<()>().await;
    }
}
