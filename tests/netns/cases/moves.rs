//! A node or its daemon fails: another takes over, once.

use super::{Case, Scene, ms};
use crate::clock::{Moment, wait};
use crate::daemon::{DEAD_TIME, INTERVAL};
use crate::fabric::{HAVIPS, Havip};
use crate::frozen::Frozen;
use crate::lab::{Mark, PATIENCE, Settled};
use crate::network::{NODES, Node};
use crate::report::Figure;
use havipd_lab::simulation::cloud::Operation;
use rustix::process::Signal;

pub(super) const CASES: &[Case] = &[
    ("crash", crash),
    ("daemon killed", daemon_killed),
    ("daemon stopped for longer than the dead time", daemon_stopped),
    ("what puts addresses stands still", address_owner_stopped),
];

/// Reasons to claim when the active node is not heard any more.
const SILENCE: &[&str] = &["peer-dead"];

fn others(node: Node) -> Vec<Node> {
    NODES.into_iter().filter(|n| *n != node).collect()
}

/// Link down and SIGKILL at once, as a host that loses power.
fn crash(scene: &mut Scene<'_>) -> Result<(), String> {
    let victim = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.daemon(victim).signal(Signal::KILL);
    scene.lab.network.disconnect(victim);
    let down = Moment::now();
    scene.lab.daemon(victim).kill();
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &others(victim))?;
        scene.moved_once(havip, victim, mark, settled)?;
        scene.claimed_because(havip, mark, settled, SILENCE)?;
        note_crash(scene, havip, mark, down, settled);
    }
    let returned = scene.lab.mark();
    scene.lab.restore()?;
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, settled.node, returned, settled)?;
    }
    Ok(())
}

fn note_crash(scene: &mut Scene<'_>, havip: Havip, mark: Mark, down: Moment, settled: Settled) {
    let outage = scene.lab.probe.outage(havip, mark.datagram..settled.datagram + 1);
    scene.findings.note(havip, Figure::CrashOutage, ms(outage.longest));
    let writes = scene.lab.fabric.writes_since(havip, down, Some(settled.node));
    let attach = writes.iter().find(|call| call.operation == Some(Operation::Attach));
    let moves = scene.lab.fabric.moves_since(havip, down);
    let arrival = moves.iter().rev().find(|m| m.to == Some(settled.node));
    let changes = scene.lab.changes_since(havip, down);
    let claim = changes.iter().find(|c| c.node == settled.node && c.to == "claiming");
    let Some((attach, arrival, claim)) = attach.zip(arrival).zip(claim).map(|((a, m), c)| (a, m, c)) else { return };
    let on_the_wire = Moment(attach.at_us * 1000);
    let cloud = arrival.at.ms_after(on_the_wire);
    scene.findings.note(havip, Figure::CrashToWire, on_the_wire.ms_after(claim.at));
    scene.findings.note(havip, Figure::CrashCloud, cloud);
    scene.findings.note(havip, Figure::CrashExcess, ms(outage.longest) - ms(DEAD_TIME) - cloud);
}

/// Only the daemon dies: the node goes on answering until packets go elsewhere, and the kernel takes its address off.
fn daemon_killed(scene: &mut Scene<'_>) -> Result<(), String> {
    let victim = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.daemon(victim).kill();
    let killed = Moment::now();
    for havip in HAVIPS {
        wait("the kernel removes the address", PATIENCE, || {
            let bearers = scene.lab.bearers(havip);
            let gone = !bearers.contains(&victim);
            gone.then_some(()).ok_or_else(|| format!("it is on {bearers:?}"))
        })?;
        scene.findings.note(havip, Figure::KillGone, ms(Moment::now().since(killed)));
        let settled = scene.lab.settle(havip, &others(victim))?;
        scene.moved_once(havip, victim, mark, settled)?;
        scene.claimed_because(havip, mark, settled, SILENCE)?;
        let outage = scene.lab.probe.outage(havip, mark.datagram..settled.datagram + 1);
        scene.findings.note(havip, Figure::KillOutage, ms(outage.longest));
    }
    Ok(())
}

/// The daemon is stopped until others serve, and wakes up believing that it is active.
fn daemon_stopped(scene: &mut Scene<'_>) -> Result<(), String> {
    let victim = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.daemon(victim).signal(Signal::STOP);
    for havip in HAVIPS {
        // The address may still be there while the victim sleeps: that is what its lifetime is for.
        scene.lab.settle_among(havip, &others(victim), &others(victim))?;
    }
    scene.lab.daemon(victim).signal(Signal::CONT);
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.moved_once(havip, victim, mark, settled)?;
        scene.claimed_because(havip, mark, settled, SILENCE)?;
        let outage = scene.lab.probe.outage(havip, mark.datagram..settled.datagram + 1);
        scene.findings.note(havip, Figure::StopOutage, ms(outage.longest));
    }
    Ok(())
}

/// The thread that puts addresses stands still, as it does while somebody holds the kernel's lock for them: the node hands
/// over before its address is gone, its heartbeats keep their cadence, and afterwards it is as good as any.
fn address_owner_stopped(scene: &mut Scene<'_>) -> Result<(), String> {
    let victim = scene.lab.gather()?;
    let watcher = others(victim)[0];
    let mark = scene.lab.mark();
    let (heard, from) = (scene.lab.daemon(watcher).heard_of(victim)?, Moment::now());
    let frozen = Frozen::thread(scene.lab.daemon(victim).pid(), "address-owner");
    for havip in HAVIPS {
        // Nobody can take the address off the victim before its lifetime is over.
        let settled = scene.lab.settle_among(havip, &others(victim), &others(victim))?;
        scene.moved_once(havip, victim, mark, settled)?;
        scene.claimed_because(havip, mark, settled, &["handed-over"])?;
        wait("the kernel removes the address", PATIENCE, || {
            let bearers = scene.lab.bearers(havip);
            let gone = !bearers.contains(&victim);
            gone.then_some(()).ok_or_else(|| format!("it is on {bearers:?}"))
        })?;
    }
    let beats = scene.lab.daemon(watcher).heard_of(victim)? - heard;
    let due = Moment::now().since(from).as_millis() / INTERVAL.as_millis();
    frozen.thaw();
    if u128::from(beats) * 2 < due {
        return Err(format!("{beats} heartbeats of {} counted where {due} were due", victim.name()));
    }
    HAVIPS.into_iter().try_for_each(|havip| scene.lab.settle(havip, &NODES).map(drop))
}
