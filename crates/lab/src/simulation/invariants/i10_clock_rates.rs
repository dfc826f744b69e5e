//! I10: clock steps change nothing.
//!
//! No core sees the wall clock, so a step of it has nothing to act upon. Where the clocks that it does see stand
//! decides nothing either: tests/simulation compares two runs that differ in that alone. What is left is their
//! rate, which a correction of the clock changes. Watched from such a change, taken in calm, until nothing more can
//! come of it, or until something else happens: as long as any two rates differ by less than one per cent nobody
//! loses leadership, and nobody claims.

use super::super::step_kind::StepKind;
use super::super::watch::Seen;
use super::super::world::World;
use super::Invariant;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::time::Instant;

/// The largest difference of two rates, in millionths.
const APART: i64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct ClockRates {
    until: Option<Instant>,
}

impl ClockRates {
    fn begin(&mut self, world: &World, kind: &StepKind) {
        let calm = world.all_calm().is_some_and(|c| c > world.aftermath());
        let StepKind::ClockRate { ppm, .. } = kind else {
            self.until = None;
            return;
        };
        let rates = || world.hosts.iter().map(|h| h.clock.ppm()).chain([*ppm]);
        let apart = rates().max().unwrap_or_default() - rates().min().unwrap_or_default();
        self.until = (calm && world.winnable() && apart < APART).then(|| world.now + world.calm_enough());
    }
}

impl Invariant for ClockRates {
    fn name(&self) -> &'static str {
        "I10"
    }

    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Did { kind } => self.begin(world, kind),
            Seen::Quiet | Seen::Started { .. } => self.until = None,
            Seen::Became { host, transition: t } if self.until.is_some_and(|u| world.now < u) => {
                let lost = t.from == Role::Active && !t.to.has_leadership() && t.to != Role::Releasing;
                let claims = t.to == Role::Claiming && !t.from.has_leadership() && t.cause != Cause::HandedOver;
                if lost || (claims && t.from != Role::Releasing) {
                    let name = world.name(*host);
                    return Err(format!(
                        "after a clock's rate changed {name} became {} ({}): {}",
                        t.to, t.cause, t.detail
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
