//! Others take the CPU: heartbeats are late by a bounded time and the role stays, or the node is taken for dead
//! in order and knows it when it runs again.

use crate::Case;
use crate::cadence::{DEAD_TIME_MS, keeps_place, keeps_time, lab};
use crate::lab::Daemon;
use crate::obstacles::{ForkStorm, Quota};
use crate::wait::wait_for;

pub(crate) const CASES: &[Case] = &[
    ("a fork storm on the same processor", fork_storm),
    ("a quota that leaves a fifth of the time", quota),
    ("a processor that others take altogether", starved),
];

fn pid(node: &Daemon) -> u64 {
    node.status().unwrap()["pid"].as_u64().unwrap()
}

fn fork_storm() {
    let lab = lab(String::new());
    let (a, b) = lab.pair();
    let _storm = ForkStorm::beside(pid(&a));
    keeps_time("in a fork storm", &a, &b);
}

fn quota() {
    let lab = lab(String::new());
    let (a, b) = lab.pair();
    let _quota = Quota::of(pid(&a));
    keeps_place("under a quota", &a, &b, 4);
}

fn starved() {
    let lab = lab(String::new());
    let (a, b) = lab.pair();
    let storm = ForkStorm::that_starves(pid(&a));
    let (from, mut taken_over) = (uptime(&b), false);
    wait_for("four dead times have passed", || {
        taken_over |= b.group()["role"] == "active";
        (uptime(&b) > from + 4 * DEAD_TIME_MS).then_some(())
    });
    drop(storm);
    // One of them is active, it does not matter which; and nobody takes anything back.
    let (holder, other) = if taken_over { (&b, &a) } else { (&a, &b) };
    holder.wait_for("it is the one active node", |s| {
        s["groups"][0]["role"] == "active" && s["peers"][0]["state"] == "up" && s["groups"][0]["active"] == holder.name
    });
    other.wait_role("backup");
    assert_eq!(lab.holder(), Some(format!("i-{}", holder.name)));
    crate::say(&format!("  starved: {}", if taken_over { "replaced in order" } else { "late, and never replaced" }));
    keeps_time("after the starvation", holder, other);
}

/// The watcher's clock, in milliseconds.
fn uptime(node: &Daemon) -> u64 {
    node.status().unwrap()["uptime_ms"].as_u64().unwrap()
}
