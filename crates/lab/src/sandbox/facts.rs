//! How a sandbox is at one moment, as plain data: what scripts ask and the view draws.

use super::act::ApiFault;
use super::script::{Fact, NodeRef};
use super::timeline::Move;
use havipd_core::wire::session::SessionState;
use std::time::Duration;

/// A daemon's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It was sent SIGSTOP.
    Frozen {
        /// Its process id.
        pid: u32,
    },
    /// It has ended.
    Gone {
        /// In words.
        how: String,
    },
}

impl Process {
    /// Whether it does anything.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// What a node says of its session with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The other node.
    pub peer: usize,
    /// How it is.
    pub state: SessionState,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// It only votes.
    pub witness: bool,
    /// Its daemon.
    pub process: Process,
    /// Whether its daemon has answered since it was started, and does not fail to now.
    pub answers: bool,
    /// `backup`, `claiming`, ...; `None` until it says.
    pub role: Option<String>,
    /// The term that it knows of.
    pub epoch: u64,
    /// Why it has its role, or what it waits for.
    pub why: String,
    /// `drain` is on.
    pub drained: bool,
    /// Its sessions, in the order of the nodes.
    pub sessions: Vec<Session>,
    /// What is wrong with its API.
    pub api: Option<ApiFault>,
    /// Its control socket.
    pub socket: String,
}

/// The emulated cloud; nodes by name, strangers by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloudFacts {
    /// Name of its profile.
    pub profile: String,
    /// Who is bound.
    pub bound: Vec<String>,
    /// Whom the control plane names.
    pub master: Option<String>,
    /// Who gets the packets.
    pub packets: Option<String>,
    /// Calls so far.
    pub calls: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Since the start.
    pub uptime: Duration,
    /// `group.arbiter` as asked for.
    pub arbiter: String,
    /// The nodes.
    pub nodes: Vec<NodeFacts>,
    /// The cloud.
    pub cloud: CloudFacts,
    /// Directions that are cut.
    pub cuts: Vec<(usize, usize)>,
    /// How often packets went to another node.
    pub moves: usize,
    /// Who was active before.
    pub previous: Option<String>,
    /// The last move.
    pub last_move: Option<Move>,
    /// What was said last, newest last.
    pub news: Vec<String>,
}

impl Facts {
    /// The running node that is active: if several say so, the one that the cloud names.
    #[must_use]
    pub fn active(&self) -> Option<usize> {
        let says = |n: &&(usize, &NodeFacts)| n.1.process.runs() && n.1.role.as_deref() == Some("active");
        let nodes: Vec<_> = self.nodes.iter().enumerate().collect();
        let active: Vec<_> = nodes.iter().filter(says).collect();
        let named = active.iter().find(|(_, n)| self.cloud.master.as_ref() == Some(&n.name));
        named.or(active.first()).map(|(i, _)| *i)
    }

    /// The number of a node.
    ///
    /// # Errors
    /// Nobody is that now.
    pub fn resolve(&self, node: &NodeRef) -> Result<usize, String> {
        let number = match node {
            NodeRef::Named(name) => self.nodes.iter().position(|n| n.name == *name),
            NodeRef::Active => self.active(),
            NodeRef::Previous => self.nodes.iter().position(|n| Some(&n.name) == self.previous.as_ref()),
            NodeRef::Standby => {
                let active = self.active();
                self.nodes.iter().enumerate().position(|(i, n)| n.process.runs() && !n.witness && Some(i) != active)
            }
        };
        number.ok_or_else(|| match node {
            NodeRef::Named(name) => format!("there is no node {name}"),
            NodeRef::Active => "nobody is active now".to_owned(),
            NodeRef::Previous => "nobody was active before".to_owned(),
            NodeRef::Standby => "no other node runs now".to_owned(),
        })
    }

    /// Whether something is so.
    #[must_use]
    pub fn holds(&self, fact: &Fact<usize>) -> bool {
        let is = |who: &Option<String>, n: usize| who.as_ref() == Some(&self.nodes[n].name);
        match *fact {
            Fact::Active(node) => self.active().is_some_and(|active| {
                let agreed = is(&self.cloud.master, active) && is(&self.cloud.packets, active);
                agreed && node.is_none_or(|n| n == active)
            }),
            Fact::Holder(node) => is(&self.cloud.master, node),
            Fact::Packets(node) => is(&self.cloud.packets, node),
            Fact::Up(node) => {
                let others = (0..self.nodes.len()).filter(|&n| n != node && self.nodes[n].process.runs());
                let here = &self.nodes[node];
                here.process.runs() && here.answers && others.into_iter().all(|n| self.hears(node, n))
            }
            Fact::Moves(number) => self.moves == number,
        }
    }

    /// Whether a node has a two-way session with another.
    fn hears(&self, node: usize, other: usize) -> bool {
        self.nodes[node].sessions.iter().any(|s| s.peer == other && s.state == SessionState::Up)
    }

    /// What is the case instead of a fact, for those who expected it.
    #[must_use]
    pub fn instead(&self) -> String {
        let or_nobody = |who: &Option<String>| who.clone().unwrap_or_else(|| "nobody".to_owned());
        let active = self.active().map(|n| self.nodes[n].name.clone());
        let roles = self.nodes.iter().map(|n| {
            let role = match (&n.process, &n.role) {
                (Process::Gone { .. }, _) => "gone",
                (Process::Frozen { .. }, _) => "frozen",
                (Process::Running { .. }, Some(role)) => role,
                (Process::Running { .. }, None) => "silent",
            };
            format!("{} {role}", n.name)
        });
        format!(
            "active: {}; master: {}; packets to: {}; moves: {}; {}",
            or_nobody(&active),
            or_nobody(&self.cloud.master),
            or_nobody(&self.cloud.packets),
            self.moves,
            roles.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::sandbox) fn node(name: &str, number: usize, role: &str, epoch: u64) -> NodeFacts {
        let peers = (0..3).filter(|&p| p != number);
        NodeFacts {
            name: name.to_owned(),
            witness: false,
            process: Process::Running { pid: 4000 + u32::try_from(number).unwrap() },
            answers: true,
            role: Some(role.to_owned()),
            epoch,
            why: String::new(),
            drained: false,
            sessions: peers.map(|peer| Session { peer, state: SessionState::Up }).collect(),
            api: None,
            socket: format!("/x/{name}/control.sock"),
        }
    }

    /// Three nodes, a is active.
    pub(in crate::sandbox) fn calm() -> Facts {
        Facts {
            uptime: Duration::from_secs(83),
            arbiter: "auto".to_owned(),
            nodes: vec![node("a", 0, "active", 1), node("b", 1, "backup", 1), node("c", 2, "backup", 1)],
            cloud: CloudFacts {
                profile: "attach-moves".to_owned(),
                bound: vec!["a".to_owned()],
                master: Some("a".to_owned()),
                packets: Some("a".to_owned()),
                calls: 17,
            },
            cuts: Vec::new(),
            moves: 0,
            previous: None,
            last_move: None,
            news: Vec::new(),
        }
    }

    #[test]
    fn active_means_that_daemon_cloud_and_packets_agree() {
        let mut facts = calm();
        assert!(facts.holds(&Fact::Active(None)) && facts.holds(&Fact::Active(Some(0))));
        assert!(!facts.holds(&Fact::Active(Some(1))));
        facts.cloud.packets = Some("b".to_owned());
        assert!(!facts.holds(&Fact::Active(None)) && facts.holds(&Fact::Holder(0)) && facts.holds(&Fact::Packets(1)));
        facts.cloud.packets = Some("a".to_owned());
        facts.nodes[0].process = Process::Frozen { pid: 1 };
        assert!(!facts.holds(&Fact::Active(None)), "a frozen node serves nobody");
    }

    #[test]
    fn the_cloud_decides_between_two_that_say_active() {
        let mut facts = calm();
        facts.nodes[1].role = Some("active".to_owned());
        facts.cloud.master = Some("b".to_owned());
        assert_eq!(facts.active(), Some(1));
    }

    #[test]
    fn roles_are_resolved() {
        let mut facts = calm();
        facts.previous = Some("c".to_owned());
        let named = |facts: &Facts, node| facts.resolve(&node).map(|n| facts.nodes[n].name.clone());
        assert_eq!(named(&facts, NodeRef::Active).as_deref(), Ok("a"));
        assert_eq!(named(&facts, NodeRef::Previous).as_deref(), Ok("c"));
        assert_eq!(named(&facts, NodeRef::Standby).as_deref(), Ok("b"));
        facts.nodes[0].process = Process::Gone { how: "signal 9".to_owned() };
        assert_eq!(named(&facts, NodeRef::Active), Err("nobody is active now".to_owned()));
        facts.nodes[1].witness = true;
        assert_eq!(named(&facts, NodeRef::Standby).as_deref(), Ok("c"));
    }

    #[test]
    fn up_means_heard_by_all_that_run() {
        let mut facts = calm();
        assert!(facts.holds(&Fact::Up(1)));
        facts.nodes[1].sessions[1].state = SessionState::OneWay;
        assert!(!facts.holds(&Fact::Up(1)));
        facts.nodes[2].process = Process::Gone { how: "signal 9".to_owned() };
        assert!(facts.holds(&Fact::Up(1)));
        facts.nodes[1].answers = false;
        assert!(!facts.holds(&Fact::Up(1)));
    }

    #[test]
    fn what_is_instead_names_everything() {
        let mut facts = calm();
        facts.nodes[0].process = Process::Gone { how: "signal 9".to_owned() };
        facts.nodes[1].process = Process::Frozen { pid: 1 };
        let expected = "active: nobody; master: a; packets to: a; moves: 0; a gone, b frozen, c backup";
        assert_eq!(facts.instead(), expected);
    }
}
