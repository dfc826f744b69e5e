//! What is to stand in the file: what was found, held against what the operator says.

use super::ask::Asker;
use super::find::{Found, Keys, list};
use super::{Options, Strangers, Who, WhoIs};
use crate::config::example::{self, Tables};
use crate::config::schema::Section;
use crate::control::protocol::{Code, Response};
use crate::import::quote;
use crate::plain;
use havipd_core::model::cloud::{HaVip, InstanceEntry};
use havipd_core::model::ids::{ClusterName, GroupName, HavipId, InstanceId, NodeName};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

/// Instances that a question shows; more are named by hand.
const SHOWN: usize = 20;
/// Of the node that is preferred, and of the others.
const PRIORITY: (u8, u8) = (150, 100);
/// Most nodes of a cluster.
const MOST: usize = 16;
/// Where heartbeats go, unless --port says otherwise.
const PORT: u16 = 11200;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) address: IpAddr,
    pub(super) instance: Option<InstanceId>,
    pub(super) witness: bool,
    pub(super) priority: u8,
    /// The operator gave the name.
    named: bool,
}

/// The whole file.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) cluster: ClusterName,
    pub(super) group: GroupName,
    /// This one is first.
    pub(super) nodes: Vec<Node>,
    pub(super) havips: Vec<HavipId>,
    pub(super) port: u16,
    strangers: Option<Strangers>,
    /// What somebody should know or look at.
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// Takes what the options say, and asks for the rest.
    pub(super) async fn of(found: &Found, options: &Options, asker: Asker) -> Result<Self, Response> {
        let mut open = Open::default();
        let mut notes = Vec::new();
        let havips = havips(found, options, asker, &mut open)?;
        let this = this_node(found, options);
        let others = others(found, options, asker, &havips, &this, &mut open).await?;
        open.end()?;
        let usual = havips.first().and_then(usual_name).unwrap_or_else(|| "havipd".to_owned());
        let name_of = |given: Option<String>| given.unwrap_or_else(|| usual.clone());
        let cluster = match &options.cluster {
            Some(cluster) => cluster.clone(),
            None if asker.is_on() => asker.ask("Name of the cluster", Some(&usual), parse)?,
            None => name_of(None).parse().map_err(wrong)?,
        };
        let group = match &options.group {
            Some(group) => group.clone(),
            None => name_of(None).parse().map_err(wrong)?,
        };
        let mut nodes = vec![this];
        nodes.extend(others.into_iter().map(|(node, more)| {
            notes.extend(more);
            node
        }));
        told_apart(&mut nodes)?;
        prioritise(&mut nodes, options, asker)?;
        let strangers = options.strangers;
        bindings(found, &havips, &nodes, strangers, &mut notes).await?;
        doubts(found, options, &nodes, &mut notes);
        let havips = havips.iter().map(|h| h.ha_vip_id.parse().map_err(wrong)).collect::<Result<_, _>>()?;
        Ok(Self { cluster, group, nodes, havips, port: options.port.unwrap_or(PORT), strangers, notes })
    }

    /// The file, for a place in the directory of `out`.
    pub(super) fn toml(&self, found: &Found, options: &Options, out: &Path) -> String {
        let mut set = Tables::default().with(Section::Cluster, vec![("name", quote(self.cluster.as_str()))]);
        for node in &self.nodes {
            let mut keys = vec![("name", quote(node.name.as_str())), ("address", quote(&node.address.to_string()))];
            if node.witness {
                keys.push(("witness", "true".to_owned()));
            } else {
                keys.extend(node.instance.as_ref().map(|id| ("instance", quote(id.as_str()))));
                keys.push(("priority", node.priority.to_string()));
            }
            set = set.with(Section::Node, keys);
        }
        if self.port != PORT {
            set = set.with(Section::Heartbeat, vec![("port", self.port.to_string())]);
        }
        let mut cloud = Vec::new();
        cloud.extend(found.cloud.region.as_ref().map(|region| ("region", quote(region))));
        cloud.extend(found.cloud.endpoint.as_ref().map(|endpoint| ("endpoint", quote(endpoint))));
        cloud.extend(
            options
                .reach
                .metadata_endpoint
                .as_ref()
                .map(|_| ("metadata-endpoint", quote(&found.cloud.metadata_endpoint))),
        );
        cloud.extend(options.reach.ca_file.as_ref().map(|file| ("ca-file", quote(&from(out, file)))));
        set = set.with(Section::Cloud, cloud);
        set = match &found.keys {
            Keys::File(file) => {
                let keys = vec![("source", quote("file")), ("file", quote(&from(out, file)))];
                set.with(Section::Credentials, keys)
            }
            Keys::Role => set.with(Section::Credentials, vec![("source", quote("instance-role"))]),
            Keys::Environment | Keys::Profile(_) => set,
        };
        set = set.with(Section::Group, vec![("name", quote(self.group.as_str()))]);
        for havip in &self.havips {
            let mut keys = vec![("id", quote(havip.as_str()))];
            keys.extend(self.strangers.map(|strangers| ("strangers", quote(strangers.as_str()))));
            set = set.with(Section::Havip, keys);
        }
        example::file(&self.head(found), &set)
    }

    fn head(&self, found: &Found) -> String {
        let mut text = format!("# The cluster {}, as havipctl init found it in {}:\n#\n", self.cluster, found.vpc);
        for node in &self.nodes {
            let what = match (&node.instance, node.witness) {
                (_, true) => "a witness: it votes, and never has the HAVIP".to_owned(),
                (Some(id), _) => format!("{id}, priority {}", node.priority),
                (None, _) => format!("priority {}; it asks its metadata service which instance it is", node.priority),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "#   {} at {}: {what}", node.name, node.address);
        }
        for havip in &self.havips {
            let address = found.havips.iter().find(|h| h.ha_vip_id == havip.as_str()).map(shown).unwrap_or_default();
            let _ = writeln!(text, "#   {address}");
        }
        text + "#\n" + HEAD
    }

    /// What each node's security group has to let in, one line a node.
    pub(super) fn openings(&self) -> Vec<String> {
        let one = |node: &Node| {
            let from: Vec<String> =
                self.nodes.iter().filter(|n| n.name != node.name).map(|n| n.address.to_string()).collect();
            format!("{} ({}): in, UDP port {}, from {}", node.name, node.address, self.port, from.join(", "))
        };
        self.nodes.iter().map(one).collect()
    }
}

const HEAD: &str = "\
# The same file and the same heartbeat.key go to every node; havipctl join compares them there. A node
# finds itself by its address, else by its host name; havipd --node NAME overrules both.
#
# Lines that begin with \"#key = \" are keys with their default, or with an example where there is no
# default: remove the # to set them. Every other comment explains what follows it.
# Durations are a whole number and one unit of ms, s, m, h: \"500ms\". Paths are absolute, or relative to
# the directory of this file, or \"credential:NAME\" for what LoadCredential= gives to the unit.
# After a change: havipd --check-config, then systemctl reload havipd, node by node. \"Restart\" below
# means that a reload refuses the change; \"maintenance\", that it needs the group in cluster-wide
# maintenance (havipctl maintenance GROUP on); everything else is taken over by a reload.
";

/// Answers that nobody gives: the flags that would, and what they could be.
#[derive(Default)]
struct Open(Vec<String>);

impl Open {
    fn add(&mut self, flag: &str, what: &str) {
        self.0.push(format!("{flag}: {what}"));
    }

    fn end(self) -> Result<(), Response> {
        if self.0.is_empty() {
            return Ok(());
        }
        let text = format!("there is no terminal to ask on, so say\n  {}", self.0.join("\n  "));
        Err(Response::new(Code::Usage, text))
    }
}

fn parse<T: std::str::FromStr<Err = E>, E: ToString>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: E| e.to_string())
}

fn wrong(error: impl ToString) -> Response {
    Response::new(Code::No, error.to_string())
}

fn from(out: &Path, file: &Path) -> String {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let near = out.parent().and_then(|directory| absolute.strip_prefix(directory).ok());
    near.unwrap_or(&absolute).display().to_string()
}

/// A HAVIP as people know it.
fn shown(havip: &HaVip) -> String {
    let address = havip.private_ip_address.map_or_else(|| "no address".to_owned(), |ip| ip.to_string());
    let name = if havip.name.is_empty() { String::new() } else { format!(" ({})", havip.name) };
    let bound: Vec<&str> = havip.binded_instances.iter().map(|b| b.instance_id.as_str()).collect();
    let bound = if bound.is_empty() { "nobody is bound".to_owned() } else { format!("bound: {}", bound.join(", ")) };
    format!("{}{name} {address}, {bound}", havip.ha_vip_id)
}

/// A name for cluster and group: the HAVIP's own where that is one, else its id.
fn usual_name(havip: &HaVip) -> Option<String> {
    let fits = |name: &&str| name.parse::<GroupName>().is_ok();
    // The example's own name is refused.
    let own = Some(havip.name.as_str()).filter(fits).filter(|name| *name != "example");
    own.or(Some(havip.ha_vip_id.as_str()).filter(fits)).map(str::to_owned)
}

fn havips(found: &Found, options: &Options, asker: Asker, open: &mut Open) -> Result<Vec<HaVip>, Response> {
    let all = &found.havips;
    let by_id = |id: &str| all.iter().find(|h| h.ha_vip_id == id);
    let choices: Vec<String> = all.iter().map(shown).collect();
    if !options.havips.is_empty() {
        let mut chosen: Vec<HaVip> = Vec::new();
        for id in &options.havips {
            let none = || {
                let text = format!("{id} is no HAVIP of {}, which has\n  {}", found.vpc, choices.join("\n  "));
                Response::new(Code::No, text)
            };
            let havip = by_id(id.as_str()).ok_or_else(none)?;
            if !chosen.contains(havip) {
                chosen.push(havip.clone());
            }
        }
        return Ok(chosen);
    }
    let only = match all.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    if let Some(only) = only.filter(|_| asker.takes_defaults()) {
        return Ok(vec![only.clone()]);
    }
    if !asker.is_on() {
        let which = if asker.takes_defaults() { " (there are several)" } else { "" };
        open.add("--havip ID", &format!("which HAVIP{which} of\n    {}", choices.join("\n    ")));
        return Ok(Vec::new());
    }
    asker.tell(&format!("HAVIPs of {}:", found.vpc));
    choices.iter().zip(1..).for_each(|(choice, number)| asker.tell(&format!("  {number}  {choice}")));
    asker.ask("Which are to move together (numbers or ids)", only.map(|h| h.ha_vip_id.as_str()), |answer| {
        let mut chosen: Vec<HaVip> = Vec::new();
        for word in words(answer) {
            let numbered = word.parse::<usize>().ok().and_then(|n| all.get(n.checked_sub(1)?));
            let havip =
                numbered.or_else(|| by_id(word)).ok_or_else(|| format!("{} is not in the list", plain::quote(word)))?;
            if !chosen.contains(havip) {
                chosen.push(havip.clone());
            }
        }
        if chosen.is_empty() { Err("say at least one".to_owned()) } else { Ok(chosen) }
    })
}

fn words(answer: &str) -> impl Iterator<Item = &str> {
    answer.split([',', ' ', '\t']).filter(|word| !word.is_empty())
}

fn this_node(found: &Found, options: &Options) -> Node {
    let entry = found.instances.iter().flatten().find(|i| i.id == found.instance.as_str());
    let host = rustix::system::uname();
    let host = host.nodename().to_str().ok().and_then(|name| name.split('.').next()).unwrap_or_default();
    let name = options.name.clone().or_else(|| entry.and_then(|i| i.name.parse().ok())).or_else(|| host.parse().ok());
    Node {
        name: name.unwrap_or_else(|| id_as_name(&found.instance)),
        address: found.address,
        instance: Some(found.instance.clone()),
        witness: false,
        priority: PRIORITY.1,
        named: options.name.is_some(),
    }
}

/// An id of the cloud is 66 characters at the most, a name 63.
fn id_as_name(id: &InstanceId) -> NodeName {
    let short: String = id.as_str().chars().take(63).collect();
    short.parse().expect("the characters of an id are those of a name")
}

/// A node, and what somebody should know of it.
type Placed = (Node, Option<String>);

async fn others(
    found: &Found,
    options: &Options,
    asker: Asker,
    havips: &[HaVip],
    this: &Node,
    open: &mut Open,
) -> Result<Vec<Placed>, Response> {
    let mut nodes = Vec::new();
    if !options.peers.is_empty() || !options.witnesses.is_empty() {
        let all = options.peers.iter().map(|w| (w, false)).chain(options.witnesses.iter().map(|w| (w, true)));
        for (who, witness) in all {
            nodes.push(resolve(found, this, who, witness).await.map_err(|why| Response::new(Code::No, why))?);
        }
        return Ok(nodes);
    }
    let ids = havips.iter().flat_map(|h| &h.binded_instances).map(|b| b.instance_id.as_str());
    let mut bound: Vec<&str> = ids.filter(|id| id.parse::<InstanceId>().is_ok()).collect();
    bound.retain(|id| *id != found.instance.as_str());
    bound.sort_unstable();
    bound.dedup();
    if !asker.is_on() {
        if asker.takes_defaults() && !bound.is_empty() {
            for id in bound {
                let who: Who = id.parse().map_err(wrong)?;
                nodes.push(resolve(found, this, &who, false).await.map_err(|why| Response::new(Code::No, why))?);
            }
            return Ok(nodes);
        }
        let known: Vec<String> = candidates(found, &bound).map(|i| format!("\n    {}", known_as(i))).collect();
        let known = if known.is_empty() { String::new() } else { format!(", as one of{}", known.concat()) };
        open.add("--peer WHO", &format!("each other node: an instance's id or name, or NAME=ADDRESS{known}"));
        return Ok(nodes);
    }
    let listed: Vec<&InstanceEntry> = candidates(found, &bound).collect();
    match &found.instances {
        Ok(all) => {
            asker.tell(&format!(
                "This node is {} ({}, {}). Other instances of {}:",
                this.name, found.instance, found.address, found.vpc
            ));
            listed.iter().zip(1..).for_each(|(i, number)| asker.tell(&format!("  {number}  {}", known_as(i))));
            let more = all.len().saturating_sub(listed.len() + 1);
            if more > 0 {
                asker.tell(&format!("  and {more} more"));
            }
        }
        Err(error) => asker
            .tell(&format!("The instances of {} cannot be listed: {error}. Name nodes as NAME=ADDRESS.", found.vpc)),
    }
    let bound = bound.join(", ");
    let bound = Some(bound.as_str()).filter(|text| !text.is_empty());
    let text = "The other nodes that may have it (numbers, ids, names, or NAME=ADDRESS)";
    loop {
        let answers = asker.ask(text, bound, |answer| answered(answer, &listed, true))?;
        match all_of(found, this, &answers, false).await {
            Ok(all) => {
                nodes.extend(all);
                break;
            }
            Err(why) => asker.tell(&format!("  {why}")),
        }
    }
    if nodes.len() == 1 {
        asker.tell("A third node that only votes keeps two nodes apart where they cannot hear each other.");
        loop {
            let answers = asker.ask("A witness (as above; none)", Some("none"), |answer| {
                if answer == "none" { Ok(Vec::new()) } else { answered(answer, &listed, false) }
            })?;
            match all_of(found, this, &answers, true).await {
                Ok(all) => {
                    nodes.extend(all);
                    break;
                }
                Err(why) => asker.tell(&format!("  {why}")),
            }
        }
    }
    Ok(nodes)
}

/// Instances to choose from: those that are bound first.
fn candidates<'a>(found: &'a Found, bound: &[&str]) -> impl Iterator<Item = &'a InstanceEntry> {
    let others = found.instances.iter().flatten().filter(|i| i.id != found.instance.as_str());
    let (first, rest): (Vec<_>, Vec<_>) = others.partition(|i| bound.contains(&i.id.as_str()));
    first.into_iter().chain(rest).take(SHOWN)
}

fn known_as(i: &InstanceEntry) -> String {
    let running = if i.status == "Running" { String::new() } else { format!(", {}", i.status) };
    format!("{} ({}) {}{running}", i.id, i.name, i.internal_ip)
}

fn answered(answer: &str, listed: &[&InstanceEntry], at_least_one: bool) -> Result<Vec<Who>, String> {
    let mut all = Vec::new();
    for word in words(answer) {
        let numbered = word.parse::<usize>().ok().and_then(|n| listed.get(n.checked_sub(1)?));
        all.push(numbered.map_or(word, |i| i.id.as_str()).parse()?);
    }
    if all.is_empty() && at_least_one { Err("a cluster has at least two nodes".to_owned()) } else { Ok(all) }
}

async fn all_of(found: &Found, this: &Node, all: &[Who], witness: bool) -> Result<Vec<Placed>, String> {
    let mut nodes = Vec::new();
    for who in all {
        nodes.push(resolve(found, this, who, witness).await?);
    }
    Ok(nodes)
}

/// Finds out who is meant.
async fn resolve(found: &Found, this: &Node, who: &Who, witness: bool) -> Result<Placed, String> {
    let listed = found.instances.as_ref();
    let mut note = None;
    let entry: Option<InstanceEntry> = match &who.is {
        WhoIs::Address(address) => {
            let entry = listed.ok().and_then(|all| all.iter().find(|i| i.internal_ip.parse() == Ok(*address)));
            if entry.is_none() && !witness {
                note = Some(match listed {
                    Ok(_) => format!(
                        "no instance of {} has {address} as its first address: which instance it is has to come from its own metadata service",
                        found.vpc
                    ),
                    Err(error) => format!(
                        "which instance has {address} is not known, since the instances cannot be listed ({error}): it has to come from its own metadata service"
                    ),
                });
            }
            entry.cloned()
        }
        WhoIs::Instance(id) => {
            let entry = listed.ok().and_then(|all| all.iter().find(|i| i.id == id.as_str()));
            Some(match entry {
                Some(entry) => entry.clone(),
                None => found.instance(id).await.map_err(|e| {
                    if e.missing {
                        format!("the cloud does not know {id} in this region")
                    } else {
                        format!("{id} cannot be looked up: {e}; say NAME=ADDRESS instead")
                    }
                })?,
            })
        }
        WhoIs::Named(name) => {
            let all = listed.map_err(|e| {
                format!(
                    "{} cannot be looked up: {e}; allow GET /v2/instance (list instances), or say NAME=ADDRESS instead",
                    plain::quote(name)
                )
            })?;
            let called: Vec<&InstanceEntry> = all.iter().filter(|i| i.name == *name).collect();
            match called.as_slice() {
                [one] => Some((*one).clone()),
                [] => return Err(format!("no instance of {} is called {}", found.vpc, plain::quote(name))),
                several => {
                    let ids: Vec<&str> = several.iter().map(|i| i.id.as_str()).collect();
                    return Err(format!("{} are called {}: say the id", list(&ids), plain::quote(name)));
                }
            }
        }
    };
    if let Some(entry) = &entry {
        if entry.id == found.instance.as_str() {
            return Err(format!("{} is this node itself: say the others", entry.id));
        }
        if !entry.vpc_id.is_empty() && entry.vpc_id != found.vpc {
            return Err(format!(
                "{} is in {}, this node in {}: a HAVIP serves one VPC",
                entry.id, entry.vpc_id, found.vpc
            ));
        }
        if entry.status != "Running" && !entry.status.is_empty() {
            note = Some(format!("{} does not run: it is {}", entry.id, entry.status));
        }
    }
    let address = match &who.is {
        WhoIs::Address(address) => *address,
        WhoIs::Instance(_) | WhoIs::Named(_) => {
            let said = entry.as_ref().map(|i| (i.id.as_str(), i.internal_ip.as_str())).unwrap_or_default();
            said.1.parse().map_err(|_| format!("the cloud says no address of {}: say NAME=ADDRESS", said.0))?
        }
    };
    if address == this.address {
        return Err(format!("{address} is the address of this node itself: say the others"));
    }
    let instance: Option<InstanceId> = entry.as_ref().and_then(|i| i.id.parse().ok());
    let own = entry.as_ref().and_then(|i| i.name.parse::<NodeName>().ok());
    let name = who.name.clone().or(own).or_else(|| instance.as_ref().map(id_as_name));
    let name = name.ok_or_else(|| format!("no name is known for {address}: say NAME={address}"))?;
    let instance = instance.filter(|_| !witness);
    Ok((Node { name, address, instance, witness, priority: PRIORITY.1, named: who.name.is_some() }, note))
}

/// No two nodes share a name, an address or an instance.
fn told_apart(nodes: &mut [Node]) -> Result<(), Response> {
    if nodes.len() > MOST {
        let text = format!("{} nodes are too many: a cluster has {MOST} at the most", nodes.len());
        return Err(Response::new(Code::No, text));
    }
    for later in 1..nodes.len() {
        let (before, rest) = nodes.split_at_mut(later);
        let node = &mut rest[0];
        if let Some(twice) = before.iter().find(|n| n.address == node.address) {
            let text = format!("{} and {} are one node: both have {}", twice.name, node.name, node.address);
            return Err(Response::new(Code::No, text));
        }
        // Instances of one cloud may share a name.
        if before.iter().any(|n| n.name == node.name) {
            match &node.instance {
                Some(id) if !node.named => node.name = id_as_name(id),
                _ => {
                    let text = format!("two nodes are called {}: say NAME=... for one of them", node.name);
                    return Err(Response::new(Code::No, text));
                }
            }
        }
    }
    Ok(())
}

fn prioritise(nodes: &mut [Node], options: &Options, asker: Asker) -> Result<(), Response> {
    for (name, _) in &options.priorities {
        let names: Vec<&str> = nodes.iter().filter(|n| !n.witness).map(|n| n.name.as_str()).collect();
        if !names.contains(&name.as_str()) {
            let text = format!("--priority: {name} is no node that may have the HAVIP; there are {}", list(&names));
            return Err(Response::new(Code::Usage, text));
        }
    }
    if options.priorities.is_empty() {
        let names: Vec<String> = nodes.iter().filter(|n| !n.witness).map(|n| n.name.to_string()).collect();
        let preferred = if asker.is_on() {
            let first = names.first().map(String::as_str);
            asker.ask("Which node is to have it while all are well (or any)", first, |answer| match answer {
                "any" => Ok(None),
                name if names.iter().any(|n| n == name) => Ok(Some(name.to_owned())),
                name => Err(format!("{} is none of {}", plain::quote(name), names.join(", "))),
            })?
        } else {
            names.first().cloned()
        };
        for node in nodes.iter_mut() {
            node.priority = if preferred.as_deref() == Some(node.name.as_str()) { PRIORITY.0 } else { PRIORITY.1 };
        }
        return Ok(());
    }
    for node in nodes.iter_mut() {
        let said = options.priorities.iter().rfind(|(name, _)| *name == node.name);
        node.priority = said.map_or(PRIORITY.1, |(_, priority)| *priority);
    }
    Ok(())
}

/// Who is bound by now and is no node: such a cluster would not take the HAVIP.
async fn bindings(
    found: &Found,
    havips: &[HaVip],
    nodes: &[Node],
    strangers: Option<Strangers>,
    notes: &mut Vec<String>,
) -> Result<(), Response> {
    let ours = |id: &str| nodes.iter().any(|n| n.instance.as_ref().is_some_and(|i| i.as_str() == id));
    let unknown: Vec<&str> =
        nodes.iter().filter(|n| !n.witness && n.instance.is_none()).map(|n| n.name.as_str()).collect();
    for havip in havips {
        for bound in havip.binded_instances.iter().filter(|b| !ours(&b.instance_id)) {
            let id = &bound.instance_id;
            let mounted = match found.mounted_on(id).await {
                Some(instance) => format!(" (an interface of {instance})"),
                None => String::new(),
            };
            let what = format!("{} is bound to {id}{mounted}, which is no node of this cluster", havip.ha_vip_id);
            if strangers == Some(Strangers::Detach) {
                notes.push(format!("{what}: the first claim detaches it, as strangers = \"detach\" says"));
            } else if !unknown.is_empty() && id.parse::<InstanceId>().is_ok() {
                notes.push(format!(
                    "{what}, unless it is {}: havipd does not touch it before it has had the HAVIP",
                    unknown.join(" or ")
                ));
            } else {
                let kind = if id.parse::<InstanceId>().is_ok() { "--instance" } else { "--eni" };
                let text = format!(
                    "{what}, and havipd would not take the HAVIP from it; name it with --peer {id}, or detach it first (havipctl \
                     detach {} {kind} {id}), or say --strangers detach",
                    havip.ha_vip_id
                );
                return Err(Response::new(Code::No, text));
            }
        }
        if havip.private_ip_address.is_none() {
            notes.push(format!(
                "{} has no address: look at it in the console, or set group.havip.address",
                havip.ha_vip_id
            ));
        }
    }
    Ok(())
}

/// What nobody can tell from here.
fn doubts(found: &Found, options: &Options, nodes: &[Node], notes: &mut Vec<String>) {
    if found.clock_is_off() {
        let by = if found.skew < 0 { "ahead of" } else { "behind" };
        notes.push(format!(
            "this host's clock is {} s {by} the cloud's: set it (chronyc makestep), else signatures will be refused",
            found.skew.unsigned_abs()
        ));
    }
    let here = crate::net::interface::Snapshot::take();
    if here.is_ok_and(|host| !host.addresses.iter().any(|a| a.address == found.address)) {
        notes.push(format!(
            "{} is on no interface of this host: a node finds itself by its address, and sends heartbeats from it",
            found.address
        ));
    }
    match (&found.keys, &found.role) {
        (Keys::File(path), _) => notes.push(format!(
            "every node that may have the HAVIP needs {} as well, readable by havipd alone",
            path.display()
        )),
        (Keys::Role, _) => notes
            .push("every node that may have the HAVIP needs a role of its own, attached to its instance".to_owned()),
        (Keys::Environment | Keys::Profile(_), role) => {
            let had = match &found.keys {
                Keys::Profile(path) => format!("the profile in {}", path.display()),
                _ => "this shell's environment".to_owned(),
            };
            let role = match role {
                Some(Ok(())) => "it will use the role of the instance, which gives keys here".to_owned(),
                _ => "this instance has no role either, so attach one, or put the keys into a file (cloud.credentials.file, mode 0640, \
                      group havipd)"
                    .to_owned(),
            };
            notes.push(format!("the cloud was asked with the keys of {had}, which the service does not have; {role}"));
        }
    }
    if let Err(error) = &found.instances {
        notes.push(format!(
            "the instances of {} could not be listed ({error}): addresses and ids are as you gave them",
            found.vpc
        ));
    }
    notes.push(
        "whether these keys may attach and detach is proven by the first move only, or by havipctl drill".to_owned(),
    );
    notes.push(
        "what runs on the nodes is not known here: without a [[check]] only a node that is gone loses the HAVIP"
            .to_owned(),
    );
    if nodes.len() == 2 && options.witnesses.is_empty() {
        notes.push(
            "with two nodes the cloud's record decides where they cannot hear each other; --witness adds a third vote"
                .to_owned(),
        );
    }
}
