//! What a pair takes while nothing happens.

use crate::Program;
use crate::clock::Moment;
use crate::namespace::run;
use crate::network::Network;
use crate::pair::{PAIR, Pair, Setting};
use std::fs;
use std::time::Duration;

/// Of one node.
#[derive(Debug)]
pub(crate) struct Cost {
    /// Of a processor, in per cent.
    pub(crate) cpu: f64,
    /// Proportional set size, MiB.
    pub(crate) pss: f64,
    /// To the other node, an hour.
    pub(crate) datagrams: f64,
    /// Of the API, an hour.
    pub(crate) calls: f64,
}

/// For a minute after a move havipd audits, and asks the fabric, every second.
const WATCHFUL: Duration = Duration::from_secs(62);

/// The active node's, and the backup's.
pub(crate) fn measure(program: Program, setting: Setting, long: Duration) -> [Cost; 2] {
    let pair = Pair::start(program, setting);
    if program == Program::Havipd {
        Moment::now().after(WATCHFUL).rest_until();
    }
    let active = pair.active();
    let nodes = [active, 1 - active];
    count_datagrams(&pair.network);
    let look = || {
        let cpu = nodes.map(|n| pair.pids(n).into_iter().map(nanoseconds).sum::<u64>());
        let sent = nodes.map(|n| datagrams(&pair.network, n));
        (Moment::now(), cpu, sent)
    };
    let before = look();
    Moment::now().after(long).rest_until();
    let after = look();
    let span = after.0.since(before.0).as_secs_f64();
    [0, 1].map(|i| {
        let calls = pair.fabric.all_calls_since(before.0, PAIR[nodes[i]]).len();
        Cost {
            cpu: (after.1[i] - before.1[i]) as f64 / 1e7 / span,
            pss: pair.pids(nodes[i]).into_iter().map(pss).sum::<u64>() as f64 / 1024.0,
            datagrams: (after.2[i] - before.2[i]) as f64 / span * 3600.0,
            calls: calls as f64 / span * 3600.0,
        }
    })
}

/// What all threads of a process have run for.
fn nanoseconds(pid: u32) -> u64 {
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("is running");
    tasks.filter_map(|task| of(task.ok()?)).sum()
}

/// KiB.
fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("is running");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("the kernel says so")
}

/// Has the router count what goes from node to node.
fn count_datagrams(network: &Network) {
    let [a, b] = PAIR.map(|node| node.port());
    network.router.nft(&format!(
        "table inet compare {{
            counter {a} {{ }}
            counter {b} {{ }}
            chain forward {{
                type filter hook forward priority -1;
                iifname {a:?} oifname {b:?} counter name {a}
                iifname {b:?} oifname {a:?} counter name {b}
            }}
        }}"
    ));
}

fn datagrams(network: &Network, node: usize) -> u64 {
    let name = PAIR[node].port();
    let text = network.router.inside(|| run("nft", &["list", "counter", "inet", "compare", &name]));
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).and_then(|n| n.parse().ok()).expect("nft counts")
}
