//! `havipd-lab sandbox` as users run it: a whole cluster of real daemons, from its command line.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

mod ends;
mod harness;
#[path = "../../../../tests/support/pty.rs"]
mod pty;
#[path = "../../../../tests/support/script.rs"]
mod script;
mod scripts;
mod terminal;
#[path = "../../../../tests/support/wait.rs"]
mod wait;
mod watch;
