//! Rules over several keys of the tables that are there once, and over the nodes: the last part of
//! the reference. Rules over groups are in `rules_group`.

use super::diagnostic::{Report, Span, quote};
use super::document::At;
use super::environment::Environment;
use super::schema::show;
use super::settings::{Cloud, Group, Heartbeat, LocalAddress, Node, Root};
use havipd_core::model::plural::plural;
use havipd_core::model::tag::Tag;
use std::collections::HashSet;
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Duration;

/// Pauses of a VM shorter than this are usual on the cloud (live migration, snapshots).
const USUAL_PAUSE: Duration = Duration::from_secs(3);

/// The cluster's name in the file that the packages install: the first edit of the file has to replace it.
const EXAMPLE: &str = "example";

/// Notes what breaks a rule.
pub(super) fn apply(file: &Root, env: &Environment, report: &Report) {
    edited(file, report);
    nodes(&file.nodes, &file.heartbeat, report);
    keys(&file.heartbeat, report);
    dead_time(&file.heartbeat, env, report);
    cloud(&file.cloud, report);
    ceiling(file, report);
    lifetime(&file.local_address, &file.heartbeat, report);
    if let Some(listen) = &file.metrics.listen
        && let Some(address) = listen.value.filter(|a| !a.ip().is_loopback())
    {
        let text = format!("metrics are served on {address}, without TLS and to anybody who reaches it");
        report.warning(Some(&listen.span), text, Some("let only your Prometheus reach it".to_owned()));
    }
}

/// An installed file that nobody has made his own would elect among machines that are not there.
fn edited(file: &Root, report: &Report) {
    if let Some(name) = file.cluster.name.as_ref().filter(|name| name.value.as_str() == EXAMPLE) {
        let what =
            "this is still the example that was installed: name the cluster, and set nodes, keys and HAVIPs to yours";
        report.error(&name.span, format!("{what} ({EXAMPLE} is taken for no cluster)", EXAMPLE = quote(EXAMPLE)));
    }
}

/// Finds values that are there twice, in the order of the file. Names are looked up by their tag on
/// the wire, so that two names with one tag, unlikely as they are, are refused as well.
pub(super) struct Unique<K>(HashSet<K>);

impl<K: Hash + Eq> Unique<K> {
    pub(super) fn new() -> Self {
        Self(HashSet::new())
    }

    /// Whether `key` was there before.
    pub(super) fn repeats(&mut self, key: K) -> bool {
        !self.0.insert(key)
    }
}

/// The dead time and where it comes from, once both its factors are right.
pub(super) fn dead_time_of(heartbeat: &Heartbeat) -> Option<At<Duration>> {
    let (interval, multiplier) = (heartbeat.interval.as_ref()?, heartbeat.dead_multiplier.as_ref()?);
    let value = interval.value.saturating_mul(multiplier.value);
    let at = if interval.written { &interval.span } else { &multiplier.span };
    Some(At { value, span: at.clone(), written: interval.written || multiplier.written })
}

fn nodes(nodes: &[At<Node>], heartbeat: &Heartbeat, report: &Report) {
    let (mut names, mut targets, mut sockets) = (Unique::new(), Unique::new(), Unique::new());
    for node in nodes {
        if let Some(name) = &node.name
            && names.repeats(Tag::node(&name.value))
        {
            report.error(&name.span, format!("two nodes are named {}", quote(name.value.as_str())));
        }
        for address in node.addresses.iter().flat_map(|a| &a.value) {
            let Some(port) = &heartbeat.port else { continue };
            let socket: SocketAddr = address.value.or_port(port.value);
            if sockets.repeats(socket) {
                report.error(&address.span, format!("the address {socket} is there twice"));
            }
        }
        let target = |id: &str, span: &Span, targets: &mut Unique<String>| {
            if targets.repeats(id.to_owned()) {
                report.error(span, format!("two nodes have the target {id}", id = quote(id)));
            }
        };
        if let Some(instance) = &node.instance {
            target(instance.value.as_str(), &instance.span, &mut targets);
        }
        if let Some(eni) = &node.eni {
            target(eni.value.as_str(), &eni.span, &mut targets);
            if node.instance.is_some() {
                report.error(&eni.span, "a node has an \"instance\" or an \"eni\", not both");
            }
        }
        witness(node, report);
    }
}

/// Whether the file makes it one.
pub(super) fn is_witness(node: &Node) -> bool {
    node.witness.as_ref().is_some_and(|w| w.value)
}

fn witness(node: &Node, report: &Report) {
    if !is_witness(node) {
        return;
    }
    let instance = node.instance.as_ref().map(|i| ("instance", &i.span));
    let eni = node.eni.as_ref().map(|e| ("eni", &e.span));
    let priority = node.priority.as_ref().filter(|p| p.written).map(|p| ("priority", &p.span));
    for (key, span) in [instance, eni, priority].into_iter().flatten() {
        report.error(span, format!("a witness never holds a HAVIP, so it takes no {key}", key = quote(key)));
    }
}

fn keys(heartbeat: &Heartbeat, report: &Report) {
    let mut ids = Unique::new();
    for id in heartbeat.keys.iter().flat_map(|keys| &keys.value).filter_map(|k| k.id.as_ref()) {
        if ids.repeats(id.value) {
            report.error(&id.span, format!("two keys have the id {}", id.value));
        }
    }
    let all_known = heartbeat.keys.iter().flat_map(|keys| &keys.value).all(|k| k.id.is_some());
    if let Some(send) = &heartbeat.send_key
        && all_known
        && heartbeat.keys.as_ref().is_some_and(|keys| !keys.value.is_empty())
        && !ids.repeats(send.value)
    {
        report.error(&send.span, format!("\"send-key\" is {}, and no key has that id", send.value));
    }
}

fn dead_time(heartbeat: &Heartbeat, env: &Environment, report: &Report) {
    let Some(dead) = dead_time_of(heartbeat) else { return };
    let shown = show(dead.value);
    if let Some(wait) = &heartbeat.cold_start_wait
        && dead.value > wait.value
    {
        let span = if wait.written { &wait.span } else { &dead.span };
        let text = format!(
            "the dead time, interval x dead-multiplier = {shown}, must not exceed \"cold-start-wait\", {}",
            show(wait.value)
        );
        report.error(span, text);
    }
    let place = dead.written.then_some(&dead.span);
    let help = Some("raise \"dead-multiplier\" or \"interval\"".to_owned());
    match env.longest_pause.filter(|&pause| dead.value < pause) {
        Some(pause) => {
            let text = format!(
                "the dead time, interval x dead-multiplier = {shown}, is shorter than the longest pause recorded on \
                 this host, {}: such a pause moves the HAVIP",
                show(pause)
            );
            report.warning(place, text, help);
        }
        None if dead.value < USUAL_PAUSE => {
            let text = format!(
                "the dead time, interval x dead-multiplier = {shown}, is shorter than the usual pauses of a VM, {}: \
                 such a pause moves the HAVIP",
                show(USUAL_PAUSE)
            );
            report.warning(place, text, help);
        }
        None => {}
    }
}

fn cloud(cloud: &Cloud, report: &Report) {
    let at_least = |name: &str, long: &Option<At<Duration>>, than: &str, short: &Option<At<Duration>>| {
        let (Some(long), Some(short)) = (long, short) else { return };
        if long.value < short.value {
            let span = if long.written { &long.span } else { &short.span };
            let (a, b) = (show(long.value), show(short.value));
            report.error(
                span,
                format!("{name}, {a}, must not be shorter than {than}, {b}", name = quote(name), than = quote(than)),
            );
        }
    };
    at_least("request-timeout", &cloud.request_timeout, "connect-timeout", &cloud.connect_timeout);
    at_least("operation-timeout", &cloud.operation_timeout, "request-timeout", &cloud.request_timeout);
    if let Some(endpoint) = &cloud.endpoint
        && endpoint.value.plain_http_to_public
    {
        let text = format!("{} is plain HTTP beyond the private network", quote(&endpoint.value.url));
        let help = "requests are signed, yet a session token and every answer can be read; use https://";
        report.warning(Some(&endpoint.span), text, Some(help.to_owned()));
    }
    if let (Some(endpoint), Some(file)) = (&cloud.endpoint, &cloud.ca_file)
        && !endpoint.value.url.starts_with("https:")
    {
        report.error(&file.span, "\"ca-file\" has no meaning: the \"endpoint\" of [cloud] is no https URL");
    }
    match (cloud.credentials.source.as_ref().map(|s| s.value), &cloud.credentials.file) {
        (Some("file"), None) => {
            let span = cloud.credentials.source.as_ref().map_or(&cloud.credentials.span, |s| &s.span);
            report.error(span, "\"source\" = \"file\" needs a \"file\"");
        }
        (Some(source @ ("env" | "instance-role")), Some(file)) => {
            let text = format!("\"file\" is not used with \"source\" = {source}", source = quote(source));
            report.warning(Some(&file.span), text, None);
        }
        _ => {}
    }
}

/// A HAVIP goes where the node's own address is: while that is gone, for as long as a lease is renewed or a network is
/// configured anew, so is the interface.
pub(super) fn follows_address(file: &Root, local: usize, env: &Environment, report: &Report) {
    let node = &file.nodes[local];
    let own = node.addresses.iter().flat_map(|a| &a.value).find(|a| env.losable_addresses.contains(&a.value.ip));
    let found = |group: &At<Group>| group.havips.iter().any(|havip| havip.interface.is_none());
    let (Some(own), None, false) = (own, &node.interface, is_witness(node)) else { return };
    if node.eni.is_some() || !file.groups.iter().any(found) {
        return;
    }
    let text = format!(
        "a HAVIP without \"interface\" is where {} is: should that address be gone for 0.3 s, as with a lease of DHCP that ends \
         or a network that is configured anew, the HAVIP moves",
        own.value.ip
    );
    let help = "set \"interface\" of this [[node]], or of the [[group.havip]]";
    report.warning(Some(&own.span), text, Some(help.to_owned()));
}

/// A ceiling by which the audits come too late. All HAVIPs of one VPC are read by one call.
fn ceiling(file: &Root, report: &Report) {
    let (Some(rate), Some(audit)) = (&file.cloud.requests_per_second, &file.cloud.audit_interval) else { return };
    let Some(limit) = rate.value else { return };
    let (groups, havips) = (file.groups.len(), file.groups.iter().map(|g| g.havips.len()).sum::<usize>());
    let every = 1.0 / limit;
    let (wanted, when) = match () {
        () if every > audit.value.as_secs_f64() => (show(audit.value), "\"audit-interval\""),
        () if every > 1.0 => ("1s".to_owned(), "while a member is not heard"),
        () => return,
    };
    let text = format!(
        "\"requests-per-second\" = {limit} lets {} of {} be read every {every:.1} s at best, \
         not every {wanted} ({when})",
        plural(havips, "HAVIP"),
        plural(groups, "group")
    );
    let help = "a superseded holder steps down that much later; \"adaptive\" is as much as the cloud takes";
    report.warning(Some(&rate.span), text, Some(help.to_owned()));
}

/// The lifetime that an address gets when the file gives none.
pub(super) fn default_lifetime(dead_time: Duration) -> Duration {
    let longer = dead_time + Duration::from_secs(1);
    let whole = Duration::from_secs(longer.as_secs() + u64::from(longer.subsec_nanos() > 0));
    whole.max(Duration::from_secs(2))
}

fn lifetime(local: &LocalAddress, heartbeat: &Heartbeat, report: &Report) {
    let Some(lifetime) = &local.lifetime else { return };
    match (lifetime.value, dead_time_of(heartbeat)) {
        (None, _) => {
            let text =
                "\"lifetime\" = \"forever\": if the daemon dies, the kernel keeps the address and two nodes answer";
            report.warning(Some(&lifetime.span), text, None);
        }
        (Some(span), Some(dead)) if span < dead.value => {
            let text = format!(
                "\"lifetime\" is {}, shorter than the dead time, {}: the address would vanish before a peer may take it",
                show(span),
                show(dead.value)
            );
            report.error(&lifetime.span, text);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_lifetime_is_whole_seconds_after_the_dead_time() {
        for (dead, lifetime) in [(20, 2), (1000, 2), (1001, 3), (5000, 6), (5010, 7), (600_000, 601)] {
            assert_eq!(default_lifetime(Duration::from_millis(dead)), Duration::from_secs(lifetime), "{dead} ms");
        }
    }
}
