//! Somebody interferes with what havipd put in place.

use super::{Case, Scene, ms};
use crate::clock::{Moment, wait};
use crate::fabric::HAVIPS;
use crate::lab::PATIENCE;
use crate::network::NODES;
use crate::report::Figure;
use havipd::sandbox::emulator::Command;

pub(super) const CASES: &[Case] = &[("address removed by hand", removed), ("unbound at the console", unbound)];

fn removed(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    for havip in HAVIPS {
        let mark = scene.lab.mark();
        scene.lab.network.node(node).ip(&format!("address del {}/32 dev eth0\n", havip.address()));
        let removed = Moment::now();
        wait("the address is restored", PATIENCE, || {
            let there = scene.lab.bearers(havip) == [node];
            there.then_some(()).ok_or_else(|| "it is gone".to_owned())
        })?;
        scene.findings.note(havip, Figure::ByHand, ms(Moment::now().since(removed)));
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}

/// The audits find out and repair it; nobody else has reason to claim.
fn unbound(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    for havip in HAVIPS {
        let mark = scene.lab.mark();
        let unbind = Command::Unbind { havip: havip.id().to_owned(), target: node.instance() };
        scene.lab.fabric.control.apply(unbind).map_err(|e| e.to_string())?;
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}
