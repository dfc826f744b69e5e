//! The page, from a snapshot of the core and the facts of the effects side. Pure.

use super::table as t;
use super::tally::Tally;
use super::text::Page;
use crate::checks::status::CheckStatus;
use crate::gates::status::GateStatus;
use havipd_core::model::action::GateKind;
use havipd_core::model::histogram::Histogram;
use havipd_core::model::role::Role;
use havipd_core::model::settings::{Arbiter, CheckState};
use havipd_core::status::{Counters, GroupSnapshot, HavipSnapshot, PeerSnapshot, Snapshot};
use havipd_core::wire::session::SessionState;
use std::time::Duration;

const ROLES: [Role; 5] = [Role::Backup, Role::Claiming, Role::Active, Role::Releasing, Role::Fault];

/// What the core does not know.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Version of the daemon.
    pub version: &'static str,
    /// When it started, seconds since 1970.
    pub started: f64,
    /// When the configuration in force was read, seconds since 1970.
    pub config_loaded: f64,
    /// The last reload was refused.
    pub reload_refused: bool,
    /// `heartbeat.interval`.
    pub interval: Duration,
    /// Times `dead-multiplier`.
    pub dead_time: Duration,
    /// What was read of the cloud's record is as good as unknown when it is older than this.
    pub record_bound: Duration,
    /// `daemon.doctor-interval`; `None`: it looks only when it is asked.
    pub doctor_interval: Option<Duration>,
    /// Heartbeat sockets: address, and whether it is bound.
    pub sockets: Vec<(String, bool)>,
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Datagrams that it did not take, by reason.
    pub unsent: Vec<(&'static str, u64)>,
    /// Datagrams read.
    pub received: u64,
    /// Hooks, per group: ended, of these failed, and states overtaken.
    pub hooks: Vec<(String, u64, u64, u64)>,
    /// Gates, per group.
    pub gates: Vec<(String, GateStatus)>,
    /// Checks that run here.
    pub checks: Vec<CheckStatus>,
    /// Calls of the API.
    pub calls: Vec<Calls>,
    /// When the temporary key in use ends, seconds since 1970.
    pub credentials_end: Option<i64>,
    /// Files of certificates, and when the first of each ends, seconds since 1970.
    pub certificates: Vec<(String, i64)>,
    /// The cloud's clock minus ours, seconds; `None` on a node that never calls the cloud.
    pub clock_skew: Option<i64>,
    /// Turns of the core.
    pub turns: u64,
    /// Changes of addresses that failed.
    pub address_failures: u64,
    /// Notifications that the kernel dropped.
    pub netlink_overruns: u64,
    /// Actions that found a full queue.
    pub dropped_actions: u64,
    /// The state file is behind.
    pub state_unsaved: bool,
    /// Changes of role that are in no history.
    pub history_lost: u64,
    /// Lines of the log that nobody read.
    pub log_lines_lost: u64,
    /// When the doctor last looked, seconds since 1970, and what it found: which, and how bad.
    pub doctor: Option<(f64, Vec<(String, &'static str)>)>,
}

/// Calls of one operation of the API.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Which.
    pub operation: &'static str,
    /// How many, by result.
    pub results: Vec<(&'static str, u64)>,
    /// How long they took.
    pub durations: Histogram,
}

/// Everything in the text format of Prometheus.
#[must_use]
pub fn page(snapshot: &Snapshot, facts: &Facts, tally: &Tally) -> String {
    let mut page = Page::default();
    daemon(&mut page, snapshot, facts);
    // Of a group that this node is no member of it hears nothing, and whatever it said would be read as the group's state.
    let own: Vec<&GroupSnapshot> = snapshot.groups.iter().filter(|g| g.member).collect();
    groups(&mut page, &own, tally);
    checks_of_members(&mut page, &own);
    havips(&mut page, snapshot, &own, facts.record_bound);
    peers(&mut page, &snapshot.peers);
    datagrams(&mut page, &snapshot.counters, facts);
    cloud(&mut page, facts);
    host(&mut page, facts);
    page.finish()
}

fn flag(on: bool) -> u8 {
    u8::from(on)
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn daemon(page: &mut Page, snapshot: &Snapshot, facts: &Facts) {
    let target = snapshot.target.as_ref().map_or("", |t| t.id());
    page.series(&t::NODE).add(&[&snapshot.cluster, &snapshot.node, target, facts.version], 1);
    page.one(&t::STARTED, facts.started);
    page.one(&t::STOPPING, flag(snapshot.stopping));
    page.one(&t::CONFIG_LOADED, facts.config_loaded);
    page.one(&t::CONFIG_OK, flag(!facts.reload_refused));
    page.one(&t::INTERVAL, facts.interval.as_secs_f64());
    page.one(&t::DEAD_TIME, facts.dead_time.as_secs_f64());
    page.one(&t::PAUSES, snapshot.pauses);
    page.one(&t::LONGEST_PAUSE, seconds(snapshot.longest_pause_ms));
    page.one(&t::TURNS, facts.turns);
}

/// How many could take over; nothing where that is not this daemon's to say.
fn successors(group: &GroupSnapshot) -> Option<f64> {
    let active = group.active.as_ref()?;
    let could = group.members.iter().filter(|m| m.unfit.is_none() && m.node != *active).count();
    let external = group.arbiter == Arbiter::Keepalived || group.arbiter == Arbiter::Etcd;
    let several = group.members.iter().filter(|m| !m.witness).count() > 1;
    let asked = group.member && several && !external;
    // A majority may be missing although somebody is fit.
    let count = if group.no_failover.is_some() { 0 } else { u32::try_from(could).unwrap_or(u32::MAX) };
    asked.then(|| f64::from(count))
}

/// What each member says of its checks.
fn checks_of_members(page: &mut Page, groups: &[&GroupSnapshot]) {
    let mut not_passing = page.series(&t::CHECKS_NOT_PASSING);
    for group in groups {
        for member in group.members.iter().filter(|m| !m.checks.is_empty()) {
            not_passing.add(&[&group.name, &member.node], member.checks.len() + usize::from(member.more_checks));
        }
    }
}

fn groups(page: &mut Page, groups: &[&GroupSnapshot], tally: &Tally) {
    let mut roles = page.series(&t::ROLE);
    for group in groups {
        for role in ROLES {
            roles.add(&[&group.name, role.as_str()], flag(group.role == role));
        }
    }
    let mut each = |series: &t::Series, value: &dyn Fn(&GroupSnapshot) -> Option<f64>| {
        let mut samples = page.series(series);
        for group in groups {
            if let Some(value) = value(group) {
                samples.add(&[&group.name], value);
            }
        }
    };
    let when = |on: bool| Some(f64::from(flag(on)));
    #[expect(
        clippy::cast_precision_loss,
        reason = "every number of this format is a float; epochs stay far below 2^53"
    )]
    let number = |n: u64| Some(n as f64);
    each(&t::ROLE_AGE, &|g| Some(seconds(g.since_ms)));
    each(&t::EPOCH, &|g| number(g.epoch));
    each(&t::IS_ACTIVE, &|g| when(g.role == Role::Active));
    each(&t::ACTIVATIONS, &|g| number(tally.group(&g.name).map_or(0, |counts| counts.activations)));
    each(&t::UNPLANNED, &|g| number(tally.group(&g.name).map_or(0, |counts| counts.unplanned)));
    each(&t::MOVES, &|g| number(g.moves as u64));
    each(&t::DRAINED, &|g| when(g.drained));
    each(&t::MAINTENANCE, &|g| when(g.maintenance));
    each(&t::SUCCESSORS, &successors);
    each(&t::OBSERVE, &|g| when(g.observe));
    each(&t::ISOLATED, &|g| when(g.isolated));
    each(&t::LEADERSHIP, &|g| g.right_ms.map(seconds));
    let mut active = page.series(&t::ACTIVE_NODE);
    for group in groups {
        if let Some(node) = &group.active {
            active.add(&[&group.name, node], 1);
        }
    }
    let mut claims = page.series(&t::CLAIMS);
    for group in groups {
        for ((cause, result), count) in tally.group(&group.name).iter().flat_map(|counts| &counts.claims) {
            claims.add(&[&group.name, cause, result], count);
        }
    }
    let mut steps = page.series(&t::CLAIM_STEPS);
    for ((step, planned), durations) in &tally.steps {
        steps.histogram(&[step, if *planned { "true" } else { "false" }], durations);
    }
}

/// Whether the cloud's record is still known: it was read lately, and reading it does not fail.
fn fresh(havip: &HavipSnapshot, bound: Duration) -> bool {
    havip.error.is_none() && havip.read_ms.is_some_and(|ms| Duration::from_millis(ms) <= bound)
}

fn havips(page: &mut Page, snapshot: &Snapshot, groups: &[&GroupSnapshot], bound: Duration) {
    // A witness has no address and never asks the cloud: it knows nothing of a HAVIP, not even that all is well.
    let holds = |g: &&&GroupSnapshot| !g.members.iter().any(|m| m.witness && m.node == snapshot.node);
    let all = || groups.iter().filter(holds).flat_map(|g| g.havips.iter().map(move |h| (g, h)));
    let mut holders = page.series(&t::HOLDER);
    for (group, havip) in all() {
        if let Some(holder) = havip.holder.as_ref().filter(|_| fresh(havip, bound)) {
            holders.add(&[&group.name, &havip.id, holder], 1);
        }
    }
    let ours = snapshot.target.as_ref().map(|t| t.id());
    let mut each = |series: &t::Series, value: &dyn Fn(&HavipSnapshot) -> Option<f64>| {
        let mut samples = page.series(series);
        for (group, havip) in all() {
            if let Some(value) = value(havip) {
                samples.add(&[&group.name, &havip.id], value);
            }
        }
    };
    let when = |on: bool| f64::from(flag(on));
    each(&t::HELD, &|h| fresh(h, bound).then(|| when(ours.is_some() && h.holder.as_deref() == ours)));
    each(&t::READ_AGE, &|h| h.read_ms.map(seconds));
    each(&t::READ_FAILING, &|h| Some(when(h.error.is_some())));
    each(&t::PRESENT, &|h| h.present.map(when));
    let mut repairs = page.series(&t::REPAIRS);
    for (group, havip) in all() {
        repairs.add(&[&group.name, &havip.id], havip.repairs);
    }
}

fn peers(page: &mut Page, peers: &[PeerSnapshot]) {
    let mut states = page.series(&t::PEER_STATE);
    let all = [SessionState::Up, SessionState::OneWay, SessionState::Down, SessionState::Unproven];
    for peer in peers {
        for state in all {
            states.add(&[&peer.node, state.as_str()], flag(peer.state == state));
        }
    }
    let mut each = |series: &t::Series, value: &dyn Fn(&PeerSnapshot) -> Option<f64>| {
        let mut samples = page.series(series);
        for peer in peers {
            if let Some(value) = value(peer) {
                samples.add(&[&peer.node], value);
            }
        }
    };
    each(&t::PEER_AGE, &|p| p.heard_ms.map(seconds));
    each(&t::PEER_DEAD_TIME, &|p| Some(seconds(p.dead_time_ms)));
    let mut paths = |series: &t::Series, value: fn(&havipd_core::wire::session::PathStats) -> u64| {
        let mut samples = page.series(series);
        for peer in peers {
            for (path, stats) in peer.stats.paths.iter().enumerate() {
                samples.add(&[&peer.node, &path.to_string()], value(stats));
            }
        }
    };
    // A loss that later proves to be a delay moves from one to the other: only the sum never goes back.
    paths(&t::PEER_EXPECTED, |stats| stats.received + stats.lost);
    paths(&t::PEER_RECEIVED, |stats| stats.received);
    let mut dropped = page.series(&t::PEER_DROPPED);
    for PeerSnapshot { node, stats, .. } in peers {
        for (reason, count) in [
            ("replayed", stats.replayed),
            ("overtaken", stats.overtaken),
            ("stale-echo", stats.stale_echo),
            ("wrong-receiver", stats.wrong_receiver),
            ("impossible-echo", stats.impossible_echo),
        ] {
            dropped.add(&[node, reason], count);
        }
    }
    let mut echoes = page.series(&t::PEER_ECHO);
    for peer in peers {
        echoes.histogram(&[&peer.node], &peer.stats.echo);
    }
    let mut same = page.series(&t::PEER_DIGEST);
    for peer in peers {
        if let Some(is_same) = peer.same_digest {
            same.add(&[&peer.node], flag(is_same));
        }
    }
}

fn datagrams(page: &mut Page, counters: &Counters, facts: &Facts) {
    let Counters { foreign, wrong_version, unknown_key, bad_tag, malformed, unknown_sender, .. } = *counters;
    let mut failures = page.series(&t::AUTH);
    for (kind, count) in [
        ("foreign", foreign),
        ("wrong-version", wrong_version),
        ("unknown-key", unknown_key),
        ("bad-tag", bad_tag),
        ("malformed", malformed),
        ("unknown-sender", unknown_sender),
    ] {
        failures.add(&[kind], count);
    }
    page.one(&t::SENT, facts.sent);
    let mut unsent = page.series(&t::UNSENT);
    for (reason, count) in &facts.unsent {
        unsent.add(&[reason], count);
    }
    page.one(&t::RECEIVED, facts.received);
    let mut sockets = page.series(&t::SOCKET);
    for (address, up) in &facts.sockets {
        sockets.add(&[address], flag(*up));
    }
}

fn cloud(page: &mut Page, facts: &Facts) {
    let mut counts = page.series(&t::CALLS);
    for calls in &facts.calls {
        for (result, count) in &calls.results {
            counts.add(&[calls.operation, result], count);
        }
    }
    let mut times = page.series(&t::CALL_TIME);
    for calls in &facts.calls {
        times.histogram(&[calls.operation], &calls.durations);
    }
    if let Some(end) = facts.credentials_end {
        page.one(&t::CREDENTIALS, end);
    }
    let mut certificates = page.series(&t::CERTIFICATES);
    for (file, end) in &facts.certificates {
        certificates.add(&[file], end);
    }
    if let Some(skew) = facts.clock_skew {
        page.one(&t::SKEW, skew);
    }
}

fn host(page: &mut Page, facts: &Facts) {
    let mut runs = page.series(&t::HOOKS);
    for (group, ended, failed, _) in &facts.hooks {
        runs.add(&[group, "ok"], ended.saturating_sub(*failed)).add(&[group, "failed"], failed);
    }
    gates(page, &facts.gates);
    checks(page, &facts.checks);
    let mut replaced = page.series(&t::HOOKS_REPLACED);
    for (group, _, _, states) in &facts.hooks {
        replaced.add(&[group], states);
    }
    page.one(&t::ADDRESS_FAILURES, facts.address_failures);
    page.one(&t::NETLINK, facts.netlink_overruns);
    page.one(&t::DROPPED, facts.dropped_actions);
    doctor(page, facts);
    page.one(&t::STATE_UNSAVED, flag(facts.state_unsaved));
    page.one(&t::HISTORY_LOST, facts.history_lost);
    page.one(&t::LOG_LOST, facts.log_lines_lost);
}

fn gates(page: &mut Page, all: &[(String, GateStatus)]) {
    let mut running = page.series(&t::GATE_RUNNING);
    for (group, status) in all {
        for kind in [GateKind::BeforeActive, GateKind::BeforeRelease] {
            running.add(&[group, kind.as_str()], flag(status.running == Some(kind)));
        }
    }
    let mut runs = page.series(&t::GATE_RUNS);
    for (group, status) in all {
        for (kind, of_kind) in &status.results {
            for (word, count) in of_kind.by_result() {
                runs.add(&[group, kind.as_str(), word], count);
            }
        }
    }
    let mut seconds = page.series(&t::GATE_SECONDS);
    for (group, status) in all {
        for (kind, of_kind) in &status.results {
            let took = Duration::from_millis(of_kind.milliseconds);
            seconds.add(&[group, kind.as_str()], took.as_secs_f64());
        }
    }
    let mut failing = page.series(&t::GATE_FAILING);
    for (group, status) in all.iter().filter(|(_, status)| status.last.is_some()) {
        failing.add(&[group], flag(status.last_failure().is_some()));
    }
}

fn checks(page: &mut Page, all: &[CheckStatus]) {
    let mut state = page.series(&t::CHECK_STATE);
    for check in all {
        for word in [CheckState::Up, CheckState::Down, CheckState::Unknown] {
            state.add(&[check.name.as_str(), word.as_str()], flag(check.state == word));
        }
    }
    let mut flapping = page.series(&t::CHECK_FLAPPING);
    for check in all {
        flapping.add(&[check.name.as_str()], flag(check.flapping));
    }
    let mut weight = page.series(&t::CHECK_WEIGHT);
    for check in all {
        weight.add(&[check.name.as_str()], check.weight);
    }
    let mut runs = page.series(&t::CHECK_RUNS);
    for check in all {
        for (word, count) in check.runs.by_result() {
            runs.add(&[check.name.as_str(), word], count);
        }
    }
    let mut seconds = page.series(&t::CHECK_SECONDS);
    for check in all {
        seconds.add(&[check.name.as_str()], Duration::from_millis(check.runs.milliseconds).as_secs_f64());
    }
}

fn doctor(page: &mut Page, facts: &Facts) {
    if let Some(interval) = facts.doctor_interval {
        page.one(&t::DOCTOR_INTERVAL, interval.as_secs_f64());
    }
    let Some((looked, findings)) = &facts.doctor else { return };
    page.one(&t::DOCTOR_LOOKED, looked);
    let mut counts = page.series(&t::DOCTOR_FINDINGS);
    for level in ["ok", "warning", "failed"] {
        counts.add(&[level], findings.iter().filter(|(_, l)| *l == level).count());
    }
    let mut each = page.series(&t::DOCTOR_FINDING);
    for (id, level) in findings.iter().filter(|(_, level)| *level != "ok") {
        each.add(&[id, level], 1);
    }
}

#[cfg(test)]
mod tests;
