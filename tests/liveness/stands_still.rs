//! A part of the daemon stands still: heartbeats stop, so that a peer takes over, and so do the
//! pings to the watchdog. Once it goes on it finds out by itself.

use crate::Case;
use crate::cadence::{lab, lab_with_metrics};
use crate::frozen::Frozen;
use crate::lab::Daemon;
use crate::scrape::get;
use crate::wait::wait_for;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

pub(crate) const CASES: &[Case] = &[
    ("the effects thread stands still", effects_thread),
    ("the core thread stands still", core_thread),
    ("the health page while the core thread stands still", health_page),
];

/// What systemd would allow between two pings, in microseconds; the daemon sends them twice as often.
const WATCHDOG_US: u64 = 1_000_000;

fn effects_thread() {
    stands_still("havipd");
}

fn core_thread() {
    stands_still("havipd-core");
}

fn health_page() {
    let (listen, lab) = lab_with_metrics();
    let a = lab.start(0);
    wait_for("it turns", || get(listen, "/healthz").filter(|(status, _)| *status == 200));
    let pid = a.status().unwrap()["pid"].as_u64().unwrap();
    let frozen = Frozen::thread(pid, "havipd-core");
    let (_, why) = wait_for("it says so", || get(listen, "/healthz").filter(|(status, _)| *status == 503));
    assert!(why.starts_with("the core has not turned for "), "{why}");
    // What was published before is of the past: a scrape fails rather than tell it.
    wait_for("no page of the past", || get(listen, "/metrics").filter(|(status, _)| *status == 503));
    frozen.thaw();
    for page in ["/healthz", "/metrics"] {
        wait_for("it turns again", || get(listen, page).filter(|(status, _)| *status == 200));
    }
}

fn stands_still(thread: &str) {
    let lab = lab(String::new());
    let systemd = UnixDatagram::bind(lab.dir.path().join("notify")).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let a = lab.start_with(0, |command| {
        command.env("NOTIFY_SOCKET", lab.dir.path().join("notify")).env("WATCHDOG_USEC", WATCHDOG_US.to_string());
    });
    let b = lab.start(1);
    let status = a.wait_role("active");
    wait_for("pings come", || (pings(&systemd) > 0).then_some(()));
    b.wait_for("a is up", |s| s["peers"][0]["state"] == "up");

    let frozen = Frozen::thread(status["pid"].as_u64().unwrap(), thread);
    b.wait_for("a is dead", |s| s["peers"][0]["state"] == "down");
    b.wait_role("active");
    wait_for("the cloud names b", || (lab.holder().as_deref() == Some("i-b")).then_some(()));
    // What was under way when it stopped has come by now.
    pings(&systemd);
    let heard = |b: &Daemon| b.status().unwrap()["peers"][0]["stats"]["counted"].as_u64().unwrap();
    let (from, before) = (uptime(&b), heard(&b));
    wait_for("several pings would have been due", || (uptime(&b) > from + 3 * WATCHDOG_US / 1000).then_some(()));
    assert_eq!(pings(&systemd), 0, "the watchdog must bite");
    assert_eq!(heard(&b), before, "no heartbeat either");

    frozen.thaw();
    a.wait_role("backup");
    b.wait_for("a is up", |s| s["peers"][0]["state"] == "up" && s["groups"][0]["role"] == "active");
    wait_for("pings come again", || (pings(&systemd) > 0).then_some(()));
}

/// The watcher's clock, in milliseconds.
fn uptime(node: &Daemon) -> u64 {
    node.status().unwrap()["uptime_ms"].as_u64().unwrap()
}

/// Pings that have come since the last look.
fn pings(systemd: &UnixDatagram) -> usize {
    let mut count = 0;
    let mut buffer = [0; 4096];
    loop {
        match systemd.recv(&mut buffer) {
            Ok(n) => count += String::from_utf8_lossy(&buffer[..n]).lines().filter(|l| *l == "WATCHDOG=1").count(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
            Err(error) => panic!("{error}"),
        }
    }
}
