//! Virtual worlds for the daemon's decisions: everything around a node, without clock, I/O or dice.
//!
//! The same models serve the simulator, which plays them in virtual time, and the emulator, which
//! plays them over HTTP.

pub mod cloud;
