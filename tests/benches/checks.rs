//! What checks cost: 200 of one kind, once a second, on one node, in processor time of the daemon and of the programs that
//! it runs. And how soon one that fails moves a group.
//!
//! `cargo bench --bench checks [-- [--seconds=N] [--write]]`: so many seconds for each kind. The tables are printed, and with
//! `--write` put into docs/benchmarks.md. Ends with 1 if the mixed row costs the daemon of an optimised build more than the goal, or a
//! group moved later than the other goals say.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../daemon/lab.rs"]
#[expect(dead_code, reason = "not every helper of the daemon's tests is needed here")]
mod lab;
#[path = "../support/wait.rs"]
mod wait;

use havipd::clock;
use havipd_core::model::time::Instant;
use lab::{Daemon, Lab, Options};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CHECKS: usize = 200;
/// Of a processor, for all of them.
const GOAL: f64 = 3.0;
/// How often each kind of failure moves the group.
const ROUNDS: usize = 9;
/// What of the moves is written beside the goals: results in a row that make the check fail (the first is the default), time between
/// them, and how long each may take.
const FALLS: [u32; 2] = [3, 1];
const RETRY: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_millis(250);
/// Beyond a claim, of a process that ends.
const AT_ONCE: Duration = Duration::from_millis(50);
/// `USER_HZ`: the unit of time in `/proc`, a second's worth.
const TICKS: f64 = 100.0;

struct Wanted {
    long: Duration,
    write: bool,
}

impl Wanted {
    fn read() -> Self {
        let mut wanted = Self { long: Duration::from_secs(20), write: false };
        for argument in std::env::args().skip(1) {
            match argument.split_once('=').map_or((argument.as_str(), ""), |(name, value)| (name, value)) {
                ("--seconds", n) => wanted.long = Duration::from_secs(n.parse().expect("--seconds=N takes a number")),
                ("--write", _) => wanted.write = true,
                // Whatever the harness of `cargo bench` would be told is not for us.
                _ => {}
            }
        }
        wanted
    }
}

/// A service that lives as long as this program.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let wanted = Wanted::read();
    let dir = tempfile::tempdir().unwrap();
    let service = Service(Command::new("sleep").arg("100000").stdin(Stdio::null()).spawn().unwrap());
    let (pid, number) = (dir.path().join("pid"), dir.path().join("number"));
    std::fs::write(&pid, format!("{}\n", service.0.id())).unwrap();
    std::fs::write(&number, "0\n").unwrap();
    let web = serve();
    let kinds = [
        ("tcp", format!("tcp = \"{web}\"")),
        ("http", format!("http = \"http://{web}/\"")),
        ("file", format!("file = {number:?}")),
        ("pidfile", format!("pidfile = {pid:?}")),
        ("link", "link = \"lo\"".to_owned()),
        ("script", "script = [\"/bin/true\"]".to_owned()),
    ];
    let quiet = Cost::of(&[], wanted.long);
    let mut rows = String::new();
    let mut tell = |name: &str, keys: &[&str]| {
        let cost = Cost::of(keys, wanted.long).less(&quiet);
        let row = format!("| {name} | {:.1} % | {:.1} % | {:.0} |", cost.own, cost.programs, cost.runs);
        println!("{row}");
        let _ = writeln!(rows, "{row}");
        cost
    };
    for (kind, key) in &kinds {
        tell(&format!("`{kind}`"), &[key]);
    }
    let services: Vec<&str> = kinds.iter().filter(|(kind, _)| *kind != "script").map(|(_, key)| key.as_str()).collect();
    let mixed = tell("a fifth each of all but `script`", &services);
    let moves = FALLS.map(Moves::measure);
    let text = page(&wanted, &quiet, &rows, &moves);
    println!("\n{text}");
    if wanted.write {
        write(&text);
    }
    drop(service);
    // An unoptimised build is held to nothing.
    let good = mixed.own <= GOAL && moves.iter().all(Moves::are_in_time);
    if good || cfg!(debug_assertions) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How a service is, and when it first was asked while it was not well.
#[derive(Default)]
struct Page {
    /// Not well: it answers 500.
    fails: AtomicBool,
    /// Not well: it does not answer.
    hangs: AtomicBool,
    asked: Mutex<Option<Instant>>,
}

impl Page {
    /// Serves it.
    fn serve(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let of = Arc::clone(self);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let of = Arc::clone(&of);
                std::thread::spawn(move || {
                    let (fails, hangs) = (of.fails.load(Ordering::SeqCst), of.hangs.load(Ordering::SeqCst));
                    if fails || hangs {
                        of.asked.lock().unwrap().get_or_insert_with(clock::now);
                    }
                    let _ = stream.read(&mut [0; 4096]);
                    let status = if fails { "500 Internal Server Error" } else { "200 OK" };
                    if hangs {
                        // Until the one that asked gives up.
                        let _ = stream.read(&mut [0; 1]);
                    } else {
                        let head = "Content-Length: 0\r\nConnection: close\r\n\r\n";
                        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n{head}").as_bytes());
                    }
                });
            }
        });
        address
    }
}

/// How long moves took, the longest of each kind.
struct Moves {
    fall: u32,
    /// From an order until the cloud names the other node.
    claim: Duration,
    /// From the first request that is answered with 500.
    fails: Duration,
    /// From the first request that is not answered.
    hangs: Duration,
    /// From the end of a process.
    ends: Duration,
}

impl Moves {
    fn measure(fall: u32) -> Self {
        let web = Arc::new(Page::default());
        let mut lab = Lab::new(Options {
            group: "checks = [\"page\", \"process\"]\npreempt = false\nmax-moves = 0".to_owned(),
            dead_multiplier: Some(10),
            ..Options::default()
        });
        let pid = lab.dir.path().join("pid");
        let start = || {
            let process = Service(Command::new("sleep").arg("100000").stdin(Stdio::null()).spawn().unwrap());
            std::fs::write(&pid, format!("{}\n", process.0.id())).unwrap();
            process
        };
        let mut process = start();
        lab.options.tables = format!(
            "[[check]]\nname = \"page\"\nnodes = [\"a\"]\nhttp = \"http://{}/\"\ninterval = \"1s\"\nfall = {fall}\n\
             retry-interval = \"{}ms\"\ntimeout = \"{}ms\"\n\
             [[check]]\nname = \"process\"\nnodes = [\"a\"]\npidfile = {pid:?}\n",
            web.serve(),
            RETRY.as_millis(),
            TIMEOUT.as_millis()
        );
        lab.write_config();
        // It is active before there is another: its checks are not run at once.
        let a = lab.start(0);
        a.wait_role("active");
        let b = lab.start(1);
        b.wait_for("it sees a", |s| s["groups"][0]["active"] == "a");
        let moved = |since: Instant| {
            wait::wait_for("the cloud names b", || (lab.holder().as_deref() == Some("i-b")).then_some(()));
            clock::now().since(since)
        };
        let back = || {
            a.wait_role("backup");
            b.wait_for("a is well", |s| s["groups"][0]["successor"] == "a");
            let since = clock::now();
            assert!(lab.ctl(1, &["switchover", "web", "--to", "a"]).status.success());
            wait::wait_for("the cloud names a", || (lab.holder().as_deref() == Some("i-a")).then_some(()));
            let took = clock::now().since(since);
            a.wait_role("active");
            b.wait_for("sees it", |s| s["groups"][0]["active"] == "a" && s["groups"][0]["role"] == "backup");
            took
        };
        let mut most =
            Self { fall, claim: Duration::ZERO, fails: Duration::ZERO, hangs: Duration::ZERO, ends: Duration::ZERO };
        for _ in 0..ROUNDS {
            for (how, longest) in [(&web.fails, &mut most.fails), (&web.hangs, &mut most.hangs)] {
                how.store(true, Ordering::SeqCst);
                let asked = || *web.asked.lock().unwrap();
                let took = moved(wait::wait_for("it is asked", asked));
                *longest = took.max(*longest);
                how.store(false, Ordering::SeqCst);
                *web.asked.lock().unwrap() = None;
                most.claim = back().max(most.claim);
            }
            let since = clock::now();
            drop(process);
            most.ends = moved(since).max(most.ends);
            process = start();
            most.claim = back().max(most.claim);
        }
        most
    }

    /// Each kind with the longest that it should take.
    fn goals(&self) -> [(&'static str, Duration, Duration, &'static str); 3] {
        let asked = self.fall * RETRY + TIMEOUT + self.claim;
        let made_of = "`fall` × `retry-interval`, `timeout`, a claim";
        [
            ("an HTTP check is answered with 500", self.fails, asked, made_of),
            ("an HTTP check is not answered", self.hangs, asked, made_of),
            ("a process ends", self.ends, self.claim + AT_ONCE, "a claim, 50 ms"),
        ]
    }

    fn are_in_time(&self) -> bool {
        self.goals().iter().all(|(_, took, goal, _)| took <= goal)
    }
}

/// A server that answers everything alike.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            });
        }
    });
    address
}

/// Of a processor, in per cent.
struct Cost {
    own: f64,
    programs: f64,
    /// Runs a second.
    runs: f64,
}

impl Cost {
    /// Of so many checks, of these in turn.
    fn of(keys: &[&str], long: Duration) -> Self {
        let checks = if keys.is_empty() { 0 } else { CHECKS };
        let names: Vec<String> = (0..checks).map(|n| format!("\"c{n}\"")).collect();
        let group = format!("checks = [{}]", names.join(", "));
        let mut lab = Lab::new(Options { group, dead_multiplier: Some(10), ..Options::default() });
        for n in 0..checks {
            let key = keys[n % keys.len()];
            let sampled = ["tcp", "http", "script"].iter().any(|kind| key.starts_with(kind));
            let interval = if sampled { "interval = \"1s\"\n" } else { "" };
            let _ = write!(lab.options.tables, "[[check]]\nname = \"c{n}\"\n{key}\n{interval}");
        }
        // As usual, not as often as a test wants it.
        let usual = lab
            .text()
            .replace("audit-interval = \"1s\"", "audit-interval = \"30s\"")
            .replace("cold-start-wait = \"2s\"", "cold-start-wait = \"5s\"");
        std::fs::write(lab.config_path(), usual.replace("interval = \"50ms\"", "interval = \"500ms\"")).unwrap();
        let a = lab.start(0);
        a.wait_for("each check has passed", |s| all(s).iter().all(|c| c["runs"]["passed"].as_u64() >= Some(1)));
        let look = || {
            let runs: u64 = all(&a.status().unwrap()).iter().map(|c| c["runs"]["passed"].as_u64().unwrap()).sum();
            (cpu(&a), runs, clock::now())
        };
        let before = look();
        rest(long);
        let after = look();
        let seconds = after.2.since(before.2).as_secs_f64();
        let percent = |before: f64, after: f64| (after - before) * 100.0 / seconds;
        Self {
            own: percent(before.0.0, after.0.0),
            programs: percent(before.0.1, after.0.1),
            runs: (after.1 - before.1) as f64 / seconds,
        }
    }

    fn less(self, quiet: &Self) -> Self {
        Self { own: (self.own - quiet.own).max(0.0), ..self }
    }
}

fn all(status: &Value) -> &[Value] {
    status["effects"]["checks"].as_array().map_or(&[], Vec::as_slice)
}

#[expect(clippy::disallowed_methods, reason = "a stretch of time is measured")]
fn rest(long: Duration) {
    std::thread::sleep(long);
}

/// Processor seconds of all its threads so far, and those of programs that have ended.
fn cpu(daemon: &Daemon) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    // The name, which may have spaces, is in brackets; the times are fields 14 to 17 of all.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |from: usize| fields[from..from + 2].iter().map(|f| f.parse::<u64>().unwrap()).sum::<u64>() as f64;
    (ticks(11) / TICKS, ticks(13) / TICKS)
}

fn page(wanted: &Wanted, quiet: &Cost, rows: &str, moves: &[Moves]) -> String {
    let build = if cfg!(debug_assertions) { "an unoptimised build" } else { "an optimised build" };
    let mut moved = String::new();
    for of in moves {
        for (what, took, goal, made_of) in of.goals() {
            let (fall, took, goal) = (of.fall, took.as_millis(), goal.as_millis());
            let _ = writeln!(moved, "| {what} | {fall} | {took} ms | {goal} ms: {made_of} |");
        }
    }
    let claim = moves.iter().map(|of| of.claim).max().unwrap_or_default();
    format!(
        "## Checks\n\n\
         {CHECKS} checks on one node, those that have an `interval` with one of 1 s, measured for {} s each by\n\
         `cargo bench --bench checks -- --write` with {build}, on loopback: of one processor, without the {:.1} % that the\n\
         daemon takes by itself. The goal is {GOAL:.0} % for a mixture of services; what a program costs is its own affair.\n\n\
         | checks | daemon | programs | runs a second |\n|---|---:|---:|---:|\n{rows}\n\
         How soon the cloud names the other node, the longest of {ROUNDS} times each, with `retry-interval` {} ms and `timeout`\n\
         {} ms (where `timeout` is the longer one it counts instead). Requests count from the first that was not answered well. A claim is what an\n\
         ordered switchover took at most: {} ms here. A process has no `fall`: its end decides at once.\n\n\
         | what happens | `fall` | moved after | goal |\n|---|---:|---:|---|\n{moved}",
        wanted.long.as_secs(),
        quiet.own,
        RETRY.as_millis(),
        TIMEOUT.as_millis(),
        claim.as_millis(),
    )
}

/// Puts the section in the place of the one that was there, which ends where the next one begins.
fn write(section: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, old) = text.split_once("## Checks\n").expect("the page has the section");
    let (_, rest) = old.split_once("\n## ").expect("there are sections behind it");
    std::fs::write(&path, format!("{head}{section}\n## {rest}")).unwrap();
}
