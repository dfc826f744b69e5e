//! The real keepalived beside havipd: two nodes in network namespaces, unicast VRRP, the emulated cloud.
//!
//! `cargo test --test keepalived [-- [--write] [--jobs=N] [WORD...]]` as root, with `keepalived` 2.2, `ip` and `nft`. Every
//! case is played in two ways, with keepalived's notify command and with its FIFO, under every profile of the cloud in
//! which a daemon can move an address at all. A WORD picks profiles by name and cases whose names contain it. The table
//! is printed, kept in `target/keepalived-results.md`, and with `--write` in `docs/keepalived-results.md`.

mod cases;
#[expect(dead_code, reason = "the other lab measures more")]
#[path = "../netns/clock.rs"]
mod clock;
#[expect(dead_code, reason = "the other lab looks at more of it")]
#[path = "../netns/fabric.rs"]
mod fabric;
mod host;
#[path = "../support/memory.rs"]
mod memory;
#[path = "../netns/namespace.rs"]
mod namespace;
#[expect(dead_code, reason = "the other lab breaks more of it")]
#[path = "../netns/network.rs"]
mod network;

use cases::{CASES, Case};
use clock::{Moment, wait};
use fabric::{Fabric, HAVIPS};
use havipd_lab::simulation::cloud::Profile;
use host::{Host, PAIR, PATIENCE};
use network::{Network, Node};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// How keepalived's states come to havipd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// `notify "havipctl notify"`.
    Notify,
    /// `vrrp_notify_fifo`.
    Fifo,
}

impl Variant {
    const ALL: [Self; 2] = [Self::Notify, Self::Fifo];

    const fn name(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Fifo => "fifo",
        }
    }
}

/// Everything of one profile and one variant. What runs is dropped before what it runs in.
#[derive(Debug)]
pub(crate) struct Lab {
    hosts: [Host; 2],
    pub(crate) fabric: Fabric,
    pub(crate) network: Network,
    _run: tempfile::TempDir,
}

impl Lab {
    fn new(profile: &Profile, variant: Variant) -> Self {
        let name = format!("{}-{}", profile.name, variant.name());
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("keepalived").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("cannot clear {}: {e}", dir.display()));
        }
        let run = memory::directory("havipd-ka-");
        let network = Network::new();
        let fabric = Fabric::start(&network, profile.clone());
        let hosts = PAIR.map(|node| Host::new(node, variant, &dir, run.path()));
        let mut lab = Self { hosts, fabric, network, _run: run };
        for node in PAIR {
            lab.start_havipd(node);
            lab.start_keepalived(node);
        }
        lab
    }

    pub(crate) fn host(&mut self, node: Node) -> &mut Host {
        &mut self.hosts[node.0]
    }

    pub(crate) fn start_havipd(&mut self, node: Node) {
        self.hosts[node.0].start_havipd(self.network.node(node));
    }

    pub(crate) fn start_keepalived(&mut self, node: Node) {
        self.hosts[node.0].start_keepalived(self.network.node(node));
    }

    /// Whether a node has that role in both groups.
    pub(crate) fn says(&self, node: Node, role: &str) -> Result<(), String> {
        for havip in HAVIPS {
            let status = self.hosts[node.0].status(havip)?;
            if status["role"] != role {
                return Err(format!("{} is {status} in {}", node.name(), host::group(havip)));
            }
        }
        Ok(())
    }

    /// Whether keepalived's own addresses, which it has while it is master, are all there.
    pub(crate) fn carries_vip(&self, node: Node) -> Result<(), String> {
        let name = self.network.node(node).name();
        let text = namespace::run("ip", &["-n", name, "-4", "-o", "address", "show", "dev", "lo"]);
        let all = ["192.168.77.1/32", "192.168.77.2/32"].iter().all(|vip| text.contains(vip));
        if all { Ok(()) } else { Err(format!("{} has {text:?}", node.name())) }
    }

    /// Whether the cloud sends the packets of both HAVIPs to that node.
    pub(crate) fn named(&self, node: Node) -> Result<(), String> {
        for havip in HAVIPS {
            let cloud = self.fabric.havip(havip);
            let instance = Some(node.instance());
            if cloud.master != instance || cloud.traffic != instance {
                return Err(format!("the cloud has {cloud:?}"));
            }
        }
        Ok(())
    }

    /// Waits until everything is on one node: role, cloud, nobody else bound, address; and a daemon on the other says
    /// that it is not active.
    pub(crate) fn settle(&self, node: Node) -> Result<(), String> {
        let look = || {
            self.says(node, "active")?;
            self.named(node)?;
            for havip in HAVIPS {
                let bound = self.fabric.havip(havip).bound;
                if bound.len() != 1 {
                    return Err(format!("{bound:?} are bound"));
                }
                for host in PAIR {
                    let there = self.network.virtual_addresses(host).contains(&havip.address());
                    if there != (host == node) {
                        return Err(format!("the address of {} is at the wrong place: {}", havip.id(), host.name()));
                    }
                }
                let other = self.hosts[1 - node.0].status(havip);
                if let Some(role) = other.ok().and_then(|s| s["role"].as_str().map(str::to_owned))
                    && !["backup", "fault"].contains(&role.as_str())
                {
                    return Err(format!("{} is {role}", PAIR[1 - node.0].name()));
                }
            }
            Ok(())
        };
        wait(&format!("everything is on {}", node.name()), PATIENCE, look)
            .map_err(|why| format!("{why}\na: {}\nb: {}", self.hosts[0].story(), self.hosts[1].story()))
    }

    /// The packets went nowhere else since `began`.
    pub(crate) fn stayed(&self, began: Moment, node: Node) -> Result<Option<Duration>, String> {
        for havip in HAVIPS {
            let moves = self.fabric.moves_since(havip, began);
            if moves.iter().any(|m| m.to != Some(node)) {
                return Err(format!("{}: {moves:?}\na: {}", havip.id(), self.hosts[0].story()));
            }
        }
        Ok(None)
    }

    /// How often each HAVIP has moved to another node since `began`.
    pub(crate) fn moved_at_most(&self, began: Moment, times: usize) -> Result<(), String> {
        for havip in HAVIPS {
            let mut targets: Vec<Node> = self.fabric.moves_since(havip, began).iter().filter_map(|m| m.to).collect();
            targets.dedup();
            if targets.len() > times {
                let stories = format!("a: {}\nb: {}", self.hosts[0].story(), self.hosts[1].story());
                return Err(format!("{} went to {targets:?}\n{stories}", havip.id()));
            }
        }
        Ok(())
    }

    /// Before a case: everything runs, and the preferred node has it all.
    fn restore(&mut self) -> Result<(), String> {
        for host in &mut self.hosts {
            if !host.runs_havipd() || !host.runs_keepalived() {
                return Err("a program has ended by itself".to_owned());
            }
        }
        self.settle(PAIR[0])
    }
}

/// How one case ended; `None` for what does not move.
type Verdict = Result<Option<Duration>, String>;
type Row = Vec<(&'static str, Verdict)>;

fn say(text: &str) {
    // A reader that closed the output does not want it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn play(profile: &Profile, variant: Variant, cases: &[(&'static str, Case)]) -> Row {
    let mut lab: Option<Lab> = None;
    let mut row = Row::new();
    for (name, case) in cases {
        let began = Moment::now();
        let verdict = catch_unwind(AssertUnwindSafe(|| {
            let lab = lab.get_or_insert_with(|| Lab::new(profile, variant));
            lab.restore().map_err(|why| format!("before it: {why}"))?;
            case(lab)
        }))
        .unwrap_or_else(|_| Err("panicked".to_owned()));
        let took = Moment::now().since(began).as_secs_f32();
        let word = if verdict.is_ok() { "ok" } else { "FAILED" };
        say(&format!("{profile}, {}: {name}: {word} ({took:.1} s)", variant.name()));
        if let Err(why) = &verdict {
            say(why);
            // What is left may be in any state.
            drop(lab.take());
        }
        row.push((name, verdict));
    }
    row
}

fn main() -> ExitCode {
    let (mut jobs, mut write, mut words) = (1, false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--write" => write = true,
            option if option.starts_with("--jobs=") => jobs = option["--jobs=".len()..].parse().expect("a number"),
            option if option.starts_with('-') => {}
            word => words.push(word.to_owned()),
        }
    }
    let all: Vec<Profile> = Profile::all().into_iter().filter(Profile::winnable).collect();
    let (profiles, words): (Vec<String>, Vec<String>) =
        words.into_iter().partition(|w| all.iter().any(|p| p.name == *w) || Variant::ALL.iter().any(|v| v.name() == w));
    let chosen = |names: &[&str], name: &str| {
        let some = profiles.iter().filter(|p| names.contains(&p.as_str())).count();
        some == 0 || profiles.iter().any(|p| p == name)
    };
    let variants: Vec<&str> = Variant::ALL.iter().map(|v| v.name()).collect();
    let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
    let cases: Vec<(&'static str, Case)> = CASES
        .iter()
        .copied()
        .filter(|(n, _)| words.is_empty() || words.iter().any(|w| n.contains(w.as_str())))
        .collect();
    let plan: Vec<(&Profile, Variant)> = all
        .iter()
        .filter(|p| chosen(&names, &p.name))
        .flat_map(|p| Variant::ALL.into_iter().filter(|v| chosen(&variants, v.name())).map(move |v| (p, v)))
        .collect();
    if cases.is_empty() || plan.is_empty() {
        say("keepalived: nothing by that name");
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        say("keepalived: makes network namespaces and therefore needs root: use sudo -E");
        return ExitCode::FAILURE;
    }
    let Some(_alone) = alone() else {
        say("keepalived: another lab of this tree is running; its files are in the same place");
        return ExitCode::FAILURE;
    };
    namespace::keep_clean();
    let began = Moment::now();
    let results: Vec<OnceLock<Row>> = plan.iter().map(|_| OnceLock::new()).collect();
    let todo = Mutex::new(plan.iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().expect("nobody panics with it").next();
                    let Some((i, (profile, variant))) = next else { return };
                    assert!(results[i].set(play(profile, *variant, &cases)).is_ok(), "each is played once");
                }
            });
        }
    });
    let rows: Vec<Row> = results.into_iter().filter_map(OnceLock::into_inner).collect();
    let text = table(&plan, &rows);
    say(&format!("\n{text}\n{:.0} s", Moment::now().since(began).as_secs_f64()));
    keep(&text, write);
    verdict(&cases, &rows)
}

/// The right to the directory that labs of this tree share, until it is dropped.
fn alone() -> Option<File> {
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("keepalived.lock")).expect("a file");
    lock.try_lock().is_ok().then_some(lock)
}

fn table(plan: &[(&Profile, Variant)], rows: &[Row]) -> String {
    let version = Command::new("keepalived").arg("--version").output();
    let version = version.map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_default();
    let mut text = format!(
        "# Beside keepalived\n\nMade by `cargo test --test keepalived`, as root, with {}. Two nodes with\n\
         unicast VRRP (an advertisement every 300 ms), one group that follows an instance and one that follows a sync\n\
         group. Figures: from the event (of a split: from its end) until the cloud sent the packets of both to the right\n\
         node, ms; \"stays\": nothing had to move, and nothing did. `notify`: keepalived calls `havipctl notify`; `fifo`:\n\
         `vrrp_notify_fifo`.\n\n| case |",
        version.lines().next().unwrap_or("keepalived").trim()
    );
    for (profile, variant) in plan {
        let _ = write!(text, " {profile}, {} |", variant.name());
    }
    let _ = write!(text, "\n|---|{}", "---:|".repeat(plan.len()));
    for (i, (name, _)) in rows.first().into_iter().flatten().enumerate() {
        let _ = write!(text, "\n| {} |", name.replace('_', " "));
        for row in rows {
            let _ = match &row[i].1 {
                Ok(Some(took)) => write!(text, " {} |", took.as_millis()),
                Ok(None) => write!(text, " stays |"),
                Err(_) => write!(text, " **failed** |"),
            };
        }
    }
    text.push('\n');
    text
}

fn keep(text: &str, write: bool) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("keepalived-results.md");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keepalived-results.md");
    for path in [Some(target), write.then_some(docs)].into_iter().flatten() {
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    }
}

/// One line per case as the usual harness has them, for tests/failure-matrix.
fn verdict(cases: &[(&'static str, Case)], rows: &[Row]) -> ExitCode {
    let mut failed = 0;
    for (i, (name, _)) in cases.iter().enumerate() {
        let ok = rows.iter().all(|row| row[i].1.is_ok());
        failed += usize::from(!ok);
        say(&format!("test {name} ... {}", if ok { "ok" } else { "FAILED" }));
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    say(&format!("\ntest result: {word}. {} passed; {failed} failed", cases.len() - failed));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
