//! Real daemons against the emulated cloud: what a user of havipd sees. No interface: the HAVIP has
//! `interface = "none"`, heartbeats go over loopback. No root, but for
//! `realtime` and `reload_addresses`.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

mod any_node;
mod bundle;
mod check_certificates;
mod check_input;
mod checks;
mod cli;
mod completions;
mod doctor;
mod drill;
mod etcd;
mod etcd_election;
mod failover;
mod flood;
mod gates;
mod history;
mod hosts;
mod init;
mod join;
mod keepalived;
mod lab;
mod leftovers;
mod logs;
mod lost_connections;
mod maintenance;
mod oneshot;
mod permissions;
#[path = "../support/pty.rs"]
mod pty;
mod realtime;
mod reload;
mod reload_addresses;
mod stop;
mod trouble;
#[path = "../support/wait.rs"]
mod wait;
