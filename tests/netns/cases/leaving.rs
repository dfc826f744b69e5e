//! Planned: switchover, stop, restart, reload.

use super::{Case, Scene, ms};
use crate::clock::Moment;
use crate::fabric::HAVIPS;
use crate::network::{NODES, Node};
use crate::report::Figure;
use rustix::process::Signal;

pub(super) const CASES: &[Case] =
    &[("switchover", switchover), ("SIGTERM", stopped_in_order), ("restart", restarted), ("reload", reloaded)];

/// The one of the first two nodes that `node` is not.
fn partner(node: Node) -> Node {
    if node == NODES[0] { NODES[1] } else { NODES[0] }
}

fn switchover(scene: &mut Scene<'_>) -> Result<(), String> {
    let from = scene.lab.gather()?;
    for havip in HAVIPS {
        let mark = scene.lab.mark();
        let to = partner(from);
        scene.lab.switch_over(havip, from, to)?;
        crate::clock::wait("the switchover is over", crate::lab::PATIENCE, || {
            let node = scene.lab.active(havip, &NODES)?;
            (node == to).then_some(()).ok_or_else(|| format!("{} is active", node.name()))
        })?;
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.moved_once(havip, from, mark, settled)?;
        scene.claimed_because(havip, mark, settled, &["handed-over", "switchover"])?;
        let outage = scene.lab.probe.outage(havip, mark.datagram..settled.datagram + 1);
        scene.findings.note(havip, Figure::SwitchoverLost, outage.lost as f64);
        scene.findings.note(havip, Figure::SwitchoverGap, ms(outage.longest));
    }
    Ok(())
}

/// `systemctl stop`: both groups are handed over before the process ends.
fn stopped_in_order(scene: &mut Scene<'_>) -> Result<(), String> {
    let from = scene.lab.gather()?;
    let rest: Vec<Node> = NODES.into_iter().filter(|n| *n != from).collect();
    let mark = scene.lab.mark();
    scene.lab.daemon(from).signal(Signal::TERM);
    let status = scene.lab.daemon(from).ended()?;
    if !status.success() {
        return Err(format!("havipd ended with {status}"));
    }
    for havip in HAVIPS {
        if scene.lab.bearers(havip).contains(&from) {
            return Err(format!("{} left its address behind", from.name()));
        }
        let settled = scene.lab.settle(havip, &rest)?;
        scene.moved_once(havip, from, mark, settled)?;
        scene.claimed_because(havip, mark, settled, &["handed-over"])?;
        let outage = scene.lab.probe.outage(havip, mark.datagram..settled.datagram + 1);
        scene.findings.note(havip, Figure::LeaveLost, outage.lost as f64);
        scene.findings.note(havip, Figure::LeaveGap, ms(outage.longest));
    }
    Ok(())
}

/// As `systemctl restart` does it; the address stays meanwhile.
pub(super) fn restart(scene: &mut Scene<'_>, node: Node) -> Result<(), String> {
    scene.lab.daemon(node).systemd_says("1042 havipd.service restart running");
    scene.lab.daemon(node).signal(Signal::TERM);
    let status = scene.lab.daemon(node).ended()?;
    if !status.success() {
        return Err(format!("havipd ended with {status}"));
    }
    for havip in HAVIPS {
        if scene.lab.bearers(havip) != [node] {
            return Err(format!("{} did not keep its address", node.name()));
        }
    }
    scene.lab.daemon(node).systemd_says("");
    scene.lab.start(node);
    Ok(())
}

/// Nothing moves, and the address stays.
fn restarted(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    restart(scene, node)?;
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        let terms = scene.lab.terms_since(havip, mark.at);
        let answered = scene.lab.probe.answerers(havip, mark.datagram..settled.datagram + 1);
        let moves = scene.lab.fabric.moves_since(havip, mark.at);
        if settled.node != node || terms.iter().any(|n| *n != node) || answered != [node] || !moves.is_empty() {
            let story = scene.lab.story(havip);
            return Err(format!("active became {terms:?}, answers came from {answered:?}, {moves:?}\n{story}"));
        }
        let outage = scene.lab.probe.outage(havip, mark.datagram..settled.datagram + 1);
        scene.findings.note(havip, Figure::RestartLost, outage.lost as f64);
    }
    Ok(())
}

/// SIGHUP on every node at once: nothing moves.
fn reloaded(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    for node in NODES {
        scene.lab.daemon(node).reload()?;
    }
    // Whatever a reload could break shows within a dead time.
    Moment::now().after(crate::daemon::DEAD_TIME * 2).rest_until();
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}
