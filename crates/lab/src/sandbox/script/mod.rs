//! The language of `havipd-lab sandbox --script`: one command a line, no variables, no branches.
//!
//! A script is read whole before anything starts, and everything that is wrong with it is said at
//! once, with line and column.

mod parse;

pub use parse::parse;

use super::act::Act;
use havipd_core::model::plural::plural;
use std::fmt;
use std::time::Duration;

/// The script that is built in.
pub const FAILOVER: &str = include_str!("failover.txt");

/// How long a command may take that waits, unless `within` says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The language in one screen, for `--help`.
pub const HELP: &str = "\
Examples:
  havipd-lab sandbox
      three nodes in a live view, with keys that break things
  havipd-lab sandbox --script failover
      unattended: kills, moves and their timelines; 1 if the HAVIP did
      not follow
  havipd-lab sandbox --nodes 2 --witness --profile first-stays \\
      --script my.txt

A script has one command a line; # begins a comment. NODE is the name of
a node (a, b, c, ...), or
  active    who is active now
  previous  who was, before that
  standby   the first node that runs and is not active

  wait FACT                  until it is so
  expect FACT                it is so, or the script ends with 1
     FACT: active [NODE]     active, the cloud names it, has packets
           holder NODE       the cloud names it as master
           packets NODE      packets go to it
           up NODE           its daemon runs and hears the others
           moves N           packets went elsewhere N times so far
  kill NODE                  SIGKILL
  stop NODE | cont NODE      SIGSTOP, SIGCONT
  term NODE | start NODE     SIGTERM; start again
  partition NODE[,NODE]      cut off from the others, not from the API
  partition NODE -> NODE[,NODE]
                             what the first sends to the others is lost
  api NODE|all STATUS|hang|throttle|ok
                             break or repair the API
  heal                       end all partitions and faults of the API
  switchover NODE            planned move; waits until NODE is active
  drain NODE | undrain NODE  hand over, stay ineligible; end of that
  profile NAME               another profile of the emulated cloud
  pause DURATION             go on later
  note TEXT                  say something
  within DURATION COMMAND    for wait, expect, switchover, drain and
                             undrain: how long it may take (default 30s;
                             expect: 0s). Durations: 500ms, 10s, 2m.";

/// A node, as a script names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRef {
    /// By its name.
    Named(String),
    /// Who is active.
    Active,
    /// Who was active before.
    Previous,
    /// The first that runs, may hold the HAVIP and is not active.
    Standby,
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named(name) => name,
            Self::Active => "active",
            Self::Previous => "previous",
            Self::Standby => "standby",
        })
    }
}

/// Something that can be so or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<N> {
    /// This node (or some node) is active, is the cloud's master, and gets the packets.
    Active(Option<N>),
    /// The cloud's master is this node.
    Holder(N),
    /// Packets go to this node.
    Packets(N),
    /// This node's daemon answers, and hears every other that runs.
    Up(N),
    /// Packets went to another node so often since the start.
    Moves(usize),
}

impl<N> Fact<N> {
    /// The same with nodes named another way.
    ///
    /// # Errors
    /// A name that cannot be translated.
    pub fn try_map<M, E>(&self, mut name: impl FnMut(&N) -> Result<M, E>) -> Result<Fact<M>, E> {
        Ok(match self {
            Self::Active(node) => Fact::Active(node.as_ref().map(name).transpose()?),
            Self::Holder(node) => Fact::Holder(name(node)?),
            Self::Packets(node) => Fact::Packets(name(node)?),
            Self::Up(node) => Fact::Up(name(node)?),
            Self::Moves(number) => Fact::Moves(*number),
        })
    }
}

impl<N: fmt::Display> fmt::Display for Fact<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active(None) => f.write_str("a node is active and the cloud agrees"),
            Self::Active(Some(n)) => write!(f, "{n} is active and the cloud agrees"),
            Self::Holder(n) => write!(f, "the cloud names {n} as master"),
            Self::Packets(n) => write!(f, "packets go to {n}"),
            Self::Up(n) => write!(f, "{n} is up and hears the others"),
            Self::Moves(number) => write!(f, "packets moved {}", plural(number, "time")),
        }
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say this.
    Note(String),
    /// Go on later.
    Pause(Duration),
    /// Go on once it is so.
    Wait(Fact<NodeRef>),
    /// End with 1 unless it is so.
    Expect(Fact<NodeRef>),
    /// Do this.
    Do(Act<NodeRef>),
}

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As it was written, without comment and spaces around.
    pub text: String,
    /// How long it may take.
    pub within: Duration,
    /// What it says.
    pub command: Command,
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}
