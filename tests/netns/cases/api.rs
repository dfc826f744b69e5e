//! The active node is cut off while the cloud's API misbehaves towards the node that wants to take over.

use super::{Case, Scene, asked};
use crate::daemon::AUDIT;
use crate::fabric::HAVIPS;
use crate::lab::PATIENCE;
use crate::network::NODES;
use havipd_lab::emulator::{Command, Permission};
use havipd_lab::simulation::cloud::{Fault, FaultRule, Profile, Scope};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    ("API: 500", |s| faulty(s, Scope::Any, status(500, "InternalError", false), 4)),
    ("API: 500, carried out all the same", |s| faulty(s, Scope::Write, status(500, "InternalError", true), 4)),
    ("API: 503 without a body", |s| faulty(s, Scope::Write, status(503, "", false), 4)),
    ("API: throttled with Retry-After", throttled),
    ("API: throttled as the profile has it", |s| faulty(s, Scope::Any, Fault::Throttle, 4)),
    ("API: hangs", |s| faulty(s, Scope::Write, Fault::Hang, 2)),
    ("API: carried out, then hangs", |s| faulty(s, Scope::Write, Fault::ApplyThenHang, 2)),
    ("API: reset", |s| faulty(s, Scope::Any, Fault::Reset, 4)),
    ("API: carried out, then reset", |s| faulty(s, Scope::Write, Fault::ApplyThenReset, 4)),
    ("API: says 200 and does nothing", |s| faulty(s, Scope::Write, Fault::Lie, 2)),
    ("API: bad JSON", |s| faulty(s, Scope::Any, Fault::BadJson, 4)),
    ("API: slow", |s| faulty(s, Scope::Any, Fault::Slow { delay: Duration::from_millis(300) }, 20)),
    ("API: carried out late", |s| {
        faulty(s, Scope::Write, Fault::Late { delay: Duration::from_millis(700), answered: true }, 2)
    }),
    ("API: reads are old", old_reads),
    ("API: clock an hour off", clock_off),
    ("API: out of reach", out_of_reach),
    ("API: denied, then allowed", denied),
];

/// Where more of them are tried: what a pause that the cloud asks for comes to does not depend on how packets move.
const PROFILES: &[&str] = &["attach-moves", "garp-required"];

/// Those.
pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let all: &[Case] = &[
        ("API: 429 to everything, whatever Retry-After", |s| pushed_back(s, Scope::Any)),
        ("API: 429 to reads, whatever Retry-After", |s| pushed_back(s, Scope::Read)),
        ("API: 429 to attach, whatever Retry-After", |s| pushed_back(s, Scope::Attach)),
        ("API: slower and slower", slower),
    ];
    if asked() && PROFILES.contains(&profile.name.as_str()) { all.to_vec() } else { Vec::new() }
}

/// None, at once, soon, in 32 years, long ago, in some years, and what is neither a number nor a date.
const PAUSES: [&str; 7] =
    ["", "0", "1", "1000000000", "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2049 23:59:59 GMT", "soon; ask later"];

/// One call for each HAVIP after the other meets with each.
fn pushed_back(scene: &mut Scene<'_>, scope: Scope) -> Result<(), String> {
    taken_over(scene, |scene| {
        for retry_after in PAUSES {
            meet(scene, scope, &Fault::PushedBack { retry_after: retry_after.to_owned() }, 1);
        }
        Ok(())
    })
}

/// Each answer takes longer than the one before, until a request would be given up for it.
fn slower(scene: &mut Scene<'_>) -> Result<(), String> {
    let (delay, by) = (Duration::ZERO, Duration::from_millis(50));
    faulty(scene, Scope::Any, Fault::Slower { delay, by }, 14)
}

/// Causes that need somebody else who claims.
const RIVALRY: [&str; 2] = ["lost-race", "superseded"];

fn status(status: u16, code: &str, applied: bool) -> Fault {
    Fault::Status { status, code: code.to_owned(), message: "on command".to_owned(), retry_after: None, applied }
}

/// So many calls for each HAVIP meet with `fault`; then all is well, and so must the groups be.
fn faulty(scene: &mut Scene<'_>, scope: Scope, fault: Fault, times: u32) -> Result<(), String> {
    taken_over(scene, |scene| {
        meet(scene, scope, &fault, times);
        Ok(())
    })
}

fn meet(scene: &Scene<'_>, scope: Scope, fault: &Fault, times: u32) {
    for havip in HAVIPS {
        let mut rule = FaultRule::new(scope, fault.clone()).times(times);
        rule.havip = Some(havip.id().to_owned());
        scene.lab.fabric.control.add_fault(rule);
    }
}

/// Reads show the record of a second ago. The term that is then cut short has lasted longer: where it has not, they show
/// the one before it, and nobody could tell.
fn old_reads(scene: &mut Scene<'_>) -> Result<(), String> {
    let age = Duration::from_secs(1);
    taken_over(scene, |scene| {
        scene.lab.mark().at.after(age * 2).rest_until();
        meet(scene, Scope::Read, &Fault::StaleRead { age }, 6);
        Ok(())
    })
}

fn throttled(scene: &mut Scene<'_>) -> Result<(), String> {
    let code = "RequestLimitExceeded".to_owned();
    let message = "too many requests".to_owned();
    let fault = Fault::Status { status: 429, code, message, retry_after: Some(1), applied: false };
    faulty(scene, Scope::Write, fault, 2)
}

fn clock_off(scene: &mut Scene<'_>) -> Result<(), String> {
    let set = |scene: &Scene<'_>, offset_ms| {
        scene.lab.fabric.control.apply(Command::Clock { offset_ms }).map(drop).map_err(|e| e.to_string())
    };
    let result = taken_over(scene, |scene| set(scene, 3_600_000));
    set(scene, 0)?;
    result
}

/// The API is unreachable for the active node alone, then for everybody: nothing moves, since its peers hear it.
fn out_of_reach(scene: &mut Scene<'_>) -> Result<(), String> {
    let node = scene.lab.gather()?;
    let mark = scene.lab.mark();
    for unreachable in [vec![node], NODES.to_vec()] {
        let before = scene.lab.mark();
        unreachable.into_iter().for_each(|node| scene.lab.network.offline(node));
        // Long enough for an audit to fail and its consequences to show.
        before.at.after(AUDIT * 2).rest_until();
    }
    scene.lab.network.heal();
    for havip in HAVIPS {
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.stayed(havip, node, mark, settled)?;
    }
    Ok(())
}

/// Cuts the active node off, then has another take over through whatever `spoil` does to the cloud.
fn taken_over(scene: &mut Scene<'_>, spoil: impl FnOnce(&mut Scene<'_>) -> Result<(), String>) -> Result<(), String> {
    let victim = scene.lab.gather()?;
    let rest: Vec<_> = NODES.into_iter().filter(|n| *n != victim).collect();
    let mark = scene.lab.mark();
    spoil(scene)?;
    scene.lab.cut(victim);
    for havip in HAVIPS {
        // What is cut off and asks the cloud may keep its address: the fabric decides who gets packets.
        scene.lab.settle_among(havip, &rest, &rest)?;
        // There is no rival, whatever the cloud says late or wrongly of the one that is cut off.
        let mut changes = scene.lab.changes_since(havip, mark.at);
        changes.retain(|c| c.node != victim && RIVALRY.contains(&c.cause.as_str()));
        if !changes.is_empty() {
            return Err(format!("a rival that does not exist\n{}", scene.lab.story(havip)));
        }
    }
    scene.lab.network.heal();
    scene.lab.fabric.hear_all();
    HAVIPS.into_iter().try_for_each(|havip| scene.lab.settle(havip, &NODES).map(drop))
}

/// Nobody who could take over may write: they say so, and recover by themselves once they may.
fn denied(scene: &mut Scene<'_>) -> Result<(), String> {
    let victim = scene.lab.gather()?;
    let rest: Vec<_> = NODES.into_iter().filter(|n| *n != victim).collect();
    let allow = |scene: &Scene<'_>, permission| {
        rest.iter().try_for_each(|node| {
            let access_key = format!("ak-{}", node.name());
            scene.lab.fabric.control.apply(Command::Permission { access_key, permission }).map(drop)
        })
    };
    let mark = scene.lab.mark();
    allow(scene, Permission::ReadOnly).map_err(|e| e.to_string())?;
    scene.lab.cut(victim);
    for havip in HAVIPS {
        crate::clock::wait("somebody is in fault because it is denied", PATIENCE, || {
            let changes = scene.lab.changes_since(havip, mark.at);
            let told = changes.iter().any(|c| c.to == "fault" && c.cause == "denied");
            told.then_some(()).ok_or_else(|| "nobody is".to_owned())
        })
        .map_err(|text| format!("{text}\n{}", scene.lab.story(havip)))?;
    }
    allow(scene, Permission::Full).map_err(|e| e.to_string())?;
    for havip in HAVIPS {
        scene.lab.settle_among(havip, &rest, &rest)?;
    }
    Ok(())
}
