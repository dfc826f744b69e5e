//! Keeps a Baidu AI Cloud HAVIP on exactly one healthy node.

pub mod certificates;
pub mod checks;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod control;
pub mod ctl;
pub mod daemon;
pub mod doctor;
pub mod errors;
pub mod gates;
pub mod hooks;
pub mod import;
pub mod journal;
pub mod keepalived;
pub mod log;
pub mod metrics;
pub mod net;
pub mod plain;
pub mod process;
pub mod program;
pub mod runtime;
pub mod state;
pub mod status;
pub mod systemd;
pub mod worker;
