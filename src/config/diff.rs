//! What a reload would change, and whether it may: the last column of the reference.

use super::diagnostic::quote;
use super::schema::{self, Reload, Section};
use super::shown::{Value, list};
use havipd_core::model::ids::{GroupName, NodeIndex};
use havipd_core::model::settings::{Config, Group};
use std::collections::{BTreeMap, BTreeSet};

/// What a reload takes over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes(pub Vec<Change>);

/// One key that a reload changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table of the key.
    pub section: Section,
    /// The key.
    pub name: &'static str,
    /// What changes, from what to what; never a secret.
    pub text: String,
}

impl Changes {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key of `section` changes.
    #[must_use]
    pub fn touches(&self, section: Section) -> bool {
        self.0.iter().any(|c| c.section == section)
    }
}

/// Compares what runs with what a reload brings. `in_maintenance` tells of the groups that are in
/// cluster-wide maintenance.
///
/// # Errors
/// Why the reload is refused, one text for each key; then nothing of it may be taken over.
pub fn diff(old: &Config, new: &Config, in_maintenance: &dyn Fn(&GroupName) -> bool) -> Result<Changes, Vec<String>> {
    let (was, is) = (facts(old), facts(new));
    let mut changes = Changes::default();
    let mut refusals = Vec::new();
    let is_of = |config: &Config, name: &GroupName| {
        config.groups.iter().any(|g| g.name == *name && g.member(config.local).is_some())
    };
    // A node that is no member of a group has no part in what its members must agree on, and does not know of its maintenance.
    let ours = |name: &GroupName| is_of(old, name) || is_of(new, name);
    if old.local_node().name != new.local_node().name {
        let (a, b) = (&old.local_node().name, &new.local_node().name);
        refusals.push(format!(
            "this node would be {b} instead of {a}: this takes a restart",
            a = quote(a.as_str()),
            b = quote(b.as_str())
        ));
    }
    for (fact, before) in &was {
        // What stands in a table that is gone goes with it; the list of the tables tells of that.
        let Some(after) = is.get(fact).filter(|after| *after != before) else { continue };
        let row = schema::key(fact.section, fact.name).expect("facts are of known keys");
        let text = format!("{} changes from {} to {}", fact.label(), before.show(), after.show());
        match row.reload {
            Reload::Accept => {}
            Reload::Restart => refusals.push(format!("{text}: this takes a restart")),
            Reload::Maintenance => {
                let running: Vec<String> = fact
                    .groups(old, new)
                    .into_iter()
                    .filter(|group| ours(group) && !in_maintenance(group))
                    .map(|group| group.as_str().to_owned())
                    .collect();
                if !running.is_empty() {
                    let (s, them) = if running.len() == 1 { ("", "it") } else { ("s", "them") };
                    let names = running.join(", ");
                    refusals.push(format!(
                        "{text}: this takes cluster-wide maintenance of group{s} {names} \
                         (havipctl maintenance GROUP on for {them})"
                    ));
                }
            }
        }
        changes.0.push(Change { section: fact.section, name: fact.name, text });
    }
    if refusals.is_empty() { Ok(changes) } else { Err(refusals) }
}

/// Where a key stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Once,
    Node(String),
    Group(String),
    Havip(String, String),
    Check(String),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    place: Place,
    section: Section,
    name: &'static str,
}

impl Fact {
    fn label(&self) -> String {
        let name = self.name;
        match &self.place {
            Place::Once => match self.section {
                Section::Node => "the list of [[node]]".to_owned(),
                Section::Group => "the list of [[group]]".to_owned(),
                Section::Check => "the list of [[check]]".to_owned(),
                section => format!("{name} in {section}", name = quote(name)),
            },
            Place::Node(node) => format!("{name} of node {node}", name = quote(name), node = quote(node)),
            Place::Group(group) if self.section == Section::Havip => {
                format!("the list of HAVIPs of group {group}", group = quote(group))
            }
            Place::Group(group) if self.section == Section::Hooks => {
                format!("{name} in the hooks of group {group}", name = quote(name), group = quote(group))
            }
            Place::Group(group) => format!("{name} of group {group}", name = quote(name), group = quote(group)),
            Place::Check(check) => format!("{name} of check {check}", name = quote(name), check = quote(check)),
            Place::Havip(_, havip) => format!("{name} of {havip}", name = quote(name)),
        }
    }

    /// The groups that it is about.
    fn groups(&self, old: &Config, new: &Config) -> BTreeSet<GroupName> {
        let concerned = |config: &Config| {
            let of_node = |group: &Group, node: &String| group.members.iter().any(|m| name_of(config, m.node) == *node);
            let is_in = |group: &&Group| match &self.place {
                Place::Once | Place::Check(_) => true,
                Place::Node(node) => of_node(group, node),
                Place::Group(name) | Place::Havip(name, _) => group.name.as_str() == name,
            };
            config.groups.iter().filter(is_in).map(|g| g.name.clone()).collect::<Vec<_>>()
        };
        concerned(old).into_iter().chain(concerned(new)).collect()
    }
}

/// Every key of a configuration with its value.
struct Facts(BTreeMap<Fact, Value>);

impl Facts {
    /// The keys of one table at its place.
    fn of<T>(
        &mut self,
        (config, it): (&Config, &T),
        place: &Place,
        section: Section,
        facts: fn(&Config, &T, &mut dyn FnMut(&'static str, Value)),
    ) {
        facts(config, it, &mut |name, value| {
            if value != Value::InList {
                self.0.insert(Fact { place: place.clone(), section, name }, value);
            }
        });
    }

    /// The names of the tables of a list.
    fn list(&mut self, place: &Place, section: Section, name: &'static str, names: Value) {
        self.0.insert(Fact { place: place.clone(), section, name }, names);
    }
}

fn facts(config: &Config) -> BTreeMap<Fact, Value> {
    use super::settings::{
        Check, Cloud, Cluster, Credentials, Daemon, Etcd, Group, Havip, Heartbeat, Hooks, Keepalived, LocalAddress,
        Log, Metrics, Node,
    };
    let (once, mut facts) = (&Place::Once, Facts(BTreeMap::new()));
    facts.of((config, config), once, Section::Cluster, Cluster::facts);
    facts.list(once, Section::Node, "name", list(config.nodes.iter().map(|n| &n.name)));
    for node in &config.nodes {
        facts.of((config, node), &Place::Node(node.name.as_str().to_owned()), Section::Node, Node::facts);
    }
    facts.of((config, &config.heartbeat), once, Section::Heartbeat, Heartbeat::facts);
    facts.of((config, &config.cloud), once, Section::Cloud, Cloud::facts);
    facts.of((config, &config.cloud), once, Section::Credentials, Credentials::facts);
    facts.list(once, Section::Group, "name", list(config.groups.iter().map(|g| &g.name)));
    for group in &config.groups {
        let place = &Place::Group(group.name.as_str().to_owned());
        facts.of((config, group), place, Section::Group, Group::facts);
        facts.list(place, Section::Havip, "id", list(group.havips.iter().map(|h| &h.id)));
        for havip in &group.havips {
            let place = &Place::Havip(group.name.as_str().to_owned(), havip.id.as_str().to_owned());
            facts.of((config, havip), place, Section::Havip, Havip::facts);
        }
        facts.of((config, &group.hooks), place, Section::Hooks, Hooks::facts);
    }
    facts.list(once, Section::Check, "name", list(config.checks.iter().map(|c| &c.name)));
    for check in &config.checks {
        let place = &Place::Check(check.name.as_str().to_owned());
        facts.of((config, check), place, Section::Check, Check::facts);
    }
    facts.of((config, &config.local_address), once, Section::LocalAddress, LocalAddress::facts);
    facts.of((config, config), once, Section::Metrics, Metrics::facts);
    facts.of((config, &config.keepalived), once, Section::Keepalived, Keepalived::facts);
    facts.of((config, config), once, Section::Etcd, Etcd::facts);
    facts.of((config, &config.log), once, Section::Log, Log::facts);
    facts.of((config, &config.daemon), once, Section::Daemon, Daemon::facts);
    facts.0
}

fn name_of(config: &Config, node: NodeIndex) -> &str {
    config.node(node).name.as_str()
}
