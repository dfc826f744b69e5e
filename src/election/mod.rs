//! Who has the right to be active.
pub mod action;
pub mod event;
pub mod role;
