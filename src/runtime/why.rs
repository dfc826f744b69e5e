//! `havipctl why`: what this node is in a group, what says so, and what would change it.

use crate::config::model::{Arbiter, Config};
use crate::election::role::{Cause, Role};
use crate::election::snapshot::{GroupSnapshot, PeerSnapshot, Snapshot};
use crate::wire::session::SessionState;
use serde::Serialize;
use std::fmt::Write as _;

/// An answer in three parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// Explains one group; `None` if the node has no such group.
#[must_use]
pub fn explain(config: &Config, snapshot: &Snapshot, group: &str) -> Option<Explanation> {
    let settings = config.groups.iter().find(|g| g.name.as_str() == group)?;
    let found = snapshot.groups.iter().find(|g| g.name == group)?;
    let moves = Moves { spent: settings.max_moves > 0 && found.moves >= settings.max_moves as usize };
    Some(Explanation {
        answer: answer(snapshot, found),
        evidence: evidence(snapshot, found, settings.max_moves),
        change: change(snapshot, found, settings.preempt, &moves),
    })
}

/// The budget of `max-moves`.
struct Moves {
    spent: bool,
}

fn answer(snapshot: &Snapshot, g: &GroupSnapshot) -> String {
    let node = &snapshot.node;
    let mut text = match g.role {
        Role::Active => format!("{node} is active for {}: {}", g.name, or_word(&g.detail, g.cause)),
        Role::Claiming => {
            format!("{node} has the right to {} and is making the cloud agree: {}", g.name, or_word(&g.detail, g.cause))
        }
        Role::Releasing => format!("{node} is handing {} over: {}", g.name, or_word(&g.detail, g.cause)),
        Role::Fault => format!("{node} is not eligible for {}: {}", g.name, or_word(&g.detail, g.cause)),
        Role::Backup if g.waiting.is_empty() => {
            format!("{node} is not active for {}: {}", g.name, or_word(&g.detail, g.cause))
        }
        Role::Backup => format!("{node} is not active for {}: {}", g.name, g.waiting),
    };
    let _ = write!(text, " (cause {}, {} ago, epoch {})", g.cause, age(g.since_ms), g.epoch);
    text
}

fn or_word(detail: &str, cause: Cause) -> String {
    if detail.is_empty() { cause.to_string() } else { detail.to_owned() }
}

fn evidence(snapshot: &Snapshot, g: &GroupSnapshot, most: u32) -> Vec<String> {
    let mut lines = Vec::new();
    for peer in &snapshot.peers {
        lines.push(of_peer(peer));
    }
    for havip in &g.havips {
        let holder = match (&havip.holder, havip.read_ms) {
            (Some(holder), Some(ms)) => format!("the cloud says that {holder} has {}, read {} ago", havip.id, age(ms)),
            (None, Some(ms)) => format!("the cloud says that nobody has {}, read {} ago", havip.id, age(ms)),
            (_, None) => format!("the cloud was not read for {} yet", havip.id),
        };
        lines.push(holder);
        if let Some(error) = &havip.error {
            lines.push(format!("{}: {error}", havip.id));
        }
    }
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
        lines.push(match (vrrp.state, vrrp.since_ms, vrrp.source) {
            (Some(state), Some(ms), Some(source)) => {
                format!("keepalived is {state} for {}, known for {} ({source})", vrrp.name, age(ms))
            }
            _ => format!("keepalived has not told its state of {} yet", vrrp.name),
        });
    }
    if g.role.has_right() {
        match g.right_ms {
            Some(ms) if g.arbiter == Arbiter::Majority => {
                lines.push(format!("the lease of a majority runs for another {}", age(ms)));
            }
            _ => {}
        }
    }
    if let Some(ms) = g.votes_in_ms {
        lines.push(format!("this node has just started and may vote for anybody in {}", age(ms)));
    }
    if let (Some(node), Some(ms)) = (&g.fabric, g.fabric_ms) {
        lines.push(format!("packets to the HAVIP reached {node}, {} ago", age(ms)));
    }
    if most > 0 {
        lines.push(format!("{} of at most {most} moves within the window of max-moves-window", g.moves));
    }
    lines
}

fn of_peer(peer: &PeerSnapshot) -> String {
    let heard = peer.heard_ms.map_or_else(|| "never heard".to_owned(), |ms| format!("heard {} ago", age(ms)));
    let state = match peer.state {
        SessionState::Up => "connected",
        SessionState::OneWay => "heard, but does not hear us",
        SessionState::Down => "dead",
        SessionState::Unproven => "not heard since our start",
    };
    let mut line = format!("{} is {state}; {heard}, dead after {}", peer.node, age(peer.dead_time_ms));
    if peer.same_digest == Some(false) {
        line.push_str("; its configuration has other voters, arbiter, HAVIPs or bindings");
    }
    line
}

fn change(snapshot: &Snapshot, g: &GroupSnapshot, preempt: bool, moves: &Moves) -> Vec<String> {
    let mut lines = Vec::new();
    let name = &g.name;
    if g.drained {
        lines.push(format!("`havipctl undrain {name}` lets this node take part again"));
    }
    if g.maintenance {
        let ends = g.maintenance_ends_ms.map(|ms| format!(" (this node does so in {})", age(ms))).unwrap_or_default();
        lines.push(format!("`havipctl maintenance {name} off`{ends}: until then nothing moves by itself on any node"));
    }
    if g.isolated {
        lines.push("neither peers nor cloud answer: restore this node's network".to_owned());
    }
    if moves.spent {
        lines.push("the budget of moves is spent: no preemption until older moves leave max-moves-window".to_owned());
    }
    if let Some(line) = remedy(g) {
        lines.push(line);
    }
    let up = snapshot.peers.iter().filter(|p| p.state == SessionState::Up).count();
    if g.arbiter == Arbiter::Majority && (up + 1) * 2 <= snapshot.peers.len() + 1 {
        lines.push(format!(
            "this node hears only {} of {} nodes, itself included, which is no majority: bring the others, or the network, back",
            up + 1,
            snapshot.peers.len() + 1
        ));
    }
    if let Some(vrrp) = &g.vrrp {
        lines.push(format!("keepalived elects: what moves {} there moves {name}", vrrp.name));
        return lines;
    }
    match (&g.active, g.role) {
        (Some(active), Role::Backup) if *active != snapshot.node => {
            lines.push(format!(
                "if {active} is silent for its dead time, leaves, or is in fault, this node takes over in its turn by rank"
            ));
            if preempt && !moves.spent {
                lines.push(format!("preempt is on: with a better rank than {active} it takes over by itself"));
            }
            lines.push(format!("`havipctl switchover {name} --to {}` moves it now", snapshot.node));
        }
        (_, Role::Active) => {
            lines.push(format!("`havipctl switchover {name}` or `havipctl drain {name}` moves it away"));
        }
        _ => {}
    }
    lines
}

/// What ends the state that this cause led to.
fn remedy(g: &GroupSnapshot) -> Option<String> {
    let text = match g.cause {
        Cause::Superseded | Cause::LostRace => {
            "the cloud gave the address to another: this node claims again when that one leaves or says that it is \
             not active, or after reclaim-wait"
        }
        Cause::LeaseLost => "the lease comes back as soon as a majority hears this node",
        Cause::ClaimTimedOut => {
            "the claim is repeated by itself, with growing pauses; the cloud's answers are in the log"
        }
        Cause::ClaimRefused => "the cloud refused the claim; it is repeated by itself, with growing pauses",
        Cause::HavipMissing => "correct group.havip.id, or create the HAVIP; then it goes on by itself",
        Cause::Denied => {
            "renew the credentials, and grant read, attach and detach of the HAVIP; then it goes on by itself"
        }
        Cause::StrangerBound => "detach the stranger by hand, or set strangers = \"detach\"",
        Cause::DetachRefused => "detach the old holder by hand in the console, or release the address on it",
        Cause::LinkDown => "bring the interface up",
        Cause::NoIdentity => "set node.instance or node.eni, or make the metadata service reachable",
        Cause::Cloned => "stop the other machine that runs as this node",
        Cause::VrrpFault => "keepalived has to run, without a fault; keepalived.pid-file says which process counts",
        Cause::ConfigMismatch => "install the same configuration on every node and reload",
        Cause::Away => "this host was paused; it claims again after one dead time",
        _ => return None,
    };
    (!g.role.has_right()).then(|| text.to_owned())
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
mod tests {
    use super::*;
    use crate::election::snapshot::HavipSnapshot;
    use crate::wire::session::SessionStats;

    fn group(role: Role, cause: Cause, detail: &str) -> GroupSnapshot {
        GroupSnapshot {
            name: "web".into(),
            role,
            cause,
            detail: detail.into(),
            since_ms: 1_500,
            epoch: 7,
            priority: 100,
            active: Some("a".into()),
            waiting: String::new(),
            waiting_ms: None,
            member: true,
            members: vec![],
            successor: Some("b".into()),
            no_failover: None,
            preemption_suspended: false,
            failed_move: None,
            arbiter: Arbiter::Majority,
            right_ms: None,
            votes_in_ms: None,
            vrrp: None,
            observe: false,
            differs: None,
            drained: false,
            maintenance: false,
            maintenance_ends_ms: None,
            isolated: false,
            moves: 1,
            max_moves: 6,
            budget_ms: None,
            trace: None,
            fabric: None,
            fabric_ms: None,
            havips: vec![HavipSnapshot {
                id: "havip-x".into(),
                address: None,
                present: Some(false),
                holder: Some("i-a".into()),
                bound: vec!["i-a".into()],
                read_ms: Some(90),
                error: None,
                repairs: 0,
            }],
        }
    }

    fn told(states: &[SessionState], g: &GroupSnapshot, spent: bool) -> Explanation {
        let peer = |(n, state): (usize, &SessionState)| PeerSnapshot {
            node: ["a", "c"][n].into(),
            state: *state,
            heard_ms: Some(20),
            dead_time_ms: 5_000,
            suspected: false,
            same_digest: Some(n == 0),
            target: None,
            stats: SessionStats::default(),
        };
        let snapshot = Snapshot {
            cluster: "lab".into(),
            node: "b".into(),
            target: None,
            uptime_ms: 0,
            peers: states.iter().enumerate().map(peer).collect(),
            groups: vec![],
            counters: crate::election::snapshot::Counters::default(),
            pauses: 0,
            longest_pause_ms: 0,
            stopping: false,
        };
        Explanation {
            answer: answer(&snapshot, g),
            evidence: evidence(&snapshot, g, 10),
            change: change(&snapshot, g, true, &Moves { spent }),
        }
    }

    const UP: [SessionState; 2] = [SessionState::Up, SessionState::Up];

    #[test]
    fn a_backup_says_what_it_waits_for_and_what_says_so() {
        let waits = GroupSnapshot { waiting: "a is active".into(), ..group(Role::Backup, Cause::Started, "started") };
        let told = told(&UP, &waits, false);
        assert_eq!(told.answer, "b is not active for web: a is active (cause started, 1.5 s ago, epoch 7)");
        let has = |line: &str| told.text().lines().any(|l| l == format!("  - {line}"));
        assert!(has("a is connected; heard 20 ms ago, dead after 5.0 s"), "{}", told.text());
        assert!(has("the cloud says that i-a has havip-x, read 90 ms ago"), "{}", told.text());
        assert!(has("`havipctl switchover web --to b` moves it now"), "{}", told.text());
        assert!(told.text().contains("other voters, arbiter, HAVIPs or bindings"), "{}", told.text());
    }

    #[test]
    fn every_reason_comes_with_its_remedy() {
        let of = |g: &GroupSnapshot, states: &[SessionState], spent| told(states, g, spent).change.join("\n");
        let backup = || group(Role::Backup, Cause::Started, "");
        let cases = [
            (GroupSnapshot { drained: true, ..backup() }, "havipctl undrain web"),
            (GroupSnapshot { maintenance: true, ..backup() }, "havipctl maintenance web off"),
            (GroupSnapshot { isolated: true, ..backup() }, "restore this node's network"),
            (GroupSnapshot { cause: Cause::Superseded, ..backup() }, "reclaim-wait"),
            (GroupSnapshot { cause: Cause::LeaseLost, ..backup() }, "as soon as a majority hears"),
            (group(Role::Fault, Cause::Denied, ""), "grant read, attach and detach"),
            (group(Role::Fault, Cause::LinkDown, ""), "bring the interface up"),
        ];
        for (g, remedy) in cases {
            let text = of(&g, &UP, false);
            assert!(text.contains(remedy), "{remedy:?} is not in {text:?}");
        }
        let alone = GroupSnapshot { active: None, ..backup() };
        let text = of(&alone, &[SessionState::Down, SessionState::Down], false);
        assert!(text.contains("hears only 1 of 3 nodes"), "{text}");
        let text = of(&backup(), &UP, false);
        assert!(!text.contains("no majority") && text.contains("preempt is on"), "{text}");
        let text = of(&backup(), &UP, true);
        assert!(text.contains("budget of moves is spent") && !text.contains("preempt is on"), "{text}");
    }
}
