//! What went wrong when, and for which HAVIP: a cloud that errs over one of them leaves the others in calm.

use super::super::cloud::FaultRule;
use super::super::cluster::Cluster;
use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use havipd_core::model::time::Instant;

/// Whom a step concerns, as far as it is a disturbance.
pub(super) enum Concerns {
    /// Nodes, links, checks, configurations, or who works on them.
    Nodes,
    /// Whether daemons run.
    Daemons,
    /// How the cloud answers about this HAVIP, or about all.
    Answers(Option<usize>),
    /// A HAVIP itself, in the console.
    Record(usize),
    /// A planned move.
    Plan,
    /// Nothing that anybody may notice.
    Nothing,
}

/// Number of the HAVIP that a rule is for; `None` is all of them.
fn rule_for(rule: &FaultRule) -> Option<usize> {
    rule.havip.as_deref()?.strip_prefix("havip-")?.parse().ok()
}

/// What a step disturbs.
pub(super) fn concerns(kind: &StepKind) -> Concerns {
    match kind {
        StepKind::Start { .. } | StepKind::Crash { .. } | StepKind::PowerOff { .. } | StepKind::RestoreDisk { .. } => {
            Concerns::Daemons
        }
        StepKind::CloudFault { rule } => Concerns::Answers(rule_for(rule)),
        StepKind::CloudClear | StepKind::CloudDelay { .. } | StepKind::CloudCut { .. } | StepKind::CloudHeal { .. } => {
            Concerns::Answers(None)
        }
        StepKind::ForceMaster { havip, .. }
        | StepKind::Unbind { havip, .. }
        | StepKind::FillQuota { havip }
        | StepKind::DeleteHavip { havip }
        | StepKind::CreateHavip { havip } => Concerns::Record(*havip),
        StepKind::Switchover { .. } => Concerns::Plan,
        StepKind::Install { .. } | StepKind::SaveDisk { .. } | StepKind::Clone { .. } => Concerns::Nothing,
        kind if kind.rotates() => Concerns::Nothing,
        _ => Concerns::Nodes,
    }
}

/// When something went wrong last, or right again.
#[derive(Debug)]
pub(super) struct Calm {
    nodes: Option<Instant>,
    daemons: Option<Instant>,
    /// Per HAVIP.
    cloud: Vec<Option<Instant>>,
    /// Drains and maintenance that last.
    held_back: Vec<String>,
    /// When an operator last said that maintenance ends. What a daemon takes after that lasts. (seed 60209)
    ended: Instant,
    /// An operator's word to end maintenance may have been refused, since files were changed under it.
    perhaps_refused: bool,
}

impl Calm {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let havips = cluster.groups * cluster.havips;
        Self {
            nodes: None,
            daemons: None,
            cloud: vec![None; havips],
            held_back: vec![],
            ended: Instant::default(),
            perhaps_refused: false,
        }
    }

    /// To be asked after the questions about the time before.
    pub(super) fn see(&mut self, world: &World, seen: &Seen<'_>) {
        match seen {
            Seen::Did { kind } => self.note(world, kind),
            Seen::Started { .. } => self.daemons = Some(world.now),
            Seen::Quiet => {
                (self.nodes, self.daemons) = (Some(world.now), Some(world.now));
                self.cloud.fill(Some(world.now));
                self.held_back.clear();
                self.ended = world.now;
                self.perhaps_refused = false;
            }
            Seen::Tick if self.perhaps_refused && !world.maintained() => {
                self.held_back.retain(|n| !n.is_empty());
                self.perhaps_refused = false;
                self.nodes = Some(world.now);
            }
            _ => {}
        }
    }

    fn note(&mut self, world: &World, kind: &StepKind) {
        match kind {
            StepKind::Drain { node, on } => {
                self.held_back.retain(|n| n != node);
                if *on {
                    self.held_back.push(node.clone());
                }
            }
            // It is the whole group's, wherever it was ended.
            StepKind::Maintenance { on, .. } => {
                // ⚠ Not before most voters have had the same file for a dead time (docs/protocol.md, §5): an operator who
                // comes too early is refused, and it stays on.
                self.perhaps_refused = !on && world.files_changed();
                if !self.perhaps_refused {
                    self.held_back.retain(|n| !n.is_empty());
                }
                if *on {
                    self.held_back.push(String::new());
                } else {
                    self.ended = world.now;
                }
            }
            _ => {}
        }
        let now = Some(world.now);
        match concerns(kind) {
            Concerns::Nodes => self.nodes = now,
            Concerns::Daemons => self.daemons = now,
            Concerns::Answers(None) => self.cloud.fill(now),
            Concerns::Answers(Some(havip)) | Concerns::Record(havip) => {
                if let Some(at) = self.cloud.get_mut(havip) {
                    *at = now;
                }
            }
            Concerns::Plan | Concerns::Nothing => {}
        }
    }

    fn long(world: &World, at: Option<Instant>) -> bool {
        at.is_none_or(|at| world.now.since(at) > world.calm_enough())
    }

    /// Whether nothing is wrong with any node or link, and has not been for long; daemons may have come and gone.
    pub(super) fn nodes(&self, world: &World) -> bool {
        Self::long(world, self.nodes)
            && self.held_back.is_empty()
            && world.facts.maintenance_taken <= self.ended
            && (0..world.nodes()).all(|h| world.sound(h))
    }

    /// Whether no daemon was started or died for long.
    pub(super) fn daemons(&self, world: &World) -> bool {
        Self::long(world, self.daemons)
    }

    /// Whether the cloud answers truly about a HAVIP, and did for long, and nobody else has worked on it or sits there.
    pub(super) fn havip(&self, world: &World, havip: usize) -> bool {
        let hit = |rule: &FaultRule| rule_for(rule).is_none_or(|n| n == havip);
        Self::long(world, self.cloud[havip])
            && !world.kept_by_strangers(havip)
            && world.cloud_delay.is_zero()
            && !world.cloud.faults().iter().any(|(_, rule)| hit(rule))
    }
}
