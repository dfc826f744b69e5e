//! The file itself, who takes part, and how the nodes hear each other.

use super::*;

settings! {
    Root
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

    Cluster
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

    Node
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

    Heartbeat
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

    HeartbeatKey
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
}
