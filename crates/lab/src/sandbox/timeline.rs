//! Where the HAVIP went, why, and how many milliseconds each step took.
//!
//! A [`Story`] is told everything that happens: what the sandbox did to the cluster, what the
//! daemons log, what the cloud was asked, where packets go. Once a node is active and gets the
//! packets it makes a [`Move`] of that, counted from whatever was done last before the first
//! change of role. All times are of the host's boot-time clock, which daemons, cloud and sandbox share.

use havipd_core::model::plural::plural;
use havipd_core::model::time::Instant;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Things remembered until they are part of a move; the oldest go first.
const PENDING_MAX: usize = 512;

/// Steps that a move shows of each kind of repetition (reads, refused writes) before it leaves out the rest.
const STEPS_MAX: usize = 40;

/// Two dates of one step, as rounded in two lines of a log, differ by less than this.
const SAME: Duration = Duration::from_millis(1);

/// A change of role, as a daemon logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When it was decided.
    pub at: Instant,
    /// By which node.
    pub node: String,
    /// What it became.
    pub to: String,
    /// The term.
    pub epoch: u64,
    /// Why, in a word.
    pub cause: String,
    /// Why, in words.
    pub detail: String,
    /// Whom it concerns.
    pub peer: Option<String>,
    /// What the daemon noted on the way.
    pub steps: Vec<(Instant, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The sandbox did something.
    Act(String),
    /// The last datagram of a node that another heard, before it acted on its silence.
    LastHeard {
        of: String,
        by: String,
    },
    Role {
        to: String,
        node: String,
    },
    /// The first look at the cloud by a node that is not active.
    Look,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Moment {
    at: Instant,
    what: What,
    text: String,
}

/// One step of a move.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Milliseconds since the move's zero; negative before it.
    pub ms: f64,
    /// What happened.
    pub text: String,
}

/// The HAVIP went from one node to another, or was taken anew.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Move {
    /// How many times packets have gone to another node so far; 0 at the start.
    pub number: usize,
    /// Who had it before; `None` at the start.
    pub from: Option<String>,
    /// Who has it now.
    pub to: String,
    /// The term.
    pub epoch: u64,
    /// Why the new node claimed, in a word.
    pub cause: String,
    /// From zero until the node was active and the packets went to it.
    pub total_ms: f64,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Move {
    /// One line for all of it.
    #[must_use]
    pub fn title(&self) -> String {
        let Self { number, to, epoch, cause, total_ms, .. } = self;
        match &self.from {
            Some(from) if from == to => format!("{to} again, {total_ms:.1} ms ({cause}, epoch {epoch})"),
            Some(from) => format!("move {number}: {from} -> {to}, {total_ms:.1} ms ({cause}, epoch {epoch})"),
            None => format!("start: to {to}, {total_ms:.1} ms ({cause}, epoch {epoch})"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.1} ms  {}", self.ms, self.text)
    }
}

/// Title and steps, one a line.
impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        self.steps.iter().try_for_each(|step| write!(f, "\n{step}"))
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Story {
    pending: Vec<Moment>,
    /// Who is active by its own word: node, epoch, since when, why it claimed.
    active: Option<(String, u64, Instant)>,
    /// Why each node claimed last.
    claims: Vec<(String, String)>,
    packets: Option<String>,
    packets_since: Instant,
    packet_moves: usize,
    had_packets: Option<String>,
    settled: Option<(String, u64)>,
    holders: Vec<String>,
}

impl Story {
    /// The sandbox did something.
    pub fn act(&mut self, at: Instant, text: String) {
        self.note(at, What::Act(text.clone()), text);
    }

    /// A daemon changed its role. `heard` is when it last got a datagram of the node that was active.
    pub fn transition(&mut self, transition: &Transition, heard: Option<Instant>) -> Option<Move> {
        let Transition { at, node, to, epoch, cause, detail, .. } = transition;
        for (at, text) in &transition.steps {
            let text = format!("{node}: {text}");
            // A timeline begins again with the steps that an earlier one ended with.
            let same = |m: &&Moment| m.text == text && m.at.since(*at).max(at.since(m.at)) < SAME;
            if !is_role(&text) && !self.pending.iter().any(|m| same(&m)) {
                self.note(*at, What::Other, text);
            }
        }
        if to == "claiming" {
            self.claims.retain(|(n, _)| n != node);
            self.claims.push((node.clone(), cause.clone()));
            let before = self.holders.last().filter(|&holder| holder != node).cloned();
            // Only silence has a last sign of life worth dating.
            if let (Some(of), Some(heard)) = (before, heard.filter(|_| cause != "handed-over")) {
                let text = format!("last heartbeat of {of} reaches {node}");
                self.pending.retain(|m| m.what != What::LastHeard { of: of.clone(), by: node.clone() });
                self.note(heard, What::LastHeard { of, by: node.clone() }, text);
            }
        }
        let why = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let role = What::Role { to: to.clone(), node: node.clone() };
        self.note(*at, role, format!("{node} {to} ({cause}){why}"));
        if to == "active" {
            self.active = Some((node.clone(), *epoch, *at));
        } else if self.active.as_ref().is_some_and(|(n, ..)| n == node) {
            self.active = None;
        }
        self.settle()
    }

    /// A daemon ended, whatever its role was.
    pub fn gone(&mut self, at: Instant, node: &str, how: &str) {
        if self.active.as_ref().is_some_and(|(n, ..)| n == node) {
            self.active = None;
        }
        self.note(at, What::Other, format!("{node} has ended: {how}"));
    }

    /// A node looked at the cloud. Only the first look of a wait for a move is worth a step.
    pub fn look(&mut self, at: Instant, node: &str) {
        let text = format!("{node} asks the cloud who has the HAVIP");
        let is_active = self.active.as_ref().is_some_and(|(n, ..)| n == node);
        let since = self.pending.iter().rev().find(|m| matches!(m.what, What::Act(_))).map(|m| m.at);
        let said = self.pending.iter().any(|m| m.what == What::Look && m.text == text && Some(m.at) > since);
        if !is_active && !said && since.is_some() {
            self.note(at, What::Look, text);
        }
    }

    /// A node's write reached the cloud.
    pub fn write(&mut self, at: Instant, node: &str, what: &str, outcome: &str) {
        self.note(at, What::Other, format!("{node}: {what} reaches the cloud: {outcome}"));
    }

    /// Packets go somewhere else from now on.
    pub fn packets(&mut self, at: Instant, to: Option<&str>) -> Option<Move> {
        self.packets = to.map(str::to_owned);
        self.packets_since = at;
        if let Some(to) = to {
            let moved = self.had_packets.replace(to.to_owned()).is_some_and(|before| before != to);
            self.packet_moves += usize::from(moved);
        }
        let text = to.map_or_else(|| "packets go nowhere".to_owned(), |to| format!("packets go to {to}"));
        self.note(at, What::Other, text);
        self.settle()
    }

    /// Where packets go.
    #[must_use]
    pub fn packets_to(&self) -> Option<&str> {
        self.packets.as_deref()
    }

    /// How often packets went to another node than before.
    #[must_use]
    pub const fn packet_moves(&self) -> usize {
        self.packet_moves
    }

    /// Who had the HAVIP last, other than `active`.
    #[must_use]
    pub fn previous(&self, active: Option<&str>) -> Option<&str> {
        self.holders.iter().rev().map(String::as_str).find(|holder| Some(*holder) != active)
    }

    fn note(&mut self, at: Instant, what: What, text: String) {
        if self.pending.len() == PENDING_MAX {
            // Actions and roles say where a move begins: what merely repeats goes first.
            let dispensable = self.pending.iter().position(|m| m.what == What::Other).unwrap_or_default();
            self.pending.remove(dispensable);
        }
        self.pending.push(Moment { at, what, text });
    }

    /// Makes a move of what has happened, if a node has become active and gets the packets.
    fn settle(&mut self) -> Option<Move> {
        let (to, epoch, active_since) = self.active.clone()?;
        if self.packets.as_deref() != Some(to.as_str()) || self.settled.as_ref() == Some(&(to.clone(), epoch)) {
            return None;
        }
        self.settled = Some((to.clone(), epoch));
        let mut moments = std::mem::take(&mut self.pending);
        in_order(&mut moments);
        let zero = zero(&moments).unwrap_or(active_since);
        let end = active_since.max(self.packets_since);
        let relevant = |m: &&Moment| m.at >= zero || matches!(m.what, What::LastHeard { .. });
        let steps: Vec<Step> =
            moments.iter().filter(relevant).map(|m| Step { ms: millis(zero, m.at), text: m.text.clone() }).collect();
        let from = self.holders.last().cloned();
        if from.as_ref() != Some(&to) {
            self.holders.push(to.clone());
        }
        let claim = self.claims.iter().find(|(n, _)| *n == to);
        let cause = claim.map_or_else(|| "unknown".to_owned(), |(_, cause)| cause.clone());
        Some(Move {
            number: self.packet_moves,
            from,
            to,
            epoch,
            cause,
            total_ms: millis(zero, end),
            steps: shorten(steps),
        })
    }
}

/// The last thing done before the first change of role that led here; without one, that change.
fn zero(moments: &[Moment]) -> Option<Instant> {
    let begins = |m: &&Moment| matches!(&m.what, What::Role { to, .. } if to == "claiming" || to == "releasing");
    let begin = moments.iter().find(begins)?.at;
    let act = moments.iter().rev().find(|m| m.at <= begin && matches!(m.what, What::Act(_)));
    Some(act.map_or(begin, |m| m.at))
}

/// By time, and causes before their effects where both have the same one: what daemons date is rounded, and what the cloud and
/// the network see is not.
fn in_order(moments: &mut [Moment]) {
    moments.sort_by_key(|m| m.at);
    for at in 1..moments.len() {
        // Steps of one write do not overtake each other: one that stands too late goes before the first that follows from it.
        let late = &moments[at];
        let Some((node, rank)) = stage(&late.text) else { continue };
        let follows = |m: &Moment| {
            late.at.since(m.at) < SAME && stage(&m.text).is_some_and(|(n, r)| r > rank && (n == node || n.is_empty()))
        };
        if let Some(first) = (0..at).find(|i| follows(&moments[*i])) {
            let date = moments[first].at;
            moments[first..=at].rotate_right(1);
            moments[first].at = date;
        }
    }
}

/// Which step of a claim's write it is, and whose: no step of one write comes before one of a lower number.
fn stage(text: &str) -> Option<(&str, u8)> {
    if text.starts_with("packets go to ") {
        return Some(("", 4));
    }
    if let Some((node, _)) = text.split_once(" claiming (").filter(|(node, _)| !node.contains(' ')) {
        return Some((node, 0));
    }
    let (node, step) = text.split_once(": ")?;
    let rank = match step {
        _ if step.starts_with("epoch ") && step.contains(" begins") => 0,
        _ if step.ends_with(" queued") => 1,
        _ if step.ends_with(" sent") => 2,
        _ if step.contains(" reaches the cloud") => 3,
        _ if step.starts_with("write answered") || step.starts_with("write failed") => 5,
        _ => return None,
    };
    Some((node, rank))
}

fn millis(zero: Instant, at: Instant) -> f64 {
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    if at >= zero { ms(at.since(zero)) } else { -ms(zero.since(at)) }
}

/// A move that took long has the same step over and over: keeps both ends.
fn shorten(mut steps: Vec<Step>) -> Vec<Step> {
    if steps.len() > STEPS_MAX {
        let tail = steps.split_off(steps.len() - STEPS_MAX / 2);
        let left_out = steps.len() - STEPS_MAX / 2;
        steps.truncate(STEPS_MAX / 2);
        let ms = tail.first().map_or(0.0, |s| s.ms);
        steps.push(Step { ms, text: format!("({} left out)", plural(left_out, "step")) });
        steps.extend(tail);
    }
    steps
}

/// Daemons put the change of role itself among the steps.
fn is_role(text: &str) -> bool {
    let step = text.split_once(": ").map_or(text, |(_, step)| step);
    ["backup (", "claiming (", "active (", "releasing (", "fault ("].iter().any(|role| step.starts_with(role))
}

#[cfg(test)]
mod tests;
