//! One cluster of the files of its nodes: who the nodes are, which instances are one group, and where files disagree.

mod checks;
mod group;
mod place;

use super::note::{Kind, Notes};
use super::read::{Instance, Node, Watch};
use super::{Options, words};
use havipd_core::model::settings::MAJORITY_MULTIPLIER;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// keepalived's default of `advert_int`, milliseconds.
const INTERVAL: u64 = 1000;
/// keepalived's default of `down_timer_adverts`.
const DOWN_TIMER: u32 = 3;
/// havipd's most addresses of a node.
const MOST_ADDRESSES: usize = 4;
/// havipd's highest priority; VRRP's is one more.
const HIGHEST: u8 = 254;
/// havipd's default of `cold-start-wait`, milliseconds.
const COLD_START: u64 = 30_000;
/// havipd's longest `cold-start-wait`, milliseconds: a dead time may not be longer.
const LONGEST_DEAD: u64 = 600_000;
/// havipd's most nodes.
const MOST_NODES: usize = 16;
/// The priority of VRRP that goes without saying, and havipd's.
pub(super) const PRIORITY: u8 = 100;

/// A `[[node]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutNode {
    pub(super) name: String,
    /// Empty is to be filled in.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) interface: Option<String>,
    pub(super) priority: u8,
}

/// A `[[group.havip]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutHavip {
    /// `None` is to be filled in.
    pub(super) id: Option<String>,
    /// `None` is what the cloud says.
    pub(super) address: Option<Ipv4Addr>,
    pub(super) interface: Option<String>,
}

/// A `[[group]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutGroup {
    pub(super) name: String,
    /// Empty is all.
    pub(super) nodes: Vec<String>,
    pub(super) priorities: Vec<(String, u8)>,
    pub(super) preempt: bool,
    /// Milliseconds.
    pub(super) preempt_delay: u64,
    /// What keepalived calls it, if that is another name.
    pub(super) vrrp: Option<String>,
    pub(super) hooks: Vec<(&'static str, Vec<String>)>,
    pub(super) havips: Vec<OutHavip>,
    /// Names of its checks.
    pub(super) checks: Vec<String>,
}

/// A `[[check]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutCheck {
    pub(super) name: String,
    /// Empty is all.
    pub(super) nodes: Vec<String>,
    pub(super) watch: Watch,
    pub(super) weight: Option<i32>,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) nodes: Vec<OutNode>,
    /// Milliseconds.
    pub(super) interval: u64,
    pub(super) multiplier: u32,
    /// Milliseconds, if not the default.
    pub(super) cold_start: Option<u64>,
    pub(super) groups: Vec<OutGroup>,
    pub(super) checks: Vec<OutCheck>,
}

/// Merges them.
pub(super) fn cluster(nodes: &[Node], options: &Options, notes: &mut Notes) -> Cluster {
    let mut out = nodes_of(nodes, notes);
    let mut groups = group::all(nodes, &out, options, notes);
    place::interfaces(nodes, &mut out, &mut groups, notes);
    priorities(nodes, &mut out, &mut groups, notes);
    let (interval, multiplier, cold_start) = heartbeat(nodes, out.len(), notes);
    let checks = checks::all(nodes, &out, &mut groups, options, notes);
    let groups = groups.into_iter().map(|draft| draft.group).collect();
    Cluster { nodes: out, interval, multiplier, cold_start, groups, checks }
}

fn instances(nodes: &[Node]) -> impl Iterator<Item = &Instance> {
    nodes.iter().flat_map(|n| &n.instances)
}

/// VRRP calls a peer dead after so many intervals and up to one more, by its priority: never sooner than that.
fn heartbeat(nodes: &[Node], count: usize, notes: &mut Notes) -> (u64, u32, Option<u64>) {
    let wanted = instances(nodes).map(|i| i.interval).min().unwrap_or(INTERVAL);
    let interval = wanted.clamp(10, 60_000);
    if interval != wanted {
        let bound = if interval > wanted { "shortest" } else { "longest" };
        let why = format!("{interval} ms is the {bound} interval that havipd can have");
        notes.add(Kind::Assumed, None, "advert_int", why);
    }
    if instances(nodes).any(|i| i.interval != wanted) {
        let why = format!("there is one interval for the whole cluster: the shortest of these files, {wanted} ms");
        notes.add(Kind::Assumed, None, "advert_int", why);
    }
    let timer = instances(nodes).map(|i| i.down_timer).max().unwrap_or(DOWN_TIMER);
    if instances(nodes).any(|i| i.down_timer != timer) {
        let why = format!("there is one for the whole cluster: {timer}, the longest");
        notes.add(Kind::Assumed, None, "down_timer_adverts", why);
    }
    let longest = u32::try_from(LONGEST_DEAD / interval).unwrap_or(u32::MAX);
    // From three nodes on a majority decides.
    let least = if count < 3 { 2 } else { MAJORITY_MULTIPLIER };
    let multiplier = (timer + 1).min(longest).clamp(least, 100);
    if multiplier != timer + 1 {
        let bound = if multiplier > timer { "fewest" } else { "most" };
        let why = format!("a node is dead after {multiplier} intervals, the {bound} that can be had");
        notes.add(Kind::Assumed, None, "down_timer_adverts", why);
    }
    let dead = interval * u64::from(multiplier);
    let asked = nodes.iter().filter_map(|n| n.startup_delay).max();
    if let Some(asked) = asked
        && nodes.iter().any(|n| n.startup_delay != Some(asked))
    {
        let why = format!("there is one cold-start-wait for the whole cluster: the longest of these files, {asked} ms");
        notes.add(Kind::Assumed, None, "vrrp_startup_delay", why);
    }
    let cold = asked.unwrap_or(COLD_START).max(dead).clamp(1_000, LONGEST_DEAD).div_ceil(1000) * 1000;
    if let Some(asked) = asked.filter(|asked| *asked != cold) {
        let why = if cold < asked {
            "the longest that can be had"
        } else if cold <= dead.div_ceil(1000) * 1000 {
            "as long as it takes to notice that a node is dead, which is the least"
        } else {
            "whole seconds"
        };
        let why = format!("{asked} ms is a cold-start-wait of {cold} ms here: {why}");
        notes.add(Kind::Assumed, None, "vrrp_startup_delay", why);
    }
    (interval, multiplier, (cold != COLD_START).then_some(cold))
}

/// The nodes of the files, and those that only others speak of.
fn nodes_of(nodes: &[Node], notes: &mut Notes) -> Vec<OutNode> {
    let mut out: Vec<OutNode> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let name = name_of(i, nodes, &out);
        if node.name.is_none() {
            let why = "call it otherwise as in NAME=FILE";
            notes.add(Kind::Assumed, None, format!("{} is node {name}", node.path), why);
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for instance in &node.instances {
            let Some(ip) = instance.source.filter(|ip| !addresses.contains(ip)) else { continue };
            if let Some(other) = out.iter().find(|n| n.addresses.contains(&ip)) {
                let why = format!("node {} has it already: one of the two files is wrong", other.name);
                notes.add(Kind::Lost, Some(instance.place.clone()), format!("address {ip} of node {name}"), why);
            } else {
                addresses.push(ip);
            }
        }
        out.push(OutNode { name, addresses, interface: None, priority: PRIORITY });
    }
    deduce(nodes, &mut out, notes);
    acquainted(nodes, &out, notes);
    strangers(nodes, &mut out, notes);
    for node in &mut out {
        for ip in node.addresses.iter().skip(MOST_ADDRESSES) {
            let why = format!("a node has at most {MOST_ADDRESSES} addresses");
            notes.add(Kind::Lost, None, format!("address {ip} of node {}", node.name), why);
        }
        node.addresses.truncate(MOST_ADDRESSES);
        if node.addresses.is_empty() {
            let why = "no file says it: the address that the other nodes reach it by";
            notes.add(Kind::FillIn, None, format!("address of node {}", node.name), why);
        }
        let why = "its id (BCC, BBC, DCC), or eni = \"eni-...\"; without the line the node asks its metadata service";
        notes.add(Kind::FillIn, None, format!("instance of node {}", node.name), why);
    }
    out
}

/// What it was told, else its `router_id`, its file, its directory: the first that is nobody else's.
fn name_of(index: usize, nodes: &[Node], taken: &[OutNode]) -> String {
    let node = &nodes[index];
    if let Some(name) = &node.name {
        return name.clone();
    }
    let path = Path::new(&node.path);
    let part = |part: Option<&std::ffi::OsStr>| part.and_then(|p| p.to_str()).map(str::to_owned);
    let file = part(path.file_stem());
    let directory = part(path.parent().and_then(Path::file_name));
    let candidates = [node.router_id.clone(), file, directory];
    let told = |name: &str| nodes.iter().any(|n| n.name.as_deref() == Some(name));
    let free = |name: &String| {
        let twice = nodes.iter().filter(|n| n.router_id.as_ref() == Some(name)).count() > 1;
        let usual = ["keepalived", "etc", "LVS_DEVEL"].contains(&name.as_str());
        !twice && !usual && !told(name) && taken.iter().all(|t| t.name != *name)
    };
    let found = candidates.into_iter().flatten().filter_map(|c| words::name(&c)).find(free);
    found.unwrap_or_else(|| {
        let mut names = (index + 1..).map(|n| format!("node{n}"));
        names.find(free).unwrap_or_default()
    })
}

/// A file without an address of its own: what the others speak to and nobody else has.
fn deduce(nodes: &[Node], out: &mut [OutNode], notes: &mut Notes) {
    for i in 0..nodes.len() {
        if !out[i].addresses.is_empty() {
            continue;
        }
        let mut known: HashSet<IpAddr> = nodes[i].instances.iter().flat_map(|x| &x.peers).copied().collect();
        known.extend(out.iter().flat_map(|n| &n.addresses));
        let others = nodes.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, n)| &n.instances);
        let open: Vec<IpAddr> = others.flat_map(|x| &x.peers).copied().filter(|ip| known.insert(*ip)).collect();
        if let [ip] = open.as_slice() {
            let why = "its file does not say so; the others speak to it";
            notes.add(Kind::Assumed, None, format!("node {} has the address {ip}", out[i].name), why);
            out[i].addresses = open;
        }
    }
}

/// Peers without a file; and a second node where nothing tells of one.
fn strangers(nodes: &[Node], out: &mut Vec<OutNode>, notes: &mut Notes) {
    let known: HashSet<IpAddr> = out.iter().flat_map(|n| &n.addresses).copied().collect();
    let unknown: Vec<Vec<IpAddr>> = instances(nodes)
        .map(|i| i.peers.iter().filter(|ip| !known.contains(ip)).copied().collect::<Vec<_>>())
        .filter(|all| !all.is_empty())
        .collect();
    let mut seen = HashSet::new();
    let all: Vec<IpAddr> = unknown.iter().flatten().copied().filter(|ip| seen.insert(*ip)).collect();
    // One file, one peer in each instance: the same host on several networks.
    let one = nodes.len() == 1 && all.len() <= MOST_ADDRESSES && unknown.iter().all(|peers| peers.len() == 1);
    let hosts: Vec<Vec<IpAddr>> = match (all.is_empty(), one) {
        (true, _) => Vec::new(),
        (false, true) => vec![all],
        (false, false) => all.into_iter().map(|ip| vec![ip]).collect(),
    };
    for addresses in hosts {
        if out.len() == MOST_NODES {
            let why = format!("a cluster has at most {MOST_NODES} nodes");
            notes.add(Kind::Lost, None, format!("peer {}", addresses[0]), why);
            continue;
        }
        let first = addresses[0].to_string().replace(':', "-");
        let name = unused(&format!("node-{}", first.trim_matches('-')), out);
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let why = format!("no file of {} was given: its priority is taken to be {PRIORITY}", shown.join(" and "));
        notes.add(Kind::Assumed, None, format!("node {name}"), why);
        out.push(OutNode { name, addresses, interface: None, priority: PRIORITY });
    }
    if out.len() < 2 {
        let why = "nothing tells of the other nodes: give their files too, or write them in";
        let name = unused("peer", out);
        notes.add(Kind::FillIn, None, format!("node {name}"), why);
        out.push(OutNode { name, addresses: Vec::new(), interface: None, priority: PRIORITY });
    }
}

/// The name, with a number behind it if a node has it.
fn unused(name: &str, out: &[OutNode]) -> String {
    let free = |name: &String| out.iter().all(|node| node.name != *name);
    let mut names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    names.find(free).unwrap_or_default()
}

/// Two files that have one instance and do not name each other as peers: one of them has a wrong address.
fn acquainted(nodes: &[Node], out: &[OutNode], notes: &mut Notes) {
    for (n, node) in nodes.iter().enumerate() {
        for (m, other) in nodes.iter().enumerate().filter(|&(m, _)| m != n && !out[m].addresses.is_empty()) {
            let known: HashSet<u8> =
                other.instances.iter().filter(|i| !i.peers.is_empty()).filter_map(|i| i.router_id).collect();
            let shared = node.instances.iter().filter(|i| i.router_id.is_some_and(|id| known.contains(&id)));
            let stranger = shared
                .filter(|i| !i.peers.is_empty())
                .find(|i| !i.peers.iter().any(|ip| out[m].addresses.contains(ip)));
            if let Some(instance) = stranger {
                let named: Vec<String> = instance.peers.iter().take(MOST_ADDRESSES).map(ToString::to_string).collect();
                let own: Vec<String> = out[m].addresses.iter().map(ToString::to_string).collect();
                let why = format!(
                    "it names {}, and not node {} ({}), whose file has the same instance: if an address is mistyped, mend it, \
                     and import again",
                    named.join(", "),
                    out[m].name,
                    own.join(", ")
                );
                let what = format!("unicast_peer of node {}", out[n].name);
                notes.add(Kind::Assumed, Some(instance.place.clone()), what, why);
            }
        }
    }
}

/// A node's priority is that of its first group; where another differs, the group says so.
fn priorities(nodes: &[Node], out: &mut [OutNode], groups: &mut [group::Draft], notes: &mut Notes) {
    let all: Vec<Vec<(usize, u8)>> = groups.iter().map(|draft| ranked(draft, nodes, out, notes)).collect();
    for (index, node) in out.iter_mut().enumerate().take(nodes.len()) {
        let mut own = all.iter().flatten().filter(|(n, _)| *n == index);
        node.priority = own.next().map_or(PRIORITY, |&(_, priority)| priority);
    }
    for (draft, own) in groups.iter_mut().zip(all) {
        if own.iter().any(|&(n, priority)| out[n].priority != priority) {
            draft.group.priorities = own.into_iter().map(|(n, priority)| (out[n].name.clone(), priority)).collect();
        }
    }
}

/// The priorities of a group's nodes, each at most havipd's highest, in the order that they have in the files: what
/// would become equal to a lower one pushes that down.
fn ranked(draft: &group::Draft, nodes: &[Node], out: &[OutNode], notes: &mut Notes) -> Vec<(usize, u8)> {
    let own: Vec<(usize, u8)> = (0..nodes.len()).filter_map(|n| Some((n, draft.priority(n, nodes)?))).collect();
    let mut written: Vec<u8> = own.iter().map(|&(_, priority)| priority).collect();
    written.sort_unstable_by(|a, b| b.cmp(a));
    written.dedup();
    // At most as many are pushed as there are nodes, so no priority falls below 1.
    let mut most = HIGHEST;
    let mut fitted = Vec::new();
    for priority in written {
        fitted.push((priority, priority.min(most)));
        most = priority.min(most).saturating_sub(1);
    }
    let fit = |priority: u8| fitted.iter().find(|(written, _)| *written == priority).map_or(priority, |&(_, fit)| fit);
    for &(n, priority) in own.iter().filter(|&&(_, priority)| fit(priority) != priority) {
        let why = if priority > HIGHEST {
            format!("priorities are 1 to {HIGHEST}: {HIGHEST} here")
        } else {
            format!("{} here, so that the order of the nodes stays: 255 of another is {HIGHEST}", fit(priority))
        };
        let what = format!("priority {priority} of node {} in group {}", out[n].name, draft.group.name);
        notes.add(Kind::OwnWay, draft.place_on(n, nodes), what, why);
    }
    own.into_iter().map(|(n, priority)| (n, fit(priority))).collect()
}
