//! What a reload would change, and whether it may: the last column of the reference.

use super::schema::{self, Reload, Section, show, show_size};
use havipd_core::model::ids::{GroupName, NodeIndex, Target};
use havipd_core::model::settings::{Config, CredentialSource, Group, HeartbeatKey, Hooks, Interface};
use havipd_core::model::settings::{HoldOrRelease, OnRestart, OnStop, Strangers};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    if old.local_node().name != new.local_node().name {
        let (a, b) = (&old.local_node().name, &new.local_node().name);
        refusals.push(format!(
            "this node would be {b:?} instead of {a:?}: this takes a restart",
            a = a.as_str(),
            b = b.as_str()
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
                    .filter(|group| !in_maintenance(group))
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
                section => format!("{name:?} in {section}"),
            },
            Place::Node(node) => format!("{name:?} of node {node:?}"),
            Place::Group(group) if self.section == Section::Havip => format!("the list of HAVIPs of group {group:?}"),
            Place::Group(group) if self.section == Section::Hooks => {
                format!("{name:?} in the hooks of group {group:?}")
            }
            Place::Group(group) => format!("{name:?} of group {group:?}"),
            Place::Havip(_, havip) => format!("{name:?} of {havip}"),
        }
    }

    /// The groups that it is about.
    fn groups(&self, old: &Config, new: &Config) -> BTreeSet<GroupName> {
        let concerned = |config: &Config| {
            let of_node = |group: &Group, node: &String| group.members.iter().any(|m| name_of(config, m.node) == *node);
            let is_in = |group: &&Group| match &self.place {
                Place::Once => true,
                Place::Node(node) => of_node(group, node),
                Place::Group(name) | Place::Havip(name, _) => group.name.as_str() == name,
            };
            config.groups.iter().filter(is_in).map(|g| g.name.clone()).collect::<Vec<_>>()
        };
        concerned(old).into_iter().chain(concerned(new)).collect()
    }
}

/// The value of a key, to be compared and shown.
#[derive(Debug, PartialEq)]
enum Value {
    Text(String),
    /// Compared whole, shown without the secrets.
    Keys(Vec<HeartbeatKey>),
}

impl Value {
    fn show(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => "nothing".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Keys(keys) => {
                let ids: Vec<String> = keys.iter().map(|k| k.id.0.to_string()).collect();
                format!("{} (and what is in their files)", ids.join(", "))
            }
        }
    }
}

/// Every key of a configuration with its value.
struct Facts(BTreeMap<Fact, Value>);

impl Facts {
    fn text(&mut self, place: &Place, section: Section, name: &'static str, text: impl ToString) {
        self.0.insert(Fact { place: place.clone(), section, name }, Value::Text(text.to_string()));
    }

    fn span(&mut self, place: &Place, section: Section, name: &'static str, span: Duration) {
        self.text(place, section, name, show(span));
    }

    fn maybe(&mut self, place: &Place, section: Section, name: &'static str, text: Option<impl ToString>) {
        self.text(place, section, name, text.map(|t| t.to_string()).unwrap_or_default());
    }

    fn list<T: ToString>(&mut self, place: &Place, section: Section, name: &'static str, all: impl Iterator<Item = T>) {
        self.text(place, section, name, all.map(|t| t.to_string()).collect::<Vec<_>>().join(", "));
    }
}

fn facts(config: &Config) -> BTreeMap<Fact, Value> {
    let mut facts = Facts(BTreeMap::new());
    facts.text(&Place::Once, Section::Cluster, "name", &config.cluster);
    facts.list(&Place::Once, Section::Node, "name", config.nodes.iter().map(|n| &n.name));
    facts.list(&Place::Once, Section::Group, "name", config.groups.iter().map(|g| &g.name));
    nodes(config, &mut facts);
    heartbeat(config, &mut facts);
    cloud(config, &mut facts);
    let fifo = config.keepalived.fifo.as_ref().map(|p| p.display());
    facts.maybe(&Place::Once, Section::Keepalived, "fifo", fifo);
    facts.text(&Place::Once, Section::Keepalived, "pid-file", config.keepalived.pid_file.display());
    let (once, section, local) = (&Place::Once, Section::LocalAddress, &config.local_address);
    facts.text(once, section, "lifetime", local.lifetime.map_or_else(|| "forever".to_owned(), show));
    facts.text(once, section, "announce-count", local.announce_count);
    facts.span(once, section, "announce-interval", local.announce_interval);
    facts.span(once, section, "announce-refresh", local.announce_refresh);
    facts.text(once, Section::Metrics, "listen", config.metrics.map_or_else(|| "off".to_owned(), |a| a.to_string()));
    let daemon = &config.daemon;
    facts.text(once, Section::Daemon, "history-size", show_size(daemon.history_size));
    facts.span(once, Section::Daemon, "doctor-interval", daemon.doctor_interval.unwrap_or_default());
    facts.text(once, Section::Daemon, "realtime-priority", daemon.realtime_priority);
    facts.text(once, Section::Daemon, "lock-memory", daemon.lock_memory);
    facts.text(once, Section::Log, "level", config.log.level.as_str());
    facts.text(once, Section::Log, "format", config.log.format.as_str());
    for group in &config.groups {
        group_facts(config, group, &mut facts);
    }
    facts.0
}

fn nodes(config: &Config, facts: &mut Facts) {
    for node in &config.nodes {
        let (place, section) = (&Place::Node(node.name.as_str().to_owned()), Section::Node);
        let (instance, eni) = match &node.target {
            Some(Target::Instance(id)) => (Some(id), None),
            Some(Target::Eni(id)) => (None, Some(id)),
            None => (None, None),
        };
        facts.list(place, section, "address", node.addresses.iter());
        facts.maybe(place, section, "instance", instance);
        facts.maybe(place, section, "eni", eni);
        facts.maybe(place, section, "interface", node.interface.as_ref());
        facts.text(place, section, "priority", node.priority);
        facts.text(place, section, "witness", node.witness);
    }
}

fn heartbeat(config: &Config, facts: &mut Facts) {
    let (place, section, heartbeat) = (&Place::Once, Section::Heartbeat, &config.heartbeat);
    facts.text(place, section, "port", heartbeat.port);
    facts.span(place, section, "interval", heartbeat.interval);
    facts.text(place, section, "dead-multiplier", heartbeat.dead_multiplier);
    facts.0.insert(Fact { place: Place::Once, section, name: "keys" }, Value::Keys(heartbeat.keys.clone()));
    facts.text(place, section, "send-key", heartbeat.send_key.0);
    facts.span(place, section, "cold-start-wait", heartbeat.cold_start_wait);
    facts.text(place, section, "fabric-probe", heartbeat.fabric_probe);
}

fn cloud(config: &Config, facts: &mut Facts) {
    let (place, section, cloud) = (&Place::Once, Section::Cloud, &config.cloud);
    facts.maybe(place, section, "region", cloud.region.as_ref());
    facts.maybe(place, section, "endpoint", cloud.endpoint.as_ref());
    facts.text(place, section, "metadata-endpoint", &cloud.metadata_endpoint);
    facts.maybe(place, section, "ca-file", cloud.ca_file.as_ref().map(|p| p.display()));
    facts.span(place, section, "connect-timeout", cloud.connect_timeout);
    facts.span(place, section, "request-timeout", cloud.request_timeout);
    facts.span(place, section, "operation-timeout", cloud.operation_timeout);
    facts.span(place, section, "audit-interval", cloud.audit_interval);
    let rate = cloud.requests_per_second.map_or_else(|| "adaptive".to_owned(), |rate| rate.to_string());
    facts.text(place, section, "requests-per-second", rate);
    let (source, file) = match &cloud.credentials {
        CredentialSource::Auto { file } => ("auto", file.as_ref()),
        CredentialSource::Env => ("env", None),
        CredentialSource::File(file) => ("file", Some(file)),
        CredentialSource::InstanceRole => ("instance-role", None),
    };
    facts.text(place, Section::Credentials, "source", source);
    facts.maybe(place, Section::Credentials, "file", file.map(|p| p.display()));
}

fn group_facts(config: &Config, group: &Group, facts: &mut Facts) {
    let (place, section) = (&Place::Group(group.name.as_str().to_owned()), Section::Group);
    facts.list(place, section, "nodes", group.members.iter().map(|m| name_of(config, m.node)));
    facts.text(place, section, "arbiter", group.arbiter.as_str());
    let priorities = group.members.iter().filter(|m| !m.witness);
    let priorities = priorities.map(|m| format!("{} = {}", name_of(config, m.node), m.priority));
    facts.list(place, section, "priorities", priorities);
    facts.text(place, section, "preempt", group.preempt);
    facts.span(place, section, "preempt-delay", group.preempt_delay);
    facts.text(place, section, "on-stop", on_stop(group.on_stop));
    let on_restart = if group.on_restart == OnRestart::Keep { "keep" } else { "handover" };
    facts.text(place, section, "on-restart", on_restart);
    facts.span(place, section, "keep-for", group.keep_for);
    facts.span(place, section, "handover-timeout", group.handover_timeout);
    let release = |choice, otherwise| if choice == HoldOrRelease::Release { "release" } else { otherwise };
    facts.text(place, section, "when-isolated", release(group.when_isolated, "hold"));
    facts.text(place, section, "when-all-fail", release(group.when_all_fail, "keep"));
    facts.text(place, section, "max-moves", group.max_moves);
    facts.span(place, section, "max-moves-window", group.max_moves_window);
    facts.span(place, section, "reclaim-wait", group.reclaim_wait);
    facts.text(place, section, "vrrp", &group.vrrp);
    facts.text(place, section, "observe", group.observe);
    facts.list(place, Section::Havip, "id", group.havips.iter().map(|h| &h.id));
    for havip in &group.havips {
        let place = &Place::Havip(group.name.as_str().to_owned(), havip.id.as_str().to_owned());
        let interface = match &havip.interface {
            Interface::Discover => None,
            Interface::Named(name) => Some(name.as_str()),
            Interface::None => Some("none"),
        };
        let strangers = match havip.strangers {
            Strangers::Guard => "guard",
            Strangers::Detach => "detach",
            Strangers::Refuse => "refuse",
        };
        facts.text(place, Section::Havip, "binding", havip.binding.as_str());
        facts.maybe(place, Section::Havip, "address", havip.address);
        facts.maybe(place, Section::Havip, "interface", interface);
        facts.text(place, Section::Havip, "strangers", strangers);
    }
    hooks(place, &group.hooks, facts);
}

fn hooks(place: &Place, hooks: &Hooks, facts: &mut Facts) {
    let section = Section::Hooks;
    let argv = |command: &Option<Vec<String>>| command.as_ref().map(|argv| format!("{argv:?}"));
    facts.maybe(place, section, "notify", argv(&hooks.notify));
    facts.maybe(place, section, "notify-master", argv(&hooks.notify_master));
    facts.maybe(place, section, "notify-backup", argv(&hooks.notify_backup));
    facts.maybe(place, section, "notify-fault", argv(&hooks.notify_fault));
    facts.maybe(place, section, "notify-stop", argv(&hooks.notify_stop));
    facts.span(place, section, "timeout", hooks.timeout);
}

fn name_of(config: &Config, node: NodeIndex) -> &str {
    config.node(node).name.as_str()
}

const fn on_stop(on_stop: OnStop) -> &'static str {
    match on_stop {
        OnStop::Handover => "handover",
        OnStop::Keep => "keep",
        OnStop::Release => "release",
    }
}
