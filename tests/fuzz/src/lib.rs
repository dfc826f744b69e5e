//! Bodies of the fuzz targets: each takes any bytes and panics when the product breaks a promise.
//!
//! Two programs run them: libFuzzer (`tests/fuzz/run`), which looks for new inputs, and
//! `tests/fuzz_regressions.rs`, which replays the kept ones with an ordinary `cargo test`.

pub mod answers;
pub mod configuration;
pub mod control;
pub mod core;
pub mod cursor;
pub mod datagram;
pub mod import;
pub mod keepalived;
