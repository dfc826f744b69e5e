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
    terminate: Arrivals,
    interrupt: Arrivals,
    hangup: Arrivals,
}

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP over. Needs a tokio runtime.
    ///
    /// # Errors
    /// No file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: Arrivals::of(SIGTERM)?, interrupt: Arrivals::of(SIGINT)?, hangup: Arrivals::of(SIGHUP)? })
    }

    /// The next one. May be dropped and called again without losing any.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            () = self.terminate.next() => Signal::Terminate,
            () = self.interrupt.next() => Signal::Terminate,
            () = self.hangup.next() => Signal::Reload,
        }
    }
}

/// The arrivals of one signal, from its making on; it does nothing else any more.
#[derive(Debug)]
pub struct Arrivals(UnixStream);

impl Arrivals {
    /// Takes the signal of this number over. Needs a tokio runtime.
    ///
    /// # Errors
    /// No file descriptor left, or a signal that cannot be taken.
    pub fn of(signal: i32) -> io::Result<Self> {
        let (read, write) = StdStream::pair()?;
        signal_hook::low_level::pipe::register(signal, write)?;
        read.set_nonblocking(true)?;
        UnixStream::from_std(read).map(Self)
    }

    /// The next one. May be dropped and called again without losing any.
    pub async fn next(&mut self) {
        // One byte a signal. The handler's end lives as long as the process, so there is no end to read.
        if self.0.read_u8().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
