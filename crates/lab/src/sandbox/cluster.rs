//! A running cluster: the emulated cloud, the relay and the daemons, and what is done to them.

mod act;
mod begin;
mod take_in;

pub use act::ActError;

use super::act::ApiFault;
use super::facts::{CloudFacts, Facts, NodeFacts, Process, Session};
use super::node::{Daemon, Event, Launcher};
use super::relay::Relay;
use super::said::Status;
use super::setup::{Plan, PrivateDirectory};
use super::timeline::{Move, Story};
use crate::emulator::{Control, Emulator, EmulatorError};
use crate::simulation::cloud::MasterChange;
use havipd::clock;
use havipd::control::SOCKET;
use havipd_core::model::time::Instant;
use havipd_core::wire::session::SessionState;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

/// Time between two looks at the cloud and at what guests announce.
const TICK: Duration = Duration::from_millis(50);
/// Lines kept of each daemon's log.
const TAIL: usize = 40;
/// Pieces of news kept.
const NEWS: usize = 20;

/// Why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The private directory, or a file in it.
    #[error("cannot make a private directory below {}: {source}", path.display())]
    Files {
        /// Below which directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No UDP ports.
    #[error("cannot get ports on the loopback: {0}")]
    Ports(#[source] io::Error),
    /// The emulated cloud.
    #[error("the emulated cloud cannot start: {0}")]
    Emulator(#[from] EmulatorError),
    /// A daemon.
    #[error("cannot start the daemon of node {node}: {source}")]
    Daemon {
        /// Whose.
        node: String,
        /// Why not.
        source: io::Error,
    },
}

/// Something that a user may want to read.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// One line.
    Line(String),
    /// A move has been completed.
    Moved(Move),
}

/// One node and its daemon, if one runs.
#[derive(Debug)]
struct Node {
    directory: PathBuf,
    daemon: Option<Daemon>,
    /// Daemons it has had: what earlier ones are still heard of is old.
    runs: u64,
    process: Process,
    status: Option<Status>,
    role: Option<String>,
    tail: VecDeque<String>,
    api: Option<(ApiFault, u64)>,
    /// When it last changed its role.
    changed: Instant,
    /// When its guest last announced the address.
    announced: Instant,
    /// When it was continued after a stop; its role is one of before until it speaks.
    continued: Option<Instant>,
}

/// All of it; dropping it kills the daemons and removes the directory.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    /// Before the directory, so that no daemon writes into it while it goes.
    nodes: Vec<Node>,
    launcher: Launcher,
    events: mpsc::Receiver<Event>,
    emulator: Emulator,
    control: Control,
    traffic: broadcast::Receiver<MasterChange>,
    relay: Relay,
    tick: tokio::time::Interval,
    story: Story,
    started: Instant,
    calls: u64,
    api_of_all: Option<(ApiFault, u64)>,
    last_move: Option<Move>,
    news: VecDeque<String>,
    directory: PrivateDirectory,
}

impl Cluster {
    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// URL of the emulated cloud.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.emulator.endpoint()
    }

    /// What is wrong with the API for everybody.
    #[must_use]
    pub fn api_of_all(&self) -> Option<ApiFault> {
        self.api_of_all.map(|(fault, _)| fault)
    }

    /// Shows a refusal among the news.
    pub fn complain(&mut self, error: &ActError) {
        self.say(error.to_string());
    }

    /// Says something to those who look.
    pub fn answer(&mut self, text: &str) {
        self.say(text.to_owned());
    }

    /// The end of each daemon's log.
    pub fn tails(&self) -> impl Iterator<Item = (&str, &VecDeque<String>)> {
        self.plan.nodes.iter().zip(&self.nodes).map(|(plan, node)| (plan.name.as_str(), &node.tail))
    }

    /// Waits until something happens, and takes it in. Can be given up at any time.
    pub async fn turn(&mut self) -> Vec<News> {
        tokio::select! {
            // There is always a sender: the launcher's.
            Some(event) = self.events.recv() => self.heard(event),
            change = self.traffic.recv() => match change {
                Ok(change) => self.packets(change.target.as_deref()),
                // Some were missed: where they go now is what counts.
                Err(_) => {
                    let target = self.control.view().havips.into_iter().find_map(|h| h.traffic);
                    self.packets(target.as_deref())
                }
            },
            _ = self.tick.tick() => {
                self.look_at_calls();
                self.announce();
                Vec::new()
            }
        }
    }

    fn name(&self, node: usize) -> &str {
        &self.plan.nodes[node].name
    }

    /// The name of the node that a target of the cloud is; a stranger's id stays.
    fn name_of(&self, target: &str) -> String {
        let node = self.plan.nodes.iter().find(|n| n.instance() == target);
        node.map_or_else(|| target.to_owned(), |n| n.name.clone())
    }

    fn say(&mut self, line: String) -> News {
        if self.news.len() == NEWS {
            self.news.pop_front();
        }
        self.news.push_back(line.clone());
        News::Line(line)
    }

    fn moved(&mut self, told: Option<Move>) -> Option<News> {
        let told = told?;
        self.last_move = Some(told.clone());
        Some(News::Moved(told))
    }

    /// Everything as it is now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let view = self.control.view();
        let havip = view.havips.into_iter().next();
        let cloud = CloudFacts {
            profile: view.profile.name,
            bound: havip.iter().flat_map(|h| &h.bound).map(|b| self.name_of(&b.id)).collect(),
            master: havip.as_ref().and_then(|h| h.master.as_ref()).map(|m| self.name_of(m)),
            // As the story has it: who is active and has the packets has then also been told as a move.
            packets: self.story.packets_to().map(str::to_owned),
            calls: self.calls,
        };
        let nodes = (0..self.nodes.len()).map(|n| self.node_facts(n)).collect();
        let mut facts = Facts {
            uptime: clock::now().since(self.started),
            arbiter: self.plan.arbiter.clone(),
            nodes,
            cloud,
            cuts: self.relay.cuts(),
            moves: self.story.packet_moves(),
            previous: None,
            last_move: self.last_move.clone(),
            news: self.news.iter().cloned().collect(),
        };
        let active = facts.active().map(|n| self.name(n));
        facts.previous = self.story.previous(active).map(str::to_owned);
        facts
    }

    fn node_facts(&self, number: usize) -> NodeFacts {
        let (plan, node) = (&self.plan.nodes[number], &self.nodes[number]);
        let status = node.status.as_ref();
        let unknown = |peer| Session { peer, state: SessionState::Unproven };
        let sessions = || (0..self.nodes.len()).filter(|&n| n != number).map(unknown).collect();
        NodeFacts {
            name: plan.name.clone(),
            witness: plan.witness,
            process: node.process.clone(),
            answers: status.is_some(),
            role: node.role.clone(),
            epoch: status.map_or(0, |s| s.epoch),
            why: status.map(|s| s.why.clone()).unwrap_or_default(),
            drained: status.is_some_and(|s| s.drained),
            sessions: status.map_or_else(sessions, |s| s.sessions.clone()),
            api: node.api.or(self.api_of_all).map(|(fault, _)| fault),
            socket: node.directory.join("run").join(SOCKET).display().to_string(),
        }
    }

    /// Kills and reaps every daemon, ends the cloud, removes the directory.
    pub async fn shutdown(self) {
        let Self { nodes, events, emulator, directory, .. } = self;
        // Nobody listens any more: what the daemons still say must not keep their tasks waiting.
        drop(events);
        for daemon in nodes.into_iter().filter_map(|n| n.daemon) {
            daemon.end().await;
        }
        emulator.shutdown().await;
        drop(directory);
    }
}

impl Node {
    fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            daemon: None,
            runs: 0,
            process: Process::Gone { how: "not started yet".to_owned() },
            status: None,
            role: None,
            tail: VecDeque::new(),
            api: None,
            changed: Instant::default(),
            announced: Instant::default(),
            continued: None,
        }
    }

    fn keep(&mut self, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}
