//! The one profile that software cannot win: the first one bound stays master and cannot be detached.

use super::{Case, Scene};
use crate::clock::{Moment, wait};
use crate::fabric::HAVIPS;
use crate::lab::PATIENCE;
use crate::network::NODES;
use havipd_lab::emulator::Command;
use rustix::process::Signal;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[("crash, and nothing helps until an operator unbinds", crash)];

/// How long is watched.
const WATCHED: Duration = Duration::from_secs(6);

/// Writes per HAVIP that are more than trying: two nodes, each with attach, detach and retries at growing intervals.
const TOO_MANY: usize = 60;

/// A node that wants to take over says that it cannot be done and why, does not hammer the cloud, and
/// takes over by itself once somebody has unbound the dead node at the console.
fn crash(scene: &mut Scene<'_>) -> Result<(), String> {
    // A group that began elsewhere cannot be brought here: it is left out.
    let [trio, duo] = HAVIPS.map(|havip| scene.lab.settle(havip, &NODES));
    let (trio, victim) = (trio?.node, duo?.node);
    let held = &HAVIPS[usize::from(trio != victim)..];
    let rest: Vec<_> = NODES.into_iter().filter(|n| *n != victim).collect();
    let mark = scene.lab.mark();
    scene.lab.daemon(victim).signal(Signal::KILL);
    scene.lab.network.disconnect(victim);
    scene.lab.daemon(victim).kill();
    for havip in held.iter().copied() {
        wait("somebody says that it cannot be won", PATIENCE, || {
            let changes = scene.lab.changes_since(havip, mark.at);
            let told = changes.iter().any(|c| c.to == "fault" && c.cause == "detach-refused");
            told.then_some(()).ok_or_else(|| "nobody does".to_owned())
        })
        .map_err(|text| format!("{text}\n{}", scene.lab.story(havip)))?;
    }
    let watched = Moment::now();
    watched.after(WATCHED).rest_until();
    for havip in held.iter().copied() {
        let writes = scene.lab.fabric.writes_since(havip, watched, None).len();
        let terms = scene.lab.terms_since(havip, mark.at);
        if writes > TOO_MANY || !terms.is_empty() {
            let story = scene.lab.story(havip);
            return Err(format!("{writes} writes within {WATCHED:?}; active became {terms:?}\n{story}"));
        }
        let unbind = Command::Unbind { havip: havip.id().to_owned(), target: victim.instance() };
        scene.lab.fabric.control.apply(unbind).map_err(|e| e.to_string())?;
    }
    held.iter().copied().try_for_each(|havip| scene.lab.settle(havip, &rest).map(drop))
}
