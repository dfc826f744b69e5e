//! Two nodes that run one of the programs, and what happens to them.

use crate::Program;
use crate::clock::{Moment, wait};
use crate::daemon::Daemon;
use crate::fabric::{Fabric, HAVIPS, PORT, havips};
use crate::network::{CLOUD, NODES, Network, Node};
use crate::probe::Probe;
use crate::router::{Ear, Keepalived};
use havipd_lab::simulation::cloud::{Operation, Profile};
use rustix::process::Signal;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(180);

/// The one that is preferred, and the other.
pub(crate) const PAIR: [Node; 2] = [NODES[0], NODES[1]];

/// How a pair is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Time between heartbeats; `None`: as it comes, and so is the dead time.
    pub(crate) interval: Option<Duration>,
    /// Of havipd; keepalived has three.
    pub(crate) multiplier: u32,
    pub(crate) groups: usize,
    /// Of havipd. `majority` has a third voter.
    pub(crate) arbiter: &'static str,
    /// So late the API answers.
    pub(crate) late: Duration,
}

impl Setting {
    pub(crate) fn of(interval: Duration, multiplier: u32) -> Self {
        Self { interval: Some(interval), multiplier, groups: 1, arbiter: "cloud", late: Duration::ZERO }
    }

    pub(crate) fn defaults() -> Self {
        Self { interval: None, ..Self::of(Duration::ZERO, 0) }
    }

    /// The nodes that take part, the witness last.
    fn nodes(&self) -> &'static [Node] {
        if self.arbiter == "majority" { &NODES } else { &NODES[..2] }
    }

    fn havipd_toml(&self) -> String {
        let mut text = String::from("[cluster]\nname = \"compare\"\n\n");
        for (node, priority) in self.nodes().iter().zip([150, 100, 0]) {
            let _ = writeln!(text, "[[node]]\nname = {:?}\naddress = \"{}\"", node.name(), node.address());
            let _ = match priority {
                0 => writeln!(text, "witness = true\n"),
                _ => writeln!(text, "instance = {:?}\npriority = {priority}\n", node.instance()),
            };
        }
        text.push_str("[heartbeat]\nkeys = [{ id = 1, file = \"heartbeat.key\" }]\n");
        if let Some(interval) = self.interval {
            let (interval, times) = (interval.as_millis(), self.multiplier);
            let _ = writeln!(text, "interval = \"{interval}ms\"\ndead-multiplier = {times}");
        }
        let _ = writeln!(
            text,
            "\n[cloud]\nregion = \"bj\"\nendpoint = \"http://{CLOUD}:{PORT}\"\nmetadata-endpoint = \"http://{CLOUD}:{PORT}\"\n\n\
             [cloud.credentials]\nsource = \"file\"\nfile = \"credentials.toml\"\n\n[metrics]\nlisten = \"off\"\n"
        );
        for (id, address) in havips(self.groups) {
            let arbiter = self.arbiter;
            let _ = writeln!(
                text,
                "[[group]]\nname = \"{id}\"\narbiter = \"{arbiter}\"\npreempt = false\n[[group.havip]]\nid = \"{id}\"\n\
                 address = \"{address}\"\n"
            );
        }
        text
    }
}

#[derive(Debug)]
enum Running {
    Havipd(Box<Daemon>),
    Keepalived(Keepalived),
}

impl Running {
    fn pids(&self) -> Vec<u32> {
        match self {
            Self::Havipd(daemon) => vec![u32::try_from(daemon.pid()).expect("is a pid")],
            Self::Keepalived(keepalived) => keepalived.pids(),
        }
    }
}

/// What a crash came to.
#[derive(Debug)]
pub(crate) struct Crash {
    /// From the last heartbeat of the dead node until the last group had moved.
    pub(crate) silence: Duration,
    /// From the crash until then.
    pub(crate) took: Duration,
    /// What the client of the first group saw.
    pub(crate) outage: Option<Duration>,
    pub(crate) calls: usize,
    pub(crate) attaches: usize,
    pub(crate) reads: usize,
    pub(crate) failed: usize,
}

/// The running pair. What runs is dropped before what it runs in.
#[derive(Debug)]
pub(crate) struct Pair {
    setting: Setting,
    running: Vec<Running>,
    pub(crate) started_in: Duration,
    ear: Ear,
    probe: Probe,
    pub(crate) fabric: Fabric,
    pub(crate) network: Network,
    _run: tempfile::TempDir,
}

impl Pair {
    /// Starts it, and waits until every group is on one node.
    pub(crate) fn start(program: Program, setting: Setting) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compare").join(program.name());
        // Of the pair before.
        let _ = std::fs::remove_dir_all(&dir);
        let run = crate::memory::directory_in(&std::env::temp_dir(), "havipd-cmp-");
        let network = Network::new();
        // To keepalived the fabric is one that follows gratuitous ARP, no matter who is bound.
        let profile = match program {
            Program::Havipd => Profile::attach_moves(),
            Program::Keepalived => Profile::garp_steals(),
        };
        let fabric = Fabric::start(&network, profile);
        fabric.create_to(setting.groups);
        fabric.slow(setting.late);
        let (probe, ear) = (Probe::start(&network), Ear::start(&network));
        let began = Moment::now();
        let text = setting.havipd_toml();
        let start = |node: &Node| match program {
            Program::Havipd => {
                let mut daemon = Daemon::new(*node, &dir, run.path());
                daemon.configure(&text);
                daemon.start_logging(network.node(*node), "info");
                Running::Havipd(Box::new(daemon))
            }
            Program::Keepalived => Running::Keepalived(Keepalived::start(
                *node,
                setting.interval,
                setting.groups,
                &dir,
                run.path(),
                &network,
            )),
        };
        let nodes = if program == Program::Havipd { setting.nodes() } else { &PAIR };
        let running = nodes.iter().map(start).collect();
        let mut pair = Self { setting, running, started_in: Duration::ZERO, ear, probe, fabric, network, _run: run };
        pair.settled(None);
        pair.started_in = pair.last_move(began).since(began);
        pair.all_quiet();
        pair
    }

    /// When packets went elsewhere last, since `then`.
    fn last_move(&self, then: Moment) -> Moment {
        self.fabric.all_moves_since(then).iter().map(|m| m.at).max().unwrap_or(then)
    }

    /// Waits until the packets of every group go to one node, another one than `not`, whose addresses they are.
    fn settled(&self, not: Option<Node>) -> Node {
        let wanted = havips(self.setting.groups);
        wait("every group is on one node", PATIENCE, || {
            let view = self.fabric.control.view();
            let of = |id: &str| view.havips.iter().find(|h| h.id == id).and_then(|h| h.traffic.clone());
            let mut nodes: Vec<Option<Node>> =
                wanted.iter().map(|(id, _)| of(id).as_deref().and_then(Node::of_instance)).collect();
            nodes.dedup();
            let [Some(node)] = nodes.as_slice() else { return Err(format!("packets go to {nodes:?}")) };
            let there = self.network.virtual_addresses(*node);
            let lacking = wanted.iter().filter(|(_, address)| !there.contains(address)).count();
            if lacking > 0 || Some(*node) == not {
                return Err(format!("{} has them, but {lacking} addresses are not there", node.name()));
            }
            Ok(*node)
        })
        .unwrap()
    }

    /// Waits until both are in touch and nothing of the start is left.
    fn all_quiet(&self) {
        for running in &self.running {
            let Running::Havipd(daemon) = running else { continue };
            wait("the nodes are in touch", PATIENCE, || {
                let status = daemon.ask(&json!({"command": "status"}))?;
                let peers = status["data"]["peers"].as_array().cloned().unwrap_or_default();
                let up = peers.iter().all(|p| p["state"] == json!("up"));
                let voting = daemon.groups()?.iter().all(|g| g["votes_in_ms"].as_u64().is_none());
                (up && voting).then_some(()).ok_or_else(|| format!("peers are {peers:?}"))
            })
            .unwrap();
        }
        // keepalived's second burst of announcements comes five seconds after the first.
        let rest = if matches!(self.running[0], Running::Keepalived(_)) { 6 } else { 2 };
        Moment::now().after(Duration::from_secs(rest)).rest_until();
    }

    /// Whom the packets of the first group go to, as its node's number among those that run.
    pub(crate) fn active(&self) -> usize {
        self.settled(None).0
    }

    /// The processes of one node.
    pub(crate) fn pids(&self, node: usize) -> Vec<u32> {
        self.running[node].pids()
    }

    /// Moves the group in order; how many datagrams of the client got no answer.
    pub(crate) fn planned(&mut self) -> usize {
        let from = self.active();
        let to = PAIR[1 - from];
        let mark = self.probe.next();
        match &mut self.running[from] {
            Running::Havipd(daemon) => {
                let request = json!({"command": "switchover", "group": HAVIPS[0].id(), "to": to.name()});
                wait("the switchover is accepted", PATIENCE, || daemon.ask(&request)).unwrap();
            }
            Running::Keepalived(keepalived) => keepalived.stop(),
        }
        self.settled(Some(PAIR[from]));
        let lost = self.probe.outage(HAVIPS[0], mark..self.answered(mark, to)).lost;
        if let Running::Keepalived(keepalived) = &mut self.running[from] {
            keepalived.start_again(&self.network);
            // The one with the higher priority takes it back.
            self.settled(Some(to));
        }
        self.all_quiet();
        lost
    }

    /// One after the first datagram from `mark` on that `by` answered and after which nothing is missing.
    fn answered(&self, mark: usize, by: Node) -> usize {
        wait("the client gets its answers", PATIENCE, || {
            let from = self.probe.next();
            let answer = wait("an answer", Duration::from_secs(1), || {
                self.probe.latest_answer(HAVIPS[0], from.max(mark)).ok_or_else(|| "none".to_owned())
            });
            match answer? {
                (datagram, node) if node == by => Ok(datagram + 1),
                (_, node) => Err(format!("{} answers", node.name())),
            }
        })
        .unwrap()
    }

    /// The node that has the groups loses power.
    pub(crate) fn crash(&mut self) -> Crash {
        let victim = self.active();
        // An outage counts from an answer: the stretch begins with the last one that is known of.
        let mark = self.answered(self.probe.next(), PAIR[victim]) - 1;
        let at = Moment::now();
        self.network.disconnect(PAIR[victim]);
        match &mut self.running[victim] {
            Running::Havipd(daemon) => {
                daemon.signal(Signal::KILL);
                daemon.kill();
            }
            Running::Keepalived(keepalived) => keepalived.kill(),
        }
        let to = self.settled(Some(PAIR[victim]));
        let moved = self.last_move(at);
        let calls = self.fabric.all_calls_since(at, to);
        let calls: Vec<_> = calls.into_iter().filter(|call| call.at_us * 1000 <= moved.0).collect();
        let count = |of: &dyn Fn(Operation) -> bool| calls.iter().filter(|c| c.operation.is_some_and(of)).count();
        let outage = self.probe.outage(HAVIPS[0], mark..self.answered(mark, to)).longest;
        Crash {
            silence: moved.since(self.ear.last_of(PAIR[victim])),
            took: moved.since(at),
            outage: Some(outage),
            attaches: count(&|o| o == Operation::Attach),
            reads: count(&|o| !o.writes()),
            failed: calls.iter().filter(|c| c.outcome != "200").count(),
            calls: calls.len(),
        }
    }
}
