//! Beside keepalived, without a second daemon: the shipped examples under the real keepalived, and the commands of
//! the migration page. Needs root, for a network namespace of its own.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

mod examples;
#[path = "../netns/namespace.rs"]
#[expect(dead_code, reason = "the lab does more with its namespaces")]
mod namespace;
mod page;
#[path = "../support/script.rs"]
mod script;
#[path = "../support/wait.rs"]
mod wait;
