//! What was found, as two tables in Markdown: cases and figures.

use crate::daemon::{DEAD_TIME, INTERVAL, arbiter, program_tried};
use crate::fabric::{HAVIPS, Havip};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// One column of the second table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    CrashOutage,
    CrashCloud,
    CrashExcess,
    CrashToWire,
    KillOutage,
    KillGone,
    StopOutage,
    PartitionOutage,
    SwitchoverLost,
    SwitchoverGap,
    LeaveLost,
    LeaveGap,
    RestartLost,
    ByHand,
    ManyStart,
    ManyCrash,
}

/// Column, heading, what it means.
const COLUMNS: [(Figure, &str, &str); 16] = [
    (Figure::CrashOutage, "crash: outage", "longest time without an answer after link down and SIGKILL, ms"),
    (
        Figure::CrashCloud,
        "cloud's part",
        "from the first attach on the wire until the route had moved: the cloud's round trips and delays, ms",
    ),
    (Figure::CrashExcess, "excess", "outage less dead time less the cloud's part, ms; the goal is 20 at most"),
    (
        Figure::CrashToWire,
        "to the wire",
        "from the decision to claim until the attach was at the cloud, ms; the goal is 2 at most",
    ),
    (Figure::KillOutage, "SIGKILL: outage", "longest time without an answer when only the daemon dies, ms"),
    (Figure::KillGone, "address gone", "until the kernel had removed the dead daemon's address, ms"),
    (
        Figure::StopOutage,
        "SIGSTOP: outage",
        "longest time without an answer while the daemon is stopped and continued, ms",
    ),
    (
        Figure::PartitionOutage,
        "partition: outage",
        "longest time without an answer while the first two nodes cannot reach each other, ms",
    ),
    (Figure::SwitchoverLost, "switchover: lost", "datagrams without an answer, of one a millisecond"),
    (Figure::SwitchoverGap, "gap", "longest time without an answer, ms"),
    (Figure::LeaveLost, "SIGTERM: lost", "datagrams without an answer"),
    (Figure::LeaveGap, "gap ", "longest time without an answer, ms"),
    (Figure::RestartLost, "restart: lost", "datagrams without an answer while the active daemon is restarted"),
    (Figure::ByHand, "restored", "until an address that was removed by hand was back, ms"),
    (
        Figure::ManyStart,
        "many groups: start",
        "until the last of fifty groups (or HAVIPD_LAB_GROUPS) of nodes that all start at once had its packets, with the defaults of the file and a cloud 20 ms away, ms",
    ),
    (Figure::ManyCrash, "crash", "until the last of them had moved, from a crash of the node that had them all, ms"),
];

/// How one case ended under one profile.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// Every fact held; the longest time without an answer in each group, repairs afterwards included.
    Passed([Duration; 2]),
    /// A fact did not hold.
    Failed(String),
}

/// Everything that was found under one profile.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) cases: Vec<(&'static str, Verdict)>,
    figures: [BTreeMap<Figure, f64>; 2],
}

impl Findings {
    pub(crate) fn note(&mut self, havip: Havip, figure: Figure, value: f64) {
        self.figures[havip.0].insert(figure, value);
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.cases.iter().filter_map(|(name, verdict)| match verdict {
            Verdict::Failed(why) => Some((*name, why.as_str())),
            Verdict::Passed(_) => None,
        })
    }
}

/// Of the tree that this was built from, if git can tell.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let described = git(&["describe", "--always", "--dirty", "--exclude=*"]);
    described.map_or_else(|| "an unknown commit".to_owned(), |commit| format!("commit {commit}"))
}

/// Both tables with their explanation.
pub(crate) fn tables(all: &[(String, Findings)]) -> String {
    let mut text = String::from("# Results of the lab\n\n");
    let release = if cfg!(debug_assertions) { "" } else { "--release " };
    let _ = writeln!(
        text,
        "Made by `cargo test {release}--test netns -- {}` (as root, at {}: {}). Three nodes, a router, a client\n\
         and the emulated cloud in network namespaces; heartbeats every {} ms, dead time {} ms; the client sends one\n\
         datagram a millisecond to each HAVIP. Every case runs on two groups at once: one of three nodes with arbiter\n\
         `majority`, one of two with arbiter `cloud`. Profiles: what Baidu leaves undocumented, played each way.\n",
        std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        commit(),
        program_tried(),
        INTERVAL.as_millis(),
        DEAD_TIME.as_millis()
    );
    cases(&mut text, all);
    figures(&mut text, all);
    text
}

fn cases(text: &mut String, all: &[(String, Findings)]) {
    text.push_str(
        "## Cases\n\nLongest time without an answer while a case and the repairs after it lasted, ms: `majority` / `cloud`.\n\n| case |",
    );
    for (profile, _) in all {
        let _ = write!(text, " {profile} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(all.len()));
    let mut names: Vec<&str> = Vec::new();
    for name in all.iter().flat_map(|(_, f)| f.cases.iter().map(|(name, _)| *name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let _ = write!(text, "\n| {name} |");
        for (_, findings) in all {
            let verdict = findings.cases.iter().find(|(n, _)| *n == name).map(|(_, verdict)| verdict);
            let _ = match verdict {
                None => write!(text, " |"),
                Some(Verdict::Passed([majority, cloud])) => {
                    write!(text, " {} / {} |", majority.as_millis(), cloud.as_millis())
                }
                Some(Verdict::Failed(_)) => write!(text, " **failed** |"),
            };
        }
    }
    text.push('\n');
}

fn figures(text: &mut String, all: &[(String, Findings)]) {
    text.push_str("\n## Figures\n\n| profile | arbiter |");
    for (_, heading, _) in COLUMNS {
        let _ = write!(text, " {} |", heading.trim());
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---:|".repeat(COLUMNS.len()));
    for (profile, findings) in all {
        for havip in HAVIPS {
            let _ = write!(text, "\n| {profile} | {} |", arbiter(havip));
            for (figure, ..) in COLUMNS {
                let _ = match findings.figures[havip.0].get(&figure) {
                    None => write!(text, " |"),
                    Some(value) if matches!(figure, Figure::CrashToWire) => write!(text, " {value:.1} |"),
                    Some(value) => write!(text, " {value:.0} |"),
                };
            }
        }
    }
    text.push_str("\n\n");
    for (_, heading, meaning) in COLUMNS {
        let _ = writeln!(text, "- {}: {meaning}", heading.trim());
    }
}
