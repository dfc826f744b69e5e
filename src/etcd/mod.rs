//! Speaks with etcd by the JSON gateway of its v3 interface: reads leader keys that somebody else writes, and never writes
//! one; and reads and writes the keys of elections of our own.
//!
//! What is believed is always a linearizable read: etcd answers one only after a majority of its members has confirmed
//! the member that was asked. A watch is open beside it, and is a bell: whatever comes out of it has the key read again.
//! So neither a member that lags, nor a watch that was cut, compacted away or silently lost, can say who leads; they cost
//! time, and no more than the next read in turn.
//!
//! [`message`] is what etcd says, [`lease`] what it is asked and says of our own keys, [`client`] asks it, [`follow`] keeps
//! asking, and [`judge`] makes reports for the core of the answers about somebody else's.
//!
//! Sources: the protocol buffers of etcd 3.4 (`rpc.proto`, `kv.proto`), its documentation of the gRPC gateway, and the
//! answers of a real one.

pub mod client;
pub mod follow;
pub mod judge;
pub mod lease;
pub mod message;
