//! I5: while only the cloud misbehaves, what is served stays served.
//!
//! An error proves nothing, and a read proves something against a holder only while a member's session is not
//! up (election.md §5, §6). So from a group that has settled on, as long as every node hears every other and
//! nothing is planned, neither errors nor lies nor silence of the cloud make its holder give up, nor take its
//! address or its packets. What is done to one HAVIP in the console may take that one, and no other.
//!
//! One thing is better evidence than its own: a record that goes on naming another for longer than it may try to
//! win it back (`operation-timeout`, §4). A cloud that lies for so long cannot be told from one that cannot be won.

use super::super::cloud::Fault;
use super::super::cluster::Cluster;
use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use super::calm::{Concerns, concerns};
use super::i03_convergence::group_not_converged;
use havipd_core::model::action::Transition;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::time::Instant;
use std::time::Duration;

/// As long as a node remembers a peer's uptimes, at most.
const SHOWS_LATE: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct CloudAlone {
    /// Per HAVIP: who must go on serving it.
    holder: Vec<Option<usize>>,
    /// Per group: since when it has settled.
    since: Vec<Option<Instant>>,
    /// Since when reads may show another holder.
    lies: Option<Instant>,
    /// When a guest's clocks last stood still. After one such pause of either side the next may show late, by its rate.
    frozen: Option<Instant>,
}

impl CloudAlone {
    pub(super) fn new(cluster: &Cluster) -> Self {
        Self {
            holder: vec![None; cluster.groups * cluster.havips],
            since: vec![None; cluster.groups],
            ..Self::default()
        }
    }

    fn forget(&mut self, world: &World, group: usize) {
        self.holder[world.havips_of(group)].fill(None);
        self.since[group] = None;
    }

    fn look(&mut self, world: &World, group: usize) {
        let calm = (0..world.nodes()).all(|h| world.calm(h).is_some()) && !world.cloud.has_late_writes();
        if !calm || !world.winnable() || group_not_converged(world, group).is_some() {
            self.since[group] = None;
            return;
        }
        let since = *self.since[group].get_or_insert(world.now);
        let touched = (0..world.nodes()).map(|h| world.hosts[h].touched).max().unwrap_or_default();
        let profile = world.cloud.profile();
        let enough = world.dead_time() * 2 + Duration::from_secs(10) + profile.read_delay + profile.data_delay;
        if world.now.since(since.max(touched)) > enough {
            let holder = world.active(group);
            self.holder[world.havips_of(group)].fill(holder);
        }
    }

    fn note_lies(&mut self, world: &World, kind: &StepKind) {
        match kind {
            StepKind::CloudFault { rule }
                if matches!(rule.fault, Fault::LyingRead { .. } | Fault::StaleRead { .. }) =>
            {
                self.lies.get_or_insert(world.now);
            }
            StepKind::CloudClear => self.lies = None,
            _ => {}
        }
    }

    fn lied_for_long(&self, world: &World, host: usize) -> bool {
        let tries = world.hosts[host].config.cloud.operation_timeout;
        self.lies.is_some_and(|since| world.now.since(since) >= tries)
    }

    fn judge_role(&mut self, world: &World, host: usize, t: &Transition) -> Result<(), String> {
        let group = t.group.0;
        let holds = self.holder[world.havips_of(group)].contains(&Some(host));
        if t.to == Role::Releasing || self.lied_for_long(world, host) {
            self.forget(world, group);
        } else if t.cause == Cause::Away && self.frozen.is_some_and(|at| world.now.since(at) < SHOWS_LATE) {
            self.forget(world, t.group.0);
        } else if holds && t.from == Role::Active && !t.to.has_leadership() {
            return Err(format!(
                "{} became {} ({}: {}) though only the cloud misbehaves",
                world.name(host),
                t.to,
                t.cause,
                t.detail
            ));
        }
        Ok(())
    }
}

impl Invariant for CloudAlone {
    fn name(&self) -> &'static str {
        "I5"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Did { kind } => {
                self.note_lies(world, kind);
                if matches!(kind, StepKind::Freeze { .. }) {
                    self.frozen = Some(world.now);
                }
                match concerns(kind) {
                    Concerns::Answers(_) | Concerns::Nothing => {}
                    Concerns::Record(havip) => self.holder[havip] = None,
                    _ => (0..world.groups()).for_each(|g| self.forget(world, g)),
                }
            }
            Seen::Quiet | Seen::Started { .. } => {
                self.lies = self.lies.filter(|_| !matches!(seen, Seen::Quiet));
                (0..world.groups()).for_each(|g| self.forget(world, g));
            }
            Seen::Became { host, transition } => self.judge_role(world, *host, transition)?,
            Seen::Served { havip } => {
                if let Some(holder) = self.holder[*havip]
                    && world.served(*havip) != Some(holder)
                {
                    // Of several HAVIPs it is given up alone, and the role stays.
                    if self.lied_for_long(world, holder) {
                        self.holder[*havip] = None;
                        return Ok(());
                    }
                    let by = world.served(*havip).map_or("nobody", |h| world.name(h));
                    let holder = world.name(holder);
                    return Err(format!(
                        "HAVIP {havip} of {holder} is served by {by} though only the cloud misbehaves"
                    ));
                }
            }
            Seen::Tick => (0..world.groups()).for_each(|g| self.look(world, g)),
            _ => {}
        }
        Ok(())
    }
}
