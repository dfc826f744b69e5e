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
    /// Where the order of calls was given: how many steps waited, at each choice.
    pub choices: Vec<u8>,
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// The last lines of the account, if one was kept.
    pub trace: String,
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
        match self.converged {
            Some(after) => writeln!(f, "settled {:.1} s after the faults ended", after.as_secs_f64())?,
            None => writeln!(f, "not settled")?,
        }
        if let Some(v) = &self.violation {
            let besides = v.besides.iter().map(|(invariant, text)| (*invariant, text));
            for (invariant, text) in std::iter::once((v.invariant, &v.text)).chain(besides) {
                writeln!(f, "VIOLATED {invariant} at {:.4} s: {text}", v.at.as_secs_f64())?;
            }
        }
        Ok(())
    }
}
