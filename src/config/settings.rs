//! The table of settings: every key of `havipd.toml`, once.
//!
//! A row is all there is to say of a key. From it come the parser and its errors ([`Table`], [`Takes`]), the default,
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
//! A new table: a block here, and in the `tables` of the table that it stands in one line, whose text is the table's:
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

/// The default of `etcd.prefix`: a file without `[etcd]` says no more than one that has nothing else of it.
const PREFIX: &str = "/havipd";

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

settings! {
    Root "the top level"
        keys {}
        tables {
            "cluster" cluster: one Cluster, Required, Accept;
            /// One table for each node, 2 to 16 of them. Restart to add or remove one, or to change their order.
            "node" nodes: many Node(2, 16), Required, Restart;
            "heartbeat" heartbeat: one Heartbeat, Required, Accept;
            /// A witness never calls the cloud.
            "cloud" cloud: one Cloud, Absent, Accept;
            /// One election each, 1 to 250 of them; what keepalived calls a vrrp_instance. Restart to add or remove one.
            "group" groups: many Group(1, 250), Required, Restart;
            /// The HAVIP's address on the active node's interface.
            "local-address" local_address: one LocalAddress, Absent, Accept;
            /// Programs to call when a group changes state, as keepalived calls them: INSTANCE "group" STATE PRIORITY. A
            /// path, or a list of a program and its arguments; no shell. MASTER is sent once the cloud has confirmed.
            "hooks" hooks: one Hooks, Absent, Accept;
            /// What decides whether a node is well, besides its being there: named once, used in the "checks" of any group.
            /// Each looks at one thing: script, tcp, http, process, pidfile, unit, link, file or ping.
            "check" checks: many Check(0, 1000), Absent, Accept;
            /// What Prometheus reads: /metrics, and /healthz, which is 200 as long as the daemon turns. What a browser shows:
            /// the page /, in English or Chinese, and for programs /status.json. All of it is read only.
            "metrics" metrics: one Metrics, Absent, Accept;
            /// With arbiter keepalived: how its states come here. They count only while its process lives. Without "fifo"
            /// its notify command brings them: notify "/usr/bin/havipctl notify" in keepalived.conf.
            "keepalived" keepalived: one Keepalived, Absent, Accept;
            /// With arbiter etcd: where etcd is, and as whom to read it. It is read by its JSON gateway, so by the ports that
            /// clients use. To read "leader-key" is all that havipd has to be permitted.
            "etcd" etcd: one Etcd, Absent, Accept;
            "log" log: one Log, Absent, Accept;
            "daemon" daemon: one Daemon, Absent, Accept;
        };

    Cluster "[cluster]"
        keys {
            /// A name of this cluster, the same on all nodes; clusters with different names ignore each other. 1 to
            /// 63 of a-z A-Z 0-9 - _ .
            "name" name: ClusterName {
                takes: name(), required: "example", reload: Restart,
                shown: |_, config| text(&config.cluster),
                cost: "Two clusters with one name and one key would take each other's heartbeats for their own: \
                       choose a name that nobody else uses.",
            }
        }
        of (Config);

    Node "[[node]]"
        keys {
            /// Unique; names have 1 to 63 of a-z A-Z 0-9 - _ .
            "name" name: NodeName {
                takes: name(), required: "a", reload: Restart,
                shown: |_, _| Value::InList,
                cost: "It appears in logs, status and hooks; a rename is a new node to its peers.",
            }
            /// Where heartbeats are sent from and to: 1 to 4 IP addresses, no host names. With several, heartbeats
            /// go over each: address = ["10.0.0.11", "[fd00::11]:11200"]. Without a port: heartbeat.port.
            "address" addresses: Vec<At<Address>> {
                takes: addresses(), required: "10.0.0.11", reload: Accept,
                shown: |_, node| list(&node.addresses),
                cost: "A second path on another network keeps a failed switch from looking like a dead node; each \
                       path costs one datagram per peer and interval.",
            }
            /// The instance (BCC, BBC, DCC) that a HAVIP is bound to while this node is active. Without it and
            /// without "eni", the node asks its metadata service, so it is rarely needed.
            "instance" instance: InstanceId {
                takes: id("an instance id like \"i-syGfPUYO\""), example: "i-syGfPUYO", reload: Maintenance,
                shown: |_, node| match &node.target { Some(Target::Instance(id)) => text(id), _ => Value::NOTHING },
                cost: "Written down, the node starts without its metadata service, and a copy of its machine is in \
                       fault; but a replaced machine then needs an edit here.",
            }
            /// Instead of "instance": the elastic network interface that a HAVIP is bound to. All nodes of a group
            /// should use the same kind.
            "eni" eni: EniId {
                takes: id("an ENI id like \"eni-w2d4kgc3x0y1\""), example: "eni-w2d4kgc3x0y1", reload: Maintenance,
                shown: |_, node| match &node.target { Some(Target::Eni(id)) => text(id), _ => Value::NOTHING },
                cost: "Moving an interface's HAVIP leaves the instance's primary interface alone; it needs the \
                       ENI's own id on each node.",
            }
            /// The network interface that this node puts every HAVIP's address on; wins over group.havip.interface.
            /// Without either: the one that has the node's own address.
            "interface" interface: String => interface {
                takes: node_interface(), example: "eth0", reload: Accept,
                cost: "Fixed, a renamed interface is a fault; found by itself, it follows the node's address.",
            }
            /// Higher is preferred: {range}. Not for a witness.
            "priority" priority: u8 {
                takes: integer(1, 254), default: 100, reload: Accept,
                shown: |_, node| text(node.priority),
                cost: "Different priorities make the active node predictable; equal ones avoid a second move when a \
                       node comes back.",
            }
            /// A witness votes and never holds a HAVIP. It needs no cloud credentials.
            "witness" witness: bool => witness {
                takes: boolean(), default: false, reload: Maintenance,
                cost: "A third voter makes two nodes safe against every partition; it must not share power or \
                       network with either of them.",
            }
        }
        of (settings::Node), build (node: &Node, port: u16) {
            name: of(&node.name)?,
            addresses: node.addresses.as_ref()?.value.iter().map(|a| a.value.or_port(port)).collect(),
            target: of(&node.instance).map(Target::Instance).or_else(|| of(&node.eni).map(Target::Eni)),
            priority: if of(&node.witness)? { 0 } else { of(&node.priority)? },
        };

    Heartbeat "[heartbeat]"
        keys {
            /// UDP port, {range}. Open it between the nodes in their security group.
            "port" port: u16 => port {
                takes: integer(1, 65535), default: 11200, reload: Restart,
                cost: "Another port avoids a conflict; it has to be open in the security group, and changes only \
                       with a restart of every node at once.",
            }
            /// Time between heartbeats: {range}.
            "interval" interval: Duration => interval {
                takes: span(ms(10), s(60)), default: "300ms", reload: Maintenance,
                cost: "Shorter finds a dead node sooner; it costs packets, and makes pauses of the machine count \
                       for more.",
            }
            /// A node that is silent for this many intervals is dead: {range}; with arbiter majority 4 or more.
            /// interval x dead-multiplier is the dead time; less than 3s mistakes the usual pauses of a VM for a death.
            "dead-multiplier" dead_multiplier: u32 => dead_multiplier {
                takes: integer(2, 100), default: 10, reload: Maintenance,
                cost: "Lower fails over sooner; higher rides out longer pauses and losses without a needless move.",
            }
            /// Keys that are accepted, 1 to 8, each with an id from 1 to 255 and a file from havipctl keygen, which
            /// nobody but havipd may read. There is no mode without a key.
            "keys" keys: Vec<At<HeartbeatKey>> {
                takes: heartbeat_keys(), required: [{ id = 1, file = "heartbeat.key" }], reload: Accept,
                shown: |_, heartbeat| Value::Keys(heartbeat.keys.clone()),
                cost: "A second key allows a rotation without a gap; every key that stays accepted is one more to \
                       keep secret.",
            }
            /// Id of the key to send with, {range}; without it, the first of "keys". To change keys: add the new
            /// one on all nodes, then switch send-key on all nodes, then remove the old one.
            "send-key" send_key: u8 {
                takes: integer(1, 255), example: 1, reload: Accept,
                shown: |_, heartbeat| text(heartbeat.send_key.0),
                cost: "Switch it only after every node accepts the new key, else nodes stop hearing each other.",
            }
            /// After a start that hears no other node, claim nothing for this long: {range}. Not shorter than the
            /// dead time.
            "cold-start-wait" cold_start_wait: Duration => cold_start_wait {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                cost: "Shorter serves sooner after all nodes were down; longer gives a slow peer the time to say \
                       that it is active.",
            }
            /// Ask the HAVIP's own address which node receives its packets; shows where the cloud says one thing
            /// and packets do another.
            "fabric-probe" fabric_probe: bool => fabric_probe {
                takes: boolean(), default: true, reload: Accept,
                cost: "On, a move that the cloud reports but packets do not follow becomes visible; off saves one \
                       datagram per interval.",
            }
        }
        of (settings::Heartbeat), build (heartbeat: &Heartbeat, keys: Vec<settings::HeartbeatKey>) {
            send_key: of(&heartbeat.send_key).map_or(keys.first()?.id, KeyId),
            keys: keys,
        };

    HeartbeatKey "heartbeat.keys"
        keys {
            /// Names the key on the wire; unique in the list.
            "id" id: u8 {
                takes: integer(1, 255), required: 1, reload: Accept,
                cost: "Ids only tell keys apart; use a new id for a new key, so that no node mixes them up.",
            }
            /// The key itself, from havipctl keygen.
            "file" file: String {
                takes: path(), required: "heartbeat.key", reload: Accept,
                cost: "A file is read again by every reload; a credential of systemd only by a restart of the unit.",
            }
        };

    Cloud "[cloud]"
        keys {
            /// Gives the endpoint https://bcc.REGION.baidubce.com. Without it, BCE_REGION of the environment and
            /// bce-cli's profile count, else the metadata service is asked.
            "region" region: String => region {
                takes: region(), example: "bj", reload: Restart,
                cost: "Written down, the start needs no metadata service.",
            }
            /// An endpoint of your own instead: http or https, host and port.
            "endpoint" endpoint: Endpoint {
                takes: endpoint(), example: "https://bcc.bj.baidubce.com", reload: Restart,
                shown: |_, cloud| maybe(cloud.endpoint.as_ref()),
                cost: "Needed for a private endpoint; plain http lets anybody on the way read the calls, though \
                       not the secret key.",
            }
            /// Where the instance learns about itself.
            "metadata-endpoint" metadata_endpoint: Endpoint {
                takes: endpoint(), default: "http://169.254.169.254", reload: Restart,
                shown: |_, cloud| text(&cloud.metadata_endpoint),
                cost: "For tests only: what answers there gives out the node's identity and its credentials.",
            }
            /// Certificates (PEM) that replace the system's.
            "ca-file" ca_file: String {
                takes: path(), example: "ca.pem", reload: Accept,
                shown: |_, cloud| file(cloud.ca_file.as_ref()),
                cost: "Only these certificates are trusted then: safer, until they expire.",
            }
            /// TCP and TLS: {range}.
            "connect-timeout" connect_timeout: Duration => connect_timeout {
                takes: span(ms(50), s(30)), default: "1s", reload: Accept,
                cost: "Shorter gives up a dead address of the endpoint sooner; too short fails on a slow network.",
            }
            /// One attempt, to the last byte of the answer: {range}. Not shorter than connect-timeout.
            "request-timeout" request_timeout: Duration => request_timeout {
                takes: span(ms(100), s(60)), default: "3s", reload: Accept,
                cost: "Shorter tries again sooner; too short repeats calls that the cloud is still carrying out.",
            }
            /// One claim or release with all its retries: {range}. Not shorter than request-timeout.
            "operation-timeout" operation_timeout: Duration => operation_timeout {
                takes: span(s(1), m(10)), default: "20s", reload: Accept,
                cost: "Shorter shows a failing claim sooner; longer lets one client token cover more retries, which \
                       is safer against double writes.",
            }
            /// How often the active node checks that the cloud still agrees: {range}.
            "audit-interval" audit_interval: Duration => audit_interval {
                takes: span(s(1), h(1)), default: "30s", reload: Accept,
                cost: "Shorter repairs what others changed sooner; it costs API calls for as long as the node is \
                       active.",
            }
            /// How many calls this node makes: "adaptive" is as many as the cloud takes without pushing back. A
            /// number, {range}, is a ceiling for everything but claims, which never wait for it.
            "requests-per-second" requests_per_second: Option<f64> => requests_per_second {
                takes: number_or_adaptive(0.1, 1000.0), default: "adaptive", reload: Accept,
                cost: "A ceiling leaves more of the account's own limit to its other users; below 1 a holder that \
                       was superseded unheard learns of it later.",
            }
        }
        tables {
            "credentials" credentials: one Credentials, Absent, Accept;
        }
        of (settings::Cloud), build (cloud: &Cloud, outside: &Outside) {
            endpoint: of(&cloud.endpoint).map(|e| e.url),
            metadata_endpoint: of(&cloud.metadata_endpoint)?.url,
            ca_file: outside.ca_file.clone(),
            credentials: match (of(&cloud.credentials.source)?, outside.credentials_file.clone()) {
                ("env", _) => CredentialSource::Env,
                ("file", Some(path)) => CredentialSource::File(path),
                ("file", None) => return None,
                ("instance-role", _) => CredentialSource::InstanceRole,
                (_, file) => CredentialSource::Auto { file },
            },
        };

    Credentials "[cloud.credentials]"
        keys {
            /// "auto", "env", "file" or "instance-role". auto: the environment if it has them, else "file" if it is
            /// given, else the role of the instance. env: BCE_ACCESS_KEY_ID, BCE_SECRET_ACCESS_KEY and, for
            /// temporary ones, BCE_SESSION_TOKEN or BCE_SECURITY_TOKEN.
            "source" source: &'static str {
                takes: word(&["auto", "env", "file", "instance-role"]), default: "auto", reload: Accept,
                shown: |_, cloud| text(source_of(&cloud.credentials)),
                cost: "instance-role leaves no secret on disk; file and env work where instances have no role.",
            }
            /// TOML with access-key-id, secret-access-key and, for temporary ones, session-token; or bce-cli's
            /// config.json, whose current profile counts. Nobody but havipd may read it: mode 0600, or 0640 and group
            /// havipd. Read again when it changes.
            "file" file: String {
                takes: path(), example: "credentials.toml", reload: Accept,
                shown: |_, cloud| file(file_of(&cloud.credentials)),
                cost: "A file is taken over when it changes, without a reload; it is one more secret on the disk of \
                       every node.",
            }
        }
        of (settings::Cloud);

    Group "[[group]]"
        keys {
            /// Unique; 1 to 63 of a-z A-Z 0-9 - _ .
            "name" name: GroupName {
                takes: name(), required: "web", reload: Restart,
                shown: |_, _| Value::InList,
                cost: "Logs, hooks and status go by it; a rename ends one group and begins another.",
            }
            /// Nodes that take part; without it, all.
            "nodes" nodes: Membership {
                takes: membership(), example: ["a", "b"], reload: Maintenance,
                shown: |config, group| list(group.members.iter().map(|m| &config.node(m.node).name)),
                cost: "Fewer members mean fewer nodes that need the service; fewer voters mean less is decided by \
                       majority.",
            }
            /// Who may claim when nodes cannot see each other: "auto", "cloud", "majority", "keepalived" or "etcd".
            /// majority needs 3 or more nodes (witnesses count) and never lets two be active; cloud goes by the
            /// cloud's record; keepalived elects by itself, and havipd follows it; with etcd, the nodes elect by a key with
            /// a lease there and never let two be active, or follow the leader that somebody else, Patroni say, writes into
            /// "leader-key".
            /// auto is majority with 3 or more nodes, else cloud.
            "arbiter" arbiter: &'static str {
                takes: arbiter(), default: "auto", reload: Maintenance,
                shown: |_, group| text(group.arbiter.as_str()),
                cost: "majority is never wrong but needs two of three voters alive; cloud needs only the API.",
            }
            /// Priorities of nodes in this group, 1 to 254 each, instead of the nodes' own.
            "priorities" priorities: Priorities {
                takes: priorities(), example: { a = 100, b = 150 }, reload: Accept,
                shown: |config, group| list(priorities_of(config, group)),
                cost: "Spreads active groups over the nodes; every table of its own is one more thing to keep \
                       consistent.",
            }
            /// A better-ranked node that comes back takes over (keepalived: nopreempt is preempt = false).
            "preempt" preempt: bool => preempt {
                takes: boolean(), default: true, reload: Accept,
                cost: "On, the preferred node is active whenever it is well, at the price of one more move; off, \
                       nothing moves without need.",
            }
            /// How long it must have been well first: {range}.
            "preempt-delay" preempt_delay: Duration => preempt_delay {
                takes: span(s(0), h(24)), default: "30s", reload: Accept,
                cost: "Longer keeps a node that flaps from taking the address again and again; shorter returns to \
                       the preferred node sooner.",
            }
            /// Names of the [[check]] tables that decide whether a node is well for this group.
            "checks" checks: Vec<At<String>> {
                takes: checks(), example: [], reload: Accept,
                shown: |_, group| list(&group.checks),
                cost: "More checks are more reasons to move; all of them without a weight must pass.",
            }
            /// When havipd is stopped: "handover" (if nobody can take over: keep), "keep" (leave the address for
            /// keep-for) or "release" (drop it).
            "on-stop" on_stop: OnStop => on_stop {
                takes: choice!(OnStop: "handover" = Handover, "keep" = Keep, "release" = Release),
                default: "handover", reload: Accept,
                cost: "handover moves before it stops and loses least; keep expects the node back within keep-for; \
                       release stops at once and serves nobody until a peer has claimed.",
            }
            /// When havipd is restarted: "keep" or "handover".
            "on-restart" on_restart: OnRestart => on_restart {
                takes: choice!(OnRestart: "keep" = Keep, "handover" = Handover), default: "keep", reload: Accept,
                cost: "keep moves nothing, and nobody watches while the daemon is down; handover costs two moves \
                       but is always watched.",
            }
            /// How long a kept address stays; the other nodes wait that long. Whole seconds, {range}.
            "keep-for" keep_for: Duration => keep_for {
                takes: seconds(s(1), m(10)), default: "15s", reload: Maintenance,
                cost: "Longer survives a slower restart; if the node does not come back, nobody serves for that long.",
            }
            /// A planned move that is not confirmed by then is taken back: {range}.
            "handover-timeout" handover_timeout: Duration => handover_timeout {
                takes: span(s(1), m(5)), default: "10s", reload: Accept,
                cost: "Shorter gives a stuck handover up sooner; too short takes back moves that a slow API would \
                       have confirmed.",
            }
            /// When the active node reaches neither another node nor the cloud: "hold" or "release". With arbiter
            /// majority it always releases.
            "when-isolated" when_isolated: HoldOrRelease => when_isolated {
                takes: choice!(HoldOrRelease: "hold" = Hold, "release" = Release), default: "hold", reload: Accept,
                cost: "hold goes on serving clients that still reach the node; release makes room where two nodes \
                       must never serve.",
            }
            /// When every node fails its checks: "keep" or "release".
            "when-all-fail" when_all_fail: HoldOrRelease => when_all_fail {
                takes: choice!(HoldOrRelease: "keep" = Hold, "release" = Release), default: "keep", reload: Accept,
                cost: "keep serves badly rather than not at all; release serves nobody until a node is well.",
            }
            /// At most so many moves away from a live node in max-moves-window: {range}; 0 is no limit. A dead node
            /// is always replaced.
            "max-moves" max_moves: u32 => max_moves {
                takes: integer(0, 1000), default: 6, reload: Accept,
                cost: "Lower calms a flapping cluster sooner; 0 follows every failing check at once.",
            }
            /// The window of max-moves: {range}.
            "max-moves-window" max_moves_window: Duration => max_moves_window {
                takes: span(m(1), h(24)), default: "10m", reload: Accept,
                cost: "Longer counts moves for longer, so that the budget is used up earlier and comes back later.",
            }
            /// A node that lost the HAVIP to another, as the cloud says, waits this long before it claims without
            /// new evidence; then four times as long each time, to 24h: {range}.
            "reclaim-wait" reclaim_wait: Duration => reclaim_wait {
                takes: span(s(10), h(24)), default: "5m", reload: Accept,
                cost: "Shorter heals a wrong record of the cloud sooner; longer leaves a deliberate move by hand \
                       alone for longer.",
            }
            /// A gate: a program and its arguments that must end with 0 before the address of a term goes live here, as the
            /// promotion of a database does. Runs at every claim. Not with arbiter keepalived or a leader-key.
            "before-active" before_active: Vec<String> {
                takes: program(), example: ["/etc/havipd/promote"], reload: Accept,
                shown: |_, group| argv(&group.before_active),
                cost: "Nothing is served while it runs, and if it fails another node has its turn.",
            }
            /// Then it is ended, and the claim is declined: {range}.
            "before-active-timeout" before_active_timeout: Duration => before_active_timeout {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                cost: "Longer lets a slow promotion finish; a node whose program hangs keeps the others waiting for that long.",
            }
            /// A program that runs on the active node before a planned move away from it, as the demotion of a database does.
            "before-release" before_release: Vec<String> {
                takes: program(), example: ["/etc/havipd/demote"], reload: Accept,
                shown: |_, group| argv(&group.before_release),
                cost: "The node serves until the program says otherwise; every planned move takes that much longer.",
            }
            /// Then it is ended: {range}.
            "before-release-timeout" before_release_timeout: Duration => before_release_timeout {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                cost: "Longer drains more connections; the unit's TimeoutStopSec has to be longer still.",
            }
            /// What becomes of the planned move if it fails: "abort" (this node stays active) or "continue".
            "before-release-failed" before_release_failed: AbortOrContinue => before_release_failed {
                takes: choice!(AbortOrContinue: "abort" = Abort, "continue" = Continue),
                default: "abort", reload: Accept,
                cost: "abort never gives away what was not released; continue moves whatever the program says.",
            }
            /// With arbiter keepalived: the vrrp_instance to follow, or "GROUP:" and the vrrp_sync_group; without
            /// it, the one that is called like the group.
            "vrrp" vrrp: Vrrp {
                takes: followed(), example: "VI_1", reload: Accept,
                shown: |_, group| text(&group.vrrp),
                cost: "A sync group moves several instances together, as one group with several HAVIPs does.",
            }
            /// With arbiter etcd: follow the leader that this key names. havipd reads it and never writes it;
            /// Patroni's is /service/SCOPE/leader.
            "leader-key" leader_key: String {
                takes: phrase("a key like \"/service/pg/leader\""), example: "/service/pg/leader", reload: Accept,
                shown: |_, group| maybe(group.leader.as_ref().map(|leader| &leader.key)),
                cost: "Anybody who may write this key decides where the HAVIP is.",
            }
            /// What the key's value is where a node leads; without an entry, the node's name. Exactly the whole value.
            "leader-value" leader_values: LeaderValues {
                takes: leader_values(), example: { a = "pg-1", b = "pg-2" }, reload: Accept,
                shown: |_, group| maybe(group.leader.as_ref().map(|leader| &leader.value)),
                cost: "Nodes that are called the same here and there need no entry, and nobody forgets to change one.",
            }
            /// Only elect and report: no call that changes anything, no address, no hook.
            "observe" observe: bool => observe {
                takes: boolean(), default: false, reload: Accept,
                cost: "Shows what would happen without risk; nobody keeps the HAVIP alive meanwhile.",
            }
        }
        tables {
            /// The HAVIPs of the group, 1 to 32, which move together. Maintenance to add, remove or reorder.
            "havip" havips: many Havip(1, 32), Required, Maintenance;
            /// Programs for this group alone: every key of [hooks], each instead of the one there.
            "hooks" hooks: one Hooks, Absent, Accept;
        }
        later { "on-arbiter-loss" }
        of (settings::Group), build (group: &Group, more: &InGroup<'_>) {
            name: of(&group.name)?,
            members: more.members(group),
            arbiter: more.shape.arbiter,
            vrrp: match of(&group.vrrp) {
                Some(vrrp) => vrrp,
                None => Vrrp { kind: vrrp::Kind::Instance, name: of(&group.name)?.to_string() },
            },
            leader: more.leader(group),
            checks: checks_of(group)?,
            before_active: of(&group.before_active),
            before_release: of(&group.before_release),
            havips: group.havips.iter().map(|havip| Havip::build(havip)).collect::<Option<_>>()?,
            hooks: Hooks::build(&group.hooks, more.hooks, more.resolve)?,
        };

    Havip "[[group.havip]]"
        keys {
            /// As the console shows it; in one group only.
            "id" id: HavipId {
                takes: id("a HAVIP id like \"havip-w2d4kgc3x0y1\""),
                required: "havip-w2d4kgc3x0y1", reload: Maintenance,
                shown: |_, _| Value::InList,
                cost: "Several HAVIPs in one group move together; in groups of their own they can be active on \
                       different nodes.",
            }
            /// "exclusive": only the active node stays bound. "shared": all stay bound, at most 5.
            "binding" binding: Binding => binding {
                takes: choice!(Binding: "exclusive" = Exclusive, "shared" = Shared),
                default: "exclusive", reload: Maintenance,
                cost: "exclusive works under every behaviour of the cloud; shared saves an attach during a failover \
                       where announcements alone move packets, and counts against the limit of five.",
            }
            /// IPv4. Without it, the HAVIP's own address, as the cloud gives it.
            "address" address: Ipv4Addr => address {
                takes: virtual_address(), example: "10.0.0.100", reload: Accept,
                cost: "Written down, a first start needs no answer of the cloud; a wrong one puts a wrong address \
                       on the interface.",
            }
            /// Where the address goes; "none" is nowhere, and no announcement. Without it, the interface that has
            /// the node's own address (with eni: the one of that ENI).
            "interface" interface: Interface {
                takes: interface_or_none(), example: "eth0", reload: Accept,
                shown: |_, havip| maybe(interface_of(havip)),
                cost: "\"none\" leaves addresses to somebody else, and with them the dead-man that removes them.",
            }
            /// Bound instances that are no node's. "guard": left alone until this cluster has held the HAVIP,
            /// detached afterwards; "detach": always detached; "refuse": never.
            "strangers" strangers: Strangers => strangers {
                takes: choice!(Strangers: "guard" = Guard, "detach" = Detach, "refuse" = Refuse),
                default: "guard", reload: Accept,
                cost: "guard never breaks what somebody bound before; detach takes the HAVIP from anybody; refuse \
                       waits for a human.",
            }
        }
        of (settings::Havip), build (havip: &Havip) {
            id: of(&havip.id)?,
            interface: of(&havip.interface).unwrap_or(Interface::Discover),
        };

    LocalAddress "[local-address]"
        keys {
            /// The kernel drops the address this long after the daemon's last turn. Whole seconds, {range}, or
            /// "forever"; not shorter than the dead time. Without it: the dead time and one second, rounded up.
            "lifetime" lifetime: Option<Duration> {
                takes: seconds_or_forever(s(2), h(1)), example: "4s", reload: Accept,
                shown: |_, local| text(local.lifetime.map_or_else(|| "forever".to_owned(), show)),
                cost: "Shorter takes the address off a hung node sooner; forever leaves it there until somebody \
                       removes it.",
            }
            /// Gratuitous ARPs in the burst after a claim: {range}.
            "announce-count" announce_count: u32 => announce_count {
                takes: integer(1, 100), default: 5, reload: Accept,
                cost: "More survive a lossy network; each is one broadcast per HAVIP.",
            }
            /// Time between them: {range}.
            "announce-interval" announce_interval: Duration => announce_interval {
                takes: span(ms(1), s(10)), default: "200ms", reload: Accept,
                cost: "Shorter repeats sooner; longer spreads the burst over more of the time in which neighbours \
                       settle.",
            }
            /// Time between single ones while active: {range}; 0s is none.
            "announce-refresh" announce_refresh: Duration => announce_refresh {
                takes: span(s(0), h(1)), default: "10s", reload: Accept,
                cost: "Shorter repairs stale neighbours sooner, at the price of broadcasts; 0s is silent.",
            }
        }
        of (settings::LocalAddress), build (local: &LocalAddress, dead_time: Duration) {
            lifetime: match &local.lifetime {
                Some(written) => written.value,
                None => Some(default_lifetime(dead_time)),
            },
        };

    Hooks "[hooks]"
        keys {
            /// For every state.
            "notify" notify: Command {
                takes: command(), example: "/etc/havipd/notify.sh", reload: Accept,
                shown: |_, hooks| argv(&hooks.notify),
                cost: "One program for all states keeps the logic together; it must look at its arguments.",
            }
            /// For one state each, before "notify".
            "notify-master" notify_master: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "master"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_master),
                cost: "Runs only when the cloud has confirmed; what must come before the first packet does not \
                       belong here.",
            }
            "notify-backup" notify_backup: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "backup"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_backup),
                cost: "Also runs after every start, so it must do no harm when there is nothing to undo.",
            }
            "notify-fault" notify_fault: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "fault"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_fault),
                cost: "A place for an alarm; the node still sends heartbeats and recovers by itself.",
            }
            "notify-stop" notify_stop: Command {
                takes: command(), example: ["/etc/havipd/notify.sh", "stop"], reload: Accept,
                shown: |_, hooks| argv(&hooks.notify_stop),
                cost: "Delays the end of the daemon, up to the timeout.",
            }
            /// Then the program and what it started gets SIGTERM, and SIGKILL 2s later: {range}.
            "timeout" timeout: Duration {
                takes: span(s(1), m(10)), default: "30s", reload: Accept,
                shown: |_, hooks| span_text(hooks.timeout),
                cost: "Longer lets slow hooks finish; a newer state waits for them that long.",
            }
        }
        // A group's own, else the file's, key by key.
        of (settings::Hooks), build (own: &Hooks, file: &Hooks, resolve: &Resolver) {
            notify: resolve.first(&own.notify, &file.notify),
            notify_master: resolve.first(&own.notify_master, &file.notify_master),
            notify_backup: resolve.first(&own.notify_backup, &file.notify_backup),
            notify_fault: resolve.first(&own.notify_fault, &file.notify_fault),
            notify_stop: resolve.first(&own.notify_stop, &file.notify_stop),
            timeout: own.timeout.as_ref().filter(|own| own.written).or(file.timeout.as_ref())?.value,
        };

    Check "[[check]]"
        keys {
            /// Unique; 1 to 63 of a-z A-Z 0-9 - _ . Always needed.
            "name" name: CheckName {
                takes: name(), example: "web", reload: Accept,
                shown: |_, _| Value::InList,
                cost: "Logs, metrics and `havipctl why` call it so; another name is another check, and begins anew.",
            }
            /// A program and its arguments, each a string of its own; no shell. Exit code 0 is well.
            "script" script: Vec<String> {
                takes: program(), example: ["/usr/local/bin/is-well"], reload: Accept,
                shown: |_, check| looks_at(check, "script"),
                cost: "The most freedom, and the most that can go wrong; a program costs more than a connection.",
            }
            /// An address with a port that must accept a connection.
            "tcp" tcp: SocketAddr {
                takes: socket(), example: "127.0.0.1:5432", reload: Accept,
                shown: |_, check| looks_at(check, "tcp"),
                cost: "Cheap, and says only that somebody accepts.",
            }
            /// A URL that must answer, see "status" and "body".
            "http" http: String {
                takes: url(), example: "http://127.0.0.1/healthz", reload: Accept,
                shown: |_, check| looks_at(check, "http"),
                cost: "Says what the service says of itself; a page that depends on other services fails with them.",
            }
            /// The name of a process, as in /proc/PID/comm, one of which must live. Its end is noticed at once.
            "process" process: String {
                takes: phrase("the name of a process"), example: "nginx", reload: Accept,
                shown: |_, check| looks_at(check, "process"),
                cost: "Noticed at once; says nothing of whether it works. The unit hides processes of other users unless ProtectProc is default.",
            }
            /// A file with the number of a process that must live. Its end is noticed at once.
            "pidfile" pidfile: String {
                takes: path(), example: "/run/nginx.pid", reload: Accept,
                shown: |_, check| looks_at(check, "pidfile"),
                cost: "Noticed at once, whatever the process is called; a file that is not kept up names a stranger.",
            }
            /// A systemd unit that must be active.
            "unit" unit: String {
                takes: phrase("the name of a systemd unit like \"nginx.service\""), example: "nginx.service", reload: Accept,
                shown: |_, check| looks_at(check, "unit"),
                cost: "As systemd sees it; each run costs a systemctl.",
            }
            /// An interface that must be up, with carrier and an address.
            "link" link: String {
                takes: node_interface(), example: "eth0", reload: Accept,
                shown: |_, check| looks_at(check, "link"),
                cost: "Noticed at once; a virtual interface may stay up when the network behind it is gone.",
            }
            /// A file with a whole number: 0, nothing, or no file is well. With a weight it is multiplied by that.
            "file" file: String {
                takes: path(), example: "/run/havipd-demote", reload: Accept,
                shown: |_, check| looks_at(check, "file"),
                cost: "A switch for scripts and operators, taken as soon as the file changes.",
            }
            /// Addresses, 1 to 16 of them, "quorum" of which must answer an ICMP echo.
            "ping" ping: Vec<IpAddr> {
                takes: hosts(), example: ["10.0.0.1"], reload: Accept,
                shown: |_, check| looks_at(check, "ping"),
                cost: "Says something of the network; a gateway that drops echoes under load fails every node.",
            }
            /// Nodes that run it; without it, all. Elsewhere it counts as passing.
            "nodes" nodes: Membership {
                takes: membership(), example: ["a", "b"], reload: Accept,
                shown: |config, check| list(check.nodes.iter().flatten().map(|node| &config.node(*node).name)),
                cost: "For services that are not the same everywhere.",
            }
            /// From the beginning of one run to that of the next: 100ms to 1h. Not for process, pidfile, link and file.
            "interval" interval: Duration {
                takes: span(ms(100), h(1)), default: "1s", reload: Accept,
                shown: |_, check| span_text(check.interval),
                cost: "Shorter: noticed sooner, and more load on the service.",
            }
            /// A run that takes longer has failed, and is ended: 10ms to 1h. Without it, as long as interval, which is the most.
            "timeout" timeout: Duration {
                takes: span(ms(10), h(1)), example: "1s", reload: Accept,
                shown: |_, check| span_text(check.timeout),
                cost: "Shorter: a service that is slow under load counts as failed.",
            }
            /// So many failures in a row and it fails: 1 to 100.
            "fall" fall: u32 {
                takes: integer(1, 100), default: 3, reload: Accept,
                shown: |_, check| text(check.rule.fall),
                cost: "Higher: steadier, and later.",
            }
            /// So many good results in a row and it passes: 1 to 100.
            "rise" rise: u32 {
                takes: integer(1, 100), default: 2, reload: Accept,
                shown: |_, check| text(check.rule.rise),
                cost: "Higher: a service that comes and goes is kept away for longer.",
            }
            /// Instead of interval between a first failure and the verdict: 10ms to 1h. Without it, a quarter of interval, which is
            /// the most.
            "retry-interval" retry_interval: Duration {
                takes: span(ms(10), h(1)), example: "250ms", reload: Accept,
                shown: |_, check| span_text(check.retry_interval),
                cost: "Shorter: a failure is confirmed sooner, by more runs in less time.",
            }
            /// What it is before its first verdict: "unknown" (the node claims nothing, and keeps what it has), "up" or "down".
            "initial" initial: CheckState {
                takes: choice!(CheckState: "unknown" = Unknown, "up" = Up, "down" = Down), default: "unknown", reload: Accept,
                shown: |_, check| text(check.rule.initial.as_str()),
                cost: "up: a node that just started may claim before its service was looked at. down: a restart counts as a failure.",
            }
            /// Without it a node that fails is in fault. Otherwise, added to the priority while it passes (above 0) or while it fails
            /// (below 0): -253 to 253, not 0.
            "weight" weight: i16 {
                takes: integer(-253, 253), example: 20, reload: Accept,
                shown: |_, check| maybe(check.rule.weight),
                cost: "With one a failing node may still be active, if no better one is there; without one it never is while another is well.",
            }
            /// When it could not be run: "ignore" (it stays what it was) or "fail".
            "on-error" on_error: &'static str {
                takes: word(&["ignore", "fail"]), default: "ignore", reload: Accept,
                shown: |_, check| text(if check.rule.error_fails { "fail" } else { "ignore" }),
                cost: "fail: a check that cannot be run, on every node at once, takes every node out.",
            }
            /// For http: the status, or the range of statuses, that is well.
            "status" status: (u16, u16) {
                takes: statuses(), default: "200-399", reload: Accept,
                shown: |_, check| of_http(check, |http| text(format!("{}-{}", http.status.0, http.status.1))),
                cost: "A redirect counts as well unless this says otherwise.",
            }
            /// For http: a text that must be in the first 64 KiB of the body.
            "body" body: String {
                takes: phrase("a text"), example: "ok", reload: Accept,
                shown: |_, check| of_http(check, |http| maybe(http.body.as_ref())),
                cost: "Catches a server that answers 200 for an error page.",
            }
            /// For http: the name of the host to ask for, in the request and in TLS; the connection goes where the URL says.
            "host" host: String {
                takes: host_name(), example: "www.example.com", reload: Accept,
                shown: |_, check| of_http(check, |http| maybe(http.host.as_ref())),
                cost: "Needed where one server has several sites, and for TLS by name.",
            }
            /// For http: more headers; "host" has its own key, and those of the connection are havipd's. Their values are not logged;
            /// anybody who reads this file sees them.
            "headers" headers: BTreeMap<String, String> {
                takes: headers(), example: { Accept = "text/plain" }, reload: Accept,
                shown: |_, check| of_http(check, |http| Value::Headers(http.headers.clone())),
                cost: "What is secret belongs elsewhere: this file may be readable.",
            }
            /// For https: whether the certificate is checked.
            "tls-verify" tls_verify: bool {
                takes: boolean(), default: true, reload: Accept,
                shown: |_, check| of_http(check, |http| text(http.tls_verify)),
                cost: "false: anything that answers on that address is believed.",
            }
            /// For https: certificates (PEM) that replace the system's.
            "ca-file" ca_file: String {
                takes: path(), example: "ca.pem", reload: Accept,
                shown: |_, check| of_http(check, |http| file(http.ca_file.as_ref())),
                cost: "A certificate that expires there fails the check.",
            }
            /// For https: the certificate (PEM) that is shown to a server that asks for one, with those between it and the root
            /// that the server knows. It needs key-file.
            "cert-file" cert_file: String {
                takes: path(), example: "client.pem", reload: Accept,
                shown: |_, check| of_http(check, |http| file(http.client.as_ref().map(|client| &client.cert_file))),
                cost: "A certificate that expires fails the check, on every node that shows it.",
            }
            /// For https: the private key (PEM) of cert-file: mode 0600, or 0640 and group havipd.
            "key-file" key_file: String {
                takes: path(), example: "client.key", reload: Accept,
                shown: |_, check| of_http(check, |http| file(http.client.as_ref().map(|client| &client.key_file))),
                cost: "Anybody who reads it can speak as this node to that server.",
            }
            /// For ping: how many of the targets must answer, 1 to 16.
            "quorum" quorum: usize {
                takes: integer(1, 16), default: 1, reload: Accept,
                shown: |_, check| quorum_of(check),
                cost: "Higher: fewer targets may be silent before the node fails.",
            }
        }
        of (settings::Check);

    Metrics "[metrics]"
        keys {
            /// An IP address with a port, or "off". There is neither TLS nor a password: beyond loopback is a
            /// warning.
            "listen" listen: Option<SocketAddr> {
                takes: socket_or_off(), default: "127.0.0.1:11201", reload: Accept,
                shown: |_, config| text(config.metrics.map_or_else(|| "off".to_owned(), |a| a.to_string())),
                cost: "Beyond loopback anybody who reaches the port reads names, addresses and ids of the cluster; \
                       nobody can change anything.",
            }
        }
        of (Config);

    Keepalived "[keepalived]"
        keys {
            /// keepalived's vrrp_notify_fifo, which has to let us read it: vrrp_notify_fifo /run/keepalived.fifo
            /// havipd havipd
            "fifo" fifo: String {
                takes: path(), example: "/run/keepalived.fifo", reload: Accept,
                shown: |_, keepalived| file(keepalived.fifo.as_ref()),
                cost: "Cheaper than a program for each state, and in order by itself; what is written while neither \
                       havipd nor keepalived has it open is lost.",
            }
            /// keepalived's pid file: its death counts as STOP at once.
            "pid-file" pid_file: String {
                takes: path(), default: "/run/keepalived.pid", reload: Accept,
                shown: |_, keepalived| file(Some(&keepalived.pid_file)),
                cost: "The process that counts: keepalived_vrrp.pid also notices the end of its VRRP child alone, \
                       which keepalived replaces by itself.",
            }
        }
        of (settings::Keepalived);

    Etcd "[etcd]"
        keys {
            /// The members' client URLs, 1 to 9, none of which needs to be reachable as long as one is.
            "endpoints" endpoints: Vec<At<Endpoint>> {
                takes: endpoints(), example: ["https://10.0.0.21:2379", "https://10.0.0.22:2379"], reload: Accept,
                shown: |_, config| list(config.etcd.iter().flat_map(|etcd| &etcd.endpoints)),
                cost: "With every member named, the loss of one costs nothing; each that does not answer costs \
                       request-timeout when it is tried.",
            }
            /// What the keys begin with by which havipd elects, in groups without "leader-key": PREFIX/CLUSTER/GROUP.
            "prefix" prefix: String {
                takes: key_prefix(), default: "/havipd", reload: Restart,
                shown: |_, config| text(config.etcd.as_ref().map_or(PREFIX, |etcd| &etcd.prefix)),
                cost: "One of its own lets a role of etcd permit these keys and no others; the same on every node.",
            }
            /// How long what etcd said counts, from when it was asked. A node that got no answer for this long does not lead
            /// any more. Whole seconds, {range}. Where havipd elects, the length of its leases, and so how long a crash
            /// takes; not shorter than the dead time. With "leader-key", not longer than what is left
            /// of the writer's own lease when it renews it (Patroni: ttl - loop_wait).
            "lease" lease: Duration {
                takes: seconds(s(2), m(5)), default: "10s", reload: Accept,
                shown: |_, config| maybe(config.etcd.as_ref().map(|etcd| show(etcd.lease))),
                cost: "Shorter lets go sooner where etcd cannot be read, and makes a short outage of etcd one of the \
                       HAVIP; longer rides it out, and may leave two nodes that both take themselves for the leader.",
            }
            /// One request to one endpoint, to the last byte of its answer: {range}. Not longer than a third of the lease.
            "request-timeout" request_timeout: Duration {
                takes: span(ms(50), s(100)), default: "1s", reload: Accept,
                shown: |_, config| maybe(config.etcd.as_ref().map(|etcd| show(etcd.request_timeout))),
                cost: "Shorter turns to the next endpoint sooner; too short fails on an etcd whose disk is slow.",
            }
            /// Certificates (PEM) that replace the system's.
            "ca-file" ca_file: String {
                takes: path(), example: "etcd-ca.pem", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| etcd.ca_file.as_ref())),
                cost: "Only these certificates are trusted then: safer, until they expire.",
            }
            /// The certificate that this node shows etcd, and what follows it up to the CA (PEM).
            "cert-file" cert_file: String {
                takes: path(), example: "etcd-client.pem", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| Some(&etcd.client.as_ref()?.cert_file))),
                cost: "For an etcd with client-cert-auth. Its JSON gateway does not take a user from a certificate's \
                       name: with auth enabled, user and password-file are needed as well.",
            }
            /// Its private key (PEM), which nobody but havipd may read: mode 0600, or 0640 and group havipd.
            "key-file" key_file: String {
                takes: path(), example: "etcd-client.key", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| Some(&etcd.client.as_ref()?.key_file))),
                cost: "Read again after each failure to connect, so that a renewed one needs no reload.",
            }
            /// As whom to ask, where etcd has auth enabled. A role that may read leader-key is enough to follow it; to elect,
            /// one that may read and write what begins with prefix.
            "user" user: String {
                takes: phrase("the name of a user"), example: "havipd", reload: Accept,
                shown: |_, config| maybe(config.etcd.as_ref().and_then(|etcd| Some(&etcd.user.as_ref()?.0))),
                cost: "A user of its own can be taken away alone, and shows in etcd's logs.",
            }
            /// The file with the user's password, which nobody but havipd may read; a line break at its end does not count.
            "password-file" password_file: String {
                takes: path(), example: "etcd-password", reload: Accept,
                shown: |_, config| file(config.etcd.as_ref().and_then(|etcd| Some(&etcd.user.as_ref()?.1))),
                cost: "Over http:// every host on the way reads it.",
            }
        }
        of (Config);

    Log "[log]"
        keys {
            /// "error", "warn", "info", "debug" or "trace"; --log-level wins.
            "level" level: LogLevel => level {
                takes: choice!(
                    LogLevel: "error" = Error, "warn" = Warn, "info" = Info, "debug" = Debug, "trace" = Trace
                ),
                default: "info", reload: Accept,
                cost: "debug shows every decision, at the price of disk; warn hides changes of role.",
            }
            /// "text" or "json", to standard error; --log-format wins.
            "format" format: LogFormat => format {
                takes: choice!(LogFormat: "text" = Text, "json" = Json), default: "text", reload: Accept,
                cost: "json suits collectors; text suits people.",
            }
        }
        of (settings::Log), build (log: &Log) {};

    Daemon "[daemon]"
        keys {
            /// How often the doctor looks at everything by itself, for metrics and alerts (havipctl doctor shows it
            /// in words): 1m to 24h, or "0s" for never. It only reads; a few calls of the API each time.
            "doctor-interval" doctor_interval: Option<Duration> => doctor_interval {
                takes: span_or_off(), default: "1h", reload: Accept,
                cost: "Shorter finds a revoked permission or a changed VPC sooner, for some reading calls of the \
                       API each time.",
            }
            /// Every change of role is kept in the state directory, the newest ones, up to so much of the disk:
            /// {range}. The oldest go first, in steps of half of it. 16MiB hold some twenty thousand.
            "history-size" history_size: u64 => history_size {
                takes: size(1 << 20, 1 << 30), default: "16MiB", reload: Accept,
                cost: "More answers questions about moves of long ago; less leaves the disk to others. Lowered, the \
                       oldest are gone at once.",
            }
            /// Real-time priority (SCHED_FIFO) of the thread that keeps the heartbeats, and of no other, so that
            /// busy programs of this host cannot delay it: {range}, 0 for none. Needs the drop-in realtime.conf;
            /// without it a warning, and it runs as usual.
            "realtime-priority" realtime_priority: u8 => realtime_priority {
                takes: integer(0, 50), default: 0, reload: Restart,
                cost: "Heartbeats leave in time on a host that is too busy, which would look like a failure \
                       otherwise. What has such a priority could keep others waiting: the thread gives it up for a \
                       minute when it needs more than half of a processor for a second.",
            }
            /// Keeps all of the daemon in memory, so that swapping cannot delay it. Needs the same drop-in.
            "lock-memory" lock_memory: bool => lock_memory {
                takes: boolean(), default: false, reload: Restart,
                cost: "On a host that swaps, heartbeats are not late; some tens of megabytes are never given to \
                       others.",
            }
        }
        of (settings::Daemon), build (daemon: &Daemon) {};
}

fn source_of(credentials: &CredentialSource) -> &'static str {
    match credentials {
        CredentialSource::Auto { .. } => "auto",
        CredentialSource::Env => "env",
        CredentialSource::File(_) => "file",
        CredentialSource::InstanceRole => "instance-role",
    }
}

fn file_of(credentials: &CredentialSource) -> Option<&PathBuf> {
    match credentials {
        CredentialSource::Auto { file } => file.as_ref(),
        CredentialSource::File(file) => Some(file),
        CredentialSource::Env | CredentialSource::InstanceRole => None,
    }
}

fn priorities_of(config: &Config, group: &settings::Group) -> Vec<String> {
    let holders = group.members.iter().filter(|m| !m.witness);
    holders.map(|m| format!("{} = {}", config.node(m.node).name, m.priority)).collect()
}

fn interface_of(havip: &settings::Havip) -> Option<&str> {
    match &havip.interface {
        Interface::Discover => None,
        Interface::Named(name) => Some(name),
        Interface::None => Some("none"),
    }
}
