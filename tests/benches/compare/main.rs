//! havipd and keepalived side by side, in one run, on one machine: what a crash and a planned move cost, how both grow with
//! groups, and what they take while nothing happens.
//!
//! `cargo bench --bench compare -- [--quick] [--write] [--rounds=N] [--seconds=N] [--groups=N,N...] [--only=PART]...` as
//! root, with `keepalived`, `ip` and `nft`; `HAVIPD_BIN` names another havipd than the one that was built. PART is `moves`, `cloud`, `groups` or `idle`; one of them takes a few minutes. The two
//! programs take turns, so that whatever else the machine does falls on both. The tables are printed as they come; with
//! `--write` each replaces its section of docs/benchmarks.md. It judges nothing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../../netns/clock.rs"]
#[expect(dead_code, reason = "the lab computes more with it")]
mod clock;
#[path = "../../netns/daemon.rs"]
#[expect(dead_code, reason = "the lab asks more of a daemon")]
mod daemon;
#[path = "../../netns/fabric.rs"]
#[expect(dead_code, reason = "the lab looks at more of it")]
mod fabric;
mod idle;
#[path = "../../support/memory.rs"]
#[expect(dead_code, reason = "what is measured has its state on a disk")]
mod memory;
#[path = "../../netns/namespace.rs"]
mod namespace;
#[path = "../../netns/network.rs"]
#[expect(dead_code, reason = "the lab breaks more of it")]
mod network;
mod page;
mod pair;
#[path = "../../netns/probe.rs"]
#[expect(dead_code, reason = "the lab asks more of the client")]
mod probe;
mod router;

use page::{Row, Section, spread};
use pair::{Pair, Setting};
use std::process::ExitCode;
use std::time::Duration;

/// The two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Havipd,
    Keepalived,
}

impl Program {
    pub(crate) const BOTH: [Self; 2] = [Self::Havipd, Self::Keepalived];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Havipd => "havipd",
            Self::Keepalived => "keepalived",
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
struct Wanted {
    write: bool,
    rounds: usize,
    seconds: u64,
    /// How many groups, where that is what differs.
    groups: Vec<usize>,
    only: Vec<String>,
}

/// Measures, and says what came of it.
type Part = fn(&Wanted) -> Section;

/// The parts, in the order of the page.
const PARTS: [(&str, Part); 4] = [("moves", moves), ("cloud", cloud), ("groups", groups), ("idle", idle_cost)];

impl Wanted {
    fn read() -> Self {
        let quick = std::env::args().any(|a| a == "--quick");
        let (rounds, seconds, groups) = if quick { (3, 10, vec![1, 50]) } else { (7, 60, vec![1, 10, 50, 250]) };
        let mut wanted = Self { write: false, rounds, seconds, groups, only: Vec::new() };
        for argument in std::env::args().skip(1) {
            match argument.split_once('=').map_or((argument.as_str(), ""), |(name, value)| (name, value)) {
                ("--rounds", n) => wanted.rounds = n.parse().expect("--rounds=N takes a number"),
                ("--seconds", n) => wanted.seconds = n.parse().expect("--seconds=N takes a number"),
                ("--groups", n) => {
                    let each = n.split(',').map(|n| n.parse().expect("--groups=N,N takes numbers"));
                    wanted.groups = each.collect();
                }
                ("--write", _) => wanted.write = true,
                ("--only", part) => {
                    assert!(PARTS.iter().any(|(name, _)| *name == part), "--only={part}: no such part");
                    wanted.only.push(part.to_owned());
                }
                // Whatever the harness of `cargo bench` would be told is not for us.
                _ => {}
            }
        }
        wanted
    }
}

fn main() -> ExitCode {
    let wanted = Wanted::read();
    assert!(rustix::process::geteuid().is_root(), "makes network namespaces and therefore needs root: use sudo -E");
    namespace::keep_clean();
    let load = page::load();
    for (name, part) in PARTS {
        if wanted.only.is_empty() || wanted.only.iter().any(|only| only == name) {
            let section = part(&wanted);
            let text = section.text(&load);
            println!("\n{text}");
            if wanted.write {
                page::write(section.heading, &text);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs `measure` for both in turn, another one first each time; what came of it, by program.
fn alternate<T>(rounds: usize, mut measure: impl FnMut(Program) -> T) -> [Vec<T>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let i = (round + turn) % 2;
            found[i].push(measure(Program::BOTH[i]));
        }
    }
    found
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Crash and planned move of one group, the cloud at once.
fn moves(wanted: &Wanted) -> Section {
    let mut section = Section::new(
        "Side by side: moves",
        "One group. *Crash*: link down and SIGKILL, as of a host that loses power. *Silence* is from the last heartbeat that left \
         the host until packets go to the other one, which takes the phase of the heartbeat out; *outage* is what a client that \
         sends a datagram a millisecond sees. *Planned*: `havipctl switchover`, and an orderly stop of keepalived, which knows no \
         other. havipd has arbiter `cloud`, `dead-multiplier` 3 where an interval is given, and an API that answers at once; \
         keepalived (VRRP 3, unicast) moves packets by its gratuitous ARP alone. keepalived's dead time is three intervals and \
         its skew, 0.61 intervals at priority 100.",
        &[
            "timing",
            "program",
            "crash: silence, ms",
            "crash: outage, ms",
            "planned: datagrams lost",
            "ratio of silence",
        ],
    );
    let timings: &[(&str, Option<Duration>)] = &[
        ("1 s", Some(Duration::from_secs(1))),
        ("100 ms", Some(Duration::from_millis(100))),
        ("10 ms", Some(Duration::from_millis(10))),
        ("each one's defaults", None),
    ];
    for (label, interval) in timings {
        let setting = interval.map_or_else(Setting::defaults, |interval| Setting::of(interval, 3));
        let found = alternate(wanted.rounds, |program| {
            let mut pair = Pair::start(program, setting);
            let planned = pair.planned();
            (planned, pair.crash())
        });
        let medians = found.each_ref().map(|all| page::median(all.iter().map(|(_, c)| ms(c.silence))));
        for (program, all) in Program::BOTH.into_iter().zip(&found) {
            let ratio = if program == Program::Havipd { format!("{:.2}", medians[0] / medians[1]) } else { "1".into() };
            section.row(&[
                Row::text(label),
                Row::text(program.name()),
                spread(all.iter().map(|(_, c)| ms(c.silence))),
                spread(all.iter().map(|(_, c)| c.outage.map_or(f64::NAN, ms))),
                spread(all.iter().map(|(lost, _)| *lost as f64)),
                Row::text(&ratio),
            ]);
        }
    }
    section
}

/// What the cloud's distance adds.
fn cloud(wanted: &Wanted) -> Section {
    let mut section = Section::new(
        "Side by side: the cloud's distance",
        "One group of havipd, interval 100 ms, `dead-multiplier` 10, a crash; each answer of the API comes so late, though what \
         was asked for is done at once.",
        &["arbiter", "answers after", "silence, ms", "beyond the dead time, ms"],
    );
    for arbiter in ["cloud", "majority"] {
        for late in [0, 20, 200] {
            let base = Setting::of(Duration::from_millis(100), 10);
            let setting = Setting { late: Duration::from_millis(late), arbiter, ..base };
            let found: Vec<f64> =
                (0..wanted.rounds).map(|_| ms(Pair::start(Program::Havipd, setting).crash().silence)).collect();
            section.row(&[
                Row::text(arbiter),
                Row::text(&format!("{late} ms")),
                spread(found.iter().copied()),
                spread(found.iter().map(|silence| silence - 1000.0)),
            ]);
        }
    }
    section
}

/// How starts and crashes grow with groups.
fn groups(wanted: &Wanted) -> Section {
    let mut section = Section::new(
        "Side by side: many groups",
        "Until the last group has moved. havipd: interval 100 ms, `dead-multiplier` 10, everything else as it comes, the API \
         answers after 20 ms. keepalived: an instance for each, intervals of 330 ms. *Start*: all nodes at once, nobody has \
         anything (with arbiter `majority` a voter that knows nothing of the time before grants nothing for `keep-for`, 15 s). \
         *Crash*: from link down and SIGKILL on. *Calls*: of the survivor, from the crash until the last group had moved.",
        &["groups", "program", "start, s", "crash, s", "calls", "attach", "read", "refused or failed"],
    );
    let rounds = wanted.rounds.div_ceil(3);
    for count in &wanted.groups {
        let setting = |arbiter, late| Setting {
            groups: *count,
            arbiter,
            late: Duration::from_millis(late),
            ..Setting::of(Duration::from_millis(100), 10)
        };
        let kinds = [
            ("havipd, `cloud`", Program::Havipd, setting("cloud", 20)),
            ("havipd, `majority`", Program::Havipd, setting("majority", 20)),
            (
                "keepalived",
                Program::Keepalived,
                Setting { interval: Some(Duration::from_millis(330)), multiplier: 3, ..setting("", 0) },
            ),
        ];
        let mut found: [Vec<(Duration, pair::Crash)>; 3] = Default::default();
        for _ in 0..rounds {
            for (all, (_, program, setting)) in found.iter_mut().zip(&kinds) {
                let mut pair = Pair::start(*program, *setting);
                all.push((pair.started_in, pair.crash()));
            }
        }
        for (all, (name, ..)) in found.iter().zip(&kinds) {
            let count_of = |f: fn(&pair::Crash) -> usize| spread(all.iter().map(move |(_, c)| f(c) as f64));
            section.row(&[
                Row::text(&count.to_string()),
                Row::text(name),
                page::spread_of(all.iter().map(|(start, _)| start.as_secs_f64()), 2),
                page::spread_of(all.iter().map(|(_, c)| c.took.as_secs_f64()), 2),
                count_of(|c| c.calls),
                count_of(|c| c.attaches),
                count_of(|c| c.reads),
                count_of(|c| c.failed),
            ]);
        }
    }
    section
}

/// What both take while nothing happens.
fn idle_cost(wanted: &Wanted) -> Section {
    let mut section = Section::new(
        "Side by side: while nothing happens",
        "Processor time of a core (all threads and processes, by the scheduler's own account), proportional set size, datagrams \
         to the other node and calls of the API, each of the active node and of the backup. havipd has arbiter `cloud`; its log \
         level is `info`, its metrics are off.",
        &[
            "timing",
            "groups",
            "program",
            "CPU active / backup, %",
            "PSS active / backup, MiB",
            "datagrams an hour",
            "calls an hour",
            "ratio of CPU",
        ],
    );
    for (label, interval) in [("100 ms", Some(Duration::from_millis(100))), ("each one's defaults", None)] {
        for count in &wanted.groups {
            let base = interval.map_or_else(Setting::defaults, |interval| Setting::of(interval, 10));
            // keepalived's three intervals are not an option; what it costs does not depend on them.
            let setting = Setting { groups: *count, ..base };
            let found =
                Program::BOTH.map(|program| idle::measure(program, setting, Duration::from_secs(wanted.seconds)));
            for (program, of) in Program::BOTH.into_iter().zip(&found) {
                let ratio = |i: usize| found[0][i].cpu / found[1][i].cpu;
                let ratio = match program {
                    Program::Havipd => format!("{:.2} / {:.2}", ratio(0), ratio(1)),
                    Program::Keepalived => "1".to_owned(),
                };
                let both = |f: fn(&idle::Cost) -> String| Row::text(&of.each_ref().map(f).join(" / "));
                section.row(&[
                    Row::text(label),
                    Row::text(&count.to_string()),
                    Row::text(program.name()),
                    both(|c| format!("{:.2}", c.cpu)),
                    both(|c| format!("{:.1}", c.pss)),
                    both(|c| format!("{:.0}", c.datagrams)),
                    both(|c| format!("{:.0}", c.calls)),
                    Row::text(&ratio),
                ]);
            }
        }
    }
    section
}
