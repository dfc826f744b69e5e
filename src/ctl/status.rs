//! A status as people read it.

use super::say::{Colour, Paint, list};
use crate::control::protocol::{Code, Response};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Lines of what is wrong that a screen has room for.
const MOST_WRONG: usize = 12;

/// The whole status, what is wrong first; what a daemon of another version does not say is left out.
pub(super) fn text(status: &Value, paint: Paint) -> String {
    if let Some(waiting) = status["waiting"].as_str() {
        return format!("havipd waits: {waiting}");
    }
    let mut text = format!(
        "cluster {}, node {}{}, up {}, havipd {}\n",
        word(&status["cluster"]),
        word(&status["node"]),
        status["target"]["id"].as_str().map(|id| format!(" ({id})")).unwrap_or_default(),
        age(&status["uptime_ms"]),
        word(&status["version"]),
    );
    if status["stopping"] == true {
        text.push_str("the daemon is leaving\n");
    }
    let wrong = problems(status);
    for line in wrong.iter().take(MOST_WRONG) {
        let _ = writeln!(text, "{} {line}", paint.apply(Colour::Wrong, "!"));
    }
    if wrong.len() > MOST_WRONG {
        let _ = writeln!(text, "! and {} more: havipctl status --check", wrong.len() - MOST_WRONG);
    }
    text.push('\n');
    let groups = by_urgency(status);
    let rows: Vec<Row> = groups.iter().map(|g| Row { cells: group(g), colour: (1, colour_of(g)) }).collect();
    table(&mut text, &["GROUP", "ROLE", "ACTIVE", "EPOCH", "SINCE", "CAUSE"], &rows, paint);
    for group in groups {
        details(&mut text, group);
    }
    let checks: Vec<Row> = list(&status["effects"]["checks"])
        .iter()
        .map(|c| Row { cells: of_check(c), colour: (1, (c["state"] == "down").then_some(Colour::Wrong)) })
        .collect();
    if !checks.is_empty() {
        text.push('\n');
        table(&mut text, &["CHECK", "STATE", "SINCE", "WEIGHT", "LAST RUN"], &checks, paint);
    }
    text.push('\n');
    let peers: Vec<Row> = list(&status["peers"])
        .iter()
        .map(|p| Row { cells: peer(p), colour: (1, (p["state"] != "up").then_some(Colour::Wrong)) })
        .collect();
    table(&mut text, &["PEER", "SESSION", "HEARD", "DEAD AFTER", "TARGET"], &peers, paint);
    text.trim_end().to_owned()
}

/// What `--check` answers.
pub(super) fn check(status: &Value) -> Response {
    let problems = problems(status);
    let (code, message) =
        if problems.is_empty() { (Code::Done, "ok".to_owned()) } else { (Code::No, problems.join("\n")) };
    Response::new(code, message).with_data(json!({ "ok": code == Code::Done, "problems": problems }))
}

/// The groups, what is worst first; those of one kind stay in the order of the file.
fn by_urgency(status: &Value) -> Vec<&Value> {
    let mut groups: Vec<&Value> = list(&status["groups"]).iter().collect();
    groups.sort_by_key(|g| urgency(g));
    groups
}

/// The smaller, the further up.
fn urgency(group: &Value) -> u8 {
    match () {
        // What this node has no part in is not its trouble.
        () if group["member"] == false => 4,
        () if group["role"] == "fault" => 0,
        () if group["active"].is_null() => 1,
        () if group["isolated"] == true => 2,
        () if group["maintenance"] == true => 3,
        () => 4,
    }
}

fn colour_of(group: &Value) -> Option<Colour> {
    match urgency(group) {
        0..=2 => Some(Colour::Wrong),
        3 => Some(Colour::Doubtful),
        _ if group["role"] == "active" => Some(Colour::Right),
        _ => None,
    }
}

fn group(group: &Value) -> Vec<String> {
    let mut role = word(&group["role"]).to_owned();
    for flag in ["drained", "maintenance", "isolated", "observe"].into_iter().filter(|f| group[*f] == true) {
        role = format!("{role}, {flag}");
    }
    vec![
        word(&group["name"]).to_owned(),
        role,
        word(&group["active"]).to_owned(),
        group["epoch"].to_string(),
        age(&group["since_ms"]),
        word(&group["cause"]).to_owned(),
    ]
}

fn details(text: &mut String, group: &Value) {
    let name = word(&group["name"]);
    if let Some(ends) = group["maintenance_ends_ms"].as_u64() {
        let _ = writeln!(text, "  {name}: maintenance ends by itself in {}", age(&ends.into()));
    }
    for (what, line) in [("", &group["detail"]), ("not active: ", &group["waiting"])] {
        if let Some(line) = line.as_str().filter(|l| !l.is_empty()) {
            let left = if what.is_empty() { String::new() } else { left(group) };
            let _ = writeln!(text, "  {name}: {what}{line}{left}");
        }
    }
    if let Some(vrrp) = group["vrrp"].as_object() {
        let state = vrrp["state"].as_str().unwrap_or("not known yet");
        let _ = writeln!(text, "  {name}: keepalived is {state} for {}", word(&vrrp["name"]));
    }
    if let Some(differs) = group["differs"].as_object() {
        let who = |key: &str| differs[key].as_str().unwrap_or("nobody").to_owned();
        let (elected, holder, age) = (who("elected"), who("holder"), age(&differs["for_ms"]));
        let _ = writeln!(text, "  {name}: would be on {elected}, the cloud has {holder}, seen {age} ago");
    }
    for havip in list(&group["havips"]) {
        let here = match &havip["present"] {
            Value::Bool(true) => ", on this host",
            Value::Bool(false) => ", not on this host",
            _ => "",
        };
        let _ = writeln!(
            text,
            "  {}: {}{here}, held by {}, read {} ago",
            word(&havip["id"]),
            word(&havip["address"]),
            havip["holder"].as_str().unwrap_or("nobody known"),
            age(&havip["read_ms"]),
        );
        if let Some(error) = havip["error"].as_str() {
            let _ = writeln!(text, "    {error}");
        }
    }
}

/// How long what is waited for lasts yet.
fn left(group: &Value) -> String {
    match &group["waiting_ms"] {
        Value::Null => String::new(),
        ms => format!(", {} left", age(ms)),
    }
}

fn peer(peer: &Value) -> Vec<String> {
    vec![
        word(&peer["node"]).to_owned(),
        if peer["suspected"] == true { "suspected" } else { word(&peer["state"]) }.to_owned(),
        age(&peer["heard_ms"]),
        age(&peer["dead_time_ms"]),
        word(&peer["target"]["id"]).to_owned(),
    ]
}

/// What is wrong on this host, whatever the groups are doing.
fn troubles(status: &Value) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |what: &str, error: &Value| said.extend(error.as_str().map(|error| format!("{what}: {error}")));
    say("netlink", &status["network"]["netlink_error"]);
    say("addresses", &status["network"]["address_error"]);
    say("identity", &status["effects"]["identity_error"]);
    say("last reload", &status["effects"]["reload_error"]);
    say("metrics", &status["effects"]["metrics_error"]);
    say("state file", &status["effects"]["state"]["error"]);
    say("state file", &status["effects"]["state"]["found"]);
    say("real-time priority", &status["network"]["realtime"]["error"]);
    say("locked memory", &status["effects"]["memory"]["error"]);
    for place in list(&status["network"]["places"]) {
        say(word(&place["havip"]), &place["error"]);
    }
    for socket in list(&status["network"]["sockets"]) {
        say(word(&socket["address"]), &socket["error"]);
    }
    if let Some(percent) = status["network"]["realtime"]["percent"].as_u64() {
        said.push(format!(
            "real-time priority: given up until it is quiet; the thread needed {percent} % of a processor"
        ));
    }
    if status["effects"]["state"]["hangs"] == true {
        said.push("state file: the state directory does not answer".to_owned());
    }
    said
}

/// Everything that somebody should look at, for `status --check`. A drained node is as it should be.
pub(super) fn problems(status: &Value) -> Vec<String> {
    let mut all: Vec<String> = by_urgency(status).into_iter().flat_map(|g| of_group(status, g)).collect();
    for peer in list(&status["peers"]).iter().filter(|p| p["state"] != "up") {
        all.push(format!("peer {}: the session is {}", word(&peer["node"]), word(&peer["state"])));
    }
    all.extend(hooks(status));
    all.extend(checks(status));
    all.extend(troubles(status));
    all
}

/// One check, as a row.
fn of_check(check: &Value) -> Vec<String> {
    let here = check["here"] != false;
    let last = &check["last"];
    let run = match last["text"].as_str() {
        Some(text) => format!("{} ago, {} ms: {text}", age(&last["ago_ms"]), last["milliseconds"]),
        None if here => "none yet".to_owned(),
        None => "on other nodes only".to_owned(),
    };
    let weight = check["weight"].as_i64().filter(|w| *w != 0).map_or_else(|| "-".to_owned(), |w| w.to_string());
    vec![word(&check["name"]).to_owned(), word(&check["state"]).to_owned(), age(&check["since_ms"]), weight, run]
}

/// Checks that fail, that could not be run, that flap, or that leave processes behind.
fn checks(status: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for check in list(&status["effects"]["checks"]) {
        let (name, text) = (word(&check["name"]), word(&check["last"]["text"]));
        if check["state"] == "down" {
            wrong.push(format!("check {name} fails: {text}"));
        }
        if check["last"]["result"] == "not-run" {
            wrong.push(format!("check {name} could not be run: {text}"));
        }
        if check["flapping"] == true {
            wrong.push(format!("check {name} flaps: it keeps changing between passing and failing"));
        }
        if let Some(runs) = check["left_behind"].as_u64().filter(|n| *n > 0) {
            wrong.push(format!("check {name} left a process behind in {runs} runs: it leaves its process group"));
        }
    }
    wrong
}

/// Hooks of the last state of each group that did not end well.
fn hooks(status: &Value) -> Vec<String> {
    let groups = status["effects"]["hooks"].as_object().into_iter().flatten();
    let failed = |h: &&Value| h["result"]["result"] != "exited" || h["result"]["code"] != 0;
    let said = |group: &str, hook: &Value| {
        let (key, program, state) = (word(&hook["hook"]), word(&hook["program"]), word(&hook["state"]));
        let how = match (word(&hook["result"]["result"]), hook["result"]["code"].as_i64()) {
            ("exited", Some(code)) => format!("ended with exit code {code}"),
            (result, _) => format!("failed ({result})"),
        };
        let line = hook["last_line"].as_str().map(|line| format!(": {line}")).unwrap_or_default();
        format!("{group}: hook {key} ({program}) for {state} {how}{line}")
    };
    groups.flat_map(|(group, all)| list(&all["last"]).iter().filter(failed).map(move |h| said(group, h))).collect()
}

fn of_group(status: &Value, group: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    // Older daemons do not say whether they are members.
    if group["member"] == false {
        return wrong;
    }
    if group["active"].is_null() {
        let filled = |key: &str| group[key].as_str().filter(|text| !text.is_empty());
        let why = filled("waiting").map(|text| format!("{text}{}", left(group)));
        let why =
            why.or_else(|| filled("detail").map(str::to_owned)).unwrap_or_else(|| word(&group["cause"]).to_owned());
        wrong.push(format!("no node is active that is heard; not this one: {why}"));
    }
    if group["role"] == "fault" {
        wrong.push(format!("fault ({}): {}", word(&group["cause"]), word(&group["detail"])));
    }
    wrong.extend(group["no_failover"].as_str().map(str::to_owned));
    if group["isolated"] == true {
        wrong.push("neither peers nor cloud answer".to_owned());
    }
    if group["maintenance"] == true {
        wrong.push("is in maintenance".to_owned());
    }
    for havip in list(&group["havips"]) {
        let id = word(&havip["id"]);
        if let Some(error) = havip["error"].as_str() {
            wrong.push(format!("{id}: {error}"));
        }
        if group["observe"] == true {
            continue;
        }
        if group["role"] == "active" && havip["holder"] != status["target"]["id"] {
            let holder = havip["holder"].as_str().map_or_else(|| "nobody".to_owned(), |target| known(status, target));
            let ago = age(&havip["read_ms"]);
            wrong.push(format!("{id}: active here, but the cloud names {holder} as holder, read {ago} ago"));
        }
        if group["role"] == "active" && havip["present"] == false {
            wrong.push(format!("{id}: this node is active, but the address is not on it"));
        }
    }
    wrong.into_iter().map(|text| format!("{}: {text}", word(&group["name"]))).collect()
}

/// A target as the cloud names it, with the node that it is.
fn known(status: &Value, target: &str) -> String {
    let peer = list(&status["peers"]).iter().find(|p| p["target"]["id"] == target);
    peer.map_or_else(|| target.to_owned(), |p| format!("{target} (node {})", word(&p["node"])))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// Milliseconds, in the two largest units that say something.
fn age(value: &Value) -> String {
    let Some(ms) = value.as_u64() else { return "-".to_owned() };
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..10 => format!("{s}.{} s", ms % 1000 / 100),
        10..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// One line of a table.
struct Row {
    cells: Vec<String>,
    /// Which cell has a colour, and which one.
    colour: (usize, Option<Colour>),
}

fn table(text: &mut String, head: &[&str], rows: &[Row], paint: Paint) {
    let width = |i: usize| rows.iter().map(|r| r.cells[i].chars().count()).chain([head[i].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head = Row { cells: head.iter().map(ToString::to_string).collect(), colour: (0, None) };
    for Row { cells, colour } in std::iter::once(&head).chain(rows) {
        // Colours have no width: the cell is filled up first.
        let filled = cells.iter().zip(&widths).enumerate().map(|(i, (cell, &w))| {
            let cell = format!("{cell:<w$}");
            colour.1.filter(|_| colour.0 == i).map_or_else(|| cell.clone(), |c| paint.apply(c, &cell))
        });
        let _ = writeln!(text, "{}", filled.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_check_says_when_tonights_failover_would_not_work() {
        let of = |group: Value| problems(&json!({"groups": [group], "peers": []}));
        let well = json!({"name": "web", "active": "a", "role": "backup", "no_failover": null, "member": true});
        assert!(of(well).is_empty());
        let nobody = "nobody can take web over: b is drained, w is a witness";
        let alone = json!({"name": "web", "active": "a", "role": "active", "no_failover": nobody});
        assert_eq!(of(alone), [format!("web: {nobody}")]);
        let waits = json!({"name": "web", "role": "backup", "waiting": "a goes first in rank", "waiting_ms": 1500});
        let text = "web: no node is active that is heard; not this one: a goes first in rank, 1.5 s left";
        assert_eq!(of(waits), [text]);
        let fault = json!({"name": "web", "role": "fault", "waiting": "", "detail": "no link", "cause": "link-down"});
        let text = "web: no node is active that is heard; not this one: no link";
        assert_eq!(of(fault), [text, "web: fault (link-down): no link"]);
        let havip = json!({"id": "havip-x", "holder": "i-b", "read_ms": 90});
        let status = json!({"target": {"id": "i-a"}, "groups": [{"name": "web", "active": "a", "role": "active",
            "havips": [havip]}], "peers": [{"node": "b", "state": "up", "target": {"id": "i-b"}}]});
        let text = "web: havip-x: active here, but the cloud names i-b (node b) as holder, read 90 ms ago";
        assert_eq!(problems(&status), [text]);
        let elsewhere = json!({"name": "web", "active": null, "role": "backup", "member": false, "maintenance": true});
        assert!(of(elsewhere).is_empty(), "nobody tells this node anything of it");
    }

    #[test]
    fn a_status_shows_what_matters_and_survives_what_is_missing() {
        let status = json!({
            "cluster": "prod", "node": "a", "target": {"id": "i-a"}, "uptime_ms": 3_725_000, "version": "1",
            "groups": [{"name": "web", "role": "fault", "active": "b", "epoch": 7, "since_ms": 1500, "cause": "denied",
                "detail": "read havip-x: denied; check the credentials", "waiting": "", "drained": true,
                "havips": [{"id": "havip-x", "address": "10.0.0.100", "present": false, "holder": "i-b", "read_ms": 90}]}],
            "peers": [{"node": "b", "state": "up", "heard_ms": 12, "dead_time_ms": 5000}],
            "network": {"places": [], "sockets": [{"address": "10.0.0.1:1", "error": "in use"}]},
        });
        let shown = text(&status, Paint::new(false));
        for line in [
            "cluster prod, node a (i-a), up 1 h 2 min, havipd 1",
            "web    fault, drained  b       7      1.5 s  denied",
            "  web: read havip-x: denied; check the credentials",
            "  havip-x: 10.0.0.100, not on this host, held by i-b, read 90 ms ago",
            "b     up       12 ms  5.0 s       -",
            "! 10.0.0.1:1: in use",
        ] {
            assert!(shown.lines().any(|l| l == line), "{line:?} is not in\n{shown}");
        }
        for problem in ["web: fault (denied): read havip-x: denied; check the credentials", "10.0.0.1:1: in use"] {
            assert!(problems(&status).iter().any(|p| p == problem), "{:?}", problems(&status));
        }
        assert_eq!(problems(&status).len(), 2, "a drained node is as it should be");
        assert!(text(&Value::Null, Paint::new(false)).starts_with("cluster -, node -"));
        assert_eq!(text(&json!({"waiting": "for 10.0.0.1"}), Paint::new(false)), "havipd waits: for 10.0.0.1");
    }
}
