//! The configuration file.
mod digest;
pub mod model;

pub use digest::digest;
