//! What Prometheus reads of a daemon, `/metrics` and `/healthz`, and the listener that serves the page for people as well.
//!
//! Every page is made anew from one snapshot, so that what is gone from the snapshot (a group, a peer,
//! a HAVIP) is gone from the page, and nothing has to be unregistered. [`table`] names every series
//! once; the page, `docs/metrics.md` and the tests of the shipped rules all read it.

pub mod http;
pub mod render;
pub mod table;
pub mod tally;
mod text;
