//! The network effects against a real kernel, each test in a network namespace of its own.

mod address;
mod garp;
mod heartbeat;
mod monitor;
mod support;
