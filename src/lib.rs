//! Keeps a Baidu AI Cloud HAVIP on exactly one healthy node.

pub mod cloud;
pub mod config;
pub mod election;
pub mod ids;
pub mod ownership;
pub mod sandbox;
pub mod secret;
pub mod simulation;
pub mod time;
pub mod wire;
