//! `havipctl why`: what this node is in a group, what says so, and what would change it.

mod change;

use crate::checks::status::CheckStatus;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::{Arbiter, CheckState, Config};
use havipd_core::status::{
    ElectionKeySnapshot, GroupSnapshot, HavipSnapshot, LeaderKeySnapshot, MemberSnapshot, PeerSnapshot, Reported,
    Snapshot, Unfit,
};
use havipd_core::wire::session::SessionState;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// An answer in three parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What the node is, and why.
    pub answer: String,
    /// Facts, with their age.
    pub evidence: Vec<String>,
    /// What would make it otherwise.
    pub change: Vec<String>,
}

impl Explanation {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.answer.clone();
        for (title, lines) in [("evidence", &self.evidence), ("what would change it", &self.change)] {
            if !lines.is_empty() {
                let _ = write!(text, "\n{title}:");
            }
            for line in lines {
                let _ = write!(text, "\n  - {line}");
            }
        }
        text
    }
}

/// Explains one group, with what the checks of this node say; `None` if the node has no such group.
#[must_use]
pub fn explain(config: &Config, snapshot: &Snapshot, checks: &[CheckStatus], group: &str) -> Option<Explanation> {
    let settings = config.groups.iter().find(|g| g.name.as_str() == group)?;
    let found = snapshot.groups.iter().find(|g| g.name == group)?;
    let mut explanation = explained(snapshot, found, settings.preempt);
    let decides = |check: &&CheckStatus| check.groups.iter().any(|g| g.as_str() == group);
    explanation.evidence.extend(checks.iter().filter(decides).map(of_check));
    Some(explanation)
}

/// What a check says here, since when, and what its last run saw.
fn of_check(check: &CheckStatus) -> String {
    let name = &check.name;
    if !check.here {
        return format!("check {name} runs on other nodes only");
    }
    let state = match check.state {
        CheckState::Up => "passes",
        CheckState::Down if check.fault => "fails, which is a fault",
        CheckState::Down => "fails",
        CheckState::Unknown => "has not decided yet",
    };
    let mut line = format!("check {name} {state}, for {}", age(check.since_ms));
    if check.weight != 0 {
        let _ = write!(line, ", and adds {} to the priority", check.weight);
    }
    if let Some(last) = &check.last {
        let _ = write!(line, "; seen {} ago: {}", age(last.ago_ms), last.text);
    }
    if check.flapping {
        line.push_str("; it flaps");
    }
    line
}

fn explained(snapshot: &Snapshot, group: &GroupSnapshot, preempt: bool) -> Explanation {
    let view = View { snapshot, group, preempt };
    Explanation { answer: view.answer(), evidence: view.evidence(), change: view.change() }
}

/// One group as one node sees it.
struct View<'a> {
    snapshot: &'a Snapshot,
    group: &'a GroupSnapshot,
    /// `preempt` of the configuration.
    preempt: bool,
}

impl View<'_> {
    fn answer(&self) -> String {
        let (node, g) = (&self.snapshot.node, self.group);
        let name = &g.name;
        let reason = or_word(&g.detail, &g.cause);
        let mut text = match g.role {
            _ if !g.member => {
                let members: Vec<&str> = g.members.iter().map(|m| m.node.as_str()).collect();
                return format!("{node} is no member of {name}: its nodes are {}", members.join(", "));
            }
            Role::Active | Role::Claiming | Role::Releasing => self.with_leadership(&reason),
            Role::Fault => format!("{node} is not eligible for {name}: {reason}"),
            Role::Backup if self.witness() => {
                let active = match (&g.active, g.confirmed()) {
                    (_, Some(active)) => format!("{active} is active"),
                    (Some(claims), None) => format!("{claims} claims"),
                    (None, None) => "nobody is active".to_owned(),
                };
                return format!(
                    "{node} is a witness of {name}: it votes and is never active; {active}, epoch {}",
                    g.epoch
                );
            }
            Role::Backup if g.waiting.is_empty() => format!("{node} is not active for {name}: {reason}"),
            Role::Backup => format!("{node} is not active for {name}: {}", waiting(g)),
        };
        if g.role == Role::Fault && !g.waiting.is_empty() {
            let _ = write!(text, "; {}", waiting(g));
        }
        let _ = write!(text, " (cause {}, {} ago, epoch {})", g.cause, age(g.since_ms), g.epoch);
        text
    }

    /// The cloud's word goes first where it is against us: the rest is what we believed before.
    fn with_leadership(&self, reason: &str) -> String {
        let (node, name) = (&self.snapshot.node, &self.group.name);
        match (self.group.role, self.lost_to_another()) {
            (Role::Active, Some((havip, holder))) => format!(
                "{node} is active for {name} here, but the cloud names {holder} as holder of {}, read {} ago; before \
                 that: {reason}",
                havip.id,
                havip.read_ms.map_or_else(|| "never".into(), age),
            ),
            (Role::Active, None) => format!("{node} is active for {name}: {reason}"),
            (Role::Releasing, _) => format!("{node} is handing {name} over: {reason}"),
            _ => format!("{node} has leadership of {name} and is making the cloud agree: {reason}"),
        }
    }

    /// A HAVIP that the cloud says somebody else has, and who.
    fn lost_to_another(&self) -> Option<(&HavipSnapshot, String)> {
        let ours = self.snapshot.target.as_ref().map(havipd_core::model::ids::Target::id);
        let of_another = |h: &&HavipSnapshot| h.read_ms.is_some() && h.holder.as_deref() != ours;
        let havip = self.group.havips.iter().filter(|_| !self.group.observe).find(of_another)?;
        Some((havip, havip.holder.as_ref().map_or_else(|| "nobody".into(), |id| self.known(id))))
    }

    /// A target as the cloud names it, with the node that it is.
    fn known(&self, id: &str) -> String {
        let is = |target: Option<&havipd_core::model::ids::Target>| target.is_some_and(|t| t.id() == id);
        match self.snapshot.peers.iter().find(|p| is(p.target.as_ref())) {
            _ if is(self.snapshot.target.as_ref()) => format!("{id} (this node)"),
            Some(peer) => format!("{id} (node {})", peer.node),
            None => id.to_owned(),
        }
    }

    fn witness(&self) -> bool {
        self.ourselves().is_some_and(|m| m.witness)
    }

    fn ourselves(&self) -> Option<&MemberSnapshot> {
        self.member(&self.snapshot.node)
    }

    fn member(&self, node: &str) -> Option<&MemberSnapshot> {
        self.group.members.iter().find(|m| m.node == node)
    }

    /// The group's other members; their sessions are what its election rests on.
    fn peers(&self) -> impl Iterator<Item = &PeerSnapshot> {
        self.snapshot.peers.iter().filter(|p| self.member(&p.node).is_some())
    }

    fn evidence(&self) -> Vec<String> {
        let g = self.group;
        let mut lines: Vec<String> = self.peers().map(|p| self.of_peer(p)).collect();
        // A witness never asks the cloud, and neither does who is no member.
        let asks = g.member && !self.witness();
        for havip in g.havips.iter().filter(|_| asks) {
            let (id, read) = (&havip.id, havip.read_ms.map(age));
            lines.push(match (&havip.holder, read) {
                (Some(holder), Some(ago)) => {
                    format!("the cloud says that {} has {id}, read {ago} ago", self.known(holder))
                }
                (None, Some(ago)) => format!("the cloud says that nobody has {id}, read {ago} ago"),
                (_, None) => format!("the cloud was not read for {id} yet"),
            });
            if let Some(error) = &havip.error {
                lines.push(format!("{id}: {error}"));
            } else if havip.repairs > 0 {
                let times = if havip.repairs == 1 { "once".to_owned() } else { format!("{} times", havip.repairs) };
                lines.push(format!(
                    "the cloud's record of {id} named another than this node {times} since the start, and was put right; \
                     `havipctl history {}` says when",
                    g.name
                ));
            }
        }
        if let Some(gate) = &g.gate {
            let (key, since, left) = (gate.kind.as_str(), age(gate.for_ms), age(gate.left_ms));
            lines.push(format!("{key} has been running for {since}; it is ended in {left}"));
        }
        // In fault it is the answer itself.
        if let Some(failed) = g.failed_claim.as_ref().filter(|f| f.text != g.detail) {
            let (cause, ago, text) = (&failed.cause, age(failed.ago_ms), &failed.text);
            lines.push(format!("the last claim of this node failed {ago} ago ({cause}): {text}"));
        }
        if let Some(failed) = g.failed_move.as_ref() {
            let (to, reason, ago) = (&failed.to, &failed.reason, age(failed.ago_ms));
            lines.push(format!("the last planned move, to {to}, failed {ago} ago: {to} {reason}"));
        }
        lines.extend(of_the_election(g));
        lines
    }

    fn of_peer(&self, peer: &PeerSnapshot) -> String {
        let heard = peer.heard_ms.map_or_else(|| "never heard".to_owned(), |ms| format!("heard {} ago", age(ms)));
        let state = match peer.state {
            SessionState::Up if peer.suspected => "suspected: a heartbeat is missing",
            SessionState::Up => "connected",
            SessionState::OneWay => "heard, but does not hear us",
            SessionState::Down => "dead",
            SessionState::Unproven => "not heard since our start",
        };
        let mut line = format!("{} is {state}; {heard}, dead after {}", peer.node, age(peer.dead_time_ms));
        if peer.same_digest == Some(false) {
            line.push_str("; its configuration has other timing, voters, arbiter, HAVIPs or bindings");
        }
        let Some(member) = self.member(&peer.node) else { return line };
        match (&member.unfit, member.unfit_in_words()) {
            // Said already.
            (Some(Reported::Known(Unfit::Silent | Unfit::OneWay | Unfit::OtherConfiguration)), _) => {}
            (Some(Reported::Known(Unfit::CheckFailed | Unfit::CheckUndecided)), Some(unfit)) => {
                let _ = write!(line, "; it {unfit}");
                return line;
            }
            (_, Some(unfit)) => drop(write!(line, "; it {unfit}")),
            (_, None) => {}
        }
        if !member.checks.is_empty() {
            let _ = write!(line, "; of its checks {}", member.checks_in_words());
        }
        line
    }
}

/// What is known of a leader key, and how old it is.
fn leader_key(key: &LeaderKeySnapshot) -> Vec<String> {
    let mut lines = vec![key.text.clone()];
    if let (Some(created), Some(revision), Some(read), Some(endpoint)) =
        (key.created, key.revision, key.read_ms, &key.endpoint)
    {
        let created = if created > 0 { format!("created at revision {created}, ") } else { String::new() };
        let left = match key.left_ms {
            Some(0) | None => "which does not count any more".to_owned(),
            Some(left) => format!("which counts for another {}", age(left)),
        };
        lines.push(format!(
            "{}: {created}read at revision {revision} from {endpoint} {} ago, {left}; this node is {} in it",
            key.key,
            age(read),
            key.own_value
        ));
    }
    // What ran out names its trouble already.
    lines.extend(
        key.trouble.iter().filter(|t| !key.text.contains(t.as_str())).map(|t| format!("etcd cannot be read now: {t}")),
    );
    lines
}

/// What is known of the key that a group elects by, how old that is, and how long this node's lease lasts.
fn election_key(key: &ElectionKeySnapshot) -> String {
    let mut line = key.text.clone();
    if let Some(revision) = key.revision {
        let _ = write!(line, "; written at revision {revision}");
    }
    if let (Some(ms), Some(endpoint)) = (key.read_ms, &key.endpoint) {
        let _ = write!(line, "; read {} ago, last from {endpoint}", age(ms));
    }
    if let Some(left) = key.lease_ms.filter(|_| key.ours) {
        let _ = write!(line, "; this node's lease lasts for another {}", age(left));
    }
    line
}

/// Facts that are neither a peer's nor the cloud's word on who has the address.
fn of_the_election(g: &GroupSnapshot) -> Vec<String> {
    let mut lines = Vec::new();
    if g.observe {
        lines.push("this node only observes: it elects, and touches nothing".to_owned());
    }
    if let Some(differs) = &g.differs {
        let elected = differs.elected.as_deref().unwrap_or("nobody");
        let holder = differs.holder.as_deref().unwrap_or("nobody");
        let (id, ago) = (&differs.havip, age(differs.for_ms));
        lines.push(format!("this election has {elected}, the cloud has {holder} for {id}, seen {ago} ago"));
    }
    if let Some(vrrp) = &g.vrrp {
        lines.push(match (vrrp.state, vrrp.since_ms, &vrrp.source) {
            (Some(state), Some(ms), Some(source)) => {
                format!("keepalived is {state} for {}, known for {} ({source})", vrrp.name, age(ms))
            }
            _ => format!("keepalived has not told its state of {} yet", vrrp.name),
        });
    }
    if let Some(key) = &g.leader_key {
        lines.extend(leader_key(key));
    }
    if let Some(key) = &g.election_key {
        lines.push(election_key(key));
    }
    match g.right_ms {
        Some(ms) if g.arbiter == Arbiter::Majority && g.role.has_leadership() => {
            lines.push(format!("the lease of a majority runs for another {}", age(ms)));
        }
        _ => {}
    }
    if let Some(ms) = g.votes_in_ms {
        lines.push(format!("this node has just started and may vote for anybody in {}", age(ms)));
    }
    if let (Some(node), Some(ms)) = (&g.fabric, g.fabric_ms) {
        lines.push(format!("packets to the HAVIP reached {node}, {} ago", age(ms)));
    }
    if g.max_moves > 0 && g.member {
        lines.push(format!("{} of at most {} moves within the window of max-moves-window", g.moves, g.max_moves));
    }
    lines
}

/// What is waited for, and for how long.
fn waiting(g: &GroupSnapshot) -> String {
    let left = g.waiting_ms.map(|ms| format!(", {} left", age(ms))).unwrap_or_default();
    format!("{}{left}", g.waiting)
}

fn or_word(detail: &str, cause: &Reported<Cause>) -> String {
    if detail.is_empty() { cause.to_string() } else { detail.to_owned() }
}

/// Milliseconds, in a unit that people read.
fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests;
