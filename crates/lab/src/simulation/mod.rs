//! Virtual worlds for the daemon's decisions: everything around a node, without clock, I/O or dice.
//!
//! The shipped core and its ownership loop run here unchanged, several of them, against a model of
//! their hosts, of the network and of the cloud. A run depends on its scenario and nothing else, and
//! is the same bit for bit each time. First things go wrong, while what must never happen is
//! watched for; then all faults end, and all must be well again within a bound.
//!
//! The cloud's model serves the emulator as well, which plays it over HTTP.

pub mod clock;
pub mod cloud;
pub mod cluster;
pub mod network;
pub mod report;
pub mod scenario;

mod attack;
mod bound;
mod calls;
#[cfg(test)]
mod conformance;
mod copies;
mod effects;
mod etcd;
mod facts;
mod faults;
mod gates;
mod host;
mod invariants;
mod kernel;
mod machines;
mod operators;
mod order;
mod paths;
mod plan;
mod plans;
mod programs;
mod random;
pub(crate) mod release;
mod router;
mod run;
mod schedule;
#[cfg(test)]
mod sensitivity;
#[cfg(test)]
mod several;
mod stabilization;
mod start;
mod step;
mod step_kind;
mod steps;
mod vrrp;
mod watch;
mod world;

pub use invariants::PROMISES;
pub use order::Order;
pub use programs::GateEnd;
pub use report::{Report, Violation};
pub use run::{replay, run};
pub use scenario::Scenario;
pub use step_kind::StepKind;
