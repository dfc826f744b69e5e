//! Rules over several keys of a group, and what follows from them: who is in it, and which arbiter
//! `auto` becomes.

use super::diagnostic::{Report, Span, quote};
use super::document::At;
use super::environment::Environment;
use super::rules::{Unique, dead_time_of, is_witness};
use super::schema::show;
use super::settings::{Group, Node, Root};
use super::takes::Membership;
use havipd_core::model::action::GateRun;
use havipd_core::model::settings::{Arbiter, Binding, MAJORITY_MULTIPLIER};
use havipd_core::model::tag::Tag;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The API binds at most this many targets to one HAVIP.
const MOST_TARGETS: usize = 5;

/// What a group comes down to.
#[derive(Debug)]
pub(super) struct Shape {
    /// Members, as positions in the file, in that order.
    pub(super) members: Vec<usize>,
    /// The arbiter in force.
    pub(super) arbiter: Arbiter,
    /// The file says `auto`.
    pub(super) auto: bool,
}

/// Notes what breaks a rule. A group whose shape cannot be told is `None`, with an error noted.
pub(super) fn apply(file: &Root, env: &Environment, report: &Report) -> Vec<Option<Shape>> {
    let names = Names::of(&file.nodes);
    let (mut group_names, mut havips) = (Unique::new(), Havips::new(file));
    let shapes: Vec<Option<Shape>> = file
        .groups
        .iter()
        .map(|group| {
            if let Some(name) = &group.name
                && group_names.repeats(Tag::group(&name.value))
            {
                report.error(&name.span, format!("two groups are named {}", quote(name.value.as_str())));
            }
            havips.check(group, report);
            stop_timeout(file, group, env, report);
            let members = members(group, &names, &file.nodes, report)?;
            priorities(group, &names, &members, &file.nodes, report);
            let shape = arbiter(group, members, report)?;
            keepalived(file, group, &shape, report);
            leader_key(group, &shape, report);
            leader_values(group, &names, &shape, &file.nodes, report);
            gates(group, &shape, report);
            targets(group, &shape, &file.nodes, report);
            Some(shape)
        })
        .collect();
    if shapes.iter().flatten().any(|shape| shape.arbiter == Arbiter::Majority) {
        lasting(file, report);
    }
    etcd(file, &shapes, report);
    shapes
}

/// A lease that is renewed by heartbeats has to outlast the loss of one: an ask and its answer take two intervals.
fn lasting(file: &Root, report: &Report) {
    let short = file.heartbeat.dead_multiplier.as_ref().filter(|n| n.value < MAJORITY_MULTIPLIER);
    if let Some(multiplier) = short {
        let text = format!(
            "\"dead-multiplier\" = {} is too low for \"arbiter\" = \"majority\": one lost heartbeat would cost leadership",
            multiplier.value
        );
        let help = format!("make it {MAJORITY_MULTIPLIER} or more; a shorter \"interval\" keeps the dead time short");
        report.error_with(&multiplier.span, text, help);
    }
}

/// Where each node stands. A name that was wrong is already reported, and then a name that is not
/// here may be the one that was meant.
pub(super) struct Names<'a> {
    index: HashMap<&'a str, usize>,
    complete: bool,
}

impl<'a> Names<'a> {
    pub(super) fn of(nodes: &'a [At<Node>]) -> Self {
        let named = nodes.iter().enumerate().filter_map(|(i, n)| Some((n.name.as_ref()?.value.as_str(), i)));
        Self { index: named.collect(), complete: nodes.iter().all(|n| n.name.is_some()) }
    }

    /// Whether a node has that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    pub(super) fn unknown(&self, name: &str, span: &Span, report: &Report) {
        if !self.complete {
            return;
        }
        let near = self.index.keys().map(|known| (strsim::normalized_damerau_levenshtein(name, known), *known));
        let near =
            near.filter(|(closeness, _)| *closeness >= 0.6).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
        let text = format!("no [[node]] is named {}", quote(name));
        match near {
            Some((_, known)) => report.error_with(span, text, format!("did you mean {known}?", known = quote(known))),
            None => report.error(span, text),
        }
    }
}

fn members(group: &At<Group>, names: &Names<'_>, nodes: &[At<Node>], report: &Report) -> Option<Vec<usize>> {
    let written = group.nodes.as_ref()?;
    let (mut members, span) = match &written.value {
        Membership::All => ((0..nodes.len()).collect::<Vec<_>>(), &group.span),
        Membership::Listed(listed) => {
            let mut members = Vec::with_capacity(listed.len());
            let mut right = true;
            for name in listed {
                match names.index.get(name.value.as_str()) {
                    Some(index) if members.contains(index) => {
                        report.error(&name.span, format!("{} is in \"nodes\" twice", quote(&name.value)));
                    }
                    Some(index) => members.push(*index),
                    None => {
                        names.unknown(&name.value, &name.span, report);
                        right = false;
                    }
                }
            }
            if !right {
                return None;
            }
            (members, &written.span)
        }
    };
    members.sort_unstable();
    if members.iter().all(|&i| is_witness(&nodes[i])) {
        if !nodes.is_empty() {
            report.error(span, "the group has no node that can hold its HAVIPs");
        }
        return None;
    }
    Some(members)
}

fn priorities(group: &Group, names: &Names<'_>, members: &[usize], nodes: &[At<Node>], report: &Report) {
    for (name, _) in group.priorities.iter().flat_map(|all| &all.value) {
        match names.index.get(name.value.as_str()) {
            None => names.unknown(&name.value, &name.span, report),
            Some(&i) if is_witness(&nodes[i]) => {
                report.error(&name.span, format!("{} is a witness, which has no priority", quote(&name.value)));
            }
            Some(i) if !members.contains(i) => {
                report.error(&name.span, format!("{} is not in the \"nodes\" of this group", quote(&name.value)));
            }
            Some(_) => {}
        }
    }
}

fn arbiter(group: &At<Group>, members: Vec<usize>, report: &Report) -> Option<Shape> {
    let written = group.arbiter.as_ref()?;
    let voters = members.len();
    let (arbiter, auto) = match written.value {
        "cloud" => (Arbiter::Cloud, false),
        "majority" => (Arbiter::Majority, false),
        "keepalived" => (Arbiter::Keepalived, false),
        "etcd" if group.leader_key.is_some() => (Arbiter::Etcd, false),
        "etcd" => (Arbiter::EtcdLease, false),
        _ if voters >= 3 => (Arbiter::Majority, true),
        _ => (Arbiter::Cloud, true),
    };
    if arbiter == Arbiter::Majority && voters < 3 {
        let text = format!("\"arbiter\" = \"majority\" needs 3 or more voters, and the group has {voters}");
        report.error_with(&written.span, text, "add a node, which may be a witness, or use \"cloud\"");
        return None;
    }
    if arbiter == Arbiter::Majority && voters.is_multiple_of(2) {
        let text = format!("{voters} voters survive the loss of no more nodes than {} do", voters - 1);
        let span = if written.written { &written.span } else { &group.span };
        report.warning(Some(span), text, Some("add or remove a witness".to_owned()));
    }
    Some(Shape { members, arbiter, auto })
}

/// keepalived's table and the name that is followed belong to the arbiter of that name.
fn keepalived(file: &Root, group: &At<Group>, shape: &Shape, report: &Report) {
    let follows = shape.arbiter == Arbiter::Keepalived;
    if let Some(arbiter) = group.arbiter.as_ref().filter(|_| follows && !file.keepalived.written) {
        let help = "add the table: fifo = \"...\", or nothing in it if keepalived calls havipctl notify";
        report.error_with(&arbiter.span, "\"arbiter\" = \"keepalived\" needs the table [keepalived]", help);
    }
    if let Some(vrrp) = group.vrrp.as_ref().filter(|_| !follows) {
        let text = "\"vrrp\" says nothing here: only \"arbiter\" = \"keepalived\" follows keepalived";
        report.warning(Some(&vrrp.span), text, None);
    }
}

/// A leader key is what arbiter `etcd` follows where there is one, and nothing else does.
fn leader_key(group: &At<Group>, shape: &Shape, report: &Report) {
    let follows = shape.arbiter == Arbiter::Etcd;
    let key = group.leader_key.as_ref().map(|at| ("leader-key", &at.span));
    let values = group.leader_values.as_ref().map(|at| ("leader-value", &at.span));
    for (key, span) in key.into_iter().chain(values).filter(|_| !follows) {
        let text =
            format!("{key} says nothing here: only \"arbiter\" = \"etcd\" follows a \"leader-key\"", key = quote(key));
        report.warning(Some(span), text, None);
    }
}

/// Whom each value of a leader key names: a member that may hold the HAVIPs, and one alone.
fn leader_values(group: &Group, names: &Names<'_>, shape: &Shape, nodes: &[At<Node>], report: &Report) {
    if shape.arbiter != Arbiter::Etcd {
        return;
    }
    let given = || group.leader_values.iter().flat_map(|all| &all.value);
    for (name, _) in given() {
        match names.index.get(name.value.as_str()) {
            None => names.unknown(&name.value, &name.span, report),
            Some(&i) if is_witness(&nodes[i]) => {
                report.error(&name.span, format!("{} is a witness, which never leads", quote(&name.value)));
            }
            Some(i) if !shape.members.contains(i) => {
                report.error(&name.span, format!("{} is not in the \"nodes\" of this group", quote(&name.value)));
            }
            Some(_) => {}
        }
    }
    let mut named: HashMap<&str, &str> = HashMap::new();
    let holders = shape.members.iter().map(|&i| &nodes[i]).filter(|node| !is_witness(node));
    for node in holders.filter_map(|node| node.name.as_ref()) {
        let name = node.value.as_str();
        let own = given().find(|(other, _)| other.value == name).map(|(_, value)| value);
        let value = own.map_or(name, |value| value.value.as_str());
        if let Some(other) = named.insert(value, name) {
            let span = own.map_or(&node.span, |value| &value.span);
            report.error(
                span,
                format!("the value {} of \"leader-key\" would name both {other} and {name}", quote(value)),
            );
        }
    }
}

/// etcd's table: there where a group needs it, and nothing in it that has no effect.
fn etcd(file: &Root, shapes: &[Option<Shape>], report: &Report) {
    let etcd = &file.etcd;
    let by = |shape: &Option<Shape>, arbiter| shape.as_ref().is_some_and(|shape| shape.arbiter == arbiter);
    let is_etcd = |shape: &Option<Shape>| by(shape, Arbiter::Etcd) || by(shape, Arbiter::EtcdLease);
    let elects = shapes.iter().any(|shape| by(shape, Arbiter::EtcdLease));
    if let Some(prefix) = etcd.prefix.as_ref().filter(|at| at.written && !elects && shapes.iter().all(Option::is_some))
    {
        let text = "\"prefix\" says nothing here: no group has \"arbiter\" = \"etcd\" without \"leader-key\"";
        report.warning(Some(&prefix.span), text, None);
    }
    if let (Some(lease), Some(dead_time)) = (&etcd.lease, dead_time_of(&file.heartbeat))
        && elects
        && lease.value < dead_time.value
    {
        let text = format!(
            "\"lease\" is {}, less than the dead time of the heartbeats, {}",
            show(lease.value),
            show(dead_time.value)
        );
        let help = "another node would be active while the address of one that hangs is still on its host";
        report.error_with(&lease.span, text, help);
    }
    let follower = file.groups.iter().zip(shapes).find(|(_, shape)| is_etcd(shape)).map(|(group, _)| group);
    if let (Some(arbiter), None) = (follower.and_then(|group| group.arbiter.as_ref()), &etcd.endpoints) {
        // A list that is wrong has an error of its own.
        if !etcd.written || !report.has_errors() {
            let help = "add [etcd] with endpoints = [\"https://10.0.0.21:2379\", ...]";
            report.error_with(&arbiter.span, "\"arbiter\" = \"etcd\" needs \"endpoints\" in [etcd]", help);
        }
    }
    let endpoints_at = etcd.endpoints.as_ref().map(|at| &at.span);
    let files = [&etcd.ca_file, &etcd.cert_file, &etcd.user].into_iter().flatten().map(|at| &at.span).next();
    if let Some(span) = endpoints_at.or(files)
        && follower.is_none()
        && shapes.iter().all(Option::is_some)
    {
        report.warning(Some(span), "[etcd] says nothing here: no group has \"arbiter\" = \"etcd\"", None);
    }
    let pairs = [
        (("cert-file", &etcd.cert_file), ("key-file", &etcd.key_file)),
        (("user", &etcd.user), ("password-file", &etcd.password_file)),
    ];
    for ((one, first), (other, second)) in pairs {
        match (first, second) {
            (Some(at), None) => {
                report.error(&at.span, format!("{one} in [etcd] needs {other}", one = quote(one), other = quote(other)))
            }
            (None, Some(at)) => {
                report.error(&at.span, format!("{other} in [etcd] needs {one}", other = quote(other), one = quote(one)))
            }
            _ => {}
        }
    }
    if let (Some(lease), Some(request)) = (&etcd.lease, &etcd.request_timeout)
        && request.value > lease.value / 3
    {
        let text = format!(
            "\"request-timeout\" is {}, more than a third of \"lease\", {}",
            show(request.value),
            show(lease.value)
        );
        let help = "one endpoint that hangs would take the time in which another could answer";
        report.error_with(&request.span, text, help);
    }
    let endpoints = || etcd.endpoints.iter().flat_map(|all| &all.value);
    for at in endpoints().filter(|at| at.value.plain_http_to_public) {
        let text = "plain http to a public address: every host on the way can say who leads";
        report.warning(Some(&at.span), text, Some("use https".to_owned()));
    }
    if endpoints().next().is_some() && endpoints().all(|at| at.value.url.starts_with("http://")) {
        let files = [("ca-file", &etcd.ca_file), ("cert-file", &etcd.cert_file), ("key-file", &etcd.key_file)];
        for (key, at) in files.into_iter().filter_map(|(key, at)| Some((key, at.as_ref()?))) {
            report.error(&at.span, format!("{key} has no meaning: no endpoint is https", key = quote(key)));
        }
    }
}

/// Gates need an arbiter that lets a claim be declined, and one that keeps a second node away meanwhile.
fn gates(group: &At<Group>, shape: &Shape, report: &Report) {
    let first = group.before_active.as_ref().map(|at| ("before-active", &at.span));
    let release = group.before_release.as_ref().map(|at| ("before-release", &at.span));
    if shape.arbiter.is_external() {
        let (who, help) = match shape.arbiter {
            Arbiter::Etcd => ("the program that writes the leader key", "let that run it, or let havipd elect"),
            _ => ("keepalived", "make it a check of keepalived's (track_script), or let havipd elect"),
        };
        for (key, span) in first.into_iter().chain(release) {
            let word = shape.arbiter.as_str();
            let text = format!(
                "{key} cannot be used with \"arbiter\" = {word}: {who} has decided by then",
                key = quote(key),
                word = quote(word)
            );
            report.error_with(span, text, help);
        }
    } else if let (Arbiter::Cloud, Some((key, span))) = (shape.arbiter, first) {
        let text = format!(
            "{key} with \"arbiter\" = \"cloud\": nodes that cannot hear each other may both have passed it, until the \
             record tells one of them",
            key = quote(key)
        );
        let help = "a database wants a third voter: add a [[node]] with witness = true, so that a majority decides";
        report.warning(Some(span), text, Some(help.to_owned()));
    }
    let says_nothing = |key: &str, span: &Span, gate: &str| {
        report.warning(
            Some(span),
            format!("{key} says nothing here: the group has no {gate}", key = quote(key), gate = quote(gate)),
            None,
        );
    };
    if let Some(at) = group.before_active_timeout.as_ref().filter(|at| at.written && first.is_none()) {
        says_nothing("before-active-timeout", &at.span, "before-active");
    }
    if let Some(at) = group.before_release_timeout.as_ref().filter(|at| at.written && release.is_none()) {
        says_nothing("before-release-timeout", &at.span, "before-release");
    }
    if let Some(at) = group.before_release_failed.as_ref().filter(|at| at.written && release.is_none()) {
        says_nothing("before-release-failed", &at.span, "before-release");
    }
}

fn targets(group: &At<Group>, shape: &Shape, nodes: &[At<Node>], report: &Report) {
    let holders: Vec<&At<Node>> = shape.members.iter().map(|&i| &nodes[i]).filter(|n| !is_witness(n)).collect();
    let shared = group.havips.iter().find_map(|h| h.binding.as_ref().filter(|b| b.value == Binding::Shared));
    if let Some(shared) = shared
        && holders.len() > MOST_TARGETS
    {
        let text = format!(
            "a shared HAVIP has at most {MOST_TARGETS} targets, and the group has {} nodes that may hold it",
            holders.len()
        );
        report.error_with(&shared.span, text, "list fewer in \"nodes\", or use \"exclusive\"");
    }
    // A node without either asks its metadata service, and binds what the others do.
    let enis = holders.iter().filter(|n| n.eni.is_some()).count();
    if enis != 0 && holders.iter().any(|n| n.instance.is_some()) {
        let text = format!("{enis} of {} members are bound by ENI and the others by instance", holders.len());
        match shared {
            Some(shared) => report.error(&shared.span, format!("{text}: a shared HAVIP has targets of one type")),
            None => report.warning(Some(&group.span), text, Some("use one type of target in a group".to_owned())),
        }
    }
}

/// Ids and addresses of HAVIPs over all groups.
struct Havips {
    ids: Unique<Tag>,
    addresses: Unique<Ipv4Addr>,
    nodes: Vec<IpAddr>,
}

impl Havips {
    fn new(file: &Root) -> Self {
        let addresses = file.nodes.iter().filter_map(|n| n.addresses.as_ref()).flat_map(|a| &a.value);
        Self { ids: Unique::new(), addresses: Unique::new(), nodes: addresses.map(|a| a.value.ip).collect() }
    }

    fn check(&mut self, group: &Group, report: &Report) {
        for havip in &group.havips {
            if let Some(id) = &havip.id
                && self.ids.repeats(Tag::havip(&id.value))
            {
                report.error(&id.span, format!("the HAVIP {} is there twice", quote(id.value.as_str())));
            }
            if let Some(address) = &havip.address {
                let ip = address.value;
                if self.addresses.repeats(ip) {
                    report.error(&address.span, format!("two HAVIPs have the address {ip}"));
                }
                if self.nodes.contains(&IpAddr::V4(ip)) {
                    report.error(&address.span, format!("{ip} is a node's own address, so it cannot be a HAVIP's"));
                }
            }
        }
    }
}

fn stop_timeout(file: &Root, group: &Group, env: &Environment, report: &Report) {
    let Some(stop) = env.stop_timeout else { return };
    let help = || Some("raise TimeoutStopSec in a drop-in of havipd.service".to_owned());
    if let Some(keep) = group.keep_for.as_ref().filter(|k| k.value > stop) {
        let text = format!("\"keep-for\" is {}, more than the unit's TimeoutStopSec, {}", show(keep.value), show(stop));
        report.warning(Some(&keep.span), text, help());
    }
    if let (Some(handover), Some(request)) = (&group.handover_timeout, &file.cloud.request_timeout) {
        let gate = |on: bool, timeout: &Option<At<Duration>>| {
            timeout.as_ref().filter(|_| on).map_or(Duration::ZERO, |at| at.value + GateRun::GRACE)
        };
        let gates = gate(group.before_release.is_some(), &group.before_release_timeout)
            + gate(group.before_active.is_some(), &group.before_active_timeout);
        if !gates.is_zero() && handover.value + request.value + gates > stop {
            let text = format!(
                "a handover may take {} with its gates, more than the unit's TimeoutStopSec, {}",
                show(handover.value + request.value + gates),
                show(stop)
            );
            report.warning(Some(&handover.span), text, help());
        }
        let both = handover.value + request.value;
        if both > stop {
            let text = format!(
                "\"handover-timeout\" + \"request-timeout\" is {}, more than the unit's TimeoutStopSec, {}",
                show(both),
                show(stop)
            );
            report.warning(Some(&handover.span), text, help());
        }
    }
}
