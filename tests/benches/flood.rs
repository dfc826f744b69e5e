//! Floods of datagrams that no peer sent, at a backup with 250 groups: whether anything moves, and what each of them costs.
//!
//! `cargo bench --bench flood [-- [--minutes=N] [--rate=N] [--write]]`: so many minutes for all floods together, so many
//! datagrams a second. The table is printed, and with `--write` put into docs/benchmarks.md. Root only, for the flood that has
//! a peer's address as its source. Ends with 1 if anything moved; whether the rate was reached is said beside the table.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../daemon/lab.rs"]
#[expect(dead_code, reason = "not every helper of the daemon's tests is needed here")]
mod lab;
#[path = "../support/wait.rs"]
mod wait;

use havipd::clock;
use havipd_core::model::tag::Tag;
use lab::{Daemon, Lab, Options};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::Write as _;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wait::wait_for;

/// Groups beyond the first.
const MORE: u16 = 249;
/// Time between heartbeats.
const INTERVAL: Duration = Duration::from_millis(500);
/// Without a flood, to see what the daemon costs by itself.
const QUIET: Duration = Duration::from_secs(20);
/// Intervals after which a peer is dead.
const DEAD_AFTER: u32 = 10;
const PORT: u16 = 11200;
/// As long as a heartbeat may be.
const LONG: usize = 1200;
/// The sender looks at the clock so often.
const TICK: Duration = Duration::from_millis(1);
/// Datagrams in one call of the kernel: one at a time the calls alone would take most of a processor.
const BATCH: usize = 64;
/// How often a daemon is asked how long ago it heard its peer.
const ASKED: Duration = Duration::from_millis(100);
/// The share of the wanted rate from which on it counts as reached.
const REACHED: f64 = 0.99;

/// `USER_HZ`: the unit of time in `/proc`, a second's worth.
const TICKS: f64 = 100.0;

/// What is asked for.
struct Wanted {
    minutes: f64,
    rate: u32,
    write: bool,
}

impl Wanted {
    fn read() -> Self {
        let mut wanted = Self { minutes: 1.0, rate: 100_000, write: false };
        for argument in std::env::args().skip(1) {
            match argument.split_once('=').map_or((argument.as_str(), ""), |(name, value)| (name, value)) {
                ("--minutes", n) => wanted.minutes = n.parse().expect("--minutes=N takes a number"),
                ("--rate", n) => wanted.rate = n.parse().expect("--rate=N takes a number"),
                ("--write", _) => wanted.write = true,
                // Whatever the harness of `cargo bench` would be told is not for us.
                _ => {}
            }
        }
        wanted
    }
}

/// One kind of flood.
struct Flood {
    name: &'static str,
    socket: Socket,
    to: SocketAddrV4,
    /// Each datagram of it; with its headers, if the socket is raw.
    bytes: Vec<u8>,
}

impl Flood {
    /// Sends `count` of them, [`BATCH`] at most; how many the kernel took. It may drop any of those, as a network may: that is
    /// what the counters are for.
    fn send(&self, count: usize) -> u64 {
        let (to, bytes) = (self.to.as_any(), [IoSlice::new(&self.bytes)]);
        let mut control: [SendAncillaryBuffer<'_, '_, '_>; BATCH] =
            std::array::from_fn(|_| SendAncillaryBuffer::default());
        let few = control.iter_mut().take(count);
        let mut messages: Vec<MMsgHdr<'_>> = few.map(|none| MMsgHdr::new_with_addr(&to, &bytes, none)).collect();
        sendmmsg(&self.socket, &mut messages, SendFlags::empty()).unwrap_or_default() as u64
    }
}

fn main() -> ExitCode {
    let wanted = Wanted::read();
    assert!(rustix::process::geteuid().is_root(), "one of the floods forges its source and needs root: use sudo -E");
    let load = load();
    let lab = Lab::new(Options {
        group: "arbiter = \"cloud\"".into(),
        more_groups: MORE,
        dead_multiplier: Some(10),
        ..Options::default()
    });
    // As usual, not as often as a test wants it.
    let usual = lab
        .text()
        .replace("audit-interval = \"1s\"", "audit-interval = \"30s\"")
        .replace("interval = \"50ms\"", "interval = \"500ms\"")
        .replace("cold-start-wait = \"2s\"", "cold-start-wait = \"5s\"");
    std::fs::write(lab.config_path(), usual).unwrap();
    let a = lab.start(0);
    a.wait_for("is active for every group", |s| all(s, |g| g["role"] == "active"));
    let b = lab.start(1);
    b.wait_for("sees it", |s| all(s, |g| g["role"] == "backup" && g["active"] == "a"));
    // Past its start, when every HAVIP is read for the first time.
    b.wait_for("has run for a while", |s| s["uptime_ms"].as_u64().is_some_and(|ms| ms > 15_000));

    let before = (changes(&a), changes(&b), lab.writes());
    let quiet = Stretch::of(&b, QUIET, rest);
    let floods = floods(&lab);
    let each = Duration::from_secs_f64(wanted.minutes * 60.0 / floods.len() as f64);
    let (mut rows, mut reached) = (String::new(), true);
    for flood in floods {
        let mut sent = 0;
        let stretch = Stretch::of(&b, each, |long| sent = at_rate(&flood, wanted.rate, long));
        reached &= sent as f64 >= f64::from(wanted.rate) * stretch.seconds * REACHED;
        let row = row(flood.name, sent, &stretch, &quiet);
        println!("{row}");
        let _ = writeln!(rows, "{row}");
    }
    let after = (changes(&a), changes(&b), lab.writes());
    let roles = b.status().is_some_and(|s| all(&s, |g| g["role"] == "backup" && g["active"] == "a"));
    let moved = before != after || !roles;
    let verdict = verdict(moved, (after.0 - before.0) + (after.1 - before.1), after.2 - before.2, reached);
    let text = page(&wanted, &load, &quiet, &rows, &verdict);
    println!("\n{text}");
    if wanted.write {
        write(&text);
    }
    drop::<[Daemon; 2]>([a, b]);
    if moved { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn all(status: &Value, fact: impl Fn(&Value) -> bool) -> bool {
    status["groups"].as_array().is_some_and(|groups| groups.iter().all(fact))
}

/// Changes of role that a daemon's log tells of.
fn changes(daemon: &Daemon) -> usize {
    daemon.log().lines().filter(|line| line.contains("cause=\"")).count()
}

/// The three ways in which a datagram can be nobody's: each gets as far as it can.
fn floods(lab: &Lab) -> Vec<Flood> {
    let (peer, to) = (SocketAddrV4::new(lab.address(0), PORT), SocketAddrV4::new(lab.address(1), PORT));
    let stranger = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.bind(&SocketAddrV4::new(lab.address(2), 0).into()).unwrap();
        socket
    };
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).unwrap();
    let from_peer = packet(peer, to, &forged());
    let flood = |name, socket, bytes| Flood { name, socket, to, bytes };
    vec![
        flood("100 bytes of garbage from a stranger", stranger(), vec![0xa5; 100]),
        flood("1,200 bytes as of a peer, from a stranger: all but the tag is right", stranger(), forged()),
        flood("the same from the peer's own address and port", raw, from_peer),
    ]
}

/// A datagram with a header as node `a` sends it to node `b`, and no tag that verifies: all but the most expensive check.
fn forged() -> Vec<u8> {
    let mut bytes = b"HVIP\x01\x01\x01\x00".to_vec();
    for node in ["a", "b"] {
        bytes.extend_from_slice(&Tag::node(&node.parse().unwrap()).0.to_be_bytes());
    }
    bytes.resize(LONG, 0xa5);
    bytes
}

/// An IPv4 packet with one UDP datagram; its checksums are left to the kernel, or to nobody.
fn packet(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let long = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    let port = |at: SocketAddrV4| at.port().to_be_bytes();
    let octets = |at: &SocketAddrV4| Ipv4Addr::octets(at.ip());
    let head = [vec![0x45, 0], long(28).to_vec(), vec![0, 0, 0, 0, 64, 17, 0, 0]].concat();
    let addresses = [octets(&from), octets(&to)].concat();
    let udp = [port(from), port(to), long(8), [0, 0]].concat();
    [head, addresses, udp, payload.to_vec()].concat()
}

/// Sends so many a second; how many it were. Of what could not be sent in time a hundredth of a second's worth is made up for
/// with each tick.
fn at_rate(flood: &Flood, rate: u32, long: Duration) -> u64 {
    let begun = clock::now();
    let (mut tried, mut sent) = (0_u64, 0);
    loop {
        let past = clock::now().since(begun);
        if past >= long {
            return sent;
        }
        let due = (past.as_secs_f64() * f64::from(rate)) as u64;
        let mut now = due.saturating_sub(tried).min(u64::from(rate / 100)) as usize;
        tried += now as u64;
        while now > 0 {
            sent += flood.send(now.min(BATCH));
            now = now.saturating_sub(BATCH);
        }
        rest(TICK);
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate is kept by the clock")]
fn rest(long: Duration) {
    std::thread::sleep(long);
}

/// What one daemon did for a while.
struct Stretch {
    seconds: f64,
    cpu: f64,
    refused: u64,
    heartbeats: u64,
    /// The longest time without a datagram of the peer that counted, as far as it was seen.
    silence: Duration,
}

impl Stretch {
    fn of(daemon: &Daemon, long: Duration, act: impl FnOnce(Duration)) -> Self {
        let counted = |s: &Value| s["peers"][0]["stats"]["counted"].as_u64().unwrap();
        let refused = |s: &Value| s["network"]["datagrams"]["refused"].as_u64().unwrap();
        let look = || (wait_for("status", || daemon.status()), cpu(daemon), clock::now());
        let before = look();
        let over = AtomicBool::new(false);
        let silence = std::thread::scope(|scope| {
            let asking = scope.spawn(|| longest_silence(daemon, &over));
            act(long);
            over.store(true, Ordering::Relaxed);
            asking.join().unwrap()
        });
        let after = look();
        Self {
            seconds: after.2.since(before.2).as_secs_f64(),
            cpu: after.1 - before.1,
            refused: refused(&after.0) - refused(&before.0),
            heartbeats: counted(&after.0) - counted(&before.0),
            silence,
        }
    }
}

/// How long ago its peer was last heard, at the most, whenever it was asked.
fn longest_silence(daemon: &Daemon, over: &AtomicBool) -> Duration {
    let mut longest = 0;
    while !over.load(Ordering::Relaxed) {
        let heard = daemon.status().and_then(|s| s["peers"][0]["heard_ms"].as_u64());
        longest = longest.max(heard.unwrap_or_default());
        rest(ASKED);
    }
    Duration::from_millis(longest)
}

/// Processor seconds of all its threads so far.
fn cpu(daemon: &Daemon) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    // The name, which may have spaces, is in brackets; user and system time are fields 14 and 15 of all.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().unwrap()).sum();
    ticks as f64 / TICKS
}

fn row(name: &str, sent: u64, stretch: &Stretch, quiet: &Stretch) -> String {
    let seconds = stretch.seconds;
    let extra = stretch.cpu - quiet.cpu / quiet.seconds * seconds;
    let each = extra * 1e6 / stretch.refused.max(1) as f64;
    let due = quiet.heartbeats as f64 / quiet.seconds * seconds;
    let lost = 100.0 - stretch.refused as f64 * 100.0 / sent.max(1) as f64;
    format!(
        "| {name} | {seconds:.0} s | {:.0} | {:.0} | {:.1} % | {each:.2} µs | {:.0} % | {} of {due:.0} | {} ms |",
        sent as f64 / seconds,
        stretch.refused as f64 / seconds,
        lost.max(0.0),
        stretch.cpu * 100.0 / seconds,
        stretch.heartbeats,
        stretch.silence.as_millis()
    )
}

fn verdict(moved: bool, changes: usize, writes: usize, reached: bool) -> String {
    let first = match moved {
        true => format!("**Something moved: {changes} changes of role, {writes} writes to the cloud.**"),
        false => "Nothing moved and nothing was written to the cloud.".to_owned(),
    };
    let second = if reached { "The rate was reached." } else { "**The rate was not reached.**" };
    format!("{first} {second}")
}

fn page(wanted: &Wanted, load: &str, quiet: &Stretch, rows: &str, verdict: &str) -> String {
    let build = if cfg!(debug_assertions) { "an unoptimised build" } else { "an optimised build" };
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    format!(
        "## Floods\n\n\
         Made by `cargo bench --bench flood -- {}` at commit {}, {build}, on {}; load average before it began: {load}.\n\
         Datagrams that no peer sent, {} a second asked for, at a backup with {} groups, a heartbeat every {} ms, on\n\
         loopback: sender, both nodes and the emulated cloud share the processors. {verdict}\n\n\
         | flood | for | sent a second | refused a second | lost before | processor time each | processor in all | datagrams of the peer that counted | longest silence |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n{rows}\n\
         \"Lost before\" was dropped by the kernel, in a buffer that is no peer's but in the last line. Processor time is the\n\
         backup's own, kernel included, less the {:.1} % that it takes without a flood. What the peer sends is compared with the {:.1}\n\
         datagrams a second of that time. \"Longest silence\" is how long ago it was last heard, at most, seen every {} ms; without\n\
         a flood {} ms. The peer is dead after {} ms.\n",
        arguments.join(" "),
        commit(),
        machine(),
        thousands(wanted.rate),
        MORE + 1,
        INTERVAL.as_millis(),
        quiet.cpu * 100.0 / quiet.seconds,
        quiet.heartbeats as f64 / quiet.seconds,
        ASKED.as_millis(),
        quiet.silence.as_millis(),
        (INTERVAL * DEAD_AFTER).as_millis(),
    )
}

fn thousands(n: u32) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) }
}

fn commit() -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(env!("CARGO_MANIFEST_DIR"))
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output()
        .ok()
        .filter(|output| output.status.success());
    output.map_or_else(|| "unknown".to_owned(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

/// Processors and memory.
fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    format!("{count} × {}, {} GiB", model.unwrap_or("an unknown processor"), kib.unwrap_or_default() >> 20)
}

/// As `uptime` shows it.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Puts the section in the place of the one that was there.
fn write(section: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let heading = "## Floods\n";
    let (head, rest) = text.split_once(heading).unwrap_or((&text, ""));
    let tail = rest.find("\n## ").map_or("", |at| &rest[at..]);
    std::fs::write(&path, format!("{}\n\n{section}{tail}", head.trim_end())).unwrap();
}
