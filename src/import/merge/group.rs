//! Instances and sync groups of all files become groups.

use super::{OutGroup, OutHavip, OutNode, PRIORITY};
use crate::import::note::{Kind, Notes};
use crate::import::read::{Hook, Instance, Node};
use crate::import::{Options, words};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

/// havipd's most HAVIPs of a group.
const MOST_HAVIPS: usize = 32;
/// havipd's longest `preempt-delay`, milliseconds.
const LONGEST_DELAY: u64 = 24 * 3_600_000;

/// What is one instance on all nodes: which one of each, by number.
#[derive(Debug, Clone)]
struct Family {
    name: String,
    members: Vec<(usize, usize)>,
}

/// A group in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) group: OutGroup,
    families: Vec<Family>,
}

impl Draft {
    /// Its instances on a node.
    pub(super) fn on<'a>(&'a self, node: usize, nodes: &'a [Node]) -> impl Iterator<Item = &'a Instance> {
        let members = self.families.iter().flat_map(|f| &f.members);
        members.filter(move |(n, _)| *n == node).map(move |&(n, i)| &nodes[n].instances[i])
    }

    /// A node's priority, if it is a member by its own file.
    pub(super) fn priority(&self, node: usize, nodes: &[Node]) -> Option<u8> {
        self.on(node, nodes).next().map(|i| i.priority.unwrap_or(PRIORITY))
    }
}

/// Every group that has an address.
pub(super) fn all(nodes: &[Node], out: &[OutNode], options: &Options, notes: &mut Notes) -> Vec<Draft> {
    if options.beside {
        let why =
            "havipd puts the addresses on the interface: take this block out of keepalived's files when havipd starts";
        notes.add(Kind::OwnWay, None, "virtual_ipaddress", why);
    }
    let families = families(nodes, notes);
    let mut taken: Vec<Ipv4Addr> = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    let mut drafts: Vec<Draft> = Vec::new();
    for (sync, families) in units(nodes, families) {
        let vrrp = sync.clone().unwrap_or_else(|| families[0].name.clone());
        let name = named(&vrrp, &mut names, notes);
        let other = (options.beside && (sync.is_some() || name != vrrp)).then_some(match &sync {
            Some(sync) => format!("GROUP:{sync}"),
            None => vrrp.clone(),
        });
        let group = OutGroup {
            name,
            nodes: Vec::new(),
            priorities: Vec::new(),
            preempt: true,
            preempt_delay: 0,
            vrrp: other,
            hooks: Vec::new(),
            havips: Vec::new(),
        };
        let mut draft = Draft { group, families };
        draft.group.havips = havips(&draft, nodes, out, &mut taken, notes);
        if draft.group.havips.is_empty() {
            let why = "it has no address that a HAVIP could have";
            notes.add(Kind::Lost, place(&draft, nodes), format!("vrrp_instance {vrrp}"), why);
            continue;
        }
        preemption(&mut draft, nodes, out, notes);
        members(&mut draft, nodes, out, notes);
        hooks(&mut draft, nodes, sync.as_deref(), options, notes);
        // Scripts of two groups may name one HAVIP, which is in one group only.
        let known = |id: &String| drafts.iter().any(|d| d.group.havips.iter().any(|h| h.id.as_ref() == Some(id)));
        for havip in &mut draft.group.havips {
            havip.id = havip.id.take().filter(|id| !known(id));
        }
        for havip in draft.group.havips.iter().filter(|h| h.id.is_none()) {
            let why = "the id of the HAVIP with that address; havipctl list shows them";
            notes.add(Kind::FillIn, None, format!("HAVIP {} of group {}", havip.address, draft.group.name), why);
        }
        drafts.push(draft);
    }
    drafts
}

fn place(draft: &Draft, nodes: &[Node]) -> Option<String> {
    draft.families.iter().flat_map(|f| &f.members).next().map(|&(n, i)| nodes[n].instances[i].place.clone())
}

/// On the wire instances are one by their virtual_router_id; names are each node's own.
fn families(nodes: &[Node], notes: &mut Notes) -> Vec<Family> {
    let mut all: Vec<Family> = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        for (i, instance) in node.instances.iter().enumerate() {
            let one = |f: &Family| f.members.first().map(|&(n, i)| &nodes[n].instances[i]);
            let free: Vec<usize> = (0..all.len()).filter(|&f| all[f].members.iter().all(|m| m.0 != n)).collect();
            let same_id = |&f: &usize| {
                instance.router_id.is_some() && one(&all[f]).is_some_and(|o| o.router_id == instance.router_id)
            };
            let same_name = |&f: &usize| all[f].name == instance.name;
            let same_vip = |&f: &usize| {
                one(&all[f]).is_some_and(|o| o.vips.iter().any(|a| instance.vips.iter().any(|b| a.ip == b.ip)))
            };
            let first = |fits: &dyn Fn(&usize) -> bool| free.iter().copied().find(|f| fits(f));
            let found = first(&|f| same_id(f) && same_name(f))
                .or_else(|| first(&|f| same_id(f) && same_vip(f)))
                .or_else(|| first(&same_id))
                .or_else(|| first(&same_vip))
                .or_else(|| first(&same_name));
            match found {
                Some(f) => {
                    let ids = (instance.router_id, one(&all[f]).and_then(|o| o.router_id));
                    if matches!(ids, (Some(a), Some(b)) if a != b) {
                        let why = "the files have different virtual_router_ids for it, so they were not one for VRRP; they are one here";
                        let place = Some(instance.place.clone());
                        notes.add(Kind::Assumed, place, format!("vrrp_instance {}", instance.name), why);
                    }
                    all[f].members.push((n, i));
                }
                None => all.push(Family { name: instance.name.clone(), members: vec![(n, i)] }),
            }
        }
    }
    all
}

/// What moves together: a sync group, or one instance.
fn units(nodes: &[Node], families: Vec<Family>) -> Vec<(Option<String>, Vec<Family>)> {
    let mut group_of: Vec<Option<usize>> = vec![None; families.len()];
    let mut syncs: Vec<String> = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        for sync in &node.syncs {
            let inside: Vec<usize> = families
                .iter()
                .enumerate()
                .filter(|(_, f)| {
                    f.members.iter().any(|&(m, i)| m == n && sync.members.contains(&node.instances[i].name))
                })
                .map(|(f, _)| f)
                .collect();
            if inside.is_empty() {
                continue;
            }
            let known = inside.iter().find_map(|&f| group_of[f]);
            let index = known.unwrap_or_else(|| {
                syncs.push(sync.name.clone());
                syncs.len() - 1
            });
            inside
                .into_iter()
                .filter(|&f| group_of[f].is_none())
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|f| group_of[f] = Some(index));
        }
    }
    let mut units: Vec<(Option<usize>, Vec<Family>)> = Vec::new();
    for (family, sync) in families.into_iter().zip(group_of) {
        match units.iter_mut().find(|(s, _)| s.is_some() && *s == sync) {
            Some((_, all)) => all.push(family),
            None => units.push((sync, vec![family])),
        }
    }
    units.into_iter().map(|(sync, all)| (sync.map(|s| syncs[s].clone()), all)).collect()
}

/// A name for the group that no other group has. Names that are cut to havipd's length may become equal; the number
/// that tells them apart replaces as much of the end as it needs, so each try is another name and the search ends after
/// at most as many tries as there are groups.
fn named(vrrp: &str, names: &mut HashSet<String>, notes: &mut Notes) -> String {
    let first = words::name(vrrp).unwrap_or_else(|| format!("group{}", names.len() + 1));
    let tries = (2..).map(|number| {
        let end = format!("-{number}");
        let mut name = first.clone();
        name.truncate(words::LONGEST_NAME - end.len());
        name + &end
    });
    let name = std::iter::once(first.clone()).chain(tries).find(|name| !names.contains(name)).unwrap_or_default();
    if name != vrrp {
        notes.add(Kind::Assumed, None, format!("group {name}"), format!("stands for {vrrp:?}: hooks get the new name"));
    }
    names.insert(name.clone());
    name
}

fn havips(
    draft: &Draft,
    nodes: &[Node],
    out: &[OutNode],
    taken: &mut Vec<Ipv4Addr>,
    notes: &mut Notes,
) -> Vec<OutHavip> {
    let mut havips: Vec<OutHavip> = Vec::new();
    for family in &draft.families {
        for (m, &(n, i)) in family.members.iter().enumerate() {
            for vip in &nodes[n].instances[i].vips {
                let IpAddr::V4(address) = vip.ip else { continue };
                if havips.iter().any(|h| h.address == address) {
                    continue;
                }
                let (place, what) = (Some(vip.place.clone()), format!("address {address}"));
                if let Some(node) = out.iter().find(|n| n.addresses.contains(&vip.ip)) {
                    let why = format!("it is node {}'s own address, which does not move", node.name);
                    notes.add(Kind::Lost, place, what, why);
                } else if taken.contains(&address) {
                    notes.add(
                        Kind::Lost,
                        place,
                        what,
                        "another group has it already, and a HAVIP is in one group only",
                    );
                } else if havips.len() == MOST_HAVIPS {
                    notes.add(Kind::Lost, place, what, format!("a group has at most {MOST_HAVIPS} HAVIPs"));
                } else {
                    if m > 0 {
                        let why = "the other files do not have it; here it is an address of all nodes";
                        notes.add(Kind::Assumed, place, what, why);
                    }
                    taken.push(address);
                    havips.push(OutHavip { id: None, address, interface: None });
                }
            }
        }
    }
    havips
}

/// As it is for the node that would preempt: the one with the highest priority.
fn preemption(draft: &mut Draft, nodes: &[Node], out: &[OutNode], notes: &mut Notes) {
    let ranked = (0..nodes.len()).filter_map(|n| Some((draft.priority(n, nodes)?, n)));
    let Some((_, best)) = ranked.max_by_key(|&(priority, n)| (priority, std::cmp::Reverse(n))) else { return };
    let all: Vec<&Instance> = draft.on(best, nodes).collect();
    let asked = all.iter().any(|i| i.no_preempt);
    let preempt = !all.iter().any(|i| i.no_preempt && !i.starts_as_master);
    let delay = all.iter().filter_map(|i| i.preempt_delay).max().unwrap_or_default().min(LONGEST_DELAY);
    let place = Some(all[0].place.clone());
    if asked && preempt {
        let why = "keepalived ignores it where state is MASTER, so it is not in force here either: preempt = false is";
        notes.add(Kind::Assumed, place.clone(), format!("nopreempt of {}", all[0].name), why);
    }
    let differs = (0..nodes.len()).filter(|&n| n != best).any(|n| {
        let mut there = draft.on(n, nodes).peekable();
        there.peek().is_some() && there.any(|i| i.no_preempt) != asked
    });
    if differs {
        let why = format!("the files disagree; {} would preempt, so its word counts", out[best].name);
        notes.add(Kind::Assumed, place, format!("preempt of group {}", draft.group.name), why);
    }
    let priorities: Vec<u8> = (0..nodes.len()).filter_map(|n| draft.priority(n, nodes)).collect();
    if priorities.iter().enumerate().any(|(i, p)| priorities[..i].contains(p)) {
        let why = "nodes of one priority are ranked by their names here, and by their addresses in VRRP";
        notes.add(Kind::OwnWay, None, format!("equal priorities in group {}", draft.group.name), why);
    }
    (draft.group.preempt, draft.group.preempt_delay) = (preempt, delay);
}

/// Who belongs to it: whose file has it, and the peers without a file.
fn members(draft: &mut Draft, nodes: &[Node], out: &[OutNode], notes: &mut Notes) {
    let has = |n: usize| n < nodes.len() && draft.on(n, nodes).next().is_some();
    let peers: Vec<IpAddr> = (0..nodes.len()).flat_map(|n| draft.on(n, nodes)).flat_map(|i| i.peers.clone()).collect();
    let spoken_to = |n: usize| out[n].addresses.iter().any(|ip| peers.contains(ip));
    let all: Vec<usize> =
        (0..out.len()).filter(|&n| has(n) || (n >= nodes.len() && (peers.is_empty() || spoken_to(n)))).collect();
    if all.len() == out.len() {
        return;
    }
    if all.len() < 2 {
        let why = "one file has it, and nothing tells of another node for it: all nodes are members here";
        notes.add(Kind::Assumed, place(draft, nodes), format!("group {}", draft.group.name), why);
        return;
    }
    draft.group.nodes = all.into_iter().map(|n| out[n].name.clone()).collect();
}

/// One hook of each kind for all nodes: the first that is found.
fn hooks(draft: &mut Draft, nodes: &[Node], sync: Option<&str>, options: &Options, notes: &mut Notes) {
    let of_sync = nodes.iter().flat_map(|n| &n.syncs).filter(|s| Some(s.name.as_str()) == sync).flat_map(|s| &s.hooks);
    let of_instances = (0..nodes.len()).flat_map(|n| draft.on(n, nodes)).flat_map(|i| &i.hooks);
    let all: Vec<Hook> = of_sync.chain(of_instances).cloned().collect();
    let mut kept: Vec<Hook> = Vec::new();
    for hook in all {
        let (place, what) =
            (Some(hook.place.clone()), format!("{} {}", hook.key.replace('-', "_"), hook.argv.join(" ")));
        if words::program(&hook.argv) == "havipctl" {
            if hook.argv.get(1).is_some_and(|verb| verb == "attach") {
                draft.group.identify(hook.argv.get(2));
            }
            let why = match hook.argv.get(1).map(String::as_str) {
                Some("notify") if options.beside => "it stays: havipd hears of keepalived by it",
                _ if options.observe => "it goes on moving the HAVIP while havipd only observes",
                _ => "havipd itself moves the HAVIP now: take it out of keepalived's file too",
            };
            notes.add(Kind::OwnWay, place, what, why);
        } else if options.beside {
            notes.add(Kind::OwnWay, place, what, "keepalived goes on running it");
        } else if let Some(first) = kept.iter().find(|k| k.key == hook.key) {
            if first.argv != hook.argv {
                let why = format!("a group has one hook of a kind, the same on all nodes: the one of {}", first.place);
                notes.add(Kind::Lost, place, what, why);
            }
        } else {
            kept.push(hook);
        }
    }
    if !kept.is_empty() {
        let why = "what only bound the HAVIP or set the address can go: havipd does both; the first argument is always INSTANCE";
        notes.add(Kind::OwnWay, None, format!("hooks of group {}", draft.group.name), why);
    }
    kept.sort_by_key(|h| h.key);
    draft.group.hooks = kept.into_iter().map(|h| (h.key, h.argv)).collect();
}

impl OutGroup {
    /// A script that attached the only HAVIP knew its id.
    fn identify(&mut self, id: Option<&String>) {
        if let ([havip], Some(Ok(id))) = (self.havips.as_mut_slice(), id.map(|id| id.parse::<crate::ids::HavipId>())) {
            havip.id = Some(id.to_string());
        }
    }
}
