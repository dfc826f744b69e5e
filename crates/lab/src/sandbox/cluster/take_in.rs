//! What a cluster hears: daemons, the cloud's call log, packets.

use super::{Cluster, News};
use crate::sandbox::facts::Process;
use crate::sandbox::node::{Event, Heard};
use crate::sandbox::said::Said;
use crate::sandbox::setup::{ADDRESS, HAVIP};
use crate::sandbox::timeline::Transition;
use crate::simulation::cloud::{Announcements, Operation};
use havipd::clock;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// Time between two announcements of a guest that is claiming, and of one that is active: the
/// defaults of `[local-address]`.
const ANNOUNCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];
/// An answer about the status is not older than this.
const STATUS_AGE: Duration = Duration::from_secs(2);

impl Cluster {
    pub(super) fn heard(&mut self, Event { node, run, at, heard }: Event) -> Vec<News> {
        let current = run == self.nodes[node].runs;
        match heard {
            Heard::Said(Said::Line(line)) => {
                self.nodes[node].keep(line);
                Vec::new()
            }
            Heard::Said(Said::Changed(transition)) => self.changed(node, current, &transition),
            Heard::Status(status) if current => {
                let node = &mut self.nodes[node];
                // The log is faster: an answer may be older than the change that was just logged.
                if let Some(status) = status.as_ref().filter(|_| at.since(node.changed) >= STATUS_AGE) {
                    node.role = Some(status.role.to_string());
                }
                node.continued = node.continued.filter(|continued| at.since(*continued) < STATUS_AGE);
                node.status = status;
                Vec::new()
            }
            Heard::Ended(how) if current => {
                let name = self.name(node).to_owned();
                self.story.gone(at, &name, &how);
                let node = &mut self.nodes[node];
                node.daemon = None;
                node.role = None;
                node.status = None;
                node.process = Process::Gone { how: how.clone() };
                node.keep(format!("({how})"));
                vec![self.say(format!("{name}: {how}"))]
            }
            Heard::Status(_) | Heard::Ended(_) => Vec::new(),
        }
    }

    fn changed(&mut self, node: usize, current: bool, transition: &Transition) -> Vec<News> {
        let Transition { node: name, to, cause, epoch, detail, .. } = transition;
        let line = format!("{name} {to} ({cause}, epoch {epoch}): {detail}");
        self.nodes[node].keep(line.clone());
        if current {
            self.nodes[node].role = Some(to.clone());
            self.nodes[node].changed = clock::now();
            self.nodes[node].announced = Instant::default();
            self.nodes[node].continued = None;
        }
        let before = self.story.previous(Some(name)).and_then(|b| self.plan.nodes.iter().position(|n| n.name == b));
        self.look_at_calls();
        let heard = before.and_then(|before| self.relay.count(before, node).last);
        let told = self.story.transition(transition, heard.filter(|heard| *heard <= transition.at));
        let line = self.say(line);
        std::iter::once(line).chain(self.moved(told)).collect()
    }

    pub(super) fn packets(&mut self, target: Option<&str>) -> Vec<News> {
        let to = target.map(|t| self.name_of(t));
        self.look_at_calls();
        let line = format!("packets for {ADDRESS} go to {}", to.as_deref().unwrap_or("nobody"));
        let told = self.story.packets(clock::now(), to.as_deref());
        let line = self.say(line);
        std::iter::once(line).chain(self.moved(told)).collect()
    }

    /// Takes in what the cloud was asked since the last look.
    pub(super) fn look_at_calls(&mut self) {
        for call in self.control.calls(self.calls) {
            self.calls = call.number;
            let Some(node) = self.plan.nodes.iter().find(|n| call.caller.is(&n.name)).map(|n| n.name.clone()) else {
                continue;
            };
            let at = Instant::from_millis(call.at_ms);
            match call.operation {
                Some(operation @ (Operation::Attach | Operation::Detach)) => {
                    let what = if operation == Operation::Attach { "attach" } else { "detach" };
                    let whom = self.plan.nodes.iter().filter(|n| call.body.contains(&format!("\"{}\"", n.instance())));
                    let whom: Vec<&str> = whom.map(|n| n.name.as_str()).collect();
                    self.story.write(at, &node, &format!("{what} of {}", whom.join(", ")), &call.outcome);
                }
                Some(Operation::Detail | Operation::List) => self.story.look(at, &node),
                _ => {}
            }
        }
    }

    /// Sends the gratuitous ARPs that guests would send: with `interface = "none"` no daemon does. One that goes on after a
    /// stop sends none before its daemon has said what it is now: a daemon checks its leadership before each.
    pub(super) fn announce(&mut self) {
        if self.control.view().profile.announcements == Announcements::Ignored {
            return;
        }
        let now = clock::now();
        for (plan, node) in self.plan.nodes.iter().zip(&mut self.nodes) {
            let pause = match node.role.as_deref() {
                Some("claiming") => ANNOUNCE[0],
                Some("active") => ANNOUNCE[1],
                _ => continue,
            };
            if node.process.runs() && node.continued.is_none() && now.since(node.announced) >= pause {
                node.announced = now;
                let _ = self.control.announce(&plan.instance(), HAVIP);
            }
        }
    }
}
