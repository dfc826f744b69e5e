//! Hundreds of clients at once: they are answered or turned away, and heartbeats do not notice.

use crate::Case;
use crate::cadence::{keeps_time, lab, lab_with_metrics};
use crate::lab::Daemon;
use crate::scrape::{get, wait_page};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const CASES: &[Case] =
    &[("three hundred clients of the control socket", control_clients), ("scrapes without a pause", scrapes)];

/// Clients that connect and say nothing, as long as they are let.
const SILENT: usize = 20;
/// Clients that ask for everything and never read it.
const DEAF: usize = 8;
/// Threads of clients that ask, and how many connections each has open at a time.
const ASKING: (usize, usize) = (4, 68);

/// What became of those that ask.
#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    turned_away: AtomicU64,
}

/// Asks on many connections at a time, one round after the other, until told to stop.
fn ask(socket: &Path, stop: &AtomicBool, tally: &Tally) {
    while !stop.load(Ordering::Relaxed) {
        let mut open: Vec<UnixStream> = (0..ASKING.1).filter_map(|_| UnixStream::connect(socket).ok()).collect();
        for stream in &mut open {
            // A client that is turned away may be so before having asked.
            let _ = stream.write_all(b"{\"command\":\"status\"}\n");
        }
        for stream in open {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let mut line = String::new();
            let read = BufReader::new(stream).read_line(&mut line);
            let answered = read.is_ok() && line.contains("\"groups\"");
            let count = if answered { &tally.answered } else { &tally.turned_away };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn connect(daemon: &Daemon, request: &[u8]) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(daemon.socket()).ok()?;
    stream.write_all(request).ok()?;
    Some(stream)
}

fn control_clients() {
    let lab = lab(String::new());
    let (a, b) = lab.pair();
    let idle: Vec<_> = (0..SILENT)
        .map(|_| connect(&a, b""))
        .chain((0..DEAF).map(|_| connect(&a, b"{\"command\":\"watch\"}\n")))
        .collect();
    assert!(idle.iter().all(Option::is_some));
    let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let threads: Vec<_> = (0..ASKING.0)
        .map(|_| {
            let (socket, stop, tally): (PathBuf, _, _) = (a.socket(), Arc::clone(&stop), Arc::clone(&tally));
            std::thread::spawn(move || ask(&socket, &stop, &tally))
        })
        .collect();
    keeps_time("with three hundred clients", &a, &b);
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|t| t.join().unwrap());
    let (answered, away) = (tally.answered.load(Ordering::Relaxed), tally.turned_away.load(Ordering::Relaxed));
    crate::say(&format!("  {answered} requests answered, {away} clients turned away"));
    assert!(answered > 0 && away > 0, "neither answering nor turning away was tried: {answered}, {away}");
    drop(idle);
}

fn scrapes() {
    let (listen, lab) = lab_with_metrics();
    let a = lab.start(0);
    wait_page(listen, "a serves metrics", |_| true);
    let b = lab.start(1);
    a.wait_role("active");
    b.wait_for("sees a active", |s| s["groups"][0]["active"] == "a" && s["groups"][0]["role"] == "backup");
    a.wait_for("b is up", |s| s["peers"][0]["state"] == "up");
    let (stop, scraped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let scraper = || {
        let (stop, scraped) = (Arc::clone(&stop), Arc::clone(&scraped));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let answered = get(listen, "/metrics").is_some_and(|(status, _)| status == 200);
                scraped.fetch_add(u64::from(answered), Ordering::Relaxed);
            }
        })
    };
    // A connection that asks and never reads, and one that never finishes asking.
    let deaf = [b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), b"GET /met"].map(|request| {
        let mut stream = TcpStream::connect(listen).unwrap();
        stream.write_all(request).unwrap();
        stream
    });
    let threads = [scraper(), scraper(), scraper(), scraper()];
    keeps_time("while metrics are scraped without a pause", &a, &b);
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|t| t.join().unwrap());
    let scraped = scraped.load(Ordering::Relaxed);
    crate::say(&format!("  {scraped} pages read"));
    assert!(scraped > 10, "{scraped}");
    drop(deaf);
}
