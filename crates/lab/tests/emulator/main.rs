//! The emulated cloud: its semantics by profile, its faults, its signatures, its control API.

mod claims;
mod client;
mod control;
mod faults;
mod metadata;
mod sdk;
mod semantics;
mod signatures;
mod validation;
