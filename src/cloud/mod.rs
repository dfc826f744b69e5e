//! The cloud's side: its API, the client for it, credentials and instance metadata.
//!
//! [`sign`] is pure. [`client`] makes the calls, [`credentials`] finds out with which
//! key, and [`metadata`] asks the instance what it is. [`redact`] keeps what a call carried out of its answer.
pub mod client;
pub mod credentials;
pub mod metadata;
pub mod redact;
pub mod sign;
