//! Instances and sync groups of all files become groups.

use super::{OutGroup, OutHavip, OutNode};
use crate::import::note::{Kind, Notes};
use crate::import::read::{Hook, Instance, Node};
use crate::import::{Options, words};
use crate::plain::quote;
use std::collections::{HashMap, HashSet};
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

    /// The numbers of its instances on a node.
    pub(super) fn instances_on(&self, node: usize) -> Vec<usize> {
        let members = self.families.iter().flat_map(|f| &f.members);
        members.filter(|(n, _)| *n == node).map(|&(_, i)| i).collect()
    }

    /// A node's priority, if it is a member by its own file.
    pub(super) fn priority(&self, node: usize, nodes: &[Node]) -> Option<u8> {
        self.on(node, nodes).next().map(|i| i.priority)
    }

    /// Where it stands in a node's file.
    pub(super) fn place_on(&self, node: usize, nodes: &[Node]) -> Option<String> {
        self.on(node, nodes).next().map(|i| i.place.clone())
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
    let mut taken: HashSet<Ipv4Addr> = HashSet::new();
    let mut names: HashSet<String> = HashSet::new();
    let mut drafts: Vec<Draft> = Vec::new();
    for (sync, families) in units(nodes, out, families, notes) {
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
            checks: Vec::new(),
        };
        let mut draft = Draft { group, families };
        draft.group.havips = havips(&draft, nodes, out, &mut taken, notes);
        if draft.group.havips.is_empty() {
            draft.group.havips = by_hooks(&draft, nodes, notes);
        }
        if draft.group.havips.is_empty() {
            let hooks = all_hooks(&draft, nodes);
            let seen = seen(hooks.iter().map(|(_, hook)| hook));
            let why = format!("it has no address that a HAVIP could have, and no hook that names a HAVIP{seen}");
            notes.add(Kind::Lost, place(&draft, nodes), format!("vrrp_instance {vrrp}"), why);
            continue;
        }
        one_of_several(&draft, nodes, out, sync.as_deref(), notes);
        if options.beside {
            called_alike(&draft, nodes, out, sync.as_deref(), notes);
        }
        preemption(&mut draft, nodes, out, notes);
        members(&mut draft, nodes, out, notes);
        hooks(&mut draft, nodes, options, notes);
        // Scripts of two groups may name one HAVIP, which is in one group only.
        let known = |id: &String| drafts.iter().any(|d| d.group.havips.iter().any(|h| h.id.as_ref() == Some(id)));
        for havip in &mut draft.group.havips {
            havip.id = havip.id.take().filter(|id| !known(id));
        }
        for havip in draft.group.havips.iter().filter(|h| h.id.is_none()) {
            let (what, why) = match havip.address {
                Some(address) => (
                    format!("HAVIP {address} of group {}", draft.group.name),
                    "the id of the HAVIP with that address; havipctl list shows them",
                ),
                None => (
                    format!("HAVIP of group {}", draft.group.name),
                    "the id of the HAVIP that the hook moves; havipctl list shows them",
                ),
            };
            notes.add(Kind::FillIn, None, what, why);
        }
        drafts.push(draft);
    }
    drafts
}

fn place(draft: &Draft, nodes: &[Node]) -> Option<String> {
    draft.families.iter().flat_map(|f| &f.members).next().map(|&(n, i)| nodes[n].instances[i].place.clone())
}

/// Families that have something in common, by what it is; each list begins with the first.
#[derive(Default)]
struct Known<'a> {
    id: HashMap<u8, Vec<usize>>,
    vip: HashMap<IpAddr, Vec<usize>>,
    name: HashMap<&'a str, Vec<usize>>,
}

/// On the wire instances are one by their virtual_router_id; names are each node's own.
fn families(nodes: &[Node], notes: &mut Notes) -> Vec<Family> {
    let mut all: Vec<Family> = Vec::new();
    let mut known = Known::default();
    for (n, node) in nodes.iter().enumerate() {
        for (i, instance) in node.instances.iter().enumerate() {
            let free = |f: &usize| all[*f].members.iter().all(|m| m.0 != n);
            let id: Vec<usize> = instance.router_id.and_then(|id| known.id.get(&id)).cloned().unwrap_or_default();
            let vips: HashSet<usize> =
                instance.vips.iter().filter_map(|v| known.vip.get(&v.ip)).flatten().copied().collect();
            let name: &[usize] = known.name.get(instance.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let first = |fits: &dyn Fn(&usize) -> bool| id.iter().copied().find(|f| free(f) && fits(f));
            let found = first(&|f| name.contains(f))
                .or_else(|| first(&|f| vips.contains(f)))
                .or_else(|| first(&|_| true))
                .or_else(|| vips.iter().copied().filter(free).min())
                .or_else(|| name.iter().copied().find(free));
            let Some(f) = found else {
                if let Some(id) = instance.router_id {
                    known.id.entry(id).or_default().push(all.len());
                }
                for vip in &instance.vips {
                    known.vip.entry(vip.ip).or_default().push(all.len());
                }
                known.name.entry(&instance.name).or_default().push(all.len());
                all.push(Family { name: instance.name.clone(), members: vec![(n, i)] });
                continue;
            };
            let other = all[f].members.first().and_then(|&(n, i)| nodes[n].instances[i].router_id);
            if matches!((instance.router_id, other), (Some(a), Some(b)) if a != b) {
                let why = "the files have different virtual_router_ids for it, so they were not one for VRRP; they are one here";
                let place = Some(instance.place.clone());
                notes.add(Kind::Assumed, place, format!("vrrp_instance {}", instance.name), why);
            }
            all[f].members.push((n, i));
        }
    }
    all
}

/// What moves together: a sync group, or one instance.
fn units(
    nodes: &[Node],
    out: &[OutNode],
    families: Vec<Family>,
    notes: &mut Notes,
) -> Vec<(Option<String>, Vec<Family>)> {
    let mut group_of: Vec<Option<usize>> = vec![None; families.len()];
    let mut syncs: Vec<String> = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        for sync in node.syncs.iter().filter(|s| !s.members.is_empty()) {
            let members: HashSet<&str> = sync.members.iter().map(String::as_str).collect();
            let inside: Vec<usize> = families
                .iter()
                .enumerate()
                .filter(|(_, f)| {
                    f.members.iter().any(|&(m, i)| m == n && members.contains(node.instances[i].name.as_str()))
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
            let mut apart: Vec<usize> = Vec::new();
            for f in inside {
                let of = *group_of[f].get_or_insert(index);
                if !apart.contains(&of) {
                    apart.push(of);
                }
            }
            if apart.len() > 1 {
                let named: Vec<&str> = apart.iter().map(|&s| syncs[s].as_str()).collect();
                let why = format!(
                    "its instances move together on node {}; they are in {} by a file before it, and so they are groups of \
                     their own here",
                    out[n].name,
                    named.join(" and ")
                );
                notes.add(Kind::Lost, Some(sync.place.clone()), format!("vrrp_sync_group {}", sync.name), why);
            }
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
        notes.add(
            Kind::Assumed,
            None,
            format!("group {name}"),
            format!("stands for {vrrp}: hooks get the new name", vrrp = quote(vrrp)),
        );
    }
    names.insert(name.clone());
    name
}

/// A group has one priority and one preemption; the instances of a sync group may differ.
fn one_of_several(draft: &Draft, nodes: &[Node], out: &[OutNode], sync: Option<&str>, notes: &mut Notes) {
    let Some(sync) = sync else { return };
    for n in 0..nodes.len() {
        let all: Vec<&Instance> = draft.on(n, nodes).collect();
        let Some((first, rest)) = all.split_first() else { continue };
        let (place, node) = (Some(first.place.clone()), &out[n].name);
        if rest.iter().any(|i| i.priority != first.priority) {
            let values: Vec<String> = all.iter().map(|i| i.priority.to_string()).collect();
            let why = format!(
                "the instances of {sync} have different priorities ({}) on node {node}: that of {} counts",
                values.join(", "),
                first.name
            );
            notes.add(Kind::Assumed, place.clone(), format!("priority of {sync}"), why);
        }
        let without: Vec<&str> = all.iter().filter(|i| i.no_preempt).map(|i| i.name.as_str()).collect();
        if !without.is_empty() && without.len() < all.len() {
            let why =
                format!("nopreempt of {} only, on node {node}: it counts for the whole group here", without.join(", "));
            notes.add(Kind::Assumed, place.clone(), format!("nopreempt of {sync}"), why);
        }
        if rest.iter().any(|i| i.preempt_delay != first.preempt_delay) {
            let why = format!("the instances of {sync} have different delays on node {node}: the longest counts");
            notes.add(Kind::Assumed, place, format!("preempt_delay of {sync}"), why);
        }
        let group = nodes[n].syncs.iter().find(|s| s.members.contains(&first.name));
        for instance in all.iter().filter(|i| group.is_none_or(|g| !g.members.contains(&i.name))) {
            let why = format!(
                "it is not in {sync} on node {node}, as it is on another: its HAVIPs move with the group's here"
            );
            notes.add(Kind::Assumed, Some(instance.place.clone()), format!("vrrp_instance {}", instance.name), why);
        }
    }
}

/// havipd follows one name of keepalived's on all nodes: that of the first file.
fn called_alike(draft: &Draft, nodes: &[Node], out: &[OutNode], sync: Option<&str>, notes: &mut Notes) {
    let mut differs = |n: usize, place: &str, what: String, name: &str, wanted: &str| {
        let why = format!(
            "keepalived of node {} tells havipd of {name}, which no group follows, so {0} never takes over: call it \
             {wanted} there, as the first file does",
            out[n].name
        );
        notes.add(Kind::Lost, Some(place.to_owned()), what, why);
    };
    for n in 0..nodes.len() {
        let Some(first) = draft.on(n, nodes).next() else { continue };
        match sync {
            None if first.name != draft.families[0].name => {
                let what = format!("vrrp_instance {}", first.name);
                differs(n, &first.place, what, &first.name, &draft.families[0].name);
            }
            None => {}
            Some(wanted) => match nodes[n].syncs.iter().find(|s| s.members.contains(&first.name)) {
                Some(sync) if sync.name == wanted => {}
                Some(sync) => differs(n, &sync.place, format!("vrrp_sync_group {}", sync.name), &sync.name, wanted),
                None => {
                    let what = format!("vrrp_instance {}", first.name);
                    differs(n, &first.place, what, &first.name, &format!("vrrp_sync_group {wanted}"));
                }
            },
        }
    }
}

/// HAVIPs of a group whose addresses are not in keepalived's files, because a hook asks the cloud for them.
fn by_hooks(draft: &Draft, nodes: &[Node], notes: &mut Notes) -> Vec<OutHavip> {
    let hooks = all_hooks(draft, nodes);
    let mut ids: Vec<(&str, &str, &Hook)> = Vec::new();
    for (_, hook) in &hooks {
        for (id, stands) in &hook.havips {
            if ids.len() < MOST_HAVIPS && ids.iter().all(|(known, _, _)| known != id) {
                ids.push((id, stands, hook));
            }
        }
    }
    match ids.as_slice() {
        [] => {}
        [(id, stands, hook)] => {
            let what = format!("HAVIP {id} of group {}", draft.group.name);
            let why = format!("its id stands in {stands}: no address of these files could be that of a HAVIP");
            notes.add(Kind::Assumed, Some(hook.place.clone()), what, why);
            return vec![OutHavip { id: Some((*id).to_owned()), address: None, interface: None }];
        }
        // One script may serve several instances, or nodes, and pick one by its arguments: a group that claimed them all
        // would take the HAVIPs of others.
        [(_, _, hook), ..] => {
            let found: Vec<String> = ids.iter().map(|(id, stands, _)| format!("{id} in {stands}")).collect();
            let why = format!(
                "its hooks name several, and may move only one of them: {}; write in the one that is this group's, and a \
                 [[group.havip]] more for each further one",
                found.join(", ")
            );
            notes.add(Kind::FillIn, Some(hook.place.clone()), format!("HAVIPs of group {}", draft.group.name), why);
            return vec![OutHavip { id: None, address: None, interface: None }];
        }
    }
    let names_it = |hook: &&Hook| hook.moves || hook.argv.iter().any(|word| words::speaks_of_a_havip(word));
    let Some(hook) = hooks.iter().map(|(_, hook)| hook).find(names_it) else { return Vec::new() };
    let why = format!(
        "it has no address that a HAVIP could have; its hook seems to move a HAVIP, whose id it does not name{}",
        seen(std::iter::once(hook))
    );
    notes.add(Kind::Assumed, Some(hook.place.clone()), format!("group {}", draft.group.name), why);
    vec![OutHavip { id: None, address: None, interface: None }]
}

/// What was seen in place of an id, as the end of a sentence.
fn seen<'a>(hooks: impl Iterator<Item = &'a Hook>) -> String {
    /// More would hide the rest of the note.
    const MOST: usize = 3;
    let mut all: Vec<&str> = Vec::new();
    for remark in hooks.flat_map(|hook| &hook.seen) {
        if !all.contains(&remark.as_str()) {
            all.push(remark);
        }
    }
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    match (all.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", all.join("; ")),
        (false, more) => format!(": {}; and {more} more", all.join("; ")),
    }
}

/// The hooks of its sync groups, whatever each node calls its own, and of its instances, with the node of each.
fn all_hooks(draft: &Draft, nodes: &[Node]) -> Vec<(usize, Hook)> {
    let of_syncs = (0..nodes.len()).flat_map(|n| {
        let inside: HashSet<&str> = draft.on(n, nodes).map(|i| i.name.as_str()).collect();
        let syncs = nodes[n].syncs.iter();
        let own = syncs.filter(move |s| s.members.iter().any(|member| inside.contains(member.as_str())));
        own.flat_map(|s| &s.hooks).map(move |hook| (n, hook.clone()))
    });
    let of_instances =
        (0..nodes.len()).flat_map(|n| draft.on(n, nodes).flat_map(|i| &i.hooks).map(move |hook| (n, hook.clone())));
    of_syncs.chain(of_instances).collect()
}

fn havips(
    draft: &Draft,
    nodes: &[Node],
    out: &[OutNode],
    taken: &mut HashSet<Ipv4Addr>,
    notes: &mut Notes,
) -> Vec<OutHavip> {
    let mut havips: Vec<OutHavip> = Vec::new();
    for family in &draft.families {
        for (m, &(n, i)) in family.members.iter().enumerate() {
            for vip in &nodes[n].instances[i].vips {
                let IpAddr::V4(address) = vip.ip else { continue };
                if havips.iter().any(|h| h.address == Some(address)) {
                    let first = draft.on(n, nodes).flat_map(|i| &i.vips).find(|v| v.ip == vip.ip);
                    if let (Some(Some(first)), Some(dev)) = (first.map(|v| &v.dev), &vip.dev)
                        && first != dev
                    {
                        let why = format!("a HAVIP goes on one interface of a node: {first}, which stands first");
                        notes.add(Kind::Lost, Some(vip.place.clone()), format!("address {address} on {dev}"), why);
                    }
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
                    taken.insert(address);
                    havips.push(OutHavip { id: None, address: Some(address), interface: None });
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
    let asked = |i: &Instance| i.no_preempt || i.no_preempt_ignored;
    let preempt = !all.iter().any(|i| i.no_preempt);
    let delay = all.iter().map(|i| i.preempt_delay).max().unwrap_or_default().min(LONGEST_DELAY);
    let place = Some(all[0].place.clone());
    if preempt && all.iter().any(|i| i.no_preempt_ignored) {
        let why = "keepalived ignores it where state is MASTER or the priority is 255, so it is not in force here either: preempt = false is";
        notes.add(Kind::Assumed, place.clone(), format!("nopreempt of {}", all[0].name), why);
    }
    let differs = (0..nodes.len()).filter(|&n| n != best).any(|n| {
        let mut there = draft.on(n, nodes).peekable();
        there.peek().is_some() && there.any(asked) != all.iter().any(|i| asked(i))
    });
    if differs {
        let why = format!("the files disagree; {} would preempt, so its word counts", out[best].name);
        notes.add(Kind::Assumed, place, format!("preempt of group {}", draft.group.name), why);
    }
    let others = (0..nodes.len()).filter(|&n| n != best).filter_map(|n| {
        let there: Vec<&Instance> = draft.on(n, nodes).collect();
        let waits = !there.is_empty() && !there.iter().any(|i| i.no_preempt);
        waits.then(|| there.iter().map(|i| i.preempt_delay).max().unwrap_or_default())
    });
    if preempt && others.into_iter().any(|other| other.min(LONGEST_DELAY) != delay) {
        let why = format!("the files disagree; {} would preempt, so its word counts: {delay} ms", out[best].name);
        notes.add(
            Kind::Assumed,
            Some(all[0].place.clone()),
            format!("preempt_delay of group {}", draft.group.name),
            why,
        );
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
fn hooks(draft: &mut Draft, nodes: &[Node], options: &Options, notes: &mut Notes) {
    let all = all_hooks(draft, nodes);
    let ids: HashSet<String> = all.iter().flat_map(|(_, hook)| &hook.havips).map(|(id, _)| id.clone()).collect();
    draft.group.identify(&ids);
    let of_kind: HashSet<(usize, &'static str)> = all.iter().map(|(n, hook)| (*n, hook.key)).collect();
    let members: Vec<usize> = (0..nodes.len()).filter(|&n| draft.on(n, nodes).next().is_some()).collect();
    let mut kept: Vec<Hook> = Vec::new();
    for (_, hook) in all {
        let (place, what) =
            (Some(hook.place.clone()), format!("{} {}", hook.key.replace('-', "_"), hook.argv.join(" ")));
        if words::program(&hook.argv) == "havipctl" {
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
            if members.iter().any(|&n| !of_kind.contains(&(n, hook.key))) {
                let why = "not all of the files have it; here it is a hook of all nodes";
                notes.add(Kind::Assumed, place, what, why);
            }
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
    /// Scripts that moved the only HAVIP knew its id.
    fn identify(&mut self, ids: &HashSet<String>) {
        let mut ids = ids.iter();
        if let ([havip], Some(id), None) = (self.havips.as_mut_slice(), ids.next(), ids.next()) {
            havip.id = Some(id.clone());
        }
    }
}
