//! A cluster of three daemons in its network, and the facts that can be told of it.

use crate::clock::{Moment, wait};
use crate::daemon::{Change, Daemon, group, members};
use crate::fabric::{Fabric, HAVIPS, Havip};
use crate::network::{NODES, Network, Node};
use crate::probe::Probe;
use havipd_lab::emulator::{Command, Permission};
use havipd_lab::simulation::cloud::Profile;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than anything here takes on a busy machine; reached only when a case fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The whole laboratory. What runs is dropped before what it runs in.
#[derive(Debug)]
pub(crate) struct Lab {
    daemons: [Daemon; 3],
    pub(crate) probe: Probe,
    pub(crate) fabric: Fabric,
    pub(crate) network: Network,
    _run: tempfile::TempDir,
}

/// Where a case began: instant, and the client's next datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) at: Moment,
    pub(crate) datagram: usize,
}

/// A group has come to rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    pub(crate) node: Node,
    /// A datagram that was answered by it after everything else was true.
    pub(crate) datagram: usize,
}

impl Lab {
    /// Builds it all; configuration and logs are kept below `target`.
    pub(crate) fn new(profile: &Profile) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("netns").join(&profile.name);
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("cannot clear {}: {e}", dir.display()));
        }
        let run = crate::memory::directory("havipd-lab-");
        let network = Network::new();
        let fabric = Fabric::start(&network, profile.clone());
        let probe = Probe::start(&network);
        let daemons = NODES.map(|node| Daemon::new(node, &dir, run.path()));
        let mut lab = Self { daemons, probe, fabric, network, _run: run };
        NODES.into_iter().for_each(|node| lab.start(node));
        lab
    }

    pub(crate) fn daemon(&mut self, node: Node) -> &mut Daemon {
        &mut self.daemons[node.0]
    }

    pub(crate) fn start(&mut self, node: Node) {
        self.daemons[node.0].start(self.network.node(node));
    }

    /// Takes `node` off every network at once, announcements included; its interface stays up.
    pub(crate) fn cut(&self, node: Node) {
        self.fabric.ignore(node);
        self.network.cut(node);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { datagram: self.probe.next(), at: Moment::now() }
    }

    /// Asks `node` to hand a group to another.
    pub(crate) fn switch_over(&self, havip: Havip, from: Node, to: Node) -> Result<(), String> {
        let request = json!({"command": "switchover", "group": group(havip), "to": to.name()});
        wait("the switchover is accepted", PATIENCE, || self.daemons[from.0].ask(&request)).map(drop)
    }

    /// Changes of role since `then` in one group, of every node, in order.
    pub(crate) fn changes_since(&self, havip: Havip, then: Moment) -> Vec<Change> {
        let mut changes: Vec<Change> = self.daemons.iter().flat_map(|d| d.changes_since(then)).collect();
        changes.retain(|c| c.group == group(havip));
        changes.sort_by_key(|c| c.at);
        changes
    }

    /// How many nodes in a row became active since `then`.
    pub(crate) fn terms_since(&self, havip: Havip, then: Moment) -> Vec<Node> {
        self.changes_since(havip, then).into_iter().filter(|c| c.to == "active").map(|c| c.node).collect()
    }

    fn role(&self, havip: Havip, node: Node) -> Result<String, String> {
        self.daemons[node.0].group(havip).map(|g| g["role"].as_str().unwrap_or_default().to_owned())
    }

    /// The one of `live` that is active, while every other member of them is a backup.
    pub(crate) fn active(&self, havip: Havip, live: &[Node]) -> Result<Node, String> {
        let live = members(havip).iter().filter(|n| live.contains(n));
        let roles: Vec<(Node, String)> =
            live.map(|n| self.role(havip, *n).map(|role| (*n, role))).collect::<Result<_, _>>()?;
        let active: Vec<Node> = roles.iter().filter(|(_, role)| role == "active").map(|(n, _)| *n).collect();
        match active.as_slice() {
            [one] if roles.iter().all(|(n, role)| n == one || role == "backup") => Ok(*one),
            _ => Err(format!("roles are {roles:?}")),
        }
    }

    /// Which nodes have a HAVIP's address on their interface.
    pub(crate) fn bearers(&self, havip: Havip) -> Vec<Node> {
        NODES.into_iter().filter(|n| self.network.virtual_addresses(*n).contains(&havip.address())).collect()
    }

    /// What has to be true of a group at rest, apart from packets: one active among `live`, the
    /// cloud agrees and has nobody else bound, and of `watched` only that one has the address.
    fn at_rest(&self, havip: Havip, live: &[Node], watched: &[Node]) -> Result<Node, String> {
        let node = self.active(havip, live)?;
        let instance = node.instance();
        let cloud = self.fabric.havip(havip);
        let bound: Vec<&str> = cloud.bound.iter().map(|b| b.id.as_str()).collect();
        let agrees = |who: &Option<String>| who.as_ref() == Some(&instance);
        if !agrees(&cloud.master) || !agrees(&cloud.traffic) || bound != [&instance] {
            return Err(format!("{instance} is active, but the cloud has {cloud:?}"));
        }
        let mut bearers = self.bearers(havip);
        bearers.retain(|n| watched.contains(n));
        if bearers != [node] {
            return Err(format!("{} is active, but the address is on {bearers:?}", node.name()));
        }
        Ok(node)
    }

    /// Waits until a group is at rest and the client gets its answers from the active node.
    pub(crate) fn settle_among(&self, havip: Havip, live: &[Node], watched: &[Node]) -> Result<Settled, String> {
        let what = format!("{} comes to rest", group(havip));
        wait(&what, PATIENCE, || {
            let node = self.at_rest(havip, live, watched)?;
            let from = self.probe.next();
            let answer = wait("an answer", Duration::from_secs(1), || {
                self.probe.latest_answer(havip, from).ok_or_else(|| "the client gets no answer".to_owned())
            });
            match answer? {
                (datagram, by) if by == node => Ok(Settled { node, datagram }),
                (_, by) => Err(format!("{} is active, but {} answers", node.name(), by.name())),
            }
        })
        .map_err(|text| format!("{text}\n{}", self.story(havip)))
    }

    /// The same of a cluster whose dead nodes must have lost the address, too.
    pub(crate) fn settle(&self, havip: Havip, live: &[Node]) -> Result<Settled, String> {
        self.settle_among(havip, live, &NODES)
    }

    /// Has both groups active on one node: that of the second, whose members are fewer.
    pub(crate) fn gather(&self) -> Result<Node, String> {
        let [trio, duo] = HAVIPS.map(|havip| self.settle(havip, &NODES));
        let (trio, duo) = (trio?.node, duo?.node);
        if trio != duo {
            self.switch_over(HAVIPS[0], trio, duo)?;
            wait("both groups are on one node", PATIENCE, || match self.active(HAVIPS[0], &NODES)? {
                node if node == duo => Ok(()),
                node => Err(format!("{} is active", node.name())),
            })?;
            self.settle(HAVIPS[0], &NODES)?;
        }
        Ok(duo)
    }

    /// Ends every fault, starts every node that is not running, and waits until both groups are at rest.
    pub(crate) fn restore(&mut self) -> Result<(), String> {
        self.network.heal();
        self.fabric.hear_all();
        self.fabric.control.clear_faults();
        for node in NODES {
            let permission = Permission::Full;
            let full = Command::Permission { access_key: format!("ak-{}", node.name()), permission };
            self.fabric.control.apply(full).map_err(|e| e.to_string())?;
            self.network.connect(node);
            self.daemon(node).systemd_says("");
            if !self.daemon(node).runs() {
                self.start(node);
            }
            self.daemon(node).signal(rustix::process::Signal::CONT);
        }
        HAVIPS.into_iter().try_for_each(|havip| self.settle(havip, &NODES).map(drop))?;
        self.all_can_vote()
    }

    /// Waits until every session is up both ways, and no voter is in the quarantine that follows its start.
    fn all_can_vote(&self) -> Result<(), String> {
        for node in NODES {
            wait("every node is in touch with every other", PATIENCE, || {
                let answer = self.daemons[node.0].ask(&json!({"command": "status"}))?;
                let list = |name: &str| answer["data"][name].as_array().cloned().unwrap_or_default();
                let up = list("peers").iter().filter(|p| p["state"] == json!("up")).count();
                let waits: Vec<u64> = list("groups").iter().filter_map(|g| g["votes_in_ms"].as_u64()).collect();
                let why = || format!("{} has {up} peers up, and votes in {waits:?} ms", node.name());
                (up == 2 && waits.is_empty()).then_some(()).ok_or_else(why)
            })?;
        }
        Ok(())
    }

    /// Longest time without an answer between `since` and the latest answer.
    pub(crate) fn outage_since(&self, havip: Havip, since: Mark) -> Duration {
        let end = self.probe.latest_answer(havip, since.datagram).map_or(since.datagram, |(datagram, _)| datagram + 1);
        self.probe.outage(havip, since.datagram..end).longest
    }

    /// What everybody says and did of late, for those who have to find out.
    pub(crate) fn story(&self, havip: Havip) -> String {
        let mut lines = vec![format!("  cloud: {:?}", self.fabric.havip(havip))];
        lines.push(format!("  address on: {:?}", self.bearers(havip)));
        for (node, daemon) in NODES.into_iter().zip(&self.daemons) {
            let state = daemon.group(havip).unwrap_or_else(Value::String);
            let field = |name: &str| state[name].to_string();
            let told = ["role", "cause", "detail", "epoch", "waiting"].map(field).join(" | ");
            lines.push(format!("  {}: {}", node.name(), if state.is_object() { told } else { state.to_string() }));
        }
        let long_ago = Moment(Moment::now().0.saturating_sub(40_000_000_000));
        let changes = self.changes_since(havip, long_ago);
        let recent = changes.iter().skip(changes.len().saturating_sub(20));
        lines.extend(recent.map(|c| format!("  {} {:.1} {}", c.node.name(), c.at.0 as f64 / 1e6, c.line)));
        lines.join("\n")
    }

    /// Where configuration, state and logs of a profile are.
    pub(crate) fn directory(profile: &Profile) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("netns").join(&profile.name)
    }
}
