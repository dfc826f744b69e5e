//! I6: a reload, a restart and an upgrade (a restart of every node in turn) move nothing.
//!
//! Watched from such a step, taken in calm, until nothing more can come of it, or until something
//! else happens. Another node that claims within that time has moved the address; a reload that
//! changes priorities may lead to a preemption, which is a planned move. Nor does the holder lose leadership and claim
//! it again, but for the stop itself; in a rotation of heartbeat keys nobody who is active does.

use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::OnRestart;
use havipd_core::model::time::Instant;
use std::time::Duration;

#[derive(Debug)]
struct Watched {
    until: Instant,
    holders: Vec<Option<usize>>,
    what: String,
    rotation: bool,
}

#[derive(Debug, Default)]
pub(super) struct NoNeedlessMoves {
    watched: Option<Watched>,
}

impl NoNeedlessMoves {
    fn begin(&mut self, world: &World, kind: &StepKind) {
        let cluster = &world.scenario.cluster;
        let keep = Duration::from_millis(cluster.keep_for_ms);
        let harmless = match kind {
            StepKind::Stop { restart: true, back_ms: Some(back), .. } => {
                cluster.on_restart == OnRestart::Keep && Duration::from_millis(*back) * 2 < keep
            }
            StepKind::Reload { .. } => true,
            _ => false,
        };
        let calm = world.all_calm().is_some_and(|c| c > world.aftermath());
        self.watched = (harmless && calm && world.winnable()).then(|| Watched {
            until: world.now + keep + world.dead_time() * 2,
            holders: (0..world.groups()).map(|g| world.active(g)).collect(),
            what: kind.text(),
            rotation: kind.rotates(),
        });
    }
}

impl Invariant for NoNeedlessMoves {
    fn name(&self) -> &'static str {
        "I6"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Did { kind: StepKind::Install { .. } } => {}
            Seen::Did { kind } => self.begin(world, kind),
            Seen::Quiet => self.watched = None,
            Seen::Became { host, transition: t } if t.from.has_leadership() && !t.to.has_leadership() => {
                let stopping = world.hosts[*host].process.as_ref().is_some_and(|p| p.stopping);
                // A claim that fails takes nothing from anybody; that its cause is true is I12's.
                let active = t.from == Role::Active;
                let holds = |w: &&Watched| w.rotation && active || w.holders[t.group.0] == Some(*host);
                let watched = self.watched.as_ref().filter(|w| world.now < w.until && !stopping).filter(holds);
                if let Some(w) = watched.filter(|_| t.to != Role::Releasing && t.from != Role::Releasing) {
                    let name = world.name(*host);
                    return Err(format!("after {} {name} became {} ({}: {})", w.what, t.to, t.cause, t.detail));
                }
            }
            Seen::Became { host, transition } if transition.to == Role::Claiming => {
                let Some(w) = self.watched.as_ref().filter(|w| world.now < w.until) else { return Ok(()) };
                let planned = transition.cause == Cause::HandedOver;
                if let Some(holder) = w.holders[transition.group.0]
                    && holder != *host
                    && !planned
                {
                    return Err(format!(
                        "{} was active; after {} {} claims ({}: {})",
                        world.name(holder),
                        w.what,
                        world.name(*host),
                        transition.cause,
                        transition.detail
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
