//! The laboratory: an emulated cloud, a sandbox of real daemons, and a simulator of whole clusters in virtual time.

mod arguments;
pub mod emulator;
pub mod sandbox;
mod say;
mod serve;
mod simulate;
pub mod simulation;
mod text;

pub use arguments::{Arguments, main};
