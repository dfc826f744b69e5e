//! The control socket: how `havipctl` talks to a running daemon.
//!
//! A unix stream socket, `control.sock` in the runtime directory, mode 0660: every user who may open the
//! file may look, and root and the daemon's own user may change things. Requests and replies are JSON,
//! one a line, so `socat` can speak it too:
//! `{"command":"status"}` is answered by `{"protocol":1,"code":0,"message":"...","data":{...}}`.

pub mod asker;
pub mod client;
pub mod protocol;
pub mod server;
mod silence;

use std::path::PathBuf;

/// The socket's file in the runtime directory.
pub const SOCKET: &str = "control.sock";

/// Where the socket is unless `--socket` says otherwise.
#[must_use]
pub fn default_socket() -> PathBuf {
    crate::systemd::directory("RUNTIME_DIRECTORY", "/run/havipd").join(SOCKET)
}
