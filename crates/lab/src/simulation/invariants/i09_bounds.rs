//! I9: every call ends by its deadline, every queue is bounded, epochs are not used up, and nothing keeps a daemon from its
//! heartbeats.

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::ids::Epoch;
use havipd_core::model::plural::{lasting, plural};
use havipd_core::model::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Timer turns in a row that left a deadline in the past: more is a busy loop.
const HOT: u32 = 20;
/// Calls of one node in [`WINDOW`] for each HAVIP.
const CALLS: usize = 150;
const WINDOW: Duration = Duration::from_secs(10);
/// Calls under way at once for each HAVIP.
const OPEN: usize = 8;
/// New epochs of one node and group in [`MINUTE`], and two more for each dead time of it.
const EPOCHS: u128 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// What one node took for its epoch in one group.
#[derive(Debug, Clone, Default)]
struct Epochs {
    last: Option<Epoch>,
    taken: VecDeque<Instant>,
}

#[derive(Debug)]
pub(super) struct Bounds {
    calls: Vec<VecDeque<Instant>>,
    /// Per pair: when the last heartbeat left, or when silence began to count.
    sent: Vec<Vec<Instant>>,
    /// Per node and group.
    epochs: Vec<Vec<Epochs>>,
}

impl Bounds {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let nodes = cluster.machines.len();
        Self {
            calls: vec![VecDeque::new(); nodes],
            sent: vec![vec![Instant::default(); nodes]; nodes],
            epochs: vec![vec![Epochs::default(); cluster.groups]; nodes],
        }
    }

    /// An epoch costs everybody who hears of it a number of its own, and every few hundred of them a write of the state.
    fn judge_epochs(&mut self, world: &World, host: usize) -> Result<(), String> {
        for group in 0..world.groups() {
            let epoch = world.epoch(host, group);
            let of = &mut self.epochs[host][group];
            if std::mem::replace(&mut of.last, epoch) == epoch || epoch.is_none() {
                continue;
            }
            of.taken.push_back(world.now);
            while of.taken.front().is_some_and(|at| world.now.since(*at) > MINUTE) {
                of.taken.pop_front();
            }
            let dead_time = world.hosts[host].config.heartbeat.dead_time();
            let allowed = EPOCHS + 2 * MINUTE.as_millis() / dead_time.as_millis().max(1);
            if of.taken.len() as u128 > allowed {
                let (name, taken) = (world.name(host), of.taken.len());
                let taken = plural(taken, "epoch");
                return Err(format!("{name} took {taken} of group {group} in a minute, not {allowed}"));
            }
        }
        Ok(())
    }

    fn judge_heartbeats(&mut self, world: &World, host: usize) -> Result<(), String> {
        let h = &world.hosts[host];
        let touched = world.now.since(h.touched) < world.dead_time();
        if !h.awake() || h.effects_stuck || touched {
            self.sent[host].fill(world.now);
            return Ok(());
        }
        let interval = h.config.heartbeat.interval.max(Duration::from_millis(world.scenario.cluster.interval_ms));
        let allowed = interval + interval / 50 + Duration::from_millis(260);
        for peer in (0..world.nodes()).filter(|p| *p != host) {
            // To a node that its file does not name it says nothing.
            if h.config.node_named(world.name(peer)).is_none() {
                self.sent[host][peer] = world.now;
                continue;
            }
            let silent = world.now.since(self.sent[host][peer]);
            if silent > allowed {
                let silent = lasting(silent);
                return Err(format!("{} sent {} nothing for {silent}", world.name(host), world.name(peer)));
            }
        }
        Ok(())
    }

    /// A daemon whose effects side is stuck falls silent within a dead time, its last reports included. A
    /// host that stood still proves nothing about it: after that it has one dead time again.
    fn judge_stuck(world: &World, host: usize) -> Result<(), String> {
        let h = &world.hosts[host];
        let dead_time = h.config.heartbeat.dead_time();
        // One that was started meanwhile has not reported yet, and until then nothing depends on it.
        let ran = h.process.as_ref().is_some_and(|p| {
            world.now.since(p.started) > world.guest_now(host).since(h.stuck_since.unwrap_or_default())
        });
        // A guest that was frozen learns of it from its peers, within some heartbeats.
        let slack = Duration::from_millis(100) + h.config.heartbeat.interval * 3;
        let allowed = dead_time + if h.went_on_frozen { slack } else { Duration::from_millis(100) };
        match h.stuck_since {
            Some(since) if ran && world.guest_now(host).since(since.max(h.went_on)) > allowed => {
                Err(format!("{} sends heartbeats though its effects side is stuck", world.name(host)))
            }
            _ => Ok(()),
        }
    }

    fn judge_queues(world: &World, host: usize) -> Result<(), String> {
        let Some(p) = &world.hosts[host].process else { return Ok(()) };
        let name = world.name(host);
        if p.hot > HOT {
            return Err(format!("{name} did {} timer turns that left a deadline in the past", p.hot));
        }
        let havips = world.groups() * world.scenario.cluster.havips;
        if p.calls.len() > OPEN * havips {
            return Err(format!("{name} has {} under way", plural(p.calls.len(), "call")));
        }
        let now = world.guest_now(host);
        let woken = world.now.since(world.hosts[host].touched) < Duration::from_secs(2);
        let late = p.calls.values().find(|c| !woken && c.deadline + Duration::from_secs(1) < now);
        match late {
            Some(c) => {
                let late = lasting(now.since(c.deadline));
                Err(format!("a call of {name} has not ended {late} after its deadline"))
            }
            None => Ok(()),
        }
    }
}

impl Invariant for Bounds {
    fn name(&self) -> &'static str {
        "I9"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match *seen {
            Seen::Turned { host } => {
                self.judge_epochs(world, host)?;
                Self::judge_queues(world, host)
            }
            Seen::Sent { from, to } => {
                self.sent[from][to] = world.now;
                Self::judge_stuck(world, from)
            }
            Seen::CallBegan { host } => {
                let calls = &mut self.calls[host];
                calls.push_back(world.now);
                while calls.front().is_some_and(|at| world.now.since(*at) > WINDOW) {
                    calls.pop_front();
                }
                let allowed = CALLS * world.groups() * world.scenario.cluster.havips;
                if calls.len() > allowed {
                    let (made, window) = (plural(calls.len(), "call"), lasting(WINDOW));
                    return Err(format!("{} made {made} in {window}", world.name(host)));
                }
                Ok(())
            }
            Seen::Tick => (0..world.nodes()).try_for_each(|h| self.judge_heartbeats(world, h)),
            _ => Ok(()),
        }
    }
}
