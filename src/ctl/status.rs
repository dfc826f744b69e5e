//! A status as people read it.

use super::say::{Colour, Paint};
use crate::checks::status::{CheckStatus, RunResult};
use crate::control::protocol::{Code, Response};
use crate::hooks::HookOutcome;
use crate::process::memory::Memory;
use crate::process::realtime::Realtime;
use crate::program::Ended;
use crate::status::{EffectsStatus, NetworkStatus, Status};
use havipd_core::model::ids::{GroupName, Target};
use havipd_core::model::plural::plural;
use havipd_core::model::role::Role;
use havipd_core::model::settings::CheckState;
use havipd_core::model::vrrp::State;
use havipd_core::status::{GroupSnapshot, PeerSnapshot, RepairsSnapshot, Snapshot};
use havipd_core::wire::session::SessionState;
use serde_json::json;
use std::fmt::Write as _;

/// Lines of what is wrong that a screen has room for.
const MOST_WRONG: usize = 12;

/// The whole status, what is wrong first.
pub(super) fn text(status: &Status, paint: Paint) -> String {
    let election = &status.core.election;
    let mut text = format!(
        "cluster {}, node {}{}, up {}, havipd {}\n",
        election.cluster,
        election.node,
        election.target.as_ref().map(|target| format!(" ({target})")).unwrap_or_default(),
        age(election.uptime_ms),
        status.version,
    );
    if election.stopping {
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
    let groups = by_urgency(election);
    let rows: Vec<Row> = groups.iter().map(|g| Row { cells: group(g), colour: (1, colour_of(g)) }).collect();
    table(&mut text, &["GROUP", "ROLE", "ACTIVE", "EPOCH", "SINCE", "CAUSE"], &rows, paint);
    for group in groups {
        details(&mut text, group, &election.node);
    }
    let colour = |wrong: bool| (1, wrong.then_some(Colour::Wrong));
    let checks = &status.effects.checks;
    let rows: Vec<Row> =
        checks.iter().map(|c| Row { cells: of_check(c), colour: colour(c.state == CheckState::Down) }).collect();
    if !rows.is_empty() {
        text.push('\n');
        table(&mut text, &["CHECK", "STATE", "SINCE", "WEIGHT", "LAST RUN"], &rows, paint);
    }
    text.push('\n');
    let rows: Vec<Row> =
        election.peers.iter().map(|p| Row { cells: peer(p), colour: colour(p.state != SessionState::Up) }).collect();
    table(&mut text, &["PEER", "SESSION", "HEARD", "DEAD AFTER", "TARGET"], &rows, paint);
    text.trim_end().to_owned()
}

/// What is so, one line each, without anything that changes by the passing of time.
pub(super) fn facts(status: &Status) -> Vec<String> {
    let election = &status.core.election;
    let mut facts = Vec::new();
    for of in &election.groups {
        let (name, cells) = (&of.name, group(of));
        let (role, active, epoch, cause) = (&cells[1], &cells[2], &cells[3], &cells[5]);
        facts.push(format!("{name}: {role}, active {active}, epoch {epoch} ({cause})"));
        for havip in &of.havips {
            let here = if havip.present == Some(true) { "on this host" } else { "not on this host" };
            let holder = havip.holder.as_deref().unwrap_or("nobody known");
            facts.push(format!("{name}: {} {here}, held by {holder}", havip.id));
        }
        facts.extend(of.gate.as_ref().map(|gate| format!("{name}: {} runs", gate.kind.as_str())));
        let others = checks_of_others(of, &election.node);
        facts.extend(others.map(|(node, checks)| format!("{name}: of the checks of {node} {checks}")));
        facts.extend(of.no_failover.as_ref().map(|why| format!("{name}: {why}")));
    }
    facts.extend(election.peers.iter().map(|of| format!("peer {}: session {}", of.node, peer(of)[1])));
    facts.extend(status.effects.checks.iter().map(|of| format!("check {}: {}", of.name, of.state.as_str())));
    facts.extend(gates(&status.effects));
    facts.extend(hooks(&status.effects));
    facts.extend(troubles(&status.core.network, &status.effects));
    facts
}

/// What `--check` answers.
pub(super) fn check(status: &Status) -> Response {
    let problems = problems(status);
    let (code, message) =
        if problems.is_empty() { (Code::Done, "ok".to_owned()) } else { (Code::No, problems.join("\n")) };
    Response::new(code, message).with_data(json!({ "ok": code == Code::Done, "problems": problems }))
}

/// The groups, what is worst first; those of one kind stay in the order of the file.
fn by_urgency(election: &Snapshot) -> Vec<&GroupSnapshot> {
    let mut groups: Vec<&GroupSnapshot> = election.groups.iter().collect();
    groups.sort_by_key(|g| urgency(g));
    groups
}

/// The smaller, the further up.
const fn urgency(group: &GroupSnapshot) -> u8 {
    match () {
        // What this node has no part in is not its trouble.
        () if !group.member => 4,
        () if matches!(group.role, Role::Fault) => 0,
        () if group.active.is_none() => 1,
        () if group.isolated => 2,
        () if group.maintenance => 3,
        () => 4,
    }
}

fn colour_of(group: &GroupSnapshot) -> Option<Colour> {
    match urgency(group) {
        0..=2 => Some(Colour::Wrong),
        3 => Some(Colour::Doubtful),
        _ if group.role == Role::Active => Some(Colour::Right),
        _ => None,
    }
}

fn group(group: &GroupSnapshot) -> Vec<String> {
    let mut role = group.role.to_string();
    let flags = [
        ("drained", group.drained),
        ("maintenance", group.maintenance),
        ("isolated", group.isolated),
        ("observe", group.observe),
    ];
    for (flag, _) in flags.into_iter().filter(|(_, on)| *on) {
        let _ = write!(role, ", {flag}");
    }
    vec![
        group.name.clone(),
        role,
        match (&group.active, group.confirmed()) {
            (Some(claims), None) => format!("{claims} claims"),
            (active, _) => or_dash(active.as_ref()),
        },
        group.epoch.to_string(),
        age(group.since_ms),
        group.cause.to_string(),
    ]
}

fn details(text: &mut String, group: &GroupSnapshot, here: &str) {
    let name = &group.name;
    if let Some(ends) = group.maintenance_ends_ms {
        let _ = writeln!(text, "  {name}: maintenance ends by itself in {}", age(ends));
    }
    if !group.detail.is_empty() {
        let _ = writeln!(text, "  {name}: {}", group.detail);
    }
    if let Some(gate) = &group.gate {
        let (gate, since, left) = (gate.kind.as_str(), age(gate.for_ms), age(gate.left_ms));
        let _ = writeln!(text, "  {name}: {gate} has been running for {since}; it is ended in {left}");
    }
    if !group.waiting.is_empty() {
        let _ = writeln!(text, "  {name}: not active: {}{}", group.waiting, left(group));
    }
    for (node, checks) in checks_of_others(group, here) {
        let _ = writeln!(text, "  {name}: of the checks of {node} {checks}");
    }
    if let Some(vrrp) = &group.vrrp {
        let state = vrrp.state.map_or("not known yet", State::as_str);
        let _ = writeln!(text, "  {name}: keepalived is {state} for {}", vrrp.name);
    }
    if let Some(key) = &group.leader_key {
        let read = key.read_ms.map_or_else(String::new, |ms| format!(", read {} ago", age(ms)));
        let revision = key.revision.map_or_else(String::new, |revision| format!(" at revision {revision}"));
        let from = key.endpoint.as_ref().map_or_else(String::new, |endpoint| format!(" from {endpoint}"));
        let _ = writeln!(text, "  {name}: {}{read}{revision}{from}", key.text);
        if let Some(trouble) = key.trouble.as_ref().filter(|trouble| !key.text.contains(trouble.as_str())) {
            let _ = writeln!(text, "    {trouble}");
        }
    }
    if let Some(key) = &group.election_key {
        let read = key.read_ms.map_or_else(String::new, |ms| format!(", read {} ago", age(ms)));
        let revision = key.revision.map_or_else(String::new, |revision| format!(", written at revision {revision}"));
        let lease = match key.lease_ms.filter(|_| key.ours) {
            Some(left) => format!(", lease of this node for another {}", age(left)),
            None => String::new(),
        };
        let _ = writeln!(text, "  {name}: {}{revision}{read}{lease}", key.text);
    }
    if let Some(differs) = &group.differs {
        let elected = differs.elected.as_deref().unwrap_or("nobody");
        let holder = differs.holder.as_deref().unwrap_or("nobody");
        let ago = age(differs.for_ms);
        let _ = writeln!(text, "  {name}: would be on {elected}, the cloud has {holder}, seen {ago} ago");
    }
    for havip in &group.havips {
        let here = match havip.present {
            Some(true) => ", on this host",
            Some(false) => ", not on this host",
            None => "",
        };
        let _ = writeln!(
            text,
            "  {}: {}{here}, held by {}, read {} ago",
            havip.id,
            or_dash(havip.address),
            havip.holder.as_deref().unwrap_or("nobody known"),
            or_dash(havip.read_ms.map(age)),
        );
        if let Some(error) = &havip.error {
            let _ = writeln!(text, "    {error}");
        }
    }
}

/// What the checks of other members say, as far as they do not simply pass. This node's own have a table.
fn checks_of_others<'a>(group: &'a GroupSnapshot, here: &str) -> impl Iterator<Item = (&'a str, String)> {
    let others = group.members.iter().filter(move |m| m.node != here && !m.checks.is_empty());
    others.map(|m| (m.node.as_str(), m.checks_in_words()))
}

/// How long what is waited for lasts yet.
fn left(group: &GroupSnapshot) -> String {
    group.waiting_ms.map(|ms| format!(", {} left", age(ms))).unwrap_or_default()
}

fn peer(peer: &PeerSnapshot) -> Vec<String> {
    vec![
        peer.node.clone(),
        if peer.suspected { "suspected" } else { peer.state.as_str() }.to_owned(),
        or_dash(peer.heard_ms.map(age)),
        age(peer.dead_time_ms),
        or_dash(peer.target.as_ref()),
    ]
}

/// What is wrong on this host, whatever the groups are doing.
fn troubles(network: &NetworkStatus, effects: &EffectsStatus) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |what: &str, error: Option<&String>| said.extend(error.map(|error| format!("{what}: {error}")));
    say("netlink", network.netlink_error.as_ref());
    say("addresses", network.address_error.as_ref());
    say("identity", effects.identity_error.as_ref());
    say("last reload", effects.reload_error.as_ref());
    say("metrics", effects.metrics_error.as_ref());
    say("state file", effects.state.error.as_ref());
    say("state file", effects.state.found.as_ref());
    if let Realtime::Refused { error } = &network.realtime {
        say("real-time priority", Some(error));
    }
    if let Memory::Refused { error } = &effects.memory {
        say("locked memory", Some(error));
    }
    for place in &network.places {
        say(&place.havip, place.error.as_ref());
    }
    for socket in &network.sockets {
        say(&socket.address.to_string(), socket.error.as_ref());
    }
    if let Realtime::GivenUp { percent } = network.realtime {
        said.push(format!(
            "real-time priority: given up until it is quiet; the thread needed {percent} % of a processor"
        ));
    }
    if effects.state.hangs {
        said.push("state file: the state directory does not answer".to_owned());
    }
    said
}

/// Everything that somebody should look at, for `status --check`. A drained node is as it should be.
pub(crate) fn problems(status: &Status) -> Vec<String> {
    let election = &status.core.election;
    let mut all: Vec<String> = by_urgency(election).into_iter().flat_map(|g| of_group(election, g)).collect();
    for peer in election.peers.iter().filter(|p| p.state != SessionState::Up) {
        all.push(format!("peer {}: the session is {}", peer.node, peer.state.as_str()));
    }
    all.extend(gates(&status.effects));
    all.extend(hooks(&status.effects));
    all.extend(checks(&status.effects));
    all.extend(troubles(&status.core.network, &status.effects));
    all
}

/// One check, as a row.
fn of_check(check: &CheckStatus) -> Vec<String> {
    let run = match &check.last {
        Some(last) => format!("{} ago, {} ms: {}", age(last.ago_ms), last.milliseconds, last.text),
        None if check.here => "none yet".to_owned(),
        None => "on other nodes only".to_owned(),
    };
    let weight = or_dash(Some(check.weight).filter(|weight| *weight != 0));
    vec![check.name.to_string(), check.state.as_str().to_owned(), age(check.since_ms), weight, run]
}

/// Checks that fail, that could not be run, that flap, or that leave processes behind.
fn checks(effects: &EffectsStatus) -> Vec<String> {
    let mut wrong = Vec::new();
    for check in &effects.checks {
        let name = &check.name;
        let text = check.last.as_ref().map_or("-", |last| last.text.as_str());
        if check.state == CheckState::Down {
            wrong.push(format!("check {name} fails: {text}"));
        }
        if check.last.as_ref().is_some_and(|last| last.result == RunResult::NotRun) {
            wrong.push(format!("check {name} could not be run: {text}"));
        }
        if check.flapping {
            wrong.push(format!("check {name} flaps: it keeps changing between passing and failing"));
        }
        if check.left_behind > 0 {
            let runs = check.left_behind;
            wrong.push(format!(
                "check {name} left a process behind in {}: it leaves its process group",
                plural(runs, "run")
            ));
        }
    }
    wrong
}

/// Gates whose last run failed.
fn gates(effects: &EffectsStatus) -> Vec<String> {
    let failed = effects.gates.iter().filter_map(|(group, gates)| Some((group, gates.last_failure()?)));
    let said = failed.map(|(group, last)| {
        let (gate, program, how) = (last.kind.as_str(), &last.program, last.in_words());
        format!("{group}: {gate} ({program}) failed: {how}")
    });
    said.collect()
}

/// Hooks of the last state of each group that did not end well.
fn hooks(effects: &EffectsStatus) -> Vec<String> {
    let said = |group: &GroupName, hook: &HookOutcome| {
        let HookOutcome { hook: key, program, state, result, last_line, .. } = hook;
        let how = match result {
            Ended::Exited { code } => format!("ended with exit code {code}"),
            other => other.to_string(),
        };
        let line = last_line.as_ref().map(|line| format!(": {line}")).unwrap_or_default();
        format!("{group}: hook {key} ({program}) for {} {how}{line}", state.as_str())
    };
    let failed = |h: &&HookOutcome| !h.result.success();
    effects.hooks.iter().flat_map(|(group, all)| all.last.iter().filter(failed).map(|h| said(group, h))).collect()
}

fn of_group(election: &Snapshot, group: &GroupSnapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    if !group.member {
        return wrong;
    }
    if group.active.is_none() {
        let why = match (group.waiting.as_str(), group.detail.as_str()) {
            ("", "") => group.cause.to_string(),
            ("", detail) => detail.to_owned(),
            (waiting, _) => format!("{waiting}{}", left(group)),
        };
        wrong.push(format!("no node is active that is heard; not this one: {why}"));
    }
    if group.role == Role::Fault {
        wrong.push(format!("fault ({}): {}", group.cause, group.detail));
    }
    wrong.extend(group.no_failover.clone());
    if group.isolated {
        wrong.push("neither peers nor cloud answer".to_owned());
    }
    if group.maintenance {
        wrong.push("is in maintenance".to_owned());
    }
    for havip in &group.havips {
        let id = &havip.id;
        if let Some(error) = &havip.error {
            wrong.push(format!("{id}: {error}"));
        }
        if group.observe || group.role != Role::Active {
            continue;
        }
        if havip.holder.as_deref() != election.target.as_ref().map(Target::id) {
            let holder = havip.holder.as_ref().map_or_else(|| "nobody".to_owned(), |target| known(election, target));
            let ago = or_dash(havip.read_ms.map(age));
            wrong.push(format!("{id}: active here, but the cloud names {holder} as holder, read {ago} ago"));
        }
        if havip.present == Some(false) {
            wrong.push(format!("{id}: this node is active, but the address is not on it"));
        }
        // Once may be anybody's slip. Who is at war with this node has a line of its own.
        if let Some(repaired) = havip.repaired.as_ref().filter(|r| r.times > 1 && havip.contested.is_none()) {
            let by = repaired.by.as_deref().map(|by| known(election, by));
            let repaired = RepairsSnapshot { by, ..repaired.clone() };
            wrong.push(format!("{id}: {repaired}"));
        }
    }
    wrong.into_iter().map(|text| format!("{}: {text}", group.name)).collect()
}

/// A target as the cloud names it, with the node that it is.
fn known(election: &Snapshot, target: &str) -> String {
    let peer = election.peers.iter().find(|p| p.target.as_ref().is_some_and(|t| t.id() == target));
    peer.map_or_else(|| target.to_owned(), |p| format!("{target} (node {})", p.node))
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Milliseconds, in the two largest units that say something.
pub(crate) fn age(ms: u64) -> String {
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
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// Which cell has a colour, and which one.
    pub(super) colour: (usize, Option<Colour>),
}

/// Adds a table. On a terminal that is too narrow for it each row goes on in further lines, all rows at the same column.
pub(super) fn table(text: &mut String, head: &[&str], rows: &[Row], paint: Paint) {
    let width = |i: usize| rows.iter().map(|r| r.cells[i].chars().count()).chain([head[i].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let begins = lines_of(&widths, paint.columns());
    let head = Row { cells: head.iter().map(ToString::to_string).collect(), colour: (0, None) };
    for Row { cells, colour } in std::iter::once(&head).chain(rows) {
        // Colours have no width: the cell is filled up first.
        let filled = |(i, cell): (usize, &String)| {
            let cell = format!("{cell:<0$}", widths[i]);
            colour.1.filter(|_| colour.0 == i).map_or_else(|| cell.clone(), |c| paint.apply(c, &cell))
        };
        let filled: Vec<String> = cells.iter().enumerate().map(filled).collect();
        for (line, from) in begins.iter().enumerate() {
            let to = begins.get(line + 1).copied().unwrap_or(filled.len());
            let indent = if line == 0 { "" } else { MORE };
            let _ = writeln!(text, "{indent}{}", filled[*from..to].join("  ").trim_end());
        }
    }
}

/// Before the further lines of a row.
const MORE: &str = "    ";

/// With which cell each line of a row begins: as many go on a line as it has room for.
fn lines_of(widths: &[usize], columns: Option<usize>) -> Vec<usize> {
    let mut begins = vec![0];
    let mut used = 0;
    for (i, width) in widths.iter().enumerate().skip(1) {
        used += widths[i - 1] + 2;
        if columns.is_some_and(|columns| used + width > columns) {
            begins.push(i);
            used = MORE.len();
        }
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;
    use crate::gates::status::{GateOutcome, GateStatus};
    use havipd_core::model::action::GateKind;
    use havipd_core::model::ids::Epoch;
    use havipd_core::model::role::Cause;
    use havipd_core::status::{GateSnapshot, HavipSnapshot};

    fn havip(holder: &str, present: Option<bool>) -> HavipSnapshot {
        HavipSnapshot {
            id: "havip-x".into(),
            address: "10.0.0.100".parse().ok(),
            present,
            holder: Some(holder.into()),
            bound: vec![holder.into()],
            read_ms: Some(90),
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        }
    }

    /// What is wrong if the one group is changed like this.
    fn wrong(change: impl FnOnce(&mut GroupSnapshot)) -> Vec<String> {
        let mut status = fixture::status();
        change(&mut status.core.election.groups[0]);
        problems(&status)
    }

    #[test]
    fn a_check_says_when_tonights_failover_would_not_work() {
        assert_eq!(wrong(|_| {}), [""; 0]);
        let nobody = "nobody can take web over: b is drained, w is a witness";
        assert_eq!(wrong(|g| g.no_failover = Some(nobody.into())), [format!("web: {nobody}")]);
        let waits = wrong(|g| {
            (g.role, g.active, g.waiting_ms) = (Role::Backup, None, Some(1500));
            g.waiting = "a goes first in rank".into();
        });
        let text = "web: no node is active that is heard; not this one: a goes first in rank, 1.5 s left";
        assert_eq!(waits, [text]);
        let fault = wrong(|g| {
            (g.role, g.active, g.cause) = (Role::Fault, None, Cause::LinkDown.into());
            g.detail = "no link".into();
        });
        let text = "web: no node is active that is heard; not this one: no link";
        assert_eq!(fault, [text, "web: fault (link-down): no link"]);
        let elsewhere = wrong(|g| {
            (g.role, g.active, g.member, g.maintenance) = (Role::Backup, None, false, true);
        });
        assert_eq!(elsewhere, [""; 0], "nobody tells this node anything of it");
        let mut status = fixture::status();
        status.core.election.target = "i-a".parse().ok();
        status.core.election.peers[0].target = "i-b".parse().ok();
        status.core.election.groups[0].havips = vec![havip("i-b", Some(true))];
        let text = "web: havip-x: active here, but the cloud names i-b (node b) as holder, read 90 ms ago";
        assert_eq!(problems(&status), [text]);
    }

    #[test]
    fn a_narrow_terminal_has_tables_in_lines_that_fit() {
        let shown = |columns| {
            let rows = [["web", "active", "a.example"], ["mail", "backup", "-"]]
                .map(|cells| Row { cells: cells.map(str::to_owned).to_vec(), colour: (1, None) });
            let mut text = String::new();
            table(&mut text, &["GROUP", "ROLE", "ACTIVE"], &rows, Paint::new(false, columns));
            text
        };
        let wide = "GROUP  ROLE    ACTIVE\nweb    active  a.example\nmail   backup  -\n";
        assert_eq!((shown(None).as_str(), shown(Some(24)).as_str()), (wide, wide));
        let narrow = "GROUP  ROLE\n    ACTIVE\nweb    active\n    a.example\nmail   backup\n    -\n";
        assert_eq!(shown(Some(23)), narrow);
        assert_eq!(shown(Some(1)).lines().next(), Some("GROUP"), "nothing is cut");
    }

    #[test]
    fn who_takes_it_again_and_again_is_a_problem() {
        let taken = |times, by: Option<&str>, contested: Option<&str>| {
            let mut status = fixture::status();
            status.core.election.target = "i-a".parse().ok();
            status.core.election.peers[0].target = "i-b".parse().ok();
            let by = by.map(str::to_owned);
            let mut havip = havip("i-a", Some(true));
            havip.repaired = Some(RepairsSnapshot { times, over_ms: 130_000, ago_ms: 5, by });
            havip.contested = contested.map(str::to_owned);
            status.core.election.groups[0].havips = vec![havip];
            problems(&status)
        };
        assert_eq!(taken(1, Some("i-x"), None), [""; 0], "once may be a slip");
        assert_eq!(taken(4, Some("i-x"), None), ["web: havip-x: repaired 4 times in 3 minutes, last bound: i-x"]);
        assert_eq!(
            taken(2, Some("i-b"), None),
            ["web: havip-x: repaired 2 times in 3 minutes, last bound: i-b (node b)"]
        );
        assert_eq!(taken(5, Some("i-x"), Some("taken by i-x")), [""; 0], "that has a line of its own");
    }

    #[test]
    fn a_gate_that_runs_and_one_that_failed_are_named() {
        let mut status = fixture::status();
        let gate = GateSnapshot { kind: GateKind::BeforeActive, for_ms: 1500, left_ms: 28_500 };
        status.core.election.groups[0].gate = Some(gate);
        let shown = text(&status, Paint::new(false, None));
        assert!(shown.contains("\n  web: before-active has been running for 1.5 s; it is ended in 28 s\n"), "{shown}");
        assert!(facts(&status).contains(&"web: before-active runs".to_owned()));
        let last = GateOutcome {
            kind: GateKind::BeforeRelease,
            program: "/demote".into(),
            epoch: Epoch(3),
            result: Ended::Exited { code: 4 },
            milliseconds: 40,
            left_running: 0,
            left_behind: false,
            lines_suppressed: 0,
            tail: vec!["replicas".into(), "lag".into()],
        };
        let ended = |result| GateStatus { last: Some(GateOutcome { result, ..last.clone() }), ..GateStatus::default() };
        let line = "web: before-release (/demote) failed: exit code 4 after 40 ms; it said: replicas | lag";
        for (result, wrong) in
            [(Ended::Exited { code: 4 }, vec![line]), (Ended::Exited { code: 0 }, vec![]), (Ended::Cut, vec![])]
        {
            status.effects.gates = [("web".parse().unwrap(), ended(result))].into();
            assert_eq!(problems(&status), wrong);
        }
    }

    #[test]
    fn the_passing_of_time_is_no_new_fact() {
        let of = |since: u64, state: SessionState| {
            let mut status = fixture::status();
            status.core.election.groups[0].since_ms = since;
            status.core.election.groups[0].havips = vec![havip("i-a", Some(true))];
            status.core.election.groups[0].havips[0].read_ms = Some(since);
            (status.core.election.peers[0].heard_ms, status.core.election.peers[0].state) = (Some(since), state);
            facts(&status)
        };
        assert_eq!(of(1, SessionState::Up), of(90_000, SessionState::Up));
        let (before, after) = (of(1, SessionState::Up), of(2, SessionState::Down));
        let new: Vec<&String> = after.iter().filter(|fact| !before.contains(fact)).collect();
        assert_eq!(new, ["peer b: session down"]);
        assert!(before[0].starts_with("web: "), "{before:?}");
    }

    #[test]
    fn a_status_shows_what_matters() {
        let mut status = fixture::status();
        let election = &mut status.core.election;
        (election.target, election.uptime_ms) = ("i-a".parse().ok(), 3_725_000);
        election.peers[0].heard_ms = Some(12);
        let group = &mut election.groups[0];
        (group.role, group.drained, group.epoch, group.since_ms) = (Role::Fault, true, 7, 1500);
        (group.active, group.cause) = (Some("b".into()), Cause::Denied.into());
        group.detail = "read havip-x: denied; check the credentials".into();
        group.havips = vec![havip("i-b", Some(false))];
        status.core.network.sockets = vec![crate::net::heartbeat::Path {
            address: "10.0.0.1:1".parse().expect("an address"),
            up: false,
            error: Some("in use".into()),
        }];
        let shown = text(&status, Paint::new(false, None));
        for line in [
            format!("cluster lab, node a (i-a), up 1 h 2 min, havipd {}", env!("CARGO_PKG_VERSION")).as_str(),
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
    }
}
