//! Somebody interferes with what havipd put in place.

use super::{Case, Scene, ms};
use crate::clock::{Moment, wait};
use crate::daemon::members;
use crate::fabric::{HAVIPS, Havip};
use crate::lab::PATIENCE;
use crate::network::{NODES, Node};
use crate::report::Figure;
use havipd_lab::emulator::Command;

pub(super) const CASES: &[Case] = &[
    ("address removed by hand", removed),
    ("address put on a backup by hand", put_on_a_backup),
    ("address on all nodes before the start", put_everywhere),
    ("unbound at the console", unbound),
];

/// As a script, or the host's own network configuration, would: to stay for ever.
fn put(scene: &Scene<'_>, havip: Havip, node: Node) {
    scene.lab.network.node(node).ip(&format!("address replace {}/32 dev eth0 valid_lft forever\n", havip.address()));
}

/// It is taken off again before the fabric could notice: nothing moves.
fn put_on_a_backup(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    for havip in HAVIPS {
        let backup = members(havip).iter().find(|n| **n != node).ok_or("a group of one")?;
        let mark = scene.lab.mark();
        put(scene, havip, *backup);
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
        let line = format!("took off {}/32 on eth0, which havipd had not put there", havip.address());
        wait("it is said, since nobody asked for it", PATIENCE, || {
            let log = std::fs::read_to_string(scene.lab.daemon(*backup).log()).unwrap_or_default();
            log.contains(&line).then_some(()).ok_or_else(|| format!("no line {line:?}"))
        })?;
    }
    Ok(())
}

/// Nobody runs, and everybody has the address: a node that starts as a backup takes it off, and it is on one.
fn put_everywhere(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    NODES.into_iter().for_each(|n| scene.lab.daemon(n).kill());
    for havip in HAVIPS {
        members(havip).iter().for_each(|n| put(scene, havip, *n));
        let bearers = scene.lab.bearers(havip);
        if bearers != members(havip) {
            return Err(format!("the address was to be on every member, and is on {bearers:?}"));
        }
    }
    NODES.into_iter().for_each(|n| scene.lab.start(n));
    for havip in HAVIPS {
        scene.lab.settle(havip, &NODES)?;
        let moves = scene.lab.fabric.moves_since(havip, mark.at);
        if scene.lab.active(havip, &NODES)? != node || !moves.is_empty() {
            return Err(format!("the cloud named {node:?}, and {moves:?} happened\n{}", scene.lab.story(havip)));
        }
    }
    Ok(())
}

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
