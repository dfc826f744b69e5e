//! The wire format and its sessions, from outside the crate: one program, as each costs a link.

mod properties;
mod sessions;
mod vectors;
