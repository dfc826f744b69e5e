//! I5, of arbiters `cloud` and `keepalived`: two nodes that do not hear each other are not both active for long while both
//! reach a cloud that answers them: whom it does not name, it has superseded. While a fault of the cloud hits one of them,
//! the time counts in which it got answers all the same that name another. One in maintenance releases nothing,
//! whatever happens elsewhere, and stays silent beside who is named (I2). And beyond `max-moves` nothing moves from a
//! live holder that was not asked for.

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::{TICK, World};
use super::Invariant;
use havipd_core::model::plural::lasting;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Two reads a second apart, more than 5 s after an own write, each with its call's time, and some repairs.
const LONG: Duration = Duration::from_secs(30);

/// An answer of this age is one of the audits of every second.
const RECENT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct OneActive {
    by_cloud: bool,
    /// Per group: for how long two nodes have been active though the cloud could tell them, or did.
    both: Vec<Duration>,
    /// Per group: who became active when, and which nodes could hear of it.
    moves: Vec<VecDeque<Move>>,
}

/// Whether the last reads of a node, of lately, name another member: it is to step down, whatever else fails.
fn told_otherwise(world: &World, host: usize, group: usize) -> bool {
    let me = &world.hosts[host].target;
    world.havips_of(group).any(|n| {
        let Some(streak) = &world.facts.answers(host).of(n).streak else { return false };
        let member = |t: &String| t != me && world.scenario.cluster.member_with(group, t).is_some();
        streak.holder.target.as_ref().is_some_and(member)
            && world.now.since(streak.at) < RECENT
            && streak.last > streak.first
    })
}

#[derive(Debug)]
struct Move {
    at: Instant,
    to: usize,
    heard: Vec<bool>,
}

impl OneActive {
    pub(super) fn new(cluster: &Cluster) -> Self {
        // Without flags a shared record names nobody, and one that cannot be won names somebody for ever.
        Self {
            by_cloud: cluster.arbiter.follows_record(),
            both: vec![Duration::ZERO; cluster.groups],
            moves: (0..cluster.groups).map(|_| VecDeque::new()).collect(),
        }
    }

    fn judge(&mut self, world: &World, group: usize) -> Result<(), String> {
        let told = world.cloud_delay.is_zero() && world.winnable();
        let active = |h: &usize| {
            let host = &world.hosts[*h];
            let sees = host.awake() && host.link_up && host.reach == super::super::host::Reach::Both;
            world.role(*h, group) == Some(Role::Active) && sees && !host.effects_stuck && !world.maintains(*h, group)
        };
        let all: Vec<usize> = (0..world.nodes()).filter(active).collect();
        if all.len() < 2 || !told {
            self.both[group] = Duration::ZERO;
            return Ok(());
        }
        if all.iter().all(|h| !world.cloud_errs_for(*h)) || all.iter().any(|h| told_otherwise(world, *h, group)) {
            self.both[group] += TICK;
        }
        let lasted = self.both[group];
        if lasted > LONG + world.cloud.profile().read_delay * 4 {
            let names: Vec<&str> = all.iter().map(|h| world.name(*h)).collect();
            return Err(format!("group {group}: {} are all active for {}", names.join(", "), lasting(lasted)));
        }
        Ok(())
    }

    fn judge_budget(&self, world: &World, host: usize, group: usize, cause: Cause) -> Result<(), String> {
        let settings = &world.hosts[host].config.groups[group];
        let forced = !matches!(cause, Cause::Preempted | Cause::CheckFailed);
        // What a daemon did not live to see, or what was hidden from it, it cannot count.
        let started = world.hosts[host].process.as_ref().map_or(world.now, |p| p.started);
        let from = started + world.dead_time();
        let (mut seen, mut last) = (0_usize, None);
        for m in self.moves[group].iter().filter(|m| m.heard[host]) {
            let moved = last.replace(m.to) != Some(m.to);
            let counts = m.at > from && world.now.since(m.at) + Duration::from_secs(10) < settings.max_moves_window;
            seen += usize::from(moved && counts);
        }
        if !forced && settings.max_moves > 0 && seen > settings.max_moves as usize + 1 {
            return Err(format!("{} hands over ({cause}) after {seen} moves in the window", world.name(host)));
        }
        Ok(())
    }
}

impl Invariant for OneActive {
    fn name(&self) -> &'static str {
        "I5"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Tick if self.by_cloud => (0..world.groups()).try_for_each(|g| self.judge(world, g)),
            Seen::Became { host, transition: t } if t.to == Role::Active => {
                let moves = &mut self.moves[t.group.0];
                if moves.back().is_none_or(|last| last.to != *host) {
                    let on = |h: usize| world.hosts[h].awake() && world.hosts[h].link_up;
                    let heard = |h: usize| h == *host || (!world.network.cut(*host, h) && on(*host) && on(h));
                    let heard = (0..world.nodes()).map(heard).collect();
                    moves.push_back(Move { at: world.now, to: *host, heard });
                }
                if moves.len() > 1000 {
                    moves.pop_front();
                }
                Ok(())
            }
            // A term that ends in the instant in which it began, before a datagram could tell of it.
            Seen::Became { host, transition: t } if t.from == Role::Active && t.to != Role::Releasing => {
                let last = self.moves[t.group.0].back_mut().filter(|m| m.to == *host && m.at == world.now);
                if let Some(m) = last {
                    m.heard.iter_mut().enumerate().for_each(|(h, heard)| *heard = h == *host);
                }
                Ok(())
            }
            Seen::Became { host, transition: t } if t.to == Role::Releasing => {
                self.judge_budget(world, *host, t.group.0, t.cause)
            }
            _ => Ok(()),
        }
    }
}
