//! `/metrics` and `/healthz` of real daemons, and what is shipped for them, judged by the real `promtool`.
//!
//! `tests/run` fetches it (Debian's package `prometheus`, unpacked and not installed: nothing is started).

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

#[path = "../daemon/lab.rs"]
#[expect(dead_code, reason = "not every helper of the daemon's tests is needed here")]
mod lab;
mod page;
mod promtool;
mod scrape;
mod shipped;
#[path = "../support/wait.rs"]
mod wait;
