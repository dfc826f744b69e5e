//! Many groups, everything else as it comes, and a cloud that is a way off: all of them start, and all of them move.
//!
//! Tried where they are asked for: `HAVIPD_LAB_GROUPS=50`, or 250, which is as many as a file may have.

use super::groups::{defaults, leave_behind, one_active_each};
use super::{Case, Scene, asked, ms};
use crate::clock::{Moment, wait};
use crate::daemon::{self, Change};
use crate::fabric::{HAVIPS, Havip, LARGE};
use crate::lab::{Lab, PATIENCE};
use crate::network::{NODES, Node};
use crate::report::Figure;
use havipd_lab::emulator::Command;
use havipd_lab::simulation::cloud::{Operation, Profile};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where they are tried: what differs between clouds is tried with two groups.
const PROFILES: &[&str] = &["attach-moves", "garp-required"];

/// So late the cloud answers.
const DISTANCE: Duration = Duration::from_millis(20);

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let all: &[Case] = &[("many groups of three nodes", of_three), ("many groups of two nodes", of_two)];
    if asked() && PROFILES.contains(&profile.name.as_str()) { all.to_vec() } else { Vec::new() }
}

fn count() -> usize {
    let wanted = std::env::var("HAVIPD_LAB_GROUPS").ok().map(|n| n.parse().expect("HAVIPD_LAB_GROUPS is a number"));
    wanted.unwrap_or(50).min(LARGE)
}

fn of_three(scene: &mut Scene<'_>) -> Result<(), String> {
    many(scene, &NODES, HAVIPS[0])
}

fn of_two(scene: &mut Scene<'_>) -> Result<(), String> {
    many(scene, &NODES[..2], HAVIPS[1])
}

/// A cold start of all `nodes` at once, then the one that has the groups is gone.
fn many(scene: &mut Scene<'_>, nodes: &[Node], column: Havip) -> Result<(), String> {
    let lab = &mut *scene.lab;
    leave_behind(lab, &defaults(nodes, count()));
    for havip in HAVIPS {
        for target in lab.fabric.havip(havip).bound {
            let unbind = Command::Unbind { havip: havip.id().to_owned(), target: target.id };
            lab.fabric.control.apply(unbind).map_err(|e| e.to_string())?;
        }
    }
    lab.fabric.create_to(count());
    lab.fabric.slow(DISTANCE);

    let began = Moment::now();
    nodes.iter().for_each(|node| lab.start(*node));
    one_active_each(lab, nodes, count())?;
    let started = last_move(lab, began).since(began);
    NODES.iter().filter(|node| nodes.contains(node)).try_for_each(|node| in_touch(lab, *node, nodes.len() - 1))?;
    nothing_failed(&changes(lab, nodes, began))?;

    // Most of them are on the preferred node; one that heard the others late may have the rest.
    let victim = nodes[0];
    let rest: Vec<Node> = nodes.iter().copied().filter(|n| *n != victim).collect();
    let there = lab.daemon(victim).groups()?.iter().filter(|g| g["role"] == "active").count();
    if there * 2 < count() {
        return Err(format!("{} has {there} of {} groups after a start of all nodes", victim.name(), count()));
    }
    let down = Moment::now();
    lab.daemon(victim).signal(Signal::KILL);
    lab.network.disconnect(victim);
    lab.daemon(victim).kill();
    one_active_each(lab, &rest, count())?;
    let crashed = last_move(lab, down).since(down);
    let since = changes(lab, &rest, down);
    nothing_failed(&since)?;
    moved_once(&since, there)?;
    attached_once(lab, &rest, down, there)?;
    scene.findings.note(column, Figure::ManyStart, ms(started));
    scene.findings.note(column, Figure::ManyCrash, ms(crashed));

    let lab = &mut *scene.lab;
    leave_behind(lab, &daemon::configuration());
    lab.fabric.control.clear_faults();
    lab.fabric.delete_created();
    Ok(())
}

fn last_move(lab: &Lab, then: Moment) -> Moment {
    lab.fabric.all_moves_since(then).iter().map(|m| m.at).max().unwrap_or(then)
}

fn changes(lab: &mut Lab, nodes: &[Node], since: Moment) -> Vec<Change> {
    nodes.iter().flat_map(|node| lab.daemon(*node).changes_since(since)).collect()
}

/// Waits until `node` is in touch with so many others.
fn in_touch(lab: &mut Lab, node: Node, others: usize) -> Result<(), String> {
    wait("every node is in touch with every other", PATIENCE, || {
        let answer = lab.daemon(node).ask(&serde_json::json!({"command": "status"}))?;
        let peers = answer["data"]["peers"].as_array().cloned().unwrap_or_default();
        let up = peers.iter().filter(|p| p["state"] == "up").count();
        (up == others).then_some(()).ok_or_else(|| format!("{} has {up} peers up", node.name()))
    })
}

/// However many want to claim at once, none of them fails for want of anything.
fn nothing_failed(changes: &[Change]) -> Result<(), String> {
    let failed = |c: &&Change| ["claim-timed-out", "claim-refused", "isolated", "away"].contains(&c.cause.as_str());
    match changes.iter().find(failed) {
        Some(change) => Err(format!("a claim failed, or a node did: {}", change.line)),
        None => Ok(()),
    }
}

/// Each group became active once.
fn moved_once(changes: &[Change], count: usize) -> Result<(), String> {
    let mut terms: BTreeMap<&str, usize> = BTreeMap::new();
    changes.iter().filter(|c| c.to == "active").for_each(|c| *terms.entry(&c.group).or_default() += 1);
    let twice: Vec<_> = terms.iter().filter(|(_, n)| **n != 1).collect();
    let all = terms.len() == count;
    (all && twice.is_empty())
        .then_some(())
        .ok_or_else(|| format!("{} groups moved, and more than once: {twice:?}", terms.len()))
}

/// One attach a group is all that a takeover needs.
fn attached_once(lab: &Lab, nodes: &[Node], since: Moment, count: usize) -> Result<(), String> {
    let calls = nodes.iter().flat_map(|node| lab.fabric.all_calls_since(since, *node));
    let attaches: Vec<_> = calls.filter(|c| c.operation == Some(Operation::Attach)).collect();
    let refused: Vec<_> = attaches.iter().filter(|c| c.outcome != "200").map(|c| &c.outcome).collect();
    if attaches.len() > count || !refused.is_empty() {
        return Err(format!("{} attaches for {count} groups, of which were refused: {refused:?}", attaches.len()));
    }
    Ok(())
}
