//! The host's side of things: clock, heartbeat sockets, addresses, links and ARP.
//!
//! Everything here does I/O and decides nothing: the election says what should be so, this module
//! makes it so or says why not. Netlink is spoken directly (messages from `netlink-packet-route`,
//! sockets from `netlink-sys`) and not through the `rtnetlink` crate: that one passes every request
//! through an unbounded channel to a task of its own, so a request would be checked against its
//! right at one time and sent at another.

pub mod address;
pub mod clock;
pub mod garp;
pub mod heartbeat;
pub mod interface;
pub mod monitor;
pub mod netlink;
pub mod owner;
pub(crate) mod readiness;
