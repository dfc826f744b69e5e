//! I14: no address, announcement or notify-master of a term before its gate has succeeded; under `majority` no write
//! either.
//!
//! An address that is still there from the last term of the same node may be renewed: in a start that goes on, and in a
//! claim after a handover that failed.

use super::super::cluster::Cluster;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::action::{GateKind, NotifyState};
use havipd_core::model::ids::Epoch;
use havipd_core::model::role::{Cause, Role};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Term {
    epoch: Epoch,
    passed: bool,
    goes_on: bool,
}

#[derive(Debug)]
pub(super) struct GateFirst {
    gated: bool,
    majority: bool,
    /// Per node and group.
    terms: BTreeMap<(usize, usize), Term>,
}

impl GateFirst {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let majority = cluster.arbiter.is_leased();
        Self { gated: cluster.gate_timeout_ms > 0, majority, terms: BTreeMap::new() }
    }

    fn judge(&self, world: &World, host: usize, group: usize, what: &str) -> Result<(), String> {
        let right = world.role_so_far(host, group).is_some_and(Role::has_leadership);
        match self.terms.get(&(host, group)).filter(|t| right && !t.passed) {
            Some(term) => {
                Err(format!("{} {what} in term {} before its gate has succeeded", world.name(host), term.epoch))
            }
            None => Ok(()),
        }
    }
}

impl Invariant for GateFirst {
    fn name(&self) -> &'static str {
        "I14"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !self.gated {
            return Ok(());
        }
        match seen {
            Seen::Started { host } => self.terms.retain(|(h, _), _| h != host),
            Seen::Became { host, transition: t } if t.to == Role::Claiming => {
                let goes_on = matches!(t.cause, Cause::Resumed | Cause::HandoverFailed);
                self.terms.insert((*host, t.group.0), Term { epoch: t.epoch, passed: false, goes_on });
            }
            Seen::GateEnded { host, run, passed: true } if run.kind == GateKind::BeforeActive => {
                let term = self.terms.get_mut(&(*host, run.group.0));
                if let Some(term) = term.filter(|t| t.epoch == run.epoch) {
                    term.passed = true;
                }
            }
            Seen::Put { host, group, .. } => {
                let goes_on = self.terms.get(&(*host, group.0)).is_some_and(|t| t.goes_on);
                let there = world.havips_of(group.0).any(|n| world.has_address(*host, n));
                if !(goes_on && there) {
                    return self.judge(world, *host, group.0, "puts an address");
                }
            }
            Seen::Announced { host, group } => return self.judge(world, *host, group.0, "announces"),
            Seen::Wrote { host, write } if self.majority => return self.judge(world, *host, write.group.0, "writes"),
            Seen::Notified { host, notification: n } if n.state == NotifyState::Master => {
                return self.judge(world, *host, n.group.0, "calls notify-master");
            }
            _ => {}
        }
        Ok(())
    }
}
