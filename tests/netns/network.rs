//! The network of the lab: a VPC in small.
//!
//! ```text
//!   a 10.77.0.11 ── va ┐                       ┌ the emulated cloud, 10.77.0.2
//!   b 10.77.0.12 ── vb ┼── router 10.77.0.1 ───┤
//!   c 10.77.0.13 ── vc ┘   10.77.0.100/32 →    └ vx ── client 10.77.1.2
//! ```
//! The nodes believe to be in one subnet; in truth the router answers their ARP and routes every
//! packet, as a cloud's fabric does. Where a HAVIP's packets go is a route that follows the
//! emulator, whatever the nodes have on their interfaces.

use crate::namespace::Namespace;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// One of the three nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node(pub(crate) usize);

/// Every node, in configured order, which is their rank.
pub(crate) const NODES: [Node; 3] = [Node(0), Node(1), Node(2)];

/// Where the emulated cloud listens.
pub(crate) const CLOUD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// UDP port of the heartbeats.
pub(crate) const HEARTBEATS: u16 = 11200;

impl Node {
    pub(crate) fn name(self) -> &'static str {
        ["a", "b", "c"][self.0]
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        NODES.into_iter().find(|n| n.name() == name)
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 11 + u8::try_from(self.0).expect("three nodes"))
    }

    /// One that has nothing to do with heartbeats.
    fn other_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 61 + u8::try_from(self.0).expect("three nodes"))
    }

    pub(crate) fn instance(self) -> String {
        format!("i-{}", self.name())
    }

    pub(crate) fn of_instance(instance: &str) -> Option<Self> {
        instance.strip_prefix("i-").and_then(Self::named)
    }

    /// As the emulator makes it up for an instance of that address.
    pub(crate) fn mac(self) -> [u8; 6] {
        let [a, b, c, d] = self.address().octets();
        [0xfa, 0x16, a, b, c, d]
    }

    /// The router's end of its cable.
    pub(crate) fn port(self) -> String {
        format!("v{}", self.name())
    }
}

/// The namespaces, connected.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) router: Namespace,
    pub(crate) nodes: [Namespace; 3],
    pub(crate) client: Namespace,
}

/// Drops what the sets name: packets from one port to another, from and to a port, from a port to the cloud.
const FILTER: &str = "
table inet lab {
    set silent { type ifname . ifname; }
    set cut { type ifname; }
    set offline { type ifname; }
    chain loss { }
    chain forward {
        type filter hook forward priority filter;
        iifname . oifname @silent drop
        iifname @cut drop
        oifname @cut drop
        jump loss
    }
    chain input {
        type filter hook input priority filter;
        iifname @cut drop
        iifname @offline drop
    }
    chain output {
        type filter hook output priority filter;
        oifname @cut drop
        oifname @offline drop
    }
}";

impl Network {
    pub(crate) fn new() -> Self {
        let network = Self {
            router: Namespace::new("router"),
            nodes: NODES.map(|node| Namespace::new(node.name())),
            client: Namespace::new("client"),
        };
        network.wire();
        network
    }

    pub(crate) fn node(&self, node: Node) -> &Namespace {
        &self.nodes[node.0]
    }

    fn wire(&self) {
        let router = &self.router;
        router.sysctl("ipv4/conf/all/rp_filter", "0");
        router.sysctl("ipv4/conf/default/rp_filter", "0");
        router.sysctl("ipv4/ip_forward", "1");
        router.nft(FILTER);
        router.ip(&format!("address add 10.77.0.1/32 dev lo\naddress add {CLOUD}/32 dev lo\n"));
        for node in NODES {
            let (port, address, mac) = (node.port(), node.address(), mac_text(node.mac()));
            let inner = self.node(node);
            router.ip(&format!(
                "link add {port} type veth peer name eth0 address {mac} netns {}\nlink set {port} up\n\
                 route add {address}/32 dev {port}\nneighbour add {address} lladdr {mac} dev {port} nud permanent\n",
                inner.name()
            ));
            router.sysctl(&format!("ipv4/conf/{port}/proxy_arp"), "1");
            router.sysctl(&format!("ipv4/neigh/{port}/proxy_delay"), "0");
            inner.ip(&format!("address add {address}/24 dev eth0\n"));
            self.connect(node);
        }
        let client = self.client.name();
        router.ip(&format!(
            "link add vx type veth peer name eth0 netns {client}\nlink set vx up\naddress add 10.77.1.1/24 dev vx\n"
        ));
        self.client.ip("address add 10.77.1.2/24 dev eth0\nlink set eth0 up\nroute add default via 10.77.1.1\n");
    }

    /// A node's interface goes up.
    pub(crate) fn connect(&self, node: Node) {
        self.node(node).ip("link set eth0 up\nroute replace default via 10.77.0.1\n");
    }

    /// A node's interface goes down.
    pub(crate) fn disconnect(&self, node: Node) {
        self.node(node).ip("link set eth0 down\n");
    }

    /// From now on no packet goes from `from` to `to`; the way back is another matter.
    pub(crate) fn silence(&self, from: Node, to: Node) {
        self.router.nft(&format!("add element inet lab silent {{ {:?} . {:?} }}", from.port(), to.port()));
    }

    /// From now on no packet gets from or to `node`.
    pub(crate) fn cut(&self, node: Node) {
        self.router.nft(&format!("add element inet lab cut {{ {:?} }}", node.port()));
    }

    /// `node` loses its heartbeat address; another one keeps it in touch with everything else.
    pub(crate) fn lose_heartbeat_address(&self, node: Node) {
        let (port, address, mac, other) = (node.port(), node.address(), mac_text(node.mac()), node.other_address());
        self.router.ip(&format!(
            "route replace {other}/32 dev {port}\nneighbour replace {other} lladdr {mac} dev {port} nud permanent\n"
        ));
        self.node(node).sysctl("ipv4/conf/eth0/promote_secondaries", "1");
        self.node(node).ip(&format!("address add {other}/24 dev eth0\naddress delete {address}/24 dev eth0\n"));
    }

    /// It has it again.
    pub(crate) fn return_heartbeat_address(&self, node: Node) {
        let (address, other) = (node.address(), node.other_address());
        self.node(node).ip(&format!("address add {address}/24 dev eth0\naddress delete {other}/24 dev eth0\n"));
        self.connect(node);
    }

    /// The own rules of `node` let no heartbeat out, nor in.
    pub(crate) fn refuse_heartbeats(&self, node: Node) {
        self.node(node).nft(&format!(
            "table inet own {{
                chain output {{ type filter hook output priority filter; udp dport {HEARTBEATS} drop; }}
                chain input {{ type filter hook input priority filter; udp dport {HEARTBEATS} drop; }}
            }}"
        ));
    }

    /// They do again.
    pub(crate) fn let_heartbeats_through(&self, node: Node) {
        self.node(node).nft("delete table inet own");
    }

    /// From now on `node` does not reach the cloud's API; everything else works.
    pub(crate) fn offline(&self, node: Node) {
        self.router.nft(&format!("add element inet lab offline {{ {:?} }}", node.port()));
    }

    /// From now on every third heartbeat between any two nodes is lost. Not at random: a whole dead time of bad
    /// luck would be rare, but not rare enough.
    pub(crate) fn lose_a_third(&self) {
        let mut script = String::new();
        for (from, to) in NODES.iter().flat_map(|from| NODES.map(|to| (*from, to))).filter(|(from, to)| from != to) {
            let link = format!("ip saddr {} ip daddr {}", from.address(), to.address());
            let _ = writeln!(script, "add rule inet lab loss {link} udp dport {HEARTBEATS} numgen inc mod 3 0 drop");
        }
        self.router.nft(&script);
    }

    /// Ends every partition, cut and loss.
    pub(crate) fn heal(&self) {
        let mut script = String::from("flush chain inet lab loss\n");
        for set in ["silent", "cut", "offline"] {
            let _ = writeln!(script, "flush set inet lab {set}");
        }
        self.router.nft(&script);
    }

    /// The IPv4 addresses that a node has, `/32` ones only: what havipd put there.
    pub(crate) fn virtual_addresses(&self, node: Node) -> Vec<Ipv4Addr> {
        let name = self.node(node).name();
        let text = crate::namespace::run("ip", &["-n", name, "-4", "-o", "address", "show", "dev", "eth0"]);
        text.split_whitespace().filter_map(|word| word.strip_suffix("/32")?.parse().ok()).collect()
    }
}

pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
