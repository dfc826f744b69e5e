//! Keeps a Baidu AI Cloud HAVIP on exactly one healthy node.

pub mod clock;
pub mod cloud;
pub mod config;
pub mod control;
pub mod ctl;
pub mod daemon;
pub mod election;
pub mod histogram;
pub mod hooks;
pub mod ids;
pub mod import;
pub mod journal;
pub mod keepalived;
pub mod log;
pub mod metrics;
pub mod net;
pub mod ownership;
pub mod process;
pub mod runtime;
pub mod sandbox;
pub mod secret;
pub mod simulation;
pub mod state;
pub mod systemd;
pub mod time;
pub mod wire;
