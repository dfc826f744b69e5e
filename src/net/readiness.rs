//! Waiting for a file descriptor that tokio has no type for.

use rustix::fd::OwnedFd;
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the current runtime, to wait until it can be read.
#[expect(unsafe_code, reason = "tokio offers no safe way to register a descriptor")]
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is valid and open for as long as it lives, always names the same
    // descriptor, and the `AsyncFd` owns it until both are dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}
