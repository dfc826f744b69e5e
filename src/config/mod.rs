//! The configuration file: one for all nodes of a cluster, the contract of which is the
//! configuration reference.
//!
//! ```text
//!  text ─► document ─► settings ─► rules ─► build ─► Config
//!          unknown     types,      several   checked types
//!          keys        ranges      keys
//!             └───────────┴───────────┴─► Report ─► Diagnostics: everything that is wrong, at once
//! ```
//! `settings` is the table of all keys: a new one is a row there.
//! Only `load` and [`secret_file`] touch the disk and the process; the rest is computed from the
//! text, an [`Environment`] and a [`Disk`].

mod access;
mod build;
pub mod check;
pub mod diagnostic;
mod diff;
mod document;
mod environment;
pub mod example;
mod load;
mod locate;
mod paths;
mod rules;
mod rules_check;
mod rules_group;
pub mod schema;
pub mod secret_file;
mod settings;
mod shown;
mod takes;
mod value;

pub use check::{ArbiterInForce, LoadError, Loaded};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity, of_syntax};
pub use diff::{Changes, diff};
pub use environment::{Disk, Environment};
pub use load::{Unwritten, load, load_unwritten};
pub use locate::{Placed, Unplaced};
pub use value::{parse_duration, parse_region};
