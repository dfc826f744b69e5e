//! The cloud's side: its API, the client for it, credentials and instance metadata.
pub mod api;
pub mod sign;
