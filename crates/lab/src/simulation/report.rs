//! What a run tells: figures, a violation if there was one, and a readable account.

use super::scenario::Scenario;
use havipd_core::model::role::Role;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The last lines of the readable account.
#[derive(Debug)]
pub struct Trace {
    keep: usize,
    lines: VecDeque<String>,
}

impl Trace {
    /// One that keeps so many lines.
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, lines: VecDeque::new() }
    }

    pub(super) fn add(&mut self, at: Duration, host: &str, text: String) {
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>11.4} {host:>3} {text}", at.as_secs_f64()));
    }

    /// All that was kept, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

/// Figures of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Things that happened.
    pub events: u64,
    /// Turns of cores.
    pub turns: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Calls of the cloud.
    pub calls: u64,
    /// Datagrams that an attacker sent.
    pub forged: u64,
    /// How often a HAVIP that somebody served was served by nobody.
    pub lapses: u64,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, or `expect`.
    pub invariant: &'static str,
    /// Since the beginning of the scenario.
    pub at: Duration,
    /// What was seen.
    pub text: String,
    /// Other invariants that the same instant broke, and what they saw.
    pub besides: Vec<(&'static str, String)>,
}

/// The outcome of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// Time that passed in it.
    pub simulated: Duration,
    /// Figures.
    pub stats: Stats,
    /// Who was active in the end, per group.
    pub active: Vec<Option<String>>,
    /// Role of every node in the end, per group; `None` where no daemon ran.
    pub roles: Vec<Vec<Option<Role>>>,
    /// Moves, per group: when, and to whom.
    pub moves: Vec<Vec<(Duration, String)>>,
    /// How long after the faults ended all was as it should be, for good.
    pub converged: Option<Duration>,
    /// Within which it had to be.
    pub bound: Duration,
    /// What was last seen not to be as it should after the faults ended.
    pub unsettled: Option<String>,
    /// Where the order of calls was given: how many steps waited, at each choice.
    pub choices: Vec<u8>,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// The last lines of the account, if one was kept.
    pub trace: String,
}

impl Report {
    /// How far the run came, and what that says: whether all settled, or why nobody can tell.
    #[must_use]
    pub fn ending(&self) -> String {
        let end = self.simulated.as_secs_f64();
        let quiet = Duration::from_millis(self.scenario.quiet_ms);
        let why = self.unsettled.as_ref().map(|why| format!("; last: {why}")).unwrap_or_default();
        let kept = if self.violation.is_some() { "" } else { "; no promise was broken until then" };
        match (self.converged, &self.violation) {
            (Some(after), _) => format!("settled {:.1} s after the faults ended", after.as_secs_f64()),
            // What the scenario expects is looked at in the end; a promise ends the run where it is broken.
            (None, Some(v)) if v.invariant != "expect" => {
                format!("stopped at {end:.1} s, where a promise was broken; nothing after it was played")
            }
            (None, _) if self.simulated < quiet => format!(
                "ended at {end:.1} s (end-ms), before the faults end at {:.1} s (quiet-ms): whether all settles again was not \
                 played{kept}",
                quiet.as_secs_f64()
            ),
            (None, _) if self.simulated < quiet + self.bound => format!(
                "ended at {end:.1} s (end-ms), {:.1} s after the faults, before all has to be settled ({:.1} s): whether it \
                 settles was not played{kept}{why}",
                self.simulated.saturating_sub(quiet).as_secs_f64(),
                self.bound.as_secs_f64()
            ),
            (None, _) => format!(
                "not settled {:.1} s after the faults ended, and with the cloud's profile {} nobody can make it so{kept}{why}",
                self.simulated.saturating_sub(quiet).as_secs_f64(),
                self.scenario.cluster.profile
            ),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moves: usize = self.moves.iter().map(Vec::len).sum();
        let counted = |n: usize| if n == 1 { "1 move".to_owned() } else { format!("{n} moves") };
        let active: Vec<&str> = self.active.iter().map(|node| node.as_deref().unwrap_or("nobody")).collect();
        writeln!(
            f,
            "{} (seed {}): {:.0} s simulated, {} turns, {} datagrams, {} calls, {} forged, {}, active {}",
            self.scenario.name,
            self.scenario.seed,
            self.simulated.as_secs_f64(),
            self.stats.turns,
            self.stats.datagrams,
            self.stats.calls,
            self.stats.forged,
            counted(moves),
            active.join(", "),
        )?;
        writeln!(f, "{}", self.ending())?;
        if let Some(v) = &self.violation {
            let besides = v.besides.iter().map(|(invariant, text)| (*invariant, text));
            for (invariant, text) in std::iter::once((v.invariant, &v.text)).chain(besides) {
                writeln!(f, "VIOLATED {invariant} at {:.4} s: {text}", v.at.as_secs_f64())?;
            }
        }
        Ok(())
    }
}
