//! A whole cluster and its cloud on one machine, without root and without an account.

pub mod deed;
pub mod emulator;
pub mod facts;
pub mod relay;
pub mod script;
pub mod setup;
pub mod timeline;
pub mod view;
