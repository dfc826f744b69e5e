//! Beside keepalived: what it says, and whether it lives.
//!
//! States come by `havipctl notify` or by keepalived's FIFO; the newest of each name counts, and only while the process
//! named by keepalived's pid file lives and is older than the state. The newest is also kept in the state directory:
//! `havipctl notify` puts there what it cannot tell the daemon, and a daemon that starts goes on from it.
//!
//! Sources: keepalived.conf(5) and the notify and FIFO sources of keepalived 2.2 (which opens the FIFO read-write and
//! non-blocking, so that lines wait there while nobody reads).

mod fifo;
pub mod follow;
#[cfg(test)]
mod idle;
pub mod kept;
pub(crate) mod process;
pub mod stamp;
