//! Whether heartbeats keep their cadence, as the peer counts them.

use crate::lab::{Daemon, Lab, Options};
use crate::say;
use crate::scrape;
use crate::wait::wait_for;
use serde_json::Value;
use std::net::SocketAddr;

/// Milliseconds between two heartbeats (see the lab's file).
const INTERVAL: u64 = 50;
/// Intervals to the dead time.
const DEAD: u32 = 20;
/// The dead time in milliseconds.
pub(crate) const DEAD_TIME_MS: u64 = INTERVAL * DEAD as u64;
/// Heartbeats in the stretch that is watched: whatever blocks for a dead time would show.
const STRETCH: u64 = 4 * DEAD as u64;

/// The usual cluster of two, with tables of its own.
pub(crate) fn lab(tables: String) -> Lab {
    lab_of(Options { tables, ..Options::default() })
}

/// The same, with more than tables of its own.
pub(crate) fn lab_of(options: Options) -> Lab {
    Lab::new(Options { dead_multiplier: Some(DEAD), ..options })
}

/// The same, with metrics at an address that is its own.
pub(crate) fn lab_with_metrics() -> (SocketAddr, Lab) {
    scrape::lab(Options { dead_multiplier: Some(DEAD), ..Options::default() })
}

/// Heartbeats that counted, and the watcher's clock in milliseconds.
fn counted(status: &Value) -> (u64, u64) {
    (status["peers"][0]["stats"]["counted"].as_u64().unwrap(), status["uptime_ms"].as_u64().unwrap())
}

/// Watches the active node from its backup for four dead times' worth of heartbeats: the session
/// never goes down, nobody claims, and at least every second heartbeat comes when it should.
pub(crate) fn keeps_time(what: &str, active: &Daemon, watcher: &Daemon) {
    keeps_place(what, active, watcher, 2);
}

/// The same where only one heartbeat in so many needs to come when it should.
pub(crate) fn keeps_place(what: &str, active: &Daemon, watcher: &Daemon, one_in: u64) {
    // With many clients in its way, an answer may take several attempts.
    let group = || wait_for(&format!("{what}: an answer"), || Some(active.status()?["groups"][0].take()));
    let term = group()["epoch"].clone();
    keeps_sending(what, watcher, one_in, |status| {
        assert_eq!(status["groups"][0]["active"], active.name, "{what}");
    });
    let group = group();
    assert_eq!((&group["role"], &group["epoch"]), (&Value::from("active"), &term), "{what}");
}

/// Watches the node that is the only peer of `watcher`, whatever its role: four dead times' worth of heartbeats come, one in
/// so many of them when it should, and the session never goes down. `check` sees the watcher's status each time.
pub(crate) fn keeps_sending(what: &str, watcher: &Daemon, one_in: u64, check: impl Fn(&Value)) {
    let (first, from) = counted(&watcher.status().unwrap());
    let (last, to) = wait_for(&format!("{what}: {} heartbeats more", STRETCH / one_in * 2), || {
        let status = watcher.status()?;
        assert_eq!(status["peers"][0]["state"], "up", "{what}");
        check(&status);
        let now = counted(&status);
        (now.0 >= first + STRETCH / one_in * 2).then_some(now)
    });
    let expected = (to - from) / INTERVAL;
    say(&format!("  {what}: {} heartbeats counted where the interval makes {expected}", last - first));
    assert!((last - first) * one_in >= expected, "{what}: {} heartbeats instead of {expected}", last - first);
}
