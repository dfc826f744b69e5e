//! What an operator's questions cost a daemon with 250 groups, and whether heartbeats notice. Prints figures, judges none.
//!
//! `cargo bench --bench operator`; docs/benchmarks.md has what came of it. A daemon and an emulated cloud on
//! loopback; this program stands in the place of the other node, so that it sees when each heartbeat arrives.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../daemon/lab.rs"]
#[expect(dead_code, reason = "not every helper of the daemon's tests is needed here")]
mod lab;
#[path = "../metrics/scrape.rs"]
#[expect(dead_code, reason = "not every helper of the metrics' tests is needed here")]
mod scrape;
#[path = "../support/wait.rs"]
mod wait;

use havipd::clock;
use lab::{Daemon, Options};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Groups beyond the first.
const MORE: u16 = 249;
/// Times that each question is asked.
const ASKED: usize = 50;
/// Heartbeats per stretch, half a second apart.
const HEARTBEATS: usize = 40;

fn main() {
    // Whatever the harness of `cargo bench` would be told is not for us.
    let options = Options { group: "arbiter = \"cloud\"".into(), more_groups: MORE, ..Options::default() };
    let (listen, lab) = scrape::lab(Options { dead_multiplier: Some(10), ..options });
    // As usual, not as often as a test wants it.
    let usual = lab
        .text()
        .replace("audit-interval = \"1s\"", "audit-interval = \"30s\"")
        .replace("interval = \"50ms\"", "interval = \"500ms\"")
        .replace("cold-start-wait = \"2s\"", "cold-start-wait = \"10s\"");
    std::fs::write(lab.config_path(), usual).unwrap();
    let other = UdpSocket::bind((lab.address(1), 11200)).unwrap();
    other.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let a = lab.start(0);
    scrape::wait_page(listen, "a serves metrics", |_| true);
    // Past its start, when every HAVIP is read for the first time.
    a.wait_for("has run for a while", |s| s["uptime_ms"].as_u64().is_some_and(|ms| ms > 10_000));

    let build = if cfg!(debug_assertions) { "unoptimised" } else { "optimised" };
    println!("{} groups, {build} build", MORE + 1);
    let size = a.ask(&json!({"command": "status"})).unwrap().to_string().len();
    times(&format!("status, {} KiB, on a new connection", size / 1024), || drop(a.ask(&json!({"command": "status"}))));
    let page = scrape::get(listen, "/metrics").unwrap().1;
    times(&format!("scrape, {} KiB, on a new connection", page.len() / 1024), || {
        drop(scrape::get(listen, "/metrics"));
    });

    let from = IpAddr::V4(lab.address(0));
    let quiet = gaps("heartbeats, nobody asks", &other, from);
    let scraped = while_asking(
        || drop(scrape::get(listen, "/metrics")),
        || gaps("heartbeats, metrics scraped without a pause", &other, from),
    );
    let asked = while_asking(
        || drop(a.ask(&json!({"command": "status"}))),
        || gaps("heartbeats, status asked without a pause", &other, from),
    );
    println!("longest gap, scraped to quiet: {:.3}; asked to quiet: {:.3}", scraped / quiet, asked / quiet);
    drop::<Daemon>(a);
}

/// Asks again and again, and prints how long it took.
fn times(what: &str, ask: impl Fn()) {
    let mut all: Vec<f64> = (0..ASKED)
        .map(|_| {
            let begun = clock::now();
            ask();
            clock::now().since(begun).as_secs_f64() * 1e3
        })
        .collect();
    show(what, &mut all);
}

/// Prints the gaps between heartbeats of `from`; gives the longest, in milliseconds.
fn gaps(what: &str, socket: &UdpSocket, from: IpAddr) -> f64 {
    let mut buffer = [0; 2048];
    // What waits already came earlier than it is read.
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    let mut last = None;
    let mut all = Vec::new();
    while all.len() < HEARTBEATS {
        let (_, sender): (usize, SocketAddr) = socket.recv_from(&mut buffer).unwrap();
        let now = clock::now();
        if sender.ip() == from
            && let Some(before) = last.replace(now)
        {
            all.push(now.since(before).as_secs_f64() * 1e3);
        }
    }
    show(what, &mut all)
}

fn show(what: &str, all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    println!("{what}: median {:.2} ms, 99 of 100 {:.2} ms, longest {:.2} ms", at(0.5), at(0.99), at(1.0));
    at(1.0)
}

/// Does `measure` while another thread asks.
fn while_asking(ask: impl Fn() + Sync, measure: impl FnOnce() -> f64) -> f64 {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                ask();
            }
        });
        let found = measure();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        found
    })
}
