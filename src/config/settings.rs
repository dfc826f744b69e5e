//! The table of settings: every key of `havipd.toml`, once.
//!
//! A row, in the files below, is all there is to say of a key. From it come the parser and its errors ([`Table`], [`Takes`]), the default,
//! the comparison at a reload with its class (`diff`), `config/havipd.toml` and havipd.toml(5)
//! (`tests/generated` writes both).
//!
//! ```text
//! /// What it is, for the file and the page; {range} is the range, and the class of the reload is added.
//! "name-in-the-file" field: Type => field_of_the_checked_type {
//!     takes: span(s(1), m(10)),        a constructor of `takes`, which has to give the Type
//!     default: "30s",                  or  required: VALUE  or  example: VALUE, which is commented out in the file
//!     reload: Accept,                  or Restart, or Maintenance
//!     cost: "What is gained and lost by changing it.",
//! }
//! ```
//! Where the checked value is not the one that was read, the row has no `=>` but `shown: |config, it| ...`, which says
//! what a reload compares, and the field stands under `build`. A row without a text of its own shares that of the row
//! before. The compiler finds a key whose type, field or comparison is missing; a checked field without a key as well.
//!
//! A new key: the row, the field of the checked type in `havipd_core::model::settings`, its use. A rule over several
//! keys belongs in `rules` or `rules_group`. `WRITE=1 cargo test --test generated` writes the files; `tests/config`
//! wants its class and range, written once more.
//!
//! A new table: a block in a file below, its name and header under `sections!`, and in the `tables` of the table that it stands in one line, whose text is the table's:
//!
//! ```text
//! "check" checks: many Check(0, 64), Absent, Accept;      Vec<At<Check>>, each read by Check::read
//! ```
//! `many` lists have their fewest and most; one that may be left out is `Absent`, with 0. With `of (Type), build (..) {..}`
//! the block has `Check::build`, which `build` calls, and `Check::facts`, which `diff` calls once for each table
//! at a place that tells one from the other. The key that names a table is compared as a list: `shown: |_, _|
//! Value::InList` in its row, and the list in `diff::facts`.

#[macro_use]
mod declare;
mod check;
mod cloud;
mod cluster;
mod daemon;
mod elsewhere;
mod group;
mod host;

// For the rows, too, in the files below.
use super::build::{InGroup, checks_of, of};
use super::check::{Outside, Resolver};
use super::document::{At, Table};
use super::rules::default_lifetime;
use super::schema::{Key, Kind, Preset, Reload, show};
use super::shown::{Value, argv, file, list, looks_at, maybe, of_http, quorum_of, span_text, text};
use super::takes::{
    Command, LeaderValues, Membership, Priorities, Takes, addresses, arbiter, boolean, checks, choice, command,
    endpoint, endpoints, followed, headers, heartbeat_keys, host_name, hosts, id, integer, interface_or_none,
    key_prefix, leader_values, membership, name, node_interface, number_or_adaptive, path, phrase, priorities, program,
    region, seconds, seconds_or_forever, size, socket, socket_or_off, span, span_or_off, statuses, url,
    virtual_address, word,
};
use super::value::{Address, Endpoint};
use declare::{count, join};
use havipd_core::model::ids::{CheckName, ClusterName, EniId, GroupName, HavipId, InstanceId, KeyId, NodeName, Target};
use havipd_core::model::settings::{
    self, AbortOrContinue, Binding, CheckState, Config, CredentialSource, HoldOrRelease, Interface, LogFormat,
    LogLevel, OnRestart, OnStop, Strangers,
};
use havipd_core::model::vrrp::{self, Vrrp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub(super) use check::Check;
pub(super) use cloud::{Cloud, Credentials};
pub(super) use cluster::{Cluster, Heartbeat, HeartbeatKey, Node, Root};
pub(super) use daemon::{Daemon, Log, Metrics};
pub(super) use elsewhere::{Etcd, Keepalived};
pub(super) use group::{Group, Havip};
pub(super) use host::{Hooks, LocalAddress};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}
const fn m(n: u64) -> Duration {
    s(n * 60)
}
const fn h(n: u64) -> Duration {
    m(n * 60)
}

sections! {
    Root "the top level";
    Cluster "[cluster]";
    Node "[[node]]";
    Heartbeat "[heartbeat]";
    HeartbeatKey "heartbeat.keys";
    Cloud "[cloud]";
    Credentials "[cloud.credentials]";
    Group "[[group]]";
    Havip "[[group.havip]]";
    LocalAddress "[local-address]";
    Hooks "[hooks]";
    Check "[[check]]";
    Metrics "[metrics]";
    Keepalived "[keepalived]";
    Etcd "[etcd]";
    Log "[log]";
    Daemon "[daemon]";
}
