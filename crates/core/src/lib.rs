//! What havipd decides, without clock, I/O, async or dice: time is an argument and randomness a seed.
//!
//! ```text
//!  model      the words that all parts share: names, time, roles, settings, what goes in and what comes out
//!  wire       datagrams, their authentication, sessions between two nodes
//!  election   who leads each group: the core itself, `election::Core`
//!  reconcile  what the leader makes true: the address in the kernel, the binding in the cloud
//!  status     what a node reports of itself, as plain data: made by `election`, read by those who ask
//!  health     what the results of checks come to: rise, fall, weight
//!  queue      in which order calls go to the cloud, and how many at a time
//! ```

pub mod election;
pub mod health;
pub mod model;
pub mod queue;
pub mod reconcile;
pub mod status;
pub mod wire;
