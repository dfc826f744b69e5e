//! I5: every move has a cause, and no move happens from a healthy connected holder except a planned one.
//!
//! Healthy and connected: nothing has gone wrong for its host, its links and what the cloud answers it for longer
//! than such a thing can still lead to ([`World::aftermath`]). Before that the cause must be true all the same (I12). In a lasting partition of two
//! nodes under arbiter `cloud` or `keepalived` there is at most one move per reclaim wait, and one at its beginning.
//! Each loss of an active node counts there, also where the same one takes it up again, and each node that is
//! superseded; so do changes of who serves a HAVIP with which nothing is wrong.

use super::super::cluster::Cluster;
use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use super::calm::Calm;
use havipd_core::model::action::Transition;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct MovesHaveCauses {
    /// Two nodes that the cloud decides between.
    pair: bool,
    calm: Calm,
    apart: Option<Apart>,
    /// Per group, who was active last.
    last: Vec<Option<usize>>,
}

/// A partition that lasts.
#[derive(Debug)]
struct Apart {
    since: Instant,
    /// Per group: moves, losses and supersessions.
    moves: Vec<usize>,
    losses: Vec<usize>,
    /// Per HAVIP with which nothing is wrong.
    servers: Vec<Option<Server>>,
}

/// Who serves a HAVIP in a partition.
#[derive(Debug)]
struct Server {
    /// The last one, and when its term began.
    last: Option<(usize, Instant)>,
    changes: usize,
}

impl Server {
    /// Another node serves. It is the same change as before while the former holder has not been told of it: until an answer
    /// names another to it both are active, and who of them gets the packets is nobody's word.
    fn changes(&mut self, by: (usize, Instant), told: bool) {
        match self.last {
            Some((last, _)) if last == by.0 => {}
            Some((_, began)) if by.1 < began && !told => return,
            before => self.changes += usize::from(before.is_some()),
        }
        self.last = Some(by);
    }
}

impl Apart {
    /// How much may have happened by now: once at the beginning, and once for each wait.
    fn judge(&self, world: &World, count: usize, what: impl FnOnce() -> String) -> Result<(), String> {
        let lasted = world.now.since(self.since);
        let wait = Duration::from_millis(world.scenario.cluster.reclaim_wait_ms);
        let waits = usize::try_from(lasted.as_nanos() / wait.as_nanos().max(1)).unwrap_or(usize::MAX);
        if count > waits.saturating_add(1) {
            let what = what();
            let (lasted, wait) = (lasting(lasted), lasting(wait));
            return Err(format!("{count} {what} in {lasted} of a partition; {wait} is the reclaim wait"));
        }
        Ok(())
    }
}

impl MovesHaveCauses {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let pair = cluster.arbiter.follows_record() && cluster.machines.len() == 2;
        Self { pair, calm: Calm::new(cluster), apart: None, last: vec![None; cluster.groups] }
    }

    /// A node in calm loses leadership, or is about to, without a plan.
    fn judge_loss(world: &World, host: usize, t: &Transition) -> Result<(), String> {
        if !t.from.has_leadership() || t.to.has_leadership() {
            return Ok(());
        }
        let planned = matches!(
            t.cause,
            Cause::Switchover
                | Cause::Preempted
                | Cause::Drained
                | Cause::Stopping
                | Cause::Maintenance
                | Cause::VrrpBackup
                | Cause::VrrpFault
        ) || (t.cause == Cause::HigherEpoch && world.beside_keepalived());
        let calm = world.calm(host).is_some_and(|c| c > world.aftermath()) && majority_in_calm(world, t.group.0);
        let since = world.hosts[host].process.as_ref().map_or(world.now, |p| p.started);
        let old = world.now.since(since) > world.aftermath();
        if t.from == Role::Active && calm && old && !planned && world.winnable() {
            return Err(format!(
                "{} was active, healthy and connected, and became {} ({}): {}",
                world.name(host),
                t.to,
                t.cause,
                t.detail
            ));
        }
        Ok(())
    }

    /// Somebody takes over from a node in calm without having been offered it.
    fn judge_gain(&self, world: &World, host: usize, t: &Transition) -> Result<(), String> {
        if t.to != Role::Claiming || t.from.has_leadership() {
            return Ok(());
        }
        let Some(holder) = self.last[t.group.0].filter(|h| *h != host) else { return Ok(()) };
        let holds = world.role(holder, t.group.0) == Some(Role::Active);
        let both = [holder, host].into_iter().all(|h| world.calm(h).is_some_and(|c| c > world.aftermath()));
        // keepalived's plan is one, too; what it decides, a decision of its own says.
        let planned = matches!(t.cause, Cause::HandedOver | Cause::VrrpMaster);
        if holds && both && !planned {
            return Err(format!(
                "{} claims ({}: {}) though {} is active, healthy and connected",
                world.name(host),
                t.cause,
                t.detail,
                world.name(holder)
            ));
        }
        Ok(())
    }

    /// Moves, losses and supersessions while two nodes are apart.
    fn judge_partition(&mut self, world: &World, host: usize, t: &Transition) -> Result<(), String> {
        let group = t.group.0;
        let mut moved = false;
        if t.to == Role::Active {
            moved = self.last[group].replace(host).is_some_and(|l| l != host);
        }
        let Some(apart) = &mut self.apart else { return Ok(()) };
        let lost = t.from.has_leadership() && !t.to.has_leadership();
        apart.moves[group] += usize::from(moved);
        apart.losses[group] += usize::from(lost && (t.from == Role::Active || t.cause == Cause::Superseded));
        let judged = world.havips_of(group).any(|n| apart.servers[n].is_some());
        if !judged {
            return Ok(());
        }
        apart.judge(world, apart.moves[group], || format!("moves of group {group}"))?;
        apart.judge(world, apart.losses[group], || format!("losses in group {group}"))
    }

    fn judge_server(&mut self, world: &World, havip: usize) -> Result<(), String> {
        let Some(apart) = &mut self.apart else { return Ok(()) };
        let (Some(server), Some(by)) = (&mut apart.servers[havip], world.served(havip)) else { return Ok(()) };
        let me = world.scenario.cluster.target(by);
        let named = &world.facts.answers(by).of(havip).named;
        let told = named.iter().any(|(target, _, asked)| *target != me && *asked >= apart.since);
        server.changes((by, began(world, by, havip)), told);
        let changes = server.changes;
        apart.judge(world, changes, || format!("changes of who serves HAVIP {havip}"))
    }

    /// A partition counts from when the nodes are wholly apart; anything else that happens ends the count.
    fn note_step(&mut self, world: &World, kind: &StepKind) {
        let parts = matches!(kind, StepKind::Partition { sides } if sides.len() == 2);
        let calm = self.calm.nodes(world) && self.calm.daemons(world) && world.winnable();
        self.apart = (self.pair && parts && calm).then(|| {
            let sound = |n: usize| {
                let last = world.served(n).map(|by| (by, began(world, by, n)));
                self.calm.havip(world, n).then_some(Server { last, changes: 0 })
            };
            Apart {
                since: world.now,
                moves: vec![0; world.groups()],
                losses: vec![0; world.groups()],
                servers: (0..world.served.len()).map(sound).collect(),
            }
        });
    }
}

/// When the term of a node began that serves a HAVIP.
fn began(world: &World, host: usize, havip: usize) -> Instant {
    let group = havip / world.scenario.cluster.havips;
    world.hosts[host].process.as_ref().map_or(Instant::default(), |p| p.term_since[group])
}

/// Under arbiter `majority`: whether a majority of the voters is well.
fn majority_in_calm(world: &World, group: usize) -> bool {
    let cluster = &world.scenario.cluster;
    let voters = (0..world.nodes()).filter(|h| cluster.member(group, *h));
    let well = voters.filter(|h| world.calm(*h).is_some_and(|c| c > world.aftermath())).count();
    cluster.arbiter != Arbiter::Majority || well * 2 > cluster.voters(group)
}

impl Invariant for MovesHaveCauses {
    fn name(&self) -> &'static str {
        "I5"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Became { host, transition } => {
                if transition.detail.is_empty() {
                    return Err(format!("{} became {} without a word why", world.name(*host), transition.to));
                }
                Self::judge_loss(world, *host, transition)?;
                self.judge_gain(world, *host, transition)?;
                self.judge_partition(world, *host, transition)?;
            }
            Seen::Served { havip } => self.judge_server(world, *havip)?,
            Seen::Did { kind } => self.note_step(world, kind),
            Seen::Quiet => self.apart = None,
            _ => {}
        }
        self.calm.see(world, seen);
        Ok(())
    }
}
