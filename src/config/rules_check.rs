//! Rules over the checks, and over what groups make of them.

use super::diagnostic::{Report, Span, quote};
use super::document::At;
use super::rules::{Unique, dead_time_of, is_witness};
use super::rules_group::{Names, Shape};
use super::schema::show;
use super::settings::{Check, Group, Root};
use super::takes::Membership;
use super::value::answers_nobody;
use havipd_core::model::plural::plural;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What the kernel tells as it happens: nothing is asked again and again.
const EVENTS: [&str; 4] = ["process", "pidfile", "link", "file"];
/// Keys of checks that are run again and again.
const OF_RUNS: [&str; 5] = ["interval", "timeout", "retry-interval", "fall", "rise"];
/// Keys that say how a server is known, or knows this node.
const OF_TLS: [&str; 4] = ["tls-verify", "ca-file", "cert-file", "key-file"];

/// The keys that say what is looked at.
const KINDS: [&str; 9] = ["script", "tcp", "http", "process", "pidfile", "unit", "link", "file", "ping"];

/// Those that a check has, and where.
fn kinds(check: &At<Check>) -> Vec<(&'static str, Span)> {
    let at = [
        span_of(check.script.as_ref()),
        span_of(check.tcp.as_ref()),
        span_of(check.http.as_ref()),
        span_of(check.process.as_ref()),
        span_of(check.pidfile.as_ref()),
        span_of(check.unit.as_ref()),
        span_of(check.link.as_ref()),
        span_of(check.file.as_ref()),
        span_of(check.ping.as_ref()),
    ];
    KINDS.into_iter().zip(at).filter_map(|(key, span)| Some((key, span?))).collect()
}

/// Keys that only some of them take, as they are written.
fn special(check: &At<Check>) -> Vec<(&'static str, Span)> {
    let all = [
        ("interval", span_of(check.interval.as_ref())),
        ("timeout", span_of(check.timeout.as_ref())),
        ("retry-interval", span_of(check.retry_interval.as_ref())),
        ("fall", span_of(check.fall.as_ref())),
        ("rise", span_of(check.rise.as_ref())),
        ("status", span_of(check.status.as_ref())),
        ("body", span_of(check.body.as_ref())),
        ("host", span_of(check.host.as_ref())),
        ("headers", span_of(check.headers.as_ref())),
        ("tls-verify", span_of(check.tls_verify.as_ref())),
        ("ca-file", span_of(check.ca_file.as_ref())),
        ("cert-file", span_of(check.cert_file.as_ref())),
        ("key-file", span_of(check.key_file.as_ref())),
        ("quorum", span_of(check.quorum.as_ref())),
    ];
    all.into_iter().filter_map(|(key, span)| Some((key, span?))).collect()
}

fn span_of<T>(at: Option<&At<T>>) -> Option<Span> {
    at.filter(|at| at.written).map(|at| at.span.clone())
}

/// The key that says what is looked at.
pub(super) fn kind(check: &At<Check>) -> Option<&'static str> {
    kinds(check).first().map(|(kind, _)| *kind)
}

/// What holds where the file says nothing.
pub(super) fn timeout(check: &At<Check>) -> Option<Duration> {
    check.timeout.as_ref().or(check.interval.as_ref()).map(|at| at.value)
}

/// What holds where the file says nothing.
pub(super) fn retry_interval(check: &At<Check>) -> Option<Duration> {
    check.retry_interval.as_ref().map(|at| at.value).or_else(|| Some(check.interval.as_ref()?.value / 4))
}

/// Whether the kernel tells what it looks at as it happens.
pub(super) fn is_event_driven(check: &At<Check>) -> bool {
    kind(check).is_some_and(|kind| EVENTS.contains(&kind))
}

/// Notes what breaks a rule.
pub(super) fn apply(file: &Root, shapes: &[Option<Shape>], report: &Report) {
    let nodes = Names::of(&file.nodes);
    let mut names = Unique::new();
    let mut used = HashSet::new();
    for check in &file.checks {
        if let Some(name) = check.name.as_ref().filter(|name| names.repeats(name.value.clone())) {
            report.error(&name.span, format!("two checks are named {}", quote(name.value.as_str())));
        }
        one(check, &nodes, &extent(file, check), report);
    }
    for (group, shape) in file.groups.iter().zip(shapes) {
        used_by(file, group, &mut used, report);
        if let Some(shape) = shape {
            weights(file, group, shape, report);
        }
        detection(file, group, report);
        of_the_havip(file, group, report);
    }
    for check in &file.checks {
        if let Some(name) = check.name.as_ref().filter(|name| !used.contains(name.value.as_str())) {
            let text = format!("no group uses the check {}: it is never run", quote(name.value.as_str()));
            report.warning(Some(&name.span), text, Some("name it in the \"checks\" of a group".to_owned()));
        }
    }
}

/// From the head of a check to the next table of a list.
fn extent(file: &Root, check: &At<Check>) -> Span {
    let begins = check.span.start;
    let nodes = file.nodes.iter().map(|at| at.span.start);
    let groups = file.groups.iter().map(|at| at.span.start);
    let checks = file.checks.iter().map(|at| at.span.start);
    begins..nodes.chain(groups).chain(checks).filter(|start| *start > begins).min().unwrap_or(usize::MAX)
}

fn one(check: &At<Check>, nodes: &Names<'_>, extent: &Span, report: &Report) {
    if check.name.is_none() {
        report.error_with(&check.span, "\"name\" is missing in [[check]], or wrong", "groups name it in \"checks\"");
    }
    match kinds(check).as_slice() {
        // What it looks at may be there, and wrong: that is said already, and is the cause.
        [] if report.has_errors_in(extent) => {}
        [] => {
            let text = format!("a [[check]] has one of {}", KINDS.join(", "));
            report.error(&check.span, text);
        }
        [_] => {}
        [(first, _), (second, span), ..] => {
            report.error(
                span,
                format!(
                    "a [[check]] looks at one thing: it has {first} and {second}",
                    first = quote(first),
                    second = quote(second)
                ),
            );
        }
    }
    let kind = kind(check);
    for (key, span) in &special(check) {
        let taken = match *key {
            "quorum" => kind == Some("ping"),
            key if OF_RUNS.contains(&key) => {
                if is_event_driven(check) {
                    let text = format!(
                        "{key} has no meaning: what {} looks at is noticed as it happens",
                        quote(kind.unwrap_or("")),
                        key = quote(key)
                    );
                    report.error(span, text);
                }
                true
            }
            _ => kind == Some("http"),
        };
        if !taken && kind.is_some() {
            let of = if *key == "quorum" { "ping" } else { "http" };
            report.error(
                span,
                format!("{key} belongs to {of}, and this check has none", key = quote(key), of = quote(of)),
            );
        }
    }
    not_longer(check, "timeout", check.timeout.as_ref(), report);
    not_longer(check, "retry-interval", check.retry_interval.as_ref(), report);
    if let Some(weight) = check.weight.as_ref().filter(|w| w.value == 0) {
        let help = "leave it out: then failing is a fault; or use -253 to 253";
        report.error_with(&weight.span, "\"weight\" = 0 would change nothing", help);
    }
    if let (Some(quorum), Some(ping)) = (&check.quorum, &check.ping)
        && quorum.value > ping.value.len()
    {
        let text = format!("\"quorum\" is {}, and \"ping\" has {}", quorum.value, plural(ping.value.len(), "target"));
        report.error(&quorum.span, text);
    }
    if let Some(Membership::Listed(listed)) = check.nodes.as_ref().map(|nodes| &nodes.value) {
        if let (true, Some(at)) = (listed.is_empty(), span_of(check.nodes.as_ref())) {
            let help = "leave \"nodes\" out, and all of them do".to_owned();
            report.warning(Some(&at), "no node runs this check: its \"nodes\" is empty", Some(help));
        }
        for name in listed.iter().filter(|name| !nodes.has(&name.value)) {
            nodes.unknown(&name.value, &name.span, report);
        }
    }
    if let Some(script) = &check.script {
        one_string(script, report);
    }
    without_tls(check, report);
    client_certificate(check, report);
    never_well(check, report);
}

/// What no service can ever be: a check of it would fail, or not be run, for good.
fn never_well(check: &At<Check>, report: &Report) {
    if let Some(process) = check.process.as_ref().filter(|name| name.value.starts_with('/')) {
        let text = format!("\"process\" is the name of a process, and {} is a path", quote(&process.value));
        let name = process.value.rsplit('/').next().unwrap_or_default();
        report.error_with(&process.span, text, format!("as in /proc/PID/comm: {}", quote(name)));
    }
    if let Some(unit) = check.unit.as_ref().filter(|unit| unit.value.contains(['*', '?', '['])) {
        let text = format!("\"unit\" is one unit, and {} is a pattern", quote(&unit.value));
        report.error_with(&unit.span, text, "write a check for each of them");
    }
    // What systemd takes in a name; the backslash is how it escapes the rest.
    let is_of_a_unit = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if let Some(unit) =
        check.unit.as_ref().filter(|u| !u.value.contains(['*', '?', '[']) && !u.value.chars().all(is_of_a_unit))
    {
        let text = format!("\"unit\": {} is not the name of a systemd unit", quote(&unit.value));
        report.error_with(&unit.span, text, "as in: systemctl list-units");
    }
    if let Some(tcp) = check.tcp.as_ref().filter(|tcp| answers_nobody(tcp.value.ip())) {
        report.error(&tcp.span, format!("\"tcp\": nobody accepts connections at {}", tcp.value.ip()));
    }
    for (i, target) in check.ping.iter().flat_map(|ping| ping.value.iter().enumerate()) {
        let Some(ping) = &check.ping else { continue };
        if answers_nobody(*target) || target.is_unspecified() {
            report.error(&ping.span, format!("\"ping\": {target} is not the address of one host"));
        }
        if ping.value[..i].contains(target) {
            report.error(&ping.span, format!("\"ping\": {target} is there twice, and would count as two targets"));
        }
    }
    if let Some(status) = check.status.as_ref().filter(|status| status.value.1 < 200) {
        report.error(&status.span, "\"status\": no answer ends with a status below 200");
    }
}

/// Nobody asks for certificates without TLS.
fn without_tls(check: &At<Check>, report: &Report) {
    if check.http.as_ref().is_none_or(|url| url.value.starts_with("https:")) {
        return;
    }
    for (key, span) in special(check).iter().filter(|(key, _)| OF_TLS.contains(key)) {
        let text = format!("{key} has no meaning: the \"http\" of this check is no https URL", key = quote(key));
        report.error(span, text);
    }
}

/// Certificate and key belong together.
fn client_certificate(check: &At<Check>, report: &Report) {
    let (has, lacks, at) = match (&check.cert_file, &check.key_file) {
        (None, None) | (Some(_), Some(_)) => return,
        (Some(cert), None) => ("cert-file", "key-file", cert),
        (None, Some(key)) => ("key-file", "cert-file", key),
    };
    report.error(&at.span, format!("{has} needs {lacks} beside it", has = quote(has), lacks = quote(lacks)));
}

fn not_longer(check: &At<Check>, key: &str, span: Option<&At<Duration>>, report: &Report) {
    if let (Some(span), Some(interval)) = (span, &check.interval)
        && span.value > interval.value
        && !is_event_driven(check)
    {
        let text = format!(
            "{key}, {}, must not be longer than \"interval\", {}",
            show(span.value),
            show(interval.value),
            key = quote(key)
        );
        report.error(&span.span, text);
    }
}

/// A whole command line where the program should be.
fn one_string(script: &At<Vec<String>>, report: &Report) {
    if let [only] = script.value.as_slice()
        && only.split_whitespace().count() > 1
    {
        let text = format!("{} is taken for the path of a program, blanks and all", quote(only));
        let help = "no shell reads it: write each argument as a string of its own";
        report.warning(Some(&script.span), text, Some(help.to_owned()));
    }
}

fn used_by<'a>(file: &'a Root, group: &'a At<Group>, used: &mut HashSet<&'a str>, report: &Report) {
    let Some(listed) = &group.checks else { return };
    let complete = file.checks.iter().all(|c| c.name.is_some());
    let mut own = HashSet::new();
    for name in &listed.value {
        let known = file.checks.iter().filter_map(|c| c.name.as_ref()).any(|c| c.value.as_str() == name.value);
        if !known && complete {
            report.error(&name.span, format!("no [[check]] is named {}", quote(&name.value)));
        }
        if !own.insert(name.value.as_str()) {
            report.error(&name.span, format!("the check {} is there twice", quote(&name.value)));
        }
        used.insert(&name.value);
    }
}

/// The checks of a group, as far as they are known.
fn checks_of<'a>(file: &'a Root, group: &'a At<Group>) -> impl Iterator<Item = &'a At<Check>> {
    let listed = group.checks.iter().flat_map(|listed| &listed.value);
    listed.filter_map(|name| {
        file.checks.iter().find(|c| c.name.as_ref().is_some_and(|own| own.value.as_str() == name.value))
    })
}

/// A check that asks for the address that it decides about. Every node asks the active one then: none is worse than another, and where
/// none is active none is well enough to become it.
fn of_the_havip(file: &Root, group: &At<Group>, report: &Report) {
    let own: Vec<IpAddr> = group.havips.iter().filter_map(|h| Some(h.address.as_ref()?.value.into())).collect();
    for check in checks_of(file, group) {
        let tcp = check.tcp.iter().map(|tcp| (tcp.value.ip(), &tcp.span));
        let http = check.http.iter().filter_map(|url| Some((address_in(&url.value)?, &url.span)));
        let ping = check.ping.iter().flat_map(|ping| ping.value.iter().map(|target| (*target, &ping.span)));
        for (asked, span) in tcp.chain(http).chain(ping).filter(|(asked, _)| own.contains(asked)) {
            let name = check.name.as_ref().map(|n| n.value.to_string()).unwrap_or_default();
            let text = format!(
                "the check {} asks {asked}, the HAVIP that it decides about: every node asks the active one, and so none is better \
                 than another",
                quote(&name)
            );
            report.warning(Some(span), text, Some("ask 127.0.0.1".to_owned()));
        }
    }
}

/// The address in a URL, if it has one instead of a name.
fn address_in(url: &str) -> Option<IpAddr> {
    let place = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    place.parse().ok().or_else(|| Some(place.parse::<SocketAddr>().ok()?.ip()))
}

/// Weights that can change nothing, and a setting by which none does.
fn weights(file: &Root, group: &At<Group>, shape: &Shape, report: &Report) {
    let weighted: Vec<(&At<Check>, &At<i16>)> =
        checks_of(file, group).filter_map(|check| Some((check, check.weight.as_ref()?))).collect();
    let Some((_, first)) = weighted.first() else { return };
    let group_name = group.name.as_ref().map(|n| n.value.to_string()).unwrap_or_default();
    if group.preempt.as_ref().is_some_and(|preempt| !preempt.value) {
        let text = format!(
            "group {group_name} has \"preempt\" = false, so a weight moves nothing from a node that is active",
            group_name = quote(&group_name)
        );
        let help = "leave \"weight\" out, so that failing is a fault; or let it preempt";
        report.warning(Some(&first.span), text, Some(help.to_owned()));
    }
    let Some(priorities) = priorities(file, group, shape) else { return };
    for (check, weight) in &weighted {
        // A number in a file is multiplied by it: that may come to anything.
        if check.file.is_some() {
            continue;
        }
        let others = weighted.iter().filter(|(other, _)| !std::ptr::eq(*other, *check));
        let (mut up, mut down) = (0, 0);
        for (other, weight) in others {
            let most = if other.file.is_some() { 253 } else { i32::from(weight.value.unsigned_abs()) };
            up += most;
            down -= most;
        }
        if !can_change_order(&priorities, i32::from(weight.value), down, up) {
            let name = check.name.as_ref().map(|n| n.value.to_string()).unwrap_or_default();
            let text = format!(
                "the weight of check {name} can never change the order of the nodes of group {group_name}: their \
                 priorities are too far apart",
                name = quote(&name),
                group_name = quote(&group_name)
            );
            let help = "use a larger weight, or leave it out: then failing is a fault";
            report.warning(Some(&weight.span), text, Some(help.to_owned()));
        }
    }
}

/// Priority and name of the members that may be active.
fn priorities<'a>(file: &'a Root, group: &At<Group>, shape: &Shape) -> Option<Vec<(i32, &'a str)>> {
    let members = shape.members.iter().map(|&i| &file.nodes[i]).filter(|node| !is_witness(node));
    members
        .map(|node| {
            let name = node.name.as_ref()?.value.as_str();
            let all = group.priorities.iter().flat_map(|all| &all.value);
            let own = all.clone().find(|(of, _)| of.value == name).map(|(_, p)| *p);
            Some((i32::from(own.or(node.priority.as_ref().map(|p| p.value))?), name))
        })
        .collect()
}

/// Whether a weight can turn the order of any two nodes round, whatever the other weights (each node's within `down` to
/// `up`) come to.
fn can_change_order(priorities: &[(i32, &str)], weight: i32, down: i32, up: i32) -> bool {
    let goes_first = |a: (i32, &str), b: (i32, &str)| (-a.0, a.1) < (-b.0, b.1);
    let pairs = priorities.iter().enumerate().flat_map(|(i, a)| priorities[i + 1..].iter().map(move |b| (*a, *b)));
    pairs.into_iter().any(|(a, b)| {
        // On either of the two, and with any difference that the other weights make.
        (down - up..=up - down).any(|other| {
            let before = goes_first((a.0 + other, a.1), b);
            before != goes_first((a.0 + other + weight, a.1), b)
                || before != goes_first((a.0 + other, a.1), (b.0 + weight, b.1))
        })
    })
}

/// A service that failed is noticed later than a host that did: nobody expects that.
fn detection(file: &Root, group: &At<Group>, report: &Report) {
    let Some(dead) = dead_time_of(&file.heartbeat) else { return };
    for check in checks_of(file, group).filter(|check| !is_event_driven(check)) {
        let (Some(interval), Some(retry), Some(timeout), Some(fall)) =
            (&check.interval, retry_interval(check), timeout(check), &check.fall)
        else {
            continue;
        };
        let worst = interval.value + retry.max(timeout) * (fall.value - 1) + timeout;
        if worst > dead.value {
            let name = check.name.as_ref().map(|n| n.value.to_string()).unwrap_or_default();
            let text = format!(
                "check {name} may take {} to notice that its service hangs, more than the dead time, {}",
                show(worst),
                show(dead.value),
                name = quote(&name)
            );
            let span: &Span = if interval.written { &interval.span } else { &check.span };
            let help = "shorten \"interval\" and \"timeout\", or lower \"fall\"";
            report.warning(Some(span), text, Some(help.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_counts_if_it_can_turn_two_nodes_round() {
        for (priorities, weight, others, can) in [
            ([(150, "a"), (100, "b")], -20, 0, false),
            ([(150, "a"), (100, "b")], -50, 0, false),
            ([(150, "b"), (100, "a")], -50, 0, true),
            ([(150, "a"), (100, "b")], -51, 0, true),
            ([(150, "a"), (100, "b")], 51, 0, true),
            ([(150, "a"), (100, "b")], -20, 20, true),
            ([(100, "a"), (100, "b")], -1, 0, true),
        ] {
            assert_eq!(can_change_order(&priorities, weight, -others, others), can, "{priorities:?} {weight} {others}");
        }
    }
}
