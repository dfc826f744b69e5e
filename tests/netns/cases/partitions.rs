//! Nodes that do not reach each other, or only in bad weather.

use super::{Case, Scene, ms};
use crate::clock::{Moment, wait};
use crate::daemon::DEAD_TIME;
use crate::fabric::{HAVIPS, Havip};
use crate::lab::{Lab, Mark, PATIENCE};
use crate::network::{NODES, Node};
use crate::relay::{Relay, Weather};
use crate::report::Figure;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    ("full partition of two nodes", full),
    ("full partition right after a restart", after_restart),
    ("the others do not hear the active node", unheard),
    ("the active node does not hear the others", deaf),
    ("a backup without its heartbeat address", without_address),
    ("a backup whose own rules refuse heartbeats", refused),
    ("a third of the heartbeats lost", lossy),
    ("heartbeats delayed, reordered, duplicated", bad_weather),
];

const TRIO: Havip = HAVIPS[0];
const DUO: Havip = HAVIPS[1];

fn partner(node: Node) -> Node {
    if node == NODES[0] { NODES[1] } else { NODES[0] }
}

/// Waits until `node` has lost its session with `peer` (`down`, `one-way`, ...).
fn lost_touch(lab: &mut Lab, node: Node, peer: Node) -> Result<(), String> {
    wait("the partition is noticed", PATIENCE, || {
        let answer = lab.daemon(node).ask(&json!({"command": "status"}))?;
        let peers = answer["data"]["peers"].as_array().cloned().unwrap_or_default();
        let state = peers.iter().find(|p| p["node"] == json!(peer.name())).map(|p| p["state"].clone());
        state.as_ref().is_some_and(|s| *s != json!("up")).then_some(()).ok_or_else(|| format!("session is {state:?}"))
    })
}

/// By majority nothing moves, since the third node hears both. By the cloud the other node takes
/// over, once, and the old one gives way to what the cloud says.
fn full(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.network.silence(node, partner(node));
    scene.lab.network.silence(partner(node), node);
    lost_touch(scene.lab, partner(node), node)?;
    moves_by_cloud_only(scene, node, mark, &["superseded", "higher-epoch"])?;
    let settled = scene.lab.settle(DUO, &NODES)?;
    let outage = scene.lab.probe.outage(DUO, mark.datagram..settled.datagram + 1);
    scene.findings.note(DUO, Figure::PartitionOutage, ms(outage.longest));
    let settled = scene.lab.settle(TRIO, &NODES)?;
    let outage = scene.lab.probe.outage(TRIO, mark.datagram..settled.datagram + 1);
    scene.findings.note(TRIO, Figure::PartitionOutage, ms(outage.longest));
    let healed = scene.lab.mark();
    scene.lab.restore()?;
    for (havip, holder) in [(TRIO, node), (DUO, partner(node))] {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, holder, healed, settled)?;
    }
    Ok(())
}

/// A restarted holder has its own vote at once: with the third node's that is a majority.
fn after_restart(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    super::leaving::restart(scene, node)?;
    scene.lab.settle(TRIO, &NODES)?;
    scene.lab.network.silence(node, partner(node));
    scene.lab.network.silence(partner(node), node);
    lost_touch(scene.lab, partner(node), node)?;
    // What a majority gave before has run out by then.
    Moment::now().after(DEAD_TIME * 2).rest_until();
    let settled = scene.lab.settle(TRIO, &NODES)?;
    let answered = scene.lab.probe.answerers(TRIO, mark.datagram..settled.datagram + 1);
    let terms = scene.lab.terms_since(TRIO, mark.at);
    if settled.node != node || terms != [node] || answered != [node] {
        let story = scene.lab.story(TRIO);
        return Err(format!("active became {terms:?}, answers came from {answered:?}\n{story}"));
    }
    Ok(())
}

/// The other node thinks that the active one is dead; the active one hears it claim.
fn unheard(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.network.silence(node, partner(node));
    lost_touch(scene.lab, partner(node), node)?;
    moves_by_cloud_only(scene, node, mark, &["superseded", "higher-epoch"])
}

fn moves_by_cloud_only(scene: &mut Scene<'_>, from: Node, mark: Mark, gave_way: &[&str]) -> Result<(), String> {
    wait("the other node takes over by the cloud", PATIENCE, || {
        let node = scene.lab.active(DUO, &NODES)?;
        (node != from).then_some(()).ok_or_else(|| format!("{} is active", node.name()))
    })
    .map_err(|text| format!("{text}\n{}", scene.lab.story(DUO)))?;
    let settled = scene.lab.settle(DUO, &NODES)?;
    scene.moved_once(DUO, from, mark, settled)?;
    scene.claimed_because(DUO, mark, settled, &["peer-dead"])?;
    let changes = scene.lab.changes_since(DUO, mark.at);
    let why = changes.iter().find(|c| c.node == from && c.to == "backup").map(|c| c.cause.clone());
    if !why.as_deref().is_some_and(|why| gave_way.contains(&why)) {
        return Err(format!("{} gave way because of {why:?}, not {gave_way:?}", from.name()));
    }
    let settled = scene.lab.settle(TRIO, &NODES)?;
    scene.stayed(TRIO, from, mark, settled)
}

/// The others hear an active node: nothing moves.
fn deaf(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.network.silence(partner(node), node);
    lost_touch(scene.lab, node, partner(node))?;
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}

/// The backup hears nobody, and knows that this is its own doing: it takes nothing. When it hears again all is as before.
/// The interface of its HAVIPs, which no name gives, is the one with a heartbeat address: so it is in fault meanwhile.
fn without_address(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let (backup, mark) = (partner(node), scene.lab.mark());
    scene.lab.network.lose_heartbeat_address(backup);
    let why = format!("no interface for {}: none of the node's addresses", DUO.id());
    let others: Vec<Node> = NODES.into_iter().filter(|n| *n != backup).collect();
    let kept = takes_nothing(scene, node, mark, &why, &others);
    scene.lab.network.return_heartbeat_address(backup);
    kept?;
    scene.lab.restore()?;
    let settled = scene.lab.settle(DUO, &NODES)?;
    scene.stayed(DUO, node, mark, settled)
}

fn refused(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let (backup, mark) = (partner(node), scene.lab.mark());
    let before = refusals(scene, backup)?;
    scene.lab.network.refuse_heartbeats(backup);
    let kept = takes_nothing(scene, node, mark, "this host refuses what this node sends", &NODES);
    scene.lab.network.let_heartbeats_through(backup);
    kept?;
    scene.lab.restore()?;
    let settled = scene.lab.settle(DUO, &NODES)?;
    scene.stayed(DUO, node, mark, settled)?;
    // It says so when it begins and when it ends, however many heartbeats that is.
    let (now, peers) = (refusals(scene, backup)?, NODES.len() - 1);
    if now != before.map(|lines| lines + peers) {
        return Err(format!("the log of {} had {before:?} lines of refusals, and has {now:?}", backup.name()));
    }
    Ok(())
}

/// Lines in a node's log that a refusal of its heartbeats began, and that it ended.
fn refusals(scene: &mut Scene<'_>, node: Node) -> Result<[usize; 2], String> {
    let log = std::fs::read_to_string(scene.lab.daemon(node).log()).map_err(|e| e.to_string())?;
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    Ok([") is refused here: ", ") is refused here no longer"].map(count))
}

/// A node that hears nobody for its own reasons, which its status names, takes nothing for as long as that lasts; `sound` are
/// the nodes without a fault.
fn takes_nothing(scene: &mut Scene<'_>, node: Node, mark: Mark, why: &str, sound: &[Node]) -> Result<(), String> {
    let backup = partner(node);
    lost_touch(scene.lab, node, backup)?;
    wait("the backup knows why it hears nobody", PATIENCE, || {
        let group = scene.lab.daemon(backup).group(DUO)?;
        let told = ["detail", "waiting"].map(|field| group[field].as_str().unwrap_or_default());
        told.iter().any(|text| text.contains(why)).then_some(()).ok_or_else(|| format!("it says {told:?}"))
    })
    .map_err(|text| format!("{text}\n{}", scene.lab.story(DUO)))?;
    Moment::now().after(DEAD_TIME * 3).rest_until();
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, sound)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}

fn lossy(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    scene.lab.network.lose_a_third();
    heartbeats_pass(scene.lab, 60)?;
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}

/// Waits until each node has counted so many heartbeats more from each other.
fn heartbeats_pass(lab: &mut Lab, more: u64) -> Result<(), String> {
    let mut heard = || -> Result<Vec<u64>, String> {
        let mut counts = Vec::new();
        for node in NODES {
            let answer = lab.daemon(node).ask(&json!({"command": "status"}))?;
            let peers = answer["data"]["peers"].as_array().cloned().unwrap_or_default();
            counts.extend(peers.iter().map(|p| p["stats"]["counted"].as_u64().unwrap_or_default()));
        }
        Ok(counts)
    };
    let before = heard()?;
    wait("heartbeats pass", PATIENCE, || {
        let now = heard()?;
        let enough = now.iter().zip(&before).all(|(now, before)| *now >= before + more);
        enough.then_some(()).ok_or_else(|| format!("{before:?} have become {now:?}"))
    })
}

fn bad_weather(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    let relay = Relay::start(&scene.lab.network, Weather { delay: Duration::from_millis(150), duplicates: 20 }, 7);
    let counts = relay.counts.clone();
    wait("there is bad weather", PATIENCE, || {
        let all = [&counts.relayed, &counts.overtaken, &counts.duplicated].map(|c| c.load(Ordering::Relaxed));
        let enough = all[0] >= 300 && all[1] >= 30 && all[2] >= 30;
        enough.then_some(()).ok_or_else(|| format!("relayed, overtaken, duplicated: {all:?}"))
    })?;
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    drop(relay);
    Ok(())
}
