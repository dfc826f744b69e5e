//! Hundreds of clients at once: they are answered or turned away, and heartbeats do not notice.

use crate::Case;
use crate::cadence::{keeps_time, lab};
use crate::lab::Daemon;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[("three hundred clients of the control socket", control_clients)];

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
            // Whoever is turned away may be so before having asked.
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
