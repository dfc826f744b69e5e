//! keepalived.conf becomes havipd.toml: kept cases, anything at all, and the program.
//!
//! `WRITE=1 cargo test --test import` puts the new expectations of the kept cases in place; read them before they are
//! committed.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

mod any;
mod cases;
mod judge;
mod once_wrong;
mod program;
#[path = "../fuzz/src/import.rs"]
pub mod promise;
#[path = "../support/script.rs"]
mod script;
mod tracked;
mod weights;
